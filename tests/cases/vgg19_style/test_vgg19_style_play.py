"""Style transfer in the playground, without a browser: the fast picture first, then the optimisation as it goes."""
import pytest

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from cases.vgg19_style import play
from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import read_pixels


def test_the_fast_picture_comes_first_and_then_every_third_step(tmp_path):
    reports = []
    line, (after, _, slider, whole) = play.paint(reports.append, tmp_path, None, "china", None, "starry_night", 1.0,
                                                 "style", 128, 10)
    assert [list(report) for report in reports] == [["fast"], ["painted"], ["painted"], ["painted"]]
    assert line.endswith(", 10 steps") and slider[1] == after
    assert read_pixels(whole).shape == (85, 128, 3)
    assert read_pixels(tmp_path / "fast.jpg").shape == (5 * 85, 5 * 128, 3)      # few pixels are shown larger


def test_a_painting_of_ones_own_has_no_fast_network(tmp_path):
    reports = []
    play.paint(reports.append, tmp_path, None, "china", str(EMBEDDED / "paintings" / "starry_night.jpg"), "the_scream",
               1.0, "luminance", 128, 3)
    assert reports[0] == {"fast": None}


def test_a_file_that_is_no_picture_is_told(tmp_path):
    (tmp_path / "a.png").write_text("<html>", encoding="utf-8")
    with pytest.raises(UserError, match="a.png"):
        play.paint(None, tmp_path, str(tmp_path / "a.png"), None, None, "starry_night", 1.0, "style", 128, 3)


def test_all_seven_paintings_are_there():
    assert set(play.PAINTINGS) == {path.stem for path in (EMBEDDED / "paintings").glob("*.jpg")}
