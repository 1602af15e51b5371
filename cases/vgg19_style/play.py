"""Style transfer in the playground: the fast network at once, then the optimisation as it goes."""
from functools import cache
from pathlib import Path

import gradio as gr
import torch

from cases.vgg19_style.data import Work, fit_size, read_on_white, resize
from cases.vgg19_style.fast.network import FastNetwork
from cases.vgg19_style.fast.train import RELEASE, choose_styles, stylise
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.base.paths import EMBEDDED
from common.base.progress import watch
from common.data.images import open_picture, to_bytes, write_image
from common.experiment import checkpoints, settings
from common.play.page import Offer, Words
from common.play.pictures import MOST_PIXELS, keep, put_buttons

PAINTINGS = {"starry_night": Words("The Starry Night", "星月夜"), "great_wave": Words("The Great Wave", "神奈川冲浪里"),
             "the_scream": Words("The Scream", "呐喊"), "composition_vii": Words("Composition VII", "构成第七号"),
             "water_lilies": Words("Water Lilies", "睡莲"),
             "thousand_li": Words("A Thousand Li of Rivers and Mountains", "千里江山图"),
             "fuchun": Words("Dwelling in the Fuchun Mountains", "富春山居图")}
PHOTOS = [(Words("Summer Palace", "颐和园"), "china"), (Words("dahlia", "大丽花"), "flower"),
          (Words("cat", "猫"), "chelsea_cat")]
COLOURS = [(Words("the painting's", "画的颜色"), "style"), (Words("the photograph's", "照片的颜色"), "luminance"),
           (Words("the painting's, matched to the photograph", "把画的颜色调成照片的"), "cholesky")]
EVERY = 3                               # steps between two pictures


def offer():
    return Offer(Words("Style transfer", "风格迁移"), build)


def build(page, parts):
    """The tab."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            content = page.put(gr.File, label=Words("A photograph (drop it here)", "照片（可拖放）"), height=170,
                               elem_classes="upload")
            photo = page.put(gr.Radio, choices=PHOTOS, value="china", label=Words("or an example", "或选一个示例"))
            own = page.put(gr.File, label=Words("A painting (drop it here)", "画（可拖放）"), height=170)
            painting = page.put(gr.Dropdown, choices=[(words, name) for name, words in PAINTINGS.items()],
                                value="starry_night", label=Words("or one of the seven", "或七幅画之一"))
            weight = page.put(gr.Slider, minimum=0.1, maximum=10, step=0.1, value=1.0,
                              label=Words("Weight of the style", "风格的权重"), info=Words("higher: less photograph",
                                                                                   "越大，照片保留得越少"))
            colours = page.put(gr.Radio, choices=COLOURS, value="style", label=Words("Colours", "颜色"))
            size = page.put(gr.Slider, minimum=128, maximum=512, step=32, value=256,
                            label=Words("Long side in pixels", "长边的像素数"))
            steps = page.put(gr.Slider, minimum=10, maximum=300, step=10, value=60,
                             label=Words("Steps of the optimisation", "优化的步数"))
            button, stop, status = put_buttons(page, Words("Paint", "开始"))
        with gr.Column(scale=3):
            with gr.Row():
                painted = page.put(gr.Image, label=Words("The optimisation as it goes", "优化的过程"), type="filepath",
                                   interactive=False)
                fast = page.put(gr.Image, label=Words("In one pass, by the fast network", "快速网络，一次前向"),
                                type="filepath", interactive=False)
            slider = page.put(gr.ImageSlider, label=Words("Before and after", "前后对比"), type="filepath",
                              interactive=False)
            whole = page.put(gr.File, label=Words("The result", "结果"), interactive=False)
    page.work(button, stop, paint, [content, photo, own, painting, weight, colours, size, steps],
              [status, painted, fast, slider, whole], show)


def show(kind, value):
    """The outputs for a picture in between ({painted or fast: file}), or for the result."""
    if kind == "partial":
        return [value.get("painted", gr.skip()), value.get("fast", gr.skip()), gr.skip(), gr.skip()]
    return value


@cache
def fast_network():
    return checkpoints.load_release("vgg19_style", FastNetwork, RELEASE)


def paint(report, folder, content, photo, own, painting, weight, colours, size, steps):
    """(a line, (painted, fast, before and after, the whole file)): pictures are reported as they come."""
    content = Path(content or EMBEDDED / "photos" / f"{photo}.jpg")
    style = Path(own or EMBEDDED / "paintings" / f"{painting}.jpg")
    for path in (content, style):
        open_picture(path, max_pixels=MOST_PIXELS)                             # refuses what is too large
    before = folder / "before.png"
    write_image(before, picture_of(content, int(size))[0])
    known = style.stem in fast_network().styles and not own
    report({"fast": in_one_pass(folder, content, style.stem, int(size)) if known else None})
    words = [f"data.size={int(size)}", f"train.steps={int(steps)}", f"loss.style={weight}", f"train.colour={colours}"]
    chosen = settings.resolve("vgg19_style", words).config
    trunk, loss = feature_network(chosen)
    painter = Painter(chosen, trunk, loss, Work("play", content, [style], [1.0], []), *prepare(chosen))
    for step in watch(range(1, int(steps) + 1), f"painting by {trunk.name}, step"):
        painter.step(step)
        if step % EVERY == 0:
            report({"painted": keep(folder, f"step{step}", to_bytes(painter.result()[0]))})
    result = painter.result()[0]
    whole, after = folder / f"{content.stem}-{style.stem}.png", keep(folder, "after", to_bytes(result))
    write_image(whole, result)
    return f"{trunk.name}, {int(steps)} steps", [after, gr.skip(), (str(before), after), str(whole)]


def picture_of(path, size):
    """(1, 3, h, w) of a picture file with that long side."""
    pixels = read_on_white(path)
    return resize(pixels, fit_size(pixels.shape, size))


@torch.inference_mode()
def in_one_pass(folder, content, name, size):
    """The file of the fast network's picture in one of its styles."""
    network = fast_network()
    picture = stylise(network, picture_of(content, size)[0], choose_styles(network, name)[name])
    return keep(folder, "fast", to_bytes(picture))
