"""Train super-resolution: python cases/super_resolution/train.py [options] [key=value ...]

The small network for one scale (settings: configs/super_resolution.yaml; about 40 minutes on one core)
    python cases/super_resolution/train.py model.scale=4 --name x4
on from the network of another scale: all but the last layer is taken over
    python cases/super_resolution/train.py model.scale=4 --weights checkpoints/super_resolution/x2/best.pt --name x4
against a discriminator
    python cases/super_resolution/train.py preset=gan --weights checkpoints/super_resolution/x4/best.pt --name gan
a first look (embedded sample data)
    python cases/super_resolution/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import torch

from cases.super_resolution import losses
from cases.super_resolution.data import training_sets
from cases.super_resolution.model import Discriminator, SuperResolution
from cases.super_resolution.perceptual import feature_distance, load_judge
from common.base.errors import UserError, start
from common.data.images import to_bytes
from common.experiment import checkpoints
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training
from common.features import vgg
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
    trunk = run.prepare(vgg.load("small", [cfg.train.tap])) if cfg.train.perceptual else None
    opponent = prepare_opponent(run) if cfg.train.adversarial else {}
    judge = load_judge(run.device) if opponent else None

    for sample in training.steps(patches, steps=cfg.train.steps, batch=cfg.train.batch_size, model=model,
                                 optimizer=optimizer, schedule=schedule, average=average, **opponent):
        with run.autocast():
            y = model(sample.low).float()
        training.descend(optimizer, cfg.train.clip, **terms(cfg.train, y, sample.high, trunk, **opponent))
        if opponent:
            training.log(discriminator=teach(training, sample.high, y.detach(), **opponent))
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(run, average.module, held_out, judge))
    training.finish()


def arguments(settings):
    """The network's keyword arguments: its settings, with one scale for a list of scales."""
    return {name: value for name, value in settings.items() if name != "scale"} | {"scales": [settings.scale]}


def take_over(training, model):
    """The network with the weights of --weights as its start, in a new run: also those of another scale, without the
    last layer, which depends on the scale, and those of a network without self-attention."""
    run = training.run
    if run.options.weights and not training.resumed:
        chosen = checkpoints.find(run.case, run.name, run.options.weights)
        checkpoints.build(SuperResolution, chosen)           # UserError for weights that are none of this network
        scale, others = model.scales[0], chosen.model["scales"]
        source = scale if scale in others else others[0]
        given = {name.replace(f"networks.{source}.", f"networks.{scale}."): tensor.float()
                 for name, tensor in chosen.state.items() if name.startswith(f"networks.{source}.")}
        own = model.state_dict()
        fitting = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
        if len(fitting) < len(given) - 2:                    # weight and bias of the last layer
            raise UserError(f"the network of {chosen.path} is of other sizes ({chosen.model}) than that of the "
                            f"settings ({training.arguments}): one that differs in the scale alone was expected: set "
                            "model.* as there, or leave --weights out")
        model.load_state_dict(own | fitting)
        run.say(f"starting from {chosen.said}, scale {source}: {len(fitting)} of {len(own)} tensors")
    return model


# ---- against a discriminator -----------------------------------------------------------------------------------------

def prepare_opponent(run):
    """{name: state} of the discriminator and its optimiser, which a run saves and resumes as well."""
    side = run.config.data.patch * run.config.model.scale
    if side % 16:
        raise UserError(f"the discriminator halves its pictures four times: data.patch={run.config.data.patch} x "
                        f"model.scale={run.config.model.scale} = {side} pixels: a multiple of 16 was expected: change "
                        "data.patch")
    if run.world > 1:
        raise UserError(f"train.adversarial={run.config.train.adversarial} with {run.world} processes: each would have "
                        "a discriminator of its own: one process was expected: leave torchrun out")
    discriminator = run.prepare(Discriminator(side, run.config.train.width))
    return {"discriminator": discriminator,
            "opponent": torch.optim.Adam(discriminator.parameters(), lr=run.config.train.lr, betas=(0.9, 0.99))}


def terms(settings, y, high, trunk=None, discriminator=None, opponent=None):
    """What the network minimises, weighted: {name: scalar}."""
    found = {"content": settings.content * losses.content(y, high, settings.loss)}
    if trunk is not None:
        found["perceptual"] = settings.perceptual * losses.perceptual(trunk, settings.tap, y, high)
    if discriminator is not None:
        real = discriminator(high).detach() if settings.judge == "relativistic" else None
        found["adversarial"] = settings.adversarial * losses.adversarial(discriminator(y), real, settings.judge)
    return found


def teach(training, high, fake, discriminator, opponent):
    """One step of the discriminator on true pictures and the network's; its loss."""
    kind = training.run.config.train.judge
    loss = training.expect_finite({"discriminator": losses.judge_loss(discriminator(high), discriminator(fake), kind)})
    opponent.zero_grad(set_to_none=True)
    loss.backward()
    opponent.step()
    return loss


# ---- held-out pictures -----------------------------------------------------------------------------------------------

@torch.inference_mode()
def validate(run, model, pictures, judge=None):
    """Mean scores over whole held-out pictures, as they would be written: PSNR of the luma; against a discriminator the
    distance of features first, by which the weights are chosen then."""
    model.eval()
    scores = []
    for index in range(len(pictures)):
        sample = pictures[0, index]
        with run.autocast():
            y = model(sample.low[None].to(run.device))
        answer, truth = to_bytes(y[0]), to_bytes(sample.high)
        values = {"feature_distance": feature_distance(judge, answer, truth)} if judge else {}
        scores.append(values | {"psnr_y": psnr_y(answer, truth, border=run.config.model.scale)})
    model.train()
    return {name: sum(each[name] for each in scores) / len(scores) for name in scores[0]}


if __name__ == "__main__":
    sys.exit(start(main))
