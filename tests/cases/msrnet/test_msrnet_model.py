"""MSR-net against the paper's formulas: golden stages, counts, window, range, tiles, variants."""
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import near

from cases.msrnet.model import Modulation, MSRNet, MultiScaleLog, thumbnail_of
from common.data.images import map_tiles

VARIANTS = {"paper": {}, "three fused": {"fuse_channels": 3}, "dilated": {"dilations": [1, 1, 2, 2, 4, 4, 8, 8, 1, 1]},
            "denoise": {"dilations": [1, 1, 2, 2, 4, 4, 8, 8, 1, 1], "exposure": True}}


def seeded(**arguments):
    """A network with drawn weights; the exposure's modulations too, which would start at zero."""
    torch.manual_seed(0)
    model = MSRNet(**arguments).eval()
    for layer in model.modules():
        if isinstance(layer, Modulation):
            torch.nn.init.normal_(layer.linear.weight, std=0.1)
    return model


def golden_state(file):
    """The golden weights under MSRNet's names."""
    names = {"fuse.0": "-1", "fuse.2": "0", "cascade.average": "11", "restore": "12"}
    names |= {f"cascade.layers.{layer}": str(layer + 1) for layer in range(10)}
    return {f"{name}.{kind}": torch.tensor(file[f"{letter}_{index}"])
            for name, index in names.items() for kind, letter in (("weight", "W"), ("bias", "b"))}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_golden_stages(shared, dtype, tolerance):
    file = np.load(shared("golden/msrnet") / "forward.npz", allow_pickle=False)
    model = seeded()
    model.load_state_dict(golden_state(file))
    model.to(dtype)
    x = torch.tensor(file["x"]).to(dtype)
    stages = model.stages(x)
    found = {"M": stages.logs, "X1": stages.x1, "H_1": stages.cascade[0], "H_10": stages.cascade[9],
             "H_11": stages.illumination, "X2": stages.x2, "Y": stages.y}
    for name, value in found.items():
        assert np.abs(value.detach().numpy() - file[name]).max() <= tolerance, name
    assert np.abs(model(x).detach().numpy() - file["Y"]).max() <= tolerance


def test_counts_of_the_specified_table():
    count = {name: sum(parameter.numel() for parameter in seeded(**arguments).parameters())
             for name, arguments in VARIANTS.items()}
    assert count["paper"] == count["dilated"] == 86_386
    assert count["three fused"] == 85_226
    assert count["denoise"] == 161_786
    model = seeded()
    per_layer = [sum(p.numel() for p in layer.parameters()) for layer in
                 (model.fuse[0], model.fuse[2], *model.cascade.layers, model.cascade.average, model.restore)]
    assert per_layer == [416, 867, 896, *[9248] * 9, 963, 12]


def test_golden_logarithms(shared):
    golden = json.loads((shared("golden/msrnet") / "metrics.json").read_text())["log_transform"]
    x = torch.tensor(golden["x"], dtype=torch.float64)
    logs = MultiScaleLog()(x.expand(1, 3, 1, -1))
    for place, expected in enumerate(golden["M"].values()):
        assert near(logs[0, 3 * place, 0], torch.tensor(expected, dtype=torch.float64), "formula")


def window(model, size=61):
    """(top, bottom, left, right) of the pixels that the middle output pixel depends on."""
    x = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    model.double()(x, torch.rand(1, 3, 32, 32, dtype=torch.float64))[0, :, size // 2, size // 2].sum().backward()
    used = x.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = torch.nonzero(used.any(1)).flatten(), torch.nonzero(used.any(0)).flatten()
    return rows.min().item(), rows.max().item(), columns.min().item(), columns.max().item()


def test_the_window_is_23_pixels_because_the_layers_are_a_cascade():
    """Ten parallel layers on X1 would give 5, and a 3x3 kernel in W_-1 would give 25."""
    model = seeded()
    for layer in model.cascade.layers:                       # no unit may be asleep, or the support shrinks
        layer.weight.data.abs_()
        layer.bias.data.fill_(0.01)
    model.fuse[2].weight.data.abs_()
    assert window(model) == (30 - 11, 30 + 11, 30 - 11, 30 + 11)
    assert model.halo == 11


@pytest.mark.parametrize("name", ["dilated", "denoise"])
def test_halo_covers_the_window(name):
    model = seeded(**VARIANTS[name])
    for layer in model.cascade.layers:
        layer.weight.data.abs_()                             # positive everywhere: nothing cancels, nothing sleeps
        layer.bias.data.fill_(0.01)
    model.fuse[2].weight.data.abs_()
    assert window(model, 81) == (40 - 33, 40 + 33, 40 - 33, 40 + 33)
    assert model.halo == 33


@given(st.floats(0, 1))
def test_logarithm_is_the_formula(value):
    logs = MultiScaleLog()(torch.full((1, 3, 1, 1), value, dtype=torch.float64)).flatten()
    expected = [np.log(1 + v * value) / np.log(1 + v) for v in (1, 10, 100, 300)]
    assert np.abs(logs.numpy() - np.repeat(expected, 3)).max() < 1e-12      # of the range [0, 1]


def test_logarithm_keeps_black_and_white_and_the_order_of_channels():
    logs = MultiScaleLog()
    assert (logs(torch.zeros(1, 3, 2, 2)) == 0).all()        # exactly: no epsilon anywhere
    assert near(logs(torch.ones(1, 3, 2, 2)), torch.ones(1, 12, 2, 2))
    red = logs(torch.tensor([0.5, 0, 0]).reshape(1, 3, 1, 1)).flatten()
    assert [place for place in range(12) if red[place] > 0] == [0, 3, 6, 9]


@pytest.mark.parametrize("name", VARIANTS)
def test_black_is_finite_and_stages_add_up(name):
    model = seeded(**VARIANTS[name])
    assert torch.isfinite(model(torch.zeros(1, 3, 24, 24))).all()
    stages = model.stages(torch.rand(2, 3, 24, 40))
    assert near(stages.x2 + stages.illumination, stages.x1)
    assert stages.y.shape == (2, 3, 24, 40)
    assert near(stages.y, F.conv2d(stages.x2, model.restore.weight, model.restore.bias))


def test_x1_may_be_negative():
    """A ReLU after W_0 would hide what the log domain is for."""
    assert (seeded().stages(torch.rand(1, 3, 32, 32)).x1 < 0).any()


@pytest.mark.parametrize("arguments", [{}, {"dilations": [1, 2, 4]}, {"fuse_channels": 3, "channels": 8}])
def test_forward_equals_stages_with_gradients(arguments):
    model = seeded(**arguments).double()
    x = torch.rand(2, 3, 17, 29, dtype=torch.float64)
    direct, staged = model(x), model.stages(x).y
    assert near(direct, staged)
    gradients = [torch.autograd.grad(y.square().sum(), model.parameters()) for y in (direct, staged)]
    for a, b in zip(*gradients):
        assert near(a, b, "gradient")


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 50)])
def test_any_size(name, size):
    assert seeded(**VARIANTS[name])(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 150), width=st.integers(1, 150), tile=st.sampled_from([40, 64]))
def test_tiles_change_nothing(name, height, width, tile):
    model = seeded(**VARIANTS[name])
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * 151 + width))
    thumbnail = thumbnail_of(x)
    with torch.inference_mode():
        whole = model(x, thumbnail)
        parts = map_tiles(lambda crop, box: model(crop, thumbnail), x, tile, model.halo)
    assert near(whole, parts)


def test_the_thumbnail_matters_and_only_where_it_should():
    model = seeded(**VARIANTS["denoise"])
    x = torch.rand(1, 3, 32, 32)
    assert not near(model(x, torch.zeros(1, 3, 32, 32)), model(x, torch.ones(1, 3, 32, 32)))
    assert torch.equal(model(x), model(x, thumbnail_of(x)))
    plain = seeded()
    assert torch.equal(plain(x, torch.zeros(1, 3, 32, 32)), plain(x))


def test_start_is_x1_minus_little():
    model = seeded()
    assert torch.equal(model.restore.weight[:, :, 0, 0], torch.eye(3))
    assert all((layer.bias == 0).all() for layer in model.modules() if isinstance(layer, torch.nn.Conv2d))
    stages = model.stages(torch.rand(1, 3, 48, 48))
    assert stages.illumination.std() < stages.x1.std()
