"""What a machine refuses, really refused: a checkout without the right to write, a full disk, little shared memory."""
import contextlib
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from processes import needs_rights
from test_run import Toy, folders, state, train  # noqa: F401

from common.base.errors import UserError
from common.base.files import append
from common.base.paths import CHECKPOINTS, EMBEDDED, ROOT, all_cases
from common.data import video
from common.experiment import figures, sampling
from common.experiment.sampling import Places, load_batches

resource = pytest.importorskip("resource", reason="limits of POSIX")

SOURCES = {"udis": ["panoramas/front_1.jpg", "panoramas/front_2.jpg"], "siamfc": ["clips/car"],
           "view_free_stitch": ["panoramas/front_1.jpg", "panoramas/front_2.jpg"]}
MORE = {"siamfc": ["--box", "9,9,40,40"],
        "vgg19_style": ["--style", EMBEDDED / "paintings/the_scream.jpg", "train.steps=2", "data.size=64"]}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project in which nothing may be written."""
    folder = tmp_path_factory.mktemp("lent") / "checkout"
    for name in ("cases", "common", "configs"):
        shutil.copytree(ROOT / name, folder / name)          # with what Python has compiled, which it could not keep
    for path in [*ROOT.glob("checkpoints/*/release*.pt"), ROOT / "checkpoints/SHA256SUMS"]:
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    (folder / "results").mkdir()
    places = [folder, *folder.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in places:
        path.chmod(0o755)


@needs_rights
@pytest.mark.parametrize("case", [case for case in all_cases() if any(CHECKPOINTS.glob(f"{case}/release*.pt"))])
def test_a_checkout_that_cannot_be_written_serves_output_elsewhere(checkout, tmp_path, processes, case):
    Image.open(EMBEDDED / "photos/coffee.jpg").resize((96, 64)).save(tmp_path / "small.png")
    sources = [EMBEDDED / name for name in SOURCES.get(case, [])] or [tmp_path / "small.png"]
    output = tmp_path / ("out.webm" if case == "siamfc" else "out")
    command = [checkout / "cases" / case / "test.py", "--weights", "release", "--input", *sources, "--output", output,
               *MORE.get(case, [])]
    if case == "vgg19_style":
        command[1:3] = []
    usual = {"folder": tmp_path, "environment": os.environ | {"OMP_NUM_THREADS": "1"}, "bound": True}
    done = processes.run(command, **usual)
    assert done.returncode == 0, done.stderr
    assert "cannot be written (Permission denied): only --output will be" in done.stderr
    assert output.exists() and not any((checkout / "results").iterdir())
    assert "/tmp" not in done.stdout.replace(str(tmp_path), ""), "no place is named that is gone now"
    done = processes.run(command[:command.index("--output")], **usual)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@contextlib.contextmanager
def full_after(size):
    """As on a full disk, no file grows beyond size bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_does_not_fit_is_one_message(tmp_path):
    with full_after(10), pytest.raises(UserError, match="cannot write .File too large.*log.jsonl"):
        append(tmp_path / "log.jsonl", "a line of more than ten bytes\n")


def test_a_training_goes_on_when_there_is_room_again(folders, capsys):  # noqa: F811   capsys: no file takes the output
    train("--name", "whole")
    with pytest.raises(RuntimeError):
        train("--name", "full", stop=5)
    log = folders / "results/msrnet/full/train/log.jsonl"
    size = max(log.stat().st_size, (log.parent / "config.yaml").stat().st_size)
    with full_after(size), pytest.raises(UserError, match="cannot write .File too large"):
        train("--name", "full")
    train("--name", "full")
    assert state(folders, "full") == state(folders, "whole")


def test_figures_that_do_not_fit_leave_the_earlier_ones(tmp_path):
    caption = figures.Caption(None, "a", "b", "c", "d")
    for size in (10 ** 6, 1000):
        folder = figures.FigureFolder(tmp_path, {"one": caption})
        with full_after(size), contextlib.nullcontext() if size > 1000 else pytest.raises(UserError, match="too large"):
            folder.save(figures.new_figure(3, 2)[0], "one", ["x"], [[1]])
            folder.finish()
    assert (tmp_path / "figures/one.png").stat().st_size > 1000


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_video_that_does_not_fit_is_none(tmp_path, suffix):
    """OpenCV goes on without a word and leaves what no player opens."""
    draw = np.random.default_rng(0)
    with pytest.raises(UserError, match="could not be written whole.*film.*30 frames"), full_after(5_000), \
            video.writing(tmp_path / f"film{suffix}", 25, (64, 48)) as write:
        for _ in range(30):
            write(draw.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def batches(workers):
    return [batch.x for batch in load_batches(Toy(), Places(5, 2, 0, 0, 4), workers)]


@pytest.mark.parametrize(("free", "said"), [(1 << 30, False), (50, True)])
def test_little_shared_memory_means_no_workers(tmp_path, monkeypatch, capsys, free, said):
    usual = batches(0)
    monkeypatch.setattr(sampling, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(sampling.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(free))
    used, loader = [], sampling.DataLoader

    def count(*data, **how):
        used.append(how["num_workers"])
        return loader(*data, **how)
    monkeypatch.setattr(sampling, "DataLoader", count)
    assert all(map(torch.equal, batches(2), usual)) and used == [0 if said else 2]
    assert ("too small for the batches of 2 worker processes" in capsys.readouterr().err) == said
