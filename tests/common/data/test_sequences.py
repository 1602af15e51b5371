"""Tracking data sets as they are shipped: the layout is seen by the frames; one bad row or frame costs that frame."""
import numpy as np
import pytest
from PIL import Image

from common.base.errors import UserError
from common.data import check
from common.data.clips import write_list
from common.data.sequences import SequenceFolder, box_problem, frames_in

BOX = "20,10,30,25"


def frames(folder, names, size=(120, 90)):
    """Small pictures, numbered by their gray."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", size, (number, 40, 80)).save(folder / name)


def jpegs(count, digits=8, first=1):
    return [f"{number:0{digits}d}.jpg" for number in range(first, first + count)]


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def otb(root, *rows, name="Crossing"):
    frames(root / name / "img", jpegs(len(rows), 4))
    write(root / name / "groundtruth_rect.txt", *rows)
    return SequenceFolder(root)


# ---- layouts ---------------------------------------------------------------------------------------------------------

def test_got10k(tmp_path):
    frames(tmp_path / "val" / "GOT-10k_Val_000001", jpegs(3))
    write(tmp_path / "val" / "GOT-10k_Val_000001" / "groundtruth.txt", *[BOX] * 3)
    write_list(tmp_path / "val", ["GOT-10k_Val_000001"])
    folder = SequenceFolder(tmp_path, split="val")
    assert folder.layout == "got10k" and len(folder[0].frames) == 3 and "got10k" in folder.about()


@pytest.mark.parametrize("place", ["color", "."])
def test_vot_with_a_list(tmp_path, place):
    """list.txt alone does not make it GOT-10k: frames in color/, and polygons, are VOT's."""
    for name in ("ball1", "ants1"):
        frames(tmp_path / name / place, jpegs(2))
        write(tmp_path / name / "groundtruth.txt", *["10,10,40,10,40,50,10,50"] * 2)
    write(tmp_path / "ants1" / "occlusion.tag", 0, 1)
    write_list(tmp_path, ["ball1", "ants1"])
    folder = SequenceFolder(tmp_path)
    assert folder.layout == "vot" and folder.names == ["ball1", "ants1"]
    assert folder["ants1"].attributes == {"occlusion": "with"} and folder["ball1"].boxes.shape == (2, 4)


@pytest.mark.parametrize("inside", ["airplane/", ""])
def test_lasot(tmp_path, inside):
    """Sequences lie in folders of their classes, or all together; what is hidden is in two files of one line."""
    folder = tmp_path / f"{inside}airplane-1"
    frames(folder / "img", jpegs(3))
    write(folder / "groundtruth.txt", BOX, "0,0,0,0", BOX)
    write(folder / "full_occlusion.txt", "0,1,0")
    write(folder / "out_of_view.txt", "0,0,1")
    sequences = SequenceFolder(tmp_path)
    assert sequences.layout == "lasot" and sequences.names == ["airplane-1"]
    assert sequences[0].absent.tolist() == [False, True, True] and "hidden" in sequences[0].notes[0]


def test_trackingnet(tmp_path):
    """frames/ and anno/ stand side by side, in parts; of TEST the boxes are withheld."""
    for part, rows in (("TRAIN_0", 11), ("TRAIN_1", 11), ("TEST", 1)):
        frames(tmp_path / part / "frames" / f"{part}_a", [f"{number}.jpg" for number in range(11)])
        write(tmp_path / part / "anno" / f"{part}_a.txt", *[BOX] * rows)
    sequences = SequenceFolder(tmp_path)
    assert sequences.layout == "trackingnet" and sequences.names == ["TRAIN_0_a", "TRAIN_1_a"]
    assert [path.name for path in sequences[0].frames][8:] == ["8.jpg", "9.jpg", "10.jpg"]
    assert SequenceFolder(tmp_path / "TRAIN_1").names == ["TRAIN_1_a"]
    with pytest.raises(UserError, match="only the first box is known"):
        SequenceFolder(tmp_path / "TEST")[0]


def uav123(root, **boxes):
    frames(root / "data_seq" / "UAV123" / "bike1", jpegs(4, 6))
    frames(root / "data_seq" / "UAV123" / "car1", jpegs(7, 6))
    for name, count in boxes.items():
        write(root / "anno" / "UAV123" / f"{name}.txt", *[BOX] * count)


def test_uav123(tmp_path):
    """All boxes lie in one folder; parts of a clip share its frames, and the last of one is the first of the next."""
    uav123(tmp_path, bike1=4, car1_1=3, car1_2=5)
    write(tmp_path / "anno" / "UAV20L" / "bike1.txt", *[BOX] * 2)
    sequences = SequenceFolder(tmp_path)
    assert sequences.layout == "uav123" and sequences.names == ["bike1", "car1_1", "car1_2"]
    assert [path.name for path in sequences["car1_2"].frames] == jpegs(5, 6, first=3)
    assert len(sequences["bike1"].frames) == 4 and not sequences["car1_1"].notes
    long = SequenceFolder(tmp_path / "anno" / "UAV20L")
    assert long.layout == "uav123" and len(long["bike1"].frames) == 2


def test_uav123_says_where_parts_begin(tmp_path):
    uav123(tmp_path, car1_2=2)
    write(tmp_path / "configSeqs.m", "seqs = {struct('name','car1_2','path','D:\\data_seq\\UAV123\\car1\\',"
                                     "'startFrame',5,'endFrame',6,'nz',6,'ext','jpg','init_rect',[0,0,0,0])};")
    assert [path.name for path in SequenceFolder(tmp_path)["car1_2"].frames] == jpegs(2, 6, first=5)


def test_nfs(tmp_path):
    """`track xmin ymin xmax ymax frame lost ...` at 240 per second: every eighth row belongs to a frame at 30."""
    frames(tmp_path / "ball" / "30" / "ball", jpegs(3, 5))
    frames(tmp_path / "ball" / "240" / "ball", jpegs(24, 5))
    rows = [f'0 {10 + number} 20 {50 + number} 60 {number} {int(number == 8)} 0 0 "ball"' for number in range(24)]
    for rate in ("30", "240"):
        write(tmp_path / "ball" / rate / "ball.txt", *rows)
    sequences = SequenceFolder(tmp_path)
    assert sequences.layout == "nfs" and len(sequences[0].frames) == 3
    assert sequences[0].boxes[[0, 2]].tolist() == [[10, 20, 40, 40], [26, 20, 40, 40]]
    assert sequences[0].absent.tolist() == [False, True, False]


def test_a_folder_without_sequences(tmp_path):
    frames(tmp_path / "holiday" / "monday" / "morning", jpegs(2))
    with pytest.raises(UserError, match="no sequences.*got10k, otb, vot, lasot, trackingnet, uav123, nfs"):
        SequenceFolder(tmp_path)


# ---- rows that are no box --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("row", "said"), [("nan,nan,nan,nan", "hidden"), ("NaN", "hidden"), ("0,0,0,0", "no box"),
                                           ("613,731,247,-11", "no box"), ("12,nan,20,20", "no box"),
                                           ("1,2,3,4,5", "no box"), ("# cut", "no box")])
def test_a_row_without_a_box_costs_its_frame(tmp_path, row, said):
    sequence = otb(tmp_path, BOX, BOX, row, BOX)[0]
    assert sequence.absent.tolist() == [False, False, True, False] and np.isnan(sequence.boxes[2]).all()
    assert np.isfinite(sequence.boxes[[0, 1, 3]]).all()
    assert len(sequence.notes) == 1 and said in sequence.notes[0] and "row 3" in sequence.notes[0]


def test_a_zero_box_in_a_frame_marked_absent_is_hidden(tmp_path):
    folder = tmp_path / "A"
    frames(folder, jpegs(3))
    write(folder / "groundtruth.txt", BOX, "0,0,0,0", BOX)
    write(folder / "absence.label", 0, 1, 0)
    write(folder / "meta_info.ini", "[METAINFO]", "resolution: (120, 90)")
    sequence = SequenceFolder(tmp_path)[0]
    assert sequence.layout == "got10k" and "hidden" in sequence.notes[0] and sequence.absent.tolist() == [0, 1, 0]


@pytest.mark.parametrize(("row", "said"), [("0,0,0,0", "at least one pixel"), ("nan,nan,nan,nan", "four finite"),
                                           ("1,1,900,900", "no larger than the frame of 120 x 90"),
                                           ("500,10,20,20", "touches the frame"), ("129,80,64,78,1", "four finite")])
def test_a_tracker_needs_a_first_box(tmp_path, row, said):
    folder = otb(tmp_path, row, BOX, BOX)
    with pytest.raises(UserError, match=f"row 1.*{said}"):
        folder[0]
    assert folder.readable() == []


def test_a_box_as_large_as_the_frame_will_do():
    assert box_problem([1, 1, 120, 90], (120, 90)) is None and box_problem([-5, 1, 128, 91], (120, 90)) is None
    assert "no larger" in box_problem([1, 1, 140, 90], (120, 90))
    assert "no larger" in box_problem([1, 1, 20, 101], (120, 90))


def test_frames_behind_the_last_box_are_left_out_with_a_note(tmp_path):
    otb(tmp_path, BOX, BOX)
    frames(tmp_path / "Crossing" / "img", jpegs(5, 4))
    sequence = SequenceFolder(tmp_path)[0]
    assert len(sequence.frames) == 2 and "frames 1 to 2 of 5" in sequence.notes[0]


# ---- frames that cannot be read --------------------------------------------------------------------------------------

def test_a_damaged_frame_is_passed_over(tmp_path):
    """The frame before stands in for it, and nothing is measured there."""
    folder = otb(tmp_path, BOX, BOX, BOX, BOX)
    damaged = frames_in(tmp_path / "Crossing" / "img")[2]
    damaged.write_bytes(damaged.read_bytes()[:300])
    sequence = folder.inspect("Crossing")
    assert [path.name for path in sequence.frames] == ["0001.jpg", "0002.jpg", "0002.jpg", "0004.jpg"]
    assert sequence.absent.tolist() == [False, False, True, False] and np.isnan(sequence.boxes[2]).all()
    assert "0003.jpg" in sequence.notes[0] and folder["Crossing"] is sequence


def test_a_damaged_first_frame_is_named(tmp_path):
    folder = otb(tmp_path, BOX, BOX)
    frames_in(tmp_path / "Crossing" / "img")[0].write_bytes(b"")
    with pytest.raises(UserError, match="0001.jpg"):
        folder.inspect("Crossing")


# ---- what strangers sent ---------------------------------------------------------------------------------------------

def test_the_shared_cases(shared):
    vot = SequenceFolder(shared("cases/vot_with_list_txt") / "vot2018")
    assert vot.layout == "vot" and all(len(vot[name].frames) == 6 for name in ("ants1", "ball1"))
    hidden = SequenceFolder(shared("cases/nan_rows") / "votLT")["car1"]
    assert hidden.absent.tolist() == [False, False, True, False, False, False] and "hidden" in hidden.notes[0]


def test_check_says_what_the_reader_does(shared):
    """Refused by the reader, and so a problem: FirstHuge, FirstZero, Five. Left out, and so a note: NegRow's row."""
    report = check.Report()
    check.look_at_otb(shared("cases/check_disagrees") / "otb", report)
    folder = SequenceFolder(shared("cases/check_disagrees") / "otb")
    usable = {sequence.name for sequence in folder.readable()}
    refused = set(folder.names) - usable
    problems, notes = "\n".join(report.problems), "\n".join(report.notes)
    assert refused == {"FirstHuge", "FirstZero", "Five"}
    assert all(f"{name}: " in problems for name in refused) and "NegRow" in notes and "NegRow" not in problems
    assert "Corrupt" in problems and folder.inspect("Corrupt").notes
    got = check.Report()
    check.look_at_got10k(shared("cases/check_disagrees") / "got", got)
    assert "C_absent: 1 frames left out" in "\n".join(got.notes) and "C_absent" not in "\n".join(got.problems)
