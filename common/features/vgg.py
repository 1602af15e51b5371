"""Fixed feature networks for style, content and perceptual losses: VGG16, VGG19, SqueezeNet 1.1, our narrow `small`.

    trunk = vgg.load("small", ["relu1_1", "conv4_2"])       # a torch.nn.Module, frozen, only as deep as the deepest tap
    features = trunk(x)                         # x (N, 3, H, W) RGB in [0, 1] -> {"relu1_1": (N, C, H, W), ...}

A tap's name says block, number and side of the ReLU: relu4_2 is behind it, conv4_2 before; Keras' block4_conv2 means
relu4_2, because a Keras layer contains its ReLU. SqueezeNet's taps are torchvision's: features.1, .4, .7, .12.
Gradients flow to x, never to the weights.

Preprocessing belongs to weights, so a network without its tag is a bug. No file from elsewhere carries its tag (ours
do): known files are told by their digest, others need tag=. vgg_files.py has the tags and reads the files.
"""
import hashlib

import torch
import torch.nn.functional as F
from torch import nn

from common.base.errors import UserError, join_some
from common.experiment.device import import_torchvision
from common.features.vgg_files import TAGS, layers, read

DEEPER = "deeper:"                      # before a tap: the last of joined networks' own
SQUEEZE_TAPS = {"features.1": 2, "features.4": 4, "features.7": 8, "features.12": 16}       # and their strides


def tap_name(name):
    """A tap as this module calls it: Keras' block4_conv2 is relu4_2."""
    block, _, conv = name.partition("_conv")
    return f"relu{block.removeprefix('block')}_{conv}" if block.startswith("block") and conv else name


def register_tag(trunk, tag):
    """Give a trunk the mean and std of a tag, (1, 3, 1, 1); they are no part of its state_dict."""
    trunk.tag = tag
    for name, values in zip(("mean", "std"), TAGS[tag]):
        trunk.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)


class Trunk(nn.Module):
    """A VGG's convolutions up to its deepest tap. layout: vgg19 or vgg16; taps: names, see the head of this file.

    widths: channels of the five blocks. pooling: max or avg (Gatys et al. 2016; not compensated). padding: zeros (VGG's
    own) or reflect, of one pixel at every convolution. tag: key of TAGS. Parameter count at full width: 20,024,384
    (VGG19) and 14,714,688 (VGG16) to pool5.
    """

    def __init__(self, layout, taps, widths=(64, 128, 256, 512, 512), pooling="max", padding="zeros",
                 tag="torchvision"):
        super().__init__()
        self.layout, self.taps, self.widths = layout, list(taps), tuple(widths)
        self.pooling, self.padding = pooling, padding
        names = layers(layout)
        self.names = names[:1 + max(names.index(tap) for tap in taps)]
        self.features, channels = nn.ModuleDict(), 3
        for place, name in enumerate(self.names):
            if name.startswith("conv"):
                width = widths[int(name[4]) - 1]
                self.features[str(place)] = nn.Conv2d(channels, width, 3, padding=1, padding_mode=padding)
                channels = width
        register_tag(self, tag)

    def forward(self, x):
        x, features = ((x - self.mean) / self.std).to(next(self.parameters()).dtype), {}
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
        """How many pixels beyond its own cell of stride x stride a position depends on: 70 for VGG19's relu5_1."""
        return sum(self.stride(name) for name in self.names[:self.names.index(tap) + 1] if name.startswith("conv"))

    @property
    def smallest(self):
        """The smallest side of a picture, pixels: two cells of the deepest convolution to reflect, one for zeros."""
        return self.stride(self.names[-1]) * (2 if self.padding == "reflect" else 1)


class SqueezeTrunk(nn.Module):
    """SqueezeNet 1.1 (torchvision's module) up to its deepest tap of SQUEEZE_TAPS; its strides are not VGG's."""
    layout, padding, pooling, smallest = "squeezenet", "zeros", "max", 17

    def __init__(self, taps, tag="squeeze"):
        super().__init__()
        self.taps = list(taps)
        depth = max(int(tap.split(".")[1]) for tap in taps)
        self.features = import_torchvision().models.squeezenet1_1(weights=None).features[:depth + 1]
        register_tag(self, tag)

    def forward(self, x):
        x, features = ((x - self.mean) / self.std).to(next(self.parameters()).dtype), {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if f"features.{place}" in self.taps:
                features[f"features.{place}"] = x
        return features

    def stride(self, tap):
        return SQUEEZE_TAPS[tap]


class JoinedTrunk(nn.Module):
    """Trunks as one, for a file that ends early and one that reaches deeper. named: of each part {tap as it is asked
    for: its own tap}, so that a tap that two parts have can be asked of both."""

    def __init__(self, parts, named):
        super().__init__()
        self.parts, self.named = nn.ModuleList(parts), named
        self.taps = [tap for names in named for tap in names]
        self.name, self.tag = ("+".join(getattr(part, what) for part in parts) for what in ("name", "tag"))
        self.digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
        self.smallest = max(part.smallest for part in parts)

    def forward(self, x):
        features = {}
        for part, names in zip(self.parts, self.named):
            found = part(x)
            features |= {tap: found[own] for tap, own in names.items()}
        return features

    def owner(self, tap):
        """(the part whose tap it is, the part's own name for it)."""
        return next((part, names[tap]) for part, names in zip(self.parts, self.named) if tap in names)

    def stride(self, tap):
        part, own = self.owner(tap)
        return part.stride(own)

    def reach(self, tap):
        part, own = self.owner(tap)
        return part.reach(own)

    @property
    def names(self):
        return self.parts[-1].names


# ---- loading ---------------------------------------------------------------------------------------------------------

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
        raise UserError(f"{source.name} has no tap {join_some(missing)}: {source.path} reaches to {held[-1]}: expected "
                        f"some of {', '.join(held)}: choose among these, or a network that reaches deeper")
    if source.layout == "squeezenet":
        trunk = SqueezeTrunk(taps, source.tag)
    else:
        trunk = Trunk(source.layout, taps, _widths(source), pooling, source.padding, source.tag)
    try:
        trunk.load_state_dict({name: source.state[name] for name in trunk.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{source.path} does not fit {source.layout}: {' '.join(str(error).split())[:200]}: all of its "
                        "tensors up to the deepest tap were expected: give another file") from None
    trunk.name, trunk.digest = source.name, source.digest
    return trunk.requires_grad_(False).eval()


def build_joined(sources, taps, pooling="max"):
    """The frozen JoinedTrunk of some Sources at these taps, each of the first Source that has it; of one its own trunk.

    deeper:TAP is the last Source's, though another has that tap as well. A Source that is left without a tap has no
    part in it. Raises UserError for a tap that none has."""
    parts, named, left = [], [], [tap_name(tap) for tap in taps]
    for source in sources[:-1]:
        held = tap_names(source)
        if own := [tap for tap in left if tap in held]:
            parts.append(build(source, own, pooling))
            named.append({tap: tap for tap in own})
        left = [tap for tap in left if tap not in held]
    if left or not parts:
        named.append({tap: tap_name(tap.removeprefix(DEEPER)) for tap in left})
        parts.append(build(sources[-1], list(named[-1].values()), pooling))
    alone = len(parts) == 1 and list(named[0]) == parts[0].taps
    return parts[0] if alone else JoinedTrunk(parts, named)


def tap_names(source):
    """The taps that a Source can serve, from shallow to deep."""
    if source.layout == "squeezenet":
        held = {".".join(name.split(".")[:2]) for name in source.state} | {"features.1"}      # a ReLU, without weights
        return [tap for tap in SQUEEZE_TAPS if tap in held]
    deepest = max(int(name.split(".")[1]) for name in source.state if name.startswith("features."))
    return [name for name in layers(source.layout)[:deepest + 2] if not name.startswith("pool")]


def _widths(source):
    """Channels of the five blocks; blocks that the file lacks have VGG's own."""
    widths = [64, 128, 256, 512, 512]
    for name, tensor in source.state.items():
        if name.startswith("features.") and name.endswith(".weight"):
            widths[int(layers(source.layout)[int(name.split(".")[1])][4]) - 1] = tensor.shape[0]
    return widths
