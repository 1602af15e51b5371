"""A folder of photographs -> a panorama, and a reason where it cannot be done.

    layout = register(images, estimate, order="auto")        # who overlaps whom, homographies, who is left out
    panorama, surface = join_photos(images, layout)          # exposure, seams, blending
    stitch(paths, estimate, settings, out)                   # all of it with files

`estimate(a, b) -> Estimate` (common/stitching/keypoints.py) is handed in: a network, keypoints, a choice among them;
nothing here knows which. It sees pictures of at most 800 pixels; the photographs are joined at full size.
"""
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.base.errors import Negative, UserError, join_some
from common.data.images import read_pixels
from common.stitching.compose import (
    SEAM_PIXELS,
    blend,
    choose_surface,
    compensate,
    largest_rectangle,
    seams,
    smaller,
    warp_photo,
)
from common.stitching.register import register
from common.stitching.written import write_debug, write_picture, write_report


class Settings(NamedTuple):
    """How a panorama is made; the values' meaning stands in configs/view_free_stitch.yaml."""
    order: str = "auto"
    projection: str = "auto"
    exposure: str = "blocks"
    seam: str = "graphcut"
    blend: object = "multiband"    # multiband | feather | a function that makes a Panorama of the Pieces
    crop: bool = True
    debug: bool = True


def join_photos(images, layout, settings=Settings()):
    """(Panorama, surface) of a Layout: warp onto a surface, compensate the exposure, seek seams, blend."""
    places = list(layout.homographies)
    sizes = [images[place].shape[1::-1] for place in places]
    homographies = [layout.homographies[place] for place in places]
    surface, boxes = choose_surface(homographies, sizes, places.index(layout.reference), settings.projection)
    pieces = [warp_photo(images[place], H, surface, bounds) for place, H, bounds in zip(places, homographies, boxes)]
    scale = min(1.0, float(np.sqrt(SEAM_PIXELS * len(pieces) / sum(piece.mask.size for piece in pieces))))
    small = smaller(pieces, scale)
    compensate(pieces, small, settings.exposure)
    if callable(settings.blend):
        return settings.blend(pieces), surface
    return blend(pieces, small, seams(small, settings.seam), settings.blend), surface


def stitch(paths, estimate, settings=Settings(), out=None):
    """Stitch files into out/: panorama.png, panorama_full.png, homographies.json, debug/. Returns the Layout.

    An unreadable file is left out with its reason. Raises Negative, and writes nothing, where there is no panorama.
    """
    out, images, kept, status = Path(out), [], [], {}
    for path in paths:
        try:
            images.append(read_pixels(path))
            kept.append(Path(path))
        except UserError as problem:
            status[str(path)] = str(problem)
    if not images:
        raise UserError(join_some(status.values()))
    if len(images) < 2:
        more = f"; {join_some(status.values())}" if status else ""
        raise Negative(f"one photograph is no panorama: {kept[0]}: at least two that overlap were expected: give "
                       f"more{more}")
    names = [path.name for path in kept]
    layout = register(images, estimate, settings.order, names)
    result, surface = join_photos(images, layout, settings)
    write_picture(out / "panorama.png", crop_panorama(result) if settings.crop else result.image)
    write_picture(out / "panorama_full.png", np.dstack([result.image, result.mask]))
    write_report(out / "homographies.json", kept, images, layout, result, surface, status)
    if settings.debug:
        write_debug(out / "debug", images, layout, names)
    return layout


def crop_panorama(result):
    """The largest rectangle of a Panorama that is picture everywhere."""
    left, top, width, height = largest_rectangle(result.mask)
    return result.image[top:top + height, left:left + width]
