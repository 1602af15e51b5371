"""Measure super-resolution: python cases/super_resolution/test.py [options] [key=value ...]

Set5 and Set14 at x4
    python cases/super_resolution/test.py --name check --weights release test.root=FOLDER test.scale=4
your own pictures
    python cases/super_resolution/test.py --weights release --input photo.jpg --scale 4 --output large.png
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's

from cases.super_resolution import baselines
from cases.super_resolution.data import cut, reduce
from cases.super_resolution.enlarge import enlarge
from cases.super_resolution.model import SuperResolution
from common.base.errors import UserError, start
from common.data.cache import fingerprint
from common.data.images import list_images, read_pixels, to_bytes, to_tensor, write_image
from common.experiment.run import Run
from common.metrics import fidelity, load_parameters, niqe, psnr_y, ssim_y

METRICS = ["psnr_y", "ssim_y", "psnr", "ssim"]
SETS = ("Set5", "Set14")


def main(argv=None):
    run = Run("super_resolution", "test", argv, {"--scale": ("test.scale", "how many times larger")})
    weights = run.weights()
    model = run.load(SuperResolution, weights)
    expect_scale(run.config.test.scale, model)
    failed = [measure(run, model, weights, folder) for folder in test_sets(run)]
    return next((each for each in failed if each), None)


def expect_scale(scale, model):
    if scale not in model.scales:
        raise UserError(f"these weights enlarge by {', '.join(map(str, model.scales))}, not by test.scale={scale}: one "
                        "of these was expected: set test.scale, or give other --weights")


def test_sets(run):
    """Set5 and Set14 inside test.root where they are there, else the folder itself."""
    root = Path(run.config.test.root or run.config.data.root)
    inside = [root / name for name in SETS if (root / name).is_dir()]
    return inside or [root]


def measure(run, model, weights, folder):
    """Every picture of a folder, made small and enlarged again by every row; results/.../test/<folder>/."""
    scale, paths = run.config.test.scale, list_images(folder, "test.root")
    parameters = load_parameters(run.config.test.niqe) if run.config.test.niqe else None
    rows = ["network", "network_ensemble", *baselines.ROWS]
    results = run.results(folder.resolve().name, weights, fingerprint(paths), rows=rows,
                          metrics=METRICS + ["niqe"] * bool(parameters))

    def read(place):
        high = cut(read_pixels(paths[place]), scale)
        return high, reduce(high, scale)
    for place, item, (high, low) in results.remaining([path.stem for path in paths], read):
        x = to_tensor(low)
        pictures = {"network": to_bytes(enlarge(model, x, scale, run.config.test.tile, run.device)),
                    "network_ensemble": to_bytes(enlarge(model, x, scale, run.config.test.tile, run.device, True))}
        lines = {}
        for row, picture in (pictures | baselines.outputs(low, scale)).items():
            path = results.image_path(item, row)
            write_image(path, to_tensor(picture))
            values = {"psnr_y": psnr_y(picture, high, scale), "ssim_y": ssim_y(picture, high, scale)}
            values |= {name: value for name, value in fidelity(picture, high).items() if name in METRICS}
            lines[row] = (values | ({"niqe": niqe(picture, parameters)} if parameters else {}), path)
        results.add(item, lines, paths[place].relative_to(folder.parent).as_posix())
    content = run.finish_test(results, weights, [path.stem for path in paths])
    run.say(results.table(content, METRICS))
    return results.expect_no_failures()


if __name__ == "__main__":
    sys.exit(start(main))
