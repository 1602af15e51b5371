"""Set-up: makes .venv and installs requirements.txt, the project itself (editable) and the dev extra.

Standard library only.

python3 common/install.py [--trackers]      --trackers puts opencv-contrib-python in the place of opencv-python
"""
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
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


def opencv_version():
    """The version that requirements.txt pins."""
    return re.search(r"^opencv-python==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)[1]


def swap_opencv(package):
    """Leave exactly one of the OpenCV packages installed: they overwrite each other's files."""
    pip("uninstall", "--yes", *OPENCVS)
    pip("install", "--no-deps", f"{package}=={opencv_version()}")


def main():
    if sys.version_info < (3, 11):
        sys.exit(f"error: this is Python {sys.version.split()[0]}: expected 3.11 or newer: install one, and call it as "
                 "python3")
    began = time.monotonic()
    if not PYTHON.exists():
        print(f"making {VENV.name}/", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", VENV]).returncode:
            sys.exit("error: python3 -m venv failed: on Debian and Ubuntu it is the package python3-venv")
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
