"""What turns files into KinD's samples: LOL's pairs, stretched by the bounds of the whole photographs, then cropped."""
import copy
import csv
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch

from cases.kind.enhance import BLACK, own_bounds
from cases.kind.model import stretch
from common.base.errors import UserError, join_some
from common.data.images import to_tensor
from common.data.lol import is_lol
from common.data.paired import PairedImages, list_pairs
from common.lowlight import splits
from common.lowlight.mixed import DarkenedPhotographs, MixedPairs, photographs_of
from common.lowlight.splits import TRAINING

WHOLE_LOL = (400, 600)


class StretchedPairs(PairedImages):
    """PairedImages stretched to [0, 1] by (x - min) / (max - min) of the whole picture: pairs[epoch, index] -> Pair.

    bounds: {name: (low_min, low_max, high_min, high_max)} in levels of 255, for files that are only parts of their
    pictures; of others they are measured once, when a picture is first needed. stretched=False: pictures as they are.
    permute: share of the patches whose three colours change places, the same in both pictures of a pair.
    """

    def __init__(self, root, split, bounds=None, stretched=True, permute=0.0, **options):
        super().__init__(root, split, **options)
        self.bounds, self.stretched, self.permute = dict(bounds or {}), stretched, permute
        missing = [name for name in self.names if name not in self.bounds] if bounds else []
        if missing:
            raise UserError(f"no stretch bounds for {join_some(missing)}: data.stretch: a line for every training "
                            "picture was expected: add them, or leave data.stretch out where the pictures are whole")

    def in_patches(self, patch):
        """The same pictures (decoded once, shared) in random patches of this side; None: whole."""
        other = copy.copy(self)
        other.patch = patch
        return other

    def __getitem__(self, place):
        pair = self._permute(super().__getitem__(place), place)
        if not self.stretched:
            return pair
        bounds = torch.tensor(self.bounds_of(place[1])).float() / 255
        return pair._replace(low=stretch(pair.low[None], bounds[None, :2])[0],
                             high=stretch(pair.high[None], bounds[None, 2:])[0])

    def _permute(self, pair, place):
        """LOL has hardly any orange; without this the restoration learns that there is none, and makes it yellow."""
        draw = np.random.default_rng([self.seed, *place, 1])            # not the draws of the patch
        if not self.patch or draw.random() >= self.permute:
            return pair
        order = torch.from_numpy(draw.permutation(3))
        return pair._replace(low=pair.low[order], high=pair.high[order])

    def bounds_of(self, index):
        """(low_min, low_max, high_min, high_max) of a pair, in levels."""
        name = self.names[index]
        if name not in self.bounds:
            low, high = self._pixels(index)
            self.bounds[name] = int(low.min()), int(low.max()), int(high.min()), int(high.max())
        return self.bounds[name]


class StretchedNights(DarkenedPhotographs):
    """Photographs by night, stretched by the extremes of the whole dark and the whole bright picture, within the limits
    that one's own pictures have (enhance.own_bounds)."""

    def __init__(self, *arguments, settings, permute=0.0, **options):
        """settings: `test`, of which the stretch's limits count."""
        super().__init__(*arguments, **options)
        self.settings, self.permute = settings, permute

    def __getitem__(self, place):
        pair, extremes = self.draw(place)
        least = extremes[:, 0].clamp(max=BLACK)
        bounds = torch.stack([least, torch.maximum(extremes[:, 1], least + 1 / self.settings.stretch_gain)], dim=1)
        low, high = (stretch(picture[None], each[None])[0].clamp(0, 1)
                     for picture, each in zip((pair.low, pair.high), bounds))
        draw = np.random.default_rng([self.seed, *place, 1])
        order = torch.from_numpy(draw.permutation(3)) if draw.random() < self.permute else slice(None)
        return pair._replace(low=low[order], high=high[order])

    def whole_pairs(self, count):
        """Yield (low, high, bounds of low) of `count` whole photographs by night, stretched as one's own pictures:
        (1, 3, h, w) twice and (1, 2); flat ones are left out."""
        for index in np.linspace(0, len(self) - 1, min(count, len(self))).astype(int):
            pictures = [to_tensor(picture)[None] for picture in self.whole((0, int(index)))]
            bounds = [own_bounds(picture, self.settings) for picture in pictures]
            if bounds[0] is not None and bounds[1] is not None:
                low, high = (stretch(*both).clamp(0, 1) for both in zip(pictures, bounds))
                yield low, high, bounds[0]


def mixture(cfg, pairs):
    """What decomposition, restoration and the joint stage train on: the pairs, or with data.kind=mixed also photographs
    by night."""
    data = cfg.data
    if data.kind == "lol":
        return pairs
    largest = max(cfg.decompose.patch, cfg.restore.patch, cfg.joint.patch)
    paths, _ = photographs_of(data.photographs, largest)
    nights = StretchedNights(paths, largest, cfg.seed, turns=True, settings=cfg.test, permute=data.permute,
                            unchanged=data.unchanged, plain=data.plain)
    return MixedPairs(pairs, nights, data.share, cfg.seed)


def training_sets(cfg, say=print):
    """(training, validation): whole StretchedPairs; held-out scenes never train."""
    data, names = cfg.data, list_pairs(cfg.data.root, TRAINING)
    kept, chosen = splits.hold_out(names, cfg)
    options = {"bounds": read_bounds(data.stretch) if data.stretch else None,
               "stretched": cfg.model.stretch == "minmax"}
    training = StretchedPairs(data.root, TRAINING, names=kept, seed=cfg.seed, turns=True, permute=data.permute,
                              **options)
    validation = StretchedPairs(data.root, TRAINING, names=chosen, **options)
    if is_lol(names) and training.stretched and not data.stretch and training._pixels(0)[0].shape[:2] != WHOLE_LOL:
        say("these training pictures are crops of LOL's and are stretched by their own bounds, about twice too much: "
            "data.stretch=FILE names the bounds of the whole ones")
    return training, validation


def read_bounds(path):
    """{name: (low_min, low_max, high_min, high_max)} in levels of 255, from a CSV file with these columns and name."""
    columns = ("low_min", "low_max", "high_min", "high_max")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return {line["name"]: tuple(map(float, itemgetter(*columns)(line))) for line in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"no stretch bounds ({error}): {path}: a CSV file with the columns name, {', '.join(columns)} "
                        "was expected: mend data.stretch") from error


def evaluation_set(cfg):
    """The whole pictures to test on, unstretched (splits.evaluation_set); None where eval15 has dark pictures only."""
    folder = Path(cfg.test.root or cfg.data.root) / "eval15"
    if cfg.test.set != "validation" and (folder / "low").is_dir() and not (folder / "high").is_dir():
        return None
    return splits.evaluation_set(cfg)
