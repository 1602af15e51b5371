"""The table of everyday photographs, with the case's test.py replaced by known answers."""
import csv

import numpy as np
import pytest

from common.base import paths
from common.base.errors import UserError
from common.data.images import to_tensor, write_image
from common.data.night import darken_to_judge
from common.lowlight import everyday

GARDEN = ["garden_bright", *(f"garden_dark{number}" for number in (1, 2, 3))]


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """A folder of two; the garden, too, is small here."""
    rng = np.random.default_rng(0)
    for name in ("a", "b", *(f"garden/{each}" for each in GARDEN)):
        write_image(tmp_path / f"{name}.png", to_tensor(np.kron(rng.integers(40, 256, (8, 10, 3)), np.ones((8, 8, 1)))
                                                        .astype(np.uint8)))
    monkeypatch.setattr(everyday, "GARDEN", tmp_path / "garden")
    return tmp_path


def test_the_garden_is_there():
    assert {path.stem for path in (paths.EMBEDDED / everyday.GARDEN).iterdir()} >= {*GARDEN}


def table(photographs, monkeypatch, capsys, answer, *settings):
    """{(what, row): cells} of the table, where test.py answers answer(name, picture)."""
    def brighten(options, settings, pictures, folder):
        return ({name: answer(name, picture) for name, picture in pictures.items()},
                {name: "left as it was" for name in pictures})
    monkeypatch.setattr(everyday, "brighten", brighten)
    everyday.main(["msrnet", str(photographs), "--csv", str(photographs / "table.csv"), *settings])
    text = (photographs / "table.csv").read_text().splitlines()
    return {(line["what"], line["row"]): line for line in csv.DictReader(text)}


def test_a_network_that_does_nothing(photographs, monkeypatch, capsys):
    lines = table(photographs, monkeypatch, capsys, lambda name, picture: picture)
    day = lines["photographs as they are", "off"]
    assert float(day["ciede2000"]) == 0 and day["value"].startswith("0 darker by over 5 levels; median change")
    assert "0 called brightened" in lines["photographs as they are", "auto"]["value"]
    assert "white 0.0, gray 0.0, document 0.0" in lines["pages", "off"]["value"]
    assert lines["garden, 3 nights", "network"]["count"] == "3"
    assert float(lines["darkened, gain 1/32", "network"]["psnr"]) < float(lines["darkened, gain 1/32", "gamma"]["psnr"])


def test_a_network_that_darkens_and_tints(photographs, monkeypatch, capsys):
    def tint(name, picture):
        return (picture * np.array([0.5, 0.4, 0.5])).astype(np.uint8)
    lines = table(photographs, monkeypatch, capsys, tint)
    assert "2 darker by over 5 levels" in lines["photographs as they are", "off"]["value"]
    white = float(lines["pages", "off"]["value"].split("white ")[1].split(",")[0])
    assert white == pytest.approx(0.1 * 217, abs=1)                       # a tenth of the page's mean level
    assert float(lines["photographs as they are", "off"]["ciede2000"]) > 10


def test_darkening_is_the_frozen_one(photographs, monkeypatch, capsys):
    seen = {}
    table(photographs, monkeypatch, capsys, lambda name, picture: seen.setdefault(name, picture))
    assert (seen["1-8 b"] == darken_to_judge(seen["b"], 1 / 8, 1)).all()


def test_the_tone_curve_of_training_is_a_row_where_there_are_pairs(photographs, monkeypatch, capsys):
    pairs = photographs / "LOL"
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))[..., None].repeat(3, axis=2)
    for side, picture in (("low", ramp // 4), ("high", ramp)):
        write_image(pairs / "our485" / side / "1.png", to_tensor(picture))
        write_image(pairs / "our485" / side / "2.png", to_tensor(picture))

    def answer(name, picture):
        return picture
    lines = table(photographs, monkeypatch, capsys, answer, f"data.root={pairs}")
    what = "darkened, gain 1/8"
    assert float(lines[what, "tone_curve"]["psnr"]) > float(lines[what, "network"]["psnr"]) + 3, "4 times brighter"
    assert everyday.curve_of_training(photographs / "nowhere") is None
    assert "the tone curve is left out" in capsys.readouterr().err


def test_mistakes_are_said(photographs):
    for words, said in ((["udis", str(photographs)], "no low-light case"),
                        (["msrnet", str(photographs), "--fast"], "unknown options"),
                        (["msrnet", str(photographs / "nowhere")], "no such folder")):
        with pytest.raises(UserError, match=said):
            everyday.main(words)
