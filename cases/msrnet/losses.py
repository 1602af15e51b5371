"""What MSR-net minimises: the paper's formula, and the one that made the release weights. Pure functions of tensors."""
from torch import nn

from common.metrics import ssim_loss


def frobenius(output, target):
    """(1/N) sum_i ||f(X_i) - Y_i||_F^2: sum over the values of a picture, mean over the N pictures (section 3)."""
    return (output - target).square().sum(dim=(1, 2, 3)).mean()


def weight_penalty(model):
    """sum_l ||W_l||_F^2 over the kernels of all convolutions; biases are not decayed (section 3)."""
    return sum(layer.weight.square().sum() for layer in model.modules() if isinstance(layer, nn.Conv2d))


def absolute(output, target):
    """Mean |output - target|: aims at the median of what a dark pixel may mean, not at the mean (not in the paper)."""
    return (output - target).abs().mean()


def dissimilarity(output, target):
    """Mean over the pictures of 1 - SSIM (not in the paper)."""
    return ssim_loss(output, target).mean()


def terms(output, target, model, settings):
    """The weighted terms by name; their sum is the loss. settings: those of `train`.

    loss=frobenius: the paper's, with weight_penalty (lambda); loss=l1: absolute difference + ssim_weight (1 - SSIM).
    """
    if settings.loss == "frobenius":
        return {"frobenius": frobenius(output, target), "penalty": settings.weight_penalty * weight_penalty(model)}
    return {"l1": absolute(output, target), "ssim": settings.ssim_weight * dissimilarity(output, target)}
