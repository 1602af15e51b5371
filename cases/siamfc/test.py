"""Measure SiamFC beside other trackers, or follow a target: python cases/siamfc/test.py [options] [key=value ...]

GOT-10k's validation sequences
    python cases/siamfc/test.py --name check --weights release
OTB, or a part of it
    python cases/siamfc/test.py --name check --weights release data.test.root=datasets/OTB
a zip for GOT-10k's server
    python cases/siamfc/test.py --name check --weights release data.test.split=test
your own video
    python cases/siamfc/test.py --weights release --input clip.mp4 --box x,y,w,h [--box ...] --output out.webm
    (also a folder of frames, or the number of a camera; without --box you draw it with the mouse)
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's


import numpy as np

from cases.siamfc.baselines.trackers import choose_trackers as chosen_trackers
from cases.siamfc.drawing.boxes import outline, save, trail
from cases.siamfc.extras import own_video
from cases.siamfc.extras.got10k_server import submission
from cases.siamfc.model import SiamFC
from cases.siamfc.sequences import SequenceFolder
from cases.siamfc.weights import choose_weights
from common import metrics
from common.base.errors import UserError, start
from common.base.progress import watch
from common.data.images import read_pixels
from common.experiment.results import file_name, write_json, write_manifest, write_text
from common.experiment.run import Run
from common.metrics import tracking

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
    test = run.config.data.test
    folder = SequenceFolder(test.root, test.layout, test.split, test.names)
    if folder.split == "test":
        return submission(run, network, weights, folder)
    return benchmark(run, network, weights, folder)


def benchmark(run, network, weights, folder):
    """Every tracker on every sequence; results/siamfc/<run>/test/<set>/ with boxes/<row>/<sequence>.txt."""
    trackers = chosen_trackers(run, network)
    results = run.results(folder.set_name, weights, folder.fingerprint(), rows=list(trackers), metrics=METRICS,
                          classings=classings_of(folder))
    seconds, frames, inputs = dict.fromkeys(trackers, 0.0), 0, {}
    for name in watch(folder.names, f"tracking {folder.set_name}"):
        inputs |= last_frame(folder, name)
        if results.has(name):
            continue
        try:
            sequence = folder[name]
            tracked = {row: track(sequence) for row, track in trackers.items()}
        except UserError as problem:
            results.fail(name, problem)
            continue
        lines = {}
        for row, (boxes, spent) in tracked.items():
            seconds[row] += spent
            lines[row] = scores(boxes, sequence, folder.layout), picture(results, name, row, boxes, sequence)
            write_boxes(results.folder / "boxes" / file_name(row) / f"{file_name(name)}.txt", boxes)
        frames += len(sequence.frames) - 1
        results.add(name, lines, sequence.reference, sequence.attributes)
    content = results.finish(folder.names)
    if folder.layout == "got10k":
        content = pool(run, results, folder, content)
    run.record(f"test/{folder.set_name}", paths=run.machine(), weights=str(weights.path), inputs=inputs,
               frames_per_second={row: round(frames / spent, 1) for row, spent in seconds.items() if spent})
    show(run, content, results)
    return results.expect_no_failures("sequence")


def scores(boxes, sequence, layout):
    """The metrics of one tracker on one sequence; on GOT-10k ao, sr50 and sr75 as its toolkit has them: clipped, hidden
    frames left out."""
    if layout == "got10k":
        size = sequence.size or read_pixels(sequence.frames[0]).shape[1::-1]
        return tracking(boxes, sequence.boxes, size, sequence.cover > 0)
    return tracking(boxes, np.where(sequence.absent[:, None], np.nan, sequence.boxes))


def picture(results, name, row, boxes, sequence):
    """The last frame with the truth, the box and the way that its centre has come; only SiamFC's is kept."""
    if row != "siamfc":
        return None
    drawn = read_pixels(sequence.frames[-1]).copy()
    trail(drawn, boxes, row)
    outline(drawn, sequence.boxes[-1], "truth")
    outline(drawn, boxes[-1], row)
    path = results.image_path(name, row)
    save(path, drawn)
    return path


def write_boxes(path, boxes):
    """Boxes as the toolkits read them: x,y,w,h per line."""
    write_text(path, "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes))


def classings_of(folder):
    """Names of the annotations that some sequence has."""
    found = {}
    for name in folder.names:
        try:
            found |= dict.fromkeys(folder[name].attributes)
        except UserError:                                      # it will speak up when it is its turn
            continue
    return sorted(found)


def last_frame(folder, name):
    """{name: path of the last frame}, for the report; {} for a sequence that cannot be read."""
    try:
        return {name: str(folder[name].frames[-1])}
    except UserError:
        return {}


def pool(run, results, folder, content):
    """GOT-10k's overall numbers: all frames of all sequences in one pool, as its toolkit and most papers have them;
    `_frames` in metrics.json."""
    for row in content:
        overlaps = []
        for line in results.lines:
            if line["row"] == row and line["status"] == "ok":
                sequence = folder[line["item"]]
                boxes = np.loadtxt(results.folder / "boxes" / file_name(row) / f"{file_name(line['item'])}.txt",
                                   delimiter=",", ndmin=2)
                size = sequence.size or read_pixels(sequence.frames[0]).shape[1::-1]
                counted = (sequence.cover > 0)[1:] & np.isfinite(sequence.boxes[1:]).all(axis=1)
                overlaps.append(metrics.box_iou(boxes[1:], sequence.boxes[1:], size)[counted])
        if overlaps:
            ious = np.concatenate(overlaps)
            values = {"ao": ious.mean(), "sr50": (ious > 0.5).mean(), "sr75": (ious > 0.75).mean()}
            content[row] |= {f"{name}_frames": round(float(value), 6) for name, value in values.items()}
    write_json(results.folder / "metrics.json", content)
    write_manifest(run.folder, f"test/{results.set_name}", results.weights)
    return content


def show(run, content, results):
    """The table in the terminal, the verdict over the floors, and where to look."""
    first = next(iter(content.values()))
    run.say(f"{'tracker':12s}     AO    AUC  precision   ({first['count']} sequences of {results.set_name}, means over "
            "sequences)")
    for row, values in sorted(content.items(), key=lambda item: -(item[1].get("ao") or 0)):
        run.say(f"{row:12s} {values.get('ao') or 0:6.4f} {values.get('auc') or 0:6.4f}     "
                f"{values.get('precision') or 0:6.4f}")
    floors = [row for row in ("static", "untrained") if row in content]
    if "siamfc" in content and floors and first["count"]:
        lost = [row for row in floors if (content["siamfc"]["ao"] or 0) <= (content[row]["ao"] or 0)]
        run.say(f"SiamFC {'does NOT beat ' + ', '.join(lost) if lost else 'beats ' + ', '.join(floors)} in AO")
    run.say(f"results: {results.final}")


# ---- GOT-10k's test split: its labels are private --------------------------------------------------------------------


if __name__ == "__main__":
    sys.exit(start(main))
