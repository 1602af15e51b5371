"""The view-free stitching network (Nie et al. 2020): homography, structure stitching, content revision.

Pictures are (N, 3, 128, 128) in [0, 1]; conventions of homographies and offsets: common/stitching/geometry.py. One
interface for both architectures:

    model = ViewFreeStitch(arch="small")
    prediction = model(a, b)                     # prediction.offsets (N, 8), pixels
    stitched = model(a, b, prediction.offsets)   # stitched.warps, stitched.revised (N, 3, 304, 304)
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.stitching.geometry import STRICT, homography_from_offsets, warp
from common.stitching.network import (
    Features,
    Prediction,
    SmallHomography,
    UNet,
    cost_volume,
    initialise,
    unit_length,
)
from common.stitching.warps import Warps

SIDE = 128
CANVAS, MARGIN = 304, 88          # the canvas holds every case of the generator; A begins at (MARGIN, MARGIN)


class PaperHomography(nn.Module):
    """The paper's homography network: shared features, global correlation, regression of the offsets.

    144,593,224 parameters. Three pools, not four: 128 -> 16. The correlation is the mean over 128 channels, so its
    values are at most 1/128.
    """

    def __init__(self, radius=16):
        super().__init__()
        self.radius = radius
        self.features = Features()
        shifts = (2 * radius + 1) ** 2
        self.convolutions = nn.Sequential(*(layer for inputs in (shifts, 512, 512)
                                            for layer in (nn.Conv2d(inputs, 512, 3, padding=1), nn.ReLU(inplace=True))))
        self.regression = nn.Sequential(nn.Linear(512 * 16 * 16, 1024), nn.ReLU(inplace=True), nn.Dropout(0.5),
                                        nn.Linear(1024, 8))
        initialise(self)

    def forward(self, a, b):
        gray = 2 * torch.cat([a, b]).mean(dim=1, keepdim=True) - 1                        # plain mean, [-1, 1]
        maps_a, maps_b = unit_length(self.features(gray)[-1]).chunk(2)                    # (N, 128, 16, 16) each
        volume = F.leaky_relu(cost_volume(maps_a, maps_b, self.radius), 0.1)              # (N, 1089, 16, 16)
        offsets = self.regression(self.convolutions(volume).flatten(1)).double()          # (N, 8)
        return Prediction(offsets, [offsets])


def structure_stitch(a, b, H_ba, size=(CANVAS, CANVAS), origin=(-MARGIN, -MARGIN)):
    """Warps of A by the identity and of B by H_ba (paper, section 3.3). Pixel (0, 0) is the point `origin` of A."""
    identity = torch.eye(3, dtype=torch.float64, device=a.device)[None]
    (warp_a, mask_a), (warp_b, mask_b) = warp(a, identity, size, origin), warp(b, H_ba, size, origin)
    mask_a, mask_b = mask_a >= STRICT, mask_b >= STRICT
    return Warps(warp_a * mask_a, warp_b * mask_b, mask_a, mask_b)


class PaperRevision(nn.Module):
    """The paper's content revision: a U-Net paints the picture anew from both warps and their average.

    7,702,467 parameters at width 64.
    """

    def __init__(self, width=64):
        super().__init__()
        self.network = UNet(9, width)

    def forward(self, warps):
        pictures = torch.cat([warps.a, warps.b, warps.average()], dim=1)                  # (N, 9, H, W)
        return (torch.tanh(self.network(2 * pictures - 1)) + 1) / 2


def disagreement(warps):
    """How far the warps are from agreeing: mean |A - B| over the mean step of A to its neighbours, where both are.

    (N, 1, 1, 1); 1 without overlap. About 0.4 when they lie upon each other (interpolation alone), 0.55 half a pixel
    off, 1.2 two pixels off (46 generated pairs each).
    """
    both = warps.overlap.to(warps.a.dtype)
    difference = ((warps.a - warps.b).abs() * both).sum(dim=(1, 2, 3), keepdim=True)
    beside = (warps.a.diff(dim=-1).abs() * both[..., 1:] * both[..., :-1]).sum(dim=(1, 2, 3), keepdim=True)
    below = (warps.a.diff(dim=-2).abs() * both[..., 1:, :] * both[..., :-1, :]).sum(dim=(1, 2, 3), keepdim=True)
    steps = (beside + below) / 2
    return torch.where(steps > 0, difference / steps.clamp(min=1e-6), 1)


class SmallRevision(nn.Module):
    """Ours: the same U-Net decides instead of painting: whose a pixel of the overlap is, and a small correction of B.

    Starts as the plain average. A is never touched: it is the reference, and a correction that must be nothing over
    most of the canvas learns to be nothing everywhere. B is corrected (sharpened: interpolation blurs) only as far as
    the warps agree: fully up to a disagreement of 0.45, not at all from 0.58. width 12: 271,000 parameters.
    """

    def __init__(self, width=12):
        super().__init__()
        self.network = UNet(11, width, outputs=4)
        nn.init.zeros_(self.network.last.weight)
        nn.init.zeros_(self.network.last.bias)

    def forward(self, warps):
        masks = torch.cat([warps.mask_a, warps.mask_b], dim=1).to(warps.a.dtype)
        answer = self.network(torch.cat([2 * warps.a - 1, 2 * warps.b - 1, 2 * warps.average() - 1, masks], dim=1))
        share = torch.sigmoid(answer[:, :1])                                              # of A, where both are
        trust = ((0.58 - disagreement(warps)) / 0.13).clamp(0, 1)
        corrected = warps._replace(b=warps.b + 0.2 * trust * torch.tanh(answer[:, 1:]))   # (N, 3, H, W)
        return corrected.join(share) * warps.union


class Stitched(NamedTuple):
    """What stages 2 and 3 make of a pair: H_ba (N, 3, 3), Warps, and the revised picture (N, 3, 304, 304)."""
    H_ba: Tensor
    warps: Warps
    revised: Tensor


class ViewFreeStitch(nn.Module):
    """All three stages.

    arch: paper (144,593,224 + 7,702,467 parameters at width 64) or small (1.1 M + 0.27 M at width 12).
    """

    def __init__(self, arch="small", width=12):
        super().__init__()
        self.homography = {"paper": PaperHomography, "small": SmallHomography}[arch]()
        self.revision = {"paper": PaperRevision, "small": SmallRevision}[arch](width)

    def forward(self, a, b, offsets=None, window=(0, 0, CANVAS)):
        """Prediction of the offsets; where offsets (N, 8) are given, Stitched by them.

        window: (left, top, side), a part of the canvas.
        """
        if offsets is None:
            return self.homography(a, b)
        H_ba = homography_from_offsets(offsets, (SIDE, SIDE))
        left, top, side = window
        warps = structure_stitch(a, b, H_ba, (side, side), (left - MARGIN, top - MARGIN))
        return Stitched(H_ba, warps, self.revision(warps))
