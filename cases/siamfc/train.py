"""Train SiamFC: python cases/siamfc/train.py [options] [key=value ...]   (settings: configs/siamfc.yaml)

from still photographs with boxes (what made the release weights)
    python cases/siamfc/train.py
on GOT-10k
    python cases/siamfc/train.py preset=got10k --name got10k
the paper's schedule
    python cases/siamfc/train.py preset=paper --name paper
a first look (embedded sample sequences)
    python cases/siamfc/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import torch
from torch.optim.lr_scheduler import LambdaLR

from cases.siamfc.data import training_sets
from cases.siamfc.guide import Guide
from cases.siamfc.losses import terms
from cases.siamfc.model import SiamFC
from cases.siamfc.sequences import follow_clips, score_clips
from cases.siamfc.teacher import Teacher
from cases.siamfc.tracker import SiamFCTracker
from common.base.errors import start
from common.experiment import checkpoints
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training


def main(argv=None):
    run = Run("siamfc", "train", argv)
    cfg, training = run.config, Training(run)
    pairs, clips = training_sets(cfg)

    model = run.prepare(training.start_from(SiamFC(**cfg.model)))
    average = moving_average(bare(model), cfg.train.average)
    optimizer, schedule = optimisation(model, cfg.train)
    teacher = choose_teacher(run, pairs) if cfg.train.teacher else None
    guide = Guide(cfg.train.guide, run.device, cfg.precision) if cfg.train.guide else None

    for pair in training.steps(pairs, steps=cfg.train.steps, batch=cfg.train.batch_size,
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            responses, *features = model(pair.z.float(), pair.x.float(), features=True)
        losses = terms(responses, pair.offset, cfg.train.loss)      # of (N, N, 15, 15): every z on every x
        if teacher:
            losses |= teacher.terms(pair, responses, *features, cfg.train.distil)
        if guide:
            losses["guided"] = cfg.train.guidance * guide.term(pair.x, features[1])
        training.descend(optimizer, cfg.train.clip, **losses)
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(run, average.module, clips))
    training.finish()


def choose_teacher(run, pairs):
    """The Teacher of train.teacher, which comes to meet a student that begins with --weights."""
    cfg, student = run.config, None
    if run.options.weights:
        student = checkpoints.build(SiamFC, checkpoints.find("siamfc", run.name, run.options.weights))
    return Teacher(cfg.train.teacher, pairs, cfg.model.widths[-1], run.device, cfg.precision, student)


def optimisation(model, settings):
    """(optimiser, schedule). sgd with the paper's schedule: the rate falls geometrically to a thousandth; with the
    authors' factors: rate 2 for biases of convolutions and gains of batch norm, no decay on these and on its shifts.
    adamw: warm-up and cosine, decay on convolutions only."""
    kernels, doubled, others = [], [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() == 4:
                kernels.append(parameter)
            elif name == "bias" and isinstance(module, torch.nn.BatchNorm2d):
                others.append(parameter)
            else:
                doubled.append(parameter)
    if settings.optimizer == "sgd":
        groups = [{"params": kernels, "weight_decay": settings.weight_decay},
                  {"params": doubled, "lr": 2 * settings.lr}, {"params": others}]
        optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=settings.lr, momentum=0.9)
        return optimizer, LambdaLR(optimizer, lambda step: 1e-3 ** (step / max(1, settings.steps)))
    groups = [{"params": kernels, "weight_decay": settings.weight_decay},
              {"params": doubled + others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr)
    return optimizer, warmup_cosine(optimizer, settings.steps, settings.warmup)


def validate(run, model, clips):
    """Mean AO and success AUC over the validation clips, tracked with the popular settings. AO stands first: it chooses
    the weights."""
    tracker = SiamFCTracker(model, device=run.device, precision=run.config.precision)
    return score_clips(follow_clips(tracker, clips), clips)


if __name__ == "__main__":
    sys.exit(start(main))
