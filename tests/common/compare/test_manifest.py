"""What was never finished, saved again or converted on its way accuses nobody."""
import json
import shutil
from pathlib import Path

import pytest
from handed_in import copy, edit, make_root, make_run

from common.base.paths import ROOT
from common.compare.judge import Options, judge
from common.compare.manifest import check_manifest
from common.compare.submission import Submission
from common.experiment.results import write_text

CASES = ROOT.parent / "shared" / "cases"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a run")
    return make_run(folder / "run", make_root(folder / "data"))


def judged(reference, submission, **options):
    reference = Submission(reference)
    parts = {"train", *(f"test/{name}" for name in reference.sets)}
    return judge(reference, Submission(submission, parts), Options(**options))


def forget(run, part):
    """Take a part's lines out of the manifest, as scripts do before they put a new one in its place."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = [entry for entry in manifest["files"] if not entry["path"].startswith(part + "/")]
    path.write_text(json.dumps(manifest))
    return run


# ---- begun and never finished ----

@pytest.mark.parametrize("part", ["train", "test/val"])
def test_a_part_without_a_line_in_the_manifest_is_unfinished(run, part):
    judgement = judged(run, forget(copy(run, "unfinished"), part))
    assert judgement.verdict == "unfinished" and f"{part} was begun and never finished" in judgement.reasons


@pytest.mark.parametrize("log", ["", '{"stage": "train", "step": 2, "loss": 0.5}\n',
                                 '{"stage": "train", "step": 3, "loss": 0.5}\n{"stage": "tr'])
def test_a_training_begun_in_the_place_of_a_finished_one_is_unfinished(run, log):
    """As runs were written before: settings and log overwritten, the manifest still that of the old ones."""
    other = edit(copy(run, "overwritten"), "train/config.yaml", "seed: 0", "seed: 5")
    write_text(other / "train/log.jsonl", log)
    judgement = judged(run, other)
    assert judgement.verdict == "unfinished" and "train was begun and never finished" in judgement.reasons


def test_an_edited_log_is_tampered(run):
    other = edit(copy(run, "edited log"), "train/log.jsonl", '"step": 3, "loss": 0.', '"step": 3, "loss": 0.1')
    judgement = judged(run, other)
    assert judgement.verdict == "tampered" and "train/log.jsonl" in judgement.reasons[0]


def test_an_unfinished_part_excuses_no_other(run):
    other = forget(copy(run, "unfinished and edited"), "train")
    edit(other, "test/val/metrics.json", '"count": 3', '"count": 4')
    assert judged(run, other).verdict == "tampered"


@pytest.mark.parametrize("part", ["train", "figures", "test/val"])
def test_what_is_being_made_anew_is_a_note(run, part):
    other = copy(run, "anew")
    place = other / part
    write_text(place.with_name(f".{place.name}.new") / "metrics.json", "{}")
    judgement = judged(run, other)
    assert judgement.verdict == "identical" and any(f"not finished ({part})" in note for note in judgement.notes)


def test_an_unfinished_test_that_nobody_asked_for_is_a_note(run):
    other = copy(run, "another set")
    write_text(other / "test/mine/items.csv", "item\n")
    judgement = judged(run, other)
    assert judgement.verdict == "identical" and any("test/mine" in note for note in judgement.notes)


# ---- figures ----

def test_a_figure_saved_again_and_figures_not_handed_in_are_notes(run):
    resaved = edit(copy(run, "resaved"), "figures/training.csv", "0.020000", "0.02")
    deleted = copy(run, "deleted")
    shutil.rmtree(deleted / "figures")
    for other, said in ((resaved, "saved again"), (deleted, "not handed in")):
        judgement = judged(run, other)
        assert judgement.verdict == "same" and not judgement.reasons
        assert any(said in note and "training.csv" in note for note in judgement.notes)
        assert not check_manifest(Submission(other)).decides              # good enough for a reference
        assert judged(run, other, exact=True).verdict == "different"      # but not to the letter


# ---- line ends ----

def convert(run, change):
    """All texts of a run as a transfer changes them."""
    for path in run.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".csv", ".yaml"):
            path.write_bytes(change(path.read_bytes()))
    return run


@pytest.mark.parametrize("change", [lambda data: data.replace(b"\n", b"\r\n"), lambda data: b"\xef\xbb\xbf" + data,
                                    lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
                                    lambda data: data.replace(b"\n", b"\r")])
def test_converted_line_ends_are_the_same_text(run, change):
    other = convert(copy(run, "converted"), change)
    judgement = judged(run, other, exact=True)
    assert judgement.verdict == "identical" and not judgement.reasons
    assert any("line ends converted" in note and "items.csv" in note for note in judgement.notes)
    assert judged(other, run, exact=True).verdict == "identical"


def test_an_edit_is_found_under_converted_line_ends(run):
    other = edit(copy(run, "converted edit"), "test/val/metrics.json", '"count": 3', '"count": 4')
    judgement = judged(run, convert(other, lambda data: data.replace(b"\n", b"\r\n")))
    assert judgement.verdict == "tampered" and "metrics.json" in judgement.reasons[0]
    assert "items.csv" not in judgement.reasons[0]


# ---- the runs that brought it out ----

def around(folder, name):
    """A Submission of files that were kept of a run, beside a manifest with no more than their lines."""
    kept = [path.relative_to(folder).as_posix() for path in folder.rglob("*")
            if path.is_file() and path.name not in ("README", "manifest.json")]
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [entry for entry in manifest["files"] if entry["path"] in kept]
    shutil.copytree(folder, name)
    (name / "manifest.json").write_text(json.dumps(manifest))
    return check_manifest(Submission(name))


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not here")
def test_the_runs_that_brought_it_out(tmp_path):
    vouched = around(CASES / "train_fresh_interrupted", tmp_path / "train")
    assert vouched.unfinished and not vouched.tampered
    vouched = around(CASES / "figures_interrupted" / "fk", tmp_path / "figures")
    assert not vouched.decides and any("figures" in note for note in vouched.notes)
    (tmp_path / "resaved").mkdir()
    shutil.copytree(CASES / "figures_resaved", tmp_path / "resaved", dirs_exist_ok=True)
    (tmp_path / "resaved" / "figures").mkdir()
    Path(tmp_path / "resaved/classes.csv").rename(tmp_path / "resaved/figures/classes.csv")
    vouched = around(tmp_path / "resaved", tmp_path / "again")
    assert not vouched.decides and any("classes.csv" in note for note in vouched.notes)
