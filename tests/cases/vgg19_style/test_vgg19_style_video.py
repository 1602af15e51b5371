"""vgg19_style on videos: less flicker, nothing carried over a cut, files in and out."""
import cv2
import numpy as np
import pytest
import torch
from test_vgg19_style import write_small_set
from test_vgg19_style_fast import network

from cases.vgg19_style import steady, test
from cases.vgg19_style.fast import video
from common.base import paths
from common.base.errors import UserError
from common.data.video import frames_of, open_film
from common.experiment.run import Run


def pan(count=8, size=(64, 96), step=2, seed=0):
    """Frames of a drawn scene that passes by, uint8 (h, w, 3)."""
    draw = np.random.default_rng(seed)
    scene = cv2.resize(draw.integers(0, 255, (12, 24, 3), dtype=np.uint8), (192, 96), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(scene[8:8 + size[0], 8 + step * number:8 + step * number + size[1]])
            for number in range(count)]


def test_blending_takes_flicker_away_and_leaves_a_steady_picture_alone():
    draw, one, half = np.random.default_rng(0), video.Steady(), video.Steady(kept=0.7)
    for frame in pan():
        noisy = np.clip(frame + draw.normal(0, 12, frame.shape[:2] + (1,)), 0, 255).astype(np.uint8)
        one.smooth(frame, noisy)
        shown = half.smooth(frame, noisy)
    assert one.flicker["steady"] < half.flicker["steady"] < 0.6 * one.flicker["painted"]
    assert gap_of(shown, frame) < 0.8 * gap_of(noisy, frame), "noise is averaged along the motion, not smeared"
    follows = video.Steady()
    for frame in pan():
        shown = follows.smooth(frame, frame)
    assert gap_of(shown, frame) < 1.5 and follows.flicker["painted"] == follows.flicker["input"]


def gap_of(a, b):
    return float(steady.gap(a, b)[8:-8, 8:-8].mean())


def test_a_cut_carries_nothing_over():
    one, (before, after) = video.Steady(), (pan(3), pan(3, seed=9))
    for frame in before:
        one.smooth(frame, frame)
    shown = one.smooth(after[0], 255 - after[0])
    assert steady.gap(shown, 255 - after[0]).mean() < 3
    unblended = video.Steady(kept=0)
    assert all(np.array_equal(unblended.smooth(frame, 255 - frame), 255 - frame) for frame in before)


def test_a_picture_carried_back_along_its_flow_is_itself():
    first, second = pan(2, step=5)
    back = video.Steady().dis.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (second, first)), None)
    assert gap_of(steady.warp(first, back), second) < 0.2 * gap_of(first, second)


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_a_video_file_in_and_out(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    started, source = Run("vgg19_style", "test", ["stage=fast"]), tmp_path / "in.mp4"
    target = tmp_path / "out" / f"painted{suffix}"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"mp4v"), 12, (96, 64))
    for frame in pan():
        writer.write(frame[..., ::-1])
    writer.release()
    numbers = video.stylise_video(started, network(), source, target, torch.tensor([0.5, 0.5]))
    frames = list(frames_of(open_film(target)))
    assert numbers["frames"] == len(frames) == 8 and frames[0].shape == (64, 96, 3)
    assert 0 < numbers["flicker"] < numbers["flicker_painted"] and numbers["flicker_input"] > 0
    assert not list(target.parent.glob(".*")), "no half-written file is left"
    for name, said in (("no.mp4", "no such file"), ("text.mp4", "cannot be read")):
        (tmp_path / "text.mp4").write_text("hello")
        with pytest.raises(UserError, match=said):
            video.stylise_video(started, network(), tmp_path / name, target, torch.tensor([0.5, 0.5]))
    with pytest.raises(UserError, match="cannot be written"):
        video.stylise_video(started, network(), source, tmp_path / "out.txt", torch.tensor([0.5, 0.5]))


def test_the_painted_frame_before_is_carried_along_and_trusted_where_flow_agrees():
    one, (first, second) = video.Steady(), pan(2, step=5)
    assert one.carried(first) is None
    one.smooth(first, 255 - first)
    moved, trust = one.carried(second)
    assert moved.shape == second.shape and trust.shape == (64, 96, 1) and 0 <= trust.min() <= trust.max() <= 1
    assert gap_of(moved, 255 - second) < 0.2 * gap_of(255 - first, 255 - second)
    cut = video.Steady()
    cut.smooth(first, first)
    assert cut.carried(pan(1, seed=9)[0])[1].mean() < 0.2


def test_a_video_is_painted_by_optimisation_and_holds_on_to_the_frame_before(tmp_path, monkeypatch):
    for name in ("RESULTS", "CHECKPOINTS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    write_small_set(tmp_path, (96, 64), (104, 80))
    source = tmp_path / "in.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"mp4v"), 12, (96, 64))
    for frame in pan(4):
        writer.write(frame[..., ::-1])
    writer.release()
    style = tmp_path / "style" / "tissue.png"
    words = ["--input", str(source), f"network={tmp_path / 'net.pt'}", f"data.style={style}",
             "train.steps=6", "test.frame_steps=15", "test.kept=0", "workers=0"]
    said = []
    monkeypatch.setattr(Run, "say", lambda self, text: said.append(text))
    flicker = []
    for weight in (0, 50):
        test.main([*words, f"test.temporal={weight}", "--output", str(tmp_path / f"{weight}.webm")])
        assert len(list(frames_of(open_film(tmp_path / f"{weight}.webm")))) == 4
        flicker.append(float(next(line for line in said if "flicker" in line).split("flicker ")[1].split()[0]))
        said.clear()
    assert flicker[1] < 0.9 * flicker[0]
