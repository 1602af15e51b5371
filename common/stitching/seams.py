"""Where one photograph ends and the next begins: minimal cuts that go round what would be seen when cut.

    masks = seams(pieces, "objects")         # masks of Pieces (compose.py): every pixel is one photograph's
    cost = seam_cost(a, b, both)             # what a pixel under the seam costs, levels

graphcut, dp, voronoi are OpenCV's. `objects` is a minimal cut too, solved by the same program, but of another cost: the
difference of the pictures in levels (not its square, which lets one bad pixel outweigh a long step), the strength of
the structure, and a fine inside of whatever looks like one thing: closed outlines, letters and signs.
"""
import itertools

import cv2
import numpy as np
from scipy import ndimage

LENGTH = 1.0                       # levels that a pixel of seam costs where the pictures agree: no needless turns
STRUCTURE = 0.05                   # weight of the gradient, levels a pixel, beside the difference
THING = 4.0                        # levels that a pixel of seam costs inside of a thing
BORDER = 100.0                     # levels for a seam along the overlap's border, where one picture ends by itself
STABLE, VARIED, DIVERSE = 12, 0.5, 0.2     # a thing's outline: levels that it must survive, and MSER's two ratios
LEAST, MOST = 1e-4, 0.1            # a thing's area, of the picture's
COMPACT = 0.3                      # of its convex hull that an area must fill: a frame does, a winding line does not
BAND = 8                           # pixels beside the seam of the small copies in which it is sought again
LARGE = 2e4                        # pixels of overlap beyond which one of many seams is sought at half size first
FOREVER = 1e6                      # what is one photograph's alone stays its


def seams(pieces, kind="objects"):
    """Masks of the pieces cut along seams: a pixel comes from one photograph; what moves is not averaged.

    pieces: compose.Pieces of 8 bits, with .image, .mask, .corner. kind: objects | graphcut | dp | voronoi | none.
    """
    masks = [piece.mask for piece in pieces]
    if kind == "none" or len(pieces) < 2:
        return masks
    if kind == "objects":
        return cut_all(pieces)
    finder = {"graphcut": lambda: cv2.detail.GraphCutSeamFinder("COST_COLOR_GRAD"),
              "dp": lambda: cv2.detail.DpSeamFinder("COLOR_GRAD"),
              "voronoi": lambda: cv2.detail.SeamFinder_createDefault(cv2.detail.SeamFinder_VORONOI_SEAM)}[kind]()
    return found_masks(finder, [piece.image.astype(np.float32) for piece in pieces], pieces, masks)


def found_masks(finder, images, pieces, masks):
    """The masks that one of OpenCV's seam finders leaves of those given."""
    found = finder.find(images, [piece.corner for piece in pieces], masks)
    return [mask.get() if hasattr(mask, "get") else np.asarray(mask) for mask in found]


def cut_all(pieces):
    """The masks of `objects`: pair after pair, each on what the cuts before have left, as OpenCV does it. Of more than
    two photographs large overlaps are cut at half size first."""
    large = LARGE if len(pieces) > 2 else np.inf
    masks, marked = [piece.mask for piece in pieces], [things(piece.image, piece.mask) for piece in pieces]
    for pair in itertools.combinations(range(len(pieces)), 2):
        places = common_place(*(pieces[one] for one in pair))
        if places is None:
            continue
        left = [masks[one][place] for one, place in zip(pair, places)]
        both = (left[0] > 0) & (left[1] > 0)
        if not both.any():
            continue
        images, inside = ([values[one][place] for one, place in zip(pair, places)]
                          for values in ([piece.image for piece in pieces], marked))
        cost = seam_cost(*images, both, np.maximum(*inside))
        sought = cut_coarsely_first if both.sum() > large else cut
        for one, mask in zip(pair, sought([pieces[one] for one in pair], [masks[one] for one in pair], cost, places)):
            masks[one] = mask
    return masks


def common_place(first, second):
    """The (rows, columns) of what the rectangles of two pieces have in common, in each of them; None without any."""
    corners = np.array([first.corner, second.corner])
    ends = corners + [piece.mask.shape[::-1] for piece in (first, second)]
    begin, end = corners.max(axis=0), ends.min(axis=0)
    if (begin >= end).any():
        return None
    return [tuple(slice(begin[axis] - corner[axis], end[axis] - corner[axis]) for axis in (1, 0)) for corner in corners]


def cut(pieces, masks, cost, places):
    """The two masks after the minimal cut. cost: (h, w) of the common rectangle, which is at `places` in the pieces.

    OpenCV's graph cut measures the squared distance of two colours; here one picture is black and the other the root of
    the cost, so that the sum of the costs of both ends of an edge is what it pays.
    """
    images = [np.zeros((*mask.shape, 3), np.float32) for mask in masks]
    images[0][(*places[0], 0)] = np.sqrt(cost)
    finder = cv2.detail.GraphCutSeamFinder("COST_COLOR", FOREVER, BORDER)
    return found_masks(finder, images, pieces, masks)


def cut_coarsely_first(pieces, masks, cost, places, band=BAND):
    """cut() at half size, then within `band` pixels of that seam: the time grows faster than the overlap."""
    small = [piece._replace(mask=halve(mask, piece.corner), corner=(piece.corner[0] // 2, piece.corner[1] // 2))
             for piece, mask in zip(pieces, masks)]
    begin = np.array([piece.corner for piece in pieces]).max(axis=0)
    masks_there = [np.where(piece.mask > 127, 255, 0).astype(np.uint8) for piece in small]
    found = cut(small, masks_there, halve(cost, begin), common_place(*small))
    left = []
    for piece, mask, other, coarse, here, there in zip(pieces, masks, masks[::-1], found, places, places[::-1]):
        x, y = (each % 2 for each in piece.corner)
        side = cv2.resize(coarse, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        side = side[y:y + mask.shape[0], x:x + mask.shape[1]]
        near = cv2.dilate(side, np.ones((2 * band + 1, 2 * band + 1)))[here]
        kept = mask.copy()
        kept[here][(other[there] > 0) & (near == 0)] = 0
        left.append(kept)
    return cut(pieces, left, cost, places)


def halve(values, corner):
    """A map (h, w) that begins at `corner` of a canvas, on a canvas of half the size: means of 2 x 2 pixels."""
    (x, y), (height, width) = corner, values.shape
    even = cv2.copyMakeBorder(values, y % 2, (y + height) % 2, x % 2, (x + width) % 2, cv2.BORDER_CONSTANT)
    return cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def cut_finely(pieces, small, band=BAND):
    """Both masks of two pieces on one canvas by `objects`: sought on their small copies first (compose.smaller), then
    at full size within `band` pixels of that seam."""
    size = pieces[0].mask.shape[::-1]
    coarse = [cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) for mask in cut_all(small)]
    sides = [coarse[0] >= coarse[1], coarse[0] < coarse[1]]
    both = (pieces[0].mask > 0) & (pieces[1].mask > 0)
    near = [cv2.dilate(side.astype(np.uint8), np.ones((2 * band + 1, 2 * band + 1))) for side in sides]
    left = [np.where(both & (each == 0), 0, piece.mask) for each, piece in zip(near, pieces)]
    return cut_all([piece._replace(mask=mask) for piece, mask in zip(pieces, left)])


def seam_cost(a, b, both, inside, length=LENGTH, structure=STRUCTURE, thing=THING):
    """What a pixel under the seam costs, levels: (h, w) float32.

    a, b: (h, w, 3) uint8 on the same place; both: (h, w) bool, where both are; inside: (h, w), 1 inside of things.
    """
    difference = np.abs(a.astype(np.float32) - b).mean(axis=2)
    strength = np.maximum(gradient(a), gradient(b))
    return both * (difference + length + structure * strength + thing * inside).astype(np.float32)


def gradient(picture):
    """The strength of the gradient of a picture's grey values, levels a pixel: (h, w) float32."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return cv2.magnitude(*(cv2.Sobel(gray, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1))))


def things(picture, mask):
    """1 inside of what looks like one thing, else 0: (h, w) float32.

    Areas whose closed outline survives many thresholds (MSER: signs, windows, letters, lamps) and fill their convex
    hull, and the gaps between neighbours, such as the letters of a word. picture: (h, w, 3) uint8; mask: (h, w), where
    it is one.
    """
    found, area = np.zeros(mask.shape, np.float32), int((mask > 0).sum())
    least = max(12, round(LEAST * area))
    if MOST * area <= least:
        return found
    search = cv2.MSER_create(STABLE, least, round(MOST * area), VARIED, DIVERSE)
    gray = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0)        # MSER misses perfect edges
    for region in search.detectRegions(gray)[0]:
        hull = cv2.convexHull(region)
        if len(region) >= COMPACT * cv2.contourArea(hull):
            cv2.fillConvexPoly(found, hull, 1.0)
    gap = max(3, round(0.02 * max(mask.shape)))
    return cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((gap, gap)))


def differing_things(pieces, least=30, differ=6.0):
    """The things of two pieces on one canvas in which the pictures differ: a list, for either picture, of
    (parts (h, w) int, numbers of the parts that count).

    In the overlap, of at least `least` pixels; where the pictures agree to `differ` levels in the mean, no seam cuts.
    """
    both = (pieces[0].mask > 0) & (pieces[1].mask > 0)
    difference = np.abs(pieces[0].image.astype(np.float32) - pieces[1].image).mean(axis=2)
    result = []
    for piece in pieces:
        parts, number = ndimage.label((things(piece.image, piece.mask) > 0) & both)
        area = np.bincount(parts.ravel(), minlength=number + 1)
        off = np.bincount(parts.ravel(), difference.ravel(), number + 1) / np.maximum(area, 1)
        counts = np.flatnonzero((area >= least) & (off >= differ))
        result.append((parts, counts[counts > 0]))
    return result


def things_cut(found, label, share=0.1):
    """How many of differing_things() a label (h, w) bool splits: of which either picture shows at least `share`."""
    count = 0
    for parts, counting in found:
        area = np.maximum(np.bincount(parts.ravel()), 1)
        of_first = (np.bincount(parts.ravel(), label.ravel()) / area)[counting]
        count += int(((of_first >= share) & (of_first <= 1 - share)).sum())
    return count
