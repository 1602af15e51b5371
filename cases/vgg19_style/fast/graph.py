"""The network that paints in one pass as an ONNX graph, and on ONNX Runtime (test.engine=onnx).

The style is an input: how much of each. So is the noise of a network that has any, since a graph has no generator of
its own that draws what torch draws.
"""
import torch
from torch import nn

from cases.vgg19_style.fast.network import FastNetwork
from common.experiment import engine

NOISE_PART = 4                                      # the noise has one value for so many pixels a side


class Told(nn.Module):
    """A FastNetwork that is told all that it paints with: picture (1, 3, H, W), weights (1, S), noise (BLOCKS, S, h, w)
    of draw_noise() where it has any."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, picture, weights, noise=None):
        return self.network(picture, weights, fields=noise)


def graphs(network):
    """{name: engine.Graph} of a FastNetwork, for export and other engines."""
    styles, size = max(1, len(network.styles)), (64, 80)
    weights = torch.full((1, styles), 1 / styles)
    inputs = {"picture": torch.rand(1, 3, *size), "weights": weights}
    parts = {"noise": NOISE_PART} if has_noise(network) else {}
    if parts:
        inputs["noise"] = network.draw_noise(size, weights)
    return {"vgg19_style": engine.Graph(Told(network), inputs, ["painted"], ["picture", *parts, "painted"], parts)}


def has_noise(network):
    return network.noise[0] is not None


def equip(run, network):
    """The network on the engine that `test` says, called as a FastNetwork."""
    computed = engine.equip(graphs(network)["vgg19_style"], run.config.test, run.device)
    return OnnxNetwork(network, computed) if run.config.test.engine == "onnx" else network


class OnnxNetwork(nn.Module):
    """A FastNetwork that ONNX Runtime computes; one picture at a time, whole: large ones take more memory than by
    torch."""
    smallest = FastNetwork.smallest

    def __init__(self, network, computed):
        super().__init__()
        self.network, self.computed, self.styles = network, computed, network.styles

    @property
    def device(self):
        return self.network.device

    def forward(self, x, weights=None, seed=0):
        weights = self.network.mix(weights, x)
        noise = [self.network.draw_noise(x.shape[2:], weights, seed)] if has_noise(self.network) else []
        return self.computed(x, weights, *noise)
