"""What a submission is worth beside a reference: which differences decide.

What only informs is in notes.py, the pictures are in pictures.py.
"""
from pathlib import Path
from typing import NamedTuple

from common import metrics
from common.base.errors import join_some
from common.compare.manifest import check_manifest, find_changed_files, missing_files
from common.compare.notes import figure_notes, log_notes, picture_notes, settings_notes, weights_notes
from common.compare.pictures import compare_pictures, measure_again
from common.experiment.results import is_number, summary
from common.experiment.settings import flatten

PASSING = ("identical", "same", "better")
MAX_SAID = 40                         # reasons, and notes, of one submission; each of at most MAX_LETTERS
MAX_LETTERS = 400
MAX_SHOWN = 12                        # pictures that a Judgement remembers


class Options(NamedTuple):
    tolerances: dict = {}             # {metric: allowed change}, before those of metrics.METRICS
    exact: bool = False               # any difference of a judged file decides
    recompute: Path | None = None     # the test root with the reference pictures
    measured: Path | None = None      # with recompute: a folder for what is measured, by all processes


class Value(NamedTuple):
    """One mean of metrics.json in both."""
    set_name: str
    row: str
    metric: str
    reference: float | None
    submission: float | None
    judged: str                       # equal | within | better | worse | other | missing

    @property
    def key(self):
        return self[:3]

    def texts(self):
        """Both means as texts, with the metric's digits."""
        digits = metrics.metric_of(self.metric).digits
        return tuple("none" if mean is None else f"{mean:.{digits}f}" for mean in (self.reference, self.submission))


class Judgement(NamedTuple):
    name: str
    verdict: str                      # identical | same | better | different | unfinished | tampered | unreadable
    reasons: list                     # what decided, most serious first
    notes: list                       # what informs
    values: list                      # of Value
    pictures: list                    # of pictures.PictureDifference, the largest first


def brief(lines, shown=MAX_SAID):
    """The first lines, cut to a sensible length, and a count of the rest: whatever somebody wrote into his files."""
    cut = [text if len(text) <= MAX_LETTERS else text[:MAX_LETTERS] + "..." for text in map(str, lines[:shown])]
    return cut + ([f"and {len(lines) - shown} more like these"] if len(lines) > shown else [])


def judge(reference, submission, options=Options()):
    """The Judgement of one Submission beside a reference. Raises Unreadable for what cannot be read of it."""
    tampered, unfinished, different, remarks = check_manifest(submission)
    if other := another_case(reference, submission):
        different.insert(0, other)
    missing, values = compare_sets(reference, submission, options)
    wrong, not_told = contradictions(reference, submission)
    tampered += brief(wrong, 10)
    pictures, spoilt = compare_pictures(reference, submission)
    different += missing_files(reference, submission) + missing + brief(spoilt, 10)
    notes = (remarks + settings_notes(reference, submission) + weights_notes(reference, submission)
             + log_notes(reference, submission) + not_told)
    if options.recompute:
        refuted, more = measure_again(reference, submission, options.recompute, options.measured)
        tampered += brief(refuted, 10)
        notes += more
    changed = find_changed_files(reference, submission)
    if options.exact and changed:
        different.append(f"--exact: {len(changed)} judged files are not equal: {join_some(changed)}")
    notes += picture_notes(pictures) + figure_notes(reference, submission)
    better = [describe(value) for value in values if value.judged == "better"]
    verdicts = {"tampered": tampered, "unfinished": unfinished, "different": different, "identical": not changed,
                "better": better, "same": True}
    verdict = next(word for word, holds in verdicts.items() if holds)
    reasons = tampered + unfinished + different or (better if verdict == "better" else [])
    return Judgement(submission.name, verdict, brief(reasons), brief(notes), values, pictures[:MAX_SHOWN])


def another_case(reference, submission):
    """A reason where the submission is a run of another case than the reference."""
    if None in (reference.case, submission.case) or reference.case == submission.case:
        return None
    return f"a run of another case: {submission.case}, where {reference.case} was expected"


def compare_sets(reference, submission, options):
    """(what differs for the worse, every Value) over all test sets, rows, items and means of the reference."""
    wrong, values = [], []
    for name, expected in reference.sets.items():
        given = submission.sets.get(name)
        if given is None:
            handed_in = ", ".join(list_test_sets(submission)) or "none"
            wrong.append(f"the test set {name} is missing: {handed_in} was handed in")
            continue
        columns = [column for column in (expected.lines or [{}])[0] if column not in (given.lines or [{}])[0]]
        if columns:
            wrong.append(f"{name}: columns of items.csv missing: {join_some(columns)}")
        wrong += compare_items(name, expected, given, submission.files)
        for row, means in expected.metrics.items():
            if row in given.metrics:
                values += compare_means(name, row, means, given.metrics[row], options)
            else:
                wrong.append(f"{name}: the row {row} is missing")
    return wrong + [describe(value) for value in values if value.judged in ("worse", "other", "missing")], values


def list_test_sets(submission):
    """Names of all test sets that were handed in."""
    return sorted({name.split("/")[1] for name in submission.files if name.startswith("test/") and name.count("/") > 1})


def compare_items(name, expected, given, files):
    """What is wrong with the lines of items.csv beside the reference's, a text for each kind of fault."""
    lines = {(line["item"], line["row"]): line for line in given.lines}
    found = {}
    for line in expected.lines:
        place, other = f"{line['item']} ({line['row']})", lines.get((line["item"], line["row"]))
        if line["status"] == "ok":
            kind, text = item_difference(name, line, other, expected.measured, files)
            if kind:
                found.setdefault(kind, []).append(place + text)
    return [f"{name}: {kind}: {join_some(places, 5)}" for kind, places in found.items()]


def item_difference(name, line, other, measured, files):
    """(kind, details) of what is wrong with one line, whatever its numbers; (None, "") when nothing is."""
    if other is None:
        return "items missing", ""
    if other["status"] != "ok":
        return "items failed", f": {other['reason']}"
    if other["reference"] != line["reference"]:
        return "measured against another reference", instead(other["reference"], line["reference"])
    if line["image"] and f"test/{name}/{other['image']}" not in files:
        return "without picture", ""
    if other["image"] != line["image"]:
        return "another picture than belongs there", instead(other["image"], line["image"])
    for metric in measured:
        if kind_of(line[metric]) != kind_of(other.get(metric, "")):
            return "numbers of another kind", instead(f"{metric} {other.get(metric) or 'left empty'}", line[metric])
    return None, ""


def instead(now, before):
    return f": {now or 'none'} instead of {before or 'none'}"


def kind_of(text):
    """Whether a value is there, finite, infinite or undefined: means over unlike items are none to compare."""
    return text if text in ("", "inf", "-inf", "nan") else "finite"


def compare_means(name, row, expected, given, options):
    """Every Value of one row."""
    means = {metric: (mean, given.get(metric)) for metric, mean in expected.items() if metric not in ("by", "left_out")}
    return [Value(name, row, metric, *pair, judge_mean(metric, *pair, options)) for metric, pair in means.items()]


def judge_mean(metric, mean, got, options):
    """Value.judged of one mean, by its direction and tolerance; `other` is a change that is bad either way."""
    if got == mean:
        return "equal"
    if got is None:
        return "missing"
    if mean is None:
        return "other"  # a mean of no finite value, as of equal pictures, has become a number
    rule = metrics.metric_of(metric)
    if abs(got - mean) <= options.tolerances.get(metric, rule.tolerance) + 1e-9 and not options.exact:
        return "within"
    if rule.direction == "two-sided" or options.exact:
        return "other"
    return "better" if (got > mean) == (rule.direction == "higher") else "worse"


def describe(value):
    """One Value as a reason."""
    before, now = value.texts()
    if before == now:                                      # the usual digits hide the difference
        before, now = (f"{mean:.6f}" for mean in (value.reference, value.submission))
    return f"{value.set_name}, {value.row}: {value.metric} {now} instead of {before}"


def contradictions(reference, submission):
    """(contradictions, remarks): what metrics.json says beside what follows from items.csv. Needs no data.

    Means that do not follow from items.csv in the reference either (a case may write such) are only remarked.
    """
    wrong, untold = [], {}
    for name, given in submission.sets.items():
        theirs, ours = consequences(given), consequences(reference.sets[name]) if name in reference.sets else {}
        for row, means in given.metrics.items():
            follows, says = theirs.get(row, {}), flatten(means)
            wrong += [f"test/{name}/metrics.json says {row}: {key} = {says.get(key)}, its items.csv gives {value}"
                      for key, value in follows.items() if not agree(value, says.get(key), 1.5e-6)]
            for key in [key for key in says if key not in follows]:
                if row in ours and key in flatten(reference.sets[name].metrics[row]) and key not in ours[row]:
                    untold.setdefault((name, key), []).append(row)
                else:
                    wrong.append(f"test/{name}/metrics.json says {row}: {key} = {says[key]}, which items.csv does not "
                                 "give")
    return wrong, [f"not computed again, for items.csv does not tell it: test/{name}, {key} of {join_some(rows, 20)}"
                   for (name, key), rows in untold.items()]


def consequences(given):
    """{row: flattened summary of its lines}: what metrics.json must say."""
    lines = {row: [] for row in given.metrics}
    for line in given.lines:
        if line["status"] == "ok" and line["row"] in lines:
            lines[line["row"]].append(line)
    return {row: flatten(summary(members, given.measured, given.classings)) for row, members in lines.items()}


def agree(a, b, tolerance):
    """Whether two numbers are equal up to tolerance; None agrees with None only."""
    if not (is_number(a) and is_number(b)):
        return a == b
    return abs(a - b) <= tolerance
