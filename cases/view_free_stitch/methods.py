"""Every way to a homography that this case compares: the network, keypoints, both refined, and the automatic choice among them."""
from typing import NamedTuple

import cv2
import numpy as np
import torch

from cases.view_free_stitch.model import Warps
from common.classical import ORB_SMALL, SIFT, SIFT_TUNED, SIFT_TUNED_2X, Estimate, detect, estimate, remembered
from common.errors import Negative
from common.geometry import homography_from_offsets, rescale
from common.homography_nets import SIDE, support
from common.images import tiled, to_bytes
from common.panorama import Panorama
from common.refine import refine, score, scored
from common.stitching import INLIERS, doubt

CLASSICAL = {"sift": SIFT, "sift_tuned": SIFT_TUNED, "sift_tuned_2x": SIFT_TUNED_2X, "orb": ORB_SMALL}
SMALL = 400                        # longest side under which pictures are enlarged for keypoints
ROWS = ["identity", *CLASSICAL, "network", "network_refined", "auto_classical", "auto"]
IDENTITY = torch.eye(3, dtype=torch.float64)


class Answer(NamedTuple):
    """One method's homography (3, 3) float64 of B in A's frame, or None and the reason."""
    H_ba: torch.Tensor | None
    reason: str | None = None


@torch.inference_mode()
def network_estimate(model, a, b, device):
    """The network's Estimate for pictures (h, w, 3) uint8 of any two sizes: both are squashed to 128 x 128, its answer is scaled back."""
    small = [picture if picture.shape[:2] == (SIDE, SIDE) else cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in (a, b)]
    tensors = [torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(device).float() / 255 for picture in small]
    prediction = model(*tensors)
    H = homography_from_offsets(prediction.offsets.cpu(), (SIDE, SIDE))
    scale_a, scale_b = ((picture.shape[1] / SIDE, picture.shape[0] / SIDE) for picture in (a, b))
    matches, inliers, points = support(prediction)
    if points is not None:
        points = (points + 0.5) * (*scale_a, *scale_b) - 0.5
    return Estimate(rescale(H, scale_a, scale_b)[0], matches, inliers, method="network", points=points)


def answers(model, a, b, device, gain_bias=False):
    """{row: Answer} of every method in ROWS for one pair of pictures (h, w, 3) uint8. B's descriptors are the query."""
    large = max(*a.shape, *b.shape) >= SMALL                              # such pictures are not enlarged: it would take minutes, for nothing
    found = {row: estimate(a, b, features._replace(enlarge=1) if large else features) for row, features in CLASSICAL.items()}
    found["network"] = network_estimate(model, a, b, device)
    starts = [found[row].H_ba for row in ("sift_tuned", "sift_tuned_2x", "orb")] + [IDENTITY, found["network"].H_ba]
    refined = scored(a, b, starts, gain_bias)
    result = {"identity": Answer(IDENTITY)} | {row: Answer(each.H_ba, each.reason) for row, each in found.items()}
    result |= {"network_refined": Answer(refined[-1][1]), "auto_classical": best(refined[:-1]), "auto": best(refined)}
    return {row: result[row] for row in ROWS}


def best(refined):
    """The Answer with the least score; none where no score is finite."""
    value, H = min(refined, key=lambda each: each[0])
    return Answer(H) if np.isfinite(value) else Answer(None, "no start led to a homography that the pictures support")


# ---- own photographs: estimate(a, b) -> Estimate for common/stitching.py ----

def by_keypoints(a, b, detect=detect):
    """Tuned SIFT, refined by the pictures; its evidence stays the keypoints'."""
    features = SIFT_TUNED_2X if max(*a.shape, *b.shape) < SMALL else SIFT_TUNED
    return refined_estimate(a, b, estimate(a, b, features, detect=detect))


def refined_estimate(a, b, found):
    """An Estimate moved to where the pictures agree best, whatever their exposure; without evidence it is not worth the time."""
    if found.H_ba is None or (found.inliers is not None and found.inliers < INLIERS):
        return found
    return found._replace(H_ba=refine(a, b, found.H_ba, gain_bias=True).H_ba)


def estimator(method, model, device):
    """The estimate(a, b) that test.method names: network, sift, or auto (both; of what the pictures support, the one that fits better)."""
    detect_once = remembered()

    def by_sift(a, b):
        return by_keypoints(a, b, detect_once)

    def by_network(a, b):
        return refined_estimate(a, b, network_estimate(model, a, b, device))

    def by_both(a, b):
        found = [by_sift(a, b), by_network(a, b)]
        good = [each for each in found if doubt(a, b, each).reason is None]
        return min(good, key=lambda each: score(a, b, each.H_ba, gain_bias=True)) if good else found[0]
    return {"network": by_network, "sift": by_sift, "auto": by_both}[method]


def network_blend(model, device):
    """A blend for common/stitching.py: the revision network joins two photographs on their canvas."""
    @torch.inference_mode()
    def blend(pieces):
        if len(pieces) != 2:
            raise Negative(f"test.compose=network joins two photographs, these are {len(pieces)}: use test.compose=multiband")
        left, top = (min(piece.corner[axis] for piece in pieces) for axis in (0, 1))
        right, bottom = (max(piece.corner[axis] + piece.mask.shape[1 - axis] for piece in pieces) for axis in (0, 1))
        pictures, inside = [], []
        for piece in pieces:
            x, y = piece.corner[0] - left, piece.corner[1] - top
            picture, mask = torch.zeros(1, 3, bottom - top, right - left), torch.zeros(1, 1, bottom - top, right - left, dtype=torch.bool)
            part = np.s_[..., y:y + piece.mask.shape[0], x:x + piece.mask.shape[1]]
            mask[part] = torch.from_numpy(piece.mask > 0)
            picture[part] = torch.from_numpy(piece.image).permute(2, 0, 1)[None] / 255
            pictures.append(picture * mask)
            inside.append(mask)
        stacked = torch.cat([*pictures, *(mask.float() for mask in inside)], dim=1)

        def revise(crop, place=None):
            crop = crop.to(device)
            return model.revision(Warps(crop[:, :3], crop[:, 3:6], crop[:, 6:7] > 0.5, crop[:, 7:] > 0.5)).cpu()
        image = tiled(revise, stacked, tile=512, halo=96, multiple=8) if max(stacked.shape[2:]) > 704 else revise(stacked)
        mask = (inside[0] | inside[1])[0, 0].numpy()
        return Panorama(to_bytes(image[0]) * mask[..., None], 255 * mask.astype(np.uint8), (left, top))
    return blend
