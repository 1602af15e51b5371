"""Networks of pytorch/examples' fast_neural_style and its many descendants as weights files of this project:

    python -m cases.vgg19_style.fast.convert candy.model -o candy.pt

They are Johnson et al. 2016 with instance norm. A file is a .pth or .model of torch, old form (before 1.6) or new, or
an .npz of the same names; test.py's --weights reads it as well. They paint pictures of 0..255, ours of [0, 1]: the
first convolution is multiplied by 255, the last one divided by it, which changes nothing but rounding.
"""
import argparse
import sys
from pathlib import Path

import torch

from cases.vgg19_style.fast.network import BLOCKS, FastNetwork
from common.base.errors import UserError, join_some, start
from common.base.files import impostor
from common.base.targets import expect_targets
from common.experiment import checkpoints
from common.features.vgg_files import read_npz

EXPECTED = ("a network of pytorch/examples' fast_neural_style (.pth, .model or .npz with conv1.conv2d.weight and so "
            "on) was expected")
UNUSED = ("running_mean", "running_var", "num_batches_tracked")     # instance norm kept them before torch 0.4


def names():
    """{entry of those files: (our entry, whether it is a norm's: ours has a row for each style)}."""
    found, parts = {}, {False: ("weight", "bias"), True: ("gamma", "beta")}
    for number in range(3):
        found[f"conv{number + 1}.conv2d"] = f"down.{number}.convolution", False
        found[f"in{number + 1}"] = f"down.{number}.norm", True
    for number in range(BLOCKS):
        for half, ours in enumerate(("first", "second"), 1):
            found[f"res{number + 1}.conv{half}.conv2d"] = f"residual.{number}.{ours}.convolution", False
            found[f"res{number + 1}.in{half}"] = f"residual.{number}.{ours}.norm", True
    for number in range(2):
        found[f"deconv{number + 1}.conv2d"] = f"up.{number}.convolution", False
        found[f"in{number + 4}"] = f"up.{number}.norm", True
    found["deconv3.conv2d"] = "last", False
    return {f"{theirs}.{part}": (f"{module}.{own}", norm) for theirs, (module, norm) in found.items()
            for part, own in zip(("weight", "bias"), parts[norm])}


def translate(state, path):
    """(arguments of FastNetwork, its state_dict) of a foreign one.

    Raises UserError that names every missing, unknown or misshapen entry."""
    state = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if name.split(".")[-1] not in UNUSED}
    if odd := checkpoints.odd_weights(state):
        raise UserError(f"no network that paints: {path}: {odd}: {EXPECTED}: give another file")
    first = state.get("conv1.conv2d.weight")
    if not torch.is_tensor(first) or first.dim() != 4 or not len(first):
        raise UserError(f"no network that paints: {path}: it has {join_some(state, 3) or 'no entries'}: {EXPECTED}: "
                        "give another file")
    arguments = {"width": len(first), "styles": [Path(path).stem]}
    with torch.device("meta"):                              # without memory: a foreign width may be any number
        ours = FastNetwork(**arguments).state_dict()
    found, problems, known = {}, [], names()
    for name, (key, norm) in known.items():
        tensor, shape = state.get(name), ours[key].shape[1:] if norm else ours[key].shape
        if not torch.is_tensor(tensor):
            problems.append(f"{name} is missing")
        elif tensor.shape != shape:
            problems.append(f"{name} is {list(tensor.shape)}, not {list(shape)}")
        elif not tensor.isfinite().all():
            problems.append(f"{name} has values that are not numbers")
        else:
            found[key] = tensor.float().reshape(ours[key].shape)
    problems += [f"{name} is unknown" for name in state if name not in known]
    if problems:
        raise UserError(f"another network than pytorch/examples': {path}: {join_some(problems, 4)}: {EXPECTED}: give "
                        "another file")
    found["down.0.convolution.weight"] = found["down.0.convolution.weight"] * 255
    found["last.weight"], found["last.bias"] = found["last.weight"] / 255, found["last.bias"] / 255
    return arguments, found


def read(path):
    """The checkpoints.Weights in a foreign file; None for ours. Raises UserError for every way it can be broken."""
    path = Path(path)
    if path.is_file() and (wrong := impostor(path.open("rb").read(512))):
        raise UserError(f"{wrong[0]}: {path}: {EXPECTED}: {wrong[1]}")
    content = read_npz(path) if path.suffix == ".npz" and path.is_file() else checkpoints.read(path)
    if not isinstance(content, dict):
        raise UserError(f"no table of weights: {path}: {EXPECTED}: give another file")
    if {"case", "model", "weights"} <= content.keys():
        return None
    arguments, state = translate(content, path)
    return checkpoints.Weights(path, arguments, state, checkpoints.digest(state), f"the foreign network {path}")


def convert(path, target):
    """Write a foreign network as a weights file of this project. Returns its Weights."""
    weights = read(path)
    if weights is None:
        raise UserError(f"a weights file of this project already: {path}: {EXPECTED}: use it as it is")
    checkpoints.save(target, {"case": "vgg19_style", "model": weights.model, "weights": weights.state})
    return weights


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.vgg19_style.fast.convert",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="a .pth, .model or .npz of pytorch/examples' fast_neural_style")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the file to write (.pt), or a folder")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(argv)
    output = Path(options.output)
    if len(options.files) > 1 and output.suffix == ".pt":
        raise UserError(f"--output {output} is one file for {len(options.files)} networks: a folder was expected: name "
                        "a folder")
    files = list(map(Path, options.files))
    targets = [output if output.suffix == ".pt" else output / f"{path.stem}.pt" for path in files]
    expect_targets(targets, files)
    for path, target in zip(files, targets, strict=True):
        weights = convert(path, target)
        print(f"{target}: {sum(value.numel() for value in weights.state.values()):,} values, width "
              f"{weights.model['width']}")


if __name__ == "__main__":
    sys.exit(start(main))
