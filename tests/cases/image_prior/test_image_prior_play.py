"""The deep image prior in the playground, without a browser: masks from everywhere, the picture as it forms."""
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from cases.image_prior import play
from common.base.errors import UserError
from common.data.images import read_pixels


@pytest.fixture
def photograph(tmp_path):
    """The file of a smooth picture of 80 x 64 pixels."""
    path = tmp_path / "photo.png"
    y, x = np.mgrid[:64, :80]
    Image.fromarray(np.stack([3 * x, 3 * y, 200 - x], axis=2).astype(np.uint8)).save(path)
    return str(path)


def layer(size, box):
    """What the canvas gives where a box (top, left, bottom, right) is drawn over."""
    drawn = np.zeros((*size, 4), np.uint8)
    drawn[box[0]:box[2], box[1]:box[3]] = 255
    return {"background": None, "layers": [drawn], "composite": None}


def test_what_is_drawn_is_filled_and_the_rest_stays(tmp_path, photograph):
    seen = []
    drawn = layer((32, 40), (10, 10, 14, 14))              # on a canvas of half the size
    line, (_, slider, whole) = play.run(seen.append, tmp_path, photograph, None, None, drawn, "inpaint", 128, 20)
    before, after = read_pixels(photograph), read_pixels(whole)
    changed = (before != after).any(axis=2)
    assert line == "filled by the prior" and changed[20:28, 20:28].all()
    assert changed.sum() == 64 and len(seen) == 2          # after 10 and after 20 steps


def test_the_mark_of_the_example_is_known(tmp_path):
    line, _ = play.run(print, tmp_path, None, play.MARKED, None, None, "watermark", 128, 10)
    assert line.startswith("un-blended, alpha 0.6")


def test_a_mask_may_be_a_file_and_must_fit(tmp_path, photograph):
    mask = np.zeros((64, 80), np.uint8)
    mask[30:40, 30:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask[:, :40]).save(tmp_path / "half.png")
    found = play.mask_of((64, 80), None, str(tmp_path / "mask.png"), layer((64, 80), (0, 0, 2, 2)))
    assert found.sum() == 104
    with pytest.raises(UserError, match="a mask of another shape"):
        play.mask_of((64, 80), None, str(tmp_path / "half.png"), None)


def test_without_a_mask_it_is_asked_for_but_noise_needs_none(tmp_path, photograph):
    with pytest.raises(UserError, match="no mask: what is to go was expected"):
        play.run(print, tmp_path, photograph, None, None, None, "inpaint", 128, 10)
    assert play.run(print, tmp_path, photograph, None, None, None, "denoise", 128, 10)[0] == "denoised by the prior"


def test_each_example_comes_with_the_task_that_suits_it():
    tasks = [play.begin(None, name)[2] for name in play.EXAMPLES.values()]
    assert tasks == ["watermark", "inpaint", "denoise"]
    assert play.begin("no such file.png", None)[0].startswith("error: no such file")
