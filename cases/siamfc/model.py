"""SiamFC: one embedding phi for target and search region, one cross-correlation, f(z, x) = phi(z) * phi(x) + b.

The paper's section 2.1, figure 1 and table 1. Shapes: N pairs; z exemplar (N, 3, 127, 127), x search region (N, 3, 255,
255) (239 in training), RGB from 0 to 255, no mean taken off. phi(z) is (N, 256, 6, 6), phi(x) (N, 256, 22, 22), the
response (N, 17, 17): 22 - 6 + 1 = 17.
Bertinetto, Valmadre, Henriques, Vedaldi, Torr: Fully-Convolutional Siamese Networks for Object Tracking, ECCV workshops
2016.
"""
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

STRIDE = 8                                                    # pixels of the search region per cell of the response
EXEMPLAR, SEARCH = 127, 255                                   # sides of z and x in pixels, in tracking
GAIN = 1e-3                                                   # fixed factor of the response in the authors' code


def block(inputs, outputs, kernel, stride=1, groups=1, pool=False):
    """Convolution without padding, batch norm, ReLU and, after the first two, max-pooling 3x3 with stride 2."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, groups=groups),
              nn.BatchNorm2d(outputs, eps=1e-6, momentum=0.05), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(3, 2)] if pool else []))


class AlexNetV1(nn.Module):
    """phi: five convolutions without any padding, total stride 8; groups of two in the 2nd, 4th and 5th, as in AlexNet.

    widths: channels of the five layers. The defaults are the paper's: 2,336,320 parameters, 256 channels out. (The
    paper's figure prints 128, the channels of one of the two groups of conv5.)
    """

    def __init__(self, widths=(96, 256, 384, 384, 256)):
        super().__init__()
        one, two, three, four, five = widths
        self.conv1 = block(3, one, 11, stride=2, pool=True)           # 127 -> 59 -> 29, 255 -> 123 -> 61
        self.conv2 = block(one, two, 5, groups=2, pool=True)          # 29 -> 25 -> 12, 61 -> 57 -> 28
        self.conv3 = block(two, three, 3)                             # 12 -> 10, 28 -> 26
        self.conv4 = block(three, four, 3, groups=2)                  # 10 -> 8, 26 -> 24
        self.conv5 = nn.Sequential(nn.Conv2d(four, five, 3, groups=2))  # 8 -> 6, 24 -> 22; neither batch norm nor ReLU

    def forward(self, x):                                             # (N, 3, h, w) -> (N, 256, h', w')
        for stage in self.children():
            x = stage(x)
        return x


class SiamFC(nn.Module):
    """The embedding and the correlation head, whose gain 1e-3 is fixed.

    bias: the learnt scalar b of the paper (the popular port has none). initial: `he` (He-normal, conv5 Xavier),
    `xavier` (the port's: uniform) or `paper` (the authors' code: normal, std sqrt(2 / (h w out))).
    """

    def __init__(self, widths=(96, 256, 384, 384, 256), bias=False, initial="he"):
        super().__init__()
        self.backbone = AlexNetV1(widths)
        self.bias = nn.Parameter(torch.zeros(())) if bias else None
        initialise(self.backbone, initial)

    def forward(self, z, x, features=False):
        """Responses of every exemplar to every search region: (N, M, h, w) float32 for N of z and M of x.

        The diagonal of the first two axes holds the pairs that belong together: see `own`. With features: the
        responses, phi(z) and phi(x).
        """
        z, x = self.backbone(z), self.backbone(x)
        responses = correlate(z, x) + (0 if self.bias is None else self.bias)
        return (responses, z, x) if features else responses


def correlate(kernels, features):
    """GAIN times the cross-correlation of every kernel with every feature map.

    kernels: (N, C, h, w); features: (M, C, H, W). Returns (N, M, H - h + 1, W - w + 1).
    One ordinary convolution whose filters are the kernels (they are not flipped); float32, also under autocast, because
    each value sums 9,216 products.
    """
    with torch.autocast(features.device.type, enabled=False):
        return GAIN * F.conv2d(features.float(), kernels.float()).transpose(0, 1)


def own(responses):
    """(N, N, h, w) -> (N, h, w): the response of each exemplar to its own search region."""
    return responses.diagonal(dim1=0, dim2=1).permute(2, 0, 1)


def initialise(backbone, kind):
    """Start values of every convolution, see SiamFC; biases 0, batch norm 1 and 0."""
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        nn.init.zeros_(layer.bias)
        if kind == "paper":
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (layer.weight[0, 0].numel() * layer.out_channels)))
        elif kind == "xavier" or layer is layers[-1]:
            nn.init.xavier_uniform_(layer.weight)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def fold(backbone):
    """The same function for tracking, as nn.Sequential: batch norm inside the convolutions, pooling before the ReLU.

    Exact but for rounding (1e-5 on features of RMS .85): batch norm is affine per channel, and max and ReLU commute.
    """
    layers = []
    for stage in copy.deepcopy(backbone).eval().children():
        parts = list(stage)
        convolution = parts[0]
        if len(parts) > 1:
            norm = parts[1]
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            convolution.weight.data.mul_(factor[:, None, None, None])
            convolution.bias.data.sub_(norm.running_mean).mul_(factor).add_(norm.bias)
        layers += [convolution, *parts[3:], *([nn.ReLU(inplace=True)] if len(parts) > 1 else [])]
    return nn.Sequential(*layers).requires_grad_(False).to(memory_format=torch.channels_last)
