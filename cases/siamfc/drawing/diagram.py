"""The network of B5.1 without pictures: two branches with one set of weights, and their cross-correlation.

    python -m cases.siamfc.drawing.diagram          # writes it for the page
"""
from pathlib import Path

import torch

from cases.siamfc.model import EXEMPLAR, SEARCH, SiamFC
from common.experiment.diagrams import MARGIN, Diagram, widest, write_all


def shapes_of(model, side):
    """[(channels, side)] after each of the five stages, of a picture of so many pixels."""
    x, shapes = torch.empty(1, 3, side, side, device="meta"), []
    for stage in model.backbone.children():
        x = stage(x)
        shapes.append((x.shape[1], x.shape[2]))
    return shapes


def draw_network(model):
    """The Diagram of a network on the device meta: every layer's size in both branches."""
    page, stages = Diagram(9.3, 3.5), list(model.backbone.children())
    texts = []
    for y, name, side in ((2.75, "z", EXEMPLAR), (0.85, "x", SEARCH)):
        boxes = [(name, f"{side} x {side}", "3")]
        for number, (stage, (channels, size)) in enumerate(zip(stages, shapes_of(model, side)), start=1):
            kernel = stage[0].kernel_size[0]
            pooled = ", pool" * (len(stage) > 3)
            boxes.append((f"conv{number}{pooled}", f"{kernel}x{kernel}", f"{channels} x {size} x {size}"))
        texts.append((y, boxes))
    widths = [max(map(widest, column)) + 2 * MARGIN for column in zip(*(boxes for _, boxes in texts))]
    rows = [page.row(0.2, y, [(*box, {"width": width, "colour": 0 if place else None})
                              for place, (box, width) in enumerate(zip(boxes, widths))], gap=0.24)
            for y, boxes in texts]
    for upper, lower, stage in zip(rows[0][1:], rows[1][1:], stages):
        page.arrow(upper.bottom, (upper.x, lower.top[1]), dashed=True, head=False)
        count = sum(parameter.numel() for parameter in stage.parameters())
        page.note(upper.x + 0.06, (upper.y + lower.y) / 2, f"{count:,}", align="left")
    cells = rows[1][-1], rows[0][-1]
    correlate = page.sign(7.3, 1.8, "$*$", radius=0.2)
    for box in cells:
        page.arrow(box.right, (correlate.x, box.y), correlate.bottom if box.y < 1.8 else correlate.top)
    kernel, field = shapes_of(model, EXEMPLAR)[-1][1], shapes_of(model, SEARCH)[-1][1]
    response = page.box(8.5, 1.8, "response", f"{field} - {kernel} + 1 = {field - kernel + 1}",
                        f"{field - kernel + 1} x {field - kernel + 1}", colour=1)
    page.arrow(correlate.right, response.left)
    total = sum(parameter.numel() for parameter in model.parameters())
    page.note(9.15, 3.3, f"{total:,} parameters, once", align="right", weight="bold")
    page.note(0.25, 1.8, "the same weights:", align="left")
    return page


def pages():
    """{name: Diagram} of what the page shows."""
    with torch.device("meta"):                                 # shapes alone
        network = SiamFC()
    return {"network": draw_network(network)}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
