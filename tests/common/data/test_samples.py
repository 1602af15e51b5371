"""The low-light model's physics, and the sample data: the same bytes every time, whole or not there."""
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.base import paths
from common.base.errors import UserError, start
from common.data import samples
from common.data.__main__ import main
from common.data.clips import crop_to_fit
from common.data.darken import darken, linear_to_srgb, srgb_to_linear
from common.data.images import read_pixels
from common.data.paired import PairedImages

# a camera with known numbers
PLAIN = {"gain": (1, 1), "full_well": (4000, 4000), "read_noise": (5, 5), "jitter": (1, 1)}


@pytest.fixture(scope="module")
def lol(tmp_path_factory):
    """The sample LOL, built once."""
    return samples.build("LOL", tmp_path_factory.mktemp("sample") / "LOL")


def test_srgb_there_and_back():
    values = np.linspace(0, 1, 1001)
    # the standard's two branches meet to 1e-8
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)
    np.testing.assert_allclose(srgb_to_linear(np.array([0, 0.02, 0.5, 1])), [0, 0.02 / 12.92, 0.21404114, 1], atol=1e-8)


def test_darken_gives_8_bit_levels_from_its_generator_alone():
    photograph = np.random.default_rng(5).random((20, 30, 3))
    dark, again, other = (darken(photograph, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert dark.shape == photograph.shape and dark.dtype == np.float64
    np.testing.assert_array_equal(dark, again)
    assert (dark != other).any()
    np.testing.assert_allclose(dark * 255, np.round(dark * 255), atol=1e-9)
    assert 0 <= dark.min() and dark.max() <= 1 and dark.mean() < 0.6 * photograph.mean()


def test_gain_scales_light():
    gray = np.full((200, 200, 3), 0.8)
    dark = darken(gray, np.random.default_rng(0), **PLAIN | {"gain": (0.1, 0.1)})
    assert srgb_to_linear(dark).mean() / srgb_to_linear(0.8) == pytest.approx(0.1, rel=0.01)


def test_noise_is_shot_plus_read():
    """Variance of the light: (electrons + read noise^2) / full well^2, and 1/12 of a squared level by rounding."""
    value = 0.7
    light = srgb_to_linear(darken(np.full((300, 300, 3), value), np.random.default_rng(0), **PLAIN))
    electrons = 4000 * srgb_to_linear(value)
    level = (srgb_to_linear(value + 0.5 / 255) - srgb_to_linear(value - 0.5 / 255)) ** 2 / 12
    assert light.var() == pytest.approx((electrons + 25) / 4000 ** 2 + level, rel=0.03)


def test_gain_is_drawn_log_uniformly():
    white, quiet = np.ones((1, 1, 3)), {"full_well": (1e9, 1e9), "read_noise": (0, 0), "jitter": (1, 1)}
    light = [srgb_to_linear(darken(white, np.random.default_rng(seed), gain=(1 / 32, 1 / 2), **quiet)).mean()
             for seed in range(400)]
    assert np.median(light) == pytest.approx(1 / 8, rel=0.2)  # the geometric mean; a uniform draw would have 0.27
    assert 1 / 33 < min(light) < 1 / 25 and 1 / 2.5 < max(light) < 1 / 1.9


def test_layout_is_the_real_one(lol):
    training, evaluation = PairedImages(lol, "our485"), PairedImages(lol, "eval15")
    assert training.names == [f"{number}.png" for number in range(1, 37)] and len(evaluation) == 6
    assert all(training[0, index].low.shape == (3, 144, 144) for index in range(0, 36, 7))
    assert all(evaluation[0, index].low.shape == (3, 160, 240) for index in range(6))
    assert sum(path.stat().st_size for path in lol.rglob("*.png")) < 5e6


@pytest.mark.parametrize(("split", "names", "own", "others"), [
    ("our485", ["1.png", "20.png", "36.png"], samples.TRAINING, samples.HELD_OUT),
    ("eval15", ["1.png", "6.png"], samples.HELD_OUT, samples.TRAINING)])
def test_training_and_evaluation_use_different_photographs(lol, split, names, own, others):
    for name in names:
        shown = read_pixels(lol / split / "high" / name)

        def distance(photograph, shown=shown):
            picture = samples.photograph(photograph)
            if split == "eval15":                                          # the whole photograph, scaled down
                return ((crop_to_fit(picture, (240, 160)) - shown.astype(float)) ** 2).mean()
            return cv2.matchTemplate(picture, shown, cv2.TM_SQDIFF).min() / shown.size
        assert min(map(distance, own)) < 1 < 100 < min(map(distance, others))  # mean squared difference in levels


def test_no_photograph_is_on_both_sides():
    scenes = [{Path(name).stem.rstrip("_123456789") for name in names}
              for names in (samples.TRAINING, samples.HELD_OUT)]
    assert not scenes[0] & scenes[1]


def test_the_dark_pictures_are_as_dark_as_lols_and_stay_dark_when_stretched(lol):
    """Mean levels of 5 to 25, as in LOL; by their own extremes both pictures of a pair are 4 to 12 times apart."""
    levels, ratios = [], []
    for low, high in (PairedImages(lol, "eval15").paths(index) for index in range(6)):
        low, high = read_pixels(low).astype(float), read_pixels(high).astype(float)
        levels.append(low.mean())
        stretched = [(picture - picture.min()) / (picture.max() - picture.min()) for picture in (low, high)]
        ratios.append(stretched[1].mean() / stretched[0].mean())
    assert 4.5 < min(levels) and max(levels) < 25.5, levels
    assert 3.5 < min(ratios) and max(ratios) < 12.5, ratios


def test_there_is_something_to_learn(lol):
    """On evaluation a curve fitted on training beats gamma 1/2.2 and the dark picture; without noise more would do."""
    sums, counts = np.zeros(256), np.zeros(256)
    for path in (lol / "our485" / "low").iterdir():
        low, high = read_pixels(path), read_pixels(lol / "our485" / "high" / path.name)
        sums += np.bincount(low.ravel(), high.ravel(), 256)
        counts += np.bincount(low.ravel(), minlength=256)
    curve = np.interp(np.arange(256), np.flatnonzero(counts), (sums / np.maximum(counts, 1))[counts > 0])
    scores = []
    for path in (lol / "eval15" / "low").iterdir():
        low, high = read_pixels(path), read_pixels(lol / "eval15" / "high" / path.name) / 255
        outputs = low / 255, (low / 255) ** (1 / 2.2), curve[low] / 255, cv2.GaussianBlur(curve[low] / 255, (0, 0), 1)
        scores.append([-10 * np.log10(((output - high) ** 2).mean()) for output in outputs])
    identity, gamma, fitted, smoothed = np.mean(scores, axis=0)
    assert identity + 3 < gamma and gamma + 3 < fitted and fitted + 0.5 < smoothed, (identity, gamma, fitted, smoothed)


def test_same_bytes_every_time(lol, tmp_path):
    assert samples.stamp(samples.build("LOL", tmp_path / "again")) == samples.stamp(lol)


def tiny(folder):
    """A sample set of two files, in no time."""
    for name in ("1.png", "2.png"):
        samples.write(folder / "low" / name, np.full((4, 5, 3), 7, np.uint8))


@pytest.fixture
def tiny_set(monkeypatch, tmp_path):
    """samples that know the set `tiny` only, and build it in tmp_path."""
    monkeypatch.setattr(samples, "SAMPLES", {"tiny": tiny})
    monkeypatch.setattr(samples, "FOLDER", tmp_path)
    return tmp_path / "tiny"


def test_what_is_whole_stays(tiny_set, capsys):
    assert start(main, ["samples"]) == 0 and "building" in capsys.readouterr().out
    before = (tiny_set / "low" / "1.png").stat()
    assert start(main, ["samples", "tiny"]) == 0
    after = (tiny_set / "low" / "1.png").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert capsys.readouterr().out == f"tiny: {tiny_set} is there already\n"


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "low" / "1.png").write_bytes(b"half"), lambda folder: (folder / "low" / "2.png").unlink(),
    lambda folder: (folder / "low" / "3.png").write_bytes(b"stray"), lambda folder: (folder / samples.STAMP).unlink(),
    lambda folder: (folder / samples.STAMP).write_text("of another recipe\n"
                                                       + (folder / samples.STAMP).read_text().split("\n", 1)[1])])
def test_damaged_and_outdated_sets_are_built_again(tiny_set, damage):
    whole = samples.stamp(samples.build("tiny"))
    damage(tiny_set)
    assert not samples.is_whole(tiny_set)
    assert samples.stamp(samples.build("tiny")) == whole and samples.is_whole(tiny_set)
    assert [path.name for path in tiny_set.parent.iterdir()] == ["tiny"]


def test_hidden_files_of_the_system_are_no_damage(tiny_set):
    samples.build("tiny")
    (tiny_set / "low" / ".DS_Store").write_bytes(b"x")
    assert samples.is_whole(tiny_set)


def test_a_killed_build_leaves_nothing_half_done(tmp_path):
    script = ("import os, signal, sys\nfrom pathlib import Path\nfrom common.data import samples\n"
              "def dies(folder):\n    samples.write(folder / '1.png', samples.photograph('coffee.png')[:9])\n"
              "    os.kill(os.getpid(), signal.SIGTERM)\n"
              "samples.SAMPLES['LOL'] = dies\nsamples.build('LOL', Path(sys.argv[1]))")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "LOL")], cwd=paths.ROOT, capture_output=True,
                          text=True)
    assert done.returncode not in (0, 1), done.stderr
    [left] = tmp_path.iterdir()
    assert left.name.startswith(".LOL.") and (left / "1.png").exists()
    os.utime(left, (time.time() - 7200,) * 2)
    samples.clear_parts(tmp_path / "LOL")
    assert not list(tmp_path.iterdir())


def test_a_build_that_fails_leaves_the_old_one(tiny_set, monkeypatch):
    samples.build("tiny")
    (tiny_set / samples.STAMP).write_text("outdated")

    def fails(folder):
        tiny(folder)
        raise OSError("disk full")
    monkeypatch.setitem(samples.SAMPLES, "tiny", fails)
    with pytest.raises(OSError, match="disk full"):
        samples.build("tiny")
    assert (tiny_set / samples.STAMP).read_text() == "outdated" and (tiny_set / "low" / "2.png").exists()


def test_another_process_may_be_faster(tiny_set, monkeypatch):
    replace = os.replace

    def late(source, target):
        if target == tiny_set and not target.exists():
            tiny(tiny_set)                                      # what the other process put there meanwhile
            (tiny_set / samples.STAMP).write_text(samples.stamp(tiny_set))
        replace(source, target)
    monkeypatch.setattr(os, "replace", late)
    assert samples.is_whole(samples.build("tiny"))
    assert [path.name for path in tiny_set.parent.iterdir()] == ["tiny"]


def test_mistakes(tiny_set, capsys):
    assert start(main, ["samples", "LOOL"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "'LOOL'" in message and "tiny" in message
    assert len(message.splitlines()) == 1
    for name in ("nobody.png", "photos/nobody.png"):
        with pytest.raises(UserError, match=r"nobody\.png"):
            samples.photograph(name)


def test_the_other_sets_show_what_the_pages_say(tmp_path):
    """Paintings as styles; photographed pairs among the drawn ones; readable, none of them flat."""
    for name in ("style", "UDIS-D"):
        samples.SAMPLES[name](tmp_path / name)
    assert {path.stem for path in (tmp_path / "style/style").iterdir()} == {"starry_night", "great_wave"}
    assert {path.stem for path in (tmp_path / "style/content").iterdir()} == {"cat", "palace"}
    for part in ("input1", "input2"):
        assert len(list((tmp_path / "UDIS-D/testing" / part).iterdir())) == 8
        assert len(list((tmp_path / "UDIS-D/training" / part).iterdir())) == 12
    assert all(read_pixels(path).std() > 20 for path in tmp_path.rglob("*.png"))
