"""Output pictures of a submission, beside those of the reference run and measured again against the data's."""
import contextlib
import hashlib
import json
import math
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from common import metrics
from common.base.errors import UserError, join_some
from common.base.files import leads_out, write_whole
from common.compare.contents import Unreadable
from common.data.images import bytes_of, read_pixels

MEASURED_AGAIN = ("psnr", "ssim", "ssim_gray")
OF_LUMA = ("psnr_y", "ssim_y")                         # of super-resolution: they need the scale
MAX_PIXELS = 50_000_000


class PictureDifference(NamedTuple):
    """One output picture that is not the same file in both."""
    set_name: str
    item: str
    row: str
    paths: tuple                      # inside reference and submission
    psnr: float                       # dB; inf where the pixels are equal
    largest: int                      # levels of 255


def output_picture(run, path, pixels=MAX_PIXELS):
    """uint8 (H, W, 3) of a run's output picture; Unreadable when it is missing, none, or has more than `pixels`."""
    try:
        return bytes_of(run.read(path, 8 * pixels + (1 << 20)), path, pixels)
    except UserError as problem:
        raise Unreadable(str(problem)) from None


def pairs_of_lines(reference, submission):
    """(set, line of the reference, line of the submission) wherever both are done."""
    for name, expected in reference.sets.items():
        given = submission.sets.get(name)
        lines = {(line["item"], line["row"]): line for line in given.lines} if given else {}
        for line in expected.lines:
            other = lines.get((line["item"], line["row"]))
            if other and line["status"] == other["status"] == "ok":
                yield name, line, other


def compare_pictures(reference, submission):
    """(a PictureDifference for every picture that is another file, the largest first; what cannot be compared)."""
    differences, wrong = [], []
    for name, line, other in pairs_of_lines(reference, submission):
        ours, theirs = paths = tuple(f"test/{name}/{one['image']}" for one in (line, other))
        if (not line["image"] or theirs not in submission.files
                or reference.digests[ours] == submission.digests[theirs]):
            continue
        try:
            before = output_picture(reference, ours)
            after = output_picture(submission, theirs, before[..., 0].size)
            check_size(after, before, "the reference run's")
            differences.append(PictureDifference(name, line["item"], line["row"], paths, *difference(before, after)))
        except Unreadable as problem:
            wrong.append(f"test/{name}, {line['item']} ({line['row']}): {problem}")
    return sorted(differences, key=lambda found: found.psnr), wrong


def check_size(picture, other, whose):
    if picture.shape != other.shape:
        raise Unreadable(f"the picture has {picture.shape[1]}x{picture.shape[0]} pixels, {whose} "
                         f"{other.shape[1]}x{other.shape[0]}")


def difference(before, after):
    """(PSNR in dB, largest difference in levels) of two uint8 pictures of one size."""
    change = before.astype(np.int16) - after
    square = np.square(change, dtype=np.int32).mean()
    return (math.inf if square == 0 else 10 * math.log10(255**2 / square)), int(np.abs(change).max())


# ---- measuring again ----

def measure_again(reference, submission, root, measured_before):
    """(what measuring refutes, remarks on what was not measured), over every line with pictures.

    The reference picture is the one that the reference run names; the reference run's settings say the scale of
    super-resolution. A tenth of the metric's tolerance is left to other decoders and summation orders. measured_before:
    the folder of measure_pair.
    """
    refuted, measured, without, others = [], 0, Counter(), set()
    for name, line, other in pairs_of_lines(reference, submission):
        scale = scale_of(reference, name)
        again = MEASURED_AGAIN + OF_LUMA * bool(scale)
        written = {metric: other.get(metric) for metric in again if line.get(metric)}
        others |= {metric for metric in reference.sets[name].measured if line[metric] and metric not in again}
        if not (line["image"] and line["reference"] and written):
            without[name, line["row"]] += 1
            continue
        place = f"test/{name}, {line['item']} ({line['row']})"
        try:
            fresh = measure_pair(submission, f"test/{name}/{other['image']}", line["reference"], root, measured_before,
                                 scale)
        except Unreadable as problem:
            refuted.append(f"{place}: {problem}")
            continue
        measured += 1
        refuted += [f"{place}: {metric} is {fresh[metric]:.6f}, items.csv says {text or 'nothing'}"
                    for metric, text in written.items()
                    if not close(fresh[metric], text, metrics.metric_of(metric).tolerance / 10)]
    remarks = [f"{measured} lines measured again"]
    if without:
        counts = join_some(f"{name}, {row} ({count})" for (name, row), count in without.items())
        remarks.append(f"not measured again, for want of picture or reference: {counts}")
    if others:
        remarks.append("not measured again, for want of a definition that needs no more than two pictures: "
                       f"{', '.join(sorted(others))}")
    return refuted, remarks


def measure_pair(submission, path, name, root, measured_before, scale=None):
    """measure() of an output picture and the reference of this name below root.

    measured_before: a folder with what this and other processes have measured already: many hand in the same bytes.
    Who needs a picture that another process is measuring waits for its answer.
    """
    digest = submission.digests.get(path)
    if None in (digest, measured_before):
        return measure(submission, path, name, root, scale)
    known = Path(measured_before, hashlib.sha256(f"{digest} {scale} {name}".encode()).hexdigest())
    with FileLock(known.with_suffix(".lock")):
        if known.is_file():
            return json.loads(known.read_bytes())
        fresh = measure(submission, path, name, root, scale)
        with contextlib.suppress(UserError):               # a full disk: it is measured again
            write_whole(known, json.dumps(fresh).encode())
    return fresh


def measure(submission, path, name, root, scale=None):
    """{metric: value} of an output picture and the reference of this name below root.

    scale: of super-resolution: the reference is cut to a multiple of it at the right and below, and the metrics of the
    luma leave out a border of so many pixels.
    """
    target = read_pixels(reference_path(root, name))
    if scale:
        target = target[:target.shape[0] // scale * scale, :target.shape[1] // scale * scale]
    output = output_picture(submission, path, target[..., 0].size)
    check_size(output, target, "its reference")
    values = metrics.fidelity(output, target)
    if scale:
        values |= {"psnr_y": metrics.psnr_y(output, target, scale), "ssim_y": metrics.ssim_y(output, target, scale)}
    return values


def scale_of(reference, set_name):
    """How many times super-resolution has enlarged a set's pictures, by the reference run's settings; None for other
    cases."""
    scale = reference.settings.get(f"test/{set_name}", {}).get("test.scale")
    return int(scale) if scale in (2, 3, 4) else None


def reference_path(root, name):
    """Where the picture of this name, composed or decomposed, lies below root; UserError for none, or a way out."""
    if leads_out(name):
        raise UserError(f"the reference {name!r} leads out of the test root {root}: a path below it was expected")
    for form in ("NFC", "NFD"):
        path = Path(root) / unicodedata.normalize(form, name)
        if path.is_file():
            return path
    raise UserError(f"--recompute {root} has no {name}: the folder was expected that the column `reference` of "
                    "items.csv starts from (data.root of the test)")


def close(value, text, tolerance):
    """Whether a written number is the measured one; inf and nan agree with themselves, nothing with an empty text."""
    return bool(text) and bool(np.isclose(value, float(text), rtol=0, atol=tolerance, equal_nan=True))
