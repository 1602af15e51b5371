"""How sure may the tracker be? python -m cases.siamfc.extras.calibrate [--weights W] [--judge ROOT ...] [key=value ...]

Tracks clips that train nothing, with the settings tracker.*: synthetic ones of held-out photographs (data.root), and,
for data.kind=mixed or videos, the held-out sequences. Each is shown as it is and then cut to another scene, cut right
after its first frame, and with the target hidden for a while. Fits P(IoU > .5) to (ln of peak / first peak, likeness
of what lies there to the target), prints how `lost` does on clips that did not fit, and the tracker.confidence;
cuts and hidings make more frames wrong than a video has, so its threshold balances both as if only WRONG were.
--judge: precision and recall of `lost` on the sequences of these folders, with the confidence of the settings; nothing
is fitted.
"""
import argparse
import sys
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from cases.siamfc.data import synthetic_clips, training_sets
from cases.siamfc.tracker import Confidence, SiamFCTracker, load
from common.base.errors import start
from common.base.progress import watch
from common.data.images import read_pixels
from common.data.sequences import SequenceFolder
from common.experiment import settings
from common.metrics import box_iou

WRONG = 0.2                                                   # share of wrong frames that the threshold is set for
GONE = 6                                                      # frames of another scene, or of a hidden target


class Take(NamedTuple):
    """A clip as it is shown: frames, boxes (N, 4) with nan rows where the target is not there; source: which clip."""
    frames: list
    boxes: np.ndarray
    source: int


# ---- what is shown ---------------------------------------------------------------------------------------------------

def make_takes(clips, rng):
    """Takes of every Clip: cut to another scene at the end; cut after the first frame; the target hidden a while."""
    takes = []
    for place, clip in enumerate(clips):
        other = clips[(place + rng.integers(2, max(3, len(clips) - 1))) % len(clips)]
        size = clip.frames[0].shape[1::-1]
        stranger = [cv2.resize(frame, size) for frame in other.frames[:GONE]]
        nothing = np.full((len(stranger), 4), np.nan)
        takes.append(Take([*clip.frames, *stranger], np.vstack([clip.boxes, nothing]), place))
        takes.append(Take([clip.frames[0], *stranger], np.vstack([clip.boxes[:1], nothing]), place))
        first = int(rng.integers(2, max(3, len(clip.frames) - GONE)))
        frames, boxes = list(clip.frames[:first + 2 * GONE]), np.array(clip.boxes[:first + 2 * GONE])
        for frame in range(first, min(first + GONE, len(frames))):
            frames[frame] = hide(frames[frame], boxes[frame])
            boxes[frame] = np.nan
        takes.append(Take(frames, boxes, place))
    return takes


def hide(frame, box):
    """A copy of the frame in which the target, and a tenth around it, is painted over with what surrounds it."""
    if not np.isfinite(box).all():
        return frame
    low, high = box[:2] - 1 - 0.1 * box[2:], box[:2] - 1 + 1.1 * box[2:]
    mask = np.zeros(frame.shape[:2], np.uint8)
    left, top, right, bottom = np.round([*np.maximum(low, 0), *np.maximum(high, 0)]).astype(int)
    mask[top:bottom, left:right] = 255
    small = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    hole = cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    painted = cv2.resize(cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA), frame.shape[1::-1])
    return np.where(mask[..., None] > 0, painted, frame)


# ---- what the tracker makes of it ------------------------------------------------------------------------------------

def gather_evidence(tracker, takes):
    """(features (N, 2), right (N,) bool, source (N,)) over all later frames: right is an IoU above .5."""
    features, right, source = [], [], []
    for take in watch(takes, "tracking"):
        tracker.init(take.frames[0], take.boxes[0])
        for frame, truth in zip(take.frames[1:], take.boxes[1:]):
            box = tracker.update(frame)
            if tracker.found is not None:
                ratio, likeness = tracker.evidence
                features.append([np.log(max(ratio, 1e-3)), likeness])
                right.append(bool(np.isfinite(truth).all() and box_iou(box, truth)[0] > 0.5))
                source.append(take.source)
    return np.array(features), np.array(right), np.array(source)


def fit(features, right):
    """(constant, ratio, likeness) of the logistic curve with the largest likelihood (and a touch of ridge); the two
    factors never below 0, since a higher peak is no reason for doubt."""
    columns = np.column_stack([np.ones(len(features)), features])

    def loss(weights):
        margin = np.where(right, 1, -1) * (columns @ weights)
        return np.logaddexp(0, -margin).mean() + 1e-4 * (weights[1:] ** 2).sum()
    bounds = [(None, None)] + [(0, None)] * features.shape[1]
    return minimize(loss, np.zeros(columns.shape[1]), method="L-BFGS-B", bounds=bounds).x


def probability(weights, features):
    return expit(weights[0] + features @ weights[1:])


def roc_area(scores, right):
    """The chance that a right frame has a higher score than a wrong one (ties count half)."""
    ranks = rankdata(scores)
    positive, negative = right.sum(), (~right).sum()
    return float((ranks[right].sum() - positive * (positive + 1) / 2) / max(1, positive * negative))


def balanced_threshold(probability, right):
    """The threshold below which frames are called lost at which, if WRONG of all frames were wrong ones, precision and
    recall would be the same: as many are called lost as are."""
    candidates = np.quantile(probability, np.linspace(0.01, 0.99, 99))
    weights = np.where(right, (1 - WRONG) / max(1, right.sum()), WRONG / max(1, (~right).sum()))
    called = [(weights * (probability < limit)).sum() for limit in candidates]
    return float(candidates[np.argmin(np.abs(np.array(called) - WRONG))])


def rates(called, true):
    """`precision p, recall r` of the frames called lost; a dash where there is none."""
    hits = (called & true).sum()
    shares = (f"{hits / total.sum():.3f}" if total.any() else "-" for total in (called, true))
    return "precision {}, recall {}".format(*shares)


def crossed(features, right, source):
    """Which frames are called lost by a curve and a threshold fitted on the other half of the clips; and their
    probability."""
    called, chance = np.zeros(len(right), bool), np.zeros(len(right))
    for half in (source // 2 % 2 == 0, source // 2 % 2 == 1):     # both ways of a sequence are neighbours
        weights = fit(features[~half], right[~half])
        below = balanced_threshold(probability(weights, features[~half]), right[~half])
        chance[half] = probability(weights, features[half])
        called[half] = chance[half] < below
    return called, chance


def judge(tracker, root):
    """A line about `lost` on the sequences of a folder: against IoU <= .5, and against a target missed altogether."""
    called, ious = [], []
    folder = SequenceFolder(root)
    for sequence in watch(folder.readable(), f"tracking {folder.set_name}"):
        tracker.init(read_pixels(sequence.frames[0]), sequence.boxes[0])
        for path, truth in zip(sequence.frames[1:], sequence.boxes[1:]):
            box = tracker.update(read_pixels(path))
            called.append(tracker.lost)
            ious.append(box_iou(box, truth)[0] if np.isfinite(truth).all() else 0.0)
    called, ious = np.array(called), np.array(ious)
    return (f"{folder.set_name}: {len(called)} frames, {called.mean():.3f} called lost; of IoU <= .5 "
            f"({(ious <= 0.5).mean():.3f}): {rates(called, ious <= 0.5)}; of IoU <= .1 ({(ious <= 0.1).mean():.3f}): "
            f"{rates(called, ious <= 0.1)}")


def main(argv=None):
    options, words = settings.split_words(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.calibrate",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", default="release")
    parser.add_argument("--clips", type=int, default=20, help="synthetic clips")
    parser.add_argument("--judge", nargs="+", default=[], metavar="ROOT", help="folders of sequences")
    options = parser.parse_args(options)
    cfg = settings.resolve("siamfc", words).config
    torch.set_num_threads(1)
    given = dict(cfg.tracker)
    tracker = SiamFCTracker(load(options.weights), confidence=Confidence(*given.pop("confidence")), **given)
    if options.judge:
        print("\n".join(judge(tracker, root) for root in options.judge))
        return
    clips = [] if cfg.data.kind == "videos" else synthetic_clips(cfg.data.root, options.clips, 30, 2)
    made = len(clips)
    clips += training_sets(cfg)[1] if cfg.data.kind != "stills" else []
    features, right, source = gather_evidence(tracker, make_takes(clips, np.random.default_rng(2)))
    called, chance = crossed(features, right, source)
    real = source >= made
    print(f"{len(clips)} clips, {len(right)} frames, {right.mean():.3f} of them right; on the clips not fitted: ROC "
          f"area {roc_area(chance, right):.3f}, {rates(called, ~right)}; on the real ones of them "
          f"{rates(called[real], ~right[real])}")
    weights = fit(features, right)
    below = balanced_threshold(probability(weights, features), right)
    values = [*weights, below, min(0.95, below + 0.15)]
    print(f"confidence: [{', '.join(f'{value:.3f}' for value in values)}]")


if __name__ == "__main__":
    sys.exit(start(main))
