"""vgg19_style's network that paints in one pass as a graph: in every style, at any size, with its noise."""
import importlib.util
import warnings
from copy import deepcopy

import pytest
import torch
from tolerances import near

from cases.vgg19_style import test as test_script
from cases.vgg19_style.extras import export
from cases.vgg19_style.fast import graph
from cases.vgg19_style.fast.network import FastNetwork
from common.base import paths
from common.base.errors import UserError, start
from common.data.images import read_image, write_image
from common.data.samples import photograph
from common.experiment import checkpoints, engine

has_onnx = pytest.mark.skipif(not importlib.util.find_spec("onnxruntime") or not importlib.util.find_spec("onnx"),
                              reason="the extra `export` is not installed")


def noisy():
    """A network whose styles and noise differ, in evaluation mode."""
    torch.manual_seed(0)
    network = FastNetwork(4, ["waves", "scream"], noise=True)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    return network.eval()


def photo(height, width):
    return torch.from_numpy(photograph("chelsea.png")[:height, :width]).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def test_the_noise_can_be_told():
    network, x, one = noisy(), photo(33, 42), torch.tensor([0.3, 0.7])
    assert torch.equal(network(x, one, 3), network(x, one, fields=network.draw_noise((33, 42), one, 3)))
    assert not torch.equal(network(x, one, 3), network(x, one, 4)), "another seed, other strokes"


@torch.no_grad()
def test_what_is_traced_paints_any_size():
    """Without onnx: the trace is what torch exports."""
    network = noisy()
    made = graph.graphs(network)["vgg19_style"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(made.module, tuple(made.inputs.values()), check_trace=False)
    for size in ((64, 80), (33, 51)):
        x, weights = photo(*size), torch.tensor([[0.3, 0.7]])
        noise = network.draw_noise(size, weights, 1)
        assert near(traced(x, weights, noise), network(x, weights, 1), "gradient")


@has_onnx
@torch.no_grad()
def test_onnx_paints_as_torch_in_every_style():
    """Each style of the release at 2e-5 from what float64 has: nearer than torch, which in one is 1.8e-5 away."""
    release = checkpoints.load_release("vgg19_style", FastNetwork, "release-styles")
    made = graph.graphs(release)["vgg19_style"]
    assert engine.largest_difference(made) <= engine.TOLERANCE
    painter, exact, x = graph.OnnxNetwork(release, engine.OnnxRuntime(made)), deepcopy(release).double(), photo(101, 75)
    for weights in torch.eye(len(release.styles)):
        found = painter(x, weights)
        expected = exact(x.double(), weights.double(), fields=drawn(release, x, weights, 0))
        assert found.shape == x.shape and (found - expected).abs().max() <= 2 * engine.TOLERANCE
        assert (found - release(x, weights)).abs().max() <= 4 * engine.TOLERANCE


def drawn(network, x, weights, seed):
    """The noise for a float64 copy of the network; None where it has none."""
    return network.draw_noise(x.shape[2:], weights, seed).double() if graph.has_noise(network) else None


@has_onnx
@torch.no_grad()
def test_onnx_paints_with_the_noise_that_torch_draws():
    network, x, one = noisy(), photo(66, 75), torch.tensor([0.3, 0.7])
    painter = graph.OnnxNetwork(network, engine.OnnxRuntime(graph.graphs(network)["vgg19_style"]))
    assert near(painter(x, one, 2), network(x, one, 2), "gradient")
    assert not near(painter(x, one, 1), network(x, one, 2), "gradient")


@has_onnx
def test_the_command_tells_the_styles(tmp_path, capsys):
    assert start(export.main, ["-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "equal to torch" in said and "weights, in this order: " in said
    assert (tmp_path / "vgg19_style.onnx").stat().st_size > 1_000_000


@has_onnx
def test_own_pictures_are_painted_alike_by_both_engines(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    write_image(tmp_path / "cat.png", photo(96, 130)[0])
    words = ["--weights", "release-styles", "--input", str(tmp_path / "cat.png"), "data.size=96"]
    style = checkpoints.find("vgg19_style", "none", "release-styles").model["styles"][0]
    for name in ("torch", "onnx"):
        test_script.main([*words, "--name", name, "--style", style, f"test.engine={name}",
                          "--output", str(tmp_path / f"{name}.png")])
    a, b = (read_image(tmp_path / f"{name}.png") for name in ("torch", "onnx"))
    assert (a - b).abs().max() <= 1.01 / 255


def test_an_optimisation_needs_torch(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    write_image(tmp_path / "cat.png", photo(48, 64)[0])
    with pytest.raises(UserError, match="stage=optimise: a network that paints in one pass was expected"):
        test_script.main(["--input", str(tmp_path / "cat.png"), "--style", str(tmp_path / "cat.png"),
                          "test.engine=onnx", "--output", str(tmp_path / "out.png")])
