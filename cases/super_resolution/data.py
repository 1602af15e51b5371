"""What turns pictures into super-resolution's samples: a large picture, and the small one made of it."""
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from common.base.errors import UserError, join_some, warn
from common.data.cache import Orientation, fingerprint, random_window, share_pixels
from common.data.images import list_images, picture_size, read_pixels, to_tensor

HELD = 10                                                     # every tenth picture validates
TEST_SETS = ("Set5", "Set14", "BSD100", "Urban100", "Manga109")     # folders that never train


class Sample(NamedTuple):
    """One sample: a patch of the small picture and the same of the large one."""
    low: Tensor                     # (3, h, w) float32 in [0, 1]
    high: Tensor                    # (3, s h, s w)
    name: str


def training_sets(cfg):
    """(training, validation): patches of nine tenths of the pictures, the others whole."""
    paths = training_pictures(cfg.data.root)
    held = paths[::HELD] if len(paths) >= HELD else paths
    kept = [path for path in paths if path not in set(held)] or paths
    options = {"scale": cfg.model.scale, "halved": cfg.data.halved, "degrade": cfg.data.degrade, "seed": cfg.seed}
    small = [path for path in paths if smallest(path, options) < cfg.data.patch]
    if small:
        warn(f"{len(small)} of {len(paths)} pictures are left out, which are too small for patches of {cfg.data.patch} "
             f"(data.patch) or cannot be read: {join_some(map(str, small), 3)}")
    training = Patches(kept, patch=cfg.data.patch, **options)
    held = [path for path in held if path not in set(small)] or training.paths
    return training, Patches(held[:cfg.train.validate_pictures], patch=None, **options)


def training_pictures(root):
    """The pictures of a folder and of the folders in it, but for those of the usual test sets."""
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"no such folder: {root}: a folder of pictures was expected: set data.root")
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir() and path.name not in TEST_SETS)]
    paths = [path for folder in folders for path in list_images(folder)]
    if not paths:
        raise UserError(f"no pictures: {root}: pictures, or folders of pictures, were expected: set data.root")
    return paths


def test_sets(cfg):
    """The folders of the usual test sets inside test.root, where there are any, else the folder itself."""
    root = Path(cfg.test.root or cfg.data.root)
    inside = [root / name for name in TEST_SETS if (root / name).is_dir()]
    return inside or [root]


def smallest(path, options):
    """The shorter side of the small picture that comes of a file."""
    return min(picture_size(path) or (0, 0)) // (options["scale"] * (1 + (path.parent.name in options["halved"])))


class Patches(Dataset):
    """Small and large patches of pictures: patches[epoch, index] -> Sample.

    patch: side of the small patch; None: whole pictures. halved: names of folders whose pictures are halved first,
    because JPEG's blocks would be learnt with them. degrade: bicubic (reduce), or real (blur, noise and JPEG as
    well). Pictures that are too small for a patch are left out.
    """

    def __init__(self, paths, scale, patch, halved=(), degrade="bicubic", seed=0):
        self.scale, self.patch, self.degrade, self.seed = scale, patch, degrade, seed
        self.halved = set(halved)
        options = {"scale": scale, "halved": self.halved}
        self.paths = [path for path in paths if patch is None or smallest(path, options) >= patch]
        if not self.paths:
            raise UserError(f"every picture is too small for patches of {patch}: {join_some(map(str, paths))}: sides "
                            f"of at least {patch * scale} pixels were expected: lower data.patch")
        sizes = [self._size(path) for path in self.paths]
        self.store = share_pixels(sizes + [tuple(side // scale for side in size) for size in sizes])

    def __len__(self):
        return len(self.paths)

    def fingerprint(self):
        return fingerprint(self.paths)

    def __getitem__(self, place):
        epoch, index = place
        path, rng = self.paths[index], np.random.default_rng([self.seed, epoch, index])
        if self.store is None:
            high = self._large(path)
            low = reduce(high, self.scale)
        else:
            high = self.store.get(index, self._large, path)
            low = self.store.get(len(self.paths) + index, lambda _: reduce(high, self.scale), path)
        if self.patch is None:
            if self.degrade == "real":
                low = degrade(high, self.scale, rng)
            return Sample(to_tensor(low), to_tensor(high), path.name)
        top, left = random_window(rng, low.shape[:2], self.patch, path)
        side, s, orientation = self.patch, self.scale, Orientation.draw(rng, True, True)
        high = high[s * top:s * (top + side), s * left:s * (left + side)]
        low = degrade(high, s, rng) if self.degrade == "real" else low[top:top + side, left:left + side]
        return Sample(*(orientation.turn(to_tensor(picture)).contiguous() for picture in (low, high)), path.name)

    def _size(self, path):
        """(height, width) of the large picture, from the header: halved where it must be, cut to a multiple."""
        factor = 1 + (path.parent.name in self.halved)
        return tuple(side // factor // self.scale * self.scale for side in picture_size(path) or (0, 0))

    def _large(self, path):
        pixels = read_pixels(path)
        if path.parent.name in self.halved:
            pixels = reduce(cut(pixels, 2), 2)
        return cut(pixels, self.scale)


def cut(pixels, scale):
    """A picture (H, W, 3) cut at its right and lower end to a multiple of the scale."""
    height, width = (side // scale * scale for side in pixels.shape[:2])
    return pixels[:height, :width]


def reduce(pixels, scale):
    """The picture (H, W, 3) uint8 at 1 / scale of its size: Pillow's bicubic filter, with antialiasing."""
    height, width = pixels.shape[:2]
    large = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(large.resize((width // scale, height // scale), Image.Resampling.BICUBIC))


def degrade(pixels, scale, rng):
    """The picture as a phone may have kept it: blurred, reduced, noisy, and stored as JPEG. uint8 (H, W, 3)."""
    blurred = ndimage.gaussian_filter(pixels.astype(np.float32), (*[rng.uniform(0.2, 0.4 * scale)] * 2, 0))
    small = reduce(np.clip(blurred + 0.5, 0, 255).astype(np.uint8), scale).astype(np.float32)
    noisy = small + rng.normal(0, rng.uniform(0, 6), small.shape)
    buffer = io.BytesIO()
    kept = Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8))
    kept.save(buffer, "JPEG", quality=int(rng.integers(60, 96)))
    return np.array(Image.open(buffer).convert("RGB"))


def to_batch(pixels):
    """A picture (H, W, 3) uint8 as (1, 3, H, W) float32 in [0, 1]."""
    return torch.as_tensor(to_tensor(np.ascontiguousarray(pixels)))[None]
