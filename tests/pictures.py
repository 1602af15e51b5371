"""Pictures for tests: random, photographed, read; integers and what reading them gives; pairs; a process alone."""
import subprocess
import sys

import cv2
import numpy as np
import skimage
import torch
from hypothesis import settings
from PIL import Image

from common.base.paths import ROOT
from common.data.images import open_picture, read_image, read_pixels, to_bytes, write_image

RNG = np.random.default_rng(12)
DRAWN = settings(max_examples=30, deadline=None)


def drawn(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def photo(name):
    return np.ascontiguousarray(getattr(skimage.data, name)()[..., :3])


def image(path):
    return np.array(Image.open(path))


def planes(pixels):
    """What open_picture must make of integer pixels (H, W, C): (C, H, W) float32, exactly."""
    return torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1) / np.float32(np.iinfo(pixels.dtype).max))


def check(path, rgb, alpha=None, gray=False, bits=8):
    """The file at path holds exactly these integer pixels: rgb (H, W, 3), alpha (H, W, 1)."""
    picture = open_picture(path)
    assert picture.rgb.dtype == torch.float32 and picture.rgb.is_contiguous()
    assert torch.equal(picture.rgb, planes(rgb)) and torch.equal(read_image(path), picture.rgb)
    assert picture.alpha is None if alpha is None else torch.equal(picture.alpha, planes(alpha))
    assert (picture.gray, picture.bits) == (gray, bits)
    quick = read_pixels(path)
    assert quick.dtype == np.uint8 and quick.flags.c_contiguous and quick.flags.writeable
    assert np.array_equal(quick, to_bytes(picture.rgb))


def lol_like(folder, count=4, size=(40, 48)):
    """A tiny set in LOL's layout."""
    draw = np.random.default_rng(0)
    for split in ("our485", "eval15"):
        for number in range(1, count + 1):
            high = torch.from_numpy(draw.random((3, *size), np.float32))
            write_image(folder / split / "high" / f"{number}.png", high)
            write_image(folder / split / "low" / f"{number}.png", high / 6)
    return folder


def brighten_large(case, weights, folder, width, height):
    """Peak MiB of a low-light case's test.py, as its own process, on a drawn picture: folder/big.png to out.png."""
    draw = np.random.default_rng(0)
    cv2.imwrite(str(folder / "big.png"), cv2.resize(draw.integers(0, 50, (30, 40, 3), dtype=np.uint8), (width, height),
                                                    interpolation=cv2.INTER_CUBIC))
    code = f"""
import sys
from pathlib import Path
from cases.{case}.test import main
from common.base import paths
from common.experiment.device import peak_memory_mb
here, weights = sys.argv[1:]
paths.RESULTS = Path(here)
main(["--weights", weights, "--name", "big", "--input", here + "/big.png", "--output", here + "/out.png"])
print(peak_memory_mb())
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(weights)], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_pixels(folder / "out.png").shape == (height, width, 3)
    return float(done.stdout.split()[-1])
