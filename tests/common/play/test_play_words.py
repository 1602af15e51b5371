"""Words of the page: one language at a time, and no folders of this machine in its lines."""
import pytest

pytest.importorskip("gradio", reason="the extra `play` is not installed")

import gradio

from common.play.page import Page, Words, has_words, in_language
from common.play.work import Visitors


def test_labels_and_choices_follow_the_language():
    options = {"label": Words("Method", "方法"), "choices": [(Words("on", "开"), 1), ("SIFT", 2)]}
    assert in_language(options, "zh") == {"label": "方法", "choices": [("开", 1), ("SIFT", 2)]}
    assert in_language(options, "en") == {"label": "Method", "choices": [("on", 1), ("SIFT", 2)]}
    assert not has_words("Method") and not has_words([("SIFT", 2)]) and not has_words([])


def test_an_upload_is_called_by_its_name_alone(tmp_path):
    page = Page(Visitors(tmp_path))
    line = f"error: a web page: {tmp_path}/0a1b/bad.png: a PNG was expected: {tmp_path}/x/y/b.png and/or none"
    assert page.without_folders(line) == "error: a web page: bad.png: a PNG was expected: b.png and/or none"
    assert page.telling(lambda value: (line, value))(3) == (page.without_folders(line), 3)


def test_pictures_have_no_button_that_sends_them_elsewhere(tmp_path):
    page = Page(Visitors(tmp_path))
    with gradio.Blocks():
        assert "share" not in page.put(gradio.Image, label=Words("a", "甲")).buttons
        assert "share" not in page.put(gradio.Gallery, label=Words("a", "甲")).buttons
