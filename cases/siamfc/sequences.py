"""Tracking sequences from disk: the layouts of GOT-10k, OTB and VOT as one kind of object. Boxes are (x, y, w, h),
1-based, float64.

The toolkit's own OTB class is not used: it downloads, cuts frames out by hard-coded names and ignores sequences that
are not on its list.
"""
import ast
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.base.errors import UserError, join_some
from common.data.images import list_images

# Sequences of OTB whose boxes belong to a part of the frames: first frame (1-based), rows. Applied to whole folders
# only.
OTB_PARTS = {"david": 300, "blurcar1": 247, "blurcar3": 3, "blurcar4": 18}
LAYOUTS = ("got10k", "otb", "vot")
FRAMES = {"got10k": (".",), "otb": ("img",), "vot": ("color", ".")}           # where a sequence keeps its frames


class Sequence(NamedTuple):
    """One target in one clip."""
    name: str
    frames: list                 # paths, in order
    boxes: np.ndarray            # (N, 4); (1, 4) where only the first is given (GOT-10k's test split)
    cover: np.ndarray            # (N,) visible share in eighths, 0..8; all 8 where nothing is said
    absent: np.ndarray           # (N,) bool
    size: tuple                  # (width, height) as meta_info.ini says it, or None
    attributes: dict             # {name: "with"} and object_class where annotated
    reference: str               # the file of boxes, relative to the root


class SequenceFolder:
    """The sequences below a folder in one of three layouts: len(), [index or name] -> Sequence, names, set_name,
    fingerprint().

    layout: got10k | otb | vot, or auto: told by what is there. split: of GOT-10k (train, val, test), where the root has
    such folders. It also answers as the toolkit's data sets do (seq_names; iteration over (files, boxes)), so that its
    experiments run on it.
    """

    def __init__(self, root, layout="auto", split=None, names=None):
        root = Path(root)
        if not root.is_dir():
            raise UserError(f"data set not found: {root}: a folder of sequences was expected: set data.test.root (or "
                            "data.root); `python -m common.data check` says where to get GOT-10k and OTB")
        self.root = root / split if split and (root / split).is_dir() else root
        self.split = split if self.root != root else None
        self.layout = guess_layout(self.root) if layout == "auto" else layout
        self.entries = list_entries(self.root, self.layout)                 # {name: (folder, file of boxes)}
        if not self.entries:
            raise UserError(f"no sequences: {self.root}: the layout {self.layout} was expected "
                            f"({EXPECTED[self.layout]}): set data.test.root and data.test.layout")
        unknown = [name for name in names or [] if name not in self.entries]
        if unknown:
            raise UserError(f"no such sequences: {self.root}: {join_some(unknown)}: names among "
                            f"{join_some(self.entries, 5)} were expected")
        self.names = list(names or self.entries)
        self.set_name = self.split or self.root.resolve().name

    def __len__(self):
        return len(self.names)

    def __getitem__(self, place):
        return self.sequence(place if isinstance(place, str) else self.names[place])

    def sequence(self, name, absent=None):
        """A Sequence by its name. absent: (N,) bool, rows that need not hold a box, beside those of absence.label."""
        return read_sequence(self.root, name, *self.entries[name], self.layout, self.split == "test", absent)

    def fingerprint(self):
        """Names, number of frames and bytes of the boxes of every sequence: equal for equal data wherever it lies."""
        return [[name, len(frame_files(folder, self.layout)), boxes.stat().st_size]
                for name, (folder, boxes) in self.entries.items()
                if name in set(self.names)]

    # what the toolkit's experiments ask of a data set
    return_meta = False

    @property
    def seq_names(self):
        return self.names

    def __iter__(self):
        for place in range(len(self)):
            sequence = self[place]
            files = [str(path) for path in sequence.frames]
            if not self.return_meta:
                yield files, sequence.boxes
                continue
            width, height = sequence.size
            yield files, sequence.boxes, {"cover": sequence.cover, "absence": sequence.absent,
                                          "resolution": f"({width}, {height})"}


EXPECTED = {"got10k": "list.txt, NAME/00000001.jpg ..., NAME/groundtruth.txt", "otb": "NAME/img/0001.jpg ..., "
                                                                                      "NAME/groundtruth_rect.txt",
            "vot": "NAME/00000001.jpg ... or NAME/color/00000001.jpg ..., NAME/groundtruth.txt"}


def guess_layout(root):
    """got10k where there is a list.txt, otb where sequences keep their frames in img/, else vot."""
    if (root / "list.txt").is_file():
        return "got10k"
    return "otb" if any(root.glob("*/img")) else "vot"


def list_entries(root, layout):
    """{name: (folder, file of boxes)}, several targets of one folder as NAME.1, NAME.2."""
    if layout == "got10k" and (root / "list.txt").is_file():
        folders = [root / name for name in (root / "list.txt").read_text(encoding="utf-8").split()]
        missing = [folder.name for folder in folders if not folder.is_dir()]
        if missing:
            raise UserError(f"{root / 'list.txt'} names sequences that are not there: {join_some(missing)}: a folder "
                            "for each was expected: take them out of list.txt, or unpack them")
    else:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    entries = {}
    for folder in folders:
        files = [path for path in sorted(folder.glob("groundtruth*.txt"))
                 if path.read_text(encoding="utf-8", errors="replace").strip()]
        for number, path in enumerate(files, 1):
            entries[folder.name if len(files) == 1 else f"{folder.name}.{number}"] = folder, path
    return entries


def frame_files(folder, layout):
    """Paths of a sequence's frames in natural order."""
    for name in FRAMES[layout]:
        place = folder / name
        files = list_images(place) if place.is_dir() else []
        if files:
            return files
    return []


def read_sequence(root, name, folder, path, layout, only_first=False, missing=None):
    """The Sequence of a folder and a file of boxes. Raises UserError for boxes that are no numbers or do not fit the
    frames."""
    frames, boxes = frame_files(folder, layout), read_boxes(path)
    first = OTB_PARTS.get(name.lower(), 1) - 1 if layout == "otb" else 0
    if len(frames) >= first + len(boxes) and len(boxes) != len(frames) and not only_first:
        frames = frames[first:first + len(boxes)]  # Football1, Diving ...: rows for the first frames only
    if len(frames) != len(boxes) and not (only_first and len(boxes) == 1 and frames):
        raise UserError(f"frames and boxes do not match: {path}: {len(frames)} frames in {folder}, {len(boxes)} rows: "
                        "one row per frame was expected: copy the missing files, or cut the longer of the two")
    cover, absent = read_label(folder / "cover.label", len(frames), 8), read_label(folder / "absence.label",
                                                                                   len(frames), 0) > 0
    absent = absent if missing is None else absent | missing
    unknown = ~np.isfinite(boxes).all(axis=1) & ~absent[:len(boxes)]
    unknown[0] |= not np.isfinite(boxes[0]).all()                             # a tracker must begin with something
    if unknown.any():
        raise UserError(f"a box that is not a number: {path}, row {int(unknown.argmax()) + 1}: x,y,w,h were expected: "
                        "mend the row, or mark the frame in absence.label")
    meta = read_meta(folder / "meta_info.ini")
    return Sequence(name, frames, boxes, cover, absent, size_of(meta), attributes_of(folder, meta),
                    path.relative_to(root).as_posix())


def read_boxes(path):
    """(N, 4) of a file of boxes: commas, tabs or spaces, also mixed; rows of eight numbers are corners of a polygon."""
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        words = re.split(r"[,;\s]+", line.strip())
        if words == [""]:
            continue
        try:
            values = [float(word) for word in words if word]
        except ValueError:
            values = []
        if len(values) not in (4, 8):
            raise UserError(f"no box: {path}, line {number}: {line.strip()[:60]!r}: x,y,w,h (or the eight corner "
                            "coordinates) were expected: mend it")
        rows.append(values if len(values) == 4 else polygon_box(values))
    if not rows:
        raise UserError(f"no boxes: {path}: a line x,y,w,h per frame was expected: get the file again")
    return np.array(rows, dtype=np.float64)


def polygon_box(corners):
    """The axis-aligned box (x, y, w, h) of a polygon of four corners: same centre, same area ratio, as VOT's toolkit
    and the authors do it.

    s = sqrt(A1 / A2), A1 = |p1 p2| |p2 p3|, A2 = area of the bounding box; w = s (x2 - x1) + 1, x = centre - w / 2.
    """
    points = np.array(corners, dtype=np.float64).reshape(4, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    area = np.linalg.norm(points[0] - points[1]) * np.linalg.norm(points[1] - points[2])
    bounding = np.prod(high - low)
    side = np.sqrt(area / bounding) * (high - low) + 1 if bounding > 0 else np.ones(2)
    return [*(points.mean(axis=0) - side / 2), *side]


def read_label(path, count, default):
    """(count,) numbers of a GOT-10k label file; the default where there is none."""
    if not path.is_file():
        return np.full(count, float(default))
    try:
        values = np.array([float(word) for word in path.read_text(encoding="utf-8").split()])
    except ValueError:
        raise UserError(f"no numbers: {path}: one per frame was expected: get the file again") from None
    if len(values) != count:
        raise UserError(f"labels and frames do not match: {path}: {len(values)} rows for {count} frames: one per frame "
                        "was expected: get it again")
    return values


def read_meta(path):
    """meta_info.ini as {key: value}; a value may contain colons. {} where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
             if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def size_of(meta):
    """(width, height) of `resolution: (1920, 1080)`; None where it is missing."""
    try:
        width, height = ast.literal_eval(meta["resolution"])
        return int(width), int(height)
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None


def attributes_of(folder, meta):
    """Annotations by which results can be grouped: {name: class}. OTB's attrs.txt, VOT's *.tag files, GOT-10k's
    classes."""
    found = {}
    if (folder / "attrs.txt").is_file():
        found |= {word: "with" for word in re.findall(r"[A-Z]{2,4}",
                                                      (folder / "attrs.txt").read_text(encoding="utf-8"))}
    for path in sorted([*folder.glob("*.tag"), *folder.glob("*.label")]):
        if path.stem not in ("cover", "absence", "cut_by_image") and "1" in path.read_text(encoding="utf-8").split():
            found[path.stem] = "with"
    return found | {key: meta[key] for key in ("object_class",) if meta.get(key)}
