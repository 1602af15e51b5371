"""Execute the walk-throughs of the cases and write them as notebooks, with their outputs:

    python -m common.notebooks [--case CASE]          cases/<case>/walkthrough.py -> cases/<case>/walkthrough.ipynb

The text (Jupytext's py:percent) is what is edited. A notebook takes under 40 seconds on two cores. Cases are found, not
listed; packages: the extra `notebook`.
"""
import argparse
import importlib
import os
import re
import sys
import time

from common.base import paths
from common.base.errors import UserError, start
from common.base.files import write_whole
from common.experiment.notebook import STILL

LARGEST = 600_000                       # bytes of a notebook: a page that shows it must not wait
SECONDS = 600                           # for one cell, on a machine that is busy with other things
CHINESE = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"


def texts(case=None):
    """[path] of the walk-throughs of one case or all."""
    return [path for name in paths.choose_cases(case)
            for path in (paths.ROOT / "cases" / name).glob("walkthrough.py")]


def unwrap(text):
    """A text cell whose Chinese lines are joined: between Chinese characters the end of a line shows as a space."""
    return re.sub(rf"({CHINESE})\n(?={CHINESE})", r"\1", text)


def extra(name):
    """A module of the extra `notebook`; UserError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise UserError(f"{problem.name} is not installed: a package of the extra `notebook` was expected: "
                        "python common/install.py --extra notebook") from None


def build(path):
    """The notebook of a walk-through, not executed."""
    notebook = extra("jupytext").read(path)
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place}"                        # else drawn anew each time
        if cell.cell_type == "markdown":
            cell.source = unwrap(cell.source)
    return notebook


def execute(path):
    """The notebook of a walk-through, as bytes, executed in its own folder. Raises UserError for a cell that failed."""
    notebook, nbclient = build(path), extra("nbclient")
    os.environ[STILL] = "1"
    client = nbclient.NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", store_widget_state=False,
                                     record_timing=False, resources={"metadata": {"path": str(path.parent)}},
                                     extra_arguments=["--IPKernelApp.log_level=ERROR"])
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as failure:
        told = re.sub(r"\x1b\[[\d;]*m", "", str(failure))       # without a terminal's colours
        reason = (told.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"a cell failed: {path}: {reason}: run it as a script, python {path.name}, to see where: mend "
                        "the cell, or the asserted number") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = without_progress(cell.outputs)
    return extra("nbformat").writes(notebook).encode()


def without_progress(outputs):
    """A cell's outputs without the lines that only say how long it will take on this machine."""
    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            output["text"] = re.sub(r"^.* \d+/\d+ .*\d/s  .* left\n", "", output["text"], flags=re.M)
        if output.get("text") != "":
            kept.append(output)
    return kept


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("--case", help="one case; without it all")
    for path in texts(parser.parse_args(argv).case):
        began = time.monotonic()
        content = execute(path)
        if len(content) > LARGEST:
            raise UserError(f"the notebook is too large: {path}: {len(content):,} bytes: at most {LARGEST:,} were "
                            "expected: show fewer or smaller figures")
        write_whole(path.with_suffix(".ipynb"), content)
        print(f"{path.with_suffix('.ipynb').relative_to(paths.ROOT)}: {time.monotonic() - began:.0f} s, "
              f"{len(content):,} bytes", flush=True)


if __name__ == "__main__":
    sys.exit(start(main))
