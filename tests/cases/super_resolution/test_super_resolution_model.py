"""The networks of super-resolution: shapes and counts, pixel shuffle, attention in its three forms, tiles, losses."""
import pytest
import torch
from tolerances import near

from cases.super_resolution import losses
from cases.super_resolution.benchmark import straightforward
from cases.super_resolution.enlarge import enlarge, enlarge_tiles
from cases.super_resolution.model import Discriminator, PaperNetwork, SelfAttention, SubPixel, SuperResolution, weigh


def count(module):
    return sum(map(torch.numel, module.parameters()))


def small(scale=2, **options):
    """A small network with weights that do something: the last layer is not near 0."""
    torch.manual_seed(1)
    model = SuperResolution(scales=[scale], **{"channels": 12, "blocks": 2} | options).eval()
    for module in model.modules():
        if isinstance(module, SelfAttention):
            torch.nn.init.constant_(module.gamma, 0.7)
    return model


def test_parameters_of_the_published_networks():
    assert count(PaperNetwork(4, "none")) == 1_549_462
    assert count(SelfAttention(64)) == 5_201
    assert count(PaperNetwork(4, "full")) == 1_549_462 + 2 * 5_201


def test_a_release_is_small_enough_on_disk():
    """At most .8 MB a scale in half precision."""
    for scale in (2, 3, 4):
        assert 2 * count(SuperResolution(scales=[scale], channels=48, blocks=8)) < 0.8e6


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("options", [
    {}, {"attention": "pooled"}, {"attention": "window"}, {"attention": "full"}, {"branches": True},
    {"dual_attention": True}, {"arch": "paper", "attention": "pooled"}], ids=str)
def test_any_size_becomes_s_times_as_large(scale, options):
    model = small(scale, **options)
    with torch.no_grad():
        for size in ((1, 1), (5, 8), (17, 13)):
            assert model(torch.rand(2, 3, *size), scale).shape == (2, 3, scale * size[0], scale * size[1])


def test_pixel_shuffle_by_hand():
    layer = SubPixel(1, 1, 2)
    torch.nn.init.zeros_(layer[0].weight)
    layer[0].bias.data = torch.tensor([1., 2., 3., 4.])
    assert layer(torch.rand(1, 1, 1, 1)).tolist() == [[[[1, 2], [3, 4]]]]


def test_the_plain_formula_gives_the_same():
    model = SuperResolution(scales=[4], channels=8, blocks=8).eval()
    x = torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        assert near(straightforward(model.state_dict(), x), model(x))


def test_at_the_start_attention_changes_nothing():
    x = torch.rand(1, 16, 9, 9)
    for kind in ("full", "pooled", "window"):
        assert torch.equal(SelfAttention(16, kind)(x), x)


def test_equal_places_are_weighed_equally():
    """Softmax over equal products: the mean of the values, whatever they are."""
    query, value = torch.ones(1, 2, 3, 5), torch.rand(1, 4, 3, 5)
    assert near(weigh(query, query, value), value.mean(dim=(2, 3), keepdim=True).expand(1, 4, 3, 5), "formula")


def test_one_window_is_full_attention_and_strips_change_nothing(monkeypatch):
    torch.manual_seed(0)
    full, window = SelfAttention(16, "full"), SelfAttention(16, "window")
    torch.nn.init.ones_(full.gamma)
    window.load_state_dict(full.state_dict())
    x = torch.rand(2, 16, 16, 16)
    assert near(full(x), window(x))
    less = torch.rand(2, 16, 11, 7)                            # what fills the window up is not looked at
    assert near(full(less), window(less))


def test_full_attention_refuses_what_would_not_fit():
    with pytest.raises(ValueError, match="at most 4,096"):
        SelfAttention(8)(torch.rand(1, 8, 65, 64))


def test_pooled_attention_keeps_its_keys_bounded():
    attention = SelfAttention(8, "pooled")
    assert attention.stride((64, 64)) == 2 and attention.stride((384, 256)) == 5
    assert attention(torch.rand(1, 8, 130, 140)).shape == (1, 8, 130, 140)


@pytest.mark.parametrize("options", [{}, {"attention": "window"}, {"branches": True},
                                     {"arch": "paper", "attention": "none"}, {"arch": "paper", "attention": "window"}],
                         ids=str)
def test_tiles_are_exact(options):
    model = small(2, **options)
    x = torch.rand(1, 3, 131, 106)                           # two tiles with the widest halo, 47
    with torch.no_grad():
        whole, tiles = model(x), enlarge_tiles(model.networks["2"], x, 2, 32)
    assert near(whole, tiles)


def test_the_ensemble_answers_a_turned_picture_with_the_turned_answer():
    model, picture = small(3), torch.rand(3, 14, 10)
    answer = enlarge(model, picture, 3, ensemble=True)
    turned = enlarge(model, torch.rot90(picture, 1, (1, 2)).flip(2), 3, ensemble=True)
    assert near(torch.rot90(answer, 1, (1, 2)).flip(2), turned)
    alone = enlarge(model, picture, 3)
    assert not near(alone, answer, "gradient") and answer.shape == (3, 42, 30)


def test_the_discriminator_judges_each_picture():
    model = Discriminator(side=64, width=4)
    assert model(torch.rand(3, 3, 64, 64)).shape == (3,)
    assert count(Discriminator(96, 64)) == 4_685_376 + 3_712 + 18_875_392 + 1_025     # convolutions, BN, dense


@pytest.mark.parametrize("kind", ["bce", "hinge", "relativistic"])
def test_both_sides_of_the_game_fall_when_they_win(kind):
    good, bad = torch.tensor([3., 4.]), torch.tensor([-3., -4.])
    assert losses.judge_loss(good, bad, kind) < losses.judge_loss(bad, good, kind)
    assert losses.adversarial(good, bad, kind) < losses.adversarial(bad, good, kind)


def test_losses_by_hand():
    zero = torch.zeros(1)
    assert losses.judge_loss(zero, zero).item() == pytest.approx(2 * 0.693147, abs=1e-5)
    assert losses.judge_loss(zero, zero, "hinge").item() == 2
    y, truth = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert losses.content(y, truth).item() == 0.5 and losses.content(y, truth, "mse").item() == 0.25
