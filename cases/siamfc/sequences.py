"""What a tracker's boxes on a Sequence are worth, and where its boxes are kept. The sequences themselves are read by
common/data/sequences.py.
"""
import numpy as np

from common.data.sequences import SequenceFolder
from common.experiment.results import file_name, write_text
from common.metrics import box_iou, tracking


def open_test_set(run):
    """The SequenceFolder that the settings test.root, layout, split and names say; which layout was taken is said."""
    test = run.config.test
    folder = SequenceFolder(test.root, test.layout, test.split, test.names)
    run.say(folder.about())
    return folder


def measure(sequence, boxes):
    """{ao, auc, precision, sr50, sr75} of a tracker's boxes (N, 4) on a Sequence.

    On GOT-10k ao, sr50 and sr75 as its toolkit has them: clipped to the frame, frames with a hidden target left out.
    Elsewhere frames without a target are left out.
    """
    if sequence.layout == "got10k":
        return tracking(boxes, sequence.boxes, sequence.frame_size, sequence.cover > 0)
    return tracking(boxes, np.where(sequence.absent[:, None], np.nan, sequence.boxes))


def follow_clips(tracker, clips):
    """The boxes (N, 4) of a tracker on every Clip."""
    followed = []
    for clip in clips:
        tracker.init(clip.frames[0], clip.boxes[0])
        followed.append(np.array([clip.boxes[0], *(tracker.update(frame) for frame in clip.frames[1:])]))
    return followed


def score_clips(followed, clips):
    """{ao, auc}: means over the Clips, of the boxes of follow_clips."""
    scores = [tracking(boxes, clip.boxes) for boxes, clip in zip(followed, clips)]
    return {metric: float(np.nanmean([score[metric] for score in scores])) for metric in ("ao", "auc")}


def overlaps(sequence, boxes):
    """The IoU that GOT-10k's toolkit counts, (n,): clipped to the frame, of frames 2..N whose target is visible."""
    counted = (sequence.cover > 0) & np.isfinite(sequence.boxes).all(axis=1)
    return box_iou(boxes[1:], sequence.boxes[1:], sequence.frame_size)[counted[1:]]


def boxes_path(folder, row, name):
    """Where a test's folder keeps the boxes of one tracker (row) on one sequence."""
    return folder / "boxes" / file_name(row) / f"{file_name(name)}.txt"


def write_boxes(path, boxes, digits=4):
    """Boxes (N, 4) as the toolkits read them: a line x,y,w,h for each."""
    line = ",".join([f"%.{digits}f"] * 4) + "\n"
    write_text(path, "".join(line % tuple(box) for box in boxes))
