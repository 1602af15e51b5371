"""What is bright already stays as it is: a smooth blend of a network's answer with its input (test.protect).

    result = x + w (y - x),    w = fall(E; 28, 44) fall(e; 60, 140)

x: the picture, y: the answer; E: mean gray level of the whole picture, where levels over 96 count as 96, so that a lamp
does not make a night a day; e: mean gray level around a pixel (Gaussian, sigma a sixteenth of the longer side);
fall(v; a, b): 1 below a, 0 above b, smooth between. Levels of 255. The numbers are from training data: 95 % of LOL's
dark pictures have E under 29, 97 % of ordinary photographs one over 43. Flat pictures (FLAT) stay as they are, too.
"""
import cv2
import numpy as np
import torch

from common.data.images import to_bytes
from common.metrics import gray8

PICTURE, REGION = (28, 44), (60, 140)           # levels: below the first all of the answer, above the second nothing
HIGHEST = 96                                    # level
SMALL = 256                                     # pixels: the longer side at which surroundings are averaged
FLAT = 4 / 255                                  # a picture with a smaller range of values has nothing to show
NOTICED = 0.05                                  # smaller changes of the mean level are none


def keep_bright(picture, answer, exposure=None):
    """The blend of two pictures (3, h, w) in [0, 1]; exposure: E in levels, where it is not the picture's own."""
    gray = gray8(to_bytes(picture))
    weight = fall(exposure_of(gray) if exposure is None else exposure, *PICTURE)
    if not weight or picture.max() - picture.min() < FLAT:
        return picture.clone()
    return torch.lerp(picture, answer, torch.from_numpy((weight * region_weight(gray)).astype(np.float32)))


def exposure_of(gray):
    """E of an 8-bit gray picture, in levels."""
    return float(np.minimum(gray, HIGHEST).mean())


def region_weight(gray):
    """fall(e), (h, w): how much of the answer each region of an 8-bit gray picture gets."""
    height, width = gray.shape
    scale = min(1.0, SMALL / max(gray.shape))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    around = cv2.GaussianBlur(small.astype(np.float32), (0, 0), max(small.shape) / 16, borderType=cv2.BORDER_REPLICATE)
    return fall(cv2.resize(around, (width, height), interpolation=cv2.INTER_LINEAR), *REGION)


def fall(value, first, last):
    """1 up to `first`, 0 from `last` on, between them a smooth step."""
    share = np.clip((np.asarray(value, np.float64) - first) / (last - first), 0, 1)
    return 1 - share**2 * (3 - 2 * share)


def said(before, after):
    """What was done, in words, from the mean levels before and after."""
    factor = (after + 0.5) / (before + 0.5)                         # steady where both are black
    if abs(factor - 1) < NOTICED:
        return "left as it was"
    return f"brightened {factor:.1f}x" if factor > 1 else f"darkened to {factor:.2f}x"
