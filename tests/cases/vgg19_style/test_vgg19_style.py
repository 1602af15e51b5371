"""vgg19_style's losses: golden values, properties, and tiles that change nothing."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from seeded_vgg import seeded_source
from tolerances import near

from cases.vgg19_style import benchmark, losses
from cases.vgg19_style.model import STYLE_TAPS, Objective
from cases.vgg19_style.tiling import choose_tile, tiles_of
from common.base.errors import UserError
from common.base.paths import ROOT
from common.data.images import read_image
from common.data.samples import build, photograph
from common.experiment import checkpoints
from common.features import vgg, vgg_files

SHARED = ROOT.parent / "shared"
GOLDEN = SHARED / "golden" / "vgg19_style"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="../shared/golden is not here")
# seeded: the whole of VGG19, with weights that follow from a rule
NETWORKS = ["vgg19_block1-3", "vgg19_small16x", "seeded"]


RELATIVE = {"form": "relative", "content_taps": ["relu4_1"], "alpha": 0.1, "beta": 1.0}    # arguments of an Objective


def narrow_trunk(taps, padding="zeros", pooling="max", seed=0, dtype=torch.float32):
    """A narrow VGG19 with random weights (He's), which needs no file."""
    torch.manual_seed(seed)
    trunk = vgg.Trunk("vgg19", taps, (4, 4, 4, 4, 4), pooling, padding, "torchvision")
    for parameter in trunk.parameters():
        torch.nn.init.kaiming_normal_(parameter) if parameter.dim() == 4 else torch.nn.init.normal_(parameter, std=0.05)
    return trunk.to(dtype).requires_grad_(False).eval()


def write_small_set(folder, size, style_size):
    """cat.png, style/tissue.png, style/gravel.png and the random network net.pt in a folder; sizes (width, height)."""
    (folder / "style").mkdir()
    Image.fromarray(photograph("chelsea.png")[20:260, 60:420]).resize(size).save(folder / "cat.png")
    for name, file in (("tissue", "ihc.png"), ("gravel", "gravel.png")):
        Image.fromarray(photograph(file)[:200, :260]).resize(style_size).save(folder / "style" / f"{name}.png")
    trunk = narrow_trunk(STYLE_TAPS, "reflect")
    checkpoints.save(folder / "net.pt", {"case": "vgg19_style", "model": {"tag": "torchvision", "padding": "reflect"},
                                         "weights": trunk.state_dict()})


def source_of(name):
    return seeded_source() if name == "seeded" else vgg_files.read(str(SHARED / "weights" / "vgg" / f"{name}.npz"))


def golden():
    return json.loads((GOLDEN / "golden.json").read_text())


def read(name):
    return read_image(GOLDEN / name)[None].double()


# ---- formulas --------------------------------------------------------------------------------------------------------

HAND_X = torch.tensor([[[[1.0, 0], [2, -1]], [[0, 1], [1, 3]]]], dtype=torch.float64)
HAND_P = torch.tensor([[[[1.0, 1], [0, -1]], [[2, 1], [1, 0]]]], dtype=torch.float64)
HAND_S = torch.tensor([[[[0.0, 1], [1, 0]], [[1, 0], [1, 2]]]], dtype=torch.float64)


def test_b6_by_hand():
    """The course's formula on a 2 x 2 picture with two channels: content 18/16, style 49/256, and both gradients."""
    x = HAND_X.clone().requires_grad_()
    assert torch.equal(losses.gram(x, 1.0)[0], torch.tensor([[6.0, -1], [-1, 11]], dtype=torch.float64))
    target = losses.gram(HAND_S)
    assert torch.equal(4 * target[0], torch.tensor([[2.0, 1], [1, 6]], dtype=torch.float64))
    factors = losses.factors("b6", {"l": HAND_P}, {"l": target}, [1.0])
    content = factors.content["l"] * losses.square_distance(x, HAND_P).sum()
    style = factors.style["l"] * losses.square_distance(losses.gram(x), target).sum()
    assert content.item() == 18 / 16 and style.item() == pytest.approx(49 / 256, abs=1e-15)
    slope, = torch.autograd.grad(content, x, retain_graph=True)
    assert near(slope, (HAND_X - HAND_P) / 8, "formula")
    slope, = torch.autograd.grad(style, x)
    flat = HAND_X.flatten(2)
    expected = ((flat @ flat.mT - 4 * target) @ flat).view_as(HAND_X) / 64
    assert near(slope, expected, "formula")


def test_relative_terms_are_one_where_nothing_is_met_and_nothing_at_the_target():
    draw = torch.Generator().manual_seed(1)
    features = {"a": torch.rand(2, 5, 6, 7, generator=draw), "b": torch.rand(2, 3, 3, 3, generator=draw)}
    targets = {tap: losses.gram(each) for tap, each in features.items()}
    nothing = {tap: torch.zeros_like(each) for tap, each in features.items()}
    assert near(losses.relative_style(nothing, targets), torch.ones(2), "formula")
    assert losses.relative_style(features, targets).max() == 0
    assert near(losses.relative_content(nothing, features, ["a", "b"]), torch.ones(2), "formula")
    assert losses.relative_content(features, features, ["a"]).max() == 0


def test_gram_of_a_mask():
    """A mask of ones changes nothing, one of half gives that half's Gram; the order in memory does not matter."""
    features = torch.rand(1, 4, 6, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ones, half = torch.ones(1, 1, 6, 8, dtype=torch.float64), torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    half[..., :4] = 1
    assert near(losses.gram(features, ones / ones.sum()), losses.gram(features), "formula")
    assert near(losses.gram(features, half / half.sum()), losses.gram(features[..., :4]), "formula")
    assert near(losses.gram(features.to(memory_format=torch.channels_last)), losses.gram(features), "formula")
    share = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    small = features[:, :3, :2, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.gram(x, share[..., :2, :3]), small)
    assert torch.autograd.gradcheck(losses.gram, small)


@needs_golden
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("style", ["style_48x32", "style_64x48"])
def test_b6_and_gatys_equal_the_golden_values(network, style):
    """Content, style per layer, the total and its gradient, for a style of equal and of another size; float64 against
    float64, stored rounded."""
    numbers, source = golden()[network], source_of(network)
    taps = [f"relu{tap}" for tap in numbers["style_layers"]]
    x0 = torch.from_numpy(np.load(GOLDEN / "x0_32x48.npy")).double()
    for form, alpha_beta, key in (("b6", (1.0, 100.0), f"b6_{style}"), ("gatys", (1.0, 1000.0), f"gatys_{style}")):
        expected = numbers[key]
        content_tap = f"relu{expected['content_layer']}"
        trunk = vgg.build(source, list(dict.fromkeys([*taps, content_tap]))).double()
        objective = Objective(trunk, read("content_48x32.png"), [read(f"{style}.png")], form=form,
                              content_taps=[content_tap], style_taps=taps, alpha=alpha_beta[0], beta=alpha_beta[1])
        terms, slope = objective.gradient(x0)
        assert objective(x0).item() == sum(terms.values()).item()
        assert terms["content"].item() == pytest.approx(expected["content"], rel=1e-4)
        total = next(value for field, value in expected.items() if field.startswith("total"))
        assert sum(terms.values()).item() == pytest.approx(total, rel=1e-4)
        assert slope.norm().item() == pytest.approx(expected["grad_norm"], rel=1e-3)
        if form == "b6":
            corner = torch.tensor(expected["grad_0_0_:3_:3"], dtype=torch.float64)
            assert (slope[0, 0, :3, :3] - corner).norm() < 1e-3 * max(corner.norm().item(), 1e-12)
            assert slope[0, 0, 16, 24].item() == pytest.approx(expected["grad_centre_0_16_24"], rel=1e-3)


@needs_golden
@pytest.mark.parametrize("network", NETWORKS)
def test_grams_and_variation_equal_the_golden_values(network):
    """F F^T, not normalised: trace, sum, norm and corner of each style layer; the total variation of x0."""
    raw_grams = golden()[network]["gram_raw"]
    trunk = vgg.build(source_of(network), [f"relu{tap}" for tap in raw_grams]).double()
    features = trunk(read("content_48x32.png"))
    for tap, expected in raw_grams.items():
        raw = losses.gram(features[f"relu{tap}"], 1.0)[0]
        found = {"trace": raw.trace(), "sum": raw.sum(), "fro": raw.norm()}
        assert all(value.item() == pytest.approx(expected[name], rel=1e-6) for name, value in found.items())
        assert torch.allclose(raw[:3, :3], torch.tensor(expected["first3x3"], dtype=torch.float64), rtol=1e-6,
                              atol=1e-6 * expected["fro"])
    x0 = torch.from_numpy(np.load(GOLDEN / "x0_32x48.npy")).double()
    assert losses.tv(x0).item() == pytest.approx(golden()["tv"]["l2_mean_each_summed"], rel=1e-6)


# ---- tiles -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("padding", "size"), [("zeros", (203, 121)), ("reflect", (208, 112))])
def test_the_tiled_gradient_is_the_whole_one(padding, size):
    """To 1e-10 in float64, with masks and variation; at sizes off the multiples of 16 a small halo would show."""
    trunk = narrow_trunk(STYLE_TAPS, padding, dtype=torch.float64)
    draw = torch.Generator().manual_seed(4)
    content, x = (torch.rand(1, 3, *size, generator=draw, dtype=torch.float64) for _ in range(2))
    styles = [torch.rand(1, 3, 90, 101, generator=draw, dtype=torch.float64) for _ in range(2)]
    left = torch.zeros(1, 1, *size, dtype=torch.float64)
    left[..., :size[1] // 3] = 1
    for masks in ((), (left, 1 - left)):
        arguments = RELATIVE | {"tv": 0.7, "weights": (0.3, 0.7), "masks": masks}
        terms, whole = Objective(trunk, content, styles, **arguments).gradient(x)
        tiled_terms, tiled = Objective(trunk, content, styles, **arguments, tile=64).gradient(x)
        assert near(tiled, whole, "gradient")
        assert all(near(tiled_terms[name], term, "gradient") for name, term in terms.items())


def test_a_halo_too_small_would_show():
    """The test above can fail: with a reach too short, the gradient at such a size is off by more than it allows."""
    trunk = narrow_trunk(["relu4_1", "relu5_1"], "reflect", dtype=torch.float64)
    draw = torch.Generator().manual_seed(4)
    content, x = (torch.rand(1, 3, 203, 121, generator=draw, dtype=torch.float64) for _ in range(2))
    arguments = RELATIVE | {"style_taps": ["relu4_1", "relu5_1"]}
    _, whole = Objective(trunk, content, [content], **arguments).gradient(x)
    reach = trunk.reach
    trunk.reach = lambda tap: reach(tap) - 40
    _, tiled = Objective(trunk, content, [content], **arguments, tile=64).gradient(x)
    assert (tiled - whole).abs().max() > 1e-5 * whole.abs().max()


def test_tiles_cover_every_position_once():
    seen = torch.zeros(203 // 8, 249 // 8)
    for tile in tiles_of((203, 249), 64, 70, 16):
        seen[tile.place(8)] += 1
        assert all(edge % 16 == 0 for edge in tile.crop[:2]) and tile.core[2] <= tile.crop[2] <= 203
    assert (seen == 1).all()


def test_when_tiles_are_chosen():
    trunk = narrow_trunk(["relu5_1"])
    assert choose_tile("auto", trunk, (64, 64)) is None and choose_tile("none", trunk, (9000, 9000)) is None
    assert choose_tile(96, trunk, (64, 64)) == 96
    side = choose_tile("auto", trunk, (9000, 9000))
    assert side % 16 == 0 and side >= 64
    with pytest.raises(UserError, match="train.tile=none"):
        choose_tile(96, Squeeze(), (64, 64))
    assert choose_tile("auto", Squeeze(), (9000, 9000)) is None


class Squeeze:
    """What is asked of a trunk whose grid knows no tiles."""
    name = "squeezenet"


def test_the_benchmark_paints_what_the_sample_set_has():
    for name in (benchmark.CONTENT, benchmark.STYLE):
        assert read_image(build("style") / name).shape[0] == 3
