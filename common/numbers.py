"""Do the tables of the pages say what their commands print? For every table whose text names its command:

    python -m common.numbers [--case CASE] [--name RUN] [--results FOLDER]

compares its numbers with the metrics.json of the run that the command names (results/<case>/<run>/test/). A number is
found where a value of its row, or of any row where the table calls it otherwise, rounds to it. Runs that are not there
are listed with their command; so are tables that name none.
"""
import argparse
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from common.base import paths
from common.base.errors import Negative, start

COMMAND = re.compile(r"python cases/(\w+)/test\.py[^`\n]*|--name \w+")
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?: %)?")
FOREIGN = "published"                   # rows and tables that others measured


class Table(NamedTuple):
    """A table of a page: the line above it, the command that its text names ('': it names none), its rows of cells."""
    said: str
    command: str
    rows: list


def read_tables(text):
    """[Table] of a Markdown text. A command counts for all tables of its section that follow it."""
    tables, said, command, rows = [], "", "", []
    for line in [*re.sub(r"```.*?```", "", text, flags=re.S).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip(" *`") for cell in line.strip("|").split("|")])
            rows = rows[:-1] if FOREIGN in line or set(line) <= set("|-: ") else rows
            continue
        if NUMBER.search(str(rows)) and FOREIGN not in str(rows[0]):
            tables.append(Table(said, command, rows))
        rows = []
        if line.startswith("#"):
            command = ""
        elif line:
            said = line[:70]
            named = [found[0] for found in COMMAND.finditer(line)]
            command = named[0] if named else command
    return tables


def read_values(folder):
    """{row: [value]} of all metrics.json of a run, classes among them."""
    values = {}
    for path in sorted(folder.glob("test/*/metrics.json")):
        for row, metrics in json.loads(path.read_text(encoding="utf-8")).items():
            values.setdefault(row, []).extend(flatten(metrics))
    return values


def flatten(metrics):
    """All numbers of a nested dictionary."""
    for value in metrics.values():
        if isinstance(value, dict):
            yield from flatten(value)
        elif isinstance(value, (int, float)):
            yield value


def missing_numbers(table, values):
    """(how many numbers the table has, [`row: number`] that no value of the run rounds to)."""
    count, missing = 0, []
    for cells in table.rows[1:]:
        label = cells[0].lower().replace(" ", "_")
        own = values.get(label) or [value for row in values.values() for value in row]
        for text in (found[0] for cell in cells[1:] for found in NUMBER.finditer(cell)):
            number, scale = text.removesuffix(" %"), 100 if text.endswith("%") else 1
            half = 0.5 * 10.0 ** -len(number.partition(".")[2])
            count += 1
            if not any(abs(scale * value - float(number)) <= half * 1.001 for value in own):
                missing.append(f"{cells[0]}: {text}")
    return count, missing


def run_of(command):
    """The run's name that a command writes to."""
    named = re.search(r"--name (\w+)", command)
    return named[1] if named else "default"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.numbers", description=__doc__.splitlines()[0])
    parser.add_argument("--case", help="one case; without it all")
    parser.add_argument("--name", help="the run to compare with, in the place of the command's")
    parser.add_argument("--results", type=Path, default=paths.RESULTS, help="another results/ than the repository's")
    options = parser.parse_args(argv)
    wrong = 0
    for case in paths.choose_cases(options.case):
        for table in read_tables((paths.ROOT / "cases" / case / "README.md").read_text(encoding="utf-8")):
            place = f"{case}, {table.said}"
            if not table.command:
                print(f"  not checked, no command: {place}")
                continue
            values = read_values(options.results / case / (options.name or run_of(table.command)))
            if not values:
                print(f"  not at hand, {table.command}: {place}")
                continue
            count, missing = missing_numbers(table, values)
            wrong += len(missing)
            print(f"  {count - len(missing)} of {count}: {place}" + "".join(f"\n      {each}" for each in missing))
    if wrong:
        raise Negative(f"{wrong} numbers are in none of the results at hand: of another set or run, or wrong: measure, "
                       "or mend the pages")


if __name__ == "__main__":
    sys.exit(start(main))
