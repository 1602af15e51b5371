"""What turns files into MSR-net's samples: LOL's pairs, or bright photographs darkened by the camera model of
common/data/darken.py."""
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from cases.msrnet.model import thumbnail_of
from common.base.errors import UserError
from common.data.cache import fingerprint, random_window
from common.data.darken import darken
from common.data.images import list_images, read_pixels
from common.data.lol import is_lol, one_per_scene, validation_names
from common.data.paired import Pair, PairedImages, list_pairs

TRAINING = "our485"


def training_sets(cfg):
    """(training, validation): data sets of Pair. Held-out scenes never train; validation gives whole pictures, one per
    scene first."""
    data = cfg.data
    if data.kind == "synthetic":
        photographs = bright_photographs(data.root)
        names = [path.name for path in photographs]
    else:
        names = list_pairs(data.root, TRAINING)
    held = validation_names(names, data.validation_seed)
    chosen = one_per_scene(held) if is_lol(names) else held
    chosen = (chosen + [name for name in held if name not in chosen])[:cfg.train.validate_pictures]
    kept = [name for name in names if name not in set(held)]
    if data.kind == "synthetic":
        training = SyntheticPairs([path for path in photographs if path.name in set(kept)], data.patch, cfg.seed)
        validation = SyntheticPairs([path for path in photographs if path.name in set(chosen)], None,
                                    data.validation_seed)
    else:
        training = PairedImages(data.root, TRAINING, patch=data.patch, seed=cfg.seed, names=kept,
                                thumbnails=data.thumbnails)
        validation = PairedImages(data.root, TRAINING, names=chosen, thumbnails=data.thumbnails)
    return (ExposureJitter(training, data.jitter, cfg.seed) if data.jitter else training), validation


def evaluation_set(cfg):
    """The whole pictures to test on, with .set_name and .is_lol: eval15 of the data set, or the scenes held out of
    training."""
    root = cfg.test.root or cfg.data.root
    if cfg.test.set == "validation":
        names = list_pairs(root, TRAINING)
        pairs = PairedImages(root, TRAINING, names=validation_names(names, cfg.data.validation_seed),
                             thumbnails=cfg.data.thumbnails)
        pairs.is_lol = is_lol(names)
    else:
        pairs = PairedImages(root, "eval15")
        pairs.is_lol = is_lol(pairs.names)
    pairs.set_name = cfg.test.set
    return pairs


def bright_photographs(root):
    """The bright half of a set in LOL's layout, else the pictures of a plain folder."""
    folder = Path(root) / TRAINING / "high"
    photographs = list_images(folder if folder.is_dir() else root)
    if len(photographs) < 2:
        raise UserError(f"data.kind=synthetic needs bright photographs: {root} has {len(photographs)}: expected "
                        f"{TRAINING}/high or a folder of at least two pictures: set data.root")
    return photographs


class ExposureJitter(Dataset):
    """Pairs whose dark picture (and its thumbnail) is multiplied by exp(sigma * normal), each time another: (epoch,
    index) -> Pair.

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
    """Bright photographs, each darkened anew by the low-light model: (epoch, index) -> Pair. All draws come from (seed,
    epoch, index)."""

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
