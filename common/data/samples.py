"""The embedded sample data: small sets in the layouts of the real ones, from photographs in scikit-image's wheel.

python -m common.data samples [NAME]      builds datasets/sample/NAME; what is there and whole stays as it is

Nothing is downloaded, and the same files come out every time. Training and evaluation use different photographs. A set
for another case is one more function here that fills a folder, and a line in SAMPLES.
"""
import hashlib
import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from common.base import paths
from common.base.errors import UserError
from common.base.files import part_of, sha256
from common.data.clips import crop_to_fit, synthetic, write_list, write_sequence
from common.data.darken import darken
from common.data.images import read_pixels

FOLDER = paths.ROOT / "datasets" / "sample"
STAMP = ".stamp"                          # in each set: the recipe it was made by, and a digest of each file


def photograph(name):
    """One of the photographs that scikit-image's wheel carries, by file name: uint8 (H, W, 3)."""
    path = Path(find_spec("skimage").origin).with_name("data") / name     # not imported: that would take a second
    if not path.exists():
        raise UserError(f"scikit-image lacks a photograph: {path}: the version in requirements.txt was expected: run "
                        "`make setup`")
    return read_pixels(path)


def write(path, picture):
    """Write a uint8 (H, W, 3) array as PNG. Plainly: the whole folder is renamed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=6)


def random_window(picture, rng, size):
    """A window of size (h, w) out of a photograph, at random."""
    top, left = (int(rng.integers(side - part + 1)) for side, part in zip(picture.shape, size))
    return picture[top:top + size[0], left:left + size[1]]


def low_light_pairs(folder):
    """LOL's layout: 36 training pairs of 144 x 144 and 6 evaluation pairs of 240 x 160 pixels, the dark ones by darken.

    Gains are drawn from 1/16 to 1/8, the middle of the model's range: over all of it, as in LOL, brightness is
    guesswork to any network that sees only a patch, and a training of seconds would show nothing else.
    """
    splits = {"our485": (["astronaut.png", "motorcycle_left.png", "rocket.jpg"], 12, (144, 144)),
              "eval15": (["coffee.png", "chelsea.png"], 3, (160, 240))}
    for split, (photographs, crops, size) in splits.items():
        for place, name in enumerate(photographs):
            picture = photograph(name)
            for number in range(crops):
                rng = np.random.default_rng([place, number, size[0]])
                high = random_window(picture, rng, size)
                low = darken(high / 255, rng, gain=(1 / 16, 1 / 8))
                file = f"{place * crops + number + 1}.png"
                write(folder / split / "high" / file, high)
                write(folder / split / "low" / file, (255 * low + 0.5).astype(np.uint8))


def colourful(picture, rng, size):
    """Of eight random square windows the one with the largest spread of levels, resized to size (width, height)."""
    short = min(picture.shape[:2])
    windows = [random_window(picture, rng, 2 * [int(short * rng.uniform(0.3, 0.5))]) for _ in range(8)]
    return crop_to_fit(max(windows, key=np.std), size)


def tracking_sequences(folder):
    """GOT-10k's layout, 6 sequences to train on and 3 to test on, 30 frames of 320 x 240.

    In each a patch of one photograph moves over another.
    """
    splits = {"train": ["astronaut.png", "motorcycle_left.png", "rocket.jpg"],
              "val": ["coffee.png", "chelsea.png", "coins.png"]}
    for split, photographs in splits.items():
        names = []
        for number in range(6) if split == "train" else range(3, 6):
            rng = np.random.default_rng([number, 5])
            background, source = (photograph(photographs[(number + shift) % 3]) for shift in (0, 1 + number // 3))
            size = tuple(int(value) for value in rng.integers(44, 76, 2))
            names.append(f"GOT-10k_{split.capitalize()}_{len(names) + 1:06d}")
            clip = synthetic(rng, background, colourful(source, rng, size), turn=3.0)
            write_sequence(folder / split / names[-1], clip)
        write_list(folder / split, names)


def overlapping_photographs(folder):
    """Twenty pictures of 360 x 270, every tenth of them out of coffee or chelsea, the rest of other photographs.

    Whoever holds out every tenth by name tests on what was never trained on.
    """
    held, training = ["coffee.png", "chelsea.png"], ["astronaut.png", "motorcycle_left.png", "rocket.jpg"]
    for number in range(20):
        picture = photograph(held[number // 10] if number % 10 == 0 else training[number % 3])
        rng = np.random.default_rng([number, 360])
        write(folder / f"{number:02d}.png", random_window(picture, rng, (270, 360)))


def stereo_pair(folder):
    """A photographed pair with parallax, the motorcycle of the Middlebury benchmark at half size, and its pairs.csv."""
    for side in ("left", "right"):
        picture = Image.fromarray(photograph(f"motorcycle_{side}.png"))
        half = picture.resize((picture.width // 2, picture.height // 2), Image.BOX)
        write(folder / f"motorcycle_{side}.png", np.asarray(half))
    lines = "name,file1,file2,parallax_class\nmotorcycle,motorcycle_left.png,motorcycle_right.png,large\n"
    (folder / "pairs.csv").write_text(lines, encoding="utf-8", newline="\n")


def stitching_pairs(folder):
    """UDIS-D's layout, 192 x 192: 12 training and 4 testing pairs, two views of one photograph each.

    The second view is from another place, a little brighter or darker. A fifth testing pair has parallax: the
    motorcycle's left and right picture. Training has other photographs.
    """
    splits = {"training": (["astronaut.png", "rocket.jpg"], 6), "testing": (["coffee.png", "chelsea.png"], 2)}
    for split, (photographs, views) in splits.items():
        for number in range(views * len(photographs)):
            rng = np.random.default_rng([number, views, 192])
            picture = photograph(photographs[number // views])
            top, left = (int(rng.integers(48, room - 48)) for room in (picture.shape[0] - 192, picture.shape[1] - 192))
            square = np.array([[0, 0], [192, 0], [192, 192], [0, 192]]) + (left, top)
            other = square + rng.choice([-1, 1], 2) * rng.integers((40, 4), (90, 40)) + rng.integers(-14, 15, (4, 2))
            other = np.clip(other, 0, np.array(picture.shape[1::-1]) - 1).astype(float)
            seen = Image.fromarray(picture).transform((192, 192), Image.QUAD, other[[0, 3, 2, 1]].ravel(),
                                                      Image.BICUBIC)
            seen = np.clip(np.asarray(seen, np.float64) * rng.uniform(0.92, 1.08), 0, 255).astype(np.uint8)
            write(folder / split / "input1" / f"{number + 1:06d}.png", picture[top:top + 192, left:left + 192])
            write(folder / split / "input2" / f"{number + 1:06d}.png", seen)
    for side, part in (("left", "input1"), ("right", "input2")):
        picture = Image.fromarray(photograph(f"motorcycle_{side}.png")).resize((370, 250), Image.BOX)
        write(folder / "testing" / part / "000005.png", np.asarray(picture)[29:221, 60:252])


def style_pictures(folder):
    """Two photographs (chelsea, rocket) and two styles: stained tissue, and a brick wall, which is gray."""
    for part, names in (("content", {"chelsea": "chelsea.png", "rocket": "rocket.jpg"}),
                        ("style", {"tissue": "ihc.png", "brick": "brick.png"})):
        for name, file in names.items():
            picture = Image.fromarray(photograph(file))
            picture.thumbnail((320, 320), Image.LANCZOS)
            write(folder / part / f"{name}.png", np.asarray(picture))


SAMPLES = {"LOL": low_light_pairs, "photos": overlapping_photographs, "stereo": stereo_pair, "UDIS-D": stitching_pairs,
           "GOT-10k": tracking_sequences, "style": style_pictures}


def build(name=None, folder=None):
    """Build a sample set (all without a name) and return its folder, datasets/sample/NAME unless given.

    A whole one stays as it is; one that is outdated or damaged is replaced. The folder appears under its name when
    everything is in it.
    """
    if name is None:
        for each in SAMPLES:
            build(each)
        return FOLDER
    if name not in SAMPLES:
        raise UserError(f"unknown sample set '{name}': one of {', '.join(SAMPLES)} was expected")
    folder = Path(folder or FOLDER / name)
    if is_whole(folder):
        return folder
    print(f"building the sample set {folder}", flush=True)
    part = part_of(folder)
    clear_parts(folder)
    SAMPLES[name](part)
    (part / STAMP).write_text(stamp(part), encoding="utf-8", newline="\n")
    put_in_place(part, folder)
    return folder


def is_whole(folder):
    """Whether a set is there, made by the present recipe, and every file as it was made."""
    path = Path(folder) / STAMP
    return path.exists() and path.read_text(encoding="utf-8") == stamp(folder)


def stamp(folder):
    """What a set should look like: digests of the recipe and of every file, as text."""
    recipe = hashlib.sha256(b"".join(Path(__file__).with_name(name).read_bytes()
                                     for name in ("samples.py", "darken.py", "clips.py")))
    files = sorted(path for path in Path(folder).rglob("*")
                   if path.is_file() and path.name not in (STAMP, ".DS_Store", "Thumbs.db"))
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return f"{recipe.hexdigest()}\n{''.join(lines)}"


def clear_parts(folder):
    """Remove what killed builds of this set left behind an hour ago or more: another process may be building too."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        if time.time() - part.stat().st_mtime > 3600:
            shutil.rmtree(part, ignore_errors=True)


def put_in_place(part, folder):
    """Give a finished folder its name in place of what stood there; where another process was faster, its own stays."""
    old = part.with_name(f"{part.name}.old.part")           # clear_parts knows it too
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
    except OSError:
        if not is_whole(folder):
            raise
    finally:
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)
