"""The diagrams of every case: no text leaves its box, no box lies on another, counts add up, the pages show them."""
import functools
import importlib
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

from common.base.paths import ROOT
from common.experiment.diagrams import MARGIN, Diagram, draw_chain, drawn_part, write_svg

CASES = sorted(path.parents[1].name for path in ROOT.glob("cases/*/drawing/diagram.py"))


@functools.cache
def pages_of(case):
    """{name: Diagram} of a case, drawn once for all tests."""
    return importlib.import_module(f"cases.{case}.drawing.diagram").pages()


def extent(page, artist):
    """(left, bottom, right, top) of an artist in the page's inches."""
    renderer = page.figure.canvas.get_renderer()
    return artist.get_window_extent(renderer).transformed(page.axis.transData.inverted()).extents


def check_page(page):
    """Every text lies inside the page and inside the box that holds its middle; boxes are apart."""
    width, height = page.figure.get_size_inches()
    for text in filter(lambda text: text.get_text(), page.axis.texts):
        left, bottom, right, top = extent(page, text)
        assert left >= 0 and bottom >= 0 and right <= width and top <= height, f"{text.get_text()!r} leaves the page"
        for box in page.boxes:
            if abs((left + right) / 2 - box.x) < box.width / 2 and abs((bottom + top) / 2 - box.y) < box.height / 2:
                assert box.left[0] <= left and right <= box.right[0], f"{text.get_text()!r} leaves its box"
                assert box.bottom[1] <= bottom and top <= box.top[1], f"{text.get_text()!r} leaves its box"
    for one, other in combinations(page.boxes, 2):
        apart = (abs(one.x - other.x) >= (one.width + other.width) / 2
                 or abs(one.y - other.y) >= (one.height + other.height) / 2)
        assert apart, f"boxes at ({one.x:.2f}, {one.y:.2f}) and ({other.x:.2f}, {other.y:.2f}) lie on each other"


def check_arrows(page):
    """No arrow runs through a text; a plus in its circle is as high as that."""
    texts = [text for text in page.axis.texts if text.get_text().strip("+")]
    lines = [line.get_xydata() for line in page.axis.lines]
    lines += [np.array([text.xyann, text.xy]) for text in page.axis.texts if isinstance(text, Annotation)]
    for text in texts:
        left, bottom, right, top = extent(page, text)
        for line in lines:
            points = np.linspace(line[:-1], line[1:], 200).reshape(-1, 2)
            inside = ((points > [left, bottom]) & (points < [right, top])).all(axis=1)
            assert not inside.any(), f"an arrow runs through {text.get_text()!r}"


@pytest.mark.parametrize("case", CASES)
def test_texts_stay_in_their_boxes_boxes_apart_and_arrows_off_texts(case):
    for page in pages_of(case).values():
        check_page(page)
        check_arrows(page)


def test_the_flow_of_pictures_has_no_arrow_through_a_title():
    from cases.view_free_stitch.drawing.diagram import draw_flow
    names = ("a", "b", "warp_a", "warp_b", "average", "revised")
    page = draw_flow({name: np.zeros((128, 128, 3), np.uint8) for name in names})
    check_page(page)
    check_arrows(page)


@pytest.mark.parametrize("size", [(128, 128), (100, 190)])
def test_the_two_stages_with_pictures_have_no_arrow_through_a_title(size):
    from cases.udis.drawing.diagram import draw_flow
    names = ("a", "b", "warp_a", "warp_b", "masks", "seam", "low", "high", "share")
    page = draw_flow({name: np.zeros((*size, 3), np.uint8) for name in names})
    check_page(page)
    check_arrows(page)


@pytest.mark.parametrize("case", CASES)
def test_labels_can_be_read_where_the_page_is_shown(case):
    """GitHub shows a page 948 pixels wide, and no picture wider than that; a pixel of a browser is 1/96 inch."""
    for name, page in pages_of(case).items():
        scale = min(1.0, 948 / (96 * page.figure.get_figwidth()))
        smallest = min(text.get_fontsize() for text in page.axis.texts if text.get_text())
        assert smallest * 96 / 72 * scale >= 9, f"{name} is too wide for its letters"


@pytest.mark.parametrize("case", CASES)
def test_the_committed_diagrams_say_what_the_code_draws(case, tmp_path):
    """Text stands in a comment before its outlines: those are compared, as outlines depend on the font's version."""
    for name, page in pages_of(case).items():
        write_svg(page.figure, tmp_path / "x" / f"{name}.svg")
        committed = ROOT / "cases" / case / "diagrams" / f"{name}.svg"
        said = [re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))
                for path in (tmp_path / "x" / f"{name}.svg", committed)]
        assert said[0] and said[0] == said[1], f"{committed} is old: python -m cases.{case}.drawing.diagram"


@pytest.mark.parametrize("case", CASES)
def test_both_pages_show_every_diagram(case):
    for page in ("README.md", "README.zh-CN.md"):
        text = (ROOT / "cases" / case / page).read_text(encoding="utf-8")
        for name in pages_of(case):
            assert f"(diagrams/{name}.svg)" in text, f"{page} of {case} does not show diagrams/{name}.svg"


def test_a_page_shows_what_is_drawn_and_not_the_white_around_it():
    page = Diagram(6, 4)
    box = page.box(3, 2, "left")
    page.note(5, 3.5, "above")
    page.arrow(box.right, (5.5, 2))
    part = drawn_part(page.figure)
    assert part.x0 == pytest.approx(box.left[0] - MARGIN, abs=0.02) and part.x1 == pytest.approx(5.5 + MARGIN, abs=0.05)
    assert part.y0 == pytest.approx(box.bottom[1] - MARGIN, abs=0.02) and 3.5 + MARGIN < part.y1 < 3.7


def test_a_text_that_leaves_its_box_is_found():
    page = Diagram(6, 1)
    box = page.box(3, 0.5, "short")
    page.note(box.x, box.y, "much longer than the box that it stands in")
    with pytest.raises(AssertionError, match="leaves its box"):
        check_page(page)


def test_a_chain_is_read_row_by_row():
    page = draw_chain([("x", "3"), ("one", "64", {"colour": 0}), ("two", "64")], per_row=2, width=4)
    check_page(page)
    first, second, third = page.boxes
    assert first.y == second.y > third.y and first.x == pytest.approx(third.x)


def test_msrnets_counts_add_up():
    from cases.msrnet.drawing.diagram import count_parameters, trace
    from cases.msrnet.model import MSRNet
    model = MSRNet(exposure=True, dilations=(1, 1, 2))
    assert sum(count_parameters(trace(model)).values()) == sum(map(torch.numel, model.parameters()))
