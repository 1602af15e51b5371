"""The converter of the official weights: both kinds of files, files that are none, variables that are wrong."""
import numpy as np
import pytest
import torch
from rule_weights import rule_weights

from cases.kind.extras import convert
from cases.kind.model import KinD
from common.base.errors import UserError
from common.experiment import checkpoints


def test_both_kinds_of_files_give_the_same_weights(shared, tmp_path):
    folder = shared("weights/kind")
    named, raw = (convert.from_tensorflow(convert.read_arrays(folder / a) | convert.read_arrays(folder / b))
                  for a, b in (("decomposition.npz", "adjustment.npz"),
                               ("decom_net_train.data-00000-of-00001",
                                "illumination_adjust_net_train.data-00000-of-00001")))
    assert named.keys() == raw.keys() and len(named) == 26
    assert all(torch.equal(named[key], raw[key]) for key in named)
    rules = rule_weights(folder)
    path = tmp_path / "model.ckpt.data-00000-of-00001"
    path.write_bytes(b"".join(values.astype("<f4").tobytes() for values in rules.values()))
    restored = convert.from_tensorflow(convert.read_arrays(path))
    assert len(restored) == 42
    assert all(torch.equal(value, restored[key]) for key, value in convert.from_tensorflow(rules).items())


def test_convert_writes_a_weights_file(shared, tmp_path):
    folder = shared("weights/kind")
    convert.main([str(folder / "decomposition.npz"), str(folder / "adjustment.npz"), "-o",
                  str(tmp_path / "official.pt")])
    weights = checkpoints.find("kind", "x", str(tmp_path / "official.pt"))
    model = checkpoints.build(KinD, weights)
    assert model.restoration is None and weights.model["restoration"] == "none"
    np.savez(tmp_path / "restoration.npz", **rule_weights(folder))
    convert.main([str(folder / "decomposition.npz"), str(tmp_path / "restoration.npz"),
                  str(folder / "adjustment.npz"), "-o", str(tmp_path / "all.pt")])
    assert checkpoints.build(KinD, checkpoints.find("kind", "x", str(tmp_path / "all.pt"))).restoration is not None


def test_wrong_variables_are_named(shared):
    arrays = convert.read_arrays(shared("weights/kind") / "decomposition.npz")
    missing = {name: value for name, value in arrays.items() if name != "DecomNet/g_conv3_1/biases"}
    with pytest.raises(UserError, match="DecomNet/g_conv3_1/biases is missing"):
        convert.from_tensorflow(missing)
    with pytest.raises(UserError, match="DecomNet/g_conv11/weights belongs to none"):
        convert.from_tensorflow(arrays | {"DecomNet/g_conv11/weights": np.zeros((1, 1, 3, 3))})
    with pytest.raises(UserError, match=r"g_conv10/weights has the shape \[3, 3, 32, 3\], expected \[1, 1, 32, 3\]"):
        convert.from_tensorflow(arrays | {"DecomNet/g_conv10/weights": np.zeros((3, 3, 32, 3))})
    with pytest.raises(UserError, match="no variable at all"):
        convert.from_tensorflow({})


def test_files_that_are_no_weights(shared, tmp_path):
    folder = shared("weights/kind")
    raw = folder / "illumination_adjust_net_train.data-00000-of-00001"
    (tmp_path / "cut").write_bytes(raw.read_bytes()[:-4])
    (tmp_path / "page.npz").write_text("<!DOCTYPE html><html>quota exceeded</html>")
    (tmp_path / "half.npz").write_bytes((folder / "decomposition.npz").read_bytes()[:5000])
    for name, expected in (("cut", "77,568 bytes"), ("page.npz", "web page"), ("half.npz", "damaged"),
                           ("nothing", "no such file")):
        with pytest.raises(UserError, match=expected):
            convert.read_arrays(tmp_path / name)
    with pytest.raises(UserError, match="nothing for decomposition"):
        convert.convert([raw])
    with pytest.raises(UserError, match="an earlier file had"):
        convert.convert([raw, folder / "adjustment.npz"])
