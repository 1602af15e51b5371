"""How sure may the tracker be? python -m cases.siamfc.extras.calibrate [--weights W] [key=value ...]

Tracks synthetic sequences of photographs kept out of training (data.root), each of which ends with a cut to another
scene; fits the logistic curve P(IoU > .5) to (ln of peak / first peak, peak-to-sidelobe ratio); prints its ROC area,
the threshold of best F1, and the line for tracker.confidence. Neither OTB nor VOT nor GOT-10k is looked at.
"""
import argparse
import sys

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from cases.siamfc.data import synthetic_clips
from cases.siamfc.tracker import SiamFCTracker, load
from common.base.errors import start
from common.base.progress import watch
from common.experiment import settings
from common.metrics import box_iou


def gather_evidence(network, clips, strangers):
    """(features (N, 2), right (N,) bool) over all frames from the third on; each clip ends with frames of a stranger,
    where no box is right."""
    tracker, features, right = SiamFCTracker(network), [], []
    for clip, stranger in zip(watch(clips, "tracking"), strangers):
        tracker.init(clip.frames[0], clip.boxes[0])
        for place, frame in enumerate([*clip.frames[1:], *stranger.frames[:6]], 1):
            box = tracker.update(frame)
            if place > 1 and tracker.found is not None:
                ratio, sidelobe = tracker.evidence
                features.append([np.log(max(ratio, 1e-3)), sidelobe])
                right.append(place < len(clip.frames) and box_iou(box, clip.boxes[place])[0] > 0.5)
    return np.array(features), np.array(right)


def fit(features, right):
    """(constant, ratio, sidelobe) of the logistic curve with the largest likelihood (and a touch of ridge)."""
    columns = np.column_stack([np.ones(len(features)), features])

    def loss(weights):
        margin = np.where(right, 1, -1) * (columns @ weights)
        return np.logaddexp(0, -margin).mean() + 1e-4 * (weights[1:] ** 2).sum()
    return minimize(loss, np.zeros(3), method="BFGS").x


def roc_area(scores, right):
    """The chance that a right frame has a higher score than a wrong one (ties count half)."""
    ranks = rankdata(scores)
    positive, negative = right.sum(), (~right).sum()
    return float((ranks[right].sum() - positive * (positive + 1) / 2) / max(1, positive * negative))


def best_threshold(probability, right):
    """(threshold, F1) for calling frames below it lost."""
    candidates = np.quantile(probability, np.linspace(0.01, 0.99, 99))
    scores = [f1(probability < limit, ~right) for limit in candidates]
    best = int(np.argmax(scores))
    return float(candidates[best]), float(scores[best])


def f1(called, true):
    """Harmonic mean of precision and recall of the frames called lost: 2 hits / (called + truly lost)."""
    return 2 * (called & true).sum() / max(1, called.sum() + true.sum())


def main(argv=None):
    options, words = settings.split_words(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.calibrate",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", default="release")
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args(options)
    cfg = settings.resolve("siamfc", words).config
    torch.set_num_threads(1)
    clips, strangers = (synthetic_clips(cfg.data.root, options.clips, 30, seed) for seed in (2, 3))
    features, right = gather_evidence(load(options.weights), clips, strangers)
    half = np.arange(len(right)) // 34 % 2 == 0                  # every other clip fits, the others judge
    weights = fit(features[half], right[half])
    probability = expit(weights[0] + features @ weights[1:])
    below, score = best_threshold(probability[half], right[half])
    judged, truth = probability[~half], right[~half]
    print(f"{len(right)} frames, {right.mean():.3f} of them right; on the clips not fitted: ROC area "
          f"{roc_area(judged, truth):.3f}, F1 of lost {f1(judged < below, ~truth):.3f} (fitted ones {score:.3f})")
    values = [*weights, below, min(0.95, below + 0.15)]
    print(f"confidence: [{', '.join(f'{value:.3f}' for value in values)}]")


if __name__ == "__main__":
    sys.exit(start(main))
