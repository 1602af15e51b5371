"""How far apart two pictures are to a feature network: LPIPS' formula (Zhang et al. 2018) without its learnt weights.

The network is the one at hand, the narrow VGG19 of checkpoints/vgg19_style/release-small.pt: values compare pictures
with each other, never with those that are printed for AlexNet or VGG.
"""
import torch
import torch.nn.functional as F

from cases.super_resolution.data import to_batch
from common.features import vgg

TAPS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
SMALLEST = 32                                                 # pixels a side that the deepest tap needs


@torch.inference_mode()
def feature_distance(trunk, picture, reference):
    """Mean over the taps of the mean over their places of |f - g|^2, f and g of length 1 over the channels.

    picture, reference: uint8 (h, w, 3) of one size. None where a side is shorter than 32 pixels.
    """
    if min(picture.shape[:2]) < SMALLEST:
        return None
    device = next(trunk.parameters()).device
    maps = zip(*(trunk(to_batch(each).to(device)).values() for each in (picture, reference)))
    return sum((F.normalize(f) - F.normalize(g)).square().sum(dim=1).mean().item() for f, g in maps) / len(TAPS)


def load_judge(device="cpu"):
    """The frozen trunk at TAPS."""
    return vgg.load("small", TAPS).to(device)
