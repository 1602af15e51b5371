"""MSR-net: a multi-scale logarithm, a difference of convolutions and a colour restoration, Y = f3(f2(f1(X))).

Shapes: N batch, h, w height and width, K = 10 layers of the cascade, n = 4 logarithms. Pictures are RGB in [0, 1], (N, 3, h, w).
Names follow the paper's indices: W_-1 and W_0 are `fuse`, W_1 .. W_K `cascade`, W_{K+1} `average`, W_{K+2} `restore`.
Shen, Yue, Feng, Chen, Liu, Ma: MSR-net: Low-light Image Enhancement Using Deep Convolutional Network, arXiv 1711.02488.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Stages(NamedTuple):
    """Every intermediate picture of MSR-net, by the paper's letters. X1 and X2 are unbounded: scale them for display."""
    logs: torch.Tensor           # M, (N, 3 n, h, w): all RGB of the first v, then of the next
    x1: torch.Tensor             # output of the multi-scale logarithm, (N, 3, h, w); may be negative
    cascade: list                # H_1 .. H_K, each (N, 32, h, w); for the U-shaped variant its last feature map alone
    illumination: torch.Tensor   # H_{K+1}, (N, 3, h, w)
    x2: torch.Tensor             # X1 - H_{K+1}, (N, 3, h, w)
    y: torch.Tensor              # colour-restored picture, (N, 3, h, w); clamp it to [0, 1] to write it


class MultiScaleLog(nn.Module):
    """M_j = ln(1 + v_j X) / ln(1 + v_j) for each v_j, one after the other along the channels: 0 stays 0 and 1 stays 1."""

    def __init__(self, scales=(1, 10, 100, 300)):
        super().__init__()
        self.scales = tuple(float(scale) for scale in scales)

    def forward(self, x):                                                     # (N, 3, h, w) -> (N, 3 n, h, w)
        one = torch.ones((), dtype=torch.float64)
        return torch.cat([torch.log1p(v * x) / torch.log1p(v * one).item() for v in self.scales], dim=1)


class Cascade(nn.Module):
    """f2 of the paper: K convolutions one after the other; all their outputs are averaged by a 1x1 convolution.

    A Gaussian of a Gaussian is a wider Gaussian: the K outputs are K surrounds of growing size, learnt instead of given.
    """

    def __init__(self, channels=32, dilations=(1,) * 10):
        super().__init__()
        inputs = [3] + [channels] * (len(dilations) - 1)
        self.layers = nn.ModuleList(nn.Conv2d(size, channels, 3, padding=d, dilation=d) for size, d in zip(inputs, dilations))
        self.average = nn.Conv2d(channels * len(dilations), 3, 1)
        he_normal(self)
        self.average.weight.data *= 0.1                                       # the start is "X1 minus little"
        self.reach = sum(dilations)                                           # pixels that one output sees to each side
        self.stride = 1

    def maps(self, x1):
        """H_1 .. H_K, each (N, channels, h, w)."""
        h, outputs = x1, []
        for layer in self.layers:
            h = F.relu(layer(h))
            outputs.append(h)
        return outputs

    def forward(self, x1, logs=None, code=None):                              # H_{K+1} and the maps it is the average of
        outputs = self.maps(x1)
        return self.average(torch.cat(outputs, dim=1)), outputs

    def restored(self, x1, restore):
        """W_{K+2} (X1 - H_{K+1}) without the 320-channel map: each H_m is averaged and colour-restored as soon as it is there.

        Both 1x1 layers are linear, so W_{K+2} W_{K+1} is one matrix, of which each map needs its own 32 columns. In training and in
        use this is the same sum as stages(), in another order (equal to 1e-6), in a tenth of the memory.
        """
        colour = restore.weight.flatten(1)                                    # (3, 3)
        folded = (colour @ self.average.weight.flatten(1))[:, :, None, None]  # (3, 32 K, 1, 1)
        y = F.conv2d(x1, restore.weight, restore.bias - colour @ self.average.bias)
        h, channels = x1, self.layers[0].out_channels
        for layer, part in zip(self.layers, folded.split(channels, dim=1)):
            h = F.relu(layer(h))
            y = y - F.conv2d(h, part)
        return y


class Modulated(nn.Module):
    """Two 3x3 convolutions around which the input passes by; the picture's code scales and shifts the features between them."""

    def __init__(self, channels, code):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(code, 2 * channels) if code else None

    def forward(self, x, code):                                               # (N, C, h, w), (N, code) or None
        features = self.first(x)
        if self.modulation is not None:
            scale, shift = self.modulation(code)[:, :, None, None].chunk(2, dim=1)
            features = features * (1 + scale) + shift
        return x + self.second(F.leaky_relu(features, 0.01))


class UNet(nn.Module):
    """f2 of the denoising variant (not in the paper): the surrounds come from halved pictures instead of longer cascades.

    Reads the logs folded 2x2 to half size, halves twice more, and comes back with the features of each size added; together with X1 a
    last pair of convolutions gives H_{K+1}. What is noise in X1 has to be found in H_{K+1}, to be subtracted.
    """

    def __init__(self, logs, widths=(32, 64, 96), code=0):
        super().__init__()
        self.enter = nn.Conv2d(4 * logs, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(Modulated(width, code) for width in widths[:-1])
        self.halve = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:]))
        self.bottom = Modulated(widths[-1], code)
        self.enlarge = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in zip(widths, widths[1:]))
        self.decoder = nn.ModuleList(Modulated(width, code) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], 4 * 16, 1)
        self.join = nn.Conv2d(16 + 3, 16, 3, padding=1)
        self.average = nn.Conv2d(16, 3, 3, padding=1)
        he_normal(self)
        for block in self.modules():
            if isinstance(block, Modulated):
                block.second.weight.data *= 0.2                               # residual blocks start near the identity
                if block.modulation is not None:
                    nn.init.zeros_(block.modulation.weight)
                    nn.init.zeros_(block.modulation.bias)
        self.average.weight.data *= 0.1
        self.stride = 2 ** len(widths)
        self.reach = 16 * self.stride                                         # an upper bound, held by a test

    def forward(self, x1, logs, code):
        features, skipped = self.enter(F.pixel_unshuffle(logs, 2)), []        # (N, 32, h/2, w/2)
        for block, halve in zip(self.encoder, self.halve):
            features = block(features, code)
            skipped.append(features)
            features = halve(features)
        features = self.bottom(features, code)                                # (N, 96, h/8, w/8)
        for block, enlarge, skip in zip(reversed(self.decoder), reversed(self.enlarge), reversed(skipped)):
            features = block(F.pixel_shuffle(enlarge(features), 2) + skip, code)
        features = F.pixel_shuffle(self.leave(features), 2)                   # (N, 16, h, w)
        features = F.leaky_relu(self.join(torch.cat([features, x1], dim=1)), 0.01)
        return self.average(features), [features]


class Exposure(nn.Module):
    """A code of the whole picture's exposure from its 32x32 thumbnail (not in the paper): how bright it is, and where.

    A window of 23 pixels cannot know whether a dark spot lies in a dark room or in a shadow; the thumbnail can.
    """

    def __init__(self, scales, code=64):
        super().__init__()
        self.logarithm = MultiScaleLog(scales)
        self.convolutions = nn.Sequential(
            nn.Conv2d(3 * len(scales), 24, 3, stride=2, padding=1), nn.LeakyReLU(0.01),
            nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.LeakyReLU(0.01),
            nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.LeakyReLU(0.01))
        self.code = nn.Linear(2 * 48, code)
        he_normal(self)

    def forward(self, thumbnail):                                             # (N, 3, 32, 32) -> (N, code)
        features = self.convolutions(self.logarithm(thumbnail))
        return F.leaky_relu(self.code(torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)), 0.01)


class MSRNet(nn.Module):
    """MSR-net. `illumination="cascade", exposure=False` is the paper's network: 86,386 parameters, window 23 x 23.

    scales: the v_j of the logarithms. fuse_channels: outputs of W_-1 (3 is the literal reading of the paper: 85,226 parameters).
    dilations: one per layer of the cascade; its length is K. illumination: `cascade`, or `unet` for the denoising variant with `widths`.
    exposure: whether a thumbnail of the whole picture steers the U-shaped variant.
    Initial values (the paper gives none): He-normal, biases 0, W_11 times 0.1, W_12 the identity.
    """

    def __init__(self, scales=(1, 10, 100, 300), channels=32, fuse_channels=32, dilations=(1,) * 10,
                 illumination="cascade", widths=(32, 64, 96), exposure=False):
        super().__init__()
        if exposure and illumination != "unet":
            raise ValueError("exposure=True needs illumination='unet': the paper's cascade has no place for a code")
        self.logarithm = MultiScaleLog(scales)
        self.fuse = nn.Sequential(nn.Conv2d(3 * len(scales), fuse_channels, 1), nn.ReLU(),
                                  nn.Conv2d(fuse_channels, 3, 3, padding=1))
        he_normal(self.fuse)
        self.exposure = Exposure(scales) if exposure else None
        if illumination == "cascade":
            self.illumination = Cascade(channels, dilations)
        else:
            self.illumination = UNet(3 * len(scales), widths, 64 if exposure else 0)
        self.restore = nn.Conv2d(3, 3, 1)
        self.restore.weight.data.copy_(torch.eye(3)[:, :, None, None])
        nn.init.zeros_(self.restore.bias)

    @property
    def halo(self):
        """How many pixels around a tile its result may depend on: 11 for the paper's network (window 2 * 11 + 1 = 23)."""
        return 1 + self.illumination.reach

    @property
    def stride(self):
        """Tiles must start at multiples of this, so that halved pictures stay on their grid."""
        return self.illumination.stride

    def stages(self, x, thumbnail=None):
        """Every stage of a picture, as the paper writes it. x: (N, 3, h, w) in [0, 1], any size. Returns Stages.

        thumbnail: (N, 3, 32, 32) of the whole picture where x is a part of it; otherwise taken from x. Only exposure=True uses it.
        """
        height, width = x.shape[-2:]
        code = self.exposure(thumbnail_of(x) if thumbnail is None else thumbnail) if self.exposure is not None else None
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate") if self.stride > 1 else x
        logs = self.logarithm(x)
        x1 = self.fuse(logs)
        illumination, maps = self.illumination(x1, logs, code)
        x2 = x1 - illumination
        y = self.restore(x2)
        cut = [tensor[..., :height, :width] for tensor in (logs, x1, illumination, x2, y)]
        return Stages(cut[0], cut[1], [m[..., :height, :width] for m in maps], *cut[2:])

    def forward(self, x, thumbnail=None):
        """Y, (N, 3, h, w), not clamped: the last stage of stages(), cheaper for the paper's network."""
        if isinstance(self.illumination, Cascade):
            return self.illumination.restored(self.fuse(self.logarithm(x)), self.restore)
        return self.stages(x, thumbnail).y


def thumbnail_of(x):
    """The area average of whole pictures on a 32 x 32 grid: (N, 3, h, w) -> (N, 3, 32, 32)."""
    return F.adaptive_avg_pool2d(x, 32)


def he_normal(module):
    """He-normal weights and zero biases for every convolution and linear layer in module."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
