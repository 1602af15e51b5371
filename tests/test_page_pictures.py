"""The pictures of the pages: small, drawn by the machinery from what may be handed on, and shown in both languages."""
import sys

import numpy as np
import pytest
from PIL import Image

from common import page_pictures
from common.base import paths
from common.base.errors import UserError
from common.base.files import sha256
from common.experiment import figures

CASES = [case for case in paths.all_cases() if page_pictures.folder_of(case).is_dir()]
each_case = pytest.mark.parametrize("case", CASES)


def committed(case):
    return {path.name: path for path in page_pictures.folder_of(case).glob("*") if path.name != page_pictures.RECORD}


@each_case
def test_every_picture_is_listed_and_is_what_was_drawn(case):
    record = page_pictures.read_record(case)["pictures"]
    assert committed(case).keys() == record.keys() <= page_pictures.listed(case).keys()
    for name, path in committed(case).items():
        assert sha256(path) == record[name]["sha256"], f"{path}: make figures FOR=readme CASE={case} writes it"


@each_case
def test_pictures_show_only_what_may_be_handed_on(case):
    licences = (paths.EMBEDDED / "LICENCES.md").read_text(encoding="utf-8")
    for picture in page_pictures.read_record(case)["pictures"].values():
        for source in picture["read"]:
            place, _, name = source.partition("/")
            if place != "skimage":
                word = name.split("/")[2].removesuffix(".jpg").rstrip("0123456789")     # embedded/dark/garden_dark2.jpg
                assert (paths.ROOT / source).is_file() and f"`{word}" in licences, source


def test_pictures_are_small():
    sizes = {path: path.stat().st_size for case in CASES for path in committed(case).values()}
    assert all(size <= page_pictures.LARGEST for size in sizes.values())
    assert sum(sizes.values()) <= page_pictures.TOGETHER
    for path in sizes:
        assert Image.open(path).width in (page_pictures.WIDE, page_pictures.WIDE + 1), path


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
    page_pictures.draw("alpha", ["good.jpg"])
    assert Image.open(tmp_path / "alpha/pictures/good.jpg").width == page_pictures.WIDE
    record = page_pictures.read_record("alpha")["pictures"]
    assert record["good.jpg"]["read"] == ["datasets/embedded/photos/coffee.jpg"]
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
