"""Super-resolution as a case: protocol, golden pictures, data, training, joining, own pictures, the users' mistakes."""
import csv
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from tolerances import near

from cases.super_resolution import baselines, data, figures, test, train
from cases.super_resolution.extras import join
from cases.super_resolution.model import SuperResolution
from cases.super_resolution.perceptual import feature_distance, load_judge
from common.base import paths
from common.base.errors import Negative, UserError
from common.data import video
from common.data.images import open_picture, read_pixels, write_image
from common.data.samples import build
from common.experiment import checkpoints
from common.experiment.settings import resolve
from common.features import vgg_files
from common.metrics import luma, psnr_y, ssim_y


def write_weights(path, scales=(2,), **options):
    """A weights file of a small untrained network, whose answer is close to the bicubic picture."""
    torch.manual_seed(0)
    arguments = {"scales": list(scales), "channels": 4, "blocks": 1} | options
    model = SuperResolution(**arguments)
    for network in model.networks.values():
        network.rise[0].weight.data.mul_(0.1)
    checkpoints.save(path, {"case": "super_resolution", "model": arguments, "weights": model.state_dict()})
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own, with the network that judges features."""
    small = tmp_path / "checkpoints" / "vgg19_style" / vgg_files.SMALL.name
    small.parent.mkdir(parents=True)
    small.write_bytes(vgg_files.SMALL.read_bytes())
    monkeypatch.setattr(vgg_files, "SMALL", small)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


def pictures(folder, count=3, size=(80, 64)):
    """Smooth random pictures in a folder."""
    draw = np.random.default_rng(0)
    for number in range(count):
        coarse = torch.from_numpy(draw.random((1, 3, 8, 8), np.float32))
        write_image(folder / f"{number}.png", torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0])
    return folder


def metrics_of(folders, name, set_name):
    return json.loads((folders / "results/super_resolution" / name / "test" / set_name / "metrics.json").read_text())


# ---- protocol --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("scale", "published", "ours"), [(2, 38.00, 37.994), (4, 32.21, 32.207)])
def test_outputs_of_another_network_score_as_published(shared, scale, published, ours):
    """IMDN on Set5, picture by picture, and the bicubic picture beside it."""
    folder, golden = shared("data/super_resolution") / "Set5", shared("golden/super_resolution")
    expected, scores = json.loads((golden / "golden.json").read_text())[f"x{scale}"], []
    for name, values in expected.items():
        high = data.cut(read_pixels(next(folder.glob(f"{name}*"))), scale)
        scores.append(psnr_y(read_pixels(golden / f"imdn_x{scale}_{name}.png"), high, scale))
        assert scores[-1] == pytest.approx(values["imdn_psnr_y"], abs=1e-3), name
        bicubic = baselines.enlarge(data.reduce(high, scale), scale)
        assert psnr_y(bicubic, high, scale) == pytest.approx(values["bicubic_psnr_y"], abs=1e-3), name
    assert np.mean(scores) == pytest.approx(ours, abs=1e-3) and np.mean(scores) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize(("scale", "published"), [(2, (33.66, 30.24)), (4, (28.42, 26.00))])
def test_bicubic_scores_as_published(shared, scale, published):
    """Set14's tenth is allowed by Pillow's and Matlab's filters, which differ in a sixth of the bytes."""
    root = shared("data/super_resolution")
    for name, expected, room in zip(("Set5", "Set14"), published, (0.05, 0.11)):
        scores = []
        for path in sorted((root / name).iterdir()):
            high = data.cut(read_pixels(path), scale)
            scores.append(psnr_y(baselines.enlarge(data.reduce(high, scale), scale), high, scale))
        assert np.mean(scores) == pytest.approx(expected, abs=room)


def test_a_border_of_the_scales_pixels_is_left_out():
    high = np.full((40, 40, 3), 100, np.uint8)
    other = high.copy()
    other[:4] = other[-4:] = other[:, :4] = other[:, -4:] = 0
    assert psnr_y(other, high, 4) == float("inf") and ssim_y(other, high, 4) == pytest.approx(1)
    assert psnr_y(other, high, 3) < 30
    one = high + np.uint8(1)                                  # luma rises by 219 / 255
    assert psnr_y(one, high, 2) == pytest.approx(20 * np.log10(255 * 255 / 219), abs=1e-6)


def test_the_similarity_of_the_luma_is_scikit_images():
    draw = np.random.default_rng(3)
    one = cv2.resize(draw.integers(0, 256, (8, 9, 3), dtype=np.uint8), (50, 44))
    other = np.clip(one + draw.integers(-20, 20, one.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(*(luma(picture)[2:-2, 2:-2] for picture in (one, other)), data_range=255,
                                     gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert ssim_y(one, other, 2) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(ssim_y(one[:12], other[:12], 1)) and np.isnan(psnr_y(one[:4], other[:4], 2))


def test_pictures_are_cut_at_the_right_and_below_and_made_small_by_pillow():
    high = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    assert np.array_equal(data.cut(high, 4), high[:4, :8])
    low = data.reduce(high[:6, :8], 2)
    assert np.array_equal(low, np.asarray(Image.fromarray(high[:6, :8]).resize((4, 3), Image.Resampling.BICUBIC)))
    low[0, 0] = 0                                             # the caller's own


def test_back_projection_agrees_with_the_small_picture():
    low = data.reduce(data.cut(read_pixels(build("SR") / "test" / "coffee.png"), 2), 2)
    before, after = (np.abs(data.reduce(picture, 2).astype(int) - low).mean()
                     for picture in (baselines.enlarge(low, 2), baselines.back_project(low, 2)))
    assert after < before / 3


def test_the_distance_of_features_tells_blur_from_nothing():
    judge, high = load_judge(), read_pixels(build("SR") / "test" / "chelsea.png")
    blurred = baselines.enlarge(data.reduce(high, 4), 4)
    a_little = baselines.enlarge(data.reduce(high, 2), 2)
    assert feature_distance(judge, high, high) == 0
    assert 0 < feature_distance(judge, a_little, high) < feature_distance(judge, blurred, high) < 4
    assert feature_distance(judge, high[:20], blurred[:20]) is None


# ---- data ------------------------------------------------------------------------------------------------------------

def training(root, *words):
    words = override(["data.patch=8"], f"data.root={root}", *words)
    return data.training_sets(resolve("super_resolution", words).config)


def override(words, *others):
    """Words of which those are left out whose keys the others have."""
    keys = [other.partition("=")[0] for other in others]
    return [word for word in words if word.partition("=")[0] not in keys] + list(others)


def test_small_and_large_patches_are_of_one_place(tmp_path):
    patches, held = training(pictures(tmp_path, 12), "model.scale=2")
    assert len(patches) == 10 and len(held) == 2
    for index in range(4):
        sample = patches[1, index]
        assert sample.low.shape == (3, 8, 8) and sample.high.shape == (3, 16, 16)
        smaller = torch.nn.functional.avg_pool2d(sample.high[None], 2)[0]
        assert (smaller - sample.low).abs().mean() < 0.02
    again, other = patches[1, 0], patches[2, 0]
    assert torch.equal(patches[1, 0].low, again.low) and not torch.equal(again.low, other.low)


def test_test_sets_never_train_and_photographs_are_halved(tmp_path):
    for name in ("T91", "photos", "Set5", "Set14"):
        pictures(tmp_path / name, 1)
    names = [path.parent.name for path in data.training_pictures(tmp_path)]
    assert names == ["T91", "photos"]
    patches, _ = training(tmp_path, "model.scale=2", "data.patch=16")
    sizes = {path.parent.name: patches._size(path) for path in patches.paths}
    assert sizes == {"T91": (80, 64), "photos": (40, 32)}


def test_a_phones_small_picture_is_worse_than_a_reduced_one(tmp_path):
    plain, real = (training(pictures(tmp_path), "model.scale=2", f"data.degrade={kind}")[0]
                   for kind in ("bicubic", "real"))
    for index in range(3):
        a, b, again = plain[0, index], real[0, index], real[0, index]
        assert torch.equal(a.high, b.high) and torch.equal(b.low, again.low) and b.low.shape == a.low.shape
        assert 0.004 < (a.low - b.low).abs().mean() < 0.2


def test_patches_that_fit_no_picture_are_refused(tmp_path):
    with pytest.raises(UserError, match="lower data.patch"):
        training(pictures(tmp_path), "model.scale=4", "data.patch=64")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        training(tmp_path / "empty")


def test_pictures_that_do_not_train_are_named(tmp_path, capsys):
    """The first is held out, the second too small, the third unreadable; the tenth alone trains and validates."""
    folder = pictures(tmp_path, 12)
    names = sorted(folder.iterdir())
    for path in names[:-1]:
        Image.new("RGB", (20, 20)).save(path)
    names[2].write_bytes(b"\x89PNG\r\n\x1a\nrest")
    patches, held = training(folder, "model.scale=2", "data.patch=16")
    assert patches.paths == held.paths == [names[-1]]
    said = capsys.readouterr().err
    assert "11 of 12 pictures are left out" in said and names[0].name in said and "data.patch" in said


# ---- training --------------------------------------------------------------------------------------------------------

def run_training(folders, name, *words):
    usual = [f"data.root={build('SR') / 'train'}", "data.patch=16", "model.channels=4", "model.blocks=1",
             "train.steps=2", "train.batch_size=2", "train.validate_every=2", "train.validate_pictures=1",
             "train.log_every=1"]
    train.main(["--name", name, "--device", "cpu", *override(usual, *words)])
    return folders / "checkpoints/super_resolution" / name / "best.pt"


def test_another_scale_begins_with_all_but_the_last_layer(folders, capsys):
    two = run_training(folders, "x2", "model.scale=2")
    run_training(folders, "x4", "model.scale=4", "--weights", str(two), "train.lr=1e-9")
    assert "scale 2: 9 of 11 tensors" in capsys.readouterr().out
    before, after = (checkpoints.load(folders / "checkpoints/super_resolution" / name / "best.pt")["weights"]
                     for name in ("x2", "x4"))
    assert near(before["networks.2.entry.weight"], after["networks.4.entry.weight"])
    with pytest.raises(UserError, match="of other sizes"):
        run_training(folders, "wide", "model.scale=4", "model.channels=8", "--weights", str(two))


def test_against_a_discriminator_features_choose_the_weights(folders):
    path = run_training(folders, "gan", "model.scale=2", "preset=gan", "train.width=2", "train.warmup=0")
    assert checkpoints.load(path)["best"]["metric"] == "feature_distance"
    log = (folders / "results/super_resolution/gan/train/log.jsonl").read_text().splitlines()
    assert {"content", "perceptual", "adversarial", "discriminator"} <= json.loads(log[0]).keys()
    with pytest.raises(UserError, match="multiple of 16"):
        run_training(folders, "odd", "model.scale=2", "preset=gan", "data.patch=9")


@pytest.mark.slow
def test_a_game_that_was_stopped_goes_on_as_if_it_had_not_been(folders, monkeypatch):
    whole = checkpoints.load(run_training(folders, "whole", "model.scale=2", "preset=gan", "train.width=2",
                                          "train.save_every=1", "train.steps=4"))
    step = train.Training._after_step

    def stop(self, progress):
        step(self, progress)
        if self.step == 2:
            raise KeyboardInterrupt
    words = ("half", "model.scale=2", "preset=gan", "train.width=2", "train.save_every=1", "train.steps=4")
    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "_after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run_training(folders, *words)
    half = checkpoints.load(run_training(folders, *words))
    assert checkpoints.digest(half["weights"]) == checkpoints.digest(whole["weights"])


def test_runs_of_several_scales_become_one(folders, capsys):
    for scale in (2, 4):
        write_weights(folders / f"checkpoints/super_resolution/x{scale}/best.pt", [scale])
    join.main(["x2", "x4"])
    joined = checkpoints.find("super_resolution", "joined", "best")
    model = checkpoints.build(SuperResolution, joined)
    assert model.scales == [2, 4]
    x = torch.rand(1, 3, 6, 5)
    for scale in (2, 4):
        alone = checkpoints.build(SuperResolution, checkpoints.find("super_resolution", f"x{scale}", "best"))
        assert torch.equal(model(x, scale), alone(x, scale))
    with pytest.raises(UserError, match="joined already"):
        join.main(["x2", "x4"])
    write_weights(folders / "checkpoints/super_resolution/other/best.pt", [3], channels=8)
    for words, expected in ((["x2", "joined", "--name", "b"], "enlarges by 2"),
                            (["x2", "other", "--name", "c"], "other sizes"),
                            (["x2", "gone", "--name", "d"], "no weights file")):
        with pytest.raises(UserError, match=expected):
            join.main(words)


# ---- tests and own pictures ------------------------------------------------------------------------------------------

def test_every_row_is_measured_on_every_set(folders):
    words = ["--name", "x", "--weights", str(write_weights(folders / "w.pt", [2, 3])), f"test.root={folders / 'set'}"]
    for name in ("Set5", "Set14", "T91"):
        folder = pictures(folders / "set" / name, 1, (50, 41))
        Image.open(folder / "0.png").save(folder / "0.bmp")                                     # one stem: two pictures
    test.main([*words, "--scale", "2"])
    for name in ("Set5", "Set14"):
        found = metrics_of(folders, "x", name)
        assert list(found) == ["network", "network_ensemble", *baselines.ROWS]
        assert all(row["count"] == 2 and row["psnr_y"] > 20 for row in found.values())
    folder = folders / "results/super_resolution/x/test"
    assert not (folder / "T91").exists() and "scale: 2" in (folder / "Set5/config.yaml").read_text()
    test.main([*words, "--scale", "2", "test.degrade=real"])
    assert metrics_of(folders, "x", "Set14")["bicubic"]["psnr_y"] < found["bicubic"]["psnr_y"] - 1
    test.main([*words, "test.baselines=false", "test.ensemble=off", "test.judge=none"])
    assert list(metrics_of(folders, "x", "Set5")) == ["network"], "and the weights' largest scale"
    assert "scale: 3" in (folder / "Set5/config.yaml").read_text()
    line = next(csv.DictReader((folder / "Set5/items.csv").read_text(encoding="utf-8").splitlines()))
    assert line["reference"] == "Set5/0.bmp"
    written, high = read_pixels(folder / "Set5" / line["image"]), read_pixels(folders / "set/Set5/0.png")
    assert psnr_y(written, data.cut(high, 3), 3) == pytest.approx(float(line["psnr_y"]), abs=1e-6)


def test_figures_need_no_test_and_no_data(folders):
    weights = write_weights(folders / "w.pt", [2], channels=8, attention="pooled")
    figures.main(["--name", "x", "--weights", str(weights)])
    drawn = {path.stem for path in (folders / "results/super_resolution/x/figures").glob("*.png")}
    assert drawn == {"network", "pixel_shuffle", "failures"}


def own(folders, *words):
    return test.main(["--name", "own", "--weights", str(folders / "w.pt"), *map(str, words)])


def test_own_pictures_of_every_kind(folders):
    write_weights(folders / "w.pt", [2])
    source, draw = folders / "in", np.random.default_rng(0)
    source.mkdir()
    rgb = cv2.resize(draw.integers(0, 255, (5, 8, 3), dtype=np.uint8), (33, 21))
    Image.fromarray(rgb).save(source / "rgb.jpg")
    Image.fromarray(rgb[:1, :1]).save(source / "one.png")
    Image.fromarray(rgb[..., 0]).save(source / "gray.png")
    Image.fromarray(np.dstack([rgb, rgb[..., 1]])).save(source / "rgba.png")
    cv2.imwrite(str(source / "deep.png"), rgb.astype(np.uint16) * 257)
    own(folders, "--input", source, "--scale", 2, "--output", folders / "out")
    for path in source.iterdir():
        before, after = open_picture(path), open_picture(folders / "out" / path.name)
        assert after.rgb.shape[1:] == tuple(2 * side for side in before.rgb.shape[1:]), path.name
        assert (after.gray, after.bits, after.alpha is None) == (before.gray, before.bits, before.alpha is None)
        smaller = torch.nn.functional.avg_pool2d(after.rgb[None], 2)[0]
        assert (smaller - before.rgb).abs().mean() < 0.05, path.name
    alpha = open_picture(folders / "out/rgba.png").alpha
    assert (alpha[0, ::2, ::2] - torch.from_numpy(rgb[..., 1] / 255)).abs().mean() < 0.05


def test_own_pictures_are_answered_once_unless_asked_for_eight(folders, monkeypatch):
    write_weights(folders / "w.pt", [2])
    pictures(folders / "in", 1, (9, 12))
    asked = []
    network = type(SuperResolution(scales=[2], channels=4, blocks=1).networks["2"])
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda self, x: asked.append(1) or forward(self, x))
    for words, times in (([], 1), (["test.ensemble=on"], 8)):
        asked.clear()
        own(folders, "--input", folders / "in/0.png", "--output", folders / f"{times}.png", *words)
        assert len(asked) == times
    one, eight = (read_pixels(folders / f"{times}.png").astype(int) for times in (1, 8))
    assert (one != eight).any()


def test_a_video_is_enlarged_frame_by_frame(folders):
    write_weights(folders / "w.pt", [3])
    with video.writing(folders / "clip.mp4", 10, (32, 24)) as write:
        for level in (20, 90, 160):
            write(np.full((24, 32, 3), level, np.uint8))
    own(folders, "--input", folders / "clip.mp4", "--output", folders / "large.mp4")
    film = video.open_film(folders / "large.mp4")
    assert film.size == (96, 72)
    levels = [frame.mean() for frame in video.frames_of(film)]
    assert levels == pytest.approx([20, 90, 160], abs=8)


def test_no_input_is_written_over(folders):
    write_weights(folders / "w.pt", [2])
    for name in ("A", "B"):
        pictures(folders / name, 1, (20, 20))
    before = {path: path.read_bytes() for path in folders.rglob("*.png")}
    for words in (["A", "B", "--output", "B"], ["A/0.png", "--output", "A/0.png"], ["A/0.png", "--output", "x.gif"],
                  ["gone.png", "--output", "x.png"]):
        paths_given = [word if word.startswith("-") else folders / word for word in words]
        with pytest.raises(UserError):
            own(folders, "--input", *paths_given)
    assert {path: path.read_bytes() for path in folders.rglob("*.png")} == before


def test_mistakes_have_one_message(folders):
    weights = write_weights(folders / "w.pt", [2, 3])
    words = ["--name", "x", "--weights", str(weights)]
    pictures(folders / "set", 1, (40, 40))
    Image.fromarray(np.zeros((2, 30, 3), np.uint8)).save(folders / "set/flat.png")
    (folders / "set/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    with pytest.raises(UserError, match="enlarge by 2, 3, not by test.scale=4"):
        test.main([*words, "--scale", "4", f"test.root={folders / 'set'}"])
    with pytest.raises(UserError, match="test.scale"):
        test.main([*words, "--scale", "9"])
    with pytest.raises(UserError, match="no such folder"):
        test.main([*words, f"test.root={folders / 'nowhere'}"])
    (folders / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        test.main([*words, f"test.root={folders / 'empty'}"])
    with pytest.raises(Negative, match="2 picture"):
        test.main([*words, f"test.root={folders / 'set'}", "test.judge=none"])
    assert metrics_of(folders, "x", "set")["network"]["count"] == 1
    Image.fromarray(np.zeros((10, 33000), np.uint8)).save(folders / "wide.jpg")
    with pytest.raises(UserError, match="65500"):
        own(folders, "--input", folders / "wide.jpg", "--scale", 2, "--output", folders / "wider.jpg")


# ---- the release -----------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_release_is_worth_what_the_page_says(shared, folders, monkeypatch):
    monkeypatch.setattr(paths, "CHECKPOINTS", paths.ROOT / "checkpoints")
    test.main(["--name", "check", "--weights", "release", f"test.root={shared('data/super_resolution')}",
               "test.scale=4", "test.judge=none"])
    five, fourteen = (metrics_of(folders, "check", name) for name in ("Set5", "Set14"))
    assert five["network"]["psnr_y"] >= 31.3 and fourteen["network"]["psnr_y"] >= 28.1
    assert five["network_ensemble"]["psnr_y"] > five["network"]["psnr_y"] > five["back_projection"]["psnr_y"] + 1
