"""Videos painted frame by frame by the networks of Johnson et al. 2016 and Dumoulin et al. 2017, without their flicker.

A network paints every frame anew, and small changes of the input move whole strokes. So each result is blended with the
one before, carried along by optical flow, wherever flow and frames agree; what is newly seen, or follows a cut, is
painted fresh. Flicker is mean |out_t - warp(out_t-1)| where the input agrees, in levels of 0..255; the input's own is
given beside it.
"""
import cv2
import numpy as np

from cases.vgg19_style.fast.train import stylise
from common.base.errors import UserError
from common.base.progress import watch
from common.data.images import to_bytes, to_tensor
from common.data.video import frames_of, open_film, writing

KEPT = 0.7                     # share of the carried picture where it is trusted fully
AGREES = 10.0                  # levels by which a carried input may miss the new one
RETURNS = 1.0                  # pixels by which flow there and back may miss


class Steady:
    """Results that follow the scene: smooth(frame, painted) -> painted, blended with what came before, uint8 (h, w, 3).

    flicker: {"painted", "steady", "input"}: see the head of this file; nan before two frames that agree somewhere.
    """

    def __init__(self, kept=KEPT):
        self.kept, self.before = kept, None
        self.dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.sums = dict.fromkeys(("painted", "steady", "input"), 0.0)
        self.pixels = 0

    def smooth(self, frame, painted):
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        steady = painted
        if self.before is not None:
            old_frame, old_gray, old_painted, old_steady = self.before
            back = self.dis.calc(gray, old_gray, None)                          # frame(x) is old_frame(x + back)
            carried = warp(old_frame, back)
            agrees = (gap(frame, carried) < AGREES) & returns(self.dis.calc(old_gray, gray, None), back)
            trust = self.kept * cv2.GaussianBlur(agrees.astype(np.float32), (0, 0), 2)[..., None] * agrees[..., None]
            moved = warp(old_steady, back)
            steady = np.clip(painted + trust * (moved.astype(np.float32) - painted) + 0.5, 0, 255).astype(np.uint8)
            self.pixels += int(agrees.sum())
            for name, now, then in (("input", frame, carried), ("painted", painted, warp(old_painted, back)),
                                    ("steady", steady, moved)):
                self.sums[name] += float(gap(now, then)[agrees].sum())
        self.before = frame, gray, painted, steady
        return steady

    @property
    def flicker(self):
        return {name: total / self.pixels if self.pixels else float("nan") for name, total in self.sums.items()}


def warp(picture, flow):
    """picture(x + flow(x)): uint8 (h, w, 3) and float32 (h, w, 2) in pixels; outside, the border's pixels."""
    rows, columns = np.indices(flow.shape[:2], dtype=np.float32)
    return cv2.remap(picture, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)


def gap(a, b):
    """Mean over the channels of |a - b|, (h, w), in levels."""
    return np.abs(a.astype(np.float32) - b.astype(np.float32)).mean(axis=2)


def returns(forth, back):
    """Where flow there and back leads home, and does not leave the picture: bool (h, w)."""
    rows, columns = np.indices(back.shape[:2], dtype=np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    home = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) + back
    inside = (x >= 0) & (y >= 0) & (x <= back.shape[1] - 1) & (y <= back.shape[0] - 1)
    return inside & (np.linalg.norm(home, axis=2) < RETURNS)


def stylise_video(run, network, path, target, weights, kept=KEPT):
    """Paint a video file into `target`, which appears when it is whole.

    weights: (S,) of the network's styles; kept: see KEPT; 0 leaves every frame as it was painted. Returns {frames,
    flicker, flicker_painted, flicker_input}: of what was written, of the frames before blending, of the input. Raises
    UserError for files that are no video.
    """
    film, steady, count = open_film(path), Steady(kept), 0
    size = tuple(side - side % 2 for side in film.size)                         # codecs want even sides
    with writing(target, film.rate, size) as write:
        for frame in watch(frames_of(film), f"painting {path.name}", film.count or 1):
            frame = np.ascontiguousarray(frame[:size[1], :size[0]])
            write(steady.smooth(frame, to_bytes(stylise(network, to_tensor(frame), weights))))
            count += 1
        if not count:
            raise UserError(f"no frames in this video: {path}: at least one was expected: convert it to mp4")
    flicker = steady.flicker
    run.say(f"{count} frames, flicker {flicker['painted']:.2f} levels as painted, {flicker['steady']:.2f} as written, "
            f"input {flicker['input']:.2f}; no sound; {target}")
    return {"frames": count, "flicker": flicker["steady"], "flicker_painted": flicker["painted"],
            "flicker_input": flicker["input"]}
