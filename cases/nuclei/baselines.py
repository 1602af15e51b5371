"""What needs no training: thresholds and what can be made of them. All take the normalised picture (h, w) in [0, 1] and
give labels."""
import numpy as np
from scipy import ndimage
from skimage.filters import gaussian, threshold_local, threshold_otsu
from skimage.segmentation import random_walker

from cases.nuclei.instances import components, distance_watershed

SMALLEST = 16                                              # pixels: what is smaller is dirt
SMOOTH = 1.0                                               # sigma before any threshold


def otsu(gray):
    """Components above Otsu's threshold."""
    return components(above_otsu(gray), smallest=SMALLEST)


def otsu_watershed(gray):
    """The same, cut by the watershed of the distance."""
    return distance_watershed(above_otsu(gray), smallest=SMALLEST)


def local_threshold(gray):
    """Components above the mean of the surroundings of a quarter of the shorter side, and above a tenth of the range:
    dim nuclei beside bright ones."""
    smooth = gaussian(gray, SMOOTH)
    block = max(3, min(gray.shape) // 4 // 2 * 2 + 1)
    return components((smooth > np.maximum(threshold_local(smooth, block, method="mean"), 0.1)).astype(float),
                      smallest=SMALLEST)


def walker(gray):
    """Grady's random walker between what is surely ground and the middles that the watershed of Otsu's mask finds."""
    smooth, mask = gaussian(gray, SMOOTH), above_otsu(gray) > 0
    seeds = distance_watershed(mask.astype(float), smallest=SMALLEST)
    if not seeds.max() or mask.all():
        return seeds
    middle = np.zeros_like(seeds)
    for number, box in enumerate(ndimage.find_objects(seeds), 1):
        own = seeds[box] == number
        away = ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
        middle[box][own & (away >= 0.6 * away.max())] = number
    ground = ~ndimage.binary_dilation(mask, iterations=3)
    count = seeds.max()
    given = np.where(ground, count + 1, middle)
    found = random_walker(smooth, given, beta=200, mode="cg_j")
    return np.where(found == count + 1, 0, found).astype(np.int32)


def above_otsu(gray):
    """float (h, w), 1 above Otsu's threshold of the smoothed picture; all 0 for a flat one."""
    smooth = gaussian(gray, SMOOTH)
    return (smooth > threshold_otsu(smooth)).astype(float) if np.ptp(smooth) > 0 else np.zeros_like(smooth)


ROWS = {"otsu": otsu, "otsu_watershed": otsu_watershed, "local_threshold": local_threshold, "random_walker": walker}
