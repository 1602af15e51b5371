"""The flow of the three stages (B3.1) and the homography networks, the paper's and ours.

    python -m cases.view_free_stitch.drawing.diagram          # writes them for the page
"""
from pathlib import Path

import torch

from cases.view_free_stitch.model import ViewFreeStitch
from common.experiment.diagrams import Diagram, write_all


def draw_flow(pictures=None):
    """B3.1 as a Diagram: A and B to the stitched picture.

    pictures: {name: picture} for a, b, warp_a, warp_b, average and revised, to stand in the place of boxes.
    """
    page = Diagram(10.2, 3.2)

    def show(name, x, y, title, *lines, **options):
        if pictures is None:
            return page.box(x, y, title, *lines, **options)
        return page.picture(x, y, pictures[name], title, height=0.95)

    a, b = show("a", 0.65, 2.35, "A", "128 x 128"), show("b", 0.65, 0.85, "B", "128 x 128")
    network = page.box(2.05, 1.6, "homography", "network", "8 offsets of B's corners", colour=0)
    solve = page.box(3.75, 1.6, "DLT", "four corners", "H (B to A)", colour=0)
    warp_a = show("warp_a", 5.3, 2.35, "warp of A", "by the identity", "304 x 304")
    warp_b = show("warp_b", 5.3, 0.85, "warp of B", "by H", "304 x 304")
    average = show("average", 6.95, 1.6, "structure stitch", "average where both are")
    revise = page.box(8.35, 1.6, "content", "revision", "U-Net", colour=2)
    revised = show("revised", 9.5, 1.6, "stitched", "304 x 304")
    for picture in (a, b):
        page.arrow(picture.right, (network.x, picture.y), network.top if picture is a else network.bottom)
    page.arrow(network.right, solve.left)
    page.arrow(solve.bottom, (solve.x, warp_b.y), warp_b.left)
    page.arrow((a.right[0], a.y + 0.12), (warp_a.left[0], a.y + 0.12), dashed=True, colour=1, label="A")
    page.arrow((b.right[0], b.y - 0.12), (warp_b.left[0], b.y - 0.12), dashed=True, colour=1, label="B")
    page.arrow(warp_a.right, (average.x, warp_a.y), average.top)
    between = (warp_b.right[0] + average.left[0]) / 2           # not from below, where a picture's title stands
    page.arrow(warp_b.right, (between, warp_b.y), (between, average.y), average.left)
    page.arrow(average.right, revise.left)
    page.arrow(revise.right, revised.left)
    for x, text in ((2.05, "1  homography"), (5.3, "2  structure stitching"), (8.35, "3  content revision")):
        page.note(x, 3.05, text, weight="bold")
    return page


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def count(module):
    return f"{parameters(module):,}"


def draw_paper(model):
    """The paper's homography network: two branches with shared weights, global correlation, regression."""
    network = model.homography
    dense = [layer for layer in network.regression if isinstance(layer, torch.nn.Linear)]
    page = Diagram(10.2, 2.9)
    a, b = page.box(0.55, 2.05, "A", "gray", "1 x 128 x 128"), page.box(0.55, 0.85, "B", "gray", "1 x 128 x 128")
    features = [page.box(2.15, picture.y, "features", "8 x 3x3, 3 pools", "128 x 16 x 16", colour=0)
                for picture in (a, b)]
    volume = page.box(3.85, 1.45, "correlation", "all 33 x 33 shifts", "1089 x 16 x 16")
    page.arrow((features[0].x, features[0].bottom[1]), features[1].top, dashed=True, head=False)
    page.note(features[0].x + 0.06, 1.45, f"the same weights,\n{count(network.features)} parameters", align="left")
    for picture, maps in zip((a, b), features):
        page.arrow(picture.right, maps.left)
        page.arrow(maps.right, (volume.x, maps.y), volume.top if picture is a else volume.bottom)
    total = parameters(network)
    rest = page.row(4.75, 1.45, [
        ("3 x 3x3", "512 x 16 x 16", count(network.convolutions), {"colour": 1}),
        ("dense", "131,072 to 1,024", count(dense[0]), f"{dense[0].weight.numel() / total:.1%} of all", {"colour": 3}),
        ("dense", "1,024 to 8", count(dense[1]), {"colour": 3}),
        ("8 offsets", "pixels")])
    page.arrow(volume.right, rest[0].left)
    page.note(10.05, 2.75, f"{total:,} parameters", align="right", weight="bold")
    return page


def draw_small(model):
    """Our homography network: features at two sizes, all places matched with all, a robust fit, two finer steps."""
    network = model.homography
    width = network.coarse.out_channels
    page = Diagram(10.2, 3.7)
    pictures = page.box(0.6, 2.75, "A, B", "gray", "1 x 128 x 128")
    trunk = page.row(1.35, 2.75, [
        ("stem", f"{width // 4} x 64 x 64", count(network.stem), {"colour": 0}),
        ("quarter", f"{width // 2} x 32 x 32", count(network.quarter), {"colour": 0}),
        ("eighth", f"{width} x 16 x 16", count(network.eighth), {"colour": 0}),
        ("coarse", f"{width} x 16 x 16", count(network.coarse), {"colour": 1}),
        ("match everywhere", "256 x 256 places,", "softmax both ways"),
        ("robust fit", "weighted,", "offsets 1")])
    page.arrow(pictures.right, trunk[0].left)
    fine = page.box(trunk[1].x + 0.7, 1.0, "fine", f"lateral + above, 3x3: {width // 2} x 32 x 32",
                    f"{sum(map(parameters, (network.lateral, network.above, network.fine))):,}", colour=2)
    around = page.box(6.15, 1.0, "match around", "B warped by H,", "±4 places")
    fit = page.box(8.1, 1.0, "robust fit", "twice in use,", "offsets 2, 3")
    end = page.box(9.55, 1.0, "8 offsets", "pixels")
    page.arrow(trunk[1].bottom, (trunk[1].x, fine.top[1]))
    page.arrow(trunk[2].bottom, (trunk[2].x, fine.top[1]))
    page.arrow(fine.right, around.left)
    page.arrow(trunk[-1].bottom, (trunk[-1].x, 1.75), (around.x, 1.75), around.top, label="H")
    page.arrow(around.right, fit.left)
    page.arrow(fit.right, end.left)
    page.arrow(fit.bottom, (fit.x, 0.3), (around.x, 0.3), around.bottom, dashed=True, colour=1, label="again")
    page.note(10.05, 3.55, f"{parameters(network):,} parameters", align="right", weight="bold")
    return page


def pages():
    """{name: Diagram} of what the page shows."""
    with torch.device("meta"):                                 # shapes alone
        paper, small = ViewFreeStitch("paper", 64), ViewFreeStitch("small")
    return {"flow": draw_flow(), "network_paper": draw_paper(paper), "network": draw_small(small)}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
