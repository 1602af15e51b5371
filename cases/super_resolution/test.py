"""Measure super-resolution: python cases/super_resolution/test.py [options] [key=value ...]

Set5 and Set14 at x4
    python cases/super_resolution/test.py --name check --weights release test.root=FOLDER test.scale=4
your own pictures and videos
    python cases/super_resolution/test.py --weights release --input photo.jpg --scale 4 --output large.png
    python cases/super_resolution/test.py --weights release --input clip.mp4 --scale 2 --output large.mp4
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np

from cases.super_resolution import baselines
from cases.super_resolution.data import cut, degrade, reduce, test_sets
from cases.super_resolution.enlarge import choose_scale, enlarge
from cases.super_resolution.model import SuperResolution
from cases.super_resolution.own import enlarge_own
from cases.super_resolution.perceptual import feature_distance, load_judge
from common import metrics
from common.base.errors import Negative, UserError, start
from common.base.targets import unique_names
from common.data.cache import fingerprint
from common.data.images import list_images, read_pixels, to_bytes, to_tensor, write_image
from common.experiment.run import Run

METRICS = ["psnr_y", "ssim_y", "psnr", "ssim"]


def main(argv=None):
    run = Run("super_resolution", "test", argv, {"--scale": ("test.scale", "how many times larger")})
    weights = run.weights()
    model = run.load(SuperResolution, weights)
    choose_scale(run, model)
    parameters = metrics.load_parameters(run.config.test.niqe) if run.config.test.niqe else None
    if run.options.input:
        return enlarge_own(run, model, weights, parameters)
    judge = load_judge(run.device) if run.config.test.judge != "none" else None
    failed = []
    for folder in test_sets(run.config):
        failed += measure(run, model, weights, folder, judge, parameters).failures()
    if failed:
        raise Negative(f"{len(failed)} picture(s) failed, the rest is done: "
                       + "; ".join(f"{item}: {reason}" for item, reason in failed[:10]))
    return None


def measure(run, model, weights, folder, judge, parameters):
    """Every picture of a folder, made small and enlarged again by every row; results/.../test/<folder>/."""
    root = Path(run.config.test.root or run.config.data.root)
    scale, paths = run.config.test.scale, list_images(folder, "test.root")
    if not paths:
        raise UserError(f"no pictures: {folder}: pictures to be made small and large again were expected: set "
                        "test.root")
    items = unique_names(path.stem for path in paths)
    more = baselines.ROWS if run.config.test.baselines else []
    rows = ["network", *["network_ensemble"] * (run.config.test.ensemble != "off"), *more]
    results = run.results(folder.resolve().name, weights, fingerprint(paths), rows=rows,
                          metrics=METRICS + ["feature_distance"] * bool(judge) + ["niqe"] * bool(parameters))

    def read(place):
        high = cut(read_pixels(paths[place]), scale)
        if not high.size:
            raise UserError(f"smaller than {scale} pixels a side: {paths[place]}: a larger picture was expected: "
                            "remove it, or choose a smaller test.scale")
        if run.config.test.degrade == "real":
            return high, degrade(high, scale, np.random.default_rng([run.config.seed, place]))
        return high, reduce(high, scale)
    for place, item, (high, low) in results.remaining(items, read):
        lines = {}
        for row, picture in outputs(run, model, low, more).items():
            path = results.image_path(item, row)
            write_image(path, to_tensor(picture))
            lines[row] = measure_picture(picture, high, scale, judge, parameters), path
        results.add(item, lines, paths[place].relative_to(root).as_posix())
    content = run.finish_test(results, weights, items, inputs=dict(zip(items, map(str, paths))))
    run.say(results.table(content, METRICS) + f"\nresults: {results.final}")
    return results


def outputs(run, model, low, more):
    """{row: picture}, 8-bit, of one small picture."""
    settings, x = run.config.test, to_tensor(low)
    found = {"network": to_bytes(enlarge(model, x, settings.scale, settings.tile, run.device))}
    if settings.ensemble != "off":
        found["network_ensemble"] = to_bytes(enlarge(model, x, settings.scale, settings.tile, run.device, True))
    return found | (baselines.outputs(low, settings.scale) if more else {})


def measure_picture(picture, high, scale, judge, parameters):
    """{metric: value} of one 8-bit picture beside the true one; a border of the scale's pixels is left out of the
    luma's two."""
    values = {"psnr_y": metrics.psnr_y(picture, high, scale), "ssim_y": metrics.ssim_y(picture, high, scale)}
    values |= metrics.fidelity(picture, high)
    if judge:
        values["feature_distance"] = feature_distance(judge, picture, high)
    return values | ({"niqe": metrics.niqe(picture, parameters)} if parameters else {})


if __name__ == "__main__":
    sys.exit(start(main))
