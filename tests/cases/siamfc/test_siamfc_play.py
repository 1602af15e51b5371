"""Tracking in the playground, without a browser: a box by two clicks, the others beside SiamFC, refusals."""
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from cases.siamfc import play
from common.base.errors import UserError
from common.data.video import frames_of, open_film


def test_two_clicks_make_a_box_and_a_third_begins_anew():
    frame = np.zeros((60, 80, 3), np.uint8)
    drawn, text, clicks = play.click(SimpleNamespace(index=[50, 40]), frame, [])
    assert text == "" and drawn.any() and not frame.any()
    _, text, clicks = play.click(SimpleNamespace(index=[10, 20]), frame, clicks)
    assert text == "11, 21, 40, 20"
    _, text, clicks = play.click(SimpleNamespace(index=[5, 6]), frame, clicks)
    assert text == "" and clicks == [[5, 6]]


def test_a_target_is_followed_by_all_and_shown_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(play, "MOST_FRAMES", 6)
    shown = []
    line, (last, film, maps, curve) = play.follow(shown.append, tmp_path, None, "car", "181，97, 128, 192",
                                                  ["klt", "mosse", "mil"])
    assert line == "6 frames, lost in 0"
    assert len(shown) == 1 and shown[0].shape == last.shape == (288, 512, 3)
    assert len(list(frames_of(open_film(film)))) == 6 and film.endswith(".webm")
    assert len(maps) >= 3 and curve.endswith("confidence.png")


@pytest.mark.parametrize("text, wrong", [("", "no target"), ("1, 2, 3", "is no box"), ("900, 900, 5, 5", "no target")])
def test_no_box_is_told(tmp_path, text, wrong):
    with pytest.raises(UserError, match=wrong):
        play.follow(None, tmp_path, None, "car", text, [])


def test_without_a_video_one_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="drop one, or choose an example"):
        play.follow(None, tmp_path, None, None, "1,1,5,5", [])
    assert play.show_first(None, None)[1] is None
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert play.show_first(str(tmp_path / "a.mp4"), None)[0].startswith("error: this video cannot be read")
