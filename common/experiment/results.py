"""Result folders: items.csv, metrics.json and pictures of a test, environment.json, manifest.json."""
import csv
import hashlib
import io
import json
import math
import re
import shutil
import statistics
from bisect import bisect
from collections import defaultdict
from pathlib import Path

from common.base.errors import Negative, UserError, join_some
from common.base.files import append, mend_place, sha256, take_place, write_whole
from common.base.progress import watch
from common.base.text_table import format_table
from common.base.yaml_text import to_yaml
from common.metrics import expect_known, metric_of

REFUSED_LETTERS = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')         # by Windows, in the name of a file
DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)
COLUMNS = ["item", "row", "status", "reason", "image", "reference"]  # then the metrics, then classings as `by_<name>`


def write_text(path, text):
    """Write text whole, UTF-8 with LF, making the folder."""
    write_whole(path, text.encode())


def write_json(path, content):
    """Write JSON in the order of the keys; numbers that are not finite are an error, never NaN."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def merge_json(path, entries):
    """Replace or add the top-level keys of a JSON file; an unreadable one is started again."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    write_json(path, content | entries)


def write_csv(path, header, rows):
    """Write a CSV file with the header and rows (sequences), LF line ends."""
    write_text(path, csv_text([header, *rows]))


def csv_text(rows):
    """Rows (sequences) as the text of a CSV file, LF line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def is_judged(name):
    """Whether a file of a run, by its path inside results/<case>/<run>, is entered in the manifest and compared: all of
    train/ and test/<set>/ but hidden ones, and the numbers of figures, whose pixels depend on the fonts."""
    part, *inside = name.split("/")
    if part == "figures":
        return name.endswith(".csv")
    return part in ("train", "test") and len(inside) > (part == "test") and "/." not in name


def write_manifest(folder, part, weights=None):
    """Enter every judged file below results/<case>/<run>/<part> (train, test/<set>, figures) in its manifest.json.

    Lines of other parts stay. weights: content digest of the weights that made the part.
    """
    folder, path = Path(folder), Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {"weights": {}, "files": []}
    files = [entry for entry in manifest["files"] if not entry["path"].startswith(part + "/")]
    for file in sorted((folder / part).rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and is_judged(name):
            files.append({"path": name, "size": file.stat().st_size, "sha256": sha256(file)})
    digests = {key: value for key, value in manifest["weights"].items() if key != part}
    if weights:
        digests[part] = weights
    write_json(path, {"weights": dict(sorted(digests.items())),
                      "files": sorted(files, key=lambda entry: entry["path"])})


def withdraw(folder, part):
    """Take the lines of a part out of the manifest, before its files change: from then on until write_manifest the part
    is unfinished, which nobody may take for tampered with."""
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    files = [entry for entry in manifest["files"] if not entry["path"].startswith(part + "/")]
    if len(files) < len(manifest["files"]):
        weights = {key: value for key, value in manifest["weights"].items() if key != part}
        write_json(path, {"weights": weights, "files": files})


def number_text(value):
    """A metric for items.csv: 6 decimals; `inf`, `nan` as such; empty for None."""
    if value is None:
        return ""
    return f"{value:.6f}" if math.isfinite(value) else str(float(value))


def is_number(value):
    """Whether a value of JSON is a finite number."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
            and math.isfinite(value))


def file_name(item):
    """An item's or row's name as one file name that every system takes: `/` becomes `-`; what Windows refuses, such as
    `:` or a dot at the end, becomes %3A; a name that means a device there gets a `_` before it."""
    name = REFUSED_LETTERS.sub(lambda match: f"%{ord(match[0]):02X}", item.replace("/", "-").replace("\\", "-"))
    return f"_{name}" if DEVICES.fullmatch(name.split(".")[0]) else name


class TestResults:
    """One test/<set>/ folder while it is filled. It belongs to one (weights, settings, data): the same again finishes
    what is missing.

    Something else (or fresh=True) is built in a folder beside it, which takes its place whole at finish().
    rows: the rows' names in their order; metrics: the columns of items.csv; classings: names of by_<classing> columns;
    beside: never replace others: where test/<set>/ has results of something else, these are test/<set>-2/, and so on.
    ranked: the metric by whose order each row's items fall into the classes best_30, 30_60, 60_100 (percent) of the
    classing `rank`.
    """
    __test__ = False                                       # no test class, whatever pytest makes of its name

    def __init__(self, run_folder, set_name, *, weights, settings, data, rows, metrics, classings=(), ranked=None,
                 fresh=False, beside=False):
        self.run_folder, self.weights, self.ranked = Path(run_folder), weights, ranked
        self.rows, self.metrics, self.classings = list(rows), list(metrics), [*classings] + ["rank"] * bool(ranked)
        identity = json.dumps([weights, settings, data, self.rows, self.metrics, self.classings], sort_keys=True)
        key = hashlib.sha256(identity.encode()).hexdigest()
        self.set_name = _free_set(self.run_folder / "test", set_name, key) if beside else set_name
        self.final = self.run_folder / "test" / self.set_name
        expect_known(self.metrics, self.final)
        mend_place(self.final)
        new = self.run_folder / "test" / f".{self.set_name}.new"
        if fresh:
            shutil.rmtree(new, ignore_errors=True)
        if not fresh and _belongs(self.final, key):
            self.folder = self.final
        else:
            self.folder = new if self.final.exists() else self.final
            if not _belongs(self.folder, key):
                shutil.rmtree(self.folder, ignore_errors=True)
                write_text(self.folder / ".belongs", key + "\n")
        write_text(self.folder / "config.yaml", to_yaml(settings))
        self.lines, self.withdrawn = _read_items(self.folder / "items.csv", self.header), False

    @property
    def header(self):
        return [*COLUMNS, *self.metrics, *(f"by_{name}" for name in self.classings)]

    def has(self, item):
        """Whether every row of this item is there already, without a failure."""
        done = [line for line in self.lines if line["item"] == item and line["status"] == "ok"]
        return len(done) == len(self.rows)

    def remaining(self, items, read, title=None, again=False):
        """Yield (place, item, read(place)) for each of the items that is not done yet, with progress.

        Where read raises UserError the item is entered as failed, with the reason, and the rest goes on. again: do all.
        """
        for place, item in enumerate(watch(items, title or f"testing on {self.set_name}")):
            if self.has(item) and not again:
                continue
            try:
                sample = read(place)
            except UserError as problem:
                self.fail(item, problem)
                continue
            yield place, item, sample

    def image_path(self, item, row, suffix=".png"):
        """Where the picture of an item in a row belongs; give the same path to add()."""
        return self.folder / "images" / file_name(row) / (file_name(item) + suffix)

    def add(self, item, rows, reference=None, classes=None):
        """Enter all rows of one item at once. rows: {row: (metrics, image path or None)}; classes: {classing: class}.

        The metrics may hold `reason`, text: why a row has no answer for this item, although the item was done.
        """
        lines = []
        for row in self.rows:
            values, image = rows[row]
            line = {"item": item, "row": row, "status": "ok", "reason": values.get("reason") or "",
                    "reference": reference or "",
                    "image": image.relative_to(self.folder).as_posix() if image else ""}
            line |= {name: number_text(values.get(name)) for name in self.metrics}
            lines.append(line | {f"by_{name}": (classes or {}).get(name, "") for name in self.classings})
        self._append(item, lines)

    def fail(self, item, reason):
        """Enter that an item could not be done, and why; the others go on."""
        blank = dict.fromkeys(self.header, "")
        self._append(item, [blank | {"item": item, "row": row, "status": "failed", "reason": str(reason)}
                            for row in self.rows])

    def _append(self, item, lines):
        self.lines = [line for line in self.lines if line["item"] != item] + lines
        path = self.folder / "items.csv"
        if self.folder == self.final and not self.withdrawn:
            withdraw(self.run_folder, f"test/{self.set_name}")
            self.withdrawn = True
        header = [] if path.exists() else [self.header]
        append(path, csv_text([*header, *(list(map(line.get, self.header)) for line in lines)]))

    def finish(self, items):
        """Put the lines into the order of `items`, write metrics.json and the manifest, take the old folder's place.

        Returns metrics.json's content. Items no longer in the set are left out.
        """
        order = {name: number for number, name in enumerate(items)}
        self.lines = sorted((line for line in self.lines if line["item"] in order),
                            key=lambda line: (order[line["item"]], self.rows.index(line["row"])))
        content = {}
        for row in self.rows:
            lines = [line for line in self.lines if line["row"] == row and line["status"] == "ok"]
            if self.ranked:
                rank(lines, self.ranked)
            content[row] = summary(lines, self.metrics, self.classings)
        write_csv(self.folder / "items.csv", self.header, [map(line.get, self.header) for line in self.lines])
        write_json(self.folder / "metrics.json", content)
        if self.folder != self.final:
            withdraw(self.run_folder, f"test/{self.set_name}")
            take_place(self.folder, self.final)
            self.folder = self.final
        self.enter()
        return content

    def table(self, content, metrics, rows=None, things="pictures"):
        """Text for the terminal: a line per row of metrics.json, a column per metric with its own decimals."""
        rows = list(rows or content)
        header = ["", *metrics, f"({content[rows[0]]['count']} {things} of {self.set_name})"]
        lines = [[row, *format_means(content[row], metrics)] for row in rows]
        return "\n".join(format_table(header, lines, ["<26", *(f">{max(8, len(name))}" for name in metrics)], gap="  "))

    def enter(self):
        """Enter the folder's files in the manifest; for a case that adds some after finish()."""
        for row in json.loads((self.final / "metrics.json").read_text(encoding="utf-8")).values():
            expect_known([name for name in row if name not in ("by", "left_out")], self.final / "metrics.json")
        write_manifest(self.run_folder, f"test/{self.set_name}", self.weights)

    def failures(self):
        """[(item, reason)] of the items that failed."""
        return list(dict.fromkeys((line["item"], line["reason"]) for line in self.lines if line["status"] != "ok"))

    def expect_some(self):
        """Raise Negative, with the reasons, when every item failed."""
        if self.lines and all(line["status"] != "ok" for line in self.lines):
            failures = self.failures()
            raise Negative(f"not one of {len(failures)} could be done: "
                           f"{join_some(f'{item}: {reason}' for item, reason in failures)}")

    def expect_no_failures(self, things="picture"):
        """Raise Negative when items failed, so that the exit status says it."""
        failures = self.failures()
        if failures:
            raise Negative(f"{len(failures)} {things}(s) failed, the rest is done: "
                           f"{join_some(f'{item}: {reason}' for item, reason in failures)}")


def format_means(values, metrics):
    """Means as texts, each with its metric's decimals; `-` where there is none."""
    return ["-" if values.get(name) is None else f"{values[name]:.{metric_of(name).digits}f}" for name in metrics]


def rank(lines, metric):
    """Put one row's lines, sorted by a metric, best first, into the classes best_30, 30_60, 60_100 of by_rank; lines
    without a value into none."""
    sign = 1 if metric_of(metric).direction == "lower" else -1
    known = [line for line in lines if line[metric] not in ("", "nan")]
    for place, line in enumerate(sorted(known, key=lambda line: sign * float(line[metric]))):      # stable
        line["by_rank"] = ("best_30", "30_60", "60_100")[bisect(RANKS, place / len(known))]


RANKS = (0.3, 0.6)                                         # shares of the items where a class ends
SUMMED = ("failures", "nuclei", "found", "matched", "merged", "split")     # counts: their sum is told, not the mean
MEDIANS = {"rmse_4pt": "rmse_4pt_median"}                  # means that failures rule are told beside their median


def summary(lines, metrics, classings=()):
    """Means of the written values over one row's lines (sums of SUMMED, medians beside of MEDIANS, the precision of all
    objects in one pool where they were counted), count, the same by class.

    A value that is empty or not finite is left out of its mean; `left_out` says how many, where there are any. A metric
    that no line has is not named; one whose values are all left out is null.
    """
    result, left_out = {}, {}
    for name in metrics:
        texts = [line[name] for line in lines if line[name] != ""]
        values = [float(text) for text in texts if math.isfinite(float(text))]
        if texts:
            mean = round(math.fsum(values) / len(values), 6) if values else None
            result[name] = round(math.fsum(values)) if name in SUMMED else mean
            if name in MEDIANS and values:
                result[MEDIANS[name]] = round(statistics.median(values), 6)
            if len(values) < len(lines):
                left_out[name] = len(lines) - len(values)
    if {"nuclei", "found", "matched"} <= result.keys():
        objects = result["nuclei"] + result["found"] - result["matched"]
        result["ap50_pooled"] = round(result["matched"] / objects, 6) if objects else None
    result["count"] = len(lines)
    if left_out:
        result["left_out"] = left_out
    by = {}
    for classing in classings:
        inside = defaultdict(list)
        for line in lines:
            inside[line[f"by_{classing}"]].append(line)
        by[classing] = {name: summary(inside[name], metrics) for name in sorted(filter(None, inside))}
    if any(by.values()):
        result["by"] = by
    return result


def _belongs(folder, key):
    mark = folder / ".belongs"
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == key


def _free_set(folder, name, key):
    """The first of name, name-2, name-3 ... that is not there yet, or belongs to the key."""
    free, count = name, 1
    while (folder / free).exists() and not _belongs(folder / free, key):
        count += 1
        free = f"{name}-{count}"
    return free


def _read_items(path, header):
    """The whole lines of an items.csv that an earlier, perhaps killed, test has left."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[:text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    lines = list(csv.DictReader(io.StringIO(whole)))
    if any(list(line) != header or None in line.values() for line in lines):
        raise UserError(f"{path} does not have the columns of this test: expected {join_some(header, 20)}: use --fresh "
                        "to build it again")
    # an item done again stands twice: the later counts
    return list({(line["item"], line["row"]): line for line in lines}.values())
