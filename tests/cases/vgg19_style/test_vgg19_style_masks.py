"""vgg19_style's masks: where a style belongs."""
import numpy as np
import pytest
from PIL import Image

from cases.vgg19_style.data import read_mask
from common.base.errors import UserError


def test_a_mask_is_gray_times_opacity_and_one_of_everything_is_questioned(tmp_path, capsys):
    paint = np.full((32, 32, 4), 255, np.uint8)
    paint[:, 16:, 3] = 0                                    # white paint on the left half of a transparent layer
    Image.fromarray(paint).save(tmp_path / "left.png")
    mask = read_mask(tmp_path / "left.png", (32, 32))
    assert mask[..., :16].min() == 1 and mask[..., 16:].max() == 0
    assert not capsys.readouterr().err
    Image.new("L", (32, 32), 255).save(tmp_path / "all.png")
    read_mask(tmp_path / "all.png", (32, 32))
    assert "covers everything" in capsys.readouterr().err
    Image.new("L", (32, 32), 0).save(tmp_path / "none.png")
    with pytest.raises(UserError, match="an empty mask"):
        read_mask(tmp_path / "none.png", (32, 32))


def test_black_paint_on_a_transparent_layer_is_explained(tmp_path):
    paint = np.zeros((32, 32, 4), np.uint8)
    paint[:, :16, 3] = 255
    Image.fromarray(paint).save(tmp_path / "black.png")
    with pytest.raises(UserError, match="must be white, not black"):
        read_mask(tmp_path / "black.png", (32, 32))


def test_the_strangers_mask(shared):
    folder = shared("cases/mask_with_alpha")
    with Image.open(folder / "left_alpha.png") as image:
        size = image.size[::-1]
    assert abs(read_mask(folder / "left_alpha.png", size).mean() - 0.5) < 0.05
    assert abs(read_mask(folder / "left_alpha.png", size) - read_mask(folder / "left.png", size)).mean() < 0.02
    assert abs(read_mask(folder / "right_alpha.png", size) + read_mask(folder / "left.png", size) - 1).mean() < 0.02
