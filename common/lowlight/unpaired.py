"""Pictures from elsewhere: the data sets without references that papers show, what can be said of them, contact sheets
and a figure."""
import re
from pathlib import Path

import cv2
import numpy as np

from common.base.text_table import format_table
from common.data.images import list_images, name_folders_inside, read_pixels, to_bytes, to_tensor, write_image
from common.data.paired import item_names
from common.experiment import figures
from common.experiment.results import write_csv
from common.lowlight.evaluation import INPUT, NO_REFERENCE, niqe_parameters, no_reference, of_input
from common.metrics import gray_edge

SETS = ("VV", "MEF", "DICM", "LIME", "NPE")                     # the course names the first three
ROWS = ["identity", "gt_free"]
CELL, MARGIN, NAME = 300, 6, 18                                 # pixels of a contact sheet


def cross_dataset(run, weights, answer, more=()):
    """Every data set below test.unpaired: entropy, NIQE where its file is given, LOE and others, by set; sets that are
    not there are named.

    answer: (3, h, w) in [0, 1] to (the same, {metric: value} of its own, named in `more`).
    """
    root = Path(run.config.test.unpaired)
    groups = find_sets(root)
    parameters = niqe_parameters(run)
    numbers = [*NO_REFERENCE, "gray_edge", *(["niqe"] if parameters else [])]
    pictures = name_items(groups)
    items, files = list(pictures), list(pictures.values())
    data = [[item, path.stat().st_size] for item, path in pictures.items()]
    results = run.results("cross-dataset", weights, data, rows=ROWS, classings=["dataset"],
                          metrics=[*numbers, *INPUT, *more])
    for _, item, low in results.remaining(items, lambda place: read_pixels(files[place]), "brightening"):
        output, own = answer(to_tensor(low))
        kept = results.image_path(item, "gt_free")
        write_image(kept, output)
        results.add(item, {"identity": (values_of(low, low, parameters) | of_input(low), None),
                           "gt_free": (values_of(to_bytes(output), low, parameters) | own, kept)},
                    classes={"dataset": item.split("/")[0]})
    inputs = {item: str(path) for item, path in pictures.items()}
    content = run.finish_test(results, weights, items, inputs=inputs)
    contact_sheet(run, results, pictures, row="gt_free")
    tell(run, results, content, groups, numbers)
    return results.expect_no_failures()


def values_of(picture, low, parameters):
    """What can be said of an 8-bit output without a reference, its colours included."""
    return no_reference(picture, low, parameters) | {"gray_edge": gray_edge(picture)}


def name_items(groups):
    """{`set/picture`: path} of {set: paths}; a name keeps its suffix where two files differ in nothing else."""
    items = {}
    for name, paths in groups.items():
        items |= zip(item_names([f"{name}/{path.name}" for path in paths]), paths)
    return items


def find_sets(root):
    """{set: pictures} below a folder: one folder per set, or files called `SET_...` side by side; other names form sets
    of their own."""
    if not root.is_dir():
        return {}
    groups = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if pictures := list_images(folder):
            groups[folder.name] = pictures
        name_folders_inside(folder)
    for path in list_images(root):
        match = re.match(r"([A-Za-z]+)[_-]", path.name)
        groups.setdefault(match[1] if match else root.name, []).append(path)
    return groups


def tell(run, results, content, groups, numbers):
    """The table by set, on the terminal and as table.csv; sets without data say how to run them."""
    lines = []
    for name in [*SETS, *(name for name in groups if name not in SETS)]:
        for row in ROWS:
            values = content.get(row, {}).get("by", {}).get("dataset", {}).get(name)
            if values:
                cells = [f"{values[number]:.6f}" if values.get(number) is not None else "" for number in numbers]
                lines.append([name, row, values["count"], *cells, "ok"])
        if name not in groups:
            lines.append([name, "", 0, *[""] * len(numbers), f"not run: put its pictures into the folder {name} below "
                                                             "test.unpaired"])
    header = ["dataset", "row", "count", *numbers, "status"]
    write_csv(results.final / "table.csv", header, lines)
    results.enter()
    shown = [[*line[:3], *(cell and f"{float(cell):.2f}" for cell in line[3:-1]), line[-1].removeprefix("ok")]
             for line in lines]
    run.say("\n".join(format_table(header[:-1], shown, [">11"] * (len(header) - 1), gap="  ")))
    run.say("gt_free; LOE: nearest pixels at 50 along the short side, mean number of pixels whose order changed "
            "(common/metrics/pictures.py); gray_edge: degrees of the edges' mean colour from gray; results: "
            f"{results.final}")


# ---- contact sheets --------------------------------------------------------------------------------------------------

def contact_sheet(run, results, files, targets=None, row="network"):
    """contact_sheet.png in the results' folder: every picture before and after, side by side, two pairs to a line.

    files: {item: picture before}; targets: {item: picture after}, of those that results/ does not hold.
    """
    done = {line["item"]: line["image"] for line in results.lines if line["row"] == row and line["status"] == "ok"}
    cells = []
    for item in done:
        after = results.final / done[item] if done[item] else targets[item]
        before, after = read_pixels(files[item]), read_pixels(after)
        cells.append(cell(before, after, item))
    if not cells:
        return
    if len(cells) % 2:
        cells.append(np.full_like(cells[0], 255))
    sheet = np.vstack([np.hstack(cells[place:place + 2]) for place in range(0, len(cells), 2)])
    write_image(results.final / "contact_sheet.png", to_tensor(sheet))
    results.enter()
    run.say(f"all of them side by side: {results.final / 'contact_sheet.png'}")


def cell(before, after, name):
    """One pair of a contact sheet: both pictures in squares of CELL pixels, their name below; uint8 (CELL + NAME +
    margins, 2 CELL + margins, 3)."""
    canvas = np.full((CELL + NAME + MARGIN, 2 * (CELL + MARGIN) + MARGIN, 3), 255, np.uint8)
    for place, picture in enumerate((before, after)):
        scale = CELL / max(picture.shape[:2])
        width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        top, left = MARGIN + (CELL - height) // 2, MARGIN + place * (CELL + MARGIN) + (CELL - width) // 2
        canvas[top:top + height, left:left + width] = small[:canvas.shape[0] - top]
    shown = name if name.isascii() else name.encode("ascii", "replace").decode()       # OpenCV's letters are ASCII
    cv2.putText(canvas, shown[:60], (MARGIN, CELL + MARGIN + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1,
                cv2.LINE_AA)
    return canvas


# ---- a figure --------------------------------------------------------------------------------------------------------

def draw_elsewhere(folder, run, method, count=6):
    """Pictures of other data sets before and after, where `test.py test.set=cross-dataset` has run under this name; it
    needs no LOL. method: the network's name in the figure."""
    test, root = run.folder / "test" / "cross-dataset", Path(run.config.test.unpaired)
    lines = figures.read_items(run, "cross-dataset") if (test / "items.csv").exists() else []
    done = [line for line in lines if line["row"] == "gt_free"]
    if not done or not root.is_dir():
        return run.say("no cross-dataset results under this name: that figure is left out; for it, first: "
                       f"python cases/{run.case}/test.py --name {run.name} test.set=cross-dataset test.unpaired=FOLDER")
    files, before = name_items(find_sets(root)), {line["item"]: line for line in lines if line["row"] == "identity"}
    chosen = [done[place] for place in np.linspace(0, len(done) - 1, min(count, len(done))).astype(int)
              if done[place]["item"] in files]
    pictures = [[read_pixels(files[line["item"]]) for line in chosen],
                [read_pixels(test / line["image"]) for line in chosen]]
    captions = [[f"entropy {float(line['entropy']):.1f}, gray edge {float(line['gray_edge']):.1f}" for line in row]
                for row in ([before[line["item"]] for line in chosen], chosen)]
    keys = [key for key in ("item", "light_ratio", "entropy", "loe", "gray_edge", "niqe") if key in done[0]]
    folder.save(figures.grid(pictures, [line["item"] for line in chosen], captions, ["input", method]), "elsewhere",
                keys, [[line[key] for key in keys] for line in chosen])
    return None
