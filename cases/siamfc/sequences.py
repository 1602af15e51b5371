"""Tracking sequences from disk: the layouts of GOT-10k, OTB and VOT as one kind of object, `Sequence`.

A `SequenceFolder` finds and reads them. Boxes are (x, y, w, h), 1-based, float64. The toolkit's own OTB class is not
used: it downloads, cuts frames out by hard-coded names and ignores sequences that are not on its list.
"""
import ast
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.base.errors import UserError, join_some
from common.data.images import list_images, read_pixels
from common.experiment.results import file_name, write_text
from common.metrics import box_iou, tracking

# First frame (1-based) that has a box, of OTB's sequences whose boxes belong to a part of a whole folder's frames.
OTB_PARTS = {"david": 300, "blurcar1": 247, "blurcar3": 3, "blurcar4": 18}
FRAMES = {"got10k": (".",), "otb": ("img",), "vot": ("color", ".")}           # where a sequence keeps its frames
EXPECTED = {"got10k": "list.txt, NAME/00000001.jpg ..., NAME/groundtruth.txt",
            "otb": "NAME/img/0001.jpg ..., NAME/groundtruth_rect.txt",
            "vot": "NAME/00000001.jpg ... or NAME/color/00000001.jpg ..., NAME/groundtruth.txt"}


class Sequence(NamedTuple):
    """One target in one clip, and what is measured on it."""
    name: str
    frames: list                 # paths, in order
    boxes: np.ndarray            # (N, 4); (1, 4) where only the first is given (GOT-10k's test split)
    cover: np.ndarray            # (N,) visible share in eighths, 0..8; all 8 where nothing is said
    absent: np.ndarray           # (N,) bool
    size: tuple                  # (width, height) as meta_info.ini says it, or None
    attributes: dict             # {name: "with"} and object_class where annotated
    reference: str               # the file of boxes, relative to the root
    layout: str                  # got10k | otb | vot

    @property
    def frame_size(self):
        """(width, height) as meta_info.ini says it, else of the first frame."""
        return self.size or read_pixels(self.frames[0]).shape[1::-1]

    def measure(self, boxes):
        """{ao, auc, precision, sr50, sr75} of a tracker's boxes (N, 4).

        On GOT-10k ao, sr50 and sr75 as its toolkit has them: clipped to the frame, frames with a hidden target left
        out. Elsewhere frames without a target are left out.
        """
        if self.layout == "got10k":
            return tracking(boxes, self.boxes, self.frame_size, self.cover > 0)
        return tracking(boxes, np.where(self.absent[:, None], np.nan, self.boxes))

    def overlaps(self, boxes):
        """The IoU that GOT-10k's toolkit counts, (n,): clipped to the frame, of frames 2..N whose target is visible."""
        counted = (self.cover > 0) & np.isfinite(self.boxes).all(axis=1)
        return box_iou(boxes[1:], self.boxes[1:], self.frame_size)[counted[1:]]


class SequenceFolder:
    """The sequences below a folder: len(), [index or name] -> Sequence, names, set_name, fingerprint().

    layout: got10k | otb | vot, or auto: told by what is there. split: of GOT-10k (train, val, test), where the root has
    such folders. names: of the sequences wanted, else all. It also answers as the toolkit's data sets do (seq_names;
    iteration over (files, boxes)), so that its experiments run on it.
    """

    def __init__(self, root, layout="auto", split=None, names=None):
        root = Path(root)
        if not root.is_dir():
            raise UserError(f"data set not found: {root}: a folder of sequences was expected: set test.root (or "
                            "data.root); `python -m common.data check` says where to get GOT-10k and OTB")
        self.root = root / split if split and (root / split).is_dir() else root
        self.split = split if self.root != root else None
        self.layout = guess_layout(self.root) if layout == "auto" else layout
        self.entries = list_entries(self.root, self.layout)                 # {name: (folder, file of boxes)}
        if not self.entries:
            raise UserError(f"no sequences: {self.root}: the layout {self.layout} was expected "
                            f"({EXPECTED[self.layout]}): set test.root and test.layout")
        unknown = [name for name in names or [] if name not in self.entries]
        if unknown:
            raise UserError(f"no such sequences: {self.root}: {join_some(unknown)}: names among "
                            f"{join_some(self.entries, 5)} were expected")
        self.names = list(names or self.entries)
        self.set_name = self.split or self.root.resolve().name
        self.known = {}                                                     # {name: Sequence}, each read once

    def __len__(self):
        return len(self.names)

    def __getitem__(self, place):
        name = place if isinstance(place, str) else self.names[place]
        if name not in self.known:
            self.known[name] = self.read(name)
        return self.known[name]

    def read(self, name, absent=None):
        """A Sequence by its name. absent: (N,) bool, rows that need not hold a box, beside those of absence.label."""
        return read_sequence(self.root, name, *self.entries[name], self.layout, self.split == "test", absent)

    def readable(self):
        """The Sequences that can be read, a list; asking for one of the others says why it cannot."""
        found = []
        for name in self.names:
            with suppress(UserError):
                found.append(self[name])
        return found

    def fingerprint(self):
        """Names, number of frames and bytes of the boxes of every sequence: equal for equal data wherever it lies."""
        wanted = set(self.names)
        return [[name, len(list_frames(folder, self.layout)), boxes.stat().st_size]
                for name, (folder, boxes) in self.entries.items() if name in wanted]

    # what the toolkit's experiments ask of a data set
    return_meta = False

    @property
    def seq_names(self):
        return self.names

    def __iter__(self):
        for sequence in map(self.__getitem__, self.names):
            meta = {"cover": sequence.cover, "absence": sequence.absent, "resolution": str(tuple(sequence.frame_size))}
            yield [str(path) for path in sequence.frames], sequence.boxes, *([meta] if self.return_meta else [])


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


def list_frames(folder, layout):
    """Paths of a sequence's frames in natural order: of the first of its layout's places that has any."""
    places = (folder / name for name in FRAMES[layout])
    return next(filter(None, (list_images(place) for place in places if place.is_dir())), [])


def read_sequence(root, name, folder, path, layout, only_first=False, missing=None):
    """The Sequence of a folder and a file of boxes.

    only_first: the file may hold the first box alone. missing: (N,) bool, rows that need not hold a box. Raises
    UserError for boxes that are no numbers or do not fit the frames.
    """
    frames, boxes = list_frames(folder, layout), read_boxes(path)
    first = OTB_PARTS.get(name.lower(), 1) - 1 if layout == "otb" else 0
    if len(frames) >= first + len(boxes) and len(boxes) != len(frames) and not only_first:
        frames = frames[first:first + len(boxes)]  # Football1, Diving ...: rows for the first frames only
    if len(frames) != len(boxes) and not (only_first and len(boxes) == 1 and frames):
        raise UserError(f"frames and boxes do not match: {path}: {len(frames)} frames in {folder}, {len(boxes)} rows: "
                        "one row per frame was expected: copy the missing files, or cut the longer of the two")
    cover = read_label(folder / "cover.label", len(frames), 8)
    absent = (read_label(folder / "absence.label", len(frames), 0) > 0) | (False if missing is None else missing)
    unknown = ~np.isfinite(boxes).all(axis=1) & ~absent[:len(boxes)]
    unknown[0] |= not np.isfinite(boxes[0]).all()                             # a tracker must begin with something
    if unknown.any():
        raise UserError(f"a box that is not a number: {path}, row {int(unknown.argmax()) + 1}: x,y,w,h were expected: "
                        "mend the row, or mark the frame in absence.label")
    meta = read_meta(folder / "meta_info.ini")
    return Sequence(name, frames, boxes, cover, absent, read_size(meta), read_attributes(folder, meta),
                    path.relative_to(root).as_posix(), layout)


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


def boxes_path(folder, row, name):
    """Where a test's folder keeps the boxes of one tracker (row) on one sequence."""
    return folder / "boxes" / file_name(row) / f"{file_name(name)}.txt"


def write_boxes(path, boxes, digits=4):
    """Boxes (N, 4) as the toolkits read them: a line x,y,w,h for each."""
    line = ",".join([f"%.{digits}f"] * 4) + "\n"
    write_text(path, "".join(line % tuple(box) for box in boxes))


def polygon_box(corners):
    """The axis-aligned box (x, y, w, h) of a polygon of four corners, as VOT's toolkit and the authors have it: same
    centre, same area ratio.

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


def read_size(meta):
    """(width, height) of `resolution: (1920, 1080)`; None where it is missing."""
    try:
        width, height = ast.literal_eval(meta["resolution"])
        return int(width), int(height)
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None


def read_attributes(folder, meta):
    """Annotations by which results can be grouped: {name: class}, of attrs.txt (OTB), *.tag (VOT), meta (GOT-10k)."""
    table = folder / "attrs.txt"
    words = re.findall(r"[A-Z]{2,4}", table.read_text(encoding="utf-8")) if table.is_file() else []
    found = dict.fromkeys(words, "with")
    for path in sorted([*folder.glob("*.tag"), *folder.glob("*.label")]):
        if path.stem not in ("cover", "absence", "cut_by_image") and "1" in path.read_text(encoding="utf-8").split():
            found[path.stem] = "with"
    return found | {key: meta[key] for key in ("object_class",) if meta.get(key)}
