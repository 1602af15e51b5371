"""Hold result folders against a reference: python -m common.compare REFERENCE SUBMISSION... [--each DIR] [options]

Verdicts: identical (every judged file), same (every mean within its tolerance), better, different, unfinished (a part
was begun and never finished), tampered (files that their manifest does not vouch for, or numbers that do not follow
from the rest), unreadable. Exit status: 0 when all are identical, same or better; 1 when one is not; 2 when the
reference or the only submission is unreadable.
"""
import argparse
import csv
import io
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common.base.errors import UserError, join_some, printable, start
from common.base.paths import tell_apart
from common.base.progress import watch
from common.base.targets import expect_targets
from common.base.text_table import format_table
from common.compare import page
from common.compare.contents import list_submissions
from common.compare.grader import Judge, judge_unreadable, read_reference
from common.compare.guarded import Lost, run_guarded
from common.compare.judge import PASSING, Options
from common.compare.pictures import reference_path
from common.experiment.results import write_text
from common.metrics import METRICS

FORMULA = re.compile(r"(^|[;,\t|])(\s*)([=+\-@＝＋－＠])")         # where spreadsheets of some country begin a cell

def main(argv=None):
    options = parse(argv)
    reference = read_reference(options.reference)
    rules = Options(parse_tolerances(options.tolerance, reference), options.exact, options.recompute)
    pictures = [line["reference"] for given in reference.sets.values() for line in given.lines
                if line["image"] and line["status"] == "ok"]
    if options.recompute:  # a root that the grader got wrong must not be blamed on the class
        for name in dict.fromkeys(filter(None, pictures)):
            reference_path(options.recompute, name)
    limit = options.limit or 120 + len(pictures) * (6 if options.recompute else 1)
    paths, passed_over = collect(options)
    name, *names = tell_apart([options.reference, *paths])
    targets, many = list(filter(None, (options.html, options.csv))), len(paths) > page.FEW
    if options.html and many:
        targets.append(page.folder_beside(options.html) / f"{len(paths)}.html")
    expect_targets(targets, [options.reference, *paths], "--html or --csv")
    with tempfile.TemporaryDirectory() as folder:
        rules = rules._replace(measured=Path(folder))
        judge_one = Judge(options.reference, rules, options.html is not None, many)
        judgements, sections, own_pages = [None] * len(paths), [None] * len(paths), {}
        for place, judgement, written in judge_all(list(zip(paths, names)), judge_one, options.processes, limit):
            judgements[place] = judgement
            if written:
                sections[place] = Path(folder, f"{place}.section")
                sections[place].write_text(written.shown, encoding="utf-8")
            if written and written.apart:
                own_pages[place] = Path(folder, f"{place}.html")
                own_pages[place].write_text(written.apart, encoding="utf-8")
        show(judgements, passed_over)                     # before anything that could fail
        if options.html:
            page.write(options.html, name, judgements, sections, own_pages, passed_over)
    if options.csv:
        write_mark_sheet(options.csv, judgements, passed_over)
    for path in filter(None, (options.html, options.csv)):
        print(f"written: {path}")
    if len(judgements) == 1 and judgements[0].verdict == "unreadable":
        return 2
    return 0 if all(judgement.verdict in PASSING for judgement in judgements) else 1


def parse(argv):
    parser = argparse.ArgumentParser(prog="python -m common.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("reference", type=Path, metavar="REFERENCE", help="results/<case>/<run>, or a zip of it")
    add("submissions", type=Path, nargs="*", metavar="SUBMISSION", help="folders or zips")
    add("--each", type=Path, action="append", default=[], metavar="DIR", help="every folder and zip in DIR")
    add("--tolerance", action="append", default=[], metavar="METRIC=X",
        help="allowed change of a mean, such as psnr=0.1")
    add("--exact", action="store_true", help="any difference of a judged file decides")
    add("--recompute", type=Path, metavar="ROOT",
        help="measure psnr, ssim, ssim_gray, psnr_y and ssim_y again; ROOT: the test data (data.root)")
    add("--html", type=Path, metavar="FILE", help="a page with reasons, numbers and pictures")
    add("--csv", type=Path, metavar="FILE", help="the mark sheet: a line per submission")
    add("--processes", type=int, default=os.cpu_count(), metavar="N", help="submissions read at the same time")
    add("--limit", type=float, metavar="SECONDS",
        help="time for one submission (minutes, by the number of pictures)")
    add("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_intermixed_args(argv)         # SUBMISSION also behind --each DIR
    if options.reference == Path():
        raise UserError("no reference given: make compare A=REFERENCE B=SUBMISSION: the folder or zip of a finished "
                        "run was expected")
    if options.recompute and not options.recompute.is_dir():
        raise UserError(f"no such folder: --recompute {options.recompute}: the folder was expected that the column "
                        "`reference` of items.csv starts from (data.root of the test)")
    return options


def parse_tolerances(words, reference):
    """{metric: change} of the words METRIC=X."""
    known = set(METRICS)
    for given in reference.sets.values():
        known.update(given.measured, *given.metrics.values())
    known -= {"by", "left_out"}
    tolerances = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            tolerances[name] = float(text)
        except ValueError:
            tolerances[name] = -1
        if name not in known or not 0 <= tolerances[name] < float("inf"):
            raise UserError(f"--tolerance {word!r}: METRIC=X was expected, X a number from 0 up, METRIC one of "
                            f"{', '.join(sorted(known))}")
    return tolerances


def collect(options):
    """([path of every submission], [(name, why) of what --each passes over])."""
    own = [path.resolve() for path in (options.html, options.csv) if path]
    own += [page.folder_beside(options.html.resolve())] if options.html else []
    paths, passed_over = list(options.submissions), []
    for folder in options.each:
        try:
            taken, others = list_submissions(folder, own)
        except OSError as error:
            raise UserError(f"cannot read the folder ({error.strerror}): --each {folder}: a folder of submissions was "
                            "expected: check the path and its rights") from None
        paths, passed_over = paths + taken, passed_over + others
    if not paths:
        more = f"; passed over: {join_some(describe(passed_over))}" if passed_over else ""
        raise UserError(f"nothing to compare: expected SUBMISSION folders or zips, or --each DIR with some in it{more}")
    return list({os.path.abspath(path): path for path in paths}.values()), passed_over


def describe(passed_over):
    return [f"{name} ({why})" for name, why in passed_over]


def judge_all(handed_in, judge_one, processes, limit):
    """Yield (place, Judgement, Sections or None) of each (path, name) as they get done, each from a guarded process,
    which may die without harm."""
    results = run_guarded(judge_one, handed_in, max(1, min(processes, len(handed_in))), limit)
    for place, result in watch(results, "submissions", count=len(handed_in)):
        if isinstance(result, Lost):
            result = judge_unreadable(handed_in[place][1], result, judge_one.pages)
        yield place, *result


# ---- what is shown ----

def show(judgements, passed_over):
    """Print the table of a class, or everything about a single submission, and what was passed over."""
    if len(judgements) == 1:
        show_one(judgements[0])
    else:
        show_class(judgements)
    for line in describe(passed_over):
        print(printable(f"passed over: {line}"))


def show_class(judgements):
    rows = []
    for judgement in judgements:
        more = f" (and {len(judgement.reasons) - 1} more)" if len(judgement.reasons) > 1 else ""
        rows.append((judgement.verdict, judgement.name, "".join(judgement.reasons[:1])[:160] + more))
    width = min(40, max(len(judgement.name) for judgement in judgements))
    for line in format_table(["verdict", "submission", "reason"], rows, ["<11", f"<{width}"]):
        print(printable(line))
    counts = Counter(judgement.verdict for judgement in judgements)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def show_one(judgement):
    print(printable(f"{judgement.name}: {judgement.verdict}"))
    for title, lines in (("decides", judgement.reasons), ("informs", judgement.notes)):
        for line in lines:
            print(printable(f"  {title}: {line}"))
    shown = [value for value in judgement.values if value.judged != "equal"]
    if not shown:
        return
    header = ["set", "row", "metric", "reference", "submission"]
    rows = [(value.set_name, value.row, value.metric, *value.texts(), f" {value.judged}") for value in shown[:40]]
    for line in format_table(header, rows, ["<12", "<24", "<14", ">12", ">12"]):
        print(printable(f"  {line}"))
    if len(shown) > 40:
        print(f"  and {len(shown) - 40} more: --html or --csv shows all")


def write_mark_sheet(path, judgements, passed_over):
    """A line per submission: verdict, reasons, notes, every mean; then a line for each file that was passed over.

    With a byte order mark, without which Excel misreads Chinese.
    """
    keys = list(dict.fromkeys(value.key for judgement in judgements for value in judgement.values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["submission", "verdict", "reasons", "notes", *map("/".join, keys)])
    for judgement in judgements:
        means = {value.key: f"{value.submission:.6f}" for value in judgement.values if value.submission is not None}
        cells = [judgement.name, judgement.verdict, "; ".join(judgement.reasons), "; ".join(judgement.notes)]
        writer.writerow([*map(harmless, cells), *(means.get(key, "") for key in keys)])
    for name, why in passed_over:
        writer.writerow([harmless(name), "passed over", why, "", *[""] * len(keys)])
    write_text(path, "\ufeff" + text.getvalue())


def harmless(cell):
    """A cell that no spreadsheet takes for a formula, nor what stands after a separator in it."""
    return FORMULA.sub(r"\1\2'\3", printable(cell))


if __name__ == "__main__":
    sys.exit(start(main))
