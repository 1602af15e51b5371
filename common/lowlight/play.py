"""What the low-light cases offer the playground: MSR-net and KinD in one tab, with the same examples and simple
methods."""
from functools import cache

import cv2
import torch
import torch.nn.functional as F

from common.base.paths import EMBEDDED
from common.data.images import read_pixels, to_bytes
from common.lowlight import protect
from common.lowlight.baselines import fit_tone_curve, gamma, identity, tone_curve
from common.metrics import gray8
from common.play import pictures
from common.play.page import Offer, Words

TITLE = Words("Low light", "微光图像增强")
DARK = EMBEDDED / "dark"
EXAMPLES = {Words("garden", "花园"): DARK / "garden_dark2.jpg",
            Words("figurine", "小雕像"): DARK / "crusader_dark2.jpg",
            Words("by daylight", "白天"): EMBEDDED / "photos" / "china.jpg"}
STAGES = 640                            # pixels: the longest side at which stages are computed
PROTECT = pictures.Control("keep", Words("Bright stays bright", "亮处保持原样"),
                           Words("blend with the picture where it is bright already (test.protect)",
                                 "已经明亮之处与原图混合（test.protect）"), "auto",
                           choices=[(Words("on", "开"), "auto"), (Words("off", "关"), "off")])


@cache
def garden_curve():
    """The best single tone curve of the embedded garden's three exposures."""
    bright = read_pixels(DARK / "garden_bright.jpg")
    return fit_tone_curve((read_pixels(DARK / f"garden_dark{number}.jpg"), bright) for number in (1, 2, 3))


SIMPLE = {"input": identity, "gamma 1/2.2": gamma,
          "tone curve (fitted on the garden)": lambda low: tone_curve(low, garden_curve())}


def offer(methods):
    """The Offer of Methods in the common tab."""
    return Offer(TITLE, pictures.build, methods)


def method(name, run, controls):
    """A Method with the examples and simple methods of the tab."""
    return pictures.Method(name, run, [*controls, PROTECT], SIMPLE, EXAMPLES)


def kept(picture, output, keep):
    """(the output blended as `keep` says, what that did in words)."""
    result = protect.keep_bright(picture, output) if keep == "auto" else output
    before, after = (float(gray8(to_bytes(each)).mean()) for each in (picture, result))
    return result, protect.said(before, after)


def reduced(picture):
    """(1, 3, h, w) of a picture with a longest side of at most STAGES pixels."""
    scale = STAGES / max(picture.shape[1:])
    return picture[None] if scale >= 1 else F.interpolate(picture[None], scale_factor=scale, mode="area")


def shown(stage):
    """A stage (1, 1 or 3, h, w) as uint8 (h, w, 3): as it is where it lies in [0, 1], else between its 1st and 99th
    percentile."""
    stage = stage.float().cpu()
    if stage.min() < 0 or stage.max() > 1:
        low, high = torch.quantile(stage.flatten()[::7], torch.tensor([0.01, 0.99]))
        stage = (stage - low) / (high - low).clamp_min(1e-6)
    pixels = to_bytes(stage[0])
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.shape[2] == 1 else pixels
