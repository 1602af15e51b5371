"""What needs no network: the simple methods that MSR-net must beat, and the cheap filters behind it. 8-bit RGB (h, w, 3) in and out."""
import cv2
import numpy as np


def identity(low):
    """The dark picture itself."""
    return low


def gamma(low, exponent=1 / 2.2):
    """A fixed gamma curve, x^(1/2.2)."""
    curve = 255 * (np.arange(256) / 255) ** exponent
    return rounded(curve)[low]


def equalise(low):
    """Histogram equalisation of V (the largest of R, G, B); hue and saturation stay."""
    hsv = cv2.cvtColor(low, cv2.COLOR_RGB2HSV)
    hsv[..., 2] = cv2.equalizeHist(hsv[..., 2])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def msr(low, sigmas=(15, 80, 250), percentiles=(1, 99)):
    """Multi-scale Retinex (Jobson et al. 1997): mean over sigmas of ln I - ln (G_sigma * I), each channel stretched between percentiles."""
    picture = low.astype(np.float32) + 1
    retinex = np.log(picture) - sum(np.log(cv2.GaussianBlur(picture, (0, 0), sigma)) for sigma in sigmas) / len(sigmas)
    dark, bright = np.percentile(retinex, percentiles, axis=(0, 1))
    return rounded(255 * (retinex - dark) / np.maximum(bright - dark, 1e-6))


def fit_tone_curve(pairs):
    """The best single tone curve: for each dark level 0..255 the mean bright level over all pixels and channels of the training pairs.

    pairs: an iterable of (low, high). Levels that never occur are interpolated, and the curve is kept from falling. Returns (256,) float64.
    """
    total, count = np.zeros(256), np.zeros(256)
    for low, high in pairs:
        total += np.bincount(low.ravel(), high.ravel().astype(np.float64), minlength=256)
        count += np.bincount(low.ravel(), minlength=256)
    seen = np.flatnonzero(count)
    return np.maximum.accumulate(np.interp(np.arange(256), seen, total[seen] / count[seen]))


def tone_curve(low, curve):
    """A fitted curve applied to every channel."""
    return rounded(curve)[low]


def gaussian(picture):
    """Gaussian blur, sigma 1."""
    return cv2.GaussianBlur(picture, (0, 0), 1)


def bilateral(picture):
    """Bilateral filter: 9 pixels, 50 levels, 3 pixels."""
    return cv2.bilateralFilter(picture, 9, 50, 3)


def non_local_means(picture):
    """Non-local means for colour pictures, h = 8."""
    return cv2.fastNlMeansDenoisingColored(picture, None, 8, 8, 7, 21)


def rounded(values):
    """Levels as they are written: clipped to 0..255, floor(x + 0.5)."""
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
