"""The picture that is optimised, and the coordinates in which it is.

A descent in pixels finds fine coloured grain first: each pixel moves by itself, and a narrow network hardly objects.
In decorrelated coordinates (Olah et al. 2017, Feature Visualization) long waves and luminance count most, as they do
in pictures: x = A S z, where S multiplies the spectrum by f^-1/2 and A turns luminance and two weaker chroma axes into
RGB. S is symmetric and A orthogonal up to these weights, so that the slope comes back by the same way.
"""
import torch
from torch import nn

AXES = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]])      # luminance, red-green, yellow-blue
AXES = AXES / AXES.norm(dim=1, keepdim=True)                                    # orthonormal
CHROMA = 0.6                            # what a chroma axis counts beside luminance
POWER = 0.5                             # of the frequency by which waves are divided


class Pixels:
    """x = z std + mean: RGB, in units of a network's input; by default the pixels themselves."""

    def __init__(self, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)):
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))

    def decode(self, z):
        return z * self.std.to(z) + self.mean.to(z)

    def encode(self, x):
        return (x - self.mean.to(x)) / self.std.to(x)

    def pull(self, slope):
        """dL/dz of dL/dx."""
        return slope * self.std.to(slope)


class Decorrelated:
    """x = A S z: see the head of this file. z (1, 3, H, W), real."""

    def decode(self, z):
        return turn(weigh(z, -POWER) * gains(z), AXES.T)

    def encode(self, x):
        return weigh(turn(x, AXES) / gains(x), POWER)

    def pull(self, slope):
        return weigh(turn(slope, AXES) * gains(slope), -POWER)


def gains(z):
    """What each axis counts, (1, 3, 1, 1)."""
    return z.new_tensor([1.0, CHROMA, CHROMA]).view(1, 3, 1, 1)


def turn(x, matrix):
    """The channels of x (N, 3, H, W) through a 3 x 3 matrix."""
    return torch.einsum("ij,njhw->nihw", matrix.to(x), x)


def weigh(x, power):
    """x (N, C, H, W), real, with every wave times (f / f_max)^power; f_max: half a cycle a pixel, f at least a cycle a
    picture. Its own adjoint: the factors are real and alike for f and -f."""
    height, width = x.shape[2:]
    rows, columns = torch.fft.fftfreq(height).abs()[:, None], torch.fft.rfftfreq(width)[None]
    frequency = (rows.square() + columns.square()).sqrt().clamp(min=1 / max(height, width)) / 0.5
    return torch.fft.irfft2(torch.fft.rfft2(x) * frequency.to(x) ** power, s=(height, width))


class Canvas(nn.Module):
    """The picture that is optimised, z, with the moving average of its iterates; in 8 bit those that are done.

    space: how z tells the pixels, Pixels or Decorrelated; for the course's b6 pixels in torchvision's units. One canvas
    serves all works of a run: it is what a checkpoint holds, and its state_dict has whatever size the picture
    has reached.
    """

    def __init__(self, space=None):
        super().__init__()
        self.space = space or Pixels()
        self.z = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.register_buffer("sum", torch.zeros(1, 3, 1, 1))                    # decaying sum of the iterates
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))    # of the iterates in it
        self.register_buffer("scale", torch.tensor(-1))                         # of the picture; -1: no work begun
        self.done = {}                                                          # {name: uint8 (3, H, W)}

    def begin(self, scale, picture):
        """Put a picture (1, 3, H, W) on the canvas; the average starts anew."""
        self.z.data = self.space.encode(picture).contiguous()                   # L-BFGS wants it so
        self.sum, self.weight = torch.zeros_like(self.z.data), torch.zeros_like(self.weight)
        self.scale.fill_(scale)

    def picture(self, of=None):
        """The pixels of z, or of something in its units."""
        return self.space.decode(self.z.data if of is None else of)

    def average(self, decay):
        """Add the present iterate to the average."""
        self.sum.mul_(decay).add_(self.z.data, alpha=1 - decay)
        self.weight = self.weight * decay + 1 - decay

    def mean_picture(self):
        """The pixels of the iterates' average; of the last one where there is none."""
        return self.picture(self.sum / self.weight.to(self.sum)) if self.weight > 0 else self.picture()

    def state_dict(self, *args, **kwargs):
        return super().state_dict(*args, **kwargs) | {f"done.{name}": picture for name, picture in self.done.items()}

    def load_state_dict(self, state):
        self.done = {name.removeprefix("done."): picture for name, picture in state.items() if name.startswith("done.")}
        self.z.data = state["z"].to(self.z)
        self.sum, self.weight, self.scale = (state[name].to(getattr(self, name)) for name in ("sum", "weight", "scale"))
