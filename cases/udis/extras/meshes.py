"""Beyond one homography, measured honestly: python -m cases.udis.extras.meshes PAIRS

Rows: refined (the best homography of keypoints and pictures), moving_dlt (APAP) and mesh (common/stitching/mesh.py), on
photographed pairs with a pairs.csv. A mesh can fit intensities and bend things, so beside the overlap's PSNR stand what
it was not fitted to: the distance of matches that no row has used (every second one; median and 90th percentile, A's
pixels), how far long straight lines of image 2 are bent (pixels, mean), and the least area that any part keeps (under 0
it would be folded). Prints a table and pairs that became worse.
"""
import argparse
import sys

import cv2
import numpy as np
import torch

from cases.udis.baselines import IDENTITY, by_keypoints, refine_starts
from cases.udis.data import class_of
from common.base.errors import UserError, start
from common.base.progress import watch
from common.base.text_table import format_table
from common.stitching.estimators import Answer
from common.stitching.geometry import transform
from common.stitching.keypoints import ORB, SIFT, match_pictures
from common.stitching.mesh import bend, bent_warp, flat, moving_dlt
from common.stitching.pairs import RealPairs
from common.stitching.refine import mean_square

ROWS = ["refined", "moving_dlt", "mesh"]
NEIGHBOURS, NEAR, FAR = 6, 10.0, 0.15      # a real match: near its neighbours' residual, and not too far off at all
LINE = 80.0                                # pixels from which on a line is long


def real_matches(a, b, H_ba):
    """(n, 4) matches x, y in A and in B that a fundamental matrix and their neighbours support: right ones that one
    homography need not explain."""
    points_a, points_b, pairs = match_pictures(a, b, SIFT, query="a")
    if len(pairs) < 8:
        return np.zeros((0, 4))
    cv2.setRNGSeed(0)
    _, inliers = cv2.findFundamentalMat(points_b, points_a, cv2.USAC_MAGSAC, 1.5, 0.999, 10000)
    if inliers is None:
        return np.zeros((0, 4))
    found = np.hstack([points_a, points_b]).astype(float)[inliers.ravel() > 0]
    residual = move(H_ba, found[:, 2:]) - found[:, :2]
    distance = np.square(found[:, None, :2] - found[None, :, :2]).sum(axis=2)
    nearest = distance.argsort(axis=1)[:, 1:NEIGHBOURS + 1]
    beside = residual - np.median(residual[nearest], axis=1)
    return found[(np.hypot(*residual.T) < FAR * a.shape[1]) & (np.hypot(*beside.T) < NEAR)]


def move(H, points):
    """Points (n, 2) through a homography."""
    return transform(torch.from_numpy(H)[None], torch.from_numpy(points)[None])[0][0].numpy()


def distances(mesh, matches):
    """How far from its match in B a mesh reads, in A's pixels: (n,)."""
    read = np.stack(mesh.read(*matches[:, :2].T), axis=1)
    return np.hypot(*(move(mesh.H_ba, read) - move(mesh.H_ba, matches[:, 2:])).T)


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
    found, (left, top, right, bottom) = [], mesh.box
    for x, y, u, v in np.zeros((0, 4)) if lines is None else lines.reshape(-1, 4):
        shown = into_frame(mesh, np.linspace((x, y), (u, v), 21))
        chord = shown[-1] - shown[0]
        inside = (shown >= (left, top)).all() and (shown <= (right, bottom)).all()
        if inside and np.hypot(u - x, v - y) >= LINE:
            away = shown - shown[0]
            found.append(np.abs(away[:, 0] * chord[1] - away[:, 1] * chord[0]).max() / np.hypot(*chord))
    return np.array(found)


def measure(a, b, H_ba):
    """{row: {psnr, median, p90, bend, least}} of a pair; what a row has no mesh for is the homography's."""
    matches, straight = real_matches(a, b, H_ba), flat(a, b, H_ba)
    if straight is None:
        return None
    meshes = {"refined": straight, "moving_dlt": moving_dlt(a, b, H_ba, matches[::2]) or straight,
              "mesh": bend(a, b, H_ba) or straight}
    result = {}
    for row, mesh in meshes.items():
        warped, mask = bent_warp(mesh, a.shape, b)
        off, bent = distances(mesh, matches[1::2]), bends(mesh, b)
        result[row] = {"psnr": 10 * np.log10(255 ** 2 / max(mean_square(warped - a, mask), 1e-9)),
                       "median": np.median(off) if len(off) else np.nan,
                       "p90": np.percentile(off, 90) if len(off) else np.nan,
                       "bend": bent.mean() if len(bent) else np.nan, "least": mesh.jacobian().min()}
    return result


def tables(measured):
    """Lines of the table by class. measured: [(name, classes, {row: numbers})]."""
    groups = {"all": measured}
    for classing, name in sorted({item for _, classes, _ in measured for item in classes.items()}):
        groups[f"{classing} {name}"] = [each for each in measured if each[1][classing] == name]
    rows = []
    for group, members in groups.items():
        for row in ROWS:
            mean = {key: np.nanmean([numbers[row][key] for _, _, numbers in members])
                    for key in ("psnr", "median", "p90", "bend")}
            least = min(numbers[row]["least"] for _, _, numbers in members)
            rows.append((f"{group} ({len(members)})", row, *(f"{value:.2f}" for value in (*mean.values(), least))))
    return format_table(("class", "row", "psnr", "median", "p90", "bend", "least"), rows, ("<24", "<12", *[">8"] * 5))


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.udis.extras.meshes", description=__doc__.split("\n\n")[0])
    parser.add_argument("pairs", metavar="PAIRS", help="a folder of photographed pairs with a pairs.csv")
    pairs, measured = RealPairs(parser.parse_args(argv).pairs), []
    for place in watch(range(len(pairs)), "measuring pairs"):
        a, b = pairs.pair(place)
        starts = [by_keypoints(a, b, SIFT), by_keypoints(a, b, ORB), Answer(IDENTITY)]
        found = refine_starts(a, b, starts)
        numbers = measure(a, b, found.H_ba.numpy()) if found.H_ba is not None else None
        if numbers is None:
            print(f"{pairs.names[place]}: {found.reason or 'the pictures hardly overlap'}", file=sys.stderr)
            continue
        measured.append((pairs.names[place], pairs.classes(place) | {"seen": class_of(pairs, place)}, numbers))
    if not measured:
        raise UserError(f"no pair could be measured: {pairs.root}: overlapping pictures were expected: use others")
    print("\n".join(tables(measured)))
    worse = [f"{name} ({numbers['mesh']['psnr'] - numbers['refined']['psnr']:+.2f} dB)" for name, _, numbers in measured
             if numbers["mesh"]["psnr"] < numbers["refined"]["psnr"] - 0.1]
    print(f"pairs on which the mesh is more than 0.1 dB worse than the homography: {', '.join(worse) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
