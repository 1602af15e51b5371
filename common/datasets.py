"""Data sets: pairs of pictures in LOL's layout, and the command line that checks and fetches the real sets.

python -m common.datasets check [NAME] [ROOT]      is a data set complete and readable?
python -m common.datasets get NAME                 download what can be had without an account
"""
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import Dataset

from common.errors import UserError, listed
from common.images import list_images, read_bytes

CACHE_BYTES = 1.5e9                 # decoded pictures of a set are kept when all of them together stay under this


class Pair(NamedTuple):
    """One sample: the dark and the bright picture, and a thumbnail of the whole dark picture."""
    low: torch.Tensor              # (3, h, w) float32 in [0, 1]
    high: torch.Tensor             # (3, h, w)
    thumbnail: torch.Tensor        # (3, 32, 32), area average
    name: str


def pair_folders(root, split):
    """(low, high) folders of a split: root/split/{low,high}. Raises UserError where the data set is missing."""
    folder = Path(root) / split
    missing = [str(folder / side) for side in ("low", "high") if not (folder / side).is_dir()]
    if missing:
        raise UserError(f"data set not found: {listed(missing)}: expected {split}/low and {split}/high with equal names: "
                        f"put the data there, or set data.root (see datasets/README.md)")
    return folder / "low", folder / "high"


def paired_names(root, split):
    """File names that both folders of a split have, in natural order. Raises UserError for missing partners and empty folders."""
    low, high = pair_folders(root, split)
    names, others = ([path.name for path in list_images(folder)] for folder in (low, high))
    if not names:
        raise UserError(f"{low} has no pictures: expected PNG or JPEG files: put the data there, or set data.root")
    alone = [f"no partner for {low / name}" for name in names if name not in set(others)]
    alone += [f"no partner for {high / name}" for name in others if name not in set(names)]
    if alone:
        raise UserError(f"{low} has {len(names)} images, {high} {len(others)}: {listed(alone)}: copy the missing files, or remove the others")
    return names


def fingerprint(paths):
    """A digest of file names and sizes: equal for the same files, wherever they lie."""
    text = "\n".join(f"{Path(path).parent.name}/{Path(path).name} {Path(path).stat().st_size}" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()


def random_window(generator, size, patch, path):
    """(top, left) of a random patch in a picture of size (h, w). Raises UserError where it does not fit."""
    if min(size) < patch:
        raise UserError(f"{path} is {size[1]}x{size[0]}: patches of {patch} do not fit: lower data.patch, or remove the picture")
    return tuple(int(generator.integers(side - patch + 1)) for side in size)


class PairedImages(Dataset):
    """Dark and bright pictures of the same name. [(epoch, index)] -> Pair; all draws come from (seed, epoch, index).

    patch: side of random crops, flipped at random; None gives whole pictures as they are. names: a part of the set. thumbnails: an .npz
    with `name` and `low_thumbnail` of the whole pictures, where the files are crops of them. Raises UserError for missing partners, pairs
    of unequal size, pictures smaller than the patch.
    """

    def __init__(self, root, split, patch=None, seed=0, names=None, thumbnails=None):
        self.root, self.split, self.patch, self.seed = Path(root), split, patch, seed
        self.folders = pair_folders(root, split)
        self.names = paired_names(root, split) if names is None else list(names)
        self.thumbnails = read_thumbnails(thumbnails) if thumbnails else {}
        self.cache, self.cached = {}, 6 * self._check_sizes() < CACHE_BYTES

    def __len__(self):
        return len(self.names)

    def paths(self, index):
        """(low, high) files of a pair."""
        return tuple(folder / self.names[index] for folder in self.folders)

    def fingerprint(self):
        return fingerprint(path for index in range(len(self)) for path in self.paths(index))

    def _check_sizes(self):
        """Pixels of all dark pictures together, from the headers alone."""
        problems, pixels = [], 0
        for index, name in enumerate(self.names):
            try:
                sizes = [Image.open(path).size for path in self.paths(index)]
            except OSError:
                continue                                    # a file that cannot be read speaks up when it is needed
            pixels += sizes[0][0] * sizes[0][1]
            if sizes[0] != sizes[1]:
                problems.append(f"{name}: low is {'x'.join(map(str, sizes[0]))}, high {'x'.join(map(str, sizes[1]))}")
            elif self.patch and min(sizes[0]) < self.patch:
                problems.append(f"{name}: {'x'.join(map(str, sizes[0]))} is smaller than patches of {self.patch}")
        if problems:
            raise UserError(f"{self.root / self.split}: {listed(problems)}: expected pairs of equal size, no smaller than data.patch: "
                            f"mend or remove these files")
        return pixels

    def _pixels(self, index):
        """(low, high) uint8 (h, w, 3) and the thumbnail (32, 32, 3) float32 of the whole dark picture."""
        if index in self.cache:
            return self.cache[index]
        low, high = (read_bytes(path) for path in self.paths(index))
        thumbnail = self.thumbnails.get(self.names[index])
        if thumbnail is None:
            thumbnail = F.adaptive_avg_pool2d(torch.from_numpy(low).permute(2, 0, 1).float() / 255, 32).permute(1, 2, 0).numpy()
        if self.cached:
            self.cache[index] = low, high, thumbnail
        return low, high, thumbnail

    def __getitem__(self, place):
        epoch, index = place
        low, high, thumbnail = self._pixels(index)
        if self.patch:
            generator = np.random.default_rng([self.seed, epoch, index])
            top, left = random_window(generator, low.shape[:2], self.patch, self.paths(index)[0])
            low, high = (picture[top:top + self.patch, left:left + self.patch] for picture in (low, high))
            if generator.random() < 0.5:
                low, high, thumbnail = (picture[:, ::-1] for picture in (low, high, thumbnail))
        return Pair(chw(low) / 255, chw(high) / 255, chw(thumbnail), self.names[index])


def chw(picture):
    """An array (h, w, 3) as a float32 tensor (3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float()


def read_thumbnails(path):
    """{name: (32, 32, 3) float32} from an .npz file with `name` and `low_thumbnail`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {str(name): thumbnail.astype(np.float32) for name, thumbnail in zip(file["name"], file["low_thumbnail"])}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} has no thumbnails ({error}): expected an .npz with `name` and `low_thumbnail`: mend data.thumbnails") from None


def picture_files(inputs):
    """(paths, items): the pictures named by files and folders, and a name for each that is unique among them (the stem where it is)."""
    paths = []
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            found = list_images(path)
            if not found:
                raise UserError(f"{path} has no pictures: expected PNG, JPEG, BMP, WebP or TIFF files: give another --input")
            paths += found
        elif path.exists():
            paths.append(path)
        else:
            raise UserError(f"there is no file or folder {path}: expected pictures: give another --input")
    items = []
    for path in paths:
        item, count = path.stem, 1
        while item in items:
            count += 1
            item = f"{path.stem}-{count}"
        items.append(item)
    return paths, items
