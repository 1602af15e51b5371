"""Every way to a homography that this case compares: network, keypoints, both refined, and the best of all."""
import numpy as np
import torch

from common.base.errors import Negative
from common.data.images import map_tiles, to_bytes
from common.stitching.compose import Panorama
from common.stitching.estimators import SMALL, Answer, network_estimate, on_canvas
from common.stitching.keypoints import ORB_SMALL, SIFT, SIFT_TUNED, SIFT_TUNED_2X, estimate
from common.stitching.refine import score_starts
from common.stitching.warps import Warps

CLASSICAL = {"sift": SIFT, "sift_tuned": SIFT_TUNED, "sift_tuned_2x": SIFT_TUNED_2X, "orb": ORB_SMALL}
ROWS = ["identity", *CLASSICAL, "network", "network_refined", "auto_classical", "auto"]
IDENTITY = torch.eye(3, dtype=torch.float64)
AT = ["network", "refined", "jittered"]                 # the homographies that the revision rows stand on


def answers(model, a, b, device, gain_bias=False):
    """{row: Answer} of every method in ROWS for one pair of pictures (h, w, 3) uint8. B's descriptors are the query."""
    large = max(*a.shape, *b.shape) >= SMALL            # these are not enlarged: it would take minutes, for nothing
    found = {row: estimate(a, b, features._replace(enlarge=1) if large else features)
             for row, features in CLASSICAL.items()}
    found["network"] = network_estimate(model, a, b, device)
    starts = [found[row].H_ba for row in ("sift_tuned", "sift_tuned_2x", "orb")] + [IDENTITY, found["network"].H_ba]
    refined = score_starts(a, b, starts, gain_bias)
    result = {"identity": Answer(IDENTITY)} | {row: Answer(each.H_ba, each.reason) for row, each in found.items()}
    result |= {"network_refined": Answer(refined[-1][1]), "auto_classical": best(refined[:-1]), "auto": best(refined)}
    return {row: result[row] for row in ROWS}


def best(refined):
    """The Answer with the least score; none where no score is finite."""
    value, H = min(refined, key=lambda each: each[0])
    return Answer(H) if np.isfinite(value) else Answer(None, "no start led to a homography that the pictures support")


# ---- own photographs ----

def network_blend(model, device):
    """A blend for common/stitching/stitch.py: the revision network joins two photographs on their canvas."""
    @torch.inference_mode()
    def blend(pieces):
        if len(pieces) != 2:
            raise Negative(f"test.compose=network joins two photographs, these are {len(pieces)}: use "
                           "test.compose=multiband")
        pictures, inside, corner = on_canvas(pieces)
        stacked = torch.cat([*pictures, *(mask.float() for mask in inside)], dim=1)

        def revise(crop, place=None):
            crop = crop.to(device)
            return model.revision(Warps(crop[:, :3], crop[:, 3:6], crop[:, 6:7] > 0.5, crop[:, 7:] > 0.5)).cpu()
        image = (map_tiles(revise, stacked, tile=512, halo=96, multiple=8) if max(stacked.shape[2:]) > 704
                 else revise(stacked))
        mask = (inside[0] | inside[1])[0, 0].numpy()
        top = int(np.iinfo(pieces[0].image.dtype).max)
        return Panorama(to_bytes(image[0], top) * mask[..., None], 255 * mask.astype(np.uint8), corner)
    return blend
