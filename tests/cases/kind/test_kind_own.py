"""One's own pictures through KinD: a bounded stretch, a stated brightness, a strip of several ratios."""
import numpy as np
import pytest
import torch
from tolerances import near

from cases.kind import enhance, test
from cases.kind.extras.own_video import answer_frames
from cases.kind.model import KinD
from cases.kind.ratios import for_brightness, read_ratio
from common.base import paths
from common.base.errors import UserError
from common.data.images import read_pixels, to_tensor, write_image
from common.data.video import frames_of, open_film
from common.experiment import checkpoints
from common.experiment.settings import resolve
from common.lowlight.steady import Steady


def settings(*words):
    return resolve("kind", list(words)).config.test


def small_model():
    torch.manual_seed(0)
    return KinD(channels=2).eval().requires_grad_(False)


def test_the_stretch_of_ones_own_picture_is_bounded():
    picture = torch.full((1, 3, 100, 100), 20 / 255)
    picture[..., :50] = 30 / 255
    least, largest = enhance.own_bounds(picture, settings())[0]
    assert least == pytest.approx(16 / 255) and largest - least == pytest.approx(1 / 8)       # 10 levels, not 25 times
    picture[..., 0, 0] = 1                                                # a hot pixel: 1 of 10,000
    assert enhance.own_bounds(picture, settings())[0, 1] < 0.2
    assert enhance.own_bounds(picture, settings("test.hot_pixels=0"))[0, 1] == 1


@pytest.mark.parametrize("levels", [(254, 255, 254), (128, 128, 128), (2, 0, 1)])
def test_flat_pictures_and_frames_pass_through(levels):
    frame = np.tile(np.uint8(levels), (24, 32, 1))
    assert torch.equal(enhance.enhance_own(small_model(), to_tensor(frame), settings())[0], to_tensor(frame))
    assert (Steady(answer_frames(small_model(), settings()), True).brighten(frame) == frame).all()


class Doubling(torch.nn.Module):
    """An adjustment that multiplies, as an ideal one would."""

    def forward(self, illumination, ratio):
        return (illumination * ratio).clamp(max=1)


def test_a_stated_brightness_is_reached():
    model = small_model()
    model.adjustment = Doubling()
    light, restored = torch.full((1, 1, 200, 300), 0.1), torch.full((1, 3, 200, 300), 0.8)
    assert for_brightness(model, light, restored, 0.4) == pytest.approx(5, rel=0.01)
    assert for_brightness(model, light, restored / 100, 0.4) == pytest.approx(30, rel=0.01)      # none reaches it


def test_without_restoration_the_reflectance_stays_as_it_is():
    model, picture = small_model(), torch.rand(3, 24, 32) / 4
    maps = enhance.decompose(model, picture)
    expected = (maps.reflectance * enhance.adjust(model, maps, 3.0))[0]
    with_it, without = (enhance.enhance(model, picture, settings("test.hot_pixels=0", "test.ratio=3", *words))[0]
                        for words in ([], ["test.restore=false"]))
    assert near(without, expected, "formula") and not near(with_it, expected, "formula")


def test_ratios_as_they_are_typed():
    assert read_ratio(None) is None and read_ratio("auto") == "auto" and read_ratio(4) == 4 and read_ratio("2.5") == 2.5
    assert read_ratio("2, 4,8", several=True) == [2, 4, 8]
    for value in (0, -1, "bright", "2,,4", "inf", True):
        with pytest.raises(UserError, match="no light ratio"):
            read_ratio(value)
    with pytest.raises(UserError, match="several light ratios"):
        read_ratio("2,4")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    path = tmp_path / "small.pt"
    checkpoints.save(path, {"case": "kind", "model": {"restoration": "unet", "channels": 2, "stretch": "minmax"},
                            "weights": small_model().state_dict(), "settings": {}})
    return path


def test_three_ratios_make_a_strip(weights, tmp_path, capsys):
    dark = torch.rand(3, 20, 30) / 5
    write_image(tmp_path / "a.png", dark)
    test.main(["--name", "strip", "--weights", str(weights), "--input", str(tmp_path / "a.png"),
               "--output", str(tmp_path / "strip.png"), "--ratio", "2,4,8"])
    assert read_pixels(tmp_path / "strip.png").shape == (20, 3 * 30 + 2 * 8, 3)
    assert "light ratios 2, 4, 8 side by side" in capsys.readouterr().out


def test_own_pictures_say_what_was_done(weights, tmp_path, capsys):
    write_image(tmp_path / "day.png", torch.rand(3, 20, 30))
    test.main(["--name", "own", "--weights", str(weights), "--input", str(tmp_path / "day.png")])
    assert "day.png: left as it was" in capsys.readouterr().out


def test_pages_flat_pictures_and_a_lens_cap_are_left_as_they_are(weights, tmp_path, shared, capsys):
    pictures = [path for name in ("darkens_bright_photos", "flat_picture_kind")
                for path in sorted(shared(f"cases/{name}").glob("*.png"))]
    test.main(["--name", "own", "--weights", str(weights), "--input", *map(str, pictures),
               "--output", f"{tmp_path / 'out'}/"])
    said = capsys.readouterr().out
    for path in pictures:
        assert (read_pixels(tmp_path / "out" / path.name) == read_pixels(path)).all(), path.name
        assert f"{path.name}: left as it was" in said


def test_blank_frames_pass_through(weights, tmp_path, shared):
    film = shared("cases/flat_picture_kind") / "blank.avi"
    test.main(["--name", "own", "--weights", str(weights), "--input", str(film), "--output", str(tmp_path / "out.avi")])
    frames = list(zip(*(frames_of(open_film(path)) for path in (film, tmp_path / "out.avi")), strict=True))
    flat = [(before, after) for before, after in frames if np.ptp(before) <= 2]
    assert len(flat) == 6 and len(frames) == 12                             # black, a picture, white, the picture again
    assert all(np.abs(after.astype(int) - before).max() <= 3 for before, after in flat)       # the codec's
