"""Training pairs from videos, from still photographs, with boxes or without, or from both; and clips to validate on.

The paper's section 2.2: two frames of a video at most 100 apart, the target in the middle of both. A source (`Videos`,
`Stills`, `Mixed`) has `count` and draws looks: choose(index, rng) -> place, pair(place, rng, gap) -> two Looks of one
target, at most gap frames apart, and a name, other(place, rng, alike) -> another Look. `Pairs` makes samples of them:
pairs[epoch, index] -> Sample, every draw from (seed, epoch, index).
"""
import csv
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cases.siamfc.augment import Look, plain_pair, strong_pair
from cases.siamfc.videos import any_layout, got10k, vid
from common.base.errors import UserError
from common.data.cache import fingerprint, share_pixels
from common.data.clips import Clip, synthetic
from common.data.images import picture_size, read_pixels, split_photographs

NEAREST = 10                                                  # frames that a pair lies apart at most, to begin with


class Sample(NamedTuple):
    """A training pair."""
    z: Tensor                    # (3, 127, 127) uint8
    x: Tensor                    # (3, 239, 239) uint8
    offset: Tensor               # (2,) float32: (x, y) of the target from the middle of x, in pixels
    name: str
    number: int                  # of the pair among all different ones


class Pairs(Dataset):
    """Samples of a source, augmented plainly (as the port does it) or strongly.

    gap: frames between the two pictures of a pair at most; where growing is above 0 that begins with NEAREST and has
    grown to gap after so many samples. pool: so many different samples, which come again and again; 0: always new ones.
    """

    def __init__(self, source, augment, seed, gap=100, growing=0, pool=0):
        self.source, self.augment, self.seed, self.gap, self.growing = source, augment, seed, gap, growing
        self.pool = pool

    def __len__(self):
        return self.source.count

    def fingerprint(self):
        return self.source.fingerprint()

    def __getitem__(self, place):
        epoch, index = place
        number = epoch * len(self) + index
        if self.pool:
            number %= self.pool
            epoch, index = divmod(number, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        index = self.source.choose(index, rng)
        first, second, name = self.source.pair(index, rng, self.farthest(epoch))
        if self.augment == "plain":
            z, x, offset = plain_pair(first, second, rng)
        else:
            z, x, offset = strong_pair(first, second, rng, lambda alike: self.source.other(index, rng, alike))
        return Sample(*(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1) for picture in (z, x)),
                      torch.from_numpy(offset), name, number)

    def farthest(self, epoch):
        """The gap of an epoch's pairs."""
        share = min(1.0, epoch * len(self) / self.growing) if self.growing else 1.0
        return round(min(self.gap, NEAREST + share * (self.gap - NEAREST)))


# ---- still photographs -----------------------------------------------------------------------------------------------

class Stills:
    """Photographs with boxes.csv beside them (file, x, y, w, h, category; x, y 0-based), or without: then textured
    windows are the targets.

    One photograph gives both pictures of a pair. Boxes too small, too large or too long are left out; rare categories
    are drawn more often. held: the photographs that never train, instead of those that do.
    """

    def __init__(self, root, held=False):
        self.root = Path(root)
        training, held_out = split_photographs(root, "data.root")
        self.files = held_out if held else training
        if len(training) + len(held_out) < 20:
            raise UserError(f"too few photographs: {root}: expected at least 20, of which every tenth is held out: set "
                            "data.root")
        sizes = [picture_size(path) or (0, 0) for path in self.files]
        self.store = share_pixels(sizes)
        table = self.root / "boxes.csv"
        self.targets = (self.read_boxes(table, sizes) if table.is_file()
                        else [(slot, None, "") for slot in range(len(self.files)) for _ in range(4)])
        if not self.targets:
            raise UserError(f"no usable boxes: {table}: boxes of at least 26 pixels, at most 0.8 of the picture, were "
                            "expected: look at the file")
        self.count = len(self.targets)
        self.members, self.beside = {}, {}                      # places in targets, by category; by photograph, too
        for place, (slot, _, category) in enumerate(self.targets):
            self.members.setdefault(category, []).append(place)
            self.beside.setdefault((slot, category), []).append(place)
        weights = np.array([1 / np.sqrt(len(self.members[category])) for _, _, category in self.targets])
        self.cumulated = np.cumsum(weights / weights.sum())

    def read_boxes(self, table, sizes):
        """[(slot, box, category)] of boxes.csv, boxes made 1-based."""
        slots, targets = {path.name: slot for slot, path in enumerate(self.files)}, []
        with open(table, encoding="utf-8", newline="") as file:
            for number, line in enumerate(csv.DictReader(file), 2):
                try:
                    x, y, w, h = (float(line[key]) for key in "xywh")
                except (KeyError, TypeError, ValueError):
                    raise UserError(f"no box: {table}, line {number}: the columns file, x, y, w, h, category were "
                                    "expected: mend the line") from None
                height, width = sizes[slots[line["file"]]] if line["file"] in slots else (0, 0)
                if height and np.sqrt(w * h) >= 26 and 0.25 <= w / h <= 4 and w <= 0.8 * width and h <= 0.9 * height:
                    targets.append((slots[line["file"]], np.array([x + 1, y + 1, w, h]), line.get("category") or ""))
        return targets

    def fingerprint(self):
        return fingerprint([*self.files, *self.root.glob("boxes.csv")])

    def picture(self, slot):
        path = self.files[slot]
        return self.store.get(slot, read_pixels, path) if self.store else read_pixels(path)

    def choose(self, index, rng):
        """The target that a sample shows: drawn by the weights, whatever the index."""
        return min(int(np.searchsorted(self.cumulated, rng.random())), self.count - 1)

    def look(self, place, rng):
        slot, box, _ = self.targets[place]
        image = self.picture(slot)
        return Look(image, box if box is not None else find_textured_window(image, rng))

    def pair(self, index, rng, gap=0):
        look = self.look(index, rng)
        return look, look, self.files[self.targets[index][0]].name

    def other(self, index, rng, alike):
        """A look of another target; where alike is wanted one of the same category, each second time of the same
        photograph if that has one."""
        if not alike:
            return self.look(int(rng.integers(self.count)), rng)
        slot, _, category = self.targets[index]
        here, everywhere = self.beside[slot, category], self.members[category]
        members = here if len(here) > 1 and rng.random() < 0.5 else everywhere
        if len(members) == 1:
            return self.other(index, rng, False)
        place = members[int(rng.integers(len(members)))]
        return self.look(place if place != index else members[members.index(place) - 1], rng)


def find_textured_window(image, rng, tries=8):
    """A random box (1-based) of a photograph: of some random ones that with the most gradient energy per pixel."""
    gray = image.astype(np.float32).mean(axis=2)
    best, most = None, -1.0
    for _ in range(tries):
        side = min(image.shape[:2]) * rng.uniform(0.12, 0.45)
        aspect = np.exp(rng.normal(0, 0.35))
        w, h = (int(max(12, min(value, 0.8 * limit)))
                for value, limit in zip((side * np.sqrt(aspect), side / np.sqrt(aspect)), image.shape[1::-1]))
        left, top = int(rng.integers(image.shape[1] - w + 1)), int(rng.integers(image.shape[0] - h + 1))
        part = gray[top:top + h, left:left + w]
        energy = float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())
        if energy > most:
            best, most = np.array([left + 1, top + 1, w, h], dtype=np.float64), energy
    return best


# ---- both ------------------------------------------------------------------------------------------------------------

class Mixed:
    """Stills and Videos together; share: of the pairs that come from the videos. A place is (source, its place)."""

    def __init__(self, stills, videos, share):
        self.stills, self.videos, self.share, self.count = stills, videos, share, stills.count

    def choose(self, index, rng):
        if rng.random() < self.share:
            return self.videos, int(rng.integers(self.videos.count))
        return self.stills, self.stills.choose(index, rng)

    def pair(self, place, rng, gap):
        source, index = place
        return source.pair(index, rng, gap)

    def other(self, place, rng, alike):
        """Look-alikes come from the pair's own source, strangers from the photographs, which show more kinds."""
        source, index = place
        return source.other(index, rng, True) if alike else self.stills.look(int(rng.integers(self.stills.count)), rng)

    def fingerprint(self):
        return [self.stills.fingerprint(), self.videos.fingerprint()]


# ---- what a run asks for ---------------------------------------------------------------------------------------------

def training_sets(cfg):
    """(Pairs to train on, [Clip] to validate on). Validation never shows a photograph or a sequence that trains."""
    data, count, frames = cfg.data, cfg.train.validate_clips, cfg.train.validate_frames
    if data.kind == "stills":
        source, clips = Stills(data.root), synthetic_clips(data.root, count, frames)
    else:
        source = {"got10k": got10k, "vid": vid}.get(data.kind, any_layout)(
            data.videos if data.kind == "mixed" else data.root)
        clips = [clip for name in source.hold_out(count) for clip in read_clips(source, name, frames)]
        if not clips:
            raise UserError(f"no sequence to validate on: {data.root}: of those held out none can be read: mend them")
        if data.kind == "mixed":
            source = Mixed(Stills(data.root), source, data.share)
    growing = cfg.train.steps * cfg.train.batch_size // 2 if data.growing else 0
    return Pairs(source, data.augment, cfg.seed, data.gap, growing, data.pool), clips


def read_clips(source, name, frames):
    """[Clip, Clip] of the first frames of a sequence, forwards and backwards; as many as have a box at both ends."""
    try:
        paths, boxes, cover, _ = source.read(name)
        pictures = [read_pixels(path) for path in paths[:frames]]
    except UserError as problem:
        source.leave_out(problem)
        return []
    boxes = np.asarray(boxes[:frames], dtype=np.float64)
    both = Clip(pictures, boxes, cover, None), Clip(pictures[::-1], boxes[::-1], cover, None)
    return [clip for clip in both if np.isfinite(clip.boxes[0]).all() and (clip.boxes[0, 2:] >= 1).all()]


def synthetic_clips(root, count, frames, seed=1):
    """Clips of objects that move over other photographs, of those that never train; the same for every run."""
    source, clips = Stills(root, held=True), []
    rng = np.random.default_rng([seed, 77])
    for _ in range(count):
        while True:
            look = source.look(int(rng.integers(source.count)), rng)
            x, y, w, h = np.round(look.box - (1, 1, 0, 0)).astype(int)
            patch = look.image[max(y, 0):y + h, max(x, 0):x + w]
            if min(patch.shape[:2]) >= 20:
                break
        scale = rng.uniform(40, 90) / np.sqrt(patch.shape[0] * patch.shape[1])
        background = source.picture(int(rng.integers(len(source.files))))
        patch = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        clips.append(synthetic(rng, background, patch, frames, (320, 240), occluder=rng.random() < 0.5,
                               distractor=rng.random() < 0.7, turn=2.0))
    return clips
