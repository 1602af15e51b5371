"""What is known of every metric by its name: which way is better, what difference counts, how many decimals show."""
from typing import NamedTuple

from common.base.errors import UserError


class Metric(NamedTuple):
    """How common.compare and the report treat a metric."""
    direction: str                                        # higher | lower: is better; two-sided: any change counts
    tolerance: float                                      # a change up to this, in the metric's unit, is no difference
    digits: int                                           # decimals in tables; files always have six
    unit: str = ""


# A tolerance is what the same settings may move by on another machine (other threads, instructions, a GPU) and what a
# reader should overlook, not the spread between seeds, which is larger (half a dB on LOL): to grade retrained weights
# widen it, `--tolerance psnr=0.6`. "Flips": one level more or less in every fifth value of an LOL output, more than
# another machine does to a picture; measured.
METRICS = {
    # against a reference picture
    "psnr": Metric("higher", 0.1, 2, "dB"),               # flips .006; 1 % more brightness .05 to .2
    "ssim": Metric("higher", 0.005, 4),                   # flips .0017, every value one level up .009 at most
    "ssim_gray": Metric("higher", 0.005, 4),              # flips .001, every value one level up .003 at most
    "psnr_mask": Metric("higher", 0.3, 2, "dB"),          # of what was masked alone; a fit elsewhere is another one
    "psnr_y": Metric("higher", 0.05, 2, "dB"),            # of the luma, without a border of the scale's pixels
    "ssim_y": Metric("higher", 0.002, 4),
    "feature_distance": Metric("lower", 0.005, 4),        # by our narrow VGG19, without LPIPS' learnt weights
    # of one picture
    "entropy": Metric("two-sided", 0.02, 2, "bit"),       # flips .015; noise has entropy, too, so more is no better
    "niqe": Metric("lower", 0.1, 3),                      # flips in 1 % of the values .03; 1 % more brightness .07
    "loe": Metric("lower", 5, 1, "pixels"),               # flips 2 to 6, of 3,750 pixels
    "gray_edge": Metric("lower", 0.2, 2, "degrees"),      # a cast of 10 % in one channel .5 to 2.5, flips .01
    "noise_sigma": Metric("lower", 0.1, 2, "levels"),     # a median, in steps of .08; judge it beside sharpness
    "sharpness": Metric("higher", 0.02, 3),               # 1 % more brightness .002; a blur of sigma .5 takes .07
    "loss": Metric("lower", 1e-6, 4),                     # of a training, on held-out data
    # of the picture that was given: other decoders move it
    "input_light": Metric("two-sided", 0.1, 2, "levels"),
    "input_noise": Metric("two-sided", 0.1, 2, "levels"),  # a median, in steps of .08
    "light_ratio": Metric("two-sided", 0.02, 2),          # what KinD was told; another machine moves it by 1e-5
    # maps of objects: rounding moves single pixels of an outline, seldom an object over a threshold
    "iou": Metric("higher", 0.002, 4),
    "dice": Metric("higher", 0.002, 4),
    "ap": Metric("higher", 0.005, 4),                     # mean over the thresholds .50, .55 .. .95, per picture
    **{f"ap{percent}": Metric("higher", 0.01, 4) for percent in range(50, 100, 5)},
    "ap50_pooled": Metric("higher", 0.005, 4),            # of all objects of all pictures in one pool
    "aji": Metric("higher", 0.005, 4),
    "nuclei": Metric("two-sided", 0, 0),                  # true ones; this and the next four are sums
    "found": Metric("two-sided", 10, 0),
    "matched": Metric("higher", 10, 0),                   # of some 1,700
    "merged": Metric("lower", 3, 0),
    "split": Metric("lower", 3, 0),
    # tracking: one sequence of five that rounding throws off its target moves a mean by .003 (seen) and may by .02
    "ao": Metric("higher", 0.01, 4),
    "auc": Metric("higher", 0.01, 4),
    "precision": Metric("higher", 0.01, 4),
    "sr50": Metric("higher", 0.01, 4),
    "sr75": Metric("higher", 0.01, 4),
    "ao_frames": Metric("higher", 0.01, 4),               # of all frames of all sequences in one pool
    "sr50_frames": Metric("higher", 0.01, 4),
    "sr75_frames": Metric("higher", 0.01, 4),
    # homographies: a pair lost or won by RANSAC is worth 100 px / 300 pairs = .33 in the mean: .1 is less than a pair
    "rmse_4pt": Metric("lower", 0.1, 2, "px"),
    "rmse_4pt_median": Metric("lower", 0.1, 2, "px"),
    "rmse_4pt_below_1px": Metric("higher", 0.01, 3),      # 3 pairs of 300
    "failures": Metric("lower", 1, 0, "pairs"),           # the one pair on the edge
    # warps: measured in float; OpenCV versions differ by some hundredths of a dB
    "psnr_overlap": Metric("higher", 0.1, 2, "dB"),
    "psnr_overlap_gain": Metric("higher", 0.1, 2, "dB"),
    "psnr_overlap_or_identity": Metric("higher", 0.1, 2, "dB"),
    "psnr_udis": Metric("higher", 0.1, 2, "dB"),
    "psnr_udis128": Metric("higher", 0.1, 2, "dB"),
    "ssim_overlap": Metric("higher", 0.005, 4),
    "ssim_udis": Metric("higher", 0.005, 4),
    "ssim_udis128": Metric("higher", 0.005, 4),
    "overlap_area": Metric("two-sided", 0.005, 3),        # a warp that shrinks it gains dB: neither way is good
    # meshes: what they were not fitted to
    "residual_median": Metric("lower", 0.05, 2, "px"),
    "residual_p90": Metric("lower", 0.2, 2, "px"),
    "line_bend": Metric("lower", 0.05, 2, "px"),
    "least_area": Metric("higher", 0.02, 2),              # under 0 a part would be folded
    # stitched pictures
    "psnr_union": Metric("higher", 0.1, 2, "dB"),
    "psnr_b_own": Metric("higher", 0.1, 2, "dB"),
    "content_psnr": Metric("higher", 0.1, 2, "dB"),
    "ghost": Metric("lower", 0.1, 2, "levels"),           # averaging makes 4 to 12
    "seam_error": Metric("lower", 0.1, 2, "levels"),
    "seam_step": Metric("lower", 0.1, 2, "levels"),
    "things_cut": Metric("lower", 0.5, 2),                # a mean of whole numbers
    "join_cost": Metric("lower", 0.1, 2, "levels"),       # ghost and seam_step together: what a training is chosen by
    # style transfer: optimisation amplifies rounding: another machine's picture is another one, as good
    "style_distance": Metric("lower", 0.01, 3),
    "style_distance_untouched": Metric("two-sided", 0.001, 3),
    "content_distance": Metric("lower", 0.02, 3),
    "scales": Metric("two-sided", 0, 0),
    "palette_distance": Metric("lower", 0.5, 2),          # CIEDE2000: 1 is just noticeable
    "palette_distance_untouched": Metric("two-sided", 0.05, 2),
    "fine_chroma": Metric("lower", 0.2, 2, "levels"),     # a JPEG's own is .5 to 2
    "fine_chroma_style": Metric("two-sided", 0.02, 2, "levels"),
    "comb": Metric("lower", 0.1, 2),
    "count": Metric("two-sided", 0, 0),
}
UNKNOWN = Metric("two-sided", 1e-6, 4)                    # any change in the six decimals written


def metric_of(name):
    """The metric's row in METRICS; two-sided and strict for a name that is not there, as a foreign file may have."""
    return METRICS.get(name, UNKNOWN)


def expect_known(names, place):
    """Raise UserError for names without a row in METRICS: no other machine's result could be graded beside such."""
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UserError(f"unknown metrics: {place}: {', '.join(unknown)}: a line with direction, tolerance and digits "
                        "was expected for each: enter them in METRICS of common/metrics/table.py")
