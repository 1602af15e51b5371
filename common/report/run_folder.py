"""What a run's folder results/<case>/<run>/ holds, read for the report and the skeleton. Needs no case's code.

A file that is missing is no mistake, since a run grows: what it would give stays empty. A file that is there and cannot
be understood is a UserError that names it.
"""
import csv
import io
import json
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from common.base import paths, yaml_text
from common.base.errors import UserError
from common.base.yaml_text import Document
from common.data.formats import natural
from common.experiment.settings import flatten_settings

DAMAGED = "copy the run's folder again, or make this part of it again"
PARTS = ("train", "test", "figures")                    # what makes a folder a run
DEMOS = (paths.DEMO, paths.DEMO_RELEASE)
DATA_KEYS = ("data.root", "data.content", "test.root")  # settings that name the data of a test


class TestSet(NamedTuple):
    """results/<case>/<run>/test/<set>/ of a test that ran to its end."""
    __test__ = False                                    # no test class, whatever pytest makes of its name
    name: str                                           # of the set
    folder: Path
    metrics: dict                                       # metrics.json: {row: {metric: value, "count": N, "by": ...}}
    items: list                                         # lines of items.csv as {column: text}
    settings: dict                                      # config.yaml
    environment: dict                                   # this part of environment.json; {} where it is missing


class RunFacts(NamedTuple):
    """results/<case>/<run>/."""
    case: str
    name: str
    folder: Path
    settings: dict                                      # train/config.yaml, else the first test's, else {}
    log: list                                           # lines of train/log.jsonl: {"stage", "step", ...}
    tests: list                                         # TestSet, by name
    figures: list                                       # entries of figures.json whose picture exists
    environment: dict                                   # environment.json: {part: {...}}
    weights: dict                                       # {part: content digest} of manifest.json


def results_folder(case):
    """results/<case>/, whether it exists or not."""
    return paths.ROOT / "results" / case


def run_names(case):
    """Names of the runs of a case that have trained, tested or drawn anything, sorted."""
    made = chain.from_iterable(results_folder(case).glob(f"*/{part}/") for part in PARTS)
    return sorted({folder.parent.name for folder in made if not folder.parent.name.startswith(".")})


def choose_run(case, name=None):
    """The run called name; without one `default`, else `check`, the newest, `demo`; None where there is none.

    The demo's second run, of the release, is shown with it: see demo_release().

    Raises UserError, with the runs that there are, for a name that is not among them.
    """
    names = run_names(case)
    if name is not None:
        if name not in names:
            there = f"expected one of {', '.join(names)}" if names else f"{case} has no run yet"
            raise UserError(f"there is no run {name!r} of {case} in {show_path(results_folder(case))}: {there}: choose "
                            "one with --name, or make it first")
        return read_run(case, name)
    grown = sorted((other for other in names if other not in DEMOS),
                   key=lambda other: newest(results_folder(case) / other))
    for candidate in ["default", "check", *reversed(grown), *DEMOS]:
        if candidate in names:
            return read_run(case, candidate)
    return None


def demo_release(run):
    """RunFacts of the release beside a demo's own training; None for another run, or where it was not measured."""
    if run.name != paths.DEMO or paths.DEMO_RELEASE not in run_names(run.case):
        return None
    return read_run(run.case, paths.DEMO_RELEASE)


def on_sample_data(run, test):
    """Whether a test was made on datasets/sample: by its folder in environment.json, else by the run's name."""
    used = test.environment.get("paths")
    if not isinstance(used, dict):
        return run.name in DEMOS
    known = [path for key, path in used.items() if key in DATA_KEYS and isinstance(path, str)]
    if isinstance(used.get("test.root"), str):
        known = [used["test.root"]]
    return any("datasets/sample/" in f"{path}/".replace("\\", "/") for path in known)


def chapter_of(case):
    """The case's chapter in the course (`B1`, `Case 7`), "" for one that has none or whose file cannot be read."""
    try:
        chapter = about(case).get("chapter") or ""
    except UserError:
        return ""
    return str(chapter["en"] if isinstance(chapter, dict) else chapter)


def in_course_order(cases):
    """Cases by their chapters, those without one last."""
    return sorted(cases, key=lambda case: (not chapter_of(case), natural(chapter_of(case)), case))


def newest(folder):
    """When a run last ended something, in seconds: the time of environment.json or manifest.json, else the folder's."""
    files = [folder / name for name in ("environment.json", "manifest.json") if (folder / name).exists()]
    return max(file.stat().st_mtime for file in files or [folder])


def read_run(case, name):
    """RunFacts of one run. Raises UserError for a file that cannot be understood."""
    folder = results_folder(case) / name
    environment = parts(folder / "environment.json", read_json(folder / "environment.json", dict, {}))
    manifest = read_json(folder / "manifest.json", dict, {})
    tests = [read_test(path, environment) for path in test_folders(folder) if (path / "metrics.json").exists()]
    settings = tests[0].settings if tests else {}
    if (folder / "train" / "config.yaml").exists():
        settings = read_settings(folder / "train" / "config.yaml")
    weights = as_mapping(folder / "manifest.json", "weights", manifest.get("weights", {}),
                         "a digest per part was expected")
    return RunFacts(case, name, folder, settings, read_log(folder / "train" / "log.jsonl"), tests,
                    read_figures(folder / "figures"), environment, weights)


def find_unfinished_tests(case, name):
    """Names of the test sets whose test was begun and never ended: items without a metrics.json."""
    return [path.name for path in test_folders(results_folder(case) / name) if not (path / "metrics.json").exists()]


def case_file(case):
    return Document(paths.ROOT / "configs" / f"{case}.yaml")


def about(case):
    """What configs/<case>.yaml says of the paper: title, authors, year, links, idea, time, published."""
    return case_file(case).section("about")


def settings_of(case, preset=None):
    """The settings in configs/<case>.yaml, a preset laid over them, as dictionaries; UserError for an unknown one."""
    document = case_file(case)
    presets = document.section("presets")
    if preset is not None and preset not in presets:
        raise UserError(f"unknown preset {preset!r} of {case}: expected one of "
                        f"{', '.join(presets) or '(there are none)'}: see {document.name}")
    return lay_over(document.section(), document.section("presets", preset) if preset else {})


def presets_of(case):
    """Names of the presets in configs/<case>.yaml."""
    return list(case_file(case).section("presets"))


def paper_differences(case, settings):
    """[(dotted key, ours, the paper's)] of a run's settings that differ from preset=paper; [] without such a preset.

    The seed and the settings of the test are left out: they say nothing about the paper.
    """
    if "paper" not in presets_of(case):
        return []
    ours, paper = flatten_settings(settings), flatten_settings(settings_of(case, "paper"))
    keys = [key for key in paper if key in ours and key != "seed" and not key.startswith("test.")]
    return [(key, ours[key], paper[key]) for key in keys if ours[key] != paper[key]]


def lay_over(below, above):
    """Nested settings with those of above in place of those of below."""
    return below | {name: lay_over(below[name], value)
                    if isinstance(value, dict) and isinstance(below.get(name), dict) else value
                    for name, value in above.items()}


def format_typed(value):
    """A setting's value as one types it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def command(case, script, name):
    """The command by which a script adds to the run of this name; see weights_option()."""
    weights = "" if script == "train" else weights_option(case, name)
    return f"python cases/{case}/{script}.py{' --demo' if name == 'demo' else f' --name {name}'}{weights}"


def weights_option(case, name):
    """` --weights release` where the run has no weights of its own and the case has released some."""
    folder = paths.ROOT / "checkpoints" / case
    own = any((folder / name / file).exists() for file in ("best.pt", "last.pt"))
    releases = sorted(path.stem for path in folder.glob("release*.pt"))
    return f" --weights {releases[0]}" if releases and not own else ""


# ---- files -----------------------------------------------------------------------------------------------------------

def show_path(path):
    """A path as messages name it: relative to the repository where it lies in it."""
    return path.relative_to(paths.ROOT).as_posix() if path.is_relative_to(paths.ROOT) else str(path)


def refuse_damaged(path, problem, expected):
    return UserError(f"{show_path(path)}: {problem}: {expected}: {DAMAGED}")


def read_text(path):
    """Text of a file, UTF-8; None where it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise refuse_damaged(path, "is not UTF-8 text", "a text file was expected") from None
    except OSError as error:
        raise refuse_damaged(path, f"cannot be read ({error.strerror})", "a text file was expected") from None


def parse(text, path):
    """The value of JSON text; NaN and Infinity, which are no JSON, count as damage."""
    def refuse(word):
        raise ValueError(f"{word} is no JSON")
    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise refuse_damaged(path, f"is no JSON ({error})", "the file as our scripts write it was expected") from None


def read_json(path, kind, missing):
    """Content of a JSON file, a dict or list as `kind` says; `missing` where there is no file."""
    text = read_text(path)
    if text is None:
        return missing
    content = parse(text, path)
    if not isinstance(content, kind):
        raise refuse_damaged(path, f"holds no {kind.__name__}", "the file as our scripts write it was expected")
    return content


def parts(path, content):
    """The content of a JSON file whose every value must be a mapping."""
    for name, value in content.items():
        as_mapping(path, name, value, "a mapping for each name was expected")
    return content


def as_mapping(path, name, value, expected):
    """The value that a file has under a name, which must be a mapping."""
    if not isinstance(value, dict):
        raise refuse_damaged(path, f"{name!r} is no mapping", expected)
    return value


def read_settings(path):
    """A config.yaml of a run as plain dictionaries."""
    values = yaml_text.load_yaml(path)
    if not isinstance(values, dict):
        raise refuse_damaged(path, "holds no settings", "lines such as 'seed: 1' were expected")
    return values


def read_log(path):
    """The whole lines of a log.jsonl; the last one may still be in the writing."""
    text = read_text(path) or ""
    lines = [parse(line, path) for line in text[:text.rfind("\n") + 1].splitlines()]
    if not all(isinstance(line, dict) and "stage" in line and isinstance(line.get("step"), int) for line in lines):
        raise refuse_damaged(path, "has a line without stage or step",
                             'lines such as {"stage": "train", "step": 50, "loss": 0.5} were expected')
    return lines


def test_folders(run_folder):
    """The folders of test/, sorted; hidden ones are tests in the making."""
    return sorted(path for path in (run_folder / "test").glob("*") if path.is_dir() and not path.name.startswith("."))


def read_test(folder, environment):
    """The TestSet in a folder that has a metrics.json."""
    metrics = parts(folder / "metrics.json", read_json(folder / "metrics.json", dict, {}))
    for row, values in metrics.items():
        check_numbers(folder / "metrics.json", row, values)
    settings = read_settings(folder / "config.yaml") if (folder / "config.yaml").exists() else {}
    return TestSet(folder.name, folder, metrics, read_items(folder / "items.csv"), settings,
                   environment.get(f"test/{folder.name}", {}))


def check_numbers(path, row, values):
    """Raise UserError unless a row of metrics.json has a whole count and numbers or null; classes are rows again."""
    if type(values.get("count")) is not int:
        raise refuse_damaged(path, f"the row {row!r} has no count", "the number of items was expected")
    for name, value in values.items():
        if name == "by":
            for classing in parts(path, as_mapping(path, name, value, "classes were expected")).values():
                for label, inner in parts(path, classing).items():
                    check_numbers(path, f"{row}, {label}", inner)
        elif name != "left_out" and (isinstance(value, bool) or not isinstance(value, (int, float, type(None)))):
            raise refuse_damaged(path, f"{name!r} in the row {row!r} is no number", "a number or null was expected")


def read_items(path):
    """The lines of an items.csv as {column: text}; [] where there is none."""
    text = read_text(path)
    if text is None:
        return []
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        lines = list(reader)
    except csv.Error as error:
        raise refuse_damaged(path, f"is no CSV ({error})", "a table was expected") from None
    missing = [name for name in ("item", "row", "status", "image", "reference")
               if name not in (reader.fieldnames or [])]
    if missing:
        raise refuse_damaged(path, f"has no column {missing[0]!r}", "the table that test.py writes was expected")
    if any(None in line or None in line.values() for line in lines):
        raise refuse_damaged(path, "has a line that is too long or too short", "as many cells as columns were expected")
    return lines


def read_figures(folder):
    """The entries of figures.json whose picture is there, checked; [] where there is no figures.json."""
    path = folder / "figures.json"
    entries = read_json(path, list, [])
    for entry in entries:
        texts = [entry.get("title"), entry.get("alt")] if isinstance(entry, dict) else [None]
        whole = all(isinstance(text, dict) and isinstance(text.get("en"), str) and isinstance(text.get("zh"), str)
                    for text in texts)
        if not whole or not isinstance(entry.get("file"), str):
            raise refuse_damaged(path, "has an entry without file, title and alt in en and zh",
                                 "the list that figures.py writes was expected")
        if Path(entry["file"]).name != entry["file"]:
            raise refuse_damaged(path, f"names a file outside its folder ({entry['file']!r})",
                                 "a file's name was expected")
    return [entry for entry in entries if (folder / entry["file"]).is_file()]
