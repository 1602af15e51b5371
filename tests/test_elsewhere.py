"""Other systems, as far as this one can play them: processes that are spawned, modules and names that are not there."""
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from common.base.paths import ROOT

REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)

# As Windows and macOS start processes. Python reads sitecustomize.py before a script, in every process.
SPAWN = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"

# What Windows lacks is not there when the project's code asks; other people's packages have had theirs before.
WITHOUT = """
import os, pkgutil, runpy, signal, sys
import cv2, filelock, matplotlib.figure, multiprocessing.util, numpy, PIL.Image, scipy.ndimage, scipy.optimize
import skimage.metrics, torch, torch.utils.data, tqdm, yaml
import multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker, tempfile
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, names in ((os, "sched_getaffinity getuid geteuid killpg statvfs getpgid"),
                      (signal, "alarm pthread_sigmask setitimer SIGALRM SIGKILL SIGHUP SIGUSR1")):
    for name in names.split():
        delattr(module, name)
sys.path[0] = os.getcwd()
import cases, common
for package in (cases, common):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            __import__(found.name)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(command, place, **more):
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
