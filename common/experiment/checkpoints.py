"""Weights and training states as files: written whole, read without pickle, checked by digest, every defect named.

A file is a dictionary of plain data, never of Python objects: `case`, `model` (the keyword arguments that build the
network), `weights` (its state_dict), `scales` (where weights are in 8 bits) and, in last.pt, what a run needs to go on.
A release file is made by python -m common.experiment.checkpoints release CASE RUN --as release
"""
import argparse
import hashlib
import io
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from common.base import paths
from common.base.errors import UserError, start
from common.base.files import impostor, sha256, write_whole
from common.data.formats import suffix_inside
from common.experiment.device import choose_device

STATE = {"settings", "data", "stage", "step", "done", "finished", "states", "best", "sums", "log_bytes", "random",
         "random_cuda"}                            # what last.pt has besides case, model and weights


class WeightsAlone(UserError):
    """A file of weights where the state of a training belongs."""


class Weights(NamedTuple):
    """What a weights file says: the network's arguments, its state_dict, a digest of the content, the file itself."""
    path: Path
    model: dict
    state: dict
    digest: str
    said: str          # how the choice came about, in a few words for the user


def digest(state):
    """A SHA-256 over names, types, shapes and values of a state_dict, as hexadecimal text: equal weights, equal
    digest."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def save(path, content, keep_previous=False):
    """Write content (plain data and tensors) to path, whole or not at all; the folder is made.

    keep_previous: what stood there before stays as previous.pt beside it, should the new file turn out unreadable.
    """
    path = Path(path)
    previous = path.with_name("previous.pt")
    buffer = io.BytesIO()                          # a file name would become part of the bytes
    torch.save(content, buffer)
    if keep_previous and path.exists():
        path.replace(previous)
    try:
        write_whole(path, buffer.getvalue())
    except UserError:                              # a full disk: what stood there is better than nothing
        if keep_previous and previous.exists() and not path.exists():
            previous.replace(path)
        raise


def load(path):
    """The dictionary in a weights file, on the CPU. Raises UserError, saying which, for every way a file can be
    broken."""
    content = read(path)
    if not isinstance(content, dict) or not {"case", "model", "weights"} <= content.keys():
        raise UserError(f"{path} is a file of torch, but not a weights file of this project: expected the entries "
                        "case, model and weights: give a file from checkpoints/")
    scales = content.get("scales", {})
    wrong = _odd_arguments(content["model"]) or odd_weights(content["weights"]) or _odd_scales(scales, content)
    if wrong:
        raise UserError(f"{path} is not a weights file of this project: {wrong}: expected the arguments of a network "
                        "and its tensors by name, as train.py writes them: give a file from checkpoints/, or train "
                        "again")
    content["weights"] |= {name: in_floats(content["weights"][name], scale) for name, scale in scales.items()}
    return content


def _odd_arguments(arguments):
    """What is wrong with the entry `model`, in words; None where it is a dictionary with names for keys."""
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        return "its entry model holds no arguments by name"
    return None


def odd_weights(weights):
    """What is wrong with a file's entry `weights`, in words; None where it holds plain tensors of numbers by name.

    Nothing of the size that a tensor claims is made before its values are known to be there.
    """
    if not isinstance(weights, dict):
        return f"its entry weights is {weights!r:.40} instead of tensors by name"
    for name, tensor in weights.items():
        if not isinstance(name, str) or not torch.is_tensor(tensor):
            return f"its weights have {name!r:.40}: {tensor!r:.40}, which is no tensor with a name"
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_complex():
            return (f"the tensor {name:.60} is a {tensor.device.type} tensor of {tensor.dtype}, {tensor.layout}: no "
                    "plain values")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            return (f"the tensor {name:.60} claims {tensor.numel()} values and has "
                    f"{tensor.untyped_storage().nbytes() // tensor.element_size()}")
        if torch.isnan(tensor).any():
            return f"the tensor {name:.60} holds NaN instead of numbers (of a training that went astray?)"
    return None


def _odd_scales(scales, content):
    """What is wrong with the entry `scales`, in words; None where it has one float for each slice of an int8 tensor."""
    if not isinstance(scales, dict):
        return f"its entry scales is {scales!r:.40} instead of tensors by name"
    if wrong := odd_weights(scales):
        return wrong
    for name, scale in scales.items():
        levels = content["weights"].get(name)
        if levels is None or levels.dim() < 2 or levels.dtype != torch.int8 or scale.dtype != torch.float32:
            return f"its scales name {name:.60}, of which there are no levels of 8 bits"
        if scale.shape != slices(levels).shape[:1]:
            return f"the tensor {name:.60} has {tuple(levels.shape)} levels and {tuple(scale.shape)} scales"
    return None


def load_state(path):
    """The dictionary in a last.pt: load(), with all that a training needs to go on. Raises UserError, also for a file
    of weights alone that was put in its place."""
    content = load(path)
    if missing := STATE - content.keys():
        raise WeightsAlone(f"{path} has weights, but no state of a training ({', '.join(sorted(missing)[:3])} are "
                           "missing): a last.pt that train.py wrote was expected: move it elsewhere; to start from "
                           "these weights, give that file as --weights")
    return content


def read(path):
    """What a file of torch holds, whoever wrote it, on the CPU: plain data and tensors. Raises UserError for every way
    it can be broken."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no weights file {path}: give another --weights, or train first")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:                     # torch has five exceptions for a broken file
        reason, remedy = _what_is(path, error)
        raise UserError(f"{path} is not a readable weights file: {reason}: {remedy}") from None


def _what_is(path, error):
    """(what a broken file really is, what to do), from its first bytes and torch's complaint."""
    head = path.read_bytes()[:512]
    again = "get it again, or train again"
    complaint = str(error).lower()
    if head[8:10] == b'{"':                        # eight bytes of length, then JSON
        return ("it is a safetensors file, whatever its name says",
                "give a .pt file of this project: safetensors hold no arguments of the network")
    if suffix_inside(head):
        return "it is a picture", "give a .pt file"
    if head.startswith((b"PK", b"\x80")) and ("weights_only" in complaint or "unsupported" in complaint):
        return "it holds Python objects (pickle), which are never executed here", again
    if head.startswith((b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF")):      # a zip, or torch's form before 1.6
        return "it is cut short or damaged, or another kind of zip file", again
    return impostor(head) or ("its beginning is not that of a torch file", again)


def find(case, run, wanted=None):
    """Choose a weights file and read it: what `--weights` says, else best, last of the run, else release. Returns
    Weights.

    wanted: a file, `best`, `last`, or the stem of a file in checkpoints/<case>/. Release files must match
    checkpoints/SHA256SUMS.
    """
    path, said = _choose(case, run, wanted)
    if path.parent == paths.CHECKPOINTS / case:
        check_release(path)
    content = load(path)
    if content["case"] != case:
        raise UserError(f"{path} has weights of {content['case']}, not of {case}: give a file from checkpoints/{case}/")
    return Weights(path, content["model"], content["weights"], digest(content["weights"]), said)


def _choose(case, run, wanted):
    folder = paths.CHECKPOINTS / case
    if wanted in ("best", "last"):
        return folder / run / f"{wanted}.pt", f"{wanted} of the run {run}"
    if wanted and (folder / f"{wanted}.pt").is_file():
        return folder / f"{wanted}.pt", f"the file {wanted}.pt in checkpoints/{case}"
    if wanted:
        stems = sorted(path.stem for path in folder.glob("*.pt"))
        if not Path(wanted).is_file():
            raise UserError(f"--weights {wanted}: no such file: expected a file, best, last, or one of "
                            f"{', '.join(stems) or '(no release files here)'}: see checkpoints/README.md")
        return Path(wanted), f"the file {wanted}"
    for name in ("best", "last"):
        if (folder / run / f"{name}.pt").is_file():
            return folder / run / f"{name}.pt", f"{name} of the run {run}"
    if (folder / "release.pt").is_file():
        return folder / "release.pt", f"release weights, since the run {run} has none of its own"
    raise UserError(f"the run {run} of {case} has no weights, and checkpoints/{case}/release.pt is missing: "
                    f"train first: python cases/{case}/train.py --name {run}")


def check_release(path):
    """Compare a file of checkpoints/<case>/ with its line in SHA256SUMS; files without a line are the user's own."""
    sums = paths.CHECKPOINTS / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    name = path.relative_to(paths.CHECKPOINTS).as_posix()
    released = [line.split()[0] for line in lines if line.endswith(f"  {name}")]
    if released and sha256(path) != released[-1]:
        raise UserError(f"{path} is not the file that was released: its SHA-256 differs from checkpoints/SHA256SUMS: "
                        f"get it again: git checkout checkpoints/{name}")


def build(network, weights, typed=()):
    """network(**weights.model) with the weights loaded, in evaluation mode and float32.

    typed: the settings given on the command line; a `model.` key among them that differs from the file's is an error
    naming both.
    """
    for key, value in dict(typed).items():
        name = key.removeprefix("model.")
        if key.startswith("model.") and weights.model.get(name) != value:
            raise UserError(f"{key}={value} (given on the command line) differs from the weights in {weights.path}, "
                            f"which were made with {name}={weights.model.get(name)}: leave the key out, or give other "
                            "--weights")
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.state.items()}
    try:
        with torch.device("meta"), Undrawn():      # without memory: foreign arguments may ask for any size
            network(**weights.model).load_state_dict(state, assign=True)
        model = network(**weights.model)
        model.load_state_dict(state)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError, MemoryError,
            RuntimeError) as error:                # whatever foreign arguments bring about in a constructor
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{weights.path} does not fit {network.__name__}: {reason}: give weights that this network "
                        "made") from None
    return model.eval()


class Undrawn(TorchFunctionMode):
    """Inside it normal start values are not drawn: to draw them for a tensor without memory, torch would import its
    compiler, for seconds."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return args[0] if function is torch.Tensor.normal_ else function(*args, **(kwargs or {}))


def load_release(case, network, name="release"):
    """network with the weights of checkpoints/<case>/<name>.pt, in evaluation mode, on the CPU."""
    return build(network, find(case, "", name))


@cache
def release_here(case, network, name="release"):
    """(load_release() on the best device of this machine, that device), read once."""
    device = choose_device("auto")
    return load_release(case, network, name).to(device), device


def release(case, run, name, half=False, eight=None):
    """Copy best.pt of a run to checkpoints/<case>/<name>.pt, weights and arguments alone, and enter it in SHA256SUMS.

    half: store float16 (half the size; they are computed with in float32), but for tensors that it cannot hold.
    eight: store kernels in 8 bits (in_levels) where their names begin with this, the rest as with half: what a result
    hangs on delicately, as KinD's light ratio does on the decomposition, need not be among them. Returns the path.
    """
    content = load(paths.CHECKPOINTS / case / run / "best.pt")
    kernels = {key: in_levels(tensor) for key, tensor in content["weights"].items()
               if eight is not None and key.startswith(eight) and is_kernel(tensor)}
    if eight and not kernels:
        raise UserError(f"--eight {eight}: no kernel of {case} has a name that begins so: expected one of "
                        f"{', '.join(sorted({key.split('.')[0] for key in content['weights']}))}: mend the name")
    half = half or eight is not None
    state = {key: tensor.half() if half and fits_half(tensor) else tensor.clone()
             for key, tensor in content["weights"].items()}
    state |= {key: levels for key, (levels, _) in kernels.items()}
    scales = {"scales": {key: scale for key, (_, scale) in kernels.items()}} if kernels else {}
    path = paths.CHECKPOINTS / case / f"{name}.pt"
    save(path, {"case": case, "model": content["model"], "weights": state, "settings": content["settings"]} | scales)
    sums = paths.CHECKPOINTS / "SHA256SUMS"
    entry = path.relative_to(paths.CHECKPOINTS).as_posix()
    lines = [line for line in (sums.read_text(encoding="utf-8").splitlines() if sums.exists() else [])
             if not line.endswith("  " + entry)]
    write_whole(sums, "".join(f"{line}\n" for line in sorted([*lines, f"{sha256(path)}  {entry}"],
                                                             key=lambda line: line[66:])).encode())
    return path


def average(case, run, first, second, share):
    """Make best.pt of a run from two files of one network, as --weights names them: w = (1 - share) first + share
    second. For a network and one trained on from it: between what each is good at. Returns the path."""
    files = [find(case, run, wanted).path for wanted in (first, second)]
    contents = [load(path) for path in files]
    shapes = [{name: tensor.shape for name, tensor in content["weights"].items()} for content in contents]
    if shapes[0] != shapes[1]:
        raise UserError(f"{files[0]} and {files[1]} are not the same network: equal tensors were expected: give two "
                        "files of one network")
    state = {name: torch.lerp(tensor.float(), contents[1]["weights"][name].float(), share).to(tensor.dtype)
             for name, tensor in contents[0]["weights"].items()}
    path = paths.CHECKPOINTS / case / run / "best.pt"
    save(path, {"case": case, "model": contents[1]["model"], "weights": state,
                "settings": contents[1].get("settings", {})})
    return path


def is_kernel(tensor):
    """Whether a tensor is worth 8 bits: of convolutions and linear layers, which hold nearly all values."""
    return tensor.is_floating_point() and tensor.dim() > 1 and bool(tensor.isfinite().all())


def in_levels(tensor):
    """(levels, scales): int8 of the tensor's shape, and a float32 for each slice along its first dimension, an output
    channel (of a transposed convolution an input channel): w = level * scale, level = round(w / scale), largest 127."""
    values = slices(tensor).float()                                          # (C, the rest)
    scale = values.abs().amax(dim=1).clamp_min(1e-12) / 127
    return (values / scale[:, None]).round().to(torch.int8).reshape(tensor.shape), scale


def in_floats(levels, scale):
    """The float32 tensor of in_levels' two, within half a scale of what it was."""
    return (slices(levels).float() * scale[:, None]).reshape(levels.shape)


def slices(tensor):
    """A tensor as (first dimension, the rest)."""
    return tensor.reshape(tensor.shape[0], -1)


def fits_half(tensor):
    """Whether float16, whose largest number is 65504, holds all values of a floating-point tensor."""
    return tensor.is_floating_point() and bool((tensor.abs() <= torch.finfo(torch.float16).max).all())


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.experiment.checkpoints",
                                     description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("release", help="make checkpoints/CASE/NAME.pt from best.pt of a run")
    make.add_argument("case")
    make.add_argument("run")
    make.add_argument("--as", dest="name", default="release", help="file name without .pt (default release)")
    make.add_argument("--half", action="store_true", help="store float16")
    make.add_argument("--eight", metavar="PART", nargs="?", const="", help="store 8 bits per weight and a scale per "
                      "output channel: all kernels, or those whose names begin with PART; the rest in float16")
    blend = commands.add_parser("average", help="make best.pt of a run from two files of one network")
    blend.add_argument("case")
    blend.add_argument("run")
    blend.add_argument("first")
    blend.add_argument("second")
    blend.add_argument("--share", type=float, required=True, help="of the second file's weights")
    arguments = parser.parse_args(argv)
    if arguments.command == "average":
        print(average(arguments.case, arguments.run, arguments.first, arguments.second, arguments.share))
        return
    path = release(arguments.case, arguments.run, arguments.name, arguments.half, arguments.eight)
    weights = find(arguments.case, arguments.run, str(path))
    values = sum(tensor.numel() for tensor in weights.state.values())
    print(f"{path}: {path.stat().st_size:,} bytes, {values:,} values, content {weights.digest[:16]}")


if __name__ == "__main__":
    sys.exit(start(main))
