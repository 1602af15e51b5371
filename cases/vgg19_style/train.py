"""Style transfer: python cases/vgg19_style/train.py [options] [key=value ...]   (settings: configs/vgg19_style.yaml)

paint every content in every style
    python cases/vgg19_style/train.py
a network that paints one style
    python cases/vgg19_style/train.py preset=fast --name starry data.style=starry_night.jpg
... or many
    python cases/vgg19_style/train.py preset=styles --name styles data.styles=[a.jpg,b.jpg]
the feature network `small`
    python cases/vgg19_style/train.py preset=small --name small
a first look (embedded sample data)
    python cases/vgg19_style/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import math
import time

from cases.vgg19_style.data import Turns, largest_size, works
from cases.vgg19_style.extras.distill import distill
from cases.vgg19_style.fast.train import train_fast
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.base.errors import start
from common.base.progress import duration
from common.data.images import write_image
from common.experiment.run import Run
from common.experiment.training import Training


def main(argv=None):
    run = Run("vgg19_style", "train", argv)
    training = Training(run)
    {"optimise": paint, "fast": train_fast, "distill": distill}[run.config.stage](training, run.config)
    training.finish()


def paint(training, cfg):
    """Every content in every style, one picture after the other; a stage of the run is one picture."""
    run = training.run
    run.ignore_weights()
    trunk, loss = feature_network(cfg, run.device)
    run.say(f"network {trunk.name} ({trunk.tag}): style {', '.join(loss.style_taps)}; content "
            f"{', '.join(loss.content_taps)}")
    if run.world > 1:
        run.say("a picture has no batch to share: every process paints the same; one is enough")
    all_works = works(cfg.data, trunk.name)
    canvas, optimizer = prepare(cfg, run.device, largest_size(all_works, cfg.data.size))
    folder, seconds = training.folder / "images", {}
    for place, work in enumerate(all_works):
        painter = Painter(cfg, trunk, loss, work, canvas, optimizer, place)
        if place == 0 and not training.resumed:
            say_estimate(run, painter, len(all_works))
        began = time.perf_counter()
        for _ in training.steps(Turns(all_works), steps=cfg.train.steps, batch=run.world, stage=work.name,
                           marks={"pair": work.name},
                           model=canvas, optimizer=optimizer):
            terms = painter.step(training.step)
            training.log(loss=training.expect_finite(terms), **terms)
            epoch, within = divmod(training.step, cfg.train.epoch)
            if within == 0 and epoch in cfg.train.snapshots and run.main:
                write_image(folder / "epochs" / work.name / f"{epoch:03d}.png",
                            painter.result()[0])
            if training.due(cfg.train.save_every) and run.main:
                last = training.step == cfg.train.steps
                write_image(folder / f"{work.name}.png", (painter.finish() if last else painter.result())[0])
            if training.step == 1:
                seconds[work.name] = None
        if work.name in seconds:
            seconds[work.name] = round(time.perf_counter() - began, 2)
    run.record("pictures", seconds_per_picture=seconds)


def say_estimate(run, painter, count):
    """Print time and memory of the whole with the network at hand, from one step at the first, coarsest scale."""
    cfg = run.config
    painter.probe()                                             # the first call also warms up
    began = time.perf_counter()
    painter.probe()
    rate = (time.perf_counter() - began) / math.prod(painter.scales[0].size)
    lasts = [0, *(scale.last for scale in painter.scales)]
    work = sum(math.prod(scale.size) * (scale.last - before) for scale, before in zip(painter.scales, lasts))
    seconds = count * rate * work
    run.say(f"{count} pictures of {cfg.train.steps} steps, about {duration(seconds)}; "
            f"{painter.memory() / 2**30:.1f} GiB for the features")


if __name__ == "__main__":
    sys.exit(start(main))
