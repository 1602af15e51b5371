"""A classifier as a guide: its features must be readable off phi by a linear map."""
import pytest
import torch

from cases.siamfc import guide as guiding
from cases.siamfc.guide import Guide
from cases.siamfc.model import AlexNetV1
from common.features.vgg import SqueezeTrunk


@pytest.fixture
def guide(monkeypatch):
    torch.manual_seed(0)
    trunk = SqueezeTrunk(guiding.TAPS).eval().requires_grad_(False)
    monkeypatch.setattr(guiding.vgg, "load", lambda network, taps: trunk)
    return Guide("squeezenet", torch.device("cpu"))


def pictures(count=2, side=239):
    smooth = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return (torch.nn.functional.interpolate(smooth, size=(side, side), mode="bicubic").clamp(0, 1) * 255).byte()


@pytest.mark.parametrize("side", [127, 239, 255])
def test_features_lie_on_the_grid_of_phi(guide, side):
    crop = pictures(1, side)
    cells = AlexNetV1((2, 4, 4, 4, 4))(crop.float()).shape[-1]
    assert guide.features(crop, cells).shape == (1, 768, cells, cells)


def test_a_cell_of_the_guide_looks_where_phis_cell_looks(guide, monkeypatch):
    """The influence of the pixels on a cell is centred on the cell's own pixel, 43 + 8 i."""
    monkeypatch.setattr(guiding.torch, "std_mean", lambda maps, *_, **__: (torch.ones(1), torch.zeros(1)))
    for tap, channels in zip(guiding.TAPS, (slice(0, 256), slice(256, 768))):
        crop = pictures(1).float().requires_grad_()
        features = Guide.features.__wrapped__(guide, crop, 20)[:, channels]
        features[0, :, 7, 9].sum().backward()
        force = crop.grad[0].abs().sum(0)
        y, x = torch.meshgrid(torch.arange(239.0), torch.arange(239.0), indexing="ij")
        centre = [(force * axis).sum() / force.sum() for axis in (y, x)]
        assert abs(centre[0] - (43 + 8 * 7)) < 6 and abs(centre[1] - (43 + 8 * 9)) < 6, tap


def test_what_phi_holds_is_explained_and_what_it_lacks_is_not(guide):
    crop = pictures(4)
    wanted = guide.features(crop, 20)
    turn = torch.linalg.qr(torch.randn(768, 768))[0]
    assert guide.term(crop, torch.einsum("nchw,cd->ndhw", wanted, turn)) < 0.01
    assert guide.term(crop, torch.randn(4, 16, 20, 20)) > 0.6        # channels that never fire count as explained


def test_descent_on_the_term_teaches_phi(guide):
    torch.manual_seed(2)
    network, crop = AlexNetV1((4, 8, 8, 8, 16)).train(), pictures(2)
    optimizer, seen = torch.optim.Adam(network.parameters(), lr=3e-3), []
    for _ in range(12):
        loss = guide.term(crop, network(crop.float()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < seen[0] - 0.02
