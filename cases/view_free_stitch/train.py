"""Train the stitching network (settings: configs/view_free_stitch.yaml):

    python cases/view_free_stitch/train.py [options] [key=value ...]

stage 1, the homography
    python cases/view_free_stitch/train.py --name homography
stage 2, content revision
    python cases/view_free_stitch/train.py preset=revise --name revise --weights RUN/best.pt
a first look (embedded sample data)
    python cases/view_free_stitch/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import math

import torch
from torch.optim.lr_scheduler import MultiStepLR

from cases.view_free_stitch.data import training_pairs, validation_pairs
from cases.view_free_stitch.losses import content, homography_terms, jitter, whole_canvas
from cases.view_free_stitch.model import CANVAS, MARGIN, SIDE, ViewFreeStitch
from common.base.errors import UserError, start
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training


def main(argv=None):
    run = Run("view_free_stitch", "train", argv)
    training = Training(run)
    {"homography": train_homography, "revise": train_revision}[run.config.stage](training, run.config)
    training.finish()


def train_homography(training, cfg):
    """Stage 1: offsets of generated pairs. Weights with the least mean error on pairs of held-out photographs are
    kept."""
    run, pairs, held_out = training.run, training_pairs(cfg, label=False), validation_pairs(cfg)
    model, average, optimizer, schedule = prepare(training, cfg, "homography")
    for pair in training.steps(pairs, steps=cfg.train.steps, batch=cfg.train.batch_size,
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            prediction = model(pair.a, pair.b)
        training.descend(optimizer, cfg.train.clip, **homography_terms(prediction, pair.offsets, cfg.train))
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate_homography(run, average.module, held_out))


def train_revision(training, cfg):
    """Stage 2: the revised canvas, at true offsets with the noise of stage 1 put on them. Stage 1 is frozen; --weights
    brings it."""
    if not training.run.options.weights and not training.resumed:
        raise UserError("stage=revise needs a trained homography network to stand on: --weights was expected: "
                        "--weights checkpoints/view_free_stitch/RUN/best.pt, with the RUN that trained "
                        "stage=homography")
    run, pairs, held_out = training.run, training_pairs(cfg, label=True), validation_pairs(cfg)
    model, average, optimizer, schedule = prepare(training, cfg, "revision")
    for pair in training.steps(pairs, steps=cfg.train.steps, batch=cfg.train.batch_size, stage="revise",
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            window = random_window(cfg.train.window)
            stitched = model(pair.a, pair.b, jitter(pair.offsets, cfg.train.jitter), window)
        label, mask = (cut(canvas, window) for canvas in (pair.label, pair.mask))
        union = (stitched.warps.mask_a | stitched.warps.mask_b) * mask
        revised = stitched.revised.float()
        loss = whole_canvas(revised, label) if cfg.train.loss == "squares" else content(revised, label, union)
        training.descend(optimizer, cfg.train.clip, content=loss)
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate_revision(run, average.module, held_out))


def random_window(side):
    """(left, top, side) of a window of the canvas that A's border runs through; the whole canvas for side 0 or from
    304."""
    if not 0 < side < CANVAS:
        return (0, 0, CANVAS)
    left, top = torch.randint(max(0, MARGIN - side // 2), min(CANVAS - side, MARGIN + SIDE - side // 2) + 1,
                              (2,)).tolist()
    return left, top, side


def cut(canvas, window):
    """The part of canvases (N, C, 304, 304) in a window."""
    left, top, side = window
    return canvas[..., top:top + side, left:left + side]


def prepare(training, cfg, part):
    """(model, its moving average, optimiser, schedule): the other part of the model is frozen."""
    model = ViewFreeStitch(**cfg.model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part))
    model = training.run.prepare(training.start_from(model))
    average = moving_average(bare(model), cfg.train.average)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=cfg.train.lr, weight_decay=cfg.train.weight_decay)
    if cfg.train.schedule == "cosine":
        return model, average, optimizer, warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)
    return model, average, optimizer, MultiStepLR(optimizer, cfg.train.milestones)


def batches(pairs, size=32):
    """FixedPairs as batches of tensors."""
    for first in range(0, len(pairs), size):
        tensors = [pairs.pair(place).tensors() for place in range(first, min(first + size, len(pairs)))]
        yield type(tensors[0])(*(torch.stack(column) if torch.is_tensor(column[0]) else column
                                 for column in zip(*tensors)))


@torch.inference_mode()
def validate_homography(run, model, pairs):
    """Mean and median over the pairs of the error of the offsets, in pixels, each at most 100."""
    model.eval()
    errors = []
    for pair in batches(pairs):
        prediction = model(pair.a.to(run.device), pair.b.to(run.device))
        errors.append((prediction.offsets.cpu() - pair.offsets).square().mean(dim=1).sqrt().clamp(max=100))
    model.train()
    errors = torch.cat(errors)
    return {"rmse_4pt": errors.mean().item(), "rmse_4pt_median": errors.median().item()}


@torch.inference_mode()
def validate_revision(run, model, pairs):
    """PSNR inside the union, of the revised picture and of the plain average, at offsets with the noise of training."""
    model.eval()
    revised, average = [], []
    generator = torch.Generator().manual_seed(0)
    for pair in batches(pairs, 8):
        stitched = model(pair.a.to(run.device), pair.b.to(run.device),
                         jitter(pair.offsets, run.config.train.jitter, generator))
        union = (stitched.warps.mask_a | stitched.warps.mask_b).cpu() & (pair.mask > 0)
        for scores, picture in ((revised, stitched.revised), (average, stitched.warps.average())):
            squares = ((picture.cpu() - pair.label).square() * union).sum(dim=(1, 2, 3))
            means = squares / (3 * union.sum(dim=(1, 2, 3)))
            scores += [-10 * math.log10(max(value, 1e-12)) for value in means.tolist()]
    model.train()
    return {"psnr_union": sum(revised) / len(revised), "average": sum(average) / len(average)}


if __name__ == "__main__":
    sys.exit(start(main))
