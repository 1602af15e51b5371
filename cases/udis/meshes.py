"""Beyond one homography, measured honestly: the rows `apap`, `mesh` (common/stitching/mesh.py) and `mesh_learnt`.

A mesh can fit intensities and bend things, so beside the overlap's PSNR stands what it was not fitted to: how far off
matches are that no row has used (every second one), how far long straight lines of image 2 are bent, and the least
share of its area that any part keeps (under 0 it would be folded).
"""
import cv2
import numpy as np
import torch

from cases.udis.mesh_learnt import bend_learnt
from common.stitching.estimators import Answer
from common.stitching.geometry import transform
from common.stitching.keypoints import SIFT, match_pictures
from common.stitching.mesh import bend, flat, moving_dlt

BENT = ["apap", "mesh"]
LEARNT = "mesh_learnt"                     # where the weights have a learnt mesh (mesh_learnt.py)
HONEST = ["residual_median", "residual_p90", "line_bend", "least_area"]
NEIGHBOURS, NEAR, FAR = 6, 10.0, 0.15      # a real match: near its neighbours' residual, and not too far off at all
LINE = 80.0                                # pixels from which on a line is long


def bent_rows(model):
    """The rows that bend: with LEARNT where the network has a mesh."""
    return BENT + ([] if model.mesh is None else [LEARNT])


def bend_all(model, a, b, refined, device):
    """({row: Answer} of bent_rows(model), the matches (n, 4) that none of them has used).

    refined: the Answer that is bent; it stands in where there is nothing to bend.
    """
    if refined.H_ba is None:
        return {row: refined for row in bent_rows(model)}, np.zeros((0, 4))
    H_ba = refined.H_ba.numpy()
    matches = real_matches(a, b, H_ba)
    meshes = {"apap": moving_dlt(a, b, H_ba, matches[::2]), "mesh": bend(a, b, H_ba)}
    if model.mesh is not None:
        meshes[LEARNT] = bend_learnt(model, a, b, H_ba, device)
    return {row: Answer(refined.H_ba, mesh=mesh) for row, mesh in meshes.items()}, matches[1::2]


def measure_bent(answer, a, b, unused):
    """The numbers of HONEST for one row's Answer: pixels of A, but for the area's share."""
    mesh = answer.mesh
    if mesh is None and answer.H_ba is not None:
        mesh = flat(a, b, answer.H_ba.numpy())
    if mesh is None:
        return {}
    values, off, bent = {"least_area": mesh.jacobian().min()}, distances(mesh, unused), bends(mesh, b)
    if len(off):
        values |= {"residual_median": np.median(off), "residual_p90": np.percentile(off, 90)}
    if len(bent):
        values["line_bend"] = bent.mean()
    return {name: float(value) for name, value in values.items()}


def real_matches(a, b, H_ba):
    """(n, 4) matches x, y in A and in B, one for each point of A, from left to right: right ones that one homography
    need not explain, supported by a fundamental matrix and their neighbours."""
    points_a, points_b, pairs = match_pictures(a, b, SIFT, query="a")
    if len(pairs) < 8:
        return np.zeros((0, 4))
    cv2.setRNGSeed(0)
    _, inliers = cv2.findFundamentalMat(points_b, points_a, cv2.USAC_MAGSAC, 1.5, 0.999, 10000)
    if inliers is None:
        return np.zeros((0, 4))
    found = np.hstack([points_a, points_b]).astype(float)[inliers.ravel() > 0]
    found = found[np.unique(found[:, :2].round(1), axis=0, return_index=True)[1]]    # SIFT may give a point twice
    if len(found) <= NEIGHBOURS:
        return found[:0]
    residual = move(H_ba, found[:, 2:]) - found[:, :2]
    distance = np.square(found[:, None, :2] - found[None, :, :2]).sum(axis=2)
    nearest = distance.argsort(axis=1)[:, 1:NEIGHBOURS + 1]
    beside = residual - np.median(residual[nearest], axis=1)
    return found[(np.hypot(*residual.T) < FAR * a.shape[1]) & (np.hypot(*beside.T) < NEAR)]


def move(H, points):
    """Points (n, 2) through a homography."""
    return transform(torch.from_numpy(H)[None], torch.from_numpy(points)[None])[0][0].numpy()


def distances(mesh, matches):
    """How far from its match in B a mesh reads, in A's pixels: (n,), less what lies behind the horizon."""
    read = np.stack(mesh.read(*matches[:, :2].T), axis=1)
    off = np.hypot(*(move(mesh.H_ba, read) - move(mesh.H_ba, matches[:, 2:])).T)
    return off[np.isfinite(off)]


def into_frame(mesh, points, steps=15):
    """Where points (n, 2) of B are shown in A's frame: the inverse of read(), by fixed point."""
    target = move(mesh.H_ba, points)
    shown = target
    for _ in range(steps):
        shown = target - np.stack(mesh.shift(*shown.T), axis=1)
    return shown


def bends(mesh, b):
    """The greatest distance of each long straight line of B, as the mesh shows it, from its chord, pixels: (n,)."""
    lines = cv2.createLineSegmentDetector().detect(cv2.cvtColor(b, cv2.COLOR_RGB2GRAY))[0]
    ends = np.zeros((0, 2, 2)) if lines is None else lines.reshape(-1, 2, 2).astype(float)
    ends = ends[np.hypot(*(ends[:, 1] - ends[:, 0]).T) >= LINE]
    along = np.linspace(0, 1, 21)[:, None]
    points = (1 - along) * ends[:, :1] + along * ends[:, 1:]            # (n, 21, 2)
    shown = into_frame(mesh, points.reshape(-1, 2)).reshape(points.shape)
    left, top, right, bottom = mesh.box
    shown = shown[((shown >= (left, top)) & (shown <= (right, bottom))).all(axis=(1, 2))]
    away = shown - shown[:, :1]
    chord = away[:, -1:]
    return (np.abs(away[..., 0] * chord[..., 1] - away[..., 1] * chord[..., 0]) / np.hypot(*chord.T).T).max(axis=1)
