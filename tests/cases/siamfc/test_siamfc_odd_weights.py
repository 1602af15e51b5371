"""Files in a port's layout that are no weights: one message for each."""
import pytest
import torch
from odd_weights import ODD, spoil

from cases.siamfc import weights
from cases.siamfc.model import SiamFC
from common.base.errors import UserError

STATE = SiamFC([8, 16, 16, 16, 8]).state_dict()


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["backbone.conv1.0.weight", "backbone.conv5.0.bias"])
def test_odd_tensors(tmp_path, kind, name):
    torch.save(spoil(STATE, kind, name), tmp_path / "port.pth")
    with pytest.raises(UserError, match="port.pth"):
        weights.read(tmp_path / "port.pth")


@pytest.mark.parametrize("state", [
    STATE | {"bias": torch.zeros(2)}, STATE | {"backbone.conv1.0.weight": torch.zeros(8)},
    STATE | {"backbone.conv2.0.weight": torch.zeros(15, 4, 5, 5)}, {1: torch.zeros(2)},
    STATE | {f"backbone.conv{number}.0.weight": torch.zeros(1_000_000, 1, 1, 1) for number in range(1, 6)}])
def test_odd_shapes_cost_no_memory(tmp_path, state):
    torch.save(state, tmp_path / "port.pth")
    with pytest.raises(UserError, match="port.pth"):
        weights.read(tmp_path / "port.pth")
