"""Are the data sets complete, in the right layout, readable? Where does each come from, and what can be downloaded?"""
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from common.base import paths
from common.base.errors import Negative, UserError, join_some
from common.base.files import impostor
from common.base.progress import watch
from common.data import samples
from common.data.download import Archive
from common.data.images import by, list_images, picture_size, read_pixels

DATASETS = paths.ROOT / "datasets"
LAST_BYTES = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}       # how PNG and JPEG files begin, and how they end
OTB_NAMES = """
Basketball Biker Bird1 Bird2 BlurBody BlurCar1 BlurCar2 BlurCar3 BlurCar4 BlurFace BlurOwl Board Bolt Bolt2 Box Boy Car1
Car2 Car24 Car4 CarDark CarScale ClifBar Coke Couple Coupon Crossing Crowds Dancer Dancer2 David David2 David3 Deer
Diving Dog Dog1 Doll DragonBaby Dudek FaceOcc1 FaceOcc2 Fish FleetFace Football Football1 Freeman1 Freeman3 Freeman4
Girl Girl2 Gym Human2 Human3 Human4 Human5 Human6 Human7 Human8 Human9 Ironman Jogging Jump Jumping KiteSurf Lemming
Liquor Man Matrix Mhyang MotorRolling MountainBike Panda RedTeam Rubik Shaking Singer1 Singer2 Skater Skater2 Skating1
Skating2 Skiing Soccer Subway Surfer Suv Sylvester Tiger1 Tiger2 Toy Trans Trellis Twinnings Vase Walking Walking2 Woman
""".split()


class Report:
    """What a look at a data set brought up.

    facts: lines to read; notes: oddities that harm nothing by themselves; problems: missing or broken things, which
    make the exit status 1.
    """

    def __init__(self, decode=False):
        self.decode, self.facts, self.notes, self.problems = decode, [], [], []

    def count(self, what, found, expected=None):
        """A fact of the form `found of expected`; fewer or more is a problem, and so is nothing at all."""
        self.facts.append(f"{what:24s} {found:7,}" + (f" of {expected:,}" if expected else ""))
        if found != expected and (expected or not found):
            self.problems.append(f"{what}: {found:,} found, {f'{expected:,}' if expected else 'at least one'} expected")

    def pictures(self, title, paths, size=None):
        """Look at every picture; unreadable ones are problems. size: the usual (height, width), others are notes."""
        broken, sizes = [], {}
        for path in watch(paths, f"reading {title}"):
            wrong, sizes[path] = glance(path, self.decode)
            if wrong:
                broken.append(f"{path} ({wrong})")
        if broken:
            self.problems.append(f"{title}: {len(broken):,} unreadable: {join_some(broken)}")
        if size is None or not sizes:
            return
        counts = Counter(found for found in sizes.values() if found)
        odd = [f"{path.name} {by(found)}" for path, found in sizes.items() if found and found != size]
        if len(counts) == 1 and odd:
            self.notes.append(f"{title}: all pictures are {by(next(iter(counts)))}, not {by(size)}: parts of the "
                              "originals; patches must fit into them")
        elif odd:
            self.notes.append(f"{title}: {len(odd):,} of another size than {by(size)}: {join_some(odd)}")

    def pairs(self, folder, sides, expected, size):
        """Two folders of equally named pictures."""
        both = [pictures_in(folder / side) for side in sides]
        for side, found in zip(sides, both):
            self.count(f"{folder.name}/{side}", len(found), expected)
        files = both[0] + both[1]
        counts = Counter(path.name for path in files)
        if alone := [path for path in files if counts[path.name] == 1]:
            self.problems.append(f"{folder.name}: {len(alone):,} without a partner of the same name: "
                                 f"{join_some(alone)}")
        self.pictures(folder.name, files, size)


class DataSet(NamedTuple):
    """What is known of a data set."""
    what: str
    tree: str
    source: str
    look: Callable[[Path, Report], None]        # look(root, report) writes down what it finds
    archives: tuple[Archive, ...] = ()          # what anybody may download


def glance(path, decode=False):
    """(what is wrong or None, (height, width) or None) of a picture file, by its first and last bytes and its header.

    decode: by reading all of it.
    """
    try:
        if decode:
            return None, read_pixels(path).shape[:2]
        with open(path, "rb") as file:
            head = file.read(512)
            file.seek(max(0, file.seek(0, 2) - 1024))
            tail = file.read()
    except UserError as problem:
        return str(problem).split(":")[0], None
    except OSError as error:
        return error.strerror, None
    wrong, size = impostor(head), picture_size(path)
    if wrong or not size:
        return wrong[0] if wrong else "no picture, or a damaged beginning", None
    cut = any(head.startswith(first) and last not in tail for first, last in LAST_BYTES.items())
    return ("it breaks off", size) if cut else (None, size)


def pictures_in(folder):
    """Pictures directly in a folder; none where there is no such folder."""
    return list_images(folder) if folder.is_dir() else []


def look_at_pairs(root, report, splits, sides, size):
    for split, count in splits.items():
        report.pairs(root / split, sides, count, size)


def look_at_got10k(root, report):
    for split, count in (("train", 9335), ("val", 180), ("test", 180)):
        listing = root / split / "list.txt"
        names = listing.read_text(encoding="utf-8", errors="replace").split() if listing.is_file() else []
        folders = [root / split / name for name in names if (root / split / name).is_dir()]
        report.count(f"{split}/list.txt", len(names), count)
        report.count(f"{split} sequences", len(folders), count)
        look_at_sequences(report, split, [(folder, folder) for folder in folders], only_first=split == "test")


def look_at_otb(root, report):
    folders = [folder for folder in sorted(root.iterdir()) if (folder / "img").is_dir()]
    missing = [name for name in OTB_NAMES if not (root / name / "img").is_dir()]
    report.count("sequences", len(folders))
    if missing:
        report.notes.append(f"{len(OTB_NAMES) - len(missing)} of the {len(OTB_NAMES)} folders of OTB-100 are there; "
                            f"not: {join_some(missing)}")
    look_at_sequences(report, "sequences", [(folder, folder / "img") for folder in folders])


def look_at_sequences(report, title, sequences, only_first=False):
    """Frames and rows of boxes must match, the first and the last frame must be readable (all of them with --decode).

    sequences: (folder, folder of its frames) of each. More frames than rows do occur in OTB. only_first: the boxes of
    later frames are withheld.
    """
    total, ends, wrong, unlabelled = 0, [], [], []
    for folder, frame_folder in watch(sequences, f"listing {title}"):
        frames = list_images(frame_folder)
        total += len(frames)
        ends += frames if report.decode else frames[:1] + frames[1:][-1:]
        texts = [path.read_text(errors="replace") for path in sorted(folder.glob("groundtruth*.txt"))]
        rows = max((len([*filter(str.strip, text.splitlines())]) for text in texts), default=0)
        if not frames or not rows or rows > len(frames):
            wrong.append(f"{folder.name}: {len(frames)} frames, {rows} boxes")
        elif any("nan" in text.lower() for text in texts):
            wrong.append(f"{folder.name}: {len(frames)} frames, {rows} boxes, some of them NaN")
        elif rows < len(frames) and not only_first:
            unlabelled.append(f"{folder.name} {len(frames)} and {rows}")
    report.facts.append(f"{title + ' frames':24s} {total:7,}")
    if wrong:
        report.problems.append(f"{title}: {len(wrong):,} with wrong labels: {join_some(wrong)}")
    if unlabelled:
        report.notes.append(f"{title}: {len(unlabelled):,} with more frames than boxes: {join_some(unlabelled)}")
    report.pictures(title, ends)


def look_at_photos(root, report, title="photographs", expected=None):
    paths = pictures_in(root)
    report.count(title, len(paths), expected)
    report.pictures(title, paths)


def look_at_style(root, report):
    for name in ("style", "content"):
        look_at_photos(root / name, report, name)


SETS = {
    "LOL": DataSet(
        "500 pairs of a short and a normal exposure, 600x400 (Wei et al., BMVC 2018)",
        "our485/low/2.png  our485/high/2.png  (485 pairs)\neval15/low/1.png  eval15/high/1.png  (15 pairs)",
        "https://daooshee.github.io/BMVC2018website/ : its link leads to Google Drive, which wants a browser",
        partial(look_at_pairs, splits={"our485": 485, "eval15": 15}, sides=("low", "high"), size=(400, 600))),
    "GOT-10k": DataSet(
        "9,335 + 180 + 180 tracking sequences, about 70 GB (Huang et al., TPAMI 2019)",
        "train/list.txt  train/GOT-10k_Train_000001/00000001.jpg, groundtruth.txt, ...  (9,335 sequences)\n"
        "val/, test/  the same  (180 each)",
        "http://got-10k.aitestunion.com/downloads : the links come by e-mail after registration", look_at_got10k),
    "OTB": DataSet(
        "98 tracking sequences, OTB-100 (Wu et al., TPAMI 2015); a part of them will do",
        "Crossing/img/0001.jpg, ...  Crossing/groundtruth_rect.txt",
        "http://cvlab.hanyang.ac.kr/tracker_benchmark/datasets.html", look_at_otb,
        tuple(Archive(f"http://cvlab.hanyang.ac.kr/tracker_benchmark/seq/{name}.zip", name, name)
              for name in OTB_NAMES)),
    "UDIS-D": DataSet(
        "10,440 + 1,106 pairs of overlapping video frames, 512x512 (Nie et al., TIP 2021)",
        "training/input1/000001.jpg  training/input2/000001.jpg  (10,440 pairs)\n"
        "testing/input1, testing/input2  (1,106 pairs)",
        "https://github.com/nie-lang/UnsupervisedDeepImageStitching : "
        "its links lead to Google Drive and Baidu, which want a browser",
        partial(look_at_pairs, splits={"training": 10440, "testing": 1106}, sides=("input1", "input2"),
                size=(512, 512))),
    "coco/val2014": DataSet(
        "40,504 photographs, 6.6 GB packed, 13.5 GB while unpacking (Lin et al., ECCV 2014)",
        "COCO_val2014_000000000042.jpg, ...  (40,504 photographs)",
        "https://cocodataset.org/#download", partial(look_at_photos, expected=40504),
        (Archive("http://images.cocodataset.org/zips/val2014.zip", "val2014", "", 6645013297,
                 "a3d79f5ed8d289b7a7554ce06a5782b3"),)),
    "photos": DataSet(
        "your own photographs, as many as you have", "any names, directly in the folder", "your camera",
        look_at_photos),
    "style": DataSet(
        "paintings and photographs for style transfer", "style/*.jpg  content/*.jpg",
        "paintings: https://commons.wikimedia.org ; photographs: your camera", look_at_style),
}


def find_data_set(name):
    """The DataSet of that name. Raises UserError naming all."""
    if name not in SETS:
        raise UserError(f"unknown data set '{name}': one of {', '.join(SETS)} was expected: write it like that")
    return SETS[name]


def show(name, root, decode=False):
    """Print what there is to say about the data set at root. Returns the number of problems."""
    data, report = find_data_set(name), Report(decode)
    print(f"{name}: {root}")
    if (root / samples.STAMP).is_file():
        return show_sample(name, root)
    if root.is_dir():
        data.look(root, report)
    else:
        report.problems.append("there is no such folder")
    for kind, lines in (("", report.facts), ("note: ", report.notes), ("problem: ", report.problems)):
        for line in lines:
            print(f"  {kind}{line}")
    if report.problems:
        tree = "\n".join(f"    {line}" for line in data.tree.splitlines())
        print(f"  expected: {data.what}\n{tree}\n  from {data.source}")
    return len(report.problems)


def show_sample(name, root):
    """The same for sample data, which is whole or not."""
    whole = samples.is_whole(root)
    print("  sample data,", "as built" if whole else
          f"outdated or damaged: `python -m common.data samples {name}` builds it again")
    return 0 if whole else 1


def check(name=None, root=None, decode=False):
    """Check one data set at root (default: datasets/NAME), or all below datasets/. Negative when something is wrong."""
    if name:
        find_data_set(name)
        there = [(name, Path(root) if root else DATASETS / name)]
    else:
        there = [(each, folder / each) for folder in (DATASETS, samples.FOLDER) for each in SETS
                 if (folder / each).is_dir()]
    broken = [str(folder) for each, folder in there if show(each, folder, decode)]
    for each, data in SETS.items():
        if not name and not (DATASETS / each).is_dir():
            print(f"{each}: absent ({data.what}; from {data.source})")
    if broken:
        raise Negative(f"missing or broken: {', '.join(broken)}: the problems stand above")
    print("nothing is missing or broken in what is there")
