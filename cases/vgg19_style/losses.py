"""The losses of style transfer: pure functions of features and pictures.

Notation of Gatys et al.: F are features (N, C, h, w) with C channels and M = h w positions; P the content's; G = F F^T
the Gram matrix, A the style's. Grams here are per position, G / M, so that a style of another size is compared fairly:
sum (G/M - A/M_s)^2 / (4 C^2) is the paper's E = sum (G - A)^2 / (4 C^2 M^2) where the sizes agree.

Every form of the loss is one sum with other factors (see factors()):
    total = content * sum_l c_l ||F_l - P_l||^2 + style * sum_l s_l ||G_l/M - A_l/M_s||^2 + tv * (mean dx^2 + mean dy^2)
"""
from typing import NamedTuple

import torch
from torch.nn.functional import adaptive_avg_pool1d, avg_pool2d, relu

COMB_WINDOW, COMB_WAVES = 64, torch.arange(6, 12)           # pixels; waves a window
COMB_ROUND = -3, -2, 2, 3               # the waves beside one, with which it is compared
COMB_LEAST = 1e-4                       # energy that every wave may have
LEAST_CHROMA = 1e-5                     # energy of fine chroma that every picture may have: some 0.8 levels of 255


class SymmetricProduct(torch.autograd.Function):
    """X^T diag(share) X of X (N, M, C): (N, C, C).

    Its two factors are one, so a single product goes back: share X (S + S^T) for the slope S."""

    @staticmethod
    def forward(ctx, x, share):
        ctx.save_for_backward(x)
        ctx.share = share
        return (x * share).mT @ x if torch.is_tensor(share) else share * (x.mT @ x)

    @staticmethod
    def backward(ctx, slope):
        x, = ctx.saved_tensors
        symmetric = slope + slope.mT
        return (x @ symmetric) * ctx.share if torch.is_tensor(ctx.share) else x @ (ctx.share * symmetric), None


def exact(x):
    """x in at least float32: losses are never computed in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gram(features, share=None):
    """F diag(share) F^T of features (N, C, h, w): (N, C, C), at least float32.

    share: how much each position counts, a number or (1, 1, h, w); None: 1 / M, the Gram per position. A mask over its
    own sum gives the Gram of what the mask shows (Gatys et al. 2017, spatial control).
    """
    x = exact(features.permute(0, 2, 3, 1).flatten(1, 2))  # (N, M, C): a view, whichever way the channels lie
    share = 1 / x.shape[1] if share is None else share
    return SymmetricProduct.apply(x, share.flatten(2).mT if torch.is_tensor(share) else share)


def square_distance(a, b):
    """||a - b||^2 of each of a batch: the sum over all other dimensions, (N,)."""
    return (a - b).square().flatten(1).sum(dim=1)


def square_size(a):
    """||a||^2 of each of a batch, (N,), kept from 0."""
    return a.square().flatten(1).sum(dim=1).clamp(min=1e-12)


def relative_style(features, targets):
    """Mean over the taps of ||G - A||_F^2 / ||A||_F^2, (N,).

    features: {tap: (N, C, h, w)}; targets: {tap: (N or 1, C, C)}, Grams per position."""
    return torch.stack([square_distance(gram(features[tap]), A) / square_size(A)
                        for tap, A in targets.items()]).mean(dim=0)


def relative_content(features, targets, taps):
    """Mean over the taps of ||F - P||^2 / ||P||^2, (N,). features, targets: {tap: (N, C, h, w)}."""
    return torch.stack([square_distance(features[tap], targets[tap]) / square_size(targets[tap])
                        for tap in taps]).mean(dim=0)


def tv(x):
    """Total variation of pictures (N, C, H, W): mean dx^2 + mean dy^2 over neighbours, (N,)."""
    dx, dy = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return dx.square().flatten(1).mean(dim=1) + dy.square().flatten(1).mean(dim=1)


def opponent(x):
    """The two chroma channels of pictures (N, 3, H, W), (R - G) / sqrt 2 and (R + G - 2 B) / sqrt 6: (N, 2, H, W)."""
    red, green, blue = x.unbind(dim=1)
    return torch.stack([(red - green) / 2 ** 0.5, (red + green - 2 * blue) / 6 ** 0.5], dim=1)


def fine_chroma(x):
    """Energy of chroma in the finest octave of pictures (N, 3, H, W), (N,): what averaging over 2 x 2 pixels removes.

    Mean square of the two channels of opponent(), less that of their averages. A narrow network hardly sees it, so it
    is where an optimiser hides what it cannot paint."""
    chroma = opponent(x[..., :x.shape[2] // 2 * 2, :x.shape[3] // 2 * 2])
    return (chroma - enlarge(avg_pool2d(chroma, 2))).square().sum(dim=1).flatten(1).mean(dim=1)


def comb_excess(x, photo):
    """By how much waves of 6 to 11 pixels stand out of the spectrum of painted pictures, where the photograph is flat;
    both (N, 3, H, W), (N,): 0 where none does.

    Of the whole 64 x 64 windows the half in which the photograph varies least; along rows and along columns the
    logarithm of a wave's energy less the mean of those at a little distance to both sides; the mean of what is above 0
    over waves and directions. metrics.comb, which measures a regular grain, asks the same of one wave. 0 under 64
    pixels a side."""
    if min(x.shape[2:]) < COMB_WINDOW:
        return x.new_zeros(len(x))
    windows = comb_windows(x)
    order = comb_windows(photo).flatten(2).var(dim=2).argsort(dim=1)[:, :-(-windows.shape[1] // 2)]
    windows = windows.gather(1, order[..., None, None].expand(-1, -1, *windows.shape[2:]))     # (N, half, 64, 64)
    taper = torch.hann_window(COMB_WINDOW, periodic=False).to(x)
    excess = []
    for lines in (windows, windows.mT):
        waves = torch.fft.rfft((lines - lines.mean(dim=3, keepdim=True)) * taper)
        level = (waves.abs().square().mean(dim=(1, 2)) + COMB_LEAST).log()                     # (N, 33)
        around = sum(level[:, COMB_WAVES + offset] for offset in COMB_ROUND) / len(COMB_ROUND)
        excess.append(relu(level[:, COMB_WAVES] - around).mean(dim=1))
    return torch.stack(excess).mean(dim=0)


def comb_windows(x):
    """Gray windows of pictures (N, 3, H, W) that fit without overlap, from the upper left: (N, count, 64, 64)."""
    rows, columns = (side // COMB_WINDOW for side in x.shape[2:])
    gray = x[..., :rows * COMB_WINDOW, :columns * COMB_WINDOW].mean(dim=1)
    return gray.unflatten(2, (columns, -1)).unflatten(1, (rows, -1)).transpose(2, 3).flatten(1, 2)


def enlarge(x):
    """Every pixel as 2 x 2."""
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def chroma_excess(x, energy):
    """By how much fine_chroma(x) exceeds a painting's `energy`, over that, (N,): 0 up to the painting's own."""
    return relu(fine_chroma(x) / energy.clamp(min=LEAST_CHROMA) - 1)


def palette(x, colours=64, pool=4):
    """The palette of pictures (N, 3, H, W), from dark to light: (N, 3, colours).

    Pixels, averaged over pool x pool, sorted by luminance; the mean of each of `colours` equal shares. Differentiable
    (the order is taken as it is)."""
    pixels = avg_pool2d(x, pool).flatten(2)                                     # (N, 3, M)
    order = (pixels * pixels.new_tensor([[0.299], [0.587], [0.114]])).sum(dim=1, keepdim=True).argsort(dim=2)
    return adaptive_avg_pool1d(pixels.gather(2, order.expand_as(pixels)), colours)


def relative_palette(x, target):
    """||palette(x) - target||^2 over the target's spread round its mean colour, (N,). target: (N or 1, 3, colours)."""
    return square_distance(palette(x, target.shape[2]), target) / square_size(target - target.mean(dim=2, keepdim=True))


class Factors(NamedTuple):
    """What stands before each square: {tap: number}."""
    content: dict
    style: dict


def factors(form, content, style, weights=()):
    """Factors of a form. content: {tap: P (1, C, h, w)}; style: {tap: A (1, C, C)}, the target Grams per position;
    weights: one per style tap, or none.

    relative  c = 1 / (n_c ||P||^2), s = w / ||A||^2: each term is 1 where nothing of the target is met; w sum to 1
    gatys     c = 1/2, s = w / (4 C^2), w sum to 1 (Gatys et al. 2016, equations 1 and 4)
    b6        c = a / (2 M C n_c), a = 1 / n_c; s = b / (4 C^2 n_s), b = .2 unless weights say otherwise: the course
              weighs each layer *and* divides by their number, so that a layer of five counts .04
    """
    if form == "b6":
        b = dict(zip(style, list(weights) or [0.2] * len(style), strict=True))
        return Factors({tap: 1 / (2 * P[0].numel() * len(content) ** 2) for tap, P in content.items()},
                       {tap: b[tap] / (4 * A.shape[1] ** 2 * len(style)) for tap, A in style.items()})
    weights = list(weights) or [1.0] * len(style)
    share = {tap: weight / sum(weights) for tap, weight in zip(style, weights, strict=True)}
    if form == "gatys":
        return Factors(dict.fromkeys(content, 0.5),
                       {tap: share[tap] / (4 * A.shape[1] ** 2) for tap, A in style.items()})
    return Factors({tap: 1 / (len(content) * square_size(P).item()) for tap, P in content.items()},
                   {tap: share[tap] / square_size(A).item() for tap, A in style.items()})
