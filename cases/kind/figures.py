"""The figures of chapter B2 and of the results: python cases/kind/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/kind/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

from typing import NamedTuple

import numpy as np
import torch

from cases.kind import enhance
from cases.kind.data import evaluation_set
from cases.kind.drawing import diagram
from cases.kind.drawing.captions import CAPTIONS
from cases.kind.enhance import quantise
from cases.kind.model import KinD
from common import metrics
from common.base.errors import UserError, start
from common.data.images import read_image, read_pixels
from common.experiment import figures
from common.experiment.figures import format_number
from common.experiment.run import Run
from common.lowlight import baselines
from common.lowlight.figures import CAPTIONS as SHARED_CAPTIONS
from common.lowlight.figures import (
    bars_of_scores,
    colour_difference,
    draw_classes,
    draw_garden,
    draw_pairs,
    draw_protection,
    draw_ranking,
    middle,
    of_row,
    picture,
    spread,
)
from common.lowlight.unpaired import draw_elsewhere

PANELS = [("loss", ["loss", "recon_low", "recon_high", "mse", "grad", "l1"]),
          ("validation PSNR (dB)", ["val_psnr", "val_psnr_gt_free"]),
          ("validation SSIM", ["val_ssim"]), ("mean illumination", ["I_low", "I_high"])]
SWEEP = (1, 1.5, 2, 3, 4, 5, 7, 10)                         # light ratios of the sweep; every other one as a picture


class Example(NamedTuple):
    """One pair and everything that KinD makes of it, on the CPU. low, high: uint8 (h, w, 3)."""
    name: str
    low: np.ndarray
    high: np.ndarray
    maps_low: enhance.Maps
    maps_high: enhance.Maps
    restored: torch.Tensor
    true: float                                                 # light ratio by the reference
    guessed: float


def main(argv=None):
    run = Run("kind", "figures", argv)
    weights = run.weights()
    model = run.load(KinD, weights)
    pairs = figures.if_there(run, lambda: expect_pairs(run.config), "data.root", "test.root")
    folder = figures.FigureFolder(run.folder, SHARED_CAPTIONS | CAPTIONS)
    with torch.inference_mode():
        diagram.draw(folder, model)
        if pairs is not None:
            draw_from(folder, run, model, pairs)
        draw_garden(folder, lambda rgb: picture(enhance.enhance(model, rgb, run.config.test)[0]), "KinD")
        draw_protection(folder, lambda rgb: picture(enhance.enhance(model, rgb, run.config.test)[0]))
        figures.draw_training(folder, run, PANELS)
    draw_elsewhere(folder, run, "KinD")
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def expect_pairs(cfg):
    """The test set; UserError where it has dark pictures alone."""
    pairs = evaluation_set(cfg)
    if pairs is None:
        raise UserError(f"figures need pairs: {cfg.test.root or cfg.data.root} has no eval15/high: expected the bright "
                        "pictures: put them there, or set data.root")
    return pairs


def draw_from(folder, run, model, pairs):
    """The figures that show pairs of the test set, and what was measured on them."""
    lines = figures.read_items(run, pairs.set_name)
    examples = [read_example(run, model, pairs, place) for place in spread(pairs, 4)]
    example = read_example(run, model, pairs, middle(lines, pairs))
    draw_reflectance(folder, examples)
    draw_pairs(folder, pairs, "B2.3_pairs")
    draw_decomposition(folder, example)
    draw_illumination(folder, run, model, examples[:3])
    draw_sweep(folder, run, model, example)
    draw_results(folder, run, model, examples, pairs.set_name)
    if lines:
        draw_methods(folder, lines, pairs.set_name)
        draw_ranking(folder, lines)
        draw_classes(folder, lines, "KinD")
        draw_ratios(folder, lines)
        draw_failures(folder, run, model, pairs, lines)


def read_example(run, model, pairs, place):
    """The Example of a pair of the test set."""
    settings, paths = run.config.test, pairs.paths(place)
    low, high = (enhance.decompose(model, read_image(path), settings.tile, settings.hot_pixels) for path in paths)
    restored = enhance.restore(model, low, settings.tile)
    return Example(pairs.names[place], *map(read_pixels, paths), low, high, restored, enhance.true_ratio(low, high),
                   enhance.choose_ratio(model, low, restored, settings))


def answer(run, model, example, ratio):
    """The 8-bit picture of an example at a light ratio."""
    adjusted = enhance.adjust(model, example.maps_low, ratio, run.config.test.tile)
    return quantise(example.restored * adjusted, run.config.test.output)


# ---- what the networks do --------------------------------------------------------------------------------------------

def draw_reflectance(folder, examples):
    """B2.2: the degraded reflectance above, the restored one below, with the noise of both."""
    names = [example.name for example in examples]
    degraded = [picture(example.maps_low.reflectance) for example in examples]
    restored = [picture(example.restored) for example in examples]
    noise = [list(map(metrics.noise_sigma, row)) for row in (degraded, restored)]
    captions = [list(map("noise {:.1f}".format, row)) for row in noise]
    folder.save(figures.grid([degraded, restored], names, captions, ["R, degraded", "P, restored"]), "B2.2_reflectance",
                ["item", "noise_degraded", "noise_restored"],
                [[name, format_number(a), format_number(b)] for name, a, b in zip(names, *noise)])


def draw_decomposition(folder, example):
    """Both pictures of a pair, their maps, and how far the products are from them."""
    rows, captions, table = [], [], []
    for side, maps in (("low", example.maps_low), ("high", example.maps_high)):
        product = maps.reflectance * maps.illumination
        level, exact = maps.illumination.mean().item(), metrics.psnr(product, maps.stretched).item()
        rows.append([picture(maps.stretched), picture(maps.reflectance), maps.illumination[0, 0].numpy(),
                     picture(product)])
        captions.append(["", "", f"mean {level:.2f}", f"{exact:.1f} dB"])
        table.append([side, *map(format_number, [level, maps.reflectance.mean().item(), exact])])
    folder.save(figures.grid(rows, ["S, stretched", "R, reflectance", "I, illumination", "R x I"], captions,
                             ["low", "high"]), "decomposition",
                ["picture", "mean_illumination", "mean_reflectance", "psnr_of_product"], table, item=example.name)


def draw_illumination(folder, run, model, examples):
    """I before and after adjustment, beside that of the bright picture, in one gray scale."""
    rows, captions, table = [], [], []
    for example in examples:
        adjusted = [enhance.adjust(model, example.maps_low, ratio, run.config.test.tile)
                    for ratio in (example.guessed, example.true)]
        maps = [example.maps_low.illumination, *adjusted, example.maps_high.illumination]
        levels = [value.mean().item() for value in maps]
        rows.append([example.low, *(value[0, 0].numpy() for value in maps)])
        captions.append([example.name, f"mean {levels[0]:.2f}", f"ratio {example.guessed:.2f}, mean {levels[1]:.2f}",
                         f"ratio {example.true:.2f}, mean {levels[2]:.2f}", f"mean {levels[3]:.2f}"])
        table.append([example.name, *map(format_number, [example.guessed, example.true, *levels])])
    columns = ["low", "I of low", "A, guessed ratio", "A, reference's ratio", "I of high"]
    folder.save(figures.grid(rows, columns, captions), "illumination",
                ["item", "ratio_guessed", "ratio_true", "mean_low", "mean_guessed", "mean_true", "mean_high"], table)


def draw_sweep(folder, run, model, example):
    """One picture at growing light ratios, and PSNR over the ratio; the guessed and the reference's are marked."""
    pictures = [answer(run, model, example, ratio) for ratio in SWEEP]
    values = [metrics.fidelity(image, example.high)["psnr"] for image in pictures]
    figure, axes = figures.new_figure(height=4.4, rows=2, columns=4, height_ratios=[1, 1.1])
    for axis, place in zip(axes[0], range(0, len(SWEEP), 2)):
        axis.imshow(pictures[place])
        axis.axis("off")
        axis.set_title(f"ratio {SWEEP[place]:g}: {values[place]:.1f} dB", fontsize=8)
    for axis in axes[1]:
        axis.remove()
    wide = figure.add_subplot(axes[1, 0].get_gridspec()[1, :])
    wide.plot(SWEEP, values, marker="o", markersize=3)
    for place, (ratio, name) in enumerate(((example.true, "reference"), (example.guessed, "guessed")), start=1):
        wide.axvline(ratio, color=figures.COLOURS[place], ls="--", label=f"{name}: {ratio:.2f}")
    wide.set(xscale="log", xlabel="light ratio", ylabel="PSNR (dB)")
    wide.set_xticks(SWEEP, [f"{ratio:g}" for ratio in SWEEP])
    wide.minorticks_off()
    wide.legend(frameon=False)
    wide.grid(alpha=0.3)
    table = [[f"{ratio:g}", format_number(value), format_number(image.mean())]
             for ratio, value, image in zip(SWEEP, values, pictures)]
    folder.save(figure, "ratio_sweep", ["ratio", "psnr", "mean"], table, item=example.name)


# ---- results ---------------------------------------------------------------------------------------------------------

def draw_results(folder, run, model, examples, set_name):
    """Low, gamma, no restoration, both protocols and target, with PSNR under each."""
    grid, captions, rows = [], [], []
    for example in examples:
        unrestored = example._replace(restored=example.maps_low.reflectance)
        outputs = [example.low, baselines.gamma(example.low), answer(run, model, unrestored, example.guessed),
                   answer(run, model, example, example.guessed), answer(run, model, example, example.true)]
        values = [metrics.fidelity(image, example.high)["psnr"] for image in outputs]
        grid.append([*outputs, example.high])
        captions.append([f"{value:.2f} dB" for value in values] + [example.name])
        rows.append([example.name, *map(format_number, values)])
    columns = ["low", "gamma 1/2.2", "without restoration", "KinD, gt_free", "KinD, gt_ratio", "target"]
    folder.save(figures.grid(grid, columns, captions), "result_grid", ["item", *columns[:-1]], rows, set=set_name)


def draw_methods(folder, lines, set_name):
    """Mean PSNR and SSIM of every row of the test."""
    names = {line["row"]: line["row"] for line in lines}
    figure, table = bars_of_scores(lines, names, own=("gt_ratio", "gt_free", "gt_mean"), height=3.8)
    figure.axes[1].set_yticklabels([])
    folder.save(figure, "methods", ["row", "psnr", "ssim"], table, set=set_name, count=len(of_row(lines)))


def draw_ratios(folder, lines):
    """The guessed light ratio of every picture over the reference's, and what the error costs in PSNR."""
    true = {line["item"]: line for line in of_row(lines, "gt_ratio")}
    pairs = [(true[line["item"]], line) for line in of_row(lines, "gt_free") if line["item"] in true]
    rows = [[free["item"], format_number(float(told["light_ratio"])), format_number(float(free["light_ratio"])),
             format_number(float(told["psnr"]) - float(free["psnr"]))] for told, free in pairs]
    reference, guessed, lost = np.array([row[1:] for row in rows], dtype=float).T
    figure, axes = figures.new_figure(height=3.2, columns=2)
    left, right = axes[0]
    ends = [0.9 * min(reference.min(), guessed.min()), 1.1 * max(reference.max(), guessed.max())]
    left.loglog(ends, ends, color="#999999", lw=1)
    left.scatter(reference, guessed, s=18)
    left.set(xlabel="light ratio by the reference", ylabel="guessed light ratio")
    right.scatter(np.log(guessed / reference), lost, s=18)
    right.axhline(0, color="#999999", lw=1)
    right.set(xlabel="ln(guessed / reference)", ylabel="PSNR, gt_ratio - gt_free (dB)")
    right.locator_params(axis="x", nbins=6)                    # more of these numbers run into each other
    folder.save(figure, "ratios", ["item", "ratio_reference", "ratio_guessed", "psnr_lost"], rows,
                rms=float(np.sqrt(np.mean(np.log(guessed / reference) ** 2))))


def draw_failures(folder, run, model, pairs, lines):
    """The two worst pictures under gt_free: answer, target, difference, and what the right ratio or mean repairs."""
    grid, captions, rows = [], [], []
    for line in sorted(of_row(lines), key=lambda line: float(line["psnr"]))[:2]:
        example = read_example(run, model, pairs, pairs.items.index(line["item"]))
        free, told = (answer(run, model, example, ratio) for ratio in (example.guessed, example.true))
        values = [metrics.fidelity(image, example.high)["psnr"]
                  for image in (free, told, metrics.gt_mean(free, example.high))]
        grid.append([example.low, free, told, example.high,
                     colour_difference(metrics.gray8(free).astype(float) - metrics.gray8(example.high))])
        means = [metrics.gray8(image).mean() for image in (free, example.high)]
        captions.append([f"{line['item']}: mean {float(line['input_light']):.1f}",
                         f"ratio {example.guessed:.2f}: {values[0]:.2f} dB",
                         f"ratio {example.true:.2f}: {values[1]:.2f} dB", f"at target's mean {values[2]:.2f} dB",
                         f"mean {means[0]:.0f}, target {means[1]:.0f}"])
        rows.append([line["item"], *map(format_number, [*values, example.guessed, example.true, *means])])
    columns = ["low", "gt_free", "gt_ratio", "target", "gt_free - target"]
    folder.save(figures.grid(grid, columns, captions), "failures",
                ["item", "psnr_gt_free", "psnr_gt_ratio", "psnr_gt_mean", "ratio_guessed", "ratio_reference",
                 "output_mean", "target_mean"], rows)


if __name__ == "__main__":
    sys.exit(start(main))
