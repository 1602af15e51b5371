"""Every metric by its name: `metrics.psnr(a, b)`. table.py says which way is better and how much difference counts."""
from common.metrics.instances import (
    aggregated_jaccard,
    average_precision,
    foreground_dice,
    foreground_iou,
    matches,
    merged,
    overlaps,
    split,
)
from common.metrics.niqe import load_parameters, niqe
from common.metrics.paintings import comb, fine_chroma, palette_distance
from common.metrics.pictures import (
    ciede2000,
    entropy,
    fidelity,
    gray8,
    gray_edge,
    gt_mean,
    loe,
    luma,
    noise_sigma,
    psnr,
    psnr_mask,
    psnr_y,
    sharpness,
    ssim,
    ssim_gray,
    ssim_y,
)
from common.metrics.ssim import ssim_loss, ssim_map
from common.metrics.table import METRICS, UNKNOWN, Metric, expect_known, metric_of
from common.metrics.tracking import (
    ERRORS,
    OVERLAPS,
    auc,
    box_iou,
    centre_error,
    precision_curve,
    success_auc,
    success_curve,
    tracking,
)
