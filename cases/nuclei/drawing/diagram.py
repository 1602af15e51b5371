"""The diagrams of the page: the U of a network with its parameters, a recurrent residual block unrolled, a gate.

    python -m cases.nuclei.drawing.diagram          # writes them for the page
"""
from pathlib import Path

import torch

from cases.nuclei.model import AttentionGate, Nuclei, RecurrentResidualBlock
from common.experiment import figures
from common.experiment.diagrams import Diagram, write_all


def trace(model):
    """The layers that a forward pass of a network runs through, as figures.trace gives them."""
    side = 2 * model.multiple
    x = torch.rand(1, model.inputs, side, side, device=next(model.parameters()).device)
    with torch.inference_mode():
        return figures.trace(model, lambda: model(x))


def count(part):
    """Parameters of a module."""
    return sum(map(torch.numel, part.parameters()))


def draw_network(model):
    """The Diagram of a network: levels from above down, encoder at the left, decoder at the right, skips between."""
    levels, widths = len(model.down), [block_width(block) for block in model.down]
    recurrent = isinstance(model.down[0], RecurrentResidualBlock)
    kind = "recurrent residual" if recurrent else "two 3x3, BN, ReLU"
    page = Diagram(9.0, 0.85 * levels + 0.55)
    ys = [0.85 * (levels - level) - 0.05 for level in range(levels)]
    left, right = [], []
    for level, (block, width, y) in enumerate(zip(model.down, widths, ys)):
        size = "h x w" if level == 0 else f"h/{2**level} x w/{2**level}"
        x = 4.5 if level == levels - 1 else 1.9 + 0.25 * level
        left.append(page.box(x, y, kind, f"{width} x {size}", f"{count(block):,}", colour=0, width=1.55))
    for level in range(levels - 1):
        up, y = model.up[level], ys[level]
        right.append(page.box(7.1 - 0.25 * level, y, kind, f"{2 * widths[level]} to {widths[level]}",
                              f"{count(up.halve) + count(up.block):,} with doubling", colour=2, width=1.75))
        if up.gate is None:
            page.arrow(left[level].right, right[level].left, dashed=True, label="skip")
        else:
            gate = page.box(4.5, y, "attention gate", f"{count(up.gate):,}", colour=3, width=1.1)
            page.arrow(left[level].right, gate.left, dashed=True)
            page.arrow(gate.right, right[level].left, dashed=True)
    for level in range(levels - 2):
        page.arrow(left[level].bottom, (left[level].x, left[level + 1].top[1]), colour=0)
        page.arrow((right[level].x, right[level + 1].top[1]), right[level].bottom, colour=2)
    bottom = left[-1]
    page.arrow(left[-2].bottom, (left[-2].x, bottom.y), bottom.left, colour=0)
    page.arrow(bottom.right, (right[-1].x, bottom.y), right[-1].bottom, colour=2)
    picture = page.box(0.5, ys[0], "picture", f"{model.inputs} x h x w", width=0.8)
    page.arrow(picture.right, left[0].left)
    answer = page.box(8.5, ys[0], "1x1", ", ".join(model.maps), f"{count(model.answer):,}", width=0.85)
    page.arrow(right[0].right, answer.left)
    page.note(8.9, 0.15, f"{count(model):,} parameters", align="right", weight="bold")
    return page


def block_width(block):
    """Maps that a block of the encoder gives."""
    return block.widen.out_channels if isinstance(block, RecurrentResidualBlock) else block[0][0].out_channels


def recurrent_block(channels=64):
    return RecurrentResidualBlock(channels, channels)


def draw_recurrent(block):
    """The Diagram of a recurrent residual block, its two units unrolled in time: boxes of one colour are one layer."""
    page = Diagram(9.0, 2.6)
    x = page.box(0.4, 1.5, "x", width=0.4)
    first = page.box(1.25, 1.5, "1x1", f"{count(block.widen):,}", width=0.7)
    page.arrow(x.right, first.left)
    start, ends = first, []
    for number, unit in enumerate(block.units):
        colour, left = 1 + 2 * number, 2.15 + 3.15 * number
        previous = None
        for turn in range(unit.TURNS + 1):
            box = page.box(left + 1.05 * turn, 1.5, f"$f_{number + 1}$", "3x3, BN, ReLU", colour=colour, width=0.78)
            if previous is None:
                page.arrow(start.right, box.left)
            else:
                page.arrow(previous.right, box.left, label="+")
                page.arrow(start.top, (start.x, 2.1 + 0.12 * number), (box.left[0] - 0.1, 2.1 + 0.12 * number),
                           (box.left[0] - 0.1, 1.56), dashed=True, colour=colour)
            previous = box
        page.note(left + 1.05, 1.05, f"one convolution, {unit.TURNS + 1} passes: {count(unit):,}")
        start = previous
        ends.append(previous)
    plus = page.sign(8.45, 1.5, "+")
    page.arrow(ends[-1].right, plus.left)
    page.arrow(first.bottom, (first.x, 0.55), (plus.x, 0.55), plus.bottom, dashed=True, colour=0, label="residual")
    page.arrow(plus.right, (8.9, 1.5))
    page.note(8.9, 0.15, f"{count(block):,} parameters", align="right", weight="bold")
    return page


def draw_gate(channels=64):
    """The Diagram of an attention gate."""
    gate = AttentionGate(channels)
    page = Diagram(9.0, 2.3)
    skip = page.box(0.7, 1.6, "skip x", f"{channels} x h x w")
    decoder = page.box(0.7, 0.7, "decoder g", f"{channels} x h x w")
    one = page.box(2.4, 1.6, "1x1, BN", f"to {channels // 2}: {count(gate.from_skip):,}", colour=0)
    other = page.box(2.4, 0.7, "1x1, BN", f"to {channels // 2}: {count(gate.from_decoder):,}", colour=2)
    page.arrow(skip.right, one.left)
    page.arrow(decoder.right, other.left)
    plus = page.sign(3.6, 1.15, "+")
    page.arrow(one.right, (3.6, 1.6), plus.top)
    page.arrow(other.right, (3.6, 0.7), plus.bottom)
    relu, psi, alpha = page.row(4.1, 1.15, [("ReLU",), ("1x1, BN", f"to 1: {count(gate.psi):,}", {"colour": 3}),
                                            (r"sigmoid: $\alpha$", "1 x h x w", {"colour": 3})])
    page.arrow(plus.right, relu.left)
    times = page.sign(8.0, 1.15, r"$\times$")
    page.arrow(alpha.right, times.left)
    page.arrow(skip.top, (skip.x, 2.1), (times.x, 2.1), times.top, dashed=True, colour=0)
    page.arrow(times.right, (8.8, 1.15))
    page.note(8.9, 0.15, f"{count(gate):,} parameters", align="right", weight="bold")
    return page


def pages():
    """{name: Diagram} of what the page shows: the default network, the course's, one block, one gate."""
    course = Nuclei("r2atunet", 64, 5, 3, ["nucleus"])
    return {"network": draw_network(Nuclei("unet", 16, 4)), "r2atunet": draw_network(course),
            "recurrent": draw_recurrent(recurrent_block()), "gate": draw_gate()}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
