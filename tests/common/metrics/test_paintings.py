"""Numbers of painted pictures: palettes, coloured grain, combs."""
import numpy as np
import pytest

from common import metrics


def picture(seed=0, size=(64, 80)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_a_palette_does_not_know_places():
    one = picture()
    shuffled = np.random.default_rng(1).permutation(one.reshape(-1, 3)).reshape(one.shape)
    assert metrics.palette_distance(one, shuffled) < 0.2, "equal lightness may be sorted otherwise"
    assert metrics.palette_distance(one, one) == 0


def test_a_palette_of_one_colour_is_that_colour():
    """CIEDE2000 of two grays is their difference of L*, weighted: black against white is 100."""
    black, white = np.zeros((20, 20, 3), np.uint8), np.full((30, 40, 3), 255, np.uint8)
    assert metrics.palette_distance(black, white) == pytest.approx(100, abs=0.01)
    assert np.isnan(metrics.palette_distance(black[:3, :3], white))


def test_palettes_of_two_colours_are_compared_share_by_share():
    """Half black and half white against a quarter and three: a quarter of the quantiles is off by all."""
    half, quarter = np.zeros((32, 32, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    half[16:], quarter[16:] = 255, 255
    assert metrics.palette_distance(half, quarter) == pytest.approx(25, abs=0.1)


def test_fine_chroma_sees_coloured_grain_alone():
    gray = np.repeat(picture()[..., :1], 3, axis=2)
    assert metrics.fine_chroma(gray) == 0
    large = picture(size=(16, 16)).repeat(2, axis=0).repeat(2, axis=1)
    assert metrics.fine_chroma(large) == 0, "blocks of 2 x 2 hold nothing finer"
    grain = np.zeros((8, 8, 3), np.uint8)
    grain[::2, :, 0] = 60                                   # red lines: R - G is 30 off its mean, so are two thirds ...
    assert metrics.fine_chroma(grain) == pytest.approx((30**2 / 2 + 30**2 / 6) ** 0.5)


def test_a_comb_is_found_and_a_smooth_spectrum_is_not():
    rng = np.random.default_rng(0)
    content = np.clip(rng.normal(128, 6, (192, 256, 3)), 0, 255).astype(np.uint8)
    painted = np.clip(rng.normal(128, 9, content.shape), 0, 255).astype(np.uint8)
    assert metrics.comb(content, content) == 1
    assert metrics.comb(painted, content) == pytest.approx(1, abs=0.15)
    teeth = 5 * np.cos(2 * np.pi * np.arange(256) / 8)[None, :, None]
    combed = np.clip(painted + teeth, 0, 255).astype(np.uint8)
    assert metrics.comb(combed, content) > 3
    assert metrics.comb(combed, content, period=16) < 1.3
    assert np.isnan(metrics.comb(painted[:60], content[:60]))
