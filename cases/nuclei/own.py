"""One's own pictures: every nucleus found, outlined, measured."""
from pathlib import Path

from cases.nuclei.data import normalise, open_levels
from cases.nuclei.instances import describe
from cases.nuclei.label_files import outline, write_labels
from cases.nuclei.segment import best, predict, segment
from common.base.errors import UserError, join_some, warn
from common.data.images import picture_files, to_tensor, write_image
from common.experiment.results import file_name, write_csv

MADE = ("labels.png", "outlines.png", "nuclei.csv")
COLUMNS = ("number", "area", "row", "column", "mean_level", "circularity")


def segment_own(run, model, weights):
    """Three files for each picture of --input in the folder --output, else in results/: NAME_labels.png (numbers),
    NAME_outlines.png, NAME_nuclei.csv (a line per nucleus). How many were found stands in items.csv, too."""
    paths, items = picture_files(run.options.input)
    names = [f"{file_name(item)}_{made}" for item in items for made in MADE]
    folder, row, bright = run.settle_folder(run.folder / "own", names, paths), weights.model["arch"], []
    if run.options.output and folder.resolve() in {path.resolve().parent for path in paths}:
        raise UserError(f"--output {folder} is a folder of the pictures: its label maps would be read as pictures the "
                        "next time: name another folder")
    results = run.own_results(weights, paths, rows=[row], metrics=["found"])

    def find(place):
        """(levels, normalised picture, labels) of one file."""
        levels, on_bright = open_levels(paths[place])
        bright.extend([paths[place].name] * on_bright)
        gray = normalise(levels, on_bright)
        return levels, gray, best(segment(predict(model, gray, run.config.test, run.device), run.config.test))
    for _, item, (levels, gray, labels) in results.remaining(items, find, "finding nuclei", again=True):
        write_all(folder / file_name(item), levels, gray, labels)
        results.add(item, {row: ({"found": int(labels.max(initial=0))}, None)})
    if bright:
        warn(f"on a bright ground, taken as its negative: {join_some(bright)}: the networks have learnt from "
             "fluorescence on a dark ground, so look at the outlines")
    content = run.finish_test(results, weights, items, inputs=dict(zip(items, map(str, paths))))
    numbers = f"; numbers: {results.final / 'items.csv'}" if run.keeps else ""
    run.say(f"{content[row].get('found', 0)} nuclei in {content[row]['count']} picture(s): {folder}{numbers}")
    results.expect_no_failures()


def write_all(stem, levels, gray, labels):
    """The three files of one picture; stem: folder and beginning of their names."""
    targets = [Path(f"{stem}_{made}") for made in MADE]
    write_labels(targets[0], labels)
    write_image(targets[1], to_tensor(outline(gray, labels)))
    values = describe(labels, levels)
    lines = zip(*(values[name] for name in COLUMNS))
    write_csv(targets[2], COLUMNS, [[number, round(area), *(f"{value:.3f}" for value in rest)]
                                    for number, area, *rest in lines])
