"""R2AtU-Net: a U-Net whose blocks are recurrent and residual, and whose skips pass through attention gates.

Shapes: N batch, h, w height and width, C the maps of a level (width, 2 width, ... from the top down). Pictures are gray
in [0, 1], (N, 1, h, w); the answer has a map per name of `maps`, logits, (N, len(maps), h, w). Two switches span the
four networks: recurrent and attention.

Ronneberger, Fischer, Brox 2015 (U-Net); Oktay et al. 2018 (attention gates); Alom et al. 2018 (recurrent residual).
"""
import torch
import torch.nn.functional as F
from torch import nn

ARCHITECTURES = {"unet": (False, False), "attunet": (False, True), "r2unet": (True, False), "r2atunet": (True, True)}


def conv3x3(inputs, outputs):
    """A 3x3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def conv1x1(inputs, outputs):
    """A 1x1 convolution and batch normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))


class PlainBlock(nn.Sequential):
    """U-Net's: two convolutions, C1 -> C2 -> C2."""

    CONVOLUTIONS = 2                                       # one after the other: what a pixel sees grows by one in each

    def __init__(self, inputs, outputs):
        super().__init__(conv3x3(inputs, outputs), conv3x3(outputs, outputs))


class RecurrentUnit(nn.Module):
    """One convolution f that is applied three times: s = f(x), then twice s = f(x + s).

    Weights are shared by the passes, batch norm's statistics are not: the levels differ from pass to pass.
    """

    TURNS = 2

    def __init__(self, channels):
        super().__init__()
        self.convolve = nn.Conv2d(channels, channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(1 + self.TURNS))
        for norm in self.norms[1:]:
            norm.weight, norm.bias = self.norms[0].weight, self.norms[0].bias

    def forward(self, x):                                                     # (N, C, h, w) -> (N, C, h, w)
        state = F.relu(self.norms[0](self.convolve(x)))
        for norm in self.norms[1:]:
            state = F.relu(norm(self.convolve(x + state)))
        return state


class RecurrentResidualBlock(nn.Module):
    """C1 -> C2: x = 1x1 convolution, then x + unit(unit(x))."""

    CONVOLUTIONS = 2 * (1 + RecurrentUnit.TURNS)

    def __init__(self, inputs, outputs):
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, 1)
        self.units = nn.Sequential(RecurrentUnit(outputs), RecurrentUnit(outputs))

    def forward(self, x):                                                     # (N, C1, h, w) -> (N, C2, h, w)
        x = self.widen(x)
        return x + self.units(x)


class AttentionGate(nn.Module):
    """What of a skip x matters where the decoder stands at g: alpha * x, alpha = sigmoid(psi(ReLU(W_g g + W_x x)))."""

    def __init__(self, channels):
        super().__init__()
        inside = channels // 2
        self.from_decoder, self.from_skip = conv1x1(channels, inside), conv1x1(channels, inside)
        self.psi = conv1x1(inside, 1)

    def coefficients(self, skip, decoder):
        """alpha in (0, 1), (N, 1, h, w)."""
        return torch.sigmoid(self.psi(F.relu(self.from_decoder(decoder) + self.from_skip(skip))))

    def forward(self, skip, decoder):                                         # both (N, C, h, w) -> (N, C, h, w)
        return self.coefficients(skip, decoder) * skip


class Up(nn.Module):
    """One level of the decoder: twice the size, half the maps, joined with the skip."""

    def __init__(self, channels, block, attention):
        super().__init__()
        self.halve = conv3x3(2 * channels, channels)
        self.gate = AttentionGate(channels) if attention else None
        self.block = block(2 * channels, channels)

    def forward(self, below, skip):                        # (N, 2 C, h/2, w/2), (N, C, h, w) -> (N, C, h, w)
        decoder = self.halve(F.interpolate(below, scale_factor=2, mode="nearest"))
        skip = skip if self.gate is None else self.gate(skip, decoder)
        return self.block(torch.cat([skip, decoder], dim=1))


class Nuclei(nn.Module):
    """U-Net, attention U-Net, R2U-Net or R2AtU-Net.

    arch: a name of ARCHITECTURES. width: maps of the first level; doubled at each of `levels` - 1 further ones. inputs:
    channels of the picture. maps: names of the maps that come out.
    With width 64, five levels, three inputs and one map: unet 34,527,041 parameters, r2atunet 39,442,925
    (tests/cases/nuclei/test_nuclei_model.py).
    """

    def __init__(self, arch="r2atunet", width=64, levels=5, inputs=1, maps=("nucleus", "inside")):
        super().__init__()
        recurrent, attention = ARCHITECTURES[arch]
        block = RecurrentResidualBlock if recurrent else PlainBlock
        widths = [width * 2**level for level in range(levels)]
        self.maps, self.inputs = tuple(maps), inputs
        self.multiple = 2 ** (levels - 1)                  # sides that the pooling divides without a rest
        self.down = nn.ModuleList(block(before, after) for before, after in zip([inputs, *widths], widths))
        self.up = nn.ModuleList(Up(channels, block, attention) for channels in widths[:-1])
        self.answer = nn.Conv2d(width, len(self.maps), 1)
        self.halo = self._halo(block.CONVOLUTIONS, levels)

    def _halo(self, convolutions, levels):
        """Pixels around a tile that its answer depends on: a convolution at level l sees 2^l further on each side, the
        pooling and doubling between two levels at most 2^l more."""
        down = sum(convolutions * 2**level for level in range(levels))
        up = sum((convolutions + 2) * 2**level + 2**level for level in range(levels - 1))
        return down + up

    def forward(self, x):
        """(N, inputs, h, w), any size -> logits (N, maps, h, w). What pooling needs is added at the lower and right end
        as a copy of the last row and column, and cut off again."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))                                            # (N, C, h, w)
            x = F.max_pool2d(skips[-1], 2)
        x = self.down[-1](x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](x, skips[level])
        return self.answer(x)[:, :, :height, :width]

    def attention(self, x):
        """The gates' coefficients of a picture, from the top level down, each (N, 1, h / 2^level, w / 2^level); empty
        without gates."""
        found = {}
        handles = [up.gate.psi.register_forward_hook(lambda module, given, logits, level=level: found.update(
            {level: torch.sigmoid(logits)})) for level, up in enumerate(self.up) if up.gate is not None]
        self(x)
        for handle in handles:
            handle.remove()
        return [found[level] for level in sorted(found)]
