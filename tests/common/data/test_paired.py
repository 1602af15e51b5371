"""Pairs of pictures: what belongs together stays so, each draw depends on the place alone; the user's own files."""
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tolerances import near
from torch.utils.data import DataLoader

from common.base.errors import UserError
from common.data import cache
from common.data.cache import Orientation, SharedPixels
from common.data.images import picture_files, picture_size, read_image, read_pixels
from common.data.paired import PairedImages

HEIGHT, WIDTH = 40, 56


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coordinates(number):
    """A picture whose pixels say where they are (row, column) and in which picture."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows, columns, np.full_like(rows, number)], axis=-1).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    """Pairs 1, 2 and 10 in LOL's layout; low says where each pixel is, high is its negative."""
    for number in (10, 2, 1):
        save(tmp_path / "our485" / "low" / f"{number}.png", coordinates(number))
        save(tmp_path / "our485" / "high" / f"{number}.png", 255 - coordinates(number))
    (tmp_path / "our485" / "low" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "our485" / "high" / ".DS_Store").write_bytes(b"x")
    return tmp_path


def same(a, b):
    return a.name == b.name and all(torch.equal(getattr(a, field), getattr(b, field))
                                    for field in ("low", "high", "thumbnail", "box"))


def test_whole_pictures_are_untouched(root):
    pairs = PairedImages(root, "our485")
    assert pairs.names == ["1.png", "2.png", "10.png"] and len(pairs) == 3
    for index, name in enumerate(pairs.names):
        pair, folder = pairs[7, index], root / "our485"
        assert pair.name == name and pairs.paths(index) == (folder / "low" / name, folder / "high" / name)
        assert pair.low.dtype == torch.float32
        assert torch.equal(pair.low, read_image(pairs.paths(index)[0]))
        assert torch.equal(pair.high, read_image(pairs.paths(index)[1]))
        assert pair.box.tolist() == [0, 0, 1, 1]


def test_thumbnail_is_the_area_average(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    save(tmp_path / "s" / "low" / "a.png", picture)
    save(tmp_path / "s" / "high" / "a.png", picture)
    averages = picture.reshape(32, 2, 32, 3, 3).mean(axis=(1, 3)) / 255  # each of 32 x 32 cells has 2 x 3 pixels
    assert near(PairedImages(tmp_path, "s")[0, 0].thumbnail.permute(1, 2, 0), averages.astype(np.float32), "formula")


@pytest.mark.parametrize("turns", [False, True])
def test_patch_thumbnail_and_box_belong_together(root, turns):
    """In one of the allowed orientations the patch is what its box cuts out of the whole; so is the thumbnail."""
    pairs, whole = PairedImages(root, "our485", patch=16, turns=turns), PairedImages(root, "our485")
    allowed = [Orientation(*map(bool, bits)) for bits in np.ndindex(2, 2, 2) if turns or bits[1:] == (0, 0)]
    seen = set()
    for epoch in range(30):
        for index in range(3):
            pair, picture = pairs[epoch, index], whole[0, index]
            assert pair.low.shape == pair.high.shape == (3, 16, 16)
            assert near(pair.high, 1 - pair.low, "formula")                      # the same pixels of both
            matches = []
            for orientation in allowed:
                turned = orientation.turn(picture.low)
                sides = torch.tensor([*turned.shape[1:], *turned.shape[1:]])
                top, left, bottom, right = (pair.box * sides).round().int().tolist()
                if torch.equal(turned[:, top:bottom, left:right], pair.low):
                    matches.append(orientation)
            assert len(matches) == 1
            assert torch.equal(matches[0].turn(picture.thumbnail), pair.thumbnail)
            seen.add(matches[0])
    assert seen == set(allowed)


def test_flips_can_be_left_out(root):
    pairs = PairedImages(root, "our485", patch=16, flips=False)
    assert all(pairs[epoch, 0].low[1, 0, 0] < pairs[epoch, 0].low[1, 0, 15] for epoch in range(20))


def test_every_window_is_drawn(root):
    pairs = PairedImages(root, "our485", patch=32)
    corners = [(pairs[epoch, 0].box[:2] * torch.tensor([HEIGHT, WIDTH])).round().int().tolist() for epoch in range(150)]
    tops, lefts = map(set, zip(*corners))
    assert tops == set(range(HEIGHT - 32 + 1)) and lefts == set(range(WIDTH - 32 + 1))
    assert PairedImages(root, "our485", patch=HEIGHT)[0, 0].box[2] == 1                # a patch as high as the picture


def test_draws_depend_on_seed_epoch_and_index_alone(root, monkeypatch):
    places = [(epoch, index) for epoch in range(3) for index in range(3)]
    pairs = PairedImages(root, "our485", patch=16, seed=3, turns=True)
    expected = [pairs[place] for place in places]
    assert all(same(PairedImages(root, "our485", patch=16, seed=3, turns=True)[place], pair)
               for place, pair in reversed(list(zip(places, expected, strict=True))))             # in another order
    uncached = PairedImages(root, "our485", patch=16, seed=3, turns=True, cache=False)
    copied = pickle.loads(pickle.dumps(pairs))              # as a spawned worker gets it
    monkeypatch.setattr(cache, "CACHE_BYTES", 1)
    too_large = PairedImages(root, "our485", patch=16, seed=3, turns=True)
    assert pairs.store and copied.store and uncached.store is None and too_large.store is None
    for others in (uncached, copied, too_large):
        assert all(same(others[place], pair) for place, pair in zip(places, expected, strict=True))
    others = PairedImages(root, "our485", patch=16, seed=4, turns=True)
    assert sum(same(others[place], pair) for place, pair in zip(places, expected, strict=True)) < 3
    assert not same(pairs[0, 0], pairs[1, 0])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_pairs_and_workers_change_nothing(root, workers):
    pairs = PairedImages(root, "our485", patch=16)
    batches = list(DataLoader(pairs, batch_sampler=[[(0, 2), (0, 0)], [(1, 1), (1, 2)]], num_workers=workers))
    assert [list(batch.name) for batch in batches] == [["10.png", "1.png"], ["2.png", "10.png"]]
    assert batches[0].low.shape == (2, 3, 16, 16)
    assert batches[0].thumbnail.shape == (2, 3, 32, 32) and batches[0].box.shape == (2, 4)
    assert torch.equal(batches[1].low[0], pairs[1, 1].low) and torch.equal(batches[1].box[0], pairs[1, 1].box)


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="processes are not forked here")
def test_forked_workers_share_what_they_read(root):
    pairs = PairedImages(root, "our485", patch=16)
    expected = [pairs[0, index] for index in range(3)]
    pairs = PairedImages(root, "our485", patch=16)
    list(DataLoader(pairs, batch_sampler=[[(0, index)] for index in range(3)], num_workers=2))
    shutil.rmtree(root)                                                     # nobody needs the files any more
    assert all(same(pairs[0, index], pair) for index, pair in enumerate(expected))


def test_shared_pixels_keep_only_what_fits():
    store, calls = SharedPixels([(2, 2, 3), (0, 0, 3)]), []

    def read(value):
        calls.append(value)
        return np.full((2, 2, 3), value, np.uint8)
    values = [store.get(slot, read, value)[1, 1, 0] for slot, value in ((0, 5), (0, 6), (1, 7), (1, 8))]
    assert values == [5, 5, 7, 8]
    assert calls == [5, 7, 8]


def test_part_of_a_set_and_its_fingerprint(root, tmp_path_factory):
    part = PairedImages(root, "our485", names=["10.png", "1.png"])
    assert part.names == ["10.png", "1.png"] and part[0, 0].name == "10.png"
    whole = PairedImages(root, "our485")
    moved = shutil.copytree(root, tmp_path_factory.mktemp("moved") / "LOL")
    assert PairedImages(moved, "our485").fingerprint() == whole.fingerprint() != part.fingerprint()
    (moved / "our485" / "low" / "1.png").write_bytes((moved / "our485" / "low" / "1.png").read_bytes() + b"x")
    assert PairedImages(moved, "our485").fingerprint() != whole.fingerprint()
    with pytest.raises(UserError, match=r"no such pairs.*3\.png"):
        PairedImages(root, "our485", names=["1.png", "3.png"])


def test_thumbnails_of_whole_pictures(root, tmp_path):
    path, names = tmp_path / "whole.npz", np.array(["10.png", "2.png", "1.png"])
    pictures = np.random.default_rng(0).random((3, 32, 32, 3)).astype(np.float16)
    np.savez(path, name=names, low_thumbnail=pictures)
    pairs = PairedImages(root, "our485", patch=16, thumbnails=path)
    expected = torch.from_numpy(pictures[2].astype(np.float32)).permute(2, 0, 1)
    found = [pairs[epoch, 0].thumbnail for epoch in range(12)]
    assert all(torch.equal(thumbnail, expected) or torch.equal(thumbnail, expected.flip(-1)) for thumbnail in found)
    assert not all(torch.equal(thumbnail, found[0]) for thumbnail in found)

    mistakes = [{"name": names[:2], "low_thumbnail": pictures[:2]}, {"name": names, "low_thumbnail": pictures[:2]},
                {"name": names},
                {"name": names, "low_thumbnail": pictures[:, :16]},
                {"name": names.astype(object), "low_thumbnail": pictures}]
    for content in mistakes:
        np.savez(path, **content)
        with pytest.raises(UserError, match=r"no thumbnails .*whole\.npz"):
            PairedImages(root, "our485", thumbnails=path)
    path.write_text("not an archive")
    with pytest.raises(UserError, match="no thumbnails"):
        PairedImages(root, "our485", thumbnails=path)


def test_the_shared_crops_with_their_thumbnails(shared):
    lol = shared("data/LOL")
    pairs = PairedImages(lol, "our485", patch=128, thumbnails=lol / "our485_whole.npz")
    assert len(pairs) == 485 and len(PairedImages(lol, "eval15")) == 15
    whole = read_image(lol / "our485_full" / "low" / "86.png")
    given = pairs.given_thumbnails["86.png"]
    torch.testing.assert_close(given, F.adaptive_avg_pool2d(whole, 32), rtol=0, atol=0.02)  # made with shares of pixels


# ---- the user's mistakes ---------------------------------------------------------------------------------------------

def message(*arguments, **options):
    with pytest.raises(UserError) as caught:
        PairedImages(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_folders_and_empty_ones(root):
    assert str(root / "eval15" / "low") in message(root, "eval15") and "check LOL" in message(root, "eval15")
    shutil.rmtree(root / "our485" / "high")
    assert "not found" in message(root, "our485") and str(root / "our485" / "low") not in message(root, "our485")
    for side in ("low", "high"):
        shutil.rmtree(root / "our485" / side, ignore_errors=True)
        (root / "our485" / side).mkdir()
    assert message(root, "our485").startswith("no pictures: ")


def test_missing_partners(root):
    (root / "our485" / "high" / "2.png").unlink()
    (root / "our485" / "low" / "1.png").unlink()
    text = message(root, "our485")
    assert f"no partner for {root / 'our485' / 'low' / '2.png'}" in text
    assert f"no partner for {root / 'our485' / 'high' / '1.png'}" in text
    assert "low has 2 pictures" in text and "high 2" in text


def test_unequal_sizes_are_listed_together(root):
    for number in range(20, 34):
        save(root / "our485" / "low" / f"{number}.png", coordinates(0))
        save(root / "our485" / "high" / f"{number}.png", coordinates(0)[:, :-1])
    text = message(root, "our485")
    assert "20.png: low is 56x40, high 55x40" in text and text.count(": low is ") == 10 and "and 4 more" in text
    assert "1.png: 56x40 is smaller than patches of 48" in message(root, "our485", patch=48, names=["1.png"])


def test_files_that_cannot_be_read_speak_up_when_needed(root):
    for name, content in (("1.png", b"\x89PNG\r\n\x1a\n"), ("2.png", b"some text")):
        (root / "our485" / "low" / name).write_bytes(content)
    pairs = PairedImages(root, "our485", patch=16)
    assert pairs[0, 2].name == "10.png"
    for index in (0, 1):
        with pytest.raises(UserError, match=rf"{index + 1}\.png"):
            pairs[0, index]


def test_files_changed_afterwards(root):
    pairs = PairedImages(root, "our485", patch=16)
    save(root / "our485" / "high" / "1.png", coordinates(1)[:, :-1])
    with pytest.raises(UserError, match="unequal sizes.*56x40.*55x40"):
        pairs[0, 0]
    for side in ("low", "high"):
        save(root / "our485" / side / "2.png", coordinates(2)[:9, :9])
    with pytest.raises(UserError, match="9x9.*16"):
        pairs[0, 1]


# ---- sizes and the user's own files ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "orientation"),
                         [("a.png", None), ("a.jpg", None), ("a.jpg", 6), ("a.png", 8), ("a.jpg", 3), ("a.tif", None)])
def test_size_from_the_header_is_the_size_as_read(tmp_path, name, orientation):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(coordinates(0)).save(tmp_path / name, exif=exif)
    assert picture_size(tmp_path / name) == read_pixels(tmp_path / name).shape[:2]


def test_no_size_without_a_header(tmp_path):
    for content in (b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        (tmp_path / "a.png").write_bytes(content)
        assert picture_size(tmp_path / "a.png") is None
    assert picture_size(tmp_path / "none.png") is None and picture_size(tmp_path) is None


def test_own_files_and_folders_have_unique_items(tmp_path):
    for name in ("b/2.png", "b/10.jpg", "c/2.jpg", "c/B.png", "a.png", "c/a-2.png", "c/A.png"):
        save(tmp_path / name, coordinates(0))
    paths, items = picture_files([str(tmp_path / "b"), tmp_path / "a.png", tmp_path / "c"])
    found = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert found == ["b/2.png", "b/10.jpg", "a.png", "c/2.jpg", "c/a-2.png", "c/A.png", "c/B.png"]
    assert items == ["2", "10", "a", "2-2", "a-2", "A-3", "B"]


def test_mistakes_with_own_files(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures: .*empty"):
        picture_files([tmp_path / "empty"])
    with pytest.raises(UserError, match="no such file or folder: .*nothing"):
        picture_files([Path(os.curdir) / "nothing"])
