"""Figure B6.1: VGG19 as style transfer uses it, its taps marked, pool5 and the dense layers greyed out.

    python -m cases.vgg19_style.drawing.diagram          # writes it for the page
"""
from pathlib import Path

import torch

from common.experiment import figures
from common.experiment.diagrams import Diagram, write_all
from common.features import vgg, vgg_files

STYLE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CONTENT = ["relu4_2"]
DENSE = ((25_088, 4_096), (4_096, 4_096), (4_096, 1_000))      # of the classifier, which nothing here runs
HEIGHT = 0.42


def list_layers():
    """(trunk, [(name, outputs, parameters)]) of VGG19's convolutions and pools at 224 x 224, without weights."""
    with torch.device("meta"):
        trunk = vgg.Trunk("vgg19", vgg_files.layers("vgg19"))
        x, shapes = torch.empty(1, 3, 224, 224), {}
        traced = figures.trace(trunk, lambda: shapes.update({name: each.shape[1:] for name, each in trunk(x).items()}))
    convolutions, layers = iter(traced), []
    for name in trunk.names:
        if not name.startswith("relu"):
            count = next(convolutions)["parameters"] if name.startswith("conv") else 0
            layers.append((name, tuple(shapes[name]), count))
    return trunk, layers


def draw_network(layers, style=STYLE, content=CONTENT):
    """A column per block, its layers one below the other; S and C mark the taps of style and content."""
    page = Diagram(10.2, 4.3)
    blocks = {}
    for layer in layers:
        blocks.setdefault(layer[0][4], []).append(layer)
    picture = page.box(0.5, 3.35, "x", "3 x 224 x 224")
    before, x = picture, 1.75
    for block in blocks.values():
        for place, (name, shape, count) in enumerate(block):
            pool, taps = name.startswith("pool"), name.replace("conv", "relu")
            marks = "S" * (taps in style or name in style) + "C" * (taps in content or name in content)
            unused = name == "pool5"
            colour = {"S": 0, "C": 1, "SC": 3}.get(marks, 7 if pool and not unused else None)
            line = "x".join(map(str, shape)) if pool else f"{shape[0]} maps, {count:,}"
            box = page.box(x, 3.35 - 0.58 * place, f"{name} {marks}".strip(), line, colour=colour, muted=unused,
                           width=1.2, height=HEIGHT)
            if place:
                page.arrow(before.bottom, box.top, muted=unused)
            elif before is picture:
                page.arrow(before.right, box.left)
            else:
                page.arrow(before.right, (x - 0.75, before.y), (x - 0.75, box.y), box.left)
            before = box
        page.note(x, 3.78, f"{block[0][1][1]} x {block[0][1][2]}")
        x += 1.55
    for place, (inputs, outputs) in enumerate(DENSE):
        box = page.box(9.45, 3.0 - 0.58 * place, f"dense{place + 6}", f"{inputs * outputs + outputs:,}", muted=True,
                       width=1.2, height=HEIGHT)
        if place:
            page.arrow(before.bottom, box.top, muted=True)
        else:
            page.arrow(before.right, (8.72, before.y), (8.72, box.y), box.left, muted=True)
        before = box
    total = sum(count for _, _, count in layers)
    page.note(10.05, 4.15, f"{total:,} parameters in the convolutions", align="right", weight="bold")
    page.note(0.15, 0.2, "S: style tap, C: content tap, read behind the ReLU. Grey and dashed: of the classifier, "
              "not used.", align="left")
    return page


def pages():
    """{name: Diagram} of what the page shows."""
    return {"network": draw_network(list_layers()[1])}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
