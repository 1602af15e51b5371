"""Measure the restored pictures, or restore your own: python cases/image_prior/test.py [options] [key=value ...]

what train.py fitted, beside the simple methods (with the same words as train.py)
    python cases/image_prior/test.py --name check preset=nine data.root=FOLDER
your own picture: white or transparent in the mask is what goes
    python cases/image_prior/test.py --input photo.jpg --mask mask.png --output clean.png
a folder of pictures that carry the same mark at one place
    python cases/image_prior/test.py --input folder/ --mask mask.png --output clean/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import time

import numpy as np

from cases.image_prior import baselines
from cases.image_prior.data import Tasks, composite
from cases.image_prior.own import restore_own
from cases.image_prior.unblend import Nothing, unblend, unblend_estimated
from common import metrics
from common.base.errors import UserError, join_some, start
from common.data.images import to_tensor, write_image
from common.experiment.run import Run

METRICS = ["psnr_mask", "psnr", "ssim"]
PRIOR = {"dip": "last", "dip_averaged": "averaged"}           # rows, and what the checkpoint calls them
UNBLENDED = ["unblend_known", "unblend_estimated"]


def main(argv=None):
    run = Run("image_prior", "test", argv, {"--mask": ("test.mask", "white or transparent is what goes")})
    if run.options.input:
        return restore_own(run)
    return measure_fitted(run)


def measure_fitted(run):
    """Every picture that train.py fitted, in every row; results/image_prior/<run>/test/<task>/."""
    cfg, weights = run.config, run.weights()
    tasks = Tasks(cfg)
    fitted = {name.removeprefix("done."): value for name, value in weights.state.items() if name.startswith("done.")}
    expect_fitted(tasks.names, fitted, weights)
    rows = ["as_is", *baselines.methods(cfg.task), *PRIOR, *UNBLENDED * (cfg.task == "watermark")]
    results = run.results(cfg.task, weights, tasks.fingerprint(), rows=rows, metrics=METRICS)
    seconds = {}
    together = read_together(tasks) if cfg.data.common and cfg.task == "watermark" else None
    for place, name, task in results.remaining(tasks.names, tasks.task):
        expect_same(task, fitted[f"{name}.given"].numpy(), weights)
        pictures = simple_answers(cfg.task, task, seconds)
        for row, kind in PRIOR.items():
            pictures[row] = composite(fitted[f"{name}.{kind}"].numpy(), task)
        pictures |= undo(task, seconds, together and (together, place)) if cfg.task == "watermark" else {}
        lines = {}
        for row in rows:
            lines[row] = ({"reason": pictures[row]}, None) if isinstance(pictures[row], str) else (
                measure(pictures[row], task), results.image_path(name, row))
            if lines[row][1]:
                write_image(lines[row][1], to_tensor(pictures[row]))
        results.add(name, lines)
    means = {row: round(total / count, 3) for row, (total, count) in seconds.items()}
    given = {name: str(results.final / results.image_path(name, "as_is").relative_to(results.folder))
             for name in tasks.names}
    content = run.finish_test(results, weights, tasks.names, seconds_per_picture=means, inputs=given)
    run.say(results.table(content, METRICS))
    run.say("seconds per picture: " + ", ".join(f"{row} {value:.2f}" for row, value in means.items()))
    run.say(f"results: {results.final}")
    return results.expect_no_failures("picture")


def expect_fitted(names, fitted, weights):
    """Raise UserError unless the weights hold every picture."""
    missing = [name for name in names if f"{name}.last" not in fitted]
    if missing:
        raise UserError(f"pictures that {weights.path} does not hold: {join_some(missing)}: those that train.py was "
                        "given were expected: say the same data.root, data.names and task, or train to the end")


def expect_same(task, given, weights):
    """Raise UserError where the picture was fitted to other pixels: another mark, noise or size."""
    if given.shape != task.given.shape or not np.array_equal(given, task.given):
        raise UserError(f"{task.name} was fitted to other pixels ({weights.path}): the words that train.py was given "
                        "were expected: say the same task, seed and data.*")


def read_together(tasks):
    """What is given of all pictures, whose marks are one."""
    return [tasks.task(place).given for place in range(len(tasks.names))]


def simple_answers(kind, task, seconds):
    """{row: picture} of what is given, and of every method that needs no network."""
    pictures = {"as_is": task.given}
    for row, method in baselines.methods(kind).items():
        pictures[row] = composite(timed(seconds, row, method, task.given, task.mask), task)
    return pictures


def timed(seconds, row, work, *arguments):
    """work(*arguments), its time added to seconds[row] as (total, count)."""
    began = time.perf_counter()
    answer = work(*arguments)
    total, count = seconds.get(row, (0.0, 0))
    seconds[row] = total + time.perf_counter() - began, count + 1
    return answer


def undo(task, seconds, together=None):
    """{row: picture, or why there is none} of un-blending: told alpha and colour, and told the mask alone.

    together: (what is given of all pictures, this one's place) where they carry one mark."""
    if task.alpha.max() >= 1:
        return dict.fromkeys(UNBLENDED, "the mark is opaque: nothing of the picture is left under it")
    known = timed(seconds, "unblend_known", unblend, task.given, task.alpha, task.colour)
    pictures, place = together or ([task.given], 0)
    try:
        estimated = timed(seconds, "unblend_estimated", unblend_estimated, pictures, task.mask)[0][place]
    except Nothing as problem:
        estimated = str(problem)
    return {"unblend_known": known, "unblend_estimated": estimated}


def measure(picture, task):
    """{metric: value} of an 8-bit picture beside the true one; psnr_mask over the masked pixels alone."""
    values = metrics.fidelity(picture, task.true)
    if task.mask.any():
        values["psnr_mask"] = metrics.psnr_mask(picture, task.true, task.mask)
    return values


if __name__ == "__main__":
    sys.exit(start(main))
