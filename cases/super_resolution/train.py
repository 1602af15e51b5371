"""Train super-resolution: python cases/super_resolution/train.py [options] [key=value ...]

The small network for one scale (settings: configs/super_resolution.yaml; about 50 minutes on one core)
    python cases/super_resolution/train.py model.scale=4 --name x4
on from the network of another scale: all but the last layer is taken over
    python cases/super_resolution/train.py model.scale=4 --weights checkpoints/super_resolution/x2/best.pt --name x4
a first look (embedded sample data)
    python cases/super_resolution/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's

import torch

from cases.super_resolution.data import training_sets
from cases.super_resolution.losses import content
from cases.super_resolution.model import SuperResolution
from common.base.errors import start
from common.data.images import to_bytes
from common.experiment import checkpoints
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training
from common.metrics import psnr_y


def main(argv=None):
    run = Run("super_resolution", "train", argv)
    cfg, training = run.config, Training(run)
    patches, held_out = training_sets(cfg)

    training.arguments = arguments(cfg.model)
    model = run.prepare(take_over(training, SuperResolution(**training.arguments)))
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.Adam(model.parameters(), lr=cfg.train.lr, betas=(0.9, 0.99))
    schedule = warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)

    for sample in training.steps(patches, steps=cfg.train.steps, batch=cfg.train.batch_size,
                                 model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            y = model(sample.low)
        training.descend(optimizer, cfg.train.clip, content=content(y.float(), sample.high, cfg.train.loss))
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(run, average.module, held_out))
    training.finish()


def arguments(settings):
    """The network's keyword arguments: its settings, with one scale for a list of scales."""
    return {name: value for name, value in settings.items() if name != "scale"} | {"scales": [settings.scale]}


def take_over(training, model):
    """The network with the weights of --weights as its start, in a new run: also those of another scale, without the
    last layer, which depends on the scale."""
    run = training.run
    if run.options.weights and not training.resumed:
        chosen = checkpoints.find(run.case, run.name, run.options.weights)
        scale, others = model.scales[0], chosen.model["scales"]
        source = scale if scale in others else others[0]
        given = {name.replace(f"networks.{source}.", f"networks.{scale}."): tensor.float()
                 for name, tensor in chosen.state.items() if name.startswith(f"networks.{source}.")}
        own = model.state_dict()
        fitting = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
        model.load_state_dict(own | fitting)
        run.say(f"starting from {chosen.said}: {len(fitting)} of {len(own)} tensors")
    return model


@torch.inference_mode()
def validate(run, model, pictures):
    """Mean PSNR of the luma over whole held-out pictures, as they would be written."""
    model.eval()
    scores = []
    for index in range(len(pictures)):
        sample = pictures[0, index]
        with run.autocast():
            y = model(sample.low[None].to(run.device))
        scores.append(psnr_y(to_bytes(y[0]), to_bytes(sample.high), border=run.config.model.scale))
    model.train()
    return {"psnr_y": sum(scores) / len(scores)}


if __name__ == "__main__":
    sys.exit(start(main))
