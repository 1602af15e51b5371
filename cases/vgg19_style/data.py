"""From files to pictures for style transfer: read, resize, mask; which content meets which style."""
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some, warn
from common.data.cache import fingerprint
from common.data.images import by, list_images, open_picture, picture_size, to_bytes, to_tensor


class Work(NamedTuple):
    """One picture to paint: a content, one style or several with weights that sum to 1 and, if given, a mask each."""
    name: str                           # CONTENT__STYLE__NETWORK
    content: Path
    styles: list                        # paths
    weights: list
    masks: list                         # paths, as many as styles, or none


def works(data, network):
    """[Work]: every content with every style, in natural order; with data.styles every content once, with all of these.

    network: its name, for outputs. Raises UserError for settings that do not fit each other."""
    contents = pictures_at(data.content, "data.content")
    if data.styles:
        styles, masks = files_at(data.styles, "data.styles"), files_at(data.masks, "data.masks")
        weights = data.weights or [1.0] * len(styles)
        for what, given in (("data.weights", weights), ("data.masks", masks)):
            if given and len(given) != len(styles):
                raise UserError(f"{what} has {len(given)} entries, data.styles {len(styles)}: one for each was "
                                "expected: give as many, or none")
        if sum(weights) <= 0:
            raise UserError("data.weights are all 0: a weight above 0 was expected: raise one")
        groups = [(styles, [weight / sum(weights) for weight in weights], masks)]
    elif data.weights or data.masks:
        raise UserError("data.weights and data.masks belong to data.styles, which is empty: set data.styles=[...] "
                        "instead of data.style")
    else:
        groups = [([style], [1.0], []) for style in pictures_at(data.style, "data.style")]
    found = [Work(f"{content.stem}__{join_stems(group[0])}__{network}", content, *group)
             for content in contents for group in groups]
    names = [work.name for work in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"pictures with the same name: {join_some(twice)}: their results would replace each other: "
                        "rename one")
    return found


def join_stems(paths):
    """The names of several pictures as one: a+b."""
    return "+".join(path.stem for path in paths)


def files_at(places, setting):
    """[path] of a list of pictures. Raises UserError for those that are not there."""
    paths = [Path(place) for place in places]
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError(f"no such file: {join_some(missing)}: pictures were expected: mend {setting}")
    return paths


def pictures_at(place, setting):
    """[path] of a picture file, or the pictures of a folder in natural order. Raises UserError where there is none."""
    path = Path(place)
    if not path.exists():
        raise UserError(f"no such file or folder: {path}: a picture or a folder of pictures was expected: set "
                        f"{setting}")
    found = [path] if path.is_file() else list_images(path)
    if not found:
        raise UserError(f"no pictures in {path}: PNG, JPEG, BMP, WebP or TIFF files were expected: set {setting}")
    return found


def read_on_white(path):
    """A picture as uint8 (H, W, 3); where it is transparent, white shows through (its alpha is not kept)."""
    picture = open_picture(path)
    return to_bytes(picture.rgb if picture.alpha is None else picture.rgb * picture.alpha + 1 - picture.alpha)


def fit_size(shape, longest):
    """(height, width) of a picture of shape (h, w, ...) whose long side is to be `longest` pixels; 0: as it is."""
    scale = longest / max(shape[:2]) if longest else 1
    return tuple(max(1, round(side * scale)) for side in shape[:2])


def largest_size(all_works, longest):
    """(height, width) of the largest picture that these works will be: fit_size() of their contents."""
    shapes = [picture_size(work.content) or read_on_white(work.content).shape for work in all_works]
    return max((fit_size(shape, longest) for shape in shapes), key=lambda size: size[0] * size[1])


def resize(pixels, size):
    """uint8 (H, W, 3) at size (h, w) by Lanczos, as float32 (1, 3, h, w) in [0, 1]."""
    if pixels.shape[:2] != tuple(size):
        pixels = np.array(Image.fromarray(pixels).resize(size[::-1], Image.LANCZOS))
    return to_tensor(pixels)[None]


def read_mask(path, size):
    """A gray picture times its opacity as weights (1, 1, h, w) in [0, 1], resized by area.

    So white paint on a transparent layer means what it shows. Raises UserError where it covers nothing; one that covers
    everything is questioned.
    """
    picture = open_picture(path)
    gray = picture.rgb.mean(dim=0)[None, None] * (1 if picture.alpha is None else picture.alpha)
    mask = F.interpolate(gray, size, mode="area")
    if mask.min() > 0.98:
        warn(f"a mask that covers everything: {path}: is it the right file? White is where its style belongs; what is "
             "black or transparent is left out")
    if mask.sum() < 1:
        paint = "" if picture.alpha is None else " (paint on a transparent layer must be white, not black)"
        raise UserError(f"an empty mask: {path}: a picture that is bright where its style belongs{paint} was expected: "
                        "give another mask, or none")
    ratio = (gray.shape[3] / gray.shape[2]) / (size[1] / size[0])
    if not 0.9 < ratio < 1.1:
        raise UserError(f"a mask of another shape: {path} is {by(gray.shape[2:])}, the content {by(size)}: equal "
                        "proportions were expected: draw it over the content picture")
    return mask


def pad(picture, multiple, mode="reflect"):
    """The picture (1, C, h, w), continued (torch.nn.functional.pad) at the right and below to sides that are multiples.

    VGG's pooling drops what is over, so that a strip along these borders would feel the shallow layers alone."""
    down, right = (-side % multiple for side in picture.shape[2:])
    return F.pad(picture, (0, right, 0, down), mode=mode) if down or right else picture


class Turn(NamedTuple):
    """What a step of painting gets from a loader: nothing but the name, for messages."""
    name: str


class Turns(Dataset):
    """A picture that is optimised has no batches: every step sees the same works."""

    def __init__(self, all_works):
        self.files = [path for work in all_works for path in [work.content, *work.styles, *work.masks]]
        self.name = all_works[0].name

    def __len__(self):
        return 1

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint(self.files)

    def __getitem__(self, place):
        return Turn(self.name)


def noise_like(picture, seed, place, amplitude):
    """Uniform noise in [-amplitude, amplitude] of a picture's shape, drawn from (seed, place)."""
    drawn = np.random.default_rng([seed, place]).uniform(-amplitude, amplitude, tuple(picture.shape))
    return torch.from_numpy(drawn.astype(np.float32)).to(picture.device)
