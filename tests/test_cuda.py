"""On a GPU: every case trains, is stopped and goes on, is tested and drawn there, and answers as the processor does.

`make test-gpu` runs these; without CUDA they are left out. TEST_DEVICE=cpu tries the tests themselves without a GPU.
"""
import json
import math
import os
import signal

import cv2
import numpy as np
import pytest
import torch
from test_cases import clone, manifest, script, succeed  # noqa: F401  clone and script are fixtures

from common.base.paths import all_cases
from common.data.images import read_pixels

DEVICE = os.environ.get("TEST_DEVICE", "cuda")
ENLARGING = {"msrnet": [], "kind": [], "super_resolution": ["--scale", "2"]}     # cases that take a picture in tiles
pytestmark = [pytest.mark.cuda,
              pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA on this machine")]


@pytest.fixture(scope="session", params=all_cases())
def trained_there(request, clone, script):  # noqa: F811
    """(clone, case) with a run `gpu`, trained, tested and drawn on the device."""
    for name in ("train", "test", "figures"):
        succeed(script(request.param, name, "--device", DEVICE, "--name", "gpu", started="afresh"))
    return clone, request.param


def log_of(clone, case, name):  # noqa: F811
    return [json.loads(line) for line in
            (clone / "results" / case / name / "train" / "log.jsonl").read_text().splitlines()]


def test_every_number_of_the_log_is_finite(trained_there):
    for line in log_of(*trained_there, "gpu"):
        assert all(math.isfinite(value) for value in line.values() if isinstance(value, float)), line


def test_figures_are_drawn(trained_there):
    assert {entry["path"].split("/")[0] for entry in manifest(*trained_there, "gpu")["files"]} == {"train", "test",
                                                                                                  "figures"}


def test_stopped_and_going_on_is_never_stopped(trained_there, script):  # noqa: F811
    """Sums on a GPU come in another order each time, so the losses are near, not equal."""
    clone, case = trained_there  # noqa: F811
    done = script(case, "train", "--device", DEVICE, "--name", "stopped", trap="step 5 SIGTERM", started="afresh")
    assert done.returncode == 128 + signal.SIGTERM, done.stderr[-3000:]
    succeed(script(case, "train", "--device", DEVICE, "--name", "stopped", started="afresh"))
    for one, other in zip(log_of(clone, case, "gpu"), log_of(clone, case, "stopped"), strict=True):
        assert one.keys() == other.keys()
        assert one.get("loss", 0) == pytest.approx(other.get("loss", 0), rel=0.05, abs=1e-3), (one, other)


def test_the_processor_measures_the_same(trained_there, script):  # noqa: F811
    """The same weights, tested on both: means of all rows within 2 % of each other, or .02."""
    clone, case = trained_there  # noqa: F811
    place = next((clone / "results" / case / "gpu" / "test").glob("*/metrics.json"))
    there = json.loads(place.read_text())
    succeed(script(case, "test", "--device", "cpu", "--name", "gpu", started="afresh"))
    for row, values in json.loads(place.read_text()).items():
        for metric, value in values.items():
            if isinstance(value, float):
                assert there[row][metric] == pytest.approx(value, rel=0.02, abs=0.02), (row, metric)


def test_bfloat16_trains(trained_there, script):  # noqa: F811
    clone, case = trained_there  # noqa: F811
    done = script(case, "train", "--device", DEVICE, "precision=bf16", "--name", "bf16", started="afresh")
    if "precision" in done.stderr and "no such setting" in done.stderr:
        pytest.skip(f"{case} has no other precision")
    succeed(done)
    test_every_number_of_the_log_is_finite((clone, case))
    assert all(math.isfinite(line.get("loss", 0)) for line in log_of(clone, case, "bf16"))


@pytest.mark.parametrize("case", [case for case in ENLARGING if case in all_cases()])
def test_tiles_make_the_same_picture(clone, script, tmp_path, case):  # noqa: F811
    picture = np.random.default_rng(0).integers(0, 90, (330, 410, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "dark.png"), cv2.GaussianBlur(picture, (0, 0), 3))
    outputs = []
    for name, tile in (("whole", 4096), ("tiled", 128)):
        target = tmp_path / f"{name}.png"
        succeed(script(case, "test", "--device", DEVICE, "--name", name, "--weights", "release", f"test.tile={tile}",
                       "--input", str(tmp_path / "dark.png"), "--output", str(target), *ENLARGING[case],
                       started="afresh"))
        outputs.append(read_pixels(target).astype(int))
    assert abs(outputs[0] - outputs[1]).max() <= 1
