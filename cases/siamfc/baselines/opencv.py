"""OpenCV's trackers, each sequence in a process of its own: python -m cases.siamfc.baselines.opencv < request.json

MIL draws random samples whose stream goes on from one tracker to the next and cannot be seeded; a process of its own
makes it repeatable. Request: {"tracker": name, "frames": [paths], "box": [x, y, w, h]}, 1-based; the answer on stdout
is {"boxes": [...], "seconds": s}.
"""
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

NAMES = {"mil": "TrackerMIL", "kcf": "TrackerKCF", "csrt": "TrackerCSRT", "medianflow": "legacy.TrackerMedianFlow"}
ROOT = Path(__file__).resolve().parents[2]


def maker(name):
    """OpenCV's create function of a tracker; None where this OpenCV has none."""
    place = cv2
    for part in NAMES[name].split("."):
        place = getattr(place, part, None)
        if place is None:
            return None
    return place.create


def missing(name):
    """Why a tracker cannot run here, with the remedy; None where it can."""
    if maker(name) is not None:
        return None
    return f"{name} is not in this OpenCV ({cv2.__version__}): `make trackers` puts in opencv-contrib-python, which has KCF, CSRT and MedianFlow"


def track(name, frames, box):
    """(boxes (N, 4), seconds) of one sequence. Boxes go to OpenCV as whole numbers, 0-based; where it loses the target
    the last box stays."""
    tracker, boxes, spent = maker(name)(), [list(map(float, box))], 0.0
    for place, path in enumerate(frames):
        frame = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)  # imread cannot open every name on Windows
        if frame is None:
            raise OSError(f"cannot be decoded: {path}")
        began = time.perf_counter()
        if place == 0:
            x, y, w, h = np.round([box[0] - 1, box[1] - 1, box[2], box[3]]).astype(int)
            tracker.init(frame, (int(x), int(y), max(1, int(w)), max(1, int(h))))
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
