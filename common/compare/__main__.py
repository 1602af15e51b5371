"""Hold result folders against a reference: python -m common.compare REFERENCE SUBMISSION... [--each DIR] [options]

Verdicts: identical (every judged file), same (every mean within its tolerance), better, different, tampered (files that
their manifest does not vouch for, or numbers that do not follow from the rest), unreadable. Exit status: 0 when all are
identical, same or better; 1 when one is not; 2 when the reference or the only submission is unreadable.
"""
import argparse
import csv
import io
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common.base.errors import UserError, printable, start
from common.base.progress import watch
from common.base.targets import expect_targets
from common.base.text_table import format_table
from common.compare import page
from common.compare.grader import Judge, judge_unreadable, read_reference
from common.compare.guarded import Lost, run_guarded
from common.compare.judge import PASSING, Options
from common.compare.pictures import reference_path
from common.experiment.results import write_text
from common.metrics import METRICS

ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")


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
    paths = [*options.submissions, *(path for folder in options.each for path in list_submissions(folder))]
    if not paths:
        raise UserError("nothing to compare: expected SUBMISSION folders or zips, or --each DIR with some in it")
    targets = list(filter(None, (options.html, options.csv)))
    expect_targets(targets, [options.reference, *paths], "--html or --csv")
    judge_one = Judge(options.reference, rules, options.html is not None)
    judgements = [None] * len(paths)
    with tempfile.TemporaryDirectory() as folder:
        sections = [Path(folder, str(place)) for place in range(len(paths))]
        for place, judgement, section in judge_all(paths, judge_one, options.processes, limit):
            judgements[place] = judgement
            sections[place].write_text(section, encoding="utf-8")
        show(judgements)                                  # before anything that could fail
        if options.html:
            page.write(options.html, reference.name, judgements, sections)
    if options.csv:
        write_mark_sheet(options.csv, judgements)
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
        help="measure psnr, ssim, ssim_gray again; ROOT: the test data (data.root)")
    add("--html", type=Path, metavar="FILE", help="a page with reasons, numbers and pictures")
    add("--csv", type=Path, metavar="FILE", help="the mark sheet: a line per submission")
    add("--processes", type=int, default=os.cpu_count(), metavar="N", help="submissions read at the same time")
    add("--limit", type=float, metavar="SECONDS",
        help="time for one submission (minutes, by the number of pictures)")
    add("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(argv)
    if options.reference == Path():
        raise UserError("no reference given: make compare A=REFERENCE B=SUBMISSION: the folder or zip of a finished "
                        "run was expected")
    if options.recompute and not options.recompute.is_dir():
        raise UserError(f"no such folder: --recompute {options.recompute}: the folder was expected that the column "
                        "`reference` of items.csv starts from (data.root of the test)")
    return options


def parse_tolerances(words, reference):
    """{metric: change} of the words METRIC=X."""
    known = {*METRICS, *(name for given in reference.sets.values() for name in given.measured)}
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


def list_submissions(folder):
    """Every folder and archive directly in a folder, by name; hidden ones and other files are passed over."""
    if not folder.is_dir():
        raise UserError(f"no such folder: --each {folder}: a folder of submissions was expected")
    return sorted((path for path in folder.iterdir()
                   if not path.name.startswith((".", "__MACOSX"))
                   and (path.is_dir() or path.suffix.lower() in ARCHIVES)),
                  key=lambda path: path.name)


def judge_all(paths, judge_one, processes, limit):
    """Yield (place, Judgement, section) as they get done, each from a guarded process, which may die without harm."""
    results = run_guarded(judge_one, paths, max(1, min(processes, len(paths))), limit)
    for place, result in watch(results, "submissions", count=len(paths)):
        if isinstance(result, Lost):
            result = judge_unreadable(paths[place], result, judge_one.pages)
        yield place, *result


# ---- what is shown ----

def show(judgements):
    """Print the table of a class, or everything about a single submission."""
    if len(judgements) == 1:
        return show_one(judgements[0])
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


def write_mark_sheet(path, judgements):
    """A line per submission: verdict, reasons, notes, every mean.

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
    write_text(path, "\ufeff" + text.getvalue())


def harmless(cell):
    """A cell that no spreadsheet takes for a formula."""
    cell = printable(cell)
    return "'" + cell if cell.startswith(tuple("=+-@＝＋－＠")) else cell


if __name__ == "__main__":
    sys.exit(start(main))
