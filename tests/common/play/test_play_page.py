"""The playground in a real browser: tabs with an example, a bad file, a too large one, a stop; nobody else is asked."""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import launch_browser
from PIL import Image

from common.base.paths import EMBEDDED, ROOT

gradio = pytest.importorskip("gradio", reason="the extra `play` is not installed")
AFTER = 90                              # seconds until a page counts as closed
LONG = 500_000                          # milliseconds: this machine may have other things to do
TABS = {"low light": "微光图像增强", "stitching": "图像拼接", "tracking": "目标跟踪", "style": "风格迁移"}
BUTTONS = {"low light": "运行", "stitching": "拼接", "tracking": "跟踪", "style": "开始"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(the page's address, the folder in which it puts its temporary one); ended as by Ctrl-C."""
    folder = tmp_path_factory.mktemp("play")
    begin = f"from common.play import __main__, work; work.AFTER = {AFTER}; __main__.main(['--port', '0'])"
    process = subprocess.Popen([sys.executable, "-c", begin], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(folder), "PYTHONUTF8": "1"})
    address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
    yield address, folder
    process.send_signal(signal.SIGINT)
    process.wait(120)
    assert not [path for path in folder.glob("play-*")], "the temporary folder is still there"


@pytest.fixture(scope="module")
def browser():
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def page(server, browser):
    """A page in Chinese; no request but to the server, no error on it."""
    page = browser.new_page(locale="zh-CN", viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(LONG)
    foreign, errors = [], []
    page.on("request", lambda request: foreign.append(request.url)
            if not request.url.startswith((server[0], "data:", "blob:")) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server[0])
    page.get_by_role("tab").first.wait_for()
    yield page
    page.close()
    assert foreign == [] and errors == []


def open_tab(page, name):
    """The panel of a tab."""
    page.get_by_role("tab", name=TABS[name]).click()
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_role("button", name=BUTTONS[name], exact=True).wait_for()
    return panel


def run(panel, name):
    panel.get_by_role("button", name=BUTTONS[name], exact=True).click()


def outcome(panel, pattern="完成|error:|no:|停止"):
    """The line of status once it is final."""
    panel.page.wait_for_function(
        f"() => [...document.querySelectorAll('.status textarea')].some("
        f"area => area.offsetParent && /{pattern}/.test(area.value))", timeout=LONG)
    return panel.locator(".status textarea").input_value()


def upload(panel, *paths):
    panel.locator(".upload input[type=file]").first.set_input_files(list(map(str, paths)))
    panel.locator(".upload").first.get_by_text(Path(paths[0]).stem[:4]).first.wait_for()


def test_all_tabs_are_there_in_both_languages(page):
    assert [tab.inner_text() for tab in page.get_by_role("tab").all()] == [
        TABS[name] for name in ("low light", "tracking", "stitching", "style")]
    page.locator("#language").get_by_label("English").click()
    page.get_by_role("tab", name="Style transfer").wait_for()
    assert page.get_by_role("button", name="Stop", exact=True).count() >= 1
    page.locator("#language").get_by_label("中文").click()
    page.get_by_role("tab", name="风格迁移").wait_for()


def test_a_browser_in_english_gets_english(server, browser):
    page = browser.new_page(locale="en-US")
    page.goto(server[0])
    page.get_by_role("tab", name="Low light").wait_for(timeout=LONG)
    page.close()


@pytest.mark.parametrize("name, file, line", [
    ("low light", "bad.png", "error: .*bad.png"), ("tracking", "bad.mp4", "error: .*bad.mp4"),
    ("style", "bad.png", "error: .*bad.png")])
def test_a_bad_file_is_one_line(page, tmp_path, name, file, line):
    (tmp_path / file).write_text("<html>not found</html>", encoding="utf-8")
    panel = open_tab(page, name)
    upload(panel, tmp_path / file)
    run(panel, name)
    assert re.match(line, outcome(panel)) and "\n" not in outcome(panel)
    assert "/" not in outcome(panel).split("bad.")[0]


@pytest.mark.parametrize("name", ["low light", "style"])
def test_200_megapixels_are_refused_before_they_are_decoded(page, tmp_path, name):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    panel = open_tab(page, name)
    upload(panel, tmp_path / "huge.png")
    run(panel, name)
    assert "error: the picture is too large (20000 x 10000 pixels, 200.0 million)" in outcome(panel)


def test_photographs_must_be_two_and_readable(page, tmp_path):
    panel = open_tab(page, "stitching")
    for name in ("bad1.jpg", "bad2.jpg"):
        (tmp_path / name).write_bytes(b"")
    upload(panel, tmp_path / "bad1.jpg")
    run(panel, "stitching")
    assert outcome(panel).startswith("error: 1 photographs: 2 to 20 were expected")


def test_a_video_with_huge_frames_is_refused(page, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "huge.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (4000, 400))
    writer.write(np.zeros((400, 4000, 3), np.uint8))
    writer.release()
    panel = open_tab(page, "tracking")
    upload(panel, tmp_path / "huge.avi")
    assert "error: the frames are too large (4000 x 400 pixels)" in outcome(panel)


@pytest.mark.slow
def test_low_light_shows_before_after_simple_methods_and_stages(page, server):
    panel = open_tab(page, "low light")
    panel.get_by_label("MSR-net 去噪变体").click()
    run(panel, "low light")
    assert outcome(panel).startswith("完成 done") and "brightened" in outcome(panel)
    assert panel.locator(".before-after img").count() >= 2
    panel.get_by_text("tone curve").first.wait_for()
    panel.get_by_text("X1").first.wait_for()
    assert list(server[1].glob("play-*/*/*/after.jpg"))


@pytest.mark.slow
def test_stitching_shows_the_panorama_and_who_was_left_out(page, tmp_path):
    panel = open_tab(page, "stitching")
    roofs = sorted((EMBEDDED / "panoramas").glob("front_*.jpg"))
    upload(panel, *roofs, EMBEDDED / "photos" / "coffee.jpg")
    run(panel, "stitching")
    assert outcome(panel).startswith("完成 done") and "3 of 4 photographs" in outcome(panel)
    panel.get_by_text("left out").first.wait_for()
    panel.get_by_text("shares nothing with the others").first.wait_for()


@pytest.mark.slow
def test_tracking_writes_a_video_and_can_be_stopped(page):
    panel = open_tab(page, "tracking")
    panel.get_by_label("俯拍的汽车").click()
    page.wait_for_function("() => [...document.querySelectorAll('textarea, input')].some(area => area.offsetParent && "
                           "area.value.startsWith('181'))", timeout=LONG)
    run(panel, "tracking")
    assert re.match(r"完成 done, .*: 27 frames, lost in \d+", outcome(panel))
    panel.locator("video").wait_for()
    panel.get_by_label("纸盒").click()
    page.wait_for_function("() => [...document.querySelectorAll('textarea, input')].some(area => area.offsetParent && "
                           "area.value.startsWith('75,68'))", timeout=LONG)
    run(panel, "tracking")
    outcome(panel, "frame [1-9]|计算")
    panel.get_by_role("button", name="停止").click()
    assert "已停止 stopped" in outcome(panel, "停止")


@pytest.mark.slow
def test_style_paints_at_once_then_as_it_goes_until_it_is_stopped(page):
    panel = open_tab(page, "style")
    run(panel, "style")
    panel.locator("img[src*='fast.jpg']").wait_for()
    panel.locator("img[src*='step']").wait_for()
    panel.get_by_role("button", name="停止").click()
    assert "已停止 stopped" in outcome(panel, "停止")
