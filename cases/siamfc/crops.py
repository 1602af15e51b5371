"""Square cut-outs around a target, as the tracker and the plain training pairs take them (the paper's section 2.4).

Pictures are RGB uint8 (h, w, 3). Coordinates are (row, column), 0-based, of pixel centres, unless a name says box:
(x, y, w, h), 1-based, as tracking files have it. Two rules: `cut` is the popular port's, `cut_matlab` the authors'.
"""
import cv2
import numpy as np
from PIL import Image

from cases.siamfc.model import EXEMPLAR, SEARCH

CONTEXT = 0.5                                                 # margin p = CONTEXT (w + h), half of it on each side


def exemplar_side(size):
    """Side of the square around a target of `size` (h, w) that becomes the exemplar: sqrt((h + p)(w + p))."""
    margin = CONTEXT * np.sum(size)
    return float(np.sqrt(np.prod(np.asarray(size, dtype=np.float64) + margin)))


def search_side(size):
    """Side of the search square: twice the exemplar's, in the ratio of the two crops."""
    return exemplar_side(size) * SEARCH / EXEMPLAR


def cut(image, centre, side, fill):
    """The square of `side` pixels (rounded, half to even) around centre, uint8 (side, side, 3); `fill` outside.

    Only the part inside is copied; padding the whole picture first, as the popular port does, gives the same pixels.
    """
    side = int(np.round(side))
    top, left = (int(value) for value in np.round(np.asarray(centre) - (side - 1) / 2))
    return window(image, top, left, side, fill)


def window(image, top, left, side, fill):
    """side x side pixels from (top, left) on, which may lie outside of the picture: there they are `fill`."""
    height, width = image.shape[:2]
    inner = image[max(top, 0):max(min(top + side, height), 0), max(left, 0):max(min(left + side, width), 0)]
    if inner.shape[:2] == (side, side):
        return inner
    patch = np.empty((side, side, 3), np.uint8)
    patch[:] = np.rint(fill)
    if inner.size:
        patch[max(-top, 0):max(-top, 0) + inner.shape[0], max(-left, 0):max(-left, 0) + inner.shape[1]] = inner
    return patch


def is_flat(image, box, deviation):
    """Whether the pixels of a box (x, y, w, h), 1-based, deviate from their mean by less than `deviation` levels in
    every channel."""
    x, y, w, h = box
    rows, columns = (slice(max(0, int(start - 1)), max(1, int(np.ceil(start - 1 + side))))
                     for start, side in ((y, h), (x, w)))
    return bool((image[rows, columns].reshape(-1, 3).std(axis=0) < deviation).all())


def cut_matlab(image, centre, side, fill):
    """cut() as the authors do it: centre 1-based, halves rounded away from 0, first pixel round(c - (side + 1) / 2)."""
    side = int(round_away(side))
    top, left = (int(value) - 1 for value in round_away(np.asarray(centre) - (side + 1) / 2))
    return window(image, top, left, side, fill)


def bilinear(patch, out):
    """A square patch resized between pixel centres without smoothing, even when it shrinks, as OpenCV does it."""
    return cv2.resize(patch, (out, out), interpolation=cv2.INTER_LINEAR)


def bicubic(patch, out):
    """A square patch resized as MATLAB's imresize does it: bicubic (a = -.5), smoothed when it shrinks."""
    return np.array(Image.fromarray(patch).resize((out, out), Image.BICUBIC))


def round_away(value):
    """Rounded, halves away from zero, as MATLAB does it."""
    return np.sign(value) * np.floor(np.abs(value) + 0.5)


def cut_once(image, centre, sides, out, fill, resize):
    """The authors' pyramid: one region at the largest side, resized so that the smallest becomes `out`; the others are
    cut out of it and resized again.

    centre: 1-based. resize: one of the two above, used twice. Returns (number of sides, out, out, 3) uint8.
    """
    sides = round_away(np.asarray(sides, dtype=np.float64))
    scale = out / sides.min()
    region = resize(cut_matlab(image, centre, sides.max(), fill), int(round_away(scale * sides.max())))
    middle = (1 + len(region)) / 2
    patches = (cut_matlab(region, (middle, middle), scale * side, fill) for side in sides)
    return np.stack([patch if len(patch) == out else resize(patch, out) for patch in patches])


def cut_rotated(image, centre, side, angle, out, fill):
    """A square of `side` pixels around centre, turned by `angle` and resized to out x out in one bilinear warp.

    angle: radians, counter-clockwise as seen. centre: 0-based.
    """
    scale = side / out
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    middle = (out - 1) / 2
    to_picture = np.array([[c, s, centre[1] - middle * (c + s)],
                           [-s, c, centre[0] - middle * (c - s)]])                   # of the crop's (x, y)
    return cv2.warpAffine(image, to_picture, (out, out), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=np.rint(fill).tolist())
