"""Your own targets in your own video: a file, a folder of frames, or a camera; several boxes at once.

Behind test.py --input. Each box has a tracker of its own. Written are a video with boxes and confidences, and a CSV
with a line per frame and box; with test.backward a second pass (both_ways.py) says where it disagrees.
"""
from pathlib import Path

import cv2
import numpy as np

from cases.siamfc.baselines.trackers import tracker_of
from cases.siamfc.drawing.targets import draw_targets, even_size, seen
from cases.siamfc.extras import both_ways
from common.base.errors import UserError, join_some
from common.base.progress import watch
from common.base.targets import expect_targets
from common.data.images import list_images, read_pixels
from common.data.video import frames_of, hushed, open_film, writing
from common.experiment.own import film
from common.experiment.results import write_csv


def split_boxes(argv):
    """([box, ...], the other words): every `--box x,y,w,h` and `--box=x,y,w,h` taken out."""
    boxes, rest, words = [], [], iter(argv)
    for word in words:
        if word == "--box":
            boxes.append(read_box(next(words, "")))
        elif word.startswith("--box="):
            boxes.append(read_box(word.removeprefix("--box=")))
        else:
            rest.append(word)
    return boxes, rest


def read_box(text):
    """Four numbers of `x,y,w,h`."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4:
        raise UserError(f"--box {text!r} is no box: x,y,w,h were expected (1-based corner, width, height, in pixels of "
                        "the first frame): mend it")
    return np.array(values)


class Frames:
    """The frames of a video file, a folder or the camera of that number: iterate for (number from 1, RGB uint8 (h, w,
    3)).

    rate: frames per second; count: of frames, None where it is not known; passed_over: files that cannot be read.
    """

    def __init__(self, source):
        self.rate, self.count, self.capture, self.files, self.passed_over = 25.0, None, None, [], []
        path = Path(source)
        if path.is_dir():
            self.files = list_images(path / "img" if (path / "img").is_dir() else path)      # img: a sequence of OTB
            self.count = len(self.files)
            if not self.files:
                raise UserError(f"no pictures: {path}: the frames of a clip were expected: name another folder")
        elif path.exists() or not str(source).isdigit():
            self.open(path)
        else:
            with hushed():
                self.capture = cv2.VideoCapture(int(source))
            if not self.capture.isOpened():
                raise UserError(f"no camera {source}: a number of one that this machine has was expected: try 0, or "
                                "give a video file")

    def open(self, path):
        if not path.exists():
            raise UserError(f"no such file: {path}: a video, a folder of frames or the number of a camera was "
                            "expected: check the path")
        film = open_film(path)
        self.capture, self.rate, self.count = film.capture, film.rate, film.count or None

    def __iter__(self):
        return self.pictures() if self.capture is None else enumerate(frames_of(self), 1)

    def pictures(self):
        """Of a folder: a file that cannot be read is passed over, but for the first, in which the boxes were drawn."""
        for number, path in enumerate(self.files, 1):
            try:
                frame = read_pixels(path)
            except UserError as problem:
                if number == 1:
                    raise
                self.passed_over.append(str(problem))
                continue
            yield number, frame


def follow_own(run, network, weights, boxes):
    """Track the boxes through --input; the video goes to --output (else into results/), boxes.csv beside it."""
    if len(run.options.input) != 1:
        raise UserError(f"--input has {len(run.options.input)} sources: one video, folder of frames or camera was "
                        "expected: run once for each")
    source = Path(run.options.input[0])
    frames = Frames(source)
    target, table = settle(run, source, frames)
    images = iter(frames)
    _, first = next(images, (0, None))
    if first is None:
        raise UserError(f"no frame could be decoded: {source}: a video that OpenCV reads was expected: convert it, for "
                        "example to mp4 (H.264)")
    boxes = boxes or draw_by_mouse(first)
    trackers = [tracker_of(run, network) for _ in boxes]
    for tracker, box in zip(trackers, boxes):
        tracker.init(first, box)
    if run.config.test.backward:
        lines = both_ways.write_checked(target, frames, first, images, trackers, lambda: tracker_of(run, network))
    else:
        lines = write_video(target, frames, first, images, trackers)
    count = len(lines) // len(trackers)
    if frames.passed_over:
        run.say(f"frames passed over: {join_some(frames.passed_over)}")
    elif count < (frames.count or 0):
        run.say(f"the source announced {frames.count} frames and gave {count}: it may be damaged behind them")
    columns = ["frame", "target", "x", "y", "w", "h", "confidence", "lost"]
    write_csv(table, columns + ["agreement", "doubtful"] * run.config.test.backward, lines)
    run.record("video", paths=run.machine(), weights=str(weights.path), input=str(source))
    said = [f"lost in {sum(line[7] for line in lines)} of {len(lines)} lines"]
    if run.config.test.backward:
        said.append(f"the way back disagrees in {sum(line[9] for line in lines)}")
    run.say(f"{count} frames, {len(trackers)} target(s), {', '.join(said)}: {target}, {table}")


def settle(run, source, frames):
    """(the video to write, the table beside it), checked before any work."""
    name = source.stem or "camera"
    target = run.settle([film(source, run.folder / "video", name, ".webm")], frames.files)[0]
    table = target.with_name(f"{target.stem}.boxes.csv")
    expect_targets([target, table], [source, *frames.files])
    return target, table


def write_video(target, frames, first, images, trackers):
    """Draw and write every frame; returns the lines of boxes.csv. The file appears when it is whole; frames of another
    size are fitted into the first's."""
    lines = []
    with writing(target, frames.rate, even_size(first)) as write:
        write(draw_targets(first, [seen(tracker, tracker.box()) for tracker in trackers], 1, lines))
        for number, image in watch(images, "tracking", count=(frames.count or 2) - 1):
            drawn = draw_targets(image, [seen(tracker, tracker.update(image)) for tracker in trackers], number, lines)
            write(drawn)
            if frames.count is None and show_live(drawn):
                break
    return lines


def show_live(drawn):
    """Show a camera's frame where there is a display; True when the user pressed q or Escape."""
    try:
        cv2.imshow("SiamFC: q ends", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF in (ord("q"), 27)
    except cv2.error:
        return False


def draw_by_mouse(first):
    """One or more boxes drawn in a window; UserError where there is no display or nothing was drawn."""
    try:
        found = cv2.selectROIs("draw boxes, Enter after each, Escape to begin", cv2.cvtColor(first, cv2.COLOR_RGB2BGR))
        cv2.destroyAllWindows()
    except cv2.error:
        found = []
    if not len(found):
        raise UserError("no target: without a display (or a drawn box) --box is needed: x,y,w,h in the first frame of "
                        f"{first.shape[1]} x {first.shape[0]} pixels was expected: add --box x,y,w,h")
    return [np.array([x + 1.0, y + 1.0, w, h]) for x, y, w, h in found]

