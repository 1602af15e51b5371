"""The figures of the page and of the results: python cases/super_resolution/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/super_resolution/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import io

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import uniform_filter

from cases.super_resolution import baselines
from cases.super_resolution.data import cut, reduce, test_sets
from cases.super_resolution.drawing import attention, diagram
from cases.super_resolution.drawing.captions import CAPTIONS
from cases.super_resolution.drawing.costs import costs_of, published
from cases.super_resolution.enlarge import choose_scale, enlarge
from cases.super_resolution.model import SmallNetwork, SuperResolution
from cases.super_resolution.perceptual import feature_distance, load_judge
from common import metrics
from common.base.errors import UserError, start
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels, to_bytes, to_tensor
from common.experiment import checkpoints, figures
from common.experiment.run import Run
from common.lowlight.figures import colour_difference

PANELS = [("loss", ["loss", "content", "perceptual", "adversarial", "discriminator"]),
          ("validation PSNR of the luma (dB)", ["val_psnr_y"]), ("validation distance", ["val_feature_distance"])]
SIDE = 64                                                    # pixels of the true picture in a crop
QUALITY = 30                                                 # of the JPEG that fails


def main(argv=None):
    run = Run("super_resolution", "figures", argv, {"--scale": ("test.scale", "how many times larger")})
    weights = run.weights()
    model = run.load(SuperResolution, weights)
    choose_scale(run, model)
    folders = figures.if_there(run, lambda: [each for each in test_sets(run.config) if list_images(each)],
                               "data.root", "test.root")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    draw_network(folder, model, run.config.test.scale)
    draw_shuffle(folder)
    if folders:
        draw_from(folder, run, model, folders)
    draw_failures(folder, run, model)
    figures.draw_training(folder, run, PANELS)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_from(folder, run, model, folders):
    """The figures that show pictures of the test sets, and what was measured on them."""
    examples = [path for each in folders for path in middle(list_images(each), 3 - min(2, len(folders)))][:2]
    draw_zooms(folder, run, model, examples)
    lines = {each.resolve().name: figures.read_items(run, each.resolve().name) for each in folders}
    lines = {name: each for name, each in lines.items() if each}
    if lines:
        draw_scores(folder, run, lines)
        draw_costs(folder, run, model, *next(iter(lines.items())))
    draw_attention(folder, run, model, examples[0])
    draw_adversarial(folder, run, model, examples[-1])


def middle(paths, count):
    """`count` pictures around the middle of a set."""
    first = max(0, (len(paths) - count) // 2)
    return paths[first:first + count]


def answer(run, model, low):
    """The network's 8-bit picture."""
    return to_bytes(enlarge(model, to_tensor(low), run.config.test.scale, run.config.test.tile, run.device))


# ---- the network -----------------------------------------------------------------------------------------------------

def draw_network(folder, model, scale):
    """The network, from the layers that a forward pass really runs through."""
    network = model.networks[str(scale)]
    rows = [[layer["name"], layer["kind"], "x".join(map(str, layer["inputs"])), "x".join(map(str, layer["outputs"])),
             layer["parameters"]] for layer in diagram.trace(network)]
    page = diagram.draw_network(network) if isinstance(network, SmallNetwork) else diagram.draw_paper(network)
    folder.save(page.figure, "network", ["layer", "kind", "inputs", "outputs", "parameters"], rows, scale=scale,
                total=sum(map(torch.numel, network.parameters())))


def draw_shuffle(folder):
    """Four maps of 2 x 2, numbered so that their places can be found again in the picture of 4 x 4."""
    maps = torch.arange(1, 17).view(2, 2, 4).permute(2, 0, 1)                 # (4, 2, 2): 1 to 4 at the first places
    large = torch.nn.functional.pixel_shuffle(maps[None], 2)[0, 0]
    figure, axes = figures.new_figure(width=9.0, height=2.0, columns=5, width_ratios=[1, 1, 1, 1, 2])
    owner = torch.nn.functional.pixel_shuffle(torch.arange(4)[:, None, None].expand(4, 2, 2)[None], 2)[0, 0]
    panels = [(each, torch.full_like(each, place), f"map {place + 1}") for place, each in enumerate(maps)]
    for axis, (numbers, colours, title) in zip(axes[0], [*panels, (large, owner, "picture")]):
        draw_numbers(axis, numbers, colours)
        axis.set_title(title, fontsize=9)
    rows = [["picture", y, x, int(large[y, x])] for y in range(4) for x in range(4)]
    rows = [[f"map {m + 1}", y, x, int(maps[m, y, x])] for m in range(4) for y in range(2) for x in range(2)] + rows
    folder.save(figure, "pixel_shuffle", ["where", "row", "column", "value"], rows)


def draw_numbers(axis, numbers, owners):
    """A square of numbers, each on the pale colour of the map that it is from."""
    shades = np.array([[int(shade[place:place + 2], 16) for place in (1, 3, 5)] for shade in figures.COLOURS[:4]])
    axis.imshow((255 - (255 - shades[owners.numpy()]) // 3).astype(np.uint8))
    axis.grid(False)
    axis.axis("off")
    for (y, x), value in np.ndenumerate(numbers.numpy()):
        axis.text(x, y, str(value), ha="center", va="center", fontsize=10)


# ---- pictures --------------------------------------------------------------------------------------------------------

def draw_zooms(folder, run, model, examples):
    """A crop of each example by every method, where the bicubic picture errs most."""
    scale, grid, captions, rows = run.config.test.scale, [], [], []
    for path in examples:
        high = cut(read_pixels(path), scale)
        low = reduce(high, scale)
        pictures = baselines.outputs(low, scale)
        top, left = worst_place(pictures["bicubic"], high)
        pictures |= {"network": answer(run, model, low), "network_ensemble": to_bytes(
            enlarge(model, to_tensor(low), scale, run.config.test.tile, run.device, ensemble=True))}
        values = {name: metrics.psnr_y(picture, high, scale) for name, picture in pictures.items()}
        crops = [picture[top:top + SIDE, left:left + SIDE] for picture in [*pictures.values(), high]]
        texts = [f"{name}: {value:.2f} dB" for name, value in values.items()] + [f"true, {path.stem}"]
        grid += [crops[:4], crops[4:]]
        captions += [texts[:4], texts[4:]]
        rows += [[path.stem, name, figures.format_number(value)] for name, value in values.items()]
    folder.save(figures.grid(grid, None, captions), "zooms", ["picture", "row", "psnr_y"], rows, side=SIDE,
                names=", ".join(path.stem for path in examples))


def worst_place(picture, high):
    """(top, left) of the window of SIDE pixels with the largest square error of the luma."""
    error = uniform_filter((metrics.luma(picture) - metrics.luma(high))**2, SIDE, mode="constant")
    inside = [max(1, side - SIDE + 1) for side in error.shape]
    half = SIDE // 2
    window = error[half:half + inside[0], half:half + inside[1]]
    return tuple(map(int, np.unravel_index(window.argmax(), window.shape))) if window.size else (0, 0)


def draw_scores(folder, run, lines):
    """Mean PSNR of the luma by method and set."""
    names = list(dict.fromkeys(line["row"] for each in lines.values() for line in each))
    groups = {name: [figures.mean(each, row, "psnr_y") for row in names] for name, each in lines.items()}
    labels = [name.replace("_", "\n") for name in names]
    rows = [[name, *(figures.format_number(values[place]) for values in groups.values())]
            for place, name in enumerate(names)]
    figure = figures.bars(labels, groups, "psnr_y (dB)")
    lowest = min(value for values in groups.values() for value in values if value is not None)
    figure.axes[0].set_ylim(bottom=lowest - 2)
    folder.save(figure, "scores", ["row", *groups], rows, scale=run.config.test.scale)


def draw_costs(folder, run, model, set_name, lines):
    """PSNR against parameters and multiplications: this network, and those whose numbers are known for this set."""
    scale = run.config.test.scale
    own = ("this network", figures.mean(lines, "network", "psnr_y"), *costs_of(model.networks[str(scale)], scale))
    points, bicubic = [own, *published(set_name, scale)], figures.mean(lines, "bicubic", "psnr_y")
    figure, axes = figures.new_figure(height=3.0, columns=2)
    for axis, place, label in zip(axes[0], (2, 3), ("parameters", "multiplications per pixel of the large picture")):
        for name, value, *costs in points:
            axis.scatter(costs[place - 2], value, color=figures.COLOURS[name == "this network"], zorder=3)
            axis.annotate(name, (costs[place - 2], value), xytext=(4, 4), textcoords="offset points", fontsize=8)
        if bicubic is not None:
            axis.axhline(bicubic, color=figures.COLOURS[7], ls="--", lw=1)
            axis.annotate("bicubic", (0.02, bicubic), xycoords=("axes fraction", "data"), xytext=(0, 3),
                          textcoords="offset points", fontsize=8)
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.margins(0.25, 0.15)
    axes[0, 0].set_ylabel("psnr_y (dB)")
    rows = [[name, figures.format_number(value), *map(round, costs)] for name, value, *costs in points]
    folder.save(figure, "costs", ["network", "psnr_y", "parameters", "multiplications"],
                [["bicubic", figures.format_number(bicubic), 0, 0], *rows], set=set_name, scale=scale)


def draw_attention(folder, run, model, path, spots=((0.3, 0.3), (0.5, 0.6))):
    """The weights with which two places gather, where the network has attention over all places."""
    scale = run.config.test.scale
    network = model.networks[str(scale)]
    module = attention.find_attention(network)
    if module is None or module.kind == "window":
        return run.say("the attention maps are left out: this network has no attention over the whole picture; train "
                       "one with preset=attention")
    low = reduce(cut(read_pixels(path), scale), scale)
    low = low[:64, :64]                                       # what full attention can take
    pictures, captions, rows = [], [], []
    for spot in spots:
        place = tuple(int(share * side) for share, side in zip(spot, low.shape[:2]))
        weights = attention.attention_map(network, to_tensor(low)[None].to(run.device), place).cpu().numpy()
        marked = low.copy()
        marked[place[0], max(0, place[1] - 2):place[1] + 3] = marked[max(0, place[0] - 2):place[0] + 3, place[1]] = (
            255, 0, 0)
        shown = (weights - weights.min()) / max(weights.max() - weights.min(), 1e-12)
        pictures += [marked, shown.astype(np.float32)]
        captions += [f"row {place[0]}, column {place[1]}", f"{weights.max() * weights.size:.2f} times the mean"]
        rows.append([path.stem, *place, figures.format_number(weights.max() * weights.size)])
    folder.save(figures.grid([pictures], None, [captions]), "attention", ["picture", "row", "column", "largest"], rows,
                kind=module.kind, gamma=module.gamma.item())


def draw_adversarial(folder, run, model, path):
    """One crop by the network, and by the one that was trained on against a discriminator, release-gan.pt."""
    scale = run.config.test.scale
    try:
        painter = run.load(SuperResolution, checkpoints.find("super_resolution", run.name, "release-gan"))
    except UserError as problem:
        return run.say(f"the figure of the adversarial loss is left out: {problem}")
    if scale not in painter.scales:
        return run.say(f"the figure of the adversarial loss is left out: release-gan.pt enlarges by "
                       f"{', '.join(map(str, painter.scales))}")
    high = cut(read_pixels(path), scale)
    low, judge = reduce(high, scale), load_judge(run.device)
    pictures = {"bicubic": baselines.enlarge(low, scale), "network": answer(run, model, low),
                "adversarial": answer(run, painter, low)}
    top, left = worst_place(pictures["bicubic"], high)
    texts, rows = [], []
    for name, picture in pictures.items():
        values = metrics.psnr_y(picture, high, scale), feature_distance(judge, picture, high)
        texts.append(f"{name}: {values[0]:.2f} dB, {values[1] or 0:.3f}")
        rows.append([name, *map(figures.format_number, values)])
    crops = [picture[top:top + SIDE, left:left + SIDE] for picture in [*pictures.values(), high]]
    change = metrics.luma(crops[2]) - metrics.luma(crops[1])
    folder.save(figures.grid([[*crops, colour_difference(change, limit=64)]], None,
                             [[*texts, "true", "adversarial - network"]]),
                "adversarial", ["row", "psnr_y", "feature_distance"], rows)


# ---- failures --------------------------------------------------------------------------------------------------------

def draw_failures(folder, run, model):
    """Stripes finer than the small picture's pixels, and a small picture that was kept as JPEG."""
    scale, grid, captions, rows = run.config.test.scale, [], [], []
    photograph = cut(read_pixels(EMBEDDED / "photos" / "china.jpg")[100:292, 180:372], 12)
    for name, high, keep in (("stripes", stripes(192), lambda low: low), ("JPEG", photograph, keep_as_jpeg)):
        low = keep(reduce(high, scale))
        pictures = {"bicubic": baselines.enlarge(low, scale), "network": answer(run, model, low)}
        values = {row: metrics.psnr_y(picture, high, scale) for row, picture in pictures.items()}
        grid.append([high, baselines.enlarge(low, scale, "nearest"), *pictures.values()])
        captions.append([name, "", *(f"{value:.2f} dB" for value in values.values())])
        rows += [[name, row, figures.format_number(value)] for row, value in values.items()]
    folder.save(figures.grid(grid, ["true", "small picture", "bicubic", "network"], captions), "failures",
                ["picture", "row", "psnr_y"], rows, quality=QUALITY)


def stripes(side):
    """A fan of black and white stripes, (side, side, 3) uint8: 120 of them round a point at the left."""
    y, x = np.mgrid[:side, :side] - np.array([[[side / 2]], [[-side / 8]]])
    wave = 127.5 + 127.5 * np.sin(120 * np.arctan2(y, x))
    return np.repeat((wave + 0.5).astype(np.uint8)[..., None], 3, axis=2)


def keep_as_jpeg(low):
    """The picture after it was stored as JPEG of quality QUALITY."""
    buffer = io.BytesIO()
    Image.fromarray(low).save(buffer, "JPEG", quality=QUALITY)
    return np.array(Image.open(buffer).convert("RGB"))


if __name__ == "__main__":
    sys.exit(start(main))
