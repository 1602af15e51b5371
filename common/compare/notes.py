"""What informs a grader and decides nothing: changed settings, other weights, training logs, pictures and figures."""
from collections import ChainMap

from common.base.errors import join_some


def picture_notes(pictures):
    """How many output pictures are other files, and the farthest."""
    if not pictures:
        return []
    worst = pictures[0]
    return [f"{len(pictures)} output pictures are other files; the farthest is {worst.item} ({worst.row}): "
            f"PSNR to the reference run's {worst.psnr:.2f} dB, largest difference {worst.largest} levels"]


def settings_notes(reference, submission):
    """Changed settings, part by part; equal changes of several parts are said once."""
    changes = {}
    for part, expected in reference.settings.items():
        given = submission.settings.get(part)
        if given is None:
            changes.setdefault("config.yaml is missing", []).append(part)
            continue
        for key in expected | given:
            before, now = expected.get(key), given.get(key)
            if before != now:
                changes.setdefault(f"{short(key)} = {short(now)} instead of {short(before)}", []).append(part)
    return [f"changed setting: {change} ({', '.join(parts)})" for change, parts in changes.items()]


def short(value):
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def weights_notes(reference, submission):
    """The parts that other weights have made."""
    before, now = (run.manifest["weights"] for run in (reference, submission))
    parts = [part for part in before if part in now and before[part] != now[part]]
    return [f"other weights in {', '.join(parts)}"] if parts else []


def log_notes(reference, submission):
    """The last value of each curve of train/log.jsonl, where the logs differ."""
    before, now = reference.log, submission.log
    cut_off = ["the last line of train/log.jsonl is cut off and left out"] if submission.log_is_cut_off else []
    if before == now:
        return cut_off
    if not now:
        return [*cut_off, "no training log was handed in"]
    ours, theirs = ChainMap(*before[::-1]), ChainMap(*now[::-1])         # the last line that has a key says its value
    curves = [f"{key} {theirs.get(key, 'none')} (reference {value})" for key, value in ours.items()
              if key not in ("stage", "step")]
    return [*cut_off,
            f"other training log, {len(now)} lines (reference {len(before)}); last values: {join_some(curves, 6)}"]


def figure_notes(reference, submission):
    """Figures whose numbers differ from the reference's."""
    ours, theirs = reference.digests, submission.digests
    names = [name.removeprefix("figures/") for name in reference.manifest["files"]
             if name.startswith("figures/") and name in theirs and theirs[name] != ours.get(name)]
    return [f"figures with other numbers: {join_some(names)}"] if names else []
