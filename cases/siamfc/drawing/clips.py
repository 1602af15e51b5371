"""Real clips that come with the repository, followed from their first box; there is no truth but that box."""
import numpy as np

from cases.siamfc.drawing.boxes import outline
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels
from common.experiment import figures


def draw_clips(folder, tracker, columns=5):
    """A row for each clip: frames from the first to the last, with the tracker's box."""
    grid, captions, names, table = [], [], [], []
    for file in sorted(EMBEDDED.glob("clips/*/first_box.txt")):
        frames = list_images(file.with_name("img"))
        first = np.array([float(value) for value in file.read_text(encoding="utf-8").split(",")])
        boxes = follow(tracker, frames, first)
        shown = np.linspace(0, len(frames) - 1, columns).astype(int)
        grid.append([with_box(frames[place], boxes[place]) for place in shown])
        captions.append([f"frame {place + 1} of {len(frames)}" for place in shown])
        names.append(file.parent.name)
        table += [[file.parent.name, place + 1, *(f"{value:.6f}" for value in boxes[place])] for place in shown]
    folder.save(figures.grid(grid, None, captions, names), "clips", ["clip", "frame", "x", "y", "w", "h"], table)


def follow(tracker, frames, first):
    """[box] of every frame of a clip (paths), the first as given."""
    tracker.init(read_pixels(frames[0]), first)
    return [first, *(tracker.update(read_pixels(frame)) for frame in frames[1:])]


def with_box(frame, box):
    picture = read_pixels(frame).copy()
    outline(picture, box, "siamfc", max(2, picture.shape[1] // 120))
    return picture
