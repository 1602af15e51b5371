"""KinD's training: every stage killed and resumed, stages alone, terms that a setting switches off."""
import json
import os
import shutil
import signal

import pytest
import torch

from cases.kind.extras import convert
from cases.kind.model import KinD
from common.base import paths
from common.data.samples import build
from common.experiment import checkpoints

SHORT = ["--demo", "train.steps=6", "train.save_every=2", "train.log_every=2", "train.validate_every=6",
         "train.validate_pictures=1", "model.channels=2"]

# Trains with a trap: death by SIGKILL after a step of a stage, "restore 3".
TRAPPED = """
import os, runpy, signal, sys
sys.path[0] = os.getcwd()
import common.experiment.training
stage, step = os.environ["TRAP"].split()
original = common.experiment.training.Training._after_step
def after_step(self, *arguments):
    original(self, *arguments)
    if (self.stage, self.step) == (stage, int(step)):
        os.kill(os.getpid(), signal.SIGKILL)
common.experiment.training.Training._after_step = after_step
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what a training needs, so that results stay out of the real folders."""
    folder = tmp_path_factory.mktemp("kind")
    for name in ("cases", "common", "configs"):
        shutil.copytree(paths.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(build("LOL"), folder / "datasets/sample/LOL")
    return folder


@pytest.fixture(scope="module")
def train(clone, processes):
    """train(*words) trains there; returns the finished process. trap: see TRAPPED."""
    def run(*words, trap=None):
        command = [*(["-c", TRAPPED] if trap else []), str(clone / "cases/kind/train.py"), *SHORT, *words]
        environment = os.environ | {"TRAP": trap or "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(clone)}
        return processes.run(command, clone, environment)
    return run


def manifest(clone, name):
    return json.loads((clone / "results/kind" / name / "manifest.json").read_text())


@pytest.mark.slow
def test_a_kill_in_every_stage_changes_nothing(clone, train):
    done = train("--name", "whole")
    assert done.returncode == 0, done.stderr[-3000:]
    for trap in ("decompose 6", "restore 1", "restore 5", "adjust 1", "adjust 4", "joint 2", "joint 3"):
        done = train("--name", "killed", trap=trap)
        assert done.returncode == -signal.SIGKILL, (trap, done.stdout, done.stderr[-2000:])
    done = train("--name", "killed")
    assert done.returncode == 0, done.stderr[-3000:]
    assert manifest(clone, "whole") == manifest(clone, "killed")
    states = [checkpoints.load(clone / "checkpoints/kind" / name / "last.pt")["weights"]
              for name in ("whole", "killed")]
    assert checkpoints.digest(states[0]) == checkpoints.digest(states[1])
    log = (clone / "results/kind/whole/train/log.jsonl").read_text().splitlines()
    stages = [json.loads(line)["stage"] for line in log]
    assert list(dict.fromkeys(stages)) == ["decompose", "restore", "adjust", "joint"]


@pytest.mark.slow
def test_each_stage_leaves_the_other_networks_alone(clone, train):
    """One stage after the other, each on the weights of the one before; only its own network moves."""
    before, file = None, None
    for stage, moved in (("decompose", {"decomposition"}), ("restore", {"restoration"}),
                         ("adjust", {"adjustment", "automatic"}), ("joint", {"restoration", "adjustment"})):
        done = train("--name", stage, f"stage={stage}", *(["--weights", str(file)] if file else []))
        assert done.returncode == 0, done.stderr[-3000:]
        file = clone / "checkpoints/kind" / stage / "last.pt"
        now = checkpoints.load(file)["weights"]
        if before:
            changed = {key.split(".")[0] for key in now if not torch.equal(now[key], before[key])}
            assert changed == moved, stage
        before = now


def test_the_guess_alone_is_fitted_to_pairs_and_photographs(clone, train, tmp_path):
    torch.manual_seed(0)
    checkpoints.save(tmp_path / "start.pt", {"case": "kind", "model": {"channels": 2}, "settings": {},
                                             "weights": KinD(channels=2).state_dict()})
    photographs = clone / "datasets/sample/LOL/our485/high"
    found = []
    for name, words in (("lol", []), ("mixed", [f"data.photographs=[{photographs}]", "restore.patch=40",
                                                "joint.patch=40", "decompose.patch=40"])):
        done = train("--name", name, "stage=guess", "--weights", str(tmp_path / "start.pt"), f"data.kind={name}",
                     *words)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(checkpoints.load(clone / "checkpoints/kind" / name / "best.pt")["weights"])
    start = checkpoints.load(tmp_path / "start.pt")["weights"]
    for weights in found:
        changed = {key.split(".")[0] for key in start if not torch.equal(weights[key], start[key])}
        assert changed == {"automatic"}
    assert not torch.equal(found[0]["automatic.weight"], found[1]["automatic.weight"])


def test_the_share_alone_is_fitted_to_photographs(clone, train, tmp_path):
    torch.manual_seed(0)
    checkpoints.save(tmp_path / "start.pt", {"case": "kind", "model": {"channels": 2}, "settings": {},
                                             "weights": KinD(channels=2).state_dict()})
    start = ["stage=share", "--weights", str(tmp_path / "start.pt")]
    done = train("--name", "refused", *start)
    assert done.returncode == 2 and "data.kind=mixed was expected" in done.stderr
    done = train("--name", "share", *start, "data.kind=mixed", "restore.patch=40", "joint.patch=40",
                 "decompose.patch=40", f"data.photographs=[{clone / 'datasets/sample/LOL/our485/high'}]")
    assert done.returncode == 0, done.stderr[-3000:]
    found = checkpoints.load(clone / "checkpoints/kind/share/best.pt")["weights"]
    before = checkpoints.load(tmp_path / "start.pt")["weights"]
    assert {key.split(".")[0] for key in before if not torch.equal(found[key], before[key])} == {"share"}


def test_a_restoration_on_the_official_decomposition(clone, train, shared, tmp_path):
    folder = shared("weights/kind")
    convert.main([str(folder / "decomposition.npz"), str(folder / "adjustment.npz"), "-o",
                  str(tmp_path / "official.pt")])
    done = train("--name", "restored", "stage=restore", "--weights", str(tmp_path / "official.pt"))
    assert done.returncode == 0 and "starting from adjustment, decomposition of" in done.stdout, done.stderr[-3000:]
    found = checkpoints.load(clone / "checkpoints/kind/restored/best.pt")
    official = checkpoints.load(tmp_path / "official.pt")["weights"]
    assert found["model"]["restoration"] == "unet"
    assert all(torch.equal(found["weights"][key], value) for key, value in official.items())


def test_an_unfinished_file_is_no_start(clone, train):
    done = train("--name", "bad", "stage=restore", "--weights", "nothing-here")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
