"""Figures from one hand: sizes, colours and fonts are set here, so that all cases look alike. Labels inside a figure
are English and symbols; titles and captions are bilingual and stand outside it, in figures.json. Every figure has its
numbers beside it as CSV.
"""
import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from common.base.errors import UserError, join_some
from common.base.files import beside, mend_place, take_place, write_whole
from common.experiment.results import withdraw, write_csv, write_json, write_manifest

# Okabe and Ito: for all eyes
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8,
         "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
         "grid.linewidth": 0.6,
         "axes.prop_cycle": matplotlib.cycler(color=COLOURS), "lines.linewidth": 1.4}
DPI = 150
COMPRESSION = 4                                            # of PNG: half the time of the usual 6, 3 % more bytes
WRITTEN = (".png", ".csv", ".json", ".webm")               # kinds of files that figures.py writes
COVER = 360, 270                                           # pixels of the picture that stands for a case
WIDTH = 9.0                                                # inches of a full-width figure


class Caption(NamedTuple):
    """What stands outside a figure, in both languages; {names} are filled in by FigureFolder.save. number: in the
    course text, or None."""
    number: str | None
    en: str
    zh: str
    alt_en: str                                            # what is to be seen, for those who cannot see it
    alt_zh: str


class FigureFolder:
    """results/<case>/<run>/figures/: PNG and CSV of each figure, and figures.json with the captions.

    They are made in `folder`, a new one beside it, which takes its place whole at finish().
    """

    def __init__(self, run_folder, captions):
        self.run_folder, self.captions, self.entries = Path(run_folder), captions, []
        self.final = self.run_folder / "figures"
        self.folder = beside(self.final)
        mend_place(self.final)
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, figure, name, header, rows, **values):
        """Write one figure and its numbers. name: file name without suffix, key in captions; header, rows: the CSV;
        values: for the caption."""
        picture = io.BytesIO()
        Image.fromarray(render(figure)).save(picture, "PNG", dpi=(DPI, DPI), compress_level=COMPRESSION)
        write_whole(self.folder / f"{name}.png", picture.getvalue())
        write_csv(self.folder / f"{name}.csv", header, rows)
        caption = self.captions[name]
        en, zh, alt_en, alt_zh = (text.format(**values) for text in caption[1:])
        self.entries.append({"file": f"{name}.png", "number": caption.number, "title": {"en": en, "zh": zh},
                             "alt": {"en": alt_en, "zh": alt_zh}, "csv": f"{name}.csv"})
        print(f"  {name}.png  {en}", flush=True)

    def finish(self, weights=None, keep=False):
        """Write figures.json, take the place of the figures of earlier times (what a reader has put beside them stays),
        enter the CSV files in the manifest.

        keep: earlier figures of the same weights that were not drawn this time stay, too. Raises UserError, and leaves
        all as it was, where those are of other weights.
        """
        if keep:
            self._take_over(weights)
        write_json(self.folder / "figures.json", self.entries)
        for other in self.final.glob("*"):
            if other.suffix not in WRITTEN:
                other.rename(self.folder / other.name)
        withdraw(self.run_folder, "figures")
        take_place(self.folder, self.final)
        self.folder = self.final
        write_manifest(self.run_folder, "figures", weights)


    def _take_over(self, weights):
        """Copy the earlier figures that were not drawn this time beside the present ones."""
        drawn = {entry["file"] for entry in self.entries}
        kept = [entry for entry in read_json(self.final / "figures.json", []) if entry["file"] not in drawn]
        if not kept:
            return
        if weights != read_json(self.run_folder / "manifest.json", {}).get("weights", {}).get("figures"):
            raise UserError(f"the figures in {self.final} are of other weights, and {len(kept)} of them cannot be drawn"
                            " anew without their data: the data were expected: set the path that is named above, or "
                            "choose another --name; the earlier figures stay as they are")
        for name in (entry[key] for entry in kept for key in ("file", "csv")):
            shutil.copy(self.final / name, self.folder / name)
        self.entries += kept
        print(f"  kept as drawn before: {join_some(entry['file'] for entry in kept)}", flush=True)


class Caught:
    """In the place of a FigureFolder: keeps what is saved in it as .figure, for those who show it elsewhere."""

    def save(self, figure, *details, **values):
        self.figure = figure


def render(figure, dpi=DPI):
    """A figure as it looks, uint8 (h, w, 3): drawn once, where savefig draws it twice, the first time for the layout
    alone."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def figure_of(draw, *arguments):
    """The figure that draw(folder, *arguments) saves, the last one where it saves several."""
    caught = Caught()
    draw(caught, *arguments)
    return caught.figure


def read_json(path, default):
    """What a JSON file of ours holds; the default where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def new_figure(width=WIDTH, height=3.0, rows=1, columns=1, **options):
    """(figure, axes array) in the one style; no window, no global state."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes


def grid(pictures, columns, captions=None, rows=None, width=WIDTH):
    """A labelled grid of pictures: rows of (h, w, 3) or (h, w) arrays in [0, 1] or uint8, or None.

    columns: heading of each column; rows: label at the left of each row; captions: texts under them, as nested lists.
    """
    count = max(len(line) for line in pictures)
    heights = [tallest(line) for line in pictures]
    under = 0.2 if captions else 0.03
    cell = width / count
    figure, axes = new_figure(width, sum(cell * ratio + under for ratio in heights) + 0.35, len(pictures), count,
                              height_ratios=heights)
    for y, line in enumerate(pictures):
        for x in range(count):
            axis = axes[y, x]
            axis.grid(False)
            axis.set_xticks([])
            axis.set_yticks([])
            picture = line[x] if x < len(line) else None
            if picture is None:
                axis.axis("off")
                continue
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
            for spine in axis.spines.values():
                spine.set_visible(False)
            if y == 0 and columns:
                axis.set_title(columns[x], fontsize=9)
            if captions and captions[y][x]:
                axis.set_xlabel(captions[y][x], fontsize=8, labelpad=2)
        if rows and rows[y]:
            axes[y, 0].set_ylabel(rows[y], fontsize=8)
    return figure


def sheet(shown, columns, width=8.0):
    """{label: picture} as a grid of so many columns, each label under its picture."""
    pictures, labels = list(shown.values()), list(shown)
    starts = range(0, len(pictures), columns)
    return grid([pictures[first:first + columns] for first in starts], None,
                [labels[first:first + columns] for first in starts], width=width)


def cover(picture, beside=None):
    """The middle of a picture, uint8 (h, w, 3), as 4:3 and small; beside: its right half is this one's, same size."""
    height, width = picture.shape[:2]
    size = min(height, width * 3 // 4), min(width, height * 4 // 3)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    window = slice(top, top + size[0]), slice(left, left + size[1])
    shown = picture[window].copy()
    if beside is not None:
        shown[:, size[1] // 2:] = beside[window][:, size[1] // 2:]
    return np.asarray(Image.fromarray(shown).resize(COVER, Image.LANCZOS))


def tallest(line):
    """The largest ratio of height to width in a line of pictures, None among them."""
    return max(picture.shape[0] / picture.shape[1] for picture in line if picture is not None)


def read_log(path):
    """log.jsonl as {name: (steps, values)}, steps of several stages one after the other; empty without a log."""
    series, offset, stage, last = {}, 0, None, 0
    for line in Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []:
        entry = json.loads(line)
        if stage not in (None, entry["stage"]):
            offset += last
        stage, last = entry["stage"], entry["step"]
        for name, value in entry.items():
            if name not in ("stage", "step") and isinstance(value, (int, float)):
                steps, values = series.setdefault(name, ([], []))
                steps.append(offset + entry["step"])
                values.append(value)
    return series


def curve(series, panels, width=WIDTH, height=2.8):
    """Curves over steps. series: read_log(); panels: [(y label, [names in the log])], the first logarithmic."""
    figure, axes = new_figure(width, height, 1, len(panels))
    for axis, (label, names), first in zip(axes[0], panels, [True] + [False] * len(panels)):
        for name in names:
            if name in series:
                axis.plot(*series[name], label=name.removeprefix("val_"),
                          marker="o" if len(series[name][0]) < 30 else None, markersize=3)
        axis.set_xlabel("step")
        axis.set_ylabel(label)
        if first and all(min(series[name][1]) > 0 for name in names if name in series):
            axis.set_yscale("log")
        if any(name in series for name in names):
            axis.legend(framealpha=0.75, edgecolor="none", fontsize=7)      # a curve behind it stays in sight
    return figure


def draw_training(folder, run, panels):
    """The terms of the loss and the validation over the steps; panels as curve() takes them, those without a line left
    out."""
    series = read_log(run.trained / "log.jsonl")
    if not series:
        return run.say("no training log under this name: the training curve is left out")
    panels = [panel for panel in panels if not series.keys().isdisjoint(panel[1])]
    rows = [[step, name, f"{value:.6f}"] for name, points in series.items() for step, value in zip(*points)]
    folder.save(curve(series, panels), "training", ["step", "name", "value"], rows)


def bars(labels, groups, ylabel, width=WIDTH, height=3.2, rotation=0, colours=None):
    """Grouped bars, with their numbers where there is room. groups: {legend: values}, one value per label, None a gap.

    colours: one per label, or {legend: colour}.
    """
    figure, axes = new_figure(width, height)
    axis, share = axes[0, 0], 0.8 / len(groups)
    for place, (name, values) in enumerate(groups.items()):
        x = np.arange(len(labels)) + (place - (len(groups) - 1) / 2) * share
        heights = [math.nan if value is None else value for value in values]
        own = colours.get(name) if isinstance(colours, dict) else colours
        drawn = axis.bar(x, heights, share * 0.92, label=name, color=own or COLOURS[place % len(COLOURS)])
        room = 0.85 * width * share / len(labels)                      # inches, for a bar and its number
        texts = ["" if math.isnan(value) else f"{value:.3g}" for value in heights]
        axis.bar_label(drawn, [text if 0.055 * len(text) <= room else "" for text in texts], fontsize=6.5, padding=1)
    axis.set_xticks(np.arange(len(labels)), labels, rotation=rotation, ha="right" if rotation else "center", fontsize=8)
    axis.set_ylabel(ylabel)
    axis.grid(axis="x", visible=False)
    if len(groups) > 1:
        axis.legend(frameon=False, ncols=len(groups), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def trace(module, call):
    """The layers that call() runs through, in order: [{name, kind, inputs, outputs, parameters}], without the batch.

    Taken from the module itself by hooks on all that has parameters: a diagram cannot say what the code does not do.
    """
    layers, handles = [], []
    for name, layer in module.named_modules():
        if list(layer.children()) or not list(layer.parameters()):
            continue

        def record(layer, inputs, output, name=name):
            kernel = "x".join(map(str, layer.kernel_size)) if hasattr(layer, "kernel_size") else ""
            dilated = f" d{layer.dilation[0]}" if getattr(layer, "dilation", (1,))[0] > 1 else ""
            kind = type(layer).__name__.lower().removesuffix("2d")
            layers.append({"name": name, "kind": f"{kind} {kernel}{dilated}".strip(),
                           "inputs": (sum(x.shape[1] for x in inputs), *inputs[0].shape[2:]),
                           "outputs": tuple(output.shape[1:]),
                           "parameters": sum(parameter.numel() for parameter in layer.parameters())})
        handles.append(layer.register_forward_hook(record))
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return layers


def if_there(run, read, *keys):
    """read(), the data that the settings `keys` name; None, said in a line, where it is not on this machine and the
    user gave none of these: figures that need no data are drawn all the same."""
    try:
        return read()
    except UserError as problem:
        if not run.resolved.typed.keys().isdisjoint(keys):
            raise
        run.say(f"the figures of test pictures are left out: {problem}")
        run.complete = False
        return None


def read_items(run, set_name):
    """The lines of items.csv that test.py has left, as dictionaries; empty, said in a line, where it has not run."""
    path = run.folder / "test" / set_name / "items.csv"
    if not path.exists():
        run.say(f"no test results of {set_name} under the name {run.name}: the figures with numbers are left out; for "
                f"them, first: python cases/{run.case}/test.py --name {run.name}")
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [line for line in csv.DictReader(file) if line["status"] == "ok"]


def mean(lines, row, metric, **classes):
    """Mean of a metric over the lines of a row, and of classes where given; None where there is none."""
    wanted = {"row": row} | {f"by_{name}": value for name, value in classes.items()}
    values = [float(line[metric]) for line in lines
              if wanted.items() <= line.items() and line[metric] not in ("", "nan", "inf")]
    return float(np.mean(values)) if values else None


def format_number(value):
    """A number for a figure's CSV: six decimals, nothing where there is none."""
    return "" if value is None else f"{value:.6f}"
