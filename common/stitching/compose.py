"""Photographs that have their places -> one picture: warping, exposure, seams, blending, the largest rectangle.

Photographs are (h, w, 3) RGB, uint8 or all of them uint16; what is measured on small copies is measured in 8 bits.
Where they lie, on which surface, is chosen in surfaces.py; where one ends, in seams.py. OpenCV's detail module computes
where it serves; everything else is explicit.
"""
import itertools
from typing import NamedTuple

import cv2
import numpy as np

from common.data.images import to_eight_bits

LIMIT = 100e6                      # pixels of a canvas,
NETWORK_LIMIT = 64e6               # and of one that a network joins, whose tensors take several times the memory
SEAM_PIXELS = 1e5                  # per photograph, where seams are sought
PASSAGE = 6.0                      # pixels, at most, in which one photograph's detail gives way to the next one's
SOFT = 2.5                         # pixels of the small copies' masks in which a softened one does so
MOVING = 20.0                      # levels beyond which a difference is not one of exposure
OTHER = 60.0                       # levels beyond which two photographs show different things
EXPOSURES = {"none": cv2.detail.ExposureCompensator_NO, "gain": cv2.detail.ExposureCompensator_GAIN,
             "blocks": cv2.detail.ExposureCompensator_GAIN_BLOCKS}


class Panorama(NamedTuple):
    """What the photographs make together."""
    image: np.ndarray              # (h, w, 3) uint8 or uint16
    mask: np.ndarray               # (h, w) uint8, 255 where the image is one
    origin: tuple[int, int]        # the surface's point of pixel (0, 0)


class Piece(NamedTuple):
    """One photograph on the canvas."""
    image: np.ndarray              # (h, w, 3) uint8 or uint16, warped
    mask: np.ndarray               # (h, w) uint8, 255 where the photograph is
    corner: tuple[int, int]        # the canvas point of its upper left pixel

    def inside(self, left, top):
        """The (rows, columns) of the piece on a canvas whose first pixel is the point (left, top)."""
        x, y = self.corner[0] - left, self.corner[1] - top
        return slice(y, y + self.mask.shape[0]), slice(x, x + self.mask.shape[1])

    def crop(self, place, left, top):
        """The part of the piece at `place` (rows, columns) of that canvas."""
        here = tuple(slice(part.start - whole.start, part.stop - whole.start)
                     for part, whole in zip(place, self.inside(left, top)))
        return Piece(self.image[here], self.mask[here], (place[1].start + left, place[0].start + top))


def extent(pieces):
    """(left, top, width, height) of the smallest rectangle that holds all Pieces."""
    corners = np.array([piece.corner for piece in pieces])
    ends = corners + [piece.mask.shape[::-1] for piece in pieces]
    first = corners.min(axis=0)
    return (*first.tolist(), *(ends.max(axis=0) - first).tolist())


# ---- the steps ----

def warp_photo(photo, view, shape, bounds, scale=1.0):
    """The Piece of a photograph on a surface, in strips, so that the maps stay small.

    view, shape, bounds: as surfaces.Placed and Surface have them. scale: of the canvas; a photograph that becomes much
    smaller is reduced first, by area, for interpolation alone would flicker.
    """
    left, top, right, bottom = bounds
    height, width = photo.shape[:2]
    small = (1.0, 1.0)
    if scale < 0.75:
        size = [max(1, round(side * scale)) for side in (width, height)]
        photo, small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA), (size[0] / width, size[1] / height)
    image = np.zeros((bottom - top + 1, right - left + 1, 3), photo.dtype)
    mask = np.zeros(image.shape[:2], np.uint8)
    for first in range(0, len(image), 256):
        y, x = np.mgrid[top + first:min(top + first + 256, bottom + 1), left:right + 1].astype(np.float64)
        u, v, front = view.see(shape.to_frame(x, y))
        part = slice(first, first + len(x))
        mask[part] = 255 * (front & (u >= -1e-3) & (u <= width - 1 + 1e-3) & (v >= -1e-3) & (v <= height - 1 + 1e-3))
        u, v = (np.where(front, (each + 0.5) * ratio - 0.5, -9).astype(np.float32)
                for each, ratio in zip((u, v), small))
        image[part] = cv2.remap(photo, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Piece(image, mask, (left, top))


def smaller(pieces, scale):
    """Pieces of 8 bits at a fraction of their size, for exposure and seams."""
    result = []
    for piece in pieces:
        size = [max(1, round(side * scale)) for side in piece.mask.shape[::-1]]
        mask = cv2.resize(piece.mask, size, interpolation=cv2.INTER_AREA)
        image = to_eight_bits(cv2.resize(piece.image, size, interpolation=cv2.INTER_AREA))
        result.append(Piece(image, np.where(mask > 250, 255, 0).astype(np.uint8),
                            (round(piece.corner[0] * scale), round(piece.corner[1] * scale))))
    return result


def compensate(pieces, small, kind="blocks"):
    """Fit the brightness of pieces where they overlap (OpenCV's, measured on the small ones), both lists in place."""
    if kind == "none" or len(pieces) < 2:
        return
    compensator = cv2.detail.ExposureCompensator_createDefault(EXPOSURES[kind])
    compensator.feed([piece.corner for piece in small], [piece.image for piece in small], still_masks(small))
    for each in (pieces, small):
        for place, piece in enumerate(each):
            each[place] = piece._replace(image=brighten(compensator, place, piece))


def still_masks(small):
    """Masks of small pieces without what only one of two shows, a sign, a passer-by: it says nothing of the light."""
    still = [piece._replace(mask=piece.mask.copy()) for piece in small]
    left, top, *_ = extent(small)
    for one, other in itertools.combinations(still, 2):
        common = common_part(one.inside(left, top), other.inside(left, top))
        if common is None:
            continue
        first, second = (piece.crop(common, left, top) for piece in (one, other))              # views
        both = (first.mask & second.mask) > 0
        if not both.any():
            continue
        difference = second.image.astype(np.float32) - first.image
        other_thing = both & (np.abs(difference - np.median(difference[both], axis=0)).mean(axis=2) > OTHER)
        if other_thing.sum() < both.sum() / 2:
            first.mask[other_thing] = second.mask[other_thing] = 0
    return [piece.mask for piece in still]


def brighten(compensator, place, piece):
    """A piece's pixels after OpenCV's gains. Those of 16 bits, which it cannot take, by the same gains (maps)."""
    if piece.image.dtype == np.uint8:
        return compensator.apply(place, piece.corner, piece.image.copy(), piece.mask)
    gains = np.asarray(compensator.getMatGains()[place], np.float32)
    result = np.empty_like(piece.image)
    for first in range(0, len(result), 256):
        rows = slice(first, min(first + 256, len(result)))
        gain = enlarge_rows(gains, piece.mask.shape, rows)
        result[rows] = np.clip(piece.image[rows] * gain.reshape(*gain.shape[:2], -1) + 0.5, 0, 65535)
    return result


def blend(pieces, small, cut, kind="multiband"):
    """The Panorama of pieces. cut: masks of the small pieces (seams.py).

    multiband, two bands: fine detail from the photograph whose side of the seam it is, but for a passage of some
    pixels; what is coarse drifts into the neighbour's brightness and colour across the seam (drifts). feather: the
    mean, weighted by the distance to each photograph's border. Computed in strips. OpenCV's blenders were left: in
    whole numbers, each of MultiBandBlender's bands costs half a level where nothing was to be changed.
    """
    left, top, width, height = extent(pieces)
    weights = [inner_distance(mask) if kind == "feather" else soften(mask) for mask in cut]
    narrow = max(1.0, SOFT * np.sqrt(pieces[0].mask.size / small[0].mask.size) / PASSAGE)
    changes = drifts(small, cut) if kind == "multiband" else [None] * len(pieces)
    depth = pieces[0].image.dtype
    top_level, unit = np.iinfo(depth).max, np.iinfo(depth).max / 255        # drifts are measured in 8 bits
    image, union = np.zeros((height, width, 3), depth), np.zeros((height, width), np.uint8)
    for first in range(0, height, 256):
        last = min(first + 256, height)
        total, weight = np.zeros((last - first, width, 3), np.float32), np.zeros((last - first, width, 1), np.float32)
        for piece, small_weight, change in zip(pieces, weights, changes):
            rows, columns = piece.inside(left, top)
            begin, end = max(first, rows.start), min(last, rows.stop)
            if begin >= end:
                continue
            inside, part = slice(begin - rows.start, end - rows.start), np.s_[begin - first:end - first, columns]
            shown = piece.image[inside].astype(np.float32)
            if change is not None:
                shown += unit * enlarge_rows(change, piece.mask.shape, inside)
            trust = enlarge_rows(small_weight, piece.mask.shape, inside)
            if kind == "multiband":
                trust = np.clip(narrow * trust - (narrow - 1) / 2, 0, 1)
            trust = ((trust + 1e-6) * (piece.mask[inside] > 0))[..., None]
            total[part] += trust * shown
            weight[part] += trust
            union[begin:end, columns] |= piece.mask[inside]
        image[first:last] = np.clip(total / np.maximum(weight, 1e-9) + 0.5, 0, top_level)
    return Panorama(image, union, (left, top))


def soften(mask):
    """A small mask (h, w) uint8 as a share in [0, 1] that passes from 0 to 1 in about SOFT pixels."""
    return cv2.GaussianBlur(mask, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE).astype(np.float32) / 255


def inner_distance(mask):
    """How far each pixel of a mask (h, w) uint8 lies inside it, in pixels; the picture's border ends the mask."""
    return cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]


def enlarge_rows(small, shape, rows):
    """The given rows (a slice) of a small map enlarged to shape (h, w), bilinear, half pixels right."""
    y = ((np.arange(rows.start, rows.stop) + 0.5) * small.shape[0] / shape[0] - 0.5).astype(np.float32)
    x = ((np.arange(shape[1]) + 0.5) * small.shape[1] / shape[1] - 0.5).astype(np.float32)
    return cv2.remap(small, np.tile(x, (len(y), 1)), np.repeat(y[:, None], len(x), 1), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)


def drifts(small, cut, reach=0.04, cell=None):
    """What to add to each small piece, (h, w, 3) float32, so that brightness and colour pass smoothly across the seams.

    Near a seam photograph i moves towards j by (share of j) times the smoothed difference j - i, which is measured
    where both are: at the seam both meet half way, and equal photographs change nothing. reach: width of the passage,
    of the small canvas's longer side. cell: of how many small pixels a side a cell is, on which all is smoothed.
    """
    left, top, width, height = extent(small)
    sigma = max(2.0, reach * max(width, height))
    cell = cell or max(1, int(sigma / 6))               # so smooth a map is as well computed on a coarser canvas
    places, size = [piece.inside(left, top) for piece in small], (-(-height // cell), -(-width // cell))
    shares = [cv2.GaussianBlur(lay(mask / np.float32(255), place, cell, size), (0, 0), sigma / cell)
              for mask, place in zip(cut, places)]
    total = np.maximum(np.sum(shares, axis=0), 1e-6)
    changes = [np.zeros((*size, 3), np.float32) for _ in small]
    for i, j in itertools.combinations(range(len(small)), 2):
        common = common_part(places[i], places[j])
        if common is None:
            continue
        first, second = (piece.crop(common, left, top) for piece in (small[i], small[j]))
        both = cv2.erode((first.mask & second.mask) // 255, np.ones((3, 3))).astype(np.float32)
        if not both.any():
            continue
        difference = second.image.astype(np.float32) - first.image
        usual = np.median(difference[both > 0], axis=0)
        both /= 1 + np.square((difference - usual) / MOVING).sum(axis=2)        # what moves says nothing of the light
        there = cv2.GaussianBlur(lay(both, common, cell, size), (0, 0), sigma / cell)[..., None]
        difference = cv2.GaussianBlur(lay(difference * both[..., None], common, cell, size), (0, 0), sigma / cell)
        difference *= np.minimum(1, there / 0.02) / np.maximum(there, 1e-4)
        changes[i] += (shares[j] / total)[..., None] * difference
        changes[j] -= (shares[i] / total)[..., None] * difference
    return [cut_out(change, place, cell) for change, place in zip(changes, places)]


def common_part(first, second):
    """The (rows, columns) that two of them have in common, None where they have none."""
    slices = [slice(max(one.start, other.start), min(one.stop, other.stop)) for one, other in zip(first, second)]
    return tuple(slices) if all(each.start < each.stop for each in slices) else None


def lay(values, place, cell, size):
    """A map that stands at `place` (rows, columns) of a canvas, on one of `size` (h, w) whose pixels are cells of
    cell x cell: means over the cells, 0 elsewhere."""
    (top, bottom), (left, right) = ((each.start // cell, -(-each.stop // cell)) for each in place)
    rows, columns = place
    whole = cv2.copyMakeBorder(values, rows.start - top * cell, bottom * cell - rows.stop, columns.start - left * cell,
                               right * cell - columns.stop, cv2.BORDER_CONSTANT)
    canvas = np.zeros((*size, *values.shape[2:]), np.float32)
    canvas[top:bottom, left:right] = cv2.resize(whole, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return canvas


def cut_out(canvas, place, cell):
    """What lay() laid: the part at `place` of a coarse canvas, bilinear."""
    rows, columns = place
    shift = [(each.start + 0.5) / cell - 0.5 for each in (columns, rows)]
    return cv2.warpAffine(canvas, np.array([[1 / cell, 0, shift[0]], [0, 1 / cell, shift[1]]]),
                          (columns.stop - columns.start, rows.stop - rows.start),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def largest_rectangle(mask):
    """(left, top, width, height) of the largest upright rectangle inside a mask (h, w), sought on a small copy.

    Row by row: for each column how high the picture stands above it, and how far to both sides it stands so high.
    """
    scale, small = min(1.0, 500 / max(mask.shape)), mask
    if scale < 1:
        small = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=255)
        small = cv2.resize(small, [max(1, round(side * scale)) for side in mask.shape[::-1]],
                           interpolation=cv2.INTER_AREA)
    columns, best = np.arange(small.shape[1]), (0, 0, 0, 0, 0)
    heights, begin, end = np.zeros_like(columns), np.zeros_like(columns), np.full_like(columns, small.shape[1])
    for bottom, row in enumerate(small >= 255):
        heights = np.where(row, heights + 1, 0)
        run_begin = np.maximum.accumulate(np.where(row, 0, columns + 1))
        run_end = np.minimum.accumulate(np.where(row, small.shape[1], columns)[::-1])[::-1]
        begin = np.where(row, np.maximum(begin, run_begin), 0)
        end = np.where(row, np.minimum(end, run_end), small.shape[1])
        areas = heights * (end - begin)
        here = areas.argmax()
        best = max(best, (areas[here], begin[here], bottom - heights[here] + 1, end[here] - begin[here], heights[here]))
    left, top, width, height = map(int, best[1:])
    if scale == 1.0:
        return left, top, width, height
    inset = 1 if min(width, height) > 2 else 0                          # a coarse pixel is only mostly inside
    x, y = np.ceil((left + inset) / scale), np.ceil((top + inset) / scale)
    right, bottom = np.floor((left + width - inset) / scale), np.floor((top + height - inset) / scale)
    return int(x), int(y), max(int(right - x), 1), max(int(bottom - y), 1)
