"""Speed and memory of MSR-net beside a straightforward implementation of its formula: python cases/msrnet/benchmark.py

The straightforward side is section 2 of the paper as one would write it down: conv2d, torch.cat of the ten maps, 1x1,
subtraction, 1x1, once in the usual order in memory (NCHW) and once as channels last. Same threads, same weights,
float32, inference mode, CPU time. With --peers psnr and ssim of torchmetrics and kornia beside ours, with equal values;
torchmetrics' ssim is another one (its value is printed).
"""
import sys
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import torch
import torch.nn.functional as F

from cases.msrnet.enhance import graphs
from cases.msrnet.model import MSRNet
from common import metrics
from common.data.images import to_bytes
from common.data.paired import PairedImages
from common.data.samples import build
from common.experiment import timing
from common.lowlight.benchmark import as_channels_last, engines, measure, time_loader

SIZE = (400, 600)


def straightforward(state, x):
    """Y of MSR-net from its state_dict, by the formula."""
    def convolve(name, value, padding=0):
        return F.conv2d(value, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)
    logs = torch.cat([torch.log(1 + v * x) / torch.log(torch.tensor(1.0 + v)) for v in (1, 10, 100, 300)], dim=1)
    x1 = convolve("fuse.2", F.relu(convolve("fuse.0", logs)), 1)
    h, maps = x1, []
    for layer in range(10):
        h = F.relu(convolve(f"cascade.layers.{layer}", h, 1))
        maps.append(h)
    x2 = x1 - convolve("cascade.average", torch.cat(maps, dim=1))
    return convolve("restore", x2)


def inference():
    """{variant: seconds and ratio} on one 400 x 600 picture."""
    torch.manual_seed(0)
    model = MSRNet().eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model = model.to(memory_format=torch.channels_last)
    denoise = MSRNet(dilations=[1, 1, 2, 2, 4, 4, 8, 8, 1, 1], exposure=True).eval()
    denoise = denoise.to(memory_format=torch.channels_last)
    x = torch.rand(1, 3, *SIZE)
    last = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        difference = (straightforward(state, x) - model(last)).abs().max().item()
        assert difference <= 1e-5, f"the two sides differ by {difference}"
        turned = as_channels_last(state)
        sides = {"NCHW": lambda: straightforward(state, x), "channels last": lambda: straightforward(turned, last),
                 "msrnet": lambda: model(last), "denoise": lambda: denoise(last)}
        seconds = timing.in_turns(sides)
    megapixels = SIZE[0] * SIZE[1] / 1e6
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall, "largest_difference": difference,
            "times_faster": {f"than {layout}": seconds.times_faster("msrnet", layout)
                             for layout in ("NCHW", "channels last")},
            "cpu_seconds_per_megapixel": {name: value / megapixels for name, value in seconds.cpu.items()}}


def drawn(**arguments):
    """A network with drawn weights; speed does not depend on their values."""
    torch.manual_seed(0)
    return MSRNet(**arguments).eval()


def other_engines():
    """engines() of the paper's network and of the denoising one."""
    return {name: engines(graphs(model), SIZE)["msrnet"] for name, model in (
        ("msrnet", drawn()), ("denoise", drawn(dilations=[1, 1, 2, 2, 4, 4, 8, 8, 1, 1], exposure=True)))}


def scoring():
    """Milliseconds per metric on a 400 x 600 picture."""
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 3, *SIZE)
    a8, b8 = to_bytes(a[0]), to_bytes(b[0])
    calls = {metric.__name__: partial(metric, a, b) for metric in (metrics.psnr, metrics.ssim, metrics.ssim_gray)}
    calls |= {metric.__name__: partial(metric, a8)
              for metric in (metrics.entropy, metrics.noise_sigma, metrics.sharpness)}
    calls["loe"] = partial(metrics.loe, a8, b8)
    return {name: 1000 * value for name, value in timing.in_turns(calls).cpu.items()}


def peers():
    """Milliseconds of psnr and ssim of a 400 x 600 picture, ours beside torchmetrics and kornia; equal values."""
    theirs, kornia = timing.peer("torchmetrics.functional.image"), timing.peer("kornia.metrics")
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 3, *SIZE, dtype=torch.float64)

    def inside(ssim_map):
        return ssim_map[:, :, 5:-5, 5:-5].mean()
    sides = {"psnr": lambda: metrics.psnr(a, b),
             "psnr, torchmetrics": lambda: theirs.peak_signal_noise_ratio(a, b, data_range=1.0),
             "psnr, kornia": lambda: kornia.psnr(a, b, 1.0),
             "ssim": lambda: metrics.ssim(a, b),
             "ssim, torchmetrics": lambda: theirs.structural_similarity_index_measure(
                 a, b, data_range=1.0, gaussian_kernel=True, sigma=1.5, kernel_size=11),
             "ssim, kornia": lambda: inside(kornia.ssim(a, b, 11, 1.0))}
    values = {name: float(call()) for name, call in sides.items()}
    for theirs, ours in (("psnr, torchmetrics", "psnr"), ("psnr, kornia", "psnr"), ("ssim, kornia", "ssim")):
        assert abs(values[theirs] - values[ours]) < 1e-6, f"{theirs}: {values[theirs]} instead of {values[ours]}"
    milliseconds = {name: 1000 * value for name, value in timing.in_turns(sides).cpu.items()}
    return {"milliseconds": milliseconds, "values": values}


def memory():
    """Peak MiB of a fresh process that brightens a 4000 x 3000 picture in tiles, and of one that only imports."""
    code = """
import torch
from cases.msrnet.model import MSRNet
from common.data.images import map_tiles
model, picture = MSRNet().eval().to(memory_format=torch.channels_last), torch.rand(1, 3, 3000, 4000)
with torch.inference_mode():
    map_tiles(lambda crop, box: model(crop.to(memory_format=torch.channels_last)), picture, 640, model.halo)"""
    return {"4000x3000 in tiles": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.msrnet.model, common.data.images")}


PARTS = {
    "inference": inference,
    "engines": other_engines,
    "loader_batches_per_second": lambda: time_loader(PairedImages(build("LOL"), "our485", patch=48), 8),
    "metric_milliseconds": scoring,
    "peak_memory_mb": memory,
}

if timing.peers_wanted():
    PARTS["peers"] = peers

if __name__ == "__main__":
    measure("msrnet", "MSR-net", PARTS) if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
