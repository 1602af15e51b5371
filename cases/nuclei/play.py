"""Nuclei in the playground: outlines, how many there are, and a table with a line for each."""
import gradio as gr
import numpy as np

from cases.nuclei import baselines, instances
from cases.nuclei.data import normalise, open_levels
from cases.nuclei.label_files import outline, paint
from cases.nuclei.model import Nuclei
from cases.nuclei.own import COLUMNS, MADE, write_all
from cases.nuclei.segment import best, predict, segment
from common.base.paths import EMBEDDED
from common.data.images import open_picture
from common.experiment.run import released
from common.play.page import Offer, Words
from common.play.pictures import MOST_PIXELS, keep, put_buttons, put_choice

EXAMPLES = {Words("37 nuclei", "37 个核"): EMBEDDED / "nuclei" / "images" / "f73e37957c74.png",
            Words("54, crowded", "54 个，密集"): EMBEDDED / "nuclei" / "images" / "245b99587837.png",
            Words("12, large", "12 个，较大"): EMBEDDED / "nuclei" / "images" / "8a65e41c630d.png"}
OTSU = "otsu"
METHODS = [(Words("U-Net and watershed", "U-Net + 分水岭"), "release"),
           (Words("R2AtU-Net and watershed", "R2AtU-Net + 分水岭"), "release-r2atunet"),
           (Words("Otsu's threshold and watershed", "Otsu 阈值 + 分水岭"), OTSU)]
HEADERS = ["编号 number", "面积 area", "行 row", "列 column", "平均亮度 mean level", "圆度 circularity"]
LINES = 500                             # of the table on the page; the file has all
GROUND = "; a bright ground, taken as its negative: the networks know dark ones, look at the outlines"


def offer():
    return Offer(Words("Nuclei", "细胞核"), build)


def build(page, parts):
    """The tab."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen, example = put_choice(page, EXAMPLES, Words("A fluorescence picture (drop it here)",
                                                               "荧光显微图像（可拖放）"))
            method = page.put(gr.Radio, choices=METHODS, value="release", label=Words("Method", "方法"))
            smallest = page.put(gr.Slider, minimum=0, maximum=300, step=10, value=30,
                                label=Words("Smallest nucleus in pixels", "最小的核（像素数）"))
            button, stop, status = put_buttons(page, Words("Find", "分割"), lines=2)
        with gr.Column(scale=3):
            slider = page.put(gr.ImageSlider, label=Words("Picture and outlines", "图像与轮廓"), type="filepath",
                              interactive=False, elem_classes="before-after")
            steps = page.put(gr.Gallery, columns=3, interactive=False,
                             label=Words("What the method sees, and what it makes of it", "方法的中间结果与最终标记"))
            table = page.put(gr.Dataframe, label=Words("Each nucleus", "每个细胞核"), interactive=False, max_height=320,
                             headers=HEADERS)
            files = page.put(gr.File, label=Words("Labels, outlines, table", "标记图、轮廓图、表格"), interactive=False,
                             file_count="multiple")
    page.work(button, stop, run, [chosen, example, method, smallest], [status, slider, steps, table, files],
              lambda kind, shown: shown)


def run(report, folder, upload, example, method, smallest):
    """(a line, (picture and outlines, steps, table, files)) of a picture, as files in folder."""
    path = upload or example
    open_picture(path, max_pixels=MOST_PIXELS)                                 # refuses what is too large
    levels, bright = open_levels(path)
    gray = normalise(levels, bright)
    labels, maps = find(gray, method, int(smallest))
    write_all(folder / "found", levels, gray, labels)
    slider = keep(folder, "picture", shown(gray)), keep(folder, "outlines", outline(gray, labels))
    steps = [(keep(folder, name, shown(values)), name) for name, values in maps.items()]
    values = instances.describe(labels, levels)
    lines = list(zip(*(np.round(values[name], 2) for name in COLUMNS)))[:LINES]
    return (f"{labels.max(initial=0)} nuclei{GROUND if bright else ''}",
            (slider, [*steps, (keep(folder, "labels", paint(labels)), "labels")],
             [[int(number), int(area), *map(float, rest)] for number, area, *rest in lines],
             [str(folder / f"found_{made}") for made in MADE]))


def find(gray, method, smallest):
    """(labels (h, w), {name: what they were made of, (h, w) in [0, 1]}) of a normalised picture."""
    if method != OTSU:
        here, model = released("nuclei", Nuclei, method, f"test.smallest={smallest}")
        maps = predict(model, gray, here.config.test, here.device)
        return best(segment(maps, here.config.test)), maps
    mask = baselines.otsu(gray)
    away = instances.distances(mask)
    labels = instances.distance_watershed(mask.astype(np.float32), smallest=smallest)
    return labels, {"above the threshold": mask.astype(np.float32), "distance": away / max(1e-6, away.max())}


def shown(values):
    """uint8 (h, w, 3) of numbers (h, w) in [0, 1]."""
    return np.repeat((255 * values + 0.5).astype(np.uint8)[..., None], 3, axis=2)
