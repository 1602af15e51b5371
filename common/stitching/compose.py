"""Photographs whose homographies are known -> one picture: surface, exposure, seams, blending, the largest rectangle.

Photographs are uint8 (h, w, 3) RGB. A homography here maps a photograph's pixels to the reference's, and its sign
matters: w > 0 in front. OpenCV's detail module computes where it serves; everything else is explicit.
"""
import itertools
from typing import NamedTuple

import cv2
import numpy as np

from common.base.errors import Negative

LIMIT = 64e6                       # pixels of a canvas
OF_INPUTS = 4                      # and at most so many times the photographs' pixels together
SEAM_PIXELS = 1e5                  # per photograph, where seams are sought
MOVING = 20.0                      # levels beyond which a difference is not one of exposure
EXPOSURES = {"none": cv2.detail.ExposureCompensator_NO, "gain": cv2.detail.ExposureCompensator_GAIN,
             "blocks": cv2.detail.ExposureCompensator_GAIN_BLOCKS}


class Panorama(NamedTuple):
    """What the photographs make together."""
    image: np.ndarray              # (h, w, 3) uint8
    mask: np.ndarray               # (h, w) uint8, 255 where the image is one
    origin: tuple[int, int]        # the surface's point of pixel (0, 0)


class Piece(NamedTuple):
    """One photograph on the canvas."""
    image: np.ndarray              # (h, w, 3) uint8, warped
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


class Plane:
    """The reference's image plane: straight lines stay straight; sides are stretched, without end at 180 degrees."""
    name = "plane"

    def to_frame(self, x, y):
        """Homogeneous points of the reference's frame that surface points (x, y) show."""
        return x, y, np.ones_like(x)

    def to_surface(self, x, y, w):
        """Surface points of homogeneous points of the reference's frame, and whether they have one."""
        there = w > 0.05 * np.abs(w).max()
        safe = np.where(there, w, 1)
        return x / safe, y / safe, there


class Cylinder:
    """A cylinder round the camera, its axis upright: for wide panoramas of a turning camera.

    focal, middle (x, y): in the reference's pixels.
    """
    name = "cylinder"

    def __init__(self, focal, middle):
        self.focal, self.middle = focal, middle

    def to_frame(self, x, y):
        angle = x / self.focal
        sine, cosine = np.sin(angle), np.cos(angle)
        return self.focal * sine + self.middle[0] * cosine, y + self.middle[1] * cosine, cosine

    def to_surface(self, x, y, w):
        right, down = (x - self.middle[0] * w) / self.focal, (y - self.middle[1] * w) / self.focal
        reach = np.maximum(np.hypot(right, w), 1e-12)
        return self.focal * np.arctan2(right, w), self.focal * down / reach, np.hypot(right, w) > 0.1 * np.abs(down)


def outline(size, steps=24):
    """Points along the border of a picture and its middle: (n,) x and y."""
    width, height = size
    along = np.linspace(0, 1, steps)
    x = np.concatenate([along, along, 0 * along, 0 * along + 1, [0.5]]) * (width - 1)
    y = np.concatenate([0 * along, 0 * along + 1, along, along, [0.5]]) * (height - 1)
    return x, y


def box(surface, H, size):
    """(left, top, right, bottom), whole numbers, of a picture on the surface; None where a part of it is not there."""
    x, y = outline(size)
    points = H @ np.stack([x, y, np.ones_like(x)])
    u, v, there = surface.to_surface(*points)
    if not there.all() or not np.isfinite([u, v]).all():
        return None
    return (int(np.floor(u.min() + 1e-6)), int(np.floor(v.min() + 1e-6)),
            int(np.ceil(u.max() - 1e-6)), int(np.ceil(v.max() - 1e-6)))


def area(boxes):
    """Pixels of the canvas that holds all boxes; inf where one is missing."""
    if any(each is None for each in boxes):
        return np.inf
    left, top, right, bottom = (function(column) for function, column in zip((min, min, max, max), zip(*boxes)))
    return float(right - left + 1) * float(bottom - top + 1)


def choose_surface(homographies, sizes, reference, projection="auto"):
    """(surface, boxes): the plane while its canvas stays under 4 times the photographs together, else a cylinder.

    boxes: of box(), one per photograph. Raises Negative where neither holds them.
    """
    allowed = min(LIMIT, OF_INPUTS * sum(width * height for width, height in sizes))
    plane = Plane()
    boxes = [box(plane, H, size) for H, size in zip(homographies, sizes)]
    if projection == "plane" or (projection == "auto" and area(boxes) <= allowed):
        if area(boxes) > allowed:
            raise Negative(f"a flat canvas would have {area(boxes) / 1e6:.3g} million pixels, at most "
                           f"{allowed / 1e6:.3g} were expected: the photographs turn too far for a plane: use "
                           "test.projection=cylinder, or fewer of them")
        return plane, boxes
    middle = tuple((side - 1) / 2 for side in sizes[reference])
    surface = Cylinder(focal_length(homographies, sizes, reference), middle)
    boxes = [box(surface, H, size) for H, size in zip(homographies, sizes)]
    if area(boxes) > allowed:
        raise Negative(f"the canvas would have {area(boxes) / 1e6:.3g} million pixels even on a cylinder, at most "
                       f"{allowed / 1e6:.3g} were expected: a homography is far off, or the photographs are too many: "
                       "use fewer of them")
    return surface, boxes


def focal_length(homographies, sizes, reference):
    """The focal length in pixels, .4 to 8 sides, with which the homographies are most nearly rotations, K^-1 H K."""
    side = max(sizes[reference])
    tried = side * np.geomspace(0.4, 8, 120)
    costs = np.zeros(len(tried))
    for H, size in zip(homographies, sizes):
        into, back = (np.array([[1, 0, (each[0] - 1) / 2], [0, 1, (each[1] - 1) / 2], [0, 0, 1]])
                      for each in (sizes[reference], size))
        centred = np.linalg.inv(into) @ H @ back
        for place, focal in enumerate(tried):
            turn = np.diag([1 / focal, 1 / focal, 1]) @ centred @ np.diag([focal, focal, 1])
            turn = turn / np.cbrt(np.linalg.det(turn))
            costs[place] += np.square(turn.T @ turn - np.eye(3)).sum()
    return float(tried[np.argmin(costs)])


# ---- the steps ----

def warp_photo(photo, H, surface, bounds):
    """The Piece of a photograph on the surface, bounds as box() gives them; in strips, so that the maps stay small."""
    left, top, right, bottom = bounds
    height, width = photo.shape[:2]
    inverse = np.linalg.inv(H)
    image = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
    mask = np.zeros(image.shape[:2], np.uint8)
    for first in range(0, len(image), 256):
        y, x = np.mgrid[top + first:min(top + first + 256, bottom + 1), left:right + 1].astype(np.float64)
        u, v, w = np.tensordot(inverse, np.stack(surface.to_frame(x, y)), axes=1)
        front = w > 1e-9
        u, v = (np.where(front, each / np.where(front, w, 1), -9).astype(np.float32) for each in (u, v))
        part = slice(first, first + len(x))
        image[part] = cv2.remap(photo, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask[part] = 255 * ((u >= -1e-3) & (u <= width - 1 + 1e-3) & (v >= -1e-3) & (v <= height - 1 + 1e-3))
    return Piece(image, mask, (left, top))


def smaller(pieces, scale):
    """Pieces at a fraction of their size, for exposure and seams."""
    result = []
    for piece in pieces:
        size = [max(1, round(side * scale)) for side in piece.mask.shape[::-1]]
        mask = cv2.resize(piece.mask, size, interpolation=cv2.INTER_AREA)
        result.append(Piece(cv2.resize(piece.image, size, interpolation=cv2.INTER_AREA),
                            np.where(mask > 250, 255, 0).astype(np.uint8),
                            (round(piece.corner[0] * scale), round(piece.corner[1] * scale))))
    return result


def compensate(pieces, small, kind="blocks"):
    """Fit the brightness of pieces where they overlap (OpenCV's, measured on the small ones), both lists in place."""
    if kind == "none" or len(pieces) < 2:
        return
    compensator = cv2.detail.ExposureCompensator_createDefault(EXPOSURES[kind])
    compensator.feed([piece.corner for piece in small], [piece.image for piece in small],
                     [piece.mask for piece in small])
    for each in (pieces, small):
        for place, piece in enumerate(each):
            each[place] = piece._replace(image=compensator.apply(place, piece.corner, piece.image.copy(), piece.mask))


def seams(small, kind="graphcut"):
    """Masks of the small pieces cut along seams: a pixel comes from one photograph; what moves is not averaged."""
    if kind == "none" or len(small) < 2:
        return [piece.mask for piece in small]
    finder = {"graphcut": lambda: cv2.detail.GraphCutSeamFinder("COST_COLOR_GRAD"),
              "dp": lambda: cv2.detail.DpSeamFinder("COLOR_GRAD"),
              "voronoi": lambda: cv2.detail.SeamFinder_createDefault(cv2.detail.SeamFinder_VORONOI_SEAM)}[kind]()
    found = finder.find([piece.image.astype(np.float32) for piece in small], [piece.corner for piece in small],
                        [piece.mask for piece in small])
    return [mask.get() if hasattr(mask, "get") else np.asarray(mask) for mask in found]


def blend(pieces, small, cut, kind="multiband"):
    """The Panorama of pieces. cut: masks of the small pieces from seams().

    multiband, two bands: fine detail from the photograph whose side of the seam it is; what is coarse drifts into the
    neighbour's brightness and colour across the seam (drifts). feather: the mean, weighted by the distance to each
    photograph's border. Computed in strips. OpenCV's blenders were left: in whole numbers, each of MultiBandBlender's
    bands costs half a level where nothing was to be changed.
    """
    left, top, width, height = extent(pieces)
    weights = [inner_distance(mask) if kind == "feather" else mask.astype(np.float32) / 255 for mask in cut]
    changes = drifts(small, cut) if kind == "multiband" else [None] * len(pieces)
    image, union = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
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
                shown += enlarge_rows(change, piece.mask.shape, inside)
            trust = enlarge_rows(small_weight, piece.mask.shape, inside)
            if kind == "multiband":
                trust = np.clip(8 * trust - 3.5, 0, 1)                  # a narrow ramp across the seam
            trust = ((trust + 1e-6) * (piece.mask[inside] > 0))[..., None]
            total[part] += trust * shown
            weight[part] += trust
            union[begin:end, columns] |= piece.mask[inside]
        image[first:last] = np.clip(total / np.maximum(weight, 1e-9) + 0.5, 0, 255)
    return Panorama(image, union, (left, top))


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

    Row by row, with a stack of the columns' heights above it.
    """
    scale, small = min(1.0, 500 / max(mask.shape)), mask
    if scale < 1:
        small = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=255)
        small = cv2.resize(small, [max(1, round(side * scale)) for side in mask.shape[::-1]],
                           interpolation=cv2.INTER_AREA)
    heights, best = np.zeros(small.shape[1] + 1, int), (0, 0, 0, 0, 0)
    for bottom, row in enumerate(small >= 255):
        heights[:-1] = np.where(row, heights[:-1] + 1, 0)
        stack = []
        for right, height in enumerate(heights.tolist()):
            start = right
            while stack and stack[-1][1] >= height:
                start, high = stack.pop()
                best = max(best, (high * (right - start), start, bottom - high + 1, right - start, high))
            stack.append((start, height))
    _, left, top, width, height = best
    if scale == 1.0:
        return left, top, width, height
    inset = 1 if min(width, height) > 2 else 0                          # a coarse pixel is only mostly inside
    x, y = np.ceil((left + inset) / scale), np.ceil((top + inset) / scale)
    right, bottom = np.floor((left + width - inset) / scale), np.floor((top + height - inset) / scale)
    return int(x), int(y), max(int(right - x), 1), max(int(bottom - y), 1)
