"""Data sets: pairs of pictures in LOL's layout, and the command line that checks and fetches the real sets.

python -m common.datasets check [NAME] [ROOT]      is a data set complete and readable?
python -m common.datasets get NAME                 download what can be had without an account

A sample is asked for by its place (epoch, index), and all its draws come from (seed, epoch, index): the number of workers, the order in
which they answer and an interrupted run change nothing.
"""
import hashlib
import math
import mmap
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import UserError, listed, start
from common.images import ORIENTATION, list_images, read_bytes

CACHE_BYTES = 1.5e9                 # decoded pictures of a set are kept when all of them together stay under this; LOL has 0.7e9
THUMBNAIL = 32                      # side of the thumbnails
WHOLE = torch.tensor([0.0, 0.0, 1.0, 1.0])


class Pair(NamedTuple):
    """One sample: the same patch of a dark and a bright picture, and what the patch alone cannot tell."""
    low: Tensor                     # (3, h, w) float32 in [0, 1]
    high: Tensor                    # (3, h, w)
    thumbnail: Tensor               # (3, 32, 32) area average of the whole dark picture, mirrored like the patch
    name: str                       # the file's name
    box: Tensor = WHOLE             # (4,) float32: top, left, bottom, right of the patch in the whole (mirrored) picture, in [0, 1]


class PairedImages(Dataset):
    """Pairs of root/split/low and root/split/high, by file name: pairs[epoch, index] -> Pair.

    patch: side of a random crop; None: whole pictures, untouched. names: file names of a part of the set. flips: patches are mirrored left
    to right at random; turns: also upside down and transposed. cache: decoded pictures stay in memory where all of them fit (CACHE_BYTES).
    thumbnails: an .npz file with `name` and `low_thumbnail`, for files that are only crops of the pictures whose thumbnails are needed
    (`box` then still refers to the file). Raises UserError for a missing folder or partner, unequal sizes, pictures smaller than the patch.
    """

    def __init__(self, root, split, patch=None, seed=0, names=None, cache=True, flips=True, turns=False, thumbnails=None):
        self.root, self.split, self.patch, self.seed, self.flips, self.turns = Path(root), split, patch, seed, flips, turns
        self.folders = pair_folders(root, split)
        self.names = chosen_names(root, split, names)
        sizes = self._sizes()
        self.store = SharedPixels([(*size, 3) for size in sizes]) if cache and 3 * sum(map(math.prod, sizes)) <= CACHE_BYTES else None
        self.given_thumbnails = read_thumbnails(thumbnails, self.names) if thumbnails else None
        self.thumbnails = {}

    def __len__(self):
        return len(self.names)

    def paths(self, index):
        """(low, high) files of a pair."""
        return tuple(folder / self.names[index] for folder in self.folders)

    def inputs(self):
        """{stem: path of the low picture}: what Run.record passes on to the report."""
        return {Path(name).stem: str(self.folders[0] / name) for name in self.names}

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
        """(height, width) of every picture, low and high in turn, from the headers alone. (0, 0) where there is no readable header:
        such a file speaks up when it is needed, so that it does not stop the others."""
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
            raise UserError(f"pictures that do not fit: {self.root / self.split}: {listed(problems)}: equal sizes in low and high were "
                            "expected, no smaller than the patch: replace or remove these files, or lower data.patch")
        return sizes

    def _pixels(self, index):
        """(low, high) of a pair as uint8 (H, W, 3)."""
        paths = self.paths(index)
        if self.store is None:
            low, high = map(read_bytes, paths)
        else:
            low, high = (self.store.get(2 * index + side, read_bytes, path) for side, path in enumerate(paths))
        if low.shape != high.shape:                         # files that were changed after the headers had been read
            raise UserError(f"unequal sizes: {paths[0]} is {by(low.shape)}, {paths[1]} {by(high.shape)}: equal ones were expected: "
                            "replace one of them")
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


class Orientation(NamedTuple):
    """One of the eight ways to lay a picture down: transposed, then upside down, then mirrored left to right."""
    mirrored: bool
    upside_down: bool = False
    transposed: bool = False

    @classmethod
    def draw(cls, rng, flips, turns):
        """One at random: mirrored or not (flips), and the other two (turns); nothing is drawn for what is not wanted."""
        mirrored = bool(flips) and rng.random() < 0.5
        return cls(mirrored, *(rng.random(2) < 0.5)) if turns else cls(mirrored)

    def turn(self, picture):
        """A tensor (C, h, w) in this orientation."""
        picture = picture.mT if self.transposed else picture
        picture = picture.flip(-2) if self.upside_down else picture
        return picture.flip(-1) if self.mirrored else picture

    def turn_box(self, top, left, bottom, right):
        """Pair's box of a window, given in [0, 1] of the picture as it is, after the whole picture was turned."""
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        if self.upside_down:
            top, bottom = 1 - bottom, 1 - top
        if self.mirrored:
            left, right = 1 - right, 1 - left
        return torch.tensor([top, left, bottom, right], dtype=torch.float32)


class SharedPixels:
    """Decoded uint8 pictures of known shapes, read when first asked for, in memory that loader processes made by fork share: what one has
    read no other reads again. Where processes are spawned (Windows, macOS) each begins with an empty memory of its own."""

    def __init__(self, shapes):
        self.shapes = list(shapes)
        ends = np.cumsum([len(self.shapes)] + [math.prod(shape) for shape in self.shapes])      # first one byte each: is it there?
        self.starts = ends[:-1]
        self.memory = np.frombuffer(mmap.mmap(-1, max(1, int(ends[-1]))), np.uint8)              # the system gives pages when written to

    def __reduce__(self):
        return SharedPixels, (self.shapes,)

    def get(self, slot, read, path):
        """The picture of a slot, by read(path) the first time. A view: not to be written to."""
        shape, first = self.shapes[slot], self.starts[slot]
        kept = self.memory[first:first + math.prod(shape)].reshape(shape)
        if self.memory[slot]:
            return kept
        picture = read(path)
        if picture.shape == shape:
            kept[...] = picture
            self.memory[slot] = 1                           # after the pixels: another process may be looking
        return picture


def pair_folders(root, split):
    """(low, high) folders of a split: root/split/{low,high}. Raises UserError where they are missing."""
    folders = tuple(Path(root) / split / side for side in ("low", "high"))
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise UserError(f"data set not found: {listed(missing)}: folders {split}/low and {split}/high with equal file names were expected: "
                        "put the data there or set data.root; `python -m common.datasets check LOL` says where to get it")
    return folders


def paired_names(root, split):
    """File names that both folders of a split have, in natural order. Raises UserError for missing partners and empty folders."""
    low, high = pair_folders(root, split)
    names, others = ([path.name for path in list_images(folder)] for folder in (low, high))
    if not names and not others:
        raise UserError(f"no pictures: {low} and {high}: files of equal names in both were expected: put the data there or set data.root")
    alone = [f"no partner for {low / name}" for name in names if name not in set(others)]
    alone += [f"no partner for {high / name}" for name in others if name not in set(names)]
    if alone:
        raise UserError(f"{low} has {len(names)} pictures, {high} {len(others)}: {listed(alone)}: a file of the same name in both was "
                        "expected: copy the missing files, or remove these")
    return names


def chosen_names(root, split, names):
    """All names of a split, or those given, which must be among them. Raises UserError."""
    there = paired_names(root, split)
    if names is None:
        return there
    names = list(names)
    missing = [name for name in names if name not in set(there)]
    if missing:
        raise UserError(f"no such pairs: {Path(root) / split}: {listed(missing)}: names of files in low and high were expected")
    return names


def fingerprint(paths):
    """A digest of file names and sizes: equal for the same files, wherever they lie."""
    text = "\n".join(f"{Path(path).parent.name}/{Path(path).name} {Path(path).stat().st_size}" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()


def random_window(rng, size, patch, path):
    """(top, left) of a random patch in a picture of size (h, w). Raises UserError, naming path, where it does not fit."""
    if min(size) < patch:
        raise UserError(f"{path} is {by(size)}: patches of {patch} do not fit: lower data.patch, or remove the picture")
    return tuple(int(rng.integers(side - patch + 1)) for side in size)


def picture_size(path):
    """(height, width) of a picture, upright, from its header; None where there is none to read."""
    try:
        with Image.open(path) as image:
            exif = image.getexif() if "exif" in image.info else {}             # asking a PNG without any would decode it
            return image.size if exif.get(ORIENTATION) in (5, 6, 7, 8) else image.size[::-1]
    except (OSError, ValueError, SyntaxError):                                 # Pillow raises all three on damaged headers
        return None


def by(size):
    """`600x400`, width first, of a shape (h, w, ...)."""
    return f"{size[1]}x{size[0]}"


def to_tensor(pixels):
    """uint8 (h, w, 3) as float32 (3, h, w) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float().div_(255)


def read_thumbnails(path, names):
    """{name: (3, 32, 32) float32} from an .npz file with `name` and `low_thumbnail` (N, 32, 32, 3). Raises UserError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            pictures = torch.from_numpy(file["low_thumbnail"].astype(np.float32)).permute(0, 3, 1, 2).contiguous()
            found = {str(name): picture for name, picture in zip(file["name"], pictures, strict=True)}
        missing = [name for name in names if name not in found]
        if missing or pictures.shape[1:] != (3, THUMBNAIL, THUMBNAIL):
            raise ValueError(f"none for {listed(missing)}" if missing else f"they have the shape {tuple(pictures.shape)}")
    except Exception as error:                                                 # NumPy raises nearly everything on foreign files
        raise UserError(f"no thumbnails ({error}): {path}: an .npz file with `name` and `low_thumbnail` (N, 32, 32, 3) was expected: "
                        "mend data.thumbnails") from error
    return found


def picture_files(inputs):
    """(paths, items): the pictures that files and folders name, and a name for each that is unique among them (the stem where it is)."""
    paths = []
    for path in map(Path, inputs):
        if path.is_dir():
            found = list_images(path)
            if not found:
                raise UserError(f"no pictures: {path}: PNG, JPEG, BMP, WebP or TIFF files were expected: name another folder")
            paths += found
        elif path.exists():
            paths.append(path)
        else:
            raise UserError(f"no such file or folder: {path}: pictures were expected: check the path")
    items, taken = [], set()
    for path in paths:
        item, count = path.stem, 1
        while item.casefold() in taken:                     # `a.png` and `A.png` are one file on some systems
            count += 1
            item = f"{path.stem}-{count}"
        items.append(item)
        taken.add(item.casefold())
    return paths, items


if __name__ == "__main__":
    from common.check import main
    sys.exit(start(main))
