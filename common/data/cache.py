"""Decoded pictures that all loader processes share, windows out of them, and the eight ways to lay one down."""
import hashlib
import math
import mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from common.base.errors import UserError
from common.data.images import by

CACHE_BYTES = 1.5e9         # a set's decoded pictures are kept when together they stay under this; LOL has 0.7e9


class Orientation(NamedTuple):
    """One of the eight ways to lay a picture down: transposed, then upside down, then mirrored left to right."""
    mirrored: bool
    upside_down: bool = False
    transposed: bool = False

    @classmethod
    def draw(cls, rng, flips, turns):
        """One at random: mirrored or not (flips), the other two (turns); nothing is drawn for what is not wanted."""
        mirrored = bool(flips) and rng.random() < 0.5
        return cls(mirrored, *(rng.random(2) < 0.5)) if turns else cls(mirrored)

    def turn(self, picture):
        """A tensor (C, h, w) in this orientation."""
        picture = picture.mT if self.transposed else picture
        picture = picture.flip(-2) if self.upside_down else picture
        return picture.flip(-1) if self.mirrored else picture

    def turn_box(self, top, left, bottom, right):
        """Pair's box of a window, given in [0, 1] of the picture as it is, after the whole picture was turned."""
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        if self.upside_down:
            top, bottom = 1 - bottom, 1 - top
        if self.mirrored:
            left, right = 1 - right, 1 - left
        return torch.tensor([top, left, bottom, right], dtype=torch.float32)


class SharedPixels:
    """Decoded uint8 pictures of known shapes, read when asked for: what one process has read no other reads again.

    The memory is shared by loader processes made by fork. Where they are spawned (Windows, macOS) each begins with an
    empty one of its own. It begins with a byte per picture, 1 when it is there; the system gives pages when written to.
    """

    def __init__(self, shapes):
        self.shapes = list(shapes)
        ends = np.cumsum([len(self.shapes), *map(math.prod, self.shapes)])
        self.starts = ends[:-1]
        self.memory = np.frombuffer(mmap.mmap(-1, max(1, int(ends[-1]))), np.uint8)

    def __reduce__(self):
        return SharedPixels, (self.shapes,)

    def get(self, slot, read, path):
        """The picture of a slot, by read(path) the first time. A view: not to be written to."""
        shape, first = self.shapes[slot], self.starts[slot]
        kept = self.memory[first:first + math.prod(shape)].reshape(shape)
        if self.memory[slot]:
            return kept
        picture = read(path)
        if picture.shape == shape:
            kept[...] = picture
            self.memory[slot] = 1                           # after the pixels: another process may be looking
        return picture


def share_pixels(sizes):
    """SharedPixels for RGB pictures of these sizes (h, w); None where together they are more than CACHE_BYTES."""
    if 3 * sum(map(math.prod, sizes)) > CACHE_BYTES:
        return None
    return SharedPixels((*size, 3) for size in sizes)


def fingerprint(paths):
    """A digest of file names and sizes: equal for the same files, wherever they lie."""
    text = "\n".join(f"{Path(path).parent.name}/{Path(path).name} {Path(path).stat().st_size}" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()


def random_window(rng, size, patch, path):
    """(top, left) of a random patch in a picture of size (h, w). UserError, naming path, where it does not fit."""
    if min(size) < patch:
        raise UserError(f"{path} is {by(size)}: patches of {patch} do not fit: lower data.patch, or remove the picture")
    return tuple(int(rng.integers(side - patch + 1)) for side in size)
