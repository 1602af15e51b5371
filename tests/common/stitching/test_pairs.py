"""common/stitching/pairs.py: golden pairs, the generator's statistics, speed of nothing (benchmarks have that), files
and mistakes."""
import csv

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from common.base.errors import UserError
from common.data.images import list_images, read_pixels
from common.stitching.geometry import refusal
from common.stitching.pairs import (
    HomographyPairs,
    RealPairs,
    draw,
    draw_pairs,
    main,
    make_pair,
    overlap_class,
    read_pairs,
    read_squashed,
    view,
)

HEADER = "index,file,dx,dy,o0x,o0y,o1x,o1y,o2x,o2y,o3x,o3y\n"


@pytest.fixture
def photos(tmp_path):
    """Five photographs of unlike sizes, one of them small, one gray, one upright."""
    rng = np.random.default_rng(3)
    for number, size in enumerate([(640, 480), (480, 360), (200, 150), (300, 500), (481, 321)]):
        pixels = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
        Image.fromarray(pixels[..., 0] if number == 1 else pixels).save(tmp_path / f"photo{number}.png")
    return tmp_path


@pytest.mark.parametrize("place", [0, 7, 23])
def test_golden_pairs(shared, place):
    golden = np.load(shared("golden/view_free_stitch") / "pairs3.npz")
    pair = read_pairs(shared("golden/view_free_stitch") / "val300.csv", shared("data/photos_val")).pair(place)
    assert np.array_equal(pair.a, golden[f"{place}_a"]) and np.array_equal(pair.offsets, golden[f"{place}_offsets"])
    assert np.array_equal(pair.label, golden[f"{place}_label"])
    assert np.array_equal(pair.mask, golden[f"{place}_label_mask"])
    assert np.abs(pair.H_ba - golden[f"{place}_h_b_to_a"]).max() < 1e-12
    assert np.abs(pair.b.astype(int) - golden[f"{place}_b"]).max() <= 1  # cv2 versions round differently


def test_overlaps_and_classes_of_the_fixed_pairs(shared):
    pairs = read_pairs(shared("golden/view_free_stitch") / "val300.csv", shared("data/photos_val"))
    for place in range(0, 300, 17):
        measured = make_pair(np.zeros((360, 480, 3), np.uint8), *pairs.draws[place]).overlap
        assert measured == pytest.approx(pairs.overlaps[place], abs=1e-5)
    classes = [overlap_class(overlap) for overlap in pairs.overlaps]
    assert [classes.count(name) for name in ("low", "mid", "high")] == [96, 87, 117]


def test_statistics_of_the_draws():
    """Over 20,000 draws: identity error 38.0 px mean, 4.3 to 77.4; B never leaves the photograph; no quadrilateral is
    refused."""
    rng = np.random.default_rng(0)
    draws = [draw(rng) for _ in range(20000)]
    offsets = np.array([(shift + bend).ravel() for shift, bend in draws])
    errors = np.sqrt((offsets ** 2).mean(axis=1))
    assert errors.mean() == pytest.approx(38.0, abs=0.4) and np.median(errors) == pytest.approx(38.5, abs=0.5)
    assert np.abs(offsets).max() == 89
    shifts, bends = np.array([shift for shift, _ in draws]), np.array([bend for _, bend in draws])
    assert {shifts.min(), shifts.max(), bends.min(), bends.max()} == {-64, 64, -25, 25}   # both ends occur
    white = np.full((360, 480, 3), 255, np.uint8)
    overlaps = []
    for shift, bend in draws[:300]:
        pair = make_pair(white, shift, bend)
        assert (pair.b == 255).all() and refusal(torch.from_numpy(pair.H_ba), (128, 128), (128, 128)) is None
        assert (pair.label[pair.mask] == 255).all() and not pair.label[~pair.mask].any()
        assert pair.mask[88:217, 88:217].all()
        overlaps.append(pair.overlap)
    assert np.mean(overlaps) == pytest.approx(0.55, abs=0.03)


def test_samples_are_a_function_of_their_place(photos):
    for augment in (False, True):
        pairs, again = (HomographyPairs(list_images(photos), seed=5, augment=augment) for _ in range(2))
        again[3, 2]                                                    # what was asked before does not matter
        for place in ((0, 0), (1, 4), (0, 2)):
            for one, other in zip(pairs[place], again[place]):
                assert torch.equal(one, other) if torch.is_tensor(one) else one == other
        assert not torch.equal(pairs[0, 0].a, pairs[1, 0].a) or not augment
        assert not torch.equal(pairs[0, 0].offsets, pairs[1, 0].offsets)
        sample = pairs[0, 3]
        assert sample.a.shape == sample.b.shape == (3, 128, 128)
        assert sample.label.shape == (3, 304, 304) and sample.mask.shape == (1, 304, 304)
        assert sample.a.dtype == torch.float32 and sample.H_ba.dtype == torch.float64
        assert 0 <= sample.a.min() and sample.a.max() <= 1


def test_augmented_views_have_no_borders(photos):
    """A view may be turned and cropped, but must lie inside the photograph: repeated borders would be easy to learn."""
    rng = np.random.default_rng(1)
    framed = np.zeros((360, 540, 3), np.uint8)                         # a black frame of one pixel
    framed[1:-1, 1:-1] = 255
    for _ in range(200):
        assert (view(framed, rng)[4:-4, 4:-4] == 255).all()


def test_without_a_label_the_rest_is_the_same(photos):
    photo = read_squashed(photos / "photo0.png")
    full, bare = (make_pair(photo, (10, -20), np.arange(8) - 4, label=label) for label in (True, False))
    for name in ("a", "b", "offsets"):
        assert np.array_equal(getattr(full, name), getattr(bare, name))
    assert bare.mask.size == 1 and full.offsets.tolist() == [6, -23, 8, -21, 10, -19, 12, -17]


def test_written_pairs_have_the_papers_layout(photos, tmp_path):
    main([str(photos), str(tmp_path / "out"), "--count", "3"])
    pairs = draw_pairs(list_images(photos), 3, 0)
    for number in range(3):
        name = f"{number + 1:06d}"
        assert np.array_equal(read_pixels(tmp_path / "out/input1" / f"{name}.png"), pairs.pair(number).a)
        assert np.array_equal(read_pixels(tmp_path / "out/label" / f"{name}.png"), pairs.pair(number).label)
        shift = np.load(tmp_path / "out/shift" / f"{name}.npy", allow_pickle=False)
        assert shift.shape == (8, 1) and shift.dtype == np.float32
    main([str(photos), str(tmp_path / "jpeg"), "--count", "1", "--jpeg"])
    assert read_pixels(tmp_path / "jpeg/input2/000001.jpg").shape == (128, 128, 3)
    shift = np.load(tmp_path / "jpeg/shift/000001.npy", allow_pickle=False)
    assert np.array_equal(shift.reshape(8), pairs.pair(0).offsets)


@pytest.mark.parametrize("text, words", [("", "empty"), ("file,dx\nphoto0.png,1\n", "columns"),
                                         (HEADER + "0,photo0.png,a,0,0,0,0,0,0,0,0,0\n", "mend"),
                                         (HEADER + "0,absent.png,1,0,0,0,0,0,0,0,0,0\n", "absent.png")])
def test_a_bad_list_of_pairs_is_named(photos, text, words):
    (photos / "list.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_pairs(photos / "list.csv", photos)


def test_real_pairs(photos):
    with pytest.raises(UserError, match="pairs.csv"):
        RealPairs(photos)
    with open(photos / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([["name", "file1", "file2", "overlap_class", "other"],
                                    ["one", "photo0.png", "photo4.png", "low", "3"]])
    pairs = RealPairs(photos)
    assert pairs.names == ["one"] and pairs.classes(0) == {"overlap": "low"}
    assert [picture.shape for picture in pairs.pair(0)] == [(480, 640, 3), (321, 481, 3)]
    with open(photos / "pairs.csv", "a", newline="") as file:
        csv.writer(file).writerow(["two", "photo0.png", "gone.png", "low", "3"])
    with pytest.raises(UserError, match="gone.png"):
        RealPairs(photos)


def test_no_photographs(tmp_path):
    with pytest.raises(UserError, match="no photographs"):
        HomographyPairs([])
