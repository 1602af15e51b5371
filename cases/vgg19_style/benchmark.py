"""Speed and memory of style transfer against straightforward versions.

    python cases/vgg19_style/benchmark.py [--sizes 256,512] [--parts step]

step     loss of the course's formula and its gradient to the picture, seeded VGG19 to relu5_2, against (a) all 37
         layers, NCHW, with the targets computed again in every step, and (b) the same cut off at the deepest tap, with
         kept targets; equal losses and gradients
quality  the default settings with `small` against 300 Adam steps at full size: time, style distance, content distance
memory   peak of a fresh process that takes one Adam step on a picture of 4096 x 3072 with `small`, in tiles
Process time of one thread (OMP_NUM_THREADS), sides in turns, medians. Prints ratios, saves bench.json.
"""
import argparse
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from cases.vgg19_style.data import read_on_white, resize, works
from cases.vgg19_style.evaluate import Judge
from cases.vgg19_style.model import STYLE_TAPS, Objective
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.data.images import to_bytes
from common.data.samples import build, photograph
from common.experiment import checkpoints, timing
from common.experiment.device import set_threads, slow_bf16
from common.experiment.settings import resolve
from common.features import vgg, vgg_files

WIDTHS = (64, 128, 256, 512, 512)
CONTENT, STYLE = "content/cat.png", "style/starry_night.png"        # of the sample set
CONTENT_TAP = "relu5_2"
ALPHA, BETA = 1.0, 100.0
EMULATED = 256                          # pixels up to which bf16 is measured where it is emulated: it takes minutes
RIVAL = ("train.optimizer=adam", "train.scales=1", "train.steps=300", "train.lr=0.02", "train.average=0",
         "loss.content=0.05", "loss.tv=0")


def draw_vgg():
    """A whole VGG19 with drawn weights; speed does not depend on their values."""
    state, channels, names = {}, 3, vgg_files.layers("vgg19")
    for number, place in enumerate(place for place, name in enumerate(names) if name.startswith("conv")):
        width, draw = WIDTHS[int(names[place][4]) - 1], np.random.RandomState(1900 + number)
        state[f"features.{place}.weight"] = torch.from_numpy(draw.standard_normal((width, channels, 3, 3))
                                                             * np.sqrt(2 / (9 * channels))).float()
        state[f"features.{place}.bias"] = torch.from_numpy(0.05 * draw.standard_normal(width)).float()
        channels = width
    return vgg_files.Source("seeded", "vgg19", state, "torchvision", "zeros", checkpoints.digest(state), None)


# ---- one step --------------------------------------------------------------------------------------------------------

class Straightforward:
    """The formula as one would write it down: NCHW, float32, a list of layers.

    whole: all 37 of them, and both targets again in every step."""

    def __init__(self, state, content, style, whole):
        self.state, self.content, self.style = state, content, style
        names = vgg_files.layers("vgg19")
        self.names = names if whole else names[:1 + names.index(CONTENT_TAP)]
        self.kept = None if whole else self.targets()

    def features(self, x):
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in vgg_files.TAGS["torchvision"])
        x, found = (x - mean) / std, {}
        for place, name in enumerate(self.names):
            if name.startswith("conv"):
                x = F.conv2d(x, self.state[f"features.{place}.weight"], self.state[f"features.{place}.bias"], padding=1)
            else:
                x = F.relu(x) if name.startswith("relu") else F.max_pool2d(x, 2)
            if name in (*STYLE_TAPS, CONTENT_TAP):
                found[name] = x
        return found

    @torch.no_grad()
    def targets(self):
        style = self.features(self.style)
        return self.features(self.content)[CONTENT_TAP], {tap: gram(style[tap]) for tap in STYLE_TAPS}

    def __call__(self, x):
        P, grams = self.kept or self.targets()
        x = x.clone().requires_grad_()
        features = self.features(x)
        content = ((features[CONTENT_TAP] - P) ** 2).sum() / (2 * P[0].numel())
        style = 0
        for tap, A in grams.items():
            N, M = features[tap].shape[1], features[tap][0, 0].numel()
            style = style + 0.2 * ((gram(features[tap]) - A) ** 2).sum() / (4 * N ** 2 * M ** 2) / len(grams)
        loss = ALPHA * content + BETA * style
        loss.backward()
        return loss.item(), x.grad


def gram(features):
    """F F^T, not divided: content and style have one size here."""
    flat = features.flatten(2)
    return flat @ flat.mT


def ours(source, content, style, dtype):
    """The same by this project: a function from a picture to (loss, gradient)."""
    trunk = vgg.build(source, [*STYLE_TAPS, CONTENT_TAP]).to(dtype=dtype, memory_format=torch.channels_last)
    objective = Objective(trunk, content, [style], content_taps=[CONTENT_TAP], form="b6", alpha=ALPHA, beta=BETA)

    def step(x):
        terms, slope = objective.gradient(x)
        return sum(terms.values()).item(), slope
    return step


def steps(side, source):
    """Seconds a step at side x side, ratios, and how far loss and gradient of each are from (a)'s."""
    content, style = (resize(photograph(name), (side, side)) for name in ("coffee.png", "ihc.png"))
    x = (content + 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    functions = {"straightforward": Straightforward(source.state, content, style, whole=True),
                 "cached": Straightforward(source.state, content, style, whole=False),
                 "ours fp32": ours(source, content, style, torch.float32)}
    if not slow_bf16(content.device) or side <= EMULATED:
        functions["ours bf16"] = ours(source, content, style, torch.bfloat16)
    loss, slope = functions["straightforward"](x)
    differences = {}
    for name, function in functions.items():
        other_loss, other = function(x)
        differences[name] = {"loss": abs(other_loss / loss - 1),
                             "gradient": ((other - slope).norm() / slope.norm()).item()}
        assert "bf16" in name or (differences[name]["loss"] < 1e-4
                                  and differences[name]["gradient"] < 1e-3), f"{name} differs: {differences[name]}"
    seconds = timing.in_turns({name: lambda function=function: function(x) for name, function in functions.items()}).cpu
    a, b = seconds["straightforward"], seconds["cached"]
    return {"seconds": seconds, "of_straightforward": {name: value / a for name, value in seconds.items()},
            "of_cached": {name: value / b for name, value in seconds.items()}, "relative_difference": differences}


# ---- a whole picture -------------------------------------------------------------------------------------------------

class Side:
    """A painter with its settings, whose seconds are counted step by step, so that two can be painted in turns."""

    def __init__(self, words):
        self.settings = resolve("vgg19_style", words).config
        trunk, loss = feature_network(self.settings)
        self.source = vgg_files.read(self.settings.network.name)
        self.work = works(self.settings.data, trunk.name)[0]
        began = time.process_time()
        self.painter = Painter(self.settings, trunk, loss, self.work, *prepare(self.settings))
        self.seconds = time.process_time() - began

    def paint(self, first, last):
        """Steps first + 1 to last."""
        began = time.process_time()
        for number in range(first + 1, last + 1):
            self.painter.step(number)
        self.seconds += time.process_time() - began

    def judge(self):
        """{seconds, style_distance, content_distance, scales} of the picture in 8 bit, on the network that made it."""
        picture = resize(to_bytes(self.painter.result()[0]), self.painter.size)
        content = resize(self.painter.content8, self.painter.size)
        judge = Judge(self.source, self.settings.test.content_tap)
        distance, scales = judge.style_distance(picture, self.painter.styles8[0])
        return {"seconds": self.seconds, "style_distance": distance,
                "content_distance": judge.content_distance(picture, content), "scales": scales}


def quality(content, style, network, turns=20):
    """The default settings against RIVAL, both painted in `turns` turns; the untouched content beside them."""
    words = (f"network={network}", f"data.content={content}", f"data.style={style}")
    sides = {"quality": Side(words), "one scale": Side((*words, *RIVAL))}
    for turn in range(turns):
        for side in sides.values():
            count = side.settings.train.steps
            side.paint(count * turn // turns, count * (turn + 1) // turns)
    found = {name: side.judge() for name, side in sides.items()}
    judge, size = Judge(sides["quality"].source, "relu4_1"), sides["quality"].painter.size
    untouched, _ = judge.style_distance(resize(read_on_white(content), size), read_on_white(style))
    fast, slow = found.values()
    return {"size": f"{size[1]}x{size[0]}", "content": Path(content).stem, "style": Path(style).stem, **found,
            "untouched_style_distance": untouched, "time_ratio": fast["seconds"] / slow["seconds"],
            "style_ratio": fast["style_distance"] / slow["style_distance"],
            "content_ratio": fast["content_distance"] / slow["content_distance"]}


def memory(network):
    """Peak MiB of a fresh process with one Adam step at 4096 x 3072, its seconds, and the peak of the imports alone."""
    imports = "from cases.vgg19_style.painter import Painter, feature_network, prepare"
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "large.png"
        Image.fromarray(photograph("coffee.png")).resize((4096, 3072), Image.BICUBIC).save(file, compress_level=1)
        words = (f"network={network}", f"data.content={file}", f"data.style={build('style') / STYLE}",
                 "data.size=4096", "train.scales=1", "train.steps=1", "train.optimizer=adam", "train.tile=auto")
        code = f"""
{imports}
import time, torch
from cases.vgg19_style.data import works
from common.experiment.settings import resolve
torch.set_num_threads({torch.get_num_threads()})
settings = resolve("vgg19_style", {words!r}).config
trunk, loss = feature_network(settings)
painter = Painter(settings, trunk, loss, works(settings.data, trunk.name)[0], *prepare(settings))
painter.step(1)
assert painter.size == (3072, 4096) and painter.objective.tile and painter.result().isfinite().all()"""
        began = time.perf_counter()
        peak = timing.peak_memory_mb(code)
        return {"4096x3072, one step": peak, "imports alone": timing.peak_memory_mb(imports),
                "wall_seconds": time.perf_counter() - began}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python cases/vgg19_style/benchmark.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="256", help="sides in pixels, separated by commas (512 takes minutes)")
    parser.add_argument("--parts", default="step,quality,memory", help="which of the three")
    parser.add_argument("--content", help="a photograph for `quality`, else the cat of the sample data")
    parser.add_argument("--style", help="its style, else starry_night")
    parser.add_argument("--network", default="small", help="for `quality` and `memory`")
    parser.add_argument("--peers", action="store_true", help="nothing: no program of other people is measured here")
    options = parser.parse_args(argv)
    wanted = options.parts.split(",")
    if not set(wanted) <= {"step", "quality", "memory"}:
        parser.error(f"--parts {options.parts}: step, quality and memory were expected, separated by commas")
    set_threads()
    sample, device = build("style"), torch.device("cpu")
    content, style = options.content or sample / CONTENT, options.style or sample / STYLE
    source = draw_vgg() if "step" in wanted else None
    parts = ({f"step_{side}": lambda side=side: steps(int(side), source) for side in options.sizes.split(",")}
             if source else {})
    parts |= {"quality": lambda: quality(content, style, options.network)} if "quality" in wanted else {}
    parts |= {"peak_memory_mb": lambda: memory(options.network)} if "memory" in wanted else {}
    numbers = timing.measure("vgg19_style", parts)
    for part, found in numbers.items():
        if part.startswith("step"):
            bf16 = found["of_cached"].get("ours bf16")
            said = ((f", with bf16 {bf16:.2f} of it" if bf16 else "")
                    + (" (this processor has no bfloat16 arithmetic)" if slow_bf16(device) else ""))
            print(f"{part}: {found['of_straightforward']['ours fp32']:.2f} of the straightforward version's time, "
                  f"{found['of_cached']['ours fp32']:.2f} of the one with kept targets{said}")


if __name__ == "__main__":
    main()
