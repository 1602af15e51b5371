"""The networks of nuclei: counts, recurrence by hand, gates, odd sizes, tiles; losses and their weight map."""
import numpy as np
import pytest
import torch
from tolerances import near

from cases.nuclei import losses
from cases.nuclei.benchmark import straightforward
from cases.nuclei.model import ARCHITECTURES, AttentionGate, Nuclei, RecurrentResidualBlock, RecurrentUnit
from cases.nuclei.segment import predict
from common.experiment.settings import resolve


def count(module):
    return sum(map(torch.numel, module.parameters()))


def small(arch="r2atunet", **options):
    """A small network whose batch norms have seen something."""
    torch.manual_seed(1)
    model = Nuclei(arch, **{"width": 4, "levels": 3} | options)
    for _ in range(3):
        model(torch.rand(2, model.inputs, 24, 24))
    return model.eval()


def settings(*words):
    return resolve("nuclei", list(words)).config.test


def test_parameters_of_the_published_networks():
    counts = {arch: count(Nuclei(arch, 64, 5, 3, ["nucleus"])) for arch in ("unet", "r2atunet")}
    assert counts == {"unet": 34_527_041, "r2atunet": 39_442_925}
    assert count(Nuclei("r2atunet", 8, 5, 3, ["nucleus"])) == 619_273


def test_two_networks_are_small_enough_on_disk():
    """At most 2.5 MB together in half precision."""
    assert 2 * (count(Nuclei("unet", 16, 4)) + count(Nuclei("r2atunet", 8, 4))) < 2.5e6


def test_a_recurrent_unit_is_its_convolution_unrolled_by_hand():
    """3x3, one map, a kernel of ones, no batch norm: s1 = f(x), s2 = f(x + s1), s3 = f(x + s2)."""
    unit = RecurrentUnit(1)
    unit.convolve.weight.data.fill_(1.0)
    unit.convolve.bias.data.zero_()
    unit.norms = torch.nn.ModuleList([torch.nn.Identity()] * 3)
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 0, 0] = 1.0
    # f(x): ones where the corner is within reach; x + f(x) sums to 5: 2 in the corner; and so on
    middle_of_second, corner_of_second = 2 + 1 + 1 + 1, 2 + 1 + 1 + 1
    second = unit.convolve(x + unit.convolve(x))[0, 0]
    assert second[1, 1] == middle_of_second and second[0, 0] == corner_of_second
    assert second.tolist() == [[5, 5, 2], [5, 5, 2], [2, 2, 1]]
    # x + second = [[6, 5, 2], [5, 5, 2], [2, 2, 1]]
    assert unit(x)[0, 0].tolist() == [[21, 25, 14], [25, 30, 17], [14, 17, 10]]


def test_a_block_adds_what_its_first_convolution_gives():
    block = RecurrentResidualBlock(2, 3).eval()
    for unit in block.units:
        torch.nn.init.zeros_(unit.convolve.weight)
        torch.nn.init.zeros_(unit.convolve.bias)
    x = torch.rand(1, 2, 5, 6)
    assert near(block(x), block.widen(x))


def test_passes_share_weights_but_not_statistics():
    """So that an evaluated unit gives what a trained one gives, once its statistics are those of the batch."""
    torch.manual_seed(0)
    unit, x = RecurrentUnit(3), 2 + torch.randn(4, 3, 16, 16)
    assert count(unit) == 3 * 3 * 9 + 3 + 2 * 3
    for norm in unit.norms:
        norm.momentum = None
    trained = unit(x)
    assert torch.allclose(unit.eval()(x), trained, atol=0.02)


def test_a_gate_scales_the_skip_by_coefficients_between_0_and_1():
    torch.manual_seed(0)
    gate = AttentionGate(6).eval()
    skip, decoder = torch.randn(2, 6, 5, 7), torch.randn(2, 6, 5, 7)
    alpha = gate.coefficients(skip, decoder)
    assert alpha.shape == (2, 1, 5, 7) and 0 < alpha.min() and alpha.max() < 1
    assert torch.equal(gate(skip, decoder), alpha * skip)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_any_size_comes_out_as_it_went_in(arch):
    model = small(arch)
    for size in ((1, 1), (7, 13), (32, 24)):
        assert model(torch.rand(2, 1, *size)).shape == (2, 2, *size)
    assert len(model.attention(torch.rand(1, 1, 16, 16))) == 2 * ARCHITECTURES[arch][1]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("size", [(150, 130), (97, 203)])
def test_tiles_give_what_the_whole_picture_gives(arch, size):
    model, gray = small(arch, levels=2), np.random.default_rng(0).random(size, np.float32)
    whole, parts = (predict(model, gray, settings(f"test.tile={tile}"), torch.device("cpu")) for tile in (512, 32))
    for name in model.maps:
        assert near(whole[name], parts[name])


def test_tiles_need_all_of_the_halo():
    """What the halo is for: with a tenth of it the answer is another one."""
    model, gray = small(levels=2), np.random.default_rng(0).random((150, 130), np.float32)
    whole = predict(model, gray, settings("test.tile=512"), torch.device("cpu"))
    model.halo //= 10
    parts = predict(model, gray, settings("test.tile=32"), torch.device("cpu"))
    assert np.abs(whole["nucleus"] - parts["nucleus"]).max() > 1e-4


def test_the_ensemble_does_not_care_how_a_picture_lies():
    model, gray = small(), np.random.default_rng(0).random((32, 32), np.float32)
    one = predict(model, gray, settings("test.ensemble=true"), torch.device("cpu"))["nucleus"]
    turned = predict(model, np.rot90(gray).copy(), settings("test.ensemble=true"), torch.device("cpu"))["nucleus"]
    plain = predict(model, gray, settings(), torch.device("cpu"))["nucleus"]
    assert near(np.rot90(one), turned)
    assert np.abs(one - plain).max() > 1e-4


def test_the_formula_written_down_plainly_agrees():
    model, x = small(levels=3), torch.rand(1, 1, 32, 24)
    with torch.no_grad():
        assert near(straightforward(model.state_dict(), x, levels=3), model(x))


# ---- losses ----------------------------------------------------------------------------------------------------------

def test_losses_by_hand():
    logits, target = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    assert losses.bce(logits, target).item() == pytest.approx(np.log(2))
    assert losses.dice(logits, target).item() == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))
    assert losses.focal(logits, target).item() == pytest.approx(0.25 * np.log(2))
    assert losses.distance(logits, target).item() == pytest.approx(0.5)
    weight = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]])
    assert losses.bce(logits, target, weight).item() == pytest.approx(1.5 * np.log(2))


def test_the_weight_map_is_high_in_the_gap_between_two_nuclei():
    labels = np.zeros((9, 20), int)
    labels[2:7, 2:8], labels[2:7, 10:16] = 1, 2
    weight = losses.boundary_weight(labels)
    assert weight[4, 8] == pytest.approx(1 + 10 * np.exp(-(1 + 2) ** 2 / 50), rel=1e-5)
    assert weight[4, 8] > weight[0, 19] and weight[4, 4] == 1
    assert (losses.boundary_weight(labels == 1) == 1).all()
