"""From one or two photographs with a box to a training pair (z, x): plainly, as the port does it, or strongly changed.

A photograph is RGB uint8 (h, w, 3), a box (x, y, w, h), 1-based. z is 127 x 127, x 239 x 239, both uint8; offset (x, y)
is where the target lies in x, in pixels from its middle.
"""
from typing import NamedTuple

import cv2
import numpy as np

from cases.siamfc import crops
from cases.siamfc.model import EXEMPLAR, SEARCH
from common.data.clips import ellipse

TRAINING = SEARCH - 16                                        # side of x in training: leaves room for shifts
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_LANCZOS4)
GRAY = np.array([[0.299, 0.587, 0.114]] * 3)


class Look(NamedTuple):
    """A photograph and the target in it."""
    image: np.ndarray
    box: np.ndarray

    @property
    def centre(self):
        """(row, column), 0-based."""
        return np.array([self.box[1] - 1 + (self.box[3] - 1) / 2, self.box[0] - 1 + (self.box[2] - 1) / 2])

    @property
    def size(self):
        """(h, w)."""
        return np.array([self.box[3], self.box[2]])


# ---- plain: the port's transform -------------------------------------------------------------------------------------

def plain_pair(first, second, rng):
    """(z, x, offset) as the port makes them: cut at the tracker's scale, stretched by up to 5 %, shifted by up
    to 4 pixels; offset is 0."""
    z, x = (plain_crop(look, SEARCH, rng) for look in (first, second))
    z = middle(shift_randomly(stretch(z, rng), rng), EXEMPLAR)
    return z, shift_randomly(stretch(x, rng), rng), np.zeros(2, np.float32)


def plain_crop(look, out, rng):
    """The square of the search region around the target, resized to `out` by an interpolation drawn at random.

    The mean colour, which fills what lies outside, is asked for only where something does: cv2.mean is 100 times as
    fast as numpy's and equal.
    """
    side = crops.exemplar_side(look.size) * out / EXEMPLAR
    interpolation = INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]
    corner = np.round(look.centre - (np.round(side) - 1) / 2)
    inside = (corner >= 0).all() and (corner + np.round(side) <= look.image.shape[:2]).all()
    fill = (0, 0, 0) if inside else cv2.mean(look.image)[:3]
    return cv2.resize(crops.cut(look.image, look.centre, side, fill), (out, out), interpolation=interpolation)


def stretch(patch, rng, most=0.05):
    """Both axes by one factor within 1 +- most; then the middle 247 pixels, the mean colour where there are fewer."""
    side = round(len(patch) * (1 + rng.uniform(-most, most)))
    patch = cv2.resize(patch, (side, side), interpolation=INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))])
    return middle(patch, SEARCH - 8)


def shift_randomly(patch, rng):
    """A random window of the training side."""
    top, left = rng.integers(0, len(patch) - TRAINING + 1, 2)
    return patch[top:top + TRAINING, left:left + TRAINING]


def middle(patch, side):
    """The middle side x side pixels, the mean colour where the patch is smaller."""
    corner = (len(patch) - side) // 2 if len(patch) >= side else -((side - len(patch)) // 2)
    return crops.window(patch, corner, corner, side, cv2.mean(patch)[:3])


# ---- strong: one photograph is enough --------------------------------------------------------------------------------

def strong_pair(first, second, rng, other, reach=52.0):
    """(z, x, offset) with what a tracker meets: motion, scale, turns, light, blur, backgrounds, look-alikes, occlusion.

    other(alike): a further Look, of the same category where alike is wanted. reach: largest displacement of the target
    in x, per axis, in pixels.
    """
    z = warp(first, EXEMPLAR, np.exp(rng.uniform(-0.03, 0.03)), rng.uniform(-2, 2, 2), np.eye(2))
    zoom, offset = np.exp(rng.uniform(-0.13, 0.13)), rng.uniform(-reach, reach, 2)
    x = warp(second, TRAINING, zoom, offset, small_turn(rng))
    target = second.size[::-1] * EXEMPLAR / crops.exemplar_side(second.size) * zoom  # (w, h) in pixels of x
    if rng.random() < 0.35:
        x = on_other_background(x, other(False), offset, target, rng)
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 3))):
            x = with_distractor(x, other(rng.random() < 0.5), offset, target, rng)
    if rng.random() < 0.25:
        x = occlude(x, other(False) if rng.random() < 0.5 else None, offset, target, rng)
    if rng.random() < 0.25:
        z, x = (cv2.transform(picture, GRAY) for picture in (z, x))
    z, x = in_other_light(z, rng, 0.6), in_other_light(x, rng, 1.0)
    if rng.random() < 0.2:                                    # a small target: few pixels in both
        shrink = rng.uniform(1.5, 4)
        z, x = lower_resolution(z, shrink), lower_resolution(x, shrink)
    z, x = degrade(z, rng, 0.5), degrade(x, rng, 1.0)
    if rng.random() < 0.5:
        z, x, offset = z[:, ::-1], x[:, ::-1], offset * (-1, 1)
    return np.ascontiguousarray(z), np.ascontiguousarray(x), offset.astype(np.float32)


def small_turn(rng):
    """A rotation of some 7 degrees, each fourth time of some 25, and some 5 % of change of aspect and shear: (2, 2)."""
    angle = rng.normal(0, np.deg2rad(25 if rng.random() < 0.25 else 7))
    aspect, shear = np.exp(rng.normal(0, 0.05)), rng.normal(0, 0.05)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.array([[np.sqrt(aspect), shear], [0, 1 / np.sqrt(aspect)]])


def warp(look, out, zoom, offset, turn):
    """out x out pixels in which the target lies at `offset` from the middle, `zoom` times its usual size, and turned.

    One bilinear warp; mean colour outside of the photograph.
    """
    scale = crops.exemplar_side(look.size) / EXEMPLAR / zoom  # pixels of the photograph per pixel of the crop
    linear = scale * np.linalg.inv(turn)
    start = look.centre[::-1] - linear @ ((out - 1) / 2 + np.asarray(offset))
    return cv2.warpAffine(look.image, np.column_stack([linear, start]), (out, out),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=cv2.mean(look.image)[:3])


def on_other_background(x, look, offset, target, rng):
    """The target, cut out by a soft ellipse somewhat larger than its box, on another photograph."""
    background = random_square(look.image, len(x), rng)
    return blend(background, x, soft_mask(len(x), offset, target * rng.uniform(1.0, 1.25, 2)))


def with_distractor(x, look, offset, target, rng):
    """Another object pasted beside the target, of a similar size, off its box."""
    left, top, w, h = np.round(look.box - (1, 1, 0, 0)).astype(int)
    piece = look.image[max(top, 0):top + h, max(left, 0):left + w]
    size = np.sqrt(target.prod()) * rng.uniform(0.6, 1.4) * np.sqrt([w / h, h / w])
    if min(piece.shape[:2]) < 4 or min(size) < 6 or max(size) > len(x):
        return x
    for _ in range(10):
        place = rng.uniform(-len(x) / 2, len(x) / 2, 2)
        if (abs(place - offset) > 0.5 * (target + size)).any():
            return place_piece(x, piece, place, size)
    return x


def place_piece(x, piece, place, size):
    """x with a piece resized to `size` (w, h), its middle at `place` from x's middle, by a soft ellipse."""
    w, h = (max(4, round(value)) for value in size)
    piece, mask = cv2.resize(piece, (w, h)), ellipse(h, w)[..., None]
    left, top = (round(len(x) / 2 + value - side / 2) for value, side in zip(place, (w, h)))
    rows, columns = slice(max(top, 0), min(top + h, len(x))), slice(max(left, 0), min(left + w, len(x)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return x
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    x = x.copy()
    x[rows, columns] = (mask[inner] * piece[inner] + (1 - mask[inner]) * x[rows, columns]).astype(np.uint8)
    return x


def occlude(x, look, offset, target, rng):
    """A bar over a fifth to a half of the target, across or down: of one colour, or a piece of a photograph (look)."""
    x, axis = x.copy(), int(rng.integers(2))
    wide = target[axis] * rng.uniform(0.2, 0.5)
    start = len(x) / 2 + offset[axis] + rng.uniform(-0.5, 0.5) * (target[axis] - wide) - wide / 2
    band = slice(max(0, round(start)), max(0, round(start + wide)))
    band = (slice(None), band) if axis == 0 else band
    x[band] = rng.integers(0, 256, 3) if look is None else random_square(look.image, len(x), rng)[band]
    return x


def random_square(image, side, rng):
    """A random square of a photograph, at least .4 of its shorter side, resized to side x side."""
    height, width = image.shape[:2]
    part = int(min(height, width) * rng.uniform(0.4, 1))
    top, left = rng.integers(0, height - part + 1), rng.integers(0, width - part + 1)
    return cv2.resize(image[top:top + part, left:left + part], (side, side))


def in_other_light(picture, rng, strength):
    """Gamma, contrast, brightness, colour cast (one curve per channel) and saturation, each drawn at random."""
    gamma, contrast = np.exp(rng.normal(0, 0.22, 2) * strength)
    shift, cast = rng.normal(0, 14) * strength, np.exp(rng.normal(0, 0.07, 3) * strength)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * 255
    curve = np.clip((levels - 128) * contrast * cast + 128 + shift, 0, 255).astype(np.uint8)          # (256, 3)
    picture = cv2.LUT(picture, curve[:, None])
    saturation = float(np.exp(rng.normal(0, 0.25) * strength))
    return cv2.transform(picture, saturation * np.eye(3) + (1 - saturation) * GRAY)


def degrade(picture, rng, share):
    """Blur of the lens or of motion (.4), low resolution (.2), noise (.25); each chance times `share`."""
    blur, low, noise = rng.random(3)
    if blur < 0.175 * share:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.2))
    elif blur < 0.4 * share:
        picture = cv2.filter2D(picture, -1, motion_kernel(int(rng.integers(3, 20)), rng.uniform(0, np.pi)))
    if low < 0.2 * share:
        picture = lower_resolution(picture, rng.uniform(1.5, 4.5))
    if noise < 0.25 * share:
        grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(2, 14))
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return picture


def lower_resolution(picture, shrink):
    """A square picture made smaller by a factor and large again."""
    side = round(len(picture) / shrink)
    return cv2.resize(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), picture.shape[1::-1])


def motion_kernel(length, angle):
    """A line of `length` pixels at an angle, summing to 1."""
    kernel, reach = np.zeros((length, length), np.float32), (length - 1) / 2
    across, down = reach * np.cos(angle), reach * np.sin(angle)
    cv2.line(kernel, (round(reach - across), round(reach - down)), (round(reach + across), round(reach + down)), 1.0)
    return kernel / kernel.sum()


def soft_mask(side, offset, size):
    """A soft ellipse of `size` (w, h) at `offset` from the middle of a side x side picture: float32 (side, side, 1)."""
    places = np.arange(side, dtype=np.float32) - (side - 1) / 2
    across, down = (places - offset[0]) / (size[0] / 2), (places - offset[1]) / (size[1] / 2)
    radius = np.sqrt(across[None] ** 2 + down[:, None] ** 2)
    return np.clip((1.1 - radius) / 0.2, 0, 1)[..., None].astype(np.float32)


def blend(below, above, mask):
    """mask * above + (1 - mask) * below, uint8."""
    return (below + mask * (above.astype(np.float32) - below)).astype(np.uint8)
