"""Numbers by which maps of objects are judged: integer arrays (h, w), 0 the ground, every other number an object.

Objects of two maps are matched by their intersection over union; above a half, no object has two partners.
"""
from typing import NamedTuple

import numpy as np

THRESHOLDS = np.arange(50, 100, 5) / 100                  # of the 2018 Data Science Bowl


class Overlaps(NamedTuple):
    """How the objects of a true and a predicted map lie on each other."""
    common: np.ndarray         # (T, P) pixels that a true and a predicted object share
    true: np.ndarray           # (T,) pixels of each true object
    predicted: np.ndarray      # (P,) pixels of each predicted one
    ground: tuple              # pixels that are object in (both, the true map alone, the predicted one alone)

    @property
    def iou(self):
        """(T, P) intersection over union."""
        return self.common / np.maximum(1, self.true[:, None] + self.predicted - self.common)


def overlaps(true, predicted):
    """The Overlaps of two label maps. ValueError for maps of two sizes, or of no whole numbers."""
    if true.shape != predicted.shape or true.ndim != 2:
        raise ValueError(f"expected two label maps (h, w) of one size, got {true.shape} and {predicted.shape}")
    if true.dtype.kind not in "iu" or predicted.dtype.kind not in "iu":
        raise ValueError(f"expected label maps of whole numbers, got {true.dtype} and {predicted.dtype}")
    _, true_places = np.unique(true, return_inverse=True)
    _, predicted_places = np.unique(predicted, return_inverse=True)
    true_places = true_places.ravel() + (true.min() > 0)                     # 0 is the ground, also where none is left
    predicted_places = predicted_places.ravel() + (predicted.min() > 0)
    count = predicted_places.max() + 1
    table = np.bincount(true_places * count + predicted_places, minlength=(true_places.max() + 1) * count)
    table = table.reshape(-1, count)
    both = int(table[1:, 1:].sum())
    ground = both, int(table[1:, 0].sum()), int(table[0, 1:].sum())
    return Overlaps(table[1:, 1:], table[1:].sum(axis=1), table[:, 1:].sum(axis=0), ground)


def foreground_iou(found):
    """Intersection over union of object against ground, whatever the objects; 1 where both maps are empty."""
    both, missed, invented = found.ground
    return both / (both + missed + invented) if sum(found.ground) else 1.0


def foreground_dice(found):
    """2 |A B| / (|A| + |B|) of object against ground; 1 where both maps are empty."""
    both, missed, invented = found.ground
    return 2 * both / (2 * both + missed + invented) if sum(found.ground) else 1.0


def matches(found, thresholds=THRESHOLDS):
    """(true positives, false positives, false negatives) at each threshold: pairs of IoU above it. Three arrays."""
    above = found.iou[None] > np.asarray(thresholds)[:, None, None]
    positives = above.any(axis=2).sum(axis=1) if above.size else np.zeros(len(thresholds), int)
    return positives, len(found.predicted) - positives, len(found.true) - positives


def average_precision(positives, invented, missed):
    """TP / (TP + FP + FN), as the Data Science Bowl calls it; nan where there is no object at all."""
    total = positives + invented + missed
    return np.where(total > 0, positives / np.maximum(1, total), np.nan)


def aggregated_jaccard(found):
    """AJI (Kumar et al. 2017): every true object with the predicted one of the largest IoU, shared pixels over united
    ones, all in one sum; predicted objects that nobody chose count below the line. nan where there is no object."""
    if not len(found.true):
        return 0.0 if len(found.predicted) else float("nan")
    if not len(found.predicted):
        return 0.0
    best = found.iou.argmax(axis=1)
    shared = found.common[np.arange(len(best)), best]
    some = shared > 0
    united = np.where(some, found.true + found.predicted[best] - shared, found.true).sum()
    unused = np.setdiff1d(np.arange(len(found.predicted)), best[some])
    return float(shared.sum() / (united + found.predicted[unused].sum()))


def merged(found):
    """Number of predicted objects that cover at least half of each of two or more true ones: nuclei glued together."""
    return int(((found.common >= found.true[:, None] / 2).sum(axis=0) >= 2).sum())


def split(found):
    """Number of true objects in which two or more predicted ones lie by at least half: nuclei cut apart."""
    return int(((found.common >= found.predicted / 2).sum(axis=1) >= 2).sum())
