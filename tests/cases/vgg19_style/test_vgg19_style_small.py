"""The distilled feature network: its first weights, its teachers, a short training, what the release file can do."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tolerances import near

from cases.vgg19_style.extras import distill
from cases.vgg19_style.extras.distill import TAPS, WIDTHS, Crops, Small, Teachers
from common.base import paths
from common.base.errors import UserError
from common.data.images import list_images, read_image, split_photographs
from common.experiment import checkpoints
from common.experiment.run import Run
from common.experiment.training import Training
from common.features import vgg, vgg_files

BLOCKS, STUDENT = "weights/vgg/vgg19_block1-3.npz", "weights/vgg/vgg19_small16x.npz"
REQUIRED = {"relu1_1": 0.95, "relu2_1": 0.85, "relu3_1": 0.78}             # median per-channel correlation with VGG19
NAMES = {f"features.{place}.{part}" for place in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
         for part in ("weight", "bias")} | {f"aux.{tap}.{part}" for tap in TAPS for part in ("weight", "bias")}


@pytest.fixture
def photos(tmp_path):
    """Twelve small pictures with edges and colours."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        squares = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((12, 12, 1))) + rng.normal(0, 8, (72, 96, 3))
        Image.fromarray(squares.clip(0, 255).astype(np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def teacher(tmp_path):
    """A narrow student with random weights and maps, as a file of this project."""
    torch.manual_seed(1)
    network = Small()
    for parameter in network.parameters():
        torch.nn.init.kaiming_normal_(parameter) if parameter.dim() > 1 else torch.nn.init.normal_(parameter, std=0.1)
    checkpoints.save(tmp_path / "teacher.pt", {"case": "vgg19_style", "model": network.arguments,
                                               "weights": network.state_dict()})
    return tmp_path / "teacher.pt"


@pytest.fixture(scope="module")
def release():
    return checkpoints.load(vgg_files.SMALL)


# ---- networks --------------------------------------------------------------------------------------------------------

def test_the_network_and_its_names():
    network = Small()
    state = network.state_dict()
    assert set(state) == NAMES
    assert sum(value.numel() for name, value in state.items() if name.startswith("features.")) == 810_128
    assert sum(value.numel() for name, value in state.items() if name.startswith("aux.")) == 154_048
    with torch.no_grad():
        strengths, estimates = network(torch.rand(2, 3, 32, 48))
    assert strengths.shape == (2 * 16 + 2 * 32 + 4 * 64 + 5 * 128,)
    assert {tap: tuple(value.shape) for tap, value in estimates.items()} == {
        tap: (2, 32 >> level, 48 >> level, channels) for level, (tap, channels) in enumerate(TAPS.items())}


def test_first_weights_are_drawn_from_the_seed_and_equally_strong(teacher):
    teachers, x = Teachers([teacher]), torch.rand(4, 3, 64, 64)
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(Small())
        networks[-1].start(x, teachers)
    with torch.no_grad():
        strengths, _ = networks[0](x)
    assert torch.allclose(strengths, torch.ones(()), atol=1e-3)
    one, again, other = (checkpoints.digest(network.state_dict()) for network in networks)
    assert one == again != other


def test_the_first_maps_are_the_fit_of_least_squares():
    generator = torch.Generator().manual_seed(0)
    features, map = torch.rand(2, 5, 8, 8, generator=generator), torch.randn(7, 5, generator=generator)
    target = torch.einsum("nchw,kc->nhwk", features, map)
    assert torch.allclose(distill.fit_map(features, target, damping=1e-6), map, atol=1e-3)


def test_agreement_is_the_median_of_pooled_correlations():
    """Against NumPy, on pictures of two sizes; a channel at which the teacher never moves does not count."""
    rng = np.random.default_rng(0)
    pairs = {}
    for height, width in ((5, 6), (3, 8)):
        truth = rng.normal(size=(1, height, width, 4))
        truth[..., 3] = 0
        pairs[height, width] = truth * [1, 2, -3, 1] + 7 + rng.normal(size=truth.shape), truth
    x, y = (np.concatenate([pair[side].reshape(-1, 4) for pair in pairs.values()]) for side in (0, 1))
    expected = np.median([np.corrcoef(x[:, channel], y[:, channel])[0, 1] for channel in range(3)])
    pictures = [torch.zeros(1, 3, *size) for size in pairs]
    found = distill.agreement(lambda picture: (None, {"relu1_1": torch.from_numpy(pairs[tuple(picture.shape[2:])][0])}),
                              lambda picture: {"relu1_1": torch.from_numpy(pairs[tuple(picture.shape[2:])][1])},
                              pictures)
    assert found == {"relu1_1": pytest.approx(expected, abs=1e-9)}


# ---- teachers and crops ----------------------------------------------------------------------------------------------

def test_each_tap_comes_from_the_first_file_that_knows_it(shared):
    """True VGG19 to relu3_1, the student's maps behind it; on the golden picture with the golden statistics."""
    files = [shared(BLOCKS), shared(STUDENT)]
    teachers = Teachers(files)
    assert [trunk.taps for trunk in teachers.trunks] == [["relu1_1", "relu2_1", "relu3_1"], ["relu4_1", "relu5_1"]]
    assert teachers.trunks[0].padding == "zeros" and Teachers(files, "reflect").trunks[0].padding == "reflect"
    x = read_image(shared("golden/vgg19_style") / "content_48x32.png")[None]
    golden = json.loads((shared("golden/vgg19_style") / "golden.json").read_text())
    with torch.no_grad():
        found = teachers(x)
    true, estimated = (golden[name]["content_taps_mean_std_max"] for name in ("vgg19_block1-3", "vgg19_small16x"))
    for tap in ("relu1_1", "relu2_1", "relu3_1"):
        assert statistics(found[tap]) == pytest.approx(true[tap], rel=1e-4)
    student = vgg.load(str(shared(STUDENT)), ["relu4_1", "relu5_1"])
    for tap, features in student(x).items():
        weight, bias = teachers.maps[tap]
        estimates = torch.einsum("nchw,kc->nhwk", features, weight) + bias
        assert statistics(estimates) == pytest.approx(estimated["aux" + tap[4:]], rel=1e-4)
        assert near(found[tap], estimates.relu())


def statistics(values):
    """[mean, standard deviation, maximum], as golden.json has them; of the maps before their ReLU."""
    values = values.double()
    return [values.mean().item(), values.std(correction=0).item(), values.max().item()]


def test_teachers_are_scaled_to_a_deviation_of_one(teacher):
    teachers, x = Teachers([teacher]), torch.rand(6, 3, 64, 64)
    teachers.calibrate(x.split(2))
    for values in teachers(x).values():
        deviation = values.flatten(0, 2).std(0)
        assert deviation.max() < 1.0001 and deviation.median() == pytest.approx(1, abs=1e-4)


def test_teachers_that_do_not_reach_are_named(teacher, tmp_path):
    content = checkpoints.load(teacher)
    content["weights"] = {name: value for name, value in content["weights"].items() if "relu4_1" not in name}
    checkpoints.save(tmp_path / "without.pt", content)
    with pytest.raises(UserError, match="no teacher for relu4_1: .*without.pt"):
        Teachers([tmp_path / "without.pt"])
    with pytest.raises(UserError, match="no teacher for relu1_1, .* relu5_1: train.teachers=.."):
        Teachers([])


def test_crops_depend_on_seed_epoch_and_index_alone(photos):
    training, held = split_photographs(photos)
    assert [path.name for path in held] == ["0.png", "10.png"] and len(training) == 10
    crops, again, other = Crops(training, 48, 0), Crops(training, 48, 0), Crops(training, 48, 1)
    for index in range(10):
        crop = crops[1, index].picture
        assert crop.shape == (3, 48, 48) and crop.dtype == torch.float32 and 0 <= crop.min() and crop.max() <= 1
        assert torch.equal(crop, again[1, index].picture)
        assert not torch.equal(crop, crops[0, index].picture) and not torch.equal(crop, other[1, index].picture)


def test_pictures_too_small_to_train_on_are_named(tmp_path):
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(tmp_path / "tiny.png")
    with pytest.raises(UserError, match="tiny.png: 50x20"):
        distill.middle(tmp_path / "tiny.png")
    with pytest.raises(UserError, match="no such folder"):
        split_photographs(tmp_path / "nothing")


# ---- training --------------------------------------------------------------------------------------------------------

def test_a_short_training_follows_its_teacher(tmp_path, monkeypatch, photos, teacher):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(distill, "CALIBRATION", 12)
    training = Training(Run("vgg19_style", "train", [
        "preset=small", f"data.photos={photos}", f"train.teachers=[{teacher}]", "workers=0", "train.steps=24",
        "train.crop=48", "train.warmup=2", "train.batch_size=2", "train.validate_every=8", "train.log_every=4",
        "train.validate_pictures=2", "train.average=0.5"]))
    distill.distill(training, training.run.config)
    training.finish()
    log = (tmp_path / "results/vgg19_style/default/train/log.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    losses, validated = ([line[name] for line in lines if name in line] for name in ("loss", "val_loss"))
    assert all(np.isfinite(losses)) and losses[-1] < 0.9 * losses[0] and validated[-1] < validated[0]
    best = tmp_path / "checkpoints/vgg19_style/default/best.pt"
    assert set(checkpoints.load(best)["weights"]) == NAMES
    trunk = vgg.load(str(best), ["relu1_1", "relu5_1"])                     # tag and padding are in the file
    assert (trunk.tag, trunk.padding, trunk.widths) == ("rgb01", "reflect", WIDTHS)


# ---- the release file ------------------------------------------------------------------------------------------------

def test_the_release_loads_as_small(release):
    assert vgg_files.SMALL.stat().st_size <= 2_000_000
    assert set(release["weights"]) == NAMES
    assert all(value.dtype == torch.float16 for value in release["weights"].values())
    trunk = vgg.load("small", list(TAPS))
    assert (trunk.name, trunk.tag, trunk.padding) == ("small", "rgb01", "reflect")
    assert (trunk.widths, trunk.smallest) == (WIDTHS, 32)
    features = trunk(torch.rand(1, 3, 32, 64))
    assert list(features) == list(TAPS) and features["relu5_1"].shape == (1, 128, 2, 4)


def test_the_release_did_not_start_from_the_student(release, shared):
    """Trained weights stay near those they start from: any filter of ours would look like one of the student's."""
    theirs = vgg_files.read(str(shared(STUDENT))).state["features.28.weight"].flatten(1)
    ours = release["weights"]["features.28.weight"].float().flatten(1)
    likeness = torch.nn.functional.normalize(ours) @ torch.nn.functional.normalize(theirs).T
    assert likeness.abs().max() < 0.5


@pytest.mark.slow
def test_the_release_agrees_with_vgg19(release, shared):
    """Median over VGG19's channels of the correlation over positions, on ten of the photographs no training saw."""
    network = checkpoints.build(Small, checkpoints.find("vgg19_style", "none", "release-small"))
    pictures = [read_image(path)[None] for path in list_images(shared("data/photos_val"))[::4]]
    found = distill.agreement(network, Teachers([shared(BLOCKS), shared(STUDENT)]), pictures)
    print({tap: round(value, 4) for tap, value in found.items()})
    assert all(found[tap] >= needed for tap, needed in REQUIRED.items())
    # against the student's maps, which themselves are estimates
    assert found["relu4_1"] > 0.8 and found["relu5_1"] > 0.7


def test_no_channel_of_the_release_drowns_the_others(release, shared):
    """Mean strengths on photographs: of the channels that answer (at relu5_1 29 of 128 never do) none is stronger than
    all others together."""
    trunk = vgg.load("small", list(TAPS))
    pictures = [read_image(path)[None] for path in list_images(shared("data/photos_val"))[::8]]
    with torch.inference_mode():
        for tap, width in zip(TAPS, WIDTHS, strict=True):
            strengths = torch.stack([trunk(picture)[tap].mean((0, 2, 3)) for picture in pictures]).mean(0)
            assert (strengths > 1e-3).sum() >= 0.75 * width
            assert strengths.max() < 10 and strengths.max() < 0.5 * strengths.sum()
