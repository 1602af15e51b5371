"""common/stitching/geometry.py: cv2 as peer, properties, and the checks that catch every wrong convention."""
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import near

from common.base.errors import UserError
from common.stitching.geometry import (
    STRICT,
    canvas,
    corners,
    homography_from_offsets,
    offsets_from_homography,
    overlap,
    refusal,
    rescale,
    solve_homography,
    transform,
    warp,
)
from common.stitching.pairs import read_pairs
from common.stitching.quality import psnr_overlap, psnr_where

SIZE = (128, 128)
IDENTITY = torch.eye(3, dtype=torch.float64)[None]


def generator(seed):
    return np.random.default_rng(seed)


def some_offsets(seed, count=16):
    """Offsets as the generator draws them: (N, 8)."""
    rng = generator(seed)
    return torch.tensor(rng.integers(-64, 65, (count, 1, 2)) + rng.integers(-25, 26, (count, 4, 2)),
                        dtype=torch.float64).flatten(1)


def smooth(seed, size=(64, 48)):
    """A smooth picture (1, 3, h, w) float64."""
    rng = generator(seed)
    small = torch.tensor(rng.random((1, 3, 6, 6)))
    return torch.nn.functional.interpolate(small, size=size[::-1], mode="bicubic", align_corners=True)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_offsets_and_homographies_are_two_ways_of_saying_it(seed):
    offsets = some_offsets(seed)
    H = homography_from_offsets(offsets, SIZE)
    assert (offsets_from_homography(H, SIZE) - offsets).abs().max() < 1e-9
    assert near(H[:, 2, 2], torch.ones(16, dtype=torch.float64))


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_solving_agrees_with_opencv(seed):
    rng = generator(seed)
    source = corners((640, 480)).numpy() + rng.uniform(-60, 60, (4, 2))
    target = source + rng.uniform(-80, 80, (4, 2))
    ours = solve_homography(torch.tensor(source)[None], torch.tensor(target)[None])[0].numpy()
    theirs = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    points = rng.uniform(0, 480, (1, 5, 2))
    mapped = transform(torch.tensor(ours)[None], torch.tensor(points))[0]
    # theirs has float32 corners
    assert (mapped - transform(torch.tensor(theirs)[None], torch.tensor(points))[0]).abs().max() < 0.05


def test_w_keeps_its_sign():
    H = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]]], dtype=torch.float64)
    w = transform(H, torch.tensor([[[50.0, 0], [150.0, 0]]]))[1]
    assert w[0].tolist() == pytest.approx([0.5, -0.5])


def test_collinear_sources_are_an_error_and_collinear_targets_are_not_finite_or_singular():
    line = torch.tensor([[[0.0, 0], [1, 1], [2, 2], [5, 0]]])
    with pytest.raises(ValueError, match="collinear"):
        solve_homography(line, corners(SIZE)[None])
    squashed = torch.zeros(2, 4, 2)                                    # all corners onto one point
    squashed[1] = corners(SIZE)
    H = solve_homography(corners(SIZE).expand(2, 4, 2), squashed)
    assert refusal(H[0], SIZE, SIZE) is not None
    assert near(H[1], IDENTITY[0])                           # one bad item does not spoil the batch


def test_gradients_of_solving_and_warping():
    offsets = (some_offsets(3, 2) / 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: homography_from_offsets(f, SIZE), offsets)
    image = smooth(4, (12, 10)).requires_grad_()
    small = (some_offsets(5, 1) / 40 + 0.137).requires_grad_()  # away from whole pixels, where bilinear has a kink

    def warped(image, small):
        return warp(image, homography_from_offsets(small, (12, 10)), (9, 8), (1, 1))[0]
    assert torch.autograd.gradcheck(warped, (image, small), eps=1e-7, atol=1e-5)


def test_a_spatial_transformer_learns_the_warp():
    """The gradient is useful: descending on the pictures' difference finds the offsets again."""
    image, true = smooth(6, (64, 64)), torch.tensor([[2.0, -1, 1, 2, -2, 1, 1, 1]])
    target, mask = warp(image, homography_from_offsets(true, (64, 64)), (64, 64))
    offsets = torch.zeros(1, 8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([offsets], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        ((warp(image, homography_from_offsets(offsets, (64, 64)), (64, 64))[0] - target).square()
         * mask).mean().backward()
        optimizer.step()
    assert (offsets - true).abs().max() < 0.3


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_identity_returns_the_picture(dtype, tolerance):
    image = smooth(7, (304, 200)).to(dtype)
    warped, mask = warp(image, IDENTITY, (304, 200))
    assert (warped - image).abs().max() < tolerance
    assert (mask >= STRICT).all()
    square = torch.rand(1, 3, 128, 128)
    # where the width is a power of two, bit for bit in float32, too
    assert torch.equal(warp(square, IDENTITY, SIZE)[0], square)


def test_warping_agrees_with_opencv():
    image = smooth(8, (90, 70))
    for H in homography_from_offsets(some_offsets(9, 6) / 4, (90, 70)):
        warped, mask = warp(image, H[None], (80, 60), origin=(-5, 3))
        shift = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1.0]])
        theirs = cv2.warpPerspective(image[0].permute(1, 2, 0).numpy(), shift @ H.numpy(), (80, 60),
                                     flags=cv2.INTER_LINEAR)
        inside = (mask >= STRICT)[0, 0].numpy()
        assert inside.sum() > 500
        assert np.abs(warped[0].permute(1, 2, 0).numpy() - theirs)[inside].max() < 2e-3


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_there_and_back_and_in_one_step_or_two(seed):
    image = smooth(seed, (96, 96))
    first, second = homography_from_offsets(some_offsets(seed, 2) / 8, (96, 96))[:, None]
    once, mask_once = warp(image, second @ first, (96, 96))
    between, mask_first = warp(image, first, (96, 96))
    twice, _ = warp(between, second, (96, 96))
    both = (mask_once >= STRICT) & (warp(mask_first, second, (96, 96))[0] >= STRICT)
    assert psnr_where(once, twice, both).item() > 34                  # each bilinear step blurs a little
    back, _ = warp(between, torch.linalg.inv(first), (96, 96))
    inside = warp(mask_first, torch.linalg.inv(first), (96, 96))[0] >= STRICT
    assert psnr_where(back, image, inside).item() > 34


def test_a_batch_is_its_items_and_one_homography_serves_a_batch():
    images = torch.cat([smooth(seed) for seed in range(3)])
    H = homography_from_offsets(some_offsets(10, 3) / 5, (64, 48))
    together, masks = warp(images, H, (64, 48))
    for place in range(3):
        alone, mask = warp(images[place:place + 1], H[place:place + 1], (64, 48))
        assert near(together[place], alone[0]) and torch.equal(masks[place], mask[0])
    assert near(warp(images, H[:1], (64, 48))[0][0], together[0])


def test_nothing_is_seen_behind_the_horizon():
    """A released implementation divided by w whatever its sign: the part behind folded back into the picture."""
    H = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]]], dtype=torch.float64)      # w = 0 at x = 50 of B
    image = torch.ones(1, 1, 100, 100, requires_grad=True)
    H.requires_grad_()
    warped, mask = warp(image, H, (200, 100), (-100, 0))
    assert (warped[..., :100] == 0).all() and (mask[..., :100] == 0).all()
    warped.sum().backward()
    assert torch.isfinite(H.grad).all()


@given(st.lists(st.floats(-500, 500), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_offsets_whatever_make_a_gradient_that_is_not_finite(values):
    offsets = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    H = homography_from_offsets(offsets, SIZE)
    if not torch.isfinite(H).all() or H.abs().max() > 1e9:
        return
    warped, mask = warp(torch.rand(1, 1, 128, 128), H, (64, 64))
    assert torch.isfinite(warped).all() and torch.isfinite(mask).all()
    (warped.sum() + mask.sum()).backward()
    assert torch.isfinite(offsets.grad).all()


# ---- scaling ----

@pytest.mark.parametrize("factor", [2, 4])
def test_scaling_keeps_the_half_pixel(factor):
    """A homography found at 128 and scaled must place the large picture as well; diag(s, s, 1) alone does not."""
    large = smooth(11, (128 * factor, 128 * factor)).float()
    small = torch.nn.functional.interpolate(large, size=(128, 128), mode="area")
    H = homography_from_offsets(some_offsets(12, 1) / 4, SIZE)
    H_large = rescale(H, (factor, factor), (factor, factor))
    reduced = torch.nn.functional.interpolate(warp(large, H_large, (128 * factor,) * 2)[0], size=(128, 128),
                                              mode="area")
    warped, mask = warp(small, H, SIZE)
    inside = mask >= STRICT
    inside[..., :2, :] = inside[..., -2:, :] = inside[..., :, :2] = inside[..., :, -2:] = False
    inside = -torch.nn.functional.max_pool2d(-inside.float(), 5, 1, 2) > 0
    naive = torch.diag(torch.tensor([factor, factor, 1.0], dtype=torch.float64))
    wrong = warp(large, naive @ H @ torch.linalg.inv(naive), (128 * factor,) * 2)[0]
    wrong = torch.nn.functional.interpolate(wrong, size=(128, 128), mode="area")
    assert psnr_where(warped, reduced, inside).item() > psnr_where(warped, wrong, inside).item() + 6


def test_scaling_one_side_and_back():
    H = homography_from_offsets(some_offsets(13), SIZE)
    there = rescale(H, (2.5, 1.5), (0.5, 3))
    assert near(rescale(there, (1 / 2.5, 1 / 1.5), (2, 1 / 3)), H)
    # the half pixel itself: (0, 0) of a picture lies at .5 of its double
    point = torch.tensor([[[0.0, 0.0]]], dtype=torch.float64)
    assert transform(rescale(IDENTITY, (2, 2), (1, 1)), point)[0].flatten().tolist() == [0.5, 0.5]


# ---- canvas, overlap, refusal ----

def test_canvas_holds_every_picture_and_moves_by_whole_pixels():
    shift = torch.tensor([[[1.0, 0, 30.4], [0, 1, -7.2], [0, 0, 1]]], dtype=torch.float64)
    found = canvas(torch.cat([IDENTITY, shift]), [(100, 50), (100, 50)])
    assert found.origin == (0, -8) and found.size == (131, 58)
    assert canvas(IDENTITY, [(100, 50)]) == ((100, 50), (0, 0))
    image = smooth(14, (100, 50)).float()
    warped, _ = warp(image, IDENTITY, found.size, found.origin)
    assert near(warped[..., 8:, :100], image)
    with pytest.raises(UserError, match="canvas would have"):
        canvas(torch.cat([IDENTITY, shift]), [(100, 50), (100, 50)], limit=1000)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_overlap_is_the_area_of_the_warped_mask(seed):
    for H in homography_from_offsets(some_offsets(seed, 3), SIZE):
        counted = cv2.warpPerspective(np.ones((128, 128), np.uint8), H.numpy(), SIZE, flags=cv2.INTER_NEAREST).mean()
        assert overlap(H, SIZE, SIZE) == pytest.approx(counted, abs=0.01)
        assert overlap(torch.linalg.inv(H), SIZE, SIZE) >= 0


REFUSED = {"finite": torch.full((3, 3), torch.nan, dtype=torch.float64),
           "horizon": torch.tensor([[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]], dtype=torch.float64),
           "mirrored": torch.tensor([[-1.0, 0, 127], [0, 1, 0], [0, 0, 1]], dtype=torch.float64),
           "area": torch.diag(torch.tensor([4.0, 4, 1], dtype=torch.float64)),
           "stretched": torch.diag(torch.tensor([0.3, 2.9, 1], dtype=torch.float64)),
           "overlap": torch.tensor([[1.0, 0, 126], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals_name_their_reason(words):
    assert words in refusal(REFUSED[words], SIZE, SIZE)


def test_folded_pictures_are_refused_and_what_the_generator_draws_is_not():
    ends = corners(SIZE).clone()
    ends[3] = torch.tensor([30.0, 30])                                 # a corner pushed inside: not convex
    assert "folded" in refusal(solve_homography(corners(SIZE)[None], ends[None])[0], SIZE, SIZE) or \
        "horizon" in refusal(solve_homography(corners(SIZE)[None], ends[None])[0], SIZE, SIZE)
    for H in homography_from_offsets(some_offsets(15, 500), SIZE):
        assert refusal(H, SIZE, SIZE) is None
    assert refusal(IDENTITY[0], (20000, 200), (20000, 200)) is None    # a long strip is no stretch


# ---- conventions, on the 300 fixed pairs ----
# Means of wrong conventions (check 1, dB): half-pixel coordinates 33.24, corners at 127 32.75, W - 1 with
# align_corners=False 29.44, W with align_corners=True 27.08, a grid of step W / (W - 1) 26.11, corners in the order UL
# UR LR LL 14.87, none 12.56, x and y exchanged 9.65, the inverse 8.00, negated offsets 7.91. Check 3: half-pixel 46.7,
# corners at 127 45.1, the others 30 to 34.

@pytest.fixture
def fixed_pairs(shared):
    return read_pairs(shared("golden/view_free_stitch") / "val300.csv", shared("data/photos_val"))


def as_tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def test_true_homographies_align_the_fixed_pairs(fixed_pairs):
    scores = []
    for place in range(len(fixed_pairs)):
        pair = fixed_pairs.pair(place)
        warped, mask = warp(as_tensor(pair.b), torch.from_numpy(pair.H_ba)[None], SIZE)
        scores.append(psnr_overlap(as_tensor(pair.a), warped, mask).item())
    assert np.mean(scores) == pytest.approx(34.03, abs=0.02) and np.mean(scores) >= 33.9


def test_true_homographies_stitch_the_labels(fixed_pairs):
    """Check 2: structure stitch against the label; 37.74 in the union, 40.02 in the overlap, 34.06 in B's own part."""
    union, shared_part, own = [], [], []
    for place in range(len(fixed_pairs)):
        pair = fixed_pairs.pair(place)
        H = torch.from_numpy(pair.H_ba)[None]
        a, in_a = warp(as_tensor(pair.a), IDENTITY, (304, 304), (-88, -88))
        b, in_b = warp(as_tensor(pair.b), H, (304, 304), (-88, -88))
        in_a, in_b = in_a >= STRICT, in_b >= STRICT
        picture = torch.where(in_a & in_b, (a + b) / 2, torch.where(in_a, a, b))
        for scores, where in ((union, in_a | in_b), (shared_part, in_a & in_b), (own, in_b & ~in_a)):
            scores.append(psnr_where(picture, as_tensor(pair.label),
                                     where & torch.from_numpy(pair.mask)[None, None]).item())
    assert np.mean(union) == pytest.approx(37.74, abs=0.06) and np.mean(shared_part) == pytest.approx(40.02, abs=0.08)
    assert np.nanmean(own) == pytest.approx(34.06, abs=0.06)


def test_a_picture_known_everywhere_catches_half_a_pixel(fixed_pairs):
    """Check 3: A is a formula, so B is exact; only bilinear interpolation errs: 58.05 dB."""
    def formula(x, y):
        return (127.5 + 60 * torch.sin(2 * torch.pi * x / 32 + 0.3) * torch.cos(2 * torch.pi * y / 24)) / 255
    y, x = torch.meshgrid(torch.arange(128, dtype=torch.float64), torch.arange(128, dtype=torch.float64), indexing="ij")
    a, scores = formula(x, y).expand(1, 3, -1, -1), []
    for place in range(100):
        H = torch.from_numpy(fixed_pairs.pair(place).H_ba)[None]
        points, _ = transform(H, torch.stack([x, y], dim=-1).reshape(1, -1, 2))
        b = formula(*points[0].unbind(dim=-1)).view(1, 1, 128, 128).expand(1, 3, -1, -1)
        scores.append(psnr_overlap(a, *warp(b, H, SIZE)).item())
    assert np.mean(scores) == pytest.approx(58.05, abs=0.05) and np.mean(scores) > 57
