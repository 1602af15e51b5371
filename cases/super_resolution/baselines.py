"""What the network is held against: interpolation, sharpening, and the small picture's own word by back-projection.

Pictures are uint8 (h, w, 3) in, uint8 (s h, s w, 3) out.
"""
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from cases.super_resolution.data import reduce

FILTERS = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC,
           "lanczos": Image.Resampling.LANCZOS}
ROWS = [*FILTERS, "unsharp", "back_projection"]
AMOUNT, SIGMA = 0.6, 1.0                                      # of the unsharp mask
TURNS = 10


def enlarge(low, scale, name="bicubic"):
    """The picture at s times its size by one of Pillow's filters."""
    height, width = low.shape[:2]
    return np.asarray(Image.fromarray(low).resize((scale * width, scale * height), FILTERS[name])).copy()


def unsharp(picture):
    """y + 0.6 (y - blurred y)."""
    blurred = gaussian_filter(picture.astype(np.float32), (SIGMA, SIGMA, 0))
    return to_levels(picture + AMOUNT * (picture - blurred))


def back_project(low, scale):
    """y += up(low - down(y)), ten times from the bicubic picture: reduced again, it gives the small one."""
    y = enlarge(low, scale).astype(np.float32)
    for _ in range(TURNS):
        off = low.astype(np.int16) - reduce(to_levels(y), scale)
        channels = [np.asarray(Image.fromarray(channel.astype(np.float32)).resize(y.shape[1::-1], FILTERS["bicubic"]))
                    for channel in np.moveaxis(off, 2, 0)]
        y += np.stack(channels, axis=2)
    return to_levels(y)


def outputs(low, scale):
    """{row: picture} of all of them."""
    plain = {name: enlarge(low, scale, name) for name in FILTERS}
    return plain | {"unsharp": unsharp(plain["bicubic"]), "back_projection": back_project(low, scale)}


def to_levels(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
