"""The pictures of the page, with the release weights: make figures FOR=readme CASE=udis"""
from functools import partial

from cases.udis import figures as drawings
from cases.udis.drawing.classical import draw_classical
from cases.udis.model import UDIS
from common.data.images import to_bytes
from common.data.samples import photograph
from common.experiment import figures
from common.experiment.run import released
from common.stitching.pairs import at_most

FILES = {"river bank": ("panoramas/berlin_2.jpg", "panoramas/berlin_3.jpg"),
         "skyline": ("panoramas/skyline_2.jpg", "panoramas/skyline_3.jpg"),
         "roofs": ("panoramas/front_1.jpg", "panoramas/front_2.jpg"),
         "motorcycle": ("motorcycle_left.png", "motorcycle_right.png"),
         "berlin 1, 2": ("panoramas/berlin_1.jpg", "panoramas/berlin_2.jpg"),
         "skyline 1, 2": ("panoramas/skyline_1.jpg", "panoramas/skyline_2.jpg"),
         "skyline 1, 3": ("panoramas/skyline_1.jpg", "panoramas/skyline_3.jpg"),
         "roofs 1, 3": ("panoramas/front_1.jpg", "panoramas/front_3.jpg")}


class Pairs:
    """Photographed pairs as figures.py wants them: names, pair(place), classes(place)."""

    def __init__(self, *names):
        self.names = list(names)

    def __len__(self):
        return len(self.names)

    def pair(self, place):
        """Both pictures, uint8 (h, w, 3), at most 480 pixels."""
        return tuple(at_most(photograph(name), 480) for name in FILES[self.names[place]])

    def classes(self, place):
        return {}


def network():
    """(what figures.py asks of a run, the network)."""
    return released("udis", UDIS)


def draw_masks(name):
    """The four ways to join a pair, and whose the pixels are."""
    return figures.figure_of(drawings.draw_masks, *network(), Pairs(name), name)


def draw_cover():
    """The skyline joined by stage 2."""
    run, model = network()
    _, made, _ = drawings.stitch(run, model, *Pairs("skyline").pair(0))
    return figures.cover(to_bytes(made["reconstructed"].picture[0]))


def draw_pipeline():
    """B4.1: everything between two inputs and the stitched picture."""
    return figures.figure_of(drawings.draw_pipeline, *network(), Pairs("skyline"), "skyline")


def draw_scenes():
    """B4.2: one pair of each scene."""
    names = "river bank", "skyline", "motorcycle"
    return figures.figure_of(drawings.draw_examples, *network(), Pairs(*names), "", {name: name for name in names})


def draw_overlaps():
    """B4.3: from the least overlap to the most; by_overlap() measures it."""
    pairs = Pairs("skyline 1, 3", "skyline 1, 2", "berlin 1, 2")
    return figures.figure_of(drawings.draw_examples, *network(), pairs, "", drawings.by_overlap(pairs))


def draw_parallax():
    """B4.4: what the best homography leaves of the matches."""
    return figures.figure_of(drawings.draw_parallax, Pairs("skyline", "roofs", "motorcycle"))


def draw_stray():
    """A pair of too little overlap, joined by what is found all the same."""
    name = "roofs 1, 3"
    return figures.figure_of(drawings.draw_examples, *network(), Pairs(name), "", {name: name})


def draw_forms():
    """The mask form beside the paper's, on two pairs."""
    return figures.figure_of(drawings.draw_forms, *network(), Pairs("roofs", "motorcycle"))


PICTURES = {"cover.jpg": draw_cover, "result.jpg": partial(draw_masks, "river bank"), "pipeline.jpg": draw_pipeline,
            "scenes.jpg": draw_scenes,
            "overlaps.jpg": draw_overlaps, "parallax.jpg": draw_parallax, "forms.jpg": draw_forms,
            "classical.jpg": partial(figures.figure_of, draw_classical, Pairs("skyline"), "skyline"),
            "degenerate.png": partial(figures.figure_of, drawings.draw_degenerate, Pairs("river bank")),
            "failure.jpg": partial(draw_masks, "motorcycle"), "stray.jpg": draw_stray}
