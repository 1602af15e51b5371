"""The tracker around the network: search regions of a few sizes, their response maps, and the best peak of them all.

The paper's `Tracking algorithm` (section 2.4). Two flavours: `popular` is what the most used PyTorch port does,
`original` what the authors' MATLAB code does. They differ in seven points, each of which is a setting of its own (see
FLAVOURS): scales, box_centre, crop, resize, peak, bias, limits. State is float64: centre (row, column) of the target,
0-based; size (h, w); sides of the exemplar's and the search region's squares.
"""
import copy
import sys
import time
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from cases.siamfc import crops
from cases.siamfc.model import EXEMPLAR, SEARCH, STRIDE, SiamFC, correlate, fold
from cases.siamfc.weights import read
from common.base import paths
from common.base.errors import UserError
from common.data.images import read_pixels
from common.data.sequences import box_problem
from common.experiment import checkpoints

UP = 16                                                       # the response is enlarged from 17 to 272 cells a side
FINE = 272

# What belongs to the number of scales: factor between neighbours, what a changed scale is multiplied by, how much of a
# change is taken over, and the weight of the cosine window.
BY_SCALES = {1: {"step": 1.0, "penalty": 1.0, "damping": 0.0, "influence": 0.176},
             3: {"step": 1.0375, "penalty": 0.9745, "damping": 0.59, "influence": 0.176},       # SiamFC-3s
             5: {"step": 1.0255, "penalty": 0.962, "damping": 0.34, "influence": 0.168}}        # SiamFC
FLAVOURS = {
    "popular": {"scales": 3, "box_centre": "pixel", "crop": "each", "resize": "bilinear", "peak": "between",
                "bias": 0.0, "limits": [0.0, 1e9]},
    "original": {"scales": 3, "box_centre": "edge", "crop": "once", "resize": "bicubic", "peak": "on", "bias": -2.1484,
                 "limits": [0.2, 5.0]},
}
EXTRAS = {"subpixel": False, "keep_inside": False, "rotation": 0.0, "learn": 0.0, "search_again": False,
          "precision": "fp32"}
LEARNT = 0.5                                                  # share of the learnt template in the kernel at most
WIDE = 2 * SEARCH + 1                                         # side of the region that is searched when lost
FLAT = 3.0                                                    # gray levels of deviation below which nothing is to see


class Confidence(NamedTuple):
    """P(IoU > .5) = 1 / (1 + exp(-(constant + ratio * ln(peak / first peak) + likeness * cosine))).

    The first peak is that of the first frame's response to its own target, than which none should be higher; cosine:
    SiamFCTracker.likeness. lost is set below `below` and cleared above `above`. The numbers were fitted by
    extras/calibrate.py.
    """
    constant: float = 2.618
    ratio: float = 5.589
    likeness: float = 2.601
    below: float = 0.469
    above: float = 0.619

    def probability(self, ratio, likeness):
        """ratio: the peak over the first one; likeness: of what lies at the peak to the first frame's target."""
        value = self.constant + self.ratio * np.log(max(ratio, 1e-3)) + self.likeness * likeness
        return float(1 / (1 + np.exp(-np.clip(value, -30, 30))))


class Found(NamedTuple):
    """What one update saw, for figures and tests."""
    responses: np.ndarray        # (hypotheses, 17, 17) float32, as the network gives them
    chosen: int                  # the hypothesis with the highest penalised peak
    fine: np.ndarray             # (272, 272) float64: its map, normalised and windowed
    peak: tuple                  # row and column of the maximum of `fine`
    strength: float              # the penalised maximum by which it was chosen


def settings_of(flavour="popular", **changes):
    """All settings of a tracker: the flavour's, those of BY_SCALES, and the changes (None: as the flavour has it)."""
    if flavour not in FLAVOURS:
        raise UserError(f"unknown flavour {flavour!r} of the tracker: expected one of {', '.join(FLAVOURS)}: change "
                        "tracker.flavour")
    changes = {name: value for name, value in changes.items() if value is not None}
    settings = FLAVOURS[flavour] | EXTRAS | changes
    if settings["scales"] not in BY_SCALES:
        raise UserError(f"a tracker of {settings['scales']} scales: expected one of {', '.join(map(str, BY_SCALES))}: "
                        "change tracker.scales")
    settings = BY_SCALES[settings["scales"]] | settings
    unknown = [name for name in changes if name not in {*FLAVOURS[flavour], *EXTRAS, *BY_SCALES[3]}]
    if unknown:
        raise UserError(f"unknown tracker setting(s) {', '.join(unknown)}: expected some of {', '.join(settings)}: "
                        "mend the name")
    return settings


class SiamFCTracker:
    """A tracker in the got10k toolkit's protocol: init(image, box), then update(image) -> box for every further frame.

    weights: a weights file (of this project or in the port's layout), the name of a release file, or a SiamFC network.
    image: a PIL picture or RGB uint8 (h, w, 3), or gray (h, w). Boxes: (x, y, w, h), 1-based. After each update
    `confidence` in [0, 1] and `lost` tell whether to trust the box. changes: settings of FLAVOURS and EXTRAS.
    """

    def __init__(self, weights="release", name="SiamFC", device="cpu", flavour="popular", confidence=Confidence(),
                 **changes):
        self.name, self.is_deterministic, self.device = name, True, torch.device(device)
        self.settings, self.calibration = settings_of(flavour, **changes), confidence
        network = weights if isinstance(weights, torch.nn.Module) else load(weights)
        self.template = fold(network.backbone).to(self.device)  # of the exemplar: once, so always in float32
        self.bias = 0.0
        if getattr(network, "bias", None) is not None:        # its own takes the place of the flavour's
            self.bias, self.settings["bias"] = network.bias.item(), changes.get("bias") or 0.0
        self.type = torch.bfloat16 if self.settings["precision"] == "bf16" else torch.float32
        self.features = copy.deepcopy(self.template).to(self.type)                     # of the search regions
        hann = np.outer(np.hanning(FINE), np.hanning(FINE))
        self.window = hann / hann.sum()
        self.resize = crops.bicubic if self.settings["resize"] == "bicubic" else crops.bilinear
        count = self.settings["scales"]
        self.factors = self.settings["step"] ** np.arange(-(count // 2), count // 2 + 1, dtype=np.float64)

    # ---- the protocol ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def init(self, image, box):
        """Take the target's appearance from the first frame. Raises UserError for a box that is none in it."""
        image = as_rgb(image)
        x, y, w, h = check_box(box, image.shape)
        self.size, self.angle = np.array([h, w]), 0.0
        self.centre = np.array([y, x]) + self.to_centre()
        self.exemplar_side, self.search_side = crops.exemplar_side(self.size), crops.search_side(self.size)
        self.first_side = self.search_side
        self.fill = image.mean(axis=(0, 1))
        self.kernel = self.embed(self.crop(image, self.exemplar_side, EXEMPLAR)[None], exemplar=True)  # (1, C, 6, 6)
        self.first_kernel = self.learnt = self.kernel
        self.flat = crops.is_flat(image, (x, y, w, h), FLAT)
        if self.flat:
            print("warning: the target is flat: its box shows next to nothing but one gray level in the first frame: "
                  "nothing can be recognised, so every frame counts as lost: give a box with a target in it, or begin "
                  "at a frame that shows it", file=sys.stderr)
        self.confidence, self.lost, self.found = 1.0, False, None
        alone = self.respond(image, [1.0], [0.0])                # of the first frame to its own target
        self.first_peak = max(float(alone.max()), 1e-6)
        self.target = self.kernel[0] - usual(self.seen[0])

    @torch.inference_mode()
    def update(self, image):
        """The target's box in the next frame, float64 (4,). Frames may change their size."""
        image = as_rgb(image)
        if self.lost and self.settings["search_again"]:
            self.look_around(image)
        factors, angles = self.hypotheses()
        if np.round(self.search_side * min(factors)) < 2:
            return self.lose()
        responses = self.respond(image, factors, angles)
        found = self.locate(responses, factors)
        if not np.isfinite(found.fine).all():
            return self.lose()
        self.judge(found)
        self.move(found, factors[found.chosen], angles[found.chosen], image.shape)
        self.found = found
        if self.settings["learn"] and self.confidence > self.calibration.above:
            self.learn(image)
        return self.box()

    def track(self, img_files, box, visualize=False):
        """Boxes (N, 4) and seconds (N,) of a sequence of files, as the toolkit's Tracker.track; shows nothing."""
        boxes, seconds = np.zeros((len(img_files), 4)), np.zeros(len(img_files))
        for place, path in enumerate(img_files):
            image = read_pixels(path)
            began = time.perf_counter()
            boxes[place] = box if place == 0 else self.update(image)
            if place == 0:
                self.init(image, box)
            seconds[place] = time.perf_counter() - began
        return boxes, seconds

    # ---- one update, step by step ------------------------------------------------------------------------------------

    def hypotheses(self):
        """(factors of the search side, angles in radians): every scale at the present angle and, where `rotation` is
        set, two turns at scale 1."""
        turn = np.deg2rad(self.settings["rotation"])
        factors, angles = list(self.factors), [self.angle] * len(self.factors)
        return (factors + [1.0, 1.0], angles + [self.angle - turn, self.angle + turn]) if turn else (factors, angles)

    def respond(self, image, factors, angles):
        """The response of every hypothesis: (hypotheses, 17, 17) float32."""
        sides = self.search_side * np.array(factors)
        if self.settings["crop"] == "once" and not any(angles) and len(factors) == len(self.factors):
            regions = crops.cut_once(image, self.matlab_centre(), sides, SEARCH, self.fill, self.resize)
        else:
            regions = [self.crop(image, side, SEARCH, angle) for side, angle in zip(sides, angles)]
        self.seen = self.embed(np.stack(regions))                                       # (hypotheses, C, 22, 22)
        return correlate(self.kernel, self.seen)[0].cpu().numpy() + np.float32(self.bias)

    def locate(self, responses, factors):
        """Enlarge, weigh, choose, window: Found."""
        maps = [enlarge(response + np.float32(self.settings["bias"]), self.settings["resize"])
                for response in responses]
        for place, fine in enumerate(maps):
            if place != len(self.factors) // 2:  # all but the unchanged scale at the present angle
                fine *= np.float32(self.settings["penalty"])
        peaks = [float(fine.max()) for fine in maps]
        chosen = int(np.argmax(peaks))
        fine = maps[chosen] - maps[chosen].min()
        fine = fine / (fine.sum() + 1e-16)
        fine = (1 - self.settings["influence"]) * fine + self.settings["influence"] * self.window
        return Found(responses, chosen, fine, np.unravel_index(int(fine.argmax()), fine.shape), peaks[chosen])

    def move(self, found, factor, angle, shape):
        """Take the found displacement, and a damped part of the change of scale and angle."""
        settings = self.settings
        peak = np.add(found.peak, parabola(found.fine, found.peak) if settings["subpixel"] else 0.0)
        if settings["peak"] == "on":                          # displacement 0 exists; side unscaled and rounded
            step = (peak - (FINE / 2 - 1)) * STRIDE / UP * crops.round_away(self.search_side) / SEARCH
        else:                                                 # the grid lies half a cell beside 0
            step = (peak - (FINE - 1) / 2) * STRIDE / UP * self.search_side * factor / SEARCH
        if angle:
            c, s = np.cos(angle), np.sin(angle)
            step = np.array([c * step[0] - s * step[1], c * step[1] + s * step[0]])
        self.centre = self.centre + step
        growth = (1 - settings["damping"]) + settings["damping"] * factor
        growth = float(np.clip(growth, *np.multiply(settings["limits"], self.first_side) / self.search_side))
        self.size = self.size * growth
        self.exemplar_side *= growth
        self.search_side *= growth
        self.angle += settings["damping"] * (angle - self.angle)
        if settings["keep_inside"]:
            self.centre = np.clip(self.centre, -self.size / 2, np.array(shape[:2]) - 1 + self.size / 2)

    def judge(self, found):
        """Set confidence and lost from the unpenalised map of the chosen hypothesis, and what lies at its peak."""
        response = found.responses[found.chosen]
        self.evidence = float(response.max()) / self.first_peak, self.likeness(response, self.seen[found.chosen])
        self.confidence = 0.0 if self.flat else self.calibration.probability(*self.evidence)
        self.lost = self.confidence < (self.calibration.above if self.lost else self.calibration.below)

    def likeness(self, response, features):
        """How much what lies at the peak looks like the first frame's target: the cosine between both maps of phi, each
        less the mean of the search region around it. In [-1, 1]; unlike the peak it does not grow with the contrast.

        response: (17, 17); features: (C, 22, 22), of the same search region.
        """
        row, column = np.unravel_index(int(response.argmax()), response.shape)
        height, width = self.target.shape[1:]
        window = features[:, row:row + height, column:column + width].float() - usual(features)
        return float(F.cosine_similarity(window.flatten(), self.target.flatten(), dim=0))

    def learn(self, image):
        """Take over a little of what the target looks like now, as trackers by filters do: a running mean of exemplars.
        The first one keeps at least half of the kernel, so that the tracker cannot forget what it was shown."""
        now = self.embed(self.crop(image, self.exemplar_side, EXEMPLAR, self.angle)[None], exemplar=True)
        rate = self.settings["learn"]
        self.learnt = (1 - rate) * self.learnt + rate * now
        self.kernel = (1 - LEARNT) * self.first_kernel + LEARNT * self.learnt

    def look_around(self, image):
        """When lost: move to the best place of a region of twice the side, if that is a clear one."""
        side = self.search_side * WIDE / SEARCH
        features = self.embed(self.crop(image, side, WIDE)[None])
        response = correlate(self.kernel, features)[0, 0].cpu().numpy()
        evidence = (response.max() + self.bias) / self.first_peak, self.likeness(response, features[0])
        if self.calibration.probability(*evidence) > self.calibration.above:
            peak = np.unravel_index(int(response.argmax()), response.shape)
            self.centre = self.centre + (np.array(peak) - (len(response) - 1) / 2) * STRIDE * side / WIDE

    def lose(self):
        """Nothing can be told from this frame: the last box stays."""
        self.confidence, self.lost = 0.0, True
        return self.box()

    # ---- small parts -------------------------------------------------------------------------------------------------

    def box(self):
        """The present box, (x, y, w, h), 1-based: the inverse of init."""
        return np.concatenate([(self.centre - self.to_centre())[::-1], self.size[::-1]])

    def to_centre(self):
        """From a box's corner (y, x), 1-based, to the centre: size / 2, or to the middle pixel's, 0-based."""
        return self.size / 2 if self.settings["box_centre"] == "edge" else (self.size - 1) / 2 - 1

    def matlab_centre(self):
        """The centre in 1-based pixels."""
        return self.centre if self.settings["box_centre"] == "edge" else self.centre + 1

    def crop(self, image, side, out, angle=0.0):
        """The square of `side` pixels around the target, by the rule of the flavour, resized to out x out."""
        if angle:
            return crops.cut_rotated(image, self.centre, side, angle, out, self.fill)
        if self.settings["crop"] == "once":
            return self.resize(crops.cut_matlab(image, self.matlab_centre(), side, self.fill), out)
        return self.resize(crops.cut(image, self.matlab_centre() - 1, side, self.fill), out)

    def embed(self, pictures, exemplar=False):
        """phi of uint8 (N, h, w, 3): the batch, seen as (N, 3, h, w), is channels_last already."""
        batch = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).permute(0, 3, 1, 2)
        return self.template(batch.float()) if exemplar else self.features(batch.to(self.type))


def load(weights):
    """A SiamFC network from a weights file, or from a release file by its name."""
    released = (paths.CHECKPOINTS / "siamfc" / f"{weights}.pt").is_file()
    return checkpoints.build(SiamFC, checkpoints.find("siamfc", "", str(weights)) if released else read(weights))


def as_rgb(image):
    """A frame as uint8 (h, w, 3). Raises UserError for what is none."""
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    array = isinstance(image, np.ndarray)
    if not array or image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        seen = f"{image.dtype} {image.shape}" if array else type(image).__name__
        raise UserError(f"a frame cannot be {seen}: a PIL picture or an 8-bit RGB array (h, w, 3) was expected: "
                        "convert it")
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def check_box(box, shape):
    """The box as four floats. Raises UserError where it is no box in a frame of this shape (h, w, ...)."""
    values = np.asarray(box, dtype=np.float64).ravel()
    if problem := box_problem(values, shape[1::-1]):
        raise UserError(f"no target there: box {', '.join(f'{value:g}' for value in values)}: {problem}: "
                        "give x,y,w,h of the target in the first frame")
    return values


def enlarge(response, resize):
    """(17, 17) to (272, 272) by bicubic interpolation between cell centres: OpenCV's (a = -.75), or MATLAB's (a = -.5)
    for `bicubic`."""
    if resize == "bicubic":
        return np.array(Image.fromarray(response).resize((FINE, FINE), Image.BICUBIC))
    return cv2.resize(response, (FINE, FINE), interpolation=cv2.INTER_CUBIC)


def parabola(fine, peak):
    """Where between the cells the maximum lies, (row, column) in [-.5, .5]: the vertex of the parabola through the peak
    and its neighbours."""
    offset = np.zeros(2)
    for axis in (0, 1):
        if 0 < peak[axis] < fine.shape[axis] - 1:
            before, after = (fine[tuple(np.add(peak, np.eye(2, dtype=int)[axis] * side))] for side in (-1, 1))
            bend = before - 2 * fine[tuple(peak)] + after
            offset[axis] = np.clip(0.5 * (before - after) / bend, -0.5, 0.5) if bend < 0 else 0.0
    return offset


def usual(features):
    """The mean feature of a search region: (C, H, W) -> (C, 1, 1)."""
    return features.float().mean(dim=(1, 2), keepdim=True)
