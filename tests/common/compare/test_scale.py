"""Super-resolution's metrics are measured again with the crop and the border that the scale says."""
import shutil

import numpy as np
import pytest
from PIL import Image

from common.base.errors import start
from common.compare.__main__ import main
from common.data.images import to_tensor, write_image
from common.experiment.results import TestResults
from common.metrics import fidelity, psnr_y, ssim_y

SCALE = 3


def compare(*words):
    return start(main, [str(word) for word in words])


@pytest.fixture
def enlarged(tmp_path):
    """(test root, run): a picture of 50 x 41, whose enlarged one has 48 x 39 pixels."""
    high = np.random.default_rng(0).integers(0, 256, (41, 50, 3), dtype=np.uint8)
    write_image(tmp_path / "root/Set5/a.png", to_tensor(high))
    cut = high[:39, :48]
    low = Image.fromarray(cut).resize((16, 13), Image.BICUBIC)
    picture = np.asarray(low.resize((48, 39), Image.BICUBIC))
    values = {"psnr_y": psnr_y(picture, cut, SCALE), "ssim_y": ssim_y(picture, cut, SCALE), **fidelity(picture, cut)}
    metrics = ["psnr_y", "ssim_y", "psnr", "ssim"]
    results = TestResults(tmp_path / "runs/true", "Set5", weights="w", settings={"test": {"scale": SCALE}}, data="d",
                          rows=["network"], metrics=metrics)
    write_image(results.image_path("a", "network"), to_tensor(picture))
    results.add("a", {"network": (values, results.image_path("a", "network"))}, "Set5/a.png")
    results.finish(["a"])
    return tmp_path / "root", tmp_path / "runs/true"


def forged(run, metric):
    """A copy of the run in which a metric is a little higher, in items.csv and in metrics.json, vouched for anew."""
    other = run.with_name(metric)
    shutil.copytree(run, other)
    results = TestResults(other, "Set5", weights="w", settings={"test": {"scale": SCALE}}, data="d", rows=["network"],
                          metrics=["psnr_y", "ssim_y", "psnr", "ssim"])
    results.lines[0][metric] = f"{float(results.lines[0][metric]) + 0.04:.6f}"
    results.finish(["a"])
    return other


def test_what_was_measured_is_found_again(enlarged, capsys):
    root, run = enlarged
    assert compare(run, run, "--recompute", root) == 0
    said = capsys.readouterr().out
    assert "1 lines measured again" in said and "for want of a definition" not in said


@pytest.mark.parametrize("metric", ["psnr_y", "ssim_y", "psnr"])
def test_a_number_that_was_raised_is_refuted(enlarged, metric, capsys):
    root, run = enlarged
    assert compare(run, forged(run, metric), "--recompute", root) == 1
    assert f"{metric} is " in capsys.readouterr().out


def test_a_picture_of_another_size_is_refuted(enlarged, capsys):
    root, run = enlarged
    other = run.with_name("small")
    shutil.copytree(run, other)
    path = next(other.rglob("*.png"))
    Image.open(path).crop((0, 0, 47, 39)).save(path)
    assert compare(run, other, "--recompute", root) == 1
    assert "48x39" in capsys.readouterr().out
