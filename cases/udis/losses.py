"""What both stages minimise: the paper's formulas, and ours. Pure functions of tensors.

Pictures are (N, 3, H, W) in [0, 1]. The paper writes them as x / 127.5 - 1; differences are therefore doubled here, so
that values and weights are the paper's.
"""
import torch
import torch.nn.functional as F

from cases.udis.mesh_learnt import read, spread
from cases.udis.model import LIMIT, guard
from common.stitching import network
from common.stitching.geometry import STRICT, warp
from common.stitching.mesh import CELLS

# ---- stage 1: align --------------------------------------------------------------------------------------------------

LEAST = 0.1                        # overlap, as a share of the picture, under which the hinge rises
FLOOR = 0.05                       # least denominator of the masked mean, as a share of the picture


def blanked_loss(a, warped, mask):
    """The paper's ablation loss: mean over ALL pixels and channels of |W - A m|, (N,). Without overlap it is 0."""
    return 2 * (warped - a * mask).abs().mean(dim=(1, 2, 3))


def masked_loss(a, warped, mask, compensate=True):
    """Ours: sum (m |W - A|) / max(3 sum m, 0.05 * 3 H W) over the strict mask m, plus a hinge on small overlaps, (N,).

    No division by zero, and no reward for leaving the picture: without overlap the sum is 0, but the hinge is then
    worth more than any difference. compensate: subtract the mean difference per channel first, so that brightness does
    not count as misalignment.
    """
    strict = (mask >= STRICT).to(a.dtype)
    area = strict.sum(dim=(1, 2, 3)).clamp(min=FLOOR * strict[0].numel())                 # (N,)
    difference = warped - a
    if compensate:
        mean = (difference * strict).sum(dim=(2, 3), keepdim=True) / area[:, None, None, None]
        difference = difference - mean.detach()
    total = 2 * (difference.abs() * strict).sum(dim=(1, 2, 3))
    return total / (3 * area) + 2 * F.relu(1 - mask.mean(dim=(1, 2, 3)) / LEAST)


def alignment_terms(prediction, a, b, settings):
    """The weighted terms of stage 1: sum over stages k of ratio^(K - 1 - k) L_k, and what leads bad offsets back.

    prediction: Prediction for these pictures, (N, 3, 128, 128). settings: ablation (paper | masked), level_ratio,
    both_ways, compensate. The paper's weights 16, 4, 1 are level_ratio 4. The paper's loss has no limit on the offsets,
    as in the paper, and is compared one way.
    """
    by_paper = settings.ablation == "paper"
    loss, outside = 0, 0
    for k, offsets in enumerate(prediction.stages):
        H_ba, bad = guard(offsets, 1e4 if by_paper else LIMIT)
        if by_paper:
            level = blanked_loss(a, *warp(b, H_ba, a.shape[:1:-1]))
        else:
            level = masked_loss(a, *warp(b, H_ba, a.shape[:1:-1]), settings.compensate)
            if settings.both_ways:
                level = (level + masked_loss(b, *warp(a, torch.linalg.inv(H_ba), a.shape[:1:-1]),
                                             settings.compensate)) / 2
        loss = loss + settings.level_ratio ** (len(prediction.stages) - 1 - k) * level.mean()
        outside = outside + bad.float().mean()
    return {"align": loss, "outside": outside}


def offset_distance(stages, true):
    """Where the truth is known (synthetic pairs): a stage's offsets count twice as much as those of the one before."""
    return network.offset_distance(stages, true, ratio=0.5)


def colour_jitter(picture, generator=None, spread=0.3):
    """The network's input as in the released code: one factor for the brightness and one per channel, about mid grey.

    picture: (N, 3, H, W); factors: 0.7 to 1.3. The losses see the plain pictures.
    """
    factors = 1 + spread * (2 * torch.rand(2, len(picture), 3, 1, 1, generator=generator) - 1)
    factors = factors[0] * factors[1][:, :1]
    return (0.5 + (picture - 0.5) * factors.to(picture)).clamp(0, 1)


# ---- beyond one homography -------------------------------------------------------------------------------------------

def mesh_terms(rounds, seen, settings):
    """The weighted terms of a learnt mesh: sum over rounds k of ratio^(K - 1 - k) masked_loss, and what bending costs.

    rounds: knots (N, R, C, 2) of each round, of the Overlap `seen`. bend: bend_weight times the mean square of the
    knots' second differences, in cells: a mesh that is moved, turned, stretched or sheared as a whole pays nothing.
    """
    loss, bend = 0, 0
    for k, knots in enumerate(rounds):
        weight = settings.level_ratio ** (len(rounds) - 1 - k)
        shift = spread(knots, seen.a.shape[-1])
        loss = loss + weight * masked_loss(seen.a, read(seen.b, shift), read(seen.mask, shift),
                                           settings.compensate).mean()
        bent = [knots.diff(2, dim=1), knots.diff(2, dim=2), 2 ** 0.5 * knots.diff(dim=1).diff(dim=2)]
        bend = bend + weight * sum((CELLS * each).square().mean() for each in bent)
    return {"mesh": loss, "bend": settings.bend_weight * bend}


# ---- stage 2: reconstruct --------------------------------------------------------------------------------------------

def seam_masks(mask_a, mask_b):
    """(B1, B2): the pixels of A along B's border, and of B along A's, (N, 1, H, W) float in [0, 1], 7 to 8 pixels wide.

    B1 = M1 dilate3(edge(M2)), edge(M) = clip(|M(y, x+1) - M(y, x)| + |M(y+1, x) - M(y, x)|), dilate3 = three times (3 x
    3 box sum, clipped). Padded by replication: the released code's zeros make a seam along the canvas's own right and
    lower border.
    """
    def band(mask):
        mask = mask.float()
        padded = F.pad(mask, (0, 1, 0, 1), mode="replicate")
        edge = ((padded[..., :-1, 1:] - mask).abs() + (padded[..., 1:, :-1] - mask).abs()).clamp(0, 1)
        for _ in range(3):
            edge = (9 * F.avg_pool2d(edge, 3, stride=1, padding=1)).clamp(0, 1)
        return edge
    return mask_a.float() * band(mask_b), mask_b.float() * band(mask_a)


def seam(stitched, warps, bands):
    """mean |S B1 - W1 B1| + mean |S B2 - W2 B2| over all elements (paper)."""
    return 2 * (((stitched - warps.a) * bands[0]).abs().mean() + ((stitched - warps.b) * bands[1]).abs().mean())


VGG_SIDE = 224


def content(stitched, warps, features, side=VGG_SIDE):
    """C_1 + C_2: mean square difference of the features of S M and W M, resized to 224 x 224 (paper).

    Outside the mask lies mid grey. features: a function of pictures (N, 3, side, side) in [0, 1].
    """
    total = 0
    for warped, mask in ((warps.a, warps.mask_a), (warps.b, warps.mask_b)):
        seen, wanted = (F.interpolate(torch.where(mask, picture, 0.5), (side, side), mode="bilinear", antialias=True,
                                      align_corners=False) for picture in (stitched, warped))
        with torch.no_grad():
            wanted = features(wanted)
        total = total + (features(seen) - wanted).square().mean()
    return total


def repaint_terms(stitched, warps, features, settings):
    """The paper's terms of stage 2, weighted: 100 L_low, L_high, L_cs; L = content_weight (C_1 + C_2) + 2 seam.

    features: a perceptual.Perceptual; None: see pixels(). The seam bands of the canvas are those of 256 x 256 enlarged,
    as in the released code.
    """
    small = warps.resize(stitched.low.shape[2:])
    bands_low = seam_masks(small.mask_a, small.mask_b)
    bands = tuple(F.interpolate(band, warps.a.shape[2:], mode="bilinear", align_corners=False) for band in bands_low)
    terms = {}
    for name, picture, seen, along, weight in (("low", stitched.low, small, bands_low, 100.0),
                                               ("high", stitched.high, warps, bands, 1.0)):
        if features:
            by, heavy = (features.low, features.weight_low) if name == "low" else (features.high, features.weight_high)
            alike = heavy * content(picture, seen, by, settings.perceptual_side)
        else:
            alike = pixels(picture, seen)
        terms |= {f"content_{name}": weight * alike, f"seam_{name}": weight * 2 * seam(picture, seen, along)}
    shrunk = F.interpolate(stitched.high, stitched.low.shape[2:], mode="bilinear", antialias=True, align_corners=False)
    return terms | {"consistency": 2 * (shrunk - stitched.low).abs().mean()}


def pixels(picture, warps):
    """The content term without features: mean |S - W| where a picture is alone, to the nearer in the overlap."""
    off_a, off_b = ((picture - warped).abs().mean(dim=1, keepdim=True) for warped in (warps.a, warps.b))
    off = torch.where(warps.overlap, torch.minimum(off_a, off_b), torch.where(warps.mask_a, off_a, off_b))
    return 2 * (off * warps.union).sum() / warps.union.sum().clamp(min=1)


def cut_terms(stitched, warps, settings):
    """Ours, for a share s of A that decides: what the passage from one picture to the other costs, on both branches.

    d = mean_c |W1 - W2|. path: k / 4 times the sum over the overlap of 4 s (1 - s) (d + l), the differences under the
    passage, whatever its width: a soft minimal cut. l is what a pixel of it costs where the pictures agree: short
    passages, no islands. step: sum over neighbours p, q of (s_p - s_q)^2 times the mean of d over those of them in the
    overlap. seam: the paper's, sums of |S - W1| B1 and |S - W2| B2 instead of means: no passage along the borders. All
    over the square root of the overlap's area, a length.
    """
    small = warps.resize(stitched.low.shape[2:])
    terms = {}
    for name, share, picture, seen in (("low", stitched.share_low, stitched.low, small),
                                       ("high", stitched.share, stitched.high, warps)):
        both, union = seen.overlap.float(), seen.union.float()
        d = (seen.a - seen.b).abs().mean(dim=1, keepdim=True) * both
        length = both.sum(dim=(1, 2, 3)).clamp(min=1).sqrt()
        step = 0
        for axis in (2, 3):
            p, q = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
            cost = (d[p] + d[q]) / (both[p] + both[q]).clamp(min=1) * union[p] * union[q]
            step = step + ((share[p] - share[q]).square() * cost).sum(dim=(1, 2, 3))
        along = sum(((picture - warped).abs().mean(dim=1, keepdim=True) * band).sum(dim=(1, 2, 3))
                    for warped, band in zip((seen.a, seen.b), seam_masks(seen.mask_a, seen.mask_b)))
        path = stitched.narrow / 4 * (4 * share * (1 - share) * (d + settings.length_cost) * both).sum(dim=(1, 2, 3))
        terms |= {f"path_{name}": settings.path_weight * (path / length).mean(),
                  f"step_{name}": settings.step_weight * (step / length).mean(),
                  f"seam_{name}": settings.seam_weight * (along / length).mean()}
    return terms
