"""What the two stages minimise: the paper's formulas and ours. Pure functions of tensors."""
import torch

from common.stitching.geometry import homography_from_offsets, transform
from common.stitching.network import COARSE, FINE, SIDE, centres, fine_places, offset_distance

# ---- stage 1 ----


def offset_squares(offsets, true):
    """Mean over batch and the eight numbers of (f - f*)^2, pixels squared (paper)."""
    return (offsets - true).square().mean()


def spread(points, height, width, cell):
    """Bilinear shares of points (N, K, 2), in pixels, among the places of a map.

    Returns (indices (N, K, 4), shares (N, K, 4), inside (N, K) bool).
    """
    x, y = ((points - (cell - 1) / 2) / cell).unbind(dim=-1)
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    right, down = x - left, y - top
    index = (top * width + left).long()
    indices = torch.stack([index, index + 1, index + width, index + width + 1], dim=-1)
    shares = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
    return indices, shares, inside


def coarse_matching(log_a, log_b, H_ba):
    """Cross entropy of the coarse matches, both ways: where a place lies (shares of four places), or nowhere."""
    places = centres(SIDE // COARSE, SIDE // COARSE, COARSE, log_a.device).double().expand(len(log_a), -1, -1)
    loss = 0
    for log_probability, H in ((log_a, torch.linalg.inv(H_ba)), (log_b, H_ba)):
        points, w = transform(H, places)
        indices, shares, inside = spread(points, SIDE // COARSE, SIDE // COARSE, COARSE)
        inside = inside & (w > 0)
        there = (log_probability.gather(2, indices) * shares).sum(dim=-1)
        loss = loss - torch.where(inside, there, log_probability[..., -1]).float().mean()
    return loss / 2


def fine_matching(fine, H_ba):
    """Cross entropy of a fine step: how far from where the estimate puts it the partner of each place of A really is.

    Places beyond reach do not count.
    """
    n, shifts, height, width = fine.log_probability.shape
    side = round(shifts ** 0.5)
    places = fine_places(height, width, H_ba.device).double().expand(n, -1, -1)
    partner, w = transform(torch.linalg.inv(H_ba), places)                                  # in B
    seen, w_seen = transform(fine.start, partner)                                           # where the estimate puts it
    indices, shares, inside = spread(seen - places + (side - 1) / 2 * FINE + (FINE - 1) / 2, side, side, FINE)
    border = ((partner > 0) & (partner < SIDE - 1)).all(dim=-1)
    counts = inside & border & (w > 0) & (w_seen > 0) & (fine.counts > 0)
    log_probability = fine.log_probability.flatten(2).mT                                    # (N, places, shifts)
    there = (log_probability.gather(2, indices) * shares).sum(dim=-1).clamp(min=-20)        # places without B have -30
    return -(there * counts).sum().float() / counts.sum().clamp(min=64)


def homography_terms(prediction, true, settings):
    """The weighted terms of stage 1 by name. settings.loss: squares (the paper's), or matching: ours."""
    if settings.loss == "squares" or prediction.log_a is None:
        return {"squares": offset_squares(prediction.offsets, true.double()).float()}
    H_ba = homography_from_offsets(true, (SIDE, SIDE))
    return {"coarse": coarse_matching(prediction.log_a, prediction.log_b, H_ba),
            "fine": sum(fine_matching(fine, H_ba) for fine in prediction.fine) / len(prediction.fine),
            "offsets": settings.offset_weight * offset_distance(prediction.stages, true)}


# ---- stage 2 ----

def jitter(true, spread, generator=None, always=False):
    """Offsets as stage 1 will err: the true ones (N, 8) plus normal noise of up to twice `spread` px; half stay exact.

    always: all of them are disturbed, by `spread`.
    """
    size = spread * 2 * torch.rand(len(true), 1, generator=generator)
    size = torch.full_like(size, spread) if always else size * (torch.rand(len(true), 1, generator=generator) > 0.5)
    return true + (size * torch.randn(true.shape, generator=generator)).to(true.device)


def content(revised, label, mask):
    """Mean absolute difference inside mask (N, 1, H, W): the union of the strict masks with the label's."""
    return ((revised - label).abs() * mask).sum() / (3 * mask.sum().clamp(min=1))


def whole_canvas(revised, label):
    """Mean absolute difference over the whole canvas, its black surroundings included (paper)."""
    return (revised - label).abs().mean()
