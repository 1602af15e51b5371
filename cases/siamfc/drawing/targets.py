"""What trackers say of a frame of your own video, drawn into it and written down."""
from typing import NamedTuple

import numpy as np

from cases.siamfc.drawing.boxes import label, outline


class Seen(NamedTuple):
    """What a tracker says of one frame; agreement: with the way back, nan where that says nothing, None without it."""
    box: np.ndarray
    confidence: float
    lost: bool
    agreement: float | None = None

    @property
    def doubtful(self):
        return self.agreement is not None and self.agreement < 0.5


def seen(tracker, box):
    return Seen(box, tracker.confidence, tracker.lost)


def even_size(image):
    """(width, height), made even, as codecs want it."""
    return tuple(side - side % 2 for side in image.shape[1::-1])


def draw_targets(image, targets, number, lines):
    """A copy of frame `number` with the box of every Seen and its confidence above it, red where it is lost or in
    doubt; a line of the table for each is added."""
    drawn = image.copy()
    for target, now in enumerate(targets, 1):
        name = "lost" if now.lost or now.doubtful else target
        outline(drawn, now.box, name)
        text = f"{target}: {now.confidence:.2f}{' lost' * now.lost}{' ?' * now.doubtful}"
        label(drawn, text, (now.box[0] - 1, now.box[1] - 4), name)
        line = [number, target, *(f"{value:.3f}" for value in now.box), f"{now.confidence:.4f}", int(now.lost)]
        if now.agreement is not None:
            line += ["" if np.isnan(now.agreement) else f"{now.agreement:.4f}", int(now.doubtful)]
        lines.append(line)
    return drawn
