"""The figures of the results: strips of frames, success and precision, AO per sequence and attribute, response maps and
confidence over time, training pairs.

lines: of items.csv; boxes: {row: {name: boxes (N, 4)}}, both as test.py has left them.
"""
import cv2
import numpy as np

from cases.siamfc.drawing.boxes import colour, outline
from cases.siamfc.model import SEARCH
from common import metrics
from common.data.images import read_pixels
from common.experiment import figures


def shade(row):
    """A row's colour for lines, as matplotlib takes it."""
    return tuple(value / 255 for value in colour(row))


def draw_strips(folder, sequences, boxes, order, columns=6, most=5):
    """Frames of the sequences from the easiest to the hardest, with the truth, KLT and SiamFC."""
    grid, captions, names, table = [], [], [], []
    for name in [order[place] for place in np.linspace(0, len(order) - 1, min(most, len(order))).astype(int)]:
        sequence, line, below = sequences.inspect(name), [], []
        overlap = metrics.box_iou(boxes["siamfc"][name], sequence.boxes)
        for frame in np.linspace(1, len(sequence.boxes) - 1, columns).astype(int):
            picture = read_pixels(sequence.frames[frame]).copy()
            width = max(1, picture.shape[1] // 160)
            outline(picture, sequence.boxes[frame], "truth", width + 2)
            for row in ("klt", "siamfc"):
                if row in boxes:
                    outline(picture, boxes[row][name][frame], row, width)
            line.append(picture)
            below.append(f"{frame + 1}: {overlap[frame]:.2f}")
            table.append([name, frame + 1, f"{overlap[frame]:.6f}"])
        grid.append(line)
        captions.append(below)
        names.append(name.replace("GOT-10k_", ""))
    folder.save(figures.grid(grid, None, captions, names), "strips", ["sequence", "frame", "iou"], table,
                set=sequences.set_name)


def average_curves(sequences, boxes):
    """(success (21,), precision (51,)), means over sequences, of all frames whose truth is known.

    boxes: {name: boxes} of one tracker.
    """
    curves = []
    for name, tracked in boxes.items():
        truth = sequences[name].boxes
        there = np.isfinite(truth).all(axis=1)
        tracked = np.vstack([truth[:1], tracked[1:]])[there]
        curves.append((metrics.success_curve(metrics.box_iou(tracked, truth[there])),
                       metrics.precision_curve(metrics.centre_error(tracked, truth[there]))))
    return tuple(np.mean(curve, axis=0) for curve in zip(*curves))


def draw_success(folder, sequences, boxes):
    """Success over the overlap threshold, precision over the centre error."""
    curves = {row: average_curves(sequences, by_name) for row, by_name in boxes.items()}
    figure, axes = figures.new_figure(height=3.6, columns=2)
    plot_curves(axes[0], curves)
    rows = [[row, "success", f"{x:.2f}", f"{y:.6f}"] for row, (success, _) in curves.items()
            for x, y in zip(metrics.OVERLAPS, success)]
    rows += [[row, "precision", str(x), f"{y:.6f}"] for row, (_, precision) in curves.items()
             for x, y in zip(metrics.ERRORS, precision)]
    folder.save(figure, "success", ["row", "curve", "threshold", "share"], rows, set=sequences.set_name,
                count=len(next(iter(boxes.values()))))


def plot_curves(axes, curves):
    """Success on the first of the axes, precision on the second. curves: {row: (success (21,), precision (51,))}."""
    for row, (success, _) in sorted(curves.items(), key=lambda item: -item[1][0].mean()):
        axes[0].plot(metrics.OVERLAPS, success, color=shade(row), label=f"{row} [{metrics.success_auc(success):.3f}]")
    for row, (_, precision) in sorted(curves.items(), key=lambda item: -item[1][1][20]):
        axes[1].plot(metrics.ERRORS, precision, color=shade(row), label=f"{row} [{precision[20]:.3f}]")
    axes[0].set(xlabel="overlap threshold", ylabel="success: share of frames above it")
    axes[1].set(xlabel="centre error threshold (px)", ylabel="precision: share of frames within it")
    axes[1].axvline(20, color="#999999", lw=0.8, ls=":")
    for axis in axes[:2]:
        axis.set_ylim(0, 1.02)
        axis.legend(frameon=False, fontsize=7)


def read_ao(line):
    """AO of a line of items.csv; None where it has none."""
    return None if line["ao"] in ("", "nan") else float(line["ao"])


def draw_items(folder, sequences, lines, most=24):
    """AO per sequence and tracker."""
    rows = list(dict.fromkeys(line["row"] for line in lines))
    names = list(dict.fromkeys(line["item"] for line in lines))[:most]
    values = {(line["item"], line["row"]): read_ao(line) for line in lines}
    by_row, table = {row: [] for row in rows}, []
    for name in names:
        for row in rows:
            by_row[row].append(values[name, row])
        table.append([name, *(figures.format_number(values[name, row]) for row in rows)])
    figure = figures.bars([name.replace("GOT-10k_", "") for name in names], by_row, "AO",
                          rotation=30 if len(names) > 6 else 0, colours={row: shade(row) for row in rows})
    folder.save(figure, "sequences", ["item", *rows], table, set=sequences.set_name)


def draw_speed(folder, sequences, lines, rates):
    """Mean AO over frames per second. rates: {row: frames per second}; they belong to the machine, so the table, which
    runs are compared by, has the AO alone."""
    values = {row: np.mean([read_ao(line) or 0 for line in lines if line["row"] == row]) for row in rates}
    figure, axes = figures.new_figure(height=3.0)
    plot_speed(axes[0, 0], {row: (rates[row], value) for row, value in values.items()})
    folder.save(figure, "speed", ["row", "ao"], [[row, f"{value:.6f}"] for row, value in values.items()],
                set=sequences.set_name)


def plot_speed(axis, points):
    """AO over frames per second. points: {row: (frames per second, AO)}."""
    for row, point in points.items():
        axis.plot(*point, "o", color=shade(row))
        axis.annotate(row, point, (5, 4), textcoords="offset points", fontsize=8)
    axis.margins(0.12)
    axis.set(xscale="log", xlabel="frames per second (this machine, one thread for OpenCV's)", ylabel="AO")


def draw_attributes(folder, sequences, lines):
    """Mean AO by annotated attribute; left out where nothing is annotated."""
    rows = list(dict.fromkeys(line["row"] for line in lines))
    labels, table, by_row = [], [], {row: [] for row in rows}
    for classing in lines[0]:
        inside = [line for line in lines if line[classing]]
        if not classing.startswith("by_") or classing == "by_object_class" or not inside:
            continue
        attribute, count = classing.removeprefix("by_"), sum(line["row"] == rows[0] for line in inside)
        for row in rows:
            by_row[row].append(np.mean([read_ao(line) or 0 for line in inside if line["row"] == row]))
        labels.append(f"{attribute} ({count})")
        table.append([attribute, count, *(f"{by_row[row][-1]:.6f}" for row in rows)])
    if not table:
        print("  attributes is left out: no sequence here is annotated with any", flush=True)
        return
    figure = figures.bars(labels, by_row, "AO", colours={row: shade(row) for row in rows})
    folder.save(figure, "attributes", ["attribute", "count", *rows], table, set=sequences.set_name)


def follow(tracker, sequence, wanted=(), most=160):
    """Track at most `most` frames: (overlaps, confidences, lost, {wanted frame: (search region, response)})."""
    overlaps, confidences, lost, seen = [1.0], [1.0], [False], {}
    tracker.init(read_pixels(sequence.frames[0]), sequence.boxes[0])
    for place in range(1, min(most, len(sequence.boxes))):
        image = read_pixels(sequence.frames[place])
        region = tracker.crop(image, tracker.search_side, SEARCH) if place in wanted else None
        box = tracker.update(image)
        overlaps.append(float(metrics.box_iou(box, sequence.boxes[place])[0]))
        confidences.append(tracker.confidence)
        lost.append(tracker.lost)
        if place in wanted and tracker.found:
            seen[place] = region, tracker.found.responses[len(tracker.factors) // 2]
    return np.array(overlaps), np.array(confidences), np.array(lost), seen


def draw_responses(folder, tracker, sequence, columns=6):
    """Search regions and responses over time, all on one colour scale."""
    wanted = set(np.linspace(1, min(160, len(sequence.boxes)) - 1, columns).astype(int).tolist())
    overlaps, _, _, seen = follow(tracker, sequence, wanted)
    frames, responses = sorted(seen), [response for _, response in seen.values()]
    low, high = np.min(responses), np.max(responses)
    figure, axes = figures.new_figure(height=3.5, rows=2, columns=len(frames))
    table = []
    for place, frame in enumerate(frames):
        region, response = seen[frame]
        table.append([frame + 1, *(f"{value:.6f}" for value in (overlaps[frame], response.max(), response.min()))])
        axes[0, place].imshow(region)
        axes[1, place].imshow(response, cmap="inferno", vmin=low, vmax=high)
        axes[0, place].set_title(f"frame {frame + 1}", fontsize=8)
        axes[1, place].set_xlabel(f"peak {response.max():.1f}, IoU {overlaps[frame]:.2f}", fontsize=7.5)
        for axis in axes[:, place]:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
    folder.save(figure, "responses", ["frame", "iou", "peak", "minimum"], table, sequence=sequence.name)


def draw_confidence(folder, tracker, sequence):
    """Overlap and confidence over the frames."""
    overlaps, confidences, lost, _ = follow(tracker, sequence)
    figure, axes = figures.new_figure(height=2.6)
    axis, frames = axes[0, 0], np.arange(1, len(overlaps) + 1)
    axis.plot(frames, overlaps, color=figures.COLOURS[0], label="IoU with the truth")
    axis.plot(frames, confidences, color=figures.COLOURS[1], label="confidence")
    axis.fill_between(frames, 0, 1, where=lost, color="#999999", alpha=0.3, lw=0, label="lost")
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("frame")
    axis.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    table = [[frame, f"{iou:.6f}", f"{confidence:.6f}", int(gone)]
             for frame, iou, confidence, gone in zip(frames, overlaps, confidences, lost)]
    folder.save(figure, "confidence", ["frame", "iou", "confidence", "lost"], table, sequence=sequence.name)


def draw_pairs(folder, samples):
    """z and x of some samples, four pairs to a line, the target marked in x."""
    cells, table = [], []
    for sample in samples:
        z, x = (picture.permute(1, 2, 0).numpy() for picture in (sample.z, sample.x))
        cells += [z, mark(x, sample.offset.numpy())]
        table.append([sample.name, *(f"{value:.3f}" for value in sample.offset.tolist())])
    folder.save(figures.grid([cells[:8], cells[8:]], None), "pairs", ["name", "offset_x", "offset_y"], table)


def mark(x, offset):
    """x with a circle around the place of the target."""
    place = tuple(round(float((len(x) - 1) / 2 + value)) for value in offset)
    return cv2.circle(x.copy(), place, 8, colour("siamfc"), 2, cv2.LINE_AA)
