"""Estimates for photographs of any size, whoever makes them, and a user's own photographs stitched by them.

An estimate is a function (a, b) -> Estimate (common/stitching/keypoints.py), pictures (h, w, 3) uint8: what
common/stitching/stitch.py asks for.
"""
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import cv2
import torch

from common.base.errors import Negative, printable, warn
from common.data.images import picture_files, to_tensor
from common.stitching.compose import NETWORK_LIMIT, extent
from common.stitching.geometry import homography_from_offsets, rescale
from common.stitching.keypoints import (
    SIFT_HALF,
    SIFT_TUNED,
    SIFT_TUNED_2X,
    Estimate,
    detect,
    estimate,
    remember_keypoints,
)
from common.stitching.network import SIDE, support
from common.stitching.refine import SETTLED, refine_overlap, score, to_gray
from common.stitching.register import INLIERS, doubt
from common.stitching.stitch import Settings, stitch

SMALL = 400                        # longest side under which pictures are enlarged for keypoints
COARSE = (4, 2)                    # how often sides are halved where a pair is only tried
SURE, SURE_CORRELATION = 40, 0.7   # inliers and correlation with which keypoints need no second opinion
WRITTEN = ["panorama.png", "panorama_full.png", "homographies.json"]


class Answer(NamedTuple):
    """What a row of results says of a pair: H_ba (3, 3) float64, B in A's frame, or None and the reason.

    mesh: a Mesh (mesh.py) that bends H_ba.
    """
    H_ba: torch.Tensor | None
    reason: str | None = None
    mesh: Any = None


@torch.inference_mode()
def network_estimate(model, a, b, device):
    """The network's Estimate for pictures (h, w, 3) uint8 of any two sizes.

    Both are squashed to 128 x 128, the answer is scaled back. model(a, b): a Prediction (common/stitching/network.py).
    """
    small = [picture if picture.shape[:2] == (SIDE, SIDE)
             else cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in (a, b)]
    prediction = model(*(to_tensor(picture)[None].to(device) for picture in small))
    H = homography_from_offsets(prediction.offsets.cpu(), (SIDE, SIDE))
    scale_a, scale_b = ((picture.shape[1] / SIDE, picture.shape[0] / SIDE) for picture in (a, b))
    matches, inliers, points = support(prediction)
    if points is not None:
        points = (points + 0.5) * (*scale_a, *scale_b) - 0.5
    return Estimate(rescale(H, scale_a, scale_b)[0], matches, inliers, method="network", points=points)


def by_keypoints(a, b, detect=detect, large=SIFT_TUNED):
    """Tuned SIFT, refined by the pictures at half size; its evidence stays the keypoints'. large: for pictures that
    need not be enlarged."""
    return refine_estimate(a, b, estimate(a, b, enlarged(large, a, b), detect=detect))


def enlarged(features, *pictures):
    """The Features for pictures: small ones are enlarged."""
    return SIFT_TUNED_2X if max(max(picture.shape) for picture in pictures) < SMALL else features


def refine_estimate(a, b, found):
    """An Estimate moved to where the pictures agree best, whatever their exposure; only one with enough inliers is.

    At a quarter and half of the size: register() goes on at full size with the pairs that it keeps.
    """
    if found.H_ba is None or (found.inliers is not None and found.inliers < INLIERS):
        return found
    H = refine_overlap(to_gray(a), to_gray(b), found.H_ba, gain_bias=True, levels=COARSE, settled=SETTLED).H_ba
    return found._replace(H_ba=H)


def look(a, b, found):
    """An Estimate with what the pictures say of it."""
    return found._replace(seen=doubt(a, b, found))


def is_sure(found):
    """Whether keypoints that were looked at leave no doubt, so that the network need not be asked.

    Repeated things (arches, windows) make matches that contradict each other: most of them must agree.
    """
    many = max(SURE, found.matches / 2)
    return found.seen.reason is None and found.inliers >= many and found.seen.ncc >= SURE_CORRELATION


class Estimator(NamedTuple):
    """An estimate(a, b) with cheaper ones: register() asks `first` first, and `last` of pairs that are not likely.

    keypoints(picture): those that `first` looks at.
    """
    whole: Callable
    first: Callable
    last: Callable
    keypoints: Callable

    def __call__(self, a, b):
        return self.whole(a, b)


def estimator(method, model, device):
    """The estimate(a, b) that test.method names: network, sift, or auto: the better one that the pictures support.

    auto asks the network only where keypoints are in doubt (is_sure). Keypoints are first sought at half size, and at
    full size only where that leaves photographs apart, of the pairs with the most matches; of the others the network.
    """
    detect = remember_keypoints()
    by_sift, at_half = partial(by_keypoints, detect=detect), partial(by_keypoints, detect=detect, large=SIFT_HALF)

    def by_network(a, b):
        return refine_estimate(a, b, network_estimate(model, a, b, device))

    def by_both(a, b):
        found = [look(a, b, by_sift(a, b))]
        if is_sure(found[0]):
            return found[0]
        found.append(look(a, b, by_network(a, b)))
        good = [each for each in found if each.seen.reason is None]
        return min(good, key=lambda each: score(a, b, each.H_ba, gain_bias=True)) if good else found[0]

    def first_of(whole):
        def first(a, b):
            found = look(a, b, at_half(a, b))
            nothing = found.H_ba is None or found.inliers < INLIERS
            return found if nothing or is_sure(found) else whole(a, b)
        return first
    if method == "network":
        return by_network
    whole, last = {"sift": (by_sift, by_sift), "auto": (by_both, by_network)}[method]
    return Estimator(whole, first_of(whole), last, lambda picture: detect(picture, enlarged(SIFT_HALF, picture)))


def on_canvas(pieces):
    """Pieces of a panorama (common/stitching/compose.py) as tensors on the smallest rectangle that holds all of them.

    Returns ([pictures (1, 3, H, W) in [0, 1], zero outside], [masks (1, 1, H, W) bool], (left, top) of the rectangle).
    Raises Negative above NETWORK_LIMIT pixels.
    """
    left, top, width, height = extent(pieces)
    if width * height > NETWORK_LIMIT:
        raise Negative(f"{len(pieces)} photographs would need {width} x {height} pixels: at most "
                       f"{NETWORK_LIMIT / 1e6:.0f} million were expected: use smaller ones")
    pictures, masks = [], []
    for piece in pieces:
        part = (..., *piece.inside(left, top))
        picture, mask = torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width, dtype=torch.bool)
        mask[part] = torch.from_numpy(piece.mask > 0)
        picture[part] = to_tensor(piece.image)[None]
        pictures.append(picture * mask)
        masks.append(mask)
    return pictures, masks, (left, top)


def stitch_own(run, estimate, network_blend, network_bend=None):
    """A panorama of the photographs of --input in the folder --output, by the settings test.* of the run.

    Without --output: in results/<case>/<run>/panorama, or panorama-2 and so on beside it. network_blend: what
    test.compose=network stands for, a blend of stitch.py; network_bend: what test.warp=mesh_learnt does. Raises
    UserError where --output would overwrite an input.
    """
    paths, _ = picture_files(run.options.input)
    settings = run.config.test
    # no input may lie among the pictures of the steps
    debug = sorted({f"debug/{path.name}" for path in paths})
    out = run.settle_folder(run.folder / "panorama", WRITTEN + (debug if settings.debug else []), paths)
    made = Settings(settings.order, settings.projection, settings.exposure, settings.seam,
                    network_blend if settings.compose == "network" else settings.compose, settings.crop, settings.debug,
                    settings.limit * 1e6, network_bend or settings.warp)
    stitched = stitch(paths, estimate, made, out)
    photos = stitched.photos
    for photo in photos:
        if photo.reason:
            warn(f"{photo.name} is {photo.status}: {photo.reason}")
        elif photo.status == "no new content":
            print(printable(f"note: {photo.name} shows no new content"), file=sys.stderr)
    counts = Counter(photo.status for photo in photos)
    run.say(stitched.surface)
    run.say(f"{len(photos)} photographs: {', '.join(f'{count} {status}' for status, count in counts.items())}: "
            f"{out / 'panorama.png'}")
