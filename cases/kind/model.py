"""KinD: a network splits a picture into reflectance and illumination, one cleans the first, one brightens the second.

Shapes: N batch, h, w height and width. Pictures and reflectance R are RGB in [0, 1], (N, 3, h, w); illumination I is
(N, 1, h, w) in [0, 1]. S is the stretched picture, P the restored reflectance, A the adjusted illumination; the result
is P * A. Layers have the names of the released code. Sizes are any from 1 x 1: pooling keeps the odd row, and what is
upsampled is cut at its end, as in the released code.

Zhang, Zhang, Guo: Kindling the Darkness: A Practical Low-light Image Enhancer, ACM Multimedia 2019, arXiv 1905.04161.
"""
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from common.data.paired import THUMBNAIL
from common.lowlight.share import Share

SMALLEST_RANGE = 0.001                                        # of a picture, in the stretch
STEADY = 0.0001                                               # in the denominators of ratios


class Stages(NamedTuple):
    """Every map between a dark picture and KinD's answer, by the paper's letters."""
    stretched: torch.Tensor         # S_l, (N, 3, h, w)
    reflectance: torch.Tensor       # R_l, (N, 3, h, w): degraded
    illumination: torch.Tensor      # I_l, (N, 1, h, w)
    restored: torch.Tensor          # P, (N, 3, h, w)
    adjusted: torch.Tensor          # A, (N, 1, h, w)
    output: torch.Tensor            # P * A, (N, 3, h, w); with a guessed ratio of a bright picture only its share


class Joined(nn.Conv2d):
    """A convolution of two maps joined along the channels.

    Without gradients it is the sum of both parts' convolutions: the same to rounding, without a copy of both maps.
    """

    def forward(self, first, second):
        if torch.is_grad_enabled():
            return super().forward(torch.cat([first, second], dim=1))
        kernels = self.weight.split([first.shape[1], second.shape[1]], dim=1)
        return self._conv_forward(first, kernels[0], None).add_(self._conv_forward(second, kernels[1], self.bias))


conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)
joined3x3 = partial(Joined, kernel_size=3, padding=1)
double = partial(nn.ConvTranspose2d, kernel_size=2, stride=2, bias=False)       # maps of twice the size


class DecomNet(nn.Module):
    """S -> (R, I), the same weights for dark and bright pictures: a small U and, from its first layer, a branch for I.

    235,876 parameters (tests/cases/kind/test_kind_model.py: test_counts).
    """

    def __init__(self):
        super().__init__()
        self.g_conv1_1 = conv3x3(3, 32)
        self.g_conv2_1 = conv3x3(32, 64)
        self.g_conv3_1 = conv3x3(64, 128)
        self.g_up_1 = double(128, 64)
        self.g_conv8_1 = joined3x3(128, 64)
        self.g_up_2 = double(64, 32)
        self.g_conv9_1 = joined3x3(64, 32)
        self.g_conv10 = nn.Conv2d(32, 3, 1)
        self.l_conv1_2 = conv3x3(32, 32)
        self.l_conv1_4 = Joined(64, 1, 1)
        glorot_uniform(self)

    def forward(self, stretched):
        """S (N, 3, h, w) -> R (N, 3, h, w), I (N, 1, h, w)."""
        a = leaky(self.g_conv1_1(stretched))                                  # (N, 32, h, w)
        b = leaky(self.g_conv2_1(pool(a)))                                    # (N, 64, h/2, w/2)
        c = leaky(self.g_conv3_1(pool(b)))                                    # (N, 128, h/4, w/4)
        d = leaky(self.g_conv8_1(up(self.g_up_1, c, b), b))                   # (N, 64, h/2, w/2)
        e = leaky(self.g_conv9_1(up(self.g_up_2, d, a), a))                   # (N, 32, h, w)
        reflectance = torch.sigmoid(self.g_conv10(e))                         # (N, 3, h, w)
        texture_free = leaky(self.l_conv1_2(a))                               # (N, 32, h, w)
        illumination = torch.sigmoid(self.l_conv1_4(texture_free, e))         # (N, 1, h, w)
        return reflectance, illumination


class RestorationNet(nn.Module):
    """(R, I) -> P: a U-Net of five levels. I tells where R is noisy. It predicts P itself, no difference.

    channels: at the full size; doubled at each of the four levels below.
    7,760,739 parameters with 32 channels (tests/cases/kind/test_kind_model.py: test_counts).
    """

    def __init__(self, channels=32):
        super().__init__()
        c1, c2, c3, c4, c5 = (channels * 2**level for level in range(5))      # 32, 64, 128, 256, 512
        self.de_conv1_1, self.de_conv1_2 = conv3x3(4, c1), conv3x3(c1, c1)
        self.de_conv2_1, self.de_conv2_2 = conv3x3(c1, c2), conv3x3(c2, c2)
        self.de_conv3_1, self.de_conv3_2 = conv3x3(c2, c3), conv3x3(c3, c3)
        self.de_conv4_1, self.de_conv4_2 = conv3x3(c3, c4), conv3x3(c4, c4)
        self.de_conv5_1, self.de_conv5_2 = conv3x3(c4, c5), conv3x3(c5, c5)
        self.up_6, self.de_conv6_1, self.de_conv6_2 = double(c5, c4), joined3x3(c5, c4), conv3x3(c4, c4)
        self.up_7, self.de_conv7_1, self.de_conv7_2 = double(c4, c3), joined3x3(c4, c3), conv3x3(c3, c3)
        self.up_8, self.de_conv8_1, self.de_conv8_2 = double(c3, c2), joined3x3(c3, c2), conv3x3(c2, c2)
        self.up_9, self.de_conv9_1, self.de_conv9_2 = double(c2, c1), joined3x3(c2, c1), conv3x3(c1, c1)
        self.de_conv10 = conv3x3(c1, 3)
        glorot_uniform(self)

    def forward(self, reflectance, illumination):
        """R (N, 3, h, w), I (N, 1, h, w) -> P (N, 3, h, w)."""
        both = torch.cat([reflectance, illumination], dim=1)                                # (N, 4, h, w)
        a = convolve_twice(self.de_conv1_1, self.de_conv1_2, both)                          # (N, 32, h, w)
        b = convolve_twice(self.de_conv2_1, self.de_conv2_2, pool(a))                       # (N, 64, h/2, w/2)
        c = convolve_twice(self.de_conv3_1, self.de_conv3_2, pool(b))                       # (N, 128, h/4, w/4)
        d = convolve_twice(self.de_conv4_1, self.de_conv4_2, pool(c))                       # (N, 256, h/8, w/8)
        e = convolve_twice(self.de_conv5_1, self.de_conv5_2, pool(d))                       # (N, 512, h/16, w/16)
        d = convolve_twice(self.de_conv6_1, self.de_conv6_2, up(self.up_6, e, d), d)        # (N, 256, h/8, w/8)
        c = convolve_twice(self.de_conv7_1, self.de_conv7_2, up(self.up_7, d, c), c)        # (N, 128, h/4, w/4)
        b = convolve_twice(self.de_conv8_1, self.de_conv8_2, up(self.up_8, c, b), b)        # (N, 64, h/2, w/2)
        a = convolve_twice(self.de_conv9_1, self.de_conv9_2, up(self.up_9, b, a), a)        # (N, 32, h, w)
        return torch.sigmoid(self.de_conv10(a))                                             # (N, 3, h, w)


class AdjustNet(nn.Module):
    """(I, ratio) -> A, for ratios above 1 (brighter) and below (darker).

    19,393 parameters (tests/cases/kind/test_kind_model.py: test_counts).
    """

    def __init__(self):
        super().__init__()
        self.en_conv_1 = conv3x3(2, 32)
        self.en_conv_2 = conv3x3(32, 32)
        self.en_conv_3 = conv3x3(32, 32)
        self.en_conv_4 = conv3x3(32, 1)
        glorot_uniform(self)

    def forward(self, illumination, ratio):
        """illumination (N, 1, h, w); ratio: a number, or (N,), one per picture."""
        ratio = torch.as_tensor(ratio, dtype=illumination.dtype, device=illumination.device).reshape(-1, 1, 1, 1)
        x = torch.cat([illumination, ratio.expand_as(illumination)], dim=1)   # (N, 2, h, w)
        x = leaky(self.en_conv_3(leaky(self.en_conv_2(leaky(self.en_conv_1(x))))))            # (N, 32, h, w)
        return torch.sigmoid(leaky(self.en_conv_4(x)))                        # leaky here too: below .5 it is slow


class AutomaticRatio(nn.Module):
    """The light ratio of a dark picture, guessed without its bright partner (not in the paper: there a person chooses).

        ratio = exp(weight . (features - centre) / scale + bias)

    A line through the logarithms, fitted on training pairs (ridge regression) after the decomposition, to which it
    belongs. What the buffers hold before: a line through 81 pairs under the official decomposition.
    """

    QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    RIDGE = 0.1

    def __init__(self):
        super().__init__()
        count = 4 + 2 * len(self.QUANTILES)
        self.register_buffer("weight", torch.tensor([-0.906] + [0.0] * (count - 1)))
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("bias", torch.tensor(-0.255))

    def features(self, stretched, illumination, bounds):
        """(N, 22) float32 of whole pictures, all logarithms: mean of I; least, largest and mean value of the picture
        before the stretch (bounds: (N, 2), the first two); quantiles of I and of the mean of S over R, G, B."""
        levels = torch.tensor(self.QUANTILES, device=illumination.device)
        least, largest = bounds.float().unbind(dim=1)
        before = torch.stack([least, largest, least + (largest - least) * stretched.float().mean(dim=(1, 2, 3))])
        columns = [illumination.float().mean(dim=(1, 2, 3)).clamp_min(STEADY).log()[None], (before + 0.005).log()]
        for maps in (illumination, stretched.mean(dim=1, keepdim=True)):
            values = maps.float().flatten(1)
            values = values[:, ::max(1, values.shape[1] // 50_000)]           # thinned evenly: enough for quantiles
            columns.append((torch.quantile(values, levels, dim=1) + 0.005).log())     # (9, N)
        return torch.cat(columns).T

    def forward(self, features):
        """(N, F) -> (N,) ratios."""
        return torch.exp(((features - self.centre) / self.scale) @ self.weight + self.bias)

    def fit(self, features, ratios):
        """Set the buffers from (n, F) features and the (n,) ratios that they should give: least squares plus RIDGE
        times the squared weights."""
        features, target = features.double(), ratios.double().log()
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_(features.std(dim=0, correction=0).clamp_min(STEADY))
        x = (features - self.centre.double()) / self.scale.double()
        self.bias.copy_(target.mean())
        penalty = self.RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        self.weight.copy_(torch.linalg.solve(x.T @ x + penalty, x.T @ (target - target.mean())))


class KinD(nn.Module):
    """The three networks composed: output = P * A.

        output = KinD()(low, ratio=4.0)           # low (N, 3, h, w) in [0, 1]; ratio=None: guessed

    restoration: `unet`, or `none` to use the reflectance as it is; channels: its width.
    stretch: `minmax`, or `none` to take pictures as they are.
    8,016,008 parameters (tests/cases/kind/test_kind_model.py: test_counts).
    """

    MULTIPLE = 16                                 # pixels: the grid on which tiles must begin, because of four poolings

    def __init__(self, restoration="unet", channels=32, stretch="minmax"):
        super().__init__()
        self.stretches = stretch == "minmax"
        self.decomposition = DecomNet()
        self.restoration = RestorationNet(channels) if restoration == "unet" else None
        self.adjustment = AdjustNet()
        self.automatic, self.share = AutomaticRatio(), Share()

    def stretch(self, picture, bounds=None):
        """S of pictures. bounds: (N, 2), least and largest value of each whole picture, where these are parts."""
        return stretch(picture, bounds) if self.stretches else picture

    def restore(self, reflectance, illumination):
        """P of a decomposition."""
        return reflectance if self.restoration is None else self.restoration(reflectance, illumination)

    def guess_ratio(self, stretched, illumination, bounds):
        """(N,) ratios of whole decomposed pictures. bounds: (N, 2), least and largest value before the stretch."""
        return self.automatic(self.automatic.features(stretched, illumination, bounds))

    def stages(self, low, ratio=None, bounds=None):
        """The Stages of whole pictures. low: (N, 3, h, w) in [0, 1]; ratio: a number, (N,), or None to guess it."""
        stretched = self.stretch(low, bounds)
        reflectance, illumination = self.decomposition(stretched)
        guessed = ratio is None
        if guessed:
            ratio = self.guess_ratio(stretched, illumination, bounds_of(low) if bounds is None else bounds)
        restored = self.restore(reflectance, illumination)
        adjusted = self.adjustment(illumination, ratio)
        output = restored * adjusted
        if guessed:
            output = self.share.blend(low, output, F.adaptive_avg_pool2d(low, THUMBNAIL))
        return Stages(stretched, reflectance, illumination, restored, adjusted, output)

    def forward(self, low, ratio=None, bounds=None):
        return self.stages(low, ratio, bounds).output


def bounds_of(pictures):
    """(N, 2): the least and the largest value of each picture, over all pixels and channels."""
    return torch.stack([pictures.amin(dim=(1, 2, 3)), pictures.amax(dim=(1, 2, 3))], dim=1)


def stretch(pictures, bounds=None):
    """(x - min) / max(max - min, 0.001), min and max over all of a picture's values, or those given, (N, 2)."""
    least, largest = (bounds_of(pictures) if bounds is None else bounds)[:, :, None, None, None].unbind(dim=1)
    return (pictures - least) / (largest - least).clamp_min(SMALLEST_RANGE)


def light_ratio(source, target):
    """(N,): mean over pixels of target / (source + 0.0001), of two illuminations (N, 1, h, w); above 1 it brightens."""
    return (target / (source + STEADY)).mean(dim=(1, 2, 3))


def convolve_twice(first, second, *maps):
    """The two convolutions of one level of the restoration."""
    return leaky(second(leaky(first(*maps))))


def leaky(x):
    return F.leaky_relu(x, 0.2, inplace=True)


def pool(x):
    """Half the size, a last odd row or column kept."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def up(layer, x, skip):
    """x at twice the size, cut at its end to the skip's."""
    return layer(x)[:, :, :skip.shape[2], :skip.shape[3]]


def glorot_uniform(module):
    """Glorot-uniform weights, zero biases; transposed kernels have fans of 4 times their channels, as released."""
    for name, values in module.named_parameters():
        initialise = nn.init.zeros_ if name.endswith("bias") else nn.init.xavier_uniform_
        initialise(values)
