"""common/features: taps equal to the golden values and to torchvision's modules, reach, strides, wrong files."""
import json

import numpy as np
import pytest
import torch
from seeded_vgg import seeded, seeded_source

from common.base.errors import UserError
from common.data.images import read_image
from common.experiment.device import import_torchvision
from common.features import vgg, vgg_files

GOLDEN = "golden/vgg19_style"


def close(found, golden):
    """To 1e-5 of the layer's maximum."""
    assert found.shape == golden.shape
    assert (found - golden).abs().max() <= 1e-5 * golden.abs().max()


@pytest.mark.parametrize("name", ["vgg19_block1-3", "vgg19_small16x", "squeezenet1_1"])
def test_taps_of_trained_files_are_the_golden_ones(shared, name):
    x = read_image(shared(GOLDEN) / "content_48x32.png")[None]
    with np.load(shared(GOLDEN) / f"taps_{name}.npz") as golden:
        taps = [tap for tap in golden.files if not tap.startswith("aux")]
        features = vgg.load(str(shared("weights/vgg") / f"{name}.npz"), taps)(x)
        for tap in taps:
            close(features[tap], torch.from_numpy(golden[tap]))


@pytest.mark.parametrize(("file", "pooling"), [("taps_seeded", "max"), ("taps_seeded_avgpool", "avg")])
def test_full_depth_and_average_pooling_are_the_golden_ones(shared, file, pooling):
    x = read_image(shared(GOLDEN) / "content_48x32.png")[None]
    with np.load(shared(GOLDEN) / f"{file}.npz") as golden:
        features = vgg.build(seeded_source(), golden.files, pooling)(x)
        for tap in golden.files:
            close(features[tap], torch.from_numpy(golden[tap]))


@pytest.mark.parametrize("layout", ["vgg19", "vgg16"])
def test_every_tap_is_torchvisions_layer(layout):
    """All layers by hooks that clone, because torchvision's ReLU works in place."""
    network = getattr(import_torchvision().models, layout)(weights=None).features.eval()
    state = seeded(layout)
    network.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()})
    names, x = vgg_files.layers(layout), torch.rand(1, 3, 37, 50, generator=torch.Generator().manual_seed(1))
    theirs = {}
    for name, layer in zip(names, network, strict=True):
        layer.register_forward_hook(lambda layer, inputs, output, name=name: theirs.__setitem__(name, output.clone()))
    mean, std = torch.tensor(vgg_files.TAGS["torchvision"])[:, None, :, None, None]
    taps = [name for name in names if not name.startswith("pool")]
    with torch.no_grad():
        network((x - mean) / std)
        ours = vgg.build(seeded_source(layout), taps)(x)
    for tap in taps:
        close(ours[tap], theirs[tap])


def test_statistics_of_all_taps(shared):
    """mean, std and max of every layer of the trained files, from golden.json."""
    golden = json.loads((shared(GOLDEN) / "golden.json").read_text())
    x = read_image(shared(GOLDEN) / "content_48x32.png")[None]
    for name in ("vgg19_block1-3", "vgg19_small16x"):
        expected = {tap: value for tap, value in golden[name]["content_taps_mean_std_max"].items()
                    if not tap.startswith("aux")}
        for tap, features in vgg.load(str(shared("weights/vgg") / f"{name}.npz"), expected)(x).items():
            found = torch.stack([features.double().mean(), features.double().std(correction=0),
                                 features.double().max()])
            assert torch.allclose(found, torch.tensor(expected[tap], dtype=torch.float64), rtol=1e-4,
                                  atol=1e-5 * abs(expected[tap][2])), tap


def test_truncated_at_the_deepest_tap_and_counted():
    counts = {"relu1_1": 1792, "conv2_1": 112576, "relu3_4": 2325568, "relu4_2": 5865536, "relu5_1": 12944960,
              "relu5_4": 20024384}
    for tap, count in counts.items():
        trunk = vgg.Trunk("vgg19", [tap])
        assert sum(parameter.numel() for parameter in trunk.parameters()) == count
    assert sum(parameter.numel() for parameter in vgg.Trunk("vgg16", ["relu5_3"]).parameters()) == 14714688


def test_reach_strides_and_smallest_side():
    trunk = vgg.Trunk("vgg19", ["relu5_4"], widths=(2, 2, 2, 2, 2))
    for tap, reach in {"relu1_1": 1, "relu1_2": 2, "relu2_1": 4, "relu3_1": 10, "relu3_4": 22, "relu4_1": 30,
                       "relu4_2": 38,
                       "relu5_1": 70, "relu5_2": 86, "relu5_4": 118}.items():
        assert trunk.reach(tap) == reach
    sixteen = vgg.Trunk("vgg16", ["relu5_3"], widths=(2, 2, 2, 2, 2))
    assert [sixteen.reach(tap) for tap in ("relu3_3", "relu4_1", "relu5_1", "relu5_3")] == [18, 26, 58, 90]
    assert [trunk.stride(tap) for tap in ("conv1_2", "relu2_1", "relu5_1")] == [1, 2, 16]
    for padding, smallest in (("zeros", 16), ("reflect", 32)):
        narrow = vgg.Trunk("vgg19", ["relu5_1"], widths=(2, 2, 2, 2, 2), padding=padding)
        assert narrow.smallest == smallest
        narrow(torch.rand(1, 3, smallest, smallest))
        with pytest.raises(RuntimeError):
            narrow(torch.rand(1, 3, smallest - 1, smallest))


def test_a_position_depends_on_its_reach_and_no_further():
    """By the gradient: the window of one position of relu3_1 is its cell of 4 pixels and 10 to each side."""
    torch.manual_seed(0)
    trunk = vgg.Trunk("vgg19", ["conv3_1"], widths=(4, 4, 4, 4, 4), pooling="avg").requires_grad_(False)
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    trunk(x)["conv3_1"][0, :, 8, 8].sum().backward()                          # its cell: pixels 32 to 35
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (rows.min(), rows.max()) == (32 - 10, 35 + 10)


def test_taps_by_keras_names_and_on_both_sides_of_the_relu():
    trunk = vgg.build(seeded_source(), ["block2_conv1", "conv2_1", "relu2_1"])
    features = trunk(torch.rand(1, 3, 32, 32))
    assert list(features) == ["conv2_1", "relu2_1"] and trunk.taps == ["relu2_1", "conv2_1", "relu2_1"]
    assert features["conv2_1"].min() < 0 and torch.equal(features["conv2_1"].relu(), features["relu2_1"])


def test_gradients_reach_the_picture_and_not_the_weights():
    trunk = vgg.build(seeded_source(), ["relu2_1"])
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    trunk(x)["relu2_1"].sum().backward()
    assert x.grad.abs().sum() > 0 and all(parameter.grad is None for parameter in trunk.parameters())


# ---- files -----------------------------------------------------------------------------------------------------------

def narrow_state(count=5):
    torch.manual_seed(0)
    trunk = vgg.Trunk("vgg19", [f"relu{count}_1"], widths=(4, 4, 4, 4, 4), padding="reflect", tag="rgb01")
    return dict(trunk.state_dict())


def test_files_of_torch_with_and_without_prefix_and_classifier(tmp_path):
    state = narrow_state()
    x, outputs = torch.rand(1, 3, 32, 32), []
    forms = [state | {"classifier.0.weight": torch.zeros(2, 2)},
             {name.removeprefix("features."): value for name, value in state.items()},
             {f"module.{name}": value for name, value in state.items()},
             {"case": "vgg19_style", "model": {"tag": "rgb01", "padding": "reflect"}, "weights": state}]
    for number, form in enumerate(forms):
        torch.save(form, tmp_path / f"{number}.pth")
        trunk = vgg.load(str(tmp_path / f"{number}.pth"), ["relu5_1"])
        assert (trunk.tag, trunk.padding, trunk.name) == ("rgb01", "reflect", str(number))
        outputs.append(trunk(x)["relu5_1"])
    assert all(torch.equal(output, outputs[0]) for output in outputs)


def test_wrong_files_are_named(tmp_path):
    state = narrow_state()
    whole = tmp_path / "whole.pth"
    torch.save(state, whole)
    cases = {"page.pth": (b"<!DOCTYPE html><html>not found</html>", "web page"),
             "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
             "cut.pth": (whole.read_bytes()[:5000], "cut short"), "empty.npz": (b"", "empty"),
             "broken.npz": (b"PK\x03\x04" + bytes(range(200)), ".npz")}
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=expected) as caught:
            vgg.load(str(tmp_path / name), ["relu1_1"])
        assert name in str(caught.value)
    for change, expected in [({"features.5.weight": None}, r"features.5 \(conv2_1\) is missing"),
                             ({"features.5.weight": torch.zeros(4, 3, 3, 3)}, r"conv2_1\) is \(4, 3, 3, 3\)"),
                             ({"features.3.weight": torch.zeros(4, 4, 3, 3)}, "features.3 is no convolution")]:
        torch.save({name: value for name, value in (state | change).items() if value is not None}, whole)
        with pytest.raises(UserError, match=expected):
            vgg.load(str(whole), ["relu1_1"])


def test_a_file_that_ends_early_says_where(tmp_path):
    torch.save(narrow_state(3), tmp_path / "three.pth")
    with pytest.raises(UserError, match="no tap relu4_1.* reaches to relu3_1"):
        vgg.load(str(tmp_path / "three.pth"), ["relu2_1", "relu4_1"])


def test_a_full_width_file_needs_its_tag(tmp_path):
    trunk = vgg.Trunk("vgg19", ["relu1_2"])
    torch.save(dict(trunk.state_dict()), tmp_path / "mine.pth")
    with pytest.raises(UserError, match="set the tag"):
        vgg.load(str(tmp_path / "mine.pth"), ["relu1_1"])
    assert vgg.load(str(tmp_path / "mine.pth"), ["relu1_1"], tag="caffe").tag == "caffe"
    with pytest.raises(UserError, match="unknown tag"):
        vgg.load(str(tmp_path / "mine.pth"), ["relu1_1"], tag="imagenet")


def test_a_known_file_keeps_its_tag(shared):
    with pytest.raises(UserError, match="has caffe"):
        vgg.load(str(shared("weights/vgg") / "vgg19_block1-3.npz"), ["relu1_1"], tag="torchvision")


def test_torchvisions_cache(tmp_path, monkeypatch):
    """A file of the right name and a wrong content is refused; without it, offline, the message says where it goes."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = vgg_files.cache_path("vgg19")
    assert path.is_relative_to(tmp_path) and not vgg_files.at_hand("vgg19")

    def offline(url, path):
        raise UserError("cannot download")
    monkeypatch.setattr(vgg_files, "download", offline)
    with pytest.raises(UserError, match=r"put it there.*vgg19-dcbb9e9d.pth.*network=small"):
        vgg_files.find("vgg19")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x80\x02 something else")
    with pytest.raises(UserError, match="begins with dcbb9e9d"):
        vgg_files.find("vgg19")
    with pytest.raises(UserError, match="no such network"):
        vgg_files.find("vgg23")
