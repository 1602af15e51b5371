"""Tracking sequences from disk, whatever their layout (layouts.py), as one kind of object, `Sequence`.

A `SequenceFolder` finds and reads them: for training, for tests, and for `python -m common.data check`, which therefore
agree. Boxes are (x, y, w, h), 1-based, float64. The toolkit's own OTB class is not used: it downloads, cuts frames out
by hard-coded names and ignores sequences that are not on its list.
"""
import ast
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.base.errors import UserError, join_some
from common.data.images import list_images, picture_size, read_pixels
from common.data.layouts import EXPECTED, LAYOUTS, guess_layout

LARGEST = 1.1               # sides of a first box in those of its frame: a turned target sticks out a little


class Sequence(NamedTuple):
    """One target in one clip."""
    name: str
    frames: list                 # paths, in order
    boxes: np.ndarray            # (N, 4), nan in frames without one; (1, 4) where only the first is given
    cover: np.ndarray            # (N,) visible share in eighths, 0..8; all 8 where nothing is said
    absent: np.ndarray           # (N,) bool: the target is hidden, or its row is no box; nothing is measured there
    size: tuple                  # (width, height) as meta_info.ini says it, or None
    attributes: dict             # {name: "with"} and object_class where annotated
    reference: str               # the file of boxes, relative to the root
    layout: str                  # a key of LAYOUTS
    notes: tuple                 # lines about what was left out

    @property
    def frame_size(self):
        """(width, height) as meta_info.ini says it, else of the first frame."""
        return self.size or read_pixels(self.frames[0]).shape[1::-1]


class SequenceFolder:
    """The sequences below a folder: len(), [index or name] -> Sequence, names, layout, set_name, fingerprint().

    layout: a key of LAYOUTS, or auto: told by where the frames lie. split: of GOT-10k (train, val, test), where the
    root has such folders. names: of the sequences wanted, or, written -NAME, of those left out; else all. It also
    answers as the toolkit's data sets do (seq_names; iteration over (files, boxes)), so that its experiments run on it.
    """

    def __init__(self, root, layout="auto", split=None, names=None):
        root = Path(root)
        if not root.is_dir():
            raise UserError(f"data set not found: {root}: a folder of sequences was expected: set test.root (or "
                            "data.root); `python -m common.data check` says where to get GOT-10k and OTB")
        self.root = root / split if split and (root / split).is_dir() else root
        self.split = split if self.root != root else None
        self.layout = guess_layout(self.root) if layout == "auto" else layout
        if self.layout is None:
            raise UserError(f"no sequences: {self.root}: frames and boxes in the layout of one of {', '.join(LAYOUTS)} "
                            "were expected: set test.root; datasets/README.md shows the layouts")
        self.entries = LAYOUTS[self.layout](self.root)                      # {name: Entry}
        if not self.entries:
            raise UserError(f"no sequences: {self.root}: the layout {self.layout} was expected "
                            f"({EXPECTED[self.layout]}): set test.root and test.layout")
        self.names = self.choose(names or [])
        self.set_name = self.split or self.root.resolve().name
        self.known = {}                                                     # {name: Sequence}, each read once

    def choose(self, names):
        """The names of the sequences wanted, of a list of names and of -NAME; a name that begins with - itself stands
        for itself."""
        left_out = [name[1:] for name in names if name.startswith("-") and name not in self.entries]
        wanted = [name for name in names if not name.startswith("-") or name in self.entries]
        unknown = [name for name in wanted + left_out if name not in self.entries]
        if unknown:
            raise UserError(f"no such sequences: {self.root}: {join_some(unknown)}: names among "
                            f"{join_some(self.entries, 5)} were expected")
        chosen = [name for name in wanted or self.entries if name not in left_out]
        if not chosen:
            raise UserError(f"no sequence is left: {self.root}: {join_some(names)}: at least one was expected: change "
                            "test.names")
        return chosen

    def __len__(self):
        return len(self.names)

    def __getitem__(self, place):
        name = place if isinstance(place, str) else self.names[place]
        if name not in self.known:
            self.known[name] = read_sequence(self.root, name, self.entries[name], self.layout, self.split == "test")
        return self.known[name]

    def inspect(self, name):
        """The Sequence of that name after a look at every frame: one that cannot be read is passed over, with a note.
        Raises UserError where it is the first, in which a tracker begins."""
        self.known[name] = pass_over_damage(self[name])
        return self.known[name]

    def readable(self):
        """The Sequences that can be read, a list; asking for one of the others says why it cannot."""
        found = []
        for name in self.names:
            with suppress(UserError):
                found.append(self[name])
        return found

    def about(self):
        """One line: which layout was taken, and how many sequences it has here."""
        return f"{self.root}: read in the layout {self.layout} ({EXPECTED[self.layout]}): {len(self)} sequences"

    def fingerprint(self):
        """Names, number of frames and bytes of the boxes of every sequence: equal for equal data wherever it lies."""
        wanted = set(self.names)
        return [[name, len(frames_in(entry.frames)), entry.boxes.stat().st_size]
                for name, entry in self.entries.items() if name in wanted]

    # what the toolkit's experiments ask of a data set
    return_meta = False

    @property
    def seq_names(self):
        return self.names

    def __iter__(self):
        for sequence in map(self.__getitem__, self.names):
            meta = {"cover": sequence.cover, "absence": sequence.absent, "resolution": str(tuple(sequence.frame_size))}
            yield [str(path) for path in sequence.frames], sequence.boxes, *([meta] if self.return_meta else [])


def read_sequence(root, name, entry, layout, only_first=False):
    """The Sequence at an Entry.

    only_first: the file may hold the first box alone. A row that is no box costs its frame, with a note. Raises
    UserError where the first row is no box in the first frame, or the rows do not fit the frames.
    """
    rows, texts = read_rows(entry.boxes, "corners" if layout == "nfs" else "size")
    frames, rows, notes = match(name, frames_in(entry.frames), rows, entry, layout, only_first)
    cover = read_label(entry.folder / "cover.label", len(frames), 8)
    absent = read_absence(entry.folder, len(frames))
    if wrong := box_problem(rows[0], (picture_size(frames[0]) or (None,))[::-1]):
        raise UserError(f"no box to begin with: {entry.boxes}, row 1: {texts[0][:60]!r}: {wrong}: mend the row")
    nothing = ~np.isfinite(rows).all(axis=1) | (rows[:, 2:] <= 0).any(axis=1)
    hidden = nothing & (absent[:len(rows)] | np.isnan(rows).all(axis=1))
    for what, found in (("frames left out, where the target is hidden", hidden),
                        ("frames left out, whose row is no box", nothing & ~hidden)):
        if found.any():
            notes.append(f"{name}: {found.sum()} {what}: {entry.boxes}, row {join_some(np.flatnonzero(found) + 1, 5)}")
    absent[:len(rows)] |= nothing
    rows[nothing] = np.nan
    meta = read_meta(entry.folder / "meta_info.ini")
    return Sequence(name, frames, rows, cover, absent, read_size(meta), read_attributes(entry.folder, meta),
                    entry.boxes.relative_to(root).as_posix(), layout, tuple(notes))


def match(name, frames, rows, entry, layout, only_first):
    """(frames, rows, notes) of equal number: of a clip with more frames than rows the part that the boxes belong to.

    NfS has its boxes at 240 frames per second also beside the frames at 30. Raises UserError for what does not fit.
    """
    if layout == "nfs" and frames and abs(len(rows) / len(frames) - 8) < 1:
        rows = rows[::8]
    if layout == "nfs" and abs(len(rows) - len(frames)) == 1:
        rows, frames = rows[:len(frames)], frames[:len(rows)]
    if len(rows) == len(frames) or (only_first and len(rows) == 1 and frames):
        return frames, rows, []
    first, last = entry.start, entry.start + len(rows)
    if last > len(frames):
        raise UserError(f"frames and boxes do not match: {entry.boxes}: {len(frames)} frames in {entry.frames}, "
                        f"{len(rows)} rows: one row per frame was expected: copy the missing files, or cut the longer "
                        "of the two")
    if len(rows) == 1:
        raise UserError(f"only the first box is known: {entry.boxes}: one row per frame was expected: take a part of "
                        "the data set whose boxes are public")
    said = f"{name}: frames {first + 1} to {last} of {len(frames)} have boxes: {entry.boxes}: the others are left out"
    return frames[first:last], rows, [] if layout == "uav123" else [said]


def pass_over_damage(sequence):
    """The Sequence with every frame that cannot be read replaced by the one before, as in a video that stands still,
    and marked absent, so that nothing is measured there."""
    frames, boxes, absent, found = list(sequence.frames), sequence.boxes.copy(), sequence.absent.copy(), []
    for place, path in enumerate(frames):
        try:
            read_pixels(path)
        except UserError as problem:
            if place == 0:
                raise
            frames[place], absent[place] = frames[place - 1], True
            boxes[place:place + 1] = np.nan
            found.append(f"{path} ({str(problem).split(':')[0]})")
    if not found:
        return sequence
    note = f"{sequence.name}: {len(found)} frames passed over that cannot be read: {join_some(found, 5)}"
    return sequence._replace(frames=frames, boxes=boxes, absent=absent, notes=(*sequence.notes, note))


def box_problem(box, size):
    """What would have been expected instead of this box, for a tracker to begin with; None where it will do.

    size: (width, height) of the frame; (None,) where it is not known.
    """
    values = np.asarray(box, dtype=np.float64).ravel()
    if values.shape != (4,) or not np.isfinite(values).all():
        return "four finite numbers x,y,w,h were expected"
    x, y, w, h = values
    if w < 1 or h < 1:
        return "a width and a height of at least one pixel were expected"
    if len(size) < 2:
        return None
    frame = f"the frame of {size[0]} x {size[1]} pixels"
    if x > size[0] or y > size[1] or x + w <= 1 or y + h <= 1:
        return f"a box that touches {frame} was expected (1-based x, y of its corner)"
    if w > LARGEST * size[0] or h > LARGEST * size[1]:
        return f"a box no larger than {frame} was expected"
    return None


# ---- the files -------------------------------------------------------------------------------------------------------

def frames_in(folder):
    """Paths of a sequence's frames in natural order; none where there is no such folder."""
    return list_images(folder) if folder.is_dir() else []


def read_rows(path, kind="size"):
    """(boxes (N, 4), [line, ...]) of a file of boxes: all nan where it says nan, inf in lines that are no box.

    Commas, tabs or spaces, also mixed; rows of eight numbers are corners of a polygon. kind: size for x,y,w,h; corners
    for NfS's `track xmin ymin xmax ymax frame lost ...`. Raises UserError for a file without any line.
    """
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"no boxes: {path}: a line x,y,w,h per frame was expected: get the file again")
    parse = parse_corners if kind == "corners" else parse_box
    return np.array([parse([word for word in re.split(r"[,;\s]+", line) if word]) for line in lines]), lines


def parse_box(words):
    """[x, y, w, h] of the words of a line; all nan where it says nothing but `nan`, inf where it is no box."""
    values = [to_number(word) for word in words]
    if np.isnan(values).all():
        return [np.nan] * 4
    if len(values) == 8 and np.isfinite(values).all():
        return polygon_box(values)
    return values if len(values) == 4 else [np.inf] * 4


def parse_corners(words):
    """[x, y, w, h] of `track xmin ymin xmax ymax frame lost occluded generated label`; all nan where lost is 1."""
    if len(words) < 5 or words[6:7] == ["1"]:
        return [np.nan if words[6:7] == ["1"] else np.inf] * 4
    left, top, right, bottom = map(to_number, words[1:5])
    return [left, top, right - left, bottom - top]


def to_number(word):
    """A float; inf for a word that is none."""
    try:
        return float(word)
    except ValueError:
        return np.inf


def read_boxes(path):
    """(N, 4) of a file whose every row must be a box. Raises UserError for a row that is none."""
    boxes, lines = read_rows(path)
    wrong = ~np.isfinite(boxes).all(axis=1)
    if wrong.any():
        place = int(wrong.argmax())
        raise UserError(f"no box: {path}, row {place + 1}: {lines[place][:60]!r}: x,y,w,h (or the eight corner "
                        "coordinates) were expected: mend it")
    return boxes


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
    """(count,) numbers of a label file; the default where there is none."""
    if not path.is_file():
        return np.full(count, float(default))
    try:
        values = np.array([float(word) for word in re.split(r"[,\s]+", path.read_text(encoding="utf-8").strip())])
    except ValueError:
        raise UserError(f"no numbers: {path}: one per frame was expected: get the file again") from None
    if len(values) != count:
        raise UserError(f"labels and frames do not match: {path}: {len(values)} rows for {count} frames: one per frame "
                        "was expected: get it again")
    return values


def read_absence(folder, count):
    """(count,) bool: frames without the target, of absence.label (GOT-10k), or full_occlusion.txt and out_of_view.txt
    (LaSOT: one line of 0 and 1)."""
    labels = [read_label(folder / name, count, 0) > 0
              for name in ("absence.label", "full_occlusion.txt", "out_of_view.txt")]
    return np.logical_or.reduce(labels)


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
