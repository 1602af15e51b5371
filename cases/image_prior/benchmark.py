"""Speed and memory of the prior: python cases/image_prior/benchmark.py

A step of the default network at 256 x 256 in two layouts, beside one of the paper's network for text masks, and the
simple methods on the same hole; what un-blending takes. Same threads, float32.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch

from cases.image_prior import baselines, losses
from cases.image_prior.data import blend, draw_mark
from cases.image_prior.model import PriorNetwork, make_input
from cases.image_prior.unblend import unblend, unblend_estimated
from common.base.paths import EMBEDDED
from common.data.images import read_pixels
from common.experiment import timing
from common.experiment.device import set_threads

SIDE = 256
PAPER = {"widths": [128] * 5, "skips": [128] * 5}


def step_of(layout, **options):
    """A function that makes one step of Adam on half-known noise, by a PriorNetwork(**options) that is drawn alike for
    every layout."""
    torch.manual_seed(0)
    network = PriorNetwork(**options).to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    z = make_input("noise", network.maps, (SIDE, SIDE), network.multiple).contiguous(memory_format=layout)
    given, known = torch.rand(1, 3, SIDE, SIDE), (torch.rand(1, 1, SIDE, SIDE) > 0.5).float()

    def step():
        loss = losses.square(network(z), given, known)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss
    return step


def steps():
    """{variant: seconds of a step}."""
    sides = {"default, channels last": step_of(torch.channels_last),
             "default, NCHW": step_of(torch.contiguous_format),
             "paper's text mask, channels last": step_of(torch.channels_last, **PAPER)}
    first = [abs(float(sides[name]().detach())) for name in list(sides)[:2]]
    assert abs(first[0] - first[1]) < 1e-4, f"the two layouts differ: {first}"
    seconds = timing.in_turns(sides, turns=7)
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall,
            "times_faster": {name: seconds.times_faster("default, channels last", name) for name in list(sides)[1:]}}


def simple():
    """{method: seconds} for a picture of 256 x 256 under the tiled text."""
    true = read_pixels(EMBEDDED / "photos" / "china.jpg")[:SIDE, :SIDE]
    coverage = draw_mark((SIDE, SIDE), 0)
    given, mask = blend(true, 0.6 * coverage, np.full(3, 255.0)), coverage > 0
    sides = {name: lambda method=method: method(given, mask) for name, method in baselines.methods("watermark").items()}
    sides |= {"unblend_known": lambda: unblend(given, 0.6 * coverage, np.full(3, 255.0)),
              "unblend_estimated": lambda: unblend_estimated([given], mask)}
    seconds = timing.in_turns(sides, turns=7)
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall}


def memory():
    """Peak MiB of a fresh process that makes a step at 256 x 256 and at 512 x 512, and of one that only imports."""
    code = """
from cases.image_prior import benchmark
import torch
benchmark.SIDE = {side}
benchmark.step_of(torch.channels_last)()"""
    return {f"{side}x{side}": timing.peak_memory_mb(code.format(side=side)) for side in (256, 512)} | {
        "imports alone": timing.peak_memory_mb("import cases.image_prior.benchmark")}


PARTS = {"seconds_of_a_step": steps, "simple_methods": simple, "peak_memory_mb": memory}

if __name__ == "__main__":
    set_threads()
    timing.measure("image_prior", PARTS) if {"--help", "-h"}.isdisjoint(sys.argv) else print(__doc__)
