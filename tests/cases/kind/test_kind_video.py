"""KinD on videos: no flicker within a shot, a new start at a cut, files in and out."""
import cv2
import numpy as np
import pytest
import torch

from cases.kind import test
from cases.kind.extras import own_video
from cases.kind.model import KinD
from common.base import paths
from common.data import video
from common.experiment import checkpoints, settings
from common.lowlight.steady import Steady


def brightening():
    """A KinD that only brightens: R and P near one, A far above I; weights drawn, so that levels react to the input."""
    torch.manual_seed(1)
    return KinD(channels=2).eval()


def steadily():
    """A Steady of that network with the case's settings."""
    return Steady(own_video.answer_frames(brightening(), settings.resolve("kind", []).config.test), protect=True)


def frames(count=12, flicker=0.1, seed=0, size=(48, 64)):
    """One shot: a drawn picture, dark, with noise and a light that flickers; now and then a hot pixel."""
    draw = np.random.default_rng(seed)
    scene = cv2.resize(draw.integers(0, 255, (6, 8, 3), dtype=np.uint8), size[::-1],
                       interpolation=cv2.INTER_CUBIC).astype(np.float64)
    shot = []
    for number in range(count):
        frame = 0.12 * scene * (1 + flicker * np.sin(2.1 * number)) + draw.normal(0, 2, scene.shape)
        if number % 3 == 1:
            frame[5, 7] = 255
        shot.append(np.clip(frame, 0, 255).astype(np.uint8))
    return shot


@pytest.mark.parametrize("flicker", [0.0, 0.02, 0.2])
def test_brightness_never_jumps_more_than_the_input(flicker):
    steady = steadily()
    with torch.inference_mode():
        levels = [(frame.mean(), steady.brighten(frame).mean()) for frame in frames(flicker=flicker)]
    assert steady.shots == 1
    for (a, b), (c, d) in zip(levels, levels[1:]):
        assert abs(d / b - 1) <= abs(c / a - 1) + 5e-4, (a, b, c, d)


def test_a_cut_begins_a_new_shot():
    steady = steadily()
    shots = [frames(4, 0.1, seed) for seed in (0, 7)]
    alone = steadily()
    with torch.inference_mode():
        together = [steady.brighten(frame) for frame in shots[0] + shots[1]]
        second = [alone.brighten(frame) for frame in shots[1]]
    assert steady.shots == 2
    assert all(np.array_equal(a, b) for a, b in zip(together[4:], second)), "nothing is carried over a cut"


def write_video(path, shot):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12, shot[0].shape[1::-1])
    for frame in shot:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".webm"])
def test_a_video_file_in_and_out(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    checkpoints.save(tmp_path / "small.pt",
                     {"case": "kind", "model": {"channels": 2}, "weights": brightening().state_dict()})
    write_video(tmp_path / "in.mp4", frames(9))
    test.main(["--weights", str(tmp_path / "small.pt"), "--input", str(tmp_path / "in.mp4"),
               "--output", str(tmp_path / f"out{suffix}")])
    film = video.open_film(tmp_path / f"out{suffix}")
    found = list(video.frames_of(film))
    assert len(found) == 9 and found[0].shape == (48, 64, 3) and film.rate == pytest.approx(12)
    assert np.mean([frame.mean() for frame in found]) > np.mean([frame.mean() for frame in frames(9)])
    assert not list(tmp_path.glob(".*")), "no half-written file is left"
