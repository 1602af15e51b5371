"""Every way to a homography and to one picture that this case compares. Pictures are (h, w, 3) uint8."""
from typing import NamedTuple

import cv2
import numpy as np
import torch

from cases.udis.model import HALO, LOW, Warps, enlarge, remove_islands, stitching_domain
from common.data.images import map_tiles, to_bytes, to_tensor
from common.stitching.compose import Panorama, Piece, seams, smaller
from common.stitching.estimators import Answer, network_estimate, on_canvas
from common.stitching.geometry import refusal, rescale
from common.stitching.keypoints import ORB, SIFT, estimate
from common.stitching.refine import best_fit

SIZES = (128, 96, 64)              # of the low-resolution rows
ALIGNED = ["identity", "sift", "orb", "network", "network_refined", "refined",
           *(f"sift_{size}" for size in SIZES), *(f"network_{size}" for size in SIZES)]
JOINED = ["average", "feather", "seam", "reconstructed"]
IDENTITY = torch.eye(3, dtype=torch.float64)
NEEDED = 8  # matches and inliers of keypoints below which an answer counts as a failure (as in the data's README)
TILE = 256                         # of the high-resolution branch; with its border it stays in a core's cache


# ---- stage 1: align --------------------------------------------------------------------------------------------------

def answers(model, a, b, device, start="best"):
    """{row: Answer} of every row in ALIGNED for one pair. start: where the row `refined` begins: network | sift |
    identity | best (of all)."""
    result = {"identity": Answer(IDENTITY), "sift": by_keypoints(a, b, SIFT), "orb": by_keypoints(a, b, ORB),
              "network": check(network_estimate(model, a, b, device), a, b)}
    starts = {"best": ["sift", "orb", "network", "identity"]}.get(start, [start])
    result["network_refined"] = refine_starts(a, b, [result["network"]])
    result["refined"] = refine_starts(a, b, [result[name] for name in starts])
    for size in SIZES:
        small = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in (a, b)]
        features = SIFT._replace(threshold=SIFT.threshold * size / max(*a.shape, *b.shape))
        for name, found in (("sift", by_keypoints(*small, features)),
                            ("network", check(network_estimate(model, *small, device), *small))):
            scale_a, scale_b = ((picture.shape[1] / size, picture.shape[0] / size) for picture in (a, b))
            H = None if found.H_ba is None else rescale(found.H_ba[None], scale_a, scale_b)[0]
            result[f"{name}_{size}"] = Answer(H, found.reason)
    return {row: result[row] for row in ALIGNED}


def by_keypoints(a, b, features):
    """The Answer of keypoints, image 1's descriptors asking (it matters: image 2's give .2 dB less on real pairs)."""
    found = estimate(a, b, features, query="a")
    if found.H_ba is not None and min(found.matches, found.inliers) < NEEDED:
        return Answer(None, f"{found.inliers} of {found.matches} matches agree: at least {NEEDED} are needed")
    return check(found, a, b)


def check(found, a, b):
    """The Answer of an Estimate, unless its homography is none that a second picture can have."""
    reason = found.reason if found.H_ba is None else refusal(found.H_ba, a.shape[1::-1], b.shape[1::-1])
    return Answer(None if reason else found.H_ba, reason)


def refine_starts(a, b, starts):
    """The Answer that the pictures themselves like best, from the starts (Answers)."""
    H = best_fit(a, b, [start.H_ba for start in starts])
    return Answer(H) if H is not None else Answer(None, starts[0].reason or "no fair start")


# ---- stage 2: reconstruct --------------------------------------------------------------------------------------------

class Joined(NamedTuple):
    """One way to join a pair: picture (1, 3, H, W) in [0, 1]; label (1, 1, H, W) bool: where it is A's rather than
    B's."""
    picture: torch.Tensor
    label: torch.Tensor


def domain(a, b, H_ba, limit=64e6):
    """(Warps, origin) of two pictures."""
    return stitching_domain(to_tensor(a)[None], to_tensor(b)[None], H_ba[None], limit)


@torch.inference_mode()
def join_all(model, warps, device):
    """{row: Joined} of every row in JOINED on the same warps."""
    shares = {"average": warps.average(), "feather": warps.feather(), "seam": hard_seam(warps)}
    result = {name: Joined(warps.join(share), torch.where(warps.overlap, share >= 0.5, warps.mask_a))
              for name, share in shares.items()}
    picture, share = reconstruct(model, warps, device)
    label = nearer(picture, warps) if share is None else share >= 0.5
    return result | {"reconstructed": Joined(picture, label)}


@torch.inference_mode()
def reconstruct(model, warps, device, tile=TILE):
    """(picture (1, 3, H, W), share of A or None) by stage 2, tile by tile; where its answer would be a copy, the tile
    is only copied.

    The low-resolution branch sees the whole canvas; the other one is local, so tiles with a border of 19 pixels are
    exact.
    """
    network = model.reconstruction
    height, width = warps.a.shape[2:]
    small = warps.resize((LOW, LOW))
    hint = network.look(Warps(*(each.to(device) for each in small))).cpu()
    decides = hint.shape[1] == 1
    part = bounds(warps.overlap) if decides else (0, 0, height, width)
    overlap, inside = warps.crop(part), enlarge(hint, (height, width))[..., part[0]:part[2], part[1]:part[3]]

    def join(crop, box):
        seen = overlap.crop(box)
        if decides and not seen.overlap.any():
            return seen.mask_a.float()
        picture, share = network.join(Warps(*(each.to(device) for each in seen)), crop.to(device))
        return (picture if share is None else share).float().cpu()
    answer = map_tiles(join, inside, tile=tile, halo=HALO)
    if not decides:
        return answer, None
    share = warps.mask_a.float()                                              # right wherever only one picture is
    share[..., part[0]:part[2], part[1]:part[3]] = answer
    share = remove_islands(share, warps)
    return warps.join(share), share


def bounds(mask, border=HALO):
    """(top, left, bottom, right) of what is set in a mask (1, 1, H, W), with a border, inside it; a single pixel where
    nothing is."""
    rows, columns = mask[0, 0].any(dim=1).nonzero(), mask[0, 0].any(dim=0).nonzero()
    if not len(rows):
        return 0, 0, 1, 1
    return (max(0, rows[0].item() - border), max(0, columns[0].item() - border),
            min(mask.shape[2], rows[-1].item() + 1 + border), min(mask.shape[3], columns[-1].item() + 1 + border))


def hard_seam(warps):
    """A's share with OpenCV's seam (a minimal cut over colour and gradient, common/stitching/compose.py): 0 or 1."""
    pieces = [Piece(to_bytes(picture[0]), 255 * mask[0, 0].numpy().astype(np.uint8), (0, 0))
              for picture, mask in ((warps.a, warps.mask_a), (warps.b, warps.mask_b))]
    scale = min(1.0, float(np.sqrt(2e5 / (warps.a.shape[2] * warps.a.shape[3]))))
    of_a, of_b = seams(smaller(pieces, scale), "graphcut")
    of_a, of_b = (cv2.resize(mask, warps.a.shape[:1:-1], interpolation=cv2.INTER_LINEAR).astype(np.int16)
                  for mask in (of_a, of_b))
    return torch.from_numpy((of_a >= of_b).astype(np.float32))[None, None]


def nearer(picture, warps):
    """Which warp a painted picture follows: A's where the mean difference to it over 7 x 7 is the smaller."""
    off_a, off_b = (torch.nn.functional.avg_pool2d((picture - warped).abs().mean(dim=1, keepdim=True), 7, 1, 3)
                    for warped in (warps.a, warps.b))
    return torch.where(warps.overlap, off_a <= off_b, warps.mask_a)


# ---- own photographs -------------------------------------------------------------------------------------------------

def network_blend(model, device):
    """A blend for common/stitching/stitch.py: stage 2 joins photographs pairwise, each time the one that overlaps most
    with what is there."""
    def blend(pieces):
        rest = list(range(len(pieces)))
        areas = [[common_area(first, second) for second in pieces] for first in pieces]
        begin = max(rest, key=lambda place: sum(areas[place]) - areas[place][place])
        inside, result = [begin], pieces[begin]
        rest.remove(begin)
        while rest:
            place = max(rest, key=lambda place: max(areas[place][other] for other in inside))
            result = join_pieces(model, result, pieces[place], device)
            inside.append(place)
            rest.remove(place)
        return Panorama(result.image * (result.mask > 0)[..., None], result.mask, result.corner)
    return blend


def common_area(first, second):
    """Pixels of the rectangle that two Pieces have in common."""
    sides = [min(p.corner[axis] + p.mask.shape[1 - axis] for p in (first, second))
             - max(p.corner[axis] for p in (first, second)) for axis in (0, 1)]
    return max(0, sides[0]) * max(0, sides[1])


def join_pieces(model, first, second, device):
    """Two Pieces as one, by stage 2."""
    pictures, masks, corner = on_canvas((first, second))
    depths = [torch.from_numpy(cv2.distanceTransform(np.pad(mask[0, 0].numpy().astype(np.uint8), 1), cv2.DIST_L2,
                                                     3)[1:-1, 1:-1])[None, None]
              for mask in masks]
    warps = Warps(*pictures, *masks, *depths)
    picture, _ = reconstruct(model, warps, device)
    return Piece(to_bytes(picture[0]), 255 * (warps.mask_a | warps.mask_b)[0, 0].numpy().astype(np.uint8), corner)
