"""Every number by which pictures are judged, each with its exact definition, and the table of what counts as a difference.

Two kinds of argument. Tensors: (N, 3, H, W), RGB in [0, 1], one number per picture comes out, (N,) float64; differentiable where said.
`rgb8`: one picture as written, uint8 array (H, W, 3). Benchmark numbers belong to it: divided by 255 it makes the former kind.
What has no answer is nan (a picture too small for the measure); the reason stands in the doc string.
"""
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, maximum_filter

from common.niqe import load_parameters, niqe  # noqa: F401  both belong to what this module offers


class Metric(NamedTuple):
    """How common.compare and the report treat a metric."""
    direction: str                                        # higher | lower: is better; two-sided: any change is a difference
    tolerance: float                                      # a change up to this, in the metric's unit, is no difference
    digits: int                                           # decimals in tables; files always have six
    unit: str = ""


# A tolerance is what the same settings may move by on another machine (other threads, instructions, a GPU) and what a reader should
# overlook, not the spread between seeds, which is larger (half a dB on LOL): to grade retrained weights widen it, `--tolerance psnr=0.6`.
# "Flips": one level more or less in every fifth value of an LOL output, more than another machine does to a picture; measured.
METRICS = {
    # against a reference picture
    "psnr": Metric("higher", 0.1, 2, "dB"),               # flips .006; 1 % more brightness .05 to .2
    "ssim": Metric("higher", 0.005, 4),                   # flips .0017, every value one level up .009 at most
    "ssim_gray": Metric("higher", 0.005, 4),              # flips .001, every value one level up .003 at most
    # of one picture
    "entropy": Metric("two-sided", 0.02, 2, "bit"),       # flips .015; noise has entropy, too, so more is no better
    "niqe": Metric("lower", 0.1, 3),                      # flips in 1 % of the values .03; 1 % more brightness .07
    "loe": Metric("lower", 5, 1, "pixels"),               # flips 2 to 6, of 3,750 pixels
    "noise_sigma": Metric("lower", 0.1, 2, "levels"),     # a median of whole numbers: its steps are .08; judge it beside sharpness
    "sharpness": Metric("higher", 0.02, 3),               # 1 % more brightness .002; a blur of sigma .5 takes .07
    "loss": Metric("lower", 1e-6, 4),                     # of a training, on held-out data
    "light_ratio": Metric("two-sided", 0.02, 2),          # what KinD was told; another machine moves it by 1e-5
    # tracking: one sequence of five that rounding throws off its target moves a mean by .003 (seen) and may by .02
    "ao": Metric("higher", 0.01, 4),
    "auc": Metric("higher", 0.01, 4),
    "precision": Metric("higher", 0.01, 4),
    "sr50": Metric("higher", 0.01, 4),
    "sr75": Metric("higher", 0.01, 4),
    # homographies: a pair lost or won by RANSAC is worth 100 px / 300 pairs = .33 in the mean, so .1 is less than one pair
    "rmse_4pt": Metric("lower", 0.1, 2, "px"),
    "rmse_4pt_median": Metric("lower", 0.1, 2, "px"),
    "rmse_4pt_below_1px": Metric("higher", 0.01, 3),      # 3 pairs of 300
    "failures": Metric("lower", 1, 0, "pairs"),           # the one pair on the edge
    # warps: measured in float; OpenCV versions differ by some hundredths of a dB
    "psnr_overlap": Metric("higher", 0.1, 2, "dB"),
    "psnr_overlap_gain": Metric("higher", 0.1, 2, "dB"),
    "psnr_overlap_or_identity": Metric("higher", 0.1, 2, "dB"),
    "psnr_udis": Metric("higher", 0.1, 2, "dB"),
    "psnr_udis128": Metric("higher", 0.1, 2, "dB"),
    "ssim_overlap": Metric("higher", 0.005, 4),
    "ssim_udis": Metric("higher", 0.005, 4),
    "ssim_udis128": Metric("higher", 0.005, 4),
    "overlap_area": Metric("two-sided", 0.005, 3),        # a warp that shrinks its overlap gains dB: neither way is good
    # stitched pictures
    "psnr_union": Metric("higher", 0.1, 2, "dB"),
    "psnr_b_own": Metric("higher", 0.1, 2, "dB"),
    "content_psnr": Metric("higher", 0.1, 2, "dB"),
    "ghost": Metric("lower", 0.1, 2, "levels"),           # averaging makes 4 to 12
    "seam_error": Metric("lower", 0.1, 2, "levels"),
    "seam_step": Metric("lower", 0.1, 2, "levels"),
    "join_cost": Metric("lower", 0.1, 2, "levels"),       # ghost and seam_step together: what a training is chosen by
    # style transfer: optimisation amplifies rounding: another machine's picture is another one, as good
    "style_distance": Metric("lower", 0.01, 3),
    "style_distance_untouched": Metric("two-sided", 0.001, 3),
    "content_distance": Metric("lower", 0.02, 3),
    "scales": Metric("two-sided", 0, 0),
    "count": Metric("two-sided", 0, 0),
}
UNKNOWN = Metric("two-sided", 1e-6, 4)                    # nothing is known about it: any change in the six decimals written


def metric_of(name):
    """The metric's row in METRICS; two-sided and strict for a name that is not there."""
    return METRICS.get(name, UNKNOWN)


# ---- tensors (N, 3, H, W) in [0, 1] ----

def psnr(a, b):
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean (a - b)^2), the mean over all channels and pixels. (N,) float64.

    Equal pictures give inf. Differentiable where the pictures differ. Any number of channels.
    """
    _same_shape(a, b)
    return -10 * torch.log10((a.double() - b.double()).square().mean(dim=(1, 2, 3)))


def ssim(a, b):
    """Structural similarity (Wang et al. 2004), mean over the channels and the window positions inside the picture. (N,) float64.

    Gaussian window 11x11, sigma 1.5, population covariance, K = (0.01, 0.03), range 1: scikit-image's structural_similarity(channel_axis=2,
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False). Differentiable. A picture lower or narrower than 11 pixels has no
    window position: nan.
    """
    _same_shape(a, b)
    if min(a.shape[2:]) < WINDOW:
        return torch.full((len(a),), torch.nan, dtype=torch.float64, device=a.device)
    channels = zip(a.split(1, dim=1), b.split(1, dim=1))  # one after the other: a third of the memory
    return torch.stack([ssim_map(x.double(), y.double()).mean(dim=(1, 2, 3)) for x, y in channels]).mean(dim=0)


def ssim_gray(a, b):
    """ssim of the two pictures as written in 8 bit and turned gray by OpenCV's formula (see gray8). (N,) float64, no gradient.

    On LOL 0.05 to 0.11 above the RGB flavour: tables that mix the two cannot be compared.
    """
    _same_shape(a, b)
    levels = ((255 * x.double() + 0.5).floor().clamp(0, 255).int() for x in (a, b))
    return ssim(*(_gray(*x.unbind(dim=1)).unsqueeze(1).double() / 255 for x in levels))


def ssim_loss(a, b):
    """1 - ssim per picture for training, (N,), differentiable, in the inputs' precision (at least float32, also under autocast).

    float32 is within 2e-5 of ssim. ValueError for patches under 11 pixels, because nan would only stop the training later.
    """
    _same_shape(a, b)
    if min(a.shape[2:]) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW}x{WINDOW} pixels, these pictures have {a.shape[2]}x{a.shape[3]}")
    a, b = (x.float() if x.dtype.itemsize < 4 else x for x in (a, b))
    return 1 - ssim_map(a, b).mean(dim=(1, 2, 3))


WINDOW, SIGMA = 11, 1.5                                   # taps of SSIM's Gaussian, and its width in pixels
C1, C2 = 0.01**2, 0.03**2                                 # steady the quotient in dark and in flat places
STRIP = 32                                                # window positions per matrix product


def ssim_map(a, b):
    """SSIM at every window position inside the picture, before any mean: (N, C, H - 10, W - 10) in the dtype of a and b."""
    with torch.autocast(a.device.type, enabled=False):    # E[x^2] - E[x]^2 does not survive bfloat16
        mean_a, mean_b, square, product = (_windowed(x) for x in (a, b, a * a + b * b, a * b))
    means_squared, means_product = mean_a.square() + mean_b.square(), mean_a * mean_b
    covariance = product - means_product
    variances = square - means_squared                    # their sum is all that the formula asks for
    return (2 * means_product + C1) * (2 * covariance + C2) / ((means_squared + C1) * (variances + C2))


def _windowed(x):
    """Gaussian means of (..., H, W) at the window positions inside: (..., H - 10, W - 10)."""
    return _windowed_rows(_windowed_rows(x).mT).mT


def _windowed_rows(x):
    """The same along the last axis, cut into strips, so that it is one matrix product: five to nine times faster than conv2d on a CPU."""
    positions = x.shape[-1] - WINDOW + 1
    strips = -(-positions // STRIP)
    offset = torch.arange(STRIP + WINDOW - 1, device=x.device)[:, None] - torch.arange(STRIP, device=x.device) - WINDOW // 2
    band = torch.exp(-0.5 * (offset.to(x.dtype) / SIGMA) ** 2) * (offset.abs() <= WINDOW // 2)
    band = band / band.sum(dim=0)                         # (STRIP + 10, STRIP): column j holds the window at position j
    x = F.pad(x, (0, strips * STRIP - positions))
    strip = x.unfold(-1, STRIP + WINDOW - 1, STRIP).reshape(-1, STRIP + WINDOW - 1)
    return (strip @ band).view(*x.shape[:-1], strips * STRIP)[..., :positions]


def _same_shape(a, b):
    if a.shape != b.shape or a.dim() != 4:
        raise ValueError(f"expected two tensors (N, C, H, W) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")


# ---- pictures as written: uint8 arrays (H, W, 3) ----

def gray8(rgb8):
    """OpenCV's 8-bit gray in whole numbers, equal to cv2.cvtColor in every pixel. uint8 (H, W)."""
    _expect_rgb8(rgb8)
    return _gray(*np.moveaxis(rgb8.astype(np.int32), 2, 0)).astype(np.uint8)


def _gray(red, green, blue):
    return (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15   # .299, .587, .114 times 2^15, rounded


def gt_mean(output8, target8):
    """The gt_mean protocol: the output scaled to the target's mean gray, clipped, floor(x + 0.5). uint8 (H, W, 3).

    It uses the answer: numbers measured on the result carry its name. A black output stays black.
    """
    ratio = gray8(target8).mean() / max(gray8(output8).mean(), 1e-9)
    return np.floor(np.clip(output8 * ratio, 0, 255) + 0.5).astype(np.uint8)


def fidelity(rgb8, reference8):
    """{psnr, ssim, ssim_gray} of a picture as written against its reference, of one size."""
    a, b = (torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255 for picture in (rgb8, reference8))
    return {"psnr": psnr(a, b).item(), "ssim": ssim(a, b).item(), "ssim_gray": ssim_gray(a, b).item()}


def entropy(rgb8):
    """Discrete entropy of the gray histogram (256 bins), -sum p log2 p, in bit: 0 for one level, 8 for all equally often."""
    share = np.bincount(gray8(rgb8).ravel(), minlength=256) / rgb8[..., 0].size
    share = share[share > 0]
    return float((share * np.log2(1 / share)).sum())


def noise_sigma(rgb8):
    """Standard deviation of the noise, in levels: median |d| / (6 * 0.6745) per channel, then the mean of the three.

    d is the second difference along rows and columns (the mask [1 -2 1] times its transpose, Immerkaer 1996; its norm is 6), which is
    zero on every plane and on straight edges along an axis. The median over the picture keeps other edges out, and 0.6745 makes it
    the sigma of white Gaussian noise. Blind to coarse-grained noise, fooled by fine texture, low where black is clipped: compare like with
    like, and look at sharpness, because blur lowers sigma, too. nan under 3x3 pixels.
    """
    _expect_rgb8(rgb8)
    if min(rgb8.shape[:2]) < 3:
        return float("nan")
    difference = np.diff(np.diff(rgb8.astype(np.int16), 2, axis=0), 2, axis=1)
    return float(np.median(np.abs(difference), axis=(0, 1)).mean() / (6 * 0.6745))


def sharpness(rgb8):
    """How steep the strong edges are: 1.9 for a perfect step, towards 1 the softer they are. nan where nothing varies.

    The gradient of gray at scale sigma 1, projected on the gradient at scale 2 and divided by it, along the crests of the strong edges (the
    latter among its largest 5 %, and at least 0.9 of its maximum in 5x5): sum g1.g2 / sum g2.g2. On the crest of a step that was blurred
    by s this is sqrt((s^2 + 4) / (s^2 + 1)).
    Why not the plain mean gradient or the Laplacian's variance: these grow with contrast and noise. A quotient of gradients does not
    know the exposure, and noise, being as often against the edge as along it, averages out of the projection. Measured on LOL's bright
    pictures: 1.76; blurred by sigma 0.5, 1, 2: 1.69, 1.50, 1.26; with noise of sigma 20: 1.77; at half the brightness: 1.76.
    """
    gray = gray8(rgb8).astype(np.float64)
    fine, coarse = (np.stack([gaussian_filter(gray, sigma, order=order) for order in ((0, 1), (1, 0))]) for sigma in (1, 2))
    strength = (coarse**2).sum(axis=0)
    crests = (strength >= np.quantile(strength, 0.95)) & (strength >= 0.81 * maximum_filter(strength, 5))   # of squares: 0.9^2
    total = strength[crests].sum()
    return float((fine * coarse).sum(axis=0)[crests].sum() / total) if total > 1e-9 else float("nan")


def loe(before8, after8):
    """Lightness order error (Wang et al. 2013): how many pixels change their order with a pixel, mean over the pixels. 0 is best.

    Lightness L = max(R, G, B), sampled by nearest pixel to 50 along the short side (smaller pictures stay as they are). RD(p) is the number
    of pixels q for which L(p) >= L(q) holds in one picture and not in the other; LOE is its mean, not divided by the number of pixels
    (3,750 for 3:2): only numbers of one definition and one shape can be compared. Exact, through the joint histogram of the lightnesses.
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
    rows, columns = (((np.arange(round(side / scale)) + 0.5) * side / round(side / scale)).astype(int) for side in rgb8.shape[:2])
    return rgb8[np.ix_(rows, columns)].max(axis=2).astype(np.int64)


def _expect_rgb8(picture):
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected an 8-bit picture (H, W, 3), got {picture.dtype} {picture.shape}")


# ---- curves ----

def auc(thresholds, shares):
    """Area under a curve of shares over increasing thresholds, by trapezoids, divided by the thresholds' range: a mean in [0, 1].

    Not what trackers print under this name: see success_auc.
    """
    thresholds, shares = np.asarray(thresholds, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if thresholds.shape != shares.shape or len(thresholds) < 2 or (np.diff(thresholds) <= 0).any():
        raise ValueError(f"expected increasing thresholds and as many shares, got {thresholds.shape} and {shares.shape}")
    return float(np.trapezoid(shares, thresholds) / (thresholds[-1] - thresholds[0]))


def success_auc(shares):
    """OTB's success AUC, the metric `auc` of trackers: the plain mean of the shares at its 21 thresholds 0, .05 .. 1, the ends included."""
    return float(np.mean(shares))


# ---- boxes of trackers: float64 (N, 4), x, y, w, h; equal to the got10k toolkit 0.1.3 to rounding ----

OVERLAPS = np.linspace(0, 1, 21)                          # thresholds of the success curve
ERRORS = np.arange(51)                                    # of the precision curve, pixels; `precision` is its value at 20


def box_iou(boxes, others, bound=None):
    """Intersection over union per row, (N,) in [0, 1], in continuous coordinates (w and h are not increased by one).

    bound: (width, height) to which both are clipped first, as GOT-10k's evaluation does; the arguments stay as they are. nan where a row is.
    """
    a, b = (_clipped(np.array(rows, dtype=np.float64).reshape(-1, 4), bound) for rows in (boxes, others))
    if a.shape != b.shape:
        raise ValueError(f"expected as many boxes as truths, got {len(a)} and {len(b)}")
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared
    return np.clip(shared / (union + np.finfo(float).eps), 0, 1)


def _clipped(boxes, bound):
    if bound is not None:
        boxes[:, :2] = np.clip(boxes[:, :2], 0, bound)
        boxes[:, 2:] = np.clip(boxes[:, 2:], 0, bound - boxes[:, :2])
    return boxes


def centre_error(boxes, others):
    """Distance of the centres x + (w - 1) / 2, y + (h - 1) / 2 in pixels, (N,)."""
    rows = (np.asarray(given, dtype=np.float64).reshape(-1, 4) for given in (boxes, others))
    a, b = (given[:, :2] + (given[:, 2:] - 1) / 2 for given in rows)          # equal boxes have an error of exactly 0
    return np.sqrt(((a - b) ** 2).sum(axis=1))


def success_curve(ious):
    """Share of frames whose IoU is above (not equal to) each of OVERLAPS: at 0 only IoU > 0 counts, at 1 nothing does. (21,)"""
    return np.greater(np.asarray(ious)[:, None], OVERLAPS).mean(axis=0)


def precision_curve(errors):
    """Share of frames whose centre error is at most each of ERRORS. (51,)"""
    return np.less_equal(np.asarray(errors)[:, None], ERRORS).mean(axis=0)


def tracking(boxes, truth, bound=None, counted=None):
    """{ao, auc, precision, sr50, sr75} of one sequence; rows of boxes and truth are frames, the first is given to the tracker.

    ao: mean IoU, sr50 and sr75: shares of IoU > .5 and > .75, all of frames 2..N; with bound both boxes are clipped to the frame and frames
    where counted is False left out, as on GOT-10k (target hidden). auc (success_auc) and precision (centre error at most 20 pixels) are OTB's:
    of all frames, the first with the truth, never clipped. Frames whose truth is nan (target absent) count nowhere; nan where none is left.
    """
    boxes, truth = (np.array(rows, dtype=np.float64) for rows in (boxes, truth))
    boxes[0], there = truth[0], np.isfinite(truth).all(axis=1)
    boxes[~np.isfinite(boxes).all(axis=1)] = 0                              # a tracker's nan is no box
    later = (there & (True if counted is None else np.asarray(counted, dtype=bool)))[1:]
    ious = box_iou(boxes[1:], truth[1:], bound)[later]
    errors = centre_error(boxes[there], truth[there])
    shares = {name: float((ious > limit).mean()) if len(ious) else np.nan for name, limit in (("sr50", 0.5), ("sr75", 0.75))}
    return {"ao": float(ious.mean()) if len(ious) else np.nan, "auc": success_auc(success_curve(box_iou(boxes[there], truth[there]))),
            "precision": float(precision_curve(errors)[20])} | shares
