"""The figures of chapter B1 and of the results: python cases/msrnet/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/msrnet/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch

from cases.msrnet import baselines
from cases.msrnet.drawing import diagram
from cases.msrnet.drawing.captions import CAPTIONS
from cases.msrnet.enhance import enhance
from cases.msrnet.model import MSRNet
from common import metrics
from common.base.errors import UserError, start
from common.data.images import read_image, read_pixels
from common.experiment import checkpoints, figures
from common.experiment.run import Run
from common.lowlight.baselines import gamma
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
from common.lowlight.splits import evaluation_set
from common.lowlight.unpaired import draw_elsewhere

PANELS = [("loss", ["loss", "l1", "ssim", "frobenius"]), ("validation PSNR (dB)", ["val_psnr"]),
          ("validation SSIM", ["val_ssim"])]


def main(argv=None):
    run = Run("msrnet", "figures", argv)
    weights = run.weights()
    model = run.load(MSRNet, weights)
    pairs = figures.if_there(run, lambda: evaluation_set(run.config), "data.root", "test.root")
    folder = figures.FigureFolder(run.folder, SHARED_CAPTIONS | CAPTIONS)
    draw_network(folder, model)
    if pairs is not None:
        draw_from(folder, run, model, pairs)
    draw_garden(folder, lambda rgb: picture(enhance(run, model, rgb)), "MSR-net")
    draw_protection(folder, lambda rgb: picture(enhance(run, model, rgb)))
    figures.draw_training(folder, run, PANELS)
    draw_elsewhere(folder, run, "MSR-net")
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_from(folder, run, model, pairs):
    """The figures that show pairs of the test set, and what was measured on them."""
    lines = figures.read_items(run, pairs.set_name)
    example = pairs.paths(middle(lines, pairs))[0]
    draw_stages(folder, model, example)
    draw_pairs(folder, pairs, "B1.4_pairs")
    draw_results(folder, run, model, pairs)
    if lines:
        draw_baselines(folder, lines, pairs.set_name)
        draw_ranking(folder, lines)
        draw_classes(folder, lines, "MSR-net")
        draw_failures(folder, run, model, pairs, lines)
    draw_noise(folder, run, model, pairs)
    draw_releases(folder, run, pairs)


# ---- the chapter's figures -------------------------------------------------------------------------------------------

def draw_network(folder, model):
    """B1.1: the network, from the layers that a forward pass really runs through."""
    table = [[layer["name"], layer["kind"], by(layer["inputs"]), by(layer["outputs"]), layer["parameters"]]
             for layer in diagram.trace(model)]
    folder.save(diagram.draw_network(model).figure, "B1.1_network",
                ["layer", "kind", "inputs", "outputs", "parameters"], table, total=sum(row[-1] for row in table))


def by(shape):
    return "x".join(map(str, shape))


@torch.inference_mode()
def draw_stages(folder, model, path):
    """B1.2 (dark picture, its logarithms, X1) and B1.3 (X2 and Y): unbounded stages share one affine map in each."""
    x = read_image(path)[None].to(next(model.parameters()).device)
    stages = model.stages(x)
    logs = stages.logs.split(3, dim=1)
    shown, (low, high) = display([stages.x1, stages.illumination])
    pictures = [picture(x), *map(picture, logs), *shown]
    names = ["X (dark)", *(f"log, v = {v:g}" for v in model.logarithm.scales), "X1 (fused)", "H (illumination)"]
    half = -(-len(names) // 2)
    table = [[name, *statistics(value)] for name, value in zip(names, [x, *logs, stages.x1, stages.illumination])]
    folder.save(figures.grid([pictures[:half], pictures[half:]], None, [names[:half], names[half:]]), "B1.2_logarithms",
                ["picture", "mean", "min", "max"], table, low=low, high=high)
    (x2, y), (low, high) = display([stages.x2, stages.y], of=[stages.x2])
    names = ["X2, before colour restoration", "Y, same display range", "Y as written"]
    table = [[name, channel, f"{plane.mean().item():.6f}"] for name, tensor in (("X2", stages.x2), ("Y", stages.y))
             for channel, plane in zip("RGB", tensor[0])]
    folder.save(figures.grid([[x2, y, picture(stages.y)]], names), "B1.3_colour", ["picture", "channel", "mean"], table,
                low=low, high=high)


def display(tensors, of=None):
    """Arrays of unbounded pictures under one affine map, 1st to 99th percentile of `of` (default all); its bounds."""
    values = torch.cat([tensor.flatten() for tensor in (of or tensors)])
    low, high = np.percentile(values.float().cpu().numpy(), (1, 99))
    return [picture(((tensor - low) / max(high - low, 1e-6)).clamp(0, 1)) for tensor in tensors], (low, high)


def statistics(tensor):
    return [f"{value.item():.6f}" for value in (tensor.mean(), tensor.min(), tensor.max())]


# ---- results ---------------------------------------------------------------------------------------------------------

def draw_results(folder, run, model, pairs, count=4):
    """Low, two simple methods, network and target with PSNR under each."""
    grid, captions, rows = [], [], []
    for place in spread(pairs, count):
        low, high, output = answer(run, model, pairs, place)
        outputs = [low, gamma(low), baselines.msr(low), output, high]
        values = [metrics.fidelity(result, high)["psnr"] for result in outputs[:-1]]
        grid.append(outputs)
        captions.append([f"{value:.2f} dB" for value in values] + [pairs.names[place]])
        rows.append([pairs.names[place], *(f"{value:.6f}" for value in values)])
    columns = ["low", "gamma 1/2.2", "MSR", "MSR-net", "target"]
    folder.save(figures.grid(grid, columns, captions), "result_grid", ["item", *columns[:-1]], rows, set=pairs.set_name)


def answer(run, model, pairs, place):
    """(low, high, the network's answer) of a pair, 8-bit."""
    low_path, high_path = pairs.paths(place)
    return read_pixels(low_path), read_pixels(high_path), picture(enhance(run, model, read_image(low_path)))


def draw_baselines(folder, lines, set_name):
    """Mean PSNR and SSIM of every method under gt_free."""
    rows = [line["row"] for line in lines if line["row"].endswith("gt_free")]
    names = {row: "MSR-net" if row == "gt_free" else row.removesuffix("/gt_free") for row in rows}
    figure, table = bars_of_scores(lines, names, own=["MSR-net"], height=3.0)
    folder.save(figure, "floors", ["method", "psnr", "ssim"], table, set=set_name, count=len(of_row(lines)))


def draw_failures(folder, run, model, pairs, lines):
    """The two worst pictures: answer, target, signed difference in gray, and how much of it is brightness alone."""
    grid, captions, rows = [], [], []
    for line in sorted(of_row(lines), key=lambda line: float(line["psnr"]))[:2]:
        low, high, output = answer(run, model, pairs, pairs.items.index(line["item"]))
        means = [metrics.gray8(image).mean() for image in (output, high)]
        scaled = metrics.fidelity(metrics.gt_mean(output, high), high)["psnr"]
        grid.append([low, output, high, colour_difference(metrics.gray8(output).astype(float) - metrics.gray8(high))])
        captions.append([f"{line['item']}: mean {float(line['input_light']):.1f}",
                         f"{float(line['psnr']):.2f} dB; at target's mean {scaled:.2f}",
                         f"mean {means[1]:.0f}", f"mean {means[0]:.0f}; blue darker, red brighter"])
        rows.append([line["item"], line["psnr"], f"{scaled:.6f}", *(f"{mean:.6f}" for mean in means)])
    folder.save(figures.grid(grid, ["low", "MSR-net", "target", "MSR-net - target"], captions), "failures",
                ["item", "psnr_gt_free", "psnr_gt_mean", "output_mean", "target_mean"], rows)


def draw_noise(folder, run, model, pairs, side=96):
    """A crop at full size: dark picture at the target's mean, gamma, the network, a filter behind it, the target."""
    place = len(pairs.names) // 2
    low, high, output = answer(run, model, pairs, place)
    columns = ["low, lifted", "gamma 1/2.2", "MSR-net", "MSR-net + bilateral", "target"]
    pictures = [metrics.gt_mean(low, high), gamma(low), output, baselines.bilateral(output), high]
    top, left = (max(0, (size - side) // 2) for size in low.shape[:2])
    values = [(metrics.noise_sigma(image), metrics.sharpness(image)) for image in pictures]
    crops = [image[top:top + side, left:left + side] for image in pictures]
    captions = [[f"noise {noise:.1f}, sharpness {sharp:.2f}" for noise, sharp in values]]
    rows = [[name, f"{noise:.6f}", f"{sharp:.6f}"] for name, (noise, sharp) in zip(columns, values)]
    folder.save(figures.grid([crops], columns, captions), "noise", ["picture", "noise_sigma", "sharpness"], rows,
                side=side, file=pairs.names[place])


def draw_releases(folder, run, pairs):
    """One picture through both release files, whatever weights the other figures show."""
    place = pairs.names.index("2.png") if "2.png" in pairs.names else 0
    networks = {}
    for name in ("release", "release-denoise"):
        try:
            networks[name] = run.load(MSRNet, checkpoints.find("msrnet", run.name, name))
        except UserError as problem:
            return run.say(f"the two releases side by side are left out: {problem}")
    low, high = (read_pixels(path) for path in pairs.paths(place))
    pictures = {"low": low, "gamma 1/2.2": gamma(low), "MSR": baselines.msr(low)}
    pictures |= {name: answer(run, model, pairs, place)[2] for name, model in networks.items()}
    values = [metrics.fidelity(result, high) for result in pictures.values()]
    captions = [[f"{value['psnr']:.2f} dB, {value['ssim']:.3f}" for value in values] + [pairs.names[place]]]
    table = [[name, f"{value['psnr']:.6f}", f"{value['ssim']:.6f}"] for name, value in zip(pictures, values)]
    folder.save(figures.grid([[*pictures.values(), high]], [*pictures, "target"], captions), "releases",
                ["picture", "psnr", "ssim"], table, set=pairs.set_name)


if __name__ == "__main__":
    sys.exit(start(main))
