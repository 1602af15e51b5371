"""Losses without labels: the paper's and its empty optimum, ours, bad starts; seam masks, content, cost of a cut."""
import pytest
import torch
from tolerances import near

from cases.udis import losses
from cases.udis.model import LIMIT, guard, remove_islands
from cases.udis.perceptual import rule
from common.data.samples import build
from common.experiment.settings import Settings
from common.features import vgg
from common.stitching.geometry import corners, homography_from_offsets, transform, warp
from common.stitching.network import Prediction
from common.stitching.pairs import make_pair, read_squashed
from common.stitching.warps import Warps

PAPER = Settings(ablation="paper", level_ratio=4.0, both_ways=False, compensate=False)
OURS = Settings(ablation="masked", level_ratio=0.5, both_ways=True, compensate=True)


@pytest.fixture(scope="module")
def views():
    """(A, B, true offsets) of three sample pairs with large translations, B darker, as real pairs are never equal."""
    made = [make_pair(read_squashed(build("photos") / f"{number:02d}.png"), shift, bend, label=False).tensors()
            for number, shift, bend in
            ((1, (58, -14), [3, -8, 12, 5, -9, 4, 7, -2]), (2, (-49, 30), [-9, 4, 2, 0, 8, 11, -4, 6]),
             (10, (61, 20), [0, 5, -7, 9, 12, -3, 1, 8]))]
    a, b, offsets = (torch.stack([getattr(pair, name) for pair in made]) for name in ("a", "b", "offsets"))
    return a, 0.8 * b, offsets


def shifted(amount, count=3):
    """Offsets that sample B `amount` pixels farther right: B moves out of the picture to the left."""
    return torch.tensor([[-amount, 0.0] * 4]).repeat(count, 1)


def total(offsets, views, settings):
    return sum(losses.alignment_terms(Prediction(offsets, [offsets]), *views[:2], settings).values())


def overlaps(offsets, views, limit=LIMIT):
    return warp(views[1], guard(offsets, limit)[0], (128, 128))[1].mean(dim=(1, 2, 3))


def descended(start, views, settings, steps=60, rate=4.0):
    """The offsets after descending on them directly (Adam)."""
    offsets = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([offsets], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        (len(start) * total(offsets, views, settings)).backward()
        assert torch.isfinite(offsets.grad).all()
        optimizer.step()
    return offsets.detach()


# ---- stage 1 ---------------------------------------------------------------------------------------------------------

def test_the_papers_loss_is_best_without_overlap(views):
    """Pushed nearly out of the picture, B costs less than at its true place; and nothing at all without overlap."""
    a, b, true = views
    for place in range(3):
        one = (a[place:place + 1], b[place:place + 1])
        at_truth, far, away = (total(offsets, one, PAPER).item()
                               for offsets in (true[place:place + 1], shifted(124.0, 1), shifted(140.0, 1)))
        assert far < at_truth and away == pytest.approx(0, abs=1e-9)
        ours = [total(offsets, one, OURS).item()
                for offsets in (true[place:place + 1], shifted(90.0, 1), shifted(140.0, 1))]
        assert ours[0] < ours[1] < ours[2] and ours[2] > 3 * ours[0]


def test_descent_goes_to_the_empty_overlap_with_the_papers_loss_and_not_with_ours(views):
    start = views[2] + shifted(85.0) * torch.sign(views[2][:, :1])
    by_paper, by_ours = (descended(start, views, settings) for settings in (PAPER, OURS))
    paper, ours = overlaps(by_paper, views, 1e4), overlaps(by_ours, views)
    assert (paper < 0.1).sum() >= 2, paper
    assert (ours > 0.1).all() and ours.mean() > paper.mean(), ours


def test_no_overlap_costs_more_than_any_alignment():
    black, white = torch.zeros(1, 3, 128, 128), torch.ones(1, 3, 128, 128)
    worst = losses.masked_loss(black, white, torch.ones(1, 1, 128, 128), compensate=False).item()
    empty = losses.masked_loss(black, black, torch.zeros(1, 1, 128, 128)).item()
    assert worst == pytest.approx(2) and empty >= worst
    small = torch.zeros(1, 1, 128, 128)
    small[..., :6, :6] = 1                                                # an overlap of .002
    assert losses.masked_loss(black, black, small).item() > 1.9
    assert losses.masked_loss(white, white, torch.ones(1, 1, 128, 128)).item() == 0


def test_five_hundred_steps_from_bad_starts_stay_finite(views):
    """Folded, collinear, huge, infinite and missing offsets: loss and gradient finite, every step goes somewhere."""
    generator = torch.Generator().manual_seed(3)
    a, b = (view[:, :, ::2, ::2].repeat(1, 1, 1, 1) for view in views[:2])
    a, b = (torch.nn.functional.interpolate(view, (128, 128)) for view in (a, b))
    small = Settings(OURS | {"both_ways": False})
    for start in range(50):
        offsets = torch.randn(3, 8, generator=generator) * (20, 60, 150, 1e4)[start % 4]
        if start % 10 == 5:
            offsets[0] = torch.tensor([0.0, 0, -128, 0, 0, -128, -128, -128])            # all corners in one point
            offsets[1] = torch.tensor([0.0, 0, 0, 0, 64, -128, -64, -128])               # on a line
        if start % 10 == 6:
            offsets[0, 0], offsets[1, 3] = float("nan"), float("inf")
            assert torch.isfinite(total(offsets, (a, b), small)) and torch.isfinite(total(offsets, (a, b), PAPER))
            continue
        offsets = offsets.requires_grad_()
        optimizer = torch.optim.SGD([offsets], lr=20.0)
        for _ in range(10):
            loss = total(offsets, (a, b), small)
            optimizer.zero_grad()
            loss.backward()
            assert torch.isfinite(loss) and torch.isfinite(offsets.grad).all() and offsets.grad.abs().sum() > 0
            optimizer.step()


def test_guarded_homographies_are_the_true_ones_where_nothing_is_wrong(views):
    H, bad = guard(views[2])
    assert near(H, homography_from_offsets(views[2], (128, 128))) and (bad == 0).all()
    folded = torch.tensor([[0.0, 0, 0, 0, 120, -120, 0, 0]], requires_grad=True)
    H, bad = guard(folded)
    assert torch.equal(H[0], torch.eye(3, dtype=torch.float64)) and bad > 0
    bad.sum().backward()
    assert folded.grad.abs().sum() > 0                                                   # and there is a way back
    H, bad = guard(torch.full((1, 8), 130.0))
    assert torch.allclose(transform(H, corners((128, 128))[None])[0], corners((128, 128)) + LIMIT) and bad > 0


def test_level_weights_are_16_4_1():
    a, b = torch.rand(2, 1, 3, 128, 128).unbind()
    offsets = shifted(10.0, 1)
    one = sum(losses.alignment_terms(Prediction(offsets, [offsets]), a, b, PAPER).values())
    three = sum(losses.alignment_terms(Prediction(offsets, [offsets] * 3), a, b, PAPER).values())
    assert near(three, 21 * one)


def test_brightness_is_no_misalignment_when_compensated(views):
    a = views[0]
    mask = torch.ones(3, 1, 128, 128)
    assert losses.masked_loss(a, a + 0.1, mask).max() < 1e-5
    assert losses.masked_loss(a, a + 0.1, mask, compensate=False).min() > 0.19


def test_colour_jitter_is_about_mid_grey():
    generator = torch.Generator().manual_seed(0)
    grey = torch.full((4, 3, 2, 2), 0.5)
    assert torch.equal(losses.colour_jitter(grey, generator), grey)
    factors = (losses.colour_jitter(grey + 0.1, generator) - 0.5) / 0.1
    assert factors.min() > 0.49 - 1e-3 and factors.max() < 1.69 + 1e-3 and factors.std() > 0.05


# ---- stage 2 ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def halves():
    """Two overlapping halves of a canvas of 64 x 96, columns 0..59 and 36..95."""
    mask_a, mask_b = torch.zeros(2, 1, 1, 64, 96, dtype=torch.bool)
    mask_a[..., :60], mask_b[..., 36:] = True, True
    column = torch.arange(96.0).expand(1, 1, 64, 96)
    depth_a, depth_b = (60 - column).clamp(min=0) * mask_a, (column - 35).clamp(min=0) * mask_b
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    return Warps(picture * mask_a, picture * mask_b, mask_a, mask_b, depth_a, depth_b)


def test_seam_masks_lie_along_the_others_border(halves):
    b1, b2 = losses.seam_masks(halves.mask_a, halves.mask_b)
    # 7 wide, round B's border between 35 and 36
    assert b1[0, 0, 30].nonzero().flatten().tolist() == list(range(32, 39))
    assert b2[0, 0, 30].nonzero().flatten().tolist() == list(range(56, 63))
    assert b1[0, 0, 0].equal(b1[0, 0, 30]) and b1[0, 0, -1].equal(b1[0, 0, 30])  # no band along the canvas's own border
    assert (b1 <= halves.mask_a.float()).all() and (b2 <= halves.mask_b.float()).all()


def test_islands_are_given_back(halves):
    share = torch.where(halves.overlap, (torch.arange(96.0) < 48).float().expand(1, 1, 64, 96), halves.mask_a.float())
    assert torch.equal(remove_islands(share, halves), share)
    dotted = share.clone()
    dotted[..., 20:26, 50:56], dotted[..., 40:44, 39:43] = 1, 0  # one of A's in B's part, one the other way round
    found = remove_islands(dotted, halves)
    assert torch.equal(found, share) and dotted[0, 0, 22, 52] == 1  # and the argument stays what it was
    dotted[..., 20:26, 40:56] = 1  # no island: it hangs on A's part
    assert (remove_islands(dotted, halves)[..., 20:26, 50:56] == 1).all()
    within = halves._replace(mask_a=torch.ones_like(halves.mask_a))  # B shows nothing alone: it keeps what it won
    assert (remove_islands(share, within)[..., 48:] == 0).all()


def test_seam_loss_counts_the_bands_alone(halves):
    bands = losses.seam_masks(halves.mask_a, halves.mask_b)
    assert losses.seam(halves.a + halves.b * ~halves.mask_a, halves, bands).item() == pytest.approx(0, abs=1e-6)
    off = halves.a + halves.b * ~halves.mask_a
    off[..., 30:34] += 0.5                                                                # columns 32 and 33 are in B1
    assert losses.seam(off, halves, bands).item() == pytest.approx(2 * 0.5 * 2 / 96, rel=1e-4)


def test_content_is_zero_for_copies_and_blind_outside(halves):
    def features(x):
        return torch.nn.functional.avg_pool2d(x, 4)
    copy = halves.join(torch.ones_like(halves.depth_a))
    assert losses.content(copy, halves, features, 64).item() == pytest.approx(0, abs=1e-10)
    assert losses.content(copy + 0.2, halves, features, 64).item() > 0.01
    assert losses.pixels(copy, halves).item() == pytest.approx(0, abs=1e-7)


def test_weight_of_the_content_term_follows_the_blur(shared):
    """The rule gives 1e-6 for the original weights at conv3_3 (0 to 255), within the measured span."""
    trunk = vgg.load(shared("weights/vgg") / "vgg19_block1-3.npz", ["relu3_3"])
    assert 0.7e-6 < rule(lambda pictures: trunk(pictures)["relu3_3"], 224, torch.device("cpu")) < 1.5e-6


def test_a_cut_costs_least_where_the_pictures_agree(halves):
    """A seam where the pictures agree costs nothing, elsewhere their differences, along the overlap's border more."""
    settings = Settings(path_weight=1.0, length_cost=0.0, step_weight=1.0, seam_weight=1.0)
    b = halves.b.clone()
    b[..., 48:] = (b[..., 48:] + 0.5) * halves.mask_b[..., 48:]  # they differ right of column 48
    warps = halves._replace(b=b)

    def terms(edge, narrow, settings=settings):
        share = torch.sigmoid(narrow * (edge - 0.5 - torch.arange(96.0))).expand(1, 1, 64, 96)
        share = torch.where(warps.overlap, share, warps.mask_a.float())
        small = warps.resize((256, 256))
        low = torch.nn.functional.interpolate(share, (256, 256))
        made = Settings(low=small.join(low), high=warps.join(share), share_low=low, share=share, narrow=narrow)
        found = losses.cut_terms(made, warps, settings)
        # per pixel of the seam, in units of d
        return {name: value.item() * (64 * 24) ** 0.5 / 64 / 0.5 for name, value in found.items()}
    good, bad, border = (terms(edge, 2.0) for edge in (43, 53, 60))
    assert good["path_high"] < 1e-3 and good["step_high"] < 1e-3
    assert bad["path_high"] == pytest.approx(1, abs=0.05) and bad["step_high"] == pytest.approx(1 / 3, abs=0.2)
    assert terms(53, 1.0)["path_high"] == pytest.approx(1, abs=0.1)                       # whatever the width
    # .1, in units of d = .5
    assert terms(43, 2.0, Settings(settings | {"length_cost": 0.1}))["path_high"] == pytest.approx(0.2, abs=0.02)
    assert sum(border.values()) > 1.5 * sum(bad.values()) and border["seam_high"] > 2
