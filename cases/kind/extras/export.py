"""KinD's decomposition and restoration as ONNX graphs: python -m cases.kind.extras.export [--weights W] [-o FOLDER]

stretched (1, 3, h, w) -> reflectance (1, 3, h, w), illumination (1, 1, h, w);
reflectance, illumination -> restored (1, 3, h, w). Values are in [0, 1].
"""
import sys
from functools import partial

from cases.kind.enhance import graphs
from cases.kind.model import KinD
from common.base.errors import start
from common.experiment import checkpoints, engine


def main(argv=None):
    engine.export("kind", partial(checkpoints.load_release, "kind", KinD), graphs, argv)


if __name__ == "__main__":
    sys.exit(start(main))
