"""The SSIM map (Wang et al. 2004), by matrix products, and the loss made of it; pictures.py has the metric."""
import torch
import torch.nn.functional as F

WINDOW, SIGMA = 11, 1.5                                   # taps of SSIM's Gaussian, and its width in pixels
C1, C2 = 0.01**2, 0.03**2                                 # steady the quotient in dark and in flat places
STRIP = 32                                                # window positions per matrix product


def ssim_loss(a, b):
    """1 - ssim per picture for training, (N,), differentiable.

    In the inputs' precision, at least float32, also under autocast; float32 is within 2e-5 of ssim. ValueError for
    patches under 11 pixels, because nan would only stop the training later.
    """
    expect_same_shape(a, b)
    if min(a.shape[2:]) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW}x{WINDOW} pixels, these pictures have {a.shape[2]}x{a.shape[3]}")
    a, b = (x.float() if x.dtype.itemsize < 4 else x for x in (a, b))
    return 1 - ssim_map(a, b).mean(dim=(1, 2, 3))


def ssim_map(a, b):
    """SSIM at every window position inside, before any mean: (N, C, H - 10, W - 10) in the dtype of a and b."""
    with torch.autocast(a.device.type, enabled=False):    # E[x^2] - E[x]^2 does not survive bfloat16
        mean_a, mean_b, square, product = (_window_means(x) for x in (a, b, a * a + b * b, a * b))
    means_squared, means_product = mean_a.square() + mean_b.square(), mean_a * mean_b
    covariance = product - means_product
    variances = square - means_squared                    # their sum is all that the formula asks for
    return (2 * means_product + C1) * (2 * covariance + C2) / ((means_squared + C1) * (variances + C2))


def _window_means(x):
    """Gaussian means of (..., H, W) at the window positions inside: (..., H - 10, W - 10)."""
    return _window_means_of_rows(_window_means_of_rows(x).mT).mT


def _window_means_of_rows(x):
    """The same along the last axis, cut into strips for one matrix product: on a CPU 5 to 9 times as fast as conv2d."""
    positions = x.shape[-1] - WINDOW + 1
    strips = -(-positions // STRIP)
    taps = torch.arange(STRIP + WINDOW - 1, device=x.device)
    offset = taps[:, None] - taps[:STRIP] - WINDOW // 2
    band = torch.exp(-0.5 * (offset.to(x.dtype) / SIGMA) ** 2) * (offset.abs() <= WINDOW // 2)
    band = band / band.sum(dim=0)                         # (STRIP + 10, STRIP): column j holds the window at position j
    x = F.pad(x, (0, strips * STRIP - positions))
    strip = x.unfold(-1, STRIP + WINDOW - 1, STRIP).reshape(-1, STRIP + WINDOW - 1)
    return (strip @ band).view(*x.shape[:-1], strips * STRIP)[..., :positions]


def expect_same_shape(a, b):
    if a.shape != b.shape or a.dim() != 4:
        raise ValueError(f"expected two tensors (N, C, H, W) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
