"""KinD's networks and losses against the authors' own graph (golden/kind.npz); sizes, tiles, the converter."""
import hashlib
import json
import math

import numpy as np
import pytest
import torch
from tolerances import near

from cases.kind import enhance, losses
from cases.kind.extras import convert
from cases.kind.model import AdjustNet, DecomNet, Joined, KinD, RestorationNet, light_ratio, stretch
from common.base.errors import UserError
from common.data.images import map_tiles
from common.experiment import checkpoints, settings

SIZES = ("even", "odd")


@pytest.fixture(scope="module")
def golden(shared):
    return dict(np.load(shared("golden/kind.npz"), allow_pickle=False))


@pytest.fixture(scope="module")
def official(shared):
    """The official decomposition and adjustment, and a restoration with rule weights, in one KinD."""
    folder = shared("weights/kind")
    arrays = (convert.read_arrays(folder / "decomposition.npz") | convert.read_arrays(folder / "adjustment.npz")
              | rule_weights(folder))
    model = KinD()
    model.load_state_dict(convert.from_tensorflow(arrays), strict=False)
    return model.eval()


def rule_weights(folder):
    """The restoration's rule weights of golden/kind.README.md, by variable name, in TensorFlow's layout."""
    table = json.loads((folder / "variables.json").read_text())["restoration"]["variables"]
    draw, arrays = np.random.RandomState(1905), {}
    for variable in table:
        name, shape = variable["name"], variable["shape"]
        u = draw.random_sample(math.prod(shape))
        if name.endswith("biases"):
            values = (2 * u - 1) * 0.05
        else:
            fan = shape[-1] if "/up_" in name else math.prod(shape[:3])
            values = (2 * u - 1) * (0.9 * math.sqrt(6 / fan))
        arrays[name] = values.reshape(shape).astype(np.float32)
    return arrays


def picture(array, dtype=torch.float32):
    """NHWC or HWC as (N, C, h, w)."""
    tensor = torch.tensor(array).to(dtype)
    return (tensor if tensor.dim() == 4 else tensor[None]).permute(0, 3, 1, 2)


def difference(found, expected):
    return (found.detach() - picture(expected, found.dtype)).abs().max().item()


# ---- networks --------------------------------------------------------------------------------------------------------

def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_counts():
    counts = [count(network()) for network in (DecomNet, RestorationNet, AdjustNet, KinD)]
    assert counts == [235_876, 7_760_739, 19_393, 8_016_008]
    layers = {name: count(layer) for name, layer in RestorationNet().named_children()}
    assert layers["de_conv1_1"] == 1184 and layers["de_conv5_2"] == 2_359_808
    assert layers["up_6"] == 524_288 and layers["de_conv10"] == 867


def test_rule_weights_are_the_golden_ones(shared, golden):
    arrays, digest = rule_weights(shared("weights/kind")), hashlib.sha256()
    for name, values in arrays.items():
        digest.update(name.encode() + values.astype("<f4").tobytes())
        head = golden[f"rule/head/{name}"]
        assert np.array_equal(values.ravel()[:len(head)], head), name
    assert digest.hexdigest() == str(golden["rule/sha256"])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maps_are_the_official_ones(golden, official, size, layout):
    model = official.to(memory_format=layout)
    with torch.inference_mode():
        maps = {}
        for side in ("low", "high"):
            pixels = picture(golden[f"in/{size}/{side}_u8"]) / 255
            stretched = stretch(pixels)
            assert torch.equal(stretched, picture(golden[f"in/{size}/{side}"])), "the stretch is exact in float32"
            maps[side] = model.decomposition(stretched.to(memory_format=layout))
            for name, value in zip("RI", maps[side]):
                assert difference(value, golden[f"decom/{size}/{side}/{name}"]) <= 2e-6, (side, name)
        low, high = ([picture(golden[f"decom/{size}/{side}/{name}"]) for name in "RI"] for side in ("low", "high"))
        assert difference(model.restoration(*low), golden[f"restore/{size}/out"]) <= 2e-6
        ratio = light_ratio(low[1], high[1])
        assert ratio.item() == pytest.approx(float(golden[f"ratio/{size}/test"]), rel=1e-5)
        for name, value in (("5", 5), ("1", 1), ("gt", np.float32(golden[f"ratio/{size}/test"]))):
            assert difference(model.adjustment(low[1], value), golden[f"adjust/{size}/ratio_{name}"]) <= 2e-6
        assert difference(model.adjustment(high[1], 0.2), golden[f"adjust/{size}/down_0.2"]) <= 2e-6
        output = low[0] * model.adjustment(low[1], ratio)
        assert difference(output, golden[f"pipeline/{size}/lol_float"]) <= 3e-6
        official_bytes = (output[0] * 255).clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8)
        steps = np.abs(official_bytes.astype(int) - golden[f"pipeline/{size}/lol_u8"])
        assert steps.max() <= 1 and (steps > 0).mean() <= 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_every_layer_has_the_official_statistics(golden, official, size):
    found, handles = {}, []
    for scope, (part, _) in convert.SCOPES.items():
        for name, layer in getattr(official, part).named_children():
            def record(layer, inputs, output, name=f"{scope}/{name}"):
                found[name] = output.detach().clone()               # before the activation, which works in place
            handles.append(layer.register_forward_hook(record))
    with torch.inference_mode():
        official.stages(picture(golden[f"in/{size}/low_u8"]) / 255, ratio=5)
    for handle in handles:
        handle.remove()
    keys = [key for key in golden if key.startswith(f"act/{size}/")]
    assert len(keys) >= 35
    for key in keys:
        name = key.removeprefix(f"act/{size}/")
        value = found[name]
        if "up_" not in name and not any(part in name for part in ("conv10", "l_conv1_4")):
            value = torch.nn.functional.leaky_relu(value, 0.2)
        height, width, channels, mean, std, largest = golden[key]
        value = value[:, :, :int(height), :int(width)].double()     # transposed convolutions are cut to their skip
        assert value.shape[1:] == (channels, height, width), key
        statistics = torch.stack([value.mean(), value.std(correction=0), value.abs().max()])
        assert torch.allclose(statistics, torch.tensor([mean, std, largest], dtype=torch.float64), rtol=1e-4,
                              atol=2e-6), key


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 17), (31, 33)])
def test_any_size_works(size):
    torch.manual_seed(0)
    stages = KinD().eval().stages(torch.rand(2, 3, *size), ratio=torch.tensor([2.0, 5.0]))
    assert stages.output.shape == (2, 3, *size) and stages.adjusted.shape == (2, 1, *size)
    assert torch.equal(stages.output, stages.restored * stages.adjusted)


def test_a_batch_is_its_pictures():
    torch.manual_seed(0)
    model, ratio = KinD().eval(), torch.tensor([2.0, 5.0])
    low = torch.rand(2, 3, 24, 20) * torch.tensor([1.0, 0.3])[:, None, None, None]
    with torch.inference_mode():
        together = model(low, ratio)
        for place in range(2):
            assert near(together[place], model(low[place:place + 1], ratio[place:place + 1])[0])
            guessed = model(low[place:place + 1])
            assert near(model(low)[place], guessed[0])


def test_the_stretch_by_hand_and_with_given_bounds():
    low = torch.tensor([0.2, 0.4, 0.6]).reshape(1, 3, 1, 1)
    assert near(stretch(low).flatten(), torch.tensor([0.0, 0.5, 1.0]), "formula")
    assert near(stretch(low, torch.tensor([[0.0, 0.8]])).flatten(), torch.tensor([0.25, 0.5, 0.75]), "formula")
    flat = stretch(torch.full((1, 3, 2, 2), 0.3))
    assert torch.equal(flat, torch.zeros(1, 3, 2, 2)), "a flat picture is divided by 0.001, not by 0"
    assert torch.equal(KinD(restoration="none", stretch="none").stretch(low), low)


def test_restoration_in_tiles_is_the_same(official):
    """Origins on the 16-grid and a halo of 112: the same; an origin beside the grid is another picture."""
    torch.manual_seed(0)
    net, maps = official.restoration, torch.rand(1, 4, 300, 333)
    with torch.inference_mode():
        whole = net(maps[:, :3], maps[:, 3:])
        parts = map_tiles(lambda crop, box: net(crop[:, :3], crop[:, 3:]), maps, 48, enhance.FAR, KinD.MULTIPLE)
        assert near(parts, whole)
        shifted = net(maps[:, :3, 8:], maps[:, 3:, 8:])[:, :, 130:, 130:]
        assert (shifted - whole[:, :, 138:, 130:]).abs().max() > 1e-2


def test_joined_convolutions_are_those_of_the_concatenation():
    """With gradients (training) and without (use), for weights in either layout."""
    torch.manual_seed(0)
    layer, a, b = Joined(7, 5, 3, padding=1), torch.rand(2, 4, 9, 8), torch.rand(2, 3, 9, 8)
    expected = torch.nn.functional.conv2d(torch.cat([a, b], dim=1), layer.weight, layer.bias, padding=1)
    assert torch.equal(layer(a, b), expected)
    with torch.inference_mode():
        assert near(layer(a, b), expected)
        assert near(layer.to(memory_format=torch.channels_last)(a, b), expected)


# ---- losses ----------------------------------------------------------------------------------------------------------

def test_gradient_maps_are_the_official_ones(golden):
    for kind in ("batch", "single"):
        maps = picture(golden[f"gradmap/{kind}/in"])
        for axis, raw, norm in zip("xy", losses.gradients(maps), losses.gradient_maps(maps, "batch")):
            assert torch.equal(raw, picture(golden[f"gradmap/{kind}/{axis}/raw"]))
            assert torch.equal(norm, picture(golden[f"gradmap/{kind}/{axis}/norm"]))


def test_the_gradient_by_hand():
    """gx compares two pixels of the next row, and the last column is the bare intensity."""
    gx, gy = losses.gradients(torch.tensor([[1.0, 2.0, 4.0], [3.0, 7.0, 5.0]]).reshape(1, 1, 2, 3))
    assert gx.reshape(2, 3).tolist() == [[4, 2, 5], [0, 0, 0]]
    assert gy.reshape(2, 3).tolist() == [[5, 1, 0], [7, 5, 0]]


def test_gradient_norms_differ_as_they_should():
    maps = torch.rand(3, 1, 8, 9) * torch.tensor([1.0, 0.5, 0.1])[:, None, None, None]
    batch, image, none = (losses.gradient_maps(maps, norm)[0] for norm in losses.NORMS)
    assert torch.equal(none, losses.gradients(maps)[0])
    assert batch.amax() == pytest.approx(1, abs=1e-3) and batch[2].amax() < 0.2
    assert (image.amax((1, 2, 3)) > 0.99).all()
    alone = losses.gradient_maps(maps[1:2], "batch")[0]
    assert torch.equal(alone, image[1:2]), "of one picture, both are the same"


def stages_of(golden, dtype):
    """(terms(norm) -> {stage: unweighted terms} of the stored arrays, {name: array})."""
    part = {name: picture(golden[f"in/patch/{name}"], dtype).requires_grad_()
            for name in ("R_low", "I_low", "R_high", "I_high")}
    low, high = (stretch(picture(golden[f"in/patch/{side}_u8"]) / 255).to(dtype) for side in ("low", "high"))
    target = picture(golden["in/patch/R_target"], dtype)
    prediction = picture(golden["in/adjust/pred"], dtype).requires_grad_()
    aim = picture(golden["in/adjust/target"], dtype)

    def terms(norm):
        maps = (part["R_low"], part["I_low"]), (part["R_high"], part["I_high"])
        return {"decom": losses.decomposition(*maps, low, high, norm),
                "restore": losses.restoration(part["R_low"], target, norm),
                "adjust": losses.adjustment(prediction, aim, norm)}
    return terms, part | {"pred": prediction}


OFFICIAL = {"recon_low": 1, "recon_high": 1, "equal_R": 0.01, "mutual": 0.2, "smooth_low": 0.15, "smooth_high": 0.15,
            "mse": 1, "grad": 1, "ssim": 1}


def test_the_settings_have_the_official_weights():
    ours, papers = (settings.resolve("kind", words).config.loss for words in ([], ["preset=paper"]))
    assert {name: papers.decompose[name] for name in list(OFFICIAL)[:6]} == dict(list(OFFICIAL.items())[:6])
    for loss in (ours, papers):
        assert loss.gradient_norm == "batch" and loss.target_power == 1.2


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-5)])
def test_losses_are_the_official_ones(golden, dtype, tolerance):
    terms, _ = stages_of(golden, dtype)
    for stage, values in terms("batch").items():
        for name, value in values.items():
            assert value.item() == pytest.approx(float(golden[f"loss/{stage}/{name}"]), abs=tolerance), (stage, name)
        total = sum(losses.weigh(values, OFFICIAL).values()).item()
        assert total == pytest.approx(float(golden[f"loss/{stage}/total"]), abs=tolerance), stage
    checked = 0
    for stage, values in terms("none").items():
        for name, value in (values | {"total": sum(losses.weigh(values, OFFICIAL).values())}).items():
            key = f"loss_none/{stage}/{name}"
            if key in golden:
                checked += 1
                assert value.item() == pytest.approx(float(golden[key]), abs=tolerance), key
    assert checked == 8
    target = losses.restoration_target(picture(golden["in/patch/R_high"], dtype))
    assert difference(target, golden["in/patch/R_target"]) <= 1e-6


def test_gradients_with_respect_to_the_maps(golden):
    terms, arrays = stages_of(golden, torch.float64)
    checked = 0
    for stage, values in terms("batch").items():
        values = values | {"total": sum(losses.weigh(values, OFFICIAL).values())}
        for key, expected in golden.items():
            if key.startswith(f"gradnorm_wrt_input/{stage}/"):
                _, _, term, array = key.split("/")
                if term.startswith("ssim_index"):
                    continue                                        # the three channels of `ssim`
                array = arrays["R_low" if (stage, array) == ("restore", "pred") else array]
                gradient = torch.autograd.grad(values[term], array, retain_graph=True, allow_unused=True)[0]
                norm = 0.0 if gradient is None else gradient.norm().item()
                assert norm == pytest.approx(float(expected), rel=1e-3, abs=1e-12), key
                checked += 1
    assert checked >= 10


def network_terms(golden, model, stage, dtype):
    """The unweighted terms of a stage, through its network."""
    part = {name: picture(golden[f"in/patch/{name}"], dtype) for name in ("R_low", "I_low", "R_target")}
    if stage == "decom":
        low, high = (stretch(picture(golden[f"in/patch/{side}_u8"]) / 255).to(dtype) for side in ("low", "high"))
        return losses.decomposition(model.decomposition(low), model.decomposition(high), low, high)
    if stage == "restore":
        return losses.restoration(model.restoration(part["R_low"], part["I_low"]), part["R_target"])
    ratio = picture(golden["in/adjust/ratio_map"], dtype)[:, 0, 0, 0]
    return losses.adjustment(model.adjustment(picture(golden["in/adjust/I"], dtype), ratio),
                             picture(golden["in/adjust/target"], dtype))


NETWORKS = {"decom": "decomposition", "restore": "restoration", "adjust": "adjustment"}


@pytest.mark.parametrize("stage", list(NETWORKS))
def test_losses_and_gradients_through_the_networks(golden, official, stage):
    model = copied(official).double()
    network = getattr(model, NETWORKS[stage])
    scope = next(scope for scope, (part, _) in convert.SCOPES.items() if part == NETWORKS[stage])
    terms = network_terms(golden, model, stage, torch.float64)
    total = sum(losses.weigh(terms, OFFICIAL).values())
    for name, value in (terms | {"total": total}).items():
        assert value.item() == pytest.approx(float(golden[f"netloss/{stage}/{name}"]), abs=1e-6), name
        gradients = torch.autograd.grad(value, list(network.parameters()), retain_graph=True, allow_unused=True)
        norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients if gradient is not None))
        assert norm == pytest.approx(float(golden[f"gradnorm/{stage}/{name}/global"]), rel=1e-3), name
    total.backward()
    for name, (key, _) in convert.variables(scope).items():
        gradient = model.get_parameter(key).grad
        assert gradient.norm().item() == pytest.approx(float(golden[f"gradnorm/{stage}/total/{name}"]), rel=1e-3), name


@pytest.mark.parametrize("stage", list(NETWORKS))
def test_five_steps_of_adam(golden, official, stage):
    model = copied(official)
    optimizer, found = torch.optim.Adam(getattr(model, NETWORKS[stage]).parameters(), lr=1e-4), []
    for _ in range(6):
        loss = sum(losses.weigh(network_terms(golden, model, stage, torch.float32), OFFICIAL).values())
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found == pytest.approx(golden[f"adam/{stage}/losses_torch"].tolist(), abs=1e-4)


def copied(model):
    again = KinD()
    again.load_state_dict(model.state_dict())
    return again


# ---- the converter ---------------------------------------------------------------------------------------------------

def test_both_kinds_of_files_give_the_same_weights(shared, tmp_path):
    folder = shared("weights/kind")
    named, raw = (convert.from_tensorflow(convert.read_arrays(folder / a) | convert.read_arrays(folder / b))
                  for a, b in (("decomposition.npz", "adjustment.npz"),
                               ("decom_net_train.data-00000-of-00001",
                                "illumination_adjust_net_train.data-00000-of-00001")))
    assert named.keys() == raw.keys() and len(named) == 26
    assert all(torch.equal(named[key], raw[key]) for key in named)
    rules = rule_weights(folder)
    path = tmp_path / "model.ckpt.data-00000-of-00001"
    path.write_bytes(b"".join(values.astype("<f4").tobytes() for values in rules.values()))
    restored = convert.from_tensorflow(convert.read_arrays(path))
    assert len(restored) == 42
    assert all(torch.equal(value, restored[key]) for key, value in convert.from_tensorflow(rules).items())


def test_convert_writes_a_weights_file(shared, tmp_path):
    folder = shared("weights/kind")
    convert.main([str(folder / "decomposition.npz"), str(folder / "adjustment.npz"), "-o",
                  str(tmp_path / "official.pt")])
    weights = checkpoints.find("kind", "x", str(tmp_path / "official.pt"))
    model = checkpoints.build(KinD, weights)
    assert model.restoration is None and weights.model["restoration"] == "none"
    np.savez(tmp_path / "restoration.npz", **rule_weights(folder))
    convert.main([str(folder / "decomposition.npz"), str(tmp_path / "restoration.npz"),
                  str(folder / "adjustment.npz"), "-o", str(tmp_path / "all.pt")])
    assert checkpoints.build(KinD, checkpoints.find("kind", "x", str(tmp_path / "all.pt"))).restoration is not None


def test_wrong_variables_are_named(shared):
    arrays = convert.read_arrays(shared("weights/kind") / "decomposition.npz")
    missing = {name: value for name, value in arrays.items() if name != "DecomNet/g_conv3_1/biases"}
    with pytest.raises(UserError, match="DecomNet/g_conv3_1/biases is missing"):
        convert.from_tensorflow(missing)
    with pytest.raises(UserError, match="DecomNet/g_conv11/weights belongs to none"):
        convert.from_tensorflow(arrays | {"DecomNet/g_conv11/weights": np.zeros((1, 1, 3, 3))})
    with pytest.raises(UserError, match=r"g_conv10/weights has the shape \[3, 3, 32, 3\], expected \[1, 1, 32, 3\]"):
        convert.from_tensorflow(arrays | {"DecomNet/g_conv10/weights": np.zeros((3, 3, 32, 3))})
    with pytest.raises(UserError, match="no variable at all"):
        convert.from_tensorflow({})


def test_files_that_are_no_weights(shared, tmp_path):
    folder = shared("weights/kind")
    raw = folder / "illumination_adjust_net_train.data-00000-of-00001"
    (tmp_path / "cut").write_bytes(raw.read_bytes()[:-4])
    (tmp_path / "page.npz").write_text("<!DOCTYPE html><html>quota exceeded</html>")
    (tmp_path / "half.npz").write_bytes((folder / "decomposition.npz").read_bytes()[:5000])
    for name, expected in (("cut", "77,568 bytes"), ("page.npz", "web page"), ("half.npz", "damaged"),
                           ("nothing", "no such file")):
        with pytest.raises(UserError, match=expected):
            convert.read_arrays(tmp_path / name)
    with pytest.raises(UserError, match="nothing for decomposition"):
        convert.convert([raw])
    with pytest.raises(UserError, match="an earlier file had"):
        convert.convert([raw, folder / "adjustment.npz"])
