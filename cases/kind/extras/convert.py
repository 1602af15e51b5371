"""Official KinD weights as a file of this project: python -m cases.kind.extras.convert FILE [FILE ...] -o out.pt

A file is an .npz of arrays by variable name, or the `.data-00000-of-00001` file of a TensorFlow 1 checkpoint, whose
network is told by its length. TensorFlow is not needed: such a file is the float32 values of all variables,
little-endian, one after the other in the byte order of their names. The authors give the weights without a licence: for
your own use.
"""
import argparse
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from cases.kind.model import AdjustNet, AutomaticRatio, DecomNet, RestorationNet
from common.base.errors import UserError, join_some, start
from common.base.files import impostor
from common.base.targets import expect_targets
from common.experiment import checkpoints

# the authors' names of the networks; their layers have the same names here as there
SCOPES = {"DecomNet": ("decomposition", DecomNet), "Restoration_net": ("restoration", RestorationNet),
          "Illumination_adjust_net": ("adjustment", AdjustNet)}


def variables(scope):
    """{TensorFlow's name: (key of KinD's state_dict, TensorFlow's shape)} of a network, in the checkpoint's order."""
    part, network = SCOPES[scope]
    found = {}
    for key, tensor in network().state_dict().items():
        layer, kind = key.split(".")
        shape = tuple(tensor.permute(2, 3, 1, 0).shape) if kind == "weight" else tuple(tensor.shape)
        found[f"{scope}/{layer}/{'weights' if kind == 'weight' else 'biases'}"] = f"{part}.{key}", shape
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def from_tensorflow(arrays):
    """Arrays by variable name as {key of KinD: float32 tensor}, for the networks whose variables are there.

    Kernels of convolutions [kh, kw, in, out] and of transposed ones [kh, kw, out, in] both become torch's by the
    permutation (3, 2, 0, 1). Raises UserError that names every missing, unknown or misshapen variable.
    """
    begun = {name.split("/")[0] for name in arrays}
    known = dict(chain.from_iterable(variables(scope).items() for scope in SCOPES if scope in begun))
    problems = [f"{name} is missing" for name in known if name not in arrays]
    problems += [f"{name} belongs to none of KinD's networks" for name in arrays if name not in known]
    problems += [f"{name} has the shape {list(arrays[name].shape)}, expected {list(shape)}"
                 for name, (_, shape) in known.items() if name in arrays and tuple(arrays[name].shape) != shape]
    problems += [f"{name} has values that are no finite numbers" for name in known
                 if name in arrays and not (arrays[name].dtype.kind in "fiu" and np.isfinite(arrays[name]).all())]
    if problems or not known:
        raise UserError(f"these are no weights of KinD: {join_some(problems) or 'there is no variable at all'}: "
                        f"expected all variables of {', '.join(SCOPES)}, or of some of them: give the authors' files, "
                        "or .npz files made from them")
    state = {}
    for name, (key, shape) in known.items():
        value = torch.from_numpy(np.array(arrays[name], dtype=np.float32))
        state[key] = value.permute(3, 2, 0, 1).contiguous() if len(shape) == 4 else value
    return state


def read_arrays(path):
    """{variable name: array} of an .npz file or of a TensorFlow checkpoint's data file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such file: {path}: an .npz or a checkpoint's .data-00000-of-00001 was expected: check the "
                        "path")
    head = path.read_bytes()[:512]
    if head.startswith(b"PK"):
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:                            # NumPy raises nearly everything on foreign files
            raise UserError(f"damaged, or not made by NumPy ({error}): {path}: an .npz of float arrays by variable "
                            "name was expected: get it again") from error
    if wrong := impostor(head):
        raise UserError(f"{wrong[0]}: {path}: an .npz or a checkpoint's data file was expected: {wrong[1]}")
    return raw_arrays(path)


def raw_arrays(path):
    """The variables of a TensorFlow 1 data file, by its length."""
    size = path.stat().st_size
    lengths = {4 * len(parameters_to_vector(network().parameters())): scope for scope, (_, network) in SCOPES.items()}
    if size not in lengths:
        expected = ", ".join(f"{length:,} ({scope})" for length, scope in lengths.items())
        raise UserError(f"{path} has {size:,} bytes: a checkpoint's data file of KinD has {expected}: get it again, or "
                        "name the right file (.data-00000-of-00001, not .index or .meta)")
    shapes = {name: shape for name, (_, shape) in variables(lengths[size]).items()}
    parts = np.split(np.fromfile(path, "<f4"), np.cumsum([np.prod(shape) for shape in shapes.values()])[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts)}


def convert(paths):
    """(settings of the network, its state_dict) from weights files of one, two or all three networks."""
    arrays = {}
    for path in paths:
        found = read_arrays(path)
        twice = sorted(set(found) & set(arrays))
        if twice:
            raise UserError(f"{path} has variables that an earlier file had: {join_some(twice, 3)}: one file per "
                            "network was expected: leave one out")
        arrays |= found
    state = from_tensorflow(arrays)
    parts = {key.split(".")[0] for key in state}
    missing = [part for part in ("decomposition", "adjustment") if part not in parts]
    if missing:
        raise UserError(f"{', '.join(map(str, paths))}: nothing for {' and '.join(missing)}: every network but the "
                        "restoration was expected: name its file, too")
    settings = {"restoration": "unet" if "restoration" in parts else "none", "channels": 32, "stretch": "minmax"}
    return settings, state | {f"automatic.{key}": value for key, value in AutomaticRatio().state_dict().items()}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.kind.extras.convert", description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="an .npz, or a TensorFlow 1 checkpoint's .data-00000-of-00001")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the weights file to write (.pt)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(argv)
    expect_targets([options.output], options.files)
    settings, state = convert(options.files)
    checkpoints.save(options.output, {"case": "kind", "model": settings, "weights": state})
    print(f"{options.output}: {sum(value.numel() for value in state.values()):,} values, restoration: "
          f"{settings['restoration']}")
    if settings["restoration"] == "none":
        print("without a restoration: say model.restoration=none to test.py")


if __name__ == "__main__":
    sys.exit(start(main))
