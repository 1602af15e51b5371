"""Low light in the playground, without a browser: both networks, simple methods, stages, sizes that are refused."""
import pytest
import torch
from PIL import Image

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import read_image, read_pixels, write_image
from common.play import pictures
from common.play.__main__ import offers

METHODS = [method for case in ("kind", "msrnet") for method in offers(case)[0].parts]
VALUES = ["by hand", 2.0, "off", 1.0, "off", 1.0, "off"]        # KinD's, MSR-net's, its variant's


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    path = tmp_path_factory.mktemp("dark") / "garden.png"
    write_image(path, read_image(EMBEDDED / "dark" / "garden_dark2.jpg")[:, 300:400, 100:220])
    return path


def enhance(tmp_path, path, place, values=VALUES):
    simple = METHODS[0].simple
    return pictures.enhance(METHODS, simple, None, tmp_path, str(path), None, place, *values)


@pytest.mark.parametrize("place, names", [(0, ["S", "R", "I", "P", "A", "P * A"]),
                                          (1, ["log, v = 1", "log, v = 10", "log, v = 100", "log, v = 300", "X1", "H11",
                                               "X2", "Y"])])
def test_a_dark_picture_comes_out_brighter_with_its_stages(tmp_path, dark, place, names):
    line, (slider, beside, stages, whole) = enhance(tmp_path, dark, place)
    assert line.startswith("brightened") and [name for _, name in stages] == names
    assert read_pixels(whole).shape == read_pixels(dark).shape and read_pixels(whole).mean() > read_pixels(dark).mean()
    assert [name for _, name in beside][:3] == ["input", "gamma 1/2.2", "tone curve (fitted on the garden)"]
    assert all(read_pixels(path).shape == (5 * 100, 5 * 120, 3) for path in slider)      # shown larger


def test_strength_0_is_the_picture_and_a_larger_ratio_is_brighter(dark):
    picture = read_image(dark)
    assert torch.equal(METHODS[1].run(picture, strength=0.0, keep="off").picture, picture)
    means = [METHODS[0].run(picture, how="by hand", ratio=ratio, keep="off").picture.mean() for ratio in (1.0, 4.0)]
    assert means[0] < means[1]


def test_daylight_stays_where_bright_stays_bright():
    picture = read_image(EMBEDDED / "photos" / "china.jpg")[:, 100:200, 100:250]
    answer = METHODS[1].run(picture, strength=1.0, keep="auto")
    assert torch.equal(answer.picture, picture) and answer.said == "left as it was"


def test_more_than_40_megapixels_are_refused(tmp_path):
    Image.new("1", (8000, 6000)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match="at most 40 million were expected"):
        enhance(tmp_path, tmp_path / "large.png", 1)


def test_what_is_shown_is_small_and_what_is_kept_is_whole(tmp_path):
    write_image(tmp_path / "wide.png", torch.full((3, 20, 2400), 0.05))
    _, (slider, _, _, whole) = enhance(tmp_path, tmp_path / "wide.png", 1)
    assert read_pixels(slider[0]).shape == (10, 1200, 3) and read_pixels(whole).shape == (20, 2400, 3)
