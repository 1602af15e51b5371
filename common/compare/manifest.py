"""What manifest.json vouches for: files changed since, parts that were begun and never finished, what is missing."""
from typing import NamedTuple

from common.base.errors import join_some

FRESH = {"train": "training", "figures": "drawing"}


class Vouched(NamedTuple):
    """What a manifest says of the files beside it, a text for each kind of fault."""
    tampered: list                # files that are not what it vouches for
    unfinished: list              # parts that were begun and never finished
    different: list               # files missing, damaged or not entered
    notes: list                   # what decides nothing

    @property
    def decides(self):
        return self.tampered + self.unfinished + self.different


def check_manifest(submission):
    """Vouched for a Submission. Figures, whose numbers are drawn from the rest, decide nothing."""
    if "manifest.json" not in submission.files:
        return Vouched([], [], ["manifest.json is missing: nothing vouches for the files"], [])
    entries, there = submission.manifest["files"], submission.files
    missing = [name for name in entries if name not in there]
    damaged = [name for name in entries if name in there and submission.digests[name] is None]
    changed = [name for name in entries if name in there and name not in {*damaged, *submission.converted}
               and (there[name], submission.digests[name]) != entries[name]]
    added = [name for name in there if name.startswith(("train/", "test/")) and name not in entries]
    unfinished = find_unfinished(submission, added, changed)
    asked = [part for part in unfinished if submission.parts is None or part in submission.parts]

    def tell(what, names):
        judged = [name for name in names if part_of(name) not in {"figures", *unfinished}]
        return [f"{what}: {join_some(judged)}"] if judged else []
    return Vouched(
        tell("not the file that manifest.json vouches for", changed),
        [f"{part} was begun and never finished" for part in asked],
        tell("missing", missing) + tell("cannot be read, as after a broken upload", damaged)
        + tell("not entered in manifest.json (a file added later)", added),
        [f"{part}, which the reference lacks, was begun and never finished" for part in unfinished if part not in asked]
        + remarks(submission, damaged + changed, missing))


def part_of(name):
    """The part of a run that a judged file belongs to: train, test/<set>, figures."""
    return "/".join(name.split("/")[:2 if name.startswith("test/") else 1])


def find_unfinished(submission, added, changed):
    """The parts that were begun and never finished: scripts enter a part in the manifest when they have finished it.

    Such a part has files, or a hidden folder in which they were being made, and no line. A training of before was made
    in the place of the finished one: there the log ends early.
    """
    entered = {part_of(name) for name in submission.manifest["files"]}
    begun = [part_of(name) for name in added] + [part for part in submission.begun if part != "figures"]
    parts = [part for part in dict.fromkeys(begun) if part not in entered]
    if any(part_of(name) == "train" for name in changed) and log_ends_early(submission):
        parts.append("train")
    return parts


def log_ends_early(submission):
    """Whether train/log.jsonl ends before the steps that train/config.yaml names for the stage of its last line."""
    if submission.log_is_cut_off or not submission.log:
        return True
    settings, last = submission.settings.get("train", {}), submission.log[-1]
    steps = settings.get("train.steps") or settings.get(f"train.{last.get('stage')}.steps")
    return isinstance(steps, int) and last.get("step", 0) < steps


def remarks(submission, resaved, missing):
    """What informs: figures, texts converted on their way, parts that were begun anew."""
    entered = {part_of(name) for name in submission.manifest["files"]}
    told = {"figures saved again, or never finished: not the numbers that manifest.json vouches for": resaved,
            "figures not handed in": missing}
    figures = {what: [name.removeprefix("figures/") for name in names if name.startswith("figures/")]
               for what, names in told.items()}
    notes = [f"{what}: {join_some(names)}" for what, names in figures.items() if names]
    if submission.converted:
        notes.append(f"line ends converted, as git, FTP and editors do; the texts are the same: "
                     f"{join_some(submission.converted)}")
    return notes + [f"a fresh {FRESH.get(part, 'test')} was begun and not finished ({part}): what is judged is the "
                    "finished one before it" for part in submission.begun if part in entered]


def missing_files(reference, submission):
    """Logs, settings and tables of the reference that the submission has neither as a file nor in its manifest.

    Pictures are missed by line of items.csv.
    """
    missing = [name for name in reference.manifest["files"]
               if name.startswith(("train/", "test/")) and "/images/" not in name
               and name not in submission.files and name not in submission.manifest["files"]]
    return [f"missing, and not in its manifest either: {join_some(missing)}"] if missing else []


def find_changed_files(reference, submission):
    """Judged files that are not equal in both runs, by the digests of the files themselves."""
    names = dict.fromkeys([*reference.manifest["files"], *submission.manifest["files"]])
    return [name for name in names if reference.digests.get(name) != submission.digests.get(name)]
