"""Strangers' pictures through MSR-net's test.py, from end to end: profiles, names of JPEG, what is not read."""
import numpy as np
import pytest
import torch

from cases.msrnet import test
from cases.msrnet.model import MSRNet
from common.base import paths
from common.data import formats, images
from common.data.images import read_pixels
from common.experiment import checkpoints


@pytest.fixture
def brighten(tmp_path, monkeypatch):
    """brighten(*inputs): {name: pixels} of what test.py made of them, with a small network."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(images, "told", set())
    torch.manual_seed(0)
    small = {"channels": 2, "dilations": [1]}
    checkpoints.save(tmp_path / "small.pt", {"case": "msrnet", "model": small, "weights": MSRNet(**small).state_dict()})

    def run(*inputs):
        test.main(["--weights", str(tmp_path / "small.pt"), "--input", *map(str, inputs),
                   "--output", f"{tmp_path / 'out'}/", "test.protect=off"])
        return {path.name: read_pixels(path) for path in (tmp_path / "out").iterdir()}
    return run


def test_a_picture_in_another_profile_gives_the_same_answer(brighten, shared):
    made = brighten(shared("cases/icc_profile"))
    assert set(made) == {"srgb.png", "p3.png", "adobe.png"}
    for name in ("p3.png", "adobe.png"):
        assert np.abs(made[name].astype(int) - made["srgb.png"]).mean() < 2.5, name


def test_every_name_of_a_jpeg_comes_out_under_that_name(brighten, shared):
    made = brighten(*(shared("cases/jfif") / name for name in ("photo.jfif", "photo.jpe")))
    assert set(made) == {"photo.jfif", "photo.jpe"}


def test_a_mixed_folder_is_used_or_named_file_by_file(brighten, shared, capsys):
    folder = shared("cases/silently_skipped") / "mix"
    made, captured = brighten(folder), capsys.readouterr()
    written = " ".join(made)
    for path in folder.iterdir():
        assert f"{path.stem}." in written or path.name in captured.err, path.name
    assert {"anim.png", "x.png", "base.jpg", "photo.jfif"} <= set(made)
    assert formats.HEIC or "pillow-heif" in captured.err
