"""Video files through OpenCV: frames in, frames out. Sound is not carried over."""
import os
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2

from common.base.errors import UserError
from common.base.files import part_of
from common.base.progress import watch
from common.data.formats import VIDEO_SUFFIXES

CODECS = {".webm": "VP80", ".avi": "MJPG",                      # what OpenCV's wheel can write; browsers play .webm
          ".mp4": "mp4v", ".mov": "mp4v", ".m4v": "mp4v", ".mkv": "mp4v"}


def result_suffix(path):
    """The suffix for the result of a video file: the file's own, or .mp4 where no such kind is written."""
    suffix = Path(path).suffix
    return suffix if suffix.lower() in CODECS else ".mp4"


def unwritable(path, size=None):
    """Why no video can be written to path, whatever its size; None where one can."""
    suffix = Path(path).suffix
    known = suffix.lower() in CODECS
    return None if known else f"unknown kind of video '{suffix}' (written are {' '.join(CODECS)}): {path}"


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
    with hushed():                                              # what FFMPEG has to say of a damaged file
        capture = cv2.VideoCapture(str(path))
    width, height = (int(capture.get(number)) for number in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or not width or not height:
        raise UserError(f"this video cannot be read: {path}: a file of {', '.join(VIDEO_SUFFIXES)} that OpenCV decodes "
                        "was expected: convert it to mp4")
    return Film(capture, (width, height), capture.get(cv2.CAP_PROP_FPS) or 25.0,
                max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))


def frames_of(film):
    """Its frames, uint8 RGB (h, w, 3)."""
    while True:
        there, frame = film.capture.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def cannot_write(target):
    return (f"this kind of video cannot be written: {target}: one of {' '.join(CODECS)} was expected: choose another "
            "--output")


@contextmanager
def hushed():
    """Nothing that a library writes to the process's standard error by itself is seen inside."""
    try:
        kept = os.dup(2)
    except OSError:                                             # there is none
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def writing(target, rate, size):
    """A function that appends a frame, uint8 RGB (h, w, 3), to the video `target`, fitted to size (width, height).

    The file appears when it is whole: leaving the block by an exception leaves nothing. The suffix decides the kind;
    folders are made. Raises UserError where not every frame has arrived on the disk.
    """
    target, count = Path(target), 0
    if unwritable(target):
        raise UserError(cannot_write(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target).with_suffix(target.suffix)           # the suffix tells OpenCV the container
    codec = cv2.VideoWriter_fourcc(*CODECS[target.suffix.lower()])
    with hushed():                                              # `tag VP80 is not supported`: it is, and does no harm
        writer = cv2.VideoWriter(str(part), codec, rate, size)

    def write(frame):
        nonlocal count
        count += 1
        frame = frame if frame.shape[1::-1] == tuple(size) else cv2.resize(frame, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    try:
        if not writer.isOpened():
            raise UserError(cannot_write(target))
        yield write
        writer.release()
        expect_frames(part, count, target)
        part.replace(target)
    finally:
        writer.release()
        part.unlink(missing_ok=True)


def expect_frames(path, count, target):
    """Raise UserError unless `count` frames can be read from a video that was just written: OpenCV says nothing of a
    full disk, and what the file's head says may be more than it holds."""
    found = 0
    with hushed():
        capture = cv2.VideoCapture(str(path))
        while found < count and capture.grab():
            found += 1
        capture.release()
    if found < count:
        raise UserError(f"this video could not be written whole: {target}: room for all of its {count} frames was "
                        "expected: make room there, or choose another --output")


def convert(path, target, change, title, scale=1):
    """Write the frames of a video through change(frame), uint8 RGB in and out, to the video target, `scale` times as
    large.

    Returns the mean level of each frame, before and after: [(float, float)]. UserError for a video without frames.
    """
    film, levels = open_film(path), []
    with writing(target, film.rate, tuple(scale * side for side in film.size)) as write:
        for frame in watch(frames_of(film), title, film.count or 1):
            changed = change(frame)
            write(changed)
            levels.append((frame.mean(), changed.mean()))
        if not levels:
            raise UserError(f"no frames in this video: {path}: at least one was expected: convert it to mp4")
    return levels
