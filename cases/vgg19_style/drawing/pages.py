"""The pictures of the page, with the release weights: make figures FOR=readme CASE=vgg19_style"""
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import torch

from cases.vgg19_style import losses
from cases.vgg19_style.data import Work, fit_size, read_on_white, resize
from cases.vgg19_style.drawing import chapter
from cases.vgg19_style.fast.network import FastNetwork
from cases.vgg19_style.fast.train import RELEASE, choose_styles, stylise
from cases.vgg19_style.model import STYLE_TAPS
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.base.paths import EMBEDDED
from common.data.images import to_bytes
from common.experiment import figures, settings
from common.experiment.checkpoints import load_release
from common.features import vgg, vgg_files

PAINTINGS = {"starry_night": "The Starry Night", "great_wave": "The Great Wave", "the_scream": "The Scream",
             "composition_vii": "Composition VII", "water_lilies": "Water Lilies", "thousand_li": "A Thousand Li",
             "fuchun": "Fuchun Mountains"}
SIZE = 256                              # long side of what is painted, pixels
LARGE = 2048                            # the same of a large one
STRIP = [1, 3, 6, 12, 25, 60]           # steps whose picture is shown


def photo(name, size):
    """(1, 3, h, w) of a photograph in datasets/embedded with that long side."""
    pixels = read_on_white(EMBEDDED / "photos" / f"{name}.jpg")
    return resize(pixels, fit_size(pixels.shape, size))


def draw_seven(name):
    """A photograph in seven paintings: in one pass by the fast network, else by the optimisation."""
    network, content = load_release("vgg19_style", FastNetwork, RELEASE), photo(name, SIZE)
    shown = {"photograph": to_bytes(content[0])}
    for style, title in PAINTINGS.items():
        if style in network.styles:
            with torch.inference_mode():
                shown[title] = to_bytes(stylise(network, content[0], choose_styles(network, style)[style]))
        else:
            shown[f"{title}, optimised"] = paint(name, style)[STRIP[-1]]
    return figures.sheet(shown, 4)


def draw_result():
    """Three paintings above, and what the optimisation makes of one photograph with each, below."""
    names = ["starry_night", "great_wave", "thousand_li"]
    content = to_bytes(photo("china", SIZE)[0])
    styles = [chapter.middle(EMBEDDED / "paintings" / f"{name}.jpg", content.shape) for name in names]
    painted = [paint("china", name)[STRIP[-1]] for name in names]
    texts = [["", *(PAINTINGS[name] for name in names)], ["photograph", *[f"painted, {STRIP[-1]} steps"] * 3]]
    return figures.grid([[None, *styles], [content, *painted]], None, texts, width=8)


def draw_cover():
    """The Summer Palace in The Starry Night."""
    return figures.cover(paint("china", "starry_night")[STRIP[-1]])


@cache
def paint(name, style, *words, size=SIZE, steps=STRIP[-1]):
    """{step: picture} of the optimisation by the feature network `small`, otherwise with the default settings and
    words. style: a painting's name, or a file; size: long side in pixels.
    """
    words = ["network=small", f"data.size={size}", f"train.steps={steps}", *words]
    chosen = settings.resolve("vgg19_style", words).config
    trunk, loss = feature_network(chosen)
    style = style if isinstance(style, Path) else EMBEDDED / "paintings" / f"{style}.jpg"
    work = Work("pages", EMBEDDED / "photos" / f"{name}.jpg", [style], [1.0], [])
    painter, pictures = Painter(chosen, trunk, loss, work, *prepare(chosen)), {}
    for step in range(1, steps + 1):
        painter.step(step)
        if step in (*STRIP, steps):
            pictures[step] = to_bytes(painter.result()[0])
    return pictures


def draw_failure():
    """The cat among the stars, by the defaults and with the photograph's colours and brightness."""
    stars = Path(find_spec("skimage").origin).with_name("data") / "hubble_deep_field.jpg"
    content = to_bytes(photo("chelsea_cat", SIZE)[0])
    shown = {"photograph": content, "stars": chapter.middle(stars, content.shape),
             "painted": paint("chelsea_cat", stars)[STRIP[-1]],
             "colour=luminance": paint("chelsea_cat", stars, "train.colour=luminance")[STRIP[-1]]}
    return figures.sheet(shown, 4)


def draw_sliders():
    """Three sizes of the strokes, and two ways to keep the photograph's colours."""
    shown = {}
    for word in ("data.style_scale=0.5", "data.style_scale=1", "data.style_scale=2",
                 "train.colour=luminance", "train.colour=cholesky"):
        shown[word.partition(".")[2]] = paint("china", "starry_night", word)[STRIP[-1]]
    return figures.sheet(shown, len(shown))


def draw_large():
    """A painting of 2048 pixels, whole, and a part of it with all its pixels."""
    painted = paint("china", "starry_night", size=LARGE, steps=305)[305]
    height, width = 2 * SIZE * painted.shape[0] // LARGE, 2 * SIZE
    whole = cv2.resize(painted, (width, height), interpolation=cv2.INTER_AREA)
    return figures.sheet({f"{LARGE} x {painted.shape[0]} pixels": whole,
                          "a part, all its pixels": painted[:height, 5 * LARGE // 8:5 * LARGE // 8 + width]}, 2)


def draw_epochs():
    """One painting as it comes about."""
    return figures.sheet({f"step {step}": picture for step, picture in paint("china", "starry_night").items()}, 3)


@torch.inference_mode()
def draw_grams():
    """The Gram matrix does not know where anything is: a photograph, its positions shuffled, a painting."""
    trunk, content = vgg.load("small", [*STYLE_TAPS]), photo("china", 176)
    pixels = read_on_white(EMBEDDED / "paintings" / "starry_night.jpg")
    painting = resize(pixels, fit_size(pixels.shape, 176))
    maps, other = trunk(content)["relu2_1"], trunk(painting)["relu2_1"]
    order = torch.randperm(maps[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    shuffled = maps.flatten(2)[..., order].view_as(maps)
    channel = maps[0].mean(dim=(1, 2)).argmax()
    answers = [(each[0, channel] / each[0, channel].max()).numpy() for each in (maps, shuffled, other)]
    grams = [(gram[0] / gram.max()).sqrt().numpy() for gram in map(losses.gram, (maps, shuffled, other))]
    top = [to_bytes(content[0]), None, chapter.middle(EMBEDDED / "paintings" / "starry_night.jpg", content.shape[2:])]
    side = grams[0].shape[0]
    texts = [["photograph", "", "painting"], ["one channel of relu2_1", "its positions shuffled", "the same channel"],
             [f"Gram matrix, {side} x {side}", "the same Gram matrix", "another one"]]
    return figures.grid([top, answers, grams], None, texts, width=8)


def draw_layers():
    """What each layer keeps of a photograph and of a painting."""
    chosen = settings.resolve("vgg19_style", ["figures.size=128", "figures.steps=60"]).config
    work = Work("pages", EMBEDDED / "photos" / "china.jpg", [EMBEDDED / "paintings" / "starry_night.jpg"], [1.0], [])
    return figures.figure_of(chapter.draw_layers, chosen, vgg_files.read("small"), work)


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_result, "china.jpg": partial(draw_seven, "china"),
            "coffee.jpg": partial(draw_seven, "coffee"), "chelsea.jpg": partial(draw_seven, "chelsea_cat"),
            "epochs.jpg": draw_epochs, "grams.jpg": draw_grams, "layers.jpg": draw_layers,
            "failure.jpg": draw_failure, "large.jpg": draw_large, "sliders.jpg": draw_sliders}
