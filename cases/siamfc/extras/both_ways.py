"""A second opinion: the target followed from the end of a clip back to its start. Behind test.backward, for --input.

What a tracker followed both ways is where both boxes agree; where they do not, one of them has left the target. The
way back begins at the last frame in which the way forth is not lost. Frames are kept as JPEG files in memory until
both ways are done.
"""
import cv2
import numpy as np

from cases.siamfc.drawing.targets import draw_targets, even_size, seen
from common.base.errors import UserError
from common.base.progress import watch
from common.data.video import writing
from common.metrics import box_iou

MOST = 2e9                                                    # bytes of kept frames


def write_checked(target, frames, first, images, trackers, make):
    """Track forth and back, draw and write every frame; returns the lines of boxes.csv. make() -> a new tracker."""
    if frames.count is None:
        raise UserError("test.backward is for a clip that ends: a video or a folder of frames was expected, not a "
                        "camera: leave it out, or record the clip first")
    kept = [(1, pack(first))]
    forth = [[seen(tracker, tracker.box()) for tracker in trackers]]
    size = len(kept[0][1])
    for number, image in watch(images, "tracking", count=frames.count - 1):
        forth.append([seen(tracker, tracker.update(image)) for tracker in trackers])
        kept.append((number, pack(image)))
        size += len(kept[-1][1])
        if size > MOST:
            raise UserError(f"too long for test.backward: {number} frames fill {MOST / 1e9:.0f} GB: a shorter clip was "
                            "expected: cut it, or leave test.backward out")
    by_target = [compare([moment[place] for moment in forth], kept, make()) for place in range(len(trackers))]
    lines = []
    with writing(target, frames.rate, even_size(first)) as write:
        for (number, data), targets in zip(kept, zip(*by_target)):
            write(draw_targets(unpack(data), targets, number, lines))
    return lines


def compare(forth, kept, tracker):
    """The Seens of one target, each with its agreement: the IoU with the box of the way back."""
    end = max((place for place, now in enumerate(forth) if not now.lost), default=len(forth) - 1)
    tracker.init(unpack(kept[end][1]), forth[end].box)
    agreements = np.full(len(forth), np.nan)
    agreements[end] = 1.0
    for place in watch(range(end - 1, -1, -1), "the way back"):
        box = tracker.update(unpack(kept[place][1]))
        agreements[place] = box_iou(box, forth[place].box)[0]
    return [now._replace(agreement=float(value)) for now, value in zip(forth, agreements)]


def pack(image):
    """An RGB frame as the bytes of a JPEG file of high quality."""
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def unpack(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
