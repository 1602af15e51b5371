"""Figures: files with captions and numbers, logs of several stages, diagrams that say what the module does."""
import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from common.experiment import figures

CAPTION = figures.Caption("B1.2", "a figure of {what}", "{what}图", "something", "某物")


def test_a_figure_has_picture_numbers_and_captions(tmp_path):
    folder = figures.FigureFolder(tmp_path, {"one": CAPTION, "two": CAPTION})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    pictures = [[np.zeros((20, 30, 3), np.uint8), np.ones((20, 30))], [np.zeros((20, 30, 3)), None]]
    drawn = figures.grid(pictures, ["a", "b"], [["x", "y"], ["z", ""]], ["r", ""])
    folder.save(drawn, "one", ["name", "value"], [["a", 1]], what="mice")
    folder.finish("digest")
    entry = json.loads((tmp_path / "figures" / "figures.json").read_text(encoding="utf-8"))
    assert entry == [{"file": "one.png", "number": "B1.2", "title": {"en": "a figure of mice", "zh": "mice图"},
                      "alt": {"en": "something", "zh": "某物"}, "csv": "one.csv"}]
    assert not (tmp_path / "figures" / "old.png").exists()
    assert list(csv.reader(open(tmp_path / "figures" / "one.csv", encoding="utf-8"))) == [["name", "value"], ["a", "1"]]
    width, height = Image.open(tmp_path / "figures" / "one.png").size
    assert width == figures.WIDTH * figures.DPI and height > 100
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [line["path"] for line in manifest["files"]] == ["figures/one.csv"], "pictures are not judged: fonts differ"


def test_a_figure_is_drawn_once_and_looks_as_savefig_has_it():
    shown, draws = [figures.grid([[np.eye(20), np.ones((20, 30, 3))]], ["a", "b"], [["x", "y"]]) for _ in range(2)], []
    draw = shown[0].draw
    shown[0].draw = lambda renderer: draws.append(1) or draw(renderer)
    pixels, saved = figures.render(shown[0], 90), io.BytesIO()
    shown[1].savefig(saved, format="png", dpi=90, facecolor="white")
    assert len(draws) == 1 and np.array_equal(pixels, np.array(Image.open(saved).convert("RGB")))


def test_every_figure_needs_its_caption(tmp_path):
    with pytest.raises(KeyError):
        figures.FigureFolder(tmp_path, {}).save(figures.new_figure()[0], "nameless", ["a"], [])


def test_logs_of_stages_stand_one_after_the_other(tmp_path):
    lines = [{"stage": "a", "step": 2, "loss": 3.0}, {"stage": "a", "step": 4, "loss": 2.0, "val_psnr": 20.0},
             {"stage": "b", "step": 2, "loss": 1.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert figures.read_log(tmp_path / "log.jsonl") == {"loss": ([2, 4, 6], [3.0, 2.0, 1.0]), "val_psnr": ([4], [20.0])}
    assert figures.read_log(tmp_path / "none.jsonl") == {}


def test_curves_draw_what_the_log_has_and_bars_what_they_are_given():
    figure = figures.curve({"loss": ([1, 2], [1.0, 0.5])}, [("loss", ["loss", "l1"]), ("nothing", ["absent"])])
    assert len(figure.axes[0].lines) == 1 and figure.axes[0].get_yscale() == "log" and not figure.axes[1].lines
    figure = figures.bars(["a", "b"], {"one": [1, None], "two": [2, 3]}, "dB")
    assert [bar.get_height() for bar in figure.axes[0].patches][::2] == [1, 2]


def test_bars_bear_the_numbers_that_have_room():
    def written(values, count):
        figure = figures.bars(["a", "b"] * count, {"one": values * count, "two": values * count}, "dB")
        return {text.get_text() for text in figure.axes[0].texts}
    assert written([27.25, 0.0123], 1) == {"27.2", "0.0123"}
    assert written([27.25, 0.0123], 6) == {"27.2", ""}, "a long number would run into the next"


def test_a_diagram_is_traced_from_the_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first, self.unused = nn.Conv2d(8, 4, 1), nn.Conv2d(3, 8, 3, padding=2,
                                                                                 dilation=2), nn.Linear(2, 2)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))
    net = Net()
    layers = figures.trace(net, lambda: net(torch.rand(1, 3, 16, 20)))
    assert [(layer["name"], layer["kind"], layer["inputs"], layer["outputs"], layer["parameters"])
            for layer in layers] == [
        ("first", "conv 3x3 d2", (3, 16, 20), (8, 16, 20), 224), ("second", "conv 1x1", (8, 16, 20), (4, 16, 20), 36)]
    assert not net.first._forward_hooks, "the module is left as it was"
