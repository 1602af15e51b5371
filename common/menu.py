"""What the Makefile calls: one script of one case or of all, the demo, all figures, and the cleaning up.

Cases are found, not listed.
"""
import argparse
import shutil
import subprocess
import sys
import time

from common.base import paths
from common.base.errors import Negative, UserError, start
from common.report import __main__ as report
from common.report import run_folder

SCRIPTS = {"train": "cases/{}/train.py", "test": "cases/{}/test.py", "figures": "cases/{}/figures.py",
           "bench": "cases/{}/benchmark.py"}


def call(script, case, words):
    """Run one script of one case as the user would; returns its exit status, but for Ctrl-C, which ends everything.

    Ctrl-C reaches the script too, which ends its step and saves: that is waited for.
    """
    with subprocess.Popen([sys.executable, paths.ROOT / SCRIPTS[script].format(case), *words]) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            status = child.wait() and 130
    if status == 130:
        raise SystemExit(130)
    return status


def call_all(script, cases, words):
    """Run one script of several cases; the others go on when one fails. A single case's exit status is passed on."""
    if len(cases) == 1:
        return call(script, cases[0], words)
    failed = [case for case in cases if call(script, case, words)]
    if failed:
        raise Negative(f"{script} did not end well for {', '.join(failed)}: the reasons stand above")


def run_demo(cases):
    """Train and test every case on the sample data, test its release there too, draw, and write the report."""
    from common.data.samples import build
    sys.stdout.reconfigure(errors="replace")                  # the last line is in Chinese too, whatever the terminal
    began = time.monotonic()
    build()
    print(f"sample data ready ({time.monotonic() - began:.0f} s)\n", flush=True)
    lines = []
    for case in cases:
        for script, words in demo_steps(case):
            shown = f"{script}, release" if words else script
            print(f"--- {case}: {shown}", flush=True)
            began = time.monotonic()
            status = call(script, case, ["--demo", "--fresh", *words])
            outcome = f"FAILED ({status})" if status else "done"
            lines.append(f"{case:16s} {shown:16s} {time.monotonic() - began:6.1f} s   {outcome}")
            if status:
                break
    page, _ = report.write(cases, paths.DEMO, paths.ROOT / "results")
    print("\n" + "\n".join(lines) + "\n\na picture of each case:")
    for picture in filter(None, map(demo_picture, cases)):
        print(f"  {picture}")
    print(f"open {page} in a browser: all of it on one page\n用浏览器打开 {page}：全部结果都在这一页")
    if any("FAILED" in line for line in lines):
        raise Negative("the demo did not end well: see above")


def demo_steps(case):
    """[(script, further words)] of a case's demo. The release, where there is one, is tested on the same data, and
    draws the figures."""
    if not (paths.ROOT / "checkpoints" / case / "release.pt").is_file():
        return [("train", []), ("test", []), ("figures", [])]
    release = ["--name", paths.DEMO_RELEASE, "--weights", "release"]
    return [("train", []), ("test", []), ("test", release), ("figures", release)]


def demo_picture(case):
    """The figure that `about.picture` of a case names, else its first one; None where none was drawn."""
    for name in (paths.DEMO_RELEASE, paths.DEMO):
        folder = run_folder.results_folder(case) / name / "figures"
        drawn = [entry["file"] for entry in run_folder.read_figures(folder)]
        wanted = f"{run_folder.about(case).get('picture')}.png"
        if drawn:
            return folder / (wanted if wanted in drawn else drawn[0])
    return None


def draw_figures(cases, name, words):
    """Make all figures of a run of every case again: the run called name, else the one that the report shows.

    A case without it says the command that makes the run, and the others go on. A single case's exit status is
    figures.py's own.
    """
    name = name or ("demo" if "--demo" in words else None)
    lines, wrong = [], []
    for case in cases:
        try:
            run = find_run(case, name)
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
        drawn = [] if status else run_folder.read_figures(run_folder.results_folder(case) / run / "figures")
        outcome = f"FAILED ({status})" if status else f"{len(drawn)} figures"
        wrong += [case] if status else []
        lines.append(f"{case:16s} {run:16s} {time.monotonic() - began:6.1f} s   {outcome}")
    print("\n" + "\n".join(lines))
    if len(cases) == 1:
        return status
    if wrong:
        raise Negative(f"figures are missing for {', '.join(wrong)}: the reasons stand above")


def find_run(case, name):
    """The name of the run to draw; UserError, with the command that makes it, where none is there or can be read."""
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
    for pattern in ("results/*/demo", "results/*/demo-release", "checkpoints/*/demo", "datasets/sample",
                    ".pytest_cache", ".ruff_cache", ".hypothesis", "build",
                    "cases/**/__pycache__", "common/**/__pycache__", "tests/**/__pycache__"):
        for target in list(paths.ROOT.glob(pattern)):
            shutil.rmtree(target, ignore_errors=True)
    print("removed caches, sample data and the demo's results; runs, weights and .venv are untouched")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.menu", description=__doc__)
    parser.add_argument("what", choices=[*SCRIPTS, "demo", "clean"])
    parser.add_argument("--case", help="one case; without it all")
    parser.add_argument("--name", help="the run's name")
    parser.add_argument("--for", choices=["readme"], dest="shown_in", help="figures: of the pages, --name: one of them")
    options, words = parser.parse_known_args(argv)
    cases = paths.choose_cases(options.case)
    if options.what == "demo":
        return run_demo(cases)
    if options.what == "clean":
        return clean()
    if options.what == "figures" and options.shown_in:
        from common import page_pictures  # here: slow to import
        return page_pictures.main([*([f"--case={options.case}"] if options.case else []),
                                   *([options.name] if options.name else []), *words])
    if options.what == "figures":
        return draw_figures(cases, options.name, words)
    return call_all(options.what, cases, ([f"--name={options.name}"] if options.name else []) + words)


if __name__ == "__main__":
    sys.exit(start(main))
