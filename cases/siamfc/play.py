"""Tracking in the playground: a box drawn on the first frame; SiamFC beside KLT, MOSSE and MIL."""
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import cv2
import gradio as gr
import numpy as np

from cases.siamfc.baselines.classical import KLT, MOSSE
from cases.siamfc.baselines.trackers import tracker_of
from cases.siamfc.drawing.boxes import label, outline
from cases.siamfc.drawing.targets import even_size
from cases.siamfc.extras.own_video import Frames, read_box
from cases.siamfc.tracker import check_box, load
from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.base.progress import watch
from common.data.video import writing
from common.experiment import figures, settings
from common.play.page import Offer, Words
from common.play.pictures import keep, put_buttons
from common.play.work import line_of

CLIPS = EMBEDDED / "clips"
EXAMPLES = [(Words("car from above", "俯拍的汽车"), "car"), (Words("someone who leaves", "走出画面的人"), "person"),
            (Words("carton", "纸盒"), "juice_box")]
MOST_FRAMES, MOST_SIDE = 600, 1920      # of a video
MAPS, LIVE = 8, 5                       # response maps that are kept; frames between two that are shown


class MIL:
    """OpenCV's tracker by multiple instance learning, with init and update as the others have them."""

    def init(self, image, box):
        x, y, w, h = np.round(np.subtract(box, (1, 1, 0, 0))).astype(int).tolist()
        self.tracker, self.last = cv2.TrackerMIL.create(), np.array(box, dtype=np.float64)
        self.tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (x, y, max(1, w), max(1, h)))

    def update(self, image):
        found, (x, y, w, h) = self.tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found:
            self.last = np.array([x + 1.0, y + 1.0, w, h])
        return self.last


OTHERS = {"klt": KLT, "mosse": MOSSE, "mil": MIL}


def offer():
    return Offer(Words("Tracking", "目标跟踪"), build)


def build(page, parts):
    """The tab."""
    first, clicks = gr.State(None), gr.State([])
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen = page.put(gr.File, label=Words("A video (drop it here)", "视频（可拖放）"), height=170,
                              elem_classes="upload")
            example = page.put(gr.Radio, choices=EXAMPLES, value=None, label=Words("or an example", "或选一个示例"))
            box = page.put(gr.Textbox, label=Words("Box x, y, width, height", "边界框：x、y、宽、高"),
                           info=Words("or click two opposite corners in the first frame", "或在第一帧上点击两个对角"))
            others = page.put(gr.CheckboxGroup, choices=[(name.upper(), name) for name in OTHERS], value=["klt"],
                              label=Words("Beside SiamFC", "与 SiamFC 对照"))
            button, stop, status = put_buttons(page, Words("Track", "跟踪"), lines=2)
        with gr.Column(scale=3):
            picture = page.put(gr.Image, label=Words("Frame", "画面"), type="numpy", interactive=False, format="jpeg")
            film = page.put(gr.Video, label=Words("The video", "视频"), interactive=False, height=360)
            maps = page.put(gr.Gallery, label=Words("Response map over time", "响应图随时间的变化"), columns=MAPS,
                            interactive=False)
            curve = page.put(gr.Image, label=Words("Confidence", "置信度"), type="filepath", interactive=False)
    for source in (chosen, example):
        source.change(page.telling(show_first), [chosen, example], [status, picture, box, first, clicks],
                      show_progress="hidden")
    picture.select(click, [first, clicks], [picture, box, clicks], show_progress="hidden")
    page.work(button, stop, follow, [chosen, example, box, others], [status, picture, film, maps, curve], show)


def show(kind, value):
    """The outputs for a frame in between, or for the result."""
    return [value, *[gr.skip()] * 3] if kind == "partial" else value


def source_of(chosen, example):
    """The video or the folder of frames. UserError where nothing was chosen."""
    if not chosen and not example:
        raise UserError("no video: one was expected: drop one, or choose an example")
    return Path(chosen) if chosen else CLIPS / example / "img"


def show_first(chosen, example):
    """(status, first frame with its box, the box as text, the frame, no clicks) of what was chosen."""
    if not chosen and not example:
        return "", None, "", None, []
    try:
        source = source_of(chosen, example)
        _, frame = next(iter(Frames(source)), (0, None))
        expect_frame(source, frame)
    except UserError as problem:
        return line_of(problem), None, "", None, []
    known = source.parent / "first_box.txt"
    box = known.read_text(encoding="utf-8").strip() if example and not chosen else ""
    drawn = frame.copy()
    if box:
        outline(drawn, read_box(box), "siamfc")
    return "", drawn, box, frame, []


def expect_frame(source, frame):
    """UserError for a video without a frame, or with too large ones."""
    if frame is None:
        raise UserError(f"no frame could be decoded: {source.name}: a video was expected: convert it to mp4 (H.264)")
    if max(frame.shape[:2]) > MOST_SIDE:
        raise UserError(f"the frames are too large ({frame.shape[1]} x {frame.shape[0]} pixels): {source.name}: at "
                        f"most {MOST_SIDE} a side were expected: scale the video down")


def click(event: gr.SelectData, first, clicks):
    """(the frame with what is drawn so far, the box as text, the clicks) after one more click; two make a box."""
    if first is None:
        return gr.skip(), gr.skip(), []
    clicks = [*clicks, event.index][-2:] if len(clicks) < 2 else [event.index]
    drawn, text = first.copy(), ""
    cv2.circle(drawn, clicks[0], 3, (213, 94, 0), -1)
    if len(clicks) == 2:
        (x, y), (u, v) = np.sort(clicks, axis=0).tolist()
        text = f"{x + 1}, {y + 1}, {max(1, u - x)}, {max(1, v - y)}"
        outline(drawn, read_box(text), "siamfc")
    return drawn, text, clicks


@cache
def network():
    return load("release")


def release_tracker():
    """A SiamFCTracker with the settings of test.py."""
    return tracker_of(SimpleNamespace(config=settings.resolve("siamfc", []).config, device="cpu"), network())


def follow(report, folder, chosen, example, text, others):
    """(a line, (last frame, video, response maps, curve)) of a target's way through a video."""
    source = source_of(chosen, example)
    frames = Frames(source)
    images = iter(frames)
    _, first = next(images, (0, None))
    expect_frame(source, first)
    if not text.strip():
        raise UserError("no target: a box was expected: click two opposite corners in the first frame")
    box = check_box(read_box(text.replace("，", ",").replace("、", ",")), first.shape)
    trackers = {name: OTHERS[name]() for name in others} | {"siamfc": release_tracker()}
    for tracker in trackers.values():
        tracker.init(first, box)
    siamfc, confidences, maps, drawn = trackers["siamfc"], [1.0], [], first
    count = min(frames.count or MOST_FRAMES, MOST_FRAMES)
    film = folder / "tracked.webm"                                             # which browsers play
    with writing(film, frames.rate, even_size(first)) as write:
        write(draw(first, dict.fromkeys(trackers, box), 1.0))
        for number, image in watch(islice(images, count - 1), "frame", count=count - 1):
            boxes = {name: tracker.update(image) for name, tracker in trackers.items()}
            confidences.append(siamfc.confidence)
            drawn = draw(image, boxes, siamfc.confidence)
            write(drawn)
            if siamfc.found and (number - 2) % -(-count // MAPS) == 0:
                maps.append((keep(folder, f"map{number}", heat(siamfc.found.fine)), f"{number}: {confidences[-1]:.2f}"))
            if number % LIVE == 0:
                report(drawn)
    lost = sum(value < siamfc.calibration.below for value in confidences)
    return (f"{len(confidences)} frames, lost in {lost}",
            (drawn, str(film), maps, plot(folder, confidences, siamfc.calibration.below)))


def draw(image, boxes, confidence):
    """A frame with everyone's box in the colours of the figures."""
    drawn = image.copy()
    for name, box in boxes.items():
        outline(drawn, box, name)
        label(drawn, f"siamfc {confidence:.2f}" if name == "siamfc" else name, (box[0] - 1, box[1] - 4), name)
    return drawn


def heat(response):
    """A response map in colours, uint8 (h, w, 3)."""
    scaled = (255 * (response - response.min()) / max(np.ptp(response), 1e-12)).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def plot(folder, confidences, below):
    """The file of the curve of the confidence."""
    figure, axes = figures.new_figure(9, 2.2)
    axes[0, 0].plot(range(1, len(confidences) + 1), confidences)
    axes[0, 0].axhline(below, linestyle="--", color=figures.COLOURS[7])
    axes[0, 0].set_ylim(0, 1.05)
    axes[0, 0].set_xlabel("frame")
    axes[0, 0].set_ylabel("confidence")
    path = folder / "confidence.png"
    figure.savefig(path, dpi=figures.DPI)
    return str(path)
