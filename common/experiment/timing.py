"""Measuring honestly: two sides in turns in one process, medians, a ratio of what they compute; a function's peak
memory in a process of its own."""
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import torch

from common.base import paths
from common.base.errors import UserError
from common.experiment.device import environment, import_torchvision
from common.experiment.results import write_json

TURNS = 7


class Seconds(NamedTuple):
    """Medians of what each side took, {name: seconds}."""
    cpu: dict      # computed, by all threads and ended child processes: what ratios are made of
    wall: dict     # passed: on a machine that does other work as well, up to a multiple

    def times_faster(self, side, than):
        """How many times as fast one side is as another."""
        return self.cpu[than] / self.cpu[side]


def in_turns(sides, turns=TURNS):
    """Seconds of each side. sides: {name: function without arguments}; each is called once unmeasured, then in
    turns."""
    for call in sides.values():
        call()
    spent = {name: [] for name in sides}
    for _ in range(turns):
        for name, call in sides.items():
            began, computed = time.perf_counter(), cpu_seconds()
            call()
            spent[name].append((cpu_seconds() - computed, time.perf_counter() - began))
    medians = {name: [statistics.median(values) for values in zip(*turns)] for name, turns in spent.items()}
    return Seconds(*({name: both[place] for name, both in medians.items()} for place in (0, 1)))


def cpu_seconds():
    """What this process and its children that have ended have computed so far."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def peers_wanted():
    """Whether other people's programs are to be measured too: --peers, make bench PEERS=1."""
    return "--peers" in sys.argv


def peer(name):
    """A module of other people's programs; UserError where it is not installed."""
    import_torchvision()                                   # many of them import it too
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"--peers needs {name} ({error}): the extra `peers` was expected: pip install -e '.[peers]'"
                        ) from None


def peak_memory_mb(code):
    """Peak resident memory in MiB of a fresh Python process that runs `code` in the repository."""
    report = "\nfrom common.experiment.device import peak_memory_mb\nprint(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=paths.ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def measure(case, parts):
    """Measure, print and save every part, {name: function}, as results/<case>/bench.json. Returns {name: numbers}."""
    numbers = {"environment": environment(torch.device("cpu"))}
    for part, function in parts.items():
        print(f"measuring {part} ...", flush=True)
        numbers[part] = function()
        print(json.dumps(numbers[part], indent=2), flush=True)
    path = paths.ROOT / "results" / case / "bench.json"
    write_json(path, numbers)
    print(f"saved: {path}")
    return numbers
