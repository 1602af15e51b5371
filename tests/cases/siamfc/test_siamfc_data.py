"""Sequences in three layouts, the converter, training pairs, losses; the users' mistakes with files."""
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tolerances import near

from cases.siamfc import augment, losses
from cases.siamfc.data import Mixed, Pairs, Stills, find_textured_window, synthetic_clips, training_sets
from cases.siamfc.extras.convert import convert
from cases.siamfc.videos import Videos, any_layout, beside, got10k, near_pair, usable, vid
from common.base.errors import UserError
from common.data.clips import synthetic, write_list, write_sequence
from common.data.samples import build, photograph
from common.data.sequences import SequenceFolder, polygon_box, read_boxes
from common.experiment.settings import resolve


@pytest.fixture(scope="module")
def clip():
    return synthetic(np.random.default_rng(0), photograph("rocket.jpg"), photograph("astronaut.png")[100:160, 200:250],
                     8, (160, 120))


def otb(root, name, clip, separator=",", digits=4, end="\n", file="groundtruth_rect.txt", rows=None):
    """A sequence in OTB's layout."""
    (root / name / "img").mkdir(parents=True)
    for number, frame in enumerate(clip.frames, 1):
        Image.fromarray(frame).save(root / name / "img" / f"{number:0{digits}d}.jpg", quality=95)
    text = end.join(separator.join(f"{value:.4f}" for value in box) for box in (clip.boxes if rows is None else rows))
    (root / name / file).write_bytes((text + end).encode())


# ---- reading ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("separator", [",", "\t", " ", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_boxes_in_every_spelling(tmp_path, clip, separator, end):
    otb(tmp_path, "Any", clip, separator, end=end)
    assert np.allclose(SequenceFolder(tmp_path)["Any"].boxes, clip.boxes, atol=1e-4)


def test_mixed_separators_and_numbers(tmp_path):
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4\r\n5\t6 7,8\n\n1e-05, 2,3.5,4\n")
    assert np.array_equal(read_boxes(tmp_path / "groundtruth.txt"), [[1, 2, 3, 4], [5, 6, 7, 8], [1e-5, 2, 3.5, 4]])


def test_otb_layout_and_its_exceptions(tmp_path, clip):
    """A shortened David is read whole, a folder of 770 frames from frame 300 on; two targets have numbered names; an
    empty file is no target."""
    otb(tmp_path, "David", clip)
    otb(tmp_path, "Jogging", clip, file="groundtruth_rect.1.txt")
    shutil.copyfile(tmp_path / "Jogging" / "groundtruth_rect.1.txt", tmp_path / "Jogging" / "groundtruth_rect.2.txt")
    (tmp_path / "David" / "groundtruth_rect.9.txt").write_text("\n")
    folder = SequenceFolder(tmp_path)
    assert folder.layout == "otb" and folder.names == ["David", "Jogging.1", "Jogging.2"]
    assert len(folder["David"].frames) == 8
    long = tmp_path / "long" / "David"
    (long / "img").mkdir(parents=True)
    for number in range(1, 771):
        (long / "img" / f"{number:04d}.jpg").write_bytes(b"")
    (long / "groundtruth_rect.txt").write_text("1,2,3,4\n" * 471)
    sequence = SequenceFolder(tmp_path / "long")["David"]
    assert sequence.frames[0].name == "0300.jpg" and sequence.frames[-1].name == "0770.jpg"


def test_got10k_layout():
    folder = SequenceFolder(build("GOT-10k"), "auto", "val")
    sequence = folder[0]
    assert folder.set_name == "val" and len(folder) == 3 and len(sequence.frames) == len(sequence.boxes) == 30
    assert sequence.size == (320, 240) and sequence.cover.max() == 8
    assert sequence.attributes == {"object_class": "patch"}


def test_the_test_split_has_one_box(tmp_path, clip):
    write_sequence(tmp_path / "test" / "GOT-10k_Test_000001", clip)
    path = tmp_path / "test" / "GOT-10k_Test_000001" / "groundtruth.txt"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    write_list(tmp_path / "test", ["GOT-10k_Test_000001"])
    sequence = SequenceFolder(tmp_path, "auto", "test")[0]
    assert sequence.boxes.shape == (1, 4) and len(sequence.frames) == 8


def test_polygons():
    """An upright rectangle gives itself plus one pixel a side (the toolkit's formula), a square on its corner half its
    bounding box's area."""
    x, y, w, h = polygon_box([10, 20, 40, 20, 40, 60, 10, 60])
    assert (w, h) == (31, 41) and (x + w / 2, y + h / 2) == (25, 40)
    _, _, w, h = polygon_box([10, 0, 20, 10, 10, 20, 0, 10])
    assert np.isclose(w - 1, 20 / np.sqrt(2)) and np.isclose(h, w)


def test_polygon_of_the_golden_sequence(shared):
    expected = np.loadtxt(shared("golden/siamfc") / "vot15_bag.txt", delimiter=",")[0]
    assert np.abs(SequenceFolder(shared("data/OTB"))["vot15_bag"].boxes[0] - expected).max() < 1e-5


# ---- mistakes --------------------------------------------------------------------------------------------------------

def test_mistakes_in_files(tmp_path, clip):
    otb(tmp_path, "Good", clip)
    with pytest.raises(UserError, match="not found"):
        SequenceFolder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such sequences"):
        SequenceFolder(tmp_path, names=["Bad"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no sequences"):
        SequenceFolder(tmp_path / "empty")


@pytest.mark.parametrize(("rows", "expected"), [([[1, 2, 3, 4]] * 9, "8 frames"),
                                                ([[1, 2, np.nan, 4]] * 8, "row 1.*four finite numbers"),
                                                ([[1, 2, 3]] * 8, "row 1")])
def test_mistakes_in_boxes(tmp_path, clip, rows, expected):
    otb(tmp_path, "Bad", clip, rows=rows)
    with pytest.raises(UserError, match=expected):
        SequenceFolder(tmp_path)["Bad"]


def test_labels_of_another_length(tmp_path, clip):
    write_sequence(tmp_path / "A", clip)
    write_list(tmp_path, ["A", "B"])
    with pytest.raises(UserError, match="B"):
        SequenceFolder(tmp_path)
    write_list(tmp_path, ["A"])
    (tmp_path / "A" / "cover.label").write_text("8\n8\n")
    with pytest.raises(UserError, match="2 rows for 8 frames"):
        SequenceFolder(tmp_path)["A"]


# ---- converter -------------------------------------------------------------------------------------------------------

def test_convert_and_back(tmp_path, clip):
    """OTB and VOT become GOT-10k: frames byte for byte, boxes to 4 decimals, rows that are nothing are absent, boxes
    that leave the frame cut."""
    rows = clip.boxes.copy()
    rows[3], rows[5] = np.nan, [-4.25, 10, 30, 20]
    otb(tmp_path / "otb", "Some", clip, rows=rows, digits=5)
    convert(tmp_path / "otb", tmp_path / "got")
    folder = SequenceFolder(tmp_path / "got")
    assert folder.layout == "got10k" and folder.names == ["Some"]
    sequence = folder["Some"]
    assert [path.name for path in sequence.frames[:2]] == ["00000001.jpg", "00000002.jpg"]
    assert sequence.size == (160, 120)
    assert sequence.frames[4].read_bytes() == (tmp_path / "otb" / "Some" / "img" / "00005.jpg").read_bytes()
    assert sequence.absent.tolist() == [False, False, False, True] + [False] * 4 and (sequence.cover == 8).all()
    kept = np.arange(8) != 3
    assert np.abs(sequence.boxes - rows)[kept].max() <= 5e-5 + 1e-12
    assert (tmp_path / "got" / "Some" / "cut_by_image.label").read_text().split()[5] == "1"
    with pytest.raises(UserError, match="already"):
        convert(tmp_path / "otb", tmp_path / "got")


def test_convert_reencodes_only_what_is_not_jpeg(tmp_path, clip):
    (tmp_path / "vot" / "ball" / "color").mkdir(parents=True)
    for number, frame in enumerate(clip.frames, 1):
        Image.fromarray(frame).save(tmp_path / "vot" / "ball" / "color" / f"{number:08d}.png")
    corners = [[x, y, x + w, y, x + w, y + h, x, y + h] for x, y, w, h in clip.boxes]
    (tmp_path / "vot" / "ball" / "groundtruth.txt").write_text("\n".join(",".join(map(str, row)) for row in corners))
    (tmp_path / "vot" / "ball" / "occlusion.tag").write_text("0\n1\n" + "0\n" * 6)
    assert SequenceFolder(tmp_path / "vot")["ball"].attributes == {"occlusion": "with"}
    convert(tmp_path / "vot", tmp_path / "got")
    sequence = SequenceFolder(tmp_path / "got")["ball"]
    assert sequence.frames[0].suffix == ".jpg" and np.allclose(sequence.boxes[:, 2:], clip.boxes[:, 2:] + 1, atol=1e-4)


# ---- pairs -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twenty-two small photographs with a boxes.csv."""
    folder, lines = tmp_path_factory.mktemp("photos"), ["file,x,y,w,h,category"]
    for number in range(22):
        picture = photograph(["astronaut.png", "coffee.png", "chelsea.png"][number % 3])
        Image.fromarray(picture[number:number + 240, number:number + 300]).save(folder / f"{number:03d}.png")
        lines += [f"{number:03d}.png,60,50,80,90,cat", f"{number:03d}.png,5,5,10,10,mouse",
                  f"{number:03d}.png,100,40,60,60,cup"]
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_stills(photographs):
    source, held = Stills(photographs), Stills(photographs, held=True)
    assert len(held.files) == len(range(0, 22, 10)) == 3
    assert not set(source.files) & set(held.files) and len(source.files) == 22 - 3
    assert source.count == 2 * 19                               # the mouse of 10 pixels is too small
    assert source.targets[0][1].tolist() == [61, 51, 80, 90]    # 1-based
    pairs = Pairs(source, "strong", 0)
    one, again, other = pairs[0, 3], pairs[0, 3], pairs[1, 3]
    assert one.z.shape == (3, 127, 127) and one.x.shape == (3, 239, 239) and one.x.dtype == torch.uint8
    assert torch.equal(one.x, again.x) and torch.equal(one.offset, again.offset) and not torch.equal(one.x, other.x)
    assert max(abs(float(value)) for place in range(20) for value in pairs[2, place].offset) <= 52


def test_stills_without_boxes(photographs, tmp_path):
    for path in photographs.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pairs = Pairs(Stills(tmp_path), "plain", 0)
    assert pairs[0, 0].offset.tolist() == [0, 0] and pairs[0, 0].x.shape == (3, 239, 239)
    box = find_textured_window(photograph("coffee.png"), np.random.default_rng(0))
    assert box[0] >= 1 and box[1] >= 1 and box[0] + box[2] <= 601 and box[1] + box[3] <= 401


def test_where_the_target_lies(photographs):
    """A warp without turn: the target's middle pixel is found at `offset` from the middle of x."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[120:123, 80:83] = 255
    look = augment.Look(image, np.array([70.0, 110.0, 24.0, 24.0]))      # middle: row 120.5, column 80.5
    x = augment.warp(look, 239, 1.0, np.array([30.0, -20.0]), np.eye(2)).astype(float)[..., 0]
    rows, columns = np.mgrid[:239, :239]
    middle = np.array([(rows * x).sum(), (columns * x).sum()]) / x.sum()
    scale = 127 / 48                                                     # exemplar side of a 24-pixel box: 48
    assert np.allclose(middle, [119 - 20 + 0.5 * scale, 119 + 30 + 0.5 * scale], atol=0.3)


def test_videos(clip):
    source = got10k(build("GOT-10k"), "train")
    pairs = Pairs(source, "plain", 0)
    sample = pairs[0, 1]
    assert sample.name.startswith("GOT-10k_Train_000002/") and len(pairs) == 6
    held = source.hold_out(2)
    assert len(held) == 2 and source.count == 4 and not set(held) & set(source.names)
    strong = Pairs(source, "strong", 0)
    assert strong[0, 0].x.shape == (3, 239, 239)


def test_videos_of_any_layout_mixed_with_stills(photographs, tmp_path, clip):
    """The share is kept; whole sequences validate, forwards and backwards, and never train; small targets may."""
    for number in range(6):
        otb(tmp_path, f"S{number}", clip._replace(boxes=clip.boxes - (0, 0, 3 * number, 3 * number)))
    words = ["data.kind=mixed", f"data.root={photographs}", f"data.videos={tmp_path}", "data.share=0.7",
             "train.validate_clips=2", "train.validate_frames=5"]
    pairs, clips = training_sets(resolve("siamfc", words).config)
    assert isinstance(pairs.source, Mixed) and pairs.source.videos.names == ["S1", "S2", "S3", "S4"]
    assert len(clips) == 4 and np.array_equal(clips[0].boxes, clips[1].boxes[::-1])
    assert np.array_equal(clips[0].frames[0], clips[1].frames[-1]) and len(clips[0].frames) == 5
    names = [pairs[0, place].name for place in range(len(pairs))]
    share = np.mean([name.startswith("S") for name in names])
    assert 0.5 < share < 0.9 and not [name for name in names if name.startswith(("S0/", "S5/"))]
    only, _ = training_sets(resolve("siamfc", ["data.kind=videos", f"data.root={tmp_path}", *words[3:]]).config)
    assert isinstance(only.source, Videos) and only[0, 0].name.startswith("S")


def test_pairs_at_growing_distances():
    source = Videos(["a"], lambda name: ([None] * 90, np.ones((90, 4)), None, (9, 9)))
    gaps = [Pairs(source, "plain", 0, 80, 100).farthest(epoch) for epoch in (0, 50, 100, 500)]
    assert gaps == [10, 45, 80, 80] and Pairs(source, "plain", 0, 80).farthest(0) == 80


def test_look_alikes(photographs, tmp_path, clip):
    """Of a video: what lies beside the target, which it does not touch. Of a photograph: another target, the other one
    of the same photograph among them."""
    rng = np.random.default_rng(0)
    box = np.array([40.0, 40.0, 30.0, 20.0])
    for _ in range(50):
        x, y, w, h = beside(box, (120, 160, 3), rng)
        assert (abs(x - 40) > 30 or abs(y - 40) > 20) and x >= 1 and y >= 1 and x + w <= 161 and y + h <= 121
    table = photographs / "boxes.csv"
    (tmp_path / "boxes.csv").write_text(table.read_text().replace(",60,60,cup", ",60,60,cat"))
    for path in photographs.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = Stills(tmp_path)
    looks = [source.other(0, rng, True) for _ in range(40)]
    assert not any(np.array_equal(look.box, source.targets[0][1]) and look.image is source.picture(0) for look in looks)
    here = [np.array_equal(look.image, source.picture(source.targets[0][0])) for look in looks]
    assert 0.2 < np.mean(here) < 0.9


def test_what_is_damaged_does_not_stop_a_training(tmp_path, clip, capsys):
    """A frame that breaks off, and a sequence without a first box, are said once and not drawn; the rest trains."""
    for name in ("A", "B", "C"):
        otb(tmp_path, name, clip, rows=clip.boxes if name != "B" else np.vstack([np.zeros((1, 4)), clip.boxes[1:]]))
    damaged = tmp_path / "C" / "img" / "0003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:700])
    pairs = Pairs(any_layout(tmp_path), "plain", 0)
    names = {pairs[epoch, index].name for epoch in range(15) for index in range(3)}
    assert not any(name.startswith("B/") or name == "C/0003.jpg" for name in names) and len(names) > 8
    said = capsys.readouterr().err
    assert said.count("0003.jpg") == 1 and said.count("no box to begin with") == 1


def test_rules_for_frames():
    boxes = np.array([[1, 1, 40, 40], [1, 1, 19, 40], [1, 1, 170, 40], [1, 1, 30, 125], [1, 1, 100, 21],
                      [1, 1, np.nan, 30], [1, 1, 40, 40]], float)
    assert usable(boxes, None, (320, 240)).tolist() == [0, 6]
    assert usable(boxes, np.array([8, 8, 8, 8, 8, 8, 2]), (320, 240)).tolist() == [0]
    assert usable(boxes, None, (320, 240), smallest=8, largest=0.95, aspect=6).tolist() == [0, 1, 2, 3, 4, 6]


def test_near_pairs():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = near_pair(np.arange(0, 400, 7), rng)
        assert 0 <= second - first < 100
    assert near_pair(np.array([5, 500]), rng) == (5, 5)


def test_sequences_without_usable_frames():
    source = Videos(["a", "b"], lambda name: ([None] * 3, np.array([[1, 1, 2, 2]] * 3, float), None, (320, 240)))
    with pytest.raises(UserError, match="no usable pairs"):
        source.pair(0, np.random.default_rng(0))


def test_imagenet_vid_layout(tmp_path, clip):
    pictures, notes = (tmp_path / kind / "VID" / "train" / "clip1" for kind in ("Data", "Annotations"))
    pictures.mkdir(parents=True)
    notes.mkdir(parents=True)
    for number, (frame, (x, y, w, h)) in enumerate(zip(clip.frames, clip.boxes)):
        Image.fromarray(frame).save(pictures / f"{number:06d}.JPEG", format="JPEG")
        box = (f"<xmax>{x - 1 + w:.0f}</xmax><xmin>{x - 1:.0f}</xmin>"
               f"<ymax>{y - 1 + h:.0f}</ymax><ymin>{y - 1:.0f}</ymin>")
        target = f"<object><trackid>0</trackid><bndbox>{box}</bndbox></object>"
        (notes / f"{number:06d}.xml").write_text(f"<annotation>{target}</annotation>")
    source = vid(tmp_path)
    assert source.names == ["clip1.0"] and np.abs(source.read("clip1.0")[1] - clip.boxes).max() <= 1
    assert Pairs(source, "plain", 0)[0, 0].x.shape == (3, 239, 239)
    with pytest.raises(UserError, match="no annotations"):
        vid(tmp_path / "Data")


def test_validation_clips_are_the_same_every_time(photographs):
    one, two = (synthetic_clips(photographs, 2, 5) for _ in range(2))
    assert all(np.array_equal(a.frames[4], b.frames[4]) and np.array_equal(a.boxes, b.boxes) for a, b in zip(one, two))


# ---- synthetic sequences ---------------------------------------------------------------------------------------------

def test_synthetic_boxes_are_where_the_patch_is():
    """A white patch on black: the bounding box of what is bright is the box, to a pixel of the soft edge."""
    white, black = np.full((60, 50, 3), 255, np.uint8), np.zeros((300, 400, 3), np.uint8)
    clip = synthetic(np.random.default_rng(1), black, white, 20, occluder=False, distractor=False)
    for frame, (x, y, w, h), cut in zip(clip.frames, clip.boxes, clip.cut):
        if not cut:
            rows, columns = np.nonzero(frame[..., 0] > 10)
            assert np.abs([columns.min() + 1 - x, rows.min() + 1 - y, columns.max() + 2 - x - w,
                           rows.max() + 2 - y - h]).max() < 2.5
    assert (clip.cover[~clip.cut] == 8).all()


def test_the_occluder_is_in_the_labels():
    white, black = np.full((60, 50, 3), 255, np.uint8), np.zeros((300, 400, 3), np.uint8)
    clip = synthetic(np.random.default_rng(1), black, white, 30, distractor=False)
    assert clip.cover.min() < 8 and (clip.cover[:9] == 8).all() and clip.cover.min() >= 1


# ---- losses ----------------------------------------------------------------------------------------------------------

def test_thirteen_positive_cells():
    """Radius 16 px at stride 8: 13 cells, for Euclidean and city-block distance alike, on maps of 15 and 17."""
    for size in (15, 17):
        positive = losses.positives(torch.zeros(1, 2), size)[0]
        rows, columns = torch.nonzero(positive, as_tuple=True)
        middle = (size - 1) // 2
        assert positive.sum() == 13 and ((rows - middle).abs() + (columns - middle).abs()).max() == 2
    moved = losses.positives(torch.tensor([[16.0, -8.0]]), 15)[0]
    assert moved.sum() == 13 and moved[6, 9] and not moved[9, 6]                # x to the right, y up


def test_logistic_by_hand():
    responses = torch.zeros(2, 15, 15)
    positive = losses.positives(torch.zeros(2, 2), 15)
    assert near(losses.logistic(responses, positive), torch.tensor(2.0).log())
    right = torch.where(positive, 20.0, -20.0)
    assert losses.logistic(right, positive) < 1e-6 and losses.logistic(-right, positive) > 19
    only = torch.where(positive, 20.0, 0.0)                                     # half of the mass is on the negatives
    assert near(losses.logistic(only, positive), 0.5 * torch.tensor(2.0).log())


def test_joint_terms():
    torch.manual_seed(0)
    offset = torch.tensor([[0.0, 0.0], [24.0, -16.0]])
    flat = losses.terms(torch.zeros(2, 2, 15, 15), offset, "joint")
    assert near(flat["competing"], 0.5 * (torch.tensor(225.0).log() + torch.tensor(450.0).log()))
    assert near(flat["foreign"], 0.5 * torch.tensor(2.0).log())
    good = torch.full((2, 2, 15, 15), -10.0)
    for place in range(2):
        good[place, place] += 20 * (losses.distances(offset, 15)[place] <= 16)
    better = losses.terms(good, offset, "joint")
    assert all(better[name] < flat[name] for name in flat)
    assert losses.foreign(torch.zeros(1, 1, 15, 15)) == 0


def test_gradients():
    torch.manual_seed(0)
    responses = torch.randn(3, 3, 7, 7, dtype=torch.float64, requires_grad=True)
    offset = torch.rand(3, 2, dtype=torch.float64) * 20
    assert torch.autograd.gradcheck(lambda value: sum(losses.terms(value, offset, "joint").values()), responses,
                                    atol=1e-4)
