"""Measure MSR-net on LOL, or brighten your own pictures: python cases/msrnet/test.py [options] [key=value ...]

LOL's 15 evaluation pictures
    python cases/msrnet/test.py --name check --weights release
your own pictures
    python cases/msrnet/test.py --weights release-denoise --input photo.jpg folder/ --output brighter/
a video
    python cases/msrnet/test.py --weights release-denoise --input night.mp4 --output bright.mp4
pictures of other data sets
    python cases/msrnet/test.py --weights release-denoise test.set=cross-dataset test.unpaired=FOLDER
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import time

from cases.msrnet import baselines
from cases.msrnet.enhance import answer_frames, enhance, equip
from cases.msrnet.model import MSRNet
from common.base.errors import start
from common.data.images import read_image, to_bytes
from common.experiment.run import Run
from common.lowlight import evaluation, unpaired
from common.lowlight.baselines import curve_of_training, gamma, identity, tone_curve
from common.lowlight.evaluation import (
    CLASSINGS,
    FIDELITY,
    INPUT,
    NO_REFERENCE,
    classes_of,
    measure_output,
    niqe_parameters,
    row_name,
)
from common.lowlight.splits import evaluation_set
from common.lowlight.steady import brighten_video


def main(argv=None):
    run = Run("msrnet", "test", argv)
    weights = run.weights()
    model = equip(run, run.load(MSRNet, weights))
    if run.options.input:
        return own(run, model, weights)
    if run.config.test.set == "cross-dataset":
        return unpaired.cross_dataset(run, weights, lambda rgb: (enhance(run, model, rgb), {}))
    return benchmark(run, model, weights)


def own(run, model, weights):
    """Brighten the pictures and videos of --input; videos frame by frame, without their sound."""
    pictures, films = evaluation.settle_own(run)
    for path, target in films:
        brighten_video(run, answer_frames(run, model), path, target)
    if not pictures:
        return None
    return evaluation.enhance_own(run, weights, lambda rgb: enhance(run, model, rgb), pictures).expect_no_failures()


# ---- pictures with a target ------------------------------------------------------------------------------------------

def benchmark(run, model, weights):
    """Every picture of the test set under both protocols, the network beside the baselines;
    results/msrnet/<run>/test/<set>/."""
    settings, pairs = run.config.test, evaluation_set(run.config)
    curve = curve_of_training(run, pairs) if settings.baselines else None
    parameters = niqe_parameters(run)
    methods = ["network", *(baseline_names(curve) if settings.baselines else [])]
    rows = [row_name(method, protocol) for method in methods for protocol in ("gt_free", "gt_mean")]
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=rows, classings=CLASSINGS,
                          metrics=FIDELITY + NO_REFERENCE + (["niqe"] if parameters else []) + INPUT)
    seconds, pixels = 0.0, 0
    for name, item, (low_path, high_path), low, high in evaluation.pictures_left(results, pairs):
        began = time.perf_counter()
        output = to_bytes(enhance(run, model, read_image(low_path)))
        seconds, pixels = seconds + time.perf_counter() - began, pixels + low[..., 0].size
        outputs = {"network": output} | (baseline_outputs(low, output, curve) if settings.baselines else {})
        lines = {}
        for method, picture in outputs.items():
            lines |= measure_output(results, item, method, picture, low, high, parameters)
        classes = classes_of(name if pairs.is_lol else None, lines["gt_free"][0])
        results.add(item, lines, high_path.relative_to(pairs.root).as_posix(), classes)
    rate = round(1e6 * seconds / pixels, 3) if pixels else None
    content = run.finish_test(results, weights, pairs.items, inputs=pairs.inputs(),
                              seconds_per_megapixel=rate)
    evaluation.show(run, content, results)
    return results.expect_no_failures()


def baseline_names(curve):
    """The simple methods, then the cheap filters behind the network; those with the tone curve only where one could be
    fitted."""
    fitted = ["tone_curve", "tone_curve_bilateral"] if curve is not None else []
    return ["identity", "gamma", *fitted, "equalise", "msr", "network_gaussian", "network_bilateral", "network_nlm"]


def baseline_outputs(low, output, curve):
    """The 8-bit outputs of all baselines for one dark picture and the network's output."""
    outputs = {"identity": identity(low), "gamma": gamma(low), "equalise": baselines.equalise(low),
               "msr": baselines.msr(low)}
    if curve is not None:
        outputs["tone_curve"] = tone_curve(low, curve)
        outputs["tone_curve_bilateral"] = baselines.bilateral(outputs["tone_curve"])
    return outputs | {"network_gaussian": baselines.gaussian(output), "network_bilateral": baselines.bilateral(output),
                      "network_nlm": baselines.non_local_means(output)}


if __name__ == "__main__":
    sys.exit(start(main))
