"""Pairs of a dark and a bright picture in the layout of LOL, LOL-v2 or LSRW, as a data set.

A sample is asked for by its place (epoch, index), and all its draws come from (seed, epoch, index): the number of
workers, the order in which they answer and an interrupted run change nothing.
"""
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some
from common.data.cache import Orientation, fingerprint, random_window, share_pixels
from common.data.images import by, list_images, picture_size, read_pixels, to_tensor

THUMBNAIL = 32                      # side in pixels
SPLITS = {"our485": ("Train", "Training data"), "eval15": ("Test", "Eval")}     # LOL's split, LOL-v2's, LSRW's
WHOLE = torch.tensor([0.0, 0.0, 1.0, 1.0])


class Pair(NamedTuple):
    """One sample: the same patch of a dark and a bright picture, and what the patch alone cannot tell."""
    low: Tensor                     # (3, h, w) float32 in [0, 1]
    high: Tensor                    # (3, h, w)
    thumbnail: Tensor               # (3, 32, 32) area average of the whole dark picture, mirrored like the patch
    name: str                       # the file's name
    box: Tensor = WHOLE             # (4,) top, left, bottom, right of the patch in the (mirrored) picture, in [0, 1]


class PairedImages(Dataset):
    """Pairs of root/split/low and root/split/high, by file name: pairs[epoch, index] -> Pair.

    split: as LOL calls it; LOL-v2 (root: its Real_captured or Synthetic) and LSRW are found by their own names of it,
    which is then folder_name. items: a name for each pair that no other has, without the suffix. patch: side of a
    random crop; None: whole pictures, untouched. names: file names of a part of the set. flips: patches are mirrored
    left to right at random; turns: also upside down and transposed. cache: decoded pictures stay in memory where all of
    them fit (CACHE_BYTES). thumbnails: an .npz file with `name` and `low_thumbnail`, for files that are only crops of
    the pictures whose thumbnails are needed (`box` then still refers to the file). Raises UserError for a missing
    folder or partner, unequal sizes, pictures smaller than the patch.
    """

    def __init__(self, root, split, patch=None, seed=0, names=None, cache=True, flips=True, turns=False,
                 thumbnails=None):
        self.root, self.split, self.patch, self.seed = Path(root), split, patch, seed
        self.flips, self.turns = flips, turns
        self.files = pair_files(root, split)                                # {name: (low, high)}
        self.names = choose_names(root, split, names)
        self.items = item_names(self.names)
        self.folder_name = pair_folders(root, split)[0].low.relative_to(self.root).parts[0]
        self.store = share_pixels(self._sizes()) if cache else None
        self.given_thumbnails = read_thumbnails(thumbnails, self.names) if thumbnails else None
        self.thumbnails = {}

    def __len__(self):
        return len(self.names)

    def paths(self, index):
        """(low, high) files of a pair."""
        return self.files[self.names[index]]

    def inputs(self):
        """{item: path of the low picture}: what Run.record passes on to the report."""
        return {item: str(self.files[name][0]) for item, name in zip(self.items, self.names)}

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint(path for index in range(len(self)) for path in self.paths(index))

    def __getitem__(self, place):
        epoch, index = place
        low, high = self._pixels(index)
        thumbnail = self._thumbnail(index, low)
        if not self.patch:
            return Pair(to_tensor(low), to_tensor(high), thumbnail, self.names[index])
        rng = np.random.default_rng([self.seed, epoch, index])
        height, width = low.shape[:2]
        top, left = random_window(rng, (height, width), self.patch, self.paths(index)[0])
        bottom, right = top + self.patch, left + self.patch
        orientation = Orientation.draw(rng, self.flips, self.turns)
        low, high = (orientation.turn(to_tensor(picture[top:bottom, left:right])) for picture in (low, high))
        box = orientation.turn_box(top / height, left / width, bottom / height, right / width)
        return Pair(low, high, orientation.turn(thumbnail), self.names[index], box)

    def _sizes(self):
        """(height, width) of every picture, low and high in turn, from the headers alone.

        (0, 0) where no header can be read: such a file speaks up when it is needed, and does not stop the others.
        """
        sizes, problems = [], []
        for index, name in enumerate(self.names):
            low, high = (picture_size(path) for path in self.paths(index))
            sizes += [low or (0, 0), high or (0, 0)]
            if not low or not high:
                continue
            if low != high:
                problems.append(f"{name}: low is {by(low)}, high {by(high)}")
            elif self.patch and min(low) < self.patch:
                problems.append(f"{name}: {by(low)} is smaller than patches of {self.patch}")
        if problems:
            raise UserError(f"pictures that do not fit: {self.root / self.split}: {join_some(problems)}: equal sizes "
                            "in low and high were expected, no smaller than the patch: replace or remove these files, "
                            "or lower data.patch")
        return sizes

    def _pixels(self, index):
        """(low, high) of a pair as uint8 (H, W, 3)."""
        paths = self.paths(index)
        if self.store is None:
            low, high = map(read_pixels, paths)
        else:
            low, high = (self.store.get(2 * index + side, read_pixels, path) for side, path in enumerate(paths))
        if low.shape != high.shape:                         # files that were changed after the headers had been read
            raise UserError(f"unequal sizes: {paths[0]} is {by(low.shape)}, {paths[1]} {by(high.shape)}: equal ones "
                            "were expected: replace one of them")
        return low, high

    def _thumbnail(self, index, low):
        """(3, 32, 32) float32 of the whole dark picture."""
        if self.given_thumbnails is not None:
            return self.given_thumbnails[self.names[index]]
        if index not in self.thumbnails:
            thumbnail = F.adaptive_avg_pool2d(to_tensor(low), THUMBNAIL).contiguous()
            if self.store is None:
                return thumbnail
            self.thumbnails[index] = thumbnail
        return self.thumbnails[index]


class Folders(NamedTuple):
    """Two folders of pictures that belong together."""
    before: str                     # stands before the file names in the pairs' names
    low: Path
    high: Path


def pair_folders(root, split):
    """[Folders, ...] of a split: root/split/{low,high} (LOL); root/Train/{Low,Normal} (LOL-v2); root/Training data/
    {Huawei,Nikon}/{low,high} (LSRW). Raises UserError where they are missing."""
    root = Path(root)
    lol = Folders("", root / split / "low", root / split / "high")
    if not lol.low.is_dir() and not lol.high.is_dir():
        for folder in (root / name for name in SPLITS.get(split, ())):
            if (folder / "Low").is_dir() and (folder / "Normal").is_dir():
                return [Folders("", folder / "Low", folder / "Normal")]
            if cameras := [path.parent for path in sorted(folder.glob("*/low")) if (path.parent / "high").is_dir()]:
                return [Folders(f"{camera.name}/", camera / "low", camera / "high") for camera in cameras]
    if missing := [folder for folder in lol[1:] if not folder.is_dir()]:
        inside = [name for name in ("Real_captured", "Synthetic") if (root / name).is_dir()]
        hint = f"LOL-v2 has two halves: set data.root to {root / inside[0]}" if inside else (
            "put the data there or set data.root; `python -m common.data check LOL` says where to get it")
        raise UserError(f"data set not found: {join_some(missing)}: folders {split}/low and {split}/high with equal "
                        f"file names (or those of LOL-v2 or LSRW) were expected: {hint}")
    return [lol]


def pair_files(root, split):
    """{name: (low, high)} of a split, in natural order. UserError for missing partners, empty folders.

    A name is the dark file's, of LSRW with its camera before it. LOL-v2's normal00001.png is low00001.png's partner.
    """
    pairs, alone, counts, folders = {}, [], [0, 0], pair_folders(root, split)
    for before, low, high in folders:
        dark, bright = list_images(low), {path.name: path for path in list_images(high)}
        counts = [counts[0] + len(dark), counts[1] + len(bright)]
        for path in dark:
            partner = bright.pop(path.name, None) or bright.pop(re.sub(r"^low(?=\d)", "normal", path.name), None)
            if partner:
                pairs[before + path.name] = path, partner
            else:
                alone.append(f"no partner for {path}")
        alone += [f"no partner for {path}" for path in bright.values()]
    low, high = folders[0][1:]
    if alone:
        raise UserError(f"{low} has {counts[0]} pictures, {high} {counts[1]}: {join_some(alone)}: a file of the same "
                        "name in both was expected: copy the missing files, or remove these")
    if not pairs:
        raise UserError(f"no pictures: {low} and {high}: files of equal names in both were expected: put the data "
                        "there or set data.root")
    return pairs


def list_pairs(root, split):
    """The names of the pairs of a split, in natural order; errors as pair_files."""
    return list(pair_files(root, split))


def item_names(names):
    """A name for each file name that no other has: without the suffix, but where two differ in nothing else (1.png and
    1.jpg). Raises UserError for two that differ in small and capital letters alone."""
    stems = [name[:-len(Path(name).suffix)] if Path(name).suffix else name for name in names]
    counts = Counter(stem.casefold() for stem in stems)
    items = [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, names)]
    if len({item.casefold() for item in items}) < len(items):           # 1.png and 1.PNG, where both can be
        raise UserError(f"files that differ in small and capital letters alone: {join_some(items)}: results are kept "
                        "under these names, and some systems cannot tell them apart: rename one of each")
    return items


def by_stem(paths):
    """{stem: path}. Raises UserError for two files of one stem: nobody knows which of them is meant by it."""
    found = {}
    for path in paths:
        if path.stem in found:
            raise UserError(f"two pictures of one name: {found[path.stem]}, {path}: their names are used without the "
                            "suffix, so one of each was expected: rename or remove one")
        found[path.stem] = path
    return found


def choose_names(root, split, names):
    """All names of a split, or those given, which must be among them. Raises UserError."""
    there = list_pairs(root, split)
    if names is None:
        return there
    names = list(names)
    if missing := [name for name in names if name not in set(there)]:
        raise UserError(f"no such pairs: {Path(root) / split}: {join_some(missing)}: names of files in low and high "
                        "were expected")
    return names


def read_thumbnails(path, names):
    """{name: (3, 32, 32) float32} from an .npz file with `name` and `low_thumbnail` (N, 32, 32, 3), else UserError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            pictures = torch.from_numpy(file["low_thumbnail"].astype(np.float32)).permute(0, 3, 1, 2).contiguous()
            found = {str(name): picture for name, picture in zip(file["name"], pictures, strict=True)}
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"none for {join_some(missing)}")
        if pictures.shape[1:] != (3, THUMBNAIL, THUMBNAIL):
            raise ValueError(f"they have the shape {tuple(pictures.shape)}")
    except Exception as error:                              # NumPy raises nearly everything on foreign files
        raise UserError(f"no thumbnails ({error}): {path}: an .npz file with `name` and `low_thumbnail` (N, 32, 32, 3) "
                        "was expected: mend data.thumbnails") from error
    return found
