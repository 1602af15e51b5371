"""The deep image prior in the playground: what is drawn over goes, and the picture is seen as it forms."""
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import torch
from PIL import Image

from cases.image_prior.data import blend, draw_mark, expect_mask, read_mask, to_levels
from cases.image_prior.own import answer_of
from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import open_picture, to_bytes, to_tensor, write_image
from common.experiment import settings
from common.experiment.device import choose_device
from common.play.page import Offer, Words
from common.play.pictures import MOST_PIXELS, keep, put_buttons, put_choice, small
from common.play.work import line_of

MARKED, NOISY = "chelsea_cat", "coffee"             # examples that come damaged
EXAMPLES = {Words("a cat under a mark", "带水印的猫"): MARKED, Words("a dahlia", "大丽花"): "flower",
            Words("coffee under noise", "带噪声的咖啡"): NOISY}
ALPHA, SIGMA = 0.6, 25.0                # of that mark and that noise
TASKS = [(Words("remove a half-transparent mark", "去除半透明水印"), "watermark"),
         (Words("fill what is masked", "修补掩膜区域"), "inpaint"), (Words("remove noise", "去噪"), "denoise")]
EVERY = 10                              # steps between two pictures
CANVAS = 640                            # pixels: the longest side of what is drawn on


def offer():
    return Offer(Words("Deep image prior", "深度图像先验"), build)


def build(page, parts):
    """The tab."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen, example = put_choice(page, EXAMPLES)
            task = page.put(gr.Radio, choices=TASKS, value="watermark", label=Words("Task", "任务"))
            file = page.put(gr.File, height=170, label=Words("A mask (white is removed), or draw it",
                                                             "掩膜（白色处将被去除），也可以直接画"))
            size = page.put(gr.Slider, minimum=128, maximum=512, step=32, value=256,
                            label=Words("Long side at which the network works", "网络计算时长边的像素数"))
            steps = page.put(gr.Slider, minimum=50, maximum=3000, step=50, value=600, label=Words("Steps", "步数"))
            button, stop, status = put_buttons(page, Words("Restore", "复原"), lines=2)
        with gr.Column(scale=3):
            canvas = page.put(gr.ImageEditor, label=Words("Draw over what is to go", "涂抹要去除的部分"), type="numpy",
                              transforms=[], sources=[], layers=False, height=420, elem_classes="canvas",
                              brush=gr.Brush(colors=["#ff3b30"], default_size=14, color_mode="fixed"))
            forming = page.put(gr.Image, label=Words("The picture as it forms", "正在形成的图像"), type="filepath",
                               interactive=False, elem_classes="forming")
            slider = page.put(gr.ImageSlider, label=Words("Before and after", "前后对比"), type="filepath",
                              interactive=False, elem_classes="before-after")
            whole = page.put(gr.File, label=Words("The result in full size", "原尺寸结果"), interactive=False)
    for source in (chosen, example):
        source.change(page.telling(begin), [chosen, example], [status, canvas, task], show_progress="hidden")
    page.at_first.append((partial(begin, None, MARKED), [status, canvas, task]))
    page.work(button, stop, run, [chosen, example, file, canvas, task, size, steps],
              [status, forming, slider, whole], show)


def show(kind, value):
    """The outputs for a picture in between, or for the result."""
    return [value, gr.skip(), gr.skip()] if kind == "partial" else value


def begin(upload, example):
    """(no status, what is drawn on, the task that suits it) for a picture that was chosen; a problem is the status."""
    try:
        source, _ = picture_of(upload, example)
    except UserError as problem:
        return line_of(problem), None, gr.skip()
    suits = gr.skip() if upload else {MARKED: "watermark", NOISY: "denoise"}.get(example, "inpaint")
    return "", small(to_bytes(source.rgb), CANVAS), suits


def picture_of(upload, example):
    """(Picture, mask bool (H, W) or None) of a file, or of an example with its damage."""
    if upload:
        return open_picture(upload, max_pixels=MOST_PIXELS), None
    source, mask = open_picture(EMBEDDED / "photos" / f"{example}.jpg"), None
    pixels = to_bytes(source.rgb)
    if example == MARKED:
        coverage = draw_mark(pixels.shape[:2], 0)
        pixels, mask = blend(pixels, ALPHA * coverage, np.full(3, 255.0)), coverage > 0
    if example == NOISY:
        pixels = to_levels(pixels + np.random.default_rng(0).normal(0, SIGMA, pixels.shape))
    return source._replace(rgb=to_tensor(pixels)), mask


def run(report, folder, upload, example, file, canvas, task, size, steps):
    """(a line, (the picture as it formed, before and after, the whole file)), as files in folder."""
    source, mask = picture_of(upload, example)
    pixels, shown = to_bytes(source.rgb), []
    mask = None if task == "denoise" else expect(mask_of(pixels.shape[:2], mask, file, canvas))
    words = [f"task={task}", "train.fits=1", f"train.steps={int(steps)}", f"test.size={int(size)}"]
    here = SimpleNamespace(config=settings.resolve("image_prior", words).config, device=choose_device(),
                           say=print, autocast=nullcontext)

    def look(step, picture):
        if step % EVERY == 0:
            shown.append(keep(folder, f"step{step}", to_bytes(picture[0])))
            report(shown[-1])
    answer, how = answer_of(here, pixels, mask, "step", "auto" if task == "watermark" else "prior", look)
    picture = to_tensor(answer)
    if mask is not None:                                      # what is not masked keeps all its bits
        picture = torch.where(torch.from_numpy(mask.copy()), picture, source.rgb)
    whole = folder / f"{Path(upload or example).stem}-restored.png"
    write_image(whole, picture, like=source)
    slider = keep(folder, "before", pixels), keep(folder, "after", to_bytes(picture))
    return how, (shown[-1] if shown else slider[1], slider, str(whole))


def mask_of(size, known, file, canvas):
    """bool (h, w): what is drawn, masked by a file, or known of the example."""
    mask = np.zeros(size, bool) if known is None else known
    if file:
        mask = mask | read_mask(Path(file), size)
    for layer in (canvas or {}).get("layers", []):
        drawn = Image.fromarray(layer[..., 3]).resize(size[::-1], Image.Resampling.NEAREST)
        mask = mask | (np.asarray(drawn) > 0)
    return mask


def expect(mask):
    """The mask; UserError where it has nothing, or nearly everything."""
    if not mask.any():
        raise UserError("no mask: what is to go was expected: draw over it, or give a picture that is white there")
    return expect_mask(mask, "what is drawn")
