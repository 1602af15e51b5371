"""Every way to a homography and to one picture that this case compares. Pictures are (h, w, 3) uint8."""
from typing import NamedTuple

import cv2
import numpy as np
import torch

from cases.udis.model import HALO, LOW, enlarge, remove_islands, stitching_domain
from common.data.images import map_tiles, to_bytes, to_tensor
from common.stitching.compose import Panorama, Piece, inner_distance, smaller
from common.stitching.estimators import Answer, network_estimate, on_canvas
from common.stitching.geometry import refusal, rescale
from common.stitching.keypoints import ORB, SIFT, estimate
from common.stitching.refine import best_fit
from common.stitching.seams import differing_things, seam_cost, seams, things
from common.stitching.warps import Warps

SIZES = (128, 96, 64)              # of the low-resolution rows
ALIGNED = ["identity", "sift", "orb", "network", "network_refined", "refined",
           *(f"sift_{size}" for size in SIZES), *(f"network_{size}" for size in SIZES)]
JOINED = ["average", "feather", "seam", "reconstructed"]
IDENTITY = torch.eye(3, dtype=torch.float64)
NEEDED = 8                         # matches and inliers that keypoints need (as in the data's README)
SEAM_CANVAS = 2e5                  # pixels of the canvas on which seams are sought
TILE = 256                         # of the high-resolution branch; with its border it stays in a core's cache


# ---- stage 1: align --------------------------------------------------------------------------------------------------

def answers(model, a, b, device, start="best"):
    """{row: Answer} of every row in ALIGNED for one pair.

    start: where the row `refined` begins: network | sift | identity | best (of all).
    """
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
            if found.H_ba is not None:
                scales = ((picture.shape[1] / size, picture.shape[0] / size) for picture in (a, b))
                found = found._replace(H_ba=rescale(found.H_ba[None], *scales)[0])
            result[f"{name}_{size}"] = found
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
    """One way to join a pair."""
    picture: torch.Tensor          # (1, 3, H, W) in [0, 1]
    label: torch.Tensor            # (1, 1, H, W) bool: where it is A's rather than B's


def domain(a, b, H_ba):
    """(Warps, origin) of two pictures."""
    return stitching_domain(to_tensor(a)[None], to_tensor(b)[None], H_ba[None])


@torch.inference_mode()
def join_all(model, warps, device):
    """{row: Joined} of every row in JOINED on the same warps."""
    shares = {"average": 0.5, "feather": warps.feather(), "seam": hard_seam(warps)}
    result = {name: Joined(warps.join(share), torch.where(warps.overlap, share >= 0.5, warps.mask_a))
              for name, share in shares.items()}
    picture, share = reconstruct(model, warps, device)
    label = nearer(picture, warps) if share is None else share >= 0.5
    return result | {"reconstructed": Joined(picture, label)}


@torch.inference_mode()
def reconstruct(model, warps, device, tile=TILE):
    """(picture (1, 3, H, W), share of A or None) by stage 2, tile by tile; tiles without overlap are only copied.

    The low-resolution branch sees the whole canvas; the other is local, so tiles with a border of 19 pixels are exact.
    """
    network = model.reconstruction
    height, width = warps.a.shape[2:]
    hint = network.look(warps.resize((LOW, LOW)).to(device)).cpu()
    decides = hint.shape[1] == 1
    top, left, bottom, right = bounds(warps.overlap) if decides else (0, 0, height, width)
    part = warps.crop((top, left, bottom, right))

    def join(crop, box):
        seen = part.crop(box)
        if decides and not seen.overlap.any():
            return seen.mask_a.float()
        picture, share = network.join(seen.to(device), crop.to(device))
        return (picture if share is None else share).float().cpu()
    answer = map_tiles(join, enlarge(hint, (height, width))[..., top:bottom, left:right], tile=tile, halo=HALO)
    if not decides:
        return answer, None
    share = warps.mask_a.float()                                        # right wherever only one picture is
    share[..., top:bottom, left:right] = answer
    share = remove_islands(share, warps)
    return warps.join(share), share


def bounds(mask, border=HALO):
    """(top, left, bottom, right) of what is set in a mask (1, 1, H, W), with a border; one pixel where nothing is."""
    rows, columns = (mask[0, 0].any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    if not rows:
        return 0, 0, 1, 1
    return (max(0, rows[0] - border), max(0, columns[0] - border),
            min(mask.shape[2], rows[-1] + 1 + border), min(mask.shape[3], columns[-1] + 1 + border))


def hard_seam(warps):
    """A's share with OpenCV's seam (a minimal cut over colour and gradient, common/stitching/seams.py): 0 or 1."""
    of_a, of_b = (cv2.resize(mask, warps.a.shape[:1:-1], interpolation=cv2.INTER_LINEAR)
                  for mask in seams(smaller(as_pieces(warps), seam_scale(warps)), "graphcut"))
    return torch.from_numpy((of_a >= of_b).astype(np.float32))[None, None]


def as_pieces(warps):
    """Both pictures of Warps as Pieces of a panorama, each as large as the canvas."""
    return [Piece(to_bytes(picture[0]), 255 * mask[0, 0].numpy().astype(np.uint8), (0, 0))
            for picture, mask in ((warps.a, warps.mask_a), (warps.b, warps.mask_b))]


def seam_scale(warps):
    """At which part of the canvas's size seams are sought."""
    return min(1.0, float(np.sqrt(SEAM_CANVAS / (warps.a.shape[2] * warps.a.shape[3]))))


def nearer(picture, warps):
    """Which warp a painted picture follows: A's where the mean difference to it over 7 x 7 is the smaller."""
    off_a, off_b = (torch.nn.functional.avg_pool2d((picture - warped).abs().mean(dim=1, keepdim=True), 7, 1, 3)
                    for warped in (warps.a, warps.b))
    return torch.where(warps.overlap, off_a <= off_b, warps.mask_a)


def whole_things(share, warps, margin=2):
    """A's share (1, 1, H, W) without cuts through things (common/stitching/seams.py), where a way round them is
    cheaper: each goes to the picture that shows more of it, with a margin of some pixels."""
    pieces, both = as_pieces(warps), warps.overlap[0, 0].numpy()
    inside = np.maximum(*(things(piece.image, piece.mask) for piece in pieces))
    cost, best = seam_cost(pieces[0].image, pieces[1].image, both, inside), share[0, 0].numpy().copy()
    for parts, counting in differing_things(pieces):
        for number in counting:
            thing = (parts == number).astype(np.uint8)
            around = (cv2.dilate(thing, np.ones((2 * margin + 1,) * 2)) > 0) & both
            changed = np.where(around, np.float32(best[thing > 0].mean() >= 0.5), best)
            if price(changed, cost) < price(best, cost):
                best = changed
    return torch.from_numpy(best)[None, None]


def price(share, cost):
    """What the seam of A's share (H, W) costs: both ends of every edge that it crosses."""
    label = share >= 0.5
    across = [((side[1:] != side[:-1]) * (costs[1:] + costs[:-1])).sum()
              for side, costs in ((label, cost), (label.T, cost.T))]
    return float(sum(across))


# ---- own photographs -------------------------------------------------------------------------------------------------

def network_blend(model, device):
    """A blend for common/stitching/stitch.py: stage 2 joins photographs pairwise.

    Each time the one that overlaps most with one of those that are there, the first of equals.
    """
    def blend(pieces):
        areas = common_areas(pieces)
        inside = [int(areas.sum(axis=1).argmax())]
        result = pieces[inside[0]]
        while len(inside) < len(pieces):
            nearest = areas[inside].max(axis=0)
            nearest[inside] = -1                                        # these are there already
            inside.append(int(nearest.argmax()))
            result = join_pieces(model, result, pieces[inside[-1]], device)
        return Panorama(result.image * (result.mask > 0)[..., None], result.mask, result.corner)
    return blend


def common_areas(pieces):
    """Pixels of the rectangles that Pieces have in common with each other: (n, n), the diagonal 0."""
    corners = np.array([piece.corner for piece in pieces])
    ends = corners + [piece.mask.shape[::-1] for piece in pieces]
    sides = np.minimum(ends[:, None], ends) - np.maximum(corners[:, None], corners)        # (n, n, 2)
    return sides.clip(0).prod(axis=2) * ~np.eye(len(pieces), dtype=bool)


def join_pieces(model, first, second, device):
    """Two Pieces as one, by stage 2."""
    pictures, masks, corner = on_canvas((first, second))
    depths = [torch.from_numpy(inner_distance(mask[0, 0].numpy().astype(np.uint8)))[None, None] for mask in masks]
    warps = Warps(*pictures, *masks, *depths)
    picture, share = reconstruct(model, warps, device)
    if share is not None:
        picture = warps.join(whole_things(share, warps))
    top = int(np.iinfo(np.result_type(first.image, second.image)).max)
    return Piece(to_bytes(picture[0], top), 255 * warps.union[0, 0].numpy().astype(np.uint8), corner)
