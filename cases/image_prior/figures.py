"""The figures of the page and of the results: python cases/image_prior/figures.py [options] [key=value ...]

Uses the pictures and numbers of test.py where that has run under the same name, and the log of train.py; makes small
fits of its own (figures.steps, figures.size). Figures land in results/image_prior/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import json

import numpy as np
import torch

from cases.image_prior import baselines
from cases.image_prior.data import Task, Tasks, blend, composite, draw_mark, fit_square, to_levels
from cases.image_prior.drawing import diagram
from cases.image_prior.drawing.captions import CAPTIONS
from cases.image_prior.model import PriorNetwork
from cases.image_prior.prior import Prior, descend_plainly, place_in_fit, take_step
from cases.image_prior.unblend import unblend
from common import metrics
from common.base.errors import start
from common.base.paths import EMBEDDED
from common.base.progress import watch
from common.data.images import read_pixels, to_bytes
from common.experiment import figures
from common.experiment.run import Run
from common.experiment.settings import Settings

SHOWN = (10, 50, 200, 1000, 3000)                            # steps after which the network's picture is shown
SHOWN_ROWS = ["biharmonic", "nlm", "dip_averaged", "unblend_estimated"]
FACTORS = np.round(np.linspace(0.7, 1.3, 25), 3)
PANELS = [("loss", ["loss"]), ("held-out PSNR (dB)", ["held_out"])]


def main(argv=None):
    run = Run("image_prior", "figures", argv)
    weights = run.weights()
    tasks = figures.if_there(run, lambda: Tasks(run.config), "data.root", "data.names")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    draw_network(folder, run.config.model)
    draw_learnt_first(folder, run)
    draw_tasks(folder, run)
    draw_by_hand(folder, tasks)
    if tasks:
        draw_rows(folder, run, tasks)
    draw_stop(folder, run)
    draw_failures(folder, run)
    figures.draw_training(folder, run, PANELS)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_network(folder, settings):
    """The network, from the layers that a forward pass really runs through."""
    network = PriorNetwork(**{name: value for name, value in settings.items() if name != "input"})
    rows = [[layer["name"], layer["kind"], "x".join(map(str, layer["inputs"])), "x".join(map(str, layer["outputs"])),
             layer["parameters"]] for layer in diagram.trace(network)]
    folder.save(diagram.draw_network(network).figure, "network",
                ["layer", "kind", "inputs", "outputs", "parameters"], rows,
                total=sum(map(torch.numel, network.parameters())))


# ---- small fits ------------------------------------------------------------------------------------------------------

def fit_small(run, given, mask, title, shown=(), held_out=0.0):
    """(averaged picture, {step: picture}, [loss of each step]) of a small fit to what is given, uint8 (H, W, 3), of a
    picture; nothing masked is used, and a share held_out of the rest chooses the step."""
    changed = {"held_out": held_out, "perceptual": 0.0, "fall": 0.0, "steps": run.config.figures.steps}
    settings = Settings(run.config | {"train": Settings(run.config.train | changed)})
    prior = Prior(settings).to(run.device, memory_format=torch.channels_last)
    prior.look_at(Task(title, given, given, mask, np.zeros(mask.shape), np.zeros(3)), 0, run.device)
    prior.begin()
    optimizer = torch.optim.Adam(prior.network.parameters(), lr=settings.train.lr)
    pictures, losses = {}, []

    def descend(optimizer, **terms):
        descend_plainly(optimizer, **terms)
        losses.append(sum(terms.values()).item())
    for step in watch(range(1, settings.train.steps + 1), title):
        check = step % settings.train.validate_every == 0 or step == settings.train.steps
        take_step(prior, optimizer, step, check, descend=descend)
        if step in shown:
            pictures[step] = to_bytes(prior.last[0])
    return prior.finish(title)[0], pictures, losses


def example(run, name="chelsea_cat.jpg"):
    """An embedded photograph as a square of figures.size pixels."""
    return fit_square(read_pixels(EMBEDDED / "photos" / name), run.config.figures.size)


def draw_learnt_first(folder, run):
    """A photograph, the same shuffled, and noise: pictures on the way, and the curves of their losses."""
    true, rng = example(run), np.random.default_rng(0)
    side = run.config.figures.size
    shuffled = true.reshape(-1, 3)[rng.permutation(side * side)].reshape(true.shape)
    targets = {"photograph": true, "shuffled": shuffled, "noise": rng.integers(0, 256, true.shape, dtype=np.uint8)}
    shown = [step for step in SHOWN if step <= run.config.figures.steps]
    figure, axes = figures.new_figure(height=7.0, rows=4, columns=len(shown) + 1)
    rows, curves = [], {}
    for line, (name, target) in zip(axes, targets.items()):
        _, pictures, curves[name] = fit_small(run, target, np.zeros(target.shape[:2], bool), name, shown)
        for axis, picture, title in zip(line, [*pictures.values(), target], [*map(str, shown), "fitted to"]):
            axis.imshow(picture)
            axis.axis("off")
            axis.set_title(f"{name}, {title}", fontsize=8)
        rows += [[name, step, f"{loss:.6f}"] for step, loss in enumerate(curves[name], 1)]
    grid = axes[0, 0].get_gridspec()
    for axis in axes[3]:
        axis.remove()
    below = figure.add_subplot(grid[3, :])
    for name, losses in curves.items():
        below.plot(range(1, len(losses) + 1), losses, label=name)
    below.set_yscale("log")
    below.set_xlabel("step")
    below.set_ylabel("mean square error")
    below.legend(frameon=False, ncols=3, loc="lower left")       # where no curve goes
    folder.save(figure, "learnt_first", ["fitted to", "step", "loss"], rows, steps=run.config.figures.steps, size=side)


def draw_tasks(folder, run):
    """A hole, a half-transparent mark and noise: what is given, a simple answer, the prior's, the truth."""
    true, side = example(run), run.config.figures.size
    hole, nowhere = np.zeros((side, side), bool), np.zeros((side, side), bool)
    hole[3 * side // 8:5 * side // 8, side // 8:side // 4] = True
    coverage = draw_mark((side, side), 1)
    noise = np.random.default_rng(0).normal(0, run.config.data.sigma, true.shape)
    given = {"inpaint": (np.where(hole[..., None], 0, true).astype(np.uint8), hole),
             "watermark": (blend(true, 0.6 * coverage, np.full(3, 255.0)), coverage > 0),
             "denoise": (to_levels(true + noise), nowhere)}
    simple = {"inpaint": baselines.biharmonic, "watermark": baselines.biharmonic, "denoise": baselines.nlm}
    grid, captions, rows = [], [], []
    for name, (picture, mask) in given.items():
        task = Task(name, true, picture, mask, np.zeros(mask.shape), np.zeros(3))
        fitted = fit_small(run, picture, mask, name, held_out=0.02)[0]
        answers = {"given": picture, simple[name].__name__: simple[name](picture, mask),
                   "prior": composite(fitted, task)}
        where = mask if mask.any() else ~mask
        values = {row: metrics.psnr_mask(answer, true, where) for row, answer in answers.items()}
        grid.append([*answers.values(), true])
        captions.append([*(f"{row}: {value:.2f} dB" for row, value in values.items()), ""])
        rows += [[name, row, figures.format_number(value)] for row, value in values.items()]
    folder.save(figures.grid(grid, ["given", "simple method", "prior", "true"], captions, list(given)), "tasks",
                ["task", "row", "psnr"], rows, steps=run.config.figures.steps, size=side)


def draw_failures(folder, run):
    """A hole of a third of the picture, and fine texture under thin lines."""
    side = run.config.figures.size
    hole, stripes = np.zeros((side, side), bool), np.zeros((side, side), bool)
    hole[side // 3:2 * side // 3, side // 3:2 * side // 3] = True
    stripes[:, (np.arange(side) % 10) < 4] = True
    grid, captions, rows = [], [], []
    for name, file, mask in (("large hole", "chelsea_cat.jpg", hole), ("texture", "china.jpg", stripes)):
        true = example(run, file)
        given = np.where(mask[..., None], 0, true).astype(np.uint8)
        task = Task(name, true, given, mask, np.zeros(mask.shape), np.zeros(3))
        answers = {"biharmonic": baselines.biharmonic(given, mask),
                   "prior": composite(fit_small(run, given, mask, name)[0], task)}
        values = {row: metrics.psnr_mask(picture, true, mask) for row, picture in answers.items()}
        grid.append([true, given, *answers.values()])
        captions.append(["", "", *(f"{value:.2f} dB" for value in values.values())])
        rows += [[name, row, figures.format_number(value)] for row, value in values.items()]
    folder.save(figures.grid(grid, ["true", "given", *answers], captions, ["large hole", "texture"]), "failures",
                ["picture", "row", "psnr_mask"], rows, steps=run.config.figures.steps, size=side)


# ---- un-blending -----------------------------------------------------------------------------------------------------

def draw_by_hand(folder, tasks):
    """One pixel's sum, and what a wrong alpha costs on the first picture."""
    alpha, w, y = 0.6, 255, 193
    rows = [["pixel", y, f"{(y - alpha * w) / (1 - alpha):.6f}"]]
    figure, axes = figures.new_figure(6.0, 2.6)
    task = tasks.task(0) if tasks and tasks.cfg.task == "watermark" and tasks.cfg.data.alpha < 1 else None
    if task:
        limit = np.minimum(0.98, np.outer(FACTORS, task.alpha.ravel())).reshape(-1, *task.alpha.shape)
        values = [metrics.psnr_mask(unblend(task.given, each, task.colour), task.true, task.mask) for each in limit]
        axes[0, 0].plot(FACTORS, values, marker="o", markersize=3)
        rows += [[f"factor {factor}", "", figures.format_number(value)] for factor, value in zip(FACTORS, values)]
    axes[0, 0].set_xlabel("alpha taken / true alpha")
    axes[0, 0].set_ylabel("psnr_mask (dB)")
    folder.save(figure, "by_hand", ["what", "y", "x or psnr_mask"], rows, y=y, w=w, alpha=alpha,
                x=round((y - alpha * w) / (1 - alpha)))


# ---- results ---------------------------------------------------------------------------------------------------------

def draw_rows(folder, run, tasks):
    """Two pictures by every shown row, and the means of all rows, where test.py has run."""
    lines = figures.read_items(run, run.config.task)
    if not lines:
        return
    measure = "psnr_mask" if run.config.task != "denoise" else "psnr"
    there = [row for row in SHOWN_ROWS if any(line["row"] == row and line["image"] for line in lines)]
    grid, captions, rows = [], [], []
    for place, name in enumerate(tasks.names[:2]):
        task = tasks.task(place)
        found = {line["row"]: line for line in lines if line["item"] == name}
        pictures = [read_pixels(run.folder / "test" / run.config.task / found[row]["image"]) for row in there]
        grid.append([task.given, *pictures, task.true])
        captions.append([name, *(f"{float(found[row][measure]):.2f}" for row in there), ""])
        rows += [[name, row, found[row][measure]] for row in there]
    folder.save(figures.grid(grid, ["given", *there, "true"], captions), "rows", ["picture", "row", measure], rows,
                task=run.config.task)
    names = list(dict.fromkeys(line["row"] for line in lines))
    values = [figures.mean(lines, row, measure) for row in names]
    folder.save(figures.bars([name.replace("_", "\n") for name in names], {measure: values}, f"{measure} (dB)"),
                "scores", ["row", measure], [[row, figures.format_number(value)] for row, value in zip(names, values)],
                task=run.config.task)


def draw_stop(folder, run):
    """Held-out PSNR over the steps of each fit; those of one picture in one colour."""
    path, curves = run.trained / "log.jsonl", {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        entry = json.loads(line)
        if "held_out" in entry:
            fit, step = place_in_fit(entry["step"], run.config.train.steps)
            curves.setdefault(entry["stage"], {}).setdefault(fit, []).append((step, entry["held_out"]))
    if not curves:
        return run.say("no held-out pixels in the log of this run: the figure of where to stop is left out")
    figure, axes = figures.new_figure(7.0, 3.0)
    rows = []
    for number, (name, fits) in enumerate(curves.items()):
        for fit, points in fits.items():
            axes[0, 0].plot(*zip(*points), color=f"C{number % 10}", label=None if fit else name)
            rows += [[name, fit + 1, step, f"{value:.6f}"] for step, value in points]
    axes[0, 0].set_xlabel("step")
    axes[0, 0].set_ylabel("held-out PSNR (dB)")
    axes[0, 0].legend(frameon=False, ncols=2, fontsize=7)
    folder.save(figure, "stop", ["picture", "fit", "step", "held_out"], rows)


if __name__ == "__main__":
    sys.exit(start(main))
