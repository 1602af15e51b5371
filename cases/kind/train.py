"""Train KinD, one network after the other: python cases/kind/train.py [options] [key=value ...]

all stages on LOL (settings: configs/kind.yaml)
    python cases/kind/train.py
the restoration alone, on top of the official decomposition
    python -m cases.kind.extras.convert decomposition.npz adjustment.npz -o official.pt
    python cases/kind/train.py stage=restore --weights official.pt --name restored
a first look (embedded sample data)
    python cases/kind/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR
from torch.optim.swa_utils import AveragedModel

from cases.kind import losses
from cases.kind.data import mixture, training_sets
from cases.kind.enhance import enhance_own
from cases.kind.model import KinD, light_ratio
from cases.kind.ratios import LARGEST, Measured
from common.base.errors import UserError, start
from common.experiment import checkpoints
from common.experiment.run import Run
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training
from common.lowlight.evaluation import mean_scores, ssim_psnr
from common.lowlight.share import fit_share
from common.metrics import psnr

STRETCHED = torch.tensor([[0.0, 1.0]])                          # stretch bounds of what is stretched already


def main(argv=None):
    run = Run("kind", "train", argv)
    training, stage = Training(run), run.config.stage
    pairs, held_out = training_sets(run.config, run.say)
    model = run.prepare(KinD(**run.config.model).requires_grad_(False))
    start_from_parts(run, model)
    seen = mixture(run.config, pairs)
    measured = Measured(pairs.names, getattr(seen, "photographs", None)).to(run.device)
    if stage in ("all", "decompose"):
        decompose(training, model, seen, held_out)
    if stage in ("all", "restore"):
        restore(training, model, seen, held_out)
    if stage in ("all", "adjust"):
        adjust(training, model, pairs, held_out, measured)
    if stage in ("all", "joint") and run.config.joint.steps:
        joint(training, model, pairs, seen, held_out, measured)
    if stage == "guess":
        guess(training, model, pairs, held_out, measured)
    if stage == "share":
        share(training, model, pairs, measured.nights, held_out)
    training.finish()


# ---- the stages ------------------------------------------------------------------------------------------------------

def decompose(training, model, pairs, held_out):
    """Stage 1: R and I of both pictures of a pair, by one network."""
    run = training.run
    settings, weights, norm = run.config.decompose, dict(run.config.loss.decompose), run.config.loss.gradient_norm
    first = weights["guide"]
    part = begin(run, model, "decomposition", settings=settings)
    for pair in training.steps(pairs.in_patches(settings.patch), steps=part.steps, batch=settings.batch_size,
                               stage="decompose", **part.states):
        count = len(pair.low)
        with run.autocast():
            reflectance, illumination = part.network(torch.cat([pair.low, pair.high]))
        low, high = zip(reflectance.float().split(count), illumination.float().split(count))
        terms = (losses.decomposition(low, high, pair.low, pair.high, norm)
                 | {"guide": losses.guide(low[1], high[1], pair.low, pair.high)})
        weights["guide"] = max(first * (1 - 2 * training.step / part.steps), weights["guide_end"])
        training.descend(part.optimizer, run.config.train.clip, **losses.weigh(terms, weights))
        training.log(I_low=low[1].mean(), I_high=high[1].mean())    # both tend to gray where terms are out of balance
        part.after_step()
        if training.due(run.config.train.validate_every):
            training.validated(**validate_decomposition(run, part.whole, held_out))
    part.keep(model)


def restore(training, model, pairs, held_out):
    """Stage 2: R_l, whose noise is strong where I_l is small, becomes R_h to a power."""
    run = training.run
    settings, weights, norm = run.config.restore, run.config.loss.restore, run.config.loss.gradient_norm
    part = begin(run, model, "restoration", settings=settings)
    for pair in training.steps(pairs.in_patches(settings.patch), steps=part.steps, batch=settings.batch_size,
                               stage="restore", **part.states):
        (r_low, i_low), (r_high, _) = decompose_batch(run, model, pair, settings.border)
        with run.autocast():
            prediction = part.network(r_low, i_low)
        target = losses.restoration_target(r_high, run.config.loss.target_power)
        training.descend(part.optimizer, run.config.train.clip,
                         **losses.weigh(losses.restoration(prediction.float(), target, norm), weights))
        part.after_step()
        if training.due(run.config.train.validate_every):
            training.validated(**validate_restoration(run, part.whole, held_out))
    part.keep(model)


def adjust(training, model, pairs, held_out, measured):
    """Stage 3: I of one picture, told the ratio, becomes I of the other; half of the patches are brightened, half are
    darkened."""
    run = training.run
    settings, weights, norm = run.config.adjust, run.config.loss.adjust, run.config.loss.gradient_norm
    part = begin(run, model, "adjustment", settings=settings, measured=measured)
    for pair in training.steps(pairs.in_patches(settings.patch), steps=part.steps, batch=settings.batch_size,
                               stage="adjust", **part.states):
        measured.once(run, model, pairs)                          # whole pictures: light ratios, the automatic fit
        (_, i_low), (_, i_high) = decompose_batch(run, model, pair, settings.border)
        up, down = measured.ratios(pair.name, i_low, i_high, run.config.loss.ratio)
        source, target, ratio = losses.alternately((i_low, i_high, up), (i_high, i_low, down))
        with run.autocast():
            prediction = part.network(source, ratio)
        training.descend(part.optimizer, run.config.train.clip,
                         **losses.weigh(losses.adjustment(prediction.float(), target, norm), weights))
        part.after_step()
        if training.due(run.config.train.validate_every):
            training.validated(**validate(run, part.whole, held_out))
    part.keep(model)


def joint(training, model, pairs, seen, held_out, measured):
    """Stage 4 (ours): restoration and adjustment together, on the final picture; seen: mixture() of the pairs."""
    run = training.run
    settings, weights = run.config.joint, run.config.loss.joint
    part = begin(run, model, "restoration", "adjustment", settings=settings, measured=measured)
    for pair in training.steps(seen.in_patches(settings.patch), steps=part.steps, batch=settings.batch_size,
                               stage="joint", **part.states):
        measured.once(run, model, pairs)
        with run.autocast():
            ratio = ratios_of(run, model, pair, measured)
            output = part.network(pair.low, ratio, STRETCHED.expand(len(pair.low), 2).to(run.device))
        terms = {"l1": losses.absolute(output.float(), pair.high),
                 "ssim": losses.dissimilarity(output.float(), pair.high)}
        training.descend(part.optimizer, run.config.train.clip, **losses.weigh(terms, weights))
        part.after_step()
        if training.due(run.config.train.validate_every):
            training.validated(**validate(run, part.whole, held_out))
    part.keep(model)


def guess(training, model, pairs, held_out, measured):
    """The guessed light ratio alone, fitted anew to the pairs and, with data.kind=mixed, to photographs by night; one
    step."""
    for _ in training.steps(pairs.in_patches(training.run.config.adjust.patch), steps=1, batch=1, stage="guess",
                            model=model, measured=measured):
        measured.once(training.run, model, pairs)
        training.validated(**validate(training.run, model, held_out))


def share(training, model, pairs, nights, held_out):
    """How much of the answer bright pictures get, where the ratio is guessed; fitted to photographs by night and to the
    pairs; one step."""
    run = training.run
    if nights is None:
        raise UserError("stage=share is fitted to photographs, bright and by night: data.kind=mixed was expected: say "
                        "preset=everyday")
    for _ in training.steps(pairs.in_patches(run.config.adjust.patch), steps=1, batch=1, stage="share", model=model):
        fit_share(model, nights, pairs, lambda picture: enhance_own(model, picture, run.config.test)[0], passes=1)
        training.validated(**validate(run, model, held_out))


# ---- what the stages share -------------------------------------------------------------------------------------------

class Part(NamedTuple):
    """What one stage trains."""
    names: list                     # networks of KinD by name
    network: nn.Module              # with gradients, wrapped for torchrun: the one network, or KinD where there are two
    trained: nn.ModuleDict          # the networks by name
    average: AveragedModel          # the moving average of their weights
    whole: KinD                     # KinD with the averages in their places: what is evaluated and saved
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps: int
    states: dict                    # what a resumed run needs

    def after_step(self):
        """Move the learning rate and the average."""
        self.schedule.step()
        self.average.update_parameters(self.trained)

    def keep(self, model):
        """The stage's end: the averages become the networks of `model`, no longer trained."""
        for name in self.names:
            getattr(model, name).load_state_dict(self.average.module[name].state_dict())
        model.requires_grad_(False)


def begin(run, model, *names, settings, **more):
    """Get one or two networks of the model ready to be trained. more: further states of a run."""
    train = run.config.train
    trained = nn.ModuleDict({name: getattr(model, name).requires_grad_(True) for name in names})
    network = run.prepare(model if len(names) > 1 else getattr(model, names[0]))
    average = moving_average(trained, train.average)
    whole = copy.copy(model)                                      # shares every network but those that are trained
    whole._modules = model._modules | dict(average.module.items())
    steps = train.steps or settings.steps
    optimizer = torch.optim.Adam(trained.parameters(), lr=settings.lr)
    if train.schedule == "cosine":
        schedule = warmup_cosine(optimizer, steps, train.warmup)
    else:                                                         # the others' rate stays
        schedule = MultiStepLR(optimizer, train.milestones if "restoration" in names else [], gamma=0.5)
    states = {"model": model, "average": whole, "moving": average, "optimizer": optimizer, "schedule": schedule, **more}
    return Part(list(names), network, trained, average, whole, optimizer, schedule, steps, states)


@torch.no_grad()
def decompose_batch(run, model, pair, border):
    """((R_l, I_l), (R_h, I_h)) of a batch, float32, without `border` pixels at each side, whose surroundings the
    network lacked."""
    height, width = pair.low.shape[2:]
    with run.autocast():
        maps = model.decomposition(torch.cat([pair.low, pair.high]))
    inside = [value.float()[:, :, border:height - border, border:width - border] for value in maps]
    return tuple(zip(*(value.chunk(2) for value in inside)))


def ratios_of(run, model, pair, measured):
    """(N,) light ratios of a batch: of the whole picture where it is a pair's, of the patch for a photograph by
    night."""
    known = torch.tensor([name in measured.places for name in pair.name], device=run.device)
    ratios = torch.ones(len(pair.name), device=run.device)
    if known.any():
        names = [name for name in pair.name if name in measured.places]
        ratios[known] = measured.ratios(names, None, None, "picture")[0]
    if not known.all():
        (_, low), (_, high) = decompose_batch(run, model, pair, 0)
        ratios = torch.where(known, ratios, light_ratio(low, high).clamp(max=LARGEST))
    return ratios


def start_from_parts(run, model):
    """Take over the networks that the file of --weights holds (all, or what a converter found); check that a late stage
    has what it needs."""
    stage, found = run.config.stage, set()
    if run.options.weights:
        chosen = checkpoints.find("kind", run.name, run.options.weights)
        found = {key.split(".")[0] for key in chosen.state} & {"decomposition", "restoration", "adjustment"}
        try:
            model.load_state_dict({key: value.float() for key, value in chosen.state.items()}, strict=False)
        except RuntimeError as error:
            raise UserError(f"{chosen.path} does not fit KinD: {' '.join(str(error).split())[:300]}: give weights that "
                            "this network made") from None
        run.say(f"starting from {', '.join(sorted(found))} of {chosen.said}")
    needed = {"restore": {"decomposition"}, "adjust": {"decomposition"},
              "joint": {"decomposition", "restoration", "adjustment"},
              "guess": {"decomposition", "restoration", "adjustment"},
              "share": {"decomposition", "restoration", "adjustment"}}.get(stage, set())
    if needed - found:
        raise UserError(f"stage={stage} builds on {', '.join(sorted(needed - found))}: no weights were given for it: "
                        "expected --weights FILE: say --weights FILE, or stage=all")


# ---- validation: whole pictures of held-out scenes -------------------------------------------------------------------

@torch.inference_mode()
def validate_decomposition(run, model, pairs):
    """The loss; PSNR of both products and of R_l I_h, which says how far R_l already serves the bright picture; mean
    illuminations."""
    weights, scores = run.config.loss.decompose, []
    for pair in singly(run, pairs):
        low, high = decompose_batch(run, model, pair, 0)
        terms = losses.decomposition(low, high, pair.low, pair.high, run.config.loss.gradient_norm)
        products = (low[0] * low[1], pair.low), (high[0] * high[1], pair.high), (low[0] * high[1], pair.high)
        scores.append([sum(losses.weigh(terms, weights).values()).item(),
                       *(psnr(*pictures).item() for pictures in products),
                       low[1].mean().item(), high[1].mean().item()])
    return mean_scores(["loss", "psnr_low", "psnr_high", "psnr_R_low_I_high", "I_low", "I_high"], scores)


@torch.inference_mode()
def validate_restoration(run, model, pairs):
    """SSIM and PSNR of P I_h, the picture at perfect illumination."""
    scores = []
    for pair in singly(run, pairs):
        (r_low, i_low), (_, i_high) = decompose_batch(run, model, pair, 0)
        with run.autocast():
            restored = model.restore(r_low, i_low).float()
        scores.append(ssim_psnr(restored * i_high, pair.high))
    return mean_scores(["ssim", "psnr"], scores)


@torch.inference_mode()
def validate(run, model, pairs):
    """SSIM and PSNR of the final picture under gt_ratio, against the stretched target, and PSNR under gt_free."""
    scores = []
    for place, pair in enumerate(singly(run, pairs)):
        (r_low, i_low), (_, i_high) = decompose_batch(run, model, pair, 0)
        guessed = model.guess_ratio(pair.low, i_low, torch.tensor(pairs.bounds_of(place)[:2], device=run.device)[None]
                                    / 255)
        with run.autocast():
            restored = model.restore(r_low, i_low)
            outputs = [restored * model.adjustment(i_low, ratio) for ratio in (light_ratio(i_low, i_high), guessed)]
        scores.append([*ssim_psnr(outputs[0], pair.high), ssim_psnr(outputs[1], pair.high)[1]])
    return mean_scores(["ssim", "psnr", "psnr_gt_free"], scores)


def singly(run, pairs):
    """Every pair of a data set as a batch of one, on the device."""
    for index in range(len(pairs)):
        pair = pairs[0, index]
        yield pair._replace(low=pair.low[None].to(run.device, memory_format=torch.channels_last),
                            high=pair.high[None].to(run.device, memory_format=torch.channels_last))


if __name__ == "__main__":
    sys.exit(start(main))
