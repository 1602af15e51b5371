"""The flow of both stages (B4.1), the paper's alignment network, and stage 2 in the paper's form and in ours.

    python -m cases.udis.drawing.diagram          # writes them for the page
"""
from pathlib import Path

import torch

from cases.udis.model import UDIS
from common.experiment.diagrams import Diagram, write_all


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def draw_flow(pictures=None):
    """B4.1 as a Diagram: two photographs to the stitched picture.

    pictures: {name: picture} for a, b, warp_a, warp_b, masks, seam, low, high and share, in the place of boxes.
    """
    page = Diagram(9.6, 4.2)

    def show(name, x, y, title, *lines):
        if pictures is None:
            return page.box(x, y, title, *lines)
        height, width = pictures[name].shape[:2]
        return page.picture(x, y, pictures[name], title, height=min(0.8, 1.2 * height / width))

    a, b = show("a", 0.75, 3.1, "image 1", "reference"), show("b", 0.75, 1.1, "image 2", "target")
    network = page.box(2.2, 2.1, "homography", "network", "at 128 x 128", colour=0)
    warp_a = show("warp_a", 3.9, 3.1, "warp of 1", "a copy")
    warp_b = show("warp_b", 3.9, 1.1, "warp of 2", "by H")
    masks = show("masks", 5.45, 2.1, "content masks", "where each is")
    seam = show("seam", 5.45, 0.62 if pictures else 0.4, "seam bands", "B1, B2: loss only")
    low = page.box(7.05, 3.1, "low branch", "U-Net at 256 x 256", colour=2)
    high = page.box(7.05, 1.1, "high branch", "full size", colour=3)
    s_low, s_high = show("low", 8.6, 3.1, "$S_l$", "256 x 256"), show("high", 8.6, 1.1, "$S_h$", "full size")
    share = show("share", 8.75, 2.1, "share of 1", "mask form only")
    for picture in (a, b):
        page.arrow(picture.right, (network.x, picture.y), network.top if picture is a else network.bottom)
        target = warp_a if picture is a else warp_b
        page.arrow(picture.right, target.left)
    page.arrow(network.right, (3.05, network.y), (3.05, warp_b.y), head=False, label="H")
    for warp in (warp_a, warp_b):
        between = (warp_b.right[0] + masks.left[0]) / 2          # from above and below, past the titles of pictures
        page.arrow((between, warp.y), (between, masks.y), masks.left)
        page.arrow(warp.right, low.left if warp is warp_a else high.left)
    page.arrow((6.3, low.y), (6.3, high.y), head=False)         # both branches see both warps
    page.arrow(masks.right, (6.3, masks.y), dashed=True, colour=1, head=False)
    page.note(6.36, masks.y, "mask form only", align="left")
    down = warp_b.x + (0.34 if pictures else 0.0)              # beside the title of the picture
    page.arrow((down, warp_b.bottom[1]), (down, seam.y), seam.left, dashed=True, colour=1)
    page.arrow((low.x + 0.25, low.bottom[1]), (high.x + 0.25, high.top[1]), label="hint")
    page.arrow(low.right, s_low.left)
    page.arrow(high.right, s_high.left)
    page.arrow((high.right[0] + 0.15, high.y), (high.right[0] + 0.15, share.y), share.left)
    page.note(2.2, 4.02, "1  align (trained without labels)", weight="bold")
    page.note(7.05, 4.02, "2  reconstruct", weight="bold")
    return page


def draw_paper(model):
    """The paper's alignment: three levels, each warps image 2's maps by the sum so far, correlates and regresses."""
    network = model.homography
    page = Diagram(10.2, 4.0)
    pictures = page.box(0.6, 2.0, "1, 2", "gray", "1 x 128 x 128")
    features = page.box(2.0, 2.0, "features", "shared, 8 x 3x3", f"{parameters(network.features):,}", colour=0)
    page.arrow(pictures.right, features.left)
    before = None
    for place, (side, channels, radius, level) in enumerate(zip((16, 32, 64), (128, 128, 64), network.radii,
                                                                network.levels)):
        y = 3.3 - 1.3 * place
        maps = page.box(3.45, y, f"{side} x {side}", f"{channels} maps")
        page.arrow(features.right, (2.85, features.y), (2.85, y), maps.left)
        row = page.row(4.25, y, [
            *([("warp 2's", "by the sum", {"colour": 4})] if place else []),
            ("correlation", f"±{radius}: {(2 * radius + 1)**2} maps", f"x {side} x {side}"),
            ("regression", "3 x 3x3, 2 dense", f"{parameters(level):,}", {"colour": 3})])
        page.arrow(maps.right, row[0].left)
        total = page.sign(8.2, y, "$+$")
        page.arrow(row[-1].right, total.left)
        offsets = page.box(9.3, y, f"offsets {place + 1}", "8, pixels")
        page.arrow(total.right, offsets.left)
        if before:
            page.arrow(before.bottom, total.top)
            page.arrow((before.x, y + 0.5), (row[0].x, y + 0.5), row[0].top)
        before = total
    page.note(10.05, 3.88, f"{parameters(network):,} parameters", align="right", weight="bold")
    return page


def draw_reconstructions(paper, mask):
    """Stage 2 twice: the paper's repaints every pixel, ours decides whose pixel is shown."""
    page = Diagram(10.2, 3.9)
    for y, model, title in ((2.95, paper, "the paper's: paints"), (1.0, mask, "ours: decides")):
        stage, decides = model.reconstruction, model is mask
        warps = page.box(0.85, y, "warps 1, 2", "and masks" if decides else "RGB", "8" if decides else "6")
        low = page.box(2.75, y, "U-Net at 256 x 256", "both ways round" if decides else "tanh",
                       f"{parameters(stage.low):,}", colour=2)
        high = page.box(5.0, y, "8 residual blocks", "full size", f"{parameters(stage.high):,}", colour=3)
        page.arrow(warps.right, low.left)
        page.arrow(low.right, high.left, label="$S_l$" if not decides else "r")
        page.arrow(warps.top, (warps.x, y + 0.5), (high.x, y + 0.5), high.top, dashed=True, colour=1)
        if decides:
            share = page.box(6.85, y, "share of 1", "sigmoid of depths", "moved by r")
            join = page.box(8.45, y, "blend", "share x 1 + (1 - share) x 2")
            page.arrow(high.right, share.left)
            page.arrow(share.right, join.left)
            page.arrow((high.x, y + 0.5), (join.x, y + 0.5), join.top, dashed=True, colour=1)
        else:
            paint = page.box(6.85, y, "$S_h$", "tanh, new pixels")
            page.arrow(high.right, paint.left)
        page.note(0.2, y + 0.75, f"{title}, {parameters(stage):,} parameters", align="left", weight="bold")
    return page


def pages():
    """{name: Diagram} of what the page shows."""
    with torch.device("meta"):                                 # shapes alone
        paper, small = UDIS("paper", "paper", 64), UDIS("small", "mask", 16)
    return {"flow": draw_flow(),
            "alignment_paper": draw_paper(paper),
            "reconstruction": draw_reconstructions(paper, small)}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
