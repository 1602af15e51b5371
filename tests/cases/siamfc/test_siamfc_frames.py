"""Frames of siamfc's training videos: the fast way to read them gives what the one reader gives."""
import numpy as np
from PIL import Image, ImageCms

from cases.siamfc.videos import read_frame
from common.data.images import read_pixels


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
