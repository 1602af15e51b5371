"""CPU seconds of whole panoramas, beside the field's programs where they are wanted (--peers)."""
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from common.base.paths import ROOT
from common.data.images import read_pixels
from common.data.samples import photograph
from common.experiment import timing
from common.stitching.stitch import Settings, stitch

SETS = ("berlin", "skyline", "front")          # six, six and three photographs of at most 640 pixels
COUNTS = (4, 8, 16)                            # of a sequence cut from one wide picture, which must grow linearly


def panoramas(make_estimate):
    """{set: {program: CPU seconds}} of the embedded sets and of sequences. make_estimate(): a fresh estimate (a, b)."""
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: sorted((ROOT / "datasets/embedded/panoramas").glob(f"{name}_*.jpg")) for name in SETS}
        sets |= {f"a sequence of {count}": write_sequence(Path(folder) / str(count), count) for count in COUNTS}
        return {name: timing.in_turns(programs(paths, make_estimate, Path(folder) / "out"), turns=3).cpu
                for name, paths in sets.items()}


def programs(paths, make_estimate, out):
    """{program: a function without arguments} that stitch the same files; the others' with their default settings."""
    sides = {"ours": lambda: stitch(paths, make_estimate(), Settings(debug=False), out)}
    if timing.peers_wanted():
        package = timing.peer("stitching")
        pictures = [read_pixels(path)[..., ::-1].copy() for path in paths]
        sides["OpenCV's Stitcher"] = partial(cv2.Stitcher_create().stitch, pictures)
        sides["stitching"] = lambda: package.Stitcher().stitch([str(path) for path in paths])
    return sides


def write_sequence(folder, count, step=110):
    """Files of `count` views (480 x 360), each `step` pixels further along one wide picture, the last row by row."""
    folder.mkdir(parents=True)
    rows = [photograph(name) for name in ("coffee.png", "chelsea.png", "panoramas/skyline_2.jpg", "photos/china.jpg")]
    wide = np.hstack([cv2.resize(row, None, fx=380 / len(row), fy=380 / len(row)) for row in rows])
    paths = [folder / f"{place:02d}.png" for place in range(count)]
    for place, path in enumerate(paths):
        cv2.imwrite(str(path), wide[place % 3:360 + place % 3, step * place:step * place + 480, ::-1])
    return paths
