"""Nuclei in the playground, without a browser: every method counts, lists and outlines; a bright ground is told."""
import csv

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from cases.nuclei import play
from common.base.paths import EMBEDDED
from common.data.images import read_pixels

LARGE = str(EMBEDDED / "nuclei" / "images" / "8a65e41c630d.png")           # 12 nuclei


@pytest.mark.parametrize("method", [value for _, value in play.METHODS])
def test_every_method_counts_lists_and_outlines(tmp_path, method):
    line, (slider, steps, table, files) = play.run(print, tmp_path, None, LARGE, method, 30)
    count = int(line.removesuffix(" nuclei"))
    assert 8 <= count <= 16 and len(table) == count and [row[0] for row in table] == list(range(1, count + 1))
    assert all(area >= 30 for _, area, *_ in table) and steps[-1][1] == "labels"
    with open(next(path for path in files if path.endswith(".csv")), encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == count + 1
    assert (read_pixels(slider[0]) != read_pixels(slider[1])).any()


def test_small_ones_are_left_out_when_asked(tmp_path):
    counts = [int(play.run(print, tmp_path, None, LARGE, play.OTSU, smallest)[0].split()[0]) for smallest in (0, 300)]
    assert counts[0] > counts[1]


def test_a_bright_ground_and_an_empty_picture_are_told(tmp_path):
    Image.fromarray(255 - read_pixels(LARGE)).save(tmp_path / "bright.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "black.png")
    assert "a bright ground, taken as its negative" in play.run(
        print, tmp_path, str(tmp_path / "bright.png"), None, play.OTSU, 30)[0]
    line, (_, _, table, _) = play.run(print, tmp_path, str(tmp_path / "black.png"), None, play.OTSU, 30)
    assert line == "0 nuclei" and table == []
