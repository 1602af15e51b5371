"""Videos frame by frame: stretch bounds and light ratio are steady within a shot (common/lowlight/steady.py)."""
import numpy as np
import torch

from cases.kind import enhance


def answer_frames(model, settings):
    """What steady.Steady asks for: KinD's answer to a frame (3, h, w) in [0, 1], None for a flat one; settings: `test`.
    """
    def answer(picture, average):
        bounds = enhance.own_bounds(picture[None], settings)
        if bounds is None:                                      # nothing to show
            return None
        maps = enhance.decompose(model, picture, settings.tile, bounds=average("bounds", bounds))
        restored = enhance.restore(model, maps, settings.tile) if settings.restore else maps.reflectance
        log_ratio = average("log ratio", np.log(enhance.choose_ratio(model, maps, restored, settings)))
        output = restored * enhance.adjust(model, maps, float(np.exp(log_ratio)), settings.tile)
        output = enhance.fuse(output, maps) if settings.fusion else output
        return torch.lerp(picture, output[0], average("share", enhance.share_of(model, picture[None], settings)))
    return answer
