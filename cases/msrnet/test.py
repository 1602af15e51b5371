"""Measure MSR-net on LOL, or brighten your own pictures: python cases/msrnet/test.py [options] [key=value ...]

LOL's 15 evaluation pictures      python cases/msrnet/test.py --name check --weights release
your own pictures                 python cases/msrnet/test.py --weights release-denoise --input photo.jpg folder/ --output brighter/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])      # the repository instead of this folder, whose test.py would hide Python's

import time

import numpy as np
import torch

from cases.msrnet import floors
from cases.msrnet.data import evaluation_set, tone_curve_pairs
from cases.msrnet.model import MSRNet, thumbnail_of
from common import metrics
from common.datasets import picture_files
from common.errors import Negative, UserError, listed, start
from common.images import open_picture, read_bytes, read_image, tiled, to_bytes, write_image
from common.lol import shares_scene_with_evaluation
from common.metrics import fidelity
from common.progress import watch
from common.run import Run

FULL = ["psnr", "ssim", "ssim_gray", "entropy", "noise_sigma", "sharpness", "loe"]       # columns of items.csv; niqe where it can be had
INPUT = ["input_light", "input_noise"]                                                  # mean gray level and noise of the dark picture


def main(argv=None):
    run = Run("msrnet", "test", argv)
    weights = run.weights()
    model = run.load(MSRNet, weights)
    if run.options.input:
        return enhance_own(run, model, weights)
    return benchmark(run, model, weights)


@torch.inference_mode()
def enhance(model, rgb, run):
    """The network's answer to one picture: (3, h, w) in [0, 1] in and out, computed in tiles where it is large, not rounded yet."""
    settings, image = run.config.test, rgb[None]
    thumbnail = thumbnail_of(image).to(run.device)

    def brighten(crop, box=None):
        return model(crop.to(run.device, memory_format=torch.channels_last), thumbnail).to("cpu")

    output = tiled(brighten, image, settings.tile, model.halo) if max(rgb.shape[1:]) > settings.tile else brighten(image)
    if settings.strength != 1:
        output = image + settings.strength * (output - image)
    return output[0].clamp_(0, 1)


# ---- pictures with a target ---------------------------------------------------------------------------------------------------------

def benchmark(run, model, weights):
    """Every picture of the test set under both protocols, the network beside the floors; results/msrnet/<run>/test/<set>/."""
    settings, pairs = run.config.test, evaluation_set(run.config)
    curve = fit_curve(run, pairs) if settings.floors else None
    parameters = niqe_parameters(run)
    methods = ["network", *(floor_names(curve) if settings.floors else [])]
    rows = [row_name(method, protocol) for method in methods for protocol in ("gt_free", "gt_mean")]
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=rows, classings=["light", "noise", "scene"],
                          metrics=FULL + (["niqe"] if parameters else []) + INPUT)
    seconds, pixels = 0.0, 0
    for index, name in enumerate(watch(pairs.names, f"testing on {pairs.set_name}")):
        item = Path(name).stem
        if results.has(item):
            continue
        low_path, high_path = pairs.paths(index)
        try:
            low, high = read_bytes(low_path), read_bytes(high_path)
        except UserError as problem:
            results.fail(item, problem)
            continue
        began = time.perf_counter()
        output = to_bytes(enhance(model, read_image(low_path), run))
        seconds, pixels = seconds + time.perf_counter() - began, pixels + low[..., 0].size
        outputs = {"network": output} | (floor_outputs(low, output, curve) if settings.floors else {})
        lines = {}
        for method, picture in outputs.items():
            lines |= judged(results, item, method, picture, low, high, parameters)
        classes = classes_of(name if pairs.is_lol else None, lines["gt_free"][0])
        results.add(item, lines, high_path.relative_to(pairs.root).as_posix(), classes)
    content = results.finish([Path(name).stem for name in pairs.names])
    run.record(f"test/{pairs.set_name}", paths=run.machine(), weights=str(weights.path), inputs=pairs.inputs(),
               seconds_per_megapixel=round(1e6 * seconds / pixels, 3) if pixels else None)
    show(run, content, results)
    return fails(results)


def niqe_parameters(run):
    """The pristine model that test.niqe names; None, said in a line, where it names none."""
    if run.config.test.niqe:
        return metrics.load_parameters(run.config.test.niqe)
    run.say("NIQE is left out: test.niqe=FILE names its standard parameters (see the README)")
    return None


def row_name(method, protocol):
    """`gt_free` for the network, `gamma/gt_free` for a floor."""
    return protocol if method == "network" else f"{method}/{protocol}"


def floor_names(curve):
    """The simple methods, then the cheap filters behind the network; those with the tone curve only where one could be fitted."""
    fitted = ["tone_curve", "tone_curve_bilateral"] if curve is not None else []
    return ["identity", "gamma", *fitted, "equalise", "msr", "network_gaussian", "network_bilateral", "network_nlm"]


def floor_outputs(low, output, curve):
    """The 8-bit outputs of all floors for one dark picture and the network's output."""
    outputs = {"identity": floors.identity(low), "gamma": floors.gamma(low), "equalise": floors.equalise(low), "msr": floors.msr(low)}
    if curve is not None:
        outputs["tone_curve"] = floors.tone_curve(low, curve)
        outputs["tone_curve_bilateral"] = floors.bilateral(outputs["tone_curve"])
    return outputs | {"network_gaussian": floors.gaussian(output), "network_bilateral": floors.bilateral(output),
                      "network_nlm": floors.non_local_means(output)}


def fit_curve(run, pairs):
    """The tone curve of the training pictures that are not tested on; None, said in a line, where there are none."""
    try:
        training = tone_curve_pairs(run.config, pairs)
    except UserError as problem:
        run.say(f"the tone curve is left out, for want of training pictures: {problem}")
        return None
    return floors.fit_tone_curve((read_bytes(low), read_bytes(high)) for low, high in watch(training, "fitting the tone curve"))


def judged(results, item, method, picture, low, high, parameters):
    """{row: (metrics, image path)} of one output under both protocols. The network's pictures are written."""
    scaled = metrics.gt_mean(picture, high)
    free = fidelity(picture, high) | no_reference(picture, low, parameters)
    if method == "network":
        free |= of_input(low)
    lines = {}
    for protocol, values, result in (("gt_free", free, picture), ("gt_mean", fidelity(scaled, high), scaled)):
        path = results.image_path(item, protocol) if method == "network" else None
        if path:
            write_image(path, tensor(result)[0])
        lines[row_name(method, protocol)] = values, path
    return lines


def tensor(rgb8):
    """An 8-bit picture as (1, 3, h, w) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb8)).permute(2, 0, 1)[None].float() / 255


def no_reference(picture, low, parameters):
    """What can be said of an 8-bit output without a target."""
    values = {"entropy": metrics.entropy(picture), "noise_sigma": metrics.noise_sigma(picture),
              "sharpness": metrics.sharpness(picture), "loe": metrics.loe(low, picture)}
    return values | ({"niqe": metrics.niqe(picture, parameters)} if parameters else {})


def of_input(low):
    """What is measured on the dark picture itself."""
    return {"input_light": float(metrics.gray8(low).mean()), "input_noise": metrics.noise_sigma(low)}


def classes_of(name, values):
    """The classes of an input: by its mean level, its noise, and, for a picture of LOL, whether our485 shows its scene."""
    light, noise = values["input_light"], values["input_noise"]
    scene = ("seen in training" if shares_scene_with_evaluation(name) else "new") if name else ""
    return {"light": "a: under 10" if light < 10 else "b: 10 to 18" if light < 18 else "c: over 18",
            "noise": "a: under 1.45" if noise < 1.45 else "b: 1.45 to 1.6" if noise < 1.6 else "c: over 1.6", "scene": scene}


def show(run, content, results):
    """The table in the terminal, the verdict over the floors, and where to look."""
    run.say(f"{'protocol or method':32s}   PSNR    SSIM  SSIM gray   ({content['gt_free']['count']} pictures of {results.set_name})")
    for row, values in content.items():
        psnr = "   inf" if values.get("psnr") is None else f"{values['psnr']:6.2f}"
        run.say(f"{row:32s} {psnr}  {values.get('ssim') or 0:6.4f}  {values.get('ssim_gray') or 0:6.4f}")
    beaten = [name for name in ("identity", "gamma", "tone_curve") if f"{name}/gt_free" in content]
    lost = [name for name in beaten if content["gt_free"]["psnr"] <= content[f"{name}/gt_free"]["psnr"]]
    if beaten:
        run.say(f"gt_free PSNR: the network {'does NOT beat ' + ', '.join(lost) if lost else 'beats ' + ', '.join(beaten)}")
    run.say(f"results: {results.final}")


def fails(results):
    """Raise Negative when items failed, so that the exit status says it."""
    failures = results.failures()
    if failures:
        raise Negative(f"{len(failures)} picture(s) failed, the rest is done: {listed(f'{item}: {reason}' for item, reason in failures)}")


# ---- one's own pictures -------------------------------------------------------------------------------------------------------------

def enhance_own(run, model, weights):
    """Brighten the pictures of --input; they are written to --output, else beside the numbers in results/."""
    paths, items = picture_files(run.options.input)
    parameters = niqe_parameters(run)
    results = run.own_results(weights, paths, rows=["identity", "network"],
                              metrics=FULL[3:] + (["niqe"] if parameters else []) + INPUT)
    for path, item in zip(watch(paths, "brightening"), items):
        if results.has(item) and not run.options.output:
            continue
        try:
            picture = open_picture(path)
            low = to_bytes(picture.rgb)
            bright = enhance(model, picture.rgb, run)
            kept = results.image_path(item, "network")
            write_image(run.output_path(path, item) or kept, bright, like=picture)
        except UserError as problem:
            results.fail(item, problem)
            continue
        values = no_reference(to_bytes(bright), low, parameters)
        before = no_reference(low, low, parameters) | of_input(low)
        results.add(item, {"identity": (before, None), "network": (values, None if run.options.output else kept)})
    results.finish(items)
    run.record(f"test/{results.set_name}", paths=run.machine(), weights=str(weights.path), inputs=dict(zip(items, map(str, paths))))
    run.say(f"{len(items) - len(results.failures())} picture(s) brightened: {run.options.output or results.final / 'images' / 'network'}; "
            f"numbers: {results.final / 'items.csv'}")
    return fails(results)


if __name__ == "__main__":
    sys.exit(start(main))
