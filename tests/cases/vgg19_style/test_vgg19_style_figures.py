"""vgg19_style's figures on narrow random networks: all from a tiny run, what is left out is said, each has numbers."""
import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_vgg19_style import write_small_set

from cases.vgg19_style import figures, test, train
from cases.vgg19_style.data import Work
from cases.vgg19_style.drawing import chapter
from cases.vgg19_style.drawing.captions import CAPTIONS
from cases.vgg19_style.fast.network import FastNetwork
from common.base import paths
from common.data.video import frames_of, open_film
from common.experiment import checkpoints
from common.experiment.figures import FigureFolder
from common.experiment.settings import Settings, resolve
from common.features import vgg_files

CHAPTER = {"B6.1_network", "layers", "filters", "networks", "weights", "sliders"}
PAINTED = {"styles_contents", "epochs", "curves", "best_worst"}


@pytest.fixture
def given(tmp_path, monkeypatch):
    """(folder, words): a content, two styles, a network, and the words for all three scripts; results go there too."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(vgg_files, "at_hand", lambda network: False)             # whatever lies on this machine
    write_small_set(tmp_path, (96, 64), (104, 80))
    return tmp_path, [f"network={tmp_path / 'net.pt'}", f"data.content={tmp_path / 'cat.png'}",
                      f"data.style={tmp_path / 'style'}", "data.size=80", "train.steps=6", "train.scales=2",
                      "train.epoch=2", "train.snapshots=[1,2]", "train.log_every=2", "workers=0", "figures.size=64",
                      "figures.steps=2"]


def drawn(folder):
    """{name: rows of its CSV} of a run's figures; each has a picture, numbers, whole captions in both languages."""
    found = {}
    for entry in json.loads((folder / "figures.json").read_text(encoding="utf-8")):
        assert (folder / entry["file"]).stat().st_size > 1000
        for said in ("title", "alt"):
            assert len(entry[said]["en"]) > 10 and "{" not in entry[said]["en"] + entry[said]["zh"]
            assert any("\u4e00" <= letter <= "\u9fff" for letter in entry[said]["zh"])
        with open(folder / entry["csv"], encoding="utf-8", newline="") as file:
            found[entry["file"].removesuffix(".png")] = list(csv.DictReader(file))
        assert found[entry["file"].removesuffix(".png")], entry
    return found


def test_all_figures_of_a_run(given, capsys):
    """After train.py and test.py nothing is missing; the film is not judged; the tables hold what test.py measured."""
    folder, words = given
    train.main(words)
    test.main(words)
    figures.main(words)
    run = folder / "results" / "vgg19_style" / "default"
    found = drawn(run / "figures")
    assert found.keys() == CHAPTER | PAINTED
    assert "left out" not in capsys.readouterr().out
    frames = list(frames_of(open_film(run / "figures" / "epochs.webm")))
    # content, two epochs, the result and its standing
    assert len(frames) == 1 + 2 + 1 + figures.HELD and frames[0].shape == (52, 80, 3)
    judged = {entry["path"] for entry in json.loads((run / "manifest.json").read_text())["files"]}
    assert {path for path in judged if path.startswith("figures/")} == {f"figures/{name}.csv" for name in found}
    with open(run / "test" / "cat" / "items.csv", newline="") as file:
        items = {line["item"]: float(line["style_distance"]) / float(line["style_distance_untouched"])
                 for line in csv.DictReader(file) if line["style_distance"]}
    left = {row["picture"]: float(row["style_left"]) for row in found["styles_contents"]}
    assert left == pytest.approx(items, abs=2e-6)
    status = {row["network"]: row["status"] for row in found["networks"]}
    assert status["vgg16"] == status["vgg19"] == "not run" and "run" in status.values(), "neither is on the machine"
    ends = [row["style_distance"] for row in found["epochs"] if row["epoch"] == "result"]
    assert len(ends) == 2 and {row["term"] for row in found["curves"]} >= {"content", "style"}


def test_what_is_missing_is_said_and_the_rest_drawn(given, capsys):
    """Without a run its figures are left out, with the commands that would make them; earlier figures are gone."""
    folder, words = given
    place = folder / "results" / "vgg19_style" / "empty" / "figures"
    place.mkdir(parents=True)
    (place / "epochs.png").write_bytes(b"old")
    figures.main([*words, "--name", "empty"])
    said = capsys.readouterr().out
    assert drawn(place).keys() == CHAPTER and not (place / "epochs.png").exists()
    assert "cases/vgg19_style/train.py --name empty" in said and "cases/vgg19_style/test.py --name empty" in said
    assert "the curves are left out" in said


def test_every_network_judges_every_picture(given):
    folder, words = given
    net = vgg_files.read(str(folder / "net.pt"))
    other = net._replace(name="other", digest="another")
    work = Work("illustration", folder / "cat.png", [folder / "style" / "tissue.png"], [1.0], [])
    place = FigureFolder(folder / "run", CAPTIONS)
    chapter.draw_networks(place, resolve("vgg19_style", words).config, [net, other], work, "cpu")
    place.finish()
    rows = [row for row in drawn(folder / "run" / "figures")["networks"] if row["status"] == "run"]
    assert {(row["network"], row["judge"]) for row in rows} >= {(a, b) for a in (net.name, "other")
                                                               for b in (net.name, "other")}
    assert all(float(row["style_distance"]) > 0 for row in rows)


def test_no_snapshots_no_strip(tmp_path):
    said, work = [], Work("cat__tissue__net", tmp_path / "cat.png", [tmp_path / "tissue.png"], [1.0], [])
    figures.draw_epochs(None, SimpleNamespace(trained=tmp_path, say=said.append), None,
                        [(work, np.zeros((8, 8, 3), np.uint8))])
    assert len(said) == 1 and "train.snapshots" in said[0]


def test_figures_of_a_network_that_paints_in_one_pass(given):
    folder, words = given
    torch.manual_seed(0)
    network = FastNetwork(width=2, styles=["tissue", "unknown"])
    place = folder / "checkpoints" / "vgg19_style" / "default"
    checkpoints.save(place / "last.pt", {"case": "vgg19_style", "model": {"width": 2, "styles": ["tissue", "unknown"]},
                                         "weights": network.state_dict()})
    figures.main([*words, "stage=fast"])
    found = drawn(folder / "results" / "vgg19_style" / "default" / "figures")
    assert found.keys() == {"B6.1_network", "network_fast", "fast_grid", "mixing"}
    measured = [(row["style"], bool(row["style_left"])) for row in found["fast_grid"]]
    assert measured == [("tissue", True), ("unknown", False)]
    assert len(found["network_fast"]) == 16


def test_the_diagram_says_what_is_known_of_vgg19(tmp_path):
    """Parameters up to conv4_1 and conv5_4, the pixels that their values see; taps as in the settings."""
    folder = FigureFolder(tmp_path, CAPTIONS)
    chapter.draw_network(folder, Settings(style_taps=["relu1_1", "relu4_1"], content_taps=["conv4_2"]))
    folder.finish()
    rows = {row["layer"]: row for row in drawn(tmp_path / "figures")["B6.1_network"]}
    assert {"parameters_to_here": "3505728", "sees_pixels": "68", "index": "19", "tap": "style"}.items() <= rows[
        "conv4_1"].items()
    assert {"parameters_to_here": "20024384", "sees_pixels": "252", "outputs": "512x14x14"}.items() <= rows[
        "conv5_4"].items()
    assert [rows[layer]["tap"] for layer in ("conv4_2", "conv5_1")] == ["content", ""]
    assert rows["pool1"]["outputs"] == "64x112x112"


def test_gabor_matches():
    """A Gabor filter, whatever its sign, size and mean, is matched by itself alone; stripes have a direction."""
    bank = np.stack([chapter.gabor(angle, 3.5, 90, 3) for angle in (0, 45, 90, 135)])
    found = chapter.matches(-3 * bank + 2, bank)
    assert np.allclose(np.diag(found), 1) and found[0, 2] < 1e-9 and found[1, 3] < 1e-9
    assert np.allclose(np.linalg.norm(bank, axis=(1, 2)), 1)


def test_random_weights_are_others_of_the_same_shape(given):
    source = vgg_files.read(str(given[0] / "net.pt"))
    old, new = source.state, chapter.at_random(source).state
    assert old.keys() == new.keys() and all(new[name].shape == value.shape for name, value in old.items())
    assert not any(torch.equal(new[name], value) for name, value in old.items() if value.dim() == 4)
    assert torch.equal(chapter.at_random(source).state["features.0.weight"], new["features.0.weight"])
