"""Exact tiles of a picture: what Objective.gradient_in_tiles of model.py computes one by one."""
from sys import maxsize
from typing import NamedTuple

from common.base.errors import UserError

BUDGET = 1.0e9                          # bytes that one step's activations may take before `auto` tiles
PER_VALUE = 10.0  # bytes per feature value of a step, measured: the value, what its ReLU and its gradient need


class Tile(NamedTuple):
    """A part of a picture: its core, and the crop that is computed for it, the core with a halo; (top, left, bottom,
    right) in pixels."""
    crop: tuple
    core: tuple

    @property
    def window(self):
        """The index of the crop in the picture."""
        return ..., slice(*self.crop[::2]), slice(*self.crop[1::2])

    def inside(self, stride):
        """The index of the core's positions in the crop's features at a stride.

        Pooling drops odd last rows, and so does the division."""
        top, left, bottom, right = (edge // stride - origin // stride
                                    for edge, origin in zip(self.core, self.crop[:2] * 2))
        return ..., slice(top, bottom), slice(left, right)

    def place(self, stride):
        """The index of the core's positions in the whole picture's features."""
        return self._replace(crop=(0, 0)).inside(stride)


WHOLE = Tile((0, 0, maxsize, maxsize), (0, 0, maxsize, maxsize))   # the picture as its only tile, whatever its size


def tiles_of(size, side, halo, stride):
    """Tiles of a picture of size (height, width), with edges at multiples of the stride.

    Crops end where the picture ends, so that the network's own padding acts there and only there."""
    side, halo = (-(-value // stride) * stride for value in (side, halo))
    height, width = size
    found = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            crop = max(top - halo, 0), max(left - halo, 0), min(bottom + halo, height), min(right + halo, width)
            found.append(Tile(crop, (top, left, bottom, right)))
    return found


def halo_of(trunk):
    """How far the deepest tap sees beyond a core, in pixels."""
    return max(trunk.reach(tap) for tap in trunk.taps)


def parts_of(trunk):
    """The networks that a trunk is made of: itself, or those that were joined."""
    return list(getattr(trunk, "parts", [trunk]))


def can_tile(trunk):
    """Whether a trunk's positions are aligned with its input: SqueezeNet's are not, with its input's borders."""
    return all(hasattr(part, "reach") for part in parts_of(trunk))


def bytes_per_pixel(trunk):
    """What a step keeps per pixel, about: every convolution's output and what its ReLU and its gradient need."""
    if len(parts_of(trunk)) > 1:
        return sum(map(bytes_per_pixel, parts_of(trunk)))
    if not can_tile(trunk):
        return PER_VALUE * 40
    widths = {name: trunk.widths[int(name[4]) - 1] for name in trunk.names if name.startswith("conv")}
    return PER_VALUE * sum(width / trunk.stride(name) ** 2 for name, width in widths.items())


def choose_tile(tile, trunk, size):
    """The tile's side for a picture of size (height, width), or None for the whole. tile: auto, none, or a number."""
    aligned = can_tile(trunk)
    if not aligned and tile not in ("auto", "none"):
        raise UserError(f"{trunk.name} cannot be computed in exact tiles: train.tile={tile}: a VGG was expected: "
                        "set train.tile=none")
    if tile == "none" or not aligned:
        return None
    if tile != "auto":
        return int(tile)
    per_pixel = bytes_per_pixel(trunk)
    if size[0] * size[1] * per_pixel <= BUDGET:
        return None
    stride = trunk.stride(trunk.names[-1])
    side = int((BUDGET / per_pixel) ** 0.5) - 2 * halo_of(trunk)
    return max(side // stride, 4) * stride
