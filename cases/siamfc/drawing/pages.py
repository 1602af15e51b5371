"""The pictures of the page, with the release weights: make figures FOR=readme CASE=siamfc"""
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from cases.siamfc.drawing import chapter
from cases.siamfc.drawing.boxes import outline
from cases.siamfc.model import SEARCH
from cases.siamfc.tracker import SiamFCTracker, load
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels
from common.experiment import figures

CLIPS = "car", "juice_box", "person"


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


@cache
def follow(name):
    """[Seen] of every frame of a clip but the first."""
    tracker, sequence, seen = SiamFCTracker(network()), clip(name), []
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


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_clips, "responses.jpg": partial(draw_responses, "car"),
            "network.jpg": draw_network,
            "exercise.jpg": draw_exercise, "failure.jpg": draw_failure}
