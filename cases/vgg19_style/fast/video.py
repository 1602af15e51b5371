"""Videos painted frame by frame, by a network in one pass or by optimisation, without their flicker (steady.py)."""
import numpy as np

from cases.vgg19_style.fast.train import stylise
from cases.vgg19_style.steady import KEPT, Steady
from common.base.errors import UserError
from common.base.progress import watch
from common.data.images import to_bytes, to_tensor
from common.data.video import frames_of, open_film, writing


def stylise_video(run, network, path, target, weights, kept=KEPT):
    """Paint a video file into `target` by a network. weights: (S,) of its styles. More: paint_video()."""
    def paint(frame, _):
        return stylise(network, to_tensor(frame), weights)
    return paint_video(run, path, target, paint, kept)


def paint_video(run, path, target, paint, kept=KEPT):
    """Paint a video file into `target`, which appears when it is whole.

    paint: from a frame, uint8 (h, w, 3), and what Steady.carried() says of it, to a picture (3, h, w) in [0, 1]. kept:
    share of the frame before, carried along, in each; 0 leaves every frame as it was painted. Returns {frames, flicker,
    flicker_painted, flicker_input}: of what was written, of the frames before blending, of the input. Raises UserError
    for files that are no video.
    """
    film, steady, count = open_film(path), Steady(kept), 0
    size = tuple(side - side % 2 for side in film.size)                         # codecs want even sides
    with writing(target, film.rate, size) as write:
        for frame in watch(frames_of(film), f"painting {path.name}", film.count or 1):
            frame = np.ascontiguousarray(frame[:size[1], :size[0]])
            write(steady.smooth(frame, to_bytes(paint(frame, steady.carried(frame)))))
            count += 1
        if not count:
            raise UserError(f"no frames in this video: {path}: at least one was expected: convert it to mp4")
    flicker = steady.flicker
    run.say(f"{count} frames, flicker {flicker['painted']:.2f} levels as painted, {flicker['steady']:.2f} as written, "
            f"input {flicker['input']:.2f}; no sound; {target}")
    return {"frames": count, "flicker": flicker["steady"], "flicker_painted": flicker["painted"],
            "flicker_input": flicker["input"]}
