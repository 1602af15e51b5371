"""Speed and memory of super-resolution: python cases/super_resolution/benchmark.py

At low resolution against upsampling first: our network for scale 4 beside a network of VDSR's shape (Kim et al. 2016:
20 layers of 3x3, 64 wide, on the enlarged luma), for which 31.35 dB are published on Set5. Beside it our own formula
written down plainly (NCHW, the pixel shuffle by reshaping), with which it must agree, and cv2.resize. Same threads,
float32, inference mode.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import cv2
import torch
import torch.nn.functional as F
from torch import nn

from cases.super_resolution.data import training_sets
from cases.super_resolution.model import SuperResolution
from common.data.samples import build
from common.experiment import timing
from common.experiment.settings import resolve
from common.lowlight.benchmark import as_channels_last, measure, time_loader

SIZE, SCALE = (120, 160), 4


def straightforward(state, x, scale=SCALE, blocks=8):
    """The network's answer from its state_dict, by the formula."""
    def convolve(name, maps):
        weight = state[f"networks.{scale}.{name}.weight"]
        return F.conv2d(maps, weight, state[f"networks.{scale}.{name}.bias"], padding=weight.shape[-1] // 2)
    first = features = convolve("entry", x)
    for block in range(blocks):
        inside = F.prelu(convolve(f"body.{block}.body.0", features),
                         state[f"networks.{scale}.body.{block}.body.1.weight"])
        features = features + convolve(f"body.{block}.body.2", inside)
    maps = convolve("rise.0", first + convolve(f"body.{blocks}", features))
    n, channels, height, width = maps.shape
    maps = maps.view(n, channels // scale**2, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    large = maps.reshape(n, channels // scale**2, height * scale, width * scale)
    return F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False) + large


def like_vdsr():
    """20 layers of 3x3, 64 wide, one channel in and out: for the time alone, its weights are random."""
    layers = [nn.Conv2d(1, 64, 3, padding=1), nn.ReLU()]
    for _ in range(18):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(64, 1, 3, padding=1)).eval().to(memory_format=torch.channels_last)


def inference():
    """{variant: seconds and ratio} for a picture of 160 x 120, four times larger."""
    torch.manual_seed(0)
    model = SuperResolution(scales=[SCALE], channels=48, blocks=8).eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model, first = model.to(memory_format=torch.channels_last), like_vdsr()
    x = torch.rand(1, 3, *SIZE)
    last = x.to(memory_format=torch.channels_last)
    pixels = (255 * x[0].permute(1, 2, 0)).byte().numpy()
    size = (SCALE * SIZE[1], SCALE * SIZE[0])

    def upsample_first():
        return first(F.interpolate(x[:, :1], scale_factor=SCALE, mode="bicubic").to(memory_format=torch.channels_last))
    with torch.inference_mode():
        difference = (straightforward(state, x) - model(last)).abs().max().item()
        assert difference <= 1e-4, f"the two sides differ by {difference}"
        turned = as_channels_last(state)
        seconds = timing.in_turns({
            "NCHW": lambda: straightforward(state, x), "channels last": lambda: straightforward(turned, last),
            "network": lambda: model(last), "upsampling first (VDSR)": upsample_first,
            "cv2.resize bicubic": lambda: cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)})
    megapixels = SCALE**2 * SIZE[0] * SIZE[1] / 1e6
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall, "largest_difference": difference,
            "times_faster": {f"than {side}": seconds.times_faster("network", side)
                             for side in ("NCHW", "channels last", "upsampling first (VDSR)")},
            "cpu_seconds_per_megapixel_out": {name: value / megapixels for name, value in seconds.cpu.items()}}


def memory():
    """Peak MiB of a fresh process that makes a 4000 x 3000 picture twice as large and writes it as 8 bits, and of one
    that only imports."""
    code = """
import torch
from cases.super_resolution.enlarge import enlarge
from cases.super_resolution.model import SuperResolution
from common.data.images import to_bytes
model = SuperResolution(scales=[2], channels=8, blocks=1).eval().to(memory_format=torch.channels_last)
to_bytes(enlarge(model, torch.rand(3, 3000, 4000), 2))"""
    return {"4000x3000 twice as large, a narrow network": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.super_resolution.enlarge, common.data.images")}


def load():
    """Batches of eight patches of the sample pictures a second."""
    words = [f"data.root={build('SR') / 'train'}", "model.scale=4"]
    return time_loader(training_sets(resolve("super_resolution", words).config)[0], 8)


PARTS = {"inference": inference, "loader_batches_per_second": load, "peak_memory_mb": memory}

if __name__ == "__main__":
    measure("super_resolution", "super-resolution", PARTS) if {"--help", "-h"}.isdisjoint(sys.argv) else print(__doc__)
