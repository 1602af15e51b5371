"""The grader's HTML page: an overview of all submissions, then for each what decides, what informs, numbers, curves and
pictures."""
import os

import numpy as np

from common.base.errors import UserError
from common.base.files import part_of
from common.compare.judge import PASSING
from common.compare.pictures import output_picture
from common.compare.submission import Unreadable
from common.report import page
from common.report.page import Html, escape

SHOWN = 3  # pictures per submission: the farthest from the reference run's
SIDE = 360                                                 # pixels
MARK = "<!-- sections -->"


def write(path, reference, judgements, sections):
    """Write the page whole. sections: files with the section of each judgement, in their order: they are never in
    memory together."""
    overview = page.table(["submission", "verdict", "deciding reason", "differences", "notes"],
                          [[link(judgement, place), verdict(judgement.verdict),
                            judgement.reasons[0] if judgement.reasons else "",
                            str(len(judgement.reasons)), str(len(judgement.notes))]
                           for place, judgement in enumerate(judgements)],
                          sortable=True)
    body = f"<h1>Beside {escape(reference)}</h1>\n{legend()}{overview}{MARK}"
    head, tail = page.document(f"Comparison with {reference}", body).split(MARK)
    part = part_of(path.resolve())
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(head)
            for place, section_file in enumerate(sections):
                text = section_file.read_text(encoding="utf-8")
                file.write(f'<section id="s{place}">\n{text}\n<p><a href="#top">to the overview</a></p></section>\n')
            file.write(tail)
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write ({error.strerror}): {path}: choose another place for --html") from error
    finally:
        if os.path.exists(part):
            part.unlink()


def legend():
    return page.paragraph("identical: every judged file is equal. same: every mean is within its tolerance. better: a "
                          "mean is better by more, none is worse. different: something is worse or missing. tampered: "
                          "a file is not what its manifest vouches for, or a number does not follow from the rest. "
                          "unreadable: no result that can be read. Equal files prove nothing about copying: the same "
                          "command gives the same bytes.", "muted")


def link(judgement, place):
    return Html(f'<a href="#s{place}">{escape(judgement.name)}</a>')


def verdict(word):
    return Html(f"<span{page.in_class('good' if word in PASSING else 'bad')}>{escape(word)}</span>")


def section(judgement, reference=None, submission=None):
    """The HTML of one submission; without the two runs (an unreadable one) what there is to say about it."""
    parts = [f"<h2>{escape(judgement.name)}: {verdict(judgement.verdict)}</h2>\n",
             bullets("What decides", judgement.reasons), bullets("What informs", judgement.notes)]
    if submission:
        parts += [means(judgement), curves(reference, submission), pictures(judgement, reference, submission)]
    return "".join(parts)


def bullets(title, lines):
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h3>{escape(title)}</h3>\n<ul>\n{items}</ul>\n"


def means(judgement):
    """The table of all means; those that are equal are folded away."""
    def lines(values):
        return [[f"{value.set_name}, {value.row}", value.metric, *value.texts(), value.judged] for value in values]
    header = ["set, row", "metric", "reference", "submission", "judged"]
    changed = [value for value in judgement.values if value.judged != "equal"]
    equal = [value for value in judgement.values if value.judged == "equal"]
    text = page.table(header, lines(changed), sortable=True) if changed else ""
    folded = page.details(f"{len(equal)} means are equal", page.table(header, lines(equal))) if equal else ""
    return (f"<h3>Means</h3>\n{text}{folded}") if text or folded else ""


def curves(reference, submission, width=640, height=200):
    """The loss of both training logs, line by line (steps begin anew in every stage); nothing where a log is missing or
    both are equal."""
    before, now = ([(place, line["loss"]) for place, line in enumerate(run.log) if "loss" in line]
                   for run in (reference, submission))
    if len(before) < 2 or len(now) < 2 or before == now:
        return ""
    points = np.array(before + now, dtype=float)
    low, span = points.min(axis=0), np.ptp(points, axis=0).clip(1e-12)

    def line(curve, colour):
        where = [((place - low[0]) / span[0] * width, height - (loss - low[1]) / span[1] * height)
                 for place, loss in curve[:2000]]
        return (f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" '
                f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in where)}"/>')
    drawn = line(before, "#0072B2") + line(now, "#D55E00")
    return (f'<h3>Training loss</h3>\n<svg viewBox="-2 -2 {width + 4} {height + 4}" role="img" style="max-width: '
            f'{width}px; width: 100%" '
            f'aria-label="Training loss of the reference (blue) and the submission (red)">{drawn}</svg>\n'
            f"<p>Blue the reference, red the submission; from {low[1]:.4g} to {low[1] + span[1]:.4g}.</p>\n")


def pictures(judgement, reference, submission):
    """The pictures that are farthest from the reference run's, with the difference drawn."""
    text = ""
    for found in judgement.pictures[:SHOWN]:
        try:
            before, after = (output_picture(run, path) for run, path in zip((reference, submission), found.paths))
        except Unreadable:
            continue
        title = f"{found.set_name}, {found.item} ({found.row}): {found.psnr:.2f} dB, at most {found.largest} levels"
        factor = max(1, 128 // max(1, found.largest))
        drawn = [("reference", before), ("submission", after),
                 (f"difference, {factor} times", amplify(before, after, factor))]
        cells = "".join(page.figure(page.picture(pixels, f"{name} of {found.item}", SIDE), name)
                        for name, pixels in drawn)
        text += f'<h4>{escape(title)}</h4>\n<div class="pair">{cells}</div>\n'
    return f"<h3>Output pictures</h3>\n{text}" if text else ""


def amplify(before, after, factor):
    """The difference of two uint8 pictures around middle gray, `factor` times."""
    change = (after.astype(np.int16) - before) * factor + 128
    return change.clip(0, 255).astype(np.uint8)
