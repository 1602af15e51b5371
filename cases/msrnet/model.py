"""MSR-net: a multi-scale logarithm, a difference of convolutions and a colour restoration, Y = f3(f2(f1(X))).

Shapes: N batch, h, w height and width, K = 10 layers of the cascade, n = 4 logarithms. Pictures are RGB in [0, 1],
(N, 3, h, w). Names follow the paper's indices: W_-1 and W_0 are `fuse`, W_1 .. W_K `cascade.layers`, W_{K+1}
`cascade.average`, W_{K+2} `restore`.

Shen, Yue, Feng, Chen, Liu, Ma: MSR-net: Low-light Image Enhancement Using Deep Convolutional Network, arXiv 1711.02488.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from common.lowlight.share import Share


class Stages(NamedTuple):
    """Every intermediate picture of MSR-net, by the paper's letters. X1 and X2 are unbounded: scale them to show."""
    logs: torch.Tensor           # M, (N, 3 n, h, w): all RGB of the first v, then of the next
    x1: torch.Tensor             # output of the multi-scale logarithm, (N, 3, h, w); may be negative
    cascade: list                # H_1 .. H_K, each (N, 32, h, w)
    illumination: torch.Tensor   # H_{K+1}, (N, 3, h, w)
    x2: torch.Tensor             # X1 - H_{K+1}, (N, 3, h, w)
    y: torch.Tensor              # colour-restored picture, (N, 3, h, w); clamp it to [0, 1] to write it


class MultiScaleLog(nn.Module):
    """M_j = ln(1 + v_j X) / ln(1 + v_j) for each v_j, one after the other along the channels: 0 and 1 stay."""

    def __init__(self, scales=(1, 10, 100, 300)):
        super().__init__()
        self.scales = tuple(float(scale) for scale in scales)

    def forward(self, x):                                                     # (N, 3, h, w) -> (N, 3 n, h, w)
        one = torch.ones((), dtype=torch.float64)
        return torch.cat([torch.log1p(v * x) / torch.log1p(v * one).item() for v in self.scales], dim=1)


class Modulation(nn.Module):
    """features * (1 + scale) + shift, both from the picture's code; at the start no change (not in the paper)."""

    def __init__(self, code, channels):
        super().__init__()
        self.linear = nn.Linear(code, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features, code):                                        # (N, C, h, w), (N, code) -> (N, C, h, w)
        scale, shift = self.linear(code)[:, :, None, None].chunk(2, dim=1)
        return features * (1 + scale) + shift


class Cascade(nn.Module):
    """f2: K convolutions one after the other; all their outputs are averaged by a 1x1 convolution.

    A Gaussian of a Gaussian is a wider Gaussian: the K outputs are K surrounds of growing size, learnt, not given.
    code: width of the picture's code that modulates every layer; 0 for the paper's cascade.
    """

    def __init__(self, channels=32, dilations=(1,) * 10, code=0):
        super().__init__()
        inputs = [3] + [channels] * (len(dilations) - 1)
        self.layers = nn.ModuleList(nn.Conv2d(size, channels, 3, padding=d, dilation=d)
                                    for size, d in zip(inputs, dilations))
        self.average = nn.Conv2d(channels * len(dilations), 3, 1)
        he_normal(self)
        self.average.weight.data *= 0.1                                       # the start is "X1 minus little"
        self.modulations = (nn.ModuleList(Modulation(code, channels) for _ in dilations) if code
                            else [None] * len(dilations))

    def maps(self, x1, code=None):
        """Yield H_1 .. H_K, each (N, channels, h, w); every layer reads the one before."""
        h = x1
        for layer, modulation in zip(self.layers, self.modulations):
            h = layer(h)
            h = F.relu(h if modulation is None else modulation(h, code), inplace=True)
            yield h


class Exposure(nn.Module):
    """A code of the whole picture's exposure, from the logarithms of its 32x32 thumbnail (not in the paper).

    A window of some pixels cannot know whether a dark spot lies in a dark room or in a shadow; the thumbnail can.
    """

    def __init__(self, logs, code=64):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(logs, 24, 3, padding=1), nn.LeakyReLU(0.01),
            nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.LeakyReLU(0.01),
            nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.LeakyReLU(0.01))
        self.code = nn.Linear(2 * 48, code)
        he_normal(self)

    def forward(self, logs):                                                  # (N, 3 n, 32, 32) -> (N, code)
        features = self.convolutions(logs)                                    # (N, 48, 8, 8)
        return F.leaky_relu(self.code(torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)), 0.01)


class MSRNet(nn.Module):
    """MSR-net. The defaults are the paper's network, whose window is 23 x 23 pixels.

    scales: the v_j of the logarithms. fuse_channels: outputs of W_-1; 3 is the literal reading of the paper.
    channels: of each layer of the cascade. dilations: one per layer; their number is K. exposure: a thumbnail of the
    whole picture modulates all layers but the 1x1 averages, and says how much of the answer a bright picture gets, once
    that is fitted (the denoising variant). Initial values (the paper gives
    none): He-normal, biases 0, W_11 times 0.1, W_12 the identity.
    86,386 parameters, 85,226 with fuse_channels=3, 161,786 in the denoising variant
    (tests/cases/msrnet/test_msrnet_model.py: test_counts_of_the_specified_table).
    """

    CODE = 64                                                                 # numbers in the exposure's code

    def __init__(self, scales=(1, 10, 100, 300), channels=32, fuse_channels=32, dilations=(1,) * 10, exposure=False):
        super().__init__()
        logs = 3 * len(scales)
        self.logarithm = MultiScaleLog(scales)
        self.exposure = Exposure(logs, self.CODE) if exposure else None
        self.share = Share() if exposure else None
        self.fuse = nn.Sequential(nn.Conv2d(logs, fuse_channels, 1), nn.ReLU(),
                                  nn.Conv2d(fuse_channels, 3, 3, padding=1))
        he_normal(self.fuse)
        self.modulation = Modulation(self.CODE, fuse_channels) if exposure else None
        self.cascade = Cascade(channels, dilations, self.CODE * exposure)
        self.restore = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(self.restore.weight)
        nn.init.zeros_(self.restore.bias)
        self.halo = 1 + sum(dilations)                                        # pixels around a tile that it depends on

    def fuse_logs(self, x, thumbnail=None):
        """f1: (M, X1, code). The code is None without exposure."""
        logs = self.logarithm(x)
        if self.exposure is None:
            return logs, self.fuse(logs), None
        code = self.exposure(self.logarithm(thumbnail_of(x) if thumbnail is None else thumbnail))
        features = self.modulation(self.fuse[0](logs), code)
        return logs, self.fuse[2](self.fuse[1](features)), code

    def leave_bright(self, x, y, thumbnail):
        """y, or of a bright picture only its share, with exposure."""
        if self.share is None:
            return y
        return self.share.blend(x, y, thumbnail_of(x) if thumbnail is None else thumbnail)

    def stages(self, x, thumbnail=None):
        """Every stage of a picture, as the paper writes it. x: (N, 3, h, w) in [0, 1], any size. Returns Stages.

        thumbnail: (N, 3, 32, 32) of the whole picture, where x is a part of it; without it x is taken for the whole.
        """
        logs, x1, code = self.fuse_logs(x, thumbnail)
        maps = list(self.cascade.maps(x1, code))
        illumination = self.cascade.average(torch.cat(maps, dim=1))           # H_{K+1}
        x2 = x1 - illumination
        return Stages(logs, x1, maps, illumination, x2, self.leave_bright(x, self.restore(x2), thumbnail))

    def forward(self, x, thumbnail=None):
        """Y, (N, 3, h, w), not clamped: stages(x).y without the 320-channel map, in a tenth of the memory.

        Both 1x1 layers are linear, so W_{K+2} W_{K+1} is one matrix, of which each H_m needs its own 32 columns: it is
        averaged and colour-restored as soon as it is there. The same sum in another order, equal to 1e-6.
        """
        _, x1, code = self.fuse_logs(x, thumbnail)
        colour, average = self.restore.weight.flatten(1), self.cascade.average           # (3, 3)
        folded = (colour @ average.weight.flatten(1))[:, :, None, None]                  # (3, 32 K, 1, 1)
        y = F.conv2d(x1, self.restore.weight, self.restore.bias - colour @ average.bias)
        for h, columns in zip(self.cascade.maps(x1, code), folded.chunk(len(self.cascade.layers), dim=1)):
            y -= F.conv2d(h, columns)
        return self.leave_bright(x, y, thumbnail)


def thumbnail_of(x):
    """The area average of whole pictures on a 32 x 32 grid: (N, 3, h, w) -> (N, 3, 32, 32)."""
    return F.adaptive_avg_pool2d(x, 32)


def he_normal(module):
    """He-normal weights and zero biases for every convolution and linear layer in module."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
