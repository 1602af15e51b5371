"""The classical way to a homography in readable steps: detect, match, fit (RANSAC). OpenCV computes.

    query = detect(b, SIFT); train = detect(a, SIFT)         # pictures are uint8 (h, w, 3) RGB
    pairs = match(query, train, SIFT)                        # nearest descriptors, clearly nearer than the second
    H_ba, inliers = fit(query.points[pairs[:, 0]], train.points[pairs[:, 1]], SIFT)

`estimate` is these lines. Every result is repeatable: OpenCV's generator is seeded before each fit.
"""
from typing import NamedTuple

import cv2
import numpy as np
import torch

NEAR = 0.02                        # of the longer side: farther off is no match that lens or parallax has moved
NEEDED = 4                         # pairs that determine a homography


class Features(NamedTuple):
    """What to detect, how to match, how to fit; each preset below was measured (see the cases' READMEs)."""
    kind: str                      # sift | orb
    options: dict                  # of OpenCV's detector
    ratio: float                   # a match counts when its distance is under ratio times that of the second nearest
    method: int                    # of cv2.findHomography
    threshold: float               # pixels: an inlier is at most this far from where H puts it
    enlarge: float = 1             # both pictures are scaled before: up where they have too few places, down for speed


SIFT = Features("sift", {}, 0.75, cv2.RANSAC, 5.0)
SIFT_TUNED = Features("sift", {"contrastThreshold": 0.02}, 0.8, cv2.USAC_MAGSAC, 1.0)
SIFT_TUNED_2X = SIFT_TUNED._replace(enlarge=2)
SIFT_HALF = SIFT_TUNED._replace(enlarge=0.5, threshold=2.0)
ORB = Features("orb", {"nfeatures": 2000}, 0.8, cv2.RANSAC, 5.0)
ORB_SMALL = Features("orb", {"nfeatures": 1000, "edgeThreshold": 15, "patchSize": 15, "fastThreshold": 5}, 0.8,
                     cv2.RANSAC, 3.0)


class Keypoints(NamedTuple):
    """points: (n, 2) float32, pixels of the picture given; descriptors: (n, d), None where there are no points;
    strengths: (n,), the detector's response."""
    points: np.ndarray
    descriptors: np.ndarray | None
    strengths: np.ndarray

    def strongest(self, most):
        """At most so many of them."""
        kept = np.sort(np.argsort(-self.strengths, kind="stable")[:most])
        return Keypoints(self.points[kept], None if self.descriptors is None else self.descriptors[kept],
                         self.strengths[kept])


class Doubt(NamedTuple):
    """What the pictures say of an Estimate. overlap, ncc: None where geometry alone refuses it."""
    overlap: float | None
    ncc: float | None
    reason: str | None   # None where nothing objects


class Estimate(NamedTuple):
    """What a method says of a pair, with its evidence."""
    H_ba: torch.Tensor | None      # (3, 3) float64
    matches: int | None = None     # None where the method has no keypoints
    inliers: int | None = None
    reason: str | None = None      # why there is no H_ba
    method: str = ""
    points: np.ndarray | None = None    # (inliers, 4): x, y in A and x, y in B of the matches that agree
    near: np.ndarray | None = None      # (n, 4): with those that nearly agree, which lens and parallax have moved
    seen: Doubt | None = None      # where that is known already


def detect(picture, features):
    """The Keypoints of a picture."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if features.enlarge != 1:
        gray = cv2.resize(gray, None, fx=features.enlarge, fy=features.enlarge,
                          interpolation=cv2.INTER_CUBIC if features.enlarge > 1 else cv2.INTER_AREA)
    make = {"sift": cv2.SIFT_create, "orb": cv2.ORB_create}[features.kind]
    found, descriptors = make(**features.options).detectAndCompute(gray, None)
    points = np.float32([point.pt for point in found]).reshape(-1, 2)
    if features.enlarge != 1:
        points = (points + 0.5) / features.enlarge - 0.5
    return Keypoints(points, descriptors, np.array([point.response for point in found]))


def match(query, train, features):
    """Index pairs (m, 2): query descriptors and their nearest in train, clearly nearer than the second (ratio test)."""
    if query.descriptors is None or train.descriptors is None or len(train.points) < 2:
        return np.zeros((0, 2), int)
    nearest, first, second = (two_nearest if features.kind == "sift" else two_nearest_bits)(query, train)
    kept = first < features.ratio * second
    return np.stack([np.flatnonzero(kept), nearest[kept]], axis=1)


def two_nearest(query, train, rows=512):
    """(index of the nearest train descriptor, its distance, the second nearest's), (n,) each.

    By |q - t|^2 = |q|^2 + |t|^2 - 2 q t, one matrix product for `rows` at a time: four times as fast as OpenCV's brute
    force, and as exact, since SIFT's descriptors are whole numbers whose products float32 holds.
    """
    of_train, found = np.einsum("nd,nd->n", train.descriptors, train.descriptors), []
    for begin in range(0, len(query.points), rows):
        part = query.descriptors[begin:begin + rows]
        distance, line = of_train - 2 * (part @ train.descriptors.T), np.arange(len(part))
        nearest = distance.argmin(axis=1)
        first = distance[line, nearest]
        distance[line, nearest] = np.inf
        squares = np.stack([first, distance.min(axis=1)]) + np.einsum("nd,nd->n", part, part)
        found.append((nearest, *np.sqrt(np.maximum(squares, 0))))
    return tuple(np.concatenate(each) for each in zip(*found))


def two_nearest_bits(query, train):
    """The same for binary descriptors, by the number of differing bits."""
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(query.descriptors, train.descriptors, k=2)
    return (np.array([first.trainIdx for first, _ in pairs], int),
            *(np.array([pair[place].distance for pair in pairs]) for place in range(2)))


def fit(points_b, points_a, features):
    """(H_ba (3, 3) float64 or None, inliers (m,) bool) from matched points: RANSAC or its modern relatives."""
    if len(points_b) < NEEDED:
        return None, np.zeros(len(points_b), bool)
    cv2.setRNGSeed(0)
    H, mask = cv2.findHomography(points_b, points_a, features.method, features.threshold, maxIters=2000,
                                 confidence=0.995)
    return (None, np.zeros(len(points_b), bool)) if H is None else (H, mask.ravel().astype(bool))


def estimate(a, b, features, query="b", detect=detect):
    """The Estimate of how B lies in A's frame.

    query: whose descriptors look for their nearest among the other's; it matters. detect: a function like detect(), for
    whoever keeps keypoints between calls (remember_keypoints).
    """
    points_a, points_b, pairs = match_pictures(a, b, features, query, detect)
    if len(pairs) < NEEDED:
        return Estimate(None, len(pairs), 0, f"{len(pairs)} matches: at least {NEEDED} are needed", name(features))
    H, inliers = fit(points_b, points_a, features)
    reason = "no homography fits the matches" if H is None else None
    agreeing = np.hstack([points_a[inliers], points_b[inliers]])
    near = None if H is None else nearly_agreeing(H, points_a, points_b, NEAR * max(a.shape))
    return Estimate(None if H is None else torch.from_numpy(H), len(pairs), int(inliers.sum()), reason, name(features),
                    agreeing, near)


def nearly_agreeing(H_ba, points_a, points_b, within):
    """The matches (n, 4) that H_ba puts at most `within` pixels from where they are."""
    moved = np.hstack([points_b, np.ones((len(points_b), 1))]) @ H_ba.T
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.linalg.norm(moved[:, :2] / moved[:, 2:] - points_a, axis=1)
    return np.hstack([points_a, points_b])[off < within]


def remember_keypoints():
    """A detect() that finds the keypoints of each picture once."""
    known = {}                     # with the pictures, so that no id is given again

    def detect_once(picture, features):
        key = id(picture), str(features)
        if key not in known:
            known[key] = picture, detect(picture, features)
        return known[key][1]
    return detect_once


def match_pictures(a, b, features, query="b", detect=detect):
    """(points of A (m, 2), points of B (m, 2), index pairs (m, 2), A's first) of the matches."""
    of_a, of_b = detect(a, features), detect(b, features)
    pairs = match(of_a, of_b, features) if query == "a" else match(of_b, of_a, features)[:, ::-1]
    return of_a.points[pairs[:, 0]], of_b.points[pairs[:, 1]], pairs


def name(features):
    """How messages and tables call it."""
    known = {"sift": SIFT, "sift_tuned": SIFT_TUNED, "sift_tuned_2x": SIFT_TUNED_2X, "sift_half": SIFT_HALF, "orb": ORB,
             "orb_small": ORB_SMALL}
    return next((key for key, value in known.items() if value == features), features.kind)
