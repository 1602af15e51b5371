"""What is each switch of the tracker worth? python -m cases.siamfc.extras.switches [--weights W] [key=value ...]

Follows the clips that validate the training (data.*, train.validate_clips and validate_frames) with the settings
tracker.*, then with one switch changed at a time, and prints a line for each: AO, its difference, milliseconds an
update. Held-out sequences of data.kind=mixed or videos are real motion; no test sequence is looked at.
--figure FILE: for each switch that saves a clip, frames of the one that it helps most, the box with it and without.
"""
import argparse
import sys
import time

import numpy as np
import torch

from cases.siamfc.data import training_sets
from cases.siamfc.drawing.boxes import outline
from cases.siamfc.sequences import follow_clips, score_clips
from cases.siamfc.tracker import Confidence, SiamFCTracker, load
from common import metrics
from common.base.errors import start
from common.base.targets import expect_targets
from common.experiment import figures, settings

SAVED = 0.1                                                   # of AO on one clip, to be worth a row of the figure
SWITCHES = [{}, {"subpixel": True}, {"keep_inside": True}, {"box_centre": "edge"}, {"peak": "on"},
            {"resize": "bicubic", "crop": "once"}, {"influence": 0.3}, {"influence": 0.4}, {"scales": 5},
            {"damping": 0.4}, {"damping": 0.8}, {"penalty": 0.9745}, {"penalty": 0.985}, {"limits": [0.2, 5.0]},
            {"learn": 0.01}, {"learn": 0.05}, {"search_again": True}, {"rotation": 22.5, "penalty": 0.9745},
            {"flavour": "original", "penalty": 0.9745}]


def name(changes):
    """The settings as they are typed."""
    return " ".join(f"tracker.{key}={str(value).lower()}" for key, value in changes.items()) or "as set"


def try_switches(network, given, confidence, clips):
    """{name: boxes of every clip} of the settings as they are and of every switch; prints a line for each."""
    updates, followed, base = sum(len(clip.frames) - 1 for clip in clips), {}, None
    print(f"{len(clips)} clips, {updates} updates; AO, difference, milliseconds an update")
    for changes in SWITCHES:
        began = time.process_time()
        boxes = follow_clips(SiamFCTracker(network, confidence=confidence, **(given | changes)), clips)
        spent = 1000 * (time.process_time() - began) / updates
        followed[name(changes)], ao = boxes, score_clips(boxes, clips)["ao"]
        base = ao if base is None else base
        print(f"{ao:.4f} {ao - base:+.4f} {spent:6.1f}  {name(changes)}", flush=True)
    return followed


def draw_saved(followed, clips, file, columns=6):
    """For each switch frames of the clip that it helps most, where that is by SAVED or more: white the truth, pink the
    settings as they are, orange with the switch; under each frame the overlaps without and with it."""
    overlaps = {switch: [metrics.box_iou(box, clip.boxes) for box, clip in zip(boxes, clips)]
                for switch, boxes in followed.items()}
    plain, grid, captions, names = overlaps.pop(name({})), [], [], []
    for switch, with_it in overlaps.items():
        gains = [np.nanmean(now[1:]) - np.nanmean(before[1:]) for now, before in zip(with_it, plain)]
        best = int(np.argmax(gains))
        if gains[best] < SAVED:
            continue
        shown = np.linspace(1, len(clips[best].frames) - 1, columns).astype(int)
        grid.append([draw(clips[best], followed, switch, best, place) for place in shown])
        captions.append([f"{place + 1}: {plain[best][place]:.2f}, {with_it[best][place]:.2f}" for place in shown])
        names.append(f"{switch.removeprefix('tracker.')} {gains[best]:+.2f}")
    if grid:
        figures.grid(grid, None, captions, names).savefig(file, dpi=figures.DPI)
    print(f"{len(grid)} switches save a clip by {SAVED} of AO or more" + (f": {file}" if grid else ""))


def draw(clip, followed, switch, number, place):
    """A frame of a clip with its three boxes."""
    picture = clip.frames[place].copy()
    width = max(1, picture.shape[1] // 160)
    outline(picture, clip.boxes[place], "truth", width + 2)
    outline(picture, followed[name({})][number][place], "klt", width)
    outline(picture, followed[switch][number][place], "siamfc", width)
    return picture


def main(argv=None):
    options, words = settings.split_words(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.switches",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", default="release")
    parser.add_argument("--figure", metavar="FILE", help="frames of the clips that switches save")
    options = parser.parse_args(options)
    expect_targets([options.figure] if options.figure else [], option="--figure")
    cfg = settings.resolve("siamfc", words).config
    torch.set_num_threads(1)
    given = dict(cfg.tracker)
    confidence, network = Confidence(*given.pop("confidence")), load(options.weights)
    clips = training_sets(cfg)[1]
    followed = try_switches(network, given, confidence, clips)
    if options.figure:
        draw_saved(followed, clips, options.figure)


if __name__ == "__main__":
    sys.exit(start(main))
