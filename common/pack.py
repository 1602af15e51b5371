"""What graders ask students for: python -m common.pack CASE [--name RUN] [--out FOLDER]   (make pack CASE= NAME=)

Writes <case>-<run>.zip: every judged file of results/<case>/<run>/ (those that manifest.json lists), checked against
its size and SHA-256, and manifest.json, all as they are; the figures' PNGs and figures.json, which are not judged but
which a reader wants to see; and environment.json (versions, device, threads, seconds), also not judged, in which every
path that leads out of the repository is cut to its last part. Everything lies in one folder <case>-<run>/, in a fixed
order and with a fixed time, so that the same run makes the same zip.
"""
import argparse
import contextlib
import hashlib
import json
import os
import re
import shlex
import sys
import zipfile
from pathlib import Path

from common.base.errors import UserError, join_some, start
from common.base.files import part_of
from common.base.paths import INSIDE, all_cases, without_paths
from common.base.progress import watch
from common.base.targets import expect_targets
from common.experiment.results import is_judged
from common.report import run_folder

TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say; a clock would make every zip another one


def pack(case, name=None, out=None):
    """Write the zip of one run; returns (its path, the number of files in it, remarks for the reader).

    Nothing is written after a UserError.
    name: the run; without it `default`, or the only one there is. out: the zip's folder, results/ where it is None.
    """
    name = choose_run(case, name)
    folder = run_folder.results_folder(case) / name
    refuse_links(folder)
    judged = [path for path in files_below(folder) if is_judged(path)]
    if not any(path.startswith("test/") for path in judged):
        raise UserError(f"the run {name} of {case} has no test results in {run_folder.show_path(folder)}: a tested run "
                        f"was expected: first: python cases/{case}/test.py --name {name}")
    listing = manifest_of(folder, case, name)
    environment = environment_of(folder)
    problems = {path: "not in the manifest" if path in judged else "missing" for path in {*judged} ^ {*listing}}
    refuse_problems(folder, case, name, environment, problems)
    figures = [path for path in files_below(folder) if re.fullmatch(r"figures/[^/]+\.png|figures/figures\.json", path)]
    target = Path(out if out is not None else folder.parent.parent) / f"{case}-{name}.zip"
    expect_targets([target], option="--out")
    part = part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        count, naming = fill(part, folder, case, name, environment, listing, figures)
        os.replace(part, target)
    except OSError as error:
        raise UserError(f"cannot pack ({error.strerror}): {error.filename or target}: files to read and a folder with "
                        "the right to write and enough room were expected: mend that, or choose another folder with "
                        "--out") from error
    finally:
        if part.exists():
            part.unlink()
    remarks = ["environment.json: paths cut to their last part; in results/ it is unchanged" if environment else
               "environment.json is missing or unreadable here, so it is left out; it is not judged"]
    if naming:
        remarks.append(f"{join_some(naming, 3)}: judged, so packed as it stands, and it seems to name a folder of this "
                       "machine: look at it first")
    return target, count, remarks


def choose_run(case, name):
    """The run to pack, one of those there are."""
    names = run_folder.run_names(case)
    if not names:
        raise UserError(f"{case} has no run yet: results of test.py were expected in "
                        f"{run_folder.show_path(run_folder.results_folder(case))}: first: python cases/{case}/test.py "
                        "--name check --weights release")
    if name is None and ("default" in names or len(names) == 1):
        return "default" if "default" in names else names[0]
    if name not in names:
        problem = f"there is no run {name!r} of {case}" if name else f"{case} has several runs"
        raise UserError(f"{problem}: expected one of {', '.join(names)}: name it, for example: make pack CASE={case} "
                        f"NAME={names[0]}")
    return name


def files_below(folder):
    """Relative names, with /, of all files below a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refuse_links(folder):
    """Raise UserError where anything below a run's folder is a symbolic link, which may lead anywhere."""
    links = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        raise UserError(f"{len(links)} symbolic link(s) in {run_folder.show_path(folder)}: {join_some(links)}: files "
                        "were expected: put the files themselves there, or remove the links")


def manifest_of(folder, case, name):
    """{path: (size, sha256)} of manifest.json."""
    path = folder / "manifest.json"
    again = f"make it again: python cases/{case}/test.py --name {name} --fresh"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(entry["path"]): (int(entry["size"]), str(entry["sha256"])) for entry in entries}
    except FileNotFoundError:
        raise UserError(f"no manifest.json in {run_folder.show_path(folder)}: the list of judged files that test.py "
                        f"writes was expected: {again}") from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{run_folder.show_path(path)} cannot be read ({type(error).__name__}): the list of judged "
                        f"files was expected: {again}") from None


def environment_of(folder):
    """The content of environment.json; {} where it is missing or unreadable, since nothing is judged by it."""
    with contextlib.suppress(UserError):
        return run_folder.read_json(folder / "environment.json", dict, {})
    return {}


def refuse_problems(folder, case, name, environment, problems):
    """Raise UserError where judged files are not what the manifest says. problems: {path: what is wrong with it}."""
    if not problems:
        return
    parts = dict.fromkeys("/".join(path.split("/")[:2 if path.startswith("test/") else 1]) for path in sorted(problems))
    said = join_some(f"{path} ({problem})" for path, problem in sorted(problems.items()))
    commands = join_some(command_for(part, case, name, environment) for part in parts)
    raise UserError(f"{len(problems)} file(s) of {run_folder.show_path(folder)} are not as manifest.json lists them: "
                    f"{said}: what the scripts wrote, unchanged, was expected: run test.py (or what made the file) "
                    f"again: {commands}")


def command_for(part, case, name, environment):
    """The command that makes a part of a run again, the recorded one or the plain; test.py needs --fresh for it."""
    script = {"train": "train", "figures": "figures"}.get(part, "test")
    recorded = environment.get(part, {}).get("command") if isinstance(environment.get(part), dict) else None
    words = recorded[1:] if isinstance(recorded, list) else ["--name", name]
    fresh = ["--fresh"] if script == "test" and "--fresh" not in words else []
    return f"python cases/{case}/{script}.py {shlex.join([*map(str, words), *fresh])}"


def fill(path, folder, case, name, environment, listing, figures):
    """Write the zip at path, checking each judged file as it is read.

    Returns (number of files, judged texts that seem to name a folder).
    """
    inside, problems, naming = f"{case}-{name}/", {}, []
    with zipfile.ZipFile(path, "w", compresslevel=6) as packed:
        def add(file, data):
            info = zipfile.ZipInfo(inside + file, TIME)
            info.create_system, info.external_attr = 3, 0o100644 << 16      # the same on every system
            info.compress_type = zipfile.ZIP_STORED if file.endswith(".png") else zipfile.ZIP_DEFLATED
            packed.writestr(info, data)

        add("manifest.json", (folder / "manifest.json").read_bytes())
        if environment:
            text = json.dumps(without_paths(environment), indent=2, ensure_ascii=False)
            add("environment.json", f"{text}\n".encode())
        for file in watch(sorted({*listing, *figures}), f"packing {case}-{name}"):
            data = (folder / file).read_bytes()
            if file in listing and (len(data), hashlib.sha256(data).hexdigest()) != listing[file]:
                problems[file] = "changed"
            if file in listing and file.endswith(".csv") and INSIDE.search(data.decode(errors="replace")):
                naming.append(file)
            add(file, data)
        count = len(packed.namelist())
    refuse_problems(folder, case, name, environment, problems)
    return count, naming


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.pack", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("--name", metavar="RUN", help="the run (`default`, or the only one there is)")
    parser.add_argument("--out", metavar="FOLDER", help="where the zip goes (results/)")
    options = parser.parse_args(argv)
    if options.case not in all_cases():
        raise UserError(f"there is no case {options.case!r}: expected one of {', '.join(all_cases())}")
    path, count, remarks = pack(options.case, options.name, options.out)
    print(f"{path}: {count} files, {path.stat().st_size / 1e6:.2f} MB")
    for remark in remarks:
        print(f"  {remark}")


if __name__ == "__main__":
    sys.exit(start(main))
