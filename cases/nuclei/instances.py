"""From probabilities to single nuclei: components, the distance watershed, the watershed from the network's markers.

All take probabilities (h, w) in [0, 1] and give int32 labels (h, w), 1 .. n without gaps, 0 the ground.
"""
import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import regionprops_table
from skimage.segmentation import relabel_sequential, watershed

THRESHOLD = 0.5
APART = 5                                                  # pixels between two peaks of the distance
SMOOTH = 1.0                                               # sigma of the Gaussian on distance and middles, in pixels
WEIGHT = 5.0                                               # pixels of distance that a sure middle is worth


def components(nucleus, threshold=THRESHOLD, smallest=0):
    """What hangs together (also over corners) where the probability is above the threshold."""
    labels, _ = ndimage.label(nucleus > threshold, np.ones((3, 3), bool))
    return drop_small(labels, smallest)


def distance_watershed(nucleus, threshold=THRESHOLD, smallest=0):
    """Basins of the distance to the ground, from its peaks: round things that touch are cut at their waist."""
    mask = nucleus > threshold
    return drop_small(basins(distances(mask), mask), smallest)


def marker_watershed(nucleus, middles, threshold=THRESHOLD, smallest=0, weight=WEIGHT):
    """The same where the network also says what is the middle of a nucleus: the distance is raised by `weight` pixels
    times its `middles`, (h, w) in [0, 1], so that a line between two nuclei becomes a valley."""
    mask = nucleus > threshold
    relief = distances(mask) + weight * ndimage.gaussian_filter(middles, SMOOTH) * mask
    return drop_small(basins(relief, mask), smallest)


def basins(relief, mask):
    """Labels of the mask: each pixel goes with the peak of the relief that water from it would reach."""
    pieces, _ = ndimage.label(mask, np.ones((3, 3), bool))
    peaks = peak_local_max(relief, min_distance=APART, labels=pieces, exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-relief, markers, mask=mask, connectivity=2)


def distances(mask):
    """The smoothed distance of every pixel of the mask to the ground."""
    return ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), SMOOTH) * mask


def drop_small(labels, smallest):
    """Labels without objects of fewer than `smallest` pixels, numbered 1 .. n."""
    sizes = np.bincount(labels.ravel())
    small = sizes < smallest
    small[0] = False
    return relabel_sequential(np.where(small[labels], 0, labels))[0].astype(np.int32)


def describe(labels, picture):
    """A dict of lists per nucleus, in the order of labels: number, area (pixels), centroid (row, column), mean level of
    the picture (h, w), circularity 4 pi area / perimeter^2."""
    found = regionprops_table(labels, picture, ("label", "area", "centroid", "mean_intensity", "perimeter"))
    round_ = 4 * np.pi * found["area"] / np.maximum(found["perimeter"], 1e-9) ** 2
    return {"number": found["label"].tolist(), "area": found["area"].tolist(), "row": found["centroid-0"].tolist(),
            "column": found["centroid-1"].tolist(), "mean_level": found["mean_intensity"].tolist(),
            "circularity": np.minimum(round_, 1).tolist()}
