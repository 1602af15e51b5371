"""KinD: one network splits a picture into reflectance and illumination, one cleans the reflectance, one brightens the
illumination.

Shapes: N batch, h, w height and width. Pictures and reflectance R are RGB in [0, 1], (N, 3, h, w); illumination I is
(N, 1, h, w) in [0, 1]. S is the stretched picture, P the restored reflectance, A the adjusted illumination; the result
is P * A. Layers have the names of the released code. Sizes are any from 1 x 1: pooling keeps the odd row, and what is
upsampled is cut at its end, as in the released code. Zhang, Zhang, Guo: Kindling the Darkness: A Practical Low-light
Image Enhancer, ACM Multimedia 2019, arXiv 1905.04161.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

SMALLEST_RANGE = 0.001                                        # of a picture, in the stretch
STEADY = 0.0001                                               # in the denominators of ratios


class Stages(NamedTuple):
    """Every map between a dark picture and KinD's answer, by the paper's letters."""
    stretched: torch.Tensor         # S_l, (N, 3, h, w)
    reflectance: torch.Tensor       # R_l, (N, 3, h, w): degraded
    illumination: torch.Tensor      # I_l, (N, 1, h, w)
    restored: torch.Tensor          # P, (N, 3, h, w)
    adjusted: torch.Tensor          # A, (N, 1, h, w)
    output: torch.Tensor            # P * A, (N, 3, h, w)


class Joined(nn.Conv2d):
    """A convolution of two maps joined along the channels.

    Without gradients it is the sum of both parts' convolutions: the same to rounding, and the copy of full-size maps is
    saved.
    """

    def forward(self, first, second):
        if torch.is_grad_enabled():
            return super().forward(torch.cat([first, second], dim=1))
        kernels = self.weight.split([first.shape[1], second.shape[1]], dim=1)
        return self._conv_forward(first, kernels[0], None).add_(self._conv_forward(second, kernels[1], self.bias))


class DecomNet(nn.Module):
    """S -> (R, I), the same weights for dark and bright pictures: a small U and, from its first layer, a branch for I.
    235,876 parameters."""

    def __init__(self):
        super().__init__()
        self.g_conv1_1 = nn.Conv2d(3, 32, 3, padding=1)
        self.g_conv2_1 = nn.Conv2d(32, 64, 3, padding=1)
        self.g_conv3_1 = nn.Conv2d(64, 128, 3, padding=1)
        self.g_up_1 = nn.ConvTranspose2d(128, 64, 2, stride=2, bias=False)
        self.g_conv8_1 = Joined(128, 64, 3, padding=1)
        self.g_up_2 = nn.ConvTranspose2d(64, 32, 2, stride=2, bias=False)
        self.g_conv9_1 = Joined(64, 32, 3, padding=1)
        self.g_conv10 = nn.Conv2d(32, 3, 1)
        self.l_conv1_2 = nn.Conv2d(32, 32, 3, padding=1)
        self.l_conv1_4 = Joined(64, 1, 1)
        glorot_uniform(self)

    def forward(self, stretched):
        """S (N, 3, h, w) -> R (N, 3, h, w), I (N, 1, h, w)."""
        a = leaky(self.g_conv1_1(stretched))                                  # (N, 32, h, w)
        b = leaky(self.g_conv2_1(pool(a)))                                    # (N, 64, h/2, w/2)
        c = leaky(self.g_conv3_1(pool(b)))                                    # (N, 128, h/4, w/4)
        d = leaky(self.g_conv8_1(up(self.g_up_1, c, b), b))                   # (N, 64, h/2, w/2)
        e = leaky(self.g_conv9_1(up(self.g_up_2, d, a), a))                   # (N, 32, h, w)
        reflectance = torch.sigmoid(self.g_conv10(e))
        texture_free = leaky(self.l_conv1_2(a))                               # (N, 32, h, w)
        illumination = torch.sigmoid(self.l_conv1_4(texture_free, e))
        return reflectance, illumination


class RestorationNet(nn.Module):
    """(R, I) -> P: a U-Net of five levels. I tells where R is noisy. It predicts P itself, no difference. 7,760,739
    parameters.

    channels: at the full size; doubled at each of the four levels below.
    """

    def __init__(self, channels=32):
        super().__init__()
        levels = [channels * 2**level for level in range(5)]                  # 32, 64, 128, 256, 512
        for number, (before, width) in enumerate(zip([4, *levels], levels), start=1):
            setattr(self, f"de_conv{number}_1", nn.Conv2d(before, width, 3, padding=1))
            setattr(self, f"de_conv{number}_2", nn.Conv2d(width, width, 3, padding=1))
        for number, width in enumerate(levels[-2::-1], start=6):
            setattr(self, f"up_{number}", nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False))
            setattr(self, f"de_conv{number}_1", Joined(2 * width, width, 3, padding=1))
            setattr(self, f"de_conv{number}_2", nn.Conv2d(width, width, 3, padding=1))
        self.de_conv10 = nn.Conv2d(channels, 3, 3, padding=1)
        glorot_uniform(self)

    def forward(self, reflectance, illumination):
        x, skips = torch.cat([reflectance, illumination], dim=1), []
        for level in (1, 2, 3, 4, 5):                                         # down
            x = self.level(level, x)
            if level < 5:
                skips.append(x)
                x = pool(x)
        for level in (6, 7, 8, 9):                                            # and up again
            skip = skips.pop()
            x = self.level(level, up(getattr(self, f"up_{level}"), x, skip), skip)
        return torch.sigmoid(self.de_conv10(x))

    def level(self, number, *maps):
        """The two convolutions of one level."""
        return leaky(getattr(self, f"de_conv{number}_2")(leaky(getattr(self, f"de_conv{number}_1")(*maps))))


class AdjustNet(nn.Module):
    """(I, ratio) -> A, for ratios above 1 (brighter) and below (darker). 19,393 parameters."""

    def __init__(self):
        super().__init__()
        self.en_conv_1 = nn.Conv2d(2, 32, 3, padding=1)
        self.en_conv_2 = nn.Conv2d(32, 32, 3, padding=1)
        self.en_conv_3 = nn.Conv2d(32, 32, 3, padding=1)
        self.en_conv_4 = nn.Conv2d(32, 1, 3, padding=1)
        glorot_uniform(self)

    def forward(self, illumination, ratio):
        """illumination (N, 1, h, w); ratio: a number, or (N,), one per picture."""
        ratio = torch.as_tensor(ratio, dtype=illumination.dtype, device=illumination.device).reshape(-1, 1, 1, 1)
        x = torch.cat([illumination, ratio.expand_as(illumination)], dim=1)
        for convolution in (self.en_conv_1, self.en_conv_2, self.en_conv_3, self.en_conv_4):
            x = leaky(convolution(x))  # the last one too: below .5 the answer is slow
        return torch.sigmoid(x)


class AutomaticRatio(nn.Module):
    """The light ratio of a dark picture, guessed without its bright partner: exp(weight . (features - centre) / scale +
    bias).

    Not in the paper, where a person chooses. A line through the logarithms, fitted on training pairs (ridge regression)
    after the decomposition, to which it belongs. What the buffers hold before: a line through 81 pairs under the
    official decomposition.
    """

    QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    RIDGE = 0.1

    def __init__(self):
        super().__init__()
        count = 4 + 2 * len(self.QUANTILES)
        weight = torch.zeros(count)
        weight[0] = -0.906
        for name, value in (("weight", weight), ("centre", torch.zeros(count)), ("scale", torch.ones(count)),
                            ("bias", torch.tensor(-0.255))):
            self.register_buffer(name, value)

    @property
    def fitted(self):
        """Whether fit() was called, or the buffers come from where it was."""
        return bool((self.scale != 1).any())

    def features(self, stretched, illumination, bounds):
        """(N, 22) float32 of whole pictures: ln mean I; of the picture before the stretch ln least, largest and mean
        value (bounds: (N, 2), the first two); then ln quantiles of I and of the mean of S over R, G, B."""
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
        """Set the buffers from (n, F) features and the (n,) ratios that they should give; the penalty is RIDGE times n
        weights squared."""
        features, target = features.double(), ratios.double().log()
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_(features.std(dim=0, correction=0).clamp_min(STEADY))
        x = (features - self.centre.double()) / self.scale.double()
        self.bias.copy_(target.mean())
        penalty = self.RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        self.weight.copy_(torch.linalg.solve(x.T @ x + penalty, x.T @ (target - target.mean())))


class KinD(nn.Module):
    """The three networks composed: 8,016,008 parameters.

    restoration: `unet`, or `none` to use the reflectance as it is; channels: its width. stretch: `minmax`, or `none` to
    take pictures as they are.

        output = KinD()(low, ratio=4.0)           # low (N, 3, h, w) in [0, 1]; ratio=None: guessed
    """

    MULTIPLE = 16                                 # pixels: the grid on which tiles must begin, because of four poolings

    def __init__(self, restoration="unet", channels=32, stretch="minmax"):
        super().__init__()
        self.stretches = stretch == "minmax"
        self.decomposition = DecomNet()
        self.restoration = RestorationNet(channels) if restoration == "unet" else None
        self.adjustment = AdjustNet()
        self.automatic = AutomaticRatio()

    def stretch(self, picture, bounds=None):
        """S of a picture. bounds: (N, 2), the least and the largest value of each whole picture, where this is a part
        of it."""
        return stretch(picture, bounds) if self.stretches else picture

    def restore(self, reflectance, illumination):
        """P of a decomposition."""
        return reflectance if self.restoration is None else self.restoration(reflectance, illumination)

    def guess_ratio(self, stretched, illumination, bounds):
        """(N,) ratios of whole decomposed pictures. bounds: (N, 2), least and largest value before the stretch."""
        return self.automatic(self.automatic.features(stretched, illumination, bounds))

    def stages(self, low, ratio=None, bounds=None):
        """Every map of a whole picture. low: (N, 3, h, w) in [0, 1]; ratio: a number, (N,), or None to guess it.
        Returns Stages."""
        stretched = self.stretch(low, bounds)
        reflectance, illumination = self.decomposition(stretched)
        if ratio is None:
            ratio = self.guess_ratio(stretched, illumination, bounds_of(low) if bounds is None else bounds)
        restored = self.restore(reflectance, illumination)
        adjusted = self.adjustment(illumination, ratio)
        return Stages(stretched, reflectance, illumination, restored, adjusted, restored * adjusted)

    def forward(self, low, ratio=None, bounds=None):
        return self.stages(low, ratio, bounds).output


def bounds_of(pictures):
    """(N, 2): the least and the largest value of each picture, over all pixels and channels."""
    return torch.stack([pictures.amin(dim=(1, 2, 3)), pictures.amax(dim=(1, 2, 3))], dim=1)


def stretch(pictures, bounds=None):
    """(x - min) / max(max - min, 0.001) for each picture, min and max over all its pixels and channels, or those given,
    (N, 2)."""
    least, largest = (bounds_of(pictures) if bounds is None else bounds)[:, :, None, None, None].unbind(dim=1)
    return (pictures - least) / (largest - least).clamp_min(SMALLEST_RANGE)


def light_ratio(source, target):
    """(N,): mean over the pixels of target / (source + 0.0001), for two illuminations (N, 1, h, w) of one scene: above
    1 it brightens."""
    return (target / (source + STEADY)).mean(dim=(1, 2, 3))


def leaky(x):
    return F.leaky_relu(x, 0.2, inplace=True)


def pool(x):
    """Half the size, a last odd row or column kept."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def up(layer, x, skip):
    """x at twice the size, cut at its end to the skip's."""
    return layer(x)[:, :, :skip.shape[2], :skip.shape[3]]


def glorot_uniform(module):
    """Glorot-uniform weights and zero biases; for the transposed kernels with fans of four times their channels, as in
    the released code."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
