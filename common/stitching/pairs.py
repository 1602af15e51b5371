"""Pairs of overlapping pictures with a known homography, cut from single photographs as the stitching papers do it.

python -m common.stitching.pairs PHOTOS OUT --count N      writes N pairs as the papers do: input1, input2, label, shift

A photograph is squashed to 480 x 360. A is its middle square of 128 pixels. B is the square whose corners are A's,
moved by a translation of up to 64 pixels a side and by a perturbation of up to 25 pixels a corner, all of them whole
numbers. The label is what a perfect stitch of A and B would show on a canvas of 304 x 304 that holds every case.
"""
import argparse
import bisect
import csv
import io
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some, start
from common.base.files import write_whole
from common.base.progress import watch
from common.base.targets import expect_targets
from common.data.cache import SharedPixels, fingerprint
from common.data.images import list_images, picture_size, read_pixels, to_tensor, write_image
from common.stitching.geometry import homography_from_offsets

PHOTO = (480, 360)                 # width, height that every photograph is squashed to
SIDE = 128                         # of A and B
CORNER = (176, 116)                # of A in the photograph
TRANSLATION, PERTURBATION = 64, 25
CANVAS, MARGIN = 304, 88           # side of the label; A begins at (MARGIN, MARGIN) in it


class Pair(NamedTuple):
    """Two overlapping pictures and how B lies in A's frame; NumPy arrays, or tensors for a network: .tensors()."""
    a: Any                         # (128, 128, 3) uint8, or (3, 128, 128) float32 in [0, 1]
    b: Any                         # the same
    offsets: Any                   # (8,) float32, pixels: where B's corners lie in A's frame, less where in B's
    H_ba: Any                      # (3, 3) float64
    label: Any                     # (304, 304, 3) uint8 or (3, 304, 304) float32: the perfect stitch, black outside
    mask: Any                      # (304, 304) bool or (1, 304, 304) float32: where the label is one
    overlap: float                 # share of A that B covers
    name: str = ""

    def tensors(self):
        """The same pair for a network."""
        a, b, label = (to_tensor(picture).contiguous() for picture in (self.a, self.b, self.label))
        return Pair(a, b, torch.from_numpy(self.offsets), torch.from_numpy(self.H_ba), label,
                    torch.from_numpy(self.mask)[None].float(), self.overlap, self.name)


def make_pair(photo, translation, perturbation, name="", label=True):
    """A Pair from a photograph of 480 x 360, (360, 480, 3) uint8.

    translation: (dx, dy); perturbation: 8 numbers, or 4 x 2, in the order of the offsets. label=False leaves label and
    mask empty (1 x 1), for whoever only needs the homography: three times faster.
    """
    offsets = np.float32(np.reshape(perturbation, (4, 2)) + np.asarray(translation)).ravel()
    H_ba = homography_from_offsets(torch.from_numpy(offsets)[None], (SIDE, SIDE))[0].numpy()
    x, y = CORNER
    a = np.ascontiguousarray(photo[y:y + SIDE, x:x + SIDE])
    into_photo = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64) @ H_ba      # B's pixel -> photograph's
    b = cv2.warpPerspective(photo, into_photo, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    covered = cv2.warpPerspective(np.ones((SIDE, SIDE), np.uint8), H_ba, (SIDE, SIDE), flags=cv2.INTER_NEAREST)
    stitched, mask = _label(photo, offsets) if label else (np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), bool))
    return Pair(a, b, offsets, H_ba, stitched, mask, float(covered.mean()), name)


def _label(photo, offsets):
    """The label (304, 304, 3) and its mask: A's square, B's quadrilateral, borders included as in the released code."""
    x, y = CORNER[0] - MARGIN, CORNER[1] - MARGIN
    corners = offsets.reshape(4, 2).astype(np.float64) + MARGIN + SIDE * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    rows, columns = np.arange(CANVAS, dtype=np.float64)[:, None], np.arange(CANVAS, dtype=np.float64)
    mask = np.ones((CANVAS, CANVAS), bool)
    border = corners[[0, 1, 3, 2]]
    for begin, (dx, dy) in zip(border, np.roll(border, -1, axis=0) - border):   # right of all four sides, along them
        mask &= (rows - begin[1]) * dx >= (columns - begin[0]) * dy
    mask[MARGIN:MARGIN + SIDE + 1, MARGIN:MARGIN + SIDE + 1] = True
    return photo[y:y + CANVAS, x:x + CANVAS] * mask[..., None], mask


def draw(rng):
    """(translation (2,), perturbation (4, 2)) as the paper draws them: whole numbers, uniform, both ends included."""
    return rng.integers(-TRANSLATION, TRANSLATION + 1, 2), rng.integers(-PERTURBATION, PERTURBATION + 1, (4, 2))


def read_squashed(path, size=PHOTO):
    """A photograph of any size as (360, 480, 3) uint8, or of another size; its aspect is not kept, as in the paper."""
    return np.asarray(Image.fromarray(read_pixels(path)).resize(size, Image.BICUBIC))


def at_most(picture, longest):
    """A picture (h, w, 3) uint8 whose longest side is at most `longest` pixels (0: any)."""
    scale = longest / max(picture.shape[:2]) if longest else 1
    if scale >= 1:
        return picture
    return cv2.resize(picture, [max(1, round(side * scale)) for side in picture.shape[1::-1]],
                      interpolation=cv2.INTER_AREA)


def covering_size(path):
    """(width, height) at which a photograph, aspect kept, just covers 480 x 360: what augmentation cuts views from."""
    height, width = picture_size(path) or (1, 1)
    scale = max(PHOTO[0] / width, PHOTO[1] / height)
    return max(PHOTO[0], round(scale * width)), max(PHOTO[1], round(scale * height))


class HomographyPairs(Dataset):
    """Pairs made on the fly, one per photograph and epoch: pairs[epoch, index] -> Pair of tensors.

    Draws come from (seed, epoch, index). photos: paths of any number of photographs of any size; they stay decoded in
    memory. label: as in make_pair. augment: views of the photographs (crops of 60 to 100 %, turns, mirrored) and,
    without label, which must stay theirs, independent disturbances of A and B. Raises UserError without photographs.
    """

    def __init__(self, photos, seed=0, augment=False, label=True):
        self.photos, self.seed, self.augment, self.label = list(map(Path, photos)), seed, augment, label
        if not self.photos:
            raise UserError("no photographs to cut pairs from: a folder of PNG, JPEG, BMP, WebP or TIFF files was "
                            "expected: set data.root")
        self.sizes = [covering_size(path) if augment else PHOTO for path in self.photos]
        self.kept = SharedPixels([(height, width, 3) for width, height in self.sizes])

    def __len__(self):
        return len(self.photos)

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint(self.photos)

    def __getitem__(self, place):
        return self.pair(*place).tensors()

    def pair(self, epoch, index):
        """The Pair at a place, as NumPy arrays."""
        rng = np.random.default_rng([self.seed, epoch, index])
        photo = self.kept.get(index, lambda path: read_squashed(path, self.sizes[index]), self.photos[index])
        if self.augment:
            photo = view(photo, rng)
        pair = make_pair(photo, *draw(rng), self.photos[index].name, self.label)
        if self.augment and not self.label:
            pair = pair._replace(a=disturb(pair.a, rng), b=disturb(pair.b, rng))
        return pair


def view(photo, rng):
    """A view (360, 480, 3) of a photograph: sides cropped to 60 to 100 %, turned by up to 20 degrees, mirrored."""
    size, middle = np.array(photo.shape[1::-1]), (np.array(PHOTO) - 1) / 2
    angle = np.radians(rng.uniform(-20, 20) if rng.random() < 0.5 else 0.0)
    share = rng.uniform(0.6, 1.0, 2)
    across = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = across @ np.diag(share * size / PHOTO)                      # from the view's pixels to the photograph's
    reach = np.abs(scale) @ (np.array(PHOTO) - 1) / 2                   # half extent of the view in the photograph
    scale *= min(1.0, *((size - 1) / 2 / reach))                        # a turned view must still fit in
    reach = np.abs(scale) @ (np.array(PHOTO) - 1) / 2
    centre = (size - 1) / 2 + rng.uniform(-1, 1, 2) * np.maximum((size - 1) / 2 - reach, 0)
    scale = scale @ np.diag(rng.choice([-1, 1], 2, p=[0.5, 0.5]) if rng.random() < 0.5 else [rng.choice([-1, 1]), 1])
    matrix = np.column_stack([scale, centre - scale @ middle])
    return cv2.warpAffine(photo, matrix, PHOTO, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)


def disturb(picture, rng):
    """A picture as another camera may have taken it: gain, bias, gamma, colour balance; at times blur, noise, JPEG."""
    if rng.random() < 0.3:
        return picture
    x = picture.astype(np.float32) / 255
    x = np.clip(x, 0, 1) ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    x = (x * np.float32(np.exp(rng.uniform(-0.35, 0.35)) * np.exp(rng.uniform(-0.08, 0.08, 3)))
         + np.float32(rng.uniform(-0.08, 0.08)))
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.0))
    if rng.random() < 0.4:
        x = x + rng.normal(0, rng.uniform(0, 0.03), x.shape).astype(np.float32)
    x = np.floor(np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.3:
        data = cv2.imencode(".jpg", x[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1]
        x = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(x)


# ---- pairs from files ----

class FixedPairs:
    """A fixed list of pairs: names, and pair(place) -> Pair; classes(place) -> {classing: class}."""

    def __init__(self, photos, draws, overlaps=None):
        self.photos, self.draws, self.overlaps = photos, draws, overlaps
        self.names = [f"{place:0{max(3, len(str(len(draws) - 1)))}d}" for place in range(len(draws))]

    def __len__(self):
        return len(self.names)

    def fingerprint(self):
        """A digest of the photographs' names and sizes and of every draw."""
        drawn = sum(place * int(np.ravel(value) @ np.arange(1, 1 + np.size(value)))
                    for place, pair in enumerate(self.draws, start=1) for value in pair)
        return f"{fingerprint(self.photos)}{drawn}"

    def pair(self, place):
        """The Pair at a place, as NumPy arrays."""
        pair = make_pair(read_squashed(self.photos[place]), *self.draws[place], self.names[place])
        return pair if self.overlaps is None else pair._replace(overlap=self.overlaps[place])


def overlap_class(overlap):
    """The class of a pair by the share of A that B covers."""
    return ("low", "mid", "high")[bisect.bisect((0.45, 0.6), overlap)]


COLUMNS = ["file", "dx", "dy", *(f"o{corner}{axis}" for corner in range(4) for axis in "xy")]


def read_pairs(path, root):
    """The FixedPairs of a CSV file: file (a photograph in root), dx, dy, o0x .. o3y, and maybe overlap, as measured."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        numbers = [np.array(list(map(int, itemgetter(*COLUMNS[1:])(line)))) for line in lines]
        draws = [(each[:2], each[2:].reshape(4, 2)) for each in numbers]
        photos = [Path(root) / line["file"] for line in lines]
        overlaps = [float(line["overlap"]) for line in lines] if lines and lines[0].get("overlap") else None
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(f"not a list of pairs ({type(error).__name__}: {error}): {path}: a CSV file with the columns "
                        f"{', '.join(COLUMNS)} was expected: mend test.pairs") from None
    missing = sorted({str(photo) for photo in photos if not photo.is_file()})
    if not lines or missing:
        raise UserError(f"photographs are missing: {join_some(missing) or 'the list is empty'}: the files that {path} "
                        "names were expected: set test.root to their folder")
    return FixedPairs(photos, draws, overlaps)


def draw_pairs(photos, count, seed):
    """FixedPairs of `count` draws over the photographs in turn; the same for the same seed."""
    draws = [draw(np.random.default_rng([seed, place])) for place in range(count)]
    return FixedPairs([photos[place % len(photos)] for place in range(count)], draws)


class RealPairs:
    """Photographed pairs: root/pairs.csv with name, file1, file2; columns that end in _class are classings.

    pair(place) -> (a, b) uint8; classes(place) -> {classing: class}. Raises UserError for a missing or odd list and
    missing files.
    """

    def __init__(self, root):
        self.root, path = Path(root), Path(root) / "pairs.csv"
        try:
            with open(path, encoding="utf-8", newline="") as file:
                self.lines = list(csv.DictReader(file))
            self.names = [line["name"] for line in self.lines]
            files = [self.root / line[side] for line in self.lines for side in ("file1", "file2")]
        except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
            raise UserError(f"not a list of real pairs ({type(error).__name__}: {error}): {path}: a CSV file with the "
                            "columns name, file1, file2 was expected: mend it") from None
        missing = [str(file) for file in files if not file.is_file()]
        if missing or not files or len(set(self.names)) < len(self.names):
            raise UserError(f"pairs.csv does not fit: {path}: "
                            f"{join_some(missing) or 'it is empty, or a name stands twice'}: two files of the folder "
                            "per line were expected: mend it")
        self.files = files

    def __len__(self):
        return len(self.names)

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint([self.root / "pairs.csv", *self.files])

    def pair(self, place):
        """The two pictures, (h, w, 3) uint8 each."""
        return read_pixels(self.files[2 * place]), read_pixels(self.files[2 * place + 1])

    def classes(self, place):
        """{classing: class} of the columns that end in _class."""
        return {key.removesuffix("_class"): value for key, value in self.lines[place].items() if key.endswith("_class")}


# ---- the papers' layout ----

def export(photos, folder, count, seed=0, suffix=".png"):
    """Write `count` drawn pairs: input1/000001.png (A), input2 (B), label, shift/000001.npy: offsets (8, 1) float32."""
    pairs, names = draw_pairs(photos, count, seed), [f"{place + 1:06d}" for place in range(count)]
    written = [Path(folder) / part / (name + suffix) for part in ("input1", "input2", "label") for name in names]
    expect_targets([*written, *(Path(folder) / "shift" / f"{name}.npy" for name in names)], photos, "OUT")
    for place in watch(range(count), "writing pairs"):
        pair, name = pairs.pair(place), names[place]
        for part, picture in (("input1", pair.a), ("input2", pair.b), ("label", pair.label)):
            write_image(Path(folder) / part / (name + suffix), to_tensor(picture))
        buffer = io.BytesIO()
        np.save(buffer, pair.offsets.reshape(8, 1))
        write_whole(Path(folder) / "shift" / f"{name}.npy", buffer.getvalue())


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.stitching.pairs", description=__doc__.split("\n\n")[0])
    parser.add_argument("photos", metavar="PHOTOS", help="a folder of photographs")
    parser.add_argument("out", metavar="OUT", help="the folder to write to")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="how many pairs (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jpeg", action="store_true",
                        help="JPEG instead of PNG: the released code's choice, at the price of artefacts")
    arguments = parser.parse_args(argv)
    export(list_images(arguments.photos), arguments.out, arguments.count, arguments.seed,
           ".jpg" if arguments.jpeg else ".png")
    print(f"{arguments.count} pairs in {arguments.out}")


if __name__ == "__main__":
    sys.exit(start(main))
