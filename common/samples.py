"""The embedded sample data: small sets in the real sets' layouts, from the photographs in scikit-image's wheel. Nothing is downloaded.

python -m common.samples [NAME ...]      builds datasets/sample/NAME/; what is there and whole stays as it is.
Training and evaluation use different photographs. A case that needs another set adds a function here and enters it in SAMPLES.
"""
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import skimage
import torch

from common.config import ROOT
from common.errors import UserError, start
from common.files import sha256
from common.images import read_bytes, write_image
from common.lowlight import darken
from common.results import write_text

FOLDER = ROOT / "datasets" / "sample"


def photograph(name):
    """One of scikit-image's photographs by file name: uint8 (h, w, 3)."""
    return read_bytes(Path(skimage.__file__).parent / "data" / name)


def write(path, picture):
    """Write a uint8 (h, w, 3) array as a picture file."""
    write_image(path, torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1) / 255)


def low_light_pairs(folder):
    """LOL's layout: 36 training pairs of 144 x 144 and 6 evaluation pairs of 240 x 160 pixels, darkened by the low-light model.

    Gains are drawn from 1/16 to 1/8 only: LOL's brightness has to be guessed, which is more than a training of seconds can learn.
    """
    splits = {"our485": (["astronaut.png", "motorcycle_left.png", "rocket.jpg"], 12, (144, 144)),
              "eval15": (["coffee.png", "chelsea.png"], 3, (160, 240))}
    for split, (photographs, crops, (height, width)) in splits.items():
        for place, name in enumerate(photographs):
            picture = photograph(name)
            for number in range(crops):
                generator = np.random.default_rng([place, number, height])
                top, left = (int(generator.integers(room + 1)) for room in (picture.shape[0] - height, picture.shape[1] - width))
                high = picture[top:top + height, left:left + width]
                low = darken(high / 255, generator, gain=(1 / 16, 1 / 8))
                file = f"{place * crops + number + 1}.png"
                write(folder / split / "high" / file, high)
                write(folder / split / "low" / file, (255 * low + 0.5).astype(np.uint8))


SAMPLES = {"LOL": low_light_pairs}


def build(name=None):
    """Build one sample set, or all; returns its folder (datasets/sample/NAME, or datasets/sample). Whole sets are not touched."""
    if name is None:
        for each in SAMPLES:
            build(each)
        return FOLDER
    if name not in SAMPLES:
        raise UserError(f"there is no sample set {name!r}: expected one of {', '.join(SAMPLES)}")
    folder, new = FOLDER / name, FOLDER / f".{name}.new"
    if stamp(folder) == (folder / ".stamp").read_text(encoding="utf-8") if (folder / ".stamp").exists() else False:
        return folder
    print(f"building the sample set {folder}", flush=True)
    shutil.rmtree(new, ignore_errors=True)
    SAMPLES[name](new)
    write_text(new / ".stamp", stamp(new))
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return folder


def stamp(folder):
    """What a whole set looks like: a digest of this recipe and of every file. An outdated or damaged set has another."""
    recipe = hashlib.sha256(b"".join(Path(__file__).with_name(name).read_bytes() for name in ("samples.py", "lowlight.py"))).hexdigest()
    files = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".stamp"]
    return "\n".join([recipe, *files, ""])


def main(argv=None):
    for name in (sys.argv[1:] if argv is None else argv) or list(SAMPLES):
        print(f"{name}: {build(name)}")


if __name__ == "__main__":
    sys.exit(start(main))
