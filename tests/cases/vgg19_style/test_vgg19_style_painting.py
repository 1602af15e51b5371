"""vgg19_style's optimised pictures: colours, scales, masks, mistakes; on a narrow random network."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_vgg19_style import GOLDEN, golden, needs_golden, read, write_small_set
from tolerances import near

from cases.vgg19_style import colour, data, test, train
from cases.vgg19_style.painter import Canvas, Painter, feature_network, prepare, scales_of, usual_scales
from common.base import paths
from common.base.errors import UserError
from common.data.images import open_picture, read_pixels, write_image
from common.experiment import checkpoints
from common.experiment.settings import resolve


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a content, two styles and a network; results and checkpoints go there too."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    write_small_set(tmp_path, (120, 80), (130, 100))
    return tmp_path


def words(place, *more):
    usual = [f"network={place / 'net.pt'}", f"data.content={place / 'cat.png'}",
             f"data.style={place / 'style' / 'tissue.png'}", "data.size=96", "train.steps=12", "train.lr=0.005",
             "train.log_every=3", "train.save_every=5", "workers=0"]
    given = {word.split("=")[0] for word in more}
    return [word for word in usual if word.split("=")[0] not in given] + list(more)


def settings(place, *more):
    return resolve("vgg19_style", words(place, *more)).config


def painter(place, *more):
    cfg = settings(place, *more)
    trunk, loss = feature_network(cfg)
    return Painter(cfg, trunk, loss, data.works(cfg.data, trunk.name)[0], *prepare(cfg))


def painted(place, *more):
    """The result of all steps, and the loss at each."""
    one = painter(place, *more)
    losses = [sum(one.step(number).values()).item() for number in range(1, one.settings.train.steps + 1)]
    return one.result(), losses


# ---- the pieces ------------------------------------------------------------------------------------------------------

@needs_golden
def test_colours_equal_the_golden_values():
    numbers = golden()["colour"]
    content, style = read("content_48x32.png"), read("style_48x32.png")
    A, b = colour.cholesky_matrix(style, content, eps=0.0)
    assert torch.allclose(A, torch.tensor(numbers["cholesky_A"], dtype=torch.float64), atol=1e-6)
    assert torch.allclose(b[:, 0], torch.tensor(numbers["cholesky_b"], dtype=torch.float64), atol=1e-6)
    x0 = torch.from_numpy(np.load(GOLDEN / "x0_32x48.npy")).double()
    kept = content + colour.luminance(x0) - colour.luminance(content)
    assert kept.mean().item() == pytest.approx(golden()["luminance"]["mean"], rel=1e-6)
    assert near(colour.with_luminance_of(content, x0), kept.clamp(0, 1), "formula")


def test_matched_styles_have_the_contents_colours():
    draw = torch.Generator().manual_seed(0)
    content, style = (0.35 + 0.3 * torch.rand(1, 3, 40, 50, generator=draw, dtype=torch.float64) * scale
                      for scale in (1.0, 0.6))
    mean, covariance = colour.statistics(colour.match_cholesky(style, content))
    wanted_mean, wanted = colour.statistics(content)
    assert torch.allclose(mean, wanted_mean, atol=1e-3) and torch.allclose(covariance, wanted, atol=1e-3)
    gray = colour.match_luminance(style, content)
    assert torch.equal(gray[:, 0], gray[:, 1])
    assert gray.mean().item() == pytest.approx(colour.luminance(content).mean().item(), abs=1e-3)
    flat = torch.full_like(style, 0.5)
    for match in (colour.match_cholesky, colour.match_luminance):
        assert torch.isfinite(match(flat, content)).all()


def test_a_large_picture_begins_as_small_as_others():
    assert [usual_scales(size) for size in ((80, 100), (384, 512), (1024, 768), (1536, 2048))] == [5, 5, 7, 9]
    assert scales_of((1536, 2048), 9, 305)[0].size == scales_of((384, 512), 5, 305)[0].size


def test_scales():
    found = scales_of((384, 512), 5, 305)
    assert [scale.size for scale in found] == [(96, 128), (136, 181), (192, 256), (272, 362), (384, 512)]
    steps = np.diff([0, *(scale.last for scale in found)])
    assert (np.diff(steps) < 0).all() and steps[0] > 100 and steps[-1] < 25 and found[-1].last == 305
    assert scales_of((64, 96), 5, 10) == [((64, 96), 10)]
    few = scales_of((512, 512), 5, 2)
    assert few[-1].last == 2 and len(few) <= 2


def test_average_is_the_mean_that_it_says():
    canvas, iterates = Canvas(), [torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(number))
                                  for number in range(3)]
    canvas.begin(0, iterates[0])
    for iterate in iterates:
        canvas.z.data = iterate
        canvas.average(0.5)
    expected = (0.25 * iterates[0] + 0.5 * iterates[1] + iterates[2]) / 1.75
    assert near(canvas.mean_picture(), expected, "formula")


def test_padding_reflects_right_and_below_alone():
    picture = torch.rand(1, 3, 37, 50)
    grown = data.pad(picture, 16)
    assert grown.shape[2:] == (48, 64) and torch.equal(grown[..., :37, :50], picture)
    assert torch.equal(grown[..., 37, :50], picture[..., 35, :])


# ---- painting --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("more", [[], ["train.optimizer=lbfgs", "train.lr=1.0", "train.start=noise"],
                                  ["preset=b6", "train.lr=0.03"], ["train.colour=cholesky", "loss.tv=0.1"],
                                  ["network.pooling=avg", "train.scales=1", "precision=bf16"]])
def test_the_loss_falls_and_the_picture_has_its_size(place, more):
    picture, losses = painted(place, *more)
    assert picture.shape == (1, 3, 64, 96) and picture.min() >= 0 and picture.max() <= 1 and np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]


def test_luminance_keeps_the_colours(place):
    picture, _ = painted(place, "train.colour=luminance")
    content = data.resize(read_pixels(place / "cat.png"), (64, 96))
    change = picture - content
    inside = ((picture > 0) & (picture < 1)).all(dim=1)
    assert (change[:, 0] - change[:, 1]).abs()[inside].max() < 1e-5 and change.abs().max() > 0.02


def test_a_mixture_of_one_is_that_one(place):
    alone, _ = painted(place)
    both = f"data.styles=[{place / 'style' / 'tissue.png'}, {place / 'style' / 'gravel.png'}]"
    assert near(painted(place, both, "data.weights=[1, 0]")[0], alone, "gradient")
    assert (painted(place, both)[0] - alone).abs().max() > 0.01


def test_masks_say_where(place):
    """A style under a mask moves nothing that lies beyond the network's reach from it; a mask of ones is no mask."""
    for name, left in (("left", 255), ("ones", 255)):
        mask = np.full((80, 120), 0 if name == "left" else 255, np.uint8)
        mask[:, :60] = left
        Image.fromarray(mask).save(place / f"{name}.png")
    slopes = {}
    for mask in ("left", "ones", None):
        masks = [f"data.masks=[{place / f'{mask}.png'}]"] if mask else []
        one = painter(place, f"data.styles=[{place / 'style' / 'tissue.png'}]", "loss.style_taps=[relu1_1, relu2_1]",
                      "loss.content=0.0", "loss.tv=0.0", *masks)
        one.enter(0)
        slopes[mask] = one.objective.gradient(one.canvas.picture())[1]
    reach = one.trunk.reach("relu2_1") + 2
    left, ones, unmasked = slopes.values()
    assert left[..., 48 + reach:].abs().max() == 0 and left[..., :48].abs().min(dim=1).values.mean() > 0
    assert near(ones, unmasked, "gradient")
    assert unmasked[..., 60:].abs().max() > 0


def test_the_relative_form_does_not_depend_on_the_features_scale(place):
    """With features ten times as large the relative terms stay, the style term of Gatys' form grows 10,000 times."""
    content = checkpoints.load(place / "net.pt")
    for name, tensor in content["weights"].items():
        tensor.mul_(0.0 if name.endswith("bias") else 1.0)
    first = {}
    for scale in (1, 10):
        content["weights"]["features.0.weight"].mul_(scale)
        checkpoints.save(place / "net.pt", content)
        for form in ("relative", "gatys"):
            first[form, scale] = painter(place, f"loss.form={form}").step(1)["style"].item()
    assert first["relative", 10] == pytest.approx(first["relative", 1], rel=1e-4)
    assert first["gatys", 10] == pytest.approx(1e4 * first["gatys", 1], rel=1e-3)


# ---- train.py and test.py --------------------------------------------------------------------------------------------

def test_train_then_test(place, capsys):
    """Every content in every style, one after the other; the log says which; the same words again do nothing."""
    arguments = words(place, "train.snapshots=[1]", "train.epoch=6", f"data.style={place / 'style'}")
    train.main(["--name", "x", "--weights", "mine.pt", *arguments])
    assert "--weights mine.pt is not used" in capsys.readouterr().err
    folder = place / "results" / "vgg19_style" / "x" / "train"
    names = ["cat__gravel__net", "cat__tissue__net"]
    assert sorted(path.stem for path in (folder / "images").glob("*.png")) == names
    assert sorted(path.parent.name for path in folder.glob("images/epochs/*/001.png")) == names
    pairs = [json.loads(line)["pair"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert sorted(set(pairs)) == names and len(pairs) == 8
    train.main(["--name", "x", *arguments])
    assert "finished" in capsys.readouterr().out
    test.main(["--name", "x", *arguments, "test.judge=none"])
    metrics = json.loads((place / "results/vgg19_style/x/test/cat/metrics.json").read_text())
    assert metrics["net"]["count"] == 2
    assert metrics["net"]["style_distance"] < metrics["net"]["style_distance_untouched"]
    assert set(metrics["net"]["by"]["style"]) == {"gravel", "tissue"}
    lines = (place / "results/vgg19_style/x/test/cat/items.csv").read_text()
    assert "cat__gravel__net" in lines and "images/net/cat__tissue__net.png" in lines
    written = read_pixels(place / "results/vgg19_style/x/test/cat/images/net/cat__tissue__net.png")
    assert np.array_equal(written, read_pixels(folder / "images" / "cat__tissue__net.png"))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_contents_of_other_sizes_follow_each_other(place, optimizer):
    """One canvas and one optimiser serve works of any sizes: the second is what it would have been alone."""
    (place / "contents").mkdir()
    for name, size in (("a", (120, 80)), ("b", (80, 80))):
        Image.open(place / "cat.png").resize(size).save(place / "contents" / f"{name}.png")
    more = [f"train.optimizer={optimizer}", "train.steps=6", "train.scales=1"]
    train.main(["--name", "both", *words(place, f"data.content={place / 'contents'}", *more)])
    train.main(["--name", "one", *words(place, f"data.content={place / 'contents' / 'b.png'}", *more)])
    both, one = (read_pixels(place / "results/vgg19_style" / name / "train/images/b__tissue__net.png")
                 for name in ("both", "one"))
    assert np.array_equal(both, one)


def test_own_picture(place):
    test.main(["--name", "own", *words(place)[:1], "--input", str(place / "cat.png"),
               "--style", str(place / "style" / "gravel.png"), "--output", str(place / "out.png"), "data.size=64",
               "train.steps=4", "test.judge=none"])
    assert read_pixels(place / "out.png").shape == (43, 64, 3)


def test_sixteen_bits_and_transparency(place):
    """A transparent picture is put on white; 16 bits come out as 16 bits; a gray photograph may take colours."""
    deep = (np.arange(64 * 48).reshape(48, 64) * 20).astype(np.uint16)
    Image.fromarray(deep).save(place / "deep.png")
    clear = np.zeros((48, 64, 4), np.uint8)
    Image.fromarray(clear).save(place / "clear.png")
    assert (data.read_on_white(place / "clear.png") == 255).all()
    test.main(["--name", "own", *words(place)[:3], "--input", str(place / "deep.png"),
               "--output", str(place / "deep-out.png"), "data.size=64", "train.steps=3", "test.judge=none"])
    assert open_picture(place / "deep-out.png").bits == 16 and not open_picture(place / "deep-out.png").gray


@pytest.mark.parametrize(("more", "expected"), [
    (["data.size=40"], "at least 32"), (["data.style={}/nothing"], "no such file"),
    (["loss.style_taps=[relu9_1]"], "relu9_1"), (["loss.style_weights=[1, 2]"], "loss.style_weights"),
    (["network={}/missing.pth"], "no such network"), (["network={}/page.pth"], "web page"),
    (["network={}/cut.pth"], "cut short or damaged"), (["data.weights=[1]"], "data.styles"),
    (["data.styles=[{0}/style/tissue.png]", "data.masks=[{0}/black.png]"], "empty mask"),
    (["data.styles=[{0}/style/tissue.png]", "data.masks=[{0}/tall.png]"], "another shape"),
    (["data.styles=[{0}/style/tissue.png, {0}/nosuch.png]"], "no such file: .*nosuch.png.*mend data.styles"),
    (["data.styles=[{0}/style/tissue.png]", "data.masks=[{0}/nosuch.png]"], "nosuch.png.*mend data.masks"),
    (["train.tile=-4"], "a whole number")])
def test_mistakes_have_one_message(place, more, expected):
    (place / "page.pth").write_text("<!DOCTYPE html><html>not found</html>")
    (place / "cut.pth").write_bytes((place / "net.pt").read_bytes()[:2000])
    Image.fromarray(np.zeros((80, 120), np.uint8)).save(place / "black.png")
    Image.fromarray(np.full((120, 40), 255, np.uint8)).save(place / "tall.png")
    with pytest.raises(UserError, match=expected):
        train.main(["--name", "wrong", *words(place, *(word.format(place) for word in more))])


def test_an_extreme_picture_is_refused_with_its_size(place):
    write_image(place / "ribbon.png", torch.rand(3, 10, 900))
    with pytest.raises(UserError, match="96x1 pixels"):
        train.main(["--name", "ribbon", *words(place, f"data.content={place / 'ribbon.png'}")])


def test_one_file_for_many_styles_is_refused(place):
    with pytest.raises(UserError, match="a folder was expected"):
        test.main(["--name", "own", *words(place)[:1], "--input", str(place / "cat.png"),
                   "--style", str(place / "style"), "--output", str(place / "out.png"), "data.size=64",
                   "train.steps=2", "test.judge=none"])
    assert not (place / "out.png").exists()
