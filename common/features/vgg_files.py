"""Weights files of feature networks: where they are found, what is in them, and how each wants its input."""
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from common.base import paths
from common.base.errors import UserError, join_some
from common.base.files import impostor, sha256
from common.data.download import download
from common.experiment import checkpoints

TAGS = {                                                    # (mean, std): the network sees (x - mean) / std
    "torchvision": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),                          # torchvision's own training
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3),                # the original VGG, in RGB
    "squeeze": ((123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3),                         # SqueezeNet's authors
    "rgb01": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),                                            # x itself, RGB in [0, 1]
}
PADDINGS = ("zeros", "reflect")
LAYOUTS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}                              # convolutions per block
SMALL = paths.CHECKPOINTS / "vgg19_style" / "release-small.pt"
RELEASES = {"vgg19": "vgg19-dcbb9e9d.pth", "vgg16": "vgg16-397923af.pth", "squeezenet": "squeezenet1_1-b8a52dc0.pth"}
URL = "https://download.pytorch.org/models/"                # of RELEASES, whose names end in how their SHA-256 begins
KNOWN = {                                                   # other files, by their SHA-256: tag and padding
    "1eacac80fc9a285e9f597f6d95f70b9796740b9984ad2ee44aba30e7a8b21988": ("caffe", "zeros"),     # vgg19_block1-3.npz
    "e4f4fc575b442d7b05396f1a58411a92d45db373621d91d024ccc026172b04c3": ("rgb01", "reflect"),   # vgg19_small16x.npz
    "86d6c00291b00fe7555445587664b883f96392dded92480d543a0292a252681f": ("squeeze", "zeros"),   # squeezenet1_1.npz
}
KINDS = "torchvision's .pth, an .npz with its names, or a file of this project"


class Source(NamedTuple):
    """What a weights file holds, and how the network in it wants its input."""
    name: str                           # of the network, for outputs
    layout: str                         # vgg19 | vgg16 | squeezenet
    state: dict                         # torchvision's names, float32; `aux.*` of distilled networks too
    tag: str
    padding: str
    digest: str                         # of the content, hexadecimal
    path: Path


def layers(layout):
    """The names of a VGG's layers in torchvision's order, conv1_1, relu1_1, conv1_2 ... pool5: [N] is features.N."""
    names = []
    for block, count in enumerate(LAYOUTS[layout], 1):
        names += [f"{kind}{block}_{number}" for number in range(1, count + 1) for kind in ("conv", "relu")]
        names += [f"pool{block}"]
    return names


def at_hand(network):
    """Whether a network can be had without a download."""
    return network in RELEASES and cache_path(network).is_file() or network == "small" and SMALL.is_file()


def best_at_hand():
    """The default network: vgg19 or vgg16 where torchvision's file lies in its cache, else small."""
    return next((name for name in ("vgg19", "vgg16") if at_hand(name)), "small")


def cache_path(network):
    """Where torchvision keeps its weights file of a network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / RELEASES[network]


def find(network):
    """The file of a network, by its name or path.

    Names: vgg19, vgg16, squeezenet (torchvision's, downloaded into its cache where missing), small (ours), auto
    (best_at_hand). A path is relative to the working directory or the repository.
    """
    network = best_at_hand() if network == "auto" else network
    if network == "small":
        if not SMALL.is_file():
            raise UserError(f"our own network is missing: {SMALL}: expected the release file: git checkout "
                            "checkpoints/, or name another network")
        checkpoints.check_release(SMALL)
        return SMALL
    if network in RELEASES:
        path = cache_path(network)
        if not path.is_file():
            _download(network, path)
        if not sha256(path).startswith(path.stem.split("-")[-1]):
            raise UserError(f"not torchvision's {network}, or damaged: {path}: expected a SHA-256 that begins with "
                            f"{path.stem.split('-')[-1]}: remove it, and get it again from {URL}{path.name}")
        return path
    for path in (Path(os.path.expanduser(network)), paths.ROOT / network):
        if path.is_file():
            return path.resolve()
    raise UserError(f"no such network: {network}: expected auto, {', '.join(RELEASES)}, small, or a file ({KINDS}): "
                    "check the name")


def _download(network, path):
    try:
        download(URL + path.name, path)
    except UserError as problem:
        raise UserError(f"{network} is not on this machine and could not be downloaded: {path}: expected the file "
                        f"{path.name}: put it there (from {URL}{path.name}), or use network=small "
                        f"({problem})") from None


def read(network, tag=None, padding=None):
    """The Source of a network, by what find() takes.

    tag and padding are needed for full-width files from elsewhere, and refused against known ones.
    """
    path = find(network)
    state, known = _contents(path)
    layout = _layout(path, state)
    known = known or _recognise(path, state)
    tag, padding = (_reconcile(path, what, given, own)
                    for what, given, own in zip(("tag", "padding"), (tag, padding), known))
    if tag is None:
        raise UserError(f"how this network wants its input is not known: {path}: no weights file says it: set the tag, "
                        f"one of {', '.join(TAGS)} (torchvision for weights trained there, caffe for the original VGG "
                        "in RGB order)")
    if tag not in TAGS or (padding or "zeros") not in PADDINGS:
        raise UserError(f"unknown tag or padding: {tag}, {padding}: expected one of {', '.join(TAGS)}, and one of "
                        f"{', '.join(PADDINGS)}")
    named = next((name for name, file in RELEASES.items() if path.name == file),
                 "small" if path == SMALL else path.stem)
    return Source(named, layout, state, tag, padding or "zeros", checkpoints.digest(state), path)


def _reconcile(path, what, given, own):
    """The tag or padding: the file's own, else the one given; both and unequal is an error."""
    if own and given and own != given:
        raise UserError(f"{what} {given} does not belong to this file: {path} has {own}: leave the setting out")
    return own or given


def _recognise(path, state):
    """(tag, padding) of a file without them, by its digest or its shapes; both None where nobody can know."""
    digest = sha256(path)
    if digest in KNOWN:
        return KNOWN[digest]
    if any(path.name == file and digest.startswith(path.stem.split("-")[-1]) for file in RELEASES.values()):
        return "torchvision", "zeros"
    narrow = "features.0.weight" in state and len(state["features.0.weight"]) < 64
    return ("rgb01", "reflect") if narrow else (None, None)


def _contents(path):
    """(state with names features.* and aux.* in float32, (tag, padding) where the file says them) of a weights file."""
    with path.open("rb") as file:
        head = file.read(512)
    if wrong := impostor(head):
        raise UserError(f"{wrong[0]}: {path}: expected {KINDS}: {wrong[1]}")
    known = None
    if path.suffix == ".npz":
        raw = read_npz(path)
    else:
        try:
            raw = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:                          # torch has five exceptions for a broken file
            detail = ("it holds Python objects, which are never run" if "weights_only" in str(error).lower()
                      else "it is cut short or damaged")
            raise UserError(f"not a readable weights file ({detail}): {path}: expected {KINDS}: get it again") from None
        if isinstance(raw, dict) and {"case", "model", "weights"} <= raw.keys():
            own = raw["model"] if isinstance(raw["model"], dict) else {}
            known = tuple(own[name] if isinstance(own.get(name), str) else None for name in ("tag", "padding"))
            raw = raw["weights"]
    if not isinstance(raw, dict):
        raise UserError(f"no table of weights: {path}: expected {KINDS}: give another file")
    state = {}
    for name, tensor in raw.items():
        name = str(name).removeprefix("module.")
        name = f"features.{name}" if name.split(".")[0].isdigit() else name
        if torch.is_tensor(tensor) and re.match(r"features\.\d+\.|aux\.", name):
            state[name] = tensor
    if wrong := checkpoints.odd_weights(state):
        raise UserError(f"no weights of a network: {path}: {wrong}: expected {KINDS}: get it again")
    return {name: tensor.float() for name, tensor in state.items()}, known


def read_npz(path):
    """{name: tensor} of an .npz file, read without pickle. Raises UserError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except Exception as error:                              # NumPy raises nearly everything on foreign files
        raise UserError(f"not a readable .npz file: {path}: expected arrays under torchvision's names: get it again "
                        f"({str(error).splitlines()[0]})") from None


def _layout(path, state):
    """vgg19, vgg16 or squeezenet, from names and shapes, which must fit. Raises UserError naming what does not."""
    if any("squeeze" in name for name in state):
        return "squeezenet"
    convolutions = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    layout = "vgg16" if 17 in convolutions or {16, 19}.isdisjoint(convolutions) and 24 in convolutions else "vgg19"
    names, channels, wrong = layers(layout), 3, []
    for place in range(max(convolutions, default=0) + 1):
        if not names[place:place + 1] or not names[place].startswith("conv"):
            wrong += [f"features.{place} is no convolution of {layout}"] if place in convolutions else []
            continue
        weight, bias = (state.get(f"features.{place}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None:
            wrong.append(f"features.{place} ({names[place]}) is missing")
            break
        if bias.dim() != 1 or weight.shape != (len(bias), channels, 3, 3):
            wrong.append(f"features.{place}.weight ({names[place]}) is {tuple(weight.shape)}, "
                         f"expected ({bias.numel()}, {channels}, 3, 3)")
        channels = bias.numel()
    if wrong or not convolutions:
        raise UserError(f"not the weights of a VGG: {path}: {join_some(wrong) or 'no features.* in it'}: expected "
                        f"{KINDS}: give another file")
    return layout
