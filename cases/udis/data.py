"""Which pairs train, which are never trained on, and what is tested: photographed pairs without any labels."""
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some
from common.data.cache import Orientation, fingerprint
from common.data.images import list_images, to_tensor
from common.data.paired import by_stem
from common.stitching.mesh import CELLS
from common.stitching.pairs import RealPairs, at_most

KEPT = 4                           # every fourth row of a pairs.csv is never trained on
SIDE = 128
ASTRAY, OFF = 0.6, 0.015           # how often the learnt mesh begins astray, and how far, as a share of the sides


class FolderPairs(RealPairs):
    """Pairs of two folders, one and two, with equal file names (suffixes may differ). No classes."""

    def __init__(self, root, one, two):
        self.root = Path(root)
        first, second = by_stem(list_images(one)), by_stem(list_images(two))
        alone = [f"no partner for {(first | second)[name]}" for name in sorted(set(first) ^ set(second))]
        if alone or not first:
            raise UserError(f"pairs are not complete: {one} has {len(first)} pictures, {two} {len(second)}: "
                            f"{join_some(alone) or 'nothing there'}: files of equal names in both folders were "
                            "expected: copy the missing files, or remove these")
        self.names = list(first)
        self.files = [folder[name] for name in self.names for folder in (first, second)]
        self.lines = [{} for _ in self.names]

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint(self.files)


def read_photographed(root, split):
    """The pairs of a folder, with .set_name: the split's, else the folder's.

    root: has a pairs.csv; UDIS-D (root/split/input1, input2); one split of it; or any two folders of equal file names.
    """
    root = Path(root)
    if (root / "pairs.csv").is_file():
        pairs, name = RealPairs(root), root.resolve().name
    else:
        split_there = (root / split / "input1").is_dir()
        base, name = (root / split, split) if split_there else (root, root.resolve().name)
        folders = [base / "input1", base / "input2"]
        if not folders[0].is_dir():
            inside = sorted(base.iterdir()) if base.is_dir() else []
            folders = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
            if len(folders) != 2:
                raise UserError(f"no pairs: {root}: a pairs.csv, {split}/input1 and {split}/input2 (UDIS-D), or two "
                                "folders of pictures with equal names were expected: set data.root")
        pairs = FolderPairs(root, *folders)
    pairs.set_name = name
    return pairs


def trainable(pairs):
    """The places of the pairs that may train: not every fourth of a pairs.csv; all of others, which have splits."""
    return [place for place in range(len(pairs)) if isinstance(pairs, FolderPairs) or place % KEPT != KEPT - 1]


def class_of(pairs, place):
    """The class of a pair: whether train.py may take it; those of a split of their own are unseen."""
    return "unseen" if isinstance(pairs, FolderPairs) or place % KEPT == KEPT - 1 else "trained"


class TwoViews(NamedTuple):
    """Two overlapping pictures, float32 (3, h, w) in [0, 1], and the pair's name."""
    a: Any
    b: Any
    name: str


class Task(NamedTuple):
    """What the learnt mesh is asked next: the pair at a place, whether its pictures change their roles, and the knots
    (19, 19, 2) at which it begins, shares of the overlap's sides."""
    place: Any
    exchange: Any
    start: Any
    name: str


class TrainingPairs(Dataset):
    """Those of some photographed pairs that stand at `places`. seed: of their draws, where there are any."""

    def __init__(self, pairs, places, seed=0):
        self.pairs, self.places, self.seed = pairs, list(places), seed
        if not self.places:
            raise UserError(f"no pairs to train on: {pairs.root}: photographed pairs were expected: set data.root")

    def __len__(self):
        return len(self.places)

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return self.pairs.fingerprint()


class AlignmentPairs(TrainingPairs):
    """128 x 128 views of photographed pairs: views[epoch, index] -> TwoViews. Draws come from (seed, epoch, index).

    Either picture may come first; both are mirrored and transposed alike, and cropped by themselves to 75 to 100 % a
    side, of which the crops of one pair differ by little, so that the overlap stays: a crop pair is another real pair.
    """

    def __getitem__(self, place):
        epoch, index = place
        rng = np.random.default_rng([self.seed, epoch, index])
        where = self.places[index]
        a, b = self.pairs.pair(where)
        if rng.random() < 0.5:
            a, b = b, a
        corner = rng.random(2)
        a, b = (crop(picture, rng, corner) for picture in (a, b))
        orientation = Orientation.draw(rng, flips=True, turns=True)
        a, b = (orientation.turn(to_tensor(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)))
                for picture in (a, b))
        return TwoViews(a, b, self.pairs.names[where])


class MeshTasks(TrainingPairs):
    """For the learnt mesh: tasks[epoch, index] -> Task. Draws come from (seed, epoch, index).

    A start that is off stands for more pairs than there are: it has to be found out and undone.
    """

    def __getitem__(self, place):
        epoch, index = place
        rng = np.random.default_rng([self.seed, epoch, index])
        exchange, astray = rng.random(2) < (0.5, ASTRAY)
        rough = astray * rng.normal(0, OFF, (4, 4, 2)).astype(np.float32)
        start = cv2.resize(rough, (CELLS + 3, CELLS + 3), interpolation=cv2.INTER_CUBIC)
        where = self.places[index]
        return Task(where, bool(exchange), torch.from_numpy(start), self.pairs.names[where])


def crop(picture, rng, corner):
    """A part of a picture: 75 to 100 % of each side; corner in [0, 1]^2 says about where, with a little of its own."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.75, 1.0, 2)
    size = np.maximum(1, (share * (width, height)).astype(int))
    left, top = ((np.array((width, height)) - size) * np.clip(corner + rng.uniform(-0.2, 0.2, 2), 0, 1)).astype(int)
    return picture[top:top + size[1], left:left + size[0]]


class WholePairs(TrainingPairs):
    """Photographed pairs as they are, for stage 2: [epoch, index] -> TwoViews; sides at most `longest` (0: any)."""

    def __init__(self, pairs, places, longest=0):
        super().__init__(pairs, places)
        self.longest = longest

    def __getitem__(self, place):
        where = self.places[place[1]]
        a, b = (at_most(picture, self.longest) for picture in self.pairs.pair(where))
        return TwoViews(to_tensor(a), to_tensor(b), self.pairs.names[where])
