"""What of two photographs says how bright they are."""
import numpy as np

from common.stitching.compose import Piece, compensate, still_masks


def test_what_one_photograph_shows_alone_says_nothing_of_the_light():
    """A white square that stands in one picture only must not darken the other's neighbourhood."""
    gray, with_square = np.full((240, 300, 3), 90, np.uint8), np.full((240, 300, 3), 90, np.uint8)
    with_square[60:180, 150:270] = 255
    full = np.full((240, 300), 255, np.uint8)
    small = [Piece(with_square, full, (0, 0)), Piece(gray, full.copy(), (130, 10))]
    for piece, mask in zip(small, still_masks(small)):
        left, top = piece.corner
        assert (mask[60 - top:180 - top, 150 - left:270 - left] == 0).all() and (full > 0).all()
        assert (mask > 0).sum() == mask.size - 120 * 120
    pieces = list(small)
    compensate(pieces, list(small))
    assert max(np.abs(piece.image[:50].astype(int) - 90).max() for piece in pieces) <= 1


def test_pictures_that_differ_nearly_everywhere_are_compared_all_the_same():
    """Where most of the overlap would be left out, nothing is: that is no thing, but another light."""
    rng = np.random.default_rng(0)
    full = np.full((100, 120), 255, np.uint8)
    small = [Piece(rng.integers(0, 256, (100, 120, 3)).astype(np.uint8), full.copy(), (60 * k, 0))
             for k in range(2)]
    assert all((mask == 255).all() for mask in still_masks(small))
