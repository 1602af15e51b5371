"""The networks of unsupervised deep image stitching (Nie et al. 2021), and its stitching-domain transformer.

Pictures are (N, 3, H, W) in [0, 1]; conventions of homographies and offsets: common/stitching/geometry.py. A is image
1, the reference; B is image 2.

    model = UDIS(arch="small", form="mask", width=16)
    prediction = model(a, b)                    # a, b: (N, 3, 128, 128); prediction.offsets (N, 8), pixels
    warps = stitching_domain(a, b, H_ba)        # both pictures, of any size, on the smallest canvas that holds them
    stitched = model(warps)                     # stitched.low (N, 3, 256, 256), stitched.high (N, 3, H, W)
"""
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from cases.udis.mesh_learnt import MeshHead, OverlapFeatures
from common.stitching.geometry import STRICT, canvas, corners, homography_from_offsets, rescale, warp
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

SIDE = 128                        # of the pictures that the homography network sees
LOW = 256                         # of the low-resolution branch
HALO = 19                         # the high-resolution branch sees so far: a tile with this border is exact


# ---- stage 1: align --------------------------------------------------------------------------------------------------

class Regression(nn.Sequential):
    """From a cost volume to 8 offsets: three convolutions with the given strides, two dense layers, dropout between."""

    def __init__(self, shifts, width, strides, hidden):
        layers = []
        for inputs, stride in zip((shifts, width, width), strides):
            layers += [nn.Conv2d(inputs, width, 3, stride=stride, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(width * 16 * 16, hidden), nn.ReLU(inplace=True),
                         nn.Dropout(0.5), nn.Linear(hidden, 8))


class PaperHomography(nn.Module):
    """The paper's homography network: three levels, each correlates and regresses what the levels before left.

    188,778,072 parameters. Level 1 looks everywhere on maps of 16 x 16; levels 2 and 3 warp B's maps of 32 x 32 and 64
    x 64 by the sum so far and look nearby. The gradient passes through these warps.
    """

    def __init__(self):
        super().__init__()
        self.features = Features()
        self.radii = (16, 8, 4)
        sizes = ((512, (1, 1, 1), 1024), (256, (1, 1, 2), 512), (128, (1, 2, 2), 256))    # width, strides, hidden
        self.levels = nn.ModuleList(Regression((2 * radius + 1) ** 2, *size) for radius, size in zip(self.radii, sizes))
        initialise(self)

    def forward(self, a, b):
        gray = 2 * torch.cat([a, b]).mean(dim=1, keepdim=True) - 1                        # plain mean, [-1, 1]
        maps = [unit_length(each).chunk(2) for each in self.features(gray)[:0:-1]]        # (N, C, s, s), s = 16, 32, 64
        offsets, stages = torch.zeros(len(a), 8, dtype=torch.float64, device=a.device), []
        for (map_a, map_b), radius, regression in zip(maps, self.radii, self.levels):
            if stages:
                share = (map_b.shape[-1] / SIDE,) * 2
                map_b, _ = warp(map_b, rescale(guard(offsets)[0], share, share), map_b.shape[:1:-1])
            volume = F.leaky_relu(cost_volume(map_a, map_b, radius), 0.1)                 # (N, (2 r + 1)^2, s, s)
            offsets = offsets + regression(volume).double()
            stages.append(offsets)
        return Prediction(offsets, stages)


LIMIT = 112.0                     # pixels of 128: corners that a guarded homography moves farther stop there
CONVEX = 0.05                     # least turn at a corner of B's outline, over that of a square


def guard(offsets, limit=LIMIT):
    """(H_ba (N, 3, 3), how bad (N,)): finite and fair homographies, whatever the offsets (N, 8) of B, 128 x 128, are.

    Offsets beyond `limit` are cut; an outline that is not convex (so a point of B would lie behind the camera, or four
    corners on a line) has no homography: the identity stands in, without gradient. How bad: 0 for offsets that needed
    neither, growing with both, and differentiable: it leads back.
    """
    offsets = torch.nan_to_num(offsets.double(), nan=0.0, posinf=1e4, neginf=-1e4)
    cut = offsets.clamp(-limit, limit)
    corner = corners((SIDE, SIDE)).to(offsets.device) + cut.view(-1, 4, 2)
    corner = corner[:, [0, 1, 3, 2]] / SIDE                                               # round the outline
    before, after = corner - corner.roll(1, dims=1), corner.roll(-1, dims=1) - corner
    turn = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]                # (N, 4): 1 for a square
    bad = ((offsets - cut).abs() / SIDE).log1p().sum(dim=1) + F.relu(CONVEX - turn).sum(dim=1)
    convex = (turn >= CONVEX).all(dim=1, keepdim=True)
    return homography_from_offsets(torch.where(convex, cut, 0), (SIDE, SIDE)), bad


# ---- the stitching domain --------------------------------------------------------------------------------------------

def inside_depth(height, width, like):
    """Distance of each pixel's centre to the picture's border: (1, 1, H, W), at least 0.5."""
    x, y = (torch.arange(side, dtype=like.dtype, device=like.device) + 0.5 for side in (width, height))
    return torch.minimum(torch.minimum(x, width - x), torch.minimum(y, height - y)[:, None])[None, None]


def stitching_domain(a, b, H_ba, limit=64e6):
    """(Warps, origin) of one pair on the smallest whole-pixel canvas; A is copied, not interpolated.

    a: (1, 3, h, w); b: the same, of another size; H_ba: (1, 3, 3). Pixel (0, 0) of the canvas is the point `origin` of
    A's frame. UserError above `limit` pixels.
    """
    size_a, size_b = a.shape[:1:-1], b.shape[:1:-1]
    identity = torch.eye(3, dtype=torch.float64, device=H_ba.device)
    (width, height), origin = canvas([identity, H_ba[0]], [size_a, size_b], limit)
    left, top = -origin[0], -origin[1]
    room = (left, width - left - size_a[0], top, height - top - size_a[1])
    depth_a, depth_b = inside_depth(*a.shape[2:], a), inside_depth(*b.shape[2:], b)
    warped, mask = warp(torch.cat([b, depth_b], dim=1), H_ba, (width, height), origin)
    mask_b = mask >= STRICT
    warped = warped * mask_b
    mask_a = F.pad(torch.ones_like(depth_a, dtype=torch.bool), room)
    return Warps(F.pad(a, room), warped[:, :3], mask_a, mask_b, F.pad(depth_a, room), warped[:, 3:]), origin


# ---- stage 2: reconstruct --------------------------------------------------------------------------------------------

class HighResolution(nn.Module):
    """The high-resolution branch: a convolution, eight residual blocks, a convolution and the skip, a convolution.

    No activation at the end. 634,755 parameters at width 64 with 9 inputs and 3 outputs. 19 convolutions of 3 x 3 in
    sequence: a pixel sees 19 others around.
    """

    def __init__(self, inputs=9, width=64, outputs=3):
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True),
                                                  nn.Conv2d(width, width, 3, padding=1)) for _ in range(8))
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x):
        skip = F.relu(self.first(x))
        x = skip
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.last(F.relu(self.second(x) + skip))


class Stitched(NamedTuple):
    """What stage 2 makes of Warps, in [0, 1]; shares are A's part where both are, None where nothing decides."""
    low: Tensor                   # (N, 3, 256, 256)
    high: Tensor                  # (N, 3, H, W)
    share_low: Tensor | None = None
    share: Tensor | None = None
    narrow: float = 1.0           # k: the passage from one picture to the other is about 4 / k pixels wide


@torch.no_grad()
def wire(convolution, rows):
    """Make the first outputs of a 3 x 3 convolution sums of its inputs at the same place.

    rows: ({input: factor}, bias) of each output.
    """
    for out, (factors, bias) in enumerate(rows):
        convolution.weight[out], convolution.bias[out] = 0, bias
        for channel, factor in factors.items():
            convolution.weight[out, channel, 1, 1] = factor


class PaperReconstruction(nn.Module):
    """The paper's: the U-Net paints the canvas at 256 x 256, the second branch at full size.

    7,700,739 + 634,755 parameters at width 64.
    """

    def __init__(self, width=64):
        super().__init__()
        self.low, self.high = UNet(6, width), HighResolution(9, width)

    def start_as_copy(self):
        """Ours: weights with which both branches show the brighter of the two pictures, to about 0.02.

        So what one shows alone begins as a copy. u = a + 1 and d = max(b - a, 0) pass through the first channels, m = u
        + d; last comes a polygon that undoes the tanh. From random weights copying alone takes most of the training.
        Needs a width of 9.
        """
        rgb = range(3)
        brighter = [({c: 1}, 1) for c in rgb] + [({3 + c: 1, c: -1}, 0) for c in rgb]
        # of m, max(m - 1.7, 0), max(0.3 - m, 0)
        polygon = [({c: 1.15, 3 + c: 2.96, 6 + c: -2.96}, -1.15) for c in rgb]
        wire(self.high.first, brighter)
        for block in self.high.blocks:
            nn.init.zeros_(block[2].weight)
            nn.init.zeros_(block[2].bias)
        wire(self.high.second, [({3 + c: 1}, 0) for c in rgb] + [({c: 1}, -1.7) for c in rgb]
             + [({c: -1, 3 + c: -1, 6 + c: -1}, 0.3) for c in rgb])
        wire(self.high.last, polygon)  # the skip has added u, d and the seventh to ninth
        first, merge = self.low.down[0], self.low.merge[-1]
        wire(first[0], brighter)
        wire(first[2], [({c: 1, 3 + c: 1}, 0) for c in rgb])
        wire(merge[0], [({c: 1}, 0) for c in rgb] + [({c: 1}, -1.7) for c in rgb] + [({c: -1}, 0.3) for c in rgb])
        wire(merge[2], [({k: 1}, 0) for k in range(9)])
        wire(self.low.last, polygon)

    def look(self, warps):
        """What the low-resolution branch says of the whole canvas: S_l in [-1, 1]. The aspect is not kept."""
        small = warps.resize((LOW, LOW))
        return torch.tanh(self.low(2 * torch.cat([small.a, small.b], dim=1) - 1))

    def join(self, warps, hint):
        """(S_h in [0, 1], None) of a canvas or a part of it; hint: look()'s answer at its size."""
        answer = torch.tanh(self.high(torch.cat([2 * warps.a - 1, 2 * warps.b - 1, hint], dim=1)))
        return (answer + 1) / 2 * warps.union, None

    def forward(self, warps):
        hint = self.look(warps)
        high, _ = self.join(warps, enlarge(hint, warps.a.shape[2:]))
        return Stitched((hint + 1) / 2, high)


class MaskReconstruction(nn.Module):
    """Ours: both branches decide instead of painting: each pixel of the overlap is A's, B's, or between.

    What only one picture shows is copied. The share of A is sigmoid(k ((1 + r) d_a - (1 - r) d_b) / 2), d the depths
    inside the pictures, r in (-1, 1) what the branches say: a seam that begins (r = 0) on the line of equal depth and
    is moved by r, with a passage of about 4 / k pixels. At B's border A's share is near 1 and at A's near 0 whatever
    they say. The low-resolution branch is asked both ways round and the difference counts: neither picture can be
    preferred for being the first. Once trained, islands are given back (remove_islands). width 16: 482,881 + 40,897
    parameters.
    """
    NARROW, REACH = 0.6, 0.95     # k; largest r: one depth is then 39 times the other

    def __init__(self, width=16):
        super().__init__()
        self.low, self.high = UNet(8, width, outputs=1), HighResolution(9, width, outputs=1)
        for last in (self.low.last, self.high.last):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @staticmethod
    def inputs(warps):
        """Both pictures and both masks."""
        masks = torch.cat([warps.mask_a, warps.mask_b], dim=1).to(warps.a.dtype)
        return torch.cat([2 * warps.a - 1, 2 * warps.b - 1, masks], dim=1)

    def share(self, warps, answer, narrow=NARROW):
        """A's share (N, 1, H, W) from what the branches say."""
        r = self.REACH * torch.tanh(answer.float())
        of_a = torch.sigmoid(narrow / 2 * ((1 + r) * warps.depth_a - (1 - r) * warps.depth_b))
        return torch.where(warps.overlap, of_a, warps.mask_a.to(of_a.dtype))

    def ask(self, small):
        """What the low-resolution branch says of warps of 256 x 256; the opposite when their roles are exchanged."""
        return self.low(self.inputs(small)) - self.low(self.inputs(small.exchange()))

    def look(self, warps):
        """The same of a whole canvas, whose aspect is not kept."""
        return self.ask(warps.resize((LOW, LOW)))

    def join(self, warps, hint, narrow=NARROW):
        """(picture, share of A) of a canvas or a part of it; hint: look()'s answer, which the high branch corrects."""
        detail = 0.3 * torch.tanh(self.high(torch.cat([self.inputs(warps), hint], dim=1)))
        share = self.share(warps, hint + detail, narrow)
        return warps.join(share), share

    def forward(self, warps):
        """Stitched. While training the passage is up to eight times as wide: a seam must feel what lies beside it."""
        narrow = self.NARROW * (8 ** -torch.rand(()).item() if self.training else 1)
        small, hint = warps.resize((LOW, LOW)), self.look(warps)
        share_low = self.share(small, hint, narrow)
        high, share = self.join(warps, enlarge(hint, warps.a.shape[2:]), narrow)
        if not self.training:
            share = remove_islands(share, warps)
            high = warps.join(share)
        return Stitched(small.join(share_low), high, share_low, share, narrow)


ATTACHED = 16                     # pixels that a picture must show alone for what touches them to be its own
AROUND = 4                        # width of the passage round an island


def remove_islands(share, warps):
    """A's share without islands: parts that one picture won though they touch nothing that it shows alone.

    A cut round an island is one cut too many: its inside, and the passage round it, goes to the other picture. share:
    (N, 1, H, W). A picture that shows nothing alone keeps what it won.
    """
    share = share.clone()
    for n in range(len(share)):
        for mine, other, lost_to in ((warps.mask_a, warps.mask_b, 0.0), (warps.mask_b, warps.mask_a, 1.0)):
            both, alone = (mine & other)[n, 0], (mine & ~other)[n, 0]
            won = (share[n, 0] < 0.5) == bool(lost_to)
            parts, count = ndimage.label((alone | both & won).cpu().numpy(), np.ones((3, 3)))
            held = np.bincount(parts[alone.cpu().numpy()], minlength=count + 1)
            lost = torch.from_numpy((parts > 0) & (held[parts] < ATTACHED)).to(both.device) & both
            if (held >= ATTACHED).any() and lost.any():
                around = F.max_pool2d(lost[None].float(), 2 * AROUND + 1, 1, AROUND)[0].bool() & both & (lost | ~won)
                share[n, 0][around] = lost_to
    return share


def enlarge(hint, size):
    """The low-resolution answer at the canvas's (height, width)."""
    return F.interpolate(hint, size, mode="bilinear", align_corners=False)


class UDIS(nn.Module):
    """Both stages, and, where `mesh` is true, a mesh between them (arch=small alone: it stands on its features).

    arch: paper (188,778,072 parameters) or small (1.1 M); form: paper (repaints) or mask (decides); width: of stage 2.
    """

    def __init__(self, arch="small", form="mask", width=16, mesh=False):
        super().__init__()
        self.homography = {"paper": PaperHomography, "small": SmallHomography}[arch]()
        self.reconstruction = {"paper": PaperReconstruction, "mask": MaskReconstruction}[form](width)
        self.mesh = MeshHead() if mesh else None

    def forward(self, a, b=None, **more):
        """Prediction of the offsets of pictures a, b (N, 3, 128, 128); Stitched of Warps; knots of
        OverlapFeatures."""
        if isinstance(a, OverlapFeatures):
            return self.mesh(a, **more)
        return self.reconstruction(a) if b is None else self.homography(a, b)
