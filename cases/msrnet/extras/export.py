"""MSR-net as an ONNX graph: python -m cases.msrnet.extras.export [--weights W] [-o FOLDER]

picture (1, 3, h, w), RGB in [0, 1] (and its thumbnail, (1, 3, 32, 32), where the
network has an exposure) -> enhanced (1, 3, h, w), to be clamped.
"""
import sys
from functools import partial

from cases.msrnet.enhance import graphs
from cases.msrnet.model import MSRNet
from common.base.errors import start
from common.experiment import checkpoints, engine


def main(argv=None):
    engine.export("msrnet", partial(checkpoints.load_release, "msrnet", MSRNet), graphs, argv)


if __name__ == "__main__":
    sys.exit(start(main))
