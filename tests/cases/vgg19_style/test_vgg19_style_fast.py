"""vgg19_style's networks that paint in one pass: architecture, styles, foreign files, training."""
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_up import fill
from tolerances import near

from cases.vgg19_style import losses, test
from cases.vgg19_style.fast import convert
from cases.vgg19_style.fast import network as architecture
from cases.vgg19_style.fast import train as training
from cases.vgg19_style.fast.network import ConditionalNorm, Convolution, FastNetwork
from common.base.errors import UserError
from common.data.images import read_image, split_photographs, write_image
from common.experiment import checkpoints
from common.experiment.run import Run
from common.experiment.settings import resolve
from common.experiment.training import Training

FOREIGN = {"candy": "candy_nc16.model", "udnie": "udnie_nc16.model", "mosaic": "mosaic_nc16.npz",
           "rain_princess": "rain_princess_nc16.npz"}


def network(styles=("waves", "scream"), width=4, seed=0):
    """A FastNetwork whose styles differ, in evaluation mode."""
    torch.manual_seed(seed)
    made = FastNetwork(width, styles)
    for name, parameter in made.named_parameters():
        if name.endswith(("gamma", "beta")):
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("gamma") else 0.0, 0.5)
    return made.eval()


def pictures(count=2, height=32, width=40, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


# ---- the network -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("width, count", [(8, 108_771), (16, 424_899), (32, 1_679_235)])
def test_parameters_are_those_of_the_published_networks(width, count):
    one, two = (torch.nn.utils.parameters_to_vector(FastNetwork(width, styles).parameters()).numel()
                for styles in ((), ("a", "b")))
    assert one == count
    assert two - one == 100 * width, "gamma and beta of 50 times the width"


@pytest.mark.parametrize("name", FOREIGN)
def test_published_networks_paint_what_they_painted(shared, name):
    path = shared("weights/fast_style") / FOREIGN[name]
    golden = np.load(shared("golden/vgg19_style") / f"fast_{name}.npz")
    weights = convert.read(path)
    painter = FastNetwork(**weights.model)
    painter.load_state_dict(weights.state)
    for key, values in golden.items():
        picture = read_image(shared("golden/vgg19_style") / f"{key}.png")[None]
        with torch.no_grad():
            painted = 255 * painter.paint(picture)[0]
        assert painted.shape == values.reshape(3, *values.shape[-2:]).shape, "the next multiple of 4"
        assert np.abs(painted.numpy() - values).max() < 2e-3


def test_a_batch_equals_its_pictures():
    painter, x = network(), pictures(3)
    weights = torch.tensor([[1.0, 0], [0, 1], [0.3, 0.7]])
    with torch.no_grad():
        together = painter(x, weights)
        assert near(together, torch.cat([painter(picture[None], weight) for picture, weight in zip(x, weights)]))
    assert not near(together[0], painter(x[:1], weights[1])[0], "gradient"), "the styles differ"


def test_one_style_of_many_equals_a_network_of_that_style():
    painter, x, alone = network(), pictures(), FastNetwork(4, ["one"])
    for number in (0, 1):
        alone.load_state_dict({name: value[number:number + 1] if name.endswith(("gamma", "beta")) else value
                               for name, value in painter.state_dict().items()})
        with torch.no_grad():
            assert torch.equal(alone(x), painter(x, torch.eye(2)[number]))


def test_a_mixture_has_the_mixed_parameters():
    painter, x, mixed = network(), pictures(), FastNetwork(4, ["both"])
    mixed.load_state_dict({name: 0.25 * value[:1] + 0.75 * value[1:] if name.endswith(("gamma", "beta")) else value
                           for name, value in painter.state_dict().items()})
    with torch.no_grad():
        assert near(mixed(x), painter(x, torch.tensor([0.25, 0.75])))


def test_another_styles_parameters_change_nothing():
    painter, x = network(), pictures()
    styled = [parameter for name, parameter in painter.named_parameters() if name.endswith(("gamma", "beta"))]
    with torch.no_grad():
        before = painter(x, torch.tensor([1.0, 0.0]))
        for parameter in styled:
            parameter[1] += 1
        assert torch.equal(before, painter(x, torch.tensor([1.0, 0.0])))
        assert not near(before, painter(x, torch.tensor([0.0, 1.0])), "gradient")
    painter(x, torch.tensor([1.0, 0.0])).square().sum().backward()
    assert all(parameter.grad[1].abs().max() == 0 for parameter in styled)


@pytest.mark.parametrize("size", [(33, 40), (32, 41), (37, 51), (5, 6), (34, 35)])
def test_any_size_comes_back_and_is_a_crop_of_the_reflected_picture(size):
    painter, x, one = network(), pictures(1, *size), torch.tensor([1.0, 0.0])
    reflected = F.pad(x, (0, -size[1] % 4, 0, -size[0] % 4), mode="reflect")
    with torch.no_grad():
        painted = painter(x, one)
        assert painted.shape == x.shape
        assert torch.equal(painted, painter.paint(reflected, one)[..., :size[0], :size[1]])


def test_bands_of_rows_change_nothing(monkeypatch):
    painter, x, one = network(), pictures(1, 52, 44), torch.tensor([1.0, 0.0])
    with torch.no_grad():
        whole = painter(x, one)
        calls, rows = [], Convolution.rows
        monkeypatch.setattr(Convolution, "rows", lambda self, *arguments: calls.append(1) or rows(self, *arguments))
        painter(x, one)
        assert len(calls) == 16, "one for each convolution"
        monkeypatch.setattr(architecture, "BAND", 2000)
        banded = painter(x, one)
    assert len(calls) > 100
    assert near(whole, banded)


def test_training_and_painting_compute_the_same():
    painter, x, one = network(), pictures(), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        painted = painter(x, one)
    assert near(painter(x, one), painted)


def test_the_norm_is_instance_norm_and_its_slopes_are_right():
    torch.manual_seed(0)
    norm = ConditionalNorm(3, 2).double()
    with torch.no_grad():
        norm.gamma.normal_(1, 0.5)
        norm.beta.normal_(0, 0.5)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    mix = torch.tensor([[1.0, 0.0], [0.4, 0.6]], dtype=torch.float64)
    gamma, beta = mix @ norm.gamma, mix @ norm.beta
    wanted = F.instance_norm(x, eps=norm.eps) * gamma[..., None, None] + beta[..., None, None]
    assert near(norm(x, mix), wanted)
    inputs = x, gamma.detach().requires_grad_(), beta.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda *inputs: architecture.InstanceNorm.apply(*inputs, 1e-5), inputs)


@pytest.mark.parametrize("weights", [None, torch.ones(3), torch.ones(1, 2, 2)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        network()(pictures(), weights)
    with pytest.raises(ValueError, match="at least 5 pixels"):
        network()(pictures(1, 4, 40), torch.tensor([1.0, 0.0]))


# ---- foreign files ---------------------------------------------------------------------------------------------------

def as_foreign(width=4):
    """A network as pytorch/examples' files have it: {name: tensor}."""
    state = network(("one",), width).state_dict()
    found = {theirs: state[own][0] if norm else state[own] for theirs, (own, norm) in convert.names().items()}
    first, *last = "conv1.conv2d.weight", "deconv3.conv2d.weight", "deconv3.conv2d.bias"
    return found | {first: found[first] / 255} | {name: found[name] * 255 for name in last}


def with_statistics(state):
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    return state | {f"{name}.{kind}": torch.ones(4) for name in ("in1", "res2.in1") for kind in kinds}


@pytest.mark.parametrize("suffix, change", [
    (".pth", lambda state: state), (".model", with_statistics),
    (".pth", lambda state: {f"module.{name}": value for name, value in state.items()}),
    (".npz", lambda state: state), (".npz", with_statistics)])
def test_foreign_forms_give_the_same_network(tmp_path, suffix, change):
    path, state = tmp_path / f"candy{suffix}", change(as_foreign())
    if suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == ".pth")
    convert.main([str(path), "-o", str(tmp_path / "out")])
    weights = checkpoints.load(tmp_path / "out" / "candy.pt")
    assert weights["model"] == {"width": 4, "styles": ["candy"]}
    own = network(("one",)).state_dict()
    assert own.keys() == weights["weights"].keys()
    assert all(near(own[name], tensor) for name, tensor in weights["weights"].items())


def broken_files(folder):
    """{file: (its bytes, what the message says)}."""
    whole, zipped, arrays = folder / "whole", folder / "zipped", folder / "arrays.npz"
    torch.save(as_foreign(), whole, _use_new_zipfile_serialization=False)
    torch.save(as_foreign(), zipped)
    np.savez(arrays, **{name: tensor.numpy() for name, tensor in as_foreign().items()})
    return {"page.pth": (b"<!DOCTYPE html><html>not found</html>", "a web page"), "empty.npz": (b"", "empty"),
            "note.model": (b"hello", "a text file"),
            "pointer.model": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
            "begun.model": (whole.read_bytes()[:40], "cut short"),
            "cut.model": (whole.read_bytes()[:20000], "cut short"),
            "cut.pth": (zipped.read_bytes()[:20000], "cut short"),
            "cut.npz": (arrays.read_bytes()[:20000], "not a readable .npz")}


def test_broken_files_are_named_for_what_they_are(tmp_path):
    for name, (data, said) in broken_files(tmp_path).items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=said) as caught:
            convert.read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no weights file"):
        convert.read(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("change, said", [
    (lambda state: {"features.0.weight": torch.ones(1)}, "no network that paints.*features.0.weight"),
    (lambda state: {name: value for name, value in state.items() if name != "in4.bias"}, "in4.bias is missing"),
    (lambda state: state | {"conv9.conv2d.weight": torch.ones(1)}, "conv9.conv2d.weight is unknown"),
    (lambda state: state | {"deconv1.conv2d.weight": state["deconv1.conv2d.weight"].transpose(0, 1)},
     "deconv1.* is .16, 8, 3, 3., not .8, 16"),
    (lambda state: state | {"in1.weight": state["in1.weight"] * torch.nan},
     "in1.weight holds NaN"),
    (lambda state: [1, 2], "no table of weights")])
def test_other_networks_are_refused(tmp_path, change, said):
    torch.save(change(as_foreign()), tmp_path / "other.pth")
    with pytest.raises(UserError, match=said):
        convert.read(tmp_path / "other.pth")


def test_pickled_objects_are_never_run(tmp_path):
    torch.save(FastNetwork(4), tmp_path / "whole.pth")
    with pytest.raises(UserError, match="Python objects"):
        convert.read(tmp_path / "whole.pth")


def test_our_own_file_needs_no_conversion(tmp_path):
    checkpoints.save(tmp_path / "own.pt", {"case": "vgg19_style", "model": {}, "weights": {}})
    with pytest.raises(UserError, match="already"):
        convert.convert(tmp_path / "own.pt", tmp_path / "out.pt")
    with pytest.raises(UserError, match="one file for 2"):
        convert.main(["a.pth", "b.pth", "-o", str(tmp_path / "one.pt")])


# ---- training and painting -------------------------------------------------------------------------------------------

@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with twelve photographs, two styles and a random feature network; results and checkpoints go there."""
    return fill(tmp_path, monkeypatch, {"red": (1.0, 0.3, 0.2), "blue": (0.1, 0.3, 1.0)}, {"net": "relu3_1"})


def train(place, name, *words, levels=2):
    options = ["--name", name, "stage=fast", f"network={place / 'net.pt'}", f"data.photos={place / 'photos'}",
               f"data.style={place / 'styles'}", "data.size=64", "train.crop=48", "train.steps=12",
               "train.batch_size=4", "train.lr=0.001", "train.warmup=0", "train.average=0.5", "train.log_every=1",
               "train.save_every=5", "train.validate_every=6", "train.validate_pictures=2", "model.width=4",
               "workers=0", "loss.tv=0.01", f"loss.levels={levels}", *words]
    started = Training(Run("vgg19_style", "train", options))
    training.train_fast(started, started.run.config)
    started.finish()
    log = place / "results/vgg19_style" / name / "train/log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def load(*options):
    return training.load(Run("vgg19_style", "test", options))


def test_a_dozen_steps_lower_the_loss_and_the_result_paints(place):
    log = train(place, "short")
    held = [line["val_loss"] for line in log if "val_loss" in line]
    assert len(held) == 2 and held[1] < 0.8 * held[0]
    steps = [line for line in log if "loss" in line]
    assert len(steps) == 12 and {"style", "content", "tv"} <= steps[0].keys()
    assert steps[0]["loss"] > 2 * steps[-1]["loss"]
    painter, weights = load("--name", "short")
    assert painter.styles == ["blue", "red"]
    assert weights.model == {"width": 4, "styles": ["blue", "red"], "noise": False}
    photo = read_image(place / "photos/0.png")
    painted = {label: training.stylise(painter, photo, chosen)
               for label, chosen in training.choose_styles(painter, None).items()}
    assert painted.keys() == {"blue", "red"}
    assert all(each.shape == photo.shape and 0 <= each.min() <= each.max() <= 1 for each in painted.values())
    assert (painted["red"] - painted["blue"]).abs().mean() > 0.005, "the styles have parted"


def test_the_first_steps_learn_to_copy(place):
    log = [line for line in train(place, "copies", "train.copying=8") if "loss" in line]
    terms = [line.keys() - {"stage", "step", "loss"} for line in log]
    assert terms == [{"copy"}] * 8 + [{"style", "content", "tv"}] * 4
    assert log[7]["copy"] < 0.9 * log[0]["copy"]


def test_an_interrupted_training_ends_like_a_whole_one(place, monkeypatch):
    train(place, "whole")
    descend = Training.descend

    def dies(self, *arguments, **terms):
        if self.step == 8:
            raise KeyboardInterrupt
        descend(self, *arguments, **terms)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Training, "descend", dies)
        train(place, "broken")
    train(place, "broken")
    ends = [checkpoints.load(place / "checkpoints/vgg19_style" / name / "last.pt") for name in ("whole", "broken")]
    assert checkpoints.digest(ends[0]["weights"]) == checkpoints.digest(ends[1]["weights"])
    logs = [(place / "results/vgg19_style" / name / "train/log.jsonl").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]


def test_style_is_compared_with_the_whole_and_with_its_parts():
    torch.manual_seed(0)
    features = {"wide": torch.rand(2, 3, 62, 57).contiguous(memory_format=torch.channels_last),
                "small": torch.rand(2, 3, 14, 20)}
    targets = {tap: losses.gram(torch.rand(2, 3, 9, 9)) for tap in features}
    shares = {"wide": 0.5, "small": 0.5}
    assert near(training.local_style(features, targets, shares, 1), losses.relative_style(features, targets))
    for number in range(2):
        target = {tap: gram[number:number + 1] for tap, gram in targets.items()}
        corners = [(top, left) for top in range(0, 60, 15) for left in range(0, 56, 14)]
        parts = [features["wide"][number:number + 1, :, top:top + 15, left:left + 14] for top, left in corners]
        wide = torch.stack([losses.relative_style({"wide": part}, {"wide": target["wide"]}) for part in parts]).mean()
        whole = losses.relative_style({"small": features["small"][number:number + 1]}, {"small": target["small"]})
        mixed = training.local_style(features, targets, {"wide": 0.25, "small": 0.75}, 4)[number]
        assert near(mixed, 0.25 * wide + 0.75 * whole[0]), "14 rows are not divided"


def test_styles_have_names_of_their_own(place):
    write_image(place / "more" / "red.png", torch.rand(3, 48, 48))
    with pytest.raises(UserError, match="same name: red"):
        train(place, "twice", f"data.styles=[{place / 'styles/red.png'},{place / 'more/red.png'}]")
    with pytest.raises(UserError, match="model.styles has 1 names, there are 2 styles"):
        train(place, "names", "model.styles=[one]")
    with pytest.raises(UserError, match="48 pixels are too small for 4 levels on net: at least 64"):
        train(place, "levels", levels=4)
    with pytest.raises(UserError, match="loss.form=gatys in stage=fast"):
        train(place, "form", "loss.form=gatys")


def test_crops_are_a_function_of_their_place(place):
    photos, held = split_photographs(place / "photos")
    assert len(photos) == 10 and [path.stem for path in held] == ["0", "10"], "every tenth in natural order"
    styles = sorted((place / "styles").iterdir())
    one, two = (training.Crops(photos, 64, 48, styles, seed=3) for _ in range(2))
    for place_ in [(0, 1), (5, 1), (0, 1)]:
        assert torch.equal(one[place_].photo, two[place_].photo) and one[place_].style == two[place_].style
        assert one[place_].photo.shape == (3, 48, 48)
    drawn = [one[epoch, index].style for epoch in range(20) for index in range(10)]
    assert 70 < sum(drawn) < 130, "both styles alike"
    small = training.Crops(photos, 32, 48, styles, seed=3)[0, 0].photo
    assert small.shape == (3, 48, 48), "small photographs are enlarged"


def test_foreign_weights_are_taken_as_they_are(place):
    torch.save(as_foreign(), place / "candy.model", _use_new_zipfile_serialization=False)
    painter, weights = load("--weights", str(place / "candy.model"))
    assert painter.styles == ["candy"] and "foreign" in weights.said
    assert training.stylise(painter, pictures(1)[0], torch.ones(1)).shape == (3, 32, 40)
    (place / "page.pth").write_text("<html>sign in</html>")
    with pytest.raises(UserError, match="a web page"):
        load("--weights", str(place / "page.pth"))
    with pytest.raises(UserError, match="too small: 40x4"):
        training.stylise(painter, pictures(1, 4, 40)[0], torch.ones(1))


def test_styles_are_chosen_by_name_and_weight():
    painter = network()
    every = training.choose_styles(painter, None)
    assert {label: weights.tolist() for label, weights in every.items()} == {"waves": [1, 0], "scream": [0, 1]}
    assert training.choose_styles(painter, "scream")["scream"].tolist() == [0, 1]
    mixed = training.choose_styles(painter, "scream=3, waves=1")
    assert list(mixed) == ["waves-0.25+scream-0.75"] and mixed["waves-0.25+scream-0.75"].tolist() == [0.25, 0.75]
    for text, said in (("monet", "'monet' is no style.*waves, scream"), ("waves=-1", "no weight"),
                       ("waves=x", "no weight"), ("waves=0", "all weights are 0"), ("waves=nan", "no weight")):
        with pytest.raises(UserError, match=said):
            training.choose_styles(painter, text)


@pytest.mark.parametrize("folder", ["style", "content"])
def test_two_files_of_one_name_are_refused(tmp_path, folder):
    """A painting goes by its stem to the style of that name, a photograph to the name of its results."""
    for name in ("style/waves.png", "content/a.png", f"{folder}/b.png", f"{folder}/b.jpg"):
        write_image(tmp_path / name, torch.zeros(3, 8, 8))
    words = [f"data.{each}={tmp_path / each}" for each in ("style", "content")]
    run = SimpleNamespace(config=resolve("vgg19_style", words).config)
    with pytest.raises(UserError, match="two pictures of one name: .*b.jpg, .*b.png"):
        test.judge_network(run, network(), None)
