"""Figures of the networks that paint in one pass: layers (Johnson et al. 2016), contents x styles, from style to style
(Dumoulin et al. 2017)."""
from pathlib import Path

import torch

from cases.vgg19_style.data import Work, fit_size, pictures_at, read_on_white, resize
from cases.vgg19_style.drawing.captions import name_judge
from cases.vgg19_style.drawing.chapter import middle
from cases.vgg19_style.evaluate import measure
from cases.vgg19_style.fast import train
from common.base.errors import UserError
from common.data.images import to_bytes, to_tensor
from common.data.paired import by_stem
from common.experiment import figures
from common.experiment.diagrams import draw_chain

PANELS = [("loss", ["loss", "style", "content", "tv"]),
          ("on held-out photographs", ["val_loss", "val_style", "val_content"])]
CONTENTS, STYLES = 4, 7                                 # at most so many in the grid
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)                    # of the first style, in the strip from style to style


def files_of(data):
    """({stem: content}, {stem: style}) of the settings `data`; no styles where there is none of their pictures."""
    contents = by_stem(pictures_at(data.content, "data.content"))
    try:
        styles = [*map(Path, data.styles)] or pictures_at(data.style, "data.style")
    except UserError:
        styles = []
    return contents, by_stem(styles)


def draw_network(folder, network):
    """The layers of the network, from a pass."""
    x = torch.rand(1, 3, 256, 256, device=network.last.weight.device)
    count = max(1, len(network.styles))
    with torch.inference_mode():
        layers = [layer for layer in figures.trace(network, lambda: network(x, x.new_full((count,), 1 / count)))
                  if layer["kind"].startswith("convolution")]
    boxes = [("x", "3 x 256 x 256")]
    for layer in layers:
        part, kind = layer["name"].split(".")[0], layer["kind"].replace("convolution", "conv")
        what = {"up": f"x2, {kind}", "residual": f"+ 2 {kind}"}.get(part, kind)
        if not layer["name"].endswith("second.convolution"):                    # a residual block is one box
            colour = {"down": 0, "residual": 2, "up": 4, "last": 1}[part]
            boxes.append((part, what, " x ".join(map(str, layer["outputs"])), {"colour": colour}))
    own = sum(parameter[0].numel() for name, parameter in network.named_parameters()
              if name.endswith(("gamma", "beta")))
    rows = [[layer["name"], layer["kind"], "x".join(map(str, layer["inputs"])), "x".join(map(str, layer["outputs"])),
             layer["parameters"]] for layer in layers]
    folder.save(draw_chain(boxes, per_row=6).figure, "network_fast",
                ["layer", "kind", "inputs", "outputs", "parameters"], rows,
                total=sum(parameter.numel() for parameter in network.parameters()), styles=count, own=own)


def paint(network, content8, size, mix, device):
    """A content, uint8, at the long side `size`, painted: uint8 (h, w, 3). mix: weights of the styles."""
    content = resize(content8, fit_size(content8.shape, size))[0]
    return to_bytes(train.stylise(network, content.to(device), mix).cpu())


def draw_grid(folder, run, network, judge):
    """Every content in every style of the network, over what is left of the style distance where the style is there."""
    cfg = run.config
    styles = dict(list(train.choose_styles(network, cfg.test.style).items())[:STYLES])
    contents, files = files_of(cfg.data)
    grid, under, rows = [], [], []
    if any(name in files for name in styles):
        shape = read_on_white(next(iter(contents.values()))).shape
        grid = [[None, *(middle(files[name], shape) if name in files else None for name in styles)]]
        under = [["", *styles]]
    for stem, path in list(contents.items())[:CONTENTS]:
        content8 = read_on_white(path)
        grid.append([content8])
        under.append([stem])
        for name, mix in styles.items():
            picture, left = paint(network, content8, cfg.data.size, mix, run.device), None
            if name in files:
                work = Work(f"{stem}__{name}", path, [files[name]], [1.0], [])
                values = measure([judge], work, to_tensor(picture)[None])[judge.name]
                left = values["style_distance"] / values["style_distance_untouched"]
            grid[-1].append(picture)
            under[-1].append(name if left is None else f"{100 * left:.0f} %")
            rows.append([stem, name, *map(figures.format_number, [left, *picture.mean(axis=(0, 1))])])
    folder.save(figures.grid(grid, None, under), "fast_grid",
                ["content", "style", "style_left", "red", "green", "blue"], rows,
                **name_judge(judge.name if any(row[2] for row in rows) else ""))


def draw_mixing(folder, run, network):
    """From style to style, for the first four styles in pairs; nothing for a network of one style."""
    pairs = list(zip(network.styles[::2], network.styles[1::2]))[:2]
    if not pairs:
        return
    stem, path = next(iter(files_of(run.config.data)[0].items()))
    content8, grid, under, rows = read_on_white(path), [], [], []
    for first, second in pairs:
        line = []
        for share in SHARES:
            mix = torch.zeros(len(network.styles))
            mix[network.styles.index(first)], mix[network.styles.index(second)] = share, 1 - share
            line.append(paint(network, content8, run.config.data.size, mix, run.device))
            rows.append([stem, first, second, f"{share:.2f}", *map(figures.format_number, line[-1].mean(axis=(0, 1)))])
        grid.append(line)
        under.append([first, *(f"{share:g} : {1 - share:g}" for share in SHARES[1:-1]), second])
    folder.save(figures.grid(grid, None, under), "mixing",
                ["content", "first", "second", "share_of_first", "red", "green", "blue"], rows)
