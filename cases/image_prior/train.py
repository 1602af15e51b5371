"""Fit a network to each picture: python cases/image_prior/train.py [options] [key=value ...]

Watermarks on the pictures of a folder (settings: configs/image_prior.yaml)
    python cases/image_prior/train.py data.root=FOLDER --name mine
nine named pictures
    python cases/image_prior/train.py preset=nine data.root=FOLDER --name check
holes, or noise
    python cases/image_prior/train.py task=inpaint data.root=FOLDER --name holes
    python cases/image_prior/train.py task=denoise preset=denoise data.root=FOLDER --name noise
a first look (embedded sample data)
    python cases/image_prior/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import time

import torch

from cases.image_prior.data import Tasks
from cases.image_prior.prior import Prior, place_in_fit, take_step
from common.base.errors import start
from common.data.images import to_tensor, write_image
from common.experiment.run import Run
from common.experiment.training import Training


def main(argv=None):
    run = Run("image_prior", "train", argv)
    cfg, training = run.config, Training(run)
    run.ignore_weights()
    if run.world > 1:
        run.say("a picture has no batch to share: every process fits the same; one is enough")
    tasks, seconds = Tasks(cfg), {}
    prior = Prior(cfg).to(run.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(prior.network.parameters(), lr=cfg.train.lr)
    for place in range(len(tasks.names)):
        seconds |= fit(training, tasks, place, prior, optimizer)
    run.record("pictures", seconds_per_picture=seconds)
    training.finish()


def fit(training, tasks, place, prior, optimizer):
    """One picture: a stage of the run. Returns {name: seconds}, empty where the picture was done before."""
    cfg, run, name = training.run.config, training.run, tasks.names[place]
    prior.look_at(tasks.task(place), place, run.device)
    began, first = time.perf_counter(), None
    for _ in training.steps(tasks, steps=cfg.train.fits * cfg.train.steps, batch=run.world, stage=name,
                            marks={"picture": name}, model=prior, optimizer=optimizer):
        fit_number, step = place_in_fit(training.step, cfg.train.steps)
        if step == 1:
            prior.begin(fit_number)
        first = first or training.step
        if not prior.exhausted(step):
            check = step == cfg.train.steps or step % cfg.train.validate_every == 0
            held_out = take_step(prior, optimizer, step, check, run.autocast, training.descend)
            if held_out is not None:
                training.log(held_out=held_out)
        if step == cfg.train.steps:
            run.say(f"{name}: step {int(prior.best_step)} of {step}, fit {fit_number + 1} of {cfg.train.fits}")
        if training.step == cfg.train.fits * cfg.train.steps:
            averaged, last = prior.finish(name)
            if run.main:
                for kind, picture in (("averaged", averaged), ("last", last)):
                    write_image(training.folder / "images" / kind / f"{name}.png", to_tensor(picture))
    return {name: round(time.perf_counter() - began, 2)} if first == 1 else {}


if __name__ == "__main__":
    sys.exit(start(main))
