"""Weights from elsewhere: state dicts of the PyTorch ports of SiamFC, by an explicit mapping of their keys.

test.py, figures.py and the tracker read such files directly; for train.py --weights out.pt make a weights file of this
project of one:  python -m cases.siamfc.weights FILE -o out.pt [--bias B]
--bias: the scalar b of the paper, which such files often lack; it moves no peak, but decides what the penalty on
changed sizes does.
"""
import argparse
import re
import sys
from pathlib import Path

import torch

from cases.siamfc.model import SiamFC
from common.base.errors import UserError, join_some, start
from common.base.targets import expect_targets
from common.experiment import checkpoints

# Layers of the layout `features.N` (or `feature.N`): one nn.Sequential for the whole network, pools and ReLUs counted.
NUMBERED = {"0": "conv1.0", "1": "conv1.1", "4": "conv2.0", "5": "conv2.1", "8": "conv3.0", "9": "conv3.1",
            "11": "conv4.0", "12": "conv4.1", "14": "conv5.0"}


def our_key(key):
    """The key of SiamFC's state dict for a key of a port: `module.` off, `backbone.` before, numbers by NUMBERED."""
    key = key.removeprefix("module.")
    numbered = re.fullmatch(r"features?\.(\d+)\.(\w+)", key)
    if numbered and numbered[1] in NUMBERED:
        return f"backbone.{NUMBERED[numbered[1]]}.{numbered[2]}"
    if key in ("corr_bias", "bias", "adjust.bias"):
        return "bias"
    return f"backbone.{key}" if re.match(r"conv\d\.", key) else key


def from_port(state, name="the given weights"):
    """(arguments of SiamFC, its state dict) of a port's state dict. The widths are read off the shapes.

    Raises UserError where a tensor is missing, left over, of another shape or without values.
    """
    if odd := checkpoints.odd_weights(state):
        raise UserError(f"{name} are no weights: {odd}: the 30 tensors of the usual port were expected: give another "
                        "file")
    ours = {our_key(key): tensor for key, tensor in state.items()}
    convolutions = [f"backbone.conv{number}.0.weight" for number in range(1, 6)]
    missing = [key for key in convolutions if key not in ours or ours[key].dim() != 4]
    if missing:
        raise UserError(f"{name} has no AlexNet of SiamFC in it: {join_some(missing)} missing: the 30 tensors of the "
                        "usual port were expected (backbone.conv1.0.weight and so on): give another file")
    if "bias" in ours and ours["bias"].numel() == 1:
        ours["bias"] = ours["bias"].reshape(())
    arguments = {"widths": [ours[key].shape[0] for key in convolutions], "bias": "bias" in ours}
    try:
        with torch.device("meta"), checkpoints.Undrawn():  # without memory: foreign shapes may ask for any size
            expected = SiamFC(**arguments).state_dict()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{name} does not fit AlexNetV1: {error}: give weights of that network") from None
    wrong = ([f"{key} is missing" for key in expected if key not in ours]
             + [f"{key} is unknown" for key in ours if key not in expected])
    wrong += [f"{key} is {tuple(ours[key].shape)}, expected {tuple(tensor.shape)}"
              for key, tensor in expected.items() if key in ours and ours[key].shape != tensor.shape]
    if wrong:
        raise UserError(f"{name} does not fit AlexNetV1 (of AlexNetV2 and V3 there is none here): {join_some(wrong)}: "
                        "give weights of that network")
    return arguments, ours


def read(path):
    """checkpoints.Weights of a file of this project or of a port. Raises UserError for anything else."""
    path = Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:                                      # whatever is wrong, checkpoints.load says it well
        checkpoints.load(path)
        raise
    if isinstance(content, dict) and content and all(torch.is_tensor(value) for value in content.values()):
        arguments, state = from_port(content, str(path))
        return checkpoints.Weights(path, arguments, state, checkpoints.digest(state),
                                   f"the file {path}, in the port's layout")
    return checkpoints.find("siamfc", "", str(path))


def choose_weights(run):
    """run.weights(), and for --weights also a port's file."""
    wanted = run.options.weights
    if not wanted or not Path(wanted).is_file():
        return run.weights()
    weights = read(wanted)
    run.say(f"weights: {weights.said} (content {weights.digest[:12]})")
    return weights


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.weights", description=__doc__.split("\n\n")[0])
    parser.add_argument("file")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--bias", type=float, help="the scalar added to the responses, in place of the file's")
    options = parser.parse_args(argv)
    expect_targets([options.output], [options.file])
    weights = read(options.file)
    model, state = dict(weights.model), dict(weights.state)
    if options.bias is not None:
        model["bias"], state["bias"] = True, torch.tensor(options.bias)
    content = torch.load(options.file, map_location="cpu", weights_only=True)
    settings = {"settings": content["settings"]} if "settings" in content else {}       # of a training of this project
    checkpoints.save(options.output, {"case": "siamfc", "model": model, "weights": state} | settings)
    print(f"{options.output}: widths {model['widths']}, content {checkpoints.digest(state)[:16]}")


if __name__ == "__main__":
    sys.exit(start(main))
