"""The course's extension: classical stitching in readable steps, and OpenCV's own Stitcher beside SIFT and ORB."""
import time

import cv2
import numpy as np
import torch
from matplotlib.colors import ListedColormap

from cases.udis.baselines import IDENTITY, by_keypoints, domain
from common.data.images import to_bytes
from common.experiment import figures
from common.stitching.keypoints import ORB, SIFT, detect, fit, match

COMPARED = 8                       # pairs of the comparison: enough to see who fails where, in some seconds


def draw_classical(folder, pairs, item):
    """Detect, match, RANSAC, warp, blend: a picture of each step on one pair."""
    a, b = pairs.pair(pairs.names.index(item))
    train, query = detect(b, SIFT), detect(a, SIFT)                                        # 1 detect
    found = match(query, train, SIFT)                                                      # 2 match: image 1 asks
    points_a, points_b = query.points[found[:, 0]], train.points[found[:, 1]]
    H, inliers = fit(points_b, points_a, SIFT)                                             # 3 RANSAC
    H_ba = IDENTITY if H is None else torch.from_numpy(H)
    warps, _ = domain(a, b, H_ba)                                                          # 4 warp
    blended = warps.join(warps.feather())                                                  # 5 blend
    beside = np.zeros((max(len(a), len(b)), a.shape[1] + b.shape[1], 3), np.uint8)
    beside[:len(a), :a.shape[1]], beside[:len(b), a.shape[1]:] = a, b
    dots = beside.copy()
    for x, y in [*query.points, *(train.points + (a.shape[1], 0))]:
        cv2.circle(dots, (round(x), round(y)), 2, (213, 94, 0), 1, cv2.LINE_AA)
    shown = max(1, len(found) // 120)
    for (x, y), (u, v), good in list(zip(points_a, points_b, inliers))[::shown]:
        cv2.line(beside, (round(x), round(y)), (round(u) + a.shape[1], round(v)),
                 (0, 158, 115) if good else (213, 94, 0), 1, cv2.LINE_AA)
    grid = [[dots, beside], [to_bytes(warps.b[0]), to_bytes(blended[0])]]
    captions = [["1 detect: SIFT", "2 match, 3 RANSAC (green: kept)"], ["4 warp image 2", "5 blend: feathering"]]
    rows = [["points in image 1", len(query.points)], ["points in image 2", len(train.points)], ["matches", len(found)],
            ["inliers", int(inliers.sum())]]
    folder.save(figures.grid(grid, None, captions), "classical", ["what", "count"], rows,
                item=item, points=len(query.points), matches=len(found), inliers=int(inliers.sum()))


def draw_opencv(folder, pairs):
    """Who manages which pair: SIFT, ORB, OpenCV's Stitcher in both modes; seconds, which vary, in the figure alone."""
    places = np.linspace(0, len(pairs) - 1, min(COMPARED, len(pairs))).astype(int)
    methods = {"SIFT": lambda a, b: by_keypoints(a, b, SIFT).H_ba is not None,
               "ORB": lambda a, b: by_keypoints(a, b, ORB).H_ba is not None,
               "Stitcher,\npanorama": lambda a, b: stitcher(a, b, cv2.Stitcher_PANORAMA),
               "Stitcher,\nscans": lambda a, b: stitcher(a, b, cv2.Stitcher_SCANS)}
    done, seconds = np.zeros((len(places), len(methods)), int), np.zeros((len(places), len(methods)))
    for y, place in enumerate(places):
        a, b = pairs.pair(place)
        for x, method in enumerate(methods.values()):
            began = time.perf_counter()
            done[y, x] = method(a, b)
            seconds[y, x] = time.perf_counter() - began
    figure, axes = figures.new_figure(6.0, 0.32 * len(places) + 1.0)
    axis = axes[0, 0]
    axis.imshow(done, cmap=ListedColormap([figures.COLOURS[1], figures.COLOURS[2]]), vmin=0, vmax=1, aspect="auto",
                alpha=0.6)
    for (y, x), value in np.ndenumerate(seconds):
        axis.text(x, y, f"{'done' if done[y, x] else 'fails'}, {value:.2f} s", ha="center", va="center", fontsize=8)
    axis.set_xticks(range(len(methods)), methods)
    axis.set_yticks(range(len(places)), [pairs.names[place] for place in places])
    axis.grid(False)
    rows = [[pairs.names[place], *map(int, done[y])] for y, place in enumerate(places)]
    folder.save(figure, "opencv", ["item", *(name.replace("\n", " ") for name in methods)], rows, count=len(places),
                set=pairs.set_name)


def stitcher(a, b, mode):
    """Whether OpenCV's Stitcher makes a picture of the pair."""
    cv2.setRNGSeed(0)
    status, _ = cv2.Stitcher.create(mode).stitch([np.ascontiguousarray(picture[..., ::-1]) for picture in (a, b)])
    return status == cv2.Stitcher_OK
