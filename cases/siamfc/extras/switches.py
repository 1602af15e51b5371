"""What is each switch of the tracker worth? python -m cases.siamfc.extras.switches [--weights W] [key=value ...]

Follows the clips that validate the training (data.*, train.validate_clips and validate_frames) with the settings
tracker.*, then with one switch changed at a time, and prints a line for each: AO, its difference, milliseconds an
update. Held-out sequences of data.kind=mixed or videos are real motion; no test sequence is looked at.
"""
import argparse
import sys
import time

import torch

from cases.siamfc.data import training_sets
from cases.siamfc.sequences import score_clips
from cases.siamfc.tracker import Confidence, SiamFCTracker, load
from common.base.errors import start
from common.experiment import settings

SWITCHES = [{}, {"subpixel": True}, {"keep_inside": True}, {"box_centre": "edge"}, {"peak": "on"},
            {"resize": "bicubic", "crop": "once"}, {"influence": 0.3}, {"influence": 0.4}, {"scales": 5},
            {"damping": 0.4}, {"damping": 0.8}, {"penalty": 0.95}, {"limits": [0.2, 5.0]}, {"learn": 0.01},
            {"learn": 0.05}, {"search_again": True}, {"rotation": 22.5}, {"flavour": "original"}]


def name(changes):
    """The settings as they are typed."""
    return " ".join(f"tracker.{key}={str(value).lower()}" for key, value in changes.items()) or "as set"


def main(argv=None):
    options, words = settings.split_words(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.switches",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", default="release")
    options = parser.parse_args(options)
    cfg = settings.resolve("siamfc", words).config
    torch.set_num_threads(1)
    given = dict(cfg.tracker)
    confidence, network = Confidence(*given.pop("confidence")), load(options.weights)
    clips = training_sets(cfg)[1]
    updates, base = sum(len(clip.frames) - 1 for clip in clips), None
    print(f"{len(clips)} clips, {updates} updates; AO, difference, milliseconds an update")
    for changes in SWITCHES:
        began = time.process_time()
        ao = score_clips(SiamFCTracker(network, confidence=confidence, **(given | changes)), clips)["ao"]
        base = ao if base is None else base
        spent = 1000 * (time.process_time() - began) / updates
        print(f"{ao:.4f} {ao - base:+.4f} {spent:6.1f}  {name(changes)}", flush=True)


if __name__ == "__main__":
    sys.exit(start(main))
