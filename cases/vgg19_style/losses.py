"""The losses of style transfer: pure functions of features and pictures.

Notation of Gatys et al.: F (N, C, h, w) are features with C channels and M = h w positions; P the content's, G = F F^T the Gram matrix, A the style's.
Grams here are per position, G / M, so that a style of another size is compared fairly: sum (G/M - A/M_s)^2 / (4 C^2) is the paper's
E = sum (G - A)^2 / (4 C^2 M^2) where the sizes agree.

Every form of the loss is one sum with other factors (see Factors):
    total = content * sum_l c_l ||F_l - P_l||^2 + style * sum_l s_l ||G_l/M - A_l/M_s||^2 + tv * (mean dx^2 + mean dy^2)
"""
from typing import NamedTuple

import torch


def gram(features):
    """G / M = F F^T / M of features (N, C, h, w): (N, C, C), float32 at least."""
    flat = features.flatten(2)                                          # (N, C, M)
    return (flat @ flat.mT).to(torch.promote_types(features.dtype, torch.float32)) / flat.shape[2]


def masked_gram(features, mask):
    """The Gram of the positions that a mask shows, (N, C, C): F times T, T^2 = mask / its sum (Gatys et al. 2017, spatial control).

    mask: (1, 1, h, w) in [0, 1], not all 0. A mask of ones gives gram(features).
    """
    flat, share = features.flatten(2), (mask / mask.sum()).flatten(2)
    return ((flat * share) @ flat.mT).to(torch.promote_types(features.dtype, torch.float32))


def square_distance(a, b):
    """||a - b||^2 of each of a batch: the sum over all other dimensions, (N,)."""
    return (a - b).square().flatten(1).sum(dim=1)


def relative_style(features, targets):
    """Mean over the taps of ||G - A||_F^2 / ||A||_F^2, (N,). features: {tap: (N, C, h, w)}; targets: {tap: (N or 1, C, C)} Grams per position."""
    terms = [square_distance(gram(features[tap]), target) / target.square().flatten(1).sum(dim=1) for tap, target in targets.items()]
    return torch.stack(terms).mean(dim=0)


def relative_content(features, targets, taps):
    """Mean over the taps of ||F - P||^2 / ||P||^2, (N,). features, targets: {tap: (N, C, h, w)}."""
    terms = [square_distance(features[tap], targets[tap]) / targets[tap].square().flatten(1).sum(dim=1) for tap in taps]
    return torch.stack(terms).mean(dim=0)


def tv(x):
    """Total variation of pictures (N, C, H, W): mean of squared differences of neighbours in x plus the same in y, (N,)."""
    dx, dy = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return dx.square().flatten(1).mean(dim=1) + dy.square().flatten(1).mean(dim=1)


class Factors(NamedTuple):
    """What stands before each square: content and style, {tap: number}. See factors()."""
    content: dict
    style: dict


def factors(form, content, style, weights=()):
    """Factors of a form. content: {tap: P (1, C, h, w)}; style: {tap: target Gram per position (1, C, C)}; weights: one per style tap.

    relative  c = 1 / (n_c ||P||^2), s = w / ||A||^2: each term is 1 where nothing of the target is met; w sum to 1
    gatys     c = 1/2, s = w / (4 C^2), w sum to 1 (Gatys et al. 2016, equations 1 and 4)
    b6        c = a / (2 M C n_c), s = b / (4 C^2 n_s), a and b sum to 1: the course's words weigh *and* divide by the number of layers
    """
    total = sum(weights) or 1.0
    shares = [weight / total for weight in weights] if weights else [1 / len(style)] * len(style)
    share = dict(zip(style, shares, strict=True))
    if form == "relative":
        return Factors({tap: 1 / (len(content) * max(P.double().square().sum().item(), 1e-12)) for tap, P in content.items()},
                       {tap: share[tap] / max(A.double().square().sum().item(), 1e-12) for tap, A in style.items()})
    channels = {tap: A.shape[1] for tap, A in style.items()}
    if form == "gatys":
        return Factors(dict.fromkeys(content, 0.5), {tap: share[tap] / (4 * channels[tap] ** 2) for tap in style})
    per_value = {tap: 1 / (2 * P[0].numel() * len(content) ** 2) for tap, P in content.items()}      # M C n_c, and a = 1 / n_c
    return Factors(per_value, {tap: share[tap] / (4 * channels[tap] ** 2 * len(style)) for tap in style})
