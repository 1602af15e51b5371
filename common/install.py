"""Set-up: makes .venv and installs requirements.txt, the project itself (editable) and the dev extra.

Standard library only.

python3 common/install.py [--trackers] [--extra NAME ...]
    --trackers puts opencv-contrib-python in the place of opencv-python
    --extra adds the packages of an extra of pyproject.toml to .venv, where they are missing
"""
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
OLDEST, TOO_NEW = (3, 11), (3, 14)                            # as requires-python in pyproject.toml
OPENCVS = ["opencv-python", "opencv-contrib-python", "opencv-python-headless"]


def pip(*words):
    """Run pip in .venv; its warnings and progress stay out of sight, its errors do not."""
    print("  pip", *words, flush=True)
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        sys.exit(f"error: pip could not do this: {' '.join(words)}: its reason stands above: is there a connection, or "
                 "a package mirror?")


def import_problem(module):
    """None where .venv can import a module, else the last line of what it said."""
    done = subprocess.run([PYTHON, "-c", f"import {module}"], cwd=VENV, stderr=subprocess.PIPE, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def pinned(package):
    """The version that requirements.txt pins."""
    return re.search(rf"^{package}==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)[1]


def swap_opencv(package):
    """Leave exactly one of the OpenCV packages installed: they overwrite each other's files."""
    pip("uninstall", "--yes", *OPENCVS)
    pip("install", "--no-deps", f"{package}=={pinned('opencv-python')}")


def add_extra(name):
    """Install an extra, unless all its packages are there: without a connection what is there must do.

    What it brings may ask for an older Pillow than the pinned one, with which it was tested: that is put back.
    """
    import tomllib  # not at the top: older Pythons lack it
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    if name not in extras:
        sys.exit(f"error: there is no extra {name!r}: expected one of {', '.join(extras)}: mend --extra")
    packages = [re.match(r"[\w-]+", wanted)[0] for wanted in extras[name]]
    asked = [PYTHON, "-c", f"import importlib.metadata as m; [m.version(p) for p in {packages}]"]
    if subprocess.run(asked, cwd=VENV, stderr=subprocess.DEVNULL).returncode == 0:
        return
    print(f"installing the extra {name} ({', '.join(packages)}), once", flush=True)
    pip("install", "--editable", f".[{name}]")
    pip("install", "--no-deps", f"pillow=={pinned('pillow')}")


def main():
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        sys.exit(f"error: this is Python {sys.version.split()[0]}: expected 3.11, or 3.12 or 3.13: install one, and "
                 "start this file with it: py -3.11 on Windows, python3.11 elsewhere")
    began = time.monotonic()
    if not PYTHON.exists():
        print(f"making {VENV.name}/", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", VENV]).returncode:
            sys.exit("error: python3 -m venv failed: on Debian and Ubuntu it is the package python3-venv")
    if extras := [name for option, name in zip(sys.argv, sys.argv[1:]) if option == "--extra"]:
        for name in extras:
            add_extra(name)
        return
    if "--trackers" in sys.argv:
        swap_opencv("opencv-contrib-python")
        (VENV / "ready").unlink(missing_ok=True)              # so that `make setup` swaps back
    else:
        print("installing what requirements.txt pins; the first time this takes minutes", flush=True)
        shown = subprocess.run([PYTHON, "-m", "pip", "show", "-q", "opencv-contrib-python"], stderr=subprocess.DEVNULL)
        if shown.returncode == 0:
            pip("uninstall", "--yes", *OPENCVS)
        pip("install", "-r", "requirements.txt")
        pip("install", "--editable", ".[dev]")
    reason = import_problem("cv2")
    if reason and "--trackers" not in sys.argv:
        print(f"opencv-python does not start here ({reason}): the system lacks libGL, libxcb or GLib: "
              "opencv-python-headless instead")
        swap_opencv("opencv-python-headless")
        reason = import_problem("cv2")
    if reason:
        sys.exit(f"error: OpenCV cannot be imported: {reason}")
    if "--trackers" not in sys.argv:
        (VENV / "ready").write_text("made by common/install.py\n", encoding="utf-8")
    print(f"set up in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
