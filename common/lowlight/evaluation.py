"""What every low-light case measures and writes: fidelity under named protocols, classes of inputs, own pictures.

8-bit pictures are RGB arrays (h, w, 3). Protocols: gt_free uses nothing of the reference; gt_mean scales the output to
its mean gray.
"""
from bisect import bisect
from pathlib import Path
from typing import NamedTuple

import torch

from common import metrics
from common.data.formats import is_film
from common.data.images import open_picture, picture_files, read_pixels, to_bytes, to_tensor, write_image
from common.data.lol import shares_scene_with_evaluation
from common.experiment import own
from common.lowlight import protect
from common.metrics.niqe import describe_parameters

FIDELITY = ["psnr", "ssim", "ssim_gray"]
NO_REFERENCE = ["entropy", "noise_sigma", "sharpness", "loe"]  # niqe follows where it can be had
INPUT = ["input_light", "input_noise"]  # mean gray level and noise of the dark picture
CLASSINGS = ["light", "noise", "scene"]
LIGHT = ["a: under 10", "b: 10 to 18", "c: over 18"]                                   # mean gray levels
NOISE = ["a: under 1.45", "b: 1.45 to 1.6", "c: over 1.6"]                             # levels
EQUAL = 60.0                            # dB: as good as equal, in validations


# ---- numbers ---------------------------------------------------------------------------------------------------------

def niqe_parameters(run):
    """The pristine model that test.niqe names; None, said in a line, where it names none."""
    if run.config.test.niqe:
        parameters = metrics.load_parameters(run.config.test.niqe)
        run.say(describe_parameters(run.config.test.niqe))
        return parameters
    run.say("NIQE is left out: test.niqe=FILE names its standard parameters (see the README)")
    return None


def no_reference(picture, low, parameters):
    """What can be said of an 8-bit output without a target."""
    values = {"entropy": metrics.entropy(picture), "noise_sigma": metrics.noise_sigma(picture),
              "sharpness": metrics.sharpness(picture), "loe": metrics.loe(low, picture)}
    return values | ({"niqe": metrics.niqe(picture, parameters)} if parameters else {})


def of_input(low):
    """What is measured on the dark picture itself."""
    return {"input_light": float(metrics.gray8(low).mean()), "input_noise": metrics.noise_sigma(low)}


def classes_of(name, values):
    """The classes of an input: by its mean level, its noise, and, for a picture of LOL, whether our485 shows its
    scene."""
    scene = ""
    if name:
        scene = "seen in training" if shares_scene_with_evaluation(name) else "new"
    return {"light": LIGHT[bisect([10, 18], values["input_light"])],
            "noise": NOISE[bisect([1.45, 1.6], values["input_noise"])], "scene": scene}


def pictures_left(results, pairs):
    """(name, item, (low path, high path), low, high) of the pictures that are not tested yet, 8-bit; an unreadable one
    is a failed item."""
    def read(place):
        return [read_pixels(path) for path in pairs.paths(place)]
    for place, item, (low, high) in results.remaining(pairs.items, read):
        yield pairs.names[place], item, pairs.paths(place), low, high


def row_name(method, protocol):
    """`gt_free` for the network, `gamma/gt_free` for another method."""
    return protocol if method == "network" else f"{method}/{protocol}"


def measure_output(results, item, method, picture, low, high, parameters):
    """{row: (metrics, image path)} of one output under gt_free and gt_mean. The network's pictures are written."""
    scaled = metrics.gt_mean(picture, high)
    free = metrics.fidelity(picture, high) | no_reference(picture, low, parameters)
    if method == "network":
        free |= of_input(low)
    lines = {}
    for protocol, values, result in (("gt_free", free, picture), ("gt_mean", metrics.fidelity(scaled, high), scaled)):
        path = results.image_path(item, protocol) if method == "network" else None
        if path:
            write_image(path, to_tensor(result))
        lines[row_name(method, protocol)] = values, path
    return lines


def ssim_psnr(output, target):
    """(SSIM, PSNR) of the 8-bit picture of an output, beside a target; both (1, 3, h, w) in [0, 1]. PSNR is at most
    EQUAL, which the mean over pictures needs: a bright one that is left as it was has no difference at all."""
    written = to_tensor(to_bytes(output[0].float()))[None]
    return metrics.ssim(written, target.cpu()).item(), min(EQUAL, metrics.psnr(written, target.cpu()).item())


def mean_scores(names, scores):
    """{name: mean} of rows of scores."""
    return dict(zip(names, torch.tensor(scores, dtype=torch.float64).mean(dim=0).tolist()))


# ---- the end of a test -----------------------------------------------------------------------------------------------

def show(run, content, results, beside=("identity", "gamma", "tone_curve")):
    """The table in the terminal, the verdict over the simple methods, and where to look."""
    run.say(results.table(content, FIDELITY))
    beaten = [name for name in beside if f"{name}/gt_free" in content]
    lost = [name for name in beaten if content["gt_free"]["psnr"] <= content[f"{name}/gt_free"]["psnr"]]
    if beaten:
        run.say("gt_free PSNR: the network "
                f"{'does NOT beat ' + ', '.join(lost) if lost else 'beats ' + ', '.join(beaten)}")
    run.say(f"results: {results.final}")


# ---- one's own pictures ----------------------------------------------------------------------------------------------

class Own(NamedTuple):
    """A picture of --input: its file, its name in results/, and where its answer goes (None: into results/)."""
    path: Path
    item: str
    target: Path | None


def settle_own(run):
    """([Own] of the pictures of --input, [(video, target)] of the videos), checked before any work."""
    inputs = list(map(Path, run.options.input))
    films = [path for path in inputs if is_film(path)]
    paths, items = picture_files(path for path in inputs if path not in films)
    targets = run.settle([*map(own.picture, paths), *(own.film(path, run.folder / "video") for path in films)])
    pictures = [Own(*each) for each in zip(paths, items, targets, strict=False)]
    return pictures, list(zip(films, targets[len(paths):], strict=True))


def enhance_own(run, weights, enhance, pictures):
    """Brighten one's own pictures, settle_own()'s; they are written where these say. Returns the TestResults.

    enhance: (3, h, w) in [0, 1] to the same; with test.protect=auto what is bright already stays (protect.py).
    """
    paths, items, targets = zip(*pictures, strict=True)
    parameters = niqe_parameters(run)
    results = run.own_results(weights, paths, rows=["identity", "network"],
                              metrics=NO_REFERENCE + (["niqe"] if parameters else []) + INPUT)

    words = {}

    def brighten(place):
        """(dark picture, bright picture), 8-bit, of one file; the bright one is written."""
        picture = open_picture(paths[place])
        bright = enhance(picture.rgb)
        if run.config.test.protect == "auto":
            bright = protect.keep_bright(picture.rgb, bright)
        write_image(targets[place] or results.image_path(items[place], "network"), bright, like=picture)
        low, bright = to_bytes(picture.rgb), to_bytes(bright)
        words[paths[place]] = protect.said(low.mean(), bright.mean())
        return low, bright
    for _, item, (low, bright) in results.remaining(items, brighten, "brightening", again=bool(run.options.output)):
        kept = None if run.options.output else results.image_path(item, "network")
        values = no_reference(bright, low, parameters)
        before = no_reference(low, low, parameters) | of_input(low)
        results.add(item, {"identity": (before, None), "network": (values, kept)})
    run.finish_test(results, weights, items, inputs=dict(zip(items, map(str, paths))))
    run.say("\n".join(f"{path}: {done}" for path, done in words.items()))
    numbers = f"; numbers: {results.final / 'items.csv'}" if run.keeps else ""
    run.say(f"{len(items) - len(results.failures())} picture(s) done: "
            f"{run.options.output or results.final / 'images' / 'network'}{numbers}")
    return results
