"""Measure KinD on LOL, or brighten your own pictures and videos: python cases/kind/test.py [options] [key=value ...]

LOL's 15 evaluation pictures
    python cases/kind/test.py --name check --weights release
your own pictures
    python cases/kind/test.py --input photo.jpg folder/ --output brighter/ [--ratio 4 | --ratio auto]
one picture at three brightnesses, side by side
    python cases/kind/test.py --input photo.jpg --output strip.png --ratio 2,4,8
a video
    python cases/kind/test.py --input night.mp4 --output bright.mp4
pictures of other data sets
    python cases/kind/test.py test.set=cross-dataset test.unpaired=FOLDER
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import time

import torch

from cases.kind import enhance
from cases.kind.data import evaluation_set
from cases.kind.enhance import quantise
from cases.kind.extras import own_video, strip
from cases.kind.model import KinD
from cases.kind.ratios import read_ratio
from common import metrics
from common.base.errors import UserError, start
from common.data.images import read_image, to_tensor, write_image
from common.experiment.run import Run
from common.lowlight import baselines, evaluation, unpaired
from common.lowlight.evaluation import (
    CLASSINGS,
    FIDELITY,
    INPUT,
    NO_REFERENCE,
    classes_of,
    niqe_parameters,
    no_reference,
    of_input,
)
from common.lowlight.steady import brighten_video

PROTOCOLS = ["gt_ratio", "gt_free", "gt_mean"]
FIXED = (3, 5)                                                  # light ratios that a user might choose for all pictures
SHORTHANDS = {"--ratio": ("test.ratio",
                          "light ratio: a number, higher is brighter; auto for a stated brightness; 2,4,8: a strip")}


def main(argv=None):
    run = Run("kind", "test", argv, SHORTHANDS)
    read_ratio(run.config.test.ratio, several=bool(run.options.input))
    weights = run.weights()
    expect_restoration(run, weights)
    model = enhance.equip(run, run.load(KinD, weights))
    with torch.inference_mode():
        if run.options.input:
            return own(run, model, weights)
        if run.config.test.set == "cross-dataset":
            return unpaired.cross_dataset(run, weights, lambda rgb: answer_elsewhere(run, model, rgb), ["light_ratio"])
        return benchmark(run, model, weights)


def expect_restoration(run, weights):
    """Weights without a restoration give other numbers: the user must say that this is meant."""
    if weights.model.get("restoration") == "none" and run.config.model.restoration != "none":
        raise UserError(f"{weights.path} has no restoration network: all three networks were expected: say "
                        "model.restoration=none to use the reflectance as it is, or give other --weights")


# ---- pictures with a target ------------------------------------------------------------------------------------------

def benchmark(run, model, weights):
    """Every picture of the test set under all protocols, beside simple methods; results/kind/<run>/test/<set>/."""
    settings, pairs = run.config.test, evaluation_set(run.config)
    if pairs is None:
        return without_references(run, model, weights)
    curve = baselines.curve_of_training(run, pairs) if settings.baselines else None
    parameters = niqe_parameters(run)
    rows = rows_of(settings, curve, model.restoration is not None)
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=rows, classings=CLASSINGS,
                          metrics=FIDELITY + NO_REFERENCE + (["niqe"] if parameters else []) + INPUT + ["light_ratio"])
    seconds, pixels = 0.0, 0
    for name, item, (low_path, high_path), low, high in evaluation.pictures_left(results, pairs):
        began = time.perf_counter()
        outputs = network_outputs(model, read_image(low_path), read_image(high_path), settings)
        seconds, pixels = seconds + time.perf_counter() - began, pixels + low[..., 0].size
        lines = measure_networks(results, item, outputs, low, high, parameters)
        for method, picture in simple_outputs(low, curve).items() if settings.baselines else ():
            lines |= evaluation.measure_output(results, item, method, picture, low, high, parameters)
        classes = classes_of(name if pairs.is_lol else None, lines["gt_free"][0])
        results.add(item, lines, high_path.relative_to(pairs.root).as_posix(), classes)
    rate = round(1e6 * seconds / pixels, 3) if pixels else None
    content = run.finish_test(results, weights, pairs.items, inputs=pairs.inputs(),
                              seconds_per_megapixel=rate)
    run.say(f"levels are written by {'rounding' if settings.output == 'round' else 'truncation'} (test.output)")
    evaluation.show(run, content, results)
    return results.expect_no_failures()


def rows_of(settings, curve, restores):
    """The rows of metrics.json: the protocols, fixed ratios and no restoration, then methods without a network."""
    rows = list(PROTOCOLS)
    if settings.baselines:
        rows += [f"ratio_{ratio}/gt_free" for ratio in FIXED]
        rows += ["unrestored/gt_ratio", "unrestored/gt_free"] if restores else []
        simple = ["identity", "gamma", *(["tone_curve"] if curve is not None else [])]
        rows += [f"{method}/{protocol}" for method in simple for protocol in ("gt_free", "gt_mean")]
    return rows


def network_outputs(model, low, high, settings):
    """{row: (8-bit picture, light ratio)} of everything that KinD answers to one pair."""
    maps = enhance.decompose(model, low, settings.tile, settings.hot_pixels)
    true = enhance.true_ratio(maps, enhance.decompose(model, high, settings.tile, settings.hot_pixels))
    restored = enhance.restore(model, maps, settings.tile)
    guessed, share = enhance.choose_ratio(model, maps, restored, settings), enhance.share_of(model, low[None], settings)
    wanted = {"gt_ratio": (restored, true, 1.0), "gt_free": (restored, guessed, share)}
    if settings.baselines:
        wanted |= {f"ratio_{ratio}/gt_free": (restored, ratio, 1.0) for ratio in FIXED}
        wanted |= {"unrestored/gt_ratio": (maps.reflectance, true, 1.0),
                   "unrestored/gt_free": (maps.reflectance, guessed, share)}
    outputs = {}
    for row, (reflectance, ratio, part) in wanted.items():
        picture = reflectance * enhance.adjust(model, maps, ratio, settings.tile)
        picture = torch.lerp(low[None], enhance.fuse(picture, maps) if settings.fusion else picture, part)
        outputs[row] = quantise(picture, settings.output), ratio
    return outputs


def measure_networks(results, item, outputs, low, high, parameters):
    """{row: (metrics, image path)} of the network's rows; gt_mean stands on gt_free. Pictures of the three protocols
    are written."""
    lines = {}
    for row, (picture, ratio) in outputs.items():
        scores = metrics.fidelity(picture, high) | no_reference(picture, low, parameters)
        lines[row] = scores | {"light_ratio": ratio}, picture
    free, ratio = outputs["gt_free"]
    scaled = metrics.gt_mean(free, high)
    lines["gt_mean"] = metrics.fidelity(scaled, high) | {"light_ratio": ratio}, scaled
    lines["gt_free"][0].update(of_input(low))
    for row, (values, picture) in lines.items():
        path = results.image_path(item, row) if row in PROTOCOLS else None
        if path:
            write_image(path, to_tensor(picture))
        lines[row] = values, path
    return lines


def simple_outputs(low, curve):
    """The 8-bit outputs of the methods without a network."""
    outputs = {"identity": baselines.identity(low), "gamma": baselines.gamma(low)}
    return outputs | ({"tone_curve": baselines.tone_curve(low, curve)} if curve is not None else {})


def without_references(run, model, weights):
    """eval15 without its bright half: the pictures are enhanced, only gt_free exists, and nothing can be compared."""
    folder = Path(run.config.test.root or run.config.data.root) / "eval15" / "low"
    run.say(f"no bright pictures beside {folder}: they are enhanced by the guessed ratio (gt_free); PSNR and SSIM need "
            "eval15/high")
    run.options.input = [str(folder)]
    return own(run, model, weights)


def answer_elsewhere(run, model, rgb):
    """(answer, {"light_ratio": ...}) to a picture of another data set."""
    output, ratio = enhance.enhance(model, rgb, run.config.test)
    return output, {"light_ratio": ratio}


# ---- one's own pictures and videos -----------------------------------------------------------------------------------

def own(run, model, weights):
    """Brighten --input: pictures, folders of them (with a contact sheet), videos."""
    settings = run.config.test
    pictures, films = evaluation.settle_own(run)
    if isinstance(settings.ratio, str) and "," in settings.ratio:
        return strip.draw_strips(run, model, pictures, films)
    for path, target in films:
        brighten_video(run, own_video.answer_frames(model, settings), path, target)
    if not pictures:
        return None
    results = evaluation.enhance_own(run, weights, lambda rgb: enhance.enhance_own(model, rgb, settings)[0], pictures)
    if any(Path(path).is_dir() for path in run.options.input):
        unpaired.contact_sheet(run, results, {item: path for path, item, _ in pictures},
                               {item: target for _, item, target in pictures})
    return results.expect_no_failures()


if __name__ == "__main__":
    sys.exit(start(main))
