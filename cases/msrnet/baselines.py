"""Simple methods that MSR-net must beat, beside those of common/lowlight/baselines.py, and cheap filters behind it.

8-bit RGB (h, w, 3) in and out.
"""
import cv2
import numpy as np

from common.lowlight.baselines import round_levels


def equalise(low):
    """Histogram equalisation of V (the largest of R, G, B); hue and saturation stay."""
    hsv = cv2.cvtColor(low, cv2.COLOR_RGB2HSV)
    hsv[..., 2] = cv2.equalizeHist(hsv[..., 2])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def msr(low, sigmas=(15, 80, 250), percentiles=(1, 99)):
    """Multi-scale Retinex (Jobson et al. 1997): mean over sigmas of ln I - ln (G_sigma * I).

    Each channel is stretched between percentiles.
    """
    picture = low.astype(np.float32) + 1
    retinex = np.log(picture) - sum(np.log(cv2.GaussianBlur(picture, (0, 0), sigma)) for sigma in sigmas) / len(sigmas)
    dark, bright = np.percentile(retinex, percentiles, axis=(0, 1))
    return round_levels(255 * (retinex - dark) / np.maximum(bright - dark, 1e-6))


def gaussian(picture):
    """Gaussian blur, sigma 1."""
    return cv2.GaussianBlur(picture, (0, 0), 1)


def bilateral(picture):
    """Bilateral filter: 9 pixels, 50 levels, 3 pixels."""
    return cv2.bilateralFilter(picture, 9, 50, 3)


def non_local_means(picture):
    """Non-local means for colour pictures, h = 8."""
    return cv2.fastNlMeansDenoisingColored(picture, None, 8, 8, 7, 21)
