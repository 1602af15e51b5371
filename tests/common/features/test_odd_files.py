"""Feature networks from files that are no weights: one message for each, and no memory for what is only claimed."""
import numpy as np
import pytest
import torch
from odd_weights import ODD, spoil
from test_vgg import narrow_state

from common.base.errors import UserError
from common.features import vgg


def refused(path, message):
    with pytest.raises(UserError, match=message) as caught:
        vgg.load(str(path), ["relu1_1"])
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("form", ["bare", "ours"])
def test_odd_tensors(tmp_path, kind, form):
    state = spoil(narrow_state(), kind)
    ours = {"case": "vgg19_style", "model": "text", "weights": state}
    torch.save(state if form == "bare" else ours, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not the weights of a VGG|no weights of a network")


@pytest.mark.parametrize("content", [[1], None, "text", {}, {1: torch.zeros(2)}, {"features.x.weight": torch.zeros(2)},
                                     {"case": "a", "model": None, "weights": None},
                                     {"features.0.weight": torch.zeros(()), "features.0.bias": torch.zeros(())},
                                     {"features.3.squeeze.weight": torch.zeros(2)}])
def test_odd_contents(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="a.pth"):
        vgg.load(str(tmp_path / "a.pth"), ["features.3"], tag="squeeze")
    with pytest.raises(UserError, match="a.pth"):
        vgg.load(str(tmp_path / "a.pth"), ["relu1_1"])


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([None]), np.array(np.nan), np.zeros((2, 2), complex)])
def test_odd_arrays(tmp_path, value):
    np.savez(tmp_path / "a.npz", **narrow_state() | {"features.0.weight": value})
    refused(tmp_path / "a.npz", "a.npz")
