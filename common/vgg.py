"""Fixed feature networks for style, content and perceptual losses: VGG16, VGG19, SqueezeNet 1.1, and our own narrow `small`.

    trunk = vgg.load("small", ["relu1_1", "conv4_2"])       # a torch.nn.Module, frozen, only as deep as the deepest tap
    features = trunk(x)                                     # x (N, 3, H, W) RGB in [0, 1] -> {"relu1_1": (N, C, H, W), ...}

A tap's name says block, number and side of the ReLU: relu4_2 is behind it, conv4_2 before; Keras' block4_conv2 means relu4_2, because a
Keras layer contains its ReLU. SqueezeNet's taps are torchvision's: features.1, .4, .7, .12. Gradients flow to x, never to the weights.

Preprocessing belongs to weights, so a network without its tag is a bug. No file from elsewhere carries its tag (ours do): known files are
told by their digest, others need tag=. See TAGS.
"""
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import checkpoints
from common.config import ROOT
from common.errors import UserError, listed
from common.fetch import download
from common.files import impostor, sha256
from common.runtime import import_torchvision

TAGS = {                                                    # (mean, std): the network sees (x - mean) / std, x RGB in [0, 1]
    "torchvision": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),                          # torchvision's own training
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),   # 255 x - mean, RGB: the original VGG
    "squeeze": ((123 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255)),            # 255 x - (123, 117, 104): SqueezeNet's authors
    "rgb01": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),                                            # x itself
}
PADDINGS = ("zeros", "reflect")
LAYOUTS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}                              # convolutions per block
SMALL = checkpoints.CHECKPOINTS / "vgg19_style" / "release-small.pt"
RELEASES = {"vgg19": "vgg19-dcbb9e9d.pth", "vgg16": "vgg16-397923af.pth", "squeezenet": "squeezenet1_1-b8a52dc0.pth"}
URL = "https://download.pytorch.org/models/"                # torchvision's files: their names end in the beginning of their SHA-256
KNOWN = {                                                   # other files, by their SHA-256: tag and padding
    "1eacac80fc9a285e9f597f6d95f70b9796740b9984ad2ee44aba30e7a8b21988": ("caffe", "zeros"),     # vgg19_block1-3.npz
    "e4f4fc575b442d7b05396f1a58411a92d45db373621d91d024ccc026172b04c3": ("rgb01", "reflect"),   # vgg19_small16x.npz
    "86d6c00291b00fe7555445587664b883f96392dded92480d543a0292a252681f": ("squeeze", "zeros"),   # squeezenet1_1.npz
}
SQUEEZE_TAPS = {"features.1": 2, "features.4": 4, "features.7": 8, "features.12": 16}           # and their strides
KINDS = "torchvision's .pth, an .npz with its names, or a file of this project"


class Source(NamedTuple):
    """What a weights file holds: the network's name for outputs, its layout, the state_dict, how it wants its input, a digest."""
    name: str
    layout: str                         # vgg19 | vgg16 | squeezenet
    state: dict                         # torchvision's names, float32; `aux.*` of distilled networks too
    tag: str
    padding: str
    digest: str                         # of the content, hexadecimal
    path: Path


def layers(layout):
    """The names of a VGG's layers in torchvision's order, so that features.N is layers(layout)[N]: conv1_1, relu1_1, conv1_2 ... pool5."""
    names = []
    for block, count in enumerate(LAYOUTS[layout], 1):
        names += [f"{kind}{block}_{number}" for number in range(1, count + 1) for kind in ("conv", "relu")] + [f"pool{block}"]
    return names


def tap_name(name):
    """A tap as this module calls it: Keras' block4_conv2 is relu4_2."""
    block, _, conv = name.partition("_conv")
    return f"relu{block.removeprefix('block')}_{conv}" if block.startswith("block") and conv else name


class Trunk(nn.Module):
    """A VGG's convolutions up to its deepest tap. layout: vgg19 or vgg16; taps: names, see the head of this file.

    widths: channels of the five blocks. pooling: max or avg (Gatys et al. 2016; not compensated). padding: zeros (VGG's own) or reflect, of one
    pixel at every convolution. tag: key of TAGS. Parameter count at full width: 20,024,384 (VGG19) and 14,714,688 (VGG16) to pool5.
    """

    def __init__(self, layout, taps, widths=(64, 128, 256, 512, 512), pooling="max", padding="zeros", tag="torchvision"):
        super().__init__()
        self.layout, self.taps, self.widths, self.pooling, self.padding, self.tag = layout, list(taps), tuple(widths), pooling, padding, tag
        names = layers(layout)
        self.names = names[:1 + max(names.index(tap) for tap in taps)]
        self.features, channels = nn.ModuleDict(), 3
        for place, name in enumerate(self.names):
            if name.startswith("conv"):
                width = widths[int(name[4]) - 1]
                self.features[str(place)] = nn.Conv2d(channels, width, 3, padding=1, padding_mode=padding)
                channels = width
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in TAGS[tag])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, x):
        x = (x - self.mean) / self.std
        x, features = x.to(next(self.parameters()).dtype), {}
        for place, name in enumerate(self.names):
            if name.startswith("conv"):
                x = self.features[str(place)](x)
            elif name.startswith("relu"):                   # in place would overwrite a tap before it
                x = F.relu(x, inplace=self.names[place - 1] not in self.taps)
            else:
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
            if name in self.taps:
                features[name] = x
        return features

    def stride(self, tap):
        """Pixels per position of a tap: 1, 2, 4, 8 or 16."""
        return 2 ** sum(name.startswith("pool") for name in self.names[:self.names.index(tap)])

    def reach(self, tap):
        """How many pixels beyond its own cell of stride x stride a position of a tap depends on, to each side: 70 for relu5_1 of VGG19."""
        return sum(self.stride(name) for name in self.names[:self.names.index(tap) + 1] if name.startswith("conv"))

    @property
    def smallest(self):
        """The smallest side of a picture in pixels: reflection needs two cells at the deepest convolution, zeros one."""
        return self.stride(self.names[-1]) * (2 if self.padding == "reflect" else 1)


class SqueezeTrunk(nn.Module):
    """SqueezeNet 1.1 (torchvision's module) up to its deepest tap; taps: keys of SQUEEZE_TAPS. Its grid of stride 2 is not VGG's."""
    layout, padding, pooling, smallest = "squeezenet", "zeros", "max", 17

    def __init__(self, taps, tag="squeeze"):
        super().__init__()
        self.taps, self.tag = list(taps), tag
        depth = max(int(tap.split(".")[1]) for tap in taps)
        self.features = import_torchvision().models.squeezenet1_1(weights=None).features[:depth + 1]
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in TAGS[tag])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, x):
        x, features = ((x - self.mean) / self.std).to(next(self.parameters()).dtype), {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if f"features.{place}" in self.taps:
                features[f"features.{place}"] = x
        return features

    def stride(self, tap):
        return SQUEEZE_TAPS[tap]


# ---- loading ------------------------------------------------------------------------------------------------------------------------

def load(network, taps, *, tag=None, padding=None, pooling="max"):
    """A frozen trunk in evaluation mode, float32, with .name and .digest. network: see find(); taps: names.

    Raises UserError for every way in which file and taps do not fit, with what the file holds and what to do.
    """
    return build(read(network, tag, padding), taps, pooling)


def build(source, taps, pooling="max"):
    """The frozen trunk of a Source at these taps."""
    taps = [tap_name(tap) for tap in taps]
    held = tap_names(source)
    missing = [tap for tap in taps if tap not in held]
    if missing or not taps:
        raise UserError(f"{source.name} has no tap {listed(missing)}: {source.path} reaches to {held[-1]}: expected some of "
                        f"{', '.join(held)}: choose among these, or a network that reaches deeper")
    if source.layout == "squeezenet":
        trunk = SqueezeTrunk(taps, source.tag)
    else:
        trunk = Trunk(source.layout, taps, _widths(source), pooling, source.padding, source.tag)
    trunk.load_state_dict({name: source.state[name] for name in trunk.state_dict()})
    trunk.name, trunk.digest = source.name, source.digest
    return trunk.requires_grad_(False).eval()


def tap_names(source):
    """The taps that a Source can serve, from shallow to deep."""
    if source.layout == "squeezenet":
        return [tap for tap in SQUEEZE_TAPS if any(name.startswith(tap + ".") for name in source.state) or tap == "features.1"]
    names = layers(source.layout)
    deepest = max(int(name.split(".")[1]) for name in source.state if name.startswith("features."))
    return [name for name in names[:deepest + 2] if not name.startswith("pool")]


def _widths(source):
    """Channels of the five blocks; blocks that the file lacks have VGG's own."""
    widths = [64, 128, 256, 512, 512]
    for name, tensor in source.state.items():
        if name.startswith("features.") and name.endswith(".weight"):
            widths[int(layers(source.layout)[int(name.split(".")[1])][4]) - 1] = tensor.shape[0]
    return widths


def at_hand(network):
    """Whether a network can be had without a download."""
    return network in RELEASES and cached(network).is_file() or network == "small" and SMALL.is_file()


def best_at_hand():
    """The default network: vgg19 or vgg16 where torchvision's file lies in its cache, else small."""
    return next((name for name in ("vgg19", "vgg16") if at_hand(name)), "small")


def cached(network):
    """Where torchvision keeps its weights file of a network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / RELEASES[network]


def find(network):
    """The file of a network: vgg19, vgg16, squeezenet (torchvision's, downloaded into its cache where missing), small (ours), auto
    (best_at_hand), or a file, relative to the working directory or the repository."""
    network = best_at_hand() if network == "auto" else network
    if network == "small":
        if not SMALL.is_file():
            raise UserError(f"our own network is missing: {SMALL}: expected the release file: git checkout checkpoints/, or name another network")
        checkpoints.check_release(SMALL)
        return SMALL
    if network in RELEASES:
        path = cached(network)
        if not path.is_file():
            _download(network, path)
        if not sha256(path).startswith(path.stem.split("-")[-1]):
            raise UserError(f"not torchvision's {network}, or damaged: {path}: expected a SHA-256 that begins with "
                            f"{path.stem.split('-')[-1]}: remove it, and get it again from {URL}{path.name}")
        return path
    for path in (Path(os.path.expanduser(network)), ROOT / network):
        if path.is_file():
            return path.resolve()
    raise UserError(f"no such network: {network}: expected auto, {', '.join(RELEASES)}, small, or a file ({KINDS}): check the name")


def _download(network, path):
    try:
        download(URL + path.name, path)
    except UserError as problem:
        raise UserError(f"{network} is not on this machine and could not be downloaded: {path}: expected the file {path.name}: put it there "
                        f"(from {URL}{path.name}), or use network=small ({problem})") from None


def read(network, tag=None, padding=None):
    """The Source of a network (see find()). tag and padding are needed for full-width files from elsewhere, and refused against known ones."""
    path = find(network)
    state, known = _contents(path)
    if known is None:
        known = _known(path, state)
    layout = _layout(path, state)
    tag, padding = (_chosen(path, what, given, own) for what, given, own in zip(("tag", "padding"), (tag, padding), known))
    if tag is None:
        raise UserError(f"how this network wants its input is not known: {path}: no weights file says it: set the tag, one of "
                        f"{', '.join(TAGS)} (torchvision for weights trained there, caffe for the original VGG in RGB order)")
    if tag not in TAGS or (padding or "zeros") not in PADDINGS:
        raise UserError(f"unknown tag or padding: {tag}, {padding}: expected one of {', '.join(TAGS)}, and one of {', '.join(PADDINGS)}")
    named = next((name for name, file in RELEASES.items() if path.name == file), "small" if path == SMALL else path.stem)
    return Source(named, layout, state, tag, padding or "zeros", checkpoints.digest(state), path)


def _chosen(path, what, given, own):
    """The tag or padding: the file's own, else the one given; both and unequal is an error."""
    if own and given and own != given:
        raise UserError(f"{what} {given} does not belong to this file: {path} has {own}: leave the setting out")
    return own or given


def _known(path, state):
    """(tag, padding) of a file without them, by its digest or by what its shapes show; None where nobody can know."""
    digest = sha256(path)
    if digest in KNOWN:
        return KNOWN[digest]
    if any(path.name == file and digest.startswith(path.stem.split("-")[-1]) for file in RELEASES.values()):
        return "torchvision", "zeros"
    narrow = "features.0.weight" in state and len(state["features.0.weight"]) < 64
    return ("rgb01", "reflect") if narrow else (None, None)


def _contents(path):
    """(state with names features.* and aux.* in float32, (tag, padding) where the file says them) of a weights file."""
    head = path.read_bytes()[:512] if path.stat().st_size < 512 else path.open("rb").read(512)
    if wrong := impostor(head):
        raise UserError(f"{wrong[0]}: {path}: expected {KINDS}: {wrong[1]}")
    known = None
    if path.suffix == ".npz":
        raw = read_npz(path)
    else:
        try:
            raw = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:                          # torch has five exceptions for a broken file
            detail = "it is cut short or damaged" if "weights_only" not in str(error).lower() else "it holds Python objects, which are never run"
            raise UserError(f"not a readable weights file ({detail}): {path}: expected {KINDS}: get it again") from None
        if isinstance(raw, dict) and {"case", "model", "weights"} <= raw.keys():
            known = raw["model"].get("tag"), raw["model"].get("padding")
            raw = raw["weights"]
    if not isinstance(raw, dict):
        raise UserError(f"no table of weights: {path}: expected {KINDS}: give another file")
    state = {}
    for name, tensor in raw.items():
        name = str(name).removeprefix("module.")
        name = f"features.{name}" if name.split(".")[0].isdigit() else name
        if torch.is_tensor(tensor) and name.startswith(("features.", "aux.")):
            state[name] = tensor.float()
    return state, known


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
        if weight.shape != (len(bias), channels, 3, 3):
            wrong.append(f"features.{place}.weight ({names[place]}) is {tuple(weight.shape)}, expected ({len(bias)}, {channels}, 3, 3)")
        channels = len(bias)
    if wrong or not convolutions:
        raise UserError(f"not the weights of a VGG: {path}: {listed(wrong) or 'no features.* in it'}: expected {KINDS}: give another file")
    return layout
