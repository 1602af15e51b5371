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
import torch

from common.base.errors import Negative, UserError, join_some
from common.base.paths import tell_apart
from common.data.images import read_levels
from common.stitching.cameras import fit_cameras
from common.stitching.compose import (
    LIMIT,
    NETWORK_LIMIT,
    SEAM_PIXELS,
    blend,
    compensate,
    largest_rectangle,
    smaller,
    warp_photo,
)
from common.stitching.geometry import rescale
from common.stitching.mesh import bend
from common.stitching.register import Layout, links_of, register, working
from common.stitching.seams import seams
from common.stitching.surfaces import Bent, choose_surface
from common.stitching.written import write_debug, write_picture, write_report


class Settings(NamedTuple):
    """How a panorama is made; the values' meaning stands in configs/view_free_stitch.yaml."""
    order: str = "auto"
    projection: str = "auto"
    exposure: str = "blocks"
    seam: str = "objects"
    blend: object = "multiband"    # multiband | feather | a function that makes a Panorama of the Pieces
    crop: bool = True
    debug: bool = True
    limit: float = LIMIT           # pixels of the canvas; a larger one is composed smaller
    warp: object = "homography"    # homography | mesh | a function (a, b, H_ba) -> Mesh or None: on a plane,
    # photographs are bent to the reference in the overlap


def join_photos(images, layout, settings=Settings()):
    """(Panorama, surface) of a Layout: warp onto a surface, compensate the exposure, seek seams, blend."""
    sizes = [image.shape[1::-1] for image in images]
    most = NETWORK_LIMIT if callable(settings.blend) else settings.limit
    surface = choose_surface(layout.homographies, sizes, layout.reference,
                             lambda: fit_cameras(layout.homographies, links_of(layout), sizes, layout.reference),
                             settings.projection, min(settings.limit, most))
    if settings.warp != "homography":
        surface = bend_parts(surface, images, layout.reference, bend if settings.warp == "mesh" else settings.warp)
    pieces = [warp_photo(images[part.place], part.view, surface.shape, part.bounds, surface.scale)
              for part in surface.parts]
    scale = min(1.0, float(np.sqrt(SEAM_PIXELS * len(pieces) / sum(piece.mask.size for piece in pieces))))
    small = smaller(pieces, scale)
    compensate(pieces, small, settings.exposure)
    if callable(settings.blend):
        return settings.blend(pieces), surface
    return blend(pieces, small, seams(small, settings.seam), settings.blend), surface


def bend_parts(surface, images, reference, bend=bend):
    """The Surface with a mesh (mesh.py) for every photograph that the reference overlaps and that becomes better by it.

    Only a plane's. Their outlines stay the homographies': what a mesh pushes beyond is not shown.
    """
    if surface.shape.name != "plane":
        return surface._replace(why=f"{surface.why}; not bent: test.warp=mesh bends on a plane only")
    a, scale_a = working(images[reference])
    result = []
    for part in surface.parts:
        b, scale_b = working(images[part.place])
        H = rescale(torch.from_numpy(part.view.H)[None], scale_a, scale_b)[0].numpy()
        mesh = bend(a, b, H / H[2, 2]) if part.place != reference else None
        result.append(part._replace(view=Bent(part.view, mesh, scale_a, scale_b)) if mesh else part)
    count = sum(isinstance(part.view, Bent) for part in result)
    return surface._replace(parts=result, why=f"{surface.why}; {count} of {len(result) - 1} bent by a mesh")


class Photo(NamedTuple):
    """What became of an input."""
    name: str
    status: str                    # stitched | no new content | left out | unreadable
    reason: str | None             # why, for the last two
    place: int | None              # in the Layout; None for one that cannot be read


class Stitched(NamedTuple):
    """A panorama that was written: how its photographs lie, a Photo for every input in their order, and the choice of
    the surface in a line."""
    layout: Layout
    photos: list
    surface: str


def stitch(paths, estimate, settings=Settings(), out=None):
    """Stitch files into out/: panorama.png, panorama_full.png, homographies.json, debug/. Returns Stitched.

    An unreadable file is left out with its reason. Raises Negative, and writes nothing, where there is no panorama.
    """
    out, names = Path(out), tell_apart(paths)
    images, read, unreadable = read_photos(paths, names)
    if not images:
        raise UserError(join_some(unreadable.values()))
    try:
        if len(images) < 2:
            raise Negative(f"one photograph is no panorama: {read[0]}: at least two that overlap were expected: give "
                           "more")
        layout = register(images, estimate, settings.order, read)
        result, surface = join_photos(images, layout, settings)
    except Negative as no:
        more = f"; unreadable: {join_some(unreadable.values())}" if unreadable else ""
        raise Negative(f"{no}{more}") from None
    photos = account_for(names, unreadable, layout)
    write_picture(out / "panorama.png", crop_panorama(result) if settings.crop else result.image)
    write_picture(out / "panorama_full.png", with_alpha(result))
    write_report(out / "homographies.json", photos, images, layout, result, surface)
    if settings.debug:
        write_debug(out / "debug", images, layout, photos)
    return Stitched(layout, photos, surface.why)


def read_photos(paths, names):
    """([pixels], [name of each], {place among the paths: why it cannot be read}).

    Pixels are uint16 where any photograph has 16 bits, else uint8.
    """
    images, read, unreadable = [], [], {}
    for place, (path, name) in enumerate(zip(paths, names)):
        try:
            images.append(read_levels(path))
            read.append(name)
        except UserError as problem:
            unreadable[place] = str(problem)
    if any(image.dtype == np.uint16 for image in images):
        images = [image if image.dtype == np.uint16 else image.astype(np.uint16) * 257 for image in images]
    return images, read, unreadable


def account_for(names, unreadable, layout):
    """A Photo for every input, in their order; the Layout knows only those that could be read."""
    photos = []
    for number, name in enumerate(names):
        place = number - sum(other < number for other in unreadable)
        if number in unreadable:
            photos.append(Photo(name, "unreadable", unreadable[number], None))
        elif place in layout.left_out:
            photos.append(Photo(name, "left out", layout.left_out[place], place))
        else:
            photos.append(Photo(name, "no new content" if place in layout.same else "stitched", None, place))
    return photos


def with_alpha(result):
    """The image of a Panorama with its mask as a fourth channel, in the image's depth."""
    depth = result.image.dtype
    return np.dstack([result.image, result.mask.astype(depth) * (np.iinfo(depth).max // 255)])


def crop_panorama(result):
    """The largest rectangle of a Panorama that is picture everywhere."""
    left, top, width, height = largest_rectangle(result.mask)
    return result.image[top:top + height, left:left + width]
