"""Un-blending: where a mark is half-transparent, the picture is still there, and y = (1 - alpha) x + alpha w is undone.

Known alpha and w: one division. Otherwise both are estimated from the mask alone:
1. where the mark is deepest, x = s y + t with s = 1 / (1 - alpha), t = -s alpha w: s and t are such that what comes out
   has the mean and the spread of the picture just beside (statistics: match_inside);
2. the soft edges: alpha of a pixel from what lies around it, averaged over the repetitions of the mark in a picture
   (its lattice, from the mask's autocorrelation) and over all pictures that carry it (Dekel et al. 2017 do so).
Pictures are uint8 (H, W, 3) outside, float in [0, 1] inside.
"""
import itertools
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.restoration import inpaint_biharmonic

from cases.image_prior.data import to_levels

NEAR = 2.5                # pixels: sigma of the window in which inside and outside are compared
DEEP = 2                  # pixels from the mask's edge where the mark may be at full strength
ROUNDS, TRIM = 8, 1.5     # how often what is not at full strength is left out; beyond so many deviations
SURROUNDINGS = 0.04       # how far a pixel is from what its surroundings say, in [0, 1]: of photographs, at 256 pixels
AGREEMENT = 0.02          # how far an averaged alpha may be from the pixel's own
REPEATS, PAIRS = 0.7, 14  # correlation at every point of a lattice; strongest peaks that are tried for its axes
PEAK, MEET = 0.45, 0.1    # of a shift: correlation, and share of the picture that must meet itself, to count as a peak
OPAQUE, FAINT = 0.96, 0.05
DENSE, CLIPPED = 0.9, 25   # of lost pixels: alpha, and levels beyond 0 and 255
TOGETHER = 24e6           # pixels of the pictures that a mark is estimated from; each million takes 0.1 GB


class Mark(NamedTuple):
    """alpha (H, W): how much of the mark covers each pixel, 0 outside the mask; colour (3,) in [0, 1]; strength: alpha
    where the mark is deepest, which is in the places deep, bool (H, W): there x = s y + t, t (3,)."""
    alpha: np.ndarray
    colour: np.ndarray
    strength: float
    deep: np.ndarray
    s: float
    t: np.ndarray


class Nothing(ValueError):
    """The picture does not show through the mark, or there is hardly a mark."""


def unblend(picture, alpha, colour):
    """x = (y - alpha w) / (1 - alpha) of a picture, uint8; colour: w (3,) in levels. Where alpha is 1 it stays."""
    left = np.where(alpha < 1, 1 - alpha, 1)[..., None]
    return to_levels(np.where((alpha < 1)[..., None], (picture - alpha[..., None] * colour) / left, picture))


def lost(picture, mark):
    """bool (H, W): where un-blending a picture, uint8, cannot tell what was there: alpha above DENSE, where half a
    level of rounding has become five, or an answer that leaves what 8 bits hold by more than CLIPPED levels, which a
    clipped or differently covered pixel does."""
    left = np.maximum(1 - mark.alpha, 1 - OPAQUE)[..., None]
    undone = (picture - mark.alpha[..., None] * 255 * mark.colour) / left
    beyond = np.maximum(-undone, undone - 255).max(axis=2) > CLIPPED
    return (mark.alpha > 0) & (beyond | (mark.alpha > DENSE))


def unblend_estimated(pictures, mask, strength=None):
    """([picture without its mark], the Mark) of pictures that carry one mark at one place; of it only the mask, bool
    (H, W), is known, and alpha where the mark is deepest if `strength` says it. Raises Nothing."""
    mark, surroundings = estimate(pictures, mask, strength)
    return [remove(picture, mask, mark, around) for picture, around in zip(pictures, surroundings)], mark


def remove(picture, mask, mark, around=None):
    """A picture, uint8, without the mark; around: what its surroundings say, if that is known already."""
    seen = picture / 255
    around = look_around(seen, mask, mark.deep, mark.s, mark.t) if around is None else around
    return unblend(picture, settle(seen, around, mask, mark), 255 * mark.colour)


def estimate(pictures, mask, strength=None):
    """(Mark, [what the surroundings say of each picture, None where it was not asked]) of pictures, uint8, from the
    first of them, TOGETHER pixels at most; strength: as told, else estimated. Raises Nothing."""
    unasked = [None for _ in pictures[most_together(mask):]]
    pictures = [picture / 255 for picture in pictures[:most_together(mask)]]
    s, t, deep = match_inside(pictures, mask, strength and 1 / (1 - strength))
    strength = 1 - 1 / s
    if not FAINT < strength < OPAQUE:
        raise Nothing(f"the mark's alpha comes out as {strength:.2f}: {FAINT} to {OPAQUE} can be undone")
    colour = np.clip(-t / s / strength, 0, 1)
    surroundings = [look_around(picture, mask, deep, s, t) for picture in pictures]
    shifts, total, weights = lattice(mask), 0.0, 1e-9
    for picture, around in zip(pictures, surroundings):
        alpha, certainty = own_alpha(picture, around, mask, colour, strength)
        alpha, certainty = np.where(deep, strength, alpha), np.where(deep, 1 / 0.02**2, 1 / (1 / certainty + 0.03**2))
        certainty = np.where(mask, certainty, 1 / 0.01**2)                    # outside alpha is 0, and known
        for shift in [(0.0, 0.0), *shifts]:
            weight = ndimage.shift(certainty, shift, order=1)
            total = total + weight * ndimage.shift(alpha, shift, order=3)
            weights = weights + weight
    alpha = np.where(mask, np.clip(total / weights, 0, min(1.02 * strength, OPAQUE)), 0)
    return Mark(alpha, colour, strength, deep, s, t), surroundings + unasked


def most_together(mask):
    """How many pictures of the mask's size a mark is estimated from at most."""
    return max(1, int(TOGETHER // mask.size))


# ---- how strong, and what colour -------------------------------------------------------------------------------------

def match_inside(pictures, mask, told=None):
    """(s, t, deep): x = s y + t, t (3,), makes the mark's deep places have the mean and spread of what is beside them;
    deep: bool (H, W), the places at full strength that were used; told: s, where it is known.

    A line through means and spreads (reduced major axis) does not flatten as a regression does, whose x is noisy.
    """
    candidates = ndimage.distance_transform_edt(mask) >= DEEP
    if not candidates.any():
        raise Nothing("the mask is nowhere wider than four pixels")
    keep, outside = candidates, [local_mean(picture, ~mask) for picture in pictures]
    for _ in range(ROUNDS):
        s, t = match_spread(pictures, keep, outside, told)
        colour = -t / max(s - 1, 1e-3)
        errors = []                                           # along the line to the mark's colour; below 0: too dark
        for picture, (mean, _) in zip(pictures, outside):
            towards = colour - mean
            length = np.linalg.norm(towards, axis=2) + 1e-3
            errors.append(((s * picture + t - mean) * towards).sum(axis=2) / length)
        error = np.mean(errors, axis=0)
        spread = 1.4826 * np.median(np.abs(error[keep] - np.median(error[keep]))) + 1e-6
        kept = candidates & (np.abs(error) < TRIM * spread)
        if not kept.any():
            break
        keep = kept
    return s, t, keep


def match_spread(pictures, keep, outside, told=None):
    """(s, t) of the present choice of deep places, over all pictures and places that have both sides nearby."""
    sums = np.zeros(1)
    groups = []
    for picture, (mean, near) in zip(pictures, outside):
        inside, amount = local_mean(picture, keep)
        weight = np.minimum(amount / max(amount.max(), 1e-9), near / max(near.max(), 1e-9))[..., None]
        groups.append((weight, mean, inside))
        sums = sums + weight.sum()
    means = [sum((weight * group[side]).sum(axis=(0, 1)) for group in groups for weight in [group[0]]) / sums
             for side in (1, 2)]
    spreads = [sum((group[0] * (group[side] - means[side - 1])**2).sum() for group in groups) for side in (1, 2)]
    s = told or np.sqrt(spreads[0] / max(spreads[1], 1e-12))
    return s, means[0] - s * means[1]


def local_mean(picture, where):
    """(mean of the pixels chosen near each place, how many of them there are)."""
    amount = ndimage.gaussian_filter(where.astype(float), NEAR)
    total = ndimage.gaussian_filter(picture * where[..., None], (NEAR, NEAR, 0))
    return total / np.maximum(amount, 1e-9)[..., None], amount


# ---- the soft edges --------------------------------------------------------------------------------------------------

def look_around(picture, mask, deep, s, t):
    """The picture with its deep places un-blended and the edges filled from both sides (biharmonic)."""
    undone = np.clip(np.where(deep[..., None], s * picture + t, picture), 0, 1)
    return np.clip(inpaint_biharmonic(undone, mask & ~deep, channel_axis=-1), 0, 1)


def own_alpha(picture, around, mask, colour, strength):
    """(alpha, certainty) of each pixel from what lies around it: the point of the line from there to the mark's colour
    that is nearest to what is seen; certainty: 1 / variance."""
    towards = colour - around
    square = np.maximum((towards**2).sum(axis=2), 1e-3)
    alpha = ((picture - around) * towards).sum(axis=2) / square
    return np.where(mask, np.clip(alpha, -0.1 * strength, 1.1 * strength), 0), square / SURROUNDINGS**2


def settle(picture, around, mask, mark):
    """alpha of one picture: between the averaged one and the pixel's own, by how certain each is."""
    own, certainty = own_alpha(picture, around, mask, mark.colour, mark.strength)
    trust = 1 / AGREEMENT**2
    mixed = (np.clip(own, 0, mark.strength) * certainty + mark.alpha * trust) / (certainty + trust)
    return np.where(mask, np.clip(mixed, 0, OPAQUE), 0)


# ---- where the mark comes again --------------------------------------------------------------------------------------

def lattice(mask):
    """[(down, right)] in pixels, with fractions, by which a tiled mark covers itself; empty where it does not. Where it
    repeats along one axis alone within the picture, these repetitions."""
    size, again = mask.shape, correlation(mask)
    peaks = np.argwhere((again == ndimage.maximum_filter(again, 7)) & (again > PEAK)) - np.array(size)
    far = ((peaks**2).sum(axis=1) > 64) & (shared(peaks, size) > MEET)
    half = (peaks[:, 0] > 0) | ((peaks[:, 0] == 0) & (peaks[:, 1] > 0))
    peaks = peaks[far & half].astype(float)
    peaks = peaks[np.argsort(-read_at(again, peaks))][:PAIRS]
    pairs = [peaks[[place, other]] for place in range(len(peaks)) for other in range(place)]
    axes = densest(again, pairs, size)
    if axes is None:
        axes = densest(again, peaks[:, None], size)
    return [] if axes is None else [tuple(point) for point in combinations(axes, size, 0.03)[1]]


def densest(again, candidates, size):
    """The axes, (2, 2) or (1, 2), among the candidates under which the mark covers itself everywhere and most often;
    None: under none."""
    best, smallest = None, np.inf
    for axes in candidates:
        axes = fit_axes(again, axes, size)
        area = np.sqrt(max(np.linalg.det(axes @ axes.T), 0))                         # of one axis: its length
        points = np.concatenate([axes, combinations(axes, size, MEET)[1]])
        if 10**len(axes) < area < smallest and len(points) >= 3 * len(axes) and read_at(again, points).min() > REPEATS:
            best, smallest = axes, area
    return best


def fit_axes(again, axes, size):
    """The two axes that fit the peaks of the correlation best: the near ones first, whose places are almost right, then
    farther and farther ones, where an error of the axes would have grown until it took another peak for theirs."""
    for share in (0.6, 0.3, MEET, MEET):
        counts, points = combinations(axes, size, share)
        moves = [climb(again, point) - point for point in points]
        axes = axes + np.linalg.lstsq(counts, np.reshape(moves, (-1, 2)), rcond=None)[0]     # none: they stay
    return axes


def correlation(mask):
    """Correlation (2 H, 2 W) of the mask with itself, shifted by up to H and W both ways; 0 where few pixels meet."""
    size = mask.shape
    soft, ones = ndimage.gaussian_filter(mask.astype(float), 0.7), np.ones(size)
    doubled = [2 * side for side in size]

    def meet(a, b):
        spectrum = np.fft.rfft2(a, doubled) * np.conj(np.fft.rfft2(b, doubled))
        return np.fft.fftshift(np.fft.irfft2(spectrum, doubled))
    count = np.maximum(meet(ones, ones), 1)
    one, other = meet(soft, ones) / count, meet(ones, soft) / count
    spread = (meet(soft**2, ones) / count - one**2) * (meet(ones, soft**2) / count - other**2)
    product = (meet(soft, soft) / count - one * other) / np.sqrt(np.maximum(spread, 1e-6))
    return np.where(count > MEET / 2 * mask.size, product, 0)


def read_at(again, points):
    """The correlation at shifts (N, 2)."""
    centre = np.array(again.shape)[:, None] / 2
    return ndimage.map_coordinates(again, np.reshape(points, (-1, 2)).T + centre, order=1)


def combinations(axes, size, share):
    """(counts (N, K), shifts (N, 2)): whole multiples of K axes under which that share of the picture still meets
    itself, all but none."""
    counts = np.array(list(itertools.product(range(-12, 13), repeat=len(axes))))
    shifts = counts @ axes
    chosen = (shared(shifts, size) > share) & counts.any(axis=1)
    return counts[chosen], shifts[chosen]


def shared(shifts, size):
    """The share of a picture that still meets itself under each shift (N, 2)."""
    return np.prod(np.clip(1 - np.abs(shifts) / np.array(size), 0, None), axis=1)


def climb(again, point):
    """The peak next to a shift, to fractions of a pixel by a parabola."""
    y, x = (int(round(value)) + side // 2 for value, side in zip(point, again.shape))
    window = again[y - 2:y + 3, x - 2:x + 3]
    if window.shape != (5, 5) or window.max() < PEAK:
        return point
    down, right = np.unravel_index(window.argmax(), window.shape)
    y, x = y + down - 2, x + right - 2
    if not (0 < y < again.shape[0] - 1 and 0 < x < again.shape[1] - 1):
        return point
    fractions = [parabola(again[y - 1:y + 2, x]), parabola(again[y, x - 1:x + 2])]
    return np.array([y, x]) - np.array(again.shape) / 2 + fractions


def parabola(three):
    """Where the parabola through three values has its top, from the middle one."""
    bend = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / bend, -0.5, 0.5)) if bend < 0 else 0.0
