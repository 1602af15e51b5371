"""Train MSR-net: python cases/msrnet/train.py [options] [key=value ...]   (settings: configs/msrnet.yaml)

The paper's network on LOL (about 10 minutes on one core)
    python cases/msrnet/train.py
the denoising variant (about 25 minutes)
    python cases/msrnet/train.py preset=denoise --name denoise
a first look (half a minute, embedded sample data)
    python cases/msrnet/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import torch
from torch.optim.lr_scheduler import MultiStepLR

from cases.msrnet.data import training_sets
from cases.msrnet.losses import terms
from cases.msrnet.model import MSRNet
from common.base.errors import UserError, start
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training
from common.lowlight.evaluation import mean_scores, ssim_psnr
from common.lowlight.share import fit_share


def main(argv=None):
    run = Run("msrnet", "train", argv)
    cfg, training = run.config, Training(run)
    pairs, held_out = training_sets(cfg)
    if cfg.stage == "share":
        fit(training, pairs, held_out)
        return training.finish()

    model = run.prepare(training.start_from(MSRNet(**cfg.model)))
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.train.lr, betas=(0.9, 0.99),
                                  weight_decay=cfg.train.weight_decay)
    if cfg.train.schedule == "cosine":
        schedule = warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)
    else:
        schedule = MultiStepLR(optimizer, cfg.train.milestones)

    for pair in training.steps(pairs, steps=cfg.train.steps, batch=cfg.train.batch_size,
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            output = model(pair.low, pair.thumbnail)
        training.descend(optimizer, cfg.train.clip, **terms(output.float(), pair.high, bare(model), cfg.train))
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(run, average.module, held_out))
    return training.finish()


def fit(training, pairs, held_out):
    """stage=share: how much of the answer bright pictures get, fitted to the network of --weights; one step."""
    run = training.run
    if run.config.data.kind != "mixed" or not run.config.model.exposure or not run.options.weights:
        raise UserError("stage=share fits a network that is trained to pictures dark and bright: data.kind=mixed, "
                        "model.exposure=true and --weights FILE were expected: give these, or leave the stage out")
    model = training.start_from(MSRNet(**run.config.model)).eval().requires_grad_(False).to(run.device)

    def answer(picture):
        return model(picture[None].to(run.device))[0].clamp(0, 1).to("cpu")
    for _ in training.steps(pairs, steps=1, batch=1, stage="share", model=model):
        fit_share(model, pairs.photographs, pairs.pairs, answer)
        training.validated(**validate(run, model, held_out))


@torch.inference_mode()
def validate(run, model, pairs):
    """Mean SSIM and PSNR (gt_free, on the 8-bit pictures) over whole held-out pictures. SSIM stands first: it chooses
    the weights, since the PSNR of new scenes hangs on guessing their brightness and goes up and down from one
    validation to the next."""
    model.eval()
    scores = []
    for index in range(len(pairs)):
        pair = pairs[0, index]
        with run.autocast():
            output = model(pair.low[None].to(run.device), pair.thumbnail[None].to(run.device))
        scores.append(ssim_psnr(output, pair.high[None]))
    model.train()
    return mean_scores(["ssim", "psnr"], scores)


if __name__ == "__main__":
    sys.exit(start(main))
