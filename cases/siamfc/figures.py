"""The figures of chapter B5 and of the results: python cases/siamfc/figures.py [options] [key=value ...]

Uses the boxes and numbers of test.py where that has run under the same name, and the log of train.py; figures land in
results/siamfc/<run>/figures. drawing/chapter.py draws what needs the data and the network alone, drawing/results.py
what was measured.
"""
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

from cases.siamfc.baselines.trackers import tracker_of
from cases.siamfc.data import training_sets
from cases.siamfc.drawing import chapter, clips, results
from cases.siamfc.drawing.captions import CAPTIONS
from cases.siamfc.model import SiamFC
from cases.siamfc.sequences import boxes_path, open_test_set
from cases.siamfc.weights import choose_weights
from common.base.errors import UserError, start
from common.data.sequences import read_boxes
from common.experiment import figures
from common.experiment.run import Run

PANELS = [("loss", ["loss", "competing", "logistic", "foreign", "taught_z", "taught_x", "taught_maps"]),
          ("AO, AUC (validation)", ["val_ao", "val_auc"])]


def main(argv=None):
    run = Run("siamfc", "figures", argv)
    weights = choose_weights(run)
    network = run.load(SiamFC, weights)
    sequences = figures.if_there(run, lambda: open_test_set(run), "test.root")
    folder = figures.FigureFolder(run.folder, CAPTIONS)
    if sequences is not None:
        draw_sequences(folder, run, network, sequences)
    clips.draw_clips(folder, tracker_of(run, network))
    draw_pairs(run, folder)
    figures.draw_training(folder, run, PANELS)
    folder.finish(weights.digest, keep=not run.complete)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def draw_sequences(folder, run, network, sequences):
    """Every figure that shows the test set, or what test.py has measured on it."""
    tracker = tracker_of(run, network)
    lines, boxes = read_results(run, sequences)
    order = rank(lines) or sequences.names
    easiest, hardest = sequences.inspect(order[0]), sequences.inspect(order[-1])

    chapter.draw_network(folder, network, tracker, easiest)
    chapter.draw_sequences(folder, sequences)
    chapter.draw_folders(folder, sequences)
    chapter.draw_meta_info(folder, sequences)
    chapter.draw_exercise(folder, tracker, easiest)
    results.draw_responses(folder, tracker, hardest)
    results.draw_confidence(folder, tracker, hardest)
    if lines:
        results.draw_strips(folder, sequences, boxes, order)
        results.draw_success(folder, sequences, boxes)
        results.draw_items(folder, sequences, lines)
        results.draw_attributes(folder, sequences, lines)
        if rates := read_rates(run, sequences.set_name):
            results.draw_speed(folder, sequences, lines, rates)


def read_results(run, sequences):
    """(lines of items.csv, {row: {name: boxes}}) that test.py has left; empty, said in a line, where it has not run."""
    place, boxes = run.folder / "test" / sequences.set_name, {}
    lines = [line for line in figures.read_items(run, sequences.set_name) if line["item"] in sequences.entries]
    for line in lines:
        tracked = read_boxes(boxes_path(place, line["row"], line["item"]))
        boxes.setdefault(line["row"], {})[line["item"]] = tracked
    return lines, boxes


def read_rates(run, set_name):
    """{row: frames per second} that test.py has noted of its run; empty where it noted none."""
    path = run.folder / "environment.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content.get(f"test/{set_name}", {}).get("frames_per_second", {})


def rank(lines):
    """Names of the sequences from the best to the worst AO of SiamFC; none where nothing was measured."""
    own = [line for line in lines if line["row"] == "siamfc" and line["ao"] not in ("", "nan")]
    return [line["item"] for line in sorted(own, key=lambda line: -float(line["ao"]))]


def draw_pairs(run, folder):
    """Training pairs of this run's settings; left out, said in a line, where the training data is not there."""
    try:
        pairs, _ = training_sets(run.config)
    except UserError as problem:
        run.say(f"the training pairs are left out: {problem}")
        return
    results.draw_pairs(folder, [pairs[index // len(pairs), index % len(pairs)] for index in range(8)])


if __name__ == "__main__":
    sys.exit(start(main))
