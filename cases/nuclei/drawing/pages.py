"""The pictures of the page, with the release weights: make figures FOR=readme CASE=nuclei"""
import numpy as np

from cases.nuclei import figures as drawings
from cases.nuclei.data import test_pictures
from cases.nuclei.label_files import outline
from cases.nuclei.model import Nuclei
from cases.nuclei.segment import best
from common.base.paths import EMBEDDED
from common.experiment import figures
from common.experiment.run import released

SHOWN = "f73e37957c74", "245b99587837"                     # of the split `test`, those with most touching nuclei


def pictures():
    """The Pictures of SHOWN."""
    by_name = {picture.name: picture for picture in test_pictures(EMBEDDED / "nuclei")}
    return [by_name[name] for name in SHOWN]


def draw_result():
    """Both pictures, made brighter: as they are, what the release weights find in them, and the truth."""
    run, model = released("nuclei", Nuclei, "release")
    grid, captions = [], []
    for picture in pictures():
        gray, true, _, found = drawings.answers(run, model, picture)
        grid.append([gray**0.5, outline(gray**0.5, best(found)), outline(gray**0.5, true)])
        captions.append(["", f"{best(found).max()} nuclei", f"{true.max()} nuclei"])
    return figures.grid(grid, ["picture", "network, single nuclei", "true"], captions)


def draw_steps():
    """From the picture to single nuclei, step by step."""
    return figures.figure_of(drawings.draw_steps, *released("nuclei", Nuclei, "release"), pictures()[0])


def draw_touching():
    """The windows in which most nuclei touch, by three methods beside the truth."""
    return figures.figure_of(drawings.draw_touching, *released("nuclei", Nuclei, "release"), pictures())


def draw_attention():
    """What the gates of the R2AtU-Net let through."""
    run, model = released("nuclei", Nuclei, "release-r2atunet")
    return figures.figure_of(drawings.draw_attention, run, {"r2atunet": model}, pictures()[0])


def draw_cover():
    """A test picture, on its right half the outlines of what the release weights find."""
    run, model = released("nuclei", Nuclei, "release")
    gray, _, _, found = drawings.answers(run, model, pictures()[0])
    shown = gray**0.5                                         # brighter, so that dim nuclei are seen in print
    return figures.cover(outline(shown, np.zeros_like(best(found))), outline(shown, best(found)))


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_result, "steps.jpg": draw_steps, "touching.jpg": draw_touching,
            "attention.jpg": draw_attention}
