"""What a panorama is drawn on: plane, cylinder or sphere; which of them, and how large.

A surface turns its points into points of a frame and back: the plane's frame is the reference photograph (homogeneous
pixels), that of cylinder and sphere the world's rays. A view (Flat, cameras.Camera) says where a photograph sees a
frame's point: see(points) -> x, y, in front; cast(x, y) -> points.
"""
from typing import Any, NamedTuple

import numpy as np

from common.base.errors import Negative
from common.stitching.cameras import straighten, turn_sideways

OF_INPUTS = 4                      # a canvas has at most so many times the photographs' pixels: else something is wrong
ENLARGED = 2.0                     # a surface enlarges at most so much: 51 degrees from a plane's middle
BINS = 720                         # of longitude, half a degree each


class Flat(NamedTuple):
    """A photograph in the reference's plane, by its homography to it."""
    H: np.ndarray

    def see(self, points):
        u, v, w = np.tensordot(np.linalg.inv(self.H), points, axes=1)
        front = w > 1e-9
        safe = np.where(front, w, 1)
        return u / safe, v / safe, front

    def cast(self, x, y):
        return self.H @ np.stack([x, y, np.ones_like(x)])


class Bent(NamedTuple):
    """A photograph in the reference's plane by a mesh (mesh.py), found on smaller copies of both."""
    flat: Flat
    mesh: Any
    scale_a: tuple                 # of the reference's copy, (x, y)
    scale_b: tuple                 # of the photograph's

    def see(self, points):
        w = np.where(points[2] > 1e-9, points[2], np.nan)
        x, y = ((points[axis] / w + 0.5) * self.scale_a[axis] - 0.5 for axis in range(2))
        u, v = self.mesh.read(x, y)
        front = np.isfinite(u) & np.isfinite(v)
        u, v = ((np.where(front, each, 0) + 0.5) / scale - 0.5 for each, scale in zip((u, v), self.scale_b))
        return u, v, front

    def cast(self, x, y):
        return self.flat.cast(x, y)


class Plane:
    """The reference's image plane: straight lines stay straight; sides are stretched, without end at 180 degrees."""
    name = "plane"

    def __init__(self, scale=1.0):
        self.scale = scale

    def to_frame(self, x, y):
        """Homogeneous points (3, ...) of the reference's frame that surface points (x, y) show."""
        return np.stack([(x + 0.5) / self.scale - 0.5, (y + 0.5) / self.scale - 0.5, np.ones_like(x)])

    def to_surface(self, x, y, w):
        """Surface points of homogeneous points of the reference's frame, and whether they have one."""
        there = w > 0.05 * np.abs(w).max()
        safe = np.where(there, w, 1)
        return (x / safe + 0.5) * self.scale - 0.5, (y / safe + 0.5) * self.scale - 0.5, there


class Cylinder:
    """A cylinder round the camera, its axis upright: for wide panoramas. radius: pixels; x = 0 is straight ahead."""
    name = "cylinder"

    def __init__(self, radius):
        self.radius = radius

    def to_frame(self, x, y):
        angle = x / self.radius
        return np.stack([np.sin(angle), y / self.radius, np.cos(angle)])

    def to_surface(self, x, y, z):
        reach = np.maximum(np.hypot(x, z), 1e-12)
        return self.radius * np.arctan2(x, z), self.radius * y / reach, reach > 0.1 * np.abs(y)


class Sphere:
    """A sphere round the camera by longitude and latitude: for sets that are high as well."""
    name = "sphere"

    def __init__(self, radius):
        self.radius = radius

    def to_frame(self, x, y):
        longitude, latitude = x / self.radius, y / self.radius
        return np.stack([np.sin(longitude) * np.cos(latitude), np.sin(latitude),
                         np.cos(longitude) * np.cos(latitude)])

    def to_surface(self, x, y, z):
        reach = np.hypot(x, z)
        return self.radius * np.arctan2(x, z), self.radius * np.arctan2(y, reach), np.hypot(y, reach) > 0


class Placed(NamedTuple):
    """A part of a photograph on the surface: nearly always all of it; one that the ends of a full circle cut has two.
    """
    place: int
    view: Any
    bounds: tuple                  # left, top, right, bottom, whole numbers


class Surface(NamedTuple):
    """What was chosen, and why in one line."""
    shape: Any                     # Plane | Cylinder | Sphere
    parts: list                    # of Placed
    why: str
    scale: float = 1.0             # of the canvas, below 1 where the limit made it smaller
    angles: tuple | None = None    # width and height of the set in degrees
    fitted: Any = None             # cameras.Fitted, None where none was asked for


def outline(size, steps=24):
    """Points along the border of a picture and its middle: (n,) x and y."""
    width, height = size
    along = np.linspace(0, 1, steps)
    x = np.concatenate([along, along, 0 * along, 0 * along + 1, [0.5]]) * (width - 1)
    y = np.concatenate([0 * along, 0 * along + 1, along, along, [0.5]]) * (height - 1)
    return x, y


def box(shape, view, size):
    """(left, top, right, bottom), whole numbers, of a picture on the surface; None where a part of it is not there.

    On cylinder and sphere right may pass half a turn: a picture is one piece.
    """
    u, v, there = shape.to_surface(*view.cast(*outline(size)))
    if not there.all() or not np.isfinite([u, v]).all():
        return None
    if not isinstance(shape, Plane):
        turn = 2 * np.pi * shape.radius
        u = u[-1] + (u - u[-1] + turn / 2) % turn - turn / 2            # round the picture's middle
    return (int(np.floor(u.min() + 1e-6)), int(np.floor(v.min() + 1e-6)),
            int(np.ceil(u.max() - 1e-6)), int(np.ceil(v.max() - 1e-6)))


def area(boxes):
    """Pixels of the canvas that holds all boxes; inf where one is missing."""
    if any(each is None for each in boxes):
        return np.inf
    left, top, right, bottom = (function(column) for function, column in zip((min, min, max, max), zip(*boxes)))
    return float(right - left + 1) * float(bottom - top + 1)


def choose_surface(homographies, sizes, reference, fitted, projection="auto", limit=100e6):
    """The Surface for photographs. homographies: {place: H (3, 3) to the reference}; sizes: of all photographs.

    fitted: a function that finds the cameras (cameras.Fitted), asked where the choice or the surface needs them. auto:
    the plane while it enlarges nothing more than twice, then the cylinder, the sphere where the set is high as well; a
    set that no turning camera explains stays flat while a plane holds it. A canvas above `limit` pixels is made
    smaller. Raises Negative where the chosen surface does not hold them.
    """
    views = {place: Flat(H) for place, H in homographies.items()}
    allowed = OF_INPUTS * sum(np.prod(sizes[place]) for place in homographies)
    flat = area([box(Plane(), views[place], sizes[place]) for place in homographies])
    if projection == "plane":
        if flat > allowed:
            raise Negative(f"a flat canvas would have {flat / 1e6:.3g} million pixels, at most {allowed / 1e6:.3g} "
                           "were expected: the photographs turn too far for a plane: use test.projection=cylinder, or "
                           "fewer of them")
        return lay_flat(views, sizes, flat, limit, "plane: as told")
    found = fitted()
    width, height, stretch = extents(found.cameras, sizes, reference)
    seen = f"the photographs span {width:.0f} x {height:.0f} degrees"
    if projection == "auto" and flat <= allowed and not (found.fits and stretch > ENLARGED):
        why = f"plane: {seen}" if found.fits else ("plane: no turning camera explains the photographs (matches are "
                                                   f"{found.error:.1f} thousandths of a side off)")
        return lay_flat(views, sizes, flat, limit, why, (width, height), found)
    name = projection if projection != "auto" else "sphere" if upright_stretch(found.cameras, sizes) else "cylinder"
    ends = f"a plane would enlarge the ends {stretch:.1f} times" if np.isfinite(stretch) else "no plane holds them"
    told = "as told" if projection != "auto" else ends
    return lay_round(name, found, sizes, reference, allowed, limit, f"{name}: {seen}, {told}", (width, height))


def lay_flat(views, sizes, pixels, limit, why, angles=None, fitted=None):
    """The Surface of a plane."""
    shape = Plane(scale_for(pixels, limit))
    parts = [Placed(place, view, box(shape, view, sizes[place])) for place, view in views.items()]
    return Surface(shape, parts, why + smaller_words(shape.scale), shape.scale, angles, fitted)


def lay_round(name, found, sizes, reference, allowed, limit, why, angles):
    """The Surface of a cylinder or sphere, upright, its middle that of the set; a full circle is cut opposite."""
    cameras = straighten(found.cameras)
    middle, closed = middle_longitude(cameras, sizes, reference)
    cameras = turn_sideways(cameras, middle)
    radius, shape_of = cameras[reference].focal, {"cylinder": Cylinder, "sphere": Sphere}[name]
    boxes = [box(shape_of(radius), camera, sizes[place]) for place, camera in cameras.items()]
    pixels = area(boxes)
    if closed and np.isfinite(pixels):
        pixels = 2 * np.pi * radius * (max(each[3] for each in boxes) - min(each[1] for each in boxes) + 1)
    if pixels > allowed:
        raise Negative(f"the canvas would have {pixels / 1e6:.3g} million pixels even on a {name}, at most "
                       f"{allowed / 1e6:.3g} were expected: a homography is far off, or the photographs look too "
                       "steeply up or down: use fewer of them"
                       + (", or test.projection=sphere" if name == "cylinder" else ""))
    scale = scale_for(pixels, limit)
    radius *= scale
    if closed:
        radius = round(2 * np.pi * radius) / (2 * np.pi)                # whole pixels round
    shape, turn, parts = shape_of(radius), round(2 * np.pi * radius), []
    for place, camera in cameras.items():
        bounds = box(shape, camera, sizes[place])
        parts += [Placed(place, camera, each) for each in (cut(bounds, turn) if closed else [bounds])]
    return Surface(shape, parts, why + smaller_words(scale), scale, angles, found._replace(cameras=cameras))


def scale_for(pixels, limit):
    """The scale at which a canvas has at most `limit` pixels, with a little room for whole ones; 1 where it has."""
    return 1.0 if pixels <= limit else (0.998 * limit / pixels) ** 0.5


def cut(bounds, turn):
    """A box as one or two inside the canvas from -turn // 2 to -turn // 2 + turn - 1."""
    left, top, right, bottom = bounds
    first, last = -(turn // 2), -(turn // 2) + turn - 1
    if left < first:
        return [(left + turn, top, last, bottom), (first, top, right, bottom)]
    if right > last:
        return [(left, top, last, bottom), (first, top, right - turn, bottom)]
    return [bounds]


def smaller_words(scale):
    """What is said of a canvas that the limit made smaller."""
    return "" if scale == 1.0 else f"; composed at {100 * scale:.0f} % of the size, for test.limit"


def directions(camera, size):
    """(longitude, latitude) in radians of a picture's outline; its middle comes last."""
    x, y, z = camera.cast(*outline(size))
    return np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))


def occupied(cameras, sizes):
    """(BINS,) bool: which longitudes some photograph shows, from -180 degrees on."""
    seen = np.zeros(BINS, bool)
    for place, camera in cameras.items():
        longitude, _ = directions(camera, sizes[place])
        around = longitude[-1] + (longitude - longitude[-1] + np.pi) % (2 * np.pi) - np.pi
        first, last = (np.floor((end + np.pi) / (2 * np.pi) * BINS).astype(int) for end in (around.min(), around.max()))
        seen[np.arange(first, last + 1) % BINS] = True
    return seen


def middle_longitude(cameras, sizes, reference):
    """(the longitude in radians of the middle of what is shown, whether that is the full circle).

    Of a full circle: opposite the photograph that looks most nearly away from the reference, whose middle is then cut.
    """
    seen = occupied(cameras, sizes)
    if seen.all():
        ahead = {place: directions(camera, sizes[place])[0][-1] for place, camera in cameras.items()}
        away = max(ahead, key=lambda place: abs((ahead[place] - ahead[reference] + np.pi) % (2 * np.pi) - np.pi))
        return ahead[away] + np.pi, True
    gaps = np.flatnonzero(seen)
    lengths = np.diff(np.append(gaps, gaps[0] + BINS))
    after = gaps[lengths.argmax()]                                      # the last bin before the widest gap
    begin = gaps[(lengths.argmax() + 1) % len(gaps)]
    if begin > after:
        after += BINS
    return ((begin + after + 1) / 2 / BINS) * 2 * np.pi - np.pi, False


def extents(cameras, sizes, reference):
    """(width, height in degrees of what is shown upright, how much a plane through the reference enlarges at most).

    A plane enlarges by 1 / cos^1.5 at an angle from its middle (the root of the area's); inf at 90 degrees and beyond.
    """
    upright = straighten(cameras)
    latitudes = np.concatenate([directions(camera, sizes[place])[1] for place, camera in upright.items()])
    ahead = cameras[reference].rotation[:, 2]
    least = min((ahead @ camera.cast(*outline(sizes[place]))).min() for place, camera in cameras.items())
    return (360 * occupied(upright, sizes).mean(), float(np.degrees(np.ptp(latitudes))),
            least ** -1.5 if least > 0.05 else np.inf)


def upright_stretch(cameras, sizes):
    """Whether a cylinder would enlarge the top or bottom of what is shown too much."""
    return max(np.abs(directions(camera, sizes[place])[1]).max()
               for place, camera in straighten(cameras).items()) > np.arccos(ENLARGED ** (-2 / 3))
