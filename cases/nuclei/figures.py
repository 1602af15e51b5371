"""The figures of the page and of the results: python cases/nuclei/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/nuclei/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch

from cases.nuclei import baselines, instances
from cases.nuclei.data import read_gray, read_labels, test_pictures
from cases.nuclei.drawing import diagram
from cases.nuclei.drawing.captions import CAPTIONS
from cases.nuclei.label_files import outline, paint
from cases.nuclei.model import Nuclei
from cases.nuclei.segment import best, marker_map, predict, segment
from cases.nuclei.test import THRESHOLDS, find_rivals, measure_labels
from common.base.errors import start
from common.experiment import figures
from common.experiment.run import Run
from common.metrics.instances import THRESHOLDS as AT

PANELS = [("loss", ["loss", "nucleus", "nucleus_dice", "inside", "inside_dice"]), ("validation", ["val_ap", "val_iou"])]
SIDE = 64                                                    # pixels of a crop
SET = "test"


def main(argv=None):
    run = Run("nuclei", "figures", argv)
    weights = run.weights()
    model = run.load(Nuclei, weights)
    networks = {weights.model["arch"]: model} | find_rivals(run, weights)
    root = run.config.test.root or run.config.data.root
    pictures = figures.if_there(run, lambda: test_pictures(root, run.config.data.stained), "data.root", "test.root")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    draw_network(folder, model, weights.model)
    draw_recurrent(folder)
    if pictures:
        draw_from(folder, run, model, networks, pictures)
    figures.draw_training(folder, run, PANELS)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_from(folder, run, model, networks, pictures):
    """The figures that show test pictures, and what was measured on them."""
    touching = sorted(pictures, key=lambda picture: -most_touching(read_labels(picture))[0])
    draw_steps(folder, run, model, touching[0])
    draw_touching(folder, run, model, touching[:4])
    draw_attention(folder, run, networks, touching[0])
    lines = figures.read_items(run, SET)
    if lines:
        draw_precision(folder, lines)
        draw_counts(folder, lines, networks)
        draw_failures(folder, run, model, pictures, lines)


def answers(run, model, picture):
    """(gray, true labels, the network's maps, {method: labels}) of a Picture."""
    gray = read_gray(picture.path)
    maps = predict(model, gray, run.config.test, run.device)
    return gray, read_labels(picture), maps, segment(maps, run.config.test)


# ---- networks --------------------------------------------------------------------------------------------------------

def draw_network(folder, model, arguments):
    """The network, from the layers that a forward pass really runs through."""
    layers = diagram.trace(model)
    rows = [[layer["name"], layer["kind"], "x".join(map(str, layer["inputs"])), "x".join(map(str, layer["outputs"])),
             layer["parameters"]] for layer in layers]
    folder.save(diagram.draw_network(model).figure, "network", ["layer", "kind", "inputs", "outputs", "parameters"],
                rows, arch=arguments["arch"], total=sum(map(torch.numel, model.parameters())))


def draw_recurrent(folder, channels=64):
    """A recurrent residual block unrolled: which passes share their weights."""
    block = diagram.recurrent_block(channels)
    rows = [[name, diagram.count(part)] for name, part in block.named_children()]
    folder.save(diagram.draw_recurrent(block).figure, "recurrent", ["part", "parameters"], rows, channels=channels,
                total=diagram.count(block))


def draw_attention(folder, run, networks, picture):
    """What the gates let through, from the coarsest level to the finest."""
    gated = next((model for model in networks.values() if any(up.gate is not None for up in model.up)), None)
    if gated is None:
        return run.say("the attention maps are left out: no network here has gates; train one with preset=r2atunet")
    gray = read_gray(picture.path)
    gray = gray[:gray.shape[0] // gated.multiple * gated.multiple, :gray.shape[1] // gated.multiple * gated.multiple]
    with torch.inference_mode():
        found = [each[0, 0].float().cpu().numpy() for each in
                 gated.attention(torch.from_numpy(np.ascontiguousarray(gray))[None, None].to(run.device))]
    names = [f"1/{2**level}" if level else "full size" for level in range(len(found))]
    rows = [[name, *map(figures.format_number, (each.min(), each.mean(), each.max()))]
            for name, each in zip(names, found)]
    texts = [f"{each.min():.2f} to {each.max():.2f}" for each in found]
    folder.save(figures.grid([[gray, *found[::-1]]], ["picture", *names[::-1]], [["", *texts[::-1]]]), "attention",
                ["level", "least", "mean", "largest"], rows)


# ---- pictures --------------------------------------------------------------------------------------------------------

def most_touching(labels):
    """(pixels of nuclei beside another nucleus, top, left) of the window of SIDE pixels with the most of them."""
    beside = np.zeros(labels.shape)
    for axis in (0, 1):
        first, second = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        np.moveaxis(beside, axis, 0)[:-1] += (first != second) & (first > 0) & (second > 0)
    total = np.pad(beside, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    high, wide = (min(SIDE, side) for side in labels.shape)
    sums = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return int(sums.max()), int(top), int(left)


def draw_steps(folder, run, model, picture):
    """From the picture to single nuclei, step by step, in the window where most nuclei touch."""
    gray, true, maps, found = answers(run, model, picture)
    _, top, left = most_touching(true)
    part = slice(top, top + SIDE), slice(left, left + SIDE)
    mask = maps["nucleus"] > run.config.test.threshold
    away, middles = instances.distances(mask), marker_map(maps)
    panels = {"picture": gray[part], "nucleus": maps["nucleus"][part]}
    if middles is not None:
        panels["inside" if "inside" in maps else "middle"] = middles[part]
    panels |= {"mask": mask[part].astype(np.float32), "distance": (away / max(1.0, away.max()))[part],
               "components": paint(found["components"])[part], "single nuclei": paint(best(found))[part],
               "truth": paint(true)[part]}
    names = list(panels)
    folder.save(figures.grid([[panels[name] for name in names[:4]], [panels[name] for name in names[4:]]], None,
                             [names[:4], names[4:]]), "steps", ["panel", "least", "largest"],
                [[name, figures.format_number(float(each.min())), figures.format_number(float(each.max()))]
                 for name, each in panels.items()], side=SIDE, picture=picture.name)


def draw_touching(folder, run, model, pictures):
    """The windows in which most nuclei touch: truth, Otsu with watershed, the network without and with markers."""
    grid, captions, rows = [], [], []
    for picture in pictures:
        gray, true, _, found = answers(run, model, picture)
        count, top, left = most_touching(true)
        part = slice(top, top + SIDE), slice(left, left + SIDE)
        ways = {"Otsu + watershed": baselines.outputs(gray, run.config.test.smallest)["otsu_watershed"],
                "network, components": found["components"], "network, single nuclei": best(found)}
        values = {name: measure_labels(true[part], each[part]) for name, each in ways.items()}
        grid.append([outline(gray, each)[part] for each in (true, *ways.values())])
        captions.append([f"{count} touching pixels"] + [f"merged {each['merged']}, split {each['split']}, "
                                                        f"AJI {each['aji']:.2f}" for each in values.values()])
        rows += [[picture.name, top, left, name, each["merged"], each["split"], figures.format_number(each["aji"])]
                 for name, each in values.items()]
    folder.save(figures.grid(grid, ["true", *ways], captions), "touching",
                ["picture", "top", "left", "way", "merged", "split", "aji"], rows, side=SIDE)


# ---- numbers ---------------------------------------------------------------------------------------------------------

def draw_precision(folder, lines):
    """AP over the IoU that a match needs, mean over the pictures, a curve per row."""
    names = list(dict.fromkeys(line["row"] for line in lines))
    values = {name: [figures.mean(lines, name, metric) for metric in THRESHOLDS] for name in names}
    figure, axes = figures.new_figure(height=3.6)
    families = list(dict.fromkeys(name.removesuffix("_watershed").removesuffix("_markers") for name in names))
    for name in names:
        family = next(each for each in families if name in (each, f"{each}_watershed", f"{each}_markers"))
        style = {"": ":", "_watershed": "--", "_markers": "-"}[name.removeprefix(family)]
        axes[0, 0].plot(AT, [np.nan if value is None else value for value in values[name]], style,
                        color=figures.COLOURS[families.index(family)], label=name)
    axes[0, 0].set_xlabel("IoU above which two nuclei match")
    axes[0, 0].set_ylabel("AP, mean over the pictures")
    axes[0, 0].legend(frameon=False, fontsize=7, loc="upper right")
    rows = [[metric, *(figures.format_number(values[name][place]) for name in names)]
            for place, metric in enumerate(THRESHOLDS)]
    folder.save(figure, "precision", ["threshold", *names], rows)


def draw_counts(folder, lines, networks):
    """Bland and Altman: found minus true nuclei of each picture, over the mean of both."""
    names = {line["row"] for line in lines}
    first = next(iter(networks))
    chosen = [name for name in ("otsu_watershed", f"{first}_watershed", f"{first}_markers") if name in names]
    figure, axes = figures.new_figure(height=2.8, columns=len(chosen), sharey=True)
    rows = []
    for axis, name in zip(axes[0], chosen):
        own = [line for line in lines if line["row"] == name]
        true, found = (np.array([float(line[key]) for line in own]) for key in ("nuclei", "found"))
        change = found - true
        spread = 1.96 * change.std(ddof=1) if len(change) > 1 else 0.0
        axis.scatter((true + found) / 2, change, s=12, color=figures.COLOURS[0])
        for level, style in ((change.mean(), "-"), (change.mean() - spread, "--"), (change.mean() + spread, "--")):
            axis.axhline(level, color=figures.COLOURS[7], ls=style, lw=1)
        axis.set_title(f"{name}: {change.mean():+.2f} ± {spread:.2f}", fontsize=9)
        axis.set_xlabel("mean of true and found")
        rows += [[name, line["item"], int(a), int(b)] for line, a, b in zip(own, true, found)]
    axes[0, 0].set_ylabel("found - true")
    folder.save(figure, "counts", ["row", "item", "true", "found"], rows)


def draw_failures(folder, run, model, pictures, lines):
    """The picture whose foreground is found worst, and the one with most nuclei merged or split."""
    by_name = {picture.name: picture for picture in pictures}
    row = next(line["row"] for line in reversed(lines) if line["row"].endswith(("_markers", "_watershed")))
    own = [line for line in lines if line["row"] == row and line["item"] in by_name]
    worst = min(own, key=lambda line: float(line["iou"]))
    tangled = max((line for line in own if line is not worst), default=worst,
                  key=lambda line: float(line["merged"]) + float(line["split"]))
    grid, captions, rows = [], [], []
    for line in (worst, tangled):
        gray, true, maps, found = answers(run, model, by_name[line["item"]])
        values = measure_labels(true, best(found))
        grid.append([gray**0.5, maps["nucleus"], outline(gray**0.5, best(found)), outline(gray**0.5, true)])
        captions.append([line["item"], "", f"IoU {values['iou']:.3f}, merged {values['merged']}, split "
                         f"{values['split']}", f"{values['nuclei']} nuclei"])
        rows.append([line["item"], *(figures.format_number(values[name]) for name in ("iou", "ap", "merged", "split"))])
    folder.save(figures.grid(grid, ["picture (square root)", "nucleus", "found", "true"], captions), "failures",
                ["picture", "iou", "ap", "merged", "split"], rows)


if __name__ == "__main__":
    sys.exit(start(main))
