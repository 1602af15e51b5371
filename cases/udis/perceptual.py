"""The features of the content loss: VGG19 through common/features/vgg.py, and how heavy they weigh."""
from typing import NamedTuple

import torch
import torch.nn.functional as F

from common.data.images import to_tensor
from common.data.samples import photograph
from common.features import vgg, vgg_files

DEEP, SHALLOW = "relu5_3", "relu3_3"             # of the low-resolution and of the high-resolution branch
BLUR_COSTS = 0.0475                # what a blur of sigma 1.5 may cost: the rule by which features are weighed


class Perceptual(NamedTuple):
    """A function and a weight for each branch. Pictures (N, 3, side, side) in [0, 1]."""
    low: object
    high: object
    weight_low: float
    weight_high: float


def perceptual(settings, device, say=print):
    """The Perceptual of settings.perceptual (vgg19 | none) and settings.network, said in a line; None for none.

    Weights that end before block 5 serve both branches with relu3_3. settings.content_weight 0: each branch by rule().
    """
    if settings.perceptual == "none":
        say("the content loss compares pixels (train.perceptual=none)")
        return None
    source = vgg_files.read(settings.network)
    deep = DEEP if DEEP in vgg.tap_names(source) else SHALLOW
    branches, weights = [], []
    for tap in (deep, SHALLOW):
        trunk = vgg.build(source, [tap]).to(device)
        branches.append(lambda pictures, trunk=trunk, tap=tap: trunk(pictures)[tap])
        weights.append(settings.content_weight or rule(branches[-1], settings.perceptual_side, device))
    said = (f"{DEEP} for the low-resolution branch, {SHALLOW} for the high one" if deep == DEEP
            else f"{SHALLOW} for both branches, since these weights end before {DEEP}")
    say(f"content loss: {source.name} ({source.tag}), {said}; weights {weights[0]:.3g} and {weights[1]:.3g}")
    return Perceptual(*branches, *weights)


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


@torch.inference_mode()
def rule(features, side, device):
    """The weight at which photographs and their blur differ by BLUR_COSTS: 1e-6 for the original weights of block 3."""
    pictures = [to_tensor(photograph(name))[None].to(device) for name in PHOTOGRAPHS]
    pictures = torch.cat([F.interpolate(each, (side, side), mode="bilinear", antialias=True, align_corners=False)
                          for each in pictures])
    taps = torch.exp(-0.5 * (torch.arange(-6, 7, dtype=torch.float32, device=device) / 1.5) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, 13)
    blurred = F.conv2d(F.pad(pictures, (6, 6, 6, 6), mode="reflect"), taps, groups=3)
    blurred = F.conv2d(blurred, taps.mT, groups=3)
    return BLUR_COSTS / (features(pictures) - features(blurred)).square().mean().item()
