"""Files from elsewhere: what is read, what is named and left, colour profiles, masks with transparency."""
import io
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from common.base.errors import UserError
from common.data import formats, images, profiles, video
from common.data.images import list_images, open_picture, picture_files, read_pixels, write_image


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(images, "told", set())


def colours(side=24):
    """A picture with many colours, uint8 (side, side, 3)."""
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def swapped_profile():
    """An ICC profile whose red is sRGB's green and the other way round, so that what it does cannot be missed: its
    tags rXYZ and gXYZ are exchanged in the directory."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {bytes(data[start:start + 4]): start for start in range(132, 132 + 12 * data[131], 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    data[red + 4:red + 12], data[green + 4:green + 12] = data[green + 4:green + 12], data[red + 4:red + 12]
    return bytes(data)


def kept(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_profile_is_applied_and_srgb_is_left_alone(tmp_path):
    pixels = colours()
    (tmp_path / "other.png").write_bytes(kept(Image.fromarray(pixels), icc_profile=swapped_profile()))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "srgb.png").write_bytes(kept(Image.fromarray(pixels), icc_profile=srgb))
    assert np.array_equal(read_pixels(tmp_path / "srgb.png"), pixels)
    read = read_pixels(tmp_path / "other.png").astype(int)
    assert np.abs(read - pixels[..., [1, 0, 2]]).max() <= 2 and np.abs(read - pixels).mean() > 20


def test_profiles_of_gray_and_transparent_pictures(tmp_path):
    pixels = colours()
    alpha = np.arange(24 * 24, dtype=np.uint16).reshape(24, 24).astype(np.uint8)
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    (tmp_path / "alpha.png").write_bytes(kept(picture, icc_profile=swapped_profile()))
    read = open_picture(tmp_path / "alpha.png")
    assert np.array_equal((255 * read.alpha[0]).round().numpy(), alpha), "transparency is no colour"
    assert abs(read.rgb[0].mean() - pixels[..., 1].mean() / 255) < 0.01
    (tmp_path / "gray.png").write_bytes(kept(Image.fromarray(pixels[..., 0]), icc_profile=swapped_profile()))
    gray = open_picture(tmp_path / "gray.png")
    assert gray.gray and (gray.rgb[0] == gray.rgb[1]).all()


def test_a_broken_profile_is_a_warning_and_changes_nothing(tmp_path, capsys):
    pixels = colours()
    (tmp_path / "broken.png").write_bytes(kept(Image.fromarray(pixels), icc_profile=b"no profile at all" * 20))
    assert np.array_equal(read_pixels(tmp_path / "broken.png"), pixels)
    error = capsys.readouterr().err
    assert "warning" in error and "broken.png" in error and error.count("\n") == 1


def test_a_profile_of_a_deep_picture_is_said_not_to_be_applied(tmp_path, capsys):
    image = Image.fromarray(colours()[..., 0].astype(np.uint16) * 257)
    image.info["icc_profile"] = swapped_profile()
    profiles.warn_deep(Image.merge("RGB", [Image.new("L", (2, 2))] * 3), "plain.png")
    assert not capsys.readouterr().err
    rgb = Image.new("RGB", (2, 2))
    rgb.info["icc_profile"] = swapped_profile()
    profiles.warn_deep(rgb, "deep.png")
    assert "16-bit" in capsys.readouterr().err


def test_a_file_of_several_pictures_says_so_once(tmp_path, capsys):
    pages = [Image.fromarray(colours()).rotate(90 * turn) for turn in range(3)]
    for name in ("stack.tif", "moving.gif", "moving.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        read_pixels(tmp_path / name)
        read_pixels(tmp_path / name)
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{name} holds 3 pictures: the first one is taken" in said
    assert np.array_equal(read_pixels(tmp_path / "stack.tif"), colours())
    pages[0].save(tmp_path / "alone.tif")
    read_pixels(tmp_path / "alone.tif")
    assert not capsys.readouterr().err


def test_every_name_of_jpeg_and_the_first_frame_of_gif_are_read(tmp_path):
    for name in ("a.jpe", "b.JFIF", "c.Jpeg", "d.TIF"):
        write_image(tmp_path / name, open_picture_of(colours(), tmp_path))
    frames = [Image.fromarray(colours() // (1 + turn)) for turn in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    names = [path.name for path in list_images(tmp_path)]
    assert {"a.jpe", "b.JFIF", "c.Jpeg", "d.TIF", "moving.gif"} <= set(names)
    assert read_pixels(tmp_path / "moving.gif").shape == (24, 24, 3)
    assert images.result_suffix("moving.gif") == ".png" and images.result_suffix("b.JFIF") == ".JFIF"


def open_picture_of(pixels, folder):
    path = folder / "source.png"
    Image.fromarray(pixels).save(path)
    return open_picture(path).rgb


def test_what_is_not_read_is_named_with_its_reason(tmp_path, capsys):
    Image.fromarray(colours()).save(tmp_path / "base.png")
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "IMG_1.CR2").write_bytes(b"II*\0" + bytes(40))
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    shutil.copy(tmp_path / "base.png", tmp_path / "photo.backup")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [path.name for path in list_images(tmp_path)][-1:] == ["base.png"] or formats.HEIC
    error = capsys.readouterr().err
    for name, word in (("IMG_1.CR2", "raw"), ("clip.mp4", "video"), ("photo.backup", "rename")):
        assert any(name in line and word in line for line in error.splitlines()), name
    assert formats.HEIC or "IMG_0001.HEIC" in error and "JPEG" in error
    assert "notes.txt" not in error
    list_images(tmp_path)
    assert not capsys.readouterr().err, "once a folder is enough"


def test_every_reason_is_a_line_with_all_of_its_files(tmp_path, capsys):
    folder = tmp_path / "mix\u202e"
    inside = folder / "more"
    inside.mkdir(parents=True)
    for place in (folder / "base.png", folder / ".hidden.png", folder / "._base.png", inside / "other.png"):
        Image.fromarray(colours()).save(place)
    for name in ("1.nef", "2.nef", "10.nef"):
        (folder / name).write_bytes(b"MM\0*" + bytes(40))
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    Image.fromarray(colours()).save(folder / "chat.heic", "JPEG")
    assert [path.name for path in picture_files([folder])[0] if path.suffix == ".png"] == ["base.png"]
    error = capsys.readouterr().err
    for part in ("1.nef; 2.nef; 10.nef: a camera's raw file", ".hidden.png: hidden", "gone.jpg: a link to a file that",
                 "more: a folder in the folder"):
        assert part in error, part
    assert formats.HEIC or "chat.heic: a picture under the name of something else: rename it to end in .jpg" in error
    assert "._base" not in error and "\\u202e" in error and "\u202e" not in error


@pytest.mark.parametrize("suffix, codec", [(".wmv", "WMV2"), (".3gp", "mp4v"), (".mpg", "PIM1"), (".MPEG", "PIM1")])
def test_videos_of_more_kinds_are_read_and_come_out_as_mp4(tmp_path, suffix, codec):
    source = tmp_path / f"in{suffix}"
    with video.hushed():
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*codec), 25, (64, 48))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {suffix}")
    for level in (40, 80, 120):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    assert formats.is_film(source) and video.result_suffix(source) == ".mp4"
    means = [frame.mean() for frame in video.frames_of(video.open_film(source))]
    assert len(means) == 3 and np.allclose(means, [40, 80, 120], atol=6)


def test_a_video_among_pictures_and_a_raw_file_are_called_that(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    with pytest.raises(UserError, match="a video, not a picture"):
        picture_files([tmp_path / "clip.mp4"])
    (tmp_path / "a.nef").write_bytes(b"MM\0*" + bytes(100))
    with pytest.raises(UserError, match="raw file"):
        open_picture(tmp_path / "a.nef")


@pytest.mark.skipif(formats.HEIC, reason="pillow-heif reads it")
def test_heic_under_another_name_is_called_heic(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(UserError, match="HEIC, the format of iPhones"):
        open_picture(tmp_path / "a.jpg")


def test_three_profiles_mean_the_same_colours(shared):
    folder = shared("cases/icc_profile")
    wanted = read_pixels(folder / "srgb.png").astype(int)
    for name in ("p3.png", "adobe.png"):
        off = np.abs(read_pixels(folder / name).astype(int) - wanted)
        assert off.mean() < 2.5, (name, off.mean())


def test_the_mixed_folder_of_strangers(shared, capsys):
    names = {path.name for path in list_images(shared("cases/silently_skipped") / "mix")}
    assert {"base.jpg", "photo.jfif", "anim.gif"} <= names
    if not formats.HEIC:
        assert "IMG_0001.HEIC; IMG_0002.HEIC: HEIC, the format of iPhones" in capsys.readouterr().err


def test_frames_of_a_video_are_converted_one_by_one(tmp_path):
    with video.writing(tmp_path / "in.avi", 10, (32, 24)) as write:
        for level in (40, 60, 80):
            write(np.full((24, 32, 3), level, np.uint8))
    levels = video.convert(tmp_path / "in.avi", tmp_path / "out.avi", lambda frame: frame // 2, "halving")
    assert len(levels) == 3 and all(abs(after - before / 2) < 1 for before, after in levels)
    assert len(list(video.frames_of(video.open_film(tmp_path / "out.avi")))) == 3
