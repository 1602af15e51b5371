"""Seams: every pixel is one photograph's, and what looks like one thing stays whole."""
import cv2
import numpy as np
import pytest

from common.data.samples import photograph
from common.stitching import seams
from common.stitching.compose import Piece, smaller
from common.stitching.register import Layout
from common.stitching.stitch import Settings, join_photos


def label(side=40):
    """A sign (side, side, 3): a black frame, a white field, a black pattern."""
    sign = np.full((side, side, 3), 255, np.uint8)
    cv2.rectangle(sign, (0, 0), (side - 1, side - 1), (0, 0, 0), 3)
    blocks = np.random.default_rng(3).integers(0, 2, (4, 4)).astype(np.uint8)
    sign[8:-8, 8:-8] = 255 * cv2.resize(blocks, (side - 16,) * 2, interpolation=cv2.INTER_NEAREST)[..., None]
    return sign


def two_views(picture, shift=60, overlap=120):
    """Pieces of a picture: its left part and its right part, which have `overlap` columns in common."""
    width = shift + overlap
    return [Piece(picture[:, left:left + width].copy(), np.full((len(picture), width), 255, np.uint8), (left, 0))
            for left in (0, shift)]


@pytest.fixture
def wall():
    """A smooth picture (120, 240, 3) with a little noise."""
    y, x = np.mgrid[:120, :240]
    noise = np.random.default_rng(0).integers(0, 3, (120, 240))
    return np.repeat((90 + x / 8 + y / 10 + noise).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["objects", "graphcut", "dp", "voronoi"])
def test_every_pixel_is_one_photographs(wall, kind):
    pieces = two_views(wall)
    masks = seams.seams(pieces, kind)
    canvas = np.zeros((120, 240), int)
    for piece, mask in zip(pieces, masks):
        canvas[piece.inside(0, 0)] += mask > 0
    assert (canvas == 1).all()
    assert all((mask == 255).all() for mask in seams.seams(pieces, "none")) and len(seams.seams(pieces[:1])) == 1


def test_three_photographs_share_the_canvas(wall):
    pieces = [Piece(wall[:, left:left + 120], np.full((120, 120), 255, np.uint8), (left, 0)) for left in (0, 60, 120)]
    canvas = np.zeros((120, 240), int)
    for piece, mask in zip(pieces, seams.seams(pieces)):
        canvas[piece.inside(0, 0)] += mask > 0
    assert (canvas == 1).all()


def test_a_seam_goes_round_a_thing_that_both_show(wall):
    """Both pictures show the sign in the same place, one with a fault all round: without the term it is cut through."""
    wall[45:75, 105:135] = label(30)
    first, second = two_views(wall)
    far = np.ones((120, 120), bool)
    far[:, 45:75] = False                                               # the only cheap way leads through the sign
    second.image[:, :120][far] = np.clip(second.image[:, :120][far].astype(int) + 3, 0, 255)
    things = np.maximum(*(seams.things(piece.image, piece.mask)[:, part]
                          for piece, part in ((first, np.s_[60:]), (second, np.s_[:120]))))
    sign = np.zeros((120, 120), bool)
    sign[47:73, 47:73] = True
    assert things[sign].all() and things.mean() < 2 * sign.mean()

    def share_of_first(thing):
        cost = seams.seam_cost(first.image[:, 60:], second.image[:, :120], np.ones((120, 120), bool), things,
                               structure=0, thing=thing)
        places = seams.common_place(first, second)
        mask, _ = seams.cut([first, second], [first.mask, second.mask], cost, places)
        return (mask[:, 60:] > 0)[sign].mean()
    assert 0.05 < share_of_first(0) < 0.95                              # cut in two
    assert share_of_first(seams.THING) in (0, 1)


def test_a_seam_avoids_structure():
    """Equal pictures: the seam runs in the calm strip, though the way is as long everywhere."""
    stripes = np.full((90, 200, 3), 100, np.uint8)
    stripes[::4] = 160
    stripes[:, 110:118] = 100
    pieces = two_views(stripes, 40, 120)
    mask = seams.seams(pieces)[0]
    assert set((mask > 0).sum(axis=1)) <= set(range(110, 119))


def test_a_word_is_one_thing(wall):
    cv2.putText(wall, "SEAM", (40, 70), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2)
    found = seams.things(wall, np.full(wall.shape[:2], 255, np.uint8))
    row = found[62, 42:104]
    assert row.mean() > 0.9 and found[:30].mean() < 0.05 and found[100:].mean() < 0.05


def test_cut_things_are_counted(wall):
    first = wall.copy()
    first[45:75, 105:135] = label(30)
    whole = np.full(wall.shape[:2], 255, np.uint8)
    pieces = [Piece(first, whole, (0, 0)), Piece(wall, whole, (0, 0))]
    found, x = seams.differing_things(pieces), np.tile(np.arange(240), (120, 1))
    assert seams.things_cut(found, x < 120) == 1 and seams.things_cut(found, x < 60) == 0
    assert seams.things_cut(seams.differing_things([pieces[1]] * 2), x < 120) == 0         # they agree


def test_the_fine_cut_stays_beside_the_coarse_one_and_is_no_dearer():
    first = photograph("chelsea.png")[:240, :300]
    second = np.roll(first, (1, 2), (0, 1))
    masks = [np.zeros((240, 300), np.uint8) for _ in range(2)]
    masks[0][:, :220] = masks[1][:, 80:] = 255
    pieces = [Piece(picture, mask, (0, 0)) for picture, mask in zip((first, second), masks)]
    small = smaller(pieces, 0.5)
    coarse = [cv2.resize(mask, (300, 240)) for mask in seams.cut_all(small)]
    fine = seams.cut_finely(pieces, small)
    assert ((fine[0] > 0) ^ (fine[1] > 0)).all()
    coarse_side, fine_side = coarse[0] >= coarse[1], fine[0] > 0
    near = cv2.dilate(cv2.morphologyEx(coarse_side.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))),
                      np.ones((2 * seams.BAND + 3,) * 2)) > 0
    assert (coarse_side == fine_side)[~near].all()
    difference = np.abs(first.astype(float) - second).mean(axis=2)

    def step(side):
        across = side[:, 1:] != side[:, :-1]
        return np.minimum(difference[:, 1:], difference[:, :-1])[across].mean()
    assert step(fine_side) <= step(coarse_side)


@pytest.mark.parametrize("corner", [(0, 0), (-7, 5)])
def test_a_cut_found_at_half_size_first_costs_little_more(corner):
    """A tenth more than the minimal cut at most, whatever the corners; every pixel is still one photograph's."""
    first = photograph("chelsea.png")[:240, :300]
    pictures = [first[:, :220].copy(), np.roll(first, (2, 3), (0, 1))[9:, 81:].copy()]
    pieces = [Piece(picture, np.full(picture.shape[:2], 255, np.uint8), (corner[0] + x, corner[1] + y))
              for picture, (x, y) in zip(pictures, ((0, 0), (81, 9)))]
    places = seams.common_place(*pieces)
    images = [picture[place] for picture, place in zip(pictures, places)]
    cost = seams.seam_cost(*images, np.ones(images[0].shape[:2], bool), 0)
    spent = []
    for cut in (seams.cut, seams.cut_coarsely_first):
        masks = cut(pieces, [piece.mask.copy() for piece in pieces], cost, places)
        sides = [mask[place] > 0 for mask, place in zip(masks, places)]
        assert (sides[0] ^ sides[1]).all() and all((mask > 0).sum() > side.sum() for mask, side in zip(masks, sides))
        spent.append(sum(((side[1:] != side[:-1]) * (prices[1:] + prices[:-1])).sum()
                         for side, prices in ((sides[0], cost), (sides[0].T, cost.T))))
    assert 0 < spent[0] <= spent[1] < 1.1 * spent[0]


def test_labels_of_which_each_photograph_has_its_own_stay_whole():
    """Two photographs of one wall, each with a sign of its own in what they share: each is there wholly or not."""
    scene = cv2.resize(photograph("coffee.png"), (600, 400))
    photos = [scene[:, :380].copy(), scene[:, 180:].copy()]
    places = [(60, 290), (250, 240)]                                    # row, column in the scene
    for photo, (row, column), left in zip(photos, places, (0, 180)):
        photo[row:row + 60, column - left:column - left + 60] = label(60)
    layout = Layout(0, {0: np.eye(3), 1: np.array([[1.0, 0, 180], [0, 1, 0], [0, 0, 1]])}, [], {})
    result, _ = join_photos(photos, layout, Settings(exposure="none"))
    for row, column in places:
        part = np.s_[row + 4:row + 56, column + 4:column + 56]
        shown, sign = result.image[part].astype(int), label(60)[4:56, 4:56].astype(int)
        assert min(np.abs(shown - sign).mean(), np.abs(shown - scene[part].astype(int)).mean()) < 6
