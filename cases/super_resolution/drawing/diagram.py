"""The diagrams of the page: the small network from x to y, every layer with its parameters, and self-attention.

    python -m cases.super_resolution.drawing.diagram          # writes them for the page
"""
from pathlib import Path

import torch

from cases.super_resolution.model import PaperBlock, SelfAttention, SubPixel, SuperResolution
from common.experiment import figures
from common.experiment.diagrams import Diagram, draw_chain, write_all


def trace(network):
    """The layers that a forward pass of one scale's network runs through, as figures.trace gives them."""
    x = torch.rand(1, 3, 24, 24, device=next(network.parameters()).device)
    with torch.inference_mode():
        return figures.trace(network, lambda: network(x))


def count(layers, part):
    """Parameters of the layers of a part of the network, such as body.0."""
    return sum(layer["parameters"] for layer in layers if f"{layer['name']}.".startswith(f"{part}."))


def draw_network(network):
    """The Diagram of a small network of one scale."""
    layers, scale, blocks = trace(network), network.scale, len(network.body) - 1
    channels = network.body[-1].out_channels
    page = Diagram(9.0, 3.35)
    x = page.box(0.45, 2.45, "x", "RGB, h x w", width=0.7)
    entry = "3x3, 5x5, 7x7, 1x1" if hasattr(network.entry, "paths") else "5x5"
    head = page.row(1.1, 2.45, [
        (entry, f"3 to {channels}", f"{count(layers, 'entry'):,}", {"colour": 0}),
        ("$F_0$", f"{channels}"),
        ("block 1", "3x3, PReLU, 3x3", f"{count(layers, 'body.0'):,}", {"colour": 1}),
        ("...", f"{blocks} blocks in all", f"{blocks} x {count(layers, 'body.0'):,}", {"colour": 1}),
        (f"block {blocks}", "x + its answer", f"{count(layers, f'body.{blocks - 1}'):,}", {"colour": 1}),
        ("3x3", f"{channels} to {channels}", f"{count(layers, f'body.{blocks}'):,}", {"colour": 1})], gap=0.2)
    page.arrow(x.right, head[0].left)
    plus = page.sign(8.35, 2.45, "+")
    page.arrow(head[-1].right, plus.left)
    page.arrow(head[1].top, (head[1].x, 3.1), (plus.x, 3.1), plus.top, dashed=True, colour=1)
    attention = [("self-attention", network.attention.kind, f"{count(layers, 'attention') + 1:,}", {"colour": 3})
                 ] if isinstance(network.attention, SelfAttention) else []
    tail = page.row(1.4 if attention else 2.4, 1.1, [
        *attention,
        ("3x3", f"{channels} to 3 x {scale}$^2$", f"{count(layers, 'rise'):,}", {"colour": 2}),
        ("pixel shuffle", f"3 x {scale}$^2$ maps of h x w", f"to 3 of {scale}h x {scale}w", {"colour": 2})], gap=0.3)
    page.arrow(plus.bottom, (plus.x, 1.75), (tail[0].x, 1.75), tail[0].top)
    end = page.sign(tail[-1].right[0] + 0.5, 1.1, "+")
    page.arrow(tail[-1].right, end.left)
    y = page.box(end.x + 1.0, 1.1, "y", f"RGB, {scale}h x {scale}w")
    page.arrow(end.right, y.left)
    page.arrow(x.bottom, (x.x, 0.5), (end.x, 0.5), end.bottom, dashed=True, colour=0, label="bicubic interpolation")
    page.note(8.9, 0.2, f"{sum(layer['parameters'] for layer in layers) + bool(attention):,} parameters", align="right",
              weight="bold")
    return page


def draw_paper(network):
    """The Diagram of the paper's network with its self-attention modules, row after row."""
    layers = trace(network)
    body = [layer for layer in network.body if isinstance(layer, (PaperBlock, SelfAttention))]
    blocks = sum(isinstance(layer, PaperBlock) for layer in body)
    chain = [("x", "RGB, h x w"), ("9x9, PReLU", f"{count(layers, 'entry'):,}", {"colour": 0})]
    if len(body) > blocks:
        each = count(layers, f"body.{blocks // 2}") + 1                       # gamma belongs to no layer
        half = [(f"{blocks // 2} blocks", f"{count(layers, 'body.0'):,} each", {"colour": 1}),
                ("self-attention", f"{each:,}", {"colour": 3})]
        chain += [*half, *half]
    else:
        chain.append((f"{blocks} blocks", f"{count(layers, 'body.0'):,} each", {"colour": 1}))
    rise = [layer for layer in network.rise if isinstance(layer, SubPixel)]
    chain += [("3x3, BN, + first", f"{count(layers, f'body.{len(body)}') + count(layers, f'body.{len(body) + 1}'):,}",
               {"colour": 1})]
    chain += [("sub-pixel, PReLU", f"{count(layers, f'rise.{2 * place}'):,}", {"colour": 2})
              for place in range(len(rise))]
    return draw_chain([*chain, ("9x9", f"{count(layers, f'rise.{2 * len(rise)}'):,}", {"colour": 2}), ("y", "RGB")], 5)


def draw_attention(channels=64):
    """The Diagram of self-attention with pooled keys, sizes as in the course's network."""
    attention = SelfAttention(channels)
    narrow = attention.query.out_channels
    sizes = [sum(map(torch.numel, layer.parameters())) for layer in (attention.query, attention.key, attention.value)]
    page = Diagram(9.0, 3.0)
    x = page.box(0.5, 1.6, "x", f"{channels} x h x w")
    names = [("query, 1x1", f"{narrow} x h x w"), ("key, 1x1", f"{narrow} x h' x w'"),
             ("value, 1x1", f"{channels} x h' x w'")]
    boxes = [page.box(2.2, 2.4 - 0.8 * place, *texts, f"{size:,} parameters", colour=0, width=1.35)
             for place, (texts, size) in enumerate(zip(names, sizes))]
    for box in boxes:
        page.arrow(x.right, box.left)
    alike = page.box(4.2, 2.0, "softmax over the places", "of query times key", "(h w) x (h' w')", colour=3)
    attended = page.box(6.0, 1.2, "weights times values", f"{channels} x h x w", colour=3)
    page.arrow(boxes[0].right, (3.05, boxes[0].y), (3.05, 2.1), (alike.left[0], 2.1))
    page.arrow(boxes[1].right, (3.05, boxes[1].y), (3.05, 1.9), (alike.left[0], 1.9))
    page.arrow(boxes[2].right, (5.2, boxes[2].y), (5.2, 1.1), (attended.left[0], 1.1))
    page.arrow(alike.right, (attended.x, alike.y), attended.top)
    times = page.sign(7.2, 1.2, r"$\gamma$", radius=0.16)
    plus = page.sign(7.8, 1.2, "+")
    page.arrow(attended.right, times.left)
    page.arrow(times.right, plus.left)
    end = page.box(8.5, 1.2, "y", f"{channels} x h x w")
    page.arrow(plus.right, end.left)
    page.arrow(x.bottom, (x.x, 0.3), (plus.x, 0.3), plus.bottom, dashed=True, colour=0)
    page.note(8.9, 2.75, f"{sum(sizes) + 1:,} parameters with $\\gamma$, which begins at 0", align="right",
              weight="bold")
    return page


def pages():
    """{name: Diagram} of what the page shows: the release's network for scale 4, and self-attention."""
    network = SuperResolution(scales=[4], channels=48, blocks=8).networks["4"]
    paper = SuperResolution("paper", [4], 64, 16, "full").networks["4"].eval()
    return {"network": draw_network(network), "paper": draw_paper(paper), "attention": draw_attention()}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
