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
from common.data.check_tracking import OTB_NAMES, look_at_got10k, look_at_layout, look_at_otb
from common.data.download import Archive
from common.data.images import by, list_images, picture_size, read_pixels
from common.data.paired import pair_files, pair_folders

DATASETS = paths.ROOT / "datasets"
LAST_BYTES = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}       # how PNG and JPEG files begin, and how they end


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
        sizes = {}
        if broken := self.unreadable(watch(paths, f"reading {title}"), sizes):
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

    def unreadable(self, paths, sizes=None):
        """["path (why)", ...] of the pictures that cannot be read. sizes: a dictionary that takes (height, width)."""
        broken = []
        for path in paths:
            wrong, size = glance(path, self.decode)
            if wrong:
                broken.append(f"{path} ({wrong})")
            if sizes is not None:
                sizes[path] = size
        return broken

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
        for found in both:
            stems = Counter(path.stem.casefold() for path in found)
            if same := [path.name for path in found if stems[path.stem.casefold()] > 1]:
                self.notes.append(f"{folder.name}: {len(same):,} that differ in their suffix alone: {join_some(same)}")
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


def look_at_lowlight(root, report):
    """LOL-v2 and LSRW, whose folders have several names: read as train.py and test.py do."""
    halves = [root / name for name in ("Real_captured", "Synthetic") if (root / name).is_dir()] or [root]
    for half in halves:
        for split in ("our485", "eval15"):
            try:
                files = pair_files(half, split)
            except UserError as problem:
                report.problems.append(str(problem))
                continue
            title = f"{half.name}/{pair_folders(half, split)[0].low.relative_to(half).parts[0]}"
            report.count(f"{title} pairs", len(files))
            report.pictures(title, [path for pair in files.values() for path in pair])


def look_at_photos(root, report, title="photographs", expected=None):
    paths = pictures_in(root)
    report.count(title, len(paths), expected)
    report.pictures(title, paths)


def look_at_style(root, report):
    for name in ("style", "content"):
        look_at_photos(root / name, report, name)


def look_at_super_resolution(root, report):
    """The pictures of a folder and of the folders in it, as train.py and test.py take them."""
    expected = {"Set5": 5, "Set14": 14, "T91": 91, "BSDS_train": 200}
    folders = sorted(path for path in root.iterdir() if path.is_dir() and pictures_in(path))
    if not folders or pictures_in(root):
        look_at_photos(root, report, "pictures")
    for folder in folders:
        look_at_photos(folder, report, folder.name, expected.get(folder.name))


def look_at_nuclei(root, report):
    """Pictures with labels in two folders, or the official folders with a mask for each nucleus."""
    if (root / "images").is_dir():
        images, labels = pictures_in(root / "images"), pictures_in(root / "labels")
        report.count("pictures", len(images))
        alone = {path.stem for path in images} ^ {path.stem for path in labels}
        if alone:
            report.problems.append(f"{len(alone):,} of images/ and labels/ without a partner of the same name: "
                                   f"{join_some(sorted(alone))}")
        return report.pictures("pictures and labels", images + labels)
    folders = sorted(path for path in root.iterdir() if (path / "images").is_dir())
    images = [path for folder in folders for path in pictures_in(folder / "images")]
    report.count("pictures", len(images))
    if bare := [folder.name for folder in folders
                if len(pictures_in(folder / "images")) != 1 or not pictures_in(folder / "masks")]:
        report.problems.append(f"{len(bare):,} folders without one picture in images/ and at least one in masks/: "
                               f"{join_some(bare)}")
    masks = [path for folder in folders for path in pictures_in(folder / "masks")]
    report.facts.append(f"{'masks':24s} {len(masks):7,}")
    return report.pictures("pictures and masks", images + masks)


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
    "LOL-v2": DataSet(
        "689 + 100 photographed and 900 + 100 synthetic pairs (Yang et al., TIP 2021)",
        "Real_captured/Train/Low/low00001.png  Real_captured/Train/Normal/normal00001.png\n"
        "Real_captured/Test, Synthetic/Train, Synthetic/Test  the same (Synthetic: equal names)",
        "https://github.com/flyywh/SGM-Low-Light : its links lead to a drive, which wants a browser", look_at_lowlight),
    "LSRW": DataSet(
        "5,650 pairs of two cameras, 50 of them to test on (Hai et al., R2RNet)",
        "Training data/Huawei/low/1.jpg  Training data/Huawei/high/1.jpg\n"
        "Training data/Nikon, Eval/Huawei, Eval/Nikon  the same",
        "https://github.com/JianghaiSCU/R2RNet : its links lead to a drive, which wants a browser", look_at_lowlight),
    "VOT": DataSet("short-term tracking sequences with polygons, or VOT-LT's with NaN where the target is hidden",
                   "list.txt  NAME/color/00000001.jpg, ...  NAME/groundtruth.txt", "https://www.votchallenge.net",
                   partial(look_at_layout, layout="vot")),
    "LaSOT": DataSet("1,400 long tracking sequences (Fan et al., CVPR 2019)",
                     "airplane/airplane-1/img/00000001.jpg, ...  airplane/airplane-1/groundtruth.txt, "
                     "full_occlusion.txt, out_of_view.txt", "http://vision.cs.stonybrook.edu/~lasot/",
                     partial(look_at_layout, layout="lasot")),
    "TrackingNet": DataSet("30,132 tracking sequences to train on, in twelve parts (Mueller et al., ECCV 2018)",
                           "TRAIN_0/frames/NAME/0.jpg, ...  TRAIN_0/anno/NAME.txt", "https://tracking-net.org",
                           partial(look_at_layout, layout="trackingnet")),
    "UAV123": DataSet("123 tracking sequences from drones (Mueller et al., ECCV 2016)",
                      "data_seq/UAV123/bike1/000001.jpg, ...  anno/UAV123/bike1.txt",
                      "https://cemse.kaust.edu.sa/ivul/uav123", partial(look_at_layout, layout="uav123")),
    "NfS": DataSet("100 tracking sequences at 240 and 30 frames per second (Kiani Galoogahi et al., ICCV 2017)",
                   "NAME/30/NAME/00001.jpg, ...  NAME/30/NAME.txt", "http://ci2cv.net/nfs/index.html",
                   partial(look_at_layout, layout="nfs")),
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
    "SR": DataSet(
        "pictures for super-resolution, to train and to test on",
        "T91/*.png  BSDS_train/*.jpg  photos/*.jpg  Set5/*.png  "
        "Set14/*.png  (any of them, and any others)",
        "Set5, Set14, T91: many repositories of the field; BSDS: "
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html ; photos: your camera",
        look_at_super_resolution),
    "nuclei": DataSet(
        "670 microscope pictures of the 2018 Data Science Bowl, 541 of them gray on a dark ground (BBBC038, CC0)",
        "images/NAME.png  labels/NAME.png (a number for each nucleus)  pictures.csv (name,split)\n"
        "or, as officially shipped: NAME/images/NAME.png  NAME/masks/*.png (a file for each nucleus)",
        "https://bbbc.broadinstitute.org/BBBC038 : stage1_train.zip", look_at_nuclei,
        (Archive("https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip", "", ""),)),
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
