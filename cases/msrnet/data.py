"""What turns files into MSR-net's samples: LOL's pairs, photographs that are darkened, or both."""
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from cases.msrnet.model import thumbnail_of
from common.base.errors import UserError
from common.data.cache import fingerprint, random_window
from common.data.darken import darken
from common.data.images import list_images, read_pixels
from common.data.paired import Pair, PairedImages, list_pairs
from common.lowlight.mixed import Both, DarkenedPhotographs, HeldOutPhotographs, MixedPairs, photographs_of
from common.lowlight.splits import TRAINING, hold_out

HELD_PHOTOGRAPHS = 24           # of the held-out photographs of data.kind=mixed validate


def training_sets(cfg):
    """(training, validation): data sets of Pair; held-out scenes never train, and are given as whole pictures."""
    if cfg.data.kind == "synthetic":
        return synthetic_sets(cfg)
    training, validation = lol_sets(cfg)
    if cfg.data.kind == "lol":
        return training, validation
    photographs, held = photographs_of(cfg.data.photographs, cfg.data.patch)
    darkened = DarkenedPhotographs(photographs, cfg.data.patch, cfg.seed,
                                   unchanged=cfg.data.unchanged, plain=cfg.data.plain)
    spread = np.linspace(0, len(held) - 1, min(HELD_PHOTOGRAPHS, len(held))).astype(int)
    validation = Both(validation, HeldOutPhotographs([held[place] for place in spread]))
    return MixedPairs(training, darkened, cfg.data.share, cfg.seed), validation


def lol_sets(cfg):
    """(training, validation) of pairs as photographed."""
    data = cfg.data
    kept, chosen = hold_out(list_pairs(data.root, TRAINING), cfg)
    training = PairedImages(data.root, TRAINING, patch=data.patch, seed=cfg.seed, names=kept,
                            thumbnails=data.thumbnails)
    validation = PairedImages(data.root, TRAINING, names=chosen, thumbnails=data.thumbnails)
    return (ExposureJitter(training, data.jitter, cfg.seed) if data.jitter else training), validation


def synthetic_sets(cfg):
    """(training, validation) of bright photographs, darkened at one gain each."""
    data = cfg.data
    photographs = bright_photographs(data.root)
    kept, chosen = map(set, hold_out([path.name for path in photographs], cfg))
    training = SyntheticPairs([path for path in photographs if path.name in kept], data.patch, cfg.seed)
    validation = SyntheticPairs([path for path in photographs if path.name in chosen], None, data.validation_seed)
    return (ExposureJitter(training, data.jitter, cfg.seed) if data.jitter else training), validation


def bright_photographs(root):
    """Paths of the bright half of a set in LOL's layout, else of the pictures of a plain folder."""
    folder = Path(root) / TRAINING / "high"
    photographs = list_images(folder if folder.is_dir() else root)
    if len(photographs) < 2:
        raise UserError(f"data.kind=synthetic needs bright photographs: {root} has {len(photographs)}: expected "
                        f"{TRAINING}/high or a folder of at least two pictures: set data.root")
    return photographs


class ExposureJitter(Dataset):
    """Pairs whose dark picture (and its thumbnail) is multiplied by exp(sigma * normal): (epoch, index) -> Pair.

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


class SyntheticPairs(Dataset):
    """Bright photographs, each darkened anew by the low-light model: (epoch, index) -> Pair."""

    def __init__(self, photographs, patch, seed):
        self.photographs, self.patch, self.seed = photographs, patch, seed

    def __len__(self):
        return len(self.photographs)

    def fingerprint(self):
        return fingerprint(self.photographs)

    def __getitem__(self, place):
        epoch, index = place
        generator = np.random.default_rng([self.seed, epoch, index])
        high = read_pixels(self.photographs[index])
        low = darken(high.astype(np.float64) / 255, generator)                # (h, w, 3) in [0, 1], on 8-bit levels
        low, high = (torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float()
                     for picture in (low, high / 255))
        thumbnail = thumbnail_of(low[None])[0]
        if self.patch:
            top, left = random_window(generator, high.shape[1:], self.patch, self.photographs[index])
            low, high = (picture[:, top:top + self.patch, left:left + self.patch] for picture in (low, high))
        return Pair(low, high, thumbnail, self.photographs[index].name)
