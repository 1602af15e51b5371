"""What the networks of this case minimise: how far logits (N, h, w) are from maps of 0 and 1 of the same shape."""
import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

W0, SIGMA = 10.0, 5.0                                      # of the U-Net paper's weight map; pixels


def bce(logits, target, weight=None):
    """Binary cross entropy, mean over pixels. weight: (N, h, w) or None."""
    return F.binary_cross_entropy_with_logits(logits, target, weight)


def dice(logits, target):
    """1 - 2 sum(p t) / (sum p + sum t), mean over pictures: a picture with few nuclei counts as much as a full one."""
    p = torch.sigmoid(logits)
    shared, both = (p * target).sum(dim=(1, 2)), (p + target).sum(dim=(1, 2))
    return (1 - (2 * shared + 1) / (both + 1)).mean()


def focal(logits, target, gamma=2.0):
    """Cross entropy times (1 - p of the truth)^gamma (Lin et al. 2017): what is easy counts little."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def distance(logits, target):
    """Mean absolute difference of sigmoid(logits) and the distance map in [0, 1]."""
    return (torch.sigmoid(logits) - target).abs().mean()


def boundary_weight(labels):
    """1 + W0 exp(-(d1 + d2)^2 / (2 SIGMA^2)), d1, d2 distances to the two nearest nuclei (U-Net paper, equation 2,
    without its balance of classes): high in the narrow gaps. labels (h, w) -> float32 (h, w)."""
    numbers = np.unique(labels[labels > 0])
    if len(numbers) < 2:
        return np.ones(labels.shape, np.float32)
    nearest = np.full((2, *labels.shape), np.inf)
    for number in numbers:
        away = distance_transform_edt(labels != number)
        nearest = np.sort(np.concatenate([nearest, away[None]]), axis=0)[:2]
    extra = W0 * np.exp(-nearest.sum(axis=0) ** 2 / (2 * SIGMA**2))
    return (1 + extra * (labels == 0)).astype(np.float32)
