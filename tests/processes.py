"""Scripts as processes of their own that need not import the libraries first: forked from a process that has them. Most
of a short script's time is `import torch`. Project code is imported by each process itself."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT_HERE = hasattr(os, "geteuid") and os.geteuid() == 0
needs_rights = pytest.mark.skipif(os.name == "nt" or ROOT_HERE and sys.platform != "linux",
                                  reason="no file here whose rights a process of root's would not pass over")
LONGEST = 900                 # seconds, on a machine with other work; then SIGALRM ends the process

# A line of standard input is a task; the answer is its exit code. The new process leaves the loop and becomes the
# script.
FORKS = f"""
import ctypes, gc, json, os, runpy, signal, sys
import cv2, filelock, matplotlib.figure, numpy, PIL.Image, scipy.ndimage, scipy.optimize, skimage.metrics, tqdm, yaml
import torch, torch._dynamo, torch.utils.data                # every optimiser imports _dynamo: as long as torch itself
gc.freeze()
library = ctypes.CDLL(None)
for line in sys.stdin:
    task, child = json.loads(line), os.fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.setsid()
signal.alarm({LONGEST})
os.chdir(task["folder"])
os.environ.clear()
os.environ.update(task["environment"])
for number, path in enumerate((os.devnull, *task["outputs"])):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
if task["bound"] and {ROOT_HERE}:
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    library.capget(header, sets)
    for right in (1, 2):                                     # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        assert library.prctl(24, right, 0, 0, 0) == 0        # PR_CAPBSET_DROP: for the programs that it starts
        sets[0] &= ~(1 << right)                             # for itself
    assert library.capset(header, sets) == 0
first, *rest = task["command"]
sys.argv = task["command"]
sys.path[:1] = ["", *filter(None, [os.environ.get("PYTHONPATH")])]
if first == "-c":
    sys.argv = ["-c", *rest[1:]]
    exec(rest[0], dict(__name__="__main__"))
elif first == "-m":
    sys.argv = rest
    runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
else:
    sys.path[0] = os.path.dirname(first)
    runpy.run_path(first, run_name="__main__")
"""


class Processes:
    """run() of scripts, one after the other. All of them share one seed of Python's hashes: who compares bytes also
    needs a process of another."""

    def __init__(self):
        self.parent = None

    def run(self, command, folder, environment, bound=False):
        """What subprocess.run([sys.executable, *command], ...) gives, as text. environment: all of it. bound: it obeys
        the rights of files also as root, who passes over them."""
        if not hasattr(os, "fork"):
            return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True,
                                  text=True, timeout=LONGEST)
        if self.parent is None:
            # OpenMP reads both when it is loaded. Threads that spin while they wait take the core from those they wait
            # for.
            # The scripts are copies mostly, which are compiled once if that may be kept.
            given = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": ""}
            self.parent = subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           text=True, env=os.environ | given)
        with tempfile.TemporaryDirectory() as place:
            outputs = [Path(place) / name for name in ("stdout", "stderr")]
            task = {"command": [str(word) for word in command], "folder": str(folder), "environment": environment,
                    "outputs": list(map(str, outputs)), "bound": bound}
            print(json.dumps(task), file=self.parent.stdin, flush=True)
            code = int(self.parent.stdout.readline())
            return subprocess.CompletedProcess(command, code, *(path.read_text(encoding="utf-8") for path in outputs))

    def close(self):
        """End the process with the libraries."""
        if self.parent:
            self.parent.communicate()
