"""Diagrams of networks and flows: boxes, signs and arrows, drawn by one hand. One unit is one inch of the page.

A box is measured from its text, so the text stays inside at any size; `Diagram.row` places boxes one after the other;
an arrow goes from border to border, straight or by way of corners.
"""
from typing import NamedTuple

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from common.experiment.figures import COLOURS, STYLE

TITLE, SMALL = 9.0, 7.5                                    # points
INK, GREY = "#333333", "#999999"
MARGIN = 0.07                                              # inches between a text and its box
ARROW = {"arrowstyle": "-|>", "lw": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}


class Box(NamedTuple):
    """A rectangle on the diagram: its centre and its size, inches."""
    x: float
    y: float
    width: float
    height: float

    @property
    def left(self):
        return self.x - self.width / 2, self.y

    @property
    def right(self):
        return self.x + self.width / 2, self.y

    @property
    def top(self):
        return self.x, self.y + self.height / 2

    @property
    def bottom(self):
        return self.x, self.y - self.height / 2


class Diagram:
    """An empty page of width x height inches; `figure` is what is drawn."""

    def __init__(self, width, height):
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=(width, height))
            FigureCanvasAgg(self.figure)
            self.axis = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set_xlim(0, width)
        self.axis.set_ylim(0, height)
        self.axis.axis("off")
        self.boxes = []

    def box(self, x, y, title, *lines, colour=None, muted=False, width=0.0, height=0.0):
        """A box with its centre at (x, y): a title and smaller lines below it. Returns the Box.

        colour: an index of COLOURS; muted: grey, for what is not used; width, height: at least so much.
        """
        texts = [(title, TITLE), *((line, SMALL) for line in lines)]
        spans = [measure(text, size) for text, size in texts]
        leading = [1.3 * size / 72 for _, size in texts]
        box = Box(x, y, max(width, max(spans) + 2 * MARGIN), max(height, sum(leading) + MARGIN))
        face = "#ffffff" if muted else "#f4f4f4"
        if colour is not None:
            face = COLOURS[colour] + "33"
        self.axis.add_patch(FancyBboxPatch(
            (box.left[0], box.bottom[1]), box.width, box.height, fc=face, ec=GREY if muted else "#555555", lw=0.8,
            ls="--" if muted else "-", boxstyle="round,pad=0,rounding_size=0.06"))
        baseline = y + sum(leading) / 2
        for (text, size), step in zip(texts, leading):
            self.axis.text(x, baseline - step / 2, text, ha="center", va="center", fontsize=size,
                           color=GREY if muted else INK)
            baseline -= step
        self.boxes.append(box)
        return box

    def row(self, left, y, boxes, gap=0.22, height=0.0, **options):
        """Boxes from left to right, joined by arrows. boxes: [(title, *lines)], or with a dictionary of options at the
        end. Returns the Boxes."""
        drawn = []
        for texts, own in map(split_options, boxes):
            span = max(own.get("width", 0.0), widest(texts) + 2 * MARGIN)
            drawn.append(self.box(left + span / 2, y, *texts, **{"height": height} | options | own))
            left += span + gap
        for before, after in zip(drawn, drawn[1:]):
            self.arrow(before.right, after.left)
        return drawn

    def picture(self, x, y, image, title, height=0.9):
        """A picture (h, w, 3) or (h, w) with its centre at (x, y) and a title below it. Returns its Box."""
        width = height * image.shape[1] / image.shape[0]
        box = Box(x, y, width, height)
        self.axis.imshow(image, extent=(x - width / 2, x + width / 2, y - height / 2, y + height / 2), cmap="gray",
                         vmin=0, vmax=255 if image.dtype.name == "uint8" else 1, aspect="auto", zorder=2)
        self.note(x, y - height / 2 - 0.1, title)
        self.axis.set_xlim(0, self.figure.get_figwidth())       # imshow has set them to the picture
        self.axis.set_ylim(0, self.figure.get_figheight())
        return box

    def sign(self, x, y, symbol, radius=0.13):
        """An operation in a circle: plus, minus, times, concatenation. Returns its Box."""
        self.axis.add_patch(Circle((x, y), radius, fc="white", ec=INK, lw=0.9))
        self.axis.text(x, y, symbol, ha="center", va="center_baseline", fontsize=TITLE + 2, color=INK)
        return Box(x, y, 2 * radius, 2 * radius)

    def arrow(self, start, *points, label=None, dashed=False, colour=None, muted=False, head=True):
        """A line from start by way of the points to the last one, where its head is.

        label: stands above the middle of the longest piece. dashed: what is carried past other layers.
        """
        shade = INK if colour is None else COLOURS[colour]
        if muted:
            shade = GREY
        line = {"color": shade, "ls": "--" if dashed else "-"}
        path = [start, *points]
        for (x, y), (u, v) in zip(path[:-2], path[1:-1]):
            self.axis.plot([x, u], [y, v], lw=ARROW["lw"], solid_capstyle="round", **line)
        if head:
            self.axis.annotate("", path[-1], path[-2], arrowprops=ARROW | line)
        else:
            self.axis.plot(*zip(*path[-2:]), lw=ARROW["lw"], **line)
        if label:
            (x, y), (u, v) = max(zip(path, path[1:]), key=lambda piece: sum(abs(a - b) for a, b in zip(*piece)))
            upright = abs(y - v) > abs(x - u)
            self.note((x + u) / 2 + 0.05 * upright, (y + v) / 2 + 0.08 * (not upright), label,
                      align="left" if upright else "center", colour=shade)

    def note(self, x, y, text, align="center", colour=INK, size=SMALL, weight="normal"):
        """Text that stands on the page itself; several lines are parted by line ends."""
        self.axis.text(x, y, text, ha=align, va="center", fontsize=size, color=colour, weight=weight, linespacing=1.2)

    def frame(self, boxes, title, colour=None, room=0.12, above=0.3, indent=0.08):
        """A rounded outline around boxes, with a title in its upper left corner, so far in. Returns its Box."""
        left, right = min(box.left[0] for box in boxes) - room, max(box.right[0] for box in boxes) + room
        bottom, top = min(box.bottom[1] for box in boxes) - room, max(box.top[1] for box in boxes) + above
        self.axis.add_patch(FancyBboxPatch((left, bottom), right - left, top - bottom, zorder=0.5, fc="none",
                                           ec=GREY if colour is None else COLOURS[colour], lw=1.0,
                                           boxstyle="round,pad=0,rounding_size=0.1"))
        self.note(left + indent, top - 0.12, title, align="left", weight="bold")
        return Box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)


def draw_chain(boxes, per_row, width=9.0):
    """A Diagram of boxes one after the other, row after row. boxes: as Diagram.row takes them."""
    rows = [boxes[first:first + per_row] for first in range(0, len(boxes), per_row)]
    wide = max(widest(split_options(entry)[0]) for entry in boxes) + 2 * MARGIN
    page, drop, last = Diagram(width, 0.95 * len(rows) + 0.1), 0.95, None
    gap = (width - 0.4 - per_row * wide) / (per_row - 1)
    for place, row in enumerate(rows):
        y = page.figure.get_figheight() - 0.55 - drop * place
        drawn = page.row(0.2, y, [(*texts, {"width": wide} | own) for texts, own in map(split_options, row)], gap=gap)
        if last:
            middle = (last.bottom[1] + drawn[0].top[1]) / 2
            page.arrow(last.bottom, (last.x, middle), (drawn[0].x, middle), drawn[0].top)
        last = drawn[-1]
    return page


def split_options(entry):
    """(texts, options) of an entry of Diagram.row."""
    return (entry[:-1], entry[-1]) if isinstance(entry[-1], dict) else (entry, {})


def widest(texts):
    """Inches of the widest line of a title and the lines below it."""
    return max(measure(text, TITLE if place == 0 else SMALL) for place, text in enumerate(texts))


def measure(text, points):
    """Width of a text in inches, at a size in points."""
    if not text:
        return 0.0
    path = TextPath((0, 0), text, size=points, prop=FontProperties(family=STYLE["font.family"]))
    return path.get_extents().x1 / 72


def drawn_part(figure):
    """The Bbox of what stands on a page, inches, with a margin: all but the white around it."""
    [axis] = figure.axes
    renderer = figure.canvas.get_renderer()
    artists = [*axis.texts, *axis.patches, *axis.lines, *axis.images]
    drawn = Bbox.union([artist.get_window_extent(renderer) for artist in artists])
    return drawn.transformed(figure.dpi_scale_trans.inverted()).padded(MARGIN)


def write_svg(figure, path):
    """Save as SVG without the white around it, text as outlines: the same bytes each time, on every machine."""
    path.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", facecolor="white", bbox_inches=drawn_part(figure),
                       metadata={"Date": None, "Creator": None})


def write_all(folder, diagrams):
    """Write {name: Diagram} as folder/name.svg, for the pages; each is said in a line."""
    for name, diagram in diagrams.items():
        write_svg(diagram.figure, folder / f"{name}.svg")
        print(f"  {folder.name}/{name}.svg", flush=True)
