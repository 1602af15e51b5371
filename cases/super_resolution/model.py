"""Super-resolution: residual blocks at low resolution, self-attention, sub-pixel convolution; and its discriminator.

Shapes: N batch, C channels, h, w height and width of the small picture, s the scale. Pictures are RGB in [0, 1]:
x (N, 3, h, w) in, y (N, 3, s h, s w) out, not clamped.

    network = SuperResolution(scales=(2, 4))
    y = network(x, scale=4)

The course's network is SRResNet (Ledig et al., 2017) with two self-attention modules (Zhang et al., SAGAN, 2019) on the
sub-pixel layer of Shi et al. (2016). MARDGAN's ideas, three kernel sizes at the entry and attention over channels and
space, are two switches of the small network.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

PLACES = 4096                                                 # keys that pooled attention compares with, at most
WINDOW = 16                                                   # side of the windows of attention
FULL = 64 * 64                                                # places up to which full attention is computed


class SelfAttention(nn.Module):
    """gamma * attended + x, gamma learnt from 0: every place gathers from all places that are like it.

    kind: full (a matrix of all places with all places), pooled (keys and values max-pooled by 2, or more until there
    are at most 4,096) or window (within windows of 16 x 16, moved by half a window where `shifted`). Query and key have
    C / 8 channels. full: 5,201 parameters at C = 64.
    """

    def __init__(self, channels, kind="full", window=WINDOW, shifted=False):
        super().__init__()
        self.kind, self.window, self.shifted = kind, window, shifted
        self.query, self.key = (nn.Conv2d(channels, max(1, channels // 8), 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x):                                                     # (N, C, h, w) -> (N, C, h, w)
        attend = {"full": self.attend_all, "pooled": self.attend_pooled, "window": self.attend_windows}[self.kind]
        return x + self.gamma * attend(self.query(x), self.key(x), self.value(x))

    def attend_all(self, query, key, value):
        """Each place's mean of the values of all places, by softmax of query . key."""
        if query[0, 0].numel() > FULL:
            raise ValueError(f"full attention over {query[0, 0].numel():,} places would need a matrix of their square: "
                             f"at most {FULL:,} places were expected: use attention=pooled or window, or smaller tiles")
        return weigh(query, key, value)

    def attend_pooled(self, query, key, value):
        """The same with keys and values max-pooled."""
        stride = self.stride(key.shape[2:])
        key, value = (F.max_pool2d(maps, stride, ceil_mode=True) for maps in (key, value))
        return weigh(query, key, value)

    def stride(self, size):
        """By how much keys are pooled in a picture of size (h, w): 2, or more until at most 4,096 places are left."""
        stride = 2
        while math.ceil(size[0] / stride) * math.ceil(size[1] / stride) > PLACES:
            stride += 1
        return stride

    def attend_windows(self, query, key, value):
        """The same within windows, which the picture is filled up to with zeros."""
        height, width = query.shape[2:]
        start = self.window // 2 if self.shifted else 0
        border = (start, -(width + start) % self.window, start, -(height + start) % self.window)
        maps = [F.pad(each, border) for each in (query, key, value)]
        there = F.pad(query.new_ones(1, 1, height, width), border)
        size = maps[0].shape[2:]
        inside = self.cut(there).flatten(2).log().repeat(len(query), 1, 1)    # -inf at what was filled up
        attended = weigh(*map(self.cut, maps), inside)
        return self.join(attended, len(query), size)[:, :, start:start + height, start:start + width]

    def cut(self, maps):
        """(N, C, H, W) -> (N windows, C, window, window)."""
        n, channels, height, width = maps.shape
        rows, columns = height // self.window, width // self.window
        cells = maps.view(n, channels, rows, self.window, columns, self.window).permute(0, 2, 4, 1, 3, 5)
        return cells.reshape(n * rows * columns, channels, self.window, self.window)

    def join(self, cells, n, size):
        """The inverse of cut."""
        rows, columns = size[0] // self.window, size[1] // self.window
        maps = cells.view(n, rows, columns, -1, self.window, self.window).permute(0, 3, 1, 4, 2, 5)
        return maps.reshape(n, -1, *size)


def weigh(query, key, value, allowed=None):
    """softmax(query . key) over the places of the keys, times the values, at the size of the queries.

    query: (N, D, h, w); key (N, D, h', w'), value (N, C, h', w'); allowed: (N, 1, h' w'), added before the softmax.
    Strip by strip of the queries, so that the matrix of all pairs is never there at once.
    """
    n, _, height, width = query.shape
    queries, keys, values = query.flatten(2).mT, key.flatten(2), value.flatten(2).mT
    strips = []
    for strip in queries.split(max(1, 2**24 // keys.shape[2]), dim=1):
        alike = torch.bmm(strip, keys)                                        # (N, places of the strip, h' w')
        if allowed is not None:
            alike = alike + allowed
        strips.append(torch.bmm(alike.softmax(dim=2), values))
    return torch.cat(strips, dim=1).mT.reshape(n, -1, height, width)


class SubPixel(nn.Sequential):
    """A convolution to s^2 times the channels; groups of s^2 become s x s pixels (Shi et al. 2016, eq. 4)."""

    def __init__(self, inputs, outputs, scale):
        super().__init__(nn.Conv2d(inputs, outputs * scale**2, 3, padding=1), nn.PixelShuffle(scale))


# ---- the paper's generator -------------------------------------------------------------------------------------------

class PaperBlock(nn.Module):
    """x + (3x3, BN, PReLU, 3x3, BN)."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.PReLU(),
                                  nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.body(x)


class PaperNetwork(nn.Module):
    """16 residual blocks, 3 convolutions, sub-pixel layers by 2 (by 3 for scale 3), two self-attention modules.

    The attention sits behind the eighth block and behind the last: the text does not say where. Scale 4: 1,549,462
    parameters without attention, 1,559,864 with it.
    """

    def __init__(self, scale, attention="full", channels=64, blocks=16):
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        body = []
        for place in range(blocks):
            body.append(PaperBlock(channels))
            if attention != "none" and place + 1 in (blocks // 2, blocks):
                body.append(SelfAttention(channels, attention, shifted=place + 1 == blocks))
        self.body = nn.Sequential(*body, nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        steps = [3] if scale == 3 else [2] * int(math.log2(scale))
        rise = [layer for factor in steps for layer in (SubPixel(channels, channels, factor), nn.PReLU())]
        self.rise = nn.Sequential(*rise, nn.Conv2d(channels, 3, 9, padding=4))
        self.halo, self.multiple = reach(4 + 2 * blocks + 1 + 6, attention, 2)

    def forward(self, x):
        first = self.entry(x)                                                 # (N, 64, h, w)
        return self.rise(first + self.body(first))                            # (N, 3, s h, s w)


# ---- the small generator ---------------------------------------------------------------------------------------------

class DualAttention(nn.Module):
    """Maps times an attention over channels, then over places (MARDGAN's dual attention in its plainest form)."""

    def __init__(self, channels):
        super().__init__()
        middle = max(4, channels // 8)
        self.channel = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, middle, 1), nn.ReLU(),
                                     nn.Conv2d(middle, channels, 1), nn.Sigmoid())
        self.place = nn.Sequential(nn.Conv2d(channels, 1, 7, padding=3), nn.Sigmoid())

    def forward(self, x):
        x = x * self.channel(x)
        return x * self.place(x)


class SmallBlock(nn.Module):
    """x + 3x3, PReLU, 3x3; no batch norm, which costs range and time here."""

    def __init__(self, channels, dual_attention=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(channels),
                                  nn.Conv2d(channels, channels, 3, padding=1))
        self.attention = DualAttention(channels) if dual_attention else nn.Identity()

    def forward(self, x):
        return x + self.attention(self.body(x))


class SmallNetwork(nn.Module):
    """What is added to the enlarged picture: blocks at low resolution, one sub-pixel layer by s at the end.

    attention: none, full, pooled or window, behind the last block. branches: 3x3, 5x5 and 7x7 at the entry instead of
    5x5. dual_attention: in each block.
    """

    def __init__(self, scale, channels=40, blocks=8, attention="none", branches=False, dual_attention=False):
        super().__init__()
        self.scale = scale
        self.entry = Branches(channels) if branches else nn.Conv2d(3, channels, 5, padding=2)
        self.body = nn.Sequential(*(SmallBlock(channels, dual_attention) for _ in range(blocks)),
                                  nn.Conv2d(channels, channels, 3, padding=1))
        self.attention = nn.Identity() if attention == "none" else SelfAttention(channels, attention)
        self.rise = SubPixel(channels, 3, scale)
        self.halo, self.multiple = reach(3 + 2 * blocks + 1 + 1 + 4, attention)

    def forward(self, x):
        first = self.entry(x)                                                 # (N, C, h, w)
        features = self.attention(first + self.body(first))
        return enlarge(x, self.scale) + self.rise(features)                   # (N, 3, s h, s w)


class Branches(nn.Module):
    """The entry on three paths, 3x3, 5x5 and 7x7, joined by a 1x1 convolution (MARDGAN's shallow features)."""

    def __init__(self, channels):
        super().__init__()
        self.paths = nn.ModuleList(nn.Conv2d(3, channels // 3, size, padding=size // 2) for size in (3, 5, 7))
        self.join = nn.Sequential(nn.PReLU(), nn.Conv2d(channels // 3 * 3, channels, 1))

    def forward(self, x):
        return self.join(torch.cat([path(x) for path in self.paths], dim=1))


def reach(convolutions, attention, modules=1):
    """(places around a tile that its answer depends on, what tiles must begin at multiples of): windows are in the same
    places then, and tiles are exact. Pooled and full attention see a tile at a time instead of the picture."""
    return (convolutions + modules * WINDOW, WINDOW) if attention == "window" else (convolutions, 1)


def enlarge(x, scale):
    """The bicubic picture of s times the size: what the small network's answer is added to."""
    return F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)


# ---- all scales ------------------------------------------------------------------------------------------------------

class SuperResolution(nn.Module):
    """A network per scale, in one file.

    arch: small, or paper. scales: of the networks inside. channels, blocks, attention, branches, dual_attention: of
    each, see SmallNetwork and PaperNetwork (which has no branches and no dual attention).
    """

    def __init__(self, arch="small", scales=(2,), channels=40, blocks=8, attention="none", branches=False,
                 dual_attention=False):
        super().__init__()
        more = {"branches": branches, "dual_attention": dual_attention} if arch == "small" else {}
        network = {"small": SmallNetwork, "paper": PaperNetwork}[arch]
        self.networks = nn.ModuleDict({str(scale): network(scale, channels=channels, blocks=blocks,
                                                           attention=attention, **more) for scale in scales})

    @property
    def scales(self):
        return [int(name) for name in self.networks]

    def forward(self, x, scale=None):
        """x (N, 3, h, w) in [0, 1] -> (N, 3, s h, s w); scale: one of `scales`, the only one where there is but one."""
        return self.networks[str(self.scales[0] if scale is None else scale)](x)


class Discriminator(nn.Module):
    """SRGAN's: eight convolutions, four of them with stride 2, two dense layers; one number a picture, no sigmoid.

    side: of its pictures, in pixels, a multiple of 16. width: of the first layer; 64 in the paper.
    """

    def __init__(self, side=96, width=64):
        super().__init__()
        layers, inputs = [], 3
        for place in range(8):
            outputs = width * 2 ** (place // 2)
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=1 + place % 2, padding=1))
            layers += [nn.BatchNorm2d(outputs)] * (place > 0) + [nn.LeakyReLU(0.2)]
            inputs = outputs
        self.convolutions = nn.Sequential(*layers)
        self.judge = nn.Sequential(nn.Flatten(), nn.Linear(inputs * (side // 16) ** 2, 16 * width), nn.LeakyReLU(0.2),
                                   nn.Linear(16 * width, 1))

    def forward(self, y):                                                     # (N, 3, side, side) -> (N,)
        return self.judge(self.convolutions(2 * y - 1)).flatten()
