"""The figures of the course's chapter B5: the network at work, the data set, its folders and meta file, and the
exercise with the response map. They need a network and sequences, no results.
"""
import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch, Rectangle

from cases.siamfc.drawing.boxes import outline
from cases.siamfc.losses import positives
from cases.siamfc.model import EXEMPLAR, SEARCH, STRIDE
from common.data.images import read_pixels
from common.experiment import figures

MEANINGS = {
    "url": "where the clip comes from", "begin": "its first second in that video", "end": "its last",
    "anno_fps": "boxes per second", "object_class": "what is tracked (563 classes in all)",
    "motion_class": "what it does (87 classes in all)",
    "major_class": "group of the object class", "root_class": "its kind", "motion_adverb": "how it moves",
    "resolution": "(width, height) in pixels",
}


@torch.inference_mode()
def draw_network(folder, network, tracker, sequence, shown=6):
    """B5.1: z, x, what phi makes of them, and the response, all computed."""
    number = min(len(sequence.frames) - 1, 10)
    start, frame = (read_pixels(sequence.frames[place]) for place in (0, number))
    tracker.init(start, sequence.boxes[0])
    z = tracker.crop(start, tracker.exemplar_side, EXEMPLAR)
    for path in sequence.frames[1:number]:
        tracker.update(read_pixels(path))
    x = tracker.crop(frame, tracker.search_side, SEARCH)
    tracker.update(frame)
    kernel, features = (tracker.embed(picture[None])[0].float().cpu().numpy() for picture in (z, x))
    response = tracker.found.responses[len(tracker.factors) // 2]
    strongest = np.argsort(-np.abs(kernel).mean(axis=(1, 2)))[:shown]
    figure, canvas = new_canvas(3.9, (0, 9), (0, 3.9))
    put(canvas, z, (0.1, 2.45), 1.15, f"z: {EXEMPLAR} x {EXEMPLAR} x 3")
    put(canvas, x, (0.1, 0.25), 1.75, f"x: {SEARCH} x {SEARCH} x 3")
    for y in (3.0, 1.1):
        box(canvas, (2.45, y), "phi", "5 conv, stride 8")
        arrow(canvas, (1.3 if y > 2 else 1.9, y), (2.43, y))
        arrow(canvas, (3.57, y), (3.9, y))
    canvas.annotate("", (3.0, 1.42), (3.0, 2.68), arrowprops={"arrowstyle": "<->", "color": "#555555", "ls": "--"})
    canvas.text(3.05, 2.05, "the same\nweights", fontsize=7, va="center")
    for maps, corner, side, step in ((kernel, (3.95, 2.62), 0.62, 0.1), (features, (3.95, 0.3), 1.15, 0.12)):
        for place, channel in enumerate(strongest[::-1]):
            low, high = np.percentile(maps[channel], (1, 99))
            shade = np.clip((maps[channel] - low) / max(high - low, 1e-6), 0, 1)
            put(canvas, (255 * shade).astype(np.uint8), (corner[0] + step * place, corner[1] + step * place / 2), side,
                None, "viridis")
    for maps, y in ((kernel, 2.42), (features, 0.1)):
        canvas.text(4.0, y, f"{maps.shape[1]} x {maps.shape[2]} x {maps.shape[0]}", fontsize=8)
    box(canvas, (6.15, 2.05), "*", "cross-correlation")
    arrow(canvas, (5.3, 3.05), (6.2, 2.35))
    arrow(canvas, (5.85, 1.2), (6.2, 1.75))
    arrow(canvas, (7.27, 2.05), (7.5, 2.05))
    put(canvas, response, (7.5, 1.35), 1.4, f"response: {response.shape[0]} x {response.shape[1]}", "inferno")
    folder.save(figure, "B5.1_network", ["row", "column", "response"],
                [[row, column, f"{value:.6f}"] for (row, column), value in np.ndenumerate(response)],
                sequence=sequence.name, parameters=sum(map(torch.numel, network.parameters())), channels=len(kernel))


def new_canvas(height, across, down):
    """(figure, axis) without lines or ticks, in units of its own: limits across and down."""
    figure, axes = figures.new_figure(height=height)
    axes[0, 0].axis("off")
    axes[0, 0].set_xlim(across)
    axes[0, 0].set_ylim(down)
    return figure, axes[0, 0]


def put(canvas, picture, corner, side, title, colours=None):
    """A square picture on the canvas, lower left corner and side in its units."""
    left, bottom = corner
    canvas.imshow(picture, extent=(left, left + side, bottom, bottom + side), cmap=colours, aspect="auto", zorder=2,
                  interpolation="nearest")
    if title:
        canvas.text(left, bottom + side + 0.05, title, fontsize=8)


def box(canvas, corner, title, below):
    x, y = corner
    canvas.add_patch(FancyBboxPatch((x, y - 0.3), 1.1, 0.6, fc=figures.COLOURS[0] + "33", ec="#555555", lw=0.8,
                                    boxstyle="round,pad=0,rounding_size=0.08"))
    canvas.text(x + 0.55, y + 0.08, title, ha="center", va="center", fontsize=10)
    canvas.text(x + 0.55, y - 0.16, below, ha="center", va="center", fontsize=6.5, color="#444444")


def arrow(canvas, start, end):
    style = {"arrowstyle": "-|>", "color": "#555555", "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
    canvas.annotate("", end, start, arrowprops=style)


def draw_sequences(folder, sequences, rows=4, columns=5):
    """B5.2: frames of some sequences with their boxes."""
    grid, names, table = [], [], []
    for place in np.linspace(0, len(sequences) - 1, min(rows, len(sequences))).astype(int):
        sequence, line = sequences.inspect(sequences.names[place]), []
        for frame in np.linspace(0, len(sequence.boxes) - 1, columns).astype(int):
            picture = read_pixels(sequence.frames[frame]).copy()
            if not sequence.absent[frame]:
                outline(picture, sequence.boxes[frame], "siamfc", max(2, picture.shape[1] // 120))
            line.append(picture)
            table.append([sequence.name, frame + 1, *(f"{value:.4f}" for value in sequence.boxes[frame])])
        grid.append(line)
        names.append(sequence.name.replace("GOT-10k_", ""))
    folder.save(figures.grid(grid, None, rows=names), "B5.2_sequences", ["sequence", "frame", "x", "y", "w", "h"],
                table, set=sequences.set_name)


def draw_folders(folder, sequences, many=2):
    """B5.3: the tree of the real folder, shortened where it repeats itself."""
    top = sequences.root.parent if sequences.split else sequences.root
    splits = [sequences.root]
    if sequences.split:
        splits = [top / name for name in ("train", "val", "test") if (top / name).is_dir()]
    lines = [(0, f"{top.resolve().name}/", "")]
    for split in splits:
        depth = 1 if sequences.split else 0
        if sequences.split:
            lines.append((1, f"{split.name}/", f"{sum(path.is_dir() for path in split.iterdir()):,} sequences"))
            lines.append((2, "list.txt", "their names, one per line"))
        children = sorted(path for path in split.iterdir() if path.is_dir())
        for child in children[:1 if split != splits[0] else many]:
            lines.append((depth + 1, f"{child.name}/", ""))
            whole = child == children[0] and split == splits[0]
            lines += list_tree(child, depth + 2) if whole else [(depth + 2, "...", "")]
        if len(children) > many:
            lines.append((depth + 1, "...", ""))
    figure, axis = new_canvas(0.4 + 0.2 * len(lines), (0, 10), (len(lines), -0.5))
    for row, (depth, name, said) in enumerate(lines):
        axis.text(0.3 + 0.55 * depth, row, name, fontsize=9, family="DejaVu Sans Mono", va="center",
                  weight="bold" if name.endswith("/") else "normal")
        axis.text(5.3, row, said, fontsize=8.5, va="center", color="#444444")
        if depth:
            axis.plot([0.05 + 0.55 * depth, 0.25 + 0.55 * depth], [row, row], color="#999999", lw=0.8)
    folder.save(figure, "B5.3_folders", ["depth", "name", "meaning"], lines, root=top.resolve().name)


SAID = {"groundtruth.txt": "one box per frame: x, y, w, h, 1-based",
        "groundtruth_rect.txt": "one box per frame: x, y, w, h, 1-based",
        "absence.label": "1 where the target is absent", "cover.label": "visible share in eighths: 8 = all of it",
        "cut_by_image.label": "1 where the frame's border cuts it", "meta_info.ini": "class, motion, resolution",
        "attrs.txt": "attributes of the sequence"}


def list_tree(path, depth):
    """Lines (depth, name, meaning) of one sequence's folder, of its frames only the first and the last."""
    lines, frames = [], []
    for child in sorted(path.iterdir(), key=lambda child: (child.is_file(), child.name)):
        if child.is_dir():
            lines += [(depth, f"{child.name}/", ""), *list_tree(child, depth + 1)]
        elif child.suffix.lower() in (".jpg", ".jpeg", ".png"):
            frames.append(child.name)
        else:
            lines.append((depth, child.name, SAID.get(child.name, "")))
    if not frames:
        return lines
    return [(depth, frames[0], "the frames, numbered from 1"), (depth, "...", ""),
            (depth, frames[-1], f"{len(frames)} in all"), *lines]


def draw_meta_info(folder, sequences):
    """B5.4: a real meta_info.ini with what each line means; left out where no sequence has one."""
    for name in sequences.names:
        path = sequences.entries[name].folder / "meta_info.ini"
        if path.is_file():
            break
    else:
        print("  B5.4_meta_info is left out: these sequences have no meta_info.ini (GOT-10k's do)", flush=True)
        return
    lines = list(filter(str.strip, path.read_text(encoding="utf-8").splitlines()))
    figure, axis = new_canvas(0.5 + 0.24 * len(lines), (0, 10), (len(lines), -1))
    table = []
    for row, line in enumerate(lines):
        key, _, value = map(str.strip, line.partition(":"))
        table.append([key, value, MEANINGS.get(key, "")])
        axis.text(0.3, row, line[:60], fontsize=9, family="DejaVu Sans Mono", va="center")
        axis.text(5.6, row, table[-1][-1], fontsize=9, va="center", color="#444444")
    folder.save(figure, "B5.4_meta_info", ["key", "value", "meaning"], table, sequence=name)


def draw_exercise(folder, tracker, sequence, cells=((8, 8), (3, 12))):
    """The 17 x 17 map with its 13 positive cells, and the 127-pixel windows of two of its cells in the search region.

    The window of cell (i, j) begins at 8 i, 8 j.
    """
    first = read_pixels(sequence.frames[0])
    tracker.init(first, sequence.boxes[0])
    region = tracker.crop(first, tracker.search_side, SEARCH)
    positive = positives(torch.zeros(1, 2), 17)[0].numpy()
    figure, axes = figures.new_figure(height=4.4, columns=2)
    left, right = axes[0]
    for axis in (left, right):
        axis.grid(False)
    left.imshow(np.where(positive, 0.75, 0.08), cmap="Blues", vmin=0, vmax=1)
    left.set_xticks(np.arange(-0.5, 17), labels=[], minor=True)
    left.set_yticks(np.arange(-0.5, 17), labels=[], minor=True)
    left.grid(True, which="minor", color="white", lw=0.8)
    left.tick_params(which="minor", length=0)
    left.set_title(f"22 - 6 + 1 = 17 cells a side; {positive.sum()} positive")
    right.imshow(region)
    right.set_title(f"search region, {SEARCH} x {SEARCH} px; windows of {EXEMPLAR} px")
    rows = []
    for place, (row, column) in enumerate(cells):
        colour = figures.COLOURS[1 + place]
        left.plot(column, row, "o", color=colour, ms=7)
        edge = STRIDE * column - 0.5, STRIDE * row - 0.5
        right.add_patch(Rectangle(edge, EXEMPLAR, EXEMPLAR, fill=False, ec=colour, lw=2))
        right.plot(STRIDE * column + 63, STRIDE * row + 63, "o", color=colour, ms=6)
        rows.append([row, column, STRIDE * row, STRIDE * column, int(positive[row, column])])
    folder.save(figure, "response_exercise", ["row", "column", "window_top", "window_left", "positive"], rows)

