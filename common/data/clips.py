"""Synthetic tracking sequences from photographs, with exactly known boxes, and GOT-10k's folder layout to keep them in.

A patch with a soft elliptic edge moves over another photograph: its place and its size walk at random, the background
drifts, the light changes slowly, a bar passes in front, and a copy in other colours moves nearby. Boxes are (x, y, w,
h), 1-based, as tracking files have them.
"""
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

STEP = 0.04                         # largest change of the velocity per frame, in sides of the target
FASTEST = 0.12                      # largest velocity, in the same unit
GROWTH = 0.03                       # largest change of scale per frame


class Clip(NamedTuple):
    """A sequence in memory."""
    frames: list                    # (h, w, 3) uint8 RGB
    boxes: np.ndarray               # (N, 4)
    cover: np.ndarray               # (N,) visible share of the target in eighths, 0..8
    cut: np.ndarray                 # (N,) bool: the box leaves the frame


def synthetic(rng, background, patch, frames=30, size=(320, 240), occluder=True, distractor=True, turn=0.0):
    """A Clip of a moving patch. background, patch: photographs, uint8 (h, w, 3); size: (width, height) of the frames.

    occluder: a bar passes in front of the target once; distractor: a recoloured copy moves about; turn: standard
    deviation, in degrees per frame, of a rotation in the picture's plane (the box stays upright).
    """
    width, height = size
    backdrop = crop_to_fit(background, (round(width * 1.2), round(height * 1.2)))
    shape = np.array(patch.shape[1::-1], dtype=np.float64)                             # (w, h) of the patch
    path, other = Walk(rng, shape, size), Walk(rng, shape, size)
    colours = patch[..., [1, 2, 0]]
    room = backdrop.shape[1] - width, backdrop.shape[0] - height
    pan = rng.uniform(0, 1, (2, 2)) * room                                             # from one corner to another
    light = rng.permutation([rng.uniform(0.5, 0.8), rng.uniform(1.1, 1.4)])            # the day breaks, or ends
    first, last = (frames // 3, frames // 3 + max(4, frames // 5)) if occluder else (frames, frames)
    bar_colour, angle = rng.integers(0, 256, 3), 0.0
    pictures, boxes, cover, cut = [], [], [], []
    for number in range(frames):
        share = number / max(1, frames - 1)
        left, top = np.round(pan[0] * (1 - share) + pan[1] * share).astype(int)
        picture = backdrop[top:top + height, left:left + width].astype(np.float32)
        if distractor:
            picture, _ = paste(picture, colours, *other.next(avoid=path.centre), 0.0)
        centre, scale = path.next()
        angle += rng.normal(0, turn) if turn else 0.0
        picture, mask = paste(picture, patch, centre, scale, angle)
        seen = mask.sum()
        w, h = sides = shape * scale
        if first <= number < last:                                                     # a bar passes, left to right
            x = centre[0] - w / 2 + w * (number - first + 0.5) / (last - first)
            columns = slice(max(0, round(x - w / 8)), max(0, round(x + w / 8)))
            picture[:, columns], mask[:, columns] = bar_colour, 0
        whole = np.pi / 4 * w * h                                                      # area of the ellipse
        corner = centre - (sides - 1) / 2 + 1                                          # upper left, 1-based
        boxes.append([*corner, *sides])
        cover.append(round(8 * min(1.0, float(mask.sum()) / max(1.0, min(seen, whole)))))
        cut.append(bool((corner < 1).any() or (corner + sides > np.add(size, 1)).any()))
        pictures.append(np.clip(picture * (light[0] * (1 - share) + light[1] * share) + 0.5, 0, 255).astype(np.uint8))
    return Clip(pictures, np.array(boxes), np.array(cover), np.array(cut))


class Walk:
    """Centre and scale of something that walks at random inside a frame: next() -> ((x, y), scale)."""

    def __init__(self, rng, shape, size):
        self.rng, self.shape, self.size, self.scale = rng, shape, np.array(size, dtype=np.float64), 1.0
        self.centre = self.size / 2 + rng.uniform(-0.2, 0.2, 2) * self.size
        self.velocity = rng.uniform(-0.5, 0.5, 2) * FASTEST * shape.min()

    def next(self, avoid=None):
        """The next centre and scale; avoid: a place (x, y) to keep off by 1.2 sides."""
        here, scale, side = self.centre.copy(), self.scale, self.shape.min()
        fastest = FASTEST * side
        velocity = np.clip(self.velocity + self.rng.uniform(-STEP, STEP, 2) * side, -fastest, fastest)
        low, high = self.shape * 0.4, self.size - self.shape * 0.4
        self.velocity = np.select([here < low, here > high], [abs(velocity), -abs(velocity)], velocity)
        if avoid is not None and np.linalg.norm(here - avoid) < 1.2 * side:
            away = (here - avoid) / max(1.0, np.linalg.norm(here - avoid))
            self.velocity = away * FASTEST * side
        self.centre = here + self.velocity
        self.scale = float(np.clip(scale * self.rng.uniform(1 - GROWTH, 1 + GROWTH), 0.7, 1.4))
        return here, scale


def paste(picture, patch, centre, scale, angle):
    """(picture with the patch on it, mask), float32; the patch's middle at centre (x, y), turned by angle degrees."""
    height, width = patch.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += np.asarray(centre) - ((width - 1) / 2, (height - 1) / 2)
    size = picture.shape[1::-1]
    mask = cv2.warpAffine(ellipse(height, width), matrix, size, flags=cv2.INTER_LINEAR)
    moved = cv2.warpAffine(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return picture + mask[..., None] * (moved.astype(np.float32) - picture), mask


def ellipse(height, width, soft=0.12):
    """A mask (h, w) float32: 1 inside the ellipse that fills the box, falling to 0 over its outermost part `soft`."""
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in (height, width))
    radius = np.sqrt(y[:, None] ** 2 + x[None] ** 2)
    return np.clip((1 - radius) / soft, 0, 1)


def crop_to_fit(photograph, size):
    """The largest middle part of a photograph with the sides' ratio of `size` (width, height), resized to it."""
    height, width = photograph.shape[:2]
    scale = min(width / size[0], height / size[1])
    w, h = int(size[0] * scale), int(size[1] * scale)
    top, left = (height - h) // 2, (width - w) // 2
    return cv2.resize(photograph[top:top + h, left:left + w], tuple(size),
                      interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)


# ---- GOT-10k's layout ------------------------------------------------------------------------------------------------

def write_sequence(folder, clip, object_class="patch", url="(synthetic)"):
    """Write a Clip as GOT-10k does: 00000001.jpg ..., groundtruth.txt, three label files, meta_info.ini."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(clip.frames, 1):
        Image.fromarray(frame).save(folder / f"{number:08d}.jpg", quality=92)
    height, width = clip.frames[0].shape[:2]
    write_labels(folder, clip.boxes, clip.cover, np.zeros(len(clip.boxes), int), clip.cut, (width, height),
                 object_class, url)


def write_labels(folder, boxes, cover, absence, cut, size, object_class, url):
    """The text files of a GOT-10k sequence. boxes: (N, 4); the others (N,); size: (width, height)."""
    write_lines(folder, "groundtruth.txt", ("{:.4f},{:.4f},{:.4f},{:.4f}".format(*box) for box in boxes))
    for name, values in (("cover", cover), ("absence", absence), ("cut_by_image", cut)):
        write_lines(folder, f"{name}.label", map(int, values))
    meta = {"url": url, "begin": "00:00:00", "end": "00:00:00", "anno_fps": "10Hz", "object_class": object_class,
            "motion_class": "moving", "major_class": "object", "root_class": "object", "motion_adverb": "slowly",
            "resolution": f"({size[0]}, {size[1]})"}
    write_lines(folder, "meta_info.ini", ["[METAINFO]", *(f"{key}: {value}" for key, value in meta.items())])


def write_list(folder, names):
    """list.txt of a split: one name per line."""
    write_lines(folder, "list.txt", names)


def write_lines(folder, name, lines):
    """A text file in folder, each line ended by LF."""
    (Path(folder) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
