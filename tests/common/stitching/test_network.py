"""common/stitching/network.py: the cost volume against its definition, counts of the papers, and a matcher that must
find what it sees."""
import pytest
import torch
import torch.nn.functional as F
from tolerances import near

from common.stitching.geometry import corners, homography_from_offsets, offsets_from_homography, transform, warp
from common.stitching.network import (
    Features,
    SmallHomography,
    UNet,
    apply_increments,
    centres,
    cost_volume,
    fit,
    increments,
    unit_length,
)


def by_definition(a, b, radius):
    """Slice by slice: channel (dy + r)(2 r + 1) + dx + r is the mean product of a(x, y) and b(x + dx, y + dy)."""
    n, c, h, w = a.shape
    volume = torch.zeros(n, (2 * radius + 1) ** 2, h, w, dtype=a.dtype)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            channel = (dy + radius) * (2 * radius + 1) + dx + radius
            for y in range(max(0, -dy), min(h, h - dy)):
                for x in range(max(0, -dx), min(w, w - dx)):
                    volume[:, channel, y, x] = (a[:, :, y, x] * b[:, :, y + dy, x + dx]).mean(dim=1)
    return volume


@pytest.mark.parametrize("shape, radius", [((2, 5, 6, 4), 3), ((1, 8, 5, 5), 5), ((1, 3, 40, 40), 1),
                                           ((2, 4, 3, 7), 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_cost_volume_is_its_definition(shape, radius, stride):
    torch.manual_seed(0)
    a, b = torch.randn(2, *shape, dtype=torch.float64).requires_grad_()
    volume = cost_volume(a, b, radius, stride)
    expected = by_definition(a.detach(), b.detach(), radius)[:, :, ::stride, ::stride]
    assert near(volume, expected)
    weights = torch.randn_like(volume)
    gradient = torch.autograd.grad((volume * weights).sum(), [a, b])
    step = torch.randn_like(b)  # the volume is linear in b: the gradient is exact
    change = (cost_volume(a, b + step, radius, stride) - volume) * weights
    assert near((gradient[1] * step).sum(), change.sum(), "gradient")


def test_the_papers_volume_has_128_channels_that_are_always_zero():
    volume = cost_volume(torch.rand(1, 4, 16, 16) + 1, torch.rand(1, 4, 16, 16) + 1, 16)
    assert volume.shape[1] == 1089 and (volume.amax(dim=(0, 2, 3)) == 0).sum() == 128
    assert ((volume > 0).sum(dim=1) == 256).all()


def test_parameter_counts_of_the_papers():
    count = [sum(parameter.numel() for parameter in net.parameters())
             for net in (Features(), UNet(9), UNet(6), UNet(9, 32), UNet(9, 8))]
    assert count == [628_032, 7_702_467, 7_700_739, 1_928_163, 121_467]
    assert [tuple(each.shape[1:]) for each in Features()(torch.rand(1, 1, 128, 128))] == [(64, 128, 128), (64, 64, 64),
                                                                                          (128, 32, 32), (128, 16, 16)]


def test_unet_takes_any_size_and_keeps_places():
    torch.manual_seed(0)
    net = UNet(3, 8)
    assert net(torch.rand(1, 3, 37, 50)).shape == (1, 3, 37, 50) and net(torch.rand(1, 3, 5, 3)).shape == (1, 3, 5, 3)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(net(x), net(x[..., :64, :64]))


def test_increments_are_the_derivative():
    torch.manual_seed(0)
    points, change = 128 * torch.rand(1, 5, 2, dtype=torch.float64), 1e-6 * torch.randn(1, 8, dtype=torch.float64)
    moved, _ = transform(apply_increments(change, torch.eye(3, dtype=torch.float64)[None]), points)
    assert torch.allclose(moved - points, (increments(points) @ change[0]), atol=1e-9)


def test_fitting_finds_the_homography_among_outliers_and_leans_on_the_prior_without_matches():
    torch.manual_seed(0)
    true = torch.tensor([[30.0, -20, 12, -10, 41, -5, 20, -31]], dtype=torch.float64)
    H = homography_from_offsets(true, (128, 128))
    points_b = centres(16, 16, 8).double()[None]
    points_a = transform(H, points_b)[0]
    wrong = torch.rand(1, 256) < 0.3
    points_a = torch.where(wrong[..., None], 128 * torch.rand(1, 256, 2, dtype=torch.float64), points_a)
    found = fit(points_b, points_a, torch.ones(1, 256), None, (48.0, 24.0, 12.0, 8.0, 4.0, 2.0, 2.0))
    assert (offsets_from_homography(found, (128, 128)) - true).abs().max() < 0.7
    few = fit(points_b[:, :1], points_b[:, :1] + 7, torch.ones(1, 1), None, (48.0, 24.0, 12.0))
    assert (offsets_from_homography(few, (128, 128)) - 7).abs().max() < 0.5  # one match: a shift, nothing bent
    none = fit(points_b, points_a, torch.zeros(1, 256), None, (48.0, 24.0))
    assert torch.isfinite(none).all()


def test_gradient_of_the_fit_is_that_of_the_solution():
    """The last step alone carries the gradient; at the optimum it is that of finite differences of the whole solver."""
    torch.manual_seed(0)
    points_b = (128 * torch.rand(1, 40, 2)).double()
    points_a = transform(homography_from_offsets(torch.tensor([[9.0, 4, -3, 6, 5, 1, 2, -8]]), (128, 128)),
                         points_b)[0] + torch.randn(1, 40, 2)
    weight, scales = torch.rand(1, 40).double() + 0.1, (1000.0,) * 12

    def solution(points_a):
        return offsets_from_homography(fit(points_b, points_a, weight, None, scales), (128, 128))
    points_a.requires_grad_()
    gradient = torch.autograd.grad(solution(points_a)[0, 3], points_a)[0]
    step = torch.zeros_like(points_a)
    step[0, 7, 0] = 1e-3
    difference = (solution(points_a + step)[0, 3] - solution(points_a - step)[0, 3]) / 2e-3
    assert gradient[0, 7, 0].item() == pytest.approx(difference.item(), rel=0.08, abs=1e-4)


def test_matching_everywhere_finds_a_shift_by_its_features():
    """With features that are unlike everywhere, no training is needed: the matcher must see the shift of two places."""
    torch.manual_seed(0)
    net = SmallHomography()
    world = unit_length(torch.randn(1, 128, 16, 18))
    with torch.no_grad():
        net.sharpness.fill_(30)
        H, log_a, _ = net.match_everywhere(world[..., 2:], world[..., :16])  # A's place x is B's place x + 2
    offsets = offsets_from_homography(H, (128, 128)).view(4, 2)
    assert (offsets - torch.tensor([-16.0, 0])).abs().max() < 1.0
    assert near(log_a.exp().sum(dim=2), torch.ones(1, 256))


def test_prediction_is_whole_and_differentiable():
    torch.manual_seed(0)
    net = SmallHomography()
    a = F.interpolate(torch.rand(2, 3, 16, 16), size=(128, 128), mode="bicubic")
    b, _ = warp(a, homography_from_offsets(torch.full((2, 8), 5.0), (128, 128)), (128, 128))
    prediction = net(a, b)
    assert prediction.offsets.shape == (2, 8) and len(prediction.stages) == 2 and len(prediction.fine) == 1
    assert len(net.eval()(a, b).stages) == 1 + net.steps
    sum(offsets.square().mean() for offsets in prediction.stages).backward()  # the offsets alone reach every weight
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert sum(parameter.numel() for parameter in net.parameters()) < 5e6


def test_exposure_does_not_matter_to_the_features():
    torch.manual_seed(0)
    net, a = SmallHomography().eval(), torch.rand(1, 3, 128, 128)
    coarse, _ = net.features(a)
    dimmed, _ = net.features(0.5 * a + 0.1)
    assert (coarse - dimmed).abs().max() < 0.1 and corners((128, 128)).shape == (4, 2)
