"""Training by torchrun: two processes agree with one, go on after a kill, and say it when one of them dies; in every
case that trains with a batch four of them do, and two go on."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_cases import words

from common.base.paths import ROOT
from common.data.samples import build

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")]
SHORT = ["--demo", "train.steps=12", "train.batch_size=8", "train.log_every=1", "train.save_every=2",
         "train.validate_every=6"]
LINES = 3                                                    # of the log before something happens
# Cases that train with a batch, and what makes it one that four can share.
WIDE = {"msrnet": [], "siamfc": [], "nuclei": [], "super_resolution": [], "view_free_stitch": [],
        "udis": ["train.batch_size=4"],
        "kind": [f"{stage}.batch_size=4" for stage in ("decompose", "restore", "adjust", "joint")],
        "vgg19_style": ["stage=fast", "data.size=96", "train.crop=64", "model.width=4"]}

# A module that Python imports by itself at its start: process 1 ends as by a lack of memory once training goes on.
DIES = f"""
import os, signal, threading, time
def watch():
    while not os.path.exists(os.environ["LOG"]) or open(os.environ["LOG"]).read().count("\\n") < {LINES}:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ.get("RANK") == "1":
    threading.Thread(target=watch, daemon=True).start()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in a folder with a space in its name, with sample data."""
    folder = tmp_path_factory.mktemp("a cluster")
    for name in ("cases", "common", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("checkpoints/*/release*.pt"):                      # the feature network `small` is one
        (folder / "checkpoints" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "checkpoints" / path.parent.name)
    shutil.copy(ROOT / "checkpoints/SHA256SUMS", folder / "checkpoints")
    build()
    for name in ("sample", "embedded"):
        shutil.copytree(ROOT / "datasets" / name, folder / "datasets" / name)
    return folder


def start(project, processes, name, given=SHORT, first=None, case="msrnet"):
    """A torchrun of a training, in a process group of its own. first: a folder of modules before all others."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, filter(None, (
        first, project)))), "LOG": str(log(project, name, case))}
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone",
               str(project / "cases" / case / "train.py"), *given, "--name", name]
    return subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)


def end(process):
    """(exit status, standard output, standard error)."""
    out, err = process.communicate(timeout=1800)
    return process.returncode, out, err


def log(project, name, case="msrnet"):
    return project / "results" / case / name / "train/log.jsonl"


def losses(project, name):
    return [line["loss"] for line in map(json.loads, log(project, name).read_text().splitlines()) if "loss" in line]


def weights(project, name):
    """The digest of a finished run's weights."""
    return json.loads((project / "results/msrnet" / name / "manifest.json").read_text())["weights"]["train"]


@pytest.fixture(scope="module", params=[2])
def whole(request, project):
    """(number of processes, name) of a finished run."""
    name = f"never-stopped-{request.param}"
    status, out, err = end(start(project, request.param, name))
    assert status == 0, out[-1000:] + err[-3000:]
    return request.param, name


def test_so_many_processes_see_the_batches_of_one(whole, project):
    """The batch is split, not multiplied: the same pictures in each step, sums in another order."""
    status, out, err = end(start(project, 1, f"alone-{whole[0]}"))
    assert status == 0, out[-1000:] + err[-3000:]
    assert losses(project, whole[1]) == pytest.approx(losses(project, f"alone-{whole[0]}"), rel=1e-3)


def test_a_preempted_run_goes_on_as_if_never_stopped(whole, project):
    """A scheduler's SIGTERM to torchrun: all processes end their step, save and leave; the same command goes on."""
    processes, finished = whole
    name = f"preempted-{processes}"
    process = start(project, processes, name)
    while process.poll() is None and not (log(project, name).exists()
                                          and log(project, name).read_text().count("\n") >= LINES):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    status, out, err = end(process)
    if status:                                               # it may have been through already
        assert "stopped by SIGTERM" in out, out[-1000:] + err[-3000:]
        status, out, err = end(start(project, processes, name))
        assert "going on at step" in out
    assert status == 0, out[-1000:] + err[-3000:]
    assert weights(project, name) == weights(project, finished)


def test_a_process_that_dies_ends_all_with_one_message(whole, project, tmp_path):
    processes, finished = whole
    name = f"died-{processes}"
    (tmp_path / "sitecustomize.py").write_text(DIES)
    expect_one_message(*end(start(project, processes, name, first=tmp_path)), processes)
    status, out, err = end(start(project, processes, name))
    assert status == 0 and "going on at step" in out, out[-1000:] + err[-3000:]
    assert weights(project, name) == weights(project, finished)


def expect_one_message(status, out, err, processes):
    """That a run of which one process died has ended, and that each of the others said so once, if it was asked."""
    assert status, out
    said = [line for line in err.splitlines() if "another process of this run has ended" in line]
    assert len(said) == len({line.split("]")[0] for line in said}) <= processes - 1, "once a process"
    assert said or err.count("Signal 15 (SIGTERM)"), err[-4000:]      # torchrun may be quicker
    assert "Traceback" not in err.split("torch/distributed")[0], err[-4000:]


@pytest.mark.parametrize("case", WIDE)
def test_four_processes_of_which_one_dies_and_two_go_on(case, project, tmp_path):
    """The number of processes may change between a loss and what follows: the samples of each step stay the same."""
    (tmp_path / "sitecustomize.py").write_text(DIES)
    given = words(case, "train", *WIDE[case])
    expect_one_message(*end(start(project, 4, "four", given, tmp_path, case)), 4)
    before = log(project, "four", case).read_text().splitlines()
    status, out, err = end(start(project, 2, "four", given, None, case))
    assert status == 0 and "going on at step" in out, out[-1000:] + err[-3000:]
    after = log(project, "four", case).read_text().splitlines()
    assert len(after) > len(before) >= LINES and after[0] == before[0]


@pytest.mark.parametrize("page", ["docs/cluster.md", "docs/cluster.zh-CN.md"])
def test_the_slurm_script_of_the_page_is_a_script(page):
    """Slurm is not here; that a shell can read it, and that it goes on with the command it began with, is."""
    script = (ROOT / page).read_text(encoding="utf-8").split("```\n#!/bin/bash")[1].split("```")[0]
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert "--requeue" in script and "--signal=TERM@" in script and script.count("train.py --name many") == 1
