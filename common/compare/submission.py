"""A result folder or zip from somebody else, read without trust.

Nothing is written, unpacked, executed or followed out of it. Every size and count is bounded before anything of that
size is made. Whatever is wrong raises Unreadable with the reason.
"""
import codecs
import csv
import hashlib
import io
import json
import re
import unicodedata
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError
from common.base.files import reason
from common.base.paths import ROOT, all_cases
from common.base.yaml_text import load_yaml
from common.compare.contents import DAMAGE, Unreadable, find_root, read_contents
from common.experiment.results import COLUMNS, is_number
from common.experiment.settings import flatten_settings

MAX_TEXT = 8 << 20               # bytes of one JSON, CSV or log file
MAX_SETTINGS = 64 << 10          # bytes of one config.yaml: its parser is slow
MAX_NAME = 200                   # letters of a key, a row, an item
MAX_KEYS = 500                   # rows of a test, metrics of a row, classes, settings of a part, columns of items.csv
MAX_LINES = 50_000               # of items.csv and of the log
TEXTS = (".json", ".jsonl", ".csv", ".yaml")
NUMBER = re.compile(r"(-?[0-9]{1,30}(\.[0-9]{1,12})?|-?inf|nan|)")       # as test.py writes them; float() takes 1_0, ２
MAKING = re.compile(r"(test/|)\.([^/]+)\.new/")           # the hidden folder in which a script makes a part


class TestSet(NamedTuple):
    """test/<set>/ as it was handed in."""
    metrics: dict                # {row: {metric: number or None, "count": n, "by": ...}}
    lines: list                  # items.csv, a dict of texts per line
    measured: list               # names of the metric columns
    classings: list              # names of the by_<classing> columns
    __test__ = False             # no test class, whatever pytest makes of its name


class Submission:
    """One run, handed in as a folder or a zip; nothing is read before it is asked for.

    files: {path inside the run: size}. parts: those (`train`, `test/<set>`) whose settings and results are of interest;
    None: all. name: what it is called; the last part of its path where it is None. begun: parts that were being made
    anew when the script was stopped.
    """

    def __init__(self, path, parts=None, name=None):
        self.path, self.parts = Path(path), parts
        self.name = name or self.path.name or str(self.path)
        everything, self._open = read_contents(self.path)
        root = find_root(everything)
        inside = {name[len(root):]: size for name, size in everything.items() if name.startswith(root)}
        self.files = {name: size for name, size in inside.items() if not MAKING.match(name)}
        self.begun = list(dict.fromkeys(match[1] + match[2] for match in map(MAKING.match, inside) if match))
        self._inside = root

    def read(self, name, limit=MAX_TEXT):
        """The bytes of a file, a text with the line ends of test.py; Unreadable when it is missing, larger than limit,
        or not what the archive says."""
        if name not in self.files:
            raise Unreadable(f"{name} is missing")
        if self.files[name] > limit:
            raise Unreadable(f"{name} is too large: {self.files[name]} bytes, at most {limit} were expected")
        try:
            with self._open(self._inside + name) as file:
                data = file.read(limit)
        except DAMAGE as error:
            raise Unreadable(f"{name} cannot be read ({reason(error)})") from error
        return same_text(data) if name.endswith(TEXTS) else data

    @cached_property
    def digests(self):
        """{path: SHA-256} of all files of the run, those in `converted` as they were; None for one that cannot be
        read."""
        return self._digests | {name: self.manifest["files"][name][1] for name in self.converted}

    @cached_property
    def converted(self):
        """The texts that are what manifest.json vouches for but for line ends or a byte-order mark, as git, FTP and
        editors change them."""
        found = []
        for name, (size, digest) in self.manifest["files"].items():
            if (name.endswith(TEXTS) and self._digests.get(name) not in (None, digest)
                    and self.files[name] <= MAX_TEXT):
                text = self.read(name)
                if (len(text), hashlib.sha256(text).hexdigest()) == (size, digest):
                    found.append(name)
        return found

    @cached_property
    def _digests(self):
        """{path: SHA-256} of all files as they lie there."""
        digests = {}
        for name in self.files:
            try:
                with self._open(self._inside + name) as file:
                    digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
            except DAMAGE:
                digests[name] = None
        return digests

    @cached_property
    def manifest(self):
        """{"weights": {part: digest}, "files": {path: (size, sha256)}} of manifest.json, empty where there is none."""
        if "manifest.json" not in self.files:
            return {"weights": {}, "files": {}}
        content = self._json("manifest.json")
        try:
            files = {entry["path"]: (entry["size"], entry["sha256"]) for entry in content["files"]}
            weights = dict(content["weights"])
        except (KeyError, TypeError, ValueError):
            raise Unreadable("manifest.json does not list files with path, size and sha256") from None
        texts = [*files, *weights, *weights.values(), *(digest for _, digest in files.values())]
        if not all(isinstance(text, str) for text in texts):
            raise Unreadable("manifest.json has paths or digests that are no texts")
        files = {unicodedata.normalize("NFC", name): entry for name, entry in files.items()}
        return {"weights": weights, "files": files}

    @cached_property
    def sets(self):
        """{set: TestSet} of test/*/metrics.json and items.csv."""
        return {part.removeprefix("test/"): self._set(part) for part in self._parts("metrics.json")
                if part.startswith("test/")}

    @cached_property
    def settings(self):
        """{part: settings by today's dotted key} of train/config.yaml and test/*/config.yaml."""
        return {part: flatten_settings(self._yaml(f"{part}/config.yaml")) for part in self._parts("config.yaml")}

    @cached_property
    def case(self):
        """The case whose settings file shares most keys with the run's, which do not name it; None where none does."""
        written = sorted(name for name in self.files if re.fullmatch(r"(train|test/[^/]+)/config\.yaml", name))
        if not written:
            return None
        keys = set(flatten_settings(self._yaml(written[-1])))          # train's where it is there
        shared = {case: len(keys & usual) / len(keys | usual) for case, usual in usual_keys().items()}
        best = max(shared, key=shared.get)
        return best if shared[best] > 0.5 else None

    def _parts(self, file):
        """The parts of the run, `train` and `test/<set>`, that have this file."""
        found = re.compile(rf"(train|test/[^/]+)/{re.escape(file)}")
        return sorted(match[1] for match in map(found.fullmatch, self.files) if match
                      and (self.parts is None or match[1] in self.parts))

    @cached_property
    def log(self):
        """train/log.jsonl as a list of dicts, of the stage and finite numbers only; empty where there is none. A last
        line that is cut off is left out."""
        return [_finite(_parse(line, "train/log.jsonl")) for line in self._log_lines[:-1] if line.strip()]

    @property
    def log_is_cut_off(self):
        """Whether training was stopped in the middle of a line of train/log.jsonl."""
        return bool(self._log_lines[-1])

    @cached_property
    def _log_lines(self):
        """The whole lines of train/log.jsonl, at most MAX_LINES, and what stands after the last of them."""
        if "train/log.jsonl" not in self.files:
            return [""]
        *lines, rest = self.read("train/log.jsonl").decode("utf-8", "replace").split("\n")
        try:
            _parse(rest, "train/log.jsonl")
        except Unreadable:
            return [*lines[:MAX_LINES], rest.strip()]
        return [*lines[:MAX_LINES], rest, ""]             # whole, but for the line's end, which an editor has taken

    def _json(self, name):
        return _parse(self.read(name).decode("utf-8", "replace"), name)

    def _yaml(self, name):
        try:
            values = load_yaml(self.read(name, MAX_SETTINGS), name)
        except UserError as problem:
            raise Unreadable(str(problem)) from None
        values = values if isinstance(values, dict) else {}
        _check_keys(values, name)
        return values

    def _set(self, folder):
        metrics, lines = self._json(f"{folder}/metrics.json"), self._items(f"{folder}/items.csv")
        _check_keys(metrics, f"{folder}/metrics.json")
        for row, values in metrics.items():
            _check_row(values, f"{folder}/metrics.json, row {row!r}")
        header = list(lines[0]) if lines else COLUMNS
        measured = [name for name in header[len(COLUMNS):] if not name.startswith("by_")]
        classings = [name[3:] for name in header[len(COLUMNS):] if name.startswith("by_")]
        return TestSet(metrics, lines, measured, classings)

    def _items(self, name):
        """The lines of items.csv as dicts of texts, names composed; every metric a number as test.py writes them."""
        if name not in self.files:
            return []                                     # said as a missing file by who compares
        try:
            text = unicodedata.normalize("NFC", self.read(name).decode("utf-8-sig"))
            header, *rows = csv.reader(io.StringIO(text, newline=""))
        except (csv.Error, UnicodeDecodeError, ValueError) as error:
            raise Unreadable(f"{name} cannot be read as CSV ({reason(error)})") from None
        if (header[:len(COLUMNS)] != COLUMNS or len(set(header)) < len(header)
                or any(len(row) != len(header) for row in rows)):
            raise Unreadable(f"{name} does not have the columns {','.join(COLUMNS)},... in every line")
        if (len(rows) > MAX_LINES or len(header) > MAX_KEYS
                or any(len(text) > MAX_NAME for row in rows for text in row[:2])):
            raise Unreadable(f"{name} is larger, or has longer names, than any test's")
        numbers = [place for place, column in enumerate(header)
                   if column not in COLUMNS and not column.startswith("by_")]
        for row in rows:
            for place in numbers:
                if not NUMBER.fullmatch(row[place]):
                    raise Unreadable(f"{name}: {row[0]!r} has {row[place][:40]!r} for {header[place]}, which is no "
                                     "number as test.py writes them")
        for place in set(range(len(COLUMNS), len(header))) - set(numbers):
            if len({row[place] for row in rows}) > MAX_KEYS:
                raise Unreadable(f"{name} has more than {MAX_KEYS} classes in {header[place]}")
        if len({(row[0], row[1]) for row in rows}) < len(rows):
            raise Unreadable(f"{name} has two lines for one item and row")
        return [dict(zip(header, row)) for row in rows]


@lru_cache(maxsize=1)
def usual_keys():
    """{case: the dotted keys of its settings that a run writes down}."""
    keys = {}
    for case in all_cases():
        settings = load_yaml(ROOT / "configs" / f"{case}.yaml")
        keys[case] = set(flatten_settings({key: value for key, value in settings.items()
                                           if key not in ("about", "demo", "presets")}))
    return keys


def same_text(data):
    """The bytes of a text with LF and without a byte-order mark, as test.py writes it."""
    return data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse(text, name):
    """A JSON object of text; Unreadable for anything else, NaN and Infinity included."""
    def refuse(word):
        raise ValueError(f"{word} is no JSON number")
    try:
        content = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise Unreadable(f"{name} is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"{name} cannot be read as JSON ({reason(error)})") from None
    if not isinstance(content, dict):
        raise Unreadable(f"{name} holds no JSON object")
    return content


def _finite(entry):
    """A line of the log without values that are no finite numbers, but with its stage."""
    return {key: value for key, value in entry.items() if key == "stage" or is_number(value)}


def _check_keys(values, place):
    """Raise Unreadable for keys longer or more numerous than test.py's: joined, they would take any memory."""
    if len(values) > MAX_KEYS or any(len(str(key)) > MAX_NAME for key in values):
        raise Unreadable(f"{place} has more than {MAX_KEYS} keys, or longer ones than {MAX_NAME} letters")
    for value in values.values():
        if isinstance(value, dict):
            _check_keys(value, place)


def _check_row(values, place, depth=0):
    """Raise Unreadable unless values is {metric: number or null, "left_out": {…}, "by": {classing: {class: {…}}}}."""
    if not isinstance(values, dict) or not is_number(values.get("count")):
        raise Unreadable(f"{place}: no metrics with a count")
    for name, value in values.items():
        if name == "by" and depth == 0 and isinstance(value, dict):
            for classing, classes in value.items():
                if not isinstance(classes, dict):
                    raise Unreadable(f"{place}: by.{classing} holds no classes")
                for inside, numbers in classes.items():
                    _check_row(numbers, f"{place}, class {inside!r}", depth + 1)
        elif not (value is None or is_number(value) or name == "left_out" and isinstance(value, dict)
                  and all(map(is_number, value.values()))):
            raise Unreadable(f"{place}: {name!r} is no finite number")
