"""Measure SiamFC beside other trackers, or follow a target: python cases/siamfc/test.py [options] [key=value ...]

GOT-10k's validation sequences
    python cases/siamfc/test.py --name check --weights release
OTB, or a part of it
    python cases/siamfc/test.py --name check --weights release test.root=datasets/OTB
by the got10k toolkit's own experiments (got10k, otb or vot)
    python cases/siamfc/test.py --name check --weights release test.root=datasets/OTB test.toolkit=otb
a zip for GOT-10k's server
    python cases/siamfc/test.py --name check --weights release test.split=test
your own video
    python cases/siamfc/test.py --weights release --input clip.mp4 --box x,y,w,h [--box ...] --output out.webm
    (also a folder of frames, or the number of a camera; without --box you draw it with the mouse;
    test.backward=true flags frames where a second pass, from the end to the start, disagrees)
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np

from cases.siamfc.baselines.trackers import choose_trackers
from cases.siamfc.drawing.boxes import outline, save, trail
from cases.siamfc.extras import own_video, toolkit
from cases.siamfc.extras.got10k_server import write_submission
from cases.siamfc.model import SiamFC
from cases.siamfc.sequences import boxes_path, measure, open_test_set, overlaps, write_boxes
from cases.siamfc.weights import choose_weights
from common.base.errors import UserError, start
from common.data.images import read_pixels
from common.data.sequences import read_boxes
from common.experiment.results import write_json
from common.experiment.run import Run

METRICS = ["ao", "auc", "precision", "sr50", "sr75"]


def main(argv=None):
    boxes, argv = own_video.split_boxes(sys.argv[1:] if argv is None else argv)
    run = Run("siamfc", "test", argv)
    if boxes and not run.options.input:
        raise UserError("--box is for --input: a video, a folder of frames or a camera was expected: give --input, too")
    weights = choose_weights(run)
    network = run.load(SiamFC, weights)
    if run.options.input:
        return own_video.follow_own(run, network, weights, boxes)
    if run.config.test.backward:
        raise UserError("test.backward is for --input, your own video: sequences with boxes need no second opinion: "
                        "leave it out, or give --input")
    folder = open_test_set(run)
    if run.config.test.toolkit:
        return toolkit.run_toolkit(run, network, weights, folder)
    if folder.split == "test":
        return write_submission(run, network, weights, folder)
    return benchmark(run, network, weights, folder)


def benchmark(run, network, weights, folder):
    """Every tracker on every sequence; results/siamfc/<run>/test/<set>/ with boxes/<row>/<sequence>.txt."""
    trackers, sequences = choose_trackers(run, network), folder.readable()
    results = run.results(folder.set_name, weights, folder.fingerprint(), rows=list(trackers), metrics=METRICS,
                          classings=sorted(set().union(*(sequence.attributes for sequence in sequences))))
    seconds, frames = dict.fromkeys(trackers, 0.0), 0

    def follow(place):
        """(Sequence, {row: (boxes, seconds)}) of one sequence by every tracker."""
        sequence = folder.inspect(folder.names[place])
        return sequence, {row: track(sequence) for row, track in trackers.items()}
    for _, name, (sequence, tracked) in results.remaining(folder.names, follow, f"tracking {folder.set_name}"):
        lines = {}
        for row, (boxes, spent) in tracked.items():
            seconds[row] += spent
            lines[row] = measure(sequence, boxes), draw_last(results, row, boxes, sequence)
            write_boxes(boxes_path(results.folder, row, name), boxes)
        frames += len(sequence.frames) - 1
        results.add(name, lines, sequence.reference, sequence.attributes)
    for sequence in folder.known.values():
        for note in sequence.notes:
            run.say(note)
    rates = {row: round(frames / spent, 1) for row, spent in seconds.items() if spent}
    inputs = {sequence.name: str(sequence.frames[-1]) for sequence in sequences}
    content = run.finish_test(results, weights, folder.names, inputs=inputs, frames_per_second=rates)
    if folder.layout == "got10k":
        pool(results, folder, content)
    show(run, content, results)
    return results.expect_no_failures("sequence")


def draw_last(results, row, boxes, sequence):
    """The last frame with the truth, the box and the way that its centre has come; only SiamFC's is kept."""
    if row != "siamfc":
        return None
    drawn = read_pixels(sequence.frames[-1]).copy()
    trail(drawn, boxes, row)
    outline(drawn, sequence.boxes[-1], "truth")
    outline(drawn, boxes[-1], row)
    return save(results.image_path(sequence.name, row), drawn)


def pool(results, folder, content):
    """Add GOT-10k's overall numbers, `<metric>_frames`, to metrics.json and its content: all frames of all sequences in
    one pool, as its toolkit and most papers have them."""
    for row, values in content.items():
        done = [line["item"] for line in results.lines if line["row"] == row and line["status"] == "ok"]
        if done:
            ious = np.concatenate([overlaps(folder[name], read_boxes(boxes_path(results.folder, row, name)))
                                   for name in done])
            pooled = {"ao": ious.mean(), "sr50": (ious > 0.5).mean(), "sr75": (ious > 0.75).mean()}
            values |= {f"{name}_frames": round(float(value), 6) for name, value in pooled.items()}
    write_json(results.folder / "metrics.json", content)
    results.enter()


def show(run, content, results):
    """The table in the terminal, the verdict over the floors, and where to look."""
    ranked = sorted(content, key=lambda row: -(content[row].get("ao") or 0))
    run.say(results.table(content, ["ao", "auc", "precision"], ranked, "sequences"))
    floors = [row for row in ("static", "untrained") if row in content]
    if "siamfc" in content and floors and content["siamfc"]["count"]:
        lost = [row for row in floors if (content["siamfc"]["ao"] or 0) <= (content[row]["ao"] or 0)]
        run.say(f"SiamFC {'does NOT beat ' + ', '.join(lost) if lost else 'beats ' + ', '.join(floors)} in AO")
    run.say(f"results: {results.final}")


if __name__ == "__main__":
    sys.exit(start(main))
