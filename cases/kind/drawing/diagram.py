"""Figure B2.1: the three networks as they run, one box per layer, lower where the maps are smaller."""
import math

import torch
from matplotlib.patches import FancyBboxPatch

from common.experiment import figures

SIZE = (400, 600)                                              # of LOL's pictures: the shapes in the boxes
TITLES = {"decomposition": "decomposition: S to R, I", "adjustment": "adjustment: I, ratio to A",
          "restoration": "restoration: R, I to P"}
COLOUR = {"decomposition": 0, "restoration": 2, "adjustment": 4}
COLUMNS, BESIDE = 23, 13                                       # boxes in a row; where the adjustment begins
ARROW = {"arrowstyle": "-|>", "lw": 0.6, "color": "#555555", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 5}


def layers_of(model):
    """The layers of a forward pass through all three networks, as figures.trace tells them, by network."""
    device = next(model.parameters()).device
    parts = {part: [] for part in TITLES}
    for layer in figures.trace(model, lambda: model.stages(torch.rand(1, 3, *SIZE, device=device), ratio=4.0)):
        parts[layer["name"].split(".")[0]].append(layer)
    return {part: layers for part, layers in parts.items() if layers}


def draw(folder, model):
    """Draw the networks into a FigureFolder: above decomposition and adjustment, below restoration."""
    parts = layers_of(model)
    tall = "restoration" in parts
    figure, axes = figures.new_figure(height=5.2 if tall else 2.2, rows=2 if tall else 1,
                                      height_ratios=[3.4, 5] if tall else [1])
    for axis, levels in zip(axes[:, 0], (3, 5)):
        axis.axis("off")
        axis.set_xlim(-0.6, COLUMNS - 0.4)
        axis.set_ylim(-levels + 0.5, 1.0)
    for part, layers in parts.items():
        draw_network(axes[int(part == "restoration"), 0], part, layers, BESIDE if part == "adjustment" else 0)
    rows = [[layer["name"], layer["kind"], by(layer["inputs"]), by(layer["outputs"]), layer["parameters"]]
            for layers in parts.values() for layer in layers]
    folder.save(figure, "B2.1_networks", ["layer", "kind", "inputs", "outputs", "parameters"], rows,
                total=sum(row[-1] for row in rows))


def draw_network(axis, part, layers, first):
    """One network, left to right in the order of its run; dashed: what is joined to a later layer."""
    axis.text(first - 0.45, 0.8, f"{TITLES[part]}, {sum(layer['parameters'] for layer in layers):,} parameters",
              fontsize=7.5, va="center")
    centre = [(first + place, -round(math.log2(SIZE[0] / layer["outputs"][1]))) for place, layer in enumerate(layers)]
    for (x, y), layer in zip(centre, layers):
        raised = layer["kind"].startswith("convtranspose")
        colour = figures.COLOURS[1 if raised else COLOUR[part]]
        axis.add_patch(FancyBboxPatch((x - 0.43, y - 0.33), 0.86, 0.66, fc=colour + "33", ec="#555555", lw=0.6,
                                      boxstyle="round,pad=0,rounding_size=0.06"))
        name = layer["name"].split(".")[1].removeprefix("de_").removeprefix("en_")
        kernel, (maps, *size) = layer["kind"].split()[-1], layer["outputs"]
        axis.text(x, y, f"{name}\n{kernel}{' up' if raised else ''}\n{maps} maps\n{by(size)}",
                  ha="center", va="center", fontsize=4.6, linespacing=1.15)
    for (x, y), (u, v), layer in zip(centre, centre[1:], layers[1:]):
        if not layer["name"].endswith(("l_conv1_2", "l_conv1_4")):     # the illumination's branch has its own arrows
            axis.annotate("", (u - 0.43, v), (x + 0.43, y), arrowprops=ARROW)
    for source, target in skips(part, layers):
        (x, y), (u, v) = centre[source], centre[target]
        dashed = {"ls": "--", "color": figures.COLOURS[1],
                  "connectionstyle": f"arc3,rad={-0.5 / max(2, target - source):.3f}"}
        axis.annotate("", (u, v + 0.33), (x, y + 0.33), arrowprops=ARROW | dashed)


def skips(part, layers):
    """(from, to) places of the maps that are joined with upsampled ones, and of the illumination's branch."""
    place = {layer["name"].split(".")[1]: number for number, layer in enumerate(layers)}
    pairs = {"decomposition": [("g_conv2_1", "g_conv8_1"), ("g_conv1_1", "g_conv9_1"), ("g_conv1_1", "l_conv1_2"),
                               ("l_conv1_2", "l_conv1_4"), ("g_conv9_1", "l_conv1_4")],
             "restoration": [(f"de_conv{10 - level}_2", f"de_conv{level}_1") for level in (6, 7, 8, 9)],
             "adjustment": []}[part]
    return [(place[a], place[b]) for a, b in pairs]


def by(shape):
    return "x".join(map(str, shape))
