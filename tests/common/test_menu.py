"""The menu: figures of every case that has a run, and what it says of those that have none."""
import pytest

from common import menu
from common.base import paths
from common.base.errors import start
from common.experiment.results import write_json, write_text

SCRIPT = """
import json, os, sys
from pathlib import Path
words = sys.argv[1:]
folder = Path(__file__).resolve().parents[2] / "results" / Path(__file__).parent.name
with open(folder.parent / "calls.txt", "a") as file:
    file.write(" ".join([folder.name, *words]) + "\\n")
if "fail" in words:
    sys.exit(3)
name = next(word.partition("=")[2] for word in words if word.startswith("--name="))
(folder / name / "figures").mkdir(exist_ok=True)
text = {"en": "a", "zh": "b"}
entries = [{"file": f"{number}.png", "number": None, "title": text, "alt": text} for number in range(2)]
for entry in entries:
    (folder / name / "figures" / entry["file"]).write_bytes(b"")
(folder / name / "figures" / "figures.json").write_text(json.dumps(entries))
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Three cases: alpha and beta with runs, gamma without."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for case in ("alpha", "beta", "gamma"):
        write_text(tmp_path / "cases" / case / "model.py", "")
        write_text(tmp_path / "cases" / case / "figures.py", SCRIPT)
    for run in ("alpha/default", "alpha/mine", "beta/demo"):
        write_json(tmp_path / "results" / run / "test/val/metrics.json", {"gt_free": {"psnr": 20.0, "count": 1}})
    return tmp_path


def calls(root):
    path = root / "results/calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_all_figures_of_what_there_is_and_the_command_for_what_is_not(repository, capfd):
    write_text(repository / "checkpoints/gamma/release.pt", "")
    assert start(menu.main, ["figures"]) == 1
    assert calls(repository) == ["alpha --name=default", "beta --name=demo --demo"]
    out, err = capfd.readouterr()
    lines = out.strip().splitlines()[-3:]
    assert [line.split()[:2] for line in lines[:2]] == [["alpha", "default"], ["beta", "demo"]]
    assert all(line.endswith("2 figures") and " s " in line for line in lines[:2])
    assert lines[2].startswith("gamma") and "python cases/gamma/test.py --name check --weights release" in lines[2]
    assert "gamma" in err and "alpha" not in err


def test_case_name_and_words_narrow_it(repository, capfd):
    assert start(menu.main, ["figures", "--case", "alpha", "--name", "mine", "data.root=/x"]) == 0
    assert calls(repository) == ["alpha --name=mine data.root=/x"]
    assert "mine" in capfd.readouterr().out.splitlines()[-1]
    assert start(menu.main, ["figures", "--case", "beta", "--demo"]) == 0
    assert calls(repository)[1:] == ["beta --name=demo --demo"]


def test_a_name_that_only_some_cases_have_draws_those(repository, capfd):
    assert start(menu.main, ["figures", "--name", "mine"]) == 1
    assert calls(repository) == ["alpha --name=mine"]
    out = capfd.readouterr().out
    assert "beta has no run 'mine': expected one of demo" in out and "python cases/beta/train.py --name mine" in out


@pytest.mark.parametrize("words, command", [
    (["--case", "gamma"], "python cases/gamma/train.py --name check, then python cases/gamma/test.py --name check"),
    (["--case", "gamma", "--demo"], "python -m common.menu demo --case gamma"),
    (["--case", "alpha", "--name", "mien"], "expected one of default, mine")])
def test_a_single_case_without_the_run_is_the_users_mistake(repository, capfd, words, command):
    assert start(menu.main, ["figures", *words]) == 2
    assert command in capfd.readouterr().err and not calls(repository)


def test_a_script_that_fails_is_said_and_the_others_go_on(repository, capfd):
    assert start(menu.main, ["figures", "--case", "alpha", "fail"]) == 3, "a single case's own status"
    assert start(menu.main, ["figures", "fail"]) == 1
    assert calls(repository)[1:] == ["alpha --name=default fail", "beta --name=demo --demo fail"]
    out, err = capfd.readouterr()
    assert "FAILED (3)" in out and "alpha, beta, gamma" in err


def test_a_damaged_run_does_not_stop_the_others(repository, capfd):
    write_text(repository / "results/alpha/default/environment.json", "{")
    assert start(menu.main, ["figures"]) == 1
    assert calls(repository) == ["beta --name=demo --demo"]
    assert "results/alpha/default/environment.json" in capfd.readouterr().out


def test_other_scripts_are_called_as_before(repository, capfd):
    for case in ("alpha", "beta", "gamma"):
        write_text(repository / "cases" / case / "train.py", SCRIPT)
    assert start(menu.main, ["train", "--case", "gamma", "--name", "new", "fail"]) == 3
    assert start(menu.main, ["train", "fail"]) == 1
    assert calls(repository) == ["gamma --name=new fail", "alpha fail", "beta fail", "gamma fail"]


DEMO_SCRIPT = SCRIPT.replace('next(word.partition("=")[2] for word in words if word.startswith("--name="))',
                             'words[words.index("--name") + 1] if "--name" in words else "demo"').replace(
    '.mkdir(exist_ok=True)', '.mkdir(parents=True, exist_ok=True)')


@pytest.fixture
def demo(repository, monkeypatch):
    """alpha has a release, beta has none; what is built is not in question here."""
    monkeypatch.setattr("common.data.samples.build", lambda: None)
    for case in ("alpha", "beta", "gamma"):
        write_text(repository / "configs" / f"{case}.yaml", "about:\n  title: T\n  picture: '1'\nseed: 0  # x\n")
        for script in ("train", "test", "figures"):
            write_text(repository / "cases" / case / f"{script}.py", DEMO_SCRIPT)
    write_text(repository / "checkpoints/alpha/release.pt", "")
    return repository


def test_the_demo_measures_the_release_beside_its_own_training(demo, capfd):
    assert start(menu.main, ["demo", "--case", "alpha"]) == 0
    release = "alpha --demo --fresh --name demo-release --weights release"
    assert calls(demo) == ["alpha --demo --fresh", "alpha --demo --fresh", release, release]
    assert start(menu.main, ["demo", "--case", "beta"]) == 0
    assert calls(demo)[4:] == ["beta --demo --fresh"] * 3, "without a release it draws what it has trained"
    out = capfd.readouterr().out
    assert str(demo / "results/alpha/demo-release/figures/1.png") in out, "the picture that about.picture names"


def test_the_demo_ends_with_one_page_and_a_picture_of_each_case(demo, capfd):
    assert start(menu.main, ["demo"]) == 0
    lines = capfd.readouterr().out.strip().splitlines()
    page = demo / "results/report.html"
    assert page.is_file() and str(page) in lines[-2] and str(page) in lines[-1] and "浏览器" in lines[-1]
    assert sum(line.strip().endswith(".png") for line in lines) == 3


def test_a_step_that_fails_is_said_and_the_report_is_written_all_the_same(demo, capfd):
    write_text(demo / "cases/beta/train.py", "raise SystemExit(5)")
    assert start(menu.main, ["demo"]) == 1
    out, err = capfd.readouterr()
    assert "FAILED (5)" in out and (demo / "results/report.html").is_file() and "did not end well" in err
    assert not any(line.startswith("beta") for line in calls(demo))
