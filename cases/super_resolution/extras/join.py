"""One run whose network enlarges by several scales, of the runs that were trained for one each.

    python -m cases.super_resolution.extras.join x2 x3 x4 --name joined
    python -m common.experiment.checkpoints release super_resolution joined --half

The best weights of the runs become checkpoints/super_resolution/joined/best.pt; the second command makes
release.pt of it.
"""
import argparse
import sys

from cases.super_resolution.model import SuperResolution
from common.base import paths
from common.base.errors import UserError, start
from common.experiment import checkpoints
from common.experiment.options import check_name

CASE = "super_resolution"


def join(contents):
    """The contents of several weights files as one, their scales in order. Raises UserError where two have the same
    scale, or where the networks differ in more than the scale."""
    scales, weights, model = [], {}, None
    for name, content in contents.items():
        own = {key: value for key, value in content["model"].items() if key != "scales"}
        if model not in (None, own):
            raise UserError(f"the network of {name} is of other sizes ({own}) than the one before it ({model}): "
                            "networks that differ in the scale alone were expected: join others")
        if again := set(scales) & set(content["model"]["scales"]):
            raise UserError(f"{name} enlarges by {min(again)}, as a run before it: one run for a scale was expected: "
                            "leave one out")
        model = own
        scales += content["model"]["scales"]
        weights |= content["weights"]
    return {"case": CASE, "model": model | {"scales": sorted(scales)}, "weights": weights,
            "settings": {name: content.get("settings") for name, content in contents.items()}}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.super_resolution.extras.join",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="runs of train.py, one for each scale")
    parser.add_argument("--name", default="joined", help="the new run's name (default joined)")
    options = parser.parse_args(argv)
    folder = paths.CHECKPOINTS / CASE
    target = folder / check_name(options.name) / "best.pt"
    if options.name in options.runs or target.exists():
        raise UserError(f"there is a run {options.name} already: {target}: a new name was expected: choose another "
                        "--name, or remove that folder")
    contents = {run: checkpoints.load(folder / run / "best.pt") for run in options.runs}
    joined = join(contents)
    checkpoints.save(target, joined)
    weights = checkpoints.find(CASE, options.name, str(target))
    checkpoints.build(SuperResolution, weights)
    print(f"{target}: scales {', '.join(map(str, joined['model']['scales']))}, content {weights.digest[:12]}")


if __name__ == "__main__":
    sys.exit(start(main))
