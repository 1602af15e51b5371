"""The pictures of the pages: small, drawn by the machinery from what may be handed on, and shown in both languages."""
import re
import sys

import numpy as np
import pytest
from PIL import Image

from common import page_pictures, screenshot
from common.base import paths
from common.base.errors import UserError
from common.base.files import sha256
from common.experiment import figures

CASES = [case for case in paths.all_cases() if page_pictures.folder_of(case).is_dir()]
SHOWN = re.compile(r"(?:!\[[^\]]*\]\(|<img src=\")([^)\s\"]+\.(?:png|jpg))")
PAGES = sorted(path for path in [*paths.ROOT.glob("*.md"), *paths.ROOT.glob("cases/*/*.md")])
each_case = pytest.mark.parametrize("case", CASES)


def committed(case):
    return {path.name: path for path in page_pictures.folder_of(case).glob("*") if path.name != page_pictures.RECORD}


@each_case
def test_every_picture_is_listed_and_is_what_was_drawn(case):
    record = page_pictures.read_record(case)["pictures"]
    assert committed(case).keys() == record.keys() <= page_pictures.listed(case).keys()
    for name, path in committed(case).items():
        assert sha256(path) == record[name], f"{path}: make figures FOR=readme CASE={case} writes it"


@each_case
def test_pictures_show_only_what_may_be_handed_on(case):
    licences = (paths.EMBEDDED / "LICENCES.md").read_text(encoding="utf-8")
    for source in page_pictures.read_record(case)["read"]:
        place, _, name = source.partition("/")
        if place != "skimage":
            word = name.split("/")[2].removesuffix(".jpg").rstrip("0123456789")     # embedded/dark/garden_dark2.jpg
            assert (paths.ROOT / source).is_file() and f"`{word}" in licences, source


def test_pictures_are_small():
    sizes = {path: path.stat().st_size for case in CASES for path in committed(case).values()}
    assert all(size <= page_pictures.LARGEST for size in sizes.values())
    assert sum(sizes.values()) <= page_pictures.TOGETHER
    for path in sizes:
        expected = figures.COVER[0] if path.name == "cover.jpg" else page_pictures.WIDE
        assert abs(Image.open(path).width - expected) <= 1, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(paths.ROOT).as_posix())
def test_a_page_shows_only_pictures_that_the_machinery_draws(page):
    for target in SHOWN.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if path.parent == paths.ROOT / "docs":
            assert page.parent == paths.ROOT and path.name in screenshot.FILES.values(), target
            continue
        case = path.parents[1].name
        assert path.parent == page_pictures.folder_of(case) and path.name in page_pictures.listed(case), target
        assert path.is_file(), target


@each_case
def test_both_pages_show_the_same_pictures_and_all_of_them(case):
    folder = paths.ROOT / "cases" / case
    english, chinese = (SHOWN.findall((folder / name).read_text(encoding="utf-8"))
                        for name in ("README.md", "README.zh-CN.md"))
    shown = committed(case).keys() - {"cover.jpg"}
    assert english == chinese and sorted(english) == sorted(f"pictures/{name}" for name in shown)


def test_the_first_page_shows_every_cover():
    for page in ("README.md", "README.zh-CN.md"):
        shown = [target for target in SHOWN.findall((paths.ROOT / page).read_text(encoding="utf-8"))
                 if not target.startswith("docs/")]
        assert sorted(shown) == [f"cases/{case}/pictures/cover.jpg" for case in CASES if "cover.jpg" in committed(case)]


@pytest.mark.parametrize("page, language", [("README.md", "en-US"), ("README.zh-CN.md", "zh-CN")])
def test_the_first_page_shows_the_playground_in_its_language(page, language):
    path = paths.ROOT / "docs" / screenshot.FILES[language]
    begin = (paths.ROOT / page).read_text(encoding="utf-8").split("\n## ")[0]
    assert f'src="docs/{path.name}"' in begin and "make play" in begin and "walkthrough.ipynb" in begin
    assert path.stat().st_size <= page_pictures.LARGEST and Image.open(path).width == page_pictures.WIDE


# ---- the machinery ----

@pytest.fixture
def case(tmp_path, monkeypatch):
    """A case of one picture from datasets/embedded, and one from elsewhere."""
    monkeypatch.setattr(page_pictures, "folder_of", lambda case: tmp_path / case / "pictures")
    other = tmp_path / "other.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(other)

    def show(path):
        return lambda: figures.grid([[np.asarray(Image.open(path))]], ["one"], width=4)
    drawings = {"good.jpg": show(paths.EMBEDDED / "photos" / "coffee.jpg"), "foreign.png": show(other)}
    monkeypatch.setattr(page_pictures, "listed", lambda case: drawings)
    sys.addaudithook(page_pictures.note_opened)
    return drawings


def test_a_picture_is_drawn_as_wide_as_the_page_and_its_source_is_noted(case, tmp_path):
    case["cover.jpg"] = lambda: figures.cover(np.zeros((30, 50, 3), np.uint8))
    page_pictures.draw("alpha", ["good.jpg", "cover.jpg", "good.jpg"])
    assert Image.open(tmp_path / "alpha/pictures/cover.jpg").size == figures.COVER
    assert Image.open(tmp_path / "alpha/pictures/good.jpg").width == page_pictures.WIDE
    assert page_pictures.read_record("alpha")["read"] == ["datasets/embedded/photos/coffee.jpg"]
    case.pop("good.jpg")
    case["new.jpg"] = case.pop("foreign.png")
    with pytest.raises(UserError, match="may not be shown"):
        page_pictures.draw("alpha")
    assert not (tmp_path / "alpha/pictures/new.jpg").exists()


def test_a_picture_that_stays_too_large_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    with pytest.raises(UserError, match="too large: noise.jpg"):
        page_pictures.encoded(figures.grid([[noise]], None, width=4), "noise.jpg")


def test_a_name_that_no_case_draws_is_told():
    with pytest.raises(UserError, match="no such picture: x.jpg"):
        page_pictures.main(["--case", "msrnet", "x.jpg"])
