"""Training pairs from GOT-10k, ImageNet VID or still photographs, with boxes or without; and clips to validate on.

The paper's section 2.2: two frames of a video at most 100 apart, the target in the middle of both. A source (`Videos`,
`Stills`) has `count` and draws looks: choose(index, rng) -> place, pair(place, rng) -> two Looks of one target and a
name, other(place, rng, alike) -> another Look. `Pairs` makes samples of them: pairs[epoch, index] -> Sample, every draw
from (seed, epoch, index).
"""
import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cases.siamfc.augment import Look, plain_pair, strong_pair
from cases.siamfc.sequences import SequenceFolder
from common.base.errors import UserError
from common.data.cache import fingerprint, share_pixels
from common.data.clips import Clip, synthetic
from common.data.images import bytes_of, picture_size, read_pixels, split_photographs

FARTHEST = 100                                                # frames between the two pictures of a pair at most


class Sample(NamedTuple):
    """A training pair."""
    z: Tensor                    # (3, 127, 127) uint8
    x: Tensor                    # (3, 239, 239) uint8
    offset: Tensor               # (2,) float32: (x, y) of the target from the middle of x, in pixels
    name: str


class Pairs(Dataset):
    """Samples of a source, augmented plainly (as the port does it) or strongly."""

    def __init__(self, source, augment, seed):
        self.source, self.augment, self.seed = source, augment, seed

    def __len__(self):
        return self.source.count

    def fingerprint(self):
        return self.source.fingerprint()

    def __getitem__(self, place):
        epoch, index = place
        rng = np.random.default_rng([self.seed, epoch, index])
        index = self.source.choose(index, rng)
        first, second, name = self.source.pair(index, rng)
        if self.augment == "plain":
            z, x, offset = plain_pair(first, second, rng)
        else:
            z, x, offset = strong_pair(first, second, rng, lambda alike: self.source.other(index, rng, alike))
        return Sample(*(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1) for picture in (z, x)),
                      torch.from_numpy(offset), name)


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
        self.members = {}                                       # {category: [place in targets, ...]}
        for place, (_, _, category) in enumerate(self.targets):
            self.members.setdefault(category, []).append(place)
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

    def pair(self, index, rng):
        look = self.look(index, rng)
        return look, look, self.files[self.targets[index][0]].name

    def other(self, index, rng, alike):
        members = self.members[self.targets[index][2]] if alike else range(self.count)
        return self.look(members[int(rng.integers(len(members)))], rng)


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


# ---- videos ----------------------------------------------------------------------------------------------------------

class Videos:
    """Sequences: of two frames less than FARTHEST apart the earlier is the exemplar; which may be drawn, `usable` says.

    names: of the sequences; read(name) -> (frame paths, boxes (N, 4), cover (N,) or None, (width, height) or None).
    """

    def __init__(self, names, read):
        self.names, self.read, self.count, self.known = list(names), read, len(names), {}

    def hold_out(self, count):
        """Take at most `count` sequences, spread over all and never more than a third, out of training; their names."""
        count = max(1, min(count, self.count // 3)) if self.count > 2 else 0
        held = [self.names[place] for place in np.linspace(0, self.count - 1, count).astype(int)]
        self.names = [name for name in self.names if name not in held]
        self.count = len(self.names)
        return held

    def choose(self, index, rng):
        """The sequence that a sample shows: each once per epoch."""
        return index

    def track(self, name):
        """(paths, boxes, numbers of the usable frames) of a sequence, kept once read."""
        if name not in self.known:
            paths, boxes, cover, size = self.read(name)
            self.known[name] = paths, boxes, usable(boxes, cover, size or picture_size(paths[0])[::-1])
        return self.known[name]

    def pair(self, index, rng):
        name = self.names[index]
        for _ in range(200):
            paths, boxes, frames = self.track(name)
            if len(frames) >= 2:
                break
            name = self.names[int(rng.integers(self.count))]
        else:
            raise UserError(f"no usable pairs: {self.names[index]} and 200 other sequences have fewer than two frames "
                            "that pass the filter (see cases/siamfc/data.py, usable): look at their boxes")
        first, second = near_pair(frames, rng)
        return (*(Look(read_frame(paths[frame]), boxes[frame]) for frame in (first, second)),
                f"{name}/{paths[first].name}")

    def other(self, index, rng, alike):
        """A look of another sequence; of the same one (a look-alike) where alike is wanted."""
        for _ in range(50):
            name = self.names[index if alike else int(rng.integers(self.count))]
            paths, boxes, frames = self.track(name)
            if len(frames):
                break
            alike = False
        frame = int(frames[rng.integers(len(frames))])
        return Look(read_frame(paths[frame]), boxes[frame])

    def fingerprint(self):
        return self.names


def read_frame(path):
    """A frame as uint8 RGB (h, w, 3). Whole JPEG files (by their end) go through OpenCV: equal, in half the time."""
    data = Path(path).read_bytes()
    whole = data[:3] == b"\xff\xd8\xff" and b"\xff\xd9" in data[-64:]
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
    return bytes_of(data, path) if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def usable(boxes, cover, size):
    """Numbers of the frames that may train: area >= 20, sides in [20, 500] and in [.01, .5] of the frame's, aspect in
    [.25, 4], and visible (cover above 1 and above .3 of the sequence's largest)."""
    w, h = boxes[:, 2], np.maximum(boxes[:, 3], 1e-9)
    keep = np.isfinite(boxes).all(axis=1) & (w * h >= 20) & (w / h >= 0.25) & (w / h <= 4)
    for side, whole in zip((w, h), size):
        keep &= (side >= 20) & (side <= 500) & (side / whole >= 0.01) & (side / whole <= 0.5)
    if cover is not None:
        keep &= cover > max(1.0, 0.3 * cover.max())
    return np.flatnonzero(keep)


def near_pair(frames, rng, tries=100):
    """Two of the frames, in order, less than FARTHEST apart; after too many tries the same one twice."""
    for _ in range(tries):
        first, second = sorted(int(frame) for frame in rng.choice(frames, 2, replace=False))
        if second - first < FARTHEST:
            return first, second
    return first, first


def got10k(root, split):
    """Videos of a split of GOT-10k (or of any folder in that layout)."""
    folder = SequenceFolder(root, "got10k", split)

    def read(name):
        sequence = folder[name]
        return sequence.frames, sequence.boxes, sequence.cover, sequence.size
    return Videos(folder.names, read)


def vid(root):
    """Videos of ImageNet VID: Data/VID/<any>/<clip>/000000.JPEG ..., Annotations/VID/<any>/<clip>/000000.xml.

    A sequence is one target of a clip, <clip>.<trackid>.
    """
    root = Path(root)
    annotations = sorted({path.parent for path in (root / "Annotations" / "VID").rglob("*.xml")})
    if not annotations:
        raise UserError(f"no annotations: {root / 'Annotations' / 'VID'}: ImageNet VID's layout (Data/VID, "
                        "Annotations/VID) was expected: set data.root")
    tracks = {}
    for folder in annotations:
        for name, (frames, boxes) in read_tracks(folder, root).items():
            tracks[f"{folder.name}.{name}"] = frames, np.array(boxes), None, None
    return Videos(list(tracks), tracks.__getitem__)


def read_tracks(folder, root):
    """{trackid: (frame paths, boxes)} of one clip's XML files; xmax and xmin are 0-based pixels."""
    found = {}
    pictures = root / "Data" / folder.relative_to(root / "Annotations")
    for path in sorted(folder.glob("*.xml")):
        for target in ElementTree.parse(path).getroot().iter("object"):
            corners = target.find("bndbox")
            left, right, top, bottom = (float(corners.findtext(key)) for key in ("xmin", "xmax", "ymin", "ymax"))
            frames, boxes = found.setdefault(target.findtext("trackid"), ([], []))
            frames.append(pictures / f"{path.stem}.JPEG")
            boxes.append([left + 1, top + 1, right - left, bottom - top])
    return found


# ---- what a run asks for ---------------------------------------------------------------------------------------------

def training_sets(cfg):
    """(Pairs to train on, [Clip] to validate on). Validation never shows a photograph or a sequence that trains."""
    data, count, frames = cfg.data, cfg.train.validate_clips, cfg.train.validate_frames
    if data.kind == "stills":
        source, clips = Stills(data.root), synthetic_clips(data.root, count, frames)
    else:
        source = vid(data.root) if data.kind == "vid" else got10k(data.root, "train")
        clips = [read_clip(source, name, frames) for name in source.hold_out(count)]
    return Pairs(source, data.augment, cfg.seed), clips


def read_clip(source, name, frames):
    """A Clip of the first frames of a sequence."""
    paths, boxes, cover, _ = source.read(name)
    return Clip([read_pixels(path) for path in paths[:frames]], boxes[:frames], cover, None)


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
