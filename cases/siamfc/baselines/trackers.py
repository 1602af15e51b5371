"""Every tracker that a test compares, by its name in the tables: a function, Sequence -> (boxes (N, 4), seconds).

siamfc is this project's; original and rotation are it with other settings, rotation with the papers' penalty, without
which turns are taken for nothing. static and untrained are the floors, klt and mosse the ancestors (classical.py); mil,
kcf, csrt and medianflow are OpenCV's (opencv.py).
"""
import time
from functools import partial

import numpy as np
import torch

from cases.siamfc.baselines import opencv
from cases.siamfc.baselines.classical import KLT, MOSSE, Static
from cases.siamfc.model import EXEMPLAR, SEARCH, SiamFC
from cases.siamfc.tracker import BY_SCALES, FLAVOURS, Confidence, SiamFCTracker
from common.base.errors import UserError
from common.data.images import read_pixels
from common.data.samples import photograph

VARIANTS = {"siamfc": {}, "original": {"flavour": "original"}, "rotation": {"rotation": 22.5, "penalty": None}}
ANCESTORS = {"klt": KLT, "mosse": MOSSE, "static": Static}


def tracker_of(run, network, **changes):
    """A SiamFCTracker with the run's settings, some of them changed; a changed flavour brings all that is its own."""
    settings = dict(run.config.tracker)
    if "flavour" in changes:
        of_flavour = [*FLAVOURS["popular"], *BY_SCALES[3]]
        settings |= {name: None for name in of_flavour if name in settings}             # None: as the flavour has it
    confidence = Confidence(*settings.pop("confidence"))
    return SiamFCTracker(network, device=run.device, confidence=confidence, **(settings | changes))


def choose_trackers(run, network):
    """{row: function of a Sequence} of the trackers that test.trackers names; one that this machine does not have is
    left out, said in a line."""
    wanted, found = run.config.test.trackers, {}
    for name in wanted:
        why = opencv.missing(name) if name in opencv.NAMES else None
        if why:
            run.say(f"the row {name} is left out: {why}")
        elif name in opencv.NAMES:
            found[name] = apart(name)
        elif name in ANCESTORS:
            found[name] = following(ANCESTORS[name])
        elif name == "untrained":
            found[name] = following(lambda: tracker_of(run, build_untrained(network.backbone, run.config.seed)))
        else:
            found[name] = following(partial(tracker_of, run, network, **VARIANTS[name]))
    if not found:
        raise UserError(f"no tracker is left of test.trackers = {wanted}: expected one that this machine has: name "
                        "siamfc, too")
    return found


def following(make):
    """A function of a Sequence that shows it to a new tracker from make(). Reading the files is not in the time."""
    def track(sequence):
        tracker, boxes, seconds = make(), [sequence.boxes[0]], 0.0
        for place, path in enumerate(sequence.frames):
            image = read_pixels(path)
            began = time.perf_counter()
            if place == 0:
                tracker.init(image, sequence.boxes[0])
            else:
                boxes.append(tracker.update(image))
            seconds += time.perf_counter() - began
        return np.array(boxes), seconds
    return track


def apart(name):
    """A function of a Sequence that shows it to a tracker of OpenCV in a process of its own."""
    def track(sequence):
        try:
            return opencv.track_apart(name, sequence.frames, sequence.boxes[0])
        except OSError as problem:
            raise UserError(f"{problem}: the sequence {sequence.name}: whole frames were expected: look at it, or "
                            f"leave {name} out") from None
    return track


@torch.no_grad()
def build_untrained(backbone, seed):
    """A SiamFC of the widths of `backbone` that has learnt nothing: He-normal kernels drawn by seed, the statistics of
    batch norm from 64 crops of photographs.

    Correlating random features finds what stayed the same, so this is a floor to beat and no joke.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SiamFC([next(stage.children()).out_channels for stage in backbone.children()])
    rng, crops = np.random.default_rng(seed), {EXEMPLAR: [], SEARCH: []}
    for name in ("astronaut.png", "rocket.jpg", "coffee.png", "chelsea.png"):
        picture = photograph(name)
        for side, kept in crops.items():
            for _ in range(8):
                top, left = (int(rng.integers(size - side + 1)) for size in picture.shape[:2])
                kept.append(torch.from_numpy(picture[top:top + side, left:left + side].copy()).permute(2, 0, 1))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None                             # a plain mean over the batches
    network.train()
    for pictures in crops.values():
        network.backbone(torch.stack(pictures).float())
    return network.eval()
