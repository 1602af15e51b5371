"""Speed and memory of the stitching case against straightforward versions: python cases/view_free_stitch/benchmark.py

The cost volume as product and gather beside four ways to write it, forward and backward: by its definition (a slice per
displacement), unfolded, as a grouped convolution and as an einsum over all pairs of places; the generator; a pair end
to end; the memory of twelve photographs of 12 megapixels stitched in a fresh process; CPU seconds of whole
panoramas, with --peers beside OpenCV's Stitcher and the package stitching. Prints ratios of CPU time and
milliseconds, saves bench.json.
"""
import sys
import tempfile
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from cases.view_free_stitch.baselines import answers
from cases.view_free_stitch.model import ViewFreeStitch
from common.base.paths import EMBEDDED
from common.data.images import list_images, picture_size, read_pixels, to_tensor
from common.data.samples import build, photograph
from common.experiment import timing
from common.experiment.device import set_threads
from common.stitching.estimators import estimator, network_estimate
from common.stitching.keypoints import SIFT_TUNED, estimate
from common.stitching.network import cost_volume
from common.stitching.pairs import HomographyPairs, draw, make_pair, read_squashed
from common.stitching.refine import refine
from common.stitching.stitch import Settings, stitch

SETS = ("berlin", "skyline", "front")          # six, six and three photographs of at most 640 pixels
COUNTS = (4, 8, 16, 24, 30)                    # of a sequence cut from one wide picture, which must grow linearly


def slice_by_slice(a, b, radius):
    """The cost volume by its definition."""
    height, width = a.shape[2:]
    padded = F.pad(b, [radius] * 4)
    return torch.stack([(a * padded[:, :, dy:dy + height, dx:dx + width]).mean(dim=1)
                        for dy in range(2 * radius + 1) for dx in range(2 * radius + 1)], dim=1)


def unfolded(a, b, radius):
    """Every window of b laid out in memory, (N, C, displacements, h, w)."""
    side = 2 * radius + 1
    windows = F.unfold(b, side, padding=radius).view(*b.shape[:2], side * side, *b.shape[2:])
    return torch.einsum("nchw,nckhw->nkhw", a, windows) / a.shape[1]


def grouped_convolution(a, b, radius):
    """Every place of a as a 1x1 kernel over all of b, a group per picture of the batch; then the window is cut out."""
    count, channels, height, width = a.shape
    padded = F.pad(b, [radius] * 4)
    kernels = a.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
    products = F.conv2d(padded.flatten(0, 1)[None], kernels, groups=count) / channels
    return cut_windows(products.view(count, height, width, *padded.shape[2:]), radius)


def all_pairs(a, b, radius):
    """The products of all places of a with all of b, as an einsum; then the window is cut out."""
    products = torch.einsum("nchw,ncvu->nhwvu", a, F.pad(b, [radius] * 4)) / a.shape[1]
    return cut_windows(products, radius)


def cut_windows(products, radius):
    """(N, h, w, h + 2 radius, w + 2 radius), the second place from the corner of the padding, to (N, displacements, h,
    w)."""
    (height, width), side = products.shape[1:3], torch.arange(2 * radius + 1)
    y, x = torch.arange(height)[:, None, None, None], torch.arange(width)[None, :, None, None]
    windows = products[:, y, x, y + side[:, None], x + side]
    return windows.flatten(3).permute(0, 3, 1, 2)


def volumes():
    """Seconds of all ways for the paper's layer: batch 4, 128 x 16 x 16, range 16, forward and backward."""
    torch.manual_seed(0)
    a, b = (torch.randn(4, 128, 16, 16, requires_grad=True) for _ in range(2))
    ways = {"slice by slice": slice_by_slice, "unfolded": unfolded, "grouped convolution": grouped_convolution,
            "all pairs": all_pairs, "product and gather": cost_volume}
    expected = slice_by_slice(a, b, 16)
    difference = max((way(a, b, 16) - expected).abs().max().item() for way in ways.values())
    assert difference < 1e-6, f"the ways differ by {difference}"

    def both_ways(function):
        a.grad = b.grad = None
        function(a, b, 16).square().sum().backward()
    seconds = timing.in_turns({name: partial(both_ways, way) for name, way in ways.items()})
    return {"cpu_seconds": seconds.cpu, "wall_seconds": seconds.wall, "largest_difference": difference,
            "times_faster": {f"than {name}": seconds.times_faster("product and gather", name)
                             for name in ways if name != "product and gather"}}


def generator():
    """Milliseconds per sample, photographs decoded before: the paper's, without the label, and with augmentation."""
    photos = list_images(build("photos"))
    plain, bare = HomographyPairs(photos), HomographyPairs(photos, label=False)
    augmented = HomographyPairs(photos, augment=True, label=False)
    count = len(photos)
    sides = {"paper": lambda: [plain[0, place] for place in range(count)],
             "without the label": lambda: [bare[0, place] for place in range(count)],
             "augmented, without the label": lambda: [augmented[0, place] for place in range(count)]}
    return {name: 1000 * value / count for name, value in timing.in_turns(sides).cpu.items()}


def pair():
    """Milliseconds of each step on one pair of 128 pixels."""
    photo = read_squashed(list_images(build("photos"))[1])
    made = make_pair(photo, *draw(np.random.default_rng(3)))
    model, cpu = ViewFreeStitch().eval().to(memory_format=torch.channels_last), torch.device("cpu")
    a, b, offsets = to_tensor(made.a)[None], to_tensor(made.b)[None], torch.from_numpy(made.offsets)[None]
    near = torch.from_numpy(made.H_ba)
    with torch.inference_mode():
        sides = {"network": lambda: network_estimate(model, made.a, made.b, cpu),
                 "refine": lambda: refine(made.a, made.b, near),
                 "sift_tuned": lambda: estimate(made.a, made.b, SIFT_TUNED),
                 "stitch and revise": lambda: model(a, b, offsets),
                 "all rows of test.py": lambda: answers(model, made.a, made.b, cpu)}
        return {name: 1000 * value for name, value in timing.in_turns(sides).cpu.items()}


def memory():
    """Peak MiB of fresh processes: twelve photographs of 12 megapixels stitched by keypoints; and the imports alone."""
    code = """
import tempfile
from pathlib import Path
import cv2, numpy as np
from common.stitching.estimators import estimator
from common.data.samples import photograph
from common.stitching.stitch import Settings, stitch
with tempfile.TemporaryDirectory() as folder:
    wide = np.hstack([photograph('coffee.png'), photograph('coffee.png')[:, ::-1]])
    wide = cv2.resize(wide, (13000, 3600), interpolation=cv2.INTER_CUBIC)
    paths = []
    for place in range(12):
        left = place * 800
        paths.append(Path(folder) / f'{place:02d}.jpg')
        cv2.imwrite(str(paths[-1]), wide[300:3300, left:left + 4000, ::-1])
    del wide
    stitch(paths, estimator('sift', None, None), Settings(order='given', debug=False), Path(folder) / 'out')"""
    return {"twelve photographs of 4000 x 3000": timing.peak_memory_mb(code),
            "imports alone": timing.peak_memory_mb("import cases.view_free_stitch.baselines, common.stitching.stitch")}


def panoramas():
    """{set: {program: CPU seconds, size of its panorama}} of the embedded sets and of sequences, by keypoints and
    network."""
    model = ViewFreeStitch().eval().to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: sorted((EMBEDDED / "panoramas").glob(f"{name}_*.jpg")) for name in SETS}
        sets |= {f"a sequence of {count}": write_sequence(Path(folder) / str(count), count) for count in COUNTS}
        return {name: compare_programs(paths, model, Path(folder) / "out") for name, paths in sets.items()}


def compare_programs(paths, model, out, turns=3):
    """{program: CPU seconds and the panorama's width and height, None where it makes none} for one set of files."""
    sides = programs(paths, model, out)
    for _, path in sides.values():
        path.unlink(missing_ok=True)                       # of the set before
    seconds = timing.in_turns({name: call for name, (call, _) in sides.items()}, turns).cpu
    return {name: {"cpu_seconds": seconds[name], "size": list(picture_size(path)[::-1]) if path.exists() else None}
            for name, (_, path) in sides.items()}


def programs(paths, model, out):
    """{program: (a function without arguments that stitches the same files into a PNG, the PNG)}; the others' with
    their default settings. Only `stitching` cuts its panorama to a rectangle too; ours is written both ways."""
    files = {name: out / f"{name}.png" for name in ("opencv", "stitching")}
    def by_ours():
        set_threads()                                      # `stitching` leaves torch with others
        stitch(paths, estimator("auto", model, torch.device("cpu")), Settings(debug=False), out)
    sides = {"ours": (by_ours, out / "panorama.png")}
    if timing.peers_wanted():
        package = timing.peer("stitching")

        def by_opencv():
            pictures = [read_pixels(path)[..., ::-1].copy() for path in paths]
            _, panorama = cv2.Stitcher_create().stitch(pictures)
            if panorama is not None:
                cv2.imwrite(str(files["opencv"]), panorama)

        def by_package():
            cv2.imwrite(str(files["stitching"]), package.Stitcher().stitch([str(path) for path in paths]))
        sides |= {"OpenCV's Stitcher": (by_opencv, files["opencv"]), "stitching": (by_package, files["stitching"])}
    return sides


def write_sequence(folder, count, step=110):
    """Files of `count` views (480 x 360), each `step` pixels further along one wide picture, the last row by row."""
    folder.mkdir(parents=True)
    rows = [photograph(name) for name in ("coffee.png", "chelsea.png", "panoramas/skyline_2.jpg", "photos/china.jpg",
                                          "astronaut.png", "panoramas/berlin_3.jpg", "photos/flower.jpg", "rocket.jpg")]
    wide = np.hstack([cv2.resize(row, None, fx=380 / len(row), fy=380 / len(row)) for row in rows])
    paths = [folder / f"{place:02d}.png" for place in range(count)]
    for place, path in enumerate(paths):
        cv2.imwrite(str(path), wide[place % 3:360 + place % 3, step * place:step * place + 480, ::-1])
    return paths


def main():
    set_threads()
    numbers = timing.measure("view_free_stitch", {"cost_volume": volumes, "generator_milliseconds": generator,
                                                  "pair_milliseconds": pair, "peak_memory_mb": memory,
                                                  "panoramas_cpu_seconds": panoramas})
    ratios = ", ".join(f"{value:.1f} times ({name})" for name, value in numbers["cost_volume"]["times_faster"].items())
    print(f"the cost volume is faster {ratios}; largest difference "
          f"{numbers['cost_volume']['largest_difference']:.1e}")


if __name__ == "__main__":
    main() if "--help" not in sys.argv and "-h" not in sys.argv else print(__doc__)
