"""The figures of chapter B3 and of the results: python cases/view_free_stitch/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/view_free_stitch/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch
from matplotlib.patches import Polygon

from cases.view_free_stitch.baselines import AT, IDENTITY, ROWS
from cases.view_free_stitch.data import evaluation_pairs
from cases.view_free_stitch.drawing import diagram
from cases.view_free_stitch.drawing.captions import CAPTIONS
from cases.view_free_stitch.model import SIDE, ViewFreeStitch
from common.base.errors import start
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels, to_bytes, to_tensor
from common.data.samples import build
from common.experiment import figures
from common.experiment.run import Run
from common.stitching.estimators import estimator, network_estimate
from common.stitching.geometry import corners, homography_from_offsets, offsets_from_homography, transform
from common.stitching.network import COARSE, NEAR, SURE, SmallHomography, centres
from common.stitching.pairs import CORNER, RealPairs, draw_pairs, read_squashed
from common.stitching.refine import residual, score_starts
from common.stitching.register import register
from common.stitching.stitch import crop_panorama, join_photos

PANELS = [("loss", ["loss", "coarse", "fine", "offsets", "squares", "content"]),
          ("validation error (px)", ["val_rmse_4pt", "val_rmse_4pt_median"]),
          ("validation PSNR (dB)", ["val_psnr_union", "val_average"])]


def main(argv=None):
    run = Run("view_free_stitch", "figures", argv)
    weights = run.weights()
    model = run.load(ViewFreeStitch, weights)
    pairs = figures.if_there(run, lambda: evaluation_pairs(run.config), "data.root", "test.root", "test.pairs")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    if isinstance(pairs, RealPairs):
        pairs = figures.if_there(run, lambda: drawn_pairs(run.config.data.root), "data.root")
    if pairs is not None:
        draw_from(folder, run, model, pairs)
    draw_real_classes(folder, run)
    draw_parallax(folder)
    draw_panoramas(folder, run, model)
    figures.draw_training(folder, run, PANELS)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def drawn_pairs(root):
    """Pairs cut from photographs, for runs whose test has photographed ones."""
    pairs = draw_pairs(list_images(root, "data.root"), 8, 0)
    pairs.set_name = "drawn"
    return pairs


def draw_from(folder, run, model, pairs):
    """The figures that show pairs whose homography is known, and what was measured on them."""
    place = min(range(min(12, len(pairs))), key=lambda place: abs(pairs.pair(place).overlap - 0.55))
    example = pairs.pair(place)
    draw_pipeline(folder, run, model, example)
    draw_generator(folder, pairs, place)
    draw_network(folder, model, example)
    draw_matches(folder, run, model, example)
    lines = figures.read_items(run, pairs.set_name)
    if lines:
        draw_overlap(folder, lines, pairs.set_name)
        draw_distribution(folder, lines, pairs.set_name)
        draw_revision(folder, lines, pairs.set_name)
        draw_failures(folder, run, model, pairs, lines)


def picture(image):
    """(1, 3, h, w) in [0, 1] as an array to draw."""
    return to_bytes(image[0].float().cpu())


# ---- the chapter's figures -------------------------------------------------------------------------------------------

@torch.inference_mode()
def draw_pipeline(folder, run, model, pair):
    """B3.1: everything between two inputs and the revised picture."""
    a, b = (to_tensor(image)[None].to(run.device) for image in (pair.a, pair.b))
    offsets = model(a, b).offsets
    stitched = model(a, b, offsets)
    error = (offsets.cpu()[0] - torch.from_numpy(pair.offsets)).square().mean().sqrt().item()
    pictures = {"a": pair.a, "b": pair.b, "warp_a": picture(stitched.warps.a), "warp_b": picture(stitched.warps.b),
                "average": picture(stitched.warps.average()), "revised": picture(stitched.revised)}
    rows = [[f"f{place + 1}", f"{value:.6f}", f"{true:.6f}"]
            for place, (value, true) in enumerate(zip(offsets[0].tolist(), pair.offsets.tolist()))]
    folder.save(diagram.draw_flow(pictures).figure, "B3.1_pipeline", ["offset", "network", "true"], rows, network=error)


def draw_generator(folder, pairs, place):
    """B3.2: the photograph with both outlines, and what is cut out."""
    pair, (shift, bend) = pairs.pair(place), pairs.draws[place]
    figure, axes = figures.new_figure(figures.WIDTH, 2.6, 1, 4, width_ratios=[480, 270, 270, 270])
    for axis, image, title in zip(axes[0], (read_squashed(pairs.photos[place]), pair.a, pair.b, pair.label),
                                  ("photograph, 480 x 360", "A", "B", "label")):
        axis.imshow(image)
        axis.set_title(title)
        axis.axis("off")
    order = [0, 1, 3, 2]                                                 # round the square
    square = corners((SIDE, SIDE)).numpy()[order] + CORNER
    for points, style in ((square, {"ec": figures.COLOURS[0], "lw": 1.6}),
                          (square + shift, {"ec": "white", "lw": 1, "ls": "--"}),
                          (square + pair.offsets.reshape(4, 2)[order], {"ec": figures.COLOURS[1], "lw": 1.6})):
        axes[0, 0].add_patch(Polygon(points, fc="none", **style))
    for begin, end in zip(square + shift, square + pair.offsets.reshape(4, 2)[order]):
        axes[0, 0].annotate("", end, begin, arrowprops={"arrowstyle": "->", "color": figures.COLOURS[1], "lw": 1})
    rows = [[name, *map(int, moved), *map(int, bent)] for name, moved, bent in
            zip(("UL", "UR", "LL", "LR"), np.tile(shift, (4, 1)), np.reshape(bend, (4, 2)))]
    folder.save(figure, "B3.2_generator", ["corner", "dx", "dy", "perturbation_x", "perturbation_y"], rows,
                dx=int(shift[0]), dy=int(shift[1]), overlap=pair.overlap)


def draw_network(folder, model, pair):
    """The homography network that this run has, with the layers that a forward pass really runs through as CSV."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        a, b = (to_tensor(image)[None].to(device) for image in (pair.a, pair.b))
        layers = figures.trace(model.homography, lambda: model.homography(a, b))
    rows = [[layer["name"], layer["kind"], "x".join(map(str, layer["outputs"])), layer["parameters"]]
            for layer in {layer["name"]: layer for layer in layers}.values()]
    draw = diagram.draw_small if isinstance(model.homography, SmallHomography) else diagram.draw_paper
    folder.save(draw(model).figure, "network", ["layer", "kind", "outputs", "parameters"], rows,
                total=diagram.parameters(model.homography))


@torch.inference_mode()
def draw_matches(folder, run, model, pair):
    """The sure matches of the coarse stage as lines between the pictures; left out for networks that do not match."""
    prediction = model(to_tensor(pair.a)[None].to(run.device), to_tensor(pair.b)[None].to(run.device))
    if prediction.log_a is None:
        return
    sure, partner = (prediction.log_a[0, :, :-1] + prediction.log_b[0, :, :-1].mT).exp().cpu().max(dim=1)
    places = centres(SIDE // COARSE, SIDE // COARSE, COARSE).double()
    H = homography_from_offsets(prediction.offsets.cpu(), (SIDE, SIDE))
    distance = (transform(H, places[partner][None])[0][0] - places).norm(dim=1)
    figure, axes = figures.new_figure(figures.WIDTH, 4.2)
    axis, gap = axes[0, 0], 12
    axis.imshow(np.hstack([pair.a, np.full((SIDE, gap, 3), 255, np.uint8), pair.b]))
    axis.axis("off")
    rows = []
    for place in torch.nonzero(sure > SURE).flatten().tolist():
        (x, y), (u, v), agrees = places[place].tolist(), places[partner[place]].tolist(), bool(distance[place] < NEAR)
        axis.plot([x, u + SIDE + gap], [y, v], lw=0.5, color=figures.COLOURS[2 if agrees else 1])
        rows.append([f"{value:.1f}" for value in (x, y, u, v)] + [f"{sure[place]:.6f}", int(agrees)])
    folder.save(figure, "matches", ["x_a", "y_a", "x_b", "y_b", "probability", "agrees"], rows or [[""] * 6],
                sure=len(rows), agree=sum(row[-1] for row in rows))


# ---- results ---------------------------------------------------------------------------------------------------------

def draw_overlap(folder, lines, set_name):
    """Mean error of every method by overlap."""
    draw_classes(folder, "overlap", lines, set_name, "rmse_4pt", "mean error (px)", "overlap", ("low", "mid", "high"))


def draw_classes(folder, figure_name, lines, set_name, metric, label, classing, classes):
    """Bars of every method's mean, one for each of the classes that occur."""
    present, groups = {line[f"by_{classing}"] for line in lines}, {}
    for name in (each for each in classes if each in present):
        groups[name] = [figures.mean(lines, row, metric, **{classing: name}) for row in ROWS]
    figure = figures.bars([row.replace("_", "\n") for row in ROWS], groups, label)
    rows = [[row, *map(figures.format_number, values)] for row, *values in zip(ROWS, *groups.values())]
    folder.save(figure, figure_name, ["row", *groups], rows, set=set_name)


def draw_distribution(folder, lines, set_name):
    """For each method the share of pairs with at most a given error."""
    figure, axes = figures.new_figure(6.5, 3.6)
    rows = []
    for place, row in enumerate(ROWS):
        errors = np.sort([float(line["rmse_4pt"]) for line in lines if line["row"] == row])
        good = errors[errors < 100]
        axes[0, 0].plot(np.maximum(good, 0.01), np.arange(1, len(good) + 1) / len(errors), label=row,
                        ls="-" if place < 8 else "--", color=figures.COLOURS[place % len(figures.COLOURS)])
        rows += [[row, f"{share:.2f}", f"{np.quantile(errors, share):.6f}"] for share in np.arange(0.1, 1.0, 0.1)]
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xlabel("error of the offsets (px)")
    axes[0, 0].set_ylabel("share of pairs")
    axes[0, 0].legend(frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    folder.save(figure, "distribution", ["row", "share", "rmse_4pt"], rows, set=set_name, count=len(errors))


def draw_revision(folder, lines, set_name):
    """The three ways to join pictures, at three homographies, by three measures."""
    metrics = {"psnr_union": "PSNR, union (dB)", "psnr_b_own": "PSNR, B's own part (dB)",
               "seam_step": "error of the step (levels)"}
    figure, axes = figures.new_figure(figures.WIDTH, 3.0, 1, 3)
    rows = []
    for axis, (metric, label) in zip(axes[0], metrics.items()):
        for place, method in enumerate(("average", "a_over_b", "revised")):
            values = [figures.mean(lines, f"{method}/{at}", metric) for at in AT]
            heights = [np.nan if value is None else value for value in values]
            drawn = axis.bar(np.arange(3) + (place - 1) * 0.27, heights, 0.25, label=method,
                             color=figures.COLOURS[place])
            axis.bar_label(drawn, fmt="%.1f", fontsize=6, padding=1)
            rows += [[f"{method}/{at}", metric, figures.format_number(value)] for at, value in zip(AT, values)]
        axis.set_xticks(np.arange(3), AT)
        axis.set_ylabel(label)
        axis.grid(axis="x", visible=False)
    axes[0, 1].legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    folder.save(figure, "revision", ["row", "metric", "value"], rows, set=set_name,
                count=len({line["item"] for line in lines}))


@torch.inference_mode()
def draw_failures(folder, run, model, pairs, lines):
    """The network's two worst pairs, joined as it says and as is true."""
    worst = sorted((line for line in lines if line["row"] == "network"), key=lambda line: -float(line["rmse_4pt"]))[:2]
    grid, captions, rows = [], [], []
    for line in worst:
        pair = pairs.pair(pairs.names.index(line["item"]))
        a, b = to_tensor(pair.a)[None].to(run.device), to_tensor(pair.b)[None].to(run.device)
        wrong = offsets_from_homography(network_estimate(model, pair.a, pair.b, run.device).H_ba[None], (SIDE, SIDE))
        right = torch.from_numpy(pair.offsets)[None]
        grid.append([pair.a, pair.b, *(picture(model(a, b, offsets.to(run.device)).warps.average())
                                       for offsets in (wrong, right))])
        captions.append([f"pair {line['item']}, overlap {pair.overlap:.2f}", "",
                         f"{float(line['rmse_4pt']):.1f} px off", "true"])
        rows.append([line["item"], f"{pair.overlap:.6f}", line["rmse_4pt"]])
    folder.save(figures.grid(grid, ["A", "B", "network", "truth"], captions), "failures",
                ["item", "overlap", "rmse_4pt"], rows, set=pairs.set_name)


def draw_real_classes(folder, run):
    """By parallax, from any test of photographed pairs under this name."""
    for path in sorted((run.folder / "test").glob("*/items.csv")):
        lines = figures.read_items(run, path.parent.name)
        if lines and "by_parallax" in lines[0]:
            return draw_classes(folder, "parallax_classes", lines, path.parent.name, "psnr_overlap",
                                "PSNR in the overlap (dB)", "parallax", ("small", "mid", "large"))


def draw_parallax(folder, pair=None):
    """A stereo pair, the sample one: the best homography that refinement finds, and what it cannot align."""
    a, b = pair or RealPairs(build("stereo")).pair(0)
    shifted = torch.tensor([[1.0, 0, 20], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    _, H = min(score_starts(a, b, [IDENTITY, shifted]), key=lambda each: each[0])
    difference, mask = residual(a, b, H.numpy())
    average = np.where(mask[..., None], a + difference / 2, a).clip(0, 255).astype(np.uint8)
    shown = np.where(mask[..., None], 128 + difference / 2, 128).clip(0, 255).astype(np.uint8)
    level = float(np.abs(difference[mask]).mean())
    captions = [["left (A)", "right (B)"], ["average of the aligned pictures", "difference to A"]]
    folder.save(figures.grid([[a, b], [average, shown]], None, captions), "parallax", ["value", "levels"],
                [["mean absolute difference in the overlap", f"{level:.6f}"]])


def draw_panoramas(folder, run, model):
    """Photographs that come with the repository, stitched as --input does it."""
    estimate, made, rows = estimator(run.config.test.method, model, run.device), [], []
    for name in ("berlin", "skyline", "front"):
        photographs = [read_pixels(path) for path in sorted((EMBEDDED / "panoramas").glob(f"{name}_*.jpg"))]
        layout = register(photographs, estimate, order="given")
        panorama, surface = join_photos(photographs, layout)
        made.append(crop_panorama(panorama))
        rows.append([name, len(photographs), len(layout.homographies), *made[-1].shape[1::-1], surface.shape.name])
    heights = [picture.shape[0] / picture.shape[1] for picture in made]
    figure, axes = figures.new_figure(figures.WIDTH, sum(0.3 + figures.WIDTH * height for height in heights), len(made),
                                      1, height_ratios=heights)
    for axis, picture, (name, photographs, stitched, *_) in zip(axes[:, 0], made, rows):
        axis.imshow(picture)
        axis.axis("off")
        axis.set_title(f"{name}: {stitched} of {photographs} photographs")
    folder.save(figure, "panoramas", ["panorama", "photographs", "stitched", "width", "height", "surface"], rows)


if __name__ == "__main__":
    sys.exit(start(main))
