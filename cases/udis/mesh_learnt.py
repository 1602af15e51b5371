"""The learnt mesh: what bends a homography in the overlap, said by a small network (after UDIS++, Nie et al. 2023).

    seen = crop_overlap(a, b, mesh)             # the overlap of two pictures, as a square for the network
    knots = model(extract_features(features, seen))[-1]     # (1, rows + 3, columns + 3, 2): shares of the square
    mesh = bend_learnt(model, a, b, H_ba, device)        # both, kept from folding

Two estimates say for every place of the square by how much image 2's warp is off there: stage 1's features, compared
within a window, and the slopes of the brightness (Lucas and Kanade 1981). A few convolutions say how far to trust
either, and correct them; the smooth spline that comes nearest to what they say is the mesh (common/stitching/mesh.py).
Without trust there is no shift: the homography.
"""
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.data.images import to_tensor
from common.stitching.mesh import better, cubic, flat, stiffness, unfold
from common.stitching.network import cost_volume, peak

SIDE = 256                         # of the square
MARGIN = 1 / 8                     # of the square, by which B's warp is seen beyond it: no shift is larger
CELL, STRIDE, RADIUS = 4, 2, 4     # pixels of a place; every other one is asked; places that the window reaches
ROUNDS = 3                         # of comparison and fit, each from what is known
FLAT = 2e-3                        # squared slope (contrast 1) that is half trusted
MORE = 1.0                         # places by which the convolutions may correct


class Overlap(NamedTuple):
    """What the network sees of a pair: the box of the overlap, squashed to S x S."""
    a: Tensor                      # (N, 3, S, S) in [0, 1]
    b: Tensor                      # (N, 3, 1.25 S, 1.25 S): B's warp, with the margin all round; 0 outside B
    mask: Tensor                   # (N, 1, 1.25 S, 1.25 S): 1 where B is


class OverlapFeatures(NamedTuple):
    """What both estimates compare; P = S / 4."""
    fine_a: Tensor                 # (N, 64, P, P) unit vectors
    fine_b: Tensor                 # (N, 64, 1.25 P, 1.25 P)
    there: Tensor                  # (N, 1, 1.25 P, 1.25 P): the share that is B
    gray_a: Tensor                 # (N, 1, S, S), of mean 0 and deviation 1
    gray_b: Tensor                 # (N, 1, 1.25 S, 1.25 S)
    mask: Tensor                   # (N, 1, 1.25 S, 1.25 S)


@torch.no_grad()
def extract_features(features, seen):
    """The OverlapFeatures of an Overlap. features: stage 1's (SmallHomography.features), of which the finer serve."""
    share = seen.mask.sum(dim=(2, 3), keepdim=True).clamp(1)
    mean_b = (seen.b * seen.mask).sum(dim=(2, 3), keepdim=True) / share
    whole = torch.where(seen.mask > 0.5, seen.b, mean_b)                # beyond B nothing is seen: no edge either
    gray_a, gray_b = (picture.mean(dim=1, keepdim=True) for picture in (seen.a, whole))
    deviation = ((gray_b - mean_b.mean(dim=1, keepdim=True)).square().sum(dim=(2, 3), keepdim=True) / share).sqrt()
    return OverlapFeatures(features(seen.a)[1].float(), features(whole)[1].float(), F.avg_pool2d(seen.mask, CELL),
                 (gray_a - gray_a.mean(dim=(2, 3), keepdim=True)) / (gray_a.std(dim=(2, 3), keepdim=True) + 0.02),
                 (gray_b - mean_b.mean(dim=1, keepdim=True)) / (deviation + 0.02), seen.mask)


class MeshHead(nn.Module):
    """OverlapFeatures -> a list of knots, one per round: (N, rows + 3, columns + 3, 2), shares of the square.
    67 thousand parameters.

    The last convolution begins at 0: then both estimates are believed as they are.
    """

    def __init__(self, width=48):
        super().__init__()
        layers = [nn.Conv2d((2 * RADIUS + 1) ** 2 + 7, width, 1), nn.ReLU(inplace=True)]
        for dilation in (1, 2, 4):
            layers += [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, 4, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.sharpness = nn.Parameter(torch.tensor(20.0))               # times cosine, into softmax

    def forward(self, known, cells=(16, 16), start=None):
        """cells: rows and columns of the mesh. start: knots to begin at, else none."""
        count, size = known.fine_a.shape[-1], known.gray_a.shape[-1]
        knots = known.gray_a.new_zeros(1, cells[0] + 3, cells[1] + 3, 2) if start is None else start
        rounds = []
        with torch.autocast(known.gray_a.device.type, enabled=False):
            for _ in range(ROUNDS):
                shift = spread(knots.detach(), count)                                   # (N, P, P, 2)
                finer = spread(knots.detach(), size)
                off, trust = self.compare(known, read(known.fine_b, shift), read(known.there, shift),
                                          read(known.gray_b, finer), read(known.mask, finer))
                knots = fit_smooth(shift[:, ::STRIDE, ::STRIDE] + off / count, trust, cells)
                rounds.append(knots)
        return rounds

    def compare(self, known, fine, there, gray, mask):
        """(by how much B, as it is read, is off (N, P / 2, P / 2, 2), places; how far to trust that, without the 2)."""
        with torch.no_grad():
            alike = fine.shape[1] * cost_volume(known.fine_a, fine, RADIUS, STRIDE)     # cosines
            inside = cost_volume(torch.ones_like(there), there, RADIUS, STRIDE)
            sloped, steep = slopes(known.gray_a, gray, mask)
        probability = (self.sharpness * alike + 30 * (inside - 1)).softmax(dim=1)
        peaked, mass = peak(probability.flatten(2).mT, RADIUS)
        peaked, mass = (each.mT.unflatten(2, alike.shape[2:]) for each in (peaked, mass[..., None]))
        here = there[..., ::STRIDE, ::STRIDE]
        said = self.last(self.body(torch.cat([alike * inside, peaked / RADIUS, mass, sloped, steep, here], dim=1)))
        peak_trust, slope_trust = (here * sure * torch.sigmoid(logit)
                                   for sure, logit in zip((mass, steep), said[:, 2:].split(1, dim=1)))
        trust = peak_trust + slope_trust
        off = (peak_trust * peaked + slope_trust * sloped) / trust.clamp(min=1e-9) + MORE * torch.tanh(said[:, :2])
        return off.permute(0, 2, 3, 1), trust[:, 0]


def slopes(a, b, mask):
    """(shifts (N, 2, P / 2, P / 2), in places, after which b shows what a shows; how sure in [0, 1)), by the slopes of
    the brightness (N, 1, S, S): least squares over 12 x 12 pixels, less where there is little slope."""
    both = F.pad((a + b) / 2, (1, 1, 1, 1), mode="replicate")
    across = (both[..., 1:-1, 2:] - both[..., 1:-1, :-2]) / 2
    down = (both[..., 2:, 1:-1] - both[..., :-2, 1:-1]) / 2
    off = a - b
    sums = torch.cat([across * across, across * down, down * down, across * off, down * off], dim=1) * mask
    side = CELL * STRIDE
    xx, xy, yy, x, y = F.avg_pool2d(sums, side + CELL, side, CELL, count_include_pad=False).split(1, dim=1)
    least = (xx + yy) / 2 - ((xx - yy).square() / 4 + xy.square()).sqrt()               # the smaller eigenvalue
    xx, yy = xx + FLAT, yy + FLAT
    shift = torch.cat([yy * x - xy * y, xx * y - xy * x], dim=1) / (xx * yy - xy * xy)
    return (shift / CELL).clamp(-1, 1), least / (least + FLAT)


def middles(count, cells, like, start=0, step=1):
    """The weights of cells + 3 knots in the middles of `count` equal parts of a side, from a part on and so many parts
    further each time: (parts, cells + 3)."""
    place = (torch.arange(start, count, step, dtype=like.dtype, device=like.device) + 0.5) / count * cells
    first = place.long().clamp(max=cells - 1)
    weights = place.new_zeros(len(place), cells + 3)
    near = first[:, None] + torch.arange(4, device=like.device)
    return weights.scatter(1, near, torch.stack(cubic(place - first), dim=1))


def spread(knots, count):
    """The shifts of knots (N, rows + 3, columns + 3, 2) on count x count places: (N, count, count, 2)."""
    down, across = (middles(count, cells - 3, knots) for cells in knots.shape[1:3])
    return torch.einsum("pr,nrcx,qc->npqx", down, knots, across)


def read(maps, shift):
    """Maps (N, C, h, h) of the square and its margin, read in the square's places moved by shift (N, P, P, 2)."""
    count = shift.shape[1]
    place = (torch.arange(count, dtype=shift.dtype, device=shift.device) + 0.5) / count
    places = torch.stack(torch.meshgrid(place, place, indexing="xy"), dim=-1) + shift
    return F.grid_sample(maps, 2 * (places + MARGIN) / (1 + 2 * MARGIN) - 1, align_corners=False)


def fit_smooth(wanted, trust, cells):
    """The knots that come nearest to shifts (N, P, P, 2), weighted by trust (N, P, P), and stay smooth: mesh.fit_knots
    on a grid. Where nothing is trusted they are 0; none is larger than MARGIN."""
    count, wanted, trust = trust.shape[1], wanted.double(), trust.double()
    down, across = (middles(STRIDE * count, side, wanted, step=STRIDE) for side in cells)
    pairs_down, pairs_across = ((each[:, :, None] * each[:, None]).flatten(1) for each in (down, across))
    rows, columns = down.shape[1], across.shape[1]
    normal = (pairs_down.T @ trust @ pairs_across).view(-1, rows, rows, columns, columns)
    normal = normal.permute(0, 1, 3, 2, 4).reshape(-1, rows * columns, rows * columns)
    normal = normal + count ** 2 / (cells[0] * cells[1]) * torch.from_numpy(stiffness(rows, columns)).to(normal)
    right = torch.einsum("pr,npqx,qc->nrcx", down, wanted * trust[..., None], across)
    knots = torch.cholesky_solve(right.flatten(1, 2), torch.linalg.cholesky(normal)).view_as(right)
    return knots.clamp(-MARGIN, MARGIN).float()


def crop_overlap(a, b, mesh, side=SIDE):
    """The Overlap (a batch of one) of two pictures (h, w, 3) uint8 in the box of a Mesh, B warped by its homography."""
    left, top, right, bottom = mesh.box
    wide = int(2 * side * (1 + 2 * MARGIN))                             # twice as fine, then the mean of four
    share = (np.arange(wide) + 0.5) / (2 * side) - MARGIN
    x, y = np.meshgrid(left - 0.5 + share * (right - left + 1), top - 0.5 + share * (bottom - top + 1))
    u, v = mesh._replace(knots=np.zeros_like(mesh.knots)).read(x, y)
    with np.errstate(invalid="ignore"):
        there = (u >= 0) & (v >= 0) & (u <= b.shape[1] - 1) & (v <= b.shape[0] - 1)
    inner = slice((wide - 2 * side) // 2, (wide + 2 * side) // 2)
    at = (a, x[inner, inner], y[inner, inner]), (b, np.where(there, u, -9), np.where(there, v, -9))
    small_a, small_b = (F.avg_pool2d(to_tensor(cv2.remap(picture, *(each.astype(np.float32) for each in places),
                                                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))[None], 2)
                        for picture, *places in at)
    mask = (F.avg_pool2d(torch.from_numpy(there).float()[None, None], 2) == 1).float()
    return Overlap(small_a, small_b * mask, mask)


@torch.inference_mode()
def bend_learnt(model, a, b, H_ba, device):
    """The Mesh that the network asks for, or None where the homography is better, or they hardly overlap."""
    straight = flat(a, b, H_ba)
    if straight is None:
        return None
    seen = Overlap(*(each.to(device) for each in crop_overlap(a, b, straight)))
    cells = tuple(side - 3 for side in straight.knots.shape[:2])
    mesh = unfold(as_mesh(model.mesh(extract_features(model.homography.features, seen), cells)[-1][0], straight))
    return mesh if better(a, b, mesh, straight) else None


def as_mesh(knots, straight):
    """The Mesh of knots (rows + 3, columns + 3, 2) that are shares of the square, on a flat one."""
    left, top, right, bottom = straight.box
    return straight._replace(knots=knots.double().cpu().numpy() * (right - left + 1, bottom - top + 1))
