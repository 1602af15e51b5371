"""The network that paints in one pass as ONNX: python -m cases.vgg19_style.extras.export [--weights W] [-o FOLDER]

picture (1, 3, h, w), RGB in [0, 1], and weights (1, S), how much of each style, summing to 1 -> painted (1, 3, h, w),
to be clamped. A network with noise has a third input, noise (5, S, h / 4, w / 4), rounded up: standard normal numbers.
"""
import sys
from pathlib import Path

from cases.vgg19_style.fast import convert
from cases.vgg19_style.fast.graph import graphs
from cases.vgg19_style.fast.network import FastNetwork
from cases.vgg19_style.fast.train import RELEASE
from common.base.errors import start
from common.experiment import checkpoints, engine


def load(name):
    """The FastNetwork of a release, or of a file, this project's or a foreign one."""
    foreign = convert.read(name) if Path(name).is_file() else None
    return checkpoints.build(FastNetwork, foreign or checkpoints.find("vgg19_style", "", name))


def main(argv=None):
    network = engine.export("vgg19_style", load, graphs, argv, RELEASE)
    print(f"weights, in this order: {', '.join(network.styles)}")


if __name__ == "__main__":
    sys.exit(start(main))
