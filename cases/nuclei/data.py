"""Microscope pictures and the labels of their nuclei, in either layout; normalised, varied, and turned into targets."""
import csv
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter, minimum_filter
from torch import Tensor
from torch.utils.data import Dataset

from cases.nuclei.losses import boundary_weight
from common.base.errors import UserError, join_some, warn
from common.data.cache import fingerprint, random_window
from common.data.images import list_images, read_levels, read_pixels
from common.data.paired import by_stem

HELD = 10                                                     # every tenth training picture validates
DARK, BRIGHT = 1, 99.8                                        # percentiles that become 0 and 1
ON_DARK = 0.5                                                 # mean level up to which a gray picture is fluorescence


class Picture(NamedTuple):
    """Where one picture and its labels lie."""
    name: str
    path: Path
    labels: list                    # one file with numbered nuclei, or a file for each nucleus
    split: str                      # train | test


class Sample(NamedTuple):
    """What a network is trained by."""
    picture: Tensor                 # (1, h, w) float32 in [0, 1]
    targets: Tensor                 # (maps, h, w) float32
    weight: Tensor                  # (h, w) float32, ones where no weight map is asked for
    name: str


def list_pictures(root, stained=False):
    """Every Picture of a data set, in the order of the names. Raises UserError where there is none.

    Layouts: images/NAME.png with labels/NAME.png (numbers) and, where it is there, pictures.csv with name and split; or
    the official NAME/images/NAME.png with NAME/masks/*.png, one per nucleus. Without a list of splits every fifth
    picture tests. stained: also those on a bright ground or in colours, which are left out otherwise, with a warning.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"no such folder: {root}: pictures of nuclei were expected: set data.root")
    found = list(plain_layout(root)) if (root / "images").is_dir() else list(official_layout(root))
    if not found:
        raise UserError(f"no pictures of nuclei: {root}: images/ and labels/, or folders NAME/images and NAME/masks, "
                        "were expected: set data.root")
    if not stained:
        others = [picture.name for picture in found if is_stained(picture.path)]
        if others:
            warn(f"{len(others)} pictures on a bright ground or in colours are left out (data.stained=true takes them "
                 f"too): {join_some(others, 3)}")
        found = [picture for picture in found if picture.name not in set(others)]
    return found


def plain_layout(root):
    splits = read_splits(root / "pictures.csv")
    images, labels = list_images(root / "images"), root / "labels"
    numbers = by_stem(list_images(labels) if labels.is_dir() else [])
    by_stem(images)
    missing = [path.name for path in images if path.stem not in numbers]
    if missing:
        raise UserError(f"no labels for {len(missing)} pictures: {labels}: a file of the same name with the nuclei as "
                        f"numbers was expected for each: {join_some(missing, 3)}")
    stems = {path.stem for path in images}
    unused = [path.name for stem, path in numbers.items() if stem not in stems]
    unused += [f"{name} of pictures.csv" for name in splits if name not in stems]
    if unused:
        warn(f"without a picture of that name in {root / 'images'}: {join_some(unused, 3)}: not used")
    for place, path in enumerate(images):
        yield Picture(path.stem, path, [numbers[path.stem]], splits.get(path.stem) or split_of(place))


def official_layout(root):
    folders = sorted(path for path in root.iterdir() if (path / "images").is_dir())
    for place, folder in enumerate(folders):
        images = list_images(folder / "images")
        masks = list_images(folder / "masks") if (folder / "masks").is_dir() else []
        if len(images) != 1 or not masks:
            raise UserError(f"{folder} has {len(images)} pictures and {len(masks)} masks: one picture in images/ and a "
                            "mask for each nucleus in masks/ were expected: download it again")
        yield Picture(folder.name, images[0], masks, split_of(place))


def split_of(place):
    """train or test of a picture where no list says it."""
    return "test" if place % 5 == 4 else "train"


def read_splits(path):
    """{name: split} of pictures.csv; empty where there is none."""
    if not path.exists():
        return {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    wrong = [line.get("name") for line in lines if line.get("split") not in ("train", "test")]
    if wrong:
        raise UserError(f"{path}: the column split says neither train nor test for {join_some(map(str, wrong), 3)}: "
                        "one of the two was expected in each line")
    return {line["name"]: line["split"] for line in lines}


def training_pictures(root, stained=False):
    """(training, validation): the pictures of the split train, every tenth of which validates."""
    pictures = [picture for picture in list_pictures(root, stained) if picture.split == "train"]
    held = pictures[::HELD]
    return [picture for picture in pictures if picture not in held] or pictures, held


def test_pictures(root, stained=False):
    """The pictures of the split test. Raises UserError where there is none."""
    pictures = [picture for picture in list_pictures(root, stained) if picture.split == "test"]
    if not pictures:
        raise UserError(f"no picture to test on: {root}: lines with the split test were expected in pictures.csv: set "
                        "test.root")
    return pictures


def fingerprint_of(pictures):
    """Of the files of pictures and labels."""
    return fingerprint([path for picture in pictures for path in (picture.path, *picture.labels)])


# ---- one picture -----------------------------------------------------------------------------------------------------

def is_stained(path):
    """Whether a picture is on a bright ground or in colours. One that cannot be read is not: its own turn names it."""
    try:
        return not is_fluorescence(read_pixels(path))
    except UserError:
        return False


def is_fluorescence(pixels):
    """Whether uint8 (h, w, 3) is gray on a dark ground."""
    spread = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
    return spread.max() <= 12 and pixels.mean() < 255 * ON_DARK


def read_gray(path):
    """The levels of a picture as the networks take them: float32 (h, w) in [0, 1], nuclei bright."""
    return normalise(*open_levels(path))


def open_levels(path):
    """(float32 (h, w), whether the ground is bright): the levels of a picture as its file has them, 8 or 16 bit, mean
    over its channels."""
    levels = read_levels(path)
    gray = levels.mean(axis=2, dtype=np.float32)
    return gray, bool(gray.mean() > ON_DARK * np.iinfo(levels.dtype).max)


def normalise(levels, bright=False):
    """float32 (h, w) in [0, 1] of any levels: percentile DARK becomes 0, BRIGHT becomes 1. A flat picture is all 0.
    bright: dark nuclei on a bright ground become bright ones."""
    levels = -levels if bright else levels
    low, high = np.percentile(levels, (DARK, BRIGHT))
    return np.clip((levels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def read_labels(picture):
    """int32 (h, w) of a Picture: 0 the ground, 1 .. n the nuclei. Raises UserError for labels of another size."""
    height, width = read_pixels(picture.path).shape[:2]
    if len(picture.labels) == 1:
        labels = read_numbers(picture.labels[0])
    else:
        labels = np.zeros((height, width), np.int32)
        for number, path in enumerate(picture.labels, 1):
            mask = read_pixels(path).max(axis=2)
            if mask.shape != labels.shape:
                raise UserError(f"{path} is {mask.shape[1]}x{mask.shape[0]}: {width}x{height} was expected, as the "
                                "picture")
            labels[mask > 127] = number
    if labels.shape != (height, width):
        raise UserError(f"{picture.labels[0]} is {labels.shape[1]}x{labels.shape[0]}: {width}x{height} was expected, "
                        "as the picture")
    return labels


def read_numbers(path):
    """int32 (h, w) of a picture file whose levels, 8 or 16 bit, are the numbers of nuclei."""
    try:
        with Image.open(path) as image:
            numbers = np.array(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot be read as labels ({error}): {path}: a gray picture with a number per nucleus was "
                        "expected") from None
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu":
        raise UserError(f"no map of numbers: {path}: a gray picture of 8 or 16 bit was expected, a level per nucleus")
    return numbers.astype(np.int32)


def targets_of(labels, maps):
    """(len(maps), h, w) float32. nucleus: 1 on any; inside: where all neighbours are of the same nucleus, so that
    touching ones come apart; boundary: the rest of a nucleus; distance: to the nucleus' edge, 1 at its middle."""
    return np.stack([TARGETS[name](labels) for name in maps]).astype(np.float32)


def inside(labels):
    return (labels > 0) & (minimum_filter(labels, 3) == maximum_filter(labels, 3))


def distance(labels):
    away = distance_transform_edt(inside(labels))              # 0 on the edge, also where two nuclei touch
    largest = np.zeros(labels.max() + 1)
    np.maximum.at(largest, labels.ravel(), away.ravel())
    return away / np.maximum(1e-6, largest)[labels] * (labels > 0)


TARGETS = {"nucleus": lambda labels: labels > 0, "inside": inside, "distance": distance,
           "boundary": lambda labels: (labels > 0) & ~inside(labels)}


class Patches(Dataset):
    """Varied patches of training pictures: patches[epoch, index] -> Sample.

    patch: side in pixels; smaller pictures are mirrored at their end. elastic: largest shift of the elastic
    deformation, in pixels. gain: spread of the exposure, log scale. weights: with the weight map of the gaps.
    """

    def __init__(self, pictures, maps, patch=128, elastic=4.0, gain=0.3, weights=False, seed=0):
        self.pictures, self.maps, self.patch = pictures, tuple(maps), patch
        self.elastic, self.gain, self.weights, self.seed = elastic, gain, weights, seed
        self.read = {}

    def __len__(self):
        return len(self.pictures)

    def fingerprint(self):
        return fingerprint_of(self.pictures)

    def whole(self, index):
        """(gray, labels) of a picture, kept once read: 400 of them take 200 MB."""
        if index not in self.read:
            picture = self.pictures[index]
            gray, labels = read_gray(picture.path), read_labels(picture)
            short = [(0, max(0, self.patch - side)) for side in gray.shape]
            self.read[index] = np.pad(gray, short, "symmetric"), np.pad(labels, short, "symmetric")
        return self.read[index]

    def __getitem__(self, place):
        epoch, index = place
        rng = np.random.default_rng([self.seed, epoch, index])
        gray, labels = self.whole(index)
        top, left = random_window(rng, gray.shape, self.patch, self.pictures[index].path)
        part = slice(top, top + self.patch), slice(left, left + self.patch)
        gray, labels = bend(gray[part], labels[part], self.elastic, rng)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        gray, labels = (np.rot90(array[:, ::-1] if mirrored else array, turns) for array in (gray, labels))
        gray = np.clip(gray * np.exp(self.gain * rng.standard_normal()), 0, 1) + 0.02 * rng.standard_normal(gray.shape)
        weight = boundary_weight(labels) if self.weights else np.ones(labels.shape, np.float32)
        return Sample(torch.from_numpy(gray.astype(np.float32))[None], torch.from_numpy(targets_of(labels, self.maps)),
                      torch.from_numpy(weight), self.pictures[index].name)


def bend(gray, labels, largest, rng):
    """Both under one elastic deformation (Simard et al. 2003), smooth over 1/8 of the side."""
    if not largest:
        return gray, labels
    height, width = gray.shape
    shifts = gaussian_filter(rng.uniform(-1, 1, (2, height, width)), (0, height / 8, width / 8))
    shifts *= largest * rng.random() / max(1e-9, np.abs(shifts).max())
    y, x = np.mgrid[:height, :width].astype(np.float32)
    places = (x + shifts[1].astype(np.float32), y + shifts[0].astype(np.float32))
    bent = cv2.remap(gray, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    numbers = cv2.remap(labels.astype(np.float32), *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return bent, numbers.astype(np.int32)
