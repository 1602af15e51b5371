"""What low-light networks train on beside LOL: photographs, darkened anew each time (common/data/night.py).

A sample is asked for by its place (epoch, index); all its draws come from (seed, epoch, index).
"""
import copy
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from common.base.errors import UserError
from common.data.cache import Orientation, fingerprint, random_window, share_pixels
from common.data.images import picture_size, read_pixels, split_photographs, to_tensor
from common.data.night import by_night, darken_to_judge, draw_night
from common.data.paired import THUMBNAIL, Pair

SMALL = (96, 96)                                # (width, height) of the copy that stands for the whole picture
GAINS = (1, 1 / 8, 1 / 16, 1 / 32)              # of held-out photographs, in turn


def photographs_of(folders, patch=None):
    """(training, held out): paths of the pictures of these folders; every tenth of each never trains.

    patch: smaller ones are left out.
    """
    training, held = [], []
    for folder in folders:
        mine, kept = split_photographs(folder, "data.photographs")
        training, held = training + mine, held + kept
    training = [path for path in training if min(picture_size(path) or (0, 0)) >= (patch or 1)]
    if not training:
        raise UserError(f"no photograph is large enough: {', '.join(map(str, folders))}: sides of at least {patch} "
                        "pixels were expected: set data.photographs, or lower data.patch")
    return training, held


class DarkenedPhotographs(Dataset):
    """Photographs by night: photographs[epoch, index] -> Pair, a patch with the whole dark picture's thumbnail.

    turns: patches are also laid upside down and transposed; unchanged: share that keeps its light; plain: share of
    pages and flat pictures in the place of photographs.
    """

    def __init__(self, paths, patch, seed, turns=False, unchanged=0.15, plain=0.06):
        self.paths, self.patch, self.seed, self.turns = list(paths), patch, seed, turns
        self.unchanged, self.plain = unchanged, plain
        self.store = share_pixels([picture_size(path) or (0, 0) for path in self.paths])

    def __len__(self):
        return len(self.paths)

    def fingerprint(self):
        return fingerprint(self.paths)

    def __getitem__(self, place):
        return self.draw(place)[0]

    def draw(self, place):
        """(Pair, extremes (2, 2)) of a place: the least and the largest value of the whole dark and bright picture."""
        rng = np.random.default_rng([self.seed, *place, 2])
        picture, name = self._picture(place[1]), self.paths[place[1]].name
        if rng.random() < self.plain:
            picture, name = plain_picture(rng), "plain"
        small = cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA)
        night = draw_night(rng, small, self.unchanged)
        dark, bright = by_night(rng, night, small, exact=False)
        thumbnail = F.adaptive_avg_pool2d(to_tensor(dark), THUMBNAIL)
        extremes = torch.tensor([[dark.min(), dark.max()], [bright.min(), bright.max()]]).float() / 255
        top, left = random_window(rng, picture.shape[:2], self.patch, self.paths[place[1]])
        window = np.ascontiguousarray(picture[top:top + self.patch, left:left + self.patch])
        dark, bright = by_night(rng, night, window, (top, left), picture.shape[:2])
        orientation = Orientation.draw(rng, True, self.turns)
        low, high, thumbnail = (orientation.turn(each) for each in (to_tensor(dark), to_tensor(bright), thumbnail))
        return Pair(low, high, thumbnail.contiguous(), name), extremes

    def whole(self, place, longest=320):
        """(dark, bright), uint8 (h, w, 3), of a place: the whole picture, its longer side at most `longest`."""
        rng = np.random.default_rng([self.seed, *place, 4])
        picture = self._picture(place[1])
        scale = min(1.0, longest / max(picture.shape[:2]))
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA)
        return by_night(rng, draw_night(rng, small, self.unchanged), picture)

    def _picture(self, index):
        path = self.paths[index]
        return self.store.get(index, read_pixels, path) if self.store else read_pixels(path)


class MixedPairs(Dataset):
    """LOL's pairs and darkened photographs: mixed[epoch, index] -> a Pair of either; share: of LOL's."""

    def __init__(self, pairs, photographs, share, seed):
        self.pairs, self.photographs, self.share, self.seed = pairs, photographs, share, seed

    def __len__(self):
        return len(self.pairs) + len(self.photographs)

    def fingerprint(self):
        return f"{self.pairs.fingerprint()} {self.photographs.fingerprint()}"

    def in_patches(self, patch):
        """The same pictures in patches of another side."""
        other = copy.copy(self)
        other.pairs, other.photographs = self.pairs.in_patches(patch), copy.copy(self.photographs)
        other.photographs.patch = patch
        return other

    def __getitem__(self, place):
        rng = np.random.default_rng([self.seed, *place, 3])
        chosen = self.pairs if rng.random() < self.share else self.photographs
        return chosen[place[0] * len(self) + place[1], int(rng.integers(len(chosen)))]


class HeldOutPhotographs(Dataset):
    """Whole photographs that never train, darkened as for judging at GAINS in turn: held[0, index] -> Pair."""

    def __init__(self, paths):
        self.paths = [Path(path) for path in paths]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, place):
        index = place[1]
        bright = read_pixels(self.paths[index])
        gain = GAINS[index % len(GAINS)]
        low = to_tensor(bright if gain == 1 else darken_to_judge(bright, gain, index))
        return Pair(low, to_tensor(bright), F.adaptive_avg_pool2d(low, THUMBNAIL), self.paths[index].name)


class Both(Dataset):
    """One data set after the other: both[0, index]."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def __len__(self):
        return len(self.first) + len(self.second)

    def __getitem__(self, place):
        epoch, index = place
        count = len(self.first)
        return self.first[epoch, index] if index < count else self.second[epoch, index - count]


def plain_picture(rng, size=240):
    """A page with lines of print, or a flat picture: uint8 (size, size, 3)."""
    level = int(rng.choice([255, 252, 245, 230, 200, 160, 128, 96], p=[.3, .15, .15, .1, .1, .05, .1, .05]))
    picture = np.full((size, size, 3), level, np.uint8)
    if rng.random() < 0.6:
        for top in range(int(rng.integers(5, 20)), size - 12, int(rng.integers(14, 30))):
            height = int(rng.integers(3, 9))
            left, right = int(rng.integers(5, 40)), int(rng.integers(size // 2, size - 5))
            picture[top:top + height, left:right:int(rng.integers(1, 4))] = int(rng.integers(0, 90))
    if rng.random() < 0.3:
        top, left = rng.integers(0, size - 60, 2)
        picture[top:top + 60, left:left + 60] = rng.integers(0, 256, 3)
    return picture
