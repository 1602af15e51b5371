"""Video files through OpenCV: frames in, frames out. Sound is not carried over."""
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2

from common.base.errors import UserError
from common.base.files import part_of

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CODECS = {".webm": "VP80", ".avi": "MJPG", ".mp4": "mp4v"}      # what OpenCV's wheel can write; browsers play .webm


class Film(NamedTuple):
    """An open video."""
    capture: cv2.VideoCapture
    size: tuple              # (width, height)
    rate: float              # frames per second
    count: int               # as the file says


def open_film(path):
    """The Film in a file. Raises UserError where OpenCV cannot read it."""
    if not Path(path).exists():
        raise UserError(f"no such file: {path}: a video was expected: check the path")
    capture = cv2.VideoCapture(str(path))
    width, height = (int(capture.get(number)) for number in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or not width or not height:
        raise UserError(f"this video cannot be read: {path}: a file of {', '.join(SUFFIXES)} that OpenCV decodes was "
                        "expected: convert it to mp4")
    return Film(capture, (width, height), capture.get(cv2.CAP_PROP_FPS) or 25.0,
                max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))


def frames_of(film):
    """Its frames, uint8 RGB (h, w, 3)."""
    while True:
        there, frame = film.capture.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


@contextmanager
def writing(target, rate, size):
    """A function that appends a frame, uint8 RGB (h, w, 3), to the video `target`, fitted to size (width, height).

    The file appears when it is whole: leaving the block by an exception leaves nothing. The suffix decides the kind;
    folders are made.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target).with_suffix(target.suffix)           # the suffix tells OpenCV the container
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*CODECS.get(target.suffix.lower(), "mp4v")), rate, size)

    def write(frame):
        frame = frame if frame.shape[1::-1] == tuple(size) else cv2.resize(frame, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    try:
        if not writer.isOpened():
            raise UserError(f"this kind of video cannot be written: {target}: .mp4, .avi or .webm was expected: choose "
                            "another --output")
        yield write
        writer.release()
        part.replace(target)
    finally:
        writer.release()
        part.unlink(missing_ok=True)
