"""Speed and memory of the stitching case against straightforward versions: python cases/view_free_stitch/benchmark.py

The cost volume by its definition (one slice per displacement) beside the product and gather, forward and backward; the
generator; a pair end to end; the memory of twelve photographs of 12 megapixels stitched in a fresh process. Prints
ratios and milliseconds, saves bench.json.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch
import torch.nn.functional as F

from cases.view_free_stitch.baselines import answers
from cases.view_free_stitch.model import ViewFreeStitch
from common.data.images import list_images, to_tensor
from common.data.samples import build
from common.experiment import timing
from common.experiment.device import set_threads
from common.stitching.estimators import network_estimate
from common.stitching.keypoints import SIFT_TUNED, estimate
from common.stitching.network import cost_volume
from common.stitching.pairs import HomographyPairs, draw, make_pair, read_squashed
from common.stitching.refine import refine


def slice_by_slice(a, b, radius):
    """The cost volume by its definition."""
    height, width = a.shape[2:]
    padded = F.pad(b, [radius] * 4)
    return torch.stack([(a * padded[:, :, dy:dy + height, dx:dx + width]).mean(dim=1)
                        for dy in range(2 * radius + 1) for dx in range(2 * radius + 1)], dim=1)


def volumes():
    """Seconds of both for the paper's layer: batch 4, 128 x 16 x 16, range 16, forward and backward."""
    torch.manual_seed(0)
    a, b = (torch.randn(4, 128, 16, 16, requires_grad=True) for _ in range(2))
    difference = (slice_by_slice(a, b, 16) - cost_volume(a, b, 16)).abs().max().item()
    assert difference < 1e-6, f"the two sides differ by {difference}"

    def both_ways(function):
        a.grad = b.grad = None
        function(a, b, 16).square().sum().backward()
    seconds = timing.in_turns({"slice by slice": lambda: both_ways(slice_by_slice),
                               "product and gather": lambda: both_ways(cost_volume)})
    return {"seconds": seconds, "largest_difference": difference,
            "times_faster": seconds["slice by slice"] / seconds["product and gather"]}


def generator():
    """Milliseconds per sample, photographs decoded before: the paper's, without the label, and with augmentation."""
    photos = list_images(build("photos"))
    plain, bare = HomographyPairs(photos), HomographyPairs(photos, label=False)
    augmented = HomographyPairs(photos, augment=True, label=False)
    count = len(photos)
    sides = {"paper": lambda: [plain[0, place] for place in range(count)],
             "without the label": lambda: [bare[0, place] for place in range(count)],
             "augmented, without the label": lambda: [augmented[0, place] for place in range(count)]}
    return {name: 1000 * value / count for name, value in timing.in_turns(sides).items()}


def pair():
    """Milliseconds of each step on one pair of 128 pixels."""
    photo = read_squashed(list_images(build("photos"))[1])
    made = make_pair(photo, *draw(np.random.default_rng(3)))
    model, cpu = ViewFreeStitch().eval().to(memory_format=torch.channels_last), torch.device("cpu")
    a, b, offsets = to_tensor(made.a)[None], to_tensor(made.b)[None], torch.from_numpy(made.offsets)[None]
    near = torch.from_numpy(made.H_ba)
    with torch.inference_mode():
        sides = {"network": lambda: network_estimate(model, made.a, made.b, cpu),
                 "refine": lambda: refine(made.a, made.b, near),
                 "sift_tuned": lambda: estimate(made.a, made.b, SIFT_TUNED),
                 "stitch and revise": lambda: model(a, b, offsets),
                 "all rows of test.py": lambda: answers(model, made.a, made.b, cpu)}
        return {name: 1000 * value for name, value in timing.in_turns(sides).items()}


def memory():
    """Peak MiB of fresh processes: twelve photographs of 12 megapixels stitched by keypoints; and the imports alone."""
    code = """
import tempfile
from pathlib import Path
import cv2, numpy as np
from common.stitching.estimators import estimator
from common.data.samples import photograph
from common.stitching.stitch import Settings, stitch
with tempfile.TemporaryDirectory() as folder:
    wide = np.hstack([photograph('coffee.png'), photograph('coffee.png')[:, ::-1]])
    wide = cv2.resize(wide, (13000, 3600), interpolation=cv2.INTER_CUBIC)
    paths = []
    for place in range(12):
        left = place * 800
        paths.append(Path(folder) / f'{place:02d}.jpg')
        cv2.imwrite(str(paths[-1]), wide[300:3300, left:left + 4000, ::-1])
    del wide
    stitch(paths, estimator('sift', None, None), Settings(order='given', debug=False), Path(folder) / 'out')"""
    return {"twelve photographs of 4000 x 3000": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.view_free_stitch.baselines, common.stitching.stitch")}


def main():
    set_threads()
    numbers = timing.measure("view_free_stitch", {"cost_volume": volumes, "generator_milliseconds": generator,
                                                  "pair_milliseconds": pair, "peak_memory_mb": memory})
    print(f"the cost volume is {numbers['cost_volume']['times_faster']:.0f} times as fast as slice by slice, largest "
          f"difference {numbers['cost_volume']['largest_difference']:.1e}")


if __name__ == "__main__":
    main() if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
