"""What `check` says of tracking sequences: they are read by the reader that trains and tests, so both agree."""
from common.base.errors import UserError, join_some
from common.base.progress import watch
from common.data.layouts import EXPECTED, find_otb, subfolders, with_boxes
from common.data.sequences import SequenceFolder, read_sequence

OTB_NAMES = """
Basketball Biker Bird1 Bird2 BlurBody BlurCar1 BlurCar2 BlurCar3 BlurCar4 BlurFace BlurOwl Board Bolt Bolt2 Box Boy Car1
Car2 Car24 Car4 CarDark CarScale ClifBar Coke Couple Coupon Crossing Crowds Dancer Dancer2 David David2 David3 Deer
Diving Dog Dog1 Doll DragonBaby Dudek FaceOcc1 FaceOcc2 Fish FleetFace Football Football1 Freeman1 Freeman3 Freeman4
Girl Girl2 Gym Human2 Human3 Human4 Human5 Human6 Human7 Human8 Human9 Ironman Jogging Jump Jumping KiteSurf Lemming
Liquor Man Matrix Mhyang MotorRolling MountainBike Panda RedTeam Rubik Shaking Singer1 Singer2 Skater Skater2 Skating1
Skating2 Skiing Soccer Subway Surfer Suv Sylvester Tiger1 Tiger2 Toy Trans Trellis Twinnings Vase Walking Walking2 Woman
""".split()


def look_at_got10k(root, report):
    for split, count in (("train", 9335), ("val", 180), ("test", 180)):
        listing = root / split / "list.txt"
        names = listing.read_text(encoding="utf-8", errors="replace").split() if listing.is_file() else []
        folders = [root / split / name for name in names if (root / split / name).is_dir()]
        report.count(f"{split}/list.txt", len(names), count)
        report.count(f"{split} sequences", len(folders), count)
        look_at_sequences(report, split, root / split, with_boxes(folders, "."), "got10k", only_first=split == "test")
        name_boxless(report, split, folders, with_boxes(folders, "."))


def look_at_otb(root, report):
    folders = [folder for folder in subfolders(root) if (folder / "img").is_dir()]
    missing = [name for name in OTB_NAMES if not (root / name / "img").is_dir()]
    report.count("sequences", len(folders))
    if missing:
        report.notes.append(f"{len(OTB_NAMES) - len(missing)} of the {len(OTB_NAMES)} folders of OTB-100 are there; "
                            f"not: {join_some(missing)}")
    entries = find_otb(root)
    look_at_sequences(report, "sequences", root, entries, "otb")
    name_boxless(report, "sequences", folders, entries)


def look_at_layout(root, report, layout="auto"):
    """Sequences in any layout, or in the one named."""
    try:
        folder = SequenceFolder(root, layout)
    except UserError as problem:
        report.problems.append(str(problem))
        return
    report.facts.append(f"layout {folder.layout}: {EXPECTED[folder.layout]}")
    report.count("sequences", len(folder))
    look_at_sequences(report, "sequences", folder.root, folder.entries, folder.layout)


def look_at_sequences(report, title, root, entries, layout, only_first=False):
    """Read every sequence as train.py and test.py do, and look at every frame's beginning and end (--decode: at all of
    it). What they would refuse is a problem, what they would leave out a note."""
    total, wrong, notes, broken = 0, [], [], []
    for name, entry in watch(entries.items(), f"reading {title}"):
        try:
            sequence = read_sequence(root, name, entry, layout, only_first)
        except UserError as problem:
            wrong.append(f"{name}: {problem}")
            continue
        total += len(sequence.frames)
        notes += sequence.notes
        broken += report.unreadable(sequence.frames)
    report.facts.append(f"{title + ' frames':24s} {total:7,}")
    if wrong:
        report.problems.append(f"{title}: {len(wrong):,} that cannot be used: {join_some(wrong)}")
    if notes:
        report.notes.append(f"{title}: {len(notes):,} with frames that are left out: {join_some(notes)}")
    if broken:
        report.problems.append(f"{title}: {len(broken):,} unreadable: {join_some(broken)}")


def name_boxless(report, title, folders, entries):
    """Folders of frames for which there are no boxes are a problem: nobody would notice that they are not used."""
    known = {entry.folder for entry in entries.values()}
    if alone := [folder.name for folder in folders if folder not in known]:
        report.problems.append(f"{title}: {len(alone):,} without a file of boxes: {join_some(alone)}")
