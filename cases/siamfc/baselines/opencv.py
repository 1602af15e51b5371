"""OpenCV's trackers, each sequence in a process of its own: python -m cases.siamfc.baselines.opencv < request.json

MIL draws random samples whose stream goes on from one tracker to the next and cannot be seeded; a process of its own
makes it repeatable. Request: {"tracker": name, "frames": [paths], "box": [x, y, w, h]}, 1-based; the answer on stdout
is {"boxes": [...], "seconds": s}.
"""
import json
import operator
import subprocess
import sys
import time

import cv2
import numpy as np

from common.base.paths import ROOT
from common.data.images import read_pixels

NAMES = {"mil": "TrackerMIL", "kcf": "TrackerKCF", "csrt": "TrackerCSRT", "medianflow": "legacy.TrackerMedianFlow"}


def missing(name):
    """Why a tracker cannot run here, with the remedy; None where it can."""
    try:
        operator.attrgetter(NAMES[name])(cv2)
    except AttributeError:
        return (f"{name} is not in this OpenCV ({cv2.__version__}): `make trackers` puts in opencv-contrib-python, "
                "which has KCF, CSRT and MedianFlow")


def track(name, frames, box):
    """([box, ...], seconds) of one sequence. Boxes go to OpenCV as whole numbers, 0-based; where it loses the target
    the last box stays."""
    tracker, boxes, spent = operator.attrgetter(NAMES[name])(cv2).create(), [list(map(float, box))], 0.0
    for place, path in enumerate(frames):
        frame = cv2.cvtColor(read_pixels(path), cv2.COLOR_RGB2BGR)
        began = time.perf_counter()
        if place == 0:
            x, y, w, h = np.round(np.subtract(box, (1, 1, 0, 0))).astype(int).tolist()
            tracker.init(frame, (x, y, max(1, w), max(1, h)))
        else:
            found, (x, y, w, h) = tracker.update(frame)
            boxes.append([x + 1.0, y + 1.0, float(w), float(h)] if found else boxes[-1])
        spent += time.perf_counter() - began
    return boxes, spent


def track_apart(name, frames, box):
    """track() in a fresh process: (boxes float64 (N, 4), seconds)."""
    request = json.dumps({"tracker": name, "frames": [str(path) for path in frames],
                          "box": [float(value) for value in box]})
    done = subprocess.run([sys.executable, "-m", "cases.siamfc.baselines.opencv"], input=request, cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"OpenCV's {name} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    answer = json.loads(done.stdout)
    return np.array(answer["boxes"], dtype=np.float64), answer["seconds"]


if __name__ == "__main__":
    request = json.load(sys.stdin)
    cv2.setNumThreads(1)
    boxes, seconds = track(request["tracker"], request["frames"], request["box"])
    json.dump({"boxes": boxes, "seconds": seconds}, sys.stdout)
