"""The network that paints in one pass: Johnson et al. 2016; with a gamma and beta per style Dumoulin et al. 2017.

    FastNetwork(width=16)(x)                                           # one style: 424,899 parameters
    FastNetwork(width=16, styles=["waves", "scream"])(x, weights)      # several; weights (N, 2): how much of each
"""
import torch
import torch.nn.functional as F
from torch import nn

PER_STYLE = "gamma", "beta", "strength"         # the parameters that each style has for itself
BLOCKS = 5                              # residual blocks
BAND = 2**26                            # values in and out from which a convolution without gradients goes by bands


class FastNetwork(nn.Module):
    """Paints a picture in a style: x (N, 3, H, W) RGB in [0, 1] -> (N, 3, H, W) RGB, not clamped.

    width: feature maps of the first layer; the paper has 32. styles: their names in order; with more than one each has
    its own gamma and beta in every normalisation, and forward wants to be told which. noise: a field of noise enters
    before each residual block (in neither paper), each style's own. H, W at least 5; any size: sides
    are extended by reflection to the next multiple of 4, and the result is cropped. Parameters for one style: 108,771
    (width 8), 424,899 (16), 1,679,235 (32); each further style 1,600 at width 16.
    """
    smallest = 5

    def __init__(self, width=16, styles=(), noise=False):
        super().__init__()
        self.styles = list(styles)
        count = max(1, len(self.styles))
        self.down = nn.ModuleList([Layer(3, width, 9, count), Layer(width, 2 * width, 3, count, stride=2),
                                   Layer(2 * width, 4 * width, 3, count, stride=2)])
        self.residual = nn.ModuleList(Residual(4 * width, count) for _ in range(BLOCKS))
        self.noise = nn.ModuleList(Noise(4 * width, count) for _ in range(BLOCKS)) if noise else [None] * BLOCKS
        self.up = nn.ModuleList([Layer(4 * width, 2 * width, 3, count, enlarge=2),
                                 Layer(2 * width, width, 3, count, enlarge=2)])
        self.last = Convolution(width, 3, 9)
        nn.init.constant_(self.last.bias, 0.5)                          # the first pictures are gray, not black

    @property
    def device(self):
        return self.last.weight.device

    def forward(self, x, weights=None, seed=0, fields=None):
        """weights: (N, S) or (S,), how much of each style, summing to 1: gammas and betas are mixed. None: the one.

        seed: of the noise, where the network has any: other strokes in other places. fields: the noise itself, as
        draw_noise() has it, in the place of what the seed would draw.
        """
        height, width = x.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(f"pictures of at least {self.smallest} pixels a side were expected, got {width}x{height}")
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
        return self.paint(x, weights, seed, fields)[..., :height, :width]

    def paint(self, x, weights=None, seed=0, fields=None):
        """forward() without the extension: a side comes out as the next multiple of 4, as in the published networks."""
        mix = self.mix(weights, x)                                      # (N, S)
        for layer in self.down:
            x = F.relu(layer(x, mix), inplace=True)                     # (N, 4 width, H/4, W/4) in the end
        for place, (block, noise) in enumerate(zip(self.residual, self.noise)):
            if noise:
                x = noise(x, mix, BLOCKS * seed + place, fields if fields is None else fields[place:place + 1])
            x = block(x, mix)
        for layer in self.up:
            x = F.relu(layer(x, mix), inplace=True)                     # (N, width, H, W) in the end
        return self.last(x)

    def draw_noise(self, size, weights=None, seed=0):
        """The noise (BLOCKS, S, h, w) that forward() draws for a picture of the size (H, W): h, w their quarters."""
        x = self.last.weight.new_empty(1, 1, *(-(-side // 4) for side in size))
        mix = self.mix(weights, x)
        return torch.cat([noise.fields(x, mix, BLOCKS * seed + place) for place, noise in enumerate(self.noise)])

    def mix(self, weights, x):
        """weights as (N, S)."""
        count, styles = len(x), max(1, len(self.styles))
        if weights is None and styles > 1:
            raise ValueError(f"weights for the {styles} styles were expected: {', '.join(self.styles)}")
        weights = x.new_ones(1) if weights is None else weights.to(x)
        weights = weights.expand(count, -1) if weights.dim() == 1 else weights
        if weights.shape != (count, styles):
            raise ValueError(f"weights of shape ({count}, {styles}) were expected, got {tuple(weights.shape)}")
        return weights


class Convolution(nn.Conv2d):
    """A convolution with odd kernel and reflection: (N, C, H, W) -> (N, C', ceil(enlarge H / stride), ...).

    enlarge: nearest neighbours, so many times, before it (in place of the paper's transposed convolution, which leaves
    a checkerboard).
    """

    def __init__(self, channels, outputs, kernel, stride=1, enlarge=1):
        super().__init__(channels, outputs, kernel, stride)
        self.enlarge = enlarge

    def forward(self, x):
        if torch.jit.is_tracing():                  # for export: of sizes yet unknown there are no bands
            return super().forward(F.pad(self.grow(x), (self.kernel_size[0] // 2,) * 4, mode="reflect"))
        height, width = (-(-self.enlarge * side // self.stride[0]) for side in x.shape[-2:])
        values = max(x.numel() * self.enlarge ** 2, len(x) * self.out_channels * height * width)
        if torch.is_grad_enabled() or values <= BAND:
            return self.rows(x, 0, height)
        band = max(1, height * BAND // (4 * values))
        output = x.new_empty(len(x), self.out_channels, height, width)
        for top in range(0, height, band):
            output[:, :, top:top + band] = self.rows(x, top, min(top + band, height))
        return output

    def grow(self, x):
        return F.interpolate(x, scale_factor=self.enlarge, mode="nearest") if self.enlarge > 1 else x

    def rows(self, x, top, bottom):
        """Rows top to bottom of the output."""
        reach, stride, height = self.kernel_size[0] // 2, self.stride[0], self.enlarge * x.shape[2]
        first, last = top * stride - reach, (bottom - 1) * stride + reach       # of the enlarged input; some outside
        above, below = max(0, -first), max(0, last - height + 1)
        begin, end = max(0, first), min(height, last + 1)
        if self.enlarge > 1:
            begin, end = begin // self.enlarge, -(-end // self.enlarge)
            inside = self.grow(x[:, :, begin:end])
            inside = inside[:, :, max(0, first) - begin * self.enlarge:min(height, last + 1) - begin * self.enlarge]
        else:
            inside = x[:, :, begin:end]
        return super().forward(F.pad(inside, (reach, reach, above, below), mode="reflect"))


class InstanceNorm(torch.autograd.Function):
    """(x - mu) / sigma * gamma + beta with mu, sigma of each picture and channel: x (N, C, H, W), gamma, beta (N, C).

    By hand because autograd's own chain of operations takes three times as long on a CPU, which was a third of the time
    of a training.
    """

    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        inverse = torch.rsqrt(mean_square(centred) + eps)  # 1 / sigma, biased, as the published networks have it
        ctx.save_for_backward(centred, inverse, gamma)
        return scale_and_shift(centred, gamma * inverse, beta)

    @staticmethod
    def backward(ctx, gradient):
        centred, inverse, gamma = ctx.saved_tensors
        count = centred.shape[2] * centred.shape[3]
        to_beta = gradient.sum(dim=(2, 3))
        to_gamma = (gradient * centred).sum(dim=(2, 3)) * inverse
        to_x = scale_and_shift(gradient, gamma * inverse, -gamma * inverse * to_beta / count)
        to_x.addcmul_(centred, (-gamma * inverse.square() * to_gamma / count)[..., None, None])
        return to_x, to_gamma, to_beta, None


def mean(x):
    """Mean over the picture, (N, C, 1, 1)."""
    if torch.jit.is_tracing():                   # ONNX Runtime sums one after the other: rows first, or digits are lost
        return x.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)
    return x.mean(dim=(2, 3), keepdim=True)


def mean_square(x):
    """Mean of x^2 over the picture, (N, C), without a copy of a large x."""
    if torch.jit.is_tracing():
        return mean(x.square())[..., 0, 0]
    rows = max(1, BAND // (4 * x[:, :, :1].numel()))
    return torch.stack([band.square().sum(dim=(2, 3)) for band in x.split(rows, dim=2)]).sum(dim=0) / x[0, 0].numel()


def scale_and_shift(x, factor, shift):
    """x * factor + shift; x (N, C, H, W), the others (N, C)."""
    return torch.addcmul(shift[..., None, None], x, factor[..., None, None])


class ConditionalNorm(nn.Module):
    """z = gamma_s (x - mu) / sigma + beta_s (Dumoulin et al. 2017).

    mu and sigma are those of each picture and channel, gamma and beta those of each style s."""

    def __init__(self, channels, styles, eps=1e-5):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(styles, channels)), nn.Parameter(torch.zeros(styles, channels))
        self.eps = eps

    def forward(self, x, mix):
        gamma, beta = mix @ self.gamma, mix @ self.beta                                # (N, C)
        if torch.is_grad_enabled():
            return InstanceNorm.apply(x, gamma, beta, self.eps)
        x -= mean(x)  # in place: of a large picture one copy is enough
        x *= (gamma * torch.rsqrt(mean_square(x) + self.eps))[..., None, None]
        return x.add_(beta[..., None, None])


class Layer(nn.Module):
    """Convolution and normalisation."""

    def __init__(self, channels, outputs, kernel, styles, stride=1, enlarge=1):
        super().__init__()
        self.convolution = Convolution(channels, outputs, kernel, stride, enlarge)
        self.norm = ConditionalNorm(outputs, styles)

    def forward(self, x, mix):
        return self.norm(self.convolution(x), mix)


class Residual(nn.Module):
    """x + two layers, the first with ReLU."""

    def __init__(self, channels, styles):
        super().__init__()
        self.first, self.second = Layer(channels, channels, 3, styles), Layer(channels, channels, 3, styles)

    def forward(self, x, mix):
        return x + self.second(F.relu(self.first(x, mix), inplace=True), mix)


class Noise(nn.Module):
    """x + strength_s n_s: white noise n, one field for all channels, another one for each style s.

    Of a flat sky a network without noise makes a flat one, or one and the same pattern in every style: nothing else
    tells one place of it from another. `strength`, per style and channel, is learnt.
    """

    def __init__(self, channels, styles):
        super().__init__()
        self.strength = nn.Parameter(torch.full((styles, channels), 0.1))

    def forward(self, x, mix, seed, fields=None):
        fields = self.fields(x, mix, seed) if fields is None else fields               # (1, S, h, w)
        return x + torch.einsum("ns,sc,shw->nchw", mix, self.strength, fields[0]).to(x)

    def fields(self, x, mix, seed):
        """The noise (1, S, h, w) of every style that the mixtures ask for; 0 for others."""
        fields = x.new_zeros(1, mix.shape[1], *x.shape[2:], dtype=self.strength.dtype)
        for style in mix.sum(dim=0).nonzero().flatten().tolist():
            generator = torch.Generator().manual_seed(1000 * seed + style)
            fields[0, style] = torch.randn(x.shape[2:], generator=generator).to(fields)
        return fields


def take_over(model, other):
    """Give a FastNetwork what another of its width has learnt: filters, and the numbers of the styles that both know.

    A style that the other lacks begins at the mean of its styles; noise that it lacks stays as it is.
    """
    theirs, state = other.state_dict(), model.state_dict()
    for name, values in theirs.items():
        if name.endswith(PER_STYLE):
            rows = [other.styles.index(style) if style in other.styles else None for style in model.styles]
            values = torch.stack([values.mean(dim=0) if row is None else values[row] for row in rows])
        state[name] = values
    model.load_state_dict(state)
