"""Measure how nuclei are found: python cases/nuclei/test.py [options] [key=value ...]

the pictures of the split `test`, by networks and simple methods
    python cases/nuclei/test.py --name check --weights release test.root=FOLDER
your own pictures: label map, outlines, and a CSV with a line per nucleus
    python cases/nuclei/test.py --weights release --input cells.tif --output found/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

from cases.nuclei import baselines
from cases.nuclei.data import fingerprint_of, read_gray, read_labels, test_pictures
from cases.nuclei.label_files import write_labels
from cases.nuclei.model import Nuclei
from cases.nuclei.own import segment_own
from cases.nuclei.segment import METHODS, predict, segment
from common import metrics
from common.base.errors import UserError, start
from common.experiment import checkpoints
from common.experiment.run import Run

THRESHOLDS = [f"ap{percent}" for percent in range(50, 100, 5)]
METRICS = ["iou", "dice", "ap", *THRESHOLDS, "aji", "nuclei", "found", "matched", "merged", "split"]
SHOWN = ["iou", "dice", "ap", "ap50", "ap50_pooled", "aji", "nuclei", "found", "merged", "split"]


def main(argv=None):
    run = Run("nuclei", "test", argv)
    weights = run.weights()
    model = run.load(Nuclei, weights)
    if run.options.input:
        return segment_own(run, model, weights)
    networks = {weights.model["arch"]: model} | find_rivals(run, weights)
    return measure(run, weights, networks)


def find_rivals(run, weights):
    """{row: network} of test.rivals; those of releases that are not there are left out, said in a line."""
    found = {}
    for name in run.config.test.rivals:
        try:
            chosen = checkpoints.find(run.case, run.name, name)
        except UserError as problem:
            if "test.rivals" in run.resolved.typed:
                raise
            run.say(f"the rows of {name} are left out: {problem}")
            continue
        row = chosen.model["arch"]
        if row in found or row == weights.model["arch"]:
            row = Path(name).stem
        if chosen.digest != weights.digest:
            found[row] = run.prepare(checkpoints.build(Nuclei, chosen)).eval()
    return found


def measure(run, weights, networks):
    """Every picture of the split `test` by every method; results/nuclei/<run>/test/test/."""
    settings, root = run.config.test, Path(run.config.test.root or run.config.data.root)
    pictures = test_pictures(root, run.config.data.stained)
    rows = baselines.ROWS if settings.baselines else []
    rows = rows + [row for name, model in networks.items() for row in rows_of(name, model)]
    others = [checkpoints.digest(model.state_dict()) for model in networks.values()]
    results = run.results("test", weights, [fingerprint_of(pictures), others], rows=rows, metrics=METRICS)
    items = [picture.name for picture in pictures]

    def read(place):
        return read_gray(pictures[place].path), read_labels(pictures[place])
    for _, item, (gray, true) in results.remaining(items, read):
        lines = {}
        for row, labels in outputs(run, networks, gray).items():
            path = results.image_path(item, row)
            write_labels(path, labels)
            lines[row] = measure_labels(true, labels), path
        results.add(item, lines)
    content = run.finish_test(results, weights, items,
                              inputs={picture.name: str(picture.path) for picture in pictures})
    run.say(results.table(content, SHOWN) + f"\nresults: {results.final}")
    return results.expect_no_failures()


def rows_of(name, model):
    """The rows of a network: one per way from its maps to nuclei."""
    return [name + ending for ending in METHODS if ending != "_markers" or len(model.maps) > 1]


def outputs(run, networks, gray):
    """{row: labels} of one normalised picture."""
    settings = run.config.test
    found = baselines.outputs(gray, settings.smallest) if settings.baselines else {}
    for name, model in networks.items():
        ways = segment(predict(model, gray, settings, run.device), settings)
        found |= {name + ending: ways[way] for ending, way in METHODS.items() if way in ways}
    return found


def measure_labels(true, labels):
    """{metric: value} of a label map beside the true one."""
    found = metrics.overlaps(true, labels)
    positives, invented, missed = metrics.matches(found)
    precisions = metrics.average_precision(positives, invented, missed)
    return {"iou": metrics.foreground_iou(found), "dice": metrics.foreground_dice(found), "ap": precisions.mean(),
            **dict(zip(THRESHOLDS, precisions)), "aji": metrics.aggregated_jaccard(found),
            "nuclei": len(found.true), "found": len(found.predicted), "matched": positives[0],
            "merged": metrics.merged(found), "split": metrics.split(found)}


if __name__ == "__main__":
    sys.exit(start(main))
