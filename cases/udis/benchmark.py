"""Speed and memory of the unsupervised stitching case against straightforward versions: python cases/udis/benchmark.py

A pair of 512 x 512 end to end (align and reconstruct) beside the plain version of the same: NCHW, fp32, eager, the
whole canvas at once; equal outputs. The high-resolution branch alone, in tiles and whole. Peak memory of a canvas of
1831 x 3193 in a fresh process, in tiles. Prints ratios and milliseconds, saves bench.json.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch
from PIL import Image

from cases.udis.baselines import domain, reconstruct
from cases.udis.model import UDIS
from common.data.images import to_tensor
from common.data.samples import photograph
from common.experiment import timing
from common.experiment.device import set_threads
from common.stitching.estimators import network_estimate

CPU = torch.device("cpu")


def pair_of_512():
    """Two views of scikit-image's astronaut, 512 x 512, overlapping by 60 %, and the homography between them."""
    whole = np.asarray(Image.fromarray(photograph("astronaut.png")).resize((740, 740), Image.BICUBIC))
    a, b = whole[100:612, 10:522], whole[112:624, 215:727]
    H_ba = torch.tensor([[1.0, 0, 205], [0, 1, 12], [0, 0, 1]], dtype=torch.float64)
    return np.ascontiguousarray(a), np.ascontiguousarray(b), H_ba


def networks(form, width):
    """(channels last, NCHW) of the same weights, with opinions: untrained ones would only feather."""
    torch.manual_seed(0)
    model = UDIS("small", form, width).eval()
    for parameter in model.reconstruction.parameters():
        if parameter.abs().sum() == 0 and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    plain = UDIS("small", form, width).eval()
    plain.load_state_dict(model.state_dict())
    return model.to(memory_format=torch.channels_last), plain


@torch.inference_mode()
def end_to_end(form, width):
    """Seconds a pair of both sides at the known homography, and the largest difference of their pictures."""
    a, b, H_ba = pair_of_512()
    model, plain = networks(form, width)

    def ours():
        network_estimate(model, a, b, CPU)
        return reconstruct(model, domain(a, b, H_ba)[0], CPU)[0]

    def straightforward():
        network_estimate(plain, a, b, CPU)
        return plain(domain(a, b, H_ba)[0]).high
    difference = (ours() - straightforward()).abs().max().item()
    assert difference < 1e-4, f"the two sides differ by {difference}"
    seconds = timing.in_turns({"straightforward": straightforward, "ours": ours})
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall, "largest_difference": difference,
            "times_faster": seconds.times_faster("ours", "straightforward")}


def steps():
    """Milliseconds of the parts of a pair of 512 x 512, release settings."""
    a, b, H_ba = pair_of_512()
    model, _ = networks("mask", 16)
    with torch.inference_mode():
        warps = domain(a, b, H_ba)[0]
        sides = {"homography": lambda: network_estimate(model, a, b, CPU),
                 "stitching domain": lambda: domain(a, b, H_ba),
                 "reconstruct": lambda: reconstruct(model, warps, CPU),
                 "to tensors": lambda: (to_tensor(a), to_tensor(b))}
        return {name: 1000 * value for name, value in timing.in_turns(sides).cpu.items()}


def memory():
    """Peak MiB of fresh processes: a canvas of 1831 x 3193 in tiles, our form and the paper's; the imports alone."""
    code = """
import torch
from cases.udis.baselines import domain, reconstruct
from cases.udis.model import UDIS
import numpy as np
torch.set_num_threads({threads})
rng = np.random.default_rng(0)
noise = rng.integers(0, 256, (2, 229, 250, 3), dtype=np.uint8)
a, b = noise.repeat(8, axis=1).repeat(8, axis=2)[:, :1831]
H_ba = torch.tensor([[1.0, 0, 1193], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
warps = domain(a, b, H_ba)[0]
assert warps.a.shape[2:] == (1831, 3193)
model = UDIS('small', '{form}', {width}).eval().to(memory_format=torch.channels_last)
reconstruct(model, warps, torch.device('cpu'))"""
    threads = torch.get_num_threads()
    return {"mask, width 16": timing.peak_memory_mb(code.format(form="mask", width=16, threads=threads)),
            "paper, width 64": timing.peak_memory_mb(code.format(form="paper", width=64, threads=threads)),
            "imports alone": timing.peak_memory_mb("import cases.udis.baselines")}


def main():
    set_threads()
    parts = {"end_to_end_mask_16": lambda: end_to_end("mask", 16),
             "end_to_end_paper_16": lambda: end_to_end("paper", 16),
             "steps_milliseconds": steps, "peak_memory_mb": memory}
    numbers = timing.measure("udis", parts)
    print(f"a pair of 512 x 512: {numbers['end_to_end_mask_16']['times_faster']:.2f} times as fast as the "
          "straightforward version")


if __name__ == "__main__":
    main() if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
