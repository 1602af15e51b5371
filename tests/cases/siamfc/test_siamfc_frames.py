"""Frames of siamfc's training videos: the fast way to read them gives what the one reader gives."""
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from cases.siamfc.baselines import opencv
from cases.siamfc.model import SiamFC
from cases.siamfc.tracker import SiamFCTracker
from cases.siamfc.videos import read_frame
from common.base.errors import UserError
from common.data.images import read_pixels


def test_tracker_and_opencvs_trackers_read_as_everywhere(tmp_path, monkeypatch):
    """Frames that an ordinary decoder would take otherwise: 16-bit gray, turned by EXIF, cut off."""
    draw, seen = np.random.default_rng(0), []
    Image.fromarray(draw.integers(0, 65536, (40, 60), dtype=np.uint16)).save(tmp_path / "1.png")
    turned = Image.fromarray(draw.integers(0, 256, (60, 40, 3), dtype=np.uint8))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "2.jpg", exif=turned.getexif())
    paths = [tmp_path / "1.png", tmp_path / "2.jpg"]
    wanted = [read_pixels(path) for path in paths]

    class Watching(SiamFCTracker):
        def init(self, image, box):
            seen.append(image)
            super().init(image, box)

        def update(self, image):
            seen.append(image)
            return super().update(image)

    class Idle:
        def init(self, frame, box):
            seen.append(frame[..., ::-1])

        def update(self, frame):
            seen.append(frame[..., ::-1])
            return True, (1, 1, 5, 5)
    Watching(SiamFC([8, 16, 16, 16, 8])).track(paths, (10, 10, 15, 15))
    monkeypatch.setattr(cv2.TrackerMIL, "create", Idle)
    opencv.track("mil", paths, (10, 10, 15, 15))
    assert all(map(np.array_equal, seen, wanted * 2)) and len(seen) == 4
    (tmp_path / "2.jpg").write_bytes((tmp_path / "2.jpg").read_bytes()[:700])
    for track in (Watching(SiamFC([8, 16, 16, 16, 8])).track, partial(opencv.track, "mil")):
        with pytest.raises(UserError, match="2.jpg"):
            track(paths, (10, 10, 15, 15))


def test_a_frame_with_a_colour_profile_is_converted_as_everywhere(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {bytes(data[start:start + 4]): start for start in range(132, 132 + 12 * data[131], 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]              # exchanged: red means green
    data[red + 4:red + 12], data[green + 4:green + 12] = data[green + 4:green + 12], data[red + 4:red + 12]
    for name, options in (("plain.jpg", {}), ("swapped.jpg", {"icc_profile": bytes(data)})):
        Image.fromarray(pixels).save(tmp_path / name, quality=95, **options)
    plain, swapped = (read_frame(tmp_path / name) for name in ("plain.jpg", "swapped.jpg"))
    assert np.array_equal(swapped, read_pixels(tmp_path / "swapped.jpg"))
    assert np.abs(swapped.astype(int) - plain).mean() > 2, "the profile moves colours by more than rounding does"
