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
from pathlib import Path

from common.base.errors import UserError, printable, start
from common.base.progress import watch
from common.compare import page
from common.compare.grader import Judge, of_unreadable, read_reference
from common.compare.guarded import Lost, each
from common.compare.judge import PASSING, Options, number
from common.compare.pictures import reference_path
from common.experiment.results import write_text
from common.metrics import METRICS

ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def main(argv=None):
    options = parse(argv)
    reference = read_reference(options.reference)
    rules = Options(tolerances(options.tolerance, reference), options.exact, options.recompute)
    pictures = [line["reference"] for given in reference.sets.values() for line in given.lines if line["image"]
                and line["status"] == "ok"]
    if options.recompute:  # a root that the grader got wrong must not be blamed on the class
        for name in dict.fromkeys(filter(None, pictures)):
            reference_path(options.recompute, name)
    limit = options.limit or 120 + len(pictures) * (6 if options.recompute else 1)
    paths = [*options.submissions, *(path for folder in options.each for path in list_submissions(folder))]
    if not paths:
        raise UserError("nothing to compare: expected SUBMISSION folders or zips, or --each DIR with some in it")
    judgements = []
    with tempfile.TemporaryDirectory() as sections:
        for place, judgement, section in judge_all(paths, Judge(options.reference, rules, options.html is not None),
                                                   options.processes, limit):
            judgements.append((place, judgement))
            if options.html:
                Path(sections, str(place)).write_text(section, encoding="utf-8")
        judgements = [judgement for _, judgement in sorted(judgements, key=lambda pair: pair[0])]
        show(judgements)                                  # before anything that could fail
        if options.html:
            page.write(options.html, reference.name, judgements,
                       [Path(sections, str(place)) for place in range(len(paths))])
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
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="results/<case>/<run>, or a zip of it")
    parser.add_argument("submissions", type=Path, nargs="*", metavar="SUBMISSION", help="folders or zips")
    parser.add_argument("--each", type=Path, action="append", default=[], metavar="DIR", help="every folder and zip in "
                                                                                              "DIR")
    parser.add_argument("--tolerance", action="append", default=[], metavar="METRIC=X", help="allowed change of a "
                                                                                             "mean, such as psnr=0.1")
    parser.add_argument("--exact", action="store_true", help="any difference of a judged file decides")
    parser.add_argument("--recompute", type=Path, metavar="ROOT", help="measure psnr, ssim, ssim_gray again; ROOT: the "
                                                                       "test data (data.root)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="a page with reasons, numbers and pictures")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the mark sheet: a line per submission")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="N", help="submissions read at the "
                                                                                           "same time")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="time for one submission (minutes, by the "
                                                                       "number of pictures)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(argv)
    if options.reference == Path():
        raise UserError("no reference given: make compare A=REFERENCE B=SUBMISSION: the folder or zip of a finished "
                        "run was expected")
    if options.recompute and not options.recompute.is_dir():
        raise UserError(f"no such folder: --recompute {options.recompute}: the folder was expected that the column "
                        "`reference` of items.csv starts from (data.root of the test)")
    return options


def tolerances(words, reference):
    """{metric: change} of the words METRIC=X."""
    known = {*METRICS, *(name for given in reference.sets.values() for name in given.measured)}
    result = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            result[name] = float(text)
        except ValueError:
            result[name] = -1
        if name not in known or not 0 <= result[name] < float("inf"):
            raise UserError(f"--tolerance {word!r}: METRIC=X was expected, X a number from 0 up, METRIC one of "
                            f"{', '.join(sorted(known))}")
    return result


def list_submissions(folder):
    """Every folder and archive directly in a folder, in the order of their names; hidden ones and other files are
    passed over."""
    if not folder.is_dir():
        raise UserError(f"no such folder: --each {folder}: a folder of submissions was expected")
    return sorted((path for path in folder.iterdir()
                   if not path.name.startswith((".", "__MACOSX"))
                   and (path.is_dir() or path.suffix.lower() in ARCHIVES)),
                  key=lambda path: path.name)


def judge_all(paths, judge_one, processes, limit):
    """Yield (place, Judgement, section) as they get done, each read in a process of its own that may die without
    harm."""
    results = each(judge_one, paths, max(1, min(processes, len(paths))), limit)
    for place, result in watch(results, "submissions", count=len(paths)):
        if isinstance(result, Lost):
            result = of_unreadable(paths[place], result, judge_one.pages)
        yield place, *result


# ---- what is shown ----

def show(judgements):
    """The table of a class, or everything about a single submission."""
    if len(judgements) == 1:
        return show_one(judgements[0])
    width = min(40, max(len(judgement.name) for judgement in judgements))
    print(f"{'verdict':11s} {'submission':{width}s} reason")
    for judgement in judgements:
        first = judgement.reasons[0] if judgement.reasons else ""
        more = f" (and {len(judgement.reasons) - 1} more)" if len(judgement.reasons) > 1 else ""
        print(printable(f"{judgement.verdict:11s} {judgement.name:{width}s} {first[:160]}{more}"))
    verdicts = [judgement.verdict for judgement in judgements]
    print(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))


def show_one(judgement):
    print(printable(f"{judgement.name}: {judgement.verdict}"))
    for title, lines in (("decides", judgement.reasons), ("informs", judgement.notes)):
        for line in lines:
            print(printable(f"  {title}: {line}"))
    shown = [value for value in judgement.values if value.judged != "equal"]
    if shown:
        print(f"  {'set':12s} {'row':24s} {'metric':14s} {'reference':>12s} {'submission':>12s}")
    for value in shown[:40]:
        before, now = (number(mean, value.metric) for mean in (value.reference, value.submission))
        print(printable(f"  {value.set_name:12s} {value.row:24s} {value.metric:14s} {before:>12s} {now:>12s}  "
                        f"{value.judged}"))
    if len(shown) > 40:
        print(f"  and {len(shown) - 40} more: --html or --csv shows all")


def write_mark_sheet(path, judgements):
    """A line per submission: verdict, reasons, notes, every mean. With a byte order mark, without which Excel misreads
    Chinese."""
    keys = list(dict.fromkeys((value.set_name, value.row, value.metric) for judgement in judgements
                              for value in judgement.values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["submission", "verdict", "reasons", "notes", *("/".join(key) for key in keys)])
    for judgement in judgements:
        means = {(value.set_name, value.row, value.metric): value.submission for value in judgement.values}
        cells = [judgement.name, judgement.verdict, "; ".join(judgement.reasons), "; ".join(judgement.notes)]
        writer.writerow([*map(harmless, cells), *("" if means.get(key) is None else f"{means[key]:.6f}"
                                                  for key in keys)])
    write_text(path, "\ufeff" + text.getvalue())


def harmless(cell):
    """A cell that no spreadsheet takes for a formula."""
    cell = printable(cell)
    return "'" + cell if cell.startswith(tuple("=+-@＝＋－＠")) else cell


if __name__ == "__main__":
    sys.exit(start(main))
