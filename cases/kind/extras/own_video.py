"""Videos frame by frame, without flicker: stretch bounds, light ratio and brightness are steady within a shot."""
import cv2
import numpy as np
import torch

from cases.kind import enhance
from common.data.images import to_bytes, to_tensor
from common.data.video import convert
from common.lowlight.protect import exposure_of, keep_bright, said
from common.metrics import gray8

KEPT = 0.95                                     # share of the running average that stays at each frame
CUT = 0.3                                       # sum |a - b| / sum (a + b) of thumbnails, above which a new shot begins


class Steady:
    """Running averages of what would flicker, stretch bounds and ln ratio, begun anew at every cut.

    shots: how many were seen.
    """

    def __init__(self, model, settings):
        self.model, self.settings, self.shots, self.thumbnail = model, settings, 0, None

    def brighten(self, frame):
        """The answer to the next frame, both uint8 (h, w, 3); its mean level jumps no more than the input's."""
        model, settings = self.model, self.settings
        thumbnail = cv2.resize(frame, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float64)
        before = self.thumbnail
        if before is None or np.abs(thumbnail - before).sum() > CUT * max(1.0, (thumbnail + before).sum()):
            self.bounds = self.log_ratio = self.exposure = self.level_in = self.level_out = None
            self.shots += 1
        self.thumbnail, picture = thumbnail, to_tensor(frame)
        bounds = enhance.own_bounds(picture[None], settings)
        if bounds is None:                                      # flat: nothing to show
            self.level_in, self.level_out = None, None
            return frame
        self.bounds = average(self.bounds, bounds)
        maps = enhance.decompose(model, picture, settings.tile, bounds=self.bounds)
        restored = enhance.restore(model, maps, settings.tile)
        self.log_ratio = average(self.log_ratio, np.log(enhance.choose_ratio(model, maps, restored, settings)))
        output = restored * enhance.adjust(model, maps, float(np.exp(self.log_ratio)), settings.tile)
        output = (enhance.fuse(output, maps) if settings.fusion else output)[0]
        if settings.protect == "auto":
            self.exposure = average(self.exposure, exposure_of(gray8(frame)))
            output = keep_bright(picture, output.clamp(0, 1), self.exposure)
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


def average(before, now):
    """The running average; the first value of a shot as it is."""
    return now if before is None else KEPT * before + (1 - KEPT) * now


@torch.inference_mode()
def enhance_video(run, model, path, target):
    """Brighten a video file, without its sound, into the file target, which appears when it is whole."""
    steady = Steady(model, run.config.test)
    levels = convert(path, target, steady.brighten, f"brightening {path.name}")
    before, after = np.mean(levels, axis=0)
    run.say(f"{path}: {said(before, after)}: {len(levels)} frames in {steady.shots} shot(s), mean level "
            f"{before:.1f} to {after:.1f}; no sound; {target}")
    return levels
