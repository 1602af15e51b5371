"""vgg19_style's coordinates of a picture, the term for fine chroma, gray pictures."""
import numpy as np
import pytest
import torch
from test_vgg19_style import write_small_set
from test_vgg19_style_painting import painted, painter, settings
from tolerances import near

from cases.vgg19_style import losses
from cases.vgg19_style.canvas import AXES, CHROMA, Decorrelated, Pixels
from cases.vgg19_style.painter import LEAST_HISTORY, is_gray, prepare
from common.base import paths
from common.data.images import write_image


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a content, two styles and a network; results and checkpoints go there too."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    write_small_set(tmp_path, (120, 80), (130, 100))
    return tmp_path


def pictures(*size, seed=0):
    return torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(16, 24), (15, 22), (9, 9)])
@pytest.mark.parametrize("space", [Decorrelated(), Pixels((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))])
def test_a_picture_comes_back_and_a_slope_is_that_of_the_coordinates(space, size):
    x, wanted = pictures(*size), pictures(*size, seed=1)
    z = space.encode(x)
    assert near(space.decode(z), x.float()), "the axes are float32"
    z.requires_grad_()
    shown = space.decode(z)
    (shown * wanted).sum().backward()
    assert near(space.pull(wanted), z.grad, "gradient"), "the adjoint of decode"


def test_long_waves_and_luminance_weigh_most():
    assert near(AXES @ AXES.T, torch.eye(3), "formula")
    space, columns = Decorrelated(), torch.arange(32) / 32
    energies = []
    for axis, cycles in ((0, 1), (0, 8), (1, 1)):
        wave = torch.cos(2 * torch.pi * cycles * columns).expand(1, 1, 32, 32)
        z = torch.zeros(1, 3, 32, 32)
        z[:, axis] = wave
        energies.append(space.decode(z).square().sum().item())
    assert energies[0] == pytest.approx(8 * energies[1], rel=1e-3), "amplitude f^-1/2, energy 1 / f"
    assert energies[0] == pytest.approx(energies[2] / CHROMA**2, rel=1e-3), "a chroma axis weighs less"


def test_fine_chroma_is_what_two_by_two_pixels_average_away():
    x = pictures(12, 14)
    large = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert losses.fine_chroma(large).item() < 1e-20 < losses.fine_chroma(x).item()
    assert losses.fine_chroma(x[:, :1].expand(-1, 3, -1, -1)).item() < 1e-20, "gray detail is no chroma"
    own = losses.fine_chroma(x)
    assert losses.chroma_excess(x, own).item() == 0
    assert losses.chroma_excess(x, own / 3).item() == pytest.approx(2)


def test_the_chroma_term_takes_speckle_away(place):
    free, held = (painter(place, "network.pooling=avg", f"loss.chroma={weight}", "train.space=pixels", "loss.tv=0")
                  for weight in (0, 5))
    energies = []
    for one in (free, held):
        for number in range(1, 13):
            terms = one.step(number)
        energies.append(losses.fine_chroma(one.result()).item() / one.objective.fine_chroma.item())
    assert "chroma" in terms
    assert energies[1] < 1.1 and energies[1] < 0.8 * energies[0], "down to the style's own, no further"


def test_gray_in_gray_stays_gray(place):
    rng = np.random.default_rng(0)
    for name in ("cat.png", "style/tissue.png"):
        gray = torch.from_numpy(rng.random((1, 80, 120), dtype=np.float32)).expand(3, -1, -1)
        write_image(place / name, gray)
    picture, _ = painted(place)
    assert (picture.amax(dim=1) - picture.amin(dim=1)).max() < 2 / 255
    assert not near(picture, painter(place).content_at(tuple(picture.shape[2:]))), "it was painted all the same"


def test_a_sepia_print_is_not_gray():
    gray = np.full((8, 8, 3), 120, np.uint8)
    assert is_gray(gray) and is_gray(gray + np.array([1, 0, 1], np.uint8))
    assert not is_gray(gray + np.array([12, 4, 0], np.uint8))


def test_adam_moves_pixels_and_large_pictures_have_a_shorter_memory(place):
    def kinds(size):
        canvas, optimizer = prepare(settings(place), size=size)
        return type(canvas.space), optimizer.defaults.get("history_size")
    assert kinds((600, 800)) == (Decorrelated, 20)
    space, history = kinds((1536, 2048))
    assert space is Decorrelated and LEAST_HISTORY <= history < 20
    assert kinds((3072, 4096)) == (Pixels, None)
