"""The pictures of the page: make figures FOR=readme CASE=image_prior. Nothing is released: small fits are made anew."""
from functools import partial
from types import SimpleNamespace

import numpy as np

from cases.image_prior import figures as drawings
from cases.image_prior.baselines import biharmonic, telea
from cases.image_prior.data import blend, draw_mark, fit_square
from cases.image_prior.unblend import unblend_estimated
from common.data.samples import photograph
from common.experiment import figures, settings
from common.metrics import psnr_mask


def draw_answers():
    """Two photographs under half-transparent text, filled in and un-blended; PSNR in the mask. The prior: one fit."""
    lines, labels = [], []
    words = settings.resolve("image_prior", ["figures.steps=600"]).config
    run = SimpleNamespace(config=words, device="cpu")
    for number, name in enumerate(("photos/coffee.jpg", "photos/chelsea_cat.jpg")):
        true, coverage = fit_square(photograph(name), 256), draw_mark((256, 256), number + 2)
        given, mask = blend(true, 0.6 * coverage, np.full(3, 255.0)), coverage > 0
        [undone], _ = unblend_estimated([given], mask)
        fitted = drawings.fit_small(run, given, mask, name, held_out=words.train.held_out)[0]
        filled = np.where(mask[..., None], fitted, given)
        shown = [given, telea(given, mask), biharmonic(given, mask), filled, undone]
        lines.append([*shown, true])
        labels.append([f"{psnr_mask(picture, true, mask):.2f} dB" for picture in shown] + [""])
    return figures.grid(lines, ["given", "Telea", "biharmonic", "prior", "un-blended, alpha estimated", "true"], labels)


def draw_cover():
    """A marked photograph, on its right half un-blended."""
    true, coverage = fit_square(photograph("photos/coffee.jpg"), 256), draw_mark((256, 256), 2)
    given = blend(true, 0.6 * coverage, np.full(3, 255.0))
    return figures.cover(given, unblend_estimated([given], coverage > 0)[0][0])


def draw_small(draw, steps, side):
    """A figure of figures.py that makes fits of its own, in so many steps at so many pixels."""
    words = [f"figures.steps={steps}", f"figures.size={side}"]
    return figures.figure_of(draw, SimpleNamespace(config=settings.resolve("image_prior", words).config, device="cpu"))


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_answers,
            "learnt_first.jpg": partial(draw_small, drawings.draw_learnt_first, 120, 64),
            "tasks.jpg": partial(draw_small, drawings.draw_tasks, 250, 96)}
