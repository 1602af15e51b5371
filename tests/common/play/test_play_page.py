"""The playground in a real browser: its languages, a user's mistakes on every tab, uploads that go; nobody else is
asked."""
import re
import signal
import time
import urllib.request

import cv2
import numpy as np
import playground
import pytest
from PIL import Image
from playground import LONG, TABS, open_tab, outcome, run, upload

gradio = pytest.importorskip("gradio", reason="the extra `play` is not installed")
PICTURES = ["low light", "prior", "nuclei", "super-resolution", "style"]


def test_all_tabs_are_there_in_both_languages(page):
    assert [tab.inner_text() for tab in page.get_by_role("tab").all()] == list(TABS.values())
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


def test_a_telephone_shows_it_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for name in ("low light", "stitching"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("name", [*PICTURES, "tracking"])
def test_a_bad_file_is_one_line(page, tmp_path, name):
    file = "bad.mp4" if name == "tracking" else "bad.png"
    (tmp_path / file).write_text("<html>not found</html>", encoding="utf-8")
    panel = open_tab(page, name)
    upload(panel, tmp_path / file)
    run(panel, name)
    line = outcome(panel)
    assert re.match(f"error: .*{file}", line) and "\n" not in line and "/" not in line.split("bad.")[0]


@pytest.mark.parametrize("name", PICTURES)
def test_200_megapixels_are_refused_before_they_are_decoded(page, tmp_path, name):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    panel = open_tab(page, name)
    upload(panel, tmp_path / "huge.png")
    run(panel, name)
    assert "error: the picture is too large (20000 x 10000 pixels, 200.0 million)" in outcome(panel)


def test_photographs_must_be_two(page, tmp_path):
    panel = open_tab(page, "stitching")
    (tmp_path / "bad1.jpg").write_bytes(b"")
    upload(panel, tmp_path / "bad1.jpg")
    run(panel, "stitching")
    assert outcome(panel).startswith("error: 1 photographs: 2 to 20 were expected")


def test_photographs_are_bounded_together(page, tmp_path):
    for name in ("huge1.png", "huge2.png"):
        Image.new("1", (10_000, 10_000)).save(tmp_path / name)
    panel = open_tab(page, "stitching")
    upload(panel, tmp_path / "huge1.png", tmp_path / "huge2.png")
    run(panel, "stitching")
    assert outcome(panel).startswith("error: the photographs have 200 million pixels together")


def test_a_video_with_huge_frames_is_refused(page, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "huge.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (4000, 400))
    writer.write(np.zeros((400, 4000, 3), np.uint8))
    writer.release()
    panel = open_tab(page, "tracking")
    upload(panel, tmp_path / "huge.avi")
    assert "error: the frames are too large (4000 x 400 pixels)" in outcome(panel)


def test_what_would_become_too_large_is_refused(page, tmp_path):
    panel = open_tab(page, "super-resolution")
    upload(panel, playground.photograph(tmp_path))
    run(panel, "super-resolution")
    assert "error: the result would have 192 million pixels: at most 64 million were expected" in outcome(panel)


def test_nothing_is_removed_that_nobody_has_drawn_over(page):
    panel = open_tab(page, "prior")
    panel.get_by_label("大丽花").click()
    panel.get_by_label("修补掩膜区域").and_(panel.locator(":checked")).wait_for()
    run(panel, "prior")
    assert outcome(panel).startswith("error: no mask: what is to go was expected")


def wait_for_upload(server, name, there):
    """Until a file lies in the server's folder, or lies there no more; for less than silence needs to count as
    leaving."""
    until = time.monotonic() + playground.AFTER / 2
    while bool(list(server[1].glob(f"play-*/*/{name}"))) != there:
        assert time.monotonic() < until, f"{name} is {'not there' * there}{'still there' * (not there)}"
        time.sleep(0.2)


def test_who_closes_the_page_leaves_no_upload_and_takes_no_other(page, server, browser, tmp_path):
    for name in ("mine.png", "other.png"):
        Image.new("RGB", (9, 9), tuple(name.encode()[:3])).save(tmp_path / name)
    upload(open_tab(page, "low light"), tmp_path / "mine.png")
    other = browser.new_page(locale="zh-CN")
    other.set_default_timeout(LONG)
    other.goto(server[0])
    upload(open_tab(other, "low light"), tmp_path / "other.png")
    for name in ("mine.png", "other.png"):
        wait_for_upload(server, name, there=True)
    page.wait_for_timeout(3000)                            # the pages have told the server whose they are
    other.close()
    wait_for_upload(server, "other.png", there=False)
    wait_for_upload(server, "mine.png", there=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_however_the_server_ends_no_upload_stays(tmp_path, name):
    with playground.serve(tmp_path, "--case", "nuclei") as (process, address):
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc\r\n--x--\r\n'
        urllib.request.urlopen(urllib.request.Request(
            f"{address}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"})).read()
        assert list(tmp_path.glob("play-*/*/a.png"))
        process.send_signal(getattr(signal, name))
        process.wait(120)
    assert not list(tmp_path.glob("play-*"))
