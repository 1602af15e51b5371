"""Speed and memory of KinD beside a straightforward implementation of its layers: python cases/kind/benchmark.py

The straightforward side is the table of layers as one would write it down: conv2d, leaky_relu, max_pool2d,
conv_transpose2d, cat, once in the usual order in memory (NCHW) and once as channels last. Same threads, same weights,
float32, inference mode, CPU time. bfloat16 stands beside it.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import itertools
import time

import torch
import torch.nn.functional as F

from cases.kind import enhance
from cases.kind.data import StretchedPairs
from cases.kind.model import KinD
from common.data.samples import build
from common.experiment import timing
from common.experiment.device import autocast
from common.lowlight.benchmark import as_channels_last, engines, measure, time_loader

SIZE = (400, 600)
RATIO = 4.0


def straightforward(state, low):
    """KinD's answer at RATIO from its state_dict, layer by layer."""
    def convolve(name, x):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def active(name, x):
        return F.leaky_relu(convolve(name, x), 0.2)

    def raised(name, x, skip):
        x = F.conv_transpose2d(x, state[f"{name}.weight"], stride=2)
        return torch.cat([x[:, :, :skip.shape[2], :skip.shape[3]], skip], dim=1)

    def half(x):
        return F.max_pool2d(x, 2, ceil_mode=True)

    stretched = (low - low.min()) / torch.clamp(low.max() - low.min(), min=0.001)
    d = "decomposition."
    a = active(d + "g_conv1_1", stretched)
    b = active(d + "g_conv2_1", half(a))
    c = active(d + "g_conv3_1", half(b))
    e = active(d + "g_conv8_1", raised(d + "g_up_1", c, b))
    e = active(d + "g_conv9_1", raised(d + "g_up_2", e, a))
    reflectance = torch.sigmoid(convolve(d + "g_conv10", e))
    illumination = torch.sigmoid(convolve(d + "l_conv1_4", torch.cat([active(d + "l_conv1_2", a), e], dim=1)))
    r, x, skips = "restoration.", torch.cat([reflectance, illumination], dim=1), []
    for level in (1, 2, 3, 4, 5):
        x = active(f"{r}de_conv{level}_2", active(f"{r}de_conv{level}_1", x))
        if level < 5:
            skips.append(x)
            x = half(x)
    for level in (6, 7, 8, 9):
        x = raised(f"{r}up_{level}", x, skips.pop())
        x = active(f"{r}de_conv{level}_2", active(f"{r}de_conv{level}_1", x))
    restored = torch.sigmoid(convolve(r + "de_conv10", x))
    y = torch.cat([illumination, torch.full_like(illumination, RATIO)], dim=1)
    for number in (1, 2, 3, 4):
        y = active(f"adjustment.en_conv_{number}", y)
    return restored * torch.sigmoid(y)


def draw_model():
    """A KinD with drawn weights; speed does not depend on their values."""
    torch.manual_seed(0)
    return KinD().eval()


def inference():
    """Seconds, pictures per second and ratio on one 400 x 600 picture."""
    model = draw_model()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model = model.to(memory_format=torch.channels_last)
    low = torch.rand(1, 3, *SIZE) / 4

    def half_precision():
        with autocast(low.device, "bf16"):
            return model(low, RATIO)
    with torch.inference_mode():
        ours = model(low, RATIO)
        difference = (straightforward(state, low) - ours).abs().max().item()
        assert difference <= 1e-4, f"the two sides differ by {difference}"
        turned, last = as_channels_last(state), low.contiguous(memory_format=torch.channels_last)
        sides = {"NCHW": lambda: straightforward(state, low), "channels last": lambda: straightforward(turned, last),
                 "kind": lambda: model(low, RATIO), "kind, bf16": half_precision}
        seconds = timing.in_turns(sides)
        rough = (half_precision().float() - ours).abs().max().item()
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall,
            "pictures_per_cpu_second": {name: 1 / value for name, value in seconds.cpu.items()},
            "times_faster": {f"{side} than {layout}": seconds.times_faster(side, layout)
                             for side in ("kind", "kind, bf16") for layout in ("NCHW", "channels last")},
            "largest_difference": difference, "largest_difference_bf16": rough}


def tiling():
    """1501 x 1103 pixels in tiles and whole: largest difference in the result."""
    model, low = draw_model().to(memory_format=torch.channels_last), torch.rand(3, 1103, 1501) / 4
    with torch.inference_mode():
        whole, parts = (enhance.decompose(model, low, tile) for tile in (4096, 640))
        ratio = enhance.guess(model, whole)
        outputs = [enhance.restore(model, maps, tile) * enhance.adjust(model, maps, ratio, tile)
                   for maps, tile in ((whole, 4096), (parts, 640))]
    difference = (outputs[0] - outputs[1]).abs().max().item()
    assert difference <= 1 / 255, f"tiles differ by {difference}"
    return {"largest_difference_in_tiles": difference}


def growth():
    """CPU seconds a megapixel, of the whole and of its parts, for pictures of one tile and of many: what tiles overlap
    by is computed twice."""
    model = draw_model().to(memory_format=torch.channels_last)
    return {f"{side} x {side}": megapixel_seconds(model, torch.rand(3, side, side) / 4) for side in (512, 2048)}


@torch.inference_mode()
def megapixel_seconds(model, low, tile=640):
    """{part: CPU seconds a megapixel} of one picture (3, h, w)."""
    times = [time.process_time()]
    maps = enhance.decompose(model, low, tile)
    times.append(time.process_time())
    enhance.restore(model, maps, tile)
    times.append(time.process_time())
    enhance.adjust(model, maps, RATIO, tile)
    times.append(time.process_time())
    seconds = [1e6 * (end - begin) / low[0].numel() for begin, end in itertools.pairwise(times)]
    return dict(zip(("decomposition", "restoration", "adjustment"), seconds)) | {"whole": sum(seconds)}


def memory():
    """Peak MiB of a fresh process that brightens a 4000 x 3000 picture in tiles, and of one that only imports."""
    code = """
import torch
from cases.kind import enhance
from cases.kind.model import KinD
settings = Settings(tile=640, hot_pixels=0.0, ratio=None, restore=True, fusion=False)
with torch.inference_mode():
    enhance.enhance(KinD().eval().to(memory_format=torch.channels_last), torch.rand(3, 3000, 4000) / 4, settings)"""
    return {"4000x3000 in tiles": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.kind.enhance")}


PARTS = {
    "inference": inference,
    "engines": lambda: engines(enhance.graphs(draw_model()), SIZE),
    "tiling": tiling,
    "cpu_seconds_a_megapixel": growth,
    "loader_batches_per_second": lambda: time_loader(StretchedPairs(build("LOL"), "our485", patch=128, turns=True), 4),
    "peak_memory_mb": memory,
}

if __name__ == "__main__":
    measure("kind", "KinD", PARTS) if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
