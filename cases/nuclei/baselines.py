"""What needs no training: three ways to tell nuclei from the ground. All take the normalised picture, float32 (h, w) in
[0, 1], and give a mask; components and the watershed make single nuclei of it."""
import numpy as np
from skimage.filters import gaussian, threshold_local, threshold_otsu
from skimage.segmentation import random_walker

from cases.nuclei.instances import components, distance_watershed

SMOOTH = 1.0                                               # sigma before any threshold
SURE = 0.4, 1.2                                            # times Otsu's threshold: surely ground, surely nucleus


def otsu(gray):
    """Above Otsu's threshold of the smoothed picture; nothing in a flat one."""
    smooth = gaussian(gray, SMOOTH)
    return smooth > threshold_otsu(smooth) if np.ptp(smooth) > 0 else np.zeros(gray.shape, bool)


def local_threshold(gray):
    """Above the mean of a window of a quarter of the shorter side, and above a tenth of the range: dim nuclei beside
    bright ones."""
    smooth = gaussian(gray, SMOOTH)
    block = max(3, min(gray.shape) // 4 // 2 * 2 + 1)
    return smooth > np.maximum(threshold_local(smooth, block, method="mean"), 0.1)


def walker(gray):
    """Grady's random walker from what is surely ground and surely nucleus: the border lies where the level steps."""
    smooth = gaussian(gray, SMOOTH)
    if not np.ptp(smooth):
        return np.zeros(gray.shape, bool)
    low, high = np.multiply(SURE, threshold_otsu(smooth))
    seeds = np.where(smooth < low, 1, np.where(smooth > high, 2, 0))
    if len(np.unique(seeds)) < 3:                          # nothing to decide, or nothing to start from
        return otsu(gray)
    return random_walker(smooth, seeds, beta=130, mode="bf") == 2


MASKS = {"otsu": otsu, "local_threshold": local_threshold, "random_walker": walker}
ROWS = [row for name in MASKS for row in (name, f"{name}_watershed")]


def outputs(gray, smallest):
    """{row: labels} of every simple method. smallest: pixels; what is smaller is dirt."""
    found = {}
    for name, find in MASKS.items():
        mask = find(gray).astype(np.float32)
        found[name] = components(mask, smallest=smallest)
        found[f"{name}_watershed"] = distance_watershed(mask, smallest=smallest)
    return found
