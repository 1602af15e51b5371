"""Speed and memory of the nuclei networks: python cases/nuclei/benchmark.py

What recurrence and attention cost: the four networks at one width, and the plain U-Net that costs as much as the small
R2AtU-Net. Beside it the R2AtU-Net's formula written down plainly (NCHW and channels last), with which the network must
agree. Same threads, float32, inference mode. From probabilities to nuclei: the three ways and the simple methods.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import torch
import torch.nn.functional as F

from cases.nuclei import baselines, instances
from cases.nuclei.data import Patches, read_gray, test_pictures, training_pictures
from cases.nuclei.model import ARCHITECTURES, Nuclei
from common.data.samples import build
from common.experiment import timing
from common.lowlight.benchmark import as_channels_last, measure, time_loader

SIDE, WIDTH, LEVELS = 256, 8, 4


def straightforward(state, x, levels=LEVELS):
    """An R2AtU-Net's logits from its state_dict, by the formula; sides of x are multiples of 2^(levels - 1)."""
    def normed(name, maps, padding=0, norm=None):
        convolution, norm = (f"{name}.0", f"{name}.1") if norm is None else (name, norm)
        maps = F.conv2d(maps, state[f"{convolution}.weight"], state[f"{convolution}.bias"], padding=padding)
        return F.batch_norm(maps, state[f"{norm}.running_mean"], state[f"{norm}.running_var"],
                            state[f"{norm}.weight"], state[f"{norm}.bias"])

    def block(name, maps):
        x = s = F.conv2d(maps, state[f"{name}.widen.weight"], state[f"{name}.widen.bias"])
        for unit in range(2):
            part, first = f"{name}.units.{unit}", s
            for turn in range(3):
                s = F.relu(normed(f"{part}.convolve", s if turn == 0 else first + s, 1, f"{part}.norms.{turn}"))
        return x + s
    skips = []
    for level in range(levels):
        x = block(f"down.{level}", F.max_pool2d(x, 2) if level else x)
        skips.append(x)
    for level in reversed(range(levels - 1)):
        large = F.interpolate(x, scale_factor=2, mode="nearest")
        g, gate = F.relu(normed(f"up.{level}.halve", large, 1)), f"up.{level}.gate"
        both = F.relu(normed(f"{gate}.from_decoder", g) + normed(f"{gate}.from_skip", skips[level]))
        alpha = torch.sigmoid(normed(f"{gate}.psi", both))
        x = block(f"up.{level}.block", torch.cat([alpha * skips[level], g], dim=1))
    return F.conv2d(x, state["answer.weight"], state["answer.bias"])


def networks():
    """{name: network}: the four at one width, and the default U-Net."""
    torch.manual_seed(0)
    found = {f"{arch}, width {WIDTH}": Nuclei(arch, WIDTH, LEVELS) for arch in ARCHITECTURES}
    found["unet, width 16"] = Nuclei("unet", 16, LEVELS)
    return {name: model.eval() for name, model in found.items()}


def inference():
    """{variant: seconds and ratio} for a picture of 256 x 256."""
    models = networks()
    name = f"r2atunet, width {WIDTH}"
    state = {key: tensor.clone() for key, tensor in models[name].state_dict().items()}
    turned = as_channels_last(state)
    models = {key: model.to(memory_format=torch.channels_last) for key, model in models.items()}
    x = torch.rand(1, 1, SIDE, SIDE)
    last = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        difference = (straightforward(state, x) - models[name](last)).abs().max().item()
        assert difference <= 1e-4, f"the two sides differ by {difference}"
        seconds = timing.in_turns({
            "NCHW": lambda: straightforward(state, x), "channels last": lambda: straightforward(turned, last),
            **{key: lambda model=model: model(last) for key, model in models.items()}})
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall, "largest_difference": difference,
            "parameters": {key: sum(map(torch.numel, model.parameters())) for key, model in models.items()},
            "times_faster": {f"than {side}": seconds.times_faster(name, side) for side in ("NCHW", "channels last")}}


def ways():
    """Seconds from probabilities, or from a picture, to single nuclei, on a sample picture of 256 x 256."""
    gray = read_gray(test_pictures(build("nuclei"))[0].path)
    nucleus = middles = gray                                  # a picture serves as probabilities
    seconds = timing.in_turns({
        "components": lambda: instances.components(nucleus),
        "distance watershed": lambda: instances.distance_watershed(nucleus),
        "watershed from markers": lambda: instances.marker_watershed(nucleus, middles),
        **{name: lambda find=find: find(gray) for name, find in baselines.MASKS.items()}})
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall}


def memory():
    """Peak MiB of a fresh process that finds the nuclei of 4000 x 4000 pixels, and of one that only imports."""
    code = """
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from cases.nuclei.data import normalise
from cases.nuclei.model import Nuclei
from cases.nuclei.segment import best, predict, segment
from common.experiment.settings import resolve
torch.manual_seed(0)
model = Nuclei("unet", 16, 4).eval().to(memory_format=torch.channels_last)
gray = normalise(gaussian_filter(np.random.default_rng(0).random((4000, 4000), np.float32), 6))
settings = resolve("nuclei", []).config.test
maps = predict(model, gray, settings, torch.device("cpu"))
best(segment({"nucleus": gray, "inside": gray + maps["inside"] * 0}, settings))"""
    return {"4000x4000": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.nuclei.segment, common.data.images")}


def load():
    """Batches of eight patches of the sample pictures a second."""
    return time_loader(Patches(training_pictures(build("nuclei"))[0], ["nucleus", "inside"]), 8)


PARTS = {"inference": inference, "ways": ways, "loader_batches_per_second": load, "peak_memory_mb": memory}

if __name__ == "__main__":
    measure("nuclei", "nuclei", PARTS) if {"--help", "-h"}.isdisjoint(sys.argv) else print(__doc__)
