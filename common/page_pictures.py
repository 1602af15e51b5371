"""The pictures that the pages show: make figures FOR=readme, or

    python -m common.page_pictures [--case CASE] [NAME...]        cases/<case>/pictures/NAME

cases/<case>/drawing/pages.py lists them, PICTURES = {file name: function that returns a figure or a picture}; cover.jpg
stands for the case on the first page. They are drawn with the release weights from what may be handed on:
datasets/embedded and scikit-image's photographs; one that has read another picture is refused. drawn.json beside them
has their digests and what was read. Cases are found, not listed.
"""
import argparse
import importlib
import io
import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from common.base import paths
from common.base.errors import Negative, UserError, join_some, start
from common.base.files import sha256, write_whole
from common.experiment import figures
from common.experiment.results import write_json

WIDE, MARGIN = 980, 6                   # pixels: what GitHub's column shows of a picture
LARGEST, TOGETHER = 150_000, 6_000_000  # bytes of one picture, and of all of them
QUALITIES = range(92, 67, -4)           # of JPEG: the first that is small enough
RECORD = "drawn.json"
KINDS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"}
OPENED = set()                          # picture files that were read since the last clear()


def note_opened(event, arguments):
    """The audit hook: remembers picture files that Python opens to read."""
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)) and "w" not in str(arguments[1]):
        path = Path(arguments[0])
        OPENED.update([path.resolve()] if path.suffix.lower() in KINDS else [])


def folder_of(case):
    """Where the pictures of a case lie."""
    return paths.ROOT / "cases" / case / "pictures"


def listed(case):
    """{file name: draw() -> figure} of a case's drawing/pages.py; empty where it has none."""
    if not (paths.ROOT / "cases" / case / "drawing" / "pages.py").is_file():
        return {}
    return importlib.import_module(f"cases.{case}.drawing.pages").PICTURES


def source_name(path):
    """What drawn.json calls a picture that may be shown. Raises UserError for every other one."""
    for folder, name in ((paths.EMBEDDED, "datasets/embedded"),
                         (Path(find_spec("skimage").origin).with_name("data"), "skimage")):
        if path.is_relative_to(folder.resolve()):
            return f"{name}/{path.relative_to(folder.resolve()).as_posix()}"
    raise UserError(f"this picture may not be shown: {path}: one of datasets/embedded or of scikit-image was expected: "
                    "draw from one of those")


def encoded(drawn, name):
    """The bytes of a figure, or of a picture (h, w, 3) uint8 as it is, as `name`: PNG in 256 colours, or JPEG as good
    as LARGEST allows. Raises UserError.
    """
    picture, sizes, png = as_picture(drawn), [], name.endswith(".png")
    for quality in [None] if png else QUALITIES:
        buffer = io.BytesIO()
        if png:
            picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        else:
            picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        sizes.append(buffer.tell())
        if sizes[-1] <= LARGEST:
            return buffer.getvalue()
    raise UserError(f"the picture is too large: {name}: {min(sizes):,} bytes: at most {LARGEST:,} were expected: show "
                    "fewer or smaller ones in it")


def as_picture(drawn):
    """A figure, without the white above and below it but for MARGIN, or an array, as a Pillow image."""
    if isinstance(drawn, np.ndarray):
        return Image.fromarray(drawn)
    pixels = figures.render(drawn, WIDE / drawn.get_figwidth())
    picture, written = Image.fromarray(pixels), np.flatnonzero((pixels < 255).any(axis=(1, 2)))
    return picture.crop((0, max(0, written[0] - MARGIN), picture.width, min(picture.height, written[-1] + MARGIN)))


def draw(case, names=()):
    """Draw the pictures of a case, or those of these names, and enter them in drawn.json."""
    drawings, folder, known = listed(case), folder_of(case), read_record(case)
    read = set(known["read"]) if names else set()
    for name in names or drawings:
        began = time.monotonic()
        OPENED.clear()
        content = encoded(drawings[name](), name)
        read |= set(map(source_name, OPENED))
        write_whole(folder / name, content)
        known["pictures"][name] = sha256(folder / name)
        print(f"  {case}/pictures/{name}: {len(content):,} bytes, {time.monotonic() - began:.0f} s", flush=True)
        kept = {name: known["pictures"][name] for name in drawings if name in known["pictures"]}
        write_json(folder / RECORD, {"pictures": kept, "read": sorted(read)})
    for path in folder.glob("*"):
        if path.name not in {*drawings, RECORD}:
            path.unlink()


def read_record(case):
    """What drawn.json says: {"pictures": {file name: sha256}, "read": [what was shown or used for them]}."""
    path = folder_of(case) / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"pictures": {}, "read": []}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.page_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("--case", help="one case; without it all")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of one case: these pictures alone")
    options = parser.parse_args(argv)
    cases = paths.choose_cases(options.case)
    there = {name for case in cases for name in listed(case)}
    if not set(options.names) <= there or options.names and not options.case:
        unknown = sorted(set(options.names) - there) or options.names
        raise UserError(f"no such picture: {join_some(unknown)}: --case and names among its own were expected: "
                        f"{join_some(sorted(there))}")
    sys.addaudithook(note_opened)
    left_out = []
    for case in filter(listed, cases):
        try:
            draw(case, options.names)
        except UserError as problem:                        # weights that are not there yet, say
            if options.case:
                raise
            left_out.append(case)
            print(f"  {case} is left out: {problem}", flush=True)
    total = sum(path.stat().st_size for path in paths.ROOT.glob("cases/*/pictures/*"))
    print(f"{total:,} bytes of {TOGETHER:,}")
    if total > TOGETHER:
        raise UserError(f"all pictures are too large: {total:,} bytes: at most {TOGETHER:,} were expected: "
                        "make them fewer or smaller")
    if left_out:
        raise Negative(f"the pictures of {', '.join(left_out)} were not drawn: the reasons stand above")


if __name__ == "__main__":
    sys.exit(start(main))
