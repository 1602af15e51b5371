"""Every tab of the playground in a real browser: an example, a large upload, a stop in the midst of work."""
import re

import playground
import pytest
from playground import LONG, open_tab, outcome, run, stop, upload

from common.base.paths import EMBEDDED

pytest.importorskip("gradio", reason="the extra `play` is not installed")
pytestmark = pytest.mark.slow


def test_low_light_shows_before_after_simple_methods_and_stages(page, server):
    panel = open_tab(page, "low light")
    panel.get_by_label("MSR-net 去噪变体").click()
    run(panel, "low light")
    assert outcome(panel).startswith("完成 done") and "brightened" in outcome(panel)
    assert panel.locator(".before-after img").count() >= 2
    panel.get_by_text("tone curve").first.wait_for()
    panel.get_by_text("X1").first.wait_for()
    assert list(server[1].glob("play-*/visitors/*/*/after.jpg"))


def test_12_megapixels_are_enhanced(page, tmp_path):
    panel = open_tab(page, "low light")
    panel.get_by_label("MSR-net", exact=True).click()
    upload(panel, playground.photograph(tmp_path))
    run(panel, "low light")
    assert outcome(panel).startswith("完成 done")
    panel.get_by_text("large-MSR-net").first.wait_for()


def test_super_resolution_shows_the_network_beside_the_simple_methods(page):
    panel = open_tab(page, "super-resolution")
    panel.get_by_label("2", exact=True).click()
    run(panel, "super-resolution")
    assert re.match("完成 done, .*: 902 x 600", outcome(panel))
    assert panel.locator(".before-after img").count() >= 2
    panel.get_by_text("back projection").first.wait_for()


def test_nuclei_are_outlined_counted_and_listed(page):
    panel = open_tab(page, "nuclei")
    panel.get_by_label("12 个，较大").click()
    for method in ("R2AtU-Net", "Otsu", "U-Net +"):
        panel.get_by_label(method).first.click()
        run(panel, "nuclei")
        outcome(panel, "计算")
        assert 8 <= int(re.match(r"完成 done, .*: (\d+) nuclei", outcome(panel))[1]) <= 16
    panel.get_by_text("circularity").first.wait_for()
    panel.get_by_text("found_nuclei").first.wait_for()


def test_the_prior_removes_the_mark_of_its_example(page):
    panel = open_tab(page, "prior")
    run(panel, "prior")
    assert re.match("完成 done, .*: un-blended, alpha 0.6", outcome(panel))
    assert panel.locator(".before-after img").count() >= 2


def test_what_is_drawn_over_is_filled_in(page):
    panel = open_tab(page, "prior")
    panel.get_by_label("大丽花").click()
    panel.get_by_label("修补掩膜区域").and_(panel.locator(":checked")).wait_for()
    box = panel.locator(".canvas canvas").first.bounding_box()
    page.wait_for_timeout(3000)                            # the picture is drawn onto the canvas by then
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=8)
    page.mouse.up()
    panel.locator("input[type=number]").last.fill("50")    # steps
    run(panel, "prior")
    assert re.match("完成 done, .*: filled by the prior", outcome(panel))


def test_stitching_shows_the_panorama_and_who_was_left_out(page):
    panel = open_tab(page, "stitching")
    roofs = sorted((EMBEDDED / "panoramas").glob("front_*.jpg"))
    upload(panel, *roofs, EMBEDDED / "photos" / "coffee.jpg")
    run(panel, "stitching")
    assert outcome(panel).startswith("完成 done") and "3 of 4 photographs" in outcome(panel)
    for text in ("left out", "shares nothing with the others"):
        panel.get_by_text(text).filter(visible=True).first.wait_for()      # the table has unseen copies of its cells


def choose_clip(panel, label, box):
    """Take an example, and wait for its box."""
    panel.get_by_label(label).click()
    panel.page.wait_for_function("() => [...document.querySelectorAll('textarea, input')].some("
                                 f"area => area.offsetParent && area.value.startsWith('{box}'))", timeout=LONG)


def test_tracking_writes_a_video(page):
    panel = open_tab(page, "tracking")
    choose_clip(panel, "俯拍的汽车", "181")
    run(panel, "tracking")
    assert re.match(r"完成 done, .*: 27 frames, lost in \d+", outcome(panel))
    panel.locator("video").wait_for()


def test_tracking_stops(page):
    panel = open_tab(page, "tracking")
    choose_clip(panel, "纸盒", "75,68")
    run(panel, "tracking")
    outcome(panel, "frame [1-9]|计算")
    assert "已停止 stopped" in stop(panel)


def test_style_paints_at_once_then_as_it_goes_until_it_is_stopped(page):
    panel = open_tab(page, "style")
    run(panel, "style")
    panel.locator("img[src*='fast.jpg']").wait_for()
    panel.locator("img[src*='step']").wait_for()
    assert "已停止 stopped" in stop(panel)


def test_the_prior_shows_its_picture_as_it_forms_until_it_is_stopped(page):
    panel = open_tab(page, "prior")
    panel.get_by_label("带噪声的咖啡").click()
    panel.get_by_label("去噪").and_(panel.locator(":checked")).wait_for()
    run(panel, "prior")
    panel.locator(".forming img[src*='step']").wait_for()
    assert "已停止 stopped" in stop(panel)


@pytest.mark.parametrize("name", ["low light", "super-resolution", "nuclei"])
def test_a_large_picture_is_stopped_between_its_tiles(page, tmp_path, name):
    panel = open_tab(page, name)
    if name == "super-resolution":
        panel.get_by_label("2", exact=True).click()
    upload(panel, playground.photograph(tmp_path, *[playground.GREY] * (name == "nuclei")))
    run(panel, name)
    outcome(panel, "tiles [1-9]")
    assert "已停止 stopped" in stop(panel)


def test_stitching_stops(page):
    panel = open_tab(page, "stitching")
    run(panel, "stitching")
    outcome(panel, "[1-9][/][1-9]")            # a bare slash would end the expression
    assert "已停止 stopped" in stop(panel)
