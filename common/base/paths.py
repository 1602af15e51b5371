"""Where things are: the repository's own folders, the cases in it, and what of a path may be shown to others."""
import os
import re
from collections import defaultdict
from pathlib import Path

from common.base.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "checkpoints"
RESULTS = ROOT / "results"
EMBEDDED = ROOT / "datasets" / "embedded"                  # pictures that come with the repository; LICENCES.md there
DEMO, DEMO_RELEASE = "demo", "demo-release"     # runs of `make demo`: trained in seconds; the release on the same data

START = r"(?:file://|~[\w.-]*|[A-Za-z]:|\.\.)?[/\\]"                             # a path that is absolute or leads out:
WHOLE = re.compile(rf"((?:-*[\w.-]+=)?)({START}.*|.*\.\.[/\\].*)", re.DOTALL)    # alone, or behind `key=`
INSIDE = re.compile(rf"""(?<![\w./\\~-]){START}[^'",;\[\]{{}}()|<>\r\n]+""")     # in the midst of other text


def all_cases():
    """Names of the folders of cases/ that hold a model.py or a train.py, sorted."""
    return sorted({script.parent.name for script in ROOT.glob("cases/*/*.py")
                   if script.name in ("model.py", "train.py")})


def choose_cases(case):
    """The cases to go through: the one named, or all."""
    cases = all_cases()
    if case and case not in cases:
        raise UserError(f"there is no case {case!r}: expected one of {', '.join(cases)}: CASE={cases[0]}")
    return [case] if case else cases


def without_paths(value):
    """A JSON value whose absolute paths, and those that climb out by `..` or `~`, are cut: /home/li/LOL becomes LOL."""
    if isinstance(value, dict):
        return {name: without_paths(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    whole = WHOLE.fullmatch(value)
    return whole[1] + last_part(whole[2]) if whole else INSIDE.sub(lambda match: last_part(match[0]), value)


def last_part(path):
    """The last part of a path; `~` for a home folder itself, whose last part is a person's name."""
    path = path.removeprefix("file://").rstrip("/\\ ")
    name = re.split(r"[/\\]", path)[-1]
    person = re.fullmatch(r"(/home|/Users|[A-Za-z]:[/\\]Users)[/\\][^/\\]+", path)
    return "~" if person or name.startswith("~") or path == str(Path.home()) else name


def tell_apart(paths):
    """A name for each path: its last part; where several have the same, as many parts as tell them apart."""
    whole = [Path(os.path.abspath(path)).parts for path in paths]
    namesakes, names = defaultdict(set), []
    for parts in whole:
        namesakes[parts[-1]].add(parts)
    for parts in whole:
        others, count = namesakes[parts[-1]] - {parts}, 1
        while any(other[-count:] == parts[-count:] for other in others):
            count += 1
        names.append(Path(*parts[-count:]).as_posix())
    return names
