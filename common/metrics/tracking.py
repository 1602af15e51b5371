"""Metrics of boxes: overlap, centre error, the curves over both; what GOT-10k and OTB call AO, SR, AUC and precision.

Boxes are float64 (N, 4): x, y, w, h. All values are those of the got10k toolkit 0.1.3, to rounding.
"""
import numpy as np

OVERLAPS = np.linspace(0, 1, 21)        # thresholds of the success curve
ERRORS = np.arange(51)                  # of the precision curve, pixels; `precision` is its value at 20


def auc(thresholds, shares):
    """Area under a curve of shares over increasing thresholds, by trapezoids, divided by their range: in [0, 1].

    Not what trackers print under this name: see success_auc.
    """
    thresholds, shares = np.asarray(thresholds, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if thresholds.shape != shares.shape or len(thresholds) < 2 or (np.diff(thresholds) <= 0).any():
        raise ValueError("expected increasing thresholds and as many shares, "
                         f"got {thresholds.shape} and {shares.shape}")
    return float(np.trapezoid(shares, thresholds) / (thresholds[-1] - thresholds[0]))


def success_auc(shares):
    """OTB's success AUC, the metric `auc` of trackers: the plain mean of the shares at its 21 thresholds, 0 .. 1."""
    return float(np.mean(shares))


def box_iou(boxes, others, bound=None):
    """Intersection over union per row, (N,) in [0, 1], in continuous coordinates (w and h are not increased by one).

    bound: (width, height) to which both are clipped first, as GOT-10k's evaluation does; the arguments stay as they
    are. nan where a row is.
    """
    a, b = (_clip(np.array(rows, dtype=np.float64).reshape(-1, 4), bound) for rows in (boxes, others))
    if a.shape != b.shape:
        raise ValueError(f"expected as many boxes as truths, got {len(a)} and {len(b)}")
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared
    return np.clip(shared / (union + np.finfo(float).eps), 0, 1)


def _clip(boxes, bound):
    if bound is not None:
        boxes[:, :2] = np.clip(boxes[:, :2], 0, bound)
        boxes[:, 2:] = np.clip(boxes[:, 2:], 0, bound - boxes[:, :2])
    return boxes


def centre_error(boxes, others):
    """Distance of the centres x + (w - 1) / 2, y + (h - 1) / 2 in pixels, (N,)."""
    rows = (np.asarray(given, dtype=np.float64).reshape(-1, 4) for given in (boxes, others))
    a, b = (given[:, :2] + (given[:, 2:] - 1) / 2 for given in rows)          # equal boxes have an error of exactly 0
    return np.sqrt(((a - b) ** 2).sum(axis=1))


def success_curve(ious):
    """Share of frames whose IoU is above each of OVERLAPS, (21,): at 0 only IoU > 0 counts, at 1 nothing does."""
    return np.greater(np.asarray(ious)[:, None], OVERLAPS).mean(axis=0)


def precision_curve(errors):
    """Share of frames whose centre error is at most each of ERRORS. (51,)"""
    return np.less_equal(np.asarray(errors)[:, None], ERRORS).mean(axis=0)


def tracking(boxes, truth, bound=None, counted=None):
    """{ao, auc, precision, sr50, sr75} of one sequence; rows are frames, and the first box is given to the tracker.

    ao: mean IoU, sr50 and sr75: shares of IoU > .5 and > .75, all of frames 2..N; with bound both boxes are clipped to
    the frame and frames where counted is False left out, as on GOT-10k (target hidden). auc (success_auc) and precision
    (centre error at most 20 pixels) are OTB's: of all frames, the first with the truth, never clipped. Frames whose
    truth is nan (target absent) count nowhere; nan where none is left.
    """
    boxes, truth = (np.array(rows, dtype=np.float64) for rows in (boxes, truth))
    boxes[0], there = truth[0], np.isfinite(truth).all(axis=1)
    boxes[~np.isfinite(boxes).all(axis=1)] = 0                              # a tracker's nan is no box
    later = (there & (True if counted is None else np.asarray(counted, dtype=bool)))[1:]
    ious = box_iou(boxes[1:], truth[1:], bound)[later]
    errors = centre_error(boxes[there], truth[there])
    shares = {name: float((ious > limit).mean()) if len(ious) else np.nan
              for name, limit in (("sr50", 0.5), ("sr75", 0.75))}
    return {"ao": float(ious.mean()) if len(ious) else np.nan,
            "auc": success_auc(success_curve(box_iou(boxes[there], truth[there]))),
            "precision": float(precision_curve(errors)[20])} | shares
