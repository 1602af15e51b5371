"""Painted videos without their flicker: the last painted frame, carried along by optical flow (OpenCV's DIS).

Painted anew, every frame turns small changes of the input into strokes elsewhere. So each result holds on to the one
before wherever flow and frames agree; what is newly seen, or follows a cut, is painted fresh. Flicker is mean
|out_t - warp(out_t-1)| where the input agrees, in levels of 0..255; the input's own is given beside it.
"""
import cv2
import numpy as np

KEPT = 0.99                    # share of the carried picture where it is trusted fully
AGREES = 10.0                  # levels by which a carried input may miss the new one
RETURNS = 1.0                  # pixels by which flow there and back may miss


class Steady:
    """Results that follow the scene: smooth(frame, painted) -> painted, blended with what came before, uint8 (h, w, 3).

    carried(frame), asked before, is what to hold on to while the frame is painted. flicker: {"painted", "steady",
    "input"}: see the head of this file; nan before two frames that agree somewhere.
    """

    def __init__(self, kept=KEPT):
        self.kept, self.before, self.flow = kept, None, None
        self.dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.sums = dict.fromkeys(("painted", "steady", "input"), 0.0)
        self.pixels = 0

    def track(self, frame):
        """(flow back to the frame before, float32 (h, w, 2), where it can be trusted, bool (h, w)) of a new frame."""
        if self.flow is None:
            old_frame = self.before[0]
            gray, old_gray = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, old_frame))
            back = self.dis.calc(gray, old_gray, None)                          # frame(x) is old_frame(x + back)
            agrees = gap(frame, warp(old_frame, back)) < AGREES
            self.flow = back, agrees & returns(self.dis.calc(old_gray, gray, None), back)
        return self.flow

    def carried(self, frame):
        """(the last result as it would look now, uint8 (h, w, 3), trust in it, float32 (h, w, 1) in [0, 1]); None for a
        first frame."""
        if self.before is None:
            return None
        back, agrees = self.track(frame)
        return warp(self.before[2], back), soften(agrees)

    def smooth(self, frame, painted):
        steady = painted
        if self.before is not None:
            (moved, trust), (back, agrees) = self.carried(frame), self.track(frame)
            steady = painted + self.kept * trust * (moved.astype(np.float32) - painted)
            steady = np.clip(steady + 0.5, 0, 255).astype(np.uint8)
            self.pixels += int(agrees.sum())
            for name, now, then in (("input", frame, warp(self.before[0], back)), ("steady", steady, moved),
                                    ("painted", painted, warp(self.before[1], back))):
                self.sums[name] += float(gap(now, then)[agrees].sum())
        self.before, self.flow = (frame, painted, steady), None
        return steady

    @property
    def flicker(self):
        return {name: total / self.pixels if self.pixels else float("nan") for name, total in self.sums.items()}


def soften(agrees):
    """Trust (h, w, 1) in [0, 1]: full inside of where flow and frames agree, bool (h, w), and less towards its edge."""
    return cv2.GaussianBlur(agrees.astype(np.float32), (0, 0), 2)[..., None] * agrees[..., None]


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
