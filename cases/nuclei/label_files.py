"""Label maps as files, and as pictures for people."""
import colorsys
import io

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from common.base.errors import UserError
from common.base.files import write_whole

LARGEST, DEEPEST = 255, 65535                              # numbers that a palette and 16 bits hold beside 0


def palette():
    """uint8 (256, 3): black for 0, then colours of which neighbours differ (steps of the golden ratio in hue)."""
    colours = [colorsys.hsv_to_rgb(number * 0.618034 % 1, (0.9, 0.55)[number % 2], (1.0, 0.9, 0.8)[number % 3])
               for number in range(256)]
    table = (255 * np.array(colours) + 0.5).astype(np.uint8)
    table[0] = 0
    return table


def write_labels(path, labels):
    """Write a label map (h, w) as PNG: up to 255 nuclei with a palette, so that it is seen in colours and read as
    numbers; more as 16-bit gray. Raises UserError for more than those hold."""
    if labels.max(initial=0) > DEEPEST:
        raise UserError(f"{labels.max()} nuclei in one picture: {path}: at most {DEEPEST} were expected, as many as 16 "
                        "bits can number: cut the picture into parts")
    if labels.max(initial=0) > LARGEST:
        image = Image.fromarray(labels.astype(np.uint16))
    else:
        image = Image.fromarray(labels.astype(np.uint8), "L")
        image.putpalette(palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    write_whole(path, buffer.getvalue())


def paint(labels):
    """uint8 (h, w, 3): every nucleus in a colour of its own; colours come again after 255."""
    return palette()[np.where(labels > 0, (labels - 1) % LARGEST + 1, 0)]


def outline(gray, labels):
    """uint8 (h, w, 3): a normalised picture (h, w) with a coloured line inside every nucleus."""
    picture = np.repeat((255 * gray + 0.5).astype(np.uint8)[..., None], 3, axis=2)
    edge = find_boundaries(labels, mode="inner")
    picture[edge] = paint(labels[edge])
    return picture
