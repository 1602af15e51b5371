"""A whole VGG with weights from a seed, as the golden files had them."""
import functools

import numpy as np
import torch

from common.experiment import checkpoints
from common.features import vgg_files


@functools.cache
def seeded(layout="vgg19"):
    """The full-depth test weights: the i-th convolution from RandomState(1900 + i)."""
    state, channels = {}, 3
    names = vgg_files.layers(layout)
    places = [place for place, name in enumerate(names) if name.startswith("conv")]
    for number, place in enumerate(places):
        width = (64, 128, 256, 512, 512)[int(names[place][4]) - 1]
        draw = np.random.RandomState(1900 + number)
        weight = draw.standard_normal((width, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        state[f"features.{place}.weight"] = torch.from_numpy(weight).float()
        state[f"features.{place}.bias"] = torch.from_numpy(0.05 * draw.standard_normal(width)).float()
        channels = width
    return state


def seeded_source(layout="vgg19"):
    state = seeded(layout)
    return vgg_files.Source("seeded", layout, state, "torchvision", "zeros", checkpoints.digest(state), None)
