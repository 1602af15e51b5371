"""Sequences of any layout in GOT-10k's: python -m cases.siamfc.extras.convert SOURCE TARGET [--layout LAYOUT]

Frames are numbered anew from 00000001.jpg: JPEG files are linked or copied as they are, others are written as JPEG.
Boxes get 4 decimals; rows that are no box (not a number, or all zero) become absent; cut_by_image says which boxes
leave the frame; cover is 8 (visible) everywhere.
"""
import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from common.base.errors import UserError, start
from common.base.files import part_of
from common.base.progress import watch
from common.base.targets import expect_targets
from common.data.clips import write_labels, write_list
from common.data.images import picture_size, read_pixels
from common.data.layouts import LAYOUTS
from common.data.sequences import SequenceFolder


def convert(source, target, layout="auto"):
    """Write every sequence of source to target, which must not be there yet; returns their names."""
    target = Path(target)
    if target.exists():
        raise UserError(f"{target} is there already: a new folder was expected: name another, or remove it")
    expect_targets([target], option="TARGET")
    folder = SequenceFolder(source, layout)
    part = part_of(target)
    part.mkdir(parents=True)
    try:
        for name in watch(folder.names, "converting"):
            convert_sequence(folder, name, part / name)
        write_list(part, folder.names)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder.names


def convert_sequence(folder, name, target):
    """One sequence, by its name in the folder."""
    sequence = folder[name]
    boxes, nothing = sequence.boxes.copy(), ~np.isfinite(sequence.boxes).all(axis=1)
    target.mkdir()
    for number, frame in enumerate(sequence.frames, 1):
        copy_frame(frame, target / f"{number:08d}.jpg")
    height, width = picture_size(sequence.frames[0])
    x, y, w, h = boxes.T
    with np.errstate(invalid="ignore"):
        cut = (x < 1) | (y < 1) | (x + w > width + 1) | (y + h > height + 1)
    boxes[nothing] = 0
    kind = sequence.attributes.get("object_class", "unknown")
    write_labels(target, boxes, np.full(len(boxes), 8), sequence.absent, cut & ~nothing, (width, height), kind,
                 f"(from {folder.layout}: {name})")


def copy_frame(frame, target):
    """A frame under its new name: the same bytes where it is a JPEG file, else encoded with quality 95."""
    if frame.suffix.lower() in (".jpg", ".jpeg"):
        try:
            os.link(frame, target)
        except OSError:                                           # another disk, or a system without links
            shutil.copyfile(frame, target)
    else:
        Image.fromarray(read_pixels(frame)).save(target, quality=95, subsampling=0)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.convert", description=__doc__.split("\n\n")[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--layout", default="auto", choices=["auto", *LAYOUTS])
    options = parser.parse_args(argv)
    names = convert(options.source, options.target, options.layout)
    print(f"{len(names)} sequences: {options.target}")


if __name__ == "__main__":
    sys.exit(start(main))
