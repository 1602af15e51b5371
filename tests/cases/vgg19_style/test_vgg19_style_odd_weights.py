"""Foreign networks that paint, as no training writes them: one message for each."""
import pytest
import torch
from odd_weights import ODD, spoil

from cases.vgg19_style.fast import convert
from cases.vgg19_style.fast.network import FastNetwork
from common.base.errors import UserError


@pytest.fixture(scope="module")
def foreign():
    """A good foreign state dict."""
    state = FastNetwork(4, ["a"]).state_dict()
    return {theirs: state[own][0] if norm else state[own] for theirs, (own, norm) in convert.names().items()}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["conv1.conv2d.weight", "in1.bias"])
def test_odd_tensors(tmp_path, foreign, kind, name):
    torch.save(spoil(foreign, kind, name), tmp_path / "candy.pth")
    with pytest.raises(UserError, match="candy.pth"):
        convert.read(tmp_path / "candy.pth")


def test_an_odd_width_costs_no_memory(tmp_path, foreign):
    torch.save(foreign | {"conv1.conv2d.weight": torch.zeros(1_000_000, 1, 1, 1)}, tmp_path / "candy.pth")
    with pytest.raises(UserError, match="another network.*candy.pth"):
        convert.read(tmp_path / "candy.pth")
