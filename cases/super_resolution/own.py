"""One's own pictures and videos, s times larger."""
from pathlib import Path

from cases.super_resolution import baselines
from cases.super_resolution.enlarge import enlarge, enlarge_alpha
from common.data.formats import is_film
from common.data.images import by, open_picture, picture_files, picture_size, to_bytes, to_tensor, write_image
from common.data.video import convert, open_film
from common.experiment import own
from common.metrics import niqe, noise_sigma, sharpness

METRICS = ["noise_sigma", "sharpness"]
MEASURED = 16_000_000                                         # pixels up to which they are measured: memory


def enlarge_own(run, model, weights, parameters):
    """Every picture and video of --input, s times larger, where --output says, else in results/. Videos frame by frame,
    without their sound. Numbers beside the pictures: the network's answer and the bicubic one."""
    scale, inputs = run.config.test.scale, list(map(Path, run.options.input))
    films = [path for path in inputs if is_film(path)]
    paths, items = picture_files(path for path in inputs if path not in films)
    targets = run.settle([*(own.picture(path, size=larger(picture_size(path), scale)) for path in paths),
                          *(own.film(path, run.folder / "video") for path in films)])
    for path, target in zip(films, targets[len(paths):], strict=True):
        enlarge_film(run, model, path, target)
    if paths:
        enlarge_pictures(run, model, weights, parameters, list(zip(paths, items, targets)))


def larger(size, scale):
    return size and tuple(scale * side for side in size)


def enlarge_film(run, model, path, target):
    """Every frame by itself: the network has no memory, and a still camera's noise will move."""
    scale = run.config.test.scale

    def change(frame):
        return to_bytes(enlarge(model, to_tensor(frame), scale, run.config.test.tile, run.device))
    levels = convert(path, target, change, f"enlarging {path.name}", scale)
    size = larger(open_film(path).size[::-1], scale)
    run.say(f"{path}: {len(levels)} frames of {by(size)}; no sound; {target}")


def enlarge_pictures(run, model, weights, parameters, pictures):
    """[(file, item, target)], each written in its own kind; what it is beside the bicubic picture into items.csv."""
    scale, ensemble = run.config.test.scale, run.config.test.ensemble == "on"
    paths, items, targets = zip(*pictures)
    results = run.own_results(weights, paths, rows=["bicubic", "network"],
                              metrics=METRICS + ["niqe"] * bool(parameters))

    def enlarge_one(place):
        """(picture, answer), 8-bit, of one file; the answer is written, with the file's transparency made larger."""
        picture = open_picture(paths[place])
        answer = enlarge(model, picture.rgb, scale, run.config.test.tile, run.device, ensemble)
        write_image(targets[place] or results.image_path(items[place], "network"), answer,
                    like=enlarge_alpha(picture, scale))
        return to_bytes(picture.rgb), to_bytes(answer)
    for _, item, (low, answer) in results.remaining(items, enlarge_one, "enlarging", again=bool(run.options.output)):
        kept = None if run.options.output else results.image_path(item, "network")
        results.add(item, {"bicubic": (look_at(baselines.enlarge(low, scale), parameters), None),
                           "network": (look_at(answer, parameters), kept)})
    run.finish_test(results, weights, items, inputs=dict(zip(items, map(str, paths))))
    numbers = f"; numbers: {results.final / 'items.csv'}" if run.keeps else ""
    run.say(f"{len(items) - len(results.failures())} picture(s) done, {scale} times larger: "
            f"{run.options.output or results.final / 'images' / 'network'}{numbers}")
    results.expect_no_failures()


def look_at(picture, parameters):
    """What can be said of an 8-bit picture without a reference; nothing of a very large one."""
    if picture[..., 0].size > MEASURED:
        return {}
    values = {"noise_sigma": noise_sigma(picture), "sharpness": sharpness(picture)}
    return values | ({"niqe": niqe(picture, parameters)} if parameters else {})
