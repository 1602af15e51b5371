"""The sample data: small sets in the layouts of the real ones, from datasets/embedded and scikit-image's photographs.

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
TRAINING = ["astronaut.png", "motorcycle_left.png", "photos/china.jpg", "photos/flower.jpg", "panoramas/berlin_1.jpg",
            "panoramas/berlin_6.jpg"]
HELD_OUT = ["coffee.png", "chelsea.png", "panoramas/front_2.jpg", "panoramas/skyline_3.jpg"]      # never trained on


def photograph(name):
    """A photograph as uint8 (H, W, 3): `folder/file` of datasets/embedded, or one by its file name out of
    scikit-image's wheel."""
    path = paths.EMBEDDED / name
    if "/" not in name:
        path = Path(find_spec("skimage").origin).with_name("data") / name     # not imported: that would take a second
    if not path.exists():
        lacking, remedy = "scikit-image", "the version in requirements.txt was expected: run `make setup`"
        if "/" in name:
            lacking, remedy = "datasets/embedded", "a file of the repository was expected: get it again"
        raise UserError(f"{lacking} lacks a photograph: {path}: {remedy}")
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

    As dark as LOL's (mean levels of about 5 to 25), and with hot pixels as every sensor has them at long exposures:
    they are why KinD's stretch, which ends at the brightest value, leaves a dark picture dark.
    """
    for place, name in enumerate(TRAINING):
        for number in range(6):
            rng = np.random.default_rng([place, number, 144])
            write_pair(folder / "our485", place * 6 + number + 1, random_window(photograph(name), rng, (144, 144)), rng)
    for place, name in enumerate(HELD_OUT + HELD_OUT[:2]):                       # two of them at two exposures
        rng = np.random.default_rng([place, 240])
        write_pair(folder / "eval15", place + 1, crop_to_fit(photograph(name), (240, 160)), rng)


def write_pair(folder, number, high, rng):
    """A photograph, uint8 (h, w, 3), and what a short exposure makes of it, as folder/{low,high}/<number>.png."""
    low = darken(high / 255, rng, gain=(1 / 70, 1 / 22), full_well=(1000, 8000), read_noise=(1, 6), jitter=(0.9, 1.1))
    hot = max(1, round(1e-4 * high[..., 0].size))
    low[rng.integers(0, high.shape[0], hot), rng.integers(0, high.shape[1], hot), rng.integers(0, 3, hot)] = (
        rng.uniform(0.5, 0.8, hot))
    write(folder / "high" / f"{number}.png", high)
    write(folder / "low" / f"{number}.png", (255 * low + 0.5).astype(np.uint8))


def colourful(picture, rng, size):
    """Of eight random square windows the one with the largest spread of levels, resized to size (width, height)."""
    short = min(picture.shape[:2])
    windows = [random_window(picture, rng, 2 * [int(short * rng.uniform(0.3, 0.5))]) for _ in range(8)]
    return crop_to_fit(max(windows, key=np.std), size)


def tracking_sequences(folder):
    """GOT-10k's layout, 6 sequences to train on and 3 to test on, 30 frames of 320 x 240.

    In each a patch of one photograph moves over another, neither of which the other split shows.
    """
    splits = {"train": TRAINING[:3], "val": ["coffee.png", "chelsea.png", "panoramas/front_2.jpg"]}
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
    for number in range(20):
        picture = photograph(HELD_OUT[number // 10] if number % 10 == 0 else TRAINING[number % len(TRAINING)])
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
    """UDIS-D's layout: 12 training and 4 testing pairs of 192 x 192, two views of one photograph each.

    The second view is from another place, a little brighter or darker. Four more testing pairs were photographed: the
    motorcycle's left and right picture, which has parallax, and neighbours of two panoramas. Training has other
    photographs.
    """
    splits = {"training": (["astronaut.png", "photos/china.jpg"], 6), "testing": (["coffee.png", "chelsea.png"], 2)}
    for split, (photographs, views) in splits.items():
        for number in range(views * len(photographs)):
            rng = np.random.default_rng([number, views, 192])
            write_views(folder / split, number + 1, *two_views(photograph(photographs[number // views]), rng))
    left, right = (Image.fromarray(photograph(f"motorcycle_{side}.png")).resize((370, 250), Image.BOX)
                   for side in ("left", "right"))
    write_views(folder / "testing", 5, *(np.asarray(side)[29:221, 60:252] for side in (left, right)))
    for number, (first, second) in enumerate((("front_1", "front_2"), ("front_2", "front_3"),
                                              ("skyline_3", "skyline_4")), 6):
        write_views(folder / "testing", number, *(fit_within(photograph(f"panoramas/{name}.jpg"), 320)
                                                  for name in (first, second)))


def two_views(picture, rng, side=192):
    """Two views (side, side, 3) of one photograph, the second moved, bent and of another brightness."""
    top, left = (int(rng.integers(48, room - 48)) for room in (picture.shape[0] - side, picture.shape[1] - side))
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]]) + (left, top)
    other = square + rng.choice([-1, 1], 2) * rng.integers((40, 4), (90, 40)) + rng.integers(-14, 15, (4, 2))
    other = np.clip(other, 0, np.array(picture.shape[1::-1]) - 1).astype(float)
    seen = Image.fromarray(picture).transform((side, side), Image.QUAD, other[[0, 3, 2, 1]].ravel(), Image.BICUBIC)
    seen = np.clip(np.asarray(seen, np.float64) * rng.uniform(0.92, 1.08), 0, 255).astype(np.uint8)
    return picture[top:top + side, left:left + side], seen


def write_views(folder, number, one, two):
    """A pair of UDIS-D: folder/input1/000001.png and folder/input2/000001.png."""
    for part, picture in (("input1", one), ("input2", two)):
        write(folder / part / f"{number:06d}.png", picture)


def style_pictures(folder):
    """Long side 320: two photographs, a cat and the Summer Palace; two paintings, Starry Night and The Great Wave."""
    for part, names in (("content", {"cat": "chelsea.png", "palace": "photos/china.jpg"}),
                        ("style", {"starry_night": "paintings/starry_night.jpg",
                                   "great_wave": "paintings/great_wave.jpg"})):
        for name, file in names.items():
            write(folder / part / f"{name}.png", fit_within(photograph(file), 320))


def large_pictures(folder):
    """What is made small and large again: twelve pictures of 240 x 240 to train on, three of 192 x 160 to test on."""
    for number in range(12):
        rng = np.random.default_rng([number, 240])
        write(folder / "train" / f"{number:02d}.png", random_window(photograph(TRAINING[number % len(TRAINING)]), rng,
                                                                    (240, 240)))
    for name in HELD_OUT[:3]:
        write(folder / "test" / f"{Path(name).stem}.png", crop_to_fit(photograph(name), (192, 160)))


def pictures_to_restore(folder):
    """Two photographs of 192 x 192 that are marked, and restored."""
    for name in ("coffee.png", "chelsea.png"):
        write(folder / f"{Path(name).stem}.png", crop_to_fit(photograph(name), (192, 192)))


def nuclei_pictures(folder):
    """Eight microscope pictures of 256 x 256 with their labels, five to train on and three to test on."""
    shutil.copytree(paths.EMBEDDED / "nuclei", folder, dirs_exist_ok=True)


def fit_within(picture, longest):
    """A picture scaled down to a long side of `longest` pixels."""
    small = Image.fromarray(picture)
    small.thumbnail((longest, longest), Image.LANCZOS)
    return np.asarray(small)


SAMPLES = {"LOL": low_light_pairs, "photos": overlapping_photographs, "stereo": stereo_pair, "UDIS-D": stitching_pairs,
           "GOT-10k": tracking_sequences, "style": style_pictures, "SR": large_pictures, "nuclei": nuclei_pictures,
           "prior": pictures_to_restore}


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
