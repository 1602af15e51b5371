"""What KinD minimises: the released code's three losses, term by term. Pure functions of tensors, terms unweighted.

R (N, 3, h, w), I (N, 1, h, w), S stretched pictures (N, 3, h, w). `mean` is over batch, pixels and channels.
"""
import torch
import torch.nn.functional as F

from common.metrics import ssim_map

NORMS = ("batch", "image", "none")


def gradients(maps):
    """(gx, gy), each (N, C, h, w), of maps with zeros outside:

        gx(i, j) = |x(i+1, j+1) - x(i+1, j)|        gy(i, j) = |x(i+1, j+1) - x(i, j+1)|

    gx compares pixels of the next row; its last row is 0, its last column the bare intensity (README, difference 6).
    """
    x = F.pad(maps, (0, 1, 0, 1))
    return (x[..., 1:, 1:] - x[..., 1:, :-1]).abs(), (x[..., 1:, 1:] - x[..., :-1, 1:]).abs()


def normalise(gradient, norm):
    """(g - min) / (max - min + 0.0001), extremes over the tensor (batch) or each picture (image); none: unchanged."""
    if norm == "none":
        return gradient
    dimensions = (0, 1, 2, 3) if norm == "batch" else (1, 2, 3)
    least, largest = gradient.amin(dimensions, keepdim=True), gradient.amax(dimensions, keepdim=True)
    return (gradient - least) / (largest - least + 0.0001)


def gradient_maps(maps, norm):
    """Both gradients of maps, normalised."""
    return [normalise(gradient, norm) for gradient in gradients(maps)]


def gray(pictures):
    """.2989 R + .5870 G + .1140 B: (N, 3, h, w) -> (N, 1, h, w)."""
    red, green, blue = pictures.split(1, dim=1)
    return 0.2989 * red + 0.5870 * green + 0.1140 * blue


def absolute(a, b):
    """mean |a - b|"""
    return (a - b).abs().mean()


def mean_square(a, b):
    """mean (a - b)^2"""
    return (a - b).square().mean()


# ---- decomposition ---------------------------------------------------------------------------------------------------

def mutual(dark, bright, norm="batch"):
    """Mean over pixels of sum_d M_d exp(-10 M_d), M_d = g_d(I_l) + g_d(I_h): dear near 0.1, cheap for shared edges."""
    sums = (a + b for a, b in zip(gradient_maps(dark, norm), gradient_maps(bright, norm)))
    return sum((both * torch.exp(-10 * both)).mean() for both in sums)


def smooth(illumination, picture, norm="batch"):
    """Mean over the pixels of sum_d g_d(I) / max(g_d(gray S), 0.01): I may change where the picture does."""
    edges = gradient_maps(gray(picture), norm)
    return sum((gradient / edge.clamp_min(0.01)).mean()
               for gradient, edge in zip(gradient_maps(illumination, norm), edges))


def decomposition(low, high, dark, bright, norm="batch"):
    """The terms by name. low, high: (R, I) of the dark and the bright picture; dark, bright: S_l, S_h."""
    (r_low, i_low), (r_high, i_high) = low, high
    return {"recon_low": absolute(r_low * i_low, dark), "recon_high": absolute(r_high * i_high, bright),
            "equal_R": absolute(r_low, r_high), "mutual": mutual(i_low, i_high, norm),
            "smooth_low": smooth(i_low, dark, norm), "smooth_high": smooth(i_high, bright, norm)}


def guide(i_low, i_high, dark, bright):
    """mean |I - max of R, G, B| of both pictures, LIME's first guess (not in the paper; README, difference 13)."""
    return absolute(i_low, dark.amax(dim=1, keepdim=True)) + absolute(i_high, bright.amax(dim=1, keepdim=True))


# ---- restoration and adjustment --------------------------------------------------------------------------------------

def gradient_difference(prediction, target, norm="batch"):
    """Mean over the pixels of sum_d (g_d(prediction) - g_d(target))^2, for maps with one channel."""
    return sum(mean_square(a, b) for a, b in zip(gradient_maps(prediction, norm), gradient_maps(target, norm)))


def dissimilarity(prediction, target):
    """1 - SSIM: mean over batch, channels and the window positions inside the picture."""
    return 1 - ssim_map(prediction, target).mean()


def restoration(prediction, target, norm="batch"):
    """The terms by name; target is a power of R_h (restoration_target)."""
    return {"mse": mean_square(prediction, target), "grad": gradient_difference(gray(prediction), gray(target), norm),
            "ssim": dissimilarity(prediction, target)}


def restoration_target(reflectance, power=1.2):
    """R_h^1.2, to raise the contrast (the paper says R_h)."""
    return reflectance if power == 1 else reflectance.pow(power)


def adjustment(prediction, target, norm="batch"):
    """The terms by name; target is the other picture's I."""
    return {"mse": mean_square(prediction, target), "grad": gradient_difference(prediction, target, norm)}


def alternately(first, second):
    """The even places of the tensors (N, ...) in first, the odd ones of those in second."""
    def mix(a, b):
        odd = (torch.arange(len(a), device=a.device) % 2 == 1).reshape(-1, *[1] * (a.dim() - 1))
        return torch.where(odd, b, a)
    return [mix(a, b) for a, b in zip(first, second)]


def weigh(terms, weights):
    """{name: weight * value} of the terms whose weight is not zero; weights: {name: number}."""
    return {name: weights[name] * value for name, value in terms.items() if weights[name]}
