"""Who overlaps whom, homographies to a reference, and who is left out, with the reason."""
from collections import Counter
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree, shortest_path

from common.base.errors import Negative
from common.base.progress import watch
from common.data.images import to_eight_bits
from common.stitching.geometry import offsets_from_homography, overlap, refusal, rescale
from common.stitching.keypoints import SIFT_HALF, Doubt, detect, match
from common.stitching.pairs import at_most
from common.stitching.refine import SETTLED, correlation, follow, refine_overlap, to_gray

WORKING = 800                      # longest side on which pairs are estimated
INLIERS = 8                        # that a method with matches needs,
CORRELATION = 0.3                  # and this normalised correlation in the overlap;
CORRELATION_ALONE = 0.6            # a method without any needs this one
PARTNERS, VOTES = 4, 6             # likely partners of a photograph, each by so many matches of strong features
LIKELIEST = 2                      # pairs between two groups that the costly estimate is asked of
STRONG = 300                       # features of a photograph that say which partners are likely
OF_LINK = 60                       # matches of a link that are kept
LINKS = 3                          # the best of a photograph, which place it
SAME = 0.5                         # pixels at the corners under which two pictures are the same view


class PairFound(NamedTuple):
    """What was found of photographs a and b (places, a < b): H_ba at full size, or None with the reason."""
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
    near: np.ndarray | None = None            # and those that nearly do (n, 4), at full size


class Layout(NamedTuple):
    """How photographs lie; each is named by its place in the list."""
    reference: int
    homographies: dict                        # {place: H (3, 3) to the reference, w > 0 in front}
    pairs: list                               # of PairFound, those that failed too
    left_out: dict                            # {place: reason}
    same: tuple = ()                          # places that show nothing which an earlier one does not show


def working(image):
    """(a copy of at most 800 pixels, its scale as (x, y))."""
    small = to_eight_bits(at_most(image, WORKING))
    return small, (small.shape[1] / image.shape[1], small.shape[0] / image.shape[0])


def doubt(a, b, found):
    """The Doubt of an Estimate for two pictures: geometry first, then keypoints, then correlation."""
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
    """[PairFound] of neighbours for order=given, else of the likely pairs, and of all others between groups that these
    do not connect: in a long sequence most pairs share nothing, and need not be asked one by one.

    An estimate with cheaper ones (Estimator in estimators.py) is itself asked only of the likeliest pairs between such
    groups.
    """
    copies = [working(image) for image in images]
    if order == "given":
        places = [(place, place + 1) for place in range(len(images) - 1)]
    else:
        places = likely_pairs([copy for copy, _ in copies], getattr(estimate, "keypoints", detect_half))
    pairs, first = {}, getattr(estimate, "first", estimate)

    def ask(estimate, places):
        for place in watch(places, "comparing photographs"):
            found = compare(copies, place, estimate)
            better = found.H_ba is not None or place not in pairs
            pairs[place] = found if better else nearest([found, pairs[place]])
    ask(first, places)
    if order == "auto":
        ask(first, sorted(between_groups(len(images), pairs.values()) - set(places)))
    if first is not estimate:
        likeliest, others = rank(between_groups(len(images), pairs.values()) & set(pairs), len(images), pairs)
        ask(estimate, likeliest)
        ask(estimate.last, sorted(between_groups(len(images), pairs.values()) & set(others)))
    return complete([pairs[place] for place in sorted(pairs)], copies)


def rank(places, count, pairs):
    """(the likeliest, the others) of the (a, b) in `places`: for any two groups the two with the most evidence."""
    group_of, likeliest, asked = groups_of(count, pairs.values()), [], Counter()
    for place in sorted(places, key=lambda place: (-(pairs[place].inliers or 0), -(pairs[place].matches or 0), place)):
        between = frozenset(group_of[each] for each in place)
        asked[between] += 1
        if asked[between] <= LIKELIEST:
            likeliest.append(place)
    return sorted(likeliest), set(places) - set(likeliest)


def groups_of(count, pairs):
    """{place: the number of its group}, photographs that found pairs connect being a group."""
    groups = find_groups(count, [pair for pair in pairs if pair.H_ba is not None])
    return {place: number for number, group in enumerate(groups) for place in group}


def between_groups(count, pairs):
    """The (a, b) whose photographs no chain of found pairs connects."""
    group_of = groups_of(count, pairs)
    return {(a, b) for a, b in combinations(range(count), 2) if group_of[a] != group_of[b]}


def likely_pairs(pictures, keypoints):
    """Which pairs to compare first, [(a, b)]: neighbours in the order given, and those that share strong features.

    Each picture with the four with which it has the most matches among its 300 strongest features, six at least. Five
    pictures and fewer: all pairs. keypoints(picture): its Keypoints by SIFT.
    """
    everyone = list(combinations(range(len(pictures)), 2))
    if len(pictures) <= PARTNERS + 1:
        return everyone
    features = [keypoints(picture).strongest(STRONG) for picture in pictures]
    votes = np.zeros((len(pictures),) * 2, int)
    for a, b in everyone:
        votes[a, b] = votes[b, a] = len(match(features[b], features[a], SIFT_HALF))
    best = np.argsort(-votes, axis=1, kind="stable")[:, :PARTNERS]
    return [(a, b) for a, b in everyone
            if b == a + 1 or votes[a, b] >= VOTES and (b in best[a] or a in best[b])]


def detect_half(picture):
    """Keypoints at half the size of a working copy."""
    return detect(picture, SIFT_HALF)


def compare(copies, places, estimate):
    """The PairFound of photographs (a, b). copies: of working()."""
    (small_a, scale_a), (small_b, scale_b) = (copies[place] for place in places)
    found = estimate(small_a, small_b)
    share, ncc, reason = found.seen or doubt(small_a, small_b, found)
    H = None if reason else at_full_size(found.H_ba, copies, places)
    near = None if found.near is None else (found.near + 0.5) / (*scale_a, *scale_b) - 0.5
    return PairFound(*places, H, found.method, found.matches, found.inliers, share, ncc, reason, found.points, near)


def at_full_size(H_ba, copies, places):
    """A homography of two working copies as one of their photographs; w is 1 at the middle of B."""
    (_, scale_a), (b, scale_b) = (copies[place] for place in places)
    middle = torch.tensor([(b.shape[1] - 1) / 2, (b.shape[0] - 1) / 2, 1.0], dtype=H_ba.dtype)
    return rescale((H_ba / (H_ba[2] @ middle))[None], *(1 / np.array([scale_a, scale_b])))[0]


def complete(pairs, copies):
    """The pairs, those that will be used (kept_links) refined at the full working size, their matches too."""
    kept = kept_links([pair for pair in pairs if pair.H_ba is not None])
    refined = {}
    for pair in watch(kept, "refining"):
        places = pair.a, pair.b
        (a, scale_a), (b, scale_b) = (copies[place] for place in places)
        start = rescale(pair.H_ba[None], scale_a, scale_b)[0]
        gray_a, gray_b = to_gray(a), to_gray(b)
        H = refine_overlap(gray_a, gray_b, start, gain_bias=True, levels=(1,), settled=SETTLED).H_ba
        near = pair.near
        if near is not None:
            scale = (*scale_a, *scale_b)
            near = (follow(gray_a, gray_b, H, (choose(near) + 0.5) * scale - 0.5) + 0.5) / scale - 0.5
        refined[places] = pair._replace(H_ba=at_full_size(H, copies, places), near=near)
    return [refined.get((pair.a, pair.b), pair) for pair in pairs]


def choose(matches, most=OF_LINK):
    """An even choice of at most `most` matches (n, 4)."""
    return matches[::-(-len(matches) // most) or 1]


def kept_links(links):
    """The links that place the photographs: the spanning trees' and the three best of each photograph."""
    if not links:
        return []
    ranked, count, kept = sorted(links, key=lambda pair: (-weight(pair), pair.a, pair.b)), Counter(), set()
    for pair in ranked:
        count.update((pair.a, pair.b))
        if min(count[pair.a], count[pair.b]) <= LINKS:
            kept.add((pair.a, pair.b))
    kept |= {(pair.a, pair.b) for pair in spanning_tree(links)}
    return [pair for pair in links if (pair.a, pair.b) in kept]


def register(images, estimate, order="auto", names=None):
    """The Layout of photographs (h, w, 3) uint8: maximum spanning tree of the pairs, its middle as reference, refined.

    Photographs that share nothing with the largest group are left out, with the reason. Raises Negative, with the pair,
    the evidence and what to do, when fewer than two hang together, when the rest forms a group of its own, or when
    neighbours of a given order do not overlap.
    """
    names = names or [f"photo {place + 1}" for place in range(len(images))]
    pairs = find_pairs(images, estimate, order)
    linked = [pair for pair in pairs if pair.H_ba is not None]
    groups = find_groups(len(images), linked)
    if len(groups[0]) < 2 or len(groups) > 1 and (order == "given" or len(groups[1]) > 1):
        raise Negative(refusal_words(groups, pairs, names))
    links = kept_links([pair for pair in linked if pair.a in groups[0]])
    tree = spanning_tree(links)
    reference = middle(tree, groups[0])
    homographies = refine_jointly(chain_homographies(tree, reference), links, reference,
                                  [image.shape[1::-1] for image in images])
    left_out = {place: f"shares nothing with the others: {best_attempt(pairs, place, names)}"
                for (place,) in groups[1:]}
    same = {pair.b for pair in linked if is_identity(pair.H_ba, images[pair.a], images[pair.b])}
    return Layout(reference, homographies, pairs, left_out, tuple(sorted(same)))


def links_of(layout):
    """The PairFound that place the photographs of a Layout; each with the reference where it lists none."""
    placed = set(layout.homographies)
    links = kept_links([pair for pair in layout.pairs if pair.H_ba is not None and {pair.a, pair.b} <= placed])
    return links or [PairFound(layout.reference, place, torch.from_numpy(H), "given", None, None, None, None, None)
                     for place, H in layout.homographies.items() if place != layout.reference]


def is_identity(H_ba, a, b):
    """Whether two pictures of one size show the same: no corner moves by half a pixel."""
    offsets = offsets_from_homography(H_ba[None], b.shape[1::-1])
    return a.shape == b.shape and bool((offsets.abs() < SAME).all())


def graph(pairs, count=None):
    """Pairs as a graph for scipy.sparse.csgraph: the link (a, b) weighs its rank in the list, so no two weigh alike."""
    places = np.array([(pair.a, pair.b) for pair in pairs], int).reshape(-1, 2)
    count = count or places.max() + 1
    return coo_array((np.arange(1, len(pairs) + 1), places.T), shape=(count, count)).tocsr()


def find_groups(count, pairs):
    """Groups of places that pairs connect, the largest first; among equals the one with the first place."""
    number, group_of = connected_components(graph(pairs, count), directed=False)
    groups = (np.flatnonzero(group_of == group).tolist() for group in range(number))
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def weight(pair):
    """How good a link is: agreement times overlap; keypoints count as far as there are any."""
    return pair.ncc * pair.overlap ** 0.5 * (1 + min(pair.inliers or 0, 200) / 100)


def spanning_tree(pairs):
    """The links of a maximum spanning tree, the best first; of equal pairs the one with the first places."""
    ranked = sorted(pairs, key=lambda pair: (-weight(pair), pair.a, pair.b))
    ranks = np.sort(minimum_spanning_tree(graph(ranked)).data).astype(int)
    return [ranked[rank - 1] for rank in ranks]


def middle(tree, places):
    """The place from which the farthest other is fewest links away, then all together; the first of equals."""
    links = shortest_path(graph(tree), directed=False, unweighted=True)[np.ix_(places, places)]
    return places[np.lexsort([links.sum(axis=1), links.max(axis=1)])[0]]


def chain_homographies(tree, reference):
    """{place: H (3, 3) float64 array to the reference}, multiplied along the tree; the sign of w is kept."""
    steps = {(pair.a, pair.b): pair.H_ba.numpy() for pair in tree}
    steps |= {(b, a): np.linalg.inv(H) for (a, b), H in steps.items()}
    order, nearer = breadth_first_order(graph(tree), reference, directed=False)
    homographies = {reference: np.eye(3)}
    for place in order[1:].tolist():
        homographies[place] = homographies[nearer[place]] @ steps[nearer[place], place]
    return {place: H / np.abs(H).max() if place != reference else H for place, H in sorted(homographies.items())}


def refine_jointly(homographies, pairs, reference, sizes, grid=5):
    """The homographies moved so that all pairs agree best, not only the tree's: the chain's error is shared out.

    Levenberg-Marquardt over points on a grid in each pair's overlap, as that pair's H_ba puts them; differences in A's
    pixels, outliers weigh little.
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
        points.append((a[:, keep], b[:, keep]))

    # Of all photographs at once, (N, 3, 3), the reference first; of all points, (2 or 3, M), and whose they are.
    places = [reference, *free]
    start = np.stack([homographies[place] for place in places])
    unit = np.stack([[[2 / sizes[place][0], 0, -1], [0, 2 / sizes[place][1], -1], [0, 0, 1]] for place in places])
    before = start @ np.linalg.inv(unit)
    ends = [[places.index(pair.a), places.index(pair.b)] for pair in pairs]
    link = np.repeat(np.arange(len(pairs)), [in_a.shape[1] for in_a, _ in points])
    in_a, in_b = (np.hstack(each) for each in zip(*points))
    from_a, from_b = np.array(ends).T
    longest = np.array([max(sizes[pair.a]) for pair in pairs])[link]

    def move(numbers):
        changes = np.zeros((len(places), 9))
        changes[1:, :8] = numbers.reshape(-1, 8)
        return before @ (np.eye(3) + changes.reshape(-1, 3, 3)) @ unit

    def errors(numbers):
        now = move(numbers)
        between = np.linalg.inv(now)[from_a] @ now[from_b]
        x, y, w = np.einsum("mij,jm->im", between[link], in_b)
        return ((np.stack([x / w, y / w]) - in_a) / longest * 1000).ravel()
    solved = least_squares(errors, np.zeros(8 * len(free)), loss="soft_l1", f_scale=10.0, max_nfev=60)
    if not np.isfinite(solved.x).all():
        return homographies
    return {place: H for place, H in zip(places, move(solved.x))}


def nearest(pairs):
    """Of pairs that failed the one that came nearest to a link: the most inliers, then the most matches."""
    return max(pairs, key=lambda pair: (pair.inliers or 0, pair.matches or 0))


def best_attempt(pairs, place, names):
    """The most promising failed pair of a photograph, with its evidence."""
    tried = [pair for pair in pairs if pair.H_ba is None and place in (pair.a, pair.b)]
    return tell(nearest(tried), names) if tried else "it was compared with none"


def tell(pair, names):
    """What a failed pair has in common, in words."""
    matches = f"share {pair.matches} matches" if pair.matches is not None else "do not match"
    return f"{names[pair.a]} and {names[pair.b]} {matches} ({pair.reason})"


def refusal_words(groups, pairs, names):
    """Why there is no panorama: the pair that comes nearest to joining the groups, its evidence, what to do."""
    best = nearest(pair for pair in pairs if (pair.a in groups[0]) != (pair.b in groups[0]))
    what = "no two photographs overlap"
    if len(groups[0]) > 1:
        listed = (", ".join(map(names.__getitem__, group)) for group in groups)
        what = f"the photographs do not hang together: {' | '.join(listed)}"
    return f"{what}: {tell(best, names)}: take them with a third in common, or leave out what does not belong"
