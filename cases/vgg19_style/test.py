"""Judge painted pictures by numbers, or paint your own: python cases/vgg19_style/test.py [options] [key=value ...]

what train.py painted
    python cases/vgg19_style/test.py --name check
the network of many styles
    python cases/vgg19_style/test.py stage=fast
your own picture
    python cases/vgg19_style/test.py --input photo.jpg --style painting.jpg --output out.png
... in one pass, or a video
    python cases/vgg19_style/test.py stage=fast --style starry_night --input photo.jpg film.mp4 --output painted/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import os
import time

import torch

from cases.vgg19_style.data import Work, fit_size, pictures_at, read_on_white, resize, works
from cases.vgg19_style.evaluate import METRICS, PICTURE, PIXELS, judges, measure, measure_pixels, show
from cases.vgg19_style.extras import own_pictures
from cases.vgg19_style.fast import graph, train
from common.base import paths
from common.base.errors import UserError, join_some, start
from common.data.images import to_bytes, write_image
from common.data.paired import by_stem
from common.experiment import checkpoints
from common.experiment.run import Run

SHORTHANDS = {"--style": ("data.style", "the style: a picture or a folder of pictures; with stage=fast also the name "
                                        "of one of the network's styles")}


def main(argv=None):
    run = Run("vgg19_style", "test", argv, SHORTHANDS)
    if run.config.stage == "fast" or paints(run):
        network, weights = train.load(run)
        network = graph.equip(run, network)
        return (own_pictures.in_one_pass(run, network, weights) if run.options.input
                else judge_network(run, network, weights))
    if run.config.test.engine == "onnx":
        raise UserError(f"test.engine=onnx with stage={run.config.stage}: a network that paints in one pass was "
                        "expected (stage=fast): an optimisation needs torch's gradients: leave test.engine out")
    if run.config.stage == "distill":
        raise UserError("nothing to test with stage=distill: stage=optimise or stage=fast was expected: "
                        "tests/test_vgg19_style_small.py measures the network `small`; to paint with it: network=small")
    if run.options.input:
        return own_pictures.optimise(run)
    return judge_pictures(run, run.weights())


def paints(run):
    """Whether --weights names a network that paints in one pass, so that stage=fast need not be said."""
    wanted = run.options.weights
    if not wanted or not (paths.CHECKPOINTS / run.case / f"{wanted}.pt").is_file():
        return False
    return "styles" in checkpoints.find(run.case, run.name, wanted).model


# ---- content x style -------------------------------------------------------------------------------------------------

def judge_pictures(run, weights):
    """The pictures that train.py painted, which its checkpoint holds, by every judge;
    results/vgg19_style/<run>/test/<set>/."""
    cfg = run.config
    painted = {name.removeprefix("done."): picture for name, picture in weights.state.items()
               if name.startswith("done.")}
    all_judges = judges(run)
    found = [work for work in works(cfg.data, all_judges[0].name) if work.name in painted]
    if not found:
        raise UserError(f"no picture of these contents and styles by {all_judges[0].name} in {weights.path} "
                        f"({join_some(painted) or 'none at all'}): the words that train.py was given were expected: "
                        "give the same data.content, data.style and network, or stage=fast")
    return finish(run, weights, all_judges, found, lambda work: painted[work.name])


def judge_network(run, network, weights):
    """Every content, painted in one pass in every style of the network that has a picture of its name in data.style, by
    every judge."""
    cfg = run.config
    styles = train.choose_styles(network, cfg.test.style)
    files = by_stem(map(Path, cfg.data.styles) if cfg.data.styles else pictures_at(cfg.data.style, "data.style"))
    contents = by_stem(pictures_at(cfg.data.content, "data.content"))
    found = [Work(f"{name}__{style}__fast", content, [files[style]], [1.0], [])
             for name, content in contents.items() for style in styles if style in files]
    if not found:
        raise UserError(f"none of the network's styles ({join_some(styles)}) has a picture to be compared with: "
                        f"{cfg.data.style}: a file of such a name was expected: set data.style, or use --input to "
                        "paint without judging")

    def paint(work):
        content8 = read_on_white(work.content)
        content = resize(content8, fit_size(content8.shape, cfg.data.size))[0]
        picture = train.stylise(network, content.to(run.device), styles[work.styles[0].stem])
        return torch.from_numpy(to_bytes(picture.cpu())).permute(2, 0, 1)
    return finish(run, weights, judges(run), found, paint)


def finish(run, weights, all_judges, found, paint):
    """Judge all works, write the results, print the table. paint: from a work to its picture, uint8 (3, H, W)."""
    set_name = Path(run.config.data.content).stem
    sizes = [[work.name, *map(os.path.getsize, [work.content, *work.styles])] for work in found]
    results = run.results(set_name, weights, [sizes, [judge.digest for judge in all_judges]],
                          rows=[*(judge.name for judge in all_judges), PICTURE], metrics=[*METRICS, *PIXELS],
                          classings=["style", "content"])
    names, seconds, first = [work.name for work in found], {}, all_judges[0].name

    def judge(place):
        """(picture, {judge: metrics}) of one work."""
        began = time.perf_counter()
        picture = paint(found[place])[None].float() / 255
        seconds[names[place]] = round(time.perf_counter() - began, 3)
        return picture, measure(all_judges, found[place], picture) | {PICTURE: measure_pixels(found[place], picture)}
    for place, _, (picture, lines) in results.remaining(names, judge, "judging"):
        work = found[place]
        path = results.image_path(work.name, first)                      # once: all rows judge the same picture
        write_image(path, picture[0])
        results.add(work.name, {row: (values, path if row == first else None) for row, values in lines.items()},
                    classes={"style": "+".join(style.stem for style in work.styles), "content": work.content.stem})
    more = {"seconds_per_picture": seconds} if run.config.stage == "fast" else {}
    content = run.finish_test(results, weights, names, inputs={work.name: str(work.content) for work in found}, **more)
    show(run, content, results)
    return results.expect_no_failures("picture")


if __name__ == "__main__":
    sys.exit(start(main))
