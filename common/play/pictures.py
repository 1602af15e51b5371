"""A tab for pictures: one goes in, a method changes it; before and after under a slider, simple methods beside it, the
stages below."""
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import gradio as gr
from PIL import Image
from torch import Tensor

from common.data.images import open_picture, to_bytes, write_image
from common.play.page import LONGEST, Words

MOST_PIXELS = 40_000_000                # of an upload: what stays in the memory of a student's machine
LEAST = 640                             # pixels: of shown pictures that are enlarged
WHAT = Words("A picture (drop it here)", "图像（可拖放）")


class Control(NamedTuple):
    """A slider (least, largest, step) or a choice of (Words, value): its name among the method's arguments, its label,
    its help, its value at the beginning, and these."""
    name: str
    label: Words
    info: Words
    value: object
    span: tuple = ()
    choices: list = []


class Answer(NamedTuple):
    """What a method makes of a picture."""
    picture: Tensor                     # (3, h, w) in [0, 1]
    said: str = ""                      # a line about it
    stages: list = []                   # (name, uint8 (h, w, 3))


class Method(NamedTuple):
    """run(picture (3, h, w) in [0, 1], **controls) -> Answer. simple: {name: function of uint8 (h, w, 3)} beside it;
    examples: {name: path}."""
    name: Words
    run: object
    controls: list
    simple: dict
    examples: dict


def build(page, methods):
    """The tab of these Methods; examples and simple methods of all of them, each once."""
    examples, simple = {}, {}
    for method in methods:
        examples |= method.examples
        simple |= method.simple
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen, example = put_choice(page, examples)
            method = page.put(gr.Radio, choices=[(each.name, place) for place, each in enumerate(methods)], value=0,
                              label=Words("Method", "方法"))
            groups, controls = put_controls(page, methods)
            button, stop, status = put_buttons(page, Words("Run", "运行"))
        with gr.Column(scale=3):
            slider = page.put(gr.ImageSlider, label=Words("Before and after", "前后对比"), type="filepath",
                              interactive=False, elem_classes="before-after")
            beside = page.put(gr.Gallery, label=Words("Beside it: simple methods", "对照：基线方法"), columns=4,
                              interactive=False)
            stages = page.put(gr.Gallery, label=Words("The stages", "各个阶段"), columns=6, interactive=False)
            whole = page.put(gr.File, label=Words("The result in full size", "原尺寸结果"), interactive=False)
    method.change(lambda place: [gr.update(visible=place == each) for each in range(len(groups))], method, groups,
                  queue=False, show_progress="hidden")
    task = partial(enhance, methods, simple)
    page.work(button, stop, task, [chosen, example, method, *controls], [status, slider, beside, stages, whole],
              lambda kind, shown: shown)


def put_choice(page, examples, label=WHAT):
    """(where a picture is dropped, the choice of an example) for {Words: path}; the first one is chosen."""
    chosen = page.put(gr.File, label=label, height=170, elem_classes="upload")
    example = page.put(gr.Radio, choices=[(name, str(path)) for name, path in examples.items()],
                       label=Words("or an example", "或选一个示例"), value=str(next(iter(examples.values()))))
    return chosen, example


def put_buttons(page, word, lines=1):
    """(the button that begins, the one that stops, the line of status)."""
    with gr.Row():
        button = page.put(gr.Button, value=word, variant="primary")
        stop = page.put(gr.Button, value=Words("Stop", "停止"))
    status = gr.Textbox(show_label=False, container=False, interactive=False, lines=lines, elem_classes="status")
    return button, stop, status


def put_controls(page, methods):
    """(a group for each method, all controls in order)."""
    groups, controls = [], []
    for place, method in enumerate(methods):
        with gr.Column(visible=place == 0) as group:
            controls += [put_control(page, control) for control in method.controls]
        groups.append(group)
    return groups, controls


def put_control(page, control):
    """The component of a Control."""
    if control.choices:
        return page.put(gr.Radio, choices=control.choices, value=control.value, label=control.label, info=control.info)
    least, largest, step = control.span
    return page.put(gr.Slider, minimum=least, maximum=largest, step=step, value=control.value, label=control.label,
                    info=control.info)


def enhance(methods, simple, report, folder, upload, example, place, *values):
    """(a line, (before and after, simple methods, stages, the whole file)) of a picture, as files in folder."""
    path = Path(upload or example)
    picture = open_picture(path, max_pixels=MOST_PIXELS)
    method = methods[place]
    first = sum(len(each.controls) for each in methods[:place])
    arguments = {control.name: values[first + number] for number, control in enumerate(method.controls)}
    answer = method.run(picture.rgb, **arguments)
    before, after = to_bytes(picture.rgb), to_bytes(answer.picture)
    slider = keep(folder, "before", before), keep(folder, "after", after)
    beside = [(keep(folder, f"simple{number}", function(small(before))), name)
              for number, (name, function) in enumerate(simple.items())]
    stages = [(keep(folder, f"stage{number}", pixels), name) for number, (name, pixels) in enumerate(answer.stages)]
    whole = folder / f"{path.stem}-{method.name.en.split(',')[0]}.png"
    write_image(whole, answer.picture, like=picture)
    return answer.said, (slider, [*beside, (slider[1], method.name.en)], stages, str(whole))


def small(pixels, longest=LONGEST):
    """Pixels (h, w, 3) for the screen: a longest side of at most `longest`."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def keep(folder, name, pixels):
    """The path of a JPEG for the screen in folder; what has few pixels becomes some times as large."""
    path, shown = folder / f"{name}.jpg", small(pixels)
    times = max(1, LEAST // max(shown.shape[:2]))
    shown = cv2.resize(shown, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC) if times > 1 else shown
    Image.fromarray(shown).save(path, quality=90)
    return str(path)

