"""From files to tasks: the true picture, what is given of it, and the mask of what is to be made anew.

inpaint: the masked pixels are gone. watermark: a half-transparent mark lies over them. denoise: Gaussian noise lies
over all. Marks and noise are drawn from the seed and the picture's place in the list alone.
"""
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some
from common.base.targets import unique_names
from common.data.cache import fingerprint
from common.data.images import by, list_images, open_picture, read_pixels
from common.data.samples import photograph

WHEEL = {"astronaut": "astronaut.png"}                        # pictures that scikit-image brings along
TEXT, FONT, ANGLE = "DEEP PRIOR", 32, -30                     # of the tiled mark: pixels, degrees
SPACE = (12, 48), (8, 32)                                     # pixels between its words, and between its lines
HOLE = "_mask"                                                # NAME_mask.png beside NAME.png: black is to be filled


class Task(NamedTuple):
    """One picture to restore. true, given: uint8 (H, W, 3); mask: bool (H, W), True where `given` is not to be
    believed, nowhere when denoising; alpha: float (H, W), how much of the mark covers each pixel; colour: the mark's,
    in levels."""
    name: str
    true: np.ndarray
    given: np.ndarray
    mask: np.ndarray
    alpha: np.ndarray
    colour: np.ndarray


class Turn(NamedTuple):
    """What a step gets from a loader: nothing but the name, for messages."""
    name: str


class Tasks(Dataset):
    """The tasks of a run; a picture that is fitted has no batches: every step sees the same one."""

    def __init__(self, cfg):
        self.cfg, self.paths, self.names = cfg, *find_pictures(cfg.data)

    def __len__(self):
        return 1

    def __getitem__(self, place):
        return Turn(self.names[0])

    def fingerprint(self):
        return fingerprint(self.paths)

    def task(self, place):
        """The Task of the picture at a place of the list."""
        data, path = self.cfg.data, self.paths[place]
        true = fit_square(read_pixels(path), data.size)
        plain = np.zeros(true.shape[:2]), np.zeros(true.shape[:2], bool)
        if self.cfg.task == "denoise":
            noise = np.random.default_rng([self.cfg.seed, place]).normal(0, data.sigma, true.shape)
            return Task(self.names[place], true, to_levels(true + noise), plain[1], plain[0], np.zeros(3))
        hole = path.with_name(path.stem + HOLE + ".png")
        if self.cfg.task == "inpaint" and hole.exists():
            mask = fit_square(read_pixels(hole), data.size)[..., 0] < 128
            return Task(self.names[place], true, np.where(mask[..., None], 0, true).astype(np.uint8), mask, *plain[:1],
                        np.zeros(3))
        colour = np.array(data.colour, float)
        coverage = draw_mark(true.shape[:2], 0 if data.common else place)
        alpha = coverage * (data.alpha if self.cfg.task == "watermark" else 1)
        given = blend(true, alpha, colour)
        if self.cfg.task == "inpaint":
            given = np.where(coverage[..., None] > 0, 0, true).astype(np.uint8)
        return Task(self.names[place], true, given, coverage > 0, alpha, colour)


def find_pictures(data):
    """(paths, names): the pictures of data.root in natural order, or those that data.names names, in its order.

    A name is a file's without suffix; `astronaut` is scikit-image's where the folder has none. Masks are no pictures.
    Raises UserError for what is not there.
    """
    found = [path for path in list_images(Path(data.root), "data.root") if not path.stem.endswith(HOLE)]
    if not data.names:
        if not found:
            raise UserError(f"no pictures: {data.root}: pictures to restore were expected: set data.root")
        return found, unique_names(path.stem for path in found)
    twice = sorted({name for name in data.names if data.names.count(name) > 1})
    if twice:
        raise UserError(f"data.names names pictures twice: {join_some(twice)}: each once was expected: remove one")
    known = {name: wheel_path(file) for name, file in WHEEL.items()} | {path.stem: path for path in found}
    several = [path for path in found if path.stem in data.names and known[path.stem] != path]
    if several:
        raise UserError(f"data.names names several files: {join_some(several)}, {known[several[0].stem]}: one of each "
                        "name was expected: rename or remove the others")
    missing = [name for name in data.names if name not in known]
    if missing:
        raise UserError(f"no such pictures: {data.root}: {join_some(missing)}: names of files there, without suffix, "
                        "were expected: change data.names, or leave it out for all pictures of data.root")
    return [known[name] for name in data.names], list(data.names)


def wheel_path(file):
    """The path of a photograph in scikit-image's wheel."""
    photograph(file)                                          # says what is missing
    return Path(find_spec("skimage").origin).with_name("data") / file


def fit_square(pixels, side):
    """The centred square of a picture (H, W, 3) at side x side pixels; side 0: the picture as it is."""
    if not side:
        return pixels
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top:top + short, left:left + short]))
    return np.asarray(square if short == side else square.resize((side, side), Image.Resampling.LANCZOS)).copy()


def draw_mark(size, number):
    """Coverage (h, w) in [0, 1] of a tiled text, turned by 30 degrees, with soft edges; number: which of them."""
    rng = np.random.default_rng(number)
    font, side = ImageFont.load_default(FONT), int(np.ceil(np.hypot(*size))) + 2
    page = Image.new("L", (side, side))
    pen = ImageDraw.Draw(page)
    left, top, right, bottom = pen.textbbox((0, 0), TEXT, font=font)
    step_x, step_y = (int(extent + rng.integers(*space)) for extent, space in zip((right - left, bottom - top), SPACE))
    start_x, start_y = int(rng.integers(step_x)), int(rng.integers(step_y))
    for y in range(start_y - step_y, side, step_y):
        for x in range(start_x - step_x, side, step_x):
            pen.text((x, y), TEXT, fill=255, font=font)
    turned = np.asarray(page.rotate(ANGLE, Image.Resampling.BICUBIC), np.float32) / 255
    first, start = (side - size[0]) // 2, (side - size[1]) // 2
    return turned[first:first + size[0], start:start + size[1]]


def blend(picture, alpha, colour):
    """y = (1 - alpha) x + alpha w in 8 bits. picture (H, W, 3) in levels, alpha (H, W), w = colour (3,) in levels."""
    alpha = alpha[..., None]
    return to_levels((1 - alpha) * picture + alpha * colour)


def composite(picture, task):
    """A picture (H, W, 3) uint8 inside the mask, what is known outside; the picture itself where there is no mask."""
    return np.where(task.mask[..., None], picture, task.given) if task.mask.any() else picture


def to_levels(values):
    """uint8 of numbers in levels, rounded and clipped."""
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def read_mask(path, size):
    """bool (h, w): True where a mask picture is white or transparent: what goes. Resized to size by nearest pixels.

    Raises UserError where nothing or everything goes, or the proportions are not the picture's.
    """
    picture = open_picture(path)
    goes = picture.rgb.mean(dim=0) > 0.5
    if picture.alpha is not None:
        goes |= picture.alpha[0] < 0.5
    height, width = goes.shape
    if not 0.98 < (width / height) / (size[1] / size[0]) < 1.02:
        raise UserError(f"a mask of another shape: {path} is {by(goes.shape)}, the picture {by(size)}: equal "
                        "proportions were expected: draw it over the picture")
    whole = Image.fromarray(goes.numpy())
    mask = np.asarray(whole if goes.shape == tuple(size) else whole.resize(size[::-1], Image.Resampling.NEAREST))
    return expect_mask(mask, path)


def expect_mask(mask, path):
    """The mask, where some of the picture goes and some stays; else UserError."""
    wanted = "white (or transparent) where something is to be removed, black elsewhere"
    if not mask.any():
        raise UserError(f"a mask that covers nothing: {path}: {wanted} was expected: is it inverted, or the "
                        "wrong file?")
    if mask.mean() > 0.9:
        raise UserError(f"a mask that covers {100 * mask.mean():.0f} % of the picture: {path}: {wanted} was expected: "
                        "is it inverted, or the wrong file?")
    return mask
