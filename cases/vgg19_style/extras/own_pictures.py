"""One's own pictures and videos (--input): painted by optimisation, or in one pass by the network; written to --output,
else below results/.

Transparent pictures are put on white, and come out opaque; a 16-bit picture comes out in 16 bits where the format can.
"""
from pathlib import Path
from typing import NamedTuple

import torch

from cases.vgg19_style.data import Work, fit_size, join_stems, largest_size, read_on_white, resize, works
from cases.vgg19_style.evaluate import METRICS, PICTURE, PIXELS, judges, measure, measure_pixels
from cases.vgg19_style.fast import train
from cases.vgg19_style.fast.video import paint_video, stylise_video
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.base.progress import watch
from common.data.formats import is_film
from common.data.images import open_picture, picture_files, picture_size, to_bytes, to_tensor, write_image
from common.experiment import checkpoints, own
from common.experiment.settings import Settings


class Task(NamedTuple):
    """One picture to make. item: its name in results; path: the input; work: content and styles; label: of the style,
    for the name of the result; empty where there is one style."""
    item: str
    path: Path
    work: Work
    label: str


def optimise(run):
    """Every picture and video of --input in every style of data.style, by optimisation."""
    cfg = run.config
    trunk, loss = feature_network(cfg, run.device)
    run.say(f"network {trunk.name}: style {', '.join(loss.style_taps)}; content {', '.join(loss.content_taps)}")

    def paint(task):
        painter = Painter(cfg, trunk, loss, task.work,
                          *prepare(cfg, run.device, largest_size([task.work], cfg.data.size)))
        for step in watch(range(1, cfg.train.steps + 1), task.item):
            painter.step(step)
        return painter.result()[0].cpu()
    films = [Path(path) for path in run.options.input if is_film(path)]
    groups = [(film, group) for film in films for group in film_styles(cfg, film, trunk)]
    videos = [own.film(film, run.folder / "videos", film.stem + label) for film, (_, label) in groups]
    paths, items = picture_files(path for path in run.options.input if not is_film(path))
    tasks = []
    for path, item in zip(paths, items):
        group = works(Settings(cfg.data | {"content": str(path)}), trunk.name)
        for work in group:
            label = f"__{join_stems(work.styles)}" if len(group) > 1 else ""
            tasks.append(Task(item + label, path, work, label))
    targets = run.settle([*(picture_made(run, task) for task in tasks), *videos], materials(tasks))
    for (film, (work, _)), target in zip(groups, targets[len(tasks):], strict=True):
        optimise_video(run, trunk, loss, film, work, target)
    if not tasks:
        return None
    weights = checkpoints.Weights(Path(cfg.network.name), {}, {}, trunk.digest, f"the network {trunk.name}")
    return make(run, weights, tasks, targets[:len(tasks)], paint)


def film_styles(cfg, film, trunk):
    """[(Work, label of the style)] of a video; the content of the Work is never read."""
    group = works(Settings(cfg.data | {"content": str(film)}), trunk.name)
    return [(work, f"__{join_stems(work.styles)}" if len(group) > 1 else "") for work in group]


def optimise_video(run, trunk, loss, film, work, target):
    """Paint a video by optimisation: its first frame as a picture is; each other one from the frame before, carried
    along, in test.frame_steps steps at full size, with a term that holds on to it (test.temporal)."""
    cfg = run.config
    short = Settings(cfg | {"train": Settings(cfg.train | {"scales": 1, "steps": cfg.test.frame_steps})})

    def paint(frame, carried):
        settings, before = cfg, None
        if carried is not None:
            settings, before = short, [to_tensor(carried[0])[None], torch.from_numpy(carried[1]).permute(2, 0, 1)[None]]
        settings = Settings(settings | {"data": Settings(cfg.data | {"size": max(frame.shape[:2])})})
        painter = Painter(settings, trunk, loss, work, *prepare(settings, run.device, frame.shape[:2]),
                          content8=frame, before=before and [each.to(run.device) for each in before])
        for step in range(1, settings.train.steps + 1):
            painter.step(step)
        return painter.result()[0].cpu()
    return paint_video(run, film, target, paint, cfg.test.kept)


def picture_made(run, task):
    """What run.settle() asks of a picture: its name and size."""
    size = picture_size(task.path)
    return own.picture(task.path, task.path.stem + task.label, size and fit_size(size, run.config.data.size))


def materials(tasks):
    """Every file that the tasks read: contents, styles, masks; each once."""
    works_of = [task.work for task in tasks]
    files = [path for work in works_of for path in (work.content, *work.styles, *work.masks)]
    return list(dict.fromkeys(files))


def in_one_pass(run, network, weights):
    """Every picture and video of --input in the network's styles (test.style, or --style NAME)."""
    styles = train.choose_styles(network, choose_style(run, network))
    labels = {label: f"__{label}" if len(styles) > 1 else "" for label in styles}
    films = [(Path(path), label) for path in run.options.input if is_film(path) for label in styles]
    paths, items = picture_files(path for path in run.options.input if not is_film(path))
    tasks = [Task(item + labels[label], path, Work(label, path, [], [], []), labels[label])
             for path, item in zip(paths, items) for label in styles]
    videos = [own.film(path, run.folder / "videos", path.stem + labels[label]) for path, label in films]
    targets = run.settle([*(picture_made(run, task) for task in tasks), *videos])
    for (path, label), target in zip(films, targets[len(tasks):], strict=True):
        said = stylise_video(run, network, path, target, styles[label], run.config.test.kept)
        run.say(f"{target}: {said['frames']} frames, flicker {said['flicker']:.2f} levels (input "
                f"{said['flicker_input']:.2f})")
    if not tasks:
        return None

    def paint(task):
        content8 = read_on_white(task.path)
        content = resize(content8, fit_size(content8.shape, run.config.data.size))[0]
        return train.stylise(network, content.to(run.device), styles[task.work.name])
    return make(run, weights, tasks, targets[:len(tasks)], paint)


def choose_style(run, network):
    """test.style, or what --style says: a picture's name stands for the network's style of that name; all: each."""
    typed = run.resolved.typed.get("data.style")
    if typed and Path(typed).stem == "all":
        return None
    return Path(typed).stem if typed and not run.config.test.style else run.config.test.style


def make(run, weights, tasks, targets, paint):
    """Paint all tasks, write the pictures, and judge those whose style pictures are known. Raises Negative at the end
    for what failed.

    targets: where each picture goes; None: into results/.
    """
    all_judges = judges(run) if tasks[0].work.styles else []
    rows = [*(judge.name for judge in all_judges), PICTURE] if all_judges else ["network"]
    results = run.own_results(weights, materials(tasks), rows=rows, metrics=[*METRICS, *PIXELS])
    items = [task.item for task in tasks]

    def paint_and_judge(place):
        """{row: metrics} of one picture, which is written."""
        task = tasks[place]
        picture, source = paint(task), open_picture(task.path)
        target = targets[place] or results.image_path(task.item, rows[0])
        write_image(target, picture, like=source._replace(alpha=None, gray=False))
        written = resize(to_bytes(picture), picture.shape[1:])
        if not all_judges:
            return {rows[0]: {}}
        return measure(all_judges, task.work, written) | {PICTURE: measure_pixels(task.work, written)}
    for place, item, lines in results.remaining(items, paint_and_judge, "painting", again=bool(run.options.output)):
        kept = None if targets[place] else results.image_path(item, rows[0])
        results.add(item, {row: (values, kept if row == rows[0] else None) for row, values in lines.items()})
    run.finish_test(results, weights, items, inputs={task.item: str(task.path) for task in tasks})
    run.say(f"{len(tasks) - len(results.failures())} picture(s) painted: "
            f"{run.options.output or results.final / 'images' / rows[0]}")
    return results.expect_no_failures()
