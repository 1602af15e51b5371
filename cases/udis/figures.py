"""The figures of chapter B4 and of the results: python cases/udis/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/udis/<run>/figures.
"""
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import cv2
import numpy as np
import torch

from cases.udis.baselines import ALIGNED, IDENTITY, JOINED, SIZES, by_keypoints, check, domain, join_all, refine_starts
from cases.udis.data import read_photographed
from cases.udis.drawing import diagram
from cases.udis.drawing.captions import CAPTIONS
from cases.udis.drawing.classical import draw_classical, draw_opencv
from cases.udis.losses import blanked_loss, masked_loss, seam_masks
from cases.udis.meshes import BENT, LEARNT
from cases.udis.model import UDIS
from cases.udis.quality import JOIN, measure_joined
from common.base import paths
from common.base.errors import start
from common.data.images import to_bytes, to_tensor
from common.experiment import checkpoints, figures
from common.experiment.run import Run
from common.stitching.estimators import network_estimate
from common.stitching.geometry import STRICT, homography_from_offsets, overlap, rescale, transform, warp
from common.stitching.keypoints import SIFT, match_pictures

BLUE, ORANGE = (np.array([0, 114, 178]), np.array([213, 94, 0]))


def main(argv=None):
    run = Run("udis", "figures", argv)
    weights = run.weights()
    model = run.load(UDIS, weights)
    root = run.config.test.root or run.config.data.root
    pairs = figures.if_there(run, lambda: read_photographed(root, "testing"), "test.root", "data.root")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    if pairs is not None:
        draw_pairs(folder, run, model, pairs)
    draw_training(folder, run)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_pairs(folder, run, model, pairs):
    """Every figure that shows photographed pairs, or what test.py has measured on them."""
    example = next((name for name in ("udisd_demo1", "spw_01") if name in pairs.names), pairs.names[0])
    lines = figures.read_items(run, pairs.set_name)
    draw_pipeline(folder, run, model, pairs, "spw_01" if "spw_01" in pairs.names else example)
    draw_examples(folder, run, model, pairs, "B4.2_scenes", scenes(pairs))
    draw_examples(folder, run, model, pairs, "B4.3_overlap", by_overlap(pairs))
    draw_parallax(folder, pairs)
    draw_masks(folder, run, model, pairs, example)
    draw_forms(folder, run, model, pairs)
    draw_degenerate(folder, pairs)
    draw_classical(folder, pairs, example)
    draw_opencv(folder, pairs)
    if lines:
        draw_methods(folder, lines, pairs.set_name)
        draw_resolution(folder, lines, pairs.set_name)
        draw_joining(folder, lines, pairs.set_name)


def stitch(run, model, a, b):
    """(Warps, {row: Joined}, H_ba) of a pair at its refined homography, from keypoints and network."""
    found = refine_starts(a, b, [by_keypoints(a, b, SIFT), check(network_estimate(model, a, b, run.device), a, b)])
    H = IDENTITY if found.H_ba is None else found.H_ba
    warps, _ = domain(a, b, H)
    return warps, join_all(model, warps, run.device), H


# ---- the chapter's figures -------------------------------------------------------------------------------------------

@torch.inference_mode()
def draw_pipeline(folder, run, model, pairs, item):
    """B4.1: everything between two inputs and the stitched picture."""
    a, b = pairs.pair(pairs.names.index(item))
    warps, made, _ = stitch(run, model, a, b)
    whole = model(warps.to(run.device))
    mask_a, mask_b = (mask[0, 0].numpy()[..., None] for mask in (warps.mask_a, warps.mask_b))
    masks = 255 - (mask_a * (255 - BLUE) + mask_b * (255 - ORANGE)) / 2
    bands = [band[0, 0].numpy()[..., None] for band in seam_masks(warps.mask_a, warps.mask_b)]
    seam = 255 - bands[0] * (255 - BLUE) - bands[1] * (255 - ORANGE)
    low = cv2.resize(to_bytes(whole.low[0].cpu()), warps.a.shape[:1:-1])
    share = made["reconstructed"].label.float() if whole.share is None else whole.share.cpu()
    pictures = {"a": a, "b": b, "warp_a": to_bytes(warps.a[0]), "warp_b": to_bytes(warps.b[0]),
                "masks": masks.astype(np.uint8), "seam": seam.clip(0, 255).astype(np.uint8), "low": low,
                "high": to_bytes(made["reconstructed"].picture[0]),
                "share": (255 * (share * warps.overlap)[0, 0].numpy()).astype(np.uint8)}
    rows = [[name, int(value)] for name, value in (("width", warps.a.shape[3]), ("height", warps.a.shape[2]),
                                                   ("overlap pixels", warps.overlap.sum()),
                                                   ("B1 pixels", bands[0].sum()), ("B2 pixels", bands[1].sum()))]
    folder.save(diagram.draw_flow(pictures).figure, "B4.1_pipeline", ["what", "pixels"], rows, item=item)


def scenes(pairs):
    """{label: item}: one pair of each scene that pairs.csv names, else the first pairs."""
    wanted = {"indoor": "dfw_desk", "night": "cave_times", "nature": "lakeside", "city": "spw_01"}
    chosen = {label: item for label, item in wanted.items() if item in pairs.names}
    return chosen or {item: item for item in pairs.names[:3]}


def by_overlap(pairs):
    """{label: item}: low, middle and high overlap, the value measured by SIFT and refinement."""
    chosen = ([item for item in ("river", "roofs", "spw_05", "udisd_test_000001", "dfw_desk") if item in pairs.names]
              or pairs.names[:3])
    labels = {}
    for item in chosen:
        a, b = pairs.pair(pairs.names.index(item))
        found = refine_starts(a, b, [by_keypoints(a, b, SIFT)])
        share = 0.0 if found.H_ba is None else overlap(found.H_ba, a.shape[1::-1], b.shape[1::-1])
        labels[f"{item}: {share:.2f}"] = item
    return dict(sorted(labels.items(), key=lambda each: float(each[0].split(": ")[1])))


def draw_examples(folder, run, model, pairs, name, chosen):
    """Rows of image 1, image 2 and the stitched picture."""
    grid, captions, rows = [], [], []
    for label, item in chosen.items():
        a, b = pairs.pair(pairs.names.index(item))
        warps, made, H = stitch(run, model, a, b)
        shown = to_bytes(made["reconstructed"].picture[0])
        warped, mask = warp(to_tensor(b)[None], H[None], a.shape[1::-1])
        strict = mask >= STRICT
        error = ((warped - to_tensor(a)[None]).square() * strict).sum() / (3 * strict.sum().clamp(min=1))
        value = -10 * torch.log10(error).item()
        grid.append([fit_into(picture, 360, 240) for picture in (a, b, shown)])
        captions.append([label, "", f"{value:.1f} dB in the overlap"])
        rows.append([item, label, f"{value:.6f}", shown.shape[1], shown.shape[0]])
    folder.save(figures.grid(grid, ["image 1", "image 2", "stitched"], captions), name,
                ["item", "label", "psnr_overlap", "width", "height"], rows)


def fit_into(picture, width, height):
    """A picture scaled into a white box of width x height."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture, (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))),
                       interpolation=cv2.INTER_AREA)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    box = np.full((height, width, 3), 255, np.uint8)
    box[top:top + small.shape[0], left:left + small.shape[1]] = small
    return box


def draw_parallax(folder, pairs):
    """B4.4: what the best homography leaves of the real matches, drawn on image 1."""
    chosen = ([item for item in ("hill", "spw_09", "spw_10", "boat", "rew_cabin", "railtracks") if item in pairs.names]
              or pairs.names[-3:])
    figure, axes = figures.new_figure(figures.WIDTH, 2.3 * -(-len(chosen) // 3), -(-len(chosen) // 3), 3)
    rows = []
    for axis in axes.flat:
        axis.axis("off")
    for axis, item in zip(axes.flat, chosen):
        a, b = pairs.pair(pairs.names.index(item))
        points_a, residuals = real_residuals(a, b)
        axis.imshow(a)
        axis.autoscale(False)
        for (x, y), (dx, dy) in zip(points_a, residuals):
            axis.plot([x, x + 3 * dx], [y, y + 3 * dy], lw=0.8, color=figures.COLOURS[1])
        length = np.hypot(*residuals.T) if len(residuals) else np.zeros(1)
        values = pairs.classes(pairs.names.index(item))
        label = f"{item}: {values['parallax']}" if "parallax" in values else item
        axis.set_title(f"{label}, median {np.median(length):.1f}, 90 % {np.quantile(length, 0.9):.1f} px", fontsize=8)
        rows.append([item, len(residuals), f"{np.median(length):.6f}", f"{np.quantile(length, 0.9):.6f}"])
    folder.save(figure, "B4.4_parallax", ["item", "matches", "median_px", "p90_px"], rows)


def real_residuals(a, b):
    """(points in A (n, 2), where H puts their partners less these (n, 2)): SIFT matches that a rigid scene explains."""
    points_a, points_b, pairs = match_pictures(a, b, SIFT, query="a")
    found = by_keypoints(a, b, SIFT)
    if found.H_ba is None or len(pairs) < 8:
        return np.zeros((0, 2)), np.zeros((0, 2))
    cv2.setRNGSeed(0)
    _, inside = cv2.findFundamentalMat(points_b, points_a, cv2.USAC_MAGSAC, 1.5, 0.999, 5000)
    moved = transform(found.H_ba[None], torch.from_numpy(points_b)[None])[0][0].numpy()
    residuals = moved - points_a
    rigid = np.ones(len(residuals), bool) if inside is None else inside.ravel() > 0
    keep = rigid & (np.hypot(*residuals.T) < 0.15 * a.shape[1])
    return points_a[keep], residuals[keep]


@torch.inference_mode()
def draw_masks(folder, run, model, pairs, item):
    """The four ways to join the same pair, and whose the pixels are."""
    a, b = pairs.pair(pairs.names.index(item))
    warps, made, _ = stitch(run, model, a, b)
    labels = [torch.where(warps.union, made[row].label.float(), 0.5) for row in JOINED]
    labels[0] = torch.where(warps.overlap, 128 / 255, labels[0])
    labels[1] = torch.where(warps.overlap, warps.feather(), warps.mask_a.float())
    share = model(warps.to(run.device)).share
    if share is not None:
        labels[3] = share.cpu()
    labels = [(255 * label[0, 0].numpy()).astype(np.uint8) for label in labels]
    pictures = [to_bytes(made[row].picture[0]) for row in JOINED]
    rows = [[row, f"{(made[row].label & warps.overlap).sum().item() / max(1, warps.overlap.sum().item()):.6f}"]
            for row in JOINED]
    folder.save(figures.grid([pictures, labels], JOINED), "masks", ["row", "share_of_image_1_in_the_overlap"], rows,
                item=item)


FORMS = {"release": "decides (mask form)", "release-repaint": "repaints (paper's form)"}


def draw_forms(folder, run, model, pairs):
    """Both forms of stage 2 on the same warps, averaging and a hard seam beside them; needs both release weights."""
    if not all((paths.CHECKPOINTS / "udis" / f"{name}.pt").is_file() for name in FORMS):
        return run.say(f"{' and '.join(FORMS)} are not both there: the figure of both forms is left out")
    networks = {label: checkpoints.build(UDIS, checkpoints.find("udis", run.name, name)).to(run.device)
                for name, label in FORMS.items()}
    grid, captions, rows = [], [], []
    for item in [name for name in ("rew_cabin", "sculpture", "railtracks") if name in pairs.names] or pairs.names[-2:]:
        warps, made, _ = stitch(run, model, *pairs.pair(pairs.names.index(item)))
        ways = {row: made[row] for row in ("average", "seam")}
        ways |= {label: join_all(network, warps, run.device)["reconstructed"] for label, network in networks.items()}
        grid.append([fit_into(to_bytes(way.picture[0]), 480, 300) for way in ways.values()])
        captions.append([])
        for label, way in ways.items():
            written = measure_joined(way._replace(picture=to_tensor(to_bytes(way.picture[0]))[None]), warps)
            captions[-1].append(f"{item}: ghost {written.get('ghost', 0):.2f}, step {written.get('seam_step', 0):.1f}")
            rows.append([item, label, *(figures.format_number(written.get(name)) for name in JOIN)])
    folder.save(figures.grid(grid, list(ways), captions), "forms", ["item", "way", *JOIN], rows)


def draw_degenerate(folder, pairs):
    """Both alignment losses while image 2 is pushed out to the left."""
    item = next((name for name in ("roofs", "dhw_carpark") if name in pairs.names), pairs.names[0])
    a, b = pairs.pair(pairs.names.index(item))
    small = [to_tensor(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR))[None] for picture in (a, b)]
    found = refine_starts(a, b, [by_keypoints(a, b, SIFT)])
    H = IDENTITY if found.H_ba is None else found.H_ba
    H = rescale(H[None], *((128 / picture.shape[1], 128 / picture.shape[0]) for picture in (a, b)))
    true = [function(small[0], *warp(small[1], H, (128, 128))).item() for function in (blanked_loss, masked_loss)]
    shifts = list(range(0, 141, 4))
    offsets = (torch.tensor([[-float(shift), 0.0] * 4]) for shift in shifts)
    seen = [warp(small[1], homography_from_offsets(each, (128, 128)), (128, 128)) for each in offsets]
    curves = {"paper": [blanked_loss(small[0], *each).item() for each in seen],
              "masked": [masked_loss(small[0], *each).item() for each in seen]}
    figure, axes = figures.new_figure(6.5, 3.2)
    for (name, values), least, colour in zip(curves.items(), true, figures.COLOURS):
        axes[0, 0].plot(shifts, values, label=f"{name}: all pixels" if name == "paper" else f"{name} mean and hinge",
                        color=colour)
        axes[0, 0].axhline(least, ls="--", color=colour, lw=1)
    axes[0, 0].set_xlabel("shift (px of 128)")
    axes[0, 0].set_ylabel("loss (dashed: at the true homography)")
    axes[0, 0].legend(frameon=False)
    points = [("true", *true), *zip(shifts, *curves.values())]
    rows = [[shift, figures.format_number(x), figures.format_number(y)] for shift, x, y in points]
    folder.save(figure, "degenerate", ["shift", "paper", "masked"], rows, item=item)


# ---- results ---------------------------------------------------------------------------------------------------------

def classes_of(lines):
    """{name: choice for figures.mean} of the parallax classes that a set has, in their order; of all if it has none."""
    present = {line.get("by_parallax") for line in lines}
    return {name: {"parallax": name} for name in ("small", "mid", "large") if name in present} or {"all": {}}


def draw_methods(folder, lines, set_name):
    """PSNR in the overlap of every homography, by parallax."""
    present = {line["row"] for line in lines}
    rows, groups = [row for row in ALIGNED + BENT + [LEARNT] if row in present and not row[-1].isdigit()], {}
    for name, chosen in classes_of(lines).items():
        groups[name] = [figures.mean(lines, row, "psnr_overlap_or_identity", **chosen) for row in rows]
    figure = figures.bars([row.replace("_", "\n") for row in rows], groups, "PSNR in the overlap (dB)")
    table = [[row, *map(figures.format_number, values)] for row, *values in zip(rows, *groups.values())]
    folder.save(figure, "methods", ["row", *groups], table, set=set_name, count=len({line["item"] for line in lines}))


def draw_resolution(folder, lines, set_name):
    """SIFT and the network at full size and below."""
    figure, axes = figures.new_figure(figures.WIDTH, 3.0, 1, 2)
    labels, rows = ["full", *map(str, SIZES)], []
    failed = Counter(line["row"] for line in lines if float(line["failures"] or 0))
    for method, colour in (("sift", figures.COLOURS[1]), ("network", figures.COLOURS[0])):
        names = [method, *(f"{method}_{size}" for size in SIZES)]
        failures = [failed[name] for name in names]
        values = [figures.mean(lines, name, "psnr_overlap_or_identity") for name in names]
        for axis, numbers in zip(axes[0], (failures, values)):
            axis.plot(labels, numbers, marker="o", label=method, color=colour)
        rows += [[name, f"{count:.0f}", figures.format_number(value)]
                 for name, count, value in zip(names, failures, values)]
    for axis, label in zip(axes[0], ("failures (pairs)", "PSNR in the overlap (dB)")):
        axis.set_xlabel("size (px)")
        axis.set_ylabel(label)
        axis.legend(frameon=False)
    folder.save(figure, "resolution", ["row", "failures", "psnr_overlap_or_identity"], rows, set=set_name)


def draw_joining(folder, lines, set_name):
    """Ghost, seam error and seam step of every way to join, by parallax."""
    if not any(line["row"] == "reconstructed" for line in lines):
        return
    classes, rows = classes_of(lines), []
    figure, axes = figures.new_figure(figures.WIDTH, 3.0, 1, 3)
    for axis, metric in zip(axes[0], ("ghost", "seam_error", "seam_step")):
        for place, (name, chosen) in enumerate(classes.items()):
            values = [figures.mean(lines, row, metric, **chosen) for row in JOINED]
            x = np.arange(len(JOINED)) + (place - (len(classes) - 1) / 2) * 0.27
            drawn = axis.bar(x, [np.nan if value is None else value for value in values], 0.25, label=name,
                             color=figures.COLOURS[place])
            axis.bar_label(drawn, fmt="%.1f", fontsize=6, padding=1)
            rows += [[row, metric, name, figures.format_number(value)] for row, value in zip(JOINED, values)]
        axis.set_xticks(np.arange(len(JOINED)), [row.replace("reconstructed", "recon-\nstructed") for row in JOINED])
        axis.set_ylabel(f"{metric.replace('_', ' ')} (levels)")
        axis.grid(axis="x", visible=False)
    axes[0, 1].legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    folder.save(figure, "joining", ["row", "metric", "parallax", "value"], rows, set=set_name,
                count=len({line["item"] for line in lines}))


def draw_training(folder, run):
    """The terms of the loss, whatever the stage has, and the validation over the steps."""
    names = figures.read_log(run.trained / "log.jsonl")
    terms = [name for name in names if not name.startswith("val_")]
    validation = [name for name in names if name.startswith("val_") and name != "val_failures"]
    figures.draw_training(folder, run, [("loss", terms), ("validation", validation)])


if __name__ == "__main__":
    sys.exit(start(main))
