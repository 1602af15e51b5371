"""The network whose weights are fitted to one picture: an hourglass with skip connections (the paper's section 3)."""
import torch
from torch import nn

SLOPE = 0.2                                                   # of LeakyReLU


class Convolution(nn.Sequential):
    """Convolution with reflected borders, batch norm, LeakyReLU."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect"),
                         normalise(outputs), nn.LeakyReLU(SLOPE))


def normalise(channels):
    """Batch norm over the places of one picture; it never meets another, so it keeps no running statistics."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


class Level(nn.Module):
    """One scale of the hourglass: half as large, through the level below, twice as large, beside a skip connection.

    inputs, down, up, skip: widths (maps); skip 0: none. below: the Level inside, or None; its `up` maps come back.
    kernels: (down, up). upsample: nearest | bilinear | deconvolution. mix: a 1x1 convolution at the end.
    """

    def __init__(self, inputs, down, up, skip, below, kernels=(3, 3), upsample="nearest", mix=True):
        super().__init__()
        self.skip = Convolution(inputs, skip, 1) if skip else None
        self.down = nn.Sequential(Convolution(inputs, down, kernels[0], stride=2), Convolution(down, down, kernels[0]))
        self.below = below
        deep = below.outputs if below else down
        self.rise = nn.ConvTranspose2d(deep, deep, 4, 2, 1) if upsample == "deconvolution" else nn.Upsample(
            scale_factor=2, mode=upsample)
        self.join = normalise(skip + deep)
        self.up = nn.Sequential(Convolution(skip + deep, up, kernels[1]), *[Convolution(up, up, 1)] * mix)
        self.outputs = up

    def forward(self, x):
        inside = self.down(x)                                                 # (1, down, H/2, W/2)
        if self.below is not None:
            inside = self.below(inside)
        risen = self.rise(inside)                                             # (1, deep, H, W)
        if self.skip is not None:
            risen = torch.cat([self.skip(x), risen], dim=1)
        return self.up(self.join(risen))


class PriorNetwork(nn.Module):
    """x = f(z): a picture (1, 3, H, W) in [0, 1] from noise or coordinates z (1, maps, H, W), H and W multiples of
    2^levels (pad_to says them).

    widths: maps of each level on the way down, and up again; skips: of each skip connection. Parameters with the
    paper's settings: 3,002,627 (text mask), 2,996,467 (library), 2,157,955 (vase); with the case's own 348,631.
    """

    def __init__(self, maps=8, widths=(16, 16, 64, 64, 64), skips=(4, 4, 4, 4, 4), kernel_down=3, kernel_up=3,
                 upsample="nearest", mix=True):
        super().__init__()
        if len(widths) != len(skips):
            raise ValueError(f"expected as many skips as widths, got {len(skips)} and {len(widths)}")
        below = None
        for place in reversed(range(len(widths))):
            inputs = widths[place - 1] if place else maps
            below = Level(inputs, widths[place], widths[place], skips[place], below, (kernel_down, kernel_up),
                          upsample, mix)
        self.body, self.maps, self.multiple = below, maps, 2 ** len(widths)
        self.last = nn.Conv2d(widths[0], 3, 1)

    def forward(self, z):
        return torch.sigmoid(self.last(self.body(z)))

    def restart(self):
        """Draw all weights anew, as at the start."""
        for layer in self.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()


def make_input(kind, maps, size, multiple, generator=None):
    """z for a picture of size (height, width), each side raised to the next multiple: (1, maps, H, W).

    kind: noise (uniform in [0, 0.1]) | meshgrid (two maps, the row and the column, from 0 to 1).
    """
    height, width = (-(-side // multiple) * multiple for side in size)
    if kind == "noise":
        return 0.1 * torch.rand(1, maps, height, width, generator=generator)
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([columns, rows])[None]


def crop(picture, size):
    """The upper left part of size (height, width)."""
    return picture[..., :size[0], :size[1]]
