"""How well a warped picture fits the reference, and how well a stitched one hides its seam.

Pictures are (N, 3, H, W) in [0, 1], masks (N, 1, H, W). Warps are measured in float, as they come out of
common.stitching.geometry.warp, on the strict mask. A pair without overlap has no number (nan).
"""
import torch
import torch.nn.functional as F

from common.metrics.ssim import WINDOW, ssim_map
from common.stitching.geometry import STRICT

NATIVE = 7                         # window of scikit-image's default SSIM


def psnr_overlap(a, warped, mask):
    """PSNR in dB of B's warp against A over the strict mask, all channels together: (N,) float64."""
    return psnr_where(a, warped, mask >= STRICT)


def psnr_where(a, b, where):
    """PSNR in dB over a mask (N, 1, H, W) bool, all channels together: (N,) float64; nan for an empty mask."""
    squares = ((a.double() - b.double()).square() * where).sum(dim=(1, 2, 3)) / (a.shape[1] * where.sum(dim=(1, 2, 3)))
    return -10 * torch.log10(squares)


def ssim_overlap(a, warped, mask):
    """SSIM (Gaussian 11 x 11), mean over the channels and the windows that lie in the strict overlap: (N,) float64."""
    strict = mask >= STRICT
    shown = strict.to(a.dtype)
    similarity = ssim_map((a * shown).double(), (warped * shown).double())               # (N, 3, H - 10, W - 10)
    inside = -F.max_pool2d(-shown, WINDOW, stride=1)                    # 1 where the whole window is in the overlap
    return (similarity * inside).sum(dim=(1, 2, 3)) / (a.shape[1] * inside.sum(dim=(1, 2, 3)))


def psnr_gain_bias(a, warped, mask):
    """psnr_overlap after the gain and bias per channel that fit the warp to A: what misalignment alone costs. (N,)."""
    strict = (mask >= STRICT).double()
    count = strict.sum(dim=(2, 3), keepdim=True)
    a, warped = a.double(), warped.double()
    mean_a, mean_w = ((picture * strict).sum(dim=(2, 3), keepdim=True) / count for picture in (a, warped))
    covariance = ((a - mean_a) * (warped - mean_w) * strict).sum(dim=(2, 3), keepdim=True)
    variance = ((warped - mean_w).square() * strict).sum(dim=(2, 3), keepdim=True)
    return psnr_where(a, (warped - mean_w) * covariance / variance.clamp(min=1e-12) + mean_a, strict > 0)


def psnr_udis(a, warped, mask):
    """PSNR as UDIS computes it: the soft mask times both, mean over the whole frame. Zeros outside are perfect."""
    return -10 * torch.log10(((a.double() - warped.double()) * mask).square().mean(dim=(1, 2, 3)))


def ssim_udis(a, warped, mask):
    """SSIM as UDIS computes it of mask * A and mask * warp over the whole frame: (N,) float64.

    scikit-image's default: uniform windows of 7 x 7, sample covariance.
    """
    x, y = (picture.double() * mask for picture in (a, warped))

    def mean(z):
        return F.avg_pool2d(z, NATIVE, stride=1)
    mean_x, mean_y = mean(x), mean(y)
    sample, c1, c2 = NATIVE ** 2 / (NATIVE ** 2 - 1), 0.01 ** 2, 0.03 ** 2
    var_x, var_y = sample * (mean(x * x) - mean_x ** 2), sample * (mean(y * y) - mean_y ** 2)
    both = sample * (mean(x * y) - mean_x * mean_y)
    similarity = ((2 * mean_x * mean_y + c1) * (2 * both + c2)
                  / ((mean_x ** 2 + mean_y ** 2 + c1) * (var_x + var_y + c2)))
    return similarity.mean(dim=(1, 2, 3))


def seam_step(picture, references, mask, other):
    """How wrong the step across a border is, in levels of 255: (N,) float64; nan where there is no border.

    The border is mask's inside other (both (N, 1, H, W) bool): pairs of neighbours on its two sides, both in other.
    Mean over them of |(difference of the pair in picture) - (in a reference)|, mean over the channels, for each pair
    the reference that suits it best.
    """
    wrong, count = 0, 0
    for axis in (2, 3):
        length = mask.shape[axis] - 1
        across = mask.narrow(axis, 0, length) != mask.narrow(axis, 1, length)
        across = across & other.narrow(axis, 0, length) & other.narrow(axis, 1, length)
        step = picture.double().diff(dim=axis)
        off = [(step - each.double().diff(dim=axis)).abs().mean(dim=1, keepdim=True) for each in references]
        least = torch.stack(off).amin(dim=0)
        wrong, count = wrong + (least * across).sum(dim=(1, 2, 3)), count + across.sum(dim=(1, 2, 3))
    return 255 * wrong / count
