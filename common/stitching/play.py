"""What the stitching cases offer the playground: photographs go in, a panorama comes out, and who was left out and
why."""
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import picture_size, read_pixels
from common.play.page import Offer, Words
from common.play.pictures import keep, put_buttons
from common.stitching.estimators import estimator
from common.stitching.stitch import Settings, stitch

TITLE = Words("Stitching", "图像拼接")
LEAST, MOST, PIXELS = 2, 20, 120_000_000        # photographs, and the pixels of all together
EXAMPLES = [(Words("river bank, 6 photographs", "河岸，6 幅"), "berlin"),
            (Words("skyline, 6", "天际线，6 幅"), "skyline"), (Words("roofs, 3", "屋顶，3 幅"), "front")]
METHODS = [(Words("the better of both", "两者择优"), "auto"), (Words("the network", "网络"), "network"),
           ("SIFT", "sift")]
PROJECTIONS = [(Words("automatic", "自动"), "auto"), (Words("plane", "平面"), "plane"),
               (Words("cylinder", "柱面"), "cylinder"), (Words("sphere", "球面"), "sphere")]
JOINS = [(Words("multiband", "多频段融合"), "multiband"), (Words("feather", "羽化"), "feather"),
         (Words("the case's network", "案例的网络"), "network")]


class Network(NamedTuple):
    """A case's network: its paper's name, load() -> (model, device), and its way to join photographs."""
    name: Words
    load: object
    blend: object                               # (model, device) -> a blend of stitch.Settings


def offer(network):
    """The Offer of a Network in the common tab."""
    return Offer(TITLE, build, [network])


def build(page, networks):
    """The tab of these Networks."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen = page.put(gr.File, label=Words("2 to 20 photographs (drop them here)", "2 至 20 幅照片（可拖放）"),
                              file_count="multiple", height=170, elem_classes="upload")
            example = page.put(gr.Radio, choices=EXAMPLES, value="skyline",
                               label=Words("or an example", "或选一个示例"))
            network = page.put(gr.Radio, choices=[(each.name, place) for place, each in enumerate(networks)], value=0,
                               label=Words("Network", "网络"))
            method = page.put(gr.Radio, choices=METHODS, value="auto",
                              label=Words("Who finds the homographies", "由谁估计单应性"))
            projection = page.put(gr.Radio, choices=PROJECTIONS, value="auto", label=Words("Projection", "投影"))
            join = page.put(gr.Radio, choices=JOINS, value="multiband",
                            label=Words("How they are joined", "合成方式"))
            button, stop, status = put_buttons(page, Words("Stitch", "拼接"), lines=2)
        with gr.Column(scale=3):
            panorama = page.put(gr.Image, label=Words("Panorama", "全景图"), type="filepath", interactive=False)
            left = page.put(gr.Dataframe, label=Words("What became of each photograph", "每幅照片的结果"),
                            headers=["文件 file", "结果 status", "原因 reason"], interactive=False, wrap=True)
            steps = page.put(gr.Gallery, label=Words("Matches; warps, masks and differences of the pairs",
                                                     "各图像对的匹配，以及变形、掩膜与差异"),
                             columns=4, interactive=False)
            whole = page.put(gr.File, label=Words("The panorama in full size", "原尺寸全景图"), interactive=False)
    page.work(button, stop, partial(make, networks), [chosen, example, network, method, projection, join],
              [status, panorama, left, steps, whole], lambda kind, shown: shown)


def make(networks, report, folder, uploads, example, place, method, projection, join):
    """(a line, (panorama, table, pictures of the steps, the whole file)) of photographs, as files in folder."""
    paths = [Path(path) for path in uploads] if uploads else photographs(example)
    expect(paths)
    model, device = networks[place].load()
    blend = networks[place].blend(model, device) if join == "network" else join
    made = stitch(paths, estimator(method, model, device), Settings(projection=projection, blend=blend), folder)
    table = [[photo.name, photo.status, photo.reason or ""] for photo in made.photos]
    steps = [(str(path), path.stem) for path in sorted((folder / "debug").glob("*.jpg"))]
    shown = keep(folder, "shown", read_pixels(folder / "panorama.png"))
    used = sum(photo.status == "stitched" for photo in made.photos)
    return f"{used} of {len(paths)} photographs", (shown, table, steps, str(folder / "panorama.png"))


def photographs(example):
    """The files of an example, in order."""
    return sorted((EMBEDDED / "panoramas").glob(f"{example}_*.jpg"))


def expect(paths):
    """UserError for too few, too many or too large photographs."""
    if not LEAST <= len(paths) <= MOST:
        raise UserError(f"{len(paths)} photographs: {LEAST} to {MOST} were expected: give others")
    sizes = [picture_size(path) or (0, 0) for path in paths]
    pixels = sum(height * width for height, width in sizes)
    if pixels > PIXELS:
        raise UserError(f"the photographs have {pixels / 1e6:.0f} million pixels together: at most {PIXELS / 1e6:.0f} "
                        "million were expected: scale them down, or give fewer")
