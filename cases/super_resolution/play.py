"""Super-resolution in the playground: a picture two, three or four times larger, beside the bicubic one."""
import gradio as gr
import numpy as np

from cases.super_resolution import baselines
from cases.super_resolution.enlarge import enlarge, enlarge_alpha
from cases.super_resolution.model import SuperResolution
from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import open_picture, to_bytes, write_image
from common.experiment.run import released
from common.play.page import Offer, Words
from common.play.pictures import MOST_PIXELS, keep, put_buttons, put_choice

EXAMPLES = {Words("cat", "猫"): EMBEDDED / "photos" / "chelsea_cat.jpg",
            Words("Summer Palace", "颐和园"): EMBEDDED / "photos" / "china.jpg",
            Words("roofs", "屋顶"): EMBEDDED / "panoramas" / "front_2.jpg"}
WEIGHTS = [(Words("as measured", "标准"), "release"),
           (Words("noise and JPEG, 2 times", "有噪声与 JPEG，2 倍"), "release-real"),
           (Words("sharper, adversarial, 4 times", "更锐利，对抗训练，4 倍"), "release-gan")]
LARGEST = 64_000_000                    # pixels of a result
MIDDLE, DETAIL = 720, 96                # pixels: of the result under the slider, of the small picture in the details


def offer():
    return Offer(Words("Super-resolution", "超分辨率"), build)


def build(page, parts):
    """The tab."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen, example = put_choice(page, EXAMPLES)
            scale = page.put(gr.Radio, choices=[2, 3, 4], value=4, label=Words("Times larger", "放大倍数"))
            weights = page.put(gr.Radio, choices=WEIGHTS, value="release", label=Words("Weights", "权重"))
            ensemble = page.put(gr.Checkbox, value=False, label=Words("Self-ensemble", "自集成"),
                                info=Words("the mean of all eight ways to lay the picture down: eight times the time",
                                           "八种翻转、旋转的结果取平均，耗时八倍"))
            button, stop, status = put_buttons(page, Words("Enlarge", "放大"))
        with gr.Column(scale=3):
            slider = page.put(gr.ImageSlider, interactive=False, type="filepath", elem_classes="before-after",
                              label=Words("Bicubic and network, the middle of the picture",
                                          "双三次插值与网络（画面中央）"))
            beside = page.put(gr.Gallery, columns=3, interactive=False,
                              label=Words("A detail: simple methods beside the network", "局部：基线方法与网络"))
            whole = page.put(gr.File, label=Words("The result in full size", "原尺寸结果"), interactive=False)
    page.work(button, stop, run, [chosen, example, scale, weights, ensemble], [status, slider, beside, whole],
              lambda kind, shown: shown)


def run(report, folder, upload, example, scale, weights, ensemble):
    """(a line, (bicubic and network, details, the whole file)) of a picture, as files in folder."""
    picture = open_picture(upload or example, max_pixels=MOST_PIXELS)
    height, width = (scale * side for side in picture.rgb.shape[1:])
    if height * width > LARGEST:
        raise UserError(f"the result would have {height * width / 1e6:.0f} million pixels: at most {LARGEST / 1e6:.0f} "
                        "million were expected: choose a smaller scale, or a smaller picture")
    here, model = released("super_resolution", SuperResolution, weights)
    if scale not in model.scales:
        raise UserError(f"{weights} enlarges by {', '.join(map(str, model.scales))}, not by {scale}: choose that, or "
                        "other weights")
    answer = enlarge(model, picture.rgb, scale, here.config.test.tile, here.device, ensemble)
    whole = folder / "enlarged.png"
    write_image(whole, answer, like=enlarge_alpha(picture, scale))
    low, large = to_bytes(picture.rgb), to_bytes(answer)
    slider = [keep(folder, name, middle(pixels, MIDDLE))
              for name, pixels in (("bicubic", baselines.enlarge(low, scale)), ("network", large))]
    details = baselines.outputs(middle(low, DETAIL), scale) | {"network": middle(large, DETAIL * scale)}
    shown = [(keep(folder, f"detail-{name}", pixels), name.replace("_", " ")) for name, pixels in details.items()]
    return f"{width} x {height}", (tuple(slider), shown, str(whole))


def middle(pixels, side):
    """The middle of uint8 (h, w, 3), at most side x side pixels of it."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top:top + side, left:left + side])
