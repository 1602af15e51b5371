"""A result folder or zip from somebody else, read without trust.

Nothing is written, unpacked, executed or followed out of it. Every size and count is bounded before anything of that
size is made. Whatever is wrong raises Unreadable with the reason.
"""
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from common.base.errors import UserError, join_some
from common.base.files import FREE_OF_RATIO, MAX_RATIO, impostor, leads_out, reason
from common.base.yaml_text import load_yaml
from common.experiment.results import COLUMNS, is_number
from common.experiment.settings import flatten_settings

MAX_FILES = 8000                 # a test of 1,000 pairs with five pictures each has 5,000
MAX_DEPTH = 12                   # folders inside folders
MAX_BYTES = 4 << 30              # of all files together
MAX_TEXT = 8 << 20               # bytes of one JSON, CSV or log file
MAX_SETTINGS = 64 << 10          # bytes of one config.yaml: its parser is slow
MAX_NAME = 200                   # letters of a key, a row, an item
MAX_KEYS = 500                   # rows of a test, metrics of a row, classes, settings of a part, columns of items.csv
MAX_LINES = 50_000               # of items.csv and of the log
UTF8 = 0x800                     # the flag of a zip member whose name is UTF-8
NUMBER = re.compile(r"(-?[0-9]{1,30}(\.[0-9]{1,12})?|-?inf|nan|)")       # as test.py writes them; float() takes 1_0, ２
RUBBISH = ("__macosx", "thumbs.db", "desktop.ini")
DAMAGE = (OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zipfile.BadZipFile, zlib.error)


class Unreadable(Exception):
    """A submission, or a file of it, that cannot be read: the reason."""


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
    None: all.
    """

    def __init__(self, path, parts=None):
        self.path = Path(path)
        self.name, self.parts = self.path.name or str(self.path), parts
        everything, self._open = _contents(self.path)
        root = _root(everything)
        self.files = {name[len(root):]: size for name, size in everything.items() if name.startswith(root)}
        self._inside = root

    def read(self, name, limit=MAX_TEXT):
        """The bytes of a file; Unreadable when it is missing, larger than limit, or not what the archive says."""
        if name not in self.files:
            raise Unreadable(f"{name} is missing")
        if self.files[name] > limit:
            raise Unreadable(f"{name} is too large: {self.files[name]} bytes, at most {limit} were expected")
        try:
            with self._open(self._inside + name) as file:
                return file.read(limit)
        except DAMAGE as error:
            raise Unreadable(f"{name} cannot be read ({reason(error)})") from error

    @cached_property
    def digests(self):
        """{path: SHA-256} of all files of the run; None for one that cannot be read."""
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

    def _parts(self, file):
        """The parts of the run, `train` and `test/<set>`, that have this file."""
        found = re.compile(rf"(train|test/[^/]+)/{re.escape(file)}")
        return sorted(match[1] for match in map(found.fullmatch, self.files) if match
                      and (self.parts is None or match[1] in self.parts))

    @cached_property
    def log(self):
        """train/log.jsonl as a list of dicts, of the stage and finite numbers only; empty where there is none."""
        if "train/log.jsonl" not in self.files:
            return []
        lines = self.read("train/log.jsonl").decode("utf-8", "replace").splitlines()[:MAX_LINES]
        return [_finite(_parse(line, "train/log.jsonl")) for line in lines if line.strip()]

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


# ---- what lies in a folder or an archive ----

def _contents(path):
    """({name: size} of all plain files below path, function name -> open binary file) of a folder or zip."""
    if path.is_symlink():
        raise Unreadable("it is a link; the folder or zip itself was expected")
    if path.is_dir():
        files, places = _bound(_walk(path, ""), MAX_BYTES)
        zips = [name for name in files if name.lower().endswith(".zip")]
        if len(zips) == 1 and not any(name.endswith(("manifest.json", "metrics.json")) for name in files):
            # as learning platforms hand them out: a folder per student, the zip in it
            return _zip_contents(Path(places[zips[0]]))
        return files, lambda name: _open_plain(places[name])
    if not path.exists():
        raise Unreadable("there is no such folder or file")
    return _zip_contents(path)


def _walk(folder, above, depth=0):
    """(path, name, size) of every plain file below folder; Unreadable for links, devices and folders too deep."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{above or 'the folder'} cannot be listed ({reason(error)})") from None
    for entry in entries:
        name = above + unicodedata.normalize("NFC", entry.name)
        if _rubbish(name):
            continue
        if entry.is_symlink():
            raise Unreadable(f"{name} is a link; plain files and folders were expected")
        if entry.is_dir(follow_symlinks=False):
            if depth == MAX_DEPTH:
                raise Unreadable(f"{name} lies more than {MAX_DEPTH} folders deep")
            yield from _walk(entry.path, name + "/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path, name, entry.stat(follow_symlinks=False).st_size
        else:
            raise Unreadable(f"{name} is a device or a pipe; plain files and folders were expected")


def _open_plain(path):
    """A plain file for reading; a link that took its place meanwhile is refused."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
                         | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no plain file")
    return os.fdopen(descriptor, "rb")


def _zip_contents(path):
    """_contents of a zip. Every name and size is checked before any member is read."""
    try:
        with _open_plain(path) as file:
            head = file.read(512)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({reason(error)})") from None
    if not head.startswith(b"PK"):
        if wrong := impostor(head):
            raise Unreadable(f"{wrong[0]}; a result folder or a zip of it was expected")
        raise Unreadable("neither a folder nor a zip")
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise Unreadable(f"a damaged or incomplete zip ({reason(error)})") from None
    files, members = _bound(_members(archive), min(MAX_BYTES, FREE_OF_RATIO + MAX_RATIO * path.stat().st_size))
    return files, lambda name: archive.open(members[name])


def _members(archive):
    """(member, name, size) of every file in a zip that may be read."""
    infos = archive.infolist()
    encoding = _encoding_of([info.filename for info in infos if not info.flag_bits & UTF8])
    for info in infos:
        name = info.filename
        if encoding and not info.flag_bits & UTF8:
            name = name.encode("cp437").decode(encoding)
        name = unicodedata.normalize("NFC", name.replace("\\", "/"))
        if not name.endswith("/") and not _rubbish(name):
            _check_member(info, name)
            yield info, name, info.file_size


def _encoding_of(names):
    """The encoding of names not marked as UTF-8, which zipfile takes for cp437: old packers use their system's."""
    for encoding in ("utf-8", "gbk"):
        with contextlib.suppress(UnicodeError):
            "\n".join(names).encode("cp437").decode(encoding)
            return encoding
    return None


def _bound(entries, room):
    """({name: size}, {name: place}) of (place, name, size); Unreadable beyond the bounds and for a name given twice."""
    files, places, total = {}, {}, 0
    for place, name, size in entries:
        if name in files:
            raise Unreadable(f"it holds {name!r} twice")
        files[name], places[name], total = size, place, total + size
        if len(files) > MAX_FILES:
            raise Unreadable(f"more than {MAX_FILES} files")
        if total > room:
            raise Unreadable(f"its files would take over {room / 1e6:.0f} MB, more than a result of its size can")
    return files, places


def _check_member(info, name):
    kind = info.external_attr >> 28                       # upper bits of a Unix mode: 8 a file, 0 not said, 10 a link
    if leads_out(name):
        raise Unreadable(f"the zip holds the name {name!r}, which leads out of its folder")
    if kind not in (0, 8):
        raise Unreadable(f"the zip holds {name!r}, a link or a device")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):       # the others unpack without a bound
        raise Unreadable(f"the zip holds {name!r}, packed by another method than usual: pack it as an ordinary zip")
    if info.flag_bits & 1:
        raise Unreadable("the zip has a password")
    if name.count("/") >= MAX_DEPTH:
        raise Unreadable(f"{name!r} lies more than {MAX_DEPTH} folders deep")


def _rubbish(name):
    """What operating systems leave in folders: hidden files and a few by name."""
    return any(part.startswith(".") and part != ".." or part.lower() in RUBBISH for part in PurePosixPath(name).parts)


def _root(files):
    """The run's folder, as a prefix of names: where manifest.json lies, or below which test/<set>/metrics.json does."""
    folders = set()
    for inside in map(PurePosixPath, files):
        if inside.name == "manifest.json":
            folders.add(inside.parent)
        elif inside.name == "metrics.json" and len(inside.parts) >= 3 and inside.parts[-3] == "test":
            folders.add(inside.parents[2])
    if not folders:
        raise Unreadable("no result: neither manifest.json nor test/<set>/metrics.json is in it")
    depth = min(len(folder.parts) for folder in folders)
    highest = sorted(folder.as_posix() for folder in folders if len(folder.parts) == depth)
    if len(highest) > 1:
        raise Unreadable(f"it holds {len(highest)} runs ({join_some(highest, 5)}); one was expected: give that folder")
    return "" if highest[0] == "." else highest[0] + "/"
