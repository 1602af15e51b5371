"""The pictures of the page, with the release weights: make figures FOR=readme CASE=siamfc

curves.csv beside this file holds what the page plots of sequences that may not be shown: figures/success.csv of a run
on the 21 sequences, and a line `speed` for each of its rows (threshold: frames per second, share: AO).
"""
import csv
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cases.siamfc.drawing import chapter, results
from cases.siamfc.drawing.boxes import outline
from cases.siamfc.model import SEARCH
from cases.siamfc.tracker import Confidence, SiamFCTracker, load
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels
from common.experiment import figures
from common.experiment.settings import resolve

CLIPS = "car", "juice_box", "person"
CURVES = Path(__file__).with_name("curves.csv")


class Clip(NamedTuple):
    """A clip as the chapter's figures want a sequence: paths, and the first box alone, (1, 4)."""
    name: str
    frames: list
    boxes: np.ndarray


class Seen(NamedTuple):
    """What the tracker made of a frame."""
    box: np.ndarray
    confidence: float
    region: np.ndarray                  # the search region, where it was looked for
    response: np.ndarray                # (17, 17), of the unchanged size


def clip(name):
    folder = EMBEDDED / "clips" / name
    return Clip(name, list_images(folder / "img"), np.loadtxt(folder / "first_box.txt", delimiter=",", ndmin=2))


@cache
def network():
    return load("release")


def follower():
    """A tracker with the settings of test.py."""
    given = dict(resolve("siamfc", []).config.tracker)
    return SiamFCTracker(network(), confidence=Confidence(*given.pop("confidence")), **given)


@cache
def follow(name):
    """[Seen] of every frame of a clip but the first."""
    tracker, sequence, seen = follower(), clip(name), []
    tracker.init(read_pixels(sequence.frames[0]), sequence.boxes[0])
    for path in sequence.frames[1:]:
        frame = read_pixels(path)
        region = tracker.crop(frame, tracker.search_side, SEARCH)
        box = tracker.update(frame)
        seen.append(Seen(box, tracker.confidence, region, tracker.found.responses[len(tracker.factors) // 2]))
    return seen


def places(name, count):
    """Places of `count` frames, evenly from the second to the last."""
    return np.linspace(1, len(clip(name).frames) - 1, count).astype(int)


def boxed(name, place):
    """A frame with the tracker's box."""
    picture = read_pixels(clip(name).frames[place]).copy()
    outline(picture, follow(name)[place - 1].box, "siamfc", max(2, picture.shape[1] // 120))
    return picture


def draw_clips():
    """The three clips with the tracked box, and the confidence."""
    grid = [[boxed(name, place) for place in places(name, 4)] for name in CLIPS]
    texts = [[f"frame {place + 1}, confidence {follow(name)[place - 1].confidence:.2f}" for place in places(name, 4)]
             for name in CLIPS]
    return figures.grid(grid, None, texts, CLIPS, width=8)


def draw_cover():
    """The person, a third of the way."""
    return figures.cover(boxed("person", len(clip("person").frames) // 3))


def draw_responses(name):
    """Search regions and their responses over time, on one scale of colours."""
    seen = {place: follow(name)[place - 1] for place in places(name, 6)}
    low, high = (function([each.response for each in seen.values()]) for function in (np.min, np.max))
    figure, axes = figures.new_figure(8, 3.2, 2, len(seen))
    for column, (place, each) in enumerate(seen.items()):
        axes[0, column].imshow(each.region)
        axes[0, column].set_title(f"frame {place + 1}", fontsize=9)
        axes[1, column].imshow(each.response, cmap="inferno", vmin=low, vmax=high)
        axes[1, column].set_xlabel(f"peak {each.response.max():.1f}", fontsize=8)
        for axis in axes[:, column]:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
    return figure


def draw_network():
    """B5.1: z, x, what phi makes of them, and the response."""
    return figures.figure_of(chapter.draw_network, network(), SiamFCTracker(network()), clip("juice_box"))


def draw_exercise():
    """The 13 positive cells, and what two cells see."""
    return figures.figure_of(chapter.draw_exercise, SiamFCTracker(network()), clip("juice_box"))


def draw_failure():
    """The confidence while a person walks out of the picture, and where the box stays."""
    trust = [1.0, *(each.confidence for each in follow("person"))]
    figure, axes = figures.new_figure(8, 2.2, 1, 3, width_ratios=[1.2, 1, 1])
    axes[0, 0].plot(range(1, len(trust) + 1), trust)
    axes[0, 0].set(xlabel="frame", ylabel="confidence", ylim=(0, 1.02))
    for axis, place in zip(axes[0, 1:], (len(trust) - 8, len(trust) - 1)):
        axis.imshow(boxed("person", place))
        axis.set_title(f"frame {place + 1}", fontsize=9)
        axis.axis("off")
    return figure


def read_curves():
    """{curve: {row: [(threshold, share), ...]}} of CURVES."""
    curves = {}
    with open(CURVES, encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            points = curves.setdefault(line["curve"], {}).setdefault(line["row"], [])
            points.append((float(line["threshold"]), float(line["share"])))
    return curves


def draw_curves():
    """Success and precision on the 21 sequences, and AO over speed."""
    measured = read_curves()
    curves = {row: tuple(np.array(measured[curve][row])[:, 1] for curve in ("success", "precision"))
              for row in measured["success"]}
    figure, axes = figures.new_figure(11, 3.4, 1, 3)
    results.plot_curves(axes[0], curves)
    results.plot_speed(axes[0, 2], {row: points[0] for row, points in measured["speed"].items()})
    axes[0, 2].set_xlabel("frames per second, one core")
    return figure


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_clips, "responses.jpg": partial(draw_responses, "car"),
            "network.jpg": draw_network,
            "exercise.jpg": draw_exercise, "failure.jpg": draw_failure, "curves.png": draw_curves}
