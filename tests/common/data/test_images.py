"""common/data/images.py, reading: every kind of file gives the pixels that went in, every broken one a message."""
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from pictures import check, drawn, planes
from PIL import Image

from common.base.errors import UserError
from common.data import images
from common.data.images import Picture, open_picture, read_image, read_pixels, to_bytes, write_image


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, color, rows, *chunks):
    """A PNG made by hand: rows are the packed bytes of each line, chunks stand before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def deep_png(pixels, *chunks):
    """A 16-bit PNG of uint16 pixels (H, W, 1 gray, 2 gray and alpha, 3 RGB or 4 RGBA)."""
    color = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    return png(pixels.shape[1], pixels.shape[0], 16, color, [row.astype(">u2").tobytes() for row in pixels], *chunks)


# --- eight bits

@pytest.mark.parametrize("size", [(5, 7), (7, 5), (1, 1), (33, 64)])
@pytest.mark.parametrize("suffix, channels", [(".png", 1), (".png", 2), (".png", 3), (".png", 4), (".bmp", 1),
                                              (".bmp", 3), (".webp", 3),
                                              (".webp", 4), (".tif", 1), (".tif", 2), (".tif", 3), (".tiff", 4)])
def test_lossless_formats(tmp_path, suffix, channels, size):
    pixels = drawn(*size, channels)
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"x{suffix}", pixels, **options)
    rgb = pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, 2)
    check(path, rgb, None if channels % 2 else pixels[..., -1:], gray=channels < 3)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    pixels = drawn(9, 8, 3)
    check(saved(tmp_path / "x.tif", pixels, compression=compression), pixels)


@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_is_what_pillow_decodes(tmp_path, gray):
    pixels = drawn(20, 30, 1 if gray else 3)
    path = saved(tmp_path / "x.jpg", pixels, quality=90)
    decoded = np.array(Image.open(path).convert("RGB"))
    assert abs(decoded.astype(int) - pixels).mean() < 60            # noise is the worst case
    check(path, decoded, gray=gray)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit(tmp_path, suffix):
    bits = drawn(6, 11, 1) // 128 * 255
    check(saved(tmp_path / f"x{suffix}", bits, mode="1"), bits.repeat(3, 2), gray=True)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_of_gray_span_black_to_white(tmp_path, depth):
    levels = np.arange(8) % 2 ** depth
    packed = np.packbits((levels[:, None] >> np.arange(depth)[::-1] & 1).astype(np.uint8)).tobytes()
    (tmp_path / "x.png").write_bytes(png(8, 1, depth, 0, [packed]))
    check(tmp_path / "x.png", (levels * 255 // (2 ** depth - 1)).astype(np.uint8).reshape(1, 8, 1).repeat(3, 2),
          gray=True)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_palette(tmp_path, suffix):
    colors, indices = drawn(16, 3), drawn(6, 9) % 16
    image = Image.fromarray(indices, "P")
    image.putpalette(colors.tobytes())
    image.save(tmp_path / f"x{suffix}")
    check(tmp_path / f"x{suffix}", colors[indices])


def test_palette_with_transparency(tmp_path):
    colors, indices, alphas = drawn(16, 3), drawn(6, 9) % 16, drawn(16)
    image = Image.fromarray(indices, "P")
    image.putpalette(colors.tobytes())
    image.save(tmp_path / "x.png", transparency=alphas.tobytes())
    check(tmp_path / "x.png", colors[indices], alphas[indices][..., None])


def test_one_transparent_color(tmp_path):
    pixels = drawn(4, 5, 3)
    alpha = np.full((4, 5, 1), 255, np.uint8)
    alpha[2, 3] = 0
    check(saved(tmp_path / "color.png", pixels, transparency=tuple(int(level) for level in pixels[2, 3])), pixels,
          alpha)
    gray = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    check(saved(tmp_path / "gray.png", gray, transparency=int(gray[2, 3, 0])), gray.repeat(3, 2), alpha, gray=True)


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk(tmp_path, suffix):
    inks = np.zeros((32, 64, 4), np.uint8)
    inks[:16, :32], inks[:16, 32:] = (255, 0, 0, 0), (0, 200, 40, 0)
    inks[16:, :32], inks[16:, 32:] = (10, 20, 30, 100), (0, 0, 0, 255)
    Image.fromarray(inks, "CMYK").save(tmp_path / f"x{suffix}", **({"quality": 100} if suffix == ".jpg" else {}))
    light = (255 - inks.astype(float)) / 255                # paper white, what each ink lets through
    picture = open_picture(tmp_path / f"x{suffix}")
    assert np.abs(picture.rgb.numpy() - (light[..., :3] * light[..., 3:]).transpose(2, 0, 1)).max() < 4 / 255
    assert (picture.alpha, picture.gray, picture.bits) == (None, False, 8)


def test_the_first_picture_of_several(tmp_path):
    first, second = (Image.fromarray(drawn(5, 6, 3)) for _ in range(2))
    for name in ("x.png", "x.tif", "x.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second],
                   **({"lossless": True} if name == "x.webp" else {}))
        assert np.array_equal(read_pixels(tmp_path / name), np.array(first)), name


@pytest.mark.parametrize("name", ["ä ö.png", "图片.jpg", "نص.tif", "🙂.bmp", "a'b\"c $x.webp"])
def test_any_name(tmp_path, name):
    pixels = np.full((8, 8, 3), 77, np.uint8)
    write_image(tmp_path / "föld er" / name, planes(pixels))
    assert abs(read_pixels(str(tmp_path / "föld er" / name)).astype(int) - 77).max() <= 1
    write_image(tmp_path / "föld er" / "tief.png", planes(pixels), like=Picture(None, None, False, 16))
    assert open_picture(tmp_path / "föld er" / "tief.png").bits == 16


# --- sixteen bits

@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png(tmp_path, channels, size):
    pixels = drawn(*size, channels, dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(deep_png(pixels))
    rgb = pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, 2)
    check(tmp_path / "x.png", rgb, None if channels % 2 else pixels[..., -1:], gray=channels < 3, bits=16)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_color_of_sixteen_bits(tmp_path, channels):
    pixels = drawn(4, 5, channels, dtype=np.uint16)
    alpha = np.full((4, 5, 1), 65535, np.uint16)
    alpha[2, 3] = 0
    (tmp_path / "x.png").write_bytes(deep_png(pixels, chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())))
    check(tmp_path / "x.png", pixels.repeat(3 // channels, 2), alpha, gray=channels == 1, bits=16)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_tiff(tmp_path, channels, options):
    pixels = drawn(20, 19, channels, dtype=np.uint16)
    kind = {"photometric": "rgb" if channels > 1 else "minisblack",
            "extrasamples": ["unassalpha"] if channels == 4 else []}
    tifffile.imwrite(tmp_path / "x.tif", pixels.squeeze(), **kind, **options)
    check(tmp_path / "x.tif", pixels[..., :3].repeat(3 if channels == 1 else 1, 2),
          pixels[..., 3:] if channels == 4 else None,
          gray=channels == 1, bits=16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_zero_is_white(tmp_path, dtype):
    pixels = drawn(5, 7, dtype=dtype)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="miniswhite")
    check(tmp_path / "x.tif", (np.iinfo(dtype).max - pixels)[..., None].repeat(3, 2), gray=True,
          bits=8 * pixels.itemsize)


def test_sixteen_bits_that_only_pillow_reads_keep_eight(tmp_path):
    """CMYK, and colours stored multiplied by alpha."""
    pixels = drawn(5, 7, 4, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cmyk.tif", pixels, photometric="separated")
    half = np.full((5, 7, 4), (16448, 8224, 0, 32896), np.uint16)
    tifffile.imwrite(tmp_path / "alpha.tif", half, photometric="rgb", extrasamples=["assocalpha"])
    light = 1 - (pixels >> 8) / 255
    assert open_picture(tmp_path / "cmyk.tif").bits == 8
    assert np.abs(read_image(tmp_path / "cmyk.tif").numpy()
                  - (light[..., :3] * light[..., 3:]).transpose(2, 0, 1)).max() < 1.01 / 255
    check(tmp_path / "alpha.tif", np.full((5, 7, 3), (127, 63, 0), np.uint8), np.full((5, 7, 1), 128, np.uint8))


def test_bytes_of_every_sixteen_bit_level(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    (tmp_path / "x.png").write_bytes(deep_png(levels))
    exact = np.floor(255 * levels.astype(float) / 65535 + 0.5)
    assert np.array_equal(read_pixels(tmp_path / "x.png"), exact.repeat(3, 2))
    assert np.array_equal(to_bytes(read_image(tmp_path / "x.png")), exact.repeat(3, 2))


# --- orientation

TURNED = {  # EXIF number: how what is upright as `a` lies in the file; its first row, first column are …
    1: lambda a: a,                                         # top, left
    2: np.fliplr,                                           # top, right
    3: lambda a: np.rot90(a, 2),                            # bottom, right
    4: np.flipud,                                           # bottom, left
    5: lambda a: np.rot90(np.fliplr(a)),                    # left, top
    6: np.rot90,                                            # right, top: the camera was held a quarter turn clockwise
    7: lambda a: np.rot90(np.flipud(a)),                    # right, bottom
    8: lambda a: np.rot90(a, -1),                           # left, bottom
}


def exif(orientation):
    content = Image.Exif()
    content[274] = orientation
    return content


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_orientation(tmp_path, suffix, orientation):
    blocks = np.kron(drawn(2, 3, 1), np.ones((16, 16, 3), np.uint8))           # flat blocks: JPEG keeps them
    options = {".jpg": {"quality": 100}, ".webp": {"lossless": True}}.get(suffix, {})
    path = saved(tmp_path / f"x{suffix}", np.ascontiguousarray(TURNED[orientation](blocks)), exif=exif(orientation),
                 **options)
    for pixels in (read_pixels(path), to_bytes(read_image(path))):
        assert pixels.shape == blocks.shape and abs(pixels.astype(int) - blocks).max() <= (2 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", [*TURNED, 0, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_of_sixteen_bits(tmp_path, channels, orientation):
    pixels = drawn(4, 6, channels, dtype=np.uint16)
    lying = TURNED.get(orientation, TURNED[1])(pixels)
    (tmp_path / "x.png").write_bytes(deep_png(lying, chunk(b"eXIf", exif(orientation).tobytes()[6:])))
    tifffile.imwrite(tmp_path / "x.tif", lying.squeeze(), photometric="rgb" if channels == 3 else "minisblack",
                     extratags=[(274, 3, 1, orientation, True)])
    for name in ("x.png", "x.tif"):
        check(tmp_path / name, pixels.repeat(3 // channels, 2), gray=channels == 1, bits=16)


def test_the_hand_turned_table_is_right():
    """Against EXIF's own words: where the first row and the first column of the file belong."""
    upright = np.array([[1, 2, 3], [4, 5, 6]])
    edges = {"top": [1, 2, 3], "bottom": [4, 5, 6], "left": [1, 4], "right": [3, 6]}
    words = ["top left", "top right", "bottom right", "bottom left", "left top", "right top", "right bottom",
             "left bottom"]
    for orientation, (row, column) in enumerate((pair.split() for pair in words), 1):
        lying = TURNED[orientation](upright)
        assert sorted(lying[0]) == edges[row] and sorted(lying[:, 0]) == edges[column]


# --- mistakes

def wrong(path, *parts):
    """Both readers refuse the file with one line that has these parts in this order."""
    for read in (open_picture, read_pixels):
        with pytest.raises(UserError) as error:
            read(path)
        said = str(error.value)
        assert "\n" not in said and said.count(str(path)) == 1 and "0x" not in said
        places = [said.find(part) for part in parts]
        assert -1 not in places and places == sorted(places), said


@pytest.mark.parametrize("data, what, remedy", [
    (b"", "an empty file: ", "copy or download it again"),
    (bytes(3000), "nothing but zero bytes: ", "copy or download it again"),
    (b"This is my holiday picture.\n", "a text file: ", "give the right file"),
    (b"<!DOCTYPE html>\n<title>Sign in</title>", "a web page, not the file itself: ", "download it again in a browser"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer, not the file itself: ",
     "git lfs pull"),
    (b"GIF89a\x01\0\x01\0\0\0\0;", "a format that is not read here, or a damaged beginning: ", "convert it"),
    (bytes(range(256)) * 9, "a format that is not read here, or a damaged beginning: ", "convert it"),
    (b"\x89PNG\r\n\x1a\n", "a format that is not read here, or a damaged beginning: ", "convert it"),
])
def test_what_is_no_picture(tmp_path, data, what, remedy):
    path = tmp_path / "x.png"
    path.write_bytes(data)
    wrong(path, what, str(path), images.EXPECTED, remedy)


def test_nothing_and_a_folder(tmp_path):
    wrong(tmp_path / "x.png", "no such file: ", str(tmp_path / "x.png"), images.EXPECTED, "check the path")
    wrong(tmp_path, "a folder, not a picture: ", str(tmp_path), images.EXPECTED, "name a file in it")


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.webp", "x.tif", "deep.png", "deep.tif"])
def test_truncated(tmp_path, capfd, name, share):
    path = tmp_path / name
    write_image(path, torch.rand(3, 60, 80), like=Picture(None, None, False, 16 if "deep" in name else 8))
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    wrong(path, "damaged", str(path), images.EXPECTED, "copy or download it again")
    assert capfd.readouterr().err == "", "the decoding libraries print lines of their own"


@pytest.mark.parametrize("pixels, options", [
    (drawn(5, 7, 3).astype(np.float32), {"photometric": "rgb"}),
    (drawn(5, 7).astype(np.float32), {"photometric": "minisblack"}),
    (drawn(5, 7).astype(np.uint32), {"photometric": "minisblack"}),
    (drawn(5, 7).astype(np.int16), {"photometric": "minisblack"}),
    (drawn(5, 7, 3), {"photometric": "cielab"}),
    (drawn(3, 5, 7, dtype=np.uint16), {"photometric": "rgb", "planarconfig": "separate"}),
])
def test_kinds_that_would_be_read_wrongly_are_refused(tmp_path, pixels, options):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, pixels, **options)
    float_colors = pixels.dtype == np.float32 and pixels.ndim == 3              # Pillow does not even open these
    wrong(path, str(path), images.EXPECTED, "convert it" if float_colors else "save it as an ordinary PNG")


@pytest.mark.parametrize("depth", [8, 16])
def test_too_large_is_known_before_decoding(tmp_path, depth):
    path = tmp_path / "x.png"
    path.write_bytes(png(20_000, 10_000, depth, 2, []))  # 600 MB if believed; Pillow's own bound is 179 million
    wrong(path, "the picture is too large (20000 x 10000 pixels, 200.0 million): ", str(path),
          "at most 178 million were expected: scale it down")


def test_the_bound_counts_pixels(tmp_path):
    assert images.MAX_PIXELS == 178_000_000
    path = saved(tmp_path / "x.png", drawn(10, 20, 3))
    assert open_picture(path, max_pixels=200).rgb.shape == (3, 10, 20)
    with pytest.raises(UserError, match=r"too large \(20 x 10 pixels"):
        open_picture(path, max_pixels=199)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    picture = torch.rand(3, 11, 13, generator=torch.Generator().manual_seed(1))
    for name in ("x.png", "x.jpg", "x.bmp", "x.webp", "x.tif", "deep.png", "deep.tif"):
        write_image(folder / name, picture, like=Picture(None, picture[:1], False, 16 if "deep" in name else 8))
    return sorted(folder.iterdir())


@settings(max_examples=100, deadline=None)
@given(data=some.data())
def test_damaged_bytes_give_a_picture_or_a_message(good_files, data):
    path = data.draw(some.sampled_from(good_files))
    content = bytearray(path.read_bytes())
    for place, value in data.draw(some.lists(some.tuples(some.integers(0, len(content) - 1), some.integers(0, 255)),
                                             max_size=5)):
        content[place] = value
    broken = path.with_name(f"broken{path.suffix}")
    broken.write_bytes(content[:data.draw(some.integers(0, len(content)))])
    try:
        assert open_picture(broken, max_pixels=1_000_000).rgb.shape[0] == 3
    except UserError as error:
        assert str(broken) in str(error) and "\n" not in str(error) and "()" not in str(error)
    broken.unlink()
