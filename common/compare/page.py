"""The grader's HTML page: an overview of all submissions, then a section for each.

A section has what decides, what informs, means, curves and pictures; its HTML stands in templates/comparison.html. In a
class it has two thumbnails, and the rest lies on a page per submission in a folder beside: the overview stays small.
"""
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np

from common.base.errors import UserError
from common.base.files import part_of
from common.compare.contents import Unreadable
from common.compare.judge import PASSING
from common.compare.pictures import output_picture
from common.report import page

SHOWN = 3                                                  # pictures per submission: the farthest from the reference's
FEW = 12                                                   # submissions whose sections stand whole in one page
MEANS, THUMBNAIL = 12, 120                                 # of a brief section: rows of means; width in pixels
OWN_PAGE = re.compile(r"[0-9]+\.html")                     # what we write into the folder beside, and replace there
MARK = page.Html("<!-- sections -->")
TEMPLATES = page.TEMPLATES.overlay(loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")))
PARTS = TEMPLATES.get_template("comparison.html", globals={
    "PASSING": PASSING, "table": page.table, "details": page.details, "figure": page.figure,
    "picture": page.picture}).module


class Sections(NamedTuple):
    """What the pages have of one submission, as HTML."""
    shown: str                            # its section of the page
    apart: str = ""                       # all about it, a page of its own; empty where the section has that


def folder_beside(path):
    """Where the pages of single submissions lie, as browsers call what belongs to a page."""
    return path.with_name(f"{path.stem}_files")


def write(path, reference, judgements, sections, own_pages=(), passed_over=()):
    """Write the page whole.

    sections: files with the section of each judgement, in their order: they are never in memory together. own_pages:
    {place: file} of the pages to be laid beside. passed_over: (name, why) of what was no submission.
    """
    rows = [[PARTS.link(judgement.name, place), PARTS.verdict(judgement.verdict), "".join(judgement.reasons[:1]),
             len(judgement.reasons), len(judgement.notes)] for place, judgement in enumerate(judgements)]
    table = page.table(["submission", "verdict", "deciding reason", "differences", "notes"], rows, sortable=True)
    overview = PARTS.overview(reference, table, passed_over, MARK)
    head, tail = page.document(f"Comparison with {reference}", overview).split(MARK)
    part = part_of(path.resolve())
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(head)
            for place, section_file in enumerate(sections):
                link = f"{quote(folder_beside(path).name)}/{place + 1}.html" if place in own_pages else None
                file.write(PARTS.enclose(page.Html(section_file.read_text(encoding="utf-8")), place, link))
            file.write(tail)
        lay_beside(path, own_pages)
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write ({error.strerror}): {path}: choose another place for --html") from error
    finally:
        if os.path.exists(part):
            part.unlink()


def lay_beside(path, own_pages):
    """Replace the pages of single submissions in the folder beside; whatever else lies there stays."""
    folder = folder_beside(path)
    if own_pages:
        folder.mkdir(exist_ok=True)
    for old in folder.iterdir() if folder.is_dir() else ():
        if OWN_PAGE.fullmatch(old.name):
            old.unlink()
    for place, file in own_pages.items():
        (folder / f"{place + 1}.html").write_bytes(file.read_bytes())


def sections(judgement, reference=None, submission=None, brief=False):
    """The Sections of one submission; without the two runs (an unreadable one) what there is to say about it.

    brief: two thumbnails and the first means in the section, the rest apart.
    """
    losses = draw_losses(reference.log, submission.log) if submission else None
    changed, equal = list_means(judgement, False), list_means(judgement, True)
    whole = PARTS.section(judgement, changed, equal, losses, draw_pictures(judgement, reference, submission))
    if not brief:
        return Sections(str(whole))
    thumbnails = [(alt, pixels) for _, drawn in draw_pictures(judgement, reference, submission, 1)
                  for _, alt, pixels in drawn[1:]]
    short = PARTS.brief_section(judgement, changed[:MEANS], len(changed) + len(equal), thumbnails, THUMBNAIL)
    return Sections(str(short), page.document(judgement.name, whole))


def list_means(judgement, equal):
    """The rows of the table of means that are equal, or of the others."""
    return [[f"{value.set_name}, {value.row}", value.metric, *value.texts(), value.judged]
            for value in judgement.values if (value.judged == "equal") == equal]


def draw_losses(*logs, width=640, height=200):
    """The loss of both training logs, line by line (steps begin anew in every stage), as polylines for SVG.

    None where a log is missing or both are equal.
    """
    before, now = map(list_losses, logs)
    if len(before) < 2 or len(now) < 2 or before == now:
        return None
    points = np.array(before + now, dtype=float)           # (lines of both, 2)
    low, span = points.min(axis=0), np.ptp(points, axis=0).clip(1e-12)

    def trace(curve):
        scaled = (np.array(curve[:2000], dtype=float) - low) / span * (width, height)
        return " ".join(f"{x:.1f},{height - y:.1f}" for x, y in scaled)
    return {"before": trace(before), "now": trace(now), "low": low[1], "high": low[1] + span[1],
            "width": width, "height": height}


def list_losses(log):
    return [(place, line["loss"]) for place, line in enumerate(log) if "loss" in line]


def draw_pictures(judgement, reference, submission, shown=SHOWN):
    """Yield (title, [(name, alternative text, pixels)]) of the pictures that are farthest from the reference run's."""
    for found in judgement.pictures[:shown]:
        try:
            before, after = (output_picture(run, path) for run, path in zip((reference, submission), found.paths))
        except Unreadable:
            continue
        factor = max(1, 128 // max(1, found.largest))
        change = amplify(before, after, factor)
        drawn = [("reference", before), ("submission", after), (f"difference, {factor} times", change)]
        yield (f"{found.set_name}, {found.item} ({found.row}): {found.psnr:.2f} dB, at most {found.largest} levels",
               [(name, f"{name} of {found.item}", pixels) for name, pixels in drawn])


def amplify(before, after, factor):
    """The difference of two uint8 pictures around middle gray, `factor` times."""
    change = (after.astype(np.int16) - before) * factor + 128
    return change.clip(0, 255).astype(np.uint8)
