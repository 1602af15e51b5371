"""Pairs in the layouts of LOL-v2 and LSRW; files of equal stems are all there, or refused by their names."""
import numpy as np
import pytest
from PIL import Image

from common.base.errors import UserError
from common.data.paired import PairedImages, by_stem, item_names, list_pairs


def put(folder, *names, level=40):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (24, 16), (level, level, level)).save(folder / name)


def test_lol_v2_photographed(tmp_path):
    """The two halves of a pair are called low00001.png and normal00001.png."""
    for split in ("Train", "Test"):
        put(tmp_path / split / "Low", "low00001.png", "low00012.png")
        put(tmp_path / split / "Normal", "normal00001.png", "normal00012.png", level=200)
    pairs = PairedImages(tmp_path, "eval15")
    assert pairs.names == ["low00001.png", "low00012.png"] and pairs.folder_name == "Test"
    assert [path.name for path in pairs.paths(1)] == ["low00012.png", "normal00012.png"]
    assert float(pairs[0, 0].high.mean()) > 4 * float(pairs[0, 0].low.mean())
    (tmp_path / "Train" / "Normal" / "normal00012.png").unlink()
    with pytest.raises(UserError, match="no partner for .*low00012.png"):
        list_pairs(tmp_path, "our485")


def test_lol_v2_synthetic(tmp_path):
    put(tmp_path / "Train" / "Low", "r000da54ft.png")
    put(tmp_path / "Train" / "Normal", "r000da54ft.png")
    assert list_pairs(tmp_path, "our485") == ["r000da54ft.png"]


def test_lol_v2_has_two_halves(tmp_path):
    for half in ("Real_captured", "Synthetic"):
        put(tmp_path / half / "Train" / "Low", "1.png")
    with pytest.raises(UserError, match="set data.root to .*Real_captured"):
        list_pairs(tmp_path, "our485")


def test_lsrw(tmp_path):
    """Both cameras are read; a name says which."""
    for split, names in (("Training data", ["1.jpg", "2.jpg"]), ("Eval", ["9.jpg"])):
        for camera in ("Huawei", "Nikon"):
            for side in ("low", "high"):
                put(tmp_path / split / camera / side, *names)
    assert list_pairs(tmp_path, "our485") == ["Huawei/1.jpg", "Huawei/2.jpg", "Nikon/1.jpg", "Nikon/2.jpg"]
    pairs = PairedImages(tmp_path, "eval15")
    assert pairs.items == ["Huawei/9", "Nikon/9"] and pairs.folder_name == "Eval" and pairs[0, 1].name == "Nikon/9.jpg"


def test_files_of_equal_stems_are_all_measured(tmp_path):
    for side in ("low", "high"):
        put(tmp_path / "eval15" / side, "1.png", "1.jpg", "2.png")
    pairs = PairedImages(tmp_path, "eval15")
    assert sorted(pairs.items) == ["1.jpg", "1.png", "2"] and len(pairs.inputs()) == 3


def test_names_of_items():
    assert item_names(["a.png", "b.JPG", "c.d.png"]) == ["a", "b", "c.d"]
    assert item_names(["A.png", "a.jpg"]) == ["A.png", "a.jpg"]
    with pytest.raises(UserError, match="1.png; 1.PNG"):
        item_names(["1.png", "1.PNG"])


def test_partners_by_stem_are_unique(tmp_path):
    put(tmp_path, "1.png", "1.jpg")
    with pytest.raises(UserError, match="1.jpg, .*1.png"):
        by_stem(sorted(tmp_path.iterdir()))


def test_the_shared_case(shared):
    root = shared("cases/same_stem_dropped")
    pairs = PairedImages(root / "coll", "eval15")
    assert sorted(pairs.items) == ["1.jpg", "1.png"]
    assert np.isfinite(pairs[0, 0].low).all()
