"""Figure B1.1: MSR-net from X to Y, every layer with what it gives and its parameters.

    python -m cases.msrnet.drawing.diagram          # writes it for the page
"""
from pathlib import Path

import torch

from cases.msrnet.model import MSRNet
from common.experiment import figures
from common.experiment.diagrams import Diagram, write_all


def trace(model):
    """The layers that a forward pass runs through, as figures.trace gives them."""
    x = torch.rand(1, 3, 64, 64, device=next(model.parameters()).device)
    with torch.inference_mode():
        return figures.trace(model, lambda: model.stages(x))


def count_parameters(layers):
    """{name: parameters} of the layers outside the exposure's code, the modulations added to what they modulate; and
    those of the code."""
    counts, before = {}, None
    for layer in layers:
        name = layer["name"]
        if name.startswith("exposure"):
            name = before = "exposure"
        elif "modulation" in name:
            name = before
        else:
            before = name
        counts[name] = counts.get(name, 0) + layer["parameters"]
    return counts


def draw_network(model):
    """The Diagram of a network, with the counts that add up to its parameters."""
    counts, scales = count_parameters(trace(model)), model.logarithm.scales
    width, channels = model.fuse[0].out_channels, model.cascade.layers[0].out_channels
    depth = len(model.cascade.layers)
    page = Diagram(9.0, 4.6)
    x = page.box(0.45, 3.75, "X", "RGB", "3", width=0.55)
    logs = [page.box(1.72, 4.38 - 0.42 * place, f"$\\ln(1+{v:g}X)/\\ln{1 + v:g}$", colour=0, width=1.45)
            for place, v in enumerate(scales)]
    joined = page.box(3.05, 3.75, "M", "concatenate", f"{3 * len(scales)}")
    for log in logs:
        page.arrow(x.right, log.left)
        page.arrow(log.right, joined.left)
    fused = page.row(3.85, 3.75, [
        ("$W_{-1}$, ReLU", f"1x1, {3 * len(scales)} to {width}", f"{counts['fuse.0']:,} parameters", {"colour": 0}),
        ("$W_0$", f"3x3, {width} to 3", f"{counts['fuse.2']:,} parameters", {"colour": 0}),
        ("$X_1$", "multi-scale log", "3")])
    page.arrow(joined.right, fused[0].left)
    draw_cascade(page, fused[-1], counts, channels, depth)
    if "exposure" in counts:
        page.note(0.15, 0.2, f"+ {counts['exposure']:,} parameters: a code of the picture's 32 x 32 thumbnail scales "
                  "and shifts every map (its parameters are counted with the layer)", align="left")
    page.note(8.9, 4.45, f"{sum(counts.values()):,} parameters", align="right", weight="bold")
    return page


def draw_cascade(page, x1, counts, channels, depth):
    """f2 and f3: H_1 .. H_K one after the other, all of them joined, H_{K+1} taken from X_1, the colours restored."""
    cascade = page.row(0.2, 2.3, [
        ("$W_1$, ReLU", f"3x3, 3 to {channels}", f"{counts['cascade.layers.0']:,}", {"colour": 1}),
        ("$H_1$", f"{channels}"),
        ("$W_2$, ReLU", f"3x3, {channels} to {channels}", f"{counts['cascade.layers.1']:,}", {"colour": 1}),
        ("$H_2$", f"{channels}"),
        ("...", f"$W_3$ to $W_{depth - 1}$", f"{depth - 3} x {counts['cascade.layers.2']:,}",
         {"colour": 1, "width": 1.0}),
        (f"$W_{{{depth}}}$, ReLU", f"3x3, {channels} to {channels}", f"{counts[f'cascade.layers.{depth - 1}']:,}",
         {"colour": 1}),
        (f"$H_{{{depth}}}$", f"{channels}")], gap=0.24)
    page.arrow(x1.bottom, (x1.x, 2.82), (cascade[0].x, 2.82), cascade[0].top)
    joined = page.box(3.6, 1.3, f"concatenate $H_1$ ... $H_{{{depth}}}$", f"{channels * depth}", width=6.6)
    for maps in (cascade[1], cascade[3], cascade[4], cascade[6]):
        page.arrow(maps.bottom, (maps.x, joined.top[1]))
    last = page.row(0.3, 0.62, [
        (f"$W_{{{depth + 1}}}$", f"1x1, {channels * depth} to 3", f"{counts['cascade.average']:,} parameters",
         {"colour": 1}),
        (f"$H_{{{depth + 1}}}$", "illumination", "3")])
    page.arrow((last[0].x, joined.bottom[1]), last[0].top)
    minus = page.sign(4.0, 0.62, "$-$")
    page.arrow(last[-1].right, minus.left)
    page.arrow(x1.right, (8.65, x1.y), (8.65, 0.98), (4.0, 0.98), minus.top, dashed=True, colour=1)
    page.note(8.55, 2.9, "$X_1$", align="right", colour=figures.COLOURS[1], size=9)
    end = page.row(4.5, 0.62, [
        ("$X_2$", f"$X_1 - H_{{{depth + 1}}}$", "3"),
        (f"$W_{{{depth + 2}}}$", "1x1, 3 to 3", f"{counts['restore']:,} parameters", {"colour": 2}),
        ("Y", "RGB", "3")])
    page.arrow(minus.right, end[0].left)


def pages():
    """{name: Diagram} of what the page shows."""
    return {"network": draw_network(MSRNet())}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
