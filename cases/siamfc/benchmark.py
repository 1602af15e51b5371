"""Speed of SiamFC's tracker and training loader beside straightforward versions: python cases/siamfc/benchmark.py

Tracker: whole updates at 360 x 240, one thread, the paper's widths. Straightforward: batch norm unfolded, the three
crops stacked and made contiguous NCHW, one forward pass. Loader: one plain pair from 1080p JPEG files, as the popular
PyTorch port makes it. Process time, turns alternating, medians.
"""
import statistics
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import cv2
import numpy as np
import torch

from cases.siamfc import augment
from cases.siamfc.baselines.trackers import build_untrained
from cases.siamfc.data import Pairs, got10k
from cases.siamfc.model import EXEMPLAR, SEARCH, SiamFC
from cases.siamfc.tracker import SiamFCTracker
from common.data.clips import Clip, synthetic, write_list, write_sequence
from common.data.samples import photograph
from common.experiment import timing
from common.experiment.device import slow_bf16

FRAMES = 20


# ---- tracker ---------------------------------------------------------------------------------------------------------

class Straightforward(SiamFCTracker):
    """The network as it is trained, on a contiguous NCHW batch."""

    def __init__(self, network, **changes):
        super().__init__(network, **changes)
        self.features = network.backbone.eval()

    def embed(self, pictures, exemplar=False):
        return self.features(torch.stack([torch.from_numpy(picture).permute(2, 0, 1).float()
                                          for picture in pictures]).contiguous())


class OneByOne(Straightforward):
    """Three forward passes of one crop each."""

    def embed(self, pictures, exemplar=False):
        return torch.cat([self.features(torch.from_numpy(picture).permute(2, 0, 1)[None].float().contiguous())
                          for picture in pictures])


class Permuted(Straightforward):
    """The popular port: crops stacked as (n, h, w, c) and permuted, which happens to be channels_last."""

    def embed(self, pictures, exemplar=False):
        return self.features(torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2).float())


def tracking():
    """Milliseconds per update of every variant, in turns over the same frames, and how far their boxes differ."""
    network = build_untrained(SiamFC().backbone, 0)
    patch = cv2.resize(photograph("astronaut.png")[20:180, 150:310], (60, 60), interpolation=cv2.INTER_AREA)
    clip = synthetic(np.random.default_rng(0), photograph("rocket.jpg"), patch, FRAMES, (360, 240), occluder=False,
                     distractor=False)
    sides = {"straightforward": Straightforward(network), "three forward passes": OneByOne(network),
             "port (permuted)": Permuted(network), "ours fp32": SiamFCTracker(network),
             "ours bf16": SiamFCTracker(network, precision="bf16")}
    spent, boxes = {name: [] for name in sides}, {name: [] for name in sides}
    for tracker in sides.values():
        tracker.init(clip.frames[0], clip.boxes[0])
    for number, frame in enumerate(clip.frames[1:]):
        for name, tracker in sides.items():
            began = time.process_time()
            boxes[name].append(tracker.update(frame))
            if number:                                          # the first is a warm-up
                spent[name].append(1000 * (time.process_time() - began))
    medians = {name: statistics.median(values) for name, values in spent.items()}
    base = medians["straightforward"]
    return {"milliseconds": medians, "minima": {name: min(values) for name, values in spent.items()},
            "times_faster": {name: base / value for name, value in medians.items()},
            "box_difference": {name: float(np.abs(np.subtract(values, boxes["straightforward"])).max())
                               for name, values in boxes.items()}}


# ---- loader ----------------------------------------------------------------------------------------------------------

def plain_pair(paths, boxes, rng):
    """One pair as the port makes it: frames decoded, one of them twice, means by numpy, whole frames padded."""
    _ = cv2.imread(str(paths[0])).shape                       # the port reads the frame's size this way
    z, x = (port_crop(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), box, rng)
            for path, box in zip(paths, boxes))
    z = augment.middle(augment.shift_randomly(augment.stretch(z, rng), rng), EXEMPLAR)
    return z, augment.shift_randomly(augment.stretch(x, rng), rng)


def port_crop(picture, box, rng):
    """The search square around a box, 255 x 255, by padding the whole frame with its mean colour."""
    centre, size = box[[1, 0]] - 1 + (box[[3, 2]] - 1) / 2, box[[3, 2]]
    side = round(np.sqrt(np.prod(size + 0.5 * size.sum())) * SEARCH / EXEMPLAR)
    mean = np.mean(picture, axis=(0, 1), dtype=float)
    interpolation = augment.INTERPOLATIONS[rng.integers(len(augment.INTERPOLATIONS))]
    corner = np.round(centre - (side - 1) / 2).astype(int)
    pad = max(0, *(-corner), *(corner + side - picture.shape[:2]))
    picture = cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=mean)
    patch = picture[corner[0] + pad:corner[0] + pad + side, corner[1] + pad:corner[1] + pad + side]
    return cv2.resize(patch, (SEARCH, SEARCH), interpolation=interpolation)


def loading(pairs=12):
    """Milliseconds per pair of the port's way and of ours, with equal pixels."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        picture = cv2.resize(photograph("rocket.jpg"), (1920, 1080), interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng(0).normal(0, 1, picture.shape)      # files of some 300 kB, as real ones
        frames = [np.clip(np.roll(picture, 9 * number, axis=1) + grain, 0, 255).astype(np.uint8) for number in range(4)]
        boxes = np.array([[700.0 + 9 * number, 400, 240, 180] for number in range(4)])
        write_sequence(folder / "train" / "A", Clip(frames, boxes, np.full(4, 8), np.zeros(4, bool)))
        write_list(folder / "train", ["A"])
        source = got10k(folder, "train")
        ours, spent = Pairs(source, "plain", 0), {"port": [], "ours": []}
        for epoch in range(pairs):
            began = time.process_time()
            sample = ours[epoch, 0]
            spent["ours"].append(1000 * (time.process_time() - began))
            rng = np.random.default_rng([0, epoch, 0])
            paths, truth, usable = source.track("A")
            first, second = sorted(int(frame) for frame in rng.choice(usable, 2, replace=False))
            began = time.process_time()
            z, x = plain_pair((paths[first], paths[second]), (truth[first], truth[second]), rng)
            spent["port"].append(1000 * (time.process_time() - began))
            assert np.array_equal(z, sample.z.permute(1, 2, 0)), "other pixels in z"
            assert np.array_equal(x, sample.x.permute(1, 2, 0)), "other pixels in x"
    medians = {name: statistics.median(values[1:]) for name, values in spent.items()}
    return {"milliseconds": medians, "times_faster": medians["port"] / medians["ours"]}


def main():
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    numbers = timing.measure("siamfc", {"tracker": tracking, "loader": loading})
    ratios = numbers["tracker"]["times_faster"]
    bf16 = " (this processor has no bfloat16 arithmetic)" if slow_bf16(torch.device("cpu")) else ""
    print(f"the tracker is {ratios['ours fp32']:.2f} times as fast as the straightforward version, with bf16 "
          f"{ratios['ours bf16']:.2f} times{bf16}; against the port as it is "
          f"{ratios['ours fp32'] / ratios['port (permuted)']:.2f} times; the loader "
          f"{numbers['loader']['times_faster']:.2f} times")


if __name__ == "__main__":
    main() if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
