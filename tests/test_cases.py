"""What holds for every case found: train, be killed, go on, test, draw; the same bytes twice; two processes. A dozen
steps each."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import LONGEST, Processes
from test_elsewhere import REFUSED

from common.base.paths import ROOT, all_cases
from common.data.samples import STAMP, build, stamp
from common.experiment.device import commit
from common.metrics import METRICS

SHORT = ["train.steps=12", "train.save_every=3", "train.log_every=2", "train.validate_every=4", "workers=0"]
SMALLER = {"kind": ["train.validate_pictures=1"], "udis": ["train.batch_size=2"],
           "view_free_stitch": ["train.batch_size=4", "test.count=3"],
           "image_prior": ["figures.steps=12"], "vgg19_style": ["figures.steps=20"],
           "siamfc": ["train.validate_frames=4", "test.names=[-GOT-10k_Val_000003]",
                      "test.trackers=[siamfc,klt,mosse,static]"]}                   # than the demo
FEWER = {"sample/LOL/eval15/*": 3, "sample/UDIS-D/testing/*": 2, "embedded/clips/*/img": 12}     # files that are kept


def words(case, script, *others):
    """The words of every run: the demo's settings, for a training a dozen steps of them; others replace those of the
    same key."""
    keys = [other.partition("=")[0] for other in others]
    usual = ["--demo", *SMALLER.get(case, []), *(SHORT if script == "train" else [])]
    return [word for word in usual if word.partition("=")[0] not in keys] + list(others)

# Runs a script with a trap: TRAP is "step N SIGNAL" (a signal to itself after step N; "... group": to its workers as
# well) or "write N" (death in the middle of the N-th write of last.pt, when half of it is in the temporary file).
TRAPPED = """
import os, runpy, signal, sys, time
sys.path[0] = os.getcwd()
import common.experiment.checkpoints, common.base.files, common.experiment.training
kind, number, *rest = os.environ["TRAP"].split()
if kind == "step":
    original = common.experiment.training.Training._after_step
    def after_step(self, *arguments):
        if self.step == int(number):
            (os.killpg if "group" in rest else os.kill)(os.getpid(), getattr(signal, rest[0]))
            time.sleep(1 if "group" in rest else 0)             # long enough to hear of a worker that died
        original(self, *arguments)
    common.experiment.training.Training._after_step = after_step
else:
    count, whole = [0], common.experiment.checkpoints.write_whole
    def write_whole(path, data):
        count[0] += path.name == "last.pt"
        if path.name == "last.pt" and count[0] == int(number):
            common.base.files.part_of(path).write_bytes(data[:len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(path, data)
    common.experiment.checkpoints.write_whole = write_whole
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of the project in a folder with a space in its name, with the sample data built, FEWER of them: results of
    tests stay out of the real one."""
    folder = tmp_path_factory.mktemp("a clone")
    for name in ("cases", "common", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("checkpoints/*/release*.pt"):
        (folder / "checkpoints" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "checkpoints" / path.parent.name)
    if (ROOT / "checkpoints" / "SHA256SUMS").exists():
        shutil.copy(ROOT / "checkpoints" / "SHA256SUMS", folder / "checkpoints")
    build()
    for name in ("sample", "embedded"):
        shutil.copytree(ROOT / "datasets" / name, folder / "datasets" / name)
    for pattern, count in FEWER.items():
        for place in (folder / "datasets").glob(pattern):
            for path in sorted(place.iterdir())[count:]:
                path.unlink()
    for whole in (folder / "datasets/sample").iterdir():                                # or it would be built anew
        (whole / STAMP).write_text(stamp(whole), encoding="utf-8", newline="\n")
    return folder


@pytest.fixture(scope="session")
def script(clone, processes):
    """script(case, name, *others) runs a script of a case in the clone, see words(); returns the finished process (text
    output).

    trap: see TRAPPED. started: "forked" (tests/processes.py), "apart": so, too, with another seed of Python's hashes,
    "afresh", "in two", by torchrun, or "spawning": with processes of its own as Windows and macOS start them.
    """
    apart = Processes()
    (clone / "spawning").mkdir()                             # Python reads it before a script, in every process
    (clone / "spawning/sitecustomize.py").write_text("import multiprocessing\n"
                                                     "multiprocessing.set_start_method('spawn')\n")

    def run(case, name, *others, trap=None, started="forked"):
        command = [*(["-c", TRAPPED] if trap else []), str(clone / "cases" / case / f"{name}.py"),
                   *words(case, name, *others)]
        environment = os.environ | {"TRAP": trap or "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(clone)}
        if started == "spawning":
            environment["PYTHONPATH"] = os.pathsep.join([str(clone / "spawning"), str(clone)])
        if started in ("forked", "apart"):
            return (processes if started == "forked" else apart).run(command, clone, environment)
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
        command = [sys.executable, *(torchrun if started == "in two" else []), *command]
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=LONGEST)
    yield run
    apart.close()


def succeed(done):
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def manifest(clone, case, run):
    return json.loads((clone / "results" / case / run / "manifest.json").read_text())


@pytest.fixture(scope="session", params=all_cases())
def trained(request, clone, script):
    """(clone, case) with a run `never-stopped` trained, tested and drawn, by processes with other hash seeds than those
    of the rest."""
    for name in ("train", "test", "figures"):
        succeed(script(request.param, name, "--name", "never-stopped", started="apart"))
    return clone, request.param


@pytest.mark.slow
def test_killed_and_resumed_is_never_stopped(trained, script):
    """SIGKILL at moments that the commit draws, with other workers each time: for one case, drawn too, before the first
    checkpoint, inside a checkpoint's write and at three steps; for each other inside the write and at one step."""
    clone, case = trained
    draw = random.Random(commit(ROOT) or 0)
    steps = sorted(draw.sample(range(4, 12), 3))
    whole = case == draw.choice(all_cases())
    traps = [f"step {step} SIGKILL" for step in ([1, *steps] if whole else steps[:1])] + ["write 2"]
    draw.shuffle(traps)
    for number, trap in enumerate(traps):
        done = script(case, "train", f"workers={number % 3}", "--name", "killed", trap=trap)
        # an early trap may lie behind the checkpoint
        reached = "this run is finished" in done.stdout or done.returncode == 0
        assert done.returncode == -signal.SIGKILL or reached, (trap, done.returncode, done.stderr[-3000:])
    succeed(script(case, "train", "--name", "killed"))
    compare_training(clone, case, "killed")
    assert not list((clone / "checkpoints" / case / "killed").glob(".*")), "left-over parts of files"


@pytest.mark.parametrize(("number", "status"), [pytest.param("SIGINT", 130, marks=pytest.mark.slow), ("SIGTERM", 143)])
def test_a_signal_ends_the_step_and_saves(trained, script, number, status):
    """As a terminal's Ctrl-C and a scheduler's SIGTERM come: to every process of the group, the loader's workers
    too."""
    clone, case = trained
    done = script(case, "train", "workers=1", "--name", number, trap=f"step 5 {number} group")
    assert done.returncode == status, done.stderr[-3000:]
    assert "after step 5" in done.stdout
    again = succeed(script(case, "train", "--name", number))
    assert "going on at step 5" in again.stdout
    compare_training(clone, case, number)


def compare_training(clone, case, run):
    """The run has the judged bytes and the weights of never-stopped."""
    here, there = manifest(clone, case, run), manifest(clone, case, "never-stopped")
    assert here["weights"]["train"] == there["weights"]["train"]
    files = {entry["path"]: entry["sha256"] for entry in there["files"] if entry["path"].startswith("train/")}
    assert {entry["path"]: entry["sha256"] for entry in here["files"]} == files
    assert "train/log.jsonl" in files and "train/config.yaml" in files


@pytest.fixture(scope="session")
def second(trained, script):
    """(clone, case) in which the same commands have made another run, `second`."""
    clone, case = trained
    for name in ("train", "test", "figures"):
        succeed(script(case, name, "--name", "second"))
    return trained


@pytest.mark.slow
def test_two_names_same_judged_bytes(second):
    first, again = manifest(*second, "never-stopped"), manifest(*second, "second")
    assert first == again
    parts = {entry["path"].split("/")[0] for entry in first["files"]}
    assert parts == {"train", "test", "figures"}


def compare(processes, clone, case, *words):
    """common.compare of runs of the case, `never-stopped` being the reference; returns the finished process."""
    command = ["-m", "common.compare", f"results/{case}/never-stopped", *words]
    return processes.run(command, clone, os.environ | {"PYTHONPATH": str(clone)})


@pytest.mark.slow
def test_compare_tells_runs_apart(second, script, processes):
    """The same seed is identical; another one is not exactly so, with a metric and the seed named; a changed byte in a
    picture is found."""
    clone, case = second
    assert "second: identical" in succeed(compare(processes, clone, case, f"results/{case}/second")).stdout
    for name in ("train", "test"):
        succeed(script(case, name, "seed=1", "--name", "other"))
    done = compare(processes, clone, case, f"results/{case}/other", "--exact")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "seed = 1 instead of 0" in done.stdout and "decides: " in done.stdout, done.stdout
    edited = Path(shutil.copytree(clone / "results" / case / "second", clone / "results" / case / "edited"))
    picture = next(edited.glob("test/*/images/*/*"))
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)
    done = compare(processes, clone, case, f"results/{case}/edited")
    assert done.returncode == 1 and "edited: tampered" in done.stdout and picture.name in done.stdout, done.stdout


def test_finished_and_changed(trained, script):
    """A finished run says so; other settings are refused and change nothing; --fresh begins again."""
    clone, case = trained
    before = manifest(clone, case, "never-stopped")
    done = succeed(script(case, "train", "--name", "never-stopped"))
    assert "finished" in done.stdout
    done = script(case, "train", "train.steps=13", "--name", "never-stopped")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--fresh" in done.stderr and "train.steps" in done.stderr
    assert manifest(clone, case, "never-stopped") == before


FAST = ["stage=fast", "train.crop=64", "train.batch_size=2", "train.validate_pictures=1", "data.size=96"]
LOADERS = {case: [] for case in all_cases()} | {"vgg19_style fast": FAST}        # its demo loads no photographs


@pytest.mark.slow
@pytest.mark.parametrize("training", LOADERS)
def test_loaders_work_where_processes_are_spawned(clone, script, training):
    """As Windows and macOS start them; with the numbers of a training without workers."""
    case, short = training.split()[0], ["train.steps=2", "train.log_every=1", "train.validate_every=2", "--fresh"]
    for name, workers in (("alone", 0), ("spawned", 1)):
        succeed(script(case, "train", *short, *LOADERS[training], f"workers={workers}", "--name", name,
                       started="spawning" if workers else "forked"))
    assert manifest(clone, case, "spawned") == manifest(clone, case, "alone")


@pytest.mark.slow
def test_two_processes(trained, script):
    clone, case = trained
    succeed(script(case, "train", "--name", "two", started="in two"))
    log = (clone / "results" / case / "two" / "train" / "log.jsonl").read_text().splitlines()
    alone = (clone / "results" / case / "never-stopped" / "train" / "log.jsonl").read_text().splitlines()
    assert len(log) == len(alone)
    for line in log:                                         # json refuses what is not finite only when asked: ask
        assert all(abs(value) < 1e9 for value in json.loads(line).values() if isinstance(value, float)), line


def test_results_are_what_the_contract_says(trained):
    clone, case = trained
    folder = clone / "results" / case / "never-stopped"
    for entry in manifest(clone, case, "never-stopped")["files"]:
        assert (folder / entry["path"]).stat().st_size == entry["size"]
    for path in [*folder.rglob("*"), *(clone / "checkpoints" / case).rglob("*")]:
        assert not REFUSED.search(path.name), f"Windows refuses this name: {path}"
    for metrics in folder.glob("test/*/metrics.json"):
        for row, values in json.loads(metrics.read_text()).items():
            assert "count" in values and {*values} - {"by", "left_out"} <= {*METRICS}, row
        assert (metrics.parent / "items.csv").read_text().startswith("item,row,status,reason,image,reference,")
    listed = json.loads((folder / "figures" / "figures.json").read_text())
    assert listed
    for entry in listed:
        assert (folder / "figures" / entry["file"]).stat().st_size > 1000
        assert (folder / "figures" / entry["csv"]).read_text().count("\n") > 1
        assert all(entry[key][language].strip() for key in ("title", "alt") for language in ("en", "zh"))


def test_mistakes_have_one_message(trained, script, tmp_path):
    clone, case = trained
    broken = tmp_path / "page.pt"
    broken.write_text("<!DOCTYPE html><html>not found</html>")
    for mistake, expected in [(["train.stepz=3"], "train.steps"), (["train.steps=many"], "train.steps"),
                              (["seed=1", "seed=2"], "twice"),
                              (["--weights", str(broken)], "web page"), (["--weights", "nothing-here"], "release"),
                              (["--device", "toaster"], "--device"), (["--name", "../up"], "--name"),
                              (["preset=no-such"], "preset")]:
        done = script(case, "test" if "--weights" in mistake else "train", *mistake)
        assert done.returncode == 2, (mistake, done.stdout, done.stderr)
        assert done.stderr.startswith("error: ") and expected in done.stderr, (mistake, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_from_another_working_directory(trained, tmp_path):
    """Afresh, and without torch's compiler, whose import takes longer than all others."""
    clone, case = trained
    command = [sys.executable, "-X", "importtime", str(clone / "cases" / case / "test.py"),
               *words(case, "test", "--name", "never-stopped")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    succeed(done)
    assert not list(Path(tmp_path).iterdir())
    assert "torch.nn.functional" in done.stderr and "torch._dynamo" not in done.stderr
