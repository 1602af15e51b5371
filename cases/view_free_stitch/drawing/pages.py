"""The pictures of the page, with the release weights: make figures FOR=readme CASE=view_free_stitch"""
import textwrap
from functools import cache, partial

import torch

from cases.view_free_stitch import figures as drawings
from cases.view_free_stitch.model import SIDE, ViewFreeStitch
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels
from common.data.samples import photograph
from common.experiment import figures
from common.experiment.run import released
from common.stitching.estimators import estimator, network_estimate
from common.stitching.pairs import at_most, draw_pairs, make_pair, read_squashed
from common.stitching.register import doubt, register
from common.stitching.stitch import crop_panorama, join_photos

PLACE = 1                               # of the example among the pairs cut from datasets/embedded/photos


def network():
    """(what figures.py asks of a run, the network)."""
    return released("view_free_stitch", ViewFreeStitch)


def drawn_pairs():
    return draw_pairs(list_images(EMBEDDED / "photos"), 5, 0)


@cache
def panorama(name):
    """(the picture, its title) of a set of photographs as `test.py --input` joins them, without gaps."""
    run, model = network()
    paths = sorted((EMBEDDED / "panoramas").glob(f"{name}_*.jpg"))
    photographs = [read_pixels(path) for path in paths]
    layout = register(photographs, estimator(run.config.test.method, model, run.device), order="given")
    made, surface = join_photos(photographs, layout)
    return crop_panorama(made), f"{name}: {len(layout.homographies)} of {len(paths)} photographs, {surface.shape.name}"


def draw_panorama(name):
    """A panorama under its title."""
    picture, title = panorama(name)
    return figures.grid([[picture]], [title], width=8)


def draw_cover():
    return figures.cover(panorama("berlin")[0])


def draw_pipeline():
    """B3.1 with pictures: from a pair to the revised stitch."""
    return figures.figure_of(drawings.draw_pipeline, *network(), drawn_pairs().pair(PLACE))


def draw_matches():
    """The sure matches of the coarse stage."""
    return figures.figure_of(drawings.draw_matches, *network(), drawn_pairs().pair(PLACE))


def draw_generator():
    """B3.2: how a pair is made."""
    return figures.figure_of(drawings.draw_generator, drawn_pairs(), PLACE)


def draw_parallax():
    """A stereo pair: what no homography aligns."""
    pair = tuple(at_most(photograph(f"motorcycle_{side}.png"), 480) for side in ("left", "right"))
    return figures.figure_of(drawings.draw_parallax, pair)


@torch.inference_mode()
def draw_failure():
    """The error over the shift of B, and two pictures that have nothing in common."""
    run, model = network()
    photo, errors = read_squashed(EMBEDDED / "photos" / "china.jpg"), []
    shifts = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    for shift in shifts:
        far = make_pair(photo, (shift, 0), [[0, 0]] * 4, label=False).tensors()
        offsets = model(far.a[None].to(run.device), far.b[None].to(run.device)).offsets[0].cpu()
        errors.append((offsets - far.offsets).view(4, 2).norm(dim=1).mean().item())
    strangers = [read_pixels(EMBEDDED / "photos" / f"{name}.jpg") for name in ("china", "coffee")]
    reason = doubt(*strangers, network_estimate(model, *strangers, run.device)).reason
    figure, axes = figures.new_figure(8, 2.4, 1, 3, width_ratios=[1.3, 1, 1])
    axes[0, 0].plot(shifts, errors, marker="o")
    axes[0, 0].axvline(SIDE / 2, ls="--", color=figures.COLOURS[7])
    axes[0, 0].set(xlabel=f"shift (px of {SIDE}); dashed: training ends", ylabel="mean corner error (px)")
    for axis, picture, title in zip(axes[0, 1:], strangers, ("refused:", textwrap.fill(reason, 34))):
        axis.imshow(picture)
        axis.axis("off")
        axis.set_title(title, fontsize=9, loc="left")
    return figure


PICTURES = {"cover.jpg": draw_cover, "result.jpg": partial(draw_panorama, "berlin"),
            "skyline.jpg": partial(draw_panorama, "skyline"), "front.jpg": partial(draw_panorama, "front"),
            "pipeline.jpg": draw_pipeline, "generator.jpg": draw_generator, "matches.jpg": draw_matches,
            "parallax.jpg": draw_parallax, "failure.jpg": draw_failure}
