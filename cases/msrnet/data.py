"""What turns files into MSR-net's samples: LOL's pairs, or bright photographs darkened by the low-light model."""
import numpy as np
import torch
from torch.utils.data import Dataset

from common.datasets import PairedImages, paired_names
from common.images import list_images, read_bytes
from common.lol import one_per_scene, validation_names
from common.lowlight import darken
from common.datasets import Pair


class ExposureJitter(Dataset):
    """Pairs whose dark picture (and its thumbnail) is multiplied by exp(sigma * normal), each time another: (epoch, index) -> Pair.

    The bright picture stays: so the network sees each scene at more exposures than were photographed.
    """

    def __init__(self, pairs, sigma, seed):
        self.pairs, self.sigma, self.seed = pairs, sigma, seed

    def __len__(self):
        return len(self.pairs)

    def fingerprint(self):
        return self.pairs.fingerprint()

    def __getitem__(self, place):
        pair = self.pairs[place]
        gain = float(np.exp(self.sigma * np.random.default_rng([self.seed, *place, 1]).standard_normal()))
        return pair._replace(low=(pair.low * gain).clamp(max=1), thumbnail=(pair.thumbnail * gain).clamp(max=1))
