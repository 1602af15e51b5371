"""How good a warp and a joined picture are. Warps are measured in float, joined pictures as written in 8 bit."""
import cv2
import torch
import torch.nn.functional as F

from cases.udis.losses import seam_masks
from common.data.images import to_tensor
from common.stitching.geometry import STRICT, rescale, sample, warp
from common.stitching.mesh import pixel_grid
from common.stitching.quality import (
    psnr_gain_bias,
    psnr_overlap,
    psnr_udis,
    psnr_where,
    seam_step,
    ssim_overlap,
    ssim_udis,
)
from common.stitching.seams import things_cut

ALIGN = ["failures", "overlap_area", "psnr_overlap", "ssim_overlap", "psnr_overlap_gain", "psnr_overlap_or_identity",
         "psnr_udis", "ssim_udis", "psnr_udis128", "ssim_udis128"]
JOIN = ["content_psnr", "ghost", "seam_error", "seam_step", "things_cut"]
ERODED = 9                         # content is measured this far (a window) from where a picture is no longer alone


def measure_alignment(answer, a, b, identity=None):
    """The numbers of ALIGN for one method's Answer, pictures (h, w, 3) uint8; `reason` where it is a failure.

    identity: psnr_overlap of the identity on this pair, which stands in for a failure's. udis128: of both pictures
    squashed to 128 x 128.
    """
    failed = {"failures": 1, "psnr_overlap_or_identity": identity}
    if answer.H_ba is None:
        return failed | {"reason": answer.reason or "no estimate"}
    target = to_tensor(a)[None]
    warped, mask = show(answer, to_tensor(b)[None], a.shape, b.shape, a.shape[1::-1])
    area = (mask >= STRICT).double().mean().item()
    if area == 0:
        return failed | {"reason": "the pictures do not overlap"}
    values = {"failures": 0, "overlap_area": area, "psnr_overlap": psnr_overlap(target, warped, mask),
              "ssim_overlap": ssim_overlap(target, warped, mask),
              "psnr_overlap_gain": psnr_gain_bias(target, warped, mask),
              "psnr_udis": psnr_udis(target, warped, mask), "ssim_udis": ssim_udis(target, warped, mask)}
    small_a, small_b = (to_tensor(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR))[None]
                        for picture in (a, b))
    warped, mask = show(answer, small_b, a.shape, b.shape, (128, 128))
    values |= {"psnr_udis128": psnr_udis(small_a, warped, mask), "ssim_udis128": ssim_udis(small_a, warped, mask)}
    values = {name: float(value) for name, value in values.items() if value == value}      # nan: no number
    return values | {"psnr_overlap_or_identity": values["psnr_overlap"]}


def show(answer, picture, shape_a, shape_b, size):
    """(B as A sees it, mask), as geometry.warp, by an Answer's homography or mesh.

    picture: (1, 3, h, w), B, of shape_b, or a copy of another size; size: (width, height) of A, of shape_a, or a copy.
    """
    scale_a = size[0] / shape_a[1], size[1] / shape_a[0]
    scale_b = picture.shape[3] / shape_b[1], picture.shape[2] / shape_b[0]
    if answer.mesh is None:
        return warp(picture, rescale(answer.H_ba[None], scale_a, scale_b), size)
    x, y = ((grid + 0.5) / scale - 0.5 for grid, scale in zip(pixel_grid(size[::-1]), scale_a))
    read = (torch.from_numpy((place + 0.5) * scale - 0.5) for place, scale in zip(answer.mesh.read(x, y), scale_b))
    return sample(picture, *(torch.nan_to_num(place, -1e6)[None] for place in read))


def content_psnr(picture, warps):
    """PSNR in dB against the picture that is alone there, mean of both; inf for a copy.

    Each over the region that it shows alone, less 4 pixels round it.
    """
    values = []
    for warped, mask, other in ((warps.a, warps.mask_a, warps.mask_b), (warps.b, warps.mask_b, warps.mask_a)):
        alone = (mask & ~other).float()
        inner = -F.max_pool2d(-F.pad(alone, (4,) * 4), ERODED, stride=1) > 0
        if inner.any():
            values.append(psnr_where(picture, warped, inner).item())
    return sum(values) / len(values) if values else float("nan")


def ghost(picture, warps):
    """Mean over the overlap of the smaller of box7(mean_c |O - W1|) and box7(mean_c |O - W2|), levels of 255.

    0 where every neighbourhood is one picture's, large where two are mixed.
    """
    off = [F.avg_pool2d((picture - warped).abs().mean(dim=1, keepdim=True), 7, stride=1, padding=3,
                        count_include_pad=False)
           for warped in (warps.a, warps.b)]
    return 255 * torch.minimum(*off)[warps.overlap].double().mean().item()


def seam_error(picture, warps):
    """Mean |O - W1| over B1 and |O - W2| over B2 (losses.seam_masks), levels of 255.

    Is the passage into what only one picture shows seamless?
    """
    total = count = 0
    for warped, band in zip((warps.a, warps.b), seam_masks(warps.mask_a, warps.mask_b)):
        total = total + ((picture - warped).abs() * band).sum().double().item()
        count = count + 3 * band.sum().double().item()
    return 255 * total / count if count else float("nan")


def measure_joined(joined, warps, found=None):
    """The numbers of JOIN for a Joined whose picture has been rounded to 8 bit.

    seam_step: along the border of its label, how much more the picture steps there than the better warp. found: the
    warps' differing things (common/stitching/seams.py), of which those are counted that the border splits.
    """
    picture, label = joined
    values = {"content_psnr": content_psnr(picture, warps), "ghost": ghost(picture, warps),
              "seam_error": seam_error(picture, warps),
              "seam_step": seam_step(picture, [warps.a, warps.b], label, warps.union).item()}
    if found is not None:
        values["things_cut"] = things_cut(found, label[0, 0].numpy())
    return {name: value for name, value in values.items() if value == value}
