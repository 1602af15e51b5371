"""What an interrupted script leaves: the earlier part whole, or a part of which the manifest says nothing."""
import json

import pytest
from test_run import folders, state, train  # noqa: F401

from common.base.errors import UserError
from common.base.files import beside, mend_place, take_place
from common.compare.judge import check_manifest
from common.compare.submission import Submission
from common.experiment import checkpoints, figures
from common.experiment.results import TestResults


def matches(folder):
    """Whether every file that the manifest of a run vouches for is what it says."""
    return check_manifest(Submission(folder))[0] == []


def vouched(folder, part):
    """The manifest's files of a part."""
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    return [entry["path"] for entry in entries if entry["path"].startswith(part)]


@pytest.mark.parametrize("stop", [1, 7], ids=["before the first checkpoint", "after one"])
def test_a_fresh_training_that_stops_leaves_the_finished_one(folders, stop):  # noqa: F811
    train("--name", "it")
    run, before = folders / "results/msrnet/it", state(folders, "it")
    with pytest.raises(RuntimeError):
        train("--name", "it", "--fresh", "seed=1", stop=stop)
    assert state(folders, "it") == before and matches(run) and vouched(run, "train/")


def test_a_fresh_training_goes_on_and_takes_the_place_at_its_end(folders, capsys):  # noqa: F811
    train("--name", "whole", "seed=1")
    train("--name", "it")
    with pytest.raises(RuntimeError):
        train("--name", "it", "--fresh", "seed=1", stop=7)
    train("--name", "it", "seed=1")
    assert "going on with the --fresh training" in capsys.readouterr().out
    assert state(folders, "it") == state(folders, "whole")
    assert matches(folders / "results/msrnet/it")
    assert not [path for path in folders.rglob(".*.new")] and not [path for path in folders.rglob(".*.old")]


@pytest.mark.parametrize("reached", [1, 2], ids=["the log's", "the weights'"])
def test_death_between_the_two_places_is_mended_by_the_same_command(folders, monkeypatch, reached):  # noqa: F811
    train("--name", "whole", "seed=1")
    train("--name", "it")
    places = []

    def dies(new, final):
        places.append(final)
        if len(places) == reached:
            raise RuntimeError("killed")
        take_place(new, final)
    monkeypatch.setattr("common.experiment.training.take_place", dies)
    with pytest.raises(RuntimeError):
        train("--name", "it", "--fresh", "seed=1")
    assert matches(folders / "results/msrnet/it"), "unfinished, but nothing is vouched for that is not so"
    monkeypatch.undo()
    monkeypatch.setattr("common.base.paths.RESULTS", folders / "results")
    monkeypatch.setattr("common.base.paths.CHECKPOINTS", folders / "checkpoints")
    train("--name", "it", "seed=1")
    assert state(folders, "it") == state(folders, "whole") and matches(folders / "results/msrnet/it")


def test_a_first_training_that_stops_is_vouched_for_by_nobody(folders):  # noqa: F811
    with pytest.raises(RuntimeError):
        train("--name", "it", stop=5)
    assert not (folders / "results/msrnet/it/manifest.json").exists()


def test_a_folder_comes_back_after_death_between_two_renamings(tmp_path):
    final, new = tmp_path / "figures", beside(tmp_path / "figures")
    final.mkdir()
    new.mkdir()
    final.rename(tmp_path / ".figures.old")
    mend_place(final)
    assert final.is_dir()
    take_place(new, final)
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_figures_that_stop_leave_the_earlier_ones(tmp_path):
    caption = figures.Caption(None, "a", "b", "c", "d")
    for end in (True, False):
        folder = figures.FigureFolder(tmp_path, {"one": caption, "two": caption})
        folder.save(figures.new_figure(3, 2)[0], "one", ["x"], [[1 if end else 2]])
        if end:
            folder.finish()
            (tmp_path / "figures" / "notes.txt").write_text("mine")
    assert matches(tmp_path) and vouched(tmp_path, "figures/") == ["figures/one.csv"]
    assert (tmp_path / "figures" / "one.csv").read_text() == "x\n1\n"
    folder.finish()
    assert (tmp_path / "figures" / "one.csv").read_text() == "x\n2\n" and matches(tmp_path)
    assert (tmp_path / "figures" / "notes.txt").read_text() == "mine", "what a reader has put there stays"


@pytest.mark.parametrize(("weights", "fits"), [("w", True), ("others", False)])
def test_figures_that_lack_their_data_leave_the_earlier_ones(tmp_path, capsys, weights, fits):
    """Of the same weights they stand beside the new ones; of others all stays as it was, and that is an error."""
    caption = figures.Caption(None, "a", "b", "c", "d")

    def draw(names, value, weights, keep=False):
        folder = figures.FigureFolder(tmp_path, {"one": caption, "two": caption})
        for name in names:
            folder.save(figures.new_figure(3, 2)[0], name, ["x"], [[value]])
        folder.finish(weights, keep)
    draw(["one", "two"], 1, "w")
    before = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    if fits:
        draw(["one"], 2, weights, keep=True)
        assert "kept as drawn before: two.png" in capsys.readouterr().out
        assert (tmp_path / "figures/one.csv").read_text() == "x\n2\n"
        assert (tmp_path / "figures/two.png").read_bytes() == before["two.png"]
        listed = json.loads((tmp_path / "figures/figures.json").read_text(encoding="utf-8"))
        assert [entry["file"] for entry in listed] == ["one.png", "two.png"]
        assert vouched(tmp_path, "figures/") == ["figures/one.csv", "figures/two.csv"]
    else:
        with pytest.raises(UserError, match="of other weights, and 1 of them cannot"):
            draw(["one"], 2, weights, keep=True)
        assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == before
    assert matches(tmp_path)


def test_a_test_that_goes_on_after_failures_and_stops_is_unfinished(tmp_path):
    def begin():
        return TestResults(tmp_path, "val", weights="w", settings={}, data="", rows=["network"], metrics=["psnr"])
    results = begin()
    results.fail("a", "it was damaged")
    results.finish(["a"])
    again = begin()
    assert vouched(tmp_path, "test/val/")
    again.add("a", {"network": ({"psnr": 20.0}, None)})
    assert matches(tmp_path) and not vouched(tmp_path, "test/val/")
    again.finish(["a"])
    assert matches(tmp_path) and vouched(tmp_path, "test/val/")


def test_weights_in_the_place_of_a_state_are_refused_and_stay(folders):  # noqa: F811
    train("--name", "it")
    last = folders / "checkpoints/msrnet/it/last.pt"
    content = checkpoints.load(last)
    checkpoints.save(last, {name: content[name] for name in ("case", "model", "weights")})
    before = last.read_bytes()
    with pytest.raises(UserError, match="no state of a training.*--weights"):
        train("--name", "it")
    assert last.read_bytes() == before


def test_a_full_disk_leaves_the_last_state(folders, monkeypatch):  # noqa: F811
    path = folders / "last.pt"
    checkpoints.save(path, {"step": 1}, keep_previous=True)

    def full(path, data):
        raise UserError("cannot write (No space left on device)")
    monkeypatch.setattr(checkpoints, "write_whole", full)
    with pytest.raises(UserError):
        checkpoints.save(path, {"step": 2}, keep_previous=True)
    assert checkpoints.read(path) == {"step": 1}
