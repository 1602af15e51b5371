"""The table of tolerances: rounding is forgiven, at any scale, and nothing else is."""
import pytest
import torch
from tolerances import STEPS, near


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_another_order_of_adding_is_near_and_a_thousandth_is_not(dtype, scale):
    values = scale * torch.randn(64, 4000, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected, backwards = values.sum(dim=1), values.flip(1).reshape(64, 40, 100).sum(2).sum(1)
    assert not torch.equal(expected, backwards) and near(backwards, expected)
    assert not near(1.001 * expected, expected, "gradient")
    assert not near(expected + float("nan"), expected)


def test_a_value_near_zero_is_measured_by_the_largest():
    expected = torch.tensor([3e-2, 1e-9])
    assert near(expected + torch.tensor([0.0, 9e-8]), expected)
    assert not near(expected + torch.tensor([0.0, 9e-6]), expected)


def test_the_steps_rise():
    assert list(STEPS.values()) == sorted(STEPS.values())
