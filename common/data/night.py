"""Photographs as they would look by night: what scenes and cameras vary, drawn once per picture. NumPy and OpenCV only.

A Night is all that one draw decides. It darkens the whole picture at a small size (for its thumbnail and its extremes)
and a window of it at the full size by the same light, so that a loader pays for the window alone.
"""
from typing import NamedTuple

import cv2
import numpy as np

from common.data.darken import linear_to_srgb, srgb_to_linear

GRID = 32                                       # fields of light are (GRID, GRID) over the whole picture
DARKEST = 1 / 60                                # of the light
FIELDS = {"even": 0.4, "uneven": 0.2, "backlight": 0.25, "lamps": 0.15}         # how the light falls: share of each
FULL_WELL = 1000, 64000     # electrons: a small sensor's pixel, and a pixel that is the mean of some sixteen
LIGHT = srgb_to_linear(np.arange(256) / 255).astype(np.float32)                  # of each 8-bit level


class Night(NamedTuple):
    """The light of one dark picture, and the camera that takes it."""
    log_gain: np.ndarray        # (GRID, GRID, 3) ln of the share of the light that is left, over the whole picture
    boost: float                # light times this is clipped at 1 before everything else, in the bright picture too
    full_well: float            # electrons of a white pixel
    read_noise: float           # electrons
    blur: float                 # pixels: sigma of the noise's spatial correlation; 0 is white noise
    gamma: float                # of the camera's curve, beside sRGB
    hot: float                  # share of hot pixels
    quality: int                # of JPEG, 0 for none


def draw_night(rng, small, unchanged=0.15):
    """A Night for a picture whose small copy is (h, w, 3) uint8. rng: the np.random.Generator of every draw; unchanged:
    share of pictures that keep all of their light."""
    gain = 1.0 if rng.random() < unchanged else np.exp(rng.uniform(np.log(DARKEST), 0))
    kind = rng.choice(list(FIELDS), p=list(FIELDS.values()))
    share = {"even": even, "uneven": uneven, "backlight": backlight, "lamps": lamps}[kind](rng, small)
    dark = np.log(gain)
    field = np.repeat((dark * share)[..., None], 3, axis=2)
    if rng.random() < 0.2:
        field = field + vignette(rng)[..., None] * (0.3 + 0.7 * dark / np.log(DARKEST))
    depth = dark / np.log(DARKEST)                                       # 0: as it was, 1: the darkest
    full_well = float(np.exp(rng.uniform(*np.log(FULL_WELL))))
    return Night(np.minimum(field + depth * colours(rng), 0.0).astype(np.float32),
                 boost=float(rng.uniform(1, 1.6)) if rng.random() < 0.3 else 1.0,
                 full_well=full_well, read_noise=float(rng.uniform(1, 6) * np.sqrt(full_well / 4000)),
                 blur=float(rng.uniform(0.3, 1.1)) if rng.random() < 0.7 else 0.0,
                 gamma=float(1 + depth**0.5 * rng.uniform(-0.1, 0.1)),
                 hot=float(rng.uniform(0, 3e-4)) if rng.random() < 0.25 else 0.0,
                 quality=int(rng.integers(70, 97)) if rng.random() < 0.3 else 0)


# ---- how the darkness falls: (GRID, GRID) in [0, 1], 1 where it is darkest ------------------------------------------

def even(rng, small):
    """The same everywhere."""
    return np.ones((GRID, GRID))


def uneven(rng, small):
    """A smooth random field, from a 3 x 3 or 4 x 4 grid."""
    coarse = rng.uniform(0, 1, (int(rng.integers(3, 5)),) * 2)
    return np.clip(cv2.resize(coarse, (GRID, GRID), interpolation=cv2.INTER_CUBIC), 0, 1)


def backlight(rng, small):
    """What is bright already (a sky, a window) keeps its light; only the rest is dark."""
    gray = cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_AREA).mean(axis=2) / 255
    threshold = rng.uniform(0.45, 0.8)
    share = np.clip((threshold + 0.1 - gray) / 0.2, 0, 1)
    return cv2.GaussianBlur(share, (0, 0), rng.uniform(0.4, 1.5))


def lamps(rng, small):
    """One to three windows or lamps, boxes or spots with soft edges, in the dark."""
    share, (y, x) = np.ones((GRID, GRID)), np.mgrid[:GRID, :GRID] / GRID
    for _ in range(int(rng.integers(1, 4))):
        top, left = rng.uniform(0, 1, 2)
        height, width = rng.uniform(0.05, 0.3, 2)
        if rng.random() < 0.5:
            distance = np.maximum(np.abs(y - top) / height, np.abs(x - left) / width)
        else:
            distance = np.hypot((y - top) / height, (x - left) / width)
        share = np.minimum(share, np.clip((distance - 0.8) / rng.uniform(0.3, 2), rng.uniform(0, 0.5), 1))
    return share


def vignette(rng):
    """(GRID, GRID), ln of the light that a lens loses towards the corners: 0 to -1.5."""
    y, x = np.mgrid[:GRID, :GRID] / (GRID - 1) - 0.5
    return -rng.uniform(0.3, 1.5) * 2 * (x**2 + y**2)


def colours(rng):
    """(GRID, GRID, 3), ln of two lights' colours, mixed by a smooth field, and of a wrong white balance: within a stop
    together."""
    first, second, balance = rng.uniform(-0.25, 0.25, (3, 3)) * np.log(2)
    mix = uneven(rng, None)[..., None] if rng.random() < 0.4 else 0.0
    cast = first * (1 - mix) + second * mix + 2 * balance * (rng.random() < 0.5)
    return np.broadcast_to(cast - np.mean(balance), (GRID, GRID, 3))


# ---- the picture -----------------------------------------------------------------------------------------------------

def by_night(rng, night, picture, place=None, size=None, exact=True):
    """(dark, bright), uint8 like picture (h, w, 3), which lies at place = (top, left) of a whole picture of `size`.

    exact: with hot pixels and JPEG, which a small copy does without.
    """
    light = np.minimum(LIGHT[picture] * np.float32(night.boost), 1)
    bright = picture if night.boost == 1 else to_levels(linear_to_srgb(light))
    left = light * np.exp(window_of(night.log_gain, picture.shape[:2], place, size))
    electrons = rng.poisson(left * night.full_well).astype(np.float32)
    noise = electrons / night.full_well - left
    noise += rng.standard_normal(noise.shape, np.float32) * np.float32(night.read_noise / night.full_well)
    if night.blur:
        noise = correlated(noise, night.blur)
    if exact and night.hot:
        noise[rng.random(noise.shape[:2]) < night.hot] += np.float32(rng.uniform(0.05, 1))
    coded = linear_to_srgb(np.clip(left + noise, 0, 1))
    dark = to_levels(coded if night.gamma == 1 else coded ** np.float32(night.gamma))
    if exact and night.quality:
        code = cv2.imencode(".jpg", dark[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, night.quality])[1]
        dark = np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
    return dark, bright


def window_of(field, shape, place, size):
    """The part of a field over a whole picture (h, w) = size that a window of `shape` at `place` sees; all without
    place."""
    height, width = size or shape
    top, left = place or (0, 0)
    scale_y, scale_x = GRID / height, GRID / width
    matrix = np.array([[scale_x, 0, (left + 0.5) * scale_x - 0.5], [0, scale_y, (top + 0.5) * scale_y - 0.5]])
    return cv2.warpAffine(field, matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)


def correlated(noise, sigma):
    """Noise of the same strength whose neighbours resemble each other, as after a camera's own processing."""
    kernel = cv2.getGaussianKernel(7, sigma)
    return cv2.sepFilter2D(noise, -1, kernel, kernel) / np.float32((kernel**2).sum())


def to_levels(values):
    return np.floor(255 * np.clip(values, 0, 1) + 0.5).astype(np.uint8)


def darken_to_judge(rgb, gain, index):
    """A photograph darkened for a table of results, uint8 (H, W, 3) to uint8: never to be changed, so that numbers of
    different years compare. Light times gain, 4000 electrons in a full well, read noise of 4, seed = index."""
    rng, well, noise = np.random.default_rng(index), 4000, 4
    rng.uniform(size=5)                                         # what darken() draws for exposure, camera and curve
    electrons = rng.poisson(srgb_to_linear(rgb / 255) * gain * well) + rng.normal(0, noise, rgb.shape)
    return np.floor(255 * linear_to_srgb(np.clip(electrons / well, 0, 1)) + 0.5).astype(np.uint8)
