"""Measuring honestly: two sides in turns in one process, medians, a ratio; a function's peak memory in a process of its
own."""
import json
import statistics
import subprocess
import sys
import time

import torch

from common.base import paths
from common.experiment.device import environment
from common.experiment.results import write_json

TURNS = 7


def in_turns(sides, turns=TURNS, clock=time.perf_counter):
    """Median seconds of each side. sides: {name: function without arguments}; each is called once unmeasured, then in
    turns.

    clock: time.process_time counts only what this process computes, which other work on the machine changes less.
    """
    for call in sides.values():
        call()
    seconds = {name: [] for name in sides}
    for _ in range(turns):
        for name, call in sides.items():
            began = clock()
            call()
            seconds[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


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
