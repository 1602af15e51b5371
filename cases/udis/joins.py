"""Beyond the paper's ways to one picture: a minimal cut that minds objects, the mesh's warps, light brought together.

`cut` stands on the refined homography as the rows of baselines.py do, the others on a mesh (meshes.py), which their
names end with: OpenCV's seam, stage 2 and `cut` as they are; `opencv_mesh` and `composed_mesh` change the light too.
The former is OpenCV's own composing (block gains, its graph cut, multiband), the latter what `--input` does
(common/stitching/compose.py).
"""
import cv2
import numpy as np
import torch

from cases.udis.baselines import Joined, as_pieces, domain, hard_seam, nearer, reconstruct, seam_scale
from cases.udis.model import inside_depth
from common.data.images import to_tensor
from common.stitching.compose import SEAM_PIXELS, blend, compensate, smaller
from common.stitching.geometry import STRICT, sample
from common.stitching.mesh import pixel_grid
from common.stitching.seams import cut_finely, seams

WAYS = ["seam", "reconstructed", "cut", "opencv", "composed"]
JOINED_ON = ["mesh", "mesh_learnt"]        # of the rows that bend (meshes.py), those on which pictures are joined
BANDS = 5                                  # of OpenCV's multiband blender, its default


def more_joined(bending):
    """The rows of joined pictures beside those of baselines.py. bending: the rows that bend."""
    return ["cut"] + [f"{way}_{mesh}" for mesh in JOINED_ON if mesh in bending for way in WAYS]


def bent_domain(a, b, answer):
    """Warps of two pictures at an Answer's mesh on the canvas of its homography; the homography's without a mesh."""
    warps, origin = domain(a, b, answer.H_ba)
    if answer.mesh is None:
        return warps
    x, y = pixel_grid(warps.a.shape[2:])
    picture = to_tensor(b)[None]
    read = (torch.nan_to_num(torch.from_numpy(place), -1e6)[None]
            for place in answer.mesh.read(x + origin[0], y + origin[1]))
    warped, mask = sample(torch.cat([picture, inside_depth(*b.shape[:2], picture)], dim=1), *read)
    mask = mask >= STRICT
    warped = warped * mask
    return warps._replace(b=warped[:, :3], mask_b=mask, depth_b=warped[:, 3:])


def cut_share(warps):
    """A's share with the cut that minds objects (common/stitching/seams.py), at full size: 0 or 1."""
    pieces = as_pieces(warps)
    mask, _ = cut_finely(pieces, smaller(pieces, seam_scale(warps)))
    return torch.from_numpy((mask > 0).astype(np.float32))[None, None]


def hard(share, warps):
    """The Joined of a share that decides."""
    return Joined(warps.join(share), torch.where(warps.overlap, share >= 0.5, warps.mask_a))


@torch.inference_mode()
def join_bent(model, warps, mesh, device):
    """{row: Joined} of all WAYS on the warps of a mesh, the row that bent them."""
    picture, share = reconstruct(model, warps, device)
    answer = Joined(picture, nearer(picture, warps)) if share is None else hard(share, warps)
    result = {"seam": hard(hard_seam(warps), warps), "reconstructed": answer, "cut": hard(cut_share(warps), warps)}
    for way, join in (("opencv", opencv_panorama), ("composed", panorama)):
        pieces = as_pieces(warps)
        scale = min(1.0, float(np.sqrt(2 * SEAM_PIXELS / pieces[0].mask.size)))
        picture, masks = join(pieces, smaller(pieces, scale))
        of_a, of_b = (cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR) for mask in masks)
        label = torch.where(warps.overlap, torch.from_numpy(of_a >= of_b)[None, None], warps.mask_a)
        result[way] = Joined(to_tensor(picture)[None] * warps.union, label)
    return {f"{way}_{mesh}": joined for way, joined in result.items()}


def panorama(pieces, small):
    """(picture (h, w, 3) uint8, masks of the small pieces) as `--input` composes with its default settings."""
    compensate(pieces, small)
    masks = seams(small)
    return blend(pieces, small, masks).image, masks


def opencv_panorama(pieces, small):
    """The same by OpenCV alone: block gains, graph cut over colour and gradient, multiband."""
    compensate(pieces, small)
    masks = seams(small, "graphcut")
    blender = cv2.detail.MultiBandBlender(0, BANDS)
    height, width = pieces[0].mask.shape
    blender.prepare((0, 0, width, height))
    for piece, mask in zip(pieces, masks):
        wide = cv2.resize(cv2.dilate(mask, None), (width, height), interpolation=cv2.INTER_LINEAR)
        blender.feed(piece.image.astype(np.int16), piece.mask & wide, piece.corner)
    picture, _ = blender.blend(None, None)
    return np.clip(picture, 0, 255).astype(np.uint8), masks
