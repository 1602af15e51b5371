"""Where tracking data sets keep their frames and boxes: the layouts in which they are shipped, and which one it is.

GOT-10k, OTB, VOT, LaSOT, TrackingNet, UAV123 and NfS, each a function that lists the sequences of a folder:
find_...(root) -> {name: Entry}. Several targets in one folder become NAME.1, NAME.2.
"""
import re
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError, join_some
from common.data.formats import IMAGE_SUFFIXES, natural


class Entry(NamedTuple):
    """Where a sequence lies."""
    folder: Path            # what is written about it: meta_info.ini, labels, tags
    boxes: Path             # the file of boxes
    frames: Path            # the folder of its frames
    start: int = 0          # number of the first frame that has a box, where that folder has more frames than boxes


# First frame (1-based) that has a box, of OTB's sequences whose boxes belong to a part of a whole folder's frames.
OTB_PARTS = {"david": 300, "blurcar1": 247, "blurcar3": 3, "blurcar4": 18}
# UAV123's parts of one clip follow each other, the last frame of one being the first of the next, but for these three.
UAV_PARTS = {"bird1_2": 775, "bird1_3": 1573, "uav1_3": 2473}
UAV_LINE = re.compile(r"'name','([^']+)','path','[^']*?([^\\/']+)[\\/]?','startFrame',(\d+)")    # of configSeqs.m


def find_got10k(root):
    """NAME/00000001.jpg beside NAME/groundtruth.txt; list.txt names them where there is one."""
    return with_boxes(listed_folders(root), ".")


def find_otb(root):
    """NAME/img/0001.jpg, NAME/groundtruth_rect.txt, or groundtruth_rect.1.txt, .2.txt for several targets."""
    return with_boxes(subfolders(root), "img", OTB_PARTS)


def find_vot(root):
    """NAME/color/00000001.jpg or NAME/00000001.jpg, NAME/groundtruth.txt; list.txt names them where there is one."""
    return with_boxes(listed_folders(root), "color")


def find_lasot(root):
    """CLASS/NAME/img/00000001.jpg, CLASS/NAME/groundtruth.txt; root may also be one class, or hold the sequences."""
    folders = [path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/img")]
    return with_boxes(sorted(folders, key=by_name), "img")


def find_trackingnet(root):
    """TRAIN_0/frames/NAME/0.jpg, TRAIN_0/anno/NAME.txt; root may also be one of TRAIN_0 ... TRAIN_11."""
    parts = [root] if (root / "anno").is_dir() else [part for part in subfolders(root) if (part / "anno").is_dir()]
    if len(parts) > 1:
        parts = [part for part in parts if part.name != "TEST"]         # its boxes are withheld, but for the first
    entries = {}
    for part in sorted(parts, key=by_name):
        for boxes in sorted((part / "anno").glob("*.txt"), key=by_name):
            entries[boxes.stem] = Entry(part / "frames" / boxes.stem, boxes, part / "frames" / boxes.stem)
    return entries


def find_uav123(root):
    """data_seq/UAV123/NAME/000001.jpg, anno/UAV123/NAME.txt; parts NAME_1, NAME_2 of one clip share its frames.

    Where the annotations have several folders (UAV20L beside UAV123) the frames' own name is taken; root may be one of
    them (.../anno/UAV20L). configSeqs.m, where it is shipped, says where the parts begin.
    """
    top = root.parent.parent if root.parent.name == "anno" else root
    frames = next(iter(subfolders(top / "data_seq")), top / "data_seq")
    if has_pictures(frames):                                              # data_seq/NAME/, as some pack it
        frames = top / "data_seq"
    inside = [folder for folder in subfolders(top / "anno") if any(folder.glob("*.txt"))]
    own = [folder for folder in inside if folder.name == frames.name]
    boxes_folder = root if root != top else [*own, *inside, top / "anno"][0]
    starts = read_starts(top, 3 if "10fps" in frames.name else 1)
    entries, follows = {}, {}
    for boxes in sorted(boxes_folder.glob("*.txt"), key=by_name):
        clip = boxes.stem
        if not (frames / clip).is_dir():
            clip = re.sub(r"_\d+$", "", clip)
        start = starts.get(boxes.stem, follows.get(clip, 0))
        if clip != boxes.stem:
            follows[clip] = start + max(0, count_rows(boxes) - 1)
        entries[boxes.stem] = Entry(frames / clip, boxes, frames / clip, start)
    return entries


def read_starts(top, every):
    """{name: number from 0 of its first frame} as configSeqs.m has it, else as UAV_PARTS; every: 3 at 10 frames/s."""
    table = top / "configSeqs.m"
    if table.is_file():
        text = table.read_text(encoding="utf-8", errors="replace")
        return {name: int(start) - 1 for name, _, start in UAV_LINE.findall(text)}
    return {name: (start - 1) // every for name, start in UAV_PARTS.items()}


def find_nfs(root):
    """NAME/30/NAME/00001.jpg, NAME/30/NAME.txt; of both frame rates 30 is taken, 240 where it is the only one."""
    entries = {}
    for folder in subfolders(root):
        for rate in ("30", "240"):
            boxes = folder / rate / f"{folder.name}.txt"
            if boxes.is_file():
                entries[folder.name] = Entry(folder / rate, boxes, folder / rate / folder.name)
                break
    return entries


LAYOUTS = {"got10k": find_got10k, "otb": find_otb, "vot": find_vot, "lasot": find_lasot,
           "trackingnet": find_trackingnet, "uav123": find_uav123, "nfs": find_nfs}
EXPECTED = {"got10k": "list.txt, NAME/00000001.jpg ..., NAME/groundtruth.txt",
            "otb": "NAME/img/0001.jpg ..., NAME/groundtruth_rect.txt",
            "vot": "NAME/00000001.jpg ... or NAME/color/00000001.jpg ..., NAME/groundtruth.txt",
            "lasot": "CLASS/NAME/img/00000001.jpg ..., CLASS/NAME/groundtruth.txt",
            "trackingnet": "TRAIN_0/frames/NAME/0.jpg ..., TRAIN_0/anno/NAME.txt",
            "uav123": "data_seq/UAV123/NAME/000001.jpg ..., anno/UAV123/NAME.txt",
            "nfs": "NAME/30/NAME/00001.jpg ..., NAME/30/NAME.txt"}


def guess_layout(root):
    """The layout of a folder, by where its frames lie; None where no frames lie where any layout has them."""
    if (root / "data_seq").is_dir() or (root.parent.name == "anno" and (root.parent.parent / "data_seq").is_dir()):
        return "uav123"
    if (root / "frames").is_dir() or holds_frames(root.glob("*/frames/*")):
        return "trackingnet"
    if holds_frames(root.glob("*/30/*")) or holds_frames(root.glob("*/240/*")):
        return "nfs"
    if holds_frames(root.glob("*/*/img")):
        return "lasot"
    if holds_frames(root.glob("*/img")):
        marks = (path for name in ("full_occlusion.txt", "out_of_view.txt") for path in root.glob(f"*/{name}"))
        return "lasot" if any(marks) else "otb"
    if holds_frames(root.glob("*/color")):
        return "vot"
    for folder in subfolders(root):
        if has_pictures(folder):
            return "got10k" if looks_like_got10k(root, folder) else "vot"
    return None


def looks_like_got10k(root, folder):
    """Whether a sequence with its frames beside groundtruth.txt is GOT-10k's; VOT of 2013 to 2016 has them so, too."""
    truth = folder / "groundtruth.txt"
    first = truth.read_text(encoding="utf-8-sig", errors="replace").strip().split("\n")[0] if truth.is_file() else ""
    if len(re.split(r"[,;\s]+", first)) >= 8 or (folder / "sequence").is_file() or any(folder.glob("*.tag")):
        return False
    return (root / "list.txt").is_file() or (folder / "meta_info.ini").is_file()


def holds_frames(folders):
    """Whether one of some folders has a picture in it."""
    return any(has_pictures(folder) for folder in folders if folder.is_dir())


def has_pictures(folder):
    """Whether a folder has a picture directly in it."""
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def subfolders(root):
    """The folders in a folder, sorted, hidden ones left out; none where there is no such folder."""
    inside = root.iterdir() if root.is_dir() else []
    return sorted(path for path in inside if path.is_dir() and not path.name.startswith("."))


def listed_folders(root):
    """The folders that root/list.txt names, else all. Raises UserError for those that are not there."""
    listing = root / "list.txt"
    if not listing.is_file():
        return subfolders(root)
    folders = [root / name for name in listing.read_text(encoding="utf-8-sig", errors="replace").split()]
    if missing := [folder.name for folder in folders if not folder.is_dir()]:
        raise UserError(f"{listing} names sequences that are not there: {join_some(missing)}: a folder for each was "
                        "expected: take them out of list.txt, or unpack them")
    return folders


def with_boxes(folders, inside, parts=None):
    """{name: Entry} of the folders that have a file of boxes. inside: where the frames lie, else in the folder itself;
    parts: {name in small letters: first frame with a box, 1-based}."""
    entries = {}
    for folder in folders:
        files = [path for path in sorted(folder.glob("groundtruth*.txt")) if count_rows(path)]
        frames = folder / inside if (folder / inside).is_dir() else folder
        for number, path in enumerate(files, 1):
            name = folder.name if len(files) == 1 else f"{folder.name}.{number}"
            entries[name] = Entry(folder, path, frames, (parts or {}).get(name.lower(), 1) - 1)
    return entries


def count_rows(path):
    """Number of lines of a text file that are not empty."""
    return len([*filter(str.strip, path.read_text(encoding="utf-8", errors="replace").splitlines())])


def by_name(path):
    return natural(path.name)
