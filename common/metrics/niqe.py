"""NIQE: how far a picture's local statistics lie from those of pristine photographs; no reference, lower is better.

Source: Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer", IEEE Signal Processing Letters
20(3), 2013. The model of pristine pictures is data, not code: niqe_pris_params.npz (12 kB), from XPixelGroup/BasicSR,
basicsr/metrics (Apache-2.0), converted there from the authors' MATLAB release (LIVE, University of Texas at Austin,
free for research with citation). It is no part of this repository: download it and name it with `test.niqe=FILE`.
Programs with other parameters give values that cannot be compared.
"""
import hashlib
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d
from scipy.special import gamma

from common.base.errors import UserError

BLOCK = 96                                                # pixels; 48 at half size
TILE = 5 * BLOCK                                          # pixels that are measured at a time, in each direction
AROUND = 16                                               # pixels around a tile: halving reaches 4, smoothing 3 of 2
REMEDY = "give niqe_pris_params.npz of XPixelGroup/BasicSR (folder basicsr/metrics), or leave NIQE out"
SHAPES = {"mu_pris_param": (1, 36), "cov_pris_param": (36, 36)}
STANDARD = "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"          # SHA-256 of BasicSR's file

WINDOW = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
WINDOW /= WINDOW.sum()                                    # 7 taps, sigma 7/6; rows times columns make the 7x7 window
HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256            # bicubic (a = -1/2) at twice its width
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))            # right, below and the two diagonals

ALPHA = np.arange(0.2, 10.001, 0.001)                     # shapes of the generalised Gaussian that are tried
MOMENT_RATIO = gamma(2 / ALPHA) ** 2 / (gamma(1 / ALPHA) * gamma(3 / ALPHA))   # (E|x|)^2 / E x^2 for each of them


class Parameters(NamedTuple):
    """Mean and covariance of the 36 features over the pristine pictures."""
    mean: np.ndarray                                      # (36,)
    covariance: np.ndarray                                # (36, 36)


def load_parameters(path):
    """Read the pristine model (see the top of this file for its origin). UserError for anything else than that file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key], dtype=np.float64) for key in SHAPES}
    except FileNotFoundError:
        raise UserError(f"NIQE parameters not found: {path}: {REMEDY}") from None
    except Exception:                                     # NumPy reports text, half a zip, other keys, each its own way
        raise UserError(f"not a NIQE parameter file: {path}: expected an npz with {' and '.join(SHAPES)}: "
                        f"{REMEDY}") from None
    for key, shape in SHAPES.items():
        if arrays[key].shape != shape or not np.isfinite(arrays[key]).all():
            raise UserError(f"not a NIQE parameter file: {path}: {key}, {arrays[key].shape}: expected {shape}, finite: "
                            f"{REMEDY}")
    return Parameters(arrays["mu_pris_param"][0], arrays["cov_pris_param"])


def describe_parameters(path):
    """Whose parameters a file has, by its SHA-256, in words."""
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    whose = "BasicSR's niqe_pris_params.npz" if digest == STANDARD else "NOT those of BasicSR: no comparable numbers"
    return f"NIQE by {path} (SHA-256 {digest[:16]}: {whose})"


def niqe(rgb8, parameters):
    """Distance of a picture from the pristine model, sqrt((m - m0)^T pinv((S + S0) / 2) (m - m0)).

    About 3 to 9 for photographs. rgb8: uint8 (H, W, 3). Only whole blocks of 96x96 from the upper left corner count:
    with less than 3x3 of them (288 px) the number means little, with less than two it is nan (no covariance). Flat
    blocks have no shape and are left out. Within .0005 of BasicSR's implementation on thirty pictures. A blurred
    picture often scores better than a sharp noisy one.
    """
    height, width = (side // BLOCK * BLOCK for side in rgb8.shape[:2])
    if height * width < 2 * BLOCK * BLOCK:
        return float("nan")
    places = product(range(0, height, TILE), range(0, width, TILE))
    features = np.concatenate([_features_of_tile(rgb8[:height, :width], *place) for place in places])  # (blocks, 36)
    whole = features[np.isfinite(features).all(axis=1)]
    if len(whole) < 2:
        return float("nan")
    distance = whole.mean(axis=0) - parameters.mean
    pooled = (np.cov(whole, rowvar=False) + parameters.covariance) / 2
    return float(np.sqrt(distance @ np.linalg.pinv(pooled) @ distance))


def _luma(rgb8):
    """Y of BT.601, 16..235, rounded in whole numbers, because one level more in six pixels moves NIQE by .001."""
    weights = np.array([65481, 128553, 24966], dtype=np.int32)
    return 16.0 + (rgb8.astype(np.int32) @ weights + 127500) // 255000


def _halve(picture):
    """Half size as MATLAB's imresize does it: antialiased bicubic, mirrored border. Even sides."""
    for axis in (0, 1):
        filtered = correlate1d(picture, HALVING, axis=axis, mode="reflect", origin=-1)      # from 3 before to 4 after
        picture = np.take(filtered, range(0, picture.shape[axis], 2), axis=axis)
    return picture


def _features_of_tile(rgb8, *place):
    """The 36 features of the blocks in the tile at (top, left): (blocks, 36). It sees what lies around it, not the rest
    of the picture, so that memory does not grow with that."""
    around = tuple(slice(max(0, start - AROUND), start + TILE + AROUND) for start in place)
    inside = [start - seen.start for start, seen in zip(place, around)]
    ends = [min(TILE, length - start) for start, length in zip(place, rgb8.shape)]
    luma = _luma(rgb8[around])
    full = tuple(slice(start, start + end) for start, end in zip(inside, ends))
    half = tuple(slice(part.start // 2, part.stop // 2) for part in full)
    return np.concatenate([_features(luma, BLOCK, full), _features(_halve(luma), BLOCK // 2, half)], axis=1)


def _features(picture, side, tile):
    """The 18 features of every block of side x side pixels in the tile, slices of the picture. (blocks, 18)."""
    mean = _smooth(picture)
    deviation = np.sqrt(np.abs(_smooth(picture**2) - mean**2))
    normalised = (picture - mean) / (deviation + 1)       # grey levels: the 1 belongs to the scale 0..255
    normalised = normalised[tile]
    rows, columns = (length // side for length in normalised.shape)
    blocks = normalised.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
    alpha, left, right = _asymmetric_gaussian(blocks)
    features = [alpha, (left + right) / 2]
    for shift in NEIGHBOURS:
        alpha, left, right = _asymmetric_gaussian(blocks * np.roll(blocks, shift, axis=(1, 2)))     # around each block
        features += [alpha, (right - left) * gamma(2 / alpha) / gamma(1 / alpha), left, right]
    return np.stack(features, axis=1)


def _smooth(picture):
    """Weighted mean of the 7x7 neighbours. In float32 a flat place has its own level as mean: a difference of 0."""
    rows = correlate1d(picture, WINDOW, axis=0, mode="nearest")
    return correlate1d(rows, WINDOW, axis=1, mode="nearest").astype(np.float32)


def _asymmetric_gaussian(blocks):
    """Shape, left and right scale of the asymmetric generalised Gaussian with each block's moments: three (blocks,)."""
    blocks = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):   # a flat block has no values on one side: nan
        left = np.sqrt(_mean_square(blocks, blocks < 0))
        right = np.sqrt(_mean_square(blocks, blocks > 0))
        balance = left / right
        ratio = np.abs(blocks).mean(axis=1) ** 2 / (blocks**2).mean(axis=1)
        ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    alpha = ALPHA[np.abs(MOMENT_RATIO - ratio[:, None]).argmin(axis=1)]
    scale = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
    return np.where(np.isfinite(ratio), alpha, np.nan), left * scale, right * scale


def _mean_square(values, chosen):
    return (values**2 * chosen).sum(axis=1) / chosen.sum(axis=1)
