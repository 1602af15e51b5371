"""The pictures of the page, with the release weights: make figures FOR=readme CASE=super_resolution"""
from functools import partial

import numpy as np

from cases.super_resolution import figures as drawings
from cases.super_resolution.baselines import enlarge, outputs
from cases.super_resolution.data import cut, degrade, reduce
from cases.super_resolution.model import SuperResolution
from common.data.samples import photograph
from common.experiment import figures
from common.experiment.run import released
from common.metrics import psnr_y

ORANGE = 213, 94, 0


def network(scale, weights="release"):
    """(what figures.py asks of a run, the network of a scale)."""
    return released("super_resolution", SuperResolution, weights, f"test.scale={scale}")


def draw_zoom(name, scale, corner, side):
    """A window of a photograph, (top, left) and side, by every row beside the truth; PSNR of the whole photograph."""
    high = cut(photograph(name), 12)
    low = reduce(high, scale)
    pictures = outputs(low, scale) | {"network": drawings.answer(*network(scale), low)}
    top, left = corner
    window = slice(top, top + side), slice(left, left + side)
    shown = {"the window": marked(high, corner, side)}
    for row, enlarged in pictures.items():
        shown[f"{row.replace('_', ' ')}: {psnr_y(enlarged, high, scale):.2f} dB"] = enlarged[window]
    return figures.sheet(shown | {"true": high[window]}, 4)


def marked(picture, corner, side):
    """The largest square of a picture that has the window in it, with its border."""
    framed, (top, left), size = picture.copy(), corner, min(picture.shape[:2])
    width = max(2, size // 100)
    framed[top:top + side, left:left + side] = ORANGE
    inside = slice(top + width, top + side - width), slice(left + width, left + side - width)
    framed[inside] = picture[inside]
    first = int(np.clip(left + side // 2 - size // 2, 0, picture.shape[1] - size))
    return framed[:size, first:first + size]


def draw_cover():
    """Roofs, four times as large: the small picture's pixels at the left, the network's answer at the right."""
    low = reduce(cut(photograph("photos/china.jpg"), 12), 4)[10:70, 26:106]
    return figures.cover(enlarge(low, 4, "nearest"), drawings.answer(*network(4), low))


def draw_adversarial(name, corner, side):
    """A window of a photograph by the network, by the one that went on against a discriminator, and the truth."""
    high = cut(photograph(name), 12)
    low = reduce(high, 4)
    pictures = {"bicubic": enlarge(low, 4, "bicubic"), "network": drawings.answer(*network(4), low),
                "against a discriminator": drawings.answer(*network(4, "release-gan"), low)}
    window = slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)
    shown = {f"{row}: {psnr_y(picture, high, 4):.2f} dB": picture[window] for row, picture in pictures.items()}
    return figures.sheet(shown | {"true": high[window]}, 4)


def draw_phone(name, corner, side):
    """A window of a photograph that was made small, noisy and JPEG, enlarged by both networks, and the truth."""
    high = cut(photograph(name), 12)
    low = degrade(high, 2, np.random.default_rng(5))
    pictures = {"bicubic": enlarge(low, 2, "bicubic"), "network": drawings.answer(*network(2), low),
                "trained on such": drawings.answer(*network(2, "release-real"), low)}
    window = slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)
    shown = {f"{row}: {psnr_y(picture, high, 2):.2f} dB": picture[window] for row, picture in pictures.items()}
    return figures.sheet(shown | {"true": high[window]}, 4)


def draw_failures():
    """Stripes finer than the small picture's pixels, and a small picture that was kept as JPEG."""
    return figures.figure_of(drawings.draw_failures, *network(4))


PICTURES = {"cover.jpg": draw_cover,
            "result.jpg": partial(draw_zoom, "photos/china.jpg", 4, (110, 240), 120),
            "zoom2.jpg": partial(draw_zoom, "photos/chelsea_cat.jpg", 2, (90, 120), 96),
            "adversarial.jpg": partial(draw_adversarial, "photos/china.jpg", (110, 240), 120),
            "phone.jpg": partial(draw_phone, "photos/china.jpg", (110, 240), 160),
            "shuffle.png": partial(figures.figure_of, drawings.draw_shuffle),
            "failures.jpg": draw_failures}
