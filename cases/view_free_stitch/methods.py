"""Every way to a homography that this case compares: the network, keypoints, both refined, and the automatic choice among them."""
from typing import NamedTuple

import cv2
import numpy as np
import torch

from common.classical import ORB_SMALL, SIFT, SIFT_TUNED, SIFT_TUNED_2X, Estimate, estimate
from common.geometry import homography_from_offsets, rescale
from common.homography_nets import SIDE
from common.refine import scored

CLASSICAL = {"sift": SIFT, "sift_tuned": SIFT_TUNED, "sift_tuned_2x": SIFT_TUNED_2X, "orb": ORB_SMALL}
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
    H = homography_from_offsets(model(*tensors).offsets.cpu(), (SIDE, SIDE))
    scale_a, scale_b = ((picture.shape[1] / SIDE, picture.shape[0] / SIDE) for picture in (a, b))
    return Estimate(rescale(H, scale_a, scale_b)[0], method="network")


def answers(model, a, b, device, gain_bias=False):
    """{row: Answer} of every method in ROWS for one pair of pictures (h, w, 3) uint8. B's descriptors are the query."""
    found = {row: estimate(a, b, features) for row, features in CLASSICAL.items()}
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
