"""The diagrams of the page: the default network, every level with its parameters, and the two answers to a watermark.

    python -m cases.image_prior.drawing.diagram          # writes them for the page
"""
from pathlib import Path

import torch

from cases.image_prior.model import PriorNetwork
from common.experiment import figures
from common.experiment.diagrams import Diagram, write_all


def trace(network):
    """The layers that a forward pass runs through, as figures.trace gives them."""
    z = torch.rand(1, network.maps, 2 * network.multiple, 2 * network.multiple,
                   device=next(network.parameters()).device)
    with torch.inference_mode():
        return figures.trace(network, lambda: network(z))


def count(layers, part):
    """Parameters of the layers of a part of the network."""
    return sum(layer["parameters"] for layer in layers if f"{layer['name']}.".startswith(f"{part}."))


def draw_network(network):
    """The Diagram of the hourglass: down at the left, up at the right, a skip connection at each level."""
    layers, level, name, levels = trace(network), network.body, "body", []
    while level is not None:
        levels.append((level, name))
        level, name = level.below, f"{name}.below"
    height = 1.0 + 0.78 * len(levels)
    page = Diagram(9.0, height)
    top = height - 0.5
    z = page.box(0.6, top, "z", f"noise, {network.maps} maps")
    last = page.box(8.3, top, "f(z)", "1x1, sigmoid", f"{count(layers, 'last'):,}")
    above = z, last
    for place, (level, name) in enumerate(levels):
        y, inset = top - 0.78 * (place + 1), 0.42 * place
        rising = sum(count(layers, f"{name}.{part}") for part in ("up", "join", "rise"))
        down = page.box(1.6 + inset, y, f"down to {level.down[0][0].out_channels}",
                        f"{count(layers, f'{name}.down'):,}", colour=0, width=1.15)
        up = page.box(7.3 - inset, y, f"up to {level.outputs}", f"{rising:,}", colour=2, width=1.15)
        if level.skip is not None:
            skip = page.box(4.45, y + 0.36, f"skip {level.skip[0].out_channels}", f"{count(layers, name + '.skip'):,}",
                            colour=1, width=0.8, height=0.36)
            page.arrow((down.x, skip.y), skip.left, dashed=True, colour=1)
            page.arrow(skip.right, (up.x, skip.y), dashed=True, colour=1)
        if place:
            page.arrow(above[0].bottom, (above[0].x, down.top[1]))
            page.arrow((above[1].x, up.top[1]), above[1].bottom)
        else:
            page.arrow(z.bottom, (z.x, down.y), down.left)
            page.arrow(up.right, (last.x, up.y), last.bottom)
        above = down, up
    page.arrow(above[0].bottom, (above[0].x, 0.2), (above[1].x, 0.2), above[1].bottom)
    total = sum(map(torch.numel, network.parameters()))
    page.note(8.9, 0.12, f"{total:,} parameters", align="right", weight="bold")
    return page


def draw_answers():
    """The Diagram of the two ways to remove a mark."""
    page = Diagram(9.0, 2.3)
    y = page.box(0.8, 1.15, "y", "marked picture")
    mask = page.box(2.6, 1.75, "mask m", "by hand", colour=3)
    alpha = page.box(2.6, 0.55, "alpha, w", "estimated from m", colour=1)
    fit = page.box(4.9, 1.75, "fit f(z) to y outside m", "what was under m is not used", colour=0)
    undo = page.box(4.9, 0.55, "x = (y - alpha w) / (1 - alpha)", "what shines through is used", colour=2)
    filled = page.box(7.9, 1.75, "filled in", "plausible")
    undone = page.box(7.9, 0.55, "un-blended", "the picture itself")
    page.arrow(y.right, mask.left)
    page.arrow(y.right, alpha.left)
    page.arrow(mask.right, fit.left)
    page.arrow(mask.bottom, alpha.top, dashed=True)
    page.arrow(alpha.right, undo.left)
    page.arrow(fit.right, filled.left)
    page.arrow(undo.right, undone.left)
    return page


def pages():
    """{name: Diagram} of what the page shows."""
    return {"network": draw_network(PriorNetwork()), "answers": draw_answers()}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
