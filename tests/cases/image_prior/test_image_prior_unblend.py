"""Un-blending: the formula there and back, alpha and colour from one picture and from several, the lattice."""
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cases.image_prior import data, unblend
from cases.image_prior.data import blend, draw_mark
from common.base.paths import EMBEDDED
from common.data.images import read_pixels
from common.metrics import psnr_mask

SIDE = 192
WHITE = np.full(3, 255.0)


def photographs():
    """Windows of embedded photographs."""
    return [read_pixels(EMBEDDED / "photos" / f"{name}.jpg")[40:40 + SIDE, 60:60 + SIDE]
            for name in ("china", "flower", "coffee", "chelsea_cat")]


def test_one_pixel_by_hand():
    pixel = np.full((1, 1, 3), 193, np.uint8)
    assert unblend.unblend(pixel, np.full((1, 1), 0.6), WHITE).tolist() == [[[100, 100, 100]]]
    assert unblend.unblend(pixel, np.ones((1, 1)), WHITE).tolist() == pixel.tolist()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 0.9])
def test_there_and_back(alpha):
    true, coverage = photographs()[0], draw_mark((SIDE, SIDE), 1)
    again = unblend.unblend(blend(true, alpha * coverage, WHITE), alpha * coverage, WHITE)
    assert np.abs(again.astype(int) - true).max() <= np.ceil(0.5 / (1 - alpha))


def test_ten_percent_wrong_costs_twenty_decibels():
    true, coverage = photographs()[0], draw_mark((SIDE, SIDE), 1)
    given, mask = blend(true, 0.6 * coverage, WHITE), coverage > 0
    right, wrong = (psnr_mask(unblend.unblend(given, factor * coverage, WHITE), true, mask) for factor in (0.6, 0.54))
    assert right > 45 and wrong < right - 20


@pytest.mark.parametrize(("alpha", "colour"), [(0.6, (255, 255, 255)), (0.4, (255, 255, 255)), (0.6, (20, 20, 120))])
def test_alpha_and_colour_are_found_from_several_pictures(alpha, colour):
    coverage = draw_mark((SIDE, SIDE), 2)
    given = [blend(true, alpha * coverage, np.array(colour, float)) for true in photographs()]
    clean, mark = unblend.unblend_estimated(given, coverage > 0)
    assert mark.strength == pytest.approx(alpha, abs=0.04)
    assert 255 * mark.colour == pytest.approx(np.array(colour), abs=25)
    assert np.mean([psnr_mask(one, true, coverage > 0) for one, true in zip(clean, photographs())]) > 29
    for one, marked in zip(clean, given):
        assert np.array_equal(one[coverage == 0], marked[coverage == 0])


def test_of_many_pictures_the_first_tell_the_mark_and_all_lose_it(monkeypatch):
    coverage = draw_mark((SIDE, SIDE), 2)
    given = [blend(true, 0.6 * coverage, WHITE) for true in photographs()]
    mark, _ = unblend.estimate(given[:2], coverage > 0)
    monkeypatch.setattr(unblend, "TOGETHER", 2 * coverage.size)
    clean, found = unblend.unblend_estimated(given, coverage > 0)
    assert np.array_equal(found.alpha, mark.alpha) and len(clean) == len(given) > 2
    assert min(psnr_mask(one, true, coverage > 0) for one, true in zip(clean, photographs())) > 25


def test_one_picture_suffices_for_alpha():
    coverage = draw_mark((SIDE, SIDE), 2)
    for true in photographs()[2:]:
        [clean], mark = unblend.unblend_estimated([blend(true, 0.6 * coverage, WHITE)], coverage > 0)
        assert mark.strength == pytest.approx(0.6, abs=0.06)
        assert psnr_mask(clean, true, coverage > 0) > 26


def test_told_alpha_a_single_word_leaves_no_shadow():
    page = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(page).text((30, 80), "Sample", fill=255, font=ImageFont.load_default(36))
    coverage, red = np.asarray(page) / 255, np.array([220.0, 30, 30])
    for true in photographs():
        given, mask = blend(true, 0.5 * coverage, red), coverage > 0
        [clean], mark = unblend.unblend_estimated([given], mask, strength=0.5)
        assert mark.strength == pytest.approx(0.5) and 255 * mark.colour == pytest.approx(red, abs=40)
        assert psnr_mask(clean, true, mask) > 24


def test_lost_pixels_are_those_that_cannot_have_been_and_those_under_nearly_all_of_the_mark():
    true, alpha = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4), 0.6)
    alpha[0] = 0.0
    alpha[1] = 0.93
    given = blend(true, alpha, WHITE)
    given[2, 2] = 60                                          # darker than 0.6 of white over black
    gone = unblend.lost(given, unblend.Mark(alpha, WHITE / 255, 0.6, None, None, None))
    assert np.argwhere(gone).tolist() == [[1, 0], [1, 1], [1, 2], [1, 3], [2, 2]]


def test_an_opaque_mark_a_faint_one_and_thin_lines_are_refused():
    true, coverage = photographs()[0], draw_mark((SIDE, SIDE), 2)
    for given in (blend(true, 1.0 * coverage, WHITE), true):
        with pytest.raises(unblend.Nothing, match="alpha comes out as"):
            unblend.unblend_estimated([given], coverage > 0)
    thin = np.zeros((SIDE, SIDE), bool)
    thin[::8] = True
    with pytest.raises(unblend.Nothing, match="wider"):
        unblend.unblend_estimated([true], thin)


def true_axes(number):
    """(2, 2), down and right in pixels: by what the drawn mark of a number repeats, from word to word and line to
    line."""
    rng, pen = np.random.default_rng(number), ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = pen.textbbox((0, 0), data.TEXT, font=ImageFont.load_default(data.FONT))
    across, along = (int(extent + rng.integers(*space)) for extent, space in
                     zip((right - left, bottom - top), data.SPACE))
    sine, cosine = np.sin(np.deg2rad(-data.ANGLE)), np.cos(np.deg2rad(-data.ANGLE))
    return np.array([[across * sine, across * cosine], [along * cosine, -along * sine]])


@pytest.mark.parametrize(("number", "side"), [(0, 256), (1, 256), (7, 256), (13, 256), (20, 256), (9, 192), (7, 160)])
def test_the_lattice_of_a_tiled_mark_is_found(number, side):
    shifts, axes = np.array(unblend.lattice(draw_mark((side, side), number) > 0)), true_axes(number)
    counts = np.round(shifts @ np.linalg.inv(axes))
    assert np.abs(shifts - counts @ axes).max() < 0.25                     # pixels, the farthest ones, too
    if side > 200:                                            # room for more than one word beside another
        assert len(shifts) == len(unblend.combinations(axes, (side, side), 0.03)[1])


def test_a_mark_that_does_not_repeat_has_no_lattice():
    mask = np.zeros((128, 128), bool)
    mask[40:60, 30:90] = True
    assert unblend.lattice(mask) == []
