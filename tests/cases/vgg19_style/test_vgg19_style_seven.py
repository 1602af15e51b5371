"""vgg19_style's networks of many styles: noise, a start from other styles, what the loss sees, two networks joined."""
import numpy as np
import pytest
import torch
from made_up import fill
from test_vgg19_style_fast import pictures, train
from tolerances import near

from cases.vgg19_style import losses
from cases.vgg19_style.fast import train as training
from cases.vgg19_style.fast.network import FastNetwork, Noise, take_over
from common.base.errors import UserError
from common.data.images import split_photographs
from common.experiment import checkpoints
from common.features import vgg, vgg_files


def noisy(styles=("waves", "scream"), width=4, seed=0):
    torch.manual_seed(seed)
    made = FastNetwork(width, styles, noise=True)
    for block in made.noise:
        torch.nn.init.normal_(block.strength, 0.5, 0.2)
    return made.eval()


@torch.no_grad()
def test_noise_is_each_styles_own_and_always_the_same():
    painter, flat = noisy(), torch.full((1, 3, 32, 40), 0.5)
    one, other = (painter(flat, weights) for weights in torch.eye(2))
    assert one[..., 8:-8, 8:-8].std() > 0.01, "a flat sky gets strokes"
    alike = np.corrcoef(one[0, 0].flatten().numpy(), other[0, 0].flatten().numpy())[0, 1]
    assert abs(alike) < 0.3, "in other places in every style"
    assert torch.equal(one, painter(flat, torch.eye(2)[0])), "the same picture again"
    assert not near(one, painter(flat, torch.eye(2)[0], seed=1))
    together = painter(flat.expand(2, -1, -1, -1), torch.eye(2))
    assert near(together, torch.cat([one, other])), "a batch equals its pictures"


def test_strength_is_learnt():
    painter = noisy()
    painter(pictures(1), torch.tensor([1.0, 0.0])).square().sum().backward()
    for block in painter.noise:
        assert block.strength.grad[0].abs().max() > 0 == block.strength.grad[1].abs().max()
    assert isinstance(painter.noise[0], Noise) and not any(FastNetwork(4).noise)


@torch.no_grad()
def test_a_network_begins_with_what_another_has_learnt():
    old, x = noisy(("waves", "scream")), pictures(1)
    new = FastNetwork(4, ["scream", "monet", "waves"], noise=True)
    take_over(new, old)
    assert near(new.noise[0].strength[1], old.noise[0].strength.mean(dim=0)), "a new style: the mean of the old ones"
    for block in [*old.noise, *new.noise]:
        block.strength.zero_()                                       # the noise itself goes by the style's number
    assert near(new(x, torch.tensor([0.0, 0, 1])), old(x, torch.tensor([1.0, 0])))
    assert near(new(x, torch.tensor([1.0, 0, 0])), old(x, torch.tensor([0.0, 1])))
    plain = FastNetwork(4, ["waves", "scream"])
    take_over(new, plain)
    for block in new.noise:
        block.strength.zero_()
    assert near(new(x, torch.tensor([0.0, 0, 1])), plain(x, torch.tensor([1.0, 0])))


def test_the_grid_of_the_loss_lies_elsewhere_in_every_step():
    painted = torch.arange(40.0 * 48).view(1, 1, 40, 48)
    corners = set()
    for step in range(30):
        one, photo = training.shifted(painted, painted + 1, 16, [0, step])
        assert one.shape == (1, 1, 25, 33) and torch.equal(photo, one + 1)
        corners.add(one[0, 0, 0, 0].item())
    assert len(corners) > 20
    assert torch.equal(training.shifted(painted, painted, 1, [0, 0])[0], painted)


def test_palettes_are_compared_whatever_the_places():
    x = pictures(2, 32, 32)
    target = losses.palette(x)
    assert target.shape == (2, 3, 64)
    assert losses.relative_palette(x.flip(2), target).max() < 1e-9
    light = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)
    assert (target * torch.tensor([[0.299], [0.587], [0.114]])).sum(dim=1).diff(dim=1).min() >= 0, "from dark to light"
    assert target.mean(dim=2) == pytest.approx(x.mean(dim=(2, 3)), abs=1e-5) and light.ndim == 3
    darker = (x - 0.1).requires_grad_()
    losses.relative_palette(darker, target).sum().backward()
    assert darker.grad.max() <= 0, "brighter is nearer"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with twelve photographs, three styles, and two feature networks, the one shallow, the other deep."""
    return fill(tmp_path, monkeypatch, {"red": (1.0, 0.3, 0.2), "blue": (0.1, 0.3, 1.0), "green": (0.1, 1.0, 0.4)},
                {"net": "relu2_1", "deep": "relu3_1"})


def test_crops_show_more_of_the_photograph(place):
    photos, _ = split_photographs(place / "photos")
    near_by, wide = (training.Crops(photos, 64, 32, [0], seed=3, zoom=zoom) for zoom in (1.0, 1.5))
    assert all(crops[0, 0].photo.shape == (3, 32, 32) for crops in (near_by, wide))
    detail = [np.mean([crops[epoch, 0].photo.diff(dim=2).abs().mean() for epoch in range(12)])
              for crops in (near_by, wide)]
    assert detail[1] > 1.1 * detail[0], "the same shapes, smaller"


def test_a_network_learns_further_styles(place):
    """Noise, zoom, palette, fine chroma, two joined networks, a start from two styles: all in one short training."""
    styles = [place / "styles" / f"{name}.png" for name in ("red", "blue", "green")]
    train(place, "two", f"data.styles=[{styles[0]},{styles[1]}]")
    more = [f"data.styles=[{styles[2]},{styles[0]},{styles[1]}]", "model.noise=true", "train.zoom=1.3",
            "loss.palette=0.5", "loss.chroma=0.1", "loss.comb=0.1", f"network.deeper={place / 'deep.pt'}",
            "data.weights=[1,2,1]", "loss.style_taps=[relu1_1,relu3_1,deeper:relu1_1]"]
    start = "--weights", str(place / "checkpoints/vgg19_style/two/last.pt")
    log = [line for line in train(place, "three", *more, *start) if "loss" in line]
    assert {"style", "content", "tv", "palette", "chroma", "comb"} <= log[0].keys()
    assert log[-1]["loss"] < log[0]["loss"]
    made = checkpoints.load(place / "checkpoints/vgg19_style/three/last.pt")
    assert made["model"] == {"width": 4, "styles": ["green", "red", "blue"], "noise": True}


def test_one_weight_for_each_style(place):
    assert training.strengths([], 3).tolist() == [1, 1, 1]
    assert training.strengths([1, 3], 2).tolist() == [0.5, 1.5]
    for wrong in ([1, 2], [0, 0, 0]):
        with pytest.raises(UserError, match="data.weights are .* for 3 styles"):
            training.strengths(wrong, 3)


def test_a_comb_stands_out_and_noise_does_not():
    """A wave of 8 pixels over noise in the flat half of a picture; the same in the half with texture counts nothing."""
    photo = torch.full((1, 3, 64, 256), 0.5)
    photo[..., 128:] = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    noise = 0.5 + 0.05 * torch.randn(1, 3, 64, 256, generator=torch.Generator().manual_seed(1))
    wave = 0.05 * torch.sin(torch.arange(256) * 2 * torch.pi / 8)
    left, right = torch.zeros(256), torch.zeros(256)
    left[:128], right[128:] = wave[:128], wave[128:]
    plain, flat, textured = (losses.comb_excess(noise + each, photo).item() for each in (torch.zeros(256), left, right))
    assert flat > plain + 0.2 and near(textured, plain, "formula")
    assert losses.comb_excess(noise[..., :60, :], photo[..., :60, :]).item() == 0


def test_joined_networks_answer_as_each_of_them(place):
    sources = [vgg_files.read(str(place / f"{name}.pt")) for name in ("net", "deep")]
    taps = ["relu1_1", "relu2_1", "relu3_1"]
    joined, x = vgg.build_joined(sources, taps), pictures(1)
    with torch.no_grad():
        found, shallow, deep = joined(x), vgg.build(sources[0], taps[:2])(x), vgg.build(sources[1], taps[2:])(x)
    assert list(found) == joined.taps == taps
    assert all(torch.equal(found[tap], (shallow | deep)[tap]) for tap in taps)
    assert [joined.stride(tap) for tap in taps] == [1, 2, 4] and joined.reach("relu3_1") == 10
    assert joined.smallest == 8 and joined.name == "net+deep"
    assert vgg.build_joined(sources, taps[:1]).name == "net", "no network that serves no tap"
    with pytest.raises(UserError, match="has no tap relu4_1"):
        vgg.build_joined(sources, ["relu1_1", "relu4_1"])
    both = vgg.build_joined(sources, ["relu1_1", "deeper:relu1_1", "relu3_1"])
    with torch.no_grad():
        found, deep = both(x), vgg.build(sources[1], ["relu1_1"])(x)["relu1_1"]
    assert torch.equal(found["deeper:relu1_1"], deep) and torch.equal(found["relu1_1"], shallow["relu1_1"])
    assert both.stride("deeper:relu1_1") == 1 and both.reach("deeper:relu1_1") == 1
    alone = vgg.build_joined(sources[:1], ["deeper:relu2_1"])
    with torch.no_grad():
        assert torch.equal(alone(x)["deeper:relu2_1"], shallow["relu2_1"])
