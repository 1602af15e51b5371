"""common/stitching/quality.py: the listed numbers of real pairs, scikit-image, hand-made cases."""
import csv

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from tolerances import near

from common.stitching.geometry import homography_from_offsets, warp
from common.stitching.pairs import RealPairs
from common.stitching.quality import (
    psnr_gain_bias,
    psnr_overlap,
    psnr_udis,
    psnr_where,
    seam_step,
    ssim_overlap,
    ssim_udis,
)


def tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].double() / 255


def test_listed_numbers_of_real_pairs(shared):
    """Both flavours of PSNR and SSIM of ../shared/data/stitch_pairs/baselines.csv, from the homographies listed
    there."""
    root = shared("data/stitch_pairs")
    pairs, compared = RealPairs(root), 0
    with open(root / "baselines.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["method"] in ("identity", "sift_ransac")
                 and line["name"] in pairs.names[:12:5]]
    for line in lines:
        a, b = pairs.pair(pairs.names.index(line["name"]))
        H = torch.tensor(np.array(line["H_2to1"].split(), float).reshape(1, 3, 3))
        a, (warped, mask) = tensor(a), warp(tensor(b), H, a.shape[1::-1])
        for function, column, margin in ((psnr_overlap, "overlap_psnr", 0.01), (ssim_overlap, "overlap_ssim", 0.001),
                                         (psnr_udis, "udis_psnr", 0.01), (ssim_udis, "udis_ssim", 0.001)):
            assert function(a, warped, mask).item() == pytest.approx(float(line[column]),
                                                                     abs=margin), (line["name"], line["method"], column)
        assert (mask >= 0.999).double().mean().item() == pytest.approx(float(line["overlap_area"]), abs=0.001)
        compared += 1
    assert compared == 6


def test_udis_ssim_is_scikit_images_default():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 40, 50, 3))
    theirs = structural_similarity(a, b, channel_axis=2, data_range=1.0)
    found = ssim_udis(*(torch.from_numpy(each).permute(2, 0, 1)[None] for each in (a, b)),
                      torch.ones(1, 1, 40, 50)).item()
    assert found == pytest.approx(theirs, abs=1e-9)


def test_outside_does_not_count_and_no_overlap_has_no_number():
    a, warped, mask = torch.rand(1, 3, 30, 30), torch.rand(1, 3, 30, 30), torch.zeros(1, 1, 30, 30)
    mask[..., :15] = 1
    changed = warped.clone()
    changed[..., 15:] = 0.3
    for function in (psnr_overlap, ssim_overlap, psnr_gain_bias):
        assert near(function(a, warped, mask), function(a, changed, mask))
        assert function(a, warped, torch.zeros(1, 1, 30, 30)).isnan().all()
    assert psnr_overlap(a, a, mask).isinf().all() and ssim_overlap(a, a, mask).item() == pytest.approx(1)
    empty = torch.zeros(1, 1, 30, 30)
    # UDIS' own measure is best without any overlap: why it does not decide
    assert psnr_udis(a, warped, empty).isinf().all()


def test_gain_and_bias_are_taken_out():
    torch.manual_seed(0)
    a, mask = torch.rand(1, 3, 20, 20), torch.ones(1, 1, 20, 20)
    dim = 0.5 * a + torch.tensor([0.1, 0.2, 0.0]).view(1, 3, 1, 1)
    noise = 0.01 * torch.randn_like(a)
    assert psnr_overlap(a, dim + noise, mask).item() < 20 < 30 < psnr_gain_bias(a, dim + noise, mask).item()


def test_a_step_that_should_be_there_is_no_error():
    picture = torch.zeros(1, 3, 10, 10)
    picture[..., 5:] = 0.5
    mask, everywhere = torch.zeros(1, 1, 10, 10, dtype=torch.bool), torch.ones(1, 1, 10, 10, dtype=torch.bool)
    mask[..., :5] = True
    assert seam_step(picture, [picture], mask, everywhere).item() == 0
    flat = torch.zeros(1, 3, 10, 10)
    assert seam_step(picture, [flat], mask, everywhere).item() == pytest.approx(127.5)
    assert seam_step(picture, [flat, picture], mask, everywhere).item() == 0  # the better reference counts
    blurred = picture.clone()
    blurred[..., 4], blurred[..., 5] = 0.2, 0.3
    # too soft a step is an error, too
    assert seam_step(blurred, [picture], mask, everywhere).item() == pytest.approx(255 * 0.4)
    assert seam_step(picture, [flat], everywhere, everywhere).isnan().all()
    assert psnr_where(picture, flat, mask).isinf().all()


def test_metrics_of_a_batch_are_those_of_its_items():
    torch.manual_seed(1)
    b = torch.rand(3, 3, 64, 64)
    a = torch.rand(3, 3, 64, 64)
    warped, mask = warp(b, homography_from_offsets(torch.randn(3, 8) * 6, (64, 64)), (64, 64))
    for function in (psnr_overlap, ssim_overlap, psnr_udis, ssim_udis, psnr_gain_bias):
        together = function(a, warped, mask)
        alone = torch.cat([function(a[place:place + 1], warped[place:place + 1], mask[place:place + 1])
                           for place in range(3)])
        assert near(together, alone, "gradient") and together.dtype == torch.float64
