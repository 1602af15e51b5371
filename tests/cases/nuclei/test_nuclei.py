"""Nuclei as a case: layouts, targets, instances by hand, simple methods, rows of a test, own pictures, mistakes."""
import csv
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cases.nuclei import baselines, data, figures, instances, test, train
from cases.nuclei.label_files import outline, paint, write_labels
from cases.nuclei.model import Nuclei
from cases.nuclei.segment import segment
from common import metrics
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.samples import build
from common.experiment import checkpoints
from common.experiment.settings import resolve

RELEASE = paths.ROOT / "checkpoints" / "nuclei" / "release.pt"


def write_weights(path, **options):
    """A weights file of a small network; of a U-Net one whose maps are sigmoid(20 x - 10) of its picture x."""
    torch.manual_seed(0)
    arguments = {"arch": "unet", "width": 4, "levels": 2, "maps": ["nucleus", "inside"]} | options
    model = Nuclei(**arguments)
    if arguments["arch"] == "unet":
        see_through(model)
    checkpoints.save(path, {"case": "nuclei", "model": arguments, "weights": model.state_dict()})
    return path


def see_through(model):
    """Let the first map of the uppermost level be the picture, down and up again, and the answer depend on it alone."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for block in (model.down[0], model.up[0].block):
        for convolution in (block[0][0], block[1][0]):
            convolution.weight.data[0, 0, 1, 1] = 1
    model.answer.weight.data[:, 0] = 20
    model.answer.bias.data.fill_(-10)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


def discs(*middles, radius=6, size=(40, 48)):
    """A label map of discs."""
    y, x = np.mgrid[:size[0], :size[1]]
    labels = np.zeros(size, np.int32)
    for number, (top, left) in enumerate(middles, 1):
        labels[(y - top) ** 2 + (x - left) ** 2 <= radius**2] = number
    return labels


APART, TOUCHING = discs((10, 10), (28, 36)), discs((20, 15), (20, 26))


def save_pictures(root, count=6, split=None):
    """Pictures of two discs each in the plain layout."""
    for number in range(count):
        labels = TOUCHING if number % 2 else APART
        (root / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray((20 + 100 * (labels > 0)).astype(np.uint8)).save(root / "images" / f"p{number}.png")
        write_labels(root / "labels" / f"p{number}.png", labels)
    if split:
        lines = [f"p{number},{each}" for number, each in enumerate(split)]
        (root / "pictures.csv").write_text("\n".join(["name,split", *lines]) + "\n")
    return root


# ---- data ------------------------------------------------------------------------------------------------------------

def test_both_layouts_say_the_same(tmp_path):
    plain = save_pictures(tmp_path / "plain")
    for path in sorted((plain / "images").iterdir()):
        folder = tmp_path / "official" / path.stem
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        Image.open(path).convert("RGBA").save(folder / "images" / path.name)
        labels = np.array(Image.open(plain / "labels" / path.name))
        for number in range(1, labels.max() + 1):
            Image.fromarray(255 * (labels == number).astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    one, other = (data.list_pictures(tmp_path / name) for name in ("plain", "official"))
    assert [(each.name, each.split) for each in one] == [(each.name, each.split) for each in other]
    assert [each.split for each in one] == ["train"] * 4 + ["test", "train"]
    for a, b in zip(one, other):
        assert np.array_equal(data.read_labels(a), data.read_labels(b))
        assert np.array_equal(data.read_gray(a.path), data.read_gray(b.path))


def test_the_list_says_the_split_and_every_tenth_validates(tmp_path):
    root = save_pictures(tmp_path, 13, ["train"] * 12 + ["test"])
    assert [each.name for each in data.test_pictures(root)] == ["p12"]
    training, held = data.training_pictures(root)
    assert [each.name for each in held] == ["p0", "p10"] and len(training) == 10


def test_stained_pictures_are_left_out_unless_asked_for(tmp_path, capsys):
    root = save_pictures(tmp_path, 3)
    Image.fromarray(np.full((40, 48, 3), (220, 180, 200), np.uint8)).save(root / "images/p0.png")
    assert len(data.list_pictures(root)) == 2 and "p0" in capsys.readouterr().err
    assert len(data.list_pictures(root, stained=True)) == 3


def test_every_level_is_used_whatever_the_depth(tmp_path):
    """The levels of a dim 12-bit camera in a 16-bit file: 8 bits would leave five of them."""
    draw = np.random.default_rng(0)
    levels = draw.integers(0, 1200, (30, 40)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tif"), levels)
    gray = data.read_gray(tmp_path / "deep.tif")
    assert len(np.unique(gray)) > 500 and gray.min() == 0 and gray.max() == 1
    again = data.normalise(levels.astype(np.float32) * 3 + 50)
    np.testing.assert_allclose(gray, again, atol=1e-5)                # gain and offset do not matter
    cv2.imwrite(str(tmp_path / "bright.tif"), 65535 - levels)
    np.testing.assert_allclose(data.read_gray(tmp_path / "bright.tif"), gray, atol=1e-4)   # as its negative
    assert (data.normalise(np.full((5, 5), 7.0)) == 0).all()


def test_targets_by_hand():
    labels = np.zeros((7, 9), np.int32)
    labels[1:6, 1:4], labels[1:6, 4:8] = 1, 2
    nucleus, inside, boundary, distance = data.targets_of(labels, ["nucleus", "inside", "boundary", "distance"])
    assert nucleus.sum() == 35 and inside.sum() == 3 + 6 and (inside + boundary == nucleus).all()
    assert inside[3].tolist() == [0, 0, 1, 0, 0, 1, 1, 0, 0]          # the line where they touch is no inside
    assert distance.max() == 1 and distance[3, 2] == 1 and distance[1, 1] == 0


def test_patches_are_a_function_of_their_place(tmp_path):
    pictures = data.list_pictures(save_pictures(tmp_path))
    patches = data.Patches(pictures, ["nucleus", "inside"], patch=64, weights=True)
    one, again, other = patches[1, 0], patches[1, 0], patches[2, 0]
    assert one.picture.shape == (1, 64, 64) and one.targets.shape == (2, 64, 64) and one.weight.shape == (64, 64)
    assert torch.equal(one.picture, again.picture) and torch.equal(one.targets, again.targets)
    assert not torch.equal(one.picture, other.picture)
    bright = one.picture[0][one.targets[0] > 0].mean()
    assert bright > one.picture[0][one.targets[0] == 0].mean() + 0.2  # labels are bent with the picture


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda root: (root / "labels/p1.png").unlink(), "no labels for 1 pictures"),
    (lambda root: Image.new("RGB", (48, 40)).save(root / "labels/p1.png"), "no map of numbers"),
    (lambda root: Image.new("L", (20, 20)).save(root / "labels/p1.png"), "20x20: 48x40 was expected"),
    (lambda root: (root / "labels/p1.png").write_bytes(b"\x89PNG\r\n\x1a\nrest"), "cannot be read as labels"),
    (lambda root: (root / "pictures.csv").write_text("name,split\np1,maybe\n"), "neither train nor test")])
def test_bad_data_have_one_message(tmp_path, spoil, message):
    root = save_pictures(tmp_path)
    spoil(root)
    with pytest.raises(UserError, match=message):
        for picture in data.list_pictures(root):
            data.read_labels(picture)
    with pytest.raises(UserError, match="no such folder"):
        data.list_pictures(tmp_path / "nowhere")


def test_names_that_two_files_share_are_refused(tmp_path):
    """Pictures and labels go by their stems: a second one would be lost."""
    for folder in ("images", "labels"):
        root = save_pictures(tmp_path / folder)
        Image.open(root / folder / "p1.png").save(root / folder / "p1.tif")
        with pytest.raises(UserError, match="two pictures of one name: .*p1.png, .*p1.tif"):
            data.list_pictures(root)


def test_what_has_no_picture_is_named_and_odd_letters_are_no_pattern(tmp_path, capsys):
    root = save_pictures(tmp_path)
    (root / "labels/p0.png").rename(root / "labels/p0[1].png")
    (root / "images/p0.png").rename(root / "images/p0[1].png")
    write_labels(root / "labels/alone.png", APART)
    (root / "pictures.csv").write_text("name,split\np1,test\nnobody,train\n")
    assert len(data.list_pictures(root)) == 6
    said = capsys.readouterr().err
    assert "alone.png" in said and "nobody of pictures.csv" in said


def test_a_damaged_picture_fails_alone(tmp_path):
    root = save_pictures(tmp_path)
    (root / "images/p4.png").write_bytes((root / "images/p4.png").read_bytes()[:60])
    assert [picture.name for picture in data.test_pictures(root)] == ["p4"], "its own turn names it"


# ---- instances -------------------------------------------------------------------------------------------------------

def test_touching_discs_come_apart_by_the_watersheds_alone():
    nucleus = (TOUCHING > 0).astype(np.float32)
    inside = data.inside(TOUCHING).astype(np.float32)
    assert instances.components(nucleus).max() == 1
    for found in (instances.distance_watershed(nucleus), instances.marker_watershed(nucleus, inside)):
        overlap = metrics.overlaps(TOUCHING, found)
        assert len(overlap.predicted) == 2 and metrics.matches(overlap, [0.9])[0] == 2
    assert metrics.merged(metrics.overlaps(TOUCHING, instances.components(nucleus))) == 1


def test_a_network_that_is_sure_cuts_where_no_waist_is():
    """A square of two halves: the distance has one peak, the network's middles have two."""
    labels = np.zeros((30, 40), np.int32)
    labels[5:25, 10:20], labels[5:25, 20:30] = 1, 2
    nucleus = (labels > 0).astype(np.float32)
    assert instances.distance_watershed(nucleus).max() == 1
    found = instances.marker_watershed(nucleus, data.inside(labels).astype(np.float32), weight=20)
    assert metrics.matches(metrics.overlaps(labels, found), [0.9])[0] == 2


def test_watersheds_lose_no_pixel():
    nucleus = np.random.default_rng(0).random((40, 50), np.float32)
    for found in (instances.distance_watershed(nucleus), instances.marker_watershed(nucleus, nucleus)):
        assert np.array_equal(found > 0, nucleus > 0.5)


def test_what_is_small_goes():
    nucleus = (APART > 0).astype(np.float32)
    nucleus[0, 47] = 1
    assert instances.components(nucleus).max() == 3 and instances.components(nucleus, smallest=2).max() == 2
    for find in (instances.components, instances.distance_watershed):
        assert find(np.zeros((9, 9), np.float32)).max() == 0


@pytest.mark.parametrize("maps", [["inside"], ["boundary"], ["distance"]])
def test_every_kind_of_target_gives_markers(maps):
    found = dict(zip(["nucleus", *maps], data.targets_of(TOUCHING, ["nucleus", *maps])))
    ways = segment(found, resolve("nuclei", []).config.test)
    assert ways["markers"].max() == 2 and ways["components"].max() == 1
    assert "markers" not in segment({"nucleus": found["nucleus"]}, resolve("nuclei", []).config.test)


def test_nuclei_are_described():
    picture = np.where(APART == 1, 50.0, 80.0)
    found = instances.describe(APART, picture)
    assert found["number"] == [1, 2] and found["area"] == [(APART == 1).sum(), (APART == 2).sum()]
    assert found["row"] == pytest.approx([10, 28]) and found["column"] == pytest.approx([10, 36])
    assert found["mean_level"] == [50, 80] and min(found["circularity"]) > 0.9


@pytest.mark.parametrize("row", baselines.ROWS)
def test_simple_methods_find_bright_discs(row):
    gray = (APART > 0).astype(np.float32) * 0.8 + np.random.default_rng(0).random(APART.shape, np.float32) * 0.2
    found = metrics.overlaps(APART, baselines.outputs(data.normalise(gray), smallest=16)[row])
    assert metrics.matches(found, [0.7])[0] == 2, row
    assert baselines.outputs(np.zeros((20, 20), np.float32), 16)[row].max() == 0


def test_label_files_are_numbers_and_colours(tmp_path):
    few, many = TOUCHING, np.arange(400, dtype=np.int32).reshape(20, 20)
    for labels in (few, many):
        write_labels(tmp_path / "labels.png", labels)
        assert np.array_equal(data.read_numbers(tmp_path / "labels.png"), labels)
    with pytest.raises(UserError, match="70000 nuclei in one picture"):
        write_labels(tmp_path / "labels.png", np.arange(70001).reshape(1, -1))
    colours = paint(few)
    assert (colours[few == 0] == 0).all() and (colours[few == 1][0] != colours[few == 2][0]).any()
    drawn = outline(np.zeros(few.shape, np.float32), few)
    assert (drawn[20, 15] == 0).all() and drawn[20, 9].any()          # the line lies inside, along the edge


# ---- scripts ---------------------------------------------------------------------------------------------------------

def run_training(folders, root, *words):
    usual = ["data.patch=32", "model.width=4", "model.levels=2", "train.steps=2", "train.batch_size=2",
             "train.validate_every=2", "train.log_every=1", "precision=fp32"]
    train.main(["--name", "a", "--device", "cpu", f"data.root={root}", *usual, *words])
    return folders / "checkpoints/nuclei/a/best.pt"


@pytest.mark.parametrize("words", [["model.arch=r2atunet", "train.loss=focal", "train.boundary=true"],
                                   ["model.maps=[nucleus, distance]", "train.dice=0"]], ids=str)
def test_a_training_of_every_loss(folders, words):
    path = run_training(folders, save_pictures(folders / "set"), *words)
    content = checkpoints.load(path)
    assert content["best"]["metric"] == "ap" and 0 <= content["best"]["value"] <= 1
    log = (folders / "results/nuclei/a/train/log.jsonl").read_text()
    assert "val_iou" in log and "nucleus" in log


def test_without_the_map_of_nuclei_nothing_is_trained(folders):
    with pytest.raises(UserError, match="lacks nucleus"):
        run_training(folders, save_pictures(folders / "set"), "model.maps=[inside]")


def test_rows_of_a_test_and_its_figures(folders):
    root = save_pictures(folders / "set")
    weights = write_weights(folders / "w.pt")
    write_weights(folders / "r.pt", arch="r2atunet", maps=["nucleus"])
    words = ["--name", "x", "--weights", str(weights), f"test.root={root}", f"test.rivals=[{folders / 'r.pt'}]"]
    test.main(words)
    folder = folders / "results/nuclei/x/test/test"
    content = json.loads((folder / "metrics.json").read_text())
    assert list(content) == [*baselines.ROWS, "unet", "unet_watershed", "unet_markers", "r2atunet",
                             "r2atunet_watershed"]
    assert content["otsu"]["count"] == 1 and content["otsu"]["nuclei"] == 2 and content["otsu"]["ap50_pooled"] == 1
    labels = data.read_numbers(folder / "images/otsu/p4.png")
    with open(folder / "items.csv", newline="") as file:
        line = next(line for line in csv.DictReader(file) if line["row"] == "otsu")
    true = data.read_labels(data.test_pictures(root)[0])
    values = test.measure_labels(true, labels)                        # the pictures say what the table says
    assert float(line["ap"]) == pytest.approx(values["ap"], abs=1e-6) and int(float(line["found"])) == 2
    figures.main(words)
    drawn = {path.stem for path in (folders / "results/nuclei/x/figures").glob("*.png")}
    assert drawn == {"network", "recurrent", "steps", "touching", "attention", "precision", "counts", "failures"}


def own(folders, *words):
    return test.main(["--name", "own", "--weights", str(folders / "w.pt"), *map(str, words)])


def test_own_pictures_of_every_kind(folders, capsys):
    write_weights(folders / "w.pt")
    source = folders / "in"
    source.mkdir()
    gray = np.float32(TOUCHING > 0)
    cv2.imwrite(str(source / "deep.tif"), (200 + 3000 * gray).astype(np.uint16))
    Image.fromarray((40 + 150 * gray).astype(np.uint8)).save(source / "细胞.tif")
    Image.fromarray(np.dstack([40 + 150 * gray] * 3).astype(np.uint8)).save(source / "colour.png")
    Image.fromarray((250 - 150 * gray).astype(np.uint8)).save(source / "bright.png")
    Image.new("L", (5, 3)).save(source / "flat.png")
    own(folders, "--input", source, "--output", folders / "out")
    assert "bright.png" in capsys.readouterr().err
    numbers = {}
    for path in source.iterdir():
        labels = data.read_numbers(folders / "out" / f"{path.stem}_labels.png")
        assert labels.shape == np.array(Image.open(path)).shape[:2]
        assert np.array(Image.open(folders / "out" / f"{path.stem}_outlines.png")).shape == (*labels.shape, 3)
        with open(folders / "out" / f"{path.stem}_nuclei.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert [int(line["number"]) for line in lines] == list(range(1, labels.max() + 1))
        assert [int(line["area"]) for line in lines] == np.bincount(labels.ravel())[1:].tolist()
        assert labels.max() == (0 if path.stem == "flat" else 2)
        numbers[path.name] = labels
    assert np.array_equal(numbers["deep.tif"], numbers["细胞.tif"])       # depth and colour do not matter
    assert np.array_equal(numbers["deep.tif"], numbers["colour.png"])


def test_tiles_join_nuclei_across_their_borders(folders):
    write_weights(folders / "w.pt")
    gray = np.zeros((150, 170), np.uint8)
    for top, left in np.random.default_rng(0).integers(0, 130, (12, 2)):
        gray[top:top + 16, left:left + 16] = 200
    Image.fromarray(gray).save(folders / "large.png")
    for tile in (32, 512):
        own(folders, "--input", folders / "large.png", "--output", folders / f"t{tile}", f"test.tile={tile}")
    one, other = (data.read_numbers(folders / f"t{tile}" / "large_labels.png") for tile in (32, 512))
    assert np.array_equal(one, other) and one.max() > 3


def test_what_cannot_be_read_is_named_and_the_rest_is_done(folders):
    write_weights(folders / "w.pt")
    root = save_pictures(folders / "set")
    (root / "images/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    with pytest.raises(Negative, match="1 picture"):
        own(folders, "--input", root / "images", "--output", folders / "out")
    assert len(list((folders / "out").glob("*_labels.png"))) == 6
    for words in (["gone.png"], [root / "images/p0.png", root / "images/p1.png", "--output", "one.png"]):
        with pytest.raises(UserError):
            own(folders, "--input", *words)
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before


def test_a_data_set_without_a_test_split_and_a_rival_that_is_not_there(folders):
    weights = write_weights(folders / "w.pt")
    root = save_pictures(folders / "set", 4)
    words = ["--name", "x", "--weights", str(weights), f"test.root={root}"]
    with pytest.raises(UserError, match="no picture to test on"):
        test.main(words)
    save_pictures(folders / "set")
    with pytest.raises(UserError, match="nobody"):
        test.main([*words, "test.rivals=[nobody]"])
    test.main(words)                                                  # the release's rival is none of the user's


def test_the_sample_set_has_pictures_of_both_splits():
    root = build("nuclei")
    assert (len(data.training_pictures(root)[0]), len(data.test_pictures(root))) == (4, 3)


@pytest.mark.slow
def test_release_is_worth_what_the_page_says(shared, folders, monkeypatch):
    if not RELEASE.exists():
        pytest.skip("checkpoints/nuclei/release.pt is not there yet: its training has not ended")
    monkeypatch.setattr(paths, "CHECKPOINTS", paths.ROOT / "checkpoints")
    test.main(["--name", "check", "--weights", "release", f"test.root={shared('data/nuclei')}"])
    content = json.loads((folders / "results/nuclei/check/test/test/metrics.json").read_text())
    best = content["unet_markers"]
    assert best["iou"] >= 0.85 and best["ap50_pooled"] >= 0.72 and best["ap"] >= 0.53
    assert best["merged"] < content["otsu"]["merged"]
