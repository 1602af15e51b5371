"""Refining a homography by the pictures themselves: Gauss-Newton on the squares in the overlap, over a pyramid.

Pictures are uint8 or float (h, w, 3), 0..255. Nothing is learnt; one function serves every estimate, whoever made it.
"""
import itertools
from typing import NamedTuple

import cv2
import numpy as np
import torch

from common.stitching.geometry import STRICT, outline_of, refusal

LEVELS = (4, 2, 1)                 # how often each side is halved at first, and so on
STEPS = 20                         # per level, at most
SETTLED = 0.1                      # pixels of a step: enough for photographs that are joined
NEAR_MATCH = 2.0                   # pixels that follow() moves a match at most
SMALLEST = 24                      # a level must leave this many pixels on the shorter side
KEPT_AREA = 0.9                    # of the overlap that the start had: or shrinking it would always win
FLOOR = 800                        # pixels of overlap, of 128 x 128, under which score() believes nothing


class Refined(NamedTuple):
    """What refine() found, or the start where nothing was gained."""
    H_ba: torch.Tensor             # (3, 3) float64
    error: float                   # mean squared levels over the strict overlap
    start_error: float
    area_ratio: float              # of the overlap to the start's
    steps: int                     # that were accepted


class Level(NamedTuple):
    """One level of the pyramid, A and B float32."""
    a: np.ndarray                  # (h, w, 3)
    b: np.ndarray                  # (h, w, C + 1), the last channel ones
    factor: float                  # how often each side is divided
    x: np.ndarray                  # (w, 5) powers 0 to 4 of x, centred, over half the longer side
    y: np.ndarray                  # (5, h) the same of y


ONE = {(0, 0): 1}                  # a polynomial: the factor of each x^i y^j
INCREMENT = [({(1, 0): 1}, {}), ({(0, 1): 1}, {}), (ONE, {}), ({}, {(1, 0): 1}), ({}, {(0, 1): 1}), ({}, ONE),
             ({(2, 0): -1}, {(1, 1): -1}), ({(1, 1): -1}, {(0, 2): -1})]        # how each number of D moves (x, y)


def _weights():
    """What each sum over pixels is made of: the normal matrix (8, 8, 5, 5, 5) and the right side (8, 5, 5, 5), weights
    of the moments [which, j, i]."""
    normal, right = np.zeros((8, 8, 5, 5, 5)), np.zeros((8, 5, 5, 5))

    def add(total, first, second, which):
        for ((i, j), f), ((k, m), s) in itertools.product(first.items(), second.items()):
            total[which, j + m, i + k] += f * s
    for row, (x, y) in enumerate(INCREMENT):
        add(right[row], x, ONE, 3)
        add(right[row], y, ONE, 4)
        for column, (u, v) in enumerate(INCREMENT):
            for which, first, second in ((0, x, u), (1, x, v), (1, y, u), (2, y, v)):
                add(normal[row, column], first, second, which)
    return normal, right


NORMAL, RIGHT = _weights()


def refine(a, b, H_ba, gain_bias=False, levels=LEVELS, settled=0.0):
    """Refined: H_ba (3, 3) moved to where B's warp differs least from A, while it stays a fair homography.

    gain_bias: compare after the best gain and bias per channel, for pictures of different exposure. A step counts only
    if the error falls, refusal() has nothing against it and the overlap keeps 90 % of the start's; and at the end the
    result must be no worse than the start on the pixels that both overlaps have. Otherwise the start comes back.
    levels: how often each side is halved, coarse first; the last one judges the result. One that leaves fewer than 24
    pixels a side is left out. settled: a level ends where a step would move the corners by less than so many of its
    pixels.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    size_a, size_b = (a.shape[1], a.shape[0]), (b.shape[1], b.shape[0])
    start = np.asarray(H_ba, np.float64)
    if refusal(torch.from_numpy(start), size_a, size_b):
        return Refined(torch.from_numpy(start), np.inf, np.inf, 1.0, 0)
    levels = [_level(a, b, factor) for factor in levels if min(*size_a, *size_b) / factor >= SMALLEST]
    H, steps = start, 0
    for level in levels:
        H, taken = _descend(level, H, start, gain_bias, settled)
        steps += taken
    return _judge(levels[-1] if levels else _level(a, b, 1), start, H, steps, gain_bias)


def refine_overlap(a, b, H_ba, **options):
    """refine() on the part of A that B covers, and a little more: the same pixels, less work where they are few."""
    part, corner = _covered(H_ba, a.shape[1::-1], b.shape[1::-1])
    into, back = (np.array([[1.0, 0, sign * corner[0]], [0, 1, sign * corner[1]], [0, 0, 1]]) for sign in (-1, 1))
    found = refine(a[part], b, into @ np.asarray(H_ba, np.float64), **options)
    return found._replace(H_ba=torch.from_numpy(back) @ found.H_ba)


def _covered(H_ba, size_a, size_b, margin=16):
    """((rows, columns) of A that B covers by H_ba and `margin` pixels round them, (left, top)); all of A where it
    covers none. In whole eights, so that halved pixels are those of the whole picture."""
    outline = outline_of(torch.as_tensor(H_ba), size_b)
    if outline is None:
        return np.s_[:, :], (0, 0)
    (left, top), (right, bottom) = (np.clip(each, 0, size_a) for each in (np.min(outline, axis=0) - margin,
                                                                        np.max(outline, axis=0) + margin))
    left, top, right, bottom = int(left) // 8 * 8, int(top) // 8 * 8, -int(-right // 8) * 8, -int(-bottom // 8) * 8
    if right - left < SMALLEST or bottom - top < SMALLEST:
        return np.s_[:, :], (0, 0)
    return np.s_[top:bottom, left:right], (left, top)


def follow(a, b, H_ba, matches, window=15):
    """Matches (n, 4), x and y in A and in B, with B's points moved to where the pictures agree (Lucas and Kanade on B's
    warp): keypoints of small copies are a pixel off. Those that would move further than NEAR_MATCH stay.

    a, b: (h, w, 1) uint8, as to_gray() gives them.
    """
    if not len(matches):
        return matches
    H = np.asarray(H_ba, np.float64)
    in_a, in_b = (np.ascontiguousarray(each, np.float32) for each in np.split(matches, 2, axis=1))
    difference, mask = residual(a, b, H, gain_bias=True)
    warped = np.clip(np.where(mask[..., None], difference + a, a), 0, 255).astype(np.uint8)
    start = cv2.perspectiveTransform(in_b[None], H)[0]
    found, status, _ = cv2.calcOpticalFlowPyrLK(a, warped, in_a, start.copy(), winSize=(window, window), maxLevel=0,
                                                flags=cv2.OPTFLOW_USE_INITIAL_FLOW)
    good = (status.ravel() > 0) & (np.linalg.norm(found - start, axis=1) < NEAR_MATCH)
    moved = cv2.perspectiveTransform(found[None].astype(np.float64), np.linalg.inv(H))[0]
    return np.hstack([matches[:, :2], np.where(good[:, None], moved, matches[:, 2:])])


def _judge(level, start, H, steps, gain_bias):
    """The Refined of H, or of the start where the pictures of a level like it no worse."""
    down, up = _scaling(1 / level.factor), _scaling(level.factor)
    (before, mask_before), (after, mask_after) = (_residual(level.a, level.b, down @ each @ up, gain_bias)
                                                  for each in (start, H))
    error, start_error = mean_square(after, mask_after), mean_square(before, mask_before)
    common, ratio = mask_before & mask_after, mask_after.sum() / max(mask_before.sum(), 1)
    better = error <= start_error and mean_square(after, common) <= mean_square(before, common) and ratio >= KEPT_AREA
    sizes = (tuple(side * level.factor for side in each.shape[1::-1]) for each in (level.a, level.b))
    if not better or refusal(torch.from_numpy(H), *sizes):
        return Refined(torch.from_numpy(start), start_error, start_error, 1.0, 0)
    return Refined(torch.from_numpy(H), error, start_error, float(ratio), steps)


def residual(a, b, H_ba, gain_bias=False):
    """(difference (h, w, C) of B's warp less A, strict mask (h, w) bool), float, not rounded."""
    b = np.asarray(b, np.float32)
    return _residual(np.asarray(a, np.float32), np.dstack([b, np.ones(b.shape[:2], np.float32)]), H_ba, gain_bias)


def _residual(a, b, H_ba, gain_bias):
    """The same; b has the ones already."""
    warped = cv2.warpPerspective(b, H_ba, (a.shape[1], a.shape[0]), flags=cv2.INTER_LINEAR)
    mask, warped = warped[..., -1] >= STRICT, np.ascontiguousarray(warped[..., :-1])
    return (_adjust(warped, a, mask) if gain_bias else warped) - a, mask


def _adjust(warped, a, mask):
    """warped with the gain and bias per channel that bring it closest to A on mask; gains between 1/3 and 3."""
    if np.count_nonzero(mask) < 2:
        return warped
    where, channels = mask.view(np.uint8), a.shape[2]
    (mean_w, spread), mean_a = cv2.meanStdDev(warped, mask=where), cv2.mean(a, where)[:channels]
    mean_w, variance = mean_w.ravel(), spread.ravel() ** 2
    covariance = np.array(cv2.mean(warped * a, where)[:channels]) - mean_w * mean_a
    gain = np.clip(covariance / np.maximum(variance, 1e-9), 1 / 3, 3)
    return warped * gain.astype(np.float32) + (mean_a - gain * mean_w).astype(np.float32)


def mean_square(difference, mask):
    """Mean of the squares over mask and channels; inf for an empty mask."""
    count = np.count_nonzero(mask) * difference.shape[2]
    return cv2.norm(difference, cv2.NORM_L2SQR, mask.view(np.uint8)) / count if count else np.inf


def _channel_sum(first, second):
    """The sum over the channels of first * second, (h, w)."""
    return np.einsum("hwc,hwc->hw", first, second)


def _level(a, b, factor):
    """A Level: both pictures smaller by `factor`."""
    if factor > 1:
        a, b = (cv2.resize(each, (round(each.shape[1] / factor), round(each.shape[0] / factor)),
                           interpolation=cv2.INTER_AREA) for each in (a, b))
    height, width = a.shape[:2]
    a, b = a.reshape(height, width, -1), b.reshape(*b.shape[:2], -1)        # resize drops a single channel
    unit = max(height, width) / 2
    x, y = (np.vander((np.arange(side) - (side - 1) / 2) / unit, 5, increasing=True).astype(np.float32)
            for side in (width, height))
    return Level(a, np.dstack([b, np.ones(b.shape[:2], np.float32)]), factor, x, y.T)


def _scaling(s):
    """The matrix from a picture's pixels to those of the picture scaled by s, half pixel included."""
    return np.array([[s, 0, (s - 1) / 2], [0, s, (s - 1) / 2], [0, 0, 1]])


def _descend(level, H_full, start_full, gain_bias, settled=0.0):
    """(H, steps) after Gauss-Newton with Levenberg's damping on one level; H is that of full size throughout."""
    down, up = _scaling(1 / level.factor), _scaling(level.factor)
    H, size_a, size_b = down @ H_full @ up, level.a.shape[1::-1], level.b.shape[1::-1]
    area = _residual(level.a, level.b, down @ start_full @ up, False)[1].sum()
    difference, mask = _residual(level.a, level.b, H, gain_bias)
    error, damping, taken = mean_square(difference, mask), 1e-3, 0
    normal, right = _equations(level, difference, mask)
    for _ in range(STEPS):
        change = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -right)
        if np.abs(change).max() < settled:                              # its numbers are pixels at the border
            break
        proposed = _move(change, level) @ H
        new_error = np.inf
        if np.isfinite(proposed).all() and not refusal(torch.from_numpy(proposed), size_a, size_b):
            new, new_mask = _residual(level.a, level.b, proposed, gain_bias)
            new_error = mean_square(new, new_mask)
        if new_error < error and new_mask.sum() >= KEPT_AREA * area:
            gained = 1 - new_error / error
            H, error, damping, taken = proposed, new_error, damping / 5, taken + 1
            if gained < 1e-4:
                break
            normal, right = _equations(level, new, new_mask)
        else:
            damping *= 8
            if damping > 1e3:
                break
    H = up @ H @ down
    return H / H[2, 2], taken


def _equations(level, difference, mask):
    """Normal matrix (8, 8) and right side (8,) of an increment D in A's frame: B's warp is read at (I + D) p.

    Both are sums over pixels of products of gradients times polynomials of the place: so the sums of gradient products
    times monomials, 15 each, hold all of it, and no (pixels, 8) matrix is ever built.
    """
    warped = difference + level.a
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
                      borderValue=0)[..., None]
    dx, dy = (cv2.Sobel(warped, cv2.CV_32F, *order, ksize=1, scale=0.5).reshape(warped.shape) * inner
              for order in ((1, 0), (0, 1)))
    moments = np.stack([level.y @ _channel_sum(first, second) @ level.x for first, second in
                        ((dx, dx), (dx, dy), (dy, dy), (dx, difference), (dy, difference))])     # [which, j, i]
    return np.tensordot(NORMAL, moments, 3), np.tensordot(RIGHT, moments, 3)


def _move(change, level):
    """What H_ba is multiplied by from the left to read B's warp at (I + D) p: the inverse of I + D, in level pixels."""
    height, width = level.a.shape[:2]
    unit = max(height, width) / 2
    centred = np.array([[1 / unit, 0, -(width - 1) / 2 / unit], [0, 1 / unit, -(height - 1) / 2 / unit], [0, 0, 1]])
    D = np.eye(3)
    D.flat[:8] += np.asarray(change) / unit
    return np.linalg.inv(np.linalg.inv(centred) @ D @ centred)


def to_gray(picture):
    """The gray levels of a picture (h, w, 3) uint8 as (h, w, 1) uint8: a third of the work of three channels."""
    return cv2.cvtColor(np.asarray(picture, np.uint8), cv2.COLOR_RGB2GRAY)[..., None]


def score(a, b, H_ba, gain_bias=False):
    """How badly B's warp fits A, for choosing among estimates: mean |gray difference| / (deviation of A + 8).

    Both over the strict overlap. inf where refusal() objects or the overlap is under 800 of 128 x 128 pixels: a tiny
    overlap would always win. Small is good; a fair homography has under .3, wrong ones mostly above .6.
    """
    a, b = (to_gray(picture).astype(np.float32) for picture in (a, b))
    H_ba = np.asarray(H_ba, np.float64)
    if refusal(torch.from_numpy(H_ba), a.shape[1::-1], b.shape[1::-1]):
        return np.inf
    difference, mask = residual(a, b, H_ba, gain_bias)
    if mask.sum() < FLOOR / 128 ** 2 * min(a.size, b.size):
        return np.inf
    return float(np.abs(difference[mask]).mean() / (a[mask].std() + 8))


def score_starts(a, b, starts, gain_bias=False):
    """[(score, H_ba)] of every start (H_ba or None) after refine(), in their order; (inf, None) for None."""
    refined = [None if H is None else refine(a, b, H, gain_bias).H_ba for H in starts]
    return [(np.inf, None) if H is None else (score(a, b, H, gain_bias), H) for H in refined]


def best_fit(a, b, starts, gain_bias=False):
    """The H_ba among the starts (or None), after refine(), whose warp differs least from A; None where none is fair.

    Each is held against the best before it as refine() holds its result against its start: the error must be less on
    its own strict overlap and on the pixels that both have, and the overlap no smaller than 90 %. So the first start is
    never made worse.
    """
    best = None
    for start in starts:
        if start is None or refusal(torch.as_tensor(start), (a.shape[1], a.shape[0]), (b.shape[1], b.shape[0])):
            continue
        H = refine(a, b, start, gain_bias).H_ba
        new, mask = residual(a, b, H.numpy(), gain_bias)
        if best is not None:
            _, old, old_mask = best
            common = mask & old_mask
            if not (mask.sum() >= KEPT_AREA * old_mask.sum() and mean_square(new, mask) < mean_square(old, old_mask)
                    and mean_square(new, common) <= mean_square(old, common)):
                continue
        best = H, new, mask
    return best and best[0]


def correlation(a, b, H_ba):
    """Normalised cross correlation of the gray pictures (uint8) over the strict overlap: 1 up to gain and bias."""
    part, corner = _covered(H_ba, a.shape[1::-1], b.shape[1::-1])
    a, b = (to_gray(picture).astype(np.float32) for picture in (a[part], b))
    into = np.array([[1.0, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1]])
    difference, mask = residual(a, b, into @ np.asarray(H_ba, np.float64))
    where, warped = mask.view(np.uint8), difference + a
    (mean_a, spread_a), (mean_b, spread_b) = ([each.item() for each in cv2.meanStdDev(picture, mask=where)]
                                              for picture in (a, warped))
    if np.count_nonzero(mask) < 2 or spread_a < 1e-6 or spread_b < 1e-6:
        return 0.0
    return cv2.mean((a - mean_a) * (warped - mean_b), where)[0] / (spread_a * spread_b)
