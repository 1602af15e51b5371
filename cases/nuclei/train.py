"""Train a network that finds nuclei: python cases/nuclei/train.py [options] [key=value ...]

the small U-Net (settings: configs/nuclei.yaml)
    python cases/nuclei/train.py
recurrence and attention, at about the same time a step
    python cases/nuclei/train.py preset=r2atunet --name r2atunet
a first look (embedded sample data)
    python cases/nuclei/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch

from cases.nuclei import losses
from cases.nuclei.data import Patches, read_gray, read_labels, training_pictures
from cases.nuclei.model import Nuclei
from cases.nuclei.segment import best, predict, segment
from common import metrics
from common.base.errors import UserError, start
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training


def main(argv=None):
    run = Run("nuclei", "train", argv)
    cfg, training = run.config, Training(run)
    if "nucleus" not in cfg.model.maps:
        raise UserError(f"model.maps={cfg.model.maps} lacks nucleus, which tells nuclei from the ground: it was "
                        "expected among them: add it")
    pictures, held_out = training_pictures(cfg.data.root, cfg.data.stained)
    patches = Patches(pictures, cfg.model.maps, cfg.data.patch, cfg.data.elastic, cfg.data.gain, cfg.train.boundary,
                      cfg.seed)

    model = run.prepare(training.start_from(Nuclei(**cfg.model)))
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.train.lr, weight_decay=cfg.train.weight_decay)
    schedule = warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)

    for sample in training.steps(patches, steps=cfg.train.steps, batch=cfg.train.batch_size, model=model,
                                 optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            logits = model(sample.picture).float()
        training.descend(optimizer, cfg.train.clip, **terms(cfg, logits, sample))
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            settle_statistics(run, average.module, pictures, cfg.train.statistics)
            training.validated(**validate(run, average.module, held_out[:cfg.train.validate_pictures]))
    training.finish()


def terms(cfg, logits, sample):
    """What the network minimises, weighted: {name: scalar}. A map of distances has a loss of its own."""
    found = {}
    for place, name in enumerate(cfg.model.maps):
        answer, target = logits[:, place], sample.targets[:, place]
        if name == "distance":
            found[name] = losses.distance(answer, target)
            continue
        found[name] = (losses.focal(answer, target) if cfg.train.loss == "focal"
                       else losses.bce(answer, target, sample.weight))
        if cfg.train.dice:
            found[f"{name}_dice"] = cfg.train.dice * losses.dice(answer, target)
    return found


@torch.no_grad()
def settle_statistics(run, model, pictures, count):
    """Batch norm's means and variances of the averaged weights, from whole training pictures, unvaried: those that came
    with the weights are of a few batches, of varied patches, and of other weights."""
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None                                # the mean over all that follow
    model.train()
    for picture in pictures[::max(1, len(pictures) // count)][:count]:
        model(torch.from_numpy(read_gray(picture.path))[None, None].to(run.device))
    for layer, momentum in zip(layers, usual):
        layer.momentum = momentum


def validate(run, model, pictures):
    """Mean over whole held-out pictures: mean AP of single nuclei, which chooses the weights, and IoU."""
    model.eval()
    scores = []
    for picture in pictures:
        maps = predict(model, read_gray(picture.path), run.config.test, run.device)
        found = metrics.overlaps(read_labels(picture), best(segment(maps, run.config.test)))
        scores.append((np.nanmean(metrics.average_precision(*metrics.matches(found))), metrics.foreground_iou(found)))
    model.train()
    return dict(zip(("ap", "iou"), np.mean(scores, axis=0).tolist()))


if __name__ == "__main__":
    sys.exit(start(main))
