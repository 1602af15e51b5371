"""Stitching in the playground, without a browser: how many photographs, how large, and what is said of them."""
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from common.base.errors import Negative, UserError
from common.base.paths import EMBEDDED
from common.play.__main__ import offers
from common.stitching import play

NETWORKS = [offers(case)[0].parts[0] for case in ("udis", "view_free_stitch")]


def make(folder, paths, join="multiband"):
    return play.make(NETWORKS, None, folder, list(map(str, paths)), None, 1, "auto", "auto", join)


def test_the_examples_are_whole_sets():
    assert [len(play.photographs(name)) for _, name in play.EXAMPLES] == [6, 6, 3]


@pytest.mark.parametrize("count", [1, 21])
def test_two_to_twenty_photographs_are_asked_for(tmp_path, count):
    with pytest.raises(UserError, match=f"{count} photographs: 2 to 20 were expected"):
        make(tmp_path, play.photographs("front")[:1] * count)


def test_all_together_have_a_bound(tmp_path):
    for name in "abc":
        Image.new("1", (10_000, 5000)).save(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match="150 million pixels together: at most 120 million"):
        make(tmp_path / "out", sorted(tmp_path.glob("*.png")))


@pytest.mark.slow
def test_a_panorama_with_its_matches_and_who_was_left_out(tmp_path):
    paths = [*play.photographs("front")[:2], EMBEDDED / "photos" / "coffee.jpg"]
    line, (shown, table, steps, whole) = make(tmp_path, paths)
    assert line == "2 of 3 photographs" and [row[1] for row in table] == ["stitched", "stitched", "left out"]
    assert "shares nothing with the others" in table[2][2]
    assert len(steps) == 2 and shown.endswith(".jpg") and whole.endswith("panorama.png")


def test_photographs_of_different_places_are_no_panorama(tmp_path):
    with pytest.raises(Negative, match="no two photographs overlap"):
        make(tmp_path, [EMBEDDED / "photos" / "coffee.jpg", EMBEDDED / "photos" / "rocket.jpg"])
