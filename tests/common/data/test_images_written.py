"""common/data/images.py, the other way round: what is written, folders that are listed, tiles that equal the whole."""
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from pictures import DRAWN, drawn, planes
from tolerances import near
from torch.nn import functional as F

from common.base.errors import UserError
from common.data.images import (
    Picture,
    list_images,
    map_tiles,
    open_picture,
    read_image,
    read_pixels,
    to_bytes,
    write_image,
)

# --- writing

def test_bytes_are_rounded_half_up_and_clamped():
    values = torch.tensor([-torch.inf, -1.0, -0.001, 0.0, 0.49 / 255, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.999, 1.0,
                           1.001, 7.0, torch.inf])
    assert to_bytes(values.reshape(1, 1, -1)).ravel().tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 255, 255, 255, 255, 255]
    levels = torch.arange(256).reshape(1, 16, 16).expand(3, -1, -1) / 255
    for picture in (levels, levels.double(), levels.clone().requires_grad_()):
        assert np.array_equal(to_bytes(picture), np.arange(256).reshape(16, 16, 1).repeat(3, 2))
    assert np.array_equal(to_bytes(torch.ones(3, 2, 2, dtype=torch.bfloat16)), np.full((2, 2, 3), 255))


def test_bytes_leave_their_picture_alone():
    picture = torch.rand(3, 4, 5) * 2 - 0.5
    before = picture.clone()
    to_bytes(picture)
    assert torch.equal(picture, before)


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not numbers"):
        write_image(tmp_path / "x.png", torch.full((3, 2, 2), float("nan")))
    assert not list(tmp_path.iterdir())


@DRAWN
@given(height=some.integers(1, 9), width=some.integers(1, 9), alpha=some.booleans(), gray=some.booleans(),
       bits=some.sampled_from([8, 16]),
       suffix=some.sampled_from([".png", ".tif", ".tiff", ".bmp", ".webp", ".PNG", ""]), seed=some.integers(0, 99))
def test_there_and_back(tmp_path_factory, height, width, alpha, gray, bits, suffix, seed):
    """What is written `like` a picture comes back: exactly where the format holds the depth, else to half a level."""
    rng, top = np.random.default_rng(seed), 2 ** bits - 1

    def level(channels):
        return torch.from_numpy(rng.integers(0, top + 1, (channels, height, width)).astype(np.float32)
                                / np.float32(top))
    rgb = level(1).expand(3, -1, -1) if gray else level(3)
    source = Picture(rgb, level(1) if alpha else None, gray, bits)
    path = tmp_path_factory.mktemp("back") / f"x{suffix}"
    write_image(path, source.rgb, like=source)
    back = open_picture(path)

    deep = bits == 16 and suffix not in (".bmp", ".webp")
    keeps_gray = suffix != ".webp" and not (deep and alpha)
    assert (back.bits, back.gray) == (16 if deep else 8, gray and keeps_gray)
    exact = 0 if deep or bits == 8 else 0.50001 / 255
    assert (back.rgb - source.rgb).abs().max() <= exact
    assert (back.alpha is None) == (not alpha or suffix == ".bmp")
    assert back.alpha is None or (back.alpha - source.alpha).abs().max() <= exact


def test_gray_is_the_mean_of_the_channels(tmp_path):
    # 1.5 counts as the 1 that would be written
    picture = torch.tensor([0.2, 0.4, 1.5]).reshape(3, 1, 1).expand(3, 2, 2)
    for name, bits in (("x.png", 8), ("x.bmp", 8), ("deep.png", 16)):
        write_image(tmp_path / name, picture, like=Picture(None, None, True, bits))
        back = open_picture(tmp_path / name)
        assert back.gray and (back.rgb - 1.6 / 3).abs().max() <= 0.51 / (2 ** bits - 1)


def test_alpha_keeps_its_depth_beside_a_coarse_picture(tmp_path):
    alpha = planes(drawn(4, 5, 1, dtype=np.uint16))
    write_image(tmp_path / "x.png", torch.ones(3, 4, 5, dtype=torch.bfloat16), like=Picture(None, alpha, False, 16))
    assert torch.equal(open_picture(tmp_path / "x.png").alpha, alpha)


def test_alpha_is_left_out_where_there_is_none(tmp_path):
    like = Picture(None, torch.rand(1, 8, 8), False, 8)
    for suffix in (".jpg", ".jpeg", ".bmp"):
        write_image(tmp_path / f"x{suffix}", torch.full((3, 8, 8), 0.5), like=like)
        assert open_picture(tmp_path / f"x{suffix}").alpha is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_colours_under_full_transparency_are_kept(tmp_path, suffix):
    picture = planes(drawn(6, 7, 3))
    write_image(tmp_path / f"x{suffix}", picture, like=Picture(None, torch.zeros(1, 6, 7), False, 8))
    back = open_picture(tmp_path / f"x{suffix}")
    assert torch.equal(back.rgb, picture) and not back.alpha.any()


def test_jpeg_keeps_colours_at_full_size(tmp_path):
    picture = F.interpolate(torch.rand(1, 3, 4, 4), scale_factor=8)[0]
    for name in ("x.jpg", "X.JPEG"):
        write_image(tmp_path / name, picture)
        assert (read_image(tmp_path / name) - picture).abs().mean() < 0.01


def test_writing_mistakes_leave_the_old_file(tmp_path):
    with pytest.raises(UserError, match=r"unknown picture format '.gif': .*x.gif: one of .png .jpg .* was expected: "
                                        r"choose another name"):
        write_image(tmp_path / "x.gif", torch.zeros(3, 2, 2))
    write_image(tmp_path / "x.webp", torch.ones(3, 2, 2))
    with pytest.raises(UserError, match=r"this format cannot hold the picture .*x.webp: a smaller one was expected: "
                                        r"write it as PNG"):
        write_image(tmp_path / "x.webp", torch.zeros(3, 1, 16384))
    assert torch.equal(read_image(tmp_path / "x.webp"), torch.ones(3, 2, 2))
    with pytest.raises(UserError, match="cannot write"):
        write_image(tmp_path / "x.webp" / "below.png", torch.zeros(3, 2, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["x.webp"]


# --- folders

def test_pictures_are_listed_in_natural_order(tmp_path):
    names = ["1.png", "2.JPG", "10.png", "a1.tif", "a2b3.bmp", "a2b20.bmp", "a10.webp", "B1.tiff",
             "frame 007.jpeg", "frame 08.png", "图2.png", "图11.png"]
    others = [".1.png", "._2.png", ".DS_Store", "Thumbs.db", "notes.txt", "a.png.csv", "png"]
    for name in reversed(names + others):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == names
    assert list_images(str(tmp_path / "folder.png")) == []


def test_listing_what_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder: .*x: a folder of pictures was expected: check the path"):
        list_images(tmp_path / "x")
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="a file, not a folder: .*x: a folder of pictures was expected"):
        list_images(tmp_path / "x")


# --- tiles

def layered(seed, layers=3, channels=4):
    """A small network of zero-padded 3x3 layers with biases: each pixel sees `layers` around it, and the border."""
    torch.set_num_threads(1)                                # tiny layers: two threads would wait for each other
    generator = torch.Generator().manual_seed(seed)
    widths = [3, *[channels] * (layers - 1), 2]
    stack = [(torch.randn(after, before, 3, 3, generator=generator, dtype=torch.float64) / before,
              torch.randn(after, generator=generator, dtype=torch.float64)) for before, after in pairwise(widths)]

    def network(image):
        for weight, bias in stack:
            image = torch.tanh(F.conv2d(image, weight, bias, padding=1))
        return image
    return network


def noise(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@DRAWN
@given(height=some.integers(1, 30), width=some.integers(1, 30), tile=some.integers(4, 24),
       layers=some.integers(1, 4), seed=some.integers(0, 9))
def test_tiled_equals_untiled(height, width, tile, layers, seed):
    network, image = layered(seed, layers), noise(height, width, seed)
    output = map_tiles(lambda crop, box: network(crop), image, tile=tile, halo=layers)
    assert output.shape == (1, 2, height, width) and output.dtype == image.dtype
    assert near(output, network(image))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 300), (300, 1), (534, 30), (535, 30)])
def test_tiled_with_the_default_tile_and_halo(size):
    network, image = layered(0, layers=11), noise(*size)
    assert near(map_tiles(lambda crop, box: network(crop), image), network(image))


@pytest.mark.parametrize(("side", "crops"), [(864, [864]), (880, [560, 544]), (2048, [832] * 3),
                                             (2736, [864] * 3 + [816])])
def test_tiles_are_few_and_of_one_size(side, crops):
    """What they overlap by is computed twice. A tile of 640 pixels, a halo of 112 on a grid of 16, as for KinD."""
    seen = []

    def look(crop, box):
        seen.append(crop.shape[3])
        return crop
    map_tiles(look, torch.zeros(1, 1, 1, side), 640, 112, 16)
    assert sorted(seen, reverse=True) == crops


def test_a_halo_too_small_is_seen():
    """The check of the checks: one pixel less, and the same comparison fails."""
    network, image = layered(0), noise(30, 30)
    assert (map_tiles(lambda crop, box: network(crop), image, tile=16, halo=2) - network(image)).abs().max() > 1e-4


@DRAWN
@given(height=some.integers(1, 50), width=some.integers(1, 50), tile=some.integers(4, 20),
       multiple=some.sampled_from([1, 2, 4, 8]))
def test_tiles_of_a_network_that_subsamples(height, width, tile, multiple):
    """Means over blocks of multiple x multiple at full size: right only when every crop starts on the same grid."""
    network, starts = layered(1, layers=1), []

    def subsampled(crop, box):
        starts.extend(box[:2])
        small = F.avg_pool2d(crop, multiple, ceil_mode=True)
        return F.interpolate(network(small), scale_factor=multiple)[..., :crop.shape[2], :crop.shape[3]]
    image = noise(height, width)
    whole = subsampled(image, (0, 0, height, width))
    assert near(map_tiles(subsampled, image, tile, halo=2 * multiple - 1, multiple=multiple), whole)
    assert all(start % multiple == 0 for start in starts)


@DRAWN
@given(height=some.integers(1, 60), width=some.integers(1, 60), tile=some.integers(1, 30), halo=some.integers(0, 9))
def test_boxes_say_where_the_crop_lies(height, width, tile, halo):
    """So that whole-picture inputs can be cut alike, and no crop is larger than a tile and its halo."""
    image = noise(height, width)
    guide = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)

    def guided(crop, box):
        top, left, bottom, right = box
        assert torch.equal(crop, image[:, :, top:bottom, left:right]) and max(crop.shape[2:]) <= tile + 2 * halo
        return crop[:, :1] + guide[:, :, top:bottom, left:right]
    assert torch.equal(map_tiles(guided, image, tile, halo), image[:, :1] + guide)


def test_real_pictures(shared):
    """LOL's own files: both decoders agree, and writing one back changes no pixel."""
    folder = shared("data/LOL/eval15/low")
    for path in list_images(folder)[:2]:
        picture = open_picture(path)
        assert picture.rgb.shape == (3, 400, 600) and not picture.gray and picture.alpha is None
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], read_pixels(path))
        assert np.array_equal(to_bytes(picture.rgb), read_pixels(path))
    assert [int(Path(path).stem) for path in list_images(folder)][:4] == [1, 22, 23, 55]
