"""What the Makefile calls: the same script of one case or of all, the demo, all figures, and the cleaning up. Cases are
found, not listed."""
import argparse
import shutil
import subprocess
import sys
import time

from common.base import paths
from common.base.errors import Negative, UserError, start
from common.base.paths import choose_cases
from common.report import run_folder

SCRIPTS = {"train": "cases/{}/train.py", "test": "cases/{}/test.py", "figures": "cases/{}/figures.py",
           "bench": "cases/{}/benchmark.py"}


def call(script, case, words):
    """Run one script of one case as the user would; returns its exit status."""
    return subprocess.run([sys.executable, paths.ROOT / SCRIPTS[script].format(case), *words]).returncode


def everywhere(script, cases, words):
    """One script for several cases; the others go on when one fails. A single case's exit status is passed on."""
    if len(cases) == 1:
        return call(script, cases[0], words)
    failed = []
    for case in cases:
        if call(script, case, words):
            failed.append(case)
    if failed:
        raise Negative(f"{script} did not end well for {', '.join(failed)}: the reasons stand above")


def demo(cases):
    """Train, test and figures of every case on the sample data, with the time of each step, and where to look."""
    from common.data.samples import build
    build_began = time.monotonic()
    build()
    print(f"sample data ready ({time.monotonic() - build_began:.0f} s)\n", flush=True)
    lines = []
    for case in cases:
        for script in ("train", "test", "figures"):
            print(f"--- {case}: {script}", flush=True)
            began = time.monotonic()
            status = call(script, case, ["--demo", "--fresh"])
            lines.append(f"{case:16s} {script:8s} {time.monotonic() - began:6.1f} s   "
                         f"{'done' if status == 0 else f'FAILED ({status})'}")
            if status:
                break
    print("\n" + "\n".join(lines))
    for case in cases:
        print(f"look at {paths.ROOT / 'results' / case / 'demo'}")
    if any("FAILED" in line for line in lines):
        raise Negative("the demo did not end well: see above")


def figures(cases, name, words):
    """All figures of a run of every case, made again: the run called name, else the one that the report shows.

    A case without it says the command that makes the run, and the others go on. A single case's exit status is
    figures.py's own.
    """
    name = name or ("demo" if "--demo" in words else None)
    lines, wrong = [], []
    for case in cases:
        try:
            run = run_of(case, name)
        except UserError as problem:
            if len(cases) == 1:
                raise
            print(f"--- {case}: {problem}", flush=True)
            lines.append(f"{case:16s} {name or '-':16s} MISSING: {problem}")
            wrong.append(case)
            continue
        print(f"--- {case}: figures of the run {run}", flush=True)
        began = time.monotonic()
        demo_too = ["--demo"] if run == "demo" and "--demo" not in words else []
        status = call("figures", case, [f"--name={run}", *demo_too, *words])
        drawn = len(run_folder.read_figures(run_folder.results_folder(case) / run / "figures")) if status == 0 else 0
        lines.append(f"{case:16s} {run:16s} {time.monotonic() - began:6.1f} s   "
                     f"{f'FAILED ({status})' if status else f'{drawn} figures'}")
        wrong += [case] if status else []
    print("\n" + "\n".join(lines))
    if len(cases) == 1:
        return status
    if wrong:
        raise Negative(f"figures are missing for {', '.join(wrong)}: the reasons stand above")


def run_of(case, name):
    """The name of the run whose figures are drawn; UserError with the command where there is none, or what is there
    cannot be read."""
    names = run_folder.run_names(case)
    if names and name in (None, *names):
        return run_folder.choose_run(case, name).name
    wanted = name or "check"
    command = run_folder.command(case, "test", wanted)
    if wanted == "demo":
        command = f"python -m common.menu demo --case {case}"
    elif "--weights" not in command:
        command = f"{run_folder.command(case, 'train', wanted)}, then {command}"
    there = f"expected one of {', '.join(names)}" if name and names else "results of test.py were expected"
    raise UserError(f"{case} has no run{f' {name!r}' if name else ' yet'}: {there}: {command}")


def clean():
    """Remove caches, sample data and what the demo made; other runs, weights and .venv stay."""
    targets = [*paths.ROOT.glob("results/*/demo"), *paths.ROOT.glob("checkpoints/*/demo"),
               paths.ROOT / "datasets" / "sample",
               *(paths.ROOT / name for name in (".pytest_cache", ".ruff_cache", ".hypothesis", "build")),
               *(path for folder in ("cases", "common", "tests")
                 for path in (paths.ROOT / folder).rglob("__pycache__"))]
    for target in targets:
        shutil.rmtree(target, ignore_errors=True)
    print("removed caches, sample data and the demo's results; runs, weights and .venv are untouched")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.menu", description=__doc__)
    parser.add_argument("what", choices=[*SCRIPTS, "demo", "clean"])
    parser.add_argument("--case", help="one case; without it all")
    parser.add_argument("--name", help="the run's name")
    options, words = parser.parse_known_args(argv)
    cases = choose_cases(options.case)
    if options.what == "demo":
        return demo(cases)
    if options.what == "clean":
        return clean()
    if options.what == "figures":
        return figures(cases, options.name, words)
    return everywhere(options.what, cases, ([f"--name={options.name}"] if options.name else []) + words)


if __name__ == "__main__":
    sys.exit(start(main))
