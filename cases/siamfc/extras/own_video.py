"""Your own targets in your own video: a file, a folder of frames, or a camera; several boxes at once.

Each box has a tracker of its own. Written are a video with boxes and confidences and a CSV with a line per frame and
box.
"""
from pathlib import Path

import cv2
import numpy as np

from cases.siamfc.baselines.trackers import tracker_of
from cases.siamfc.drawing.boxes import label, outline
from common.base.errors import UserError
from common.base.progress import watch
from common.data.images import list_images, read_pixels
from common.data.video import CODECS, SUFFIXES, writing
from common.experiment.results import write_csv


def split_boxes(argv):
    """([box, ...], the other words): every `--box x,y,w,h` taken out."""
    boxes, rest, words = [], [], list(argv)
    while words:
        word = words.pop(0)
        if word == "--box" or word.startswith("--box="):
            text = word.partition("=")[2] if "=" in word else words.pop(0) if words else ""
            boxes.append(read_box(text))
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
    """The frames of a video file, a folder or a camera: iterate for RGB uint8 (h, w, 3); rate in frames per second,
    count where it is known."""

    def __init__(self, source):
        self.source, self.rate, self.count, self.capture = source, 25.0, None, None
        path = Path(source)
        if path.is_dir():
            self.files = list_images(path)
            self.count = len(self.files)
            if not self.files:
                raise UserError(f"no pictures: {path}: the frames of a clip were expected: name another folder")
        elif path.exists() or not str(source).isdigit():
            self.open(path)
        else:
            self.capture = cv2.VideoCapture(int(source))
            if not self.capture.isOpened():
                raise UserError(f"no camera {source}: a number of one that this machine has was expected: try 0, or "
                                "give a video file")

    def open(self, path):
        if not path.exists():
            raise UserError(f"no such file: {path}: a video, a folder of frames or the number of a camera was "
                            "expected: check the path")
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise UserError(f"this video cannot be decoded: {path}: a file of {', '.join(SUFFIXES)} that OpenCV reads "
                            "was expected: convert it, for example to mp4 (H.264)")
        self.rate = self.capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None

    def __iter__(self):
        if self.capture is None:
            yield from map(read_pixels, self.files)
            return
        while True:
            there, frame = self.capture.read()
            if not there:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def follow_own(run, network, weights, boxes):
    """Track the boxes through --input; the video goes to --output (else into results/), boxes.csv beside it."""
    if len(run.options.input) != 1:
        raise UserError(f"--input has {len(run.options.input)} sources: one video, folder of frames or camera was "
                        "expected: run once for each")
    source = run.options.input[0]
    frames = Frames(source)
    target = Path(run.options.output) if run.options.output else run.folder / "video" / f"{Path(source).stem or 'camera'}.webm"
    if target.suffix.lower() not in CODECS:
        target = target / f"{Path(source).stem}.webm"
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise UserError(f"--output would overwrite the input {source}: results never replace their material: choose "
                        "another --output")
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise UserError(f"no frame could be decoded: {source}: a video that OpenCV reads was expected: convert it, for "
                        "example to mp4 (H.264)")
    boxes = boxes or draw_by_mouse(first)
    trackers = [tracker_of(network, run.config, run.device) for _ in boxes]
    for tracker, box in zip(trackers, boxes):
        tracker.init(first, box)
    lines = write_video(target, frames, first, images, trackers)
    if len(lines) // len(trackers) < (frames.count or 0):
        run.say(f"the source announced {frames.count} frames and gave {len(lines) // len(trackers)}: it may be damaged "
                "behind them")
    table = target.with_name(f"{target.stem}.boxes.csv")
    write_csv(table, ["frame", "target", "x", "y", "w", "h", "confidence", "lost"], lines)
    run.record("video", paths=run.machine(), weights=str(weights.path), input=str(source))
    lost = sum(line[-1] for line in lines)
    run.say(f"{len(lines) // len(trackers)} frames, {len(trackers)} target(s), lost in {lost} of {len(lines)} lines: "
            f"{target}, {table}")


def write_video(target, frames, first, images, trackers):
    """Draw and write every frame; the lines of boxes.csv. The file appears when it is whole; frames of another size are
    fitted into the first's."""
    size = first.shape[1] - first.shape[1] % 2, first.shape[0] - first.shape[0] % 2
    lines = []
    with writing(target, frames.rate, size) as write:
        write(show_targets(first, trackers, [tracker.box() for tracker in trackers], 1, lines))
        for number, image in enumerate(watch(images, "tracking", count=(frames.count or 2) - 1), 2):
            drawn = show_targets(image, trackers, [tracker.update(image) for tracker in trackers], number, lines)
            write(drawn)
            if frames.count is None and show_live(drawn):
                break
    return lines


def show_targets(image, trackers, boxes, number, lines):
    """The frame with every box, its confidence above it, and a line of the table for each."""
    drawn = image.copy()
    for place, (tracker, box) in enumerate(zip(trackers, boxes)):
        name = "lost" if tracker.lost else place + 1
        outline(drawn, box, name)
        label(drawn, f"{place + 1}: {tracker.confidence:.2f}" + (" lost" if tracker.lost else ""),
              (box[0] - 1, box[1] - 4), name)
        lines.append([number, place + 1, *(f"{value:.3f}" for value in box), f"{tracker.confidence:.4f}",
                      int(tracker.lost)])
    return drawn


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

