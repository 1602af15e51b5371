"""What a submission is worth beside a reference: which differences decide, which only inform, and what measuring again refutes."""
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from common import metrics
from common.errors import UserError, listed
from common.images import bytes_of, read_bytes
from common.results import summary
from common.submission import MAX_PICTURE, Unreadable, flat, is_number

VERDICTS = ["identical", "same", "better", "different", "tampered", "unreadable"]
PASSING = ("identical", "same", "better")
MEASURED_AGAIN = ("psnr", "ssim", "ssim_gray")
MAX_PICTURES = 300                    # output pictures looked at per submission: they inform, they do not decide


class Options(NamedTuple):
    tolerances: dict = {}             # {metric: allowed change}, before those of metrics.METRICS
    exact: bool = False               # any difference of a judged file decides
    recompute: Path | None = None     # the test root with the reference pictures


class Value(NamedTuple):
    """One mean of metrics.json in both."""
    set_name: str
    row: str
    metric: str
    reference: float | None
    submission: float | None
    judged: str                       # equal | within | better | worse | other | missing


class PictureDifference(NamedTuple):
    """One output picture that is not the same file in both."""
    set_name: str
    item: str
    row: str
    paths: tuple                      # inside reference and submission
    psnr: float                       # dB; inf where the pixels are equal
    largest: int                      # levels of 255


class Judgement(NamedTuple):
    name: str
    verdict: str
    reasons: list                     # what decided, most serious first
    notes: list                       # what informs
    values: list                      # of Value
    pictures: list                    # of PictureDifference, the largest first


def unreadable(name, why):
    return Judgement(name, "unreadable", [str(why)], [], [], [])


def judge(reference, submission, options=Options()):
    """The Judgement of one Submission beside a reference. Raises Unreadable for what cannot be read of it."""
    tampered, different = check_manifest(submission)
    more, values = compare_sets(reference, submission, options)
    different += more
    wrong, unknown = contradictions(submission)
    tampered += wrong
    notes = settings_notes(reference, submission) + weights_notes(reference, submission) + log_notes(reference, submission)
    if options.recompute:
        refuted, remarks = measure_again(reference, submission, options.recompute)
        tampered += refuted
        notes += remarks + ([f"means that do not follow from items.csv alone: {listed(unknown, 5)}"] if unknown else [])
    pictures, wrong = compare_pictures(reference, submission)
    different += wrong
    changed = changed_files(reference, submission)
    if options.exact and changed:
        different.append(f"--exact: {len(changed)} judged files are not equal: {listed(changed)}")
    notes += picture_notes(pictures) + file_notes(changed)
    better = [said(value) for value in values if value.judged == "better"]
    verdict = "tampered" if tampered else "different" if different else "identical" if not changed else "better" if better else "same"
    return Judgement(submission.name, verdict, tampered + different or (better if verdict == "better" else []), notes, values, pictures)


# ---- what decides ----

def check_manifest(submission):
    """(tampered, different): files that are not what manifest.json says, and files that are missing or not entered."""
    if submission.manifest is None:
        return [], ["manifest.json is missing: nothing vouches for the files"]
    entries = submission.manifest["files"]
    changed = [name for name, (size, digest) in entries.items()
               if name in submission.files and (submission.files[name], submission.digests[name]) != (size, digest)]
    missing = [name for name in entries if name not in submission.files]
    judged = [name for name in submission.files if name.startswith(("train/", "test/")) and name not in entries]
    return ([f"not the file that manifest.json vouches for: {listed(changed)}"] if changed else [],
            ([f"missing: {listed(missing)}"] if missing else [])
            + ([f"not entered in manifest.json (a test that never finished, or a file added later): {listed(judged)}"] if judged else []))


def compare_sets(reference, submission, options):
    """(what differs for the worse, every Value) over all test sets, rows, items and means of the reference."""
    wrong, values = [], []
    for name, expected in reference.sets.items():
        given = submission.sets.get(name)
        if given is None:
            wrong.append(f"the test set {name} is missing: {', '.join(submission.sets) or 'none'} was handed in")
            continue
        wrong += compare_items(name, expected.lines, given.lines)
        for row, means in expected.metrics.items():
            if row not in given.metrics:
                wrong.append(f"{name}: the row {row} is missing")
                continue
            values += compare_means(name, row, means, given.metrics[row], options)
    return wrong + [said(value) for value in values if value.judged in ("worse", "other", "missing")], values


def compare_items(name, expected, given):
    """What is missing of the reference's lines of items.csv, or has failed, or was measured against another picture."""
    lines = {(line["item"], line["row"]): line for line in given}
    missing, failed, other, pictures = [], [], [], []
    for line in expected:
        key, place = (line["item"], line["row"]), f"{line['item']} ({line['row']})"
        if key not in lines:
            missing.append(place)
        elif lines[key]["status"] != "ok" and line["status"] == "ok":
            failed.append(f"{place}: {lines[key]['reason']}")
        elif lines[key]["reference"] != line["reference"]:
            other.append(f"{place}: {lines[key]['reference'] or 'none'} instead of {line['reference'] or 'none'}")
        elif line["image"] and not lines[key]["image"]:
            pictures.append(place)
    return [f"{name}: {what}: {listed(places, 5)}" for what, places in
            [("items missing", missing), ("items failed", failed), ("measured against another reference", other), ("without picture", pictures)]
            if places]


def compare_means(name, row, expected, given, options):
    """Every Value of one row."""
    values = []
    for metric, mean in expected.items():
        if metric not in ("by", "left_out"):
            got = given.get(metric)
            values.append(Value(name, row, metric, mean, got, judge_mean(metric, mean, got, options)))
    return values


def judge_mean(metric, mean, got, options):
    """One mean beside the reference's, by its direction and tolerance: Value.judged. `other` is a change that is bad either way."""
    if got == mean:
        return "equal"
    if got is None:
        return "missing"
    if mean is None:
        return "other"                                     # a mean of no finite value, as of equal pictures, has become a number
    rule = metrics.metric_of(metric)
    if abs(got - mean) <= options.tolerances.get(metric, rule.tolerance) + 1e-9 and not options.exact:
        return "within"
    if rule.direction == "two-sided" or options.exact:
        return "other"
    return "better" if (got > mean) == (rule.direction == "higher") else "worse"


def said(value):
    """One Value as a reason."""
    before, now = (number(mean, value.metric) for mean in (value.reference, value.submission))
    if before == now:                                      # the usual digits hide the difference
        before, now = (f"{mean:.6f}" for mean in (value.reference, value.submission))
    return f"{value.set_name}, {value.row}: {value.metric} {now} instead of {before}"


def number(value, metric):
    """A mean as text, with the metric's digits."""
    return "none" if value is None else f"{value:.{metrics.metric_of(metric).digits}f}"


def contradictions(submission):
    """(contradictions, what cannot be told): means, counts and classes of metrics.json beside those of items.csv. Needs no data."""
    wrong, unknown = [], []
    for name, given in submission.sets.items():
        for row, means in given.metrics.items():
            lines = [line for line in given.lines if line["row"] == row and line["status"] == "ok"]
            follows = flat(summary(lines, given.measured, given.classings))
            says = flat(means)
            wrong += [f"test/{name}/metrics.json says {row}: {key} = {says.get(key)}, its items.csv gives {value}"
                      for key, value in follows.items() if not agree(value, says.get(key), 1.5e-6)]
            unknown += [f"{name}, {row}: {key}" for key in says if key not in follows]
    return some(wrong), unknown


def some(lines, shown=10):
    """The first lines and a count of the rest: a page of reasons, not a book."""
    return lines[:shown] + ([f"and {len(lines) - shown} more like these"] if len(lines) > shown else [])


def agree(a, b, tolerance):
    """Whether two numbers are equal up to tolerance; None agrees with None only."""
    if not (is_number(a) and is_number(b)):
        return a == b
    return abs(a - b) <= tolerance


# ---- measuring again ----

def measure_again(reference, submission, root):
    """(what measuring refutes, remarks on what cannot be measured): psnr, ssim and ssim_gray of every line with image and reference.

    A tenth of the metric's tolerance is left to other decoders and summation orders.
    """
    refuted, measured, without, others = [], 0, {}, set()
    for name, given in submission.sets.items():
        known = [metric for metric in MEASURED_AGAIN if metric in given.measured]
        others |= {metric for metric in given.measured if metric not in MEASURED_AGAIN}
        for line in given.lines:
            written = {metric: line[metric] for metric in known if line[metric]}
            if not (line["image"] and line["reference"] and written):
                without[name, line["row"]] = without.get((name, line["row"]), 0) + 1
                continue
            place = f"test/{name}, {line['item']} ({line['row']})"
            try:
                fresh = measured_pair(submission, name, line, root)
            except (Unreadable, UserError, ValueError) as problem:
                refuted.append(f"{place}: {problem}")
                continue
            measured += 1
            refuted += [f"{place}: {metric} is {fresh[metric]:.6f}, items.csv says {text}" for metric, text in written.items()
                        if not close(fresh[metric], text, metrics.metric_of(metric).tolerance / 10)]
    remarks = [f"{measured} lines measured again"]
    if without:
        remarks.append("not measured again, for want of picture or reference: "
                       + listed(f"{name}, {row} ({count})" for (name, row), count in without.items()))
    if others:
        remarks.append(f"not measured again, for want of a definition that needs no more than two pictures: {', '.join(sorted(others))}")
    return some(refuted), remarks


MEASURED = {}                         # {(digest of the picture, reference): fidelity}: many hand in the same bytes


def measured_pair(submission, set_name, line, root):
    """fidelity() of a line's output picture and its reference below root."""
    key = submission.digests.get(f"test/{set_name}/{line['image']}"), line["reference"], root
    if key[0] is None or key not in MEASURED:
        MEASURED[key] = fidelity(output_picture(submission, set_name, line), reference_picture(root, line["reference"]))
    return MEASURED[key]


def reference_picture(root, name):
    """The reference picture of a line; its name comes from the submission, so it may not lead out of root."""
    path = (Path(root) / name).resolve()
    if not path.is_relative_to(Path(root).resolve()):
        raise Unreadable(f"the reference {name!r} leads out of the test root")
    return read_bytes(path)


def fidelity(output8, reference8):
    """{psnr, ssim, ssim_gray} of two pictures as written."""
    if output8.shape != reference8.shape:
        sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in (output8, reference8)]
        raise Unreadable(f"the picture has {sizes[0]} pixels, its reference {sizes[1]}")
    a, b = (torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255 for picture in (output8, reference8))
    return {name: getattr(metrics, name)(a, b).item() for name in MEASURED_AGAIN}


def close(value, text, tolerance):
    """Whether a written number is the measured one; inf and nan agree with themselves."""
    written = float(text)
    if not (math.isfinite(value) and math.isfinite(written)):
        return value == written or (math.isnan(value) and math.isnan(written))
    return abs(value - written) <= tolerance


# ---- what informs ----

def output_picture(submission, set_name, line, max_pixels=50_000_000):
    """uint8 (H, W, 3) of a line's output picture. Unreadable when it is missing or no picture."""
    path = f"test/{set_name}/{line['image']}"
    try:
        return bytes_of(submission.read(path, MAX_PICTURE), path, max_pixels)
    except UserError as problem:
        raise Unreadable(str(problem)) from None


def compare_pictures(reference, submission):
    """(PictureDifference of every output picture that is another file, pictures that cannot be read as reasons)."""
    differences, wrong = [], []
    for name, expected in reference.sets.items():
        given = submission.sets.get(name)
        lines = {(line["item"], line["row"]): line for line in given.lines} if given else {}
        for line in expected.lines:
            other = lines.get((line["item"], line["row"]))
            if not line["image"] or not other or not other["image"]:
                continue
            paths = tuple(f"test/{name}/{one['image']}" for one in (line, other))
            if paths[1] in submission.files and reference.digests[paths[0]] == submission.digests[paths[1]]:
                continue
            if len(differences) == MAX_PICTURES:
                return sorted(differences, key=lambda found: found.psnr), wrong
            try:
                before = output_picture(reference, name, line)
                after = output_picture(submission, name, other, before[..., 0].size)
                differences.append(PictureDifference(name, line["item"], line["row"], paths, *difference(before, after)))
            except Unreadable as problem:
                if paths[1] in submission.files:           # a missing one has been said
                    wrong.append(f"test/{name}, {line['item']} ({line['row']}): {problem}")
    return sorted(differences, key=lambda found: found.psnr), wrong


def difference(before, after):
    """(PSNR in dB, largest difference in levels) of two uint8 pictures; (-inf, 255) for two of different sizes."""
    if before.shape != after.shape:
        return -math.inf, 255
    change = before.astype(np.int16) - after
    square = np.square(change, dtype=np.int32).mean()
    return (math.inf if square == 0 else 10 * math.log10(255**2 / square)), int(np.abs(change).max())


def picture_notes(pictures):
    if not pictures:
        return []
    worst = pictures[0]
    many = "at least " if len(pictures) == MAX_PICTURES else ""
    return [f"{many}{len(pictures)} output pictures are other files; the farthest is {worst.item} ({worst.row}): "
            f"PSNR to the reference run's {worst.psnr:.2f} dB, largest difference {worst.largest} levels"]


def settings_notes(reference, submission):
    """Changed settings, part by part; equal changes of several parts are said once."""
    changes = {}
    for part, expected in reference.settings.items():
        given = submission.settings.get(part)
        if given is None:
            changes.setdefault("config.yaml is missing", []).append(part)
            continue
        for key in [*expected, *(key for key in given if key not in expected)]:
            if expected.get(key) != given.get(key):
                changes.setdefault(f"{key} = {short(given.get(key))} instead of {short(expected.get(key))}", []).append(part)
    return [f"changed setting: {change} ({', '.join(parts)})" for change, parts in changes.items()]


def short(value):
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def weights_notes(reference, submission):
    before, now = ((run.manifest or {"weights": {}})["weights"] for run in (reference, submission))
    parts = [part for part in before if part in now and before[part] != now[part]]
    return [f"other weights in {', '.join(parts)}"] if parts else []


def log_notes(reference, submission):
    """The last value of each curve of train/log.jsonl, where the logs differ."""
    before, now = reference.log, submission.log
    if before == now:
        return []
    if not now:
        return ["no training log was handed in"]
    last = [{key: value for line in log for key, value in line.items() if key not in ("stage", "step")} for log in (before, now)]
    curves = [f"{key} {last[1].get(key, 'none')} (reference {value})" for key, value in last[0].items()]
    return [f"other training log, {len(now)} lines (reference {len(before)}); last values: {listed(curves, 6)}"]


def changed_files(reference, submission):
    """Judged files that are not equal in both runs, by the digests of the files themselves."""
    expected = (reference.manifest or {"files": {}})["files"]
    given = (submission.manifest or {"files": {}})["files"]
    names = dict.fromkeys([*expected, *given])
    return [name for name in names if reference.digests.get(name) != submission.digests.get(name)] or (
        [] if submission.manifest else ["manifest.json"])


def file_notes(changed):
    """Figures whose numbers differ; other files show in what has been said already."""
    figures = [name.removeprefix("figures/") for name in changed if name.startswith("figures/")]
    return [f"figures with other numbers: {listed(figures)}"] if figures else []
