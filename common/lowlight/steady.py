"""Dark videos frame by frame, without flicker: what a network's answer depends on is steady within a shot."""
import cv2
import numpy as np
import torch

from common.data.images import to_bytes, to_tensor
from common.data.video import convert
from common.lowlight.protect import exposure_of, keep_bright, said
from common.metrics import gray8

KEPT = 0.95                                     # share of the running average that stays at each frame
CUT = 0.3                                       # sum |a - b| / sum (a + b) of thumbnails, above which a new shot begins


class Steady:
    """A network's answers to the frames of one video; everything is begun anew at every cut.

    answer(picture, average): (3, h, w) in [0, 1] to the same; None where the frame stays as it is. average(name, now)
    is the running average, within the shot, of whatever goes by that name. protect: bright regions stay (protect.py).
    shots: how many were seen.
    """

    def __init__(self, answer, protect):
        self.answer, self.protect, self.shots, self.thumbnail = answer, protect, 0, None

    def average(self, name, now):
        """The running average of that name; the first value of a shot as it is."""
        before = self.averages.get(name)
        self.averages[name] = now if before is None else KEPT * before + (1 - KEPT) * now
        return self.averages[name]

    def brighten(self, frame):
        """The answer to the next frame, both uint8 (h, w, 3); its mean level jumps no more than the input's."""
        thumbnail = cv2.resize(frame, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float64)
        before = self.thumbnail
        if before is None or np.abs(thumbnail - before).sum() > CUT * max(1.0, (thumbnail + before).sum()):
            self.averages, self.level_in, self.level_out = {}, None, None
            self.shots += 1
        self.thumbnail, picture = thumbnail, to_tensor(frame)
        output = self.answer(picture, self.average)
        if output is None:
            self.level_in, self.level_out = None, None
            return frame
        if self.protect:
            output = keep_bright(picture, output.clamp(0, 1), self.average("exposure", exposure_of(gray8(frame))))
        return self.limit(frame, output)

    def limit(self, frame, output):
        """The 8-bit answer, scaled where its mean level would jump by a larger share than the input's."""
        level_in, bright = frame.mean(), to_bytes(output)
        if self.level_in and self.level_out:
            allowed = abs(level_in / self.level_in - 1)
            for _ in range(4):                                  # clipping and rounding take a little of each correction
                change = bright.mean() / self.level_out - 1
                if abs(change) <= allowed + 1e-4:
                    break
                wanted = self.level_out * (1 + float(np.clip(change, -allowed, allowed)))
                output = output * (wanted / max(bright.mean(), 1e-6))
                bright = to_bytes(output)
        self.level_in, self.level_out = level_in, bright.mean()
        return bright


@torch.inference_mode()
def brighten_video(run, answer, path, target):
    """Brighten a video file, without its sound, into the file target, which appears when it is whole."""
    steady = Steady(answer, run.config.test.protect == "auto")
    levels = convert(path, target, steady.brighten, f"brightening {path.name}")
    before, after = np.mean(levels, axis=0)
    run.say(f"{path}: {said(before, after)}: {len(levels)} frames in {steady.shots} shot(s), mean level "
            f"{before:.1f} to {after:.1f}; no sound; {target}")
    return levels
