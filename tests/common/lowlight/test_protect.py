"""What is bright already stays as it is, in whole pictures and in regions; what is said of it is measured."""
import numpy as np
import pytest
import torch
from tolerances import near

from common.lowlight.protect import fall, keep_bright, said


def flat(level, height=60, width=80):
    picture = torch.full((3, height, width), level / 255)
    picture[:, 0, 0] = 0                                                  # not quite flat
    return picture


def test_a_dark_picture_gets_the_whole_answer_and_a_bright_one_nothing():
    answer = torch.full((3, 60, 80), 0.5)
    assert near(keep_bright(flat(20), answer), answer, "formula")
    assert torch.equal(keep_bright(flat(120), answer), flat(120))


def test_between_them_the_blend_is_smooth():
    levels = [keep_bright(flat(level), torch.ones(3, 60, 80))[0, 30, 40].item() for level in range(20, 60)]
    assert levels[0] > 0.99 and levels[-1] < 0.3 and np.abs(np.diff(levels)).max() < 0.1


def test_a_bright_region_of_a_dark_picture_stays():
    picture = flat(10, 96, 128)
    picture[:, :40, :40] = 220 / 255                                      # a window in a dark room
    kept = keep_bright(picture, torch.full((3, 96, 128), 0.5))
    assert abs(kept[0, 10, 10] - 220 / 255) < 0.01 and abs(kept[0, 80, 110] - 0.5) < 0.01


def test_a_flat_picture_shows_nothing_and_stays():
    dark = torch.full((3, 20, 20), 2 / 255)
    assert torch.equal(keep_bright(dark, torch.ones(3, 20, 20)), dark)


@pytest.mark.parametrize(("before", "after", "words"), [(20, 82, "brightened 4.0x"), (90, 92, "left as it was"),
                                                         (90, 45, "darkened to 0.50x"), (0, 0, "left as it was")])
def test_words_say_what_happened(before, after, words):
    assert said(before, after) == words


def test_fall_is_1_below_and_0_above():
    assert fall([10, 30, 40, 50, 90], 30, 50) == pytest.approx([1, 1, 0.5, 0, 0])
