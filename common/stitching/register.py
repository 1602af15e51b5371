"""Who overlaps whom, homographies to a reference, and who is left out, with the reason."""
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.optimize import least_squares

from common.base.errors import Negative
from common.base.progress import watch
from common.stitching.geometry import offsets_from_homography, overlap, refusal, rescale
from common.stitching.refine import correlation

WORKING = 800                      # longest side on which pairs are estimated
INLIERS = 8                        # that a method with matches needs,
CORRELATION = 0.3                  # and this normalised correlation in the overlap;
CORRELATION_ALONE = 0.6            # a method without any needs this one
SAME = 0.5                         # pixels at the corners under which two pictures are the same view


class PairFound(NamedTuple):
    """What was found of photographs a and b (places, a < b): H_ba at full size, or None with the reason; the evidence
    beside it."""
    a: int
    b: int
    H_ba: torch.Tensor | None
    method: str
    matches: int | None
    inliers: int | None
    overlap: float | None
    ncc: float | None
    reason: str | None
    points: np.ndarray | None = None          # matches that agree, as in Estimate, at working size


class Layout(NamedTuple):
    """How photographs lie: reference (a place), homographies {place: H to the reference, w > 0 in front}, pairs,
    left_out {place: reason},
    same: places that show nothing which an earlier one does not show."""
    reference: int
    homographies: dict
    pairs: list
    left_out: dict
    same: tuple = ()


def working(image):
    """(a copy of at most 800 pixels, its scale as (x, y))."""
    scale = min(1.0, WORKING / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return small, (small.shape[1] / image.shape[1], small.shape[0] / image.shape[0])


class Doubt(NamedTuple):
    """What the pictures say of an Estimate: overlap, ncc (None where geometry alone refuses it), and reason, None where
    nothing objects."""
    overlap: float | None
    ncc: float | None
    reason: str | None


def doubt(a, b, found):
    """The Doubt of an Estimate for two pictures: geometry first, then keypoints and correlation, each with the measured
    evidence."""
    if found.H_ba is None:
        return Doubt(None, None, found.reason)
    reason = refusal(found.H_ba, a.shape[1::-1], b.shape[1::-1])
    if reason:
        return Doubt(None, None, f"{evidence(found)}{reason}")
    ncc, share = correlation(a, b, found.H_ba.numpy()), overlap(found.H_ba, a.shape[1::-1], b.shape[1::-1])
    if found.inliers is not None and found.inliers < INLIERS:
        return Doubt(share, ncc, f"{evidence(found)}at least {INLIERS} are needed")
    needed = CORRELATION_ALONE if found.inliers is None else CORRELATION
    if ncc < needed:
        return Doubt(share, ncc, f"{evidence(found)}the pictures do not agree where they would overlap (correlation "
                                 f"{ncc:.2f}, needed {needed})")
    return Doubt(share, ncc, None)


def evidence(found):
    """The matches in words, ready to be followed by what they mean."""
    return "" if found.inliers is None else f"{found.inliers} of {found.matches} matches agree, "


def find_pairs(images, estimate, order="auto"):
    """[PairFound] of all pairs, or of neighbours for order=given."""
    copies = [working(image) for image in images]
    count = len(images)
    places = [(a, b) for a in range(count) for b in range(a + 1, count) if order == "auto" or b == a + 1]
    pairs = []
    for a, b in watch(places, "comparing photographs"):
        (small_a, scale_a), (small_b, scale_b) = copies[a], copies[b]
        found = estimate(small_a, small_b)
        share, ncc, reason = doubt(small_a, small_b, found)
        H = None
        if reason is None:
            H = rescale(found.H_ba[None], *([1 / value for value in scale] for scale in (scale_a, scale_b)))[0]
            H = H / (H[2] @ torch.tensor([(images[b].shape[1] - 1) / 2, (images[b].shape[0] - 1) / 2, 1.0],
                                         dtype=H.dtype))
        pairs.append(PairFound(a, b, H, found.method, found.matches, found.inliers, share, ncc, reason, found.points))
    return pairs


def register(images, estimate, order="auto", names=None):
    """The Layout of photographs (h, w, 3) uint8: pair graph, maximum spanning tree, its middle as reference, all
    homographies refined jointly.

    Photographs that share nothing with the largest group are left out, with the reason. Raises Negative, with the pair,
    the evidence and what to do, when fewer than two hang together, when the rest forms a group of its own, or when
    neighbours of a given order do not overlap.
    """
    names = names or [f"photo {place + 1}" for place in range(len(images))]
    pairs = find_pairs(images, estimate, order)
    groups = find_groups(len(images), [pair for pair in pairs if pair.H_ba is not None])
    others = [group for group in groups[1:] if len(group) > 1]
    if len(groups[0]) < 2 or others or (order == "given" and len(groups) > 1):
        raise Negative(refusal_words(groups, pairs, names))
    tree = spanning_tree([pair for pair in pairs if pair.H_ba is not None and pair.a in groups[0]])
    reference = middle(tree, groups[0])
    homographies = refine_jointly(chain_homographies(tree, reference),
                                  [pair for pair in pairs if pair.H_ba is not None and pair.a in groups[0]],
                                  reference, [image.shape[1::-1] for image in images])
    left_out = {group[0]: "shares nothing with the others: " + best_attempt(pairs, group[0], names)
                for group in groups[1:]}
    same = tuple(sorted({pair.b for pair in pairs if pair.H_ba is not None
                         and is_identity(pair.H_ba, images[pair.a], images[pair.b])}))
    return Layout(reference, homographies, pairs, left_out, same)


def is_identity(H_ba, a, b):
    """Whether two pictures of one size show the same: no corner moves by half a pixel."""
    offsets = offsets_from_homography(H_ba[None], b.shape[1::-1])
    return a.shape == b.shape and bool((offsets.abs() < SAME).all())


def find_groups(count, pairs):
    """Groups of places that pairs connect, the largest first; among equals the one with the first place."""
    group_of = list(range(count))
    for pair in pairs:
        old, new = group_of[pair.b], group_of[pair.a]
        group_of = [new if group == old else group for group in group_of]
    groups = [[place for place in range(count) if group_of[place] == group] for group in dict.fromkeys(group_of)]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def weight(pair):
    """How good a link is: agreement times overlap; keypoints count as far as there are any."""
    return pair.ncc * pair.overlap ** 0.5 * (1 + min(pair.inliers or 0, 200) / 100)


def spanning_tree(pairs):
    """The links of a maximum spanning tree."""
    tree, group_of = [], {place: place for pair in pairs for place in (pair.a, pair.b)}
    for pair in sorted(pairs, key=lambda pair: (-weight(pair), pair.a, pair.b)):
        old, new = group_of[pair.b], group_of[pair.a]
        if old != new:
            tree.append(pair)
            group_of = {place: new if group == old else group for place, group in group_of.items()}
    return tree


def middle(tree, places):
    """The place from which the farthest other is fewest links away; the first of equals."""
    def farthest(start):
        reached, edge = {start: 0}, [start]
        while edge:
            here = edge.pop(0)
            for pair in tree:
                if here in (pair.a, pair.b):
                    there = pair.b if here == pair.a else pair.a
                    if there not in reached:
                        reached[there] = reached[here] + 1
                        edge.append(there)
        return max(reached.values()), sum(reached.values())
    return min(places, key=lambda place: (*farthest(place), place))


def chain_homographies(tree, reference):
    """{place: H (3, 3) float64 array to the reference}, multiplied along the tree; the sign of w is kept."""
    homographies, edge = {reference: np.eye(3)}, [reference]
    while edge:
        here = edge.pop(0)
        for pair in tree:
            H = pair.H_ba.numpy()
            for there, step in ((pair.b, H), (pair.a, np.linalg.inv(H))):
                if here in (pair.a, pair.b) and there not in homographies:
                    homographies[there] = homographies[here] @ step
                    edge.append(there)
    return {place: H / np.abs(H).max() if place != reference else H for place, H in sorted(homographies.items())}


def refine_jointly(homographies, pairs, reference, sizes, grid=5):
    """The homographies moved so that all pairs agree best, not only the tree's (Levenberg-Marquardt): the chain's error
    is shared out.

    Points on a grid over each pair's overlap, as that pair's H_ba puts them; differences in A's pixels, outliers weigh
    little.
    """
    if len(pairs) < len(homographies):
        return homographies                                             # a tree: nothing to share out
    free, points = [place for place in homographies if place != reference], []
    for pair in pairs:
        width, height = sizes[pair.b]
        x, y = np.meshgrid(np.linspace(0, width - 1, 3 * grid), np.linspace(0, height - 1, 3 * grid))
        b = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        a = pair.H_ba.numpy() @ b
        a = a[:2] / a[2]
        inside = (a[0] >= 0) & (a[0] <= sizes[pair.a][0] - 1) & (a[1] >= 0) & (a[1] <= sizes[pair.a][1] - 1)
        keep = np.flatnonzero(inside)[::max(1, inside.sum() // grid ** 2)]
        points.append((pair.a, pair.b, a[:, keep], b[:, keep]))

    def unpack(numbers):
        result = {reference: homographies[reference]}
        for place, change in zip(free, numbers.reshape(-1, 8)):
            width, height = sizes[place]
            unit = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
            result[place] = homographies[place] @ np.linalg.inv(unit) @ (np.eye(3)
                                                                         + np.append(change, 0).reshape(3, 3)) @ unit
        return result

    def errors(numbers):
        now, found = unpack(numbers), []
        for a, b, in_a, in_b in points:
            there = np.linalg.inv(now[a]) @ now[b] @ in_b
            found.append(((there[:2] / there[2] - in_a) / max(sizes[a]) * 1000).ravel())
        return np.concatenate(found)
    solved = least_squares(errors, np.zeros(8 * len(free)), loss="soft_l1", f_scale=10.0, max_nfev=60)
    return unpack(solved.x) if np.isfinite(solved.x).all() else homographies


def best_attempt(pairs, place, names, group=None):
    """The most promising failed pair of a photograph, with its evidence."""
    tried = [pair for pair in pairs if pair.H_ba is None and place in (pair.a, pair.b) and (
        group is None or {pair.a, pair.b} & set(group) - {place})]
    if not tried:
        return "it was compared with none"
    best = max(tried, key=lambda pair: (pair.inliers or 0, pair.matches or 0))
    return f"{names[best.a]} and {names[best.b]} {shares(best)}"


def shares(pair):
    """What a failed pair has in common, in words."""
    matches = f"share {pair.matches} matches" if pair.matches is not None else "do not match"
    return f"{matches} ({pair.reason})"


def refusal_words(groups, pairs, names):
    """Why there is no panorama: the pair that comes nearest to joining the groups, its evidence, what to do."""
    first = groups[0]
    between = [pair for pair in pairs if (pair.a in first) != (pair.b in first)]
    best = max(between, key=lambda pair: (pair.inliers or 0, pair.matches or 0))
    if len(groups) == len({pair.a for pair in pairs} | {pair.b for pair in pairs}):
        what = "no two photographs overlap"
    else:
        what = ("the photographs do not hang together: "
                + " | ".join(", ".join(names[place] for place in group) for group in groups))
    return f"{what}: {names[best.a]} and {names[best.b]} {shares(best)}: take them with a third in common, or leave out what does not belong"
