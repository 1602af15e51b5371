"""The figures of chapter B6 and of the results: python cases/vgg19_style/figures.py [options] [key=value ...]

Uses the pictures and the log of train.py, and the numbers of test.py where that has run under the same name; with
stage=fast the network that paints in one pass. Give it the words that train.py was given. Figures land in
results/vgg19_style/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import json

from cases.vgg19_style.data import join_stems, read_on_white, resize, works
from cases.vgg19_style.drawing import chapter
from cases.vgg19_style.drawing.captions import CAPTIONS, name_judge
from cases.vgg19_style.evaluate import Judge
from cases.vgg19_style.fast.figures import PANELS, draw_mixing, draw_network, files_of
from cases.vgg19_style.fast.figures import draw_grid as draw_passes
from cases.vgg19_style.fast.train import load
from cases.vgg19_style.model import STYLE_TAPS
from cases.vgg19_style.painter import own_taps
from common.base.errors import UserError, start
from common.data.images import read_pixels, to_bytes, to_tensor
from common.data.video import writing
from common.experiment import figures
from common.experiment.run import Run
from common.experiment.settings import Settings
from common.features import vgg, vgg_files

CONTENTS, STYLES, STRIPS = 5, 6, 3      # at most so many in a figure
FILM, HELD = 2, 3                       # frames per second of the epochs' film; frames for which its last picture stays
DISTILLED = [("distance to the teachers", STYLE_TAPS),
             ("agreement, held-out photographs", [f"val_{tap}" for tap in STYLE_TAPS])]


def main(argv=None):
    run = Run("vgg19_style", "figures", argv)
    cfg, folder = run.config, figures.FigureFolder(run.folder, CAPTIONS)
    source = vgg_files.read(cfg.network.name, cfg.network.tag, cfg.network.padding)
    chapter.draw_network(folder, Settings(cfg.loss | own_taps(vgg.tap_names(source), cfg.loss)))
    draw = {"optimise": draw_optimised, "fast": draw_one_pass, "distill": draw_distilled}[cfg.stage]
    folder.finish(draw(folder, run, source), keep=not run.complete)
    run.record("figures")
    run.say(f"figures: {folder.folder}")


def draw_optimised(folder, run, source):
    """All figures of painting by optimisation. Returns the digest of the pictures, or without any the network's."""
    cfg, device = run.config, run.device
    work = figures.if_there(run, lambda: chapter.example(cfg), "data.content", "data.style")
    weights, painted = pictures_of(run, source) if work is not None else (None, [])
    lines = figures.read_items(run, Path(cfg.data.content).stem)
    if work is not None:
        chapter.draw_layers(folder, cfg, source, work, device)
        chapter.draw_filters(folder, cfg, source, work)
    if painted:
        draw_grid(folder, source, painted, lines)
        draw_epochs(folder, run, source, painted)
    if work is not None:
        chapter.draw_networks(folder, cfg, chapter.choose_networks(cfg, source), work, device)
        chapter.draw_weights(folder, cfg, source, work, device)
        chapter.draw_sliders(folder, cfg, source, work, device)
    draw_curves(folder, run)
    draw_extremes(folder, run, lines)
    return weights.digest if weights else source.digest


def draw_one_pass(folder, run, source):
    """The figures of a network that paints in one pass. Returns its digest."""
    network, weights = load(run)
    lines = figures.read_items(run, Path(run.config.data.content).stem)
    draw_network(folder, network)
    draw_passes(folder, run, network, Judge(source, run.config.test.content_tap, run.device))
    draw_mixing(folder, run, network)
    figures.draw_training(folder, run, PANELS)
    draw_extremes(folder, run, lines)
    return weights.digest


def draw_distilled(folder, run, source):
    """The training of the network `small`, and its first filters."""
    figures.draw_training(folder, run, DISTILLED)
    return source.digest


# ---- what the run has painted ----------------------------------------------------------------------------------------

def pictures_of(run, source):
    """(Weights, [(Work, uint8 (h, w, 3))]) that train.py has painted under this name; (None, []), and said, without."""
    train = f"python cases/vgg19_style/train.py --name {run.name}{' --demo' if run.options.demo else ''}"
    there = run.options.weights or any((run.checkpoints / f"{name}.pt").is_file() for name in ("best", "last"))
    weights = run.weights() if there else None
    done = {name.removeprefix("done."): picture for name, picture in weights.state.items()
            if name.startswith("done.")} if there else {}
    painted = [(work, done[work.name].permute(1, 2, 0).numpy()) for work in works(run.config.data, source.name)
               if work.name in done]
    if not painted:
        run.say(f"no pictures of these contents and styles by {source.name} under the name {run.name}: the figures of "
                f"them are left out; for them, first: {train}, and then this command with the same words")
    return weights, painted


def share(line):
    """What is left of the style distance, a number; None where the line has none."""
    distance, untouched = line["style_distance"], line["style_distance_untouched"]
    return (float(distance) / float(untouched)
            if distance not in ("", "nan") and untouched not in ("", "nan", "0.000000") else None)


def percent(value):
    return "" if value is None else f"{100 * value:.0f} %"


def draw_grid(folder, source, painted, lines):
    """Contents down, styles across; what is left of the style distance under each where test.py has measured it."""
    contents = list(dict.fromkeys(work.content for work, _ in painted))[:CONTENTS]
    styles = list(dict.fromkeys(tuple(work.styles) for work, _ in painted))[:STYLES]
    pictures = {(work.content, tuple(work.styles)): (work.name, picture) for work, picture in painted}
    shares = {line["item"]: share(line) for line in lines if line["row"] == source.name}
    shape = read_on_white(contents[0]).shape
    grid, rows = [[None, *(chapter.middle(style[0], shape) for style in styles)]], []
    under = [["", *map(join_stems, styles)]]
    for content in contents:
        line = [pictures.get((content, style)) for style in styles]
        grid.append([read_on_white(content), *(each and each[1] for each in line)])
        under.append([content.stem, *(percent(shares.get(each[0])) if each else "" for each in line)])
        rows += [[name, *map(figures.format_number, [shares.get(name), *picture.mean(axis=(0, 1))])]
                 for name, picture in filter(None, line)]
    folder.save(figures.grid(grid, None, under), "styles_contents", ["picture", "style_left", "red", "green", "blue"],
                rows, network=source.name, **name_judge(source.name if shares else ""))


def draw_epochs(folder, run, source, painted):
    """Snapshots of a few pictures, with the style distance of each, and as a film; left out, and said, without any."""
    snapshots = {work.name: sorted((run.trained / "images" / "epochs" / work.name).glob("*.png"))
                 for work, _ in painted}
    kept = [(work, picture) for work, picture in painted if snapshots[work.name]][:STRIPS]
    if not kept:
        return run.say("no snapshots of epochs: the epochs strip is left out; for it, train with "
                       "train.snapshots=[1,2,3] (and --fresh)")
    judge = Judge(source, run.config.test.content_tap, run.device)
    grid, under, rows = [], [], []
    for work, picture in kept:
        style, last = read_on_white(work.styles[0]), ("result", picture.shape[1::-1], picture)
        early = [(f"epoch {int(path.stem)}", read_pixels(path)) for path in snapshots[work.name]]
        frames = [(name, frame.shape[1::-1], enlarge(frame, picture.shape[:2])) for name, frame in early] + [last]
        distances = [judge.style_distance(to_tensor(frame)[None], style)[0] for _, _, frame in frames]
        grid.append([read_on_white(work.content), *(frame for _, _, frame in frames),
                     chapter.middle(work.styles[0], picture.shape)])
        under.append(["content", *(f"{name}: D {distance:.2f}" for (name, _, _), distance in zip(frames, distances)),
                      "style"])
        rows += [[work.name, name, *size, f"{distance:.6f}"] for (name, size, _), distance in zip(frames, distances)]
    folder.save(figures.grid(grid, None, under), "epochs", ["picture", "epoch", "width", "height", "style_distance"],
                rows, network=source.name, epoch=run.config.train.epoch)
    write_film(folder, run, grid[0][:-1])


def enlarge(pixels, size):
    """uint8 (H, W, 3) at size (h, w), uint8."""
    return to_bytes(resize(pixels, size)[0])


def write_film(folder, run, frames):
    """The first strip as a .webm beside it, all frames at the last one's size; not judged: codecs differ."""
    target, size = folder.folder / "epochs.webm", [side - side % 2 for side in frames[-1].shape[1::-1]]
    try:
        with writing(target, FILM, tuple(size)) as write:
            for frame in [*frames, *[frames[-1]] * HELD]:
                write(frame)
    except UserError as problem:
        return run.say(f"the strip as a film is left out: {problem}")
    run.say(f"  {target.name}  the same as a film")


def draw_curves(folder, run):
    """Each term of the loss over the steps, a curve per picture."""
    path = run.trained / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    lines = [line for line in lines if "pair" in line]
    if not lines:
        return run.say("no log of painting under this name: the curves are left out")
    pairs = list(dict.fromkeys(line["pair"] for line in lines))
    terms = [name for name in lines[-1] if name not in ("stage", "step", "pair", "loss")]
    figure, axes = figures.new_figure(height=3.2, columns=len(terms))
    for axis, term in zip(axes[0], terms):
        for place, pair in enumerate(pairs):
            points = [(line["step"], line[term]) for line in lines if line["pair"] == pair and line.get(term, 0) > 0]
            colour, dash = figures.COLOURS[place % len(figures.COLOURS)], "-" if place < len(figures.COLOURS) else "--"
            if points:
                axis.plot(*zip(*points), color=colour, ls=dash, label=" in ".join(pair.split("__")[:2]))
        axis.set(xlabel="step", ylabel=f"{term} term", yscale="log")
    if len(pairs) <= 12:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, ncols=min(4, len(pairs)),
                      loc="outside lower center")
    rows = [[line["pair"], line["step"], term, f"{line[term]:.6g}"] for line in lines for term in terms if term in line]
    folder.save(figure, "curves", ["pair", "step", "term", "value"], rows)


def draw_extremes(folder, run, lines):
    """The picture with the least of its style distance left, and the one with the most."""
    judge = lines[0]["row"] if lines else None
    known = sorted((line for line in lines if line["row"] == judge and share(line) is not None and line["image"]),
                   key=share)
    if not known:
        return
    place, (contents, styles) = run.folder / "test" / Path(run.config.data.content).stem, files_of(run.config.data)
    grid, under, rows = [], [], []
    for line in known[:1] + known[1:][-1:]:
        files = [contents.get(line["by_content"]), styles.get(line["by_style"].split("+")[0])]
        picture = read_pixels(place / line["image"])
        grid.append([*(file and chapter.middle(file, picture.shape) for file in files), picture])
        others = [f"{percent(share(other))} by {other['row']}" for other in lines if other["item"] == line["item"]
                  and share(other) is not None]
        under.append([line["by_content"], line["by_style"], ", ".join(others)])
        rows.append([line["item"], line["style_distance"], line["style_distance_untouched"],
                     figures.format_number(share(line)),
                     line["content_distance"]])
    folder.save(figures.grid(grid, ["content", "style", "painted"], under, width=6.5), "best_worst",
                ["picture", "style_distance", "style_distance_untouched", "left", "content_distance"], rows,
                judge=judge, set=place.name)


if __name__ == "__main__":
    sys.exit(start(main))
