"""Every number by which pictures are judged, each with its exact definition; niqe.py and tracking.py have the others.

Two kinds of argument. Tensors: (N, 3, H, W), RGB in [0, 1], one number per picture comes out, (N,) float64;
differentiable where said. `rgb8`: one picture as written, uint8 array (H, W, 3). Benchmark numbers belong to it:
divided by 255 it makes the former kind. What has no answer is nan (a picture too small for the measure); the reason
stands in the doc string.
"""
from itertools import product

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, maximum_filter

from common.metrics.ssim import WINDOW, expect_same_shape, ssim_map

TILE = 512                                                # pixels that are measured at a time, in each direction

# ---- tensors (N, 3, H, W) in [0, 1] ----------------------------------------------------------------------------------


def psnr(a, b):
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean (a - b)^2), the mean over channels and pixels. (N,) float64.

    Equal pictures give inf. Differentiable where the pictures differ. Any number of channels.
    """
    expect_same_shape(a, b)
    sums = [(x.double() - y.double()).square().sum(dim=(1, 2, 3)) for x, y in tiles(a, b)]
    return -10 * torch.log10(torch.stack(sums).sum(dim=0) / a[0].numel())


def ssim(a, b):
    """Structural similarity (Wang et al. 2004), mean over channels and window positions inside. (N,) float64.

    Gaussian window 11x11, sigma 1.5, population covariance, K = (0.01, 0.03), range 1: scikit-image's
    structural_similarity(channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False).
    Differentiable. A picture lower or narrower than 11 pixels has no window position: nan.
    """
    expect_same_shape(a, b)
    if min(a.shape[2:]) < WINDOW:
        return torch.full((len(a),), torch.nan, dtype=torch.float64, device=a.device)
    return _mean_ssim(a, b, lambda tile: tile.double())


def ssim_gray(a, b):
    """ssim of the two pictures as written in 8 bit and turned gray as gray8 does. (N,) float64, no gradient.

    On LOL 0.05 to 0.11 above the RGB flavour: tables that mix the two cannot be compared.
    """
    expect_same_shape(a, b)
    if min(a.shape[2:]) < WINDOW:
        return torch.full((len(a),), torch.nan, dtype=torch.float64, device=a.device)
    return _mean_ssim(a, b, _written_gray)


def _written_gray(x):
    levels = (255 * x.double() + 0.5).floor().clamp(0, 255).int()
    return _gray(*levels.unbind(dim=1)).unsqueeze(1).double() / 255


def _mean_ssim(a, b, prepare):
    """Mean of ssim_map over all window positions and channels of the prepared tiles, one after the other."""
    total, count = 0.0, 0
    for x, y in tiles(a, b, WINDOW - 1):
        for channels in zip(prepare(x).split(1, dim=1), prepare(y).split(1, dim=1)):
            similarity = ssim_map(*channels)
            total, count = total + similarity.sum(dim=(1, 2, 3)), count + similarity[0].numel()
    return total / count


def tiles(a, b, more=0):
    """The same places of two pictures (N, C, H, W): tiles of TILE x TILE pixels and `more` rows and columns of the next
    ones. So memory is a tile's, whatever the picture's, and stays in the processor's cache."""
    height, width = a.shape[2:]
    for top, left in product(range(0, height - more, TILE), range(0, width - more, TILE)):
        part = (..., slice(top, top + TILE + more), slice(left, left + TILE + more))
        yield a[part], b[part]


# ---- pictures as written: uint8 arrays (H, W, 3) ---------------------------------------------------------------------

def gray8(rgb8):
    """OpenCV's 8-bit gray in whole numbers, equal to cv2.cvtColor in every pixel. uint8 (H, W)."""
    _expect_rgb8(rgb8)
    return _gray(*np.moveaxis(rgb8.astype(np.int32), 2, 0)).astype(np.uint8)


def _gray(red, green, blue):
    return (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15   # .299, .587, .114 times 2^15, rounded


def luma(rgb8):
    """Luma of BT.601 in its range of 16 to 235: (h, w, 3) uint8 to (h, w) float64, not rounded."""
    _expect_rgb8(rgb8)
    return 16 + rgb8.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr_y(rgb8, reference8, border=0):
    """PSNR of the luma in dB, a border of so many pixels left out: what papers on super-resolution print, with the
    scale as border. Pictures (h, w, 3) uint8; inf for equal ones, nan where the border leaves nothing."""
    a, b = _inner_luma(rgb8, reference8, border)
    if not a.size:
        return float("nan")
    error = np.mean((a - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim_y(rgb8, reference8, border=0):
    """SSIM of the luma (Gaussian window of 11 x 11, sigma 1.5, inside the picture), as psnr_y; nan where the window
    does not fit."""
    a, b = _inner_luma(rgb8, reference8, border)
    if min(a.shape) < WINDOW:
        return float("nan")
    return ssim_map(*(torch.from_numpy(plane / 255)[None, None] for plane in (a, b))).mean().item()


def _inner_luma(rgb8, reference8, border):
    if rgb8.shape != reference8.shape:
        raise ValueError(f"pictures of {rgb8.shape} and {reference8.shape}: equal sizes were expected")
    inside = slice(border, -border or None)
    return luma(rgb8)[inside, inside], luma(reference8)[inside, inside]


def gt_mean(output8, target8):
    """The gt_mean protocol: the output scaled to the target's mean gray, clipped, floor(x + 0.5). uint8 (H, W, 3).

    It uses the answer: numbers measured on the result carry its name. A black output stays black.
    """
    ratio = gray8(target8).mean() / max(gray8(output8).mean(), 1e-9)
    return np.floor(np.clip(output8 * ratio, 0, 255) + 0.5).astype(np.uint8)


def fidelity(rgb8, reference8):
    """{psnr, ssim, ssim_gray} of a picture as written against its reference, of one size."""
    a, b = (torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
            for picture in (rgb8, reference8))
    return {"psnr": psnr(a, b).item(), "ssim": ssim(a, b).item(), "ssim_gray": ssim_gray(a, b).item()}


def psnr_mask(rgb8, reference8, mask):
    """PSNR in dB of the masked pixels alone, mask (H, W) bool; inf where they are equal, nan where there are none."""
    if not mask.any():
        return float("nan")
    error = np.mean((rgb8[mask].astype(np.float64) - reference8[mask]) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ciede2000(rgb8, reference8):
    """Mean CIEDE2000 colour difference of two 8-bit pictures (H, W, 3), sRGB under D65: 1 is just noticeable."""
    from skimage.color import deltaE_ciede2000, rgb2lab  # here: slow to import, and seldom needed
    _expect_rgb8(rgb8)
    _expect_rgb8(reference8)
    return float(deltaE_ciede2000(rgb2lab(rgb8), rgb2lab(reference8)).mean())


def gray_edge(rgb8):
    """How far a picture's edges are from gray, in degrees (gray-edge hypothesis, van de Weijer et al. 2007, p = 6):
    the angle between the Minkowski 6-norms of the three channels' gradients (Gaussian derivatives, sigma 1) and gray.

    A colour cast moves it from 0; so do scenes of one colour. nan where there is no edge.
    """
    _expect_rgb8(rgb8)
    edges = (gaussian_gradient_magnitude(channel, 1, mode="nearest") for channel in np.moveaxis(rgb8 / 255, 2, 0))
    norms = [np.mean(edge**6) ** (1 / 6) for edge in edges]
    length = np.linalg.norm(norms)
    return float(np.degrees(np.arccos(min(1.0, sum(norms) / length / 3**0.5)))) if length > 0 else float("nan")


def entropy(rgb8):
    """Entropy of the gray histogram (256 bins), -sum p log2 p, in bit: 0 for one level, 8 for all equally often."""
    share = np.bincount(gray8(rgb8).ravel(), minlength=256) / rgb8[..., 0].size
    share = share[share > 0]
    return float((share * np.log2(1 / share)).sum())


def noise_sigma(rgb8):
    """Standard deviation of the noise, in levels: median |d| / (6 * 0.6745) per channel, then the mean of the three.

    d is the second difference along rows and columns (the mask [1 -2 1] times its transpose, Immerkaer 1996; its norm
    is 6), which is zero on every plane and on straight edges along an axis. The median over the picture keeps other
    edges out, and 0.6745 makes it the sigma of white Gaussian noise. Blind to coarse-grained noise, fooled by fine
    texture, low where black is clipped: compare like with like, and look at sharpness, because blur lowers sigma, too.
    nan under 3x3 pixels.
    """
    _expect_rgb8(rgb8)
    if min(rgb8.shape[:2]) < 3:
        return float("nan")
    difference = np.diff(np.diff(rgb8.astype(np.int16), 2, axis=0), 2, axis=1)
    return float(np.median(np.abs(difference), axis=(0, 1)).mean() / (6 * 0.6745))


def sharpness(rgb8):
    """How steep the strong edges are: 1.9 for a perfect step, towards 1 the softer they are. nan where nothing varies.

    The gradient of gray at scale sigma 1, projected on the gradient at scale 2 and divided by it, along the crests of
    the strong edges (the latter among its largest 5 %, and at least 0.9 of its maximum in 5x5): sum g1.g2 / sum g2.g2.
    On the crest of a step that was blurred by s this is sqrt((s^2 + 4) / (s^2 + 1)). Why not the plain mean gradient or
    the Laplacian's variance: these grow with contrast and noise. A quotient of gradients does not know the exposure,
    and noise, being as often against the edge as along it, averages out of the projection. Measured on LOL's bright
    pictures: 1.76; blurred by sigma 0.5, 1, 2: 1.69, 1.50, 1.26; with noise of sigma 20: 1.77; at half the brightness:
    1.76.
    """
    gray = gray8(rgb8).astype(np.float64)
    fine, coarse = _gradient(gray, 1), _gradient(gray, 2)
    strength = (coarse**2).sum(axis=0)                                # squares: 0.81 is 0.9^2
    crests = (strength >= np.quantile(strength, 0.95)) & (strength >= 0.81 * maximum_filter(strength, 5))
    total = strength[crests].sum()
    return float((fine * coarse).sum(axis=0)[crests].sum() / total) if total > 1e-9 else float("nan")


def _gradient(gray, sigma):
    return np.stack([gaussian_filter(gray, sigma, order=order) for order in ((0, 1), (1, 0))])


def loe(before8, after8):
    """Lightness order error (Wang et al. 2013): how many pixels change order with a pixel, in the mean; 0 is best.

    Lightness L = max(R, G, B), sampled by nearest pixel to 50 along the short side (smaller pictures stay as they are).
    RD(p) is the number of pixels q for which L(p) >= L(q) holds in one picture and not in the other; LOE is its mean,
    not divided by the number of pixels (3,750 for 3:2): only numbers of one definition and one shape can be compared.
    Exact, through the joint histogram of the lightnesses.
    """
    if before8.shape != after8.shape:
        raise ValueError(f"expected two pictures of one shape, got {before8.shape} and {after8.shape}")
    before, after = (_lightness(picture).ravel() for picture in (before8, after8))
    pairs = np.bincount(256 * before + after, minlength=256 * 256).reshape(256, 256)   # pixels with levels (i, j)
    both = pairs.cumsum(axis=0).cumsum(axis=1)            # pixels not above (i, j) in either
    reordered = both[:, -1:] + both[-1:, :] - 2 * both    # pixels not above in exactly one of the two
    return float((pairs * reordered).sum() / before.size)


def _lightness(rgb8, short_side=50):
    _expect_rgb8(rgb8)
    scale = max(1, min(rgb8.shape[:2]) / short_side)
    rows, columns = (((np.arange(round(side / scale)) + 0.5) * side / round(side / scale)).astype(int)
                     for side in rgb8.shape[:2])
    return rgb8[np.ix_(rows, columns)].max(axis=2).astype(np.int64)


def _expect_rgb8(picture):
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected an 8-bit picture (H, W, 3), got {picture.dtype} {picture.shape}")
