"""Training pairs from videos: a source for data.py. Sequences of GOT-10k, of ImageNet VID or of any folder of them.

Of a sequence two frames make a pair; which frames may be drawn, `usable` says, how far apart, `near_pair`.
"""
import sys
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cases.siamfc.augment import Look
from common.base.errors import UserError
from common.data.images import bytes_of, picture_size
from common.data.sequences import SequenceFolder

FARTHEST = 100                                                # frames between the two pictures of a pair at most


class Videos:
    """Sequences: of two frames less than `gap` apart the earlier is the exemplar; which may be drawn, `usable` says.

    names: of the sequences; read(name) -> (frame paths, boxes (N, 4), cover (N,) or None, (width, height) or None).
    rules: of `usable`.
    """

    def __init__(self, names, read, **rules):
        self.names, self.read, self.count, self.known, self.rules = list(names), read, len(names), {}, rules
        self.said = set()

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
            try:
                paths, boxes, cover, size = self.read(name)
                size = size or (picture_size(paths[0]) or read_frame(paths[0]).shape[:2])[::-1]
            except UserError as problem:
                self.leave_out(problem)
                self.known[name] = [], np.zeros((0, 4)), np.zeros(0, int)
                return self.known[name]
            frames = usable(boxes, cover, size, **self.rules)
            self.known[name] = paths, boxes, frames
        return self.known[name]

    def pair(self, index, rng, gap=FARTHEST):
        name = self.names[index]
        for _ in range(200):
            paths, boxes, frames = self.track(name)
            numbers = near_pair(frames, rng, gap) if len(frames) >= 2 else ()
            pictures = [self.picture(paths[number]) for number in numbers]
            if numbers and all(picture is not None for picture in pictures):
                looks = (Look(picture, boxes[number]) for picture, number in zip(pictures, numbers))
                return *looks, f"{name}/{paths[numbers[0]].name}"
            name = self.names[int(rng.integers(self.count))]
        raise UserError(f"no usable pairs: {self.names[index]} and 200 other sequences have fewer than two frames that "
                        "can be read and pass the filter (see cases/siamfc/videos.py, usable): look at their boxes")

    def picture(self, path):
        """A frame, or None, said once, where it cannot be read: another pair is drawn then."""
        try:
            return read_frame(path)
        except UserError as problem:
            self.leave_out(problem)

    def leave_out(self, problem):
        """Say once per process what is passed over."""
        if str(problem) not in self.said:
            self.said.add(str(problem))
            print(f"left out: {problem}", file=sys.stderr, flush=True)

    def other(self, index, rng, alike):
        """A look of another sequence; where alike is wanted what lies beside the target in a frame of the same one."""
        name = self.names[index]
        for _ in range(50):
            if not alike:
                name = self.names[int(rng.integers(self.count))]
            paths, boxes, frames = self.track(name)
            frame = int(frames[rng.integers(len(frames))]) if len(frames) else None
            image = self.picture(paths[frame]) if len(frames) else None
            if image is not None:
                return Look(image, beside(boxes[frame], image.shape, rng) if alike else boxes[frame])
            alike = False
        raise UserError(f"no usable frames: {name} and 50 other sequences have none that can be read and passes the "
                        "filter (see cases/siamfc/videos.py, usable): look at their boxes")

    def fingerprint(self):
        return self.names


def beside(box, shape, rng, tries=20):
    """A box of the same size that does not touch the target and lies in the frame; the frame's corner where none
    was found."""
    room = np.array(shape[1::-1]) - box[2:]
    for _ in range(tries):
        corner = 1 + rng.uniform(0, np.maximum(room, 0))
        if (abs(corner - box[:2]) > box[2:]).any():
            return np.concatenate([corner, box[2:]])
    return np.concatenate([(1.0, 1.0), box[2:]])


def read_frame(path):
    """A frame as uint8 RGB (h, w, 3). Whole JPEG files (by their end) without a colour profile go through OpenCV:
    equal, in half the time."""
    data = Path(path).read_bytes()
    whole = data[:3] == b"\xff\xd8\xff" and b"\xff\xd9" in data[-64:] and b"ICC_PROFILE\0" not in data
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
    return bytes_of(data, path) if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def usable(boxes, cover, size, smallest=20, largest=0.5, aspect=4):
    """Numbers of the frames that may train: area >= 20, sides in [smallest, 500] and in [.01, largest] of the frame's,
    the longer at most `aspect` times the shorter, and visible (cover above 1 and above .3 of the sequence's largest).
    The defaults are the popular port's."""
    w, h = boxes[:, 2], np.maximum(boxes[:, 3], 1e-9)
    keep = np.isfinite(boxes).all(axis=1) & (w * h >= 20) & (w / h >= 1 / aspect) & (w / h <= aspect)
    for side, whole in zip((w, h), size):
        keep &= (side >= smallest) & (side <= 500) & (side / whole >= 0.01) & (side / whole <= largest)
    if cover is not None:
        keep &= cover > max(1.0, 0.3 * cover.max())
    return np.flatnonzero(keep)


def near_pair(frames, rng, gap=FARTHEST, tries=100):
    """Two of the frames, in order, less than `gap` apart; after too many tries the same one twice."""
    for _ in range(tries):
        first, second = sorted(int(frame) for frame in rng.choice(frames, 2, replace=False))
        if second - first < gap:
            return first, second
    return first, first


def got10k(root, split="train"):
    """Videos of a split of GOT-10k (or of any folder in that layout)."""
    return of_folder(SequenceFolder(root, "got10k", split))


def any_layout(root):
    """Videos of a folder of sequences in any layout. A few real videos are worth more than the port's filter: small,
    large and long targets train, too."""
    return of_folder(SequenceFolder(root), smallest=8, largest=0.95, aspect=6)


def of_folder(folder, **rules):
    return Videos(folder.names, partial(read_sequence, folder), **rules)


def read_sequence(folder, name):
    """What Videos wants to know of a sequence of a folder. No closure: a spawned loader could not be given that."""
    sequence = folder[name]
    return sequence.frames, sequence.boxes, sequence.cover, sequence.size


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


