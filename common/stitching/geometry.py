"""Homographies: solving, applying, scaling, warping pictures by them, canvases, and when to refuse one. Torch alone.

Convention, here and everywhere: pixel centres at integers, the centre of the top left pixel is (0, 0), x right, y down.
size = (width, height). A point is (x, y); points are (N, K, 2). H_ba maps B's coordinates to A's, p_A ~ H_ba p_B: what
cv2.warpPerspective(B, H_ba, ...) wants; (N, 3, 3) float64. The offsets of B are 8 numbers, x and y of the corners upper
left, upper right, lower left, lower right: H_ba(c) - c for the corners c = (0, 0), (W, 0), (0, H), (W, H). So the far
corner lies one pixel beyond the last centre; generator, truth and solver must all use it. A third homogeneous
coordinate w <= 0 is a point behind the camera: never in a picture.
"""
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from common.base.errors import UserError

STRICT = 0.999                    # a warped mask at least this has all four bilinear neighbours inside
NEAR_HORIZON = 0.1                # least w of a point over that of the picture's centre, seen from A; usual: over 0.5


def corners(size):
    """The four corners (0, 0), (W, 0), (0, H), (W, H) of a picture: (4, 2) float64."""
    width, height = size
    return torch.tensor([[0, 0], [width, 0], [0, height], [width, height]], dtype=torch.float64)


def transform(H, points):
    """Points (N, K, 2) through H (N, 3, 3): (N, K, 2) and w (N, K); a point whose w is not positive means nothing."""
    x, y = points.to(H.dtype).unbind(dim=-1)
    u, v, w = (H[:, row, 0, None] * x + H[:, row, 1, None] * y + H[:, row, 2, None] for row in range(3))
    return torch.stack([u / w, v / w], dim=-1), w


def solve_homography(source, target):
    """Homographies that map four points onto four others (direct linear transform): target ~ H source.

    source, target: (N, 4, 2), computed in float64. Returns (N, 3, 3) float64 with H[2, 2] = 1. Differentiable.
    ValueError when three of the source's points are collinear. Target points that no homography reaches give values
    that are not finite (see refusal).
    """
    source, target = source.double(), target.double()
    if _collinear(source).any():
        raise ValueError("three of the four source points are collinear: no homography is determined by them")
    into, (x, y) = _centre(source)
    onto, (u, v) = _centre(target)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)  # u (g x + h y + 1) = a x + b y + c
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved, failed = torch.linalg.solve_ex(torch.cat([rows_u, rows_v], dim=1), torch.cat([u, v], dim=1))
    solved = torch.where(failed[:, None] == 0, solved, torch.nan)
    H = torch.cat([solved, torch.ones_like(solved[:, :1])], dim=1).view(-1, 3, 3)
    H = torch.linalg.inv(onto) @ H @ into
    return H / H[:, 2:, 2:]


def _collinear(points):
    """Whether three of four points lie on a line, to rounding: (N,) bool."""
    twice = []
    for left_out in range(4):
        a, b, c = (points[:, place] for place in range(4) if place != left_out)
        twice.append(((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs())
    extent = (points.amax(dim=1) - points.amin(dim=1)).amax(dim=1)
    return torch.stack(twice).amin(dim=0) <= 1e-9 * extent.square()


def _centre(points):
    """The similarity (N, 3, 3) that moves points to their centroid and mean distance 1, and the moved (x, y)."""
    centre = points.detach().mean(dim=1)
    scale = 1 / (points.detach() - centre[:, None]).norm(dim=-1).mean(dim=1).clamp(min=1e-9)
    matrix = torch.zeros(len(points), 3, 3, dtype=points.dtype, device=points.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :2, 2] = -scale[:, None] * centre
    matrix[:, 2, 2] = 1
    return matrix, ((points - centre[:, None]) * scale[:, None, None]).unbind(dim=-1)


def homography_from_offsets(offsets, size):
    """H_ba (N, 3, 3) float64 from the offsets (N, 8) of B's corners, B of that size. Differentiable."""
    source = corners(size).to(offsets.device).expand(len(offsets), 4, 2)
    return solve_homography(source, source + offsets.double().view(-1, 4, 2))


def offsets_from_homography(H_ba, size):
    """The offsets (N, 8) float64 of B's corners, B of that size."""
    source = corners(size).to(H_ba.device).expand(len(H_ba), 4, 2)
    return (transform(H_ba.double(), source)[0] - source).flatten(1)


def rescale(H_ba, scale_a, scale_b):
    """The same homography, (N, 3, 3) float64, between scaled pictures. scale: (new / old width, new / old height).

    With the half pixel: a picture scaled by s has its pixel centres at s x + (s - 1) / 2. diag(s, s, 1) alone would be
    wrong by up to a pixel and more at s = 2. Fits cv2.resize, Pillow, F.interpolate(align_corners=False).
    """
    return _scaling(scale_a, H_ba) @ H_ba.double() @ torch.linalg.inv(_scaling(scale_b, H_ba))


def _scaling(scale, like):
    x, y = scale
    return torch.tensor([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]], dtype=torch.float64, device=like.device)


def warp(image_b, H_ba, size, origin=(0, 0)):
    """Picture B as A sees it: pixel (i, j) of the result is the point (i, j) + origin of A's frame.

    Sampled bilinearly through the inverse. image_b: (N, C, h, w); H_ba: (N, 3, 3) or (1, 3, 3); size: of the result.
    Returns (warped (N, C, H, W), zero outside B; mask (N, 1, H, W), which is a picture of ones warped alike: strict is
    mask >= STRICT). The gradient reaches picture and H_ba (a spatial transformer). Points at and behind the horizon are
    invalid and without gradient; so is everything when the centre of B is behind it. Samples are exact in float64, and
    to width * 6e-8 pixels in float32.
    """
    height_b, width_b = image_b.shape[-2:]
    width, height = size
    x = torch.arange(width, dtype=torch.float64, device=image_b.device) + origin[0]
    y = torch.arange(height, dtype=torch.float64, device=image_b.device)[:, None] + origin[1]
    centre = torch.tensor([[[(width_b - 1) / 2, (height_b - 1) / 2]]], dtype=torch.float64, device=image_b.device)
    H_ba = H_ba.double()
    H_ab = torch.linalg.inv_ex(H_ba)[0][:, :, :, None, None]
    u, v, w = (H_ab[:, row, 0] * x + H_ab[:, row, 1] * y + H_ab[:, row, 2] for row in range(3))     # (N, H, W)
    w_centre = transform(H_ba, centre.expand(len(H_ba), 1, 2))[1][:, :, None]       # w of A's point is 1 / w of B's
    proper = (w * w_centre > NEAR_HORIZON) & (w_centre > 0)
    w = torch.where(proper, w, 1)
    u, v = torch.where(proper, u / w, -9.0 * width_b), torch.where(proper, v / w, -9.0 * height_b)
    return sample(image_b, u, v)


def sample(image_b, u, v):
    """Picture B (N, C, h, w) read bilinearly in places u, v (N or 1, H, W) float64: (picture, mask) as warp's."""
    height_b, width_b = image_b.shape[-2:]
    u, v = u.clamp(-9 * width_b, 9 * width_b), v.clamp(-9 * height_b, 9 * height_b)     # far outside is far enough
    places = torch.stack([(2 * u + 1) / width_b - 1, (2 * v + 1) / height_b - 1], dim=-1).to(image_b.dtype)
    warped = F.grid_sample(image_b, places.expand(len(image_b), -1, -1, -1), align_corners=False)
    inside = (torch.minimum(u + 1, width_b - u).clamp(0, 1) * torch.minimum(v + 1, height_b - v).clamp(0, 1))[:, None]
    return warped, inside.to(image_b.dtype).expand(len(image_b), -1, -1, -1)


class Canvas(NamedTuple):
    """Where a stitched picture lies in the reference's frame: its pixel (0, 0) is the point `origin`, whole numbers."""
    size: tuple[int, int]
    origin: tuple[int, int]


def canvas(homographies, sizes, limit=64e6):
    """The smallest Canvas that holds every picture.

    homographies: (N, 3, 3) into the reference's frame; sizes: of the N pictures. Extremes are the pixel centres of the
    outermost pixels. UserError above `limit` pixels or where a picture reaches the horizon.
    """
    points = []
    for H, (width, height) in zip(homographies, sizes, strict=True):
        moved, w = transform(H[None].double().cpu(), corners((width - 1, height - 1))[None])
        if not torch.isfinite(moved).all() or (w <= 0).any():
            raise UserError("a picture of the panorama reaches the horizon: no flat canvas can hold it: use a "
                            "cylinder, or fewer pictures")
        points.append(moved[0])
    points = torch.cat(points)
    left, top = (math.floor(value + 1e-6) for value in points.amin(dim=0).tolist())
    right, bottom = (math.ceil(value - 1e-6) for value in points.amax(dim=0).tolist())
    size = (right - left + 1, bottom - top + 1)
    if size[0] * size[1] > limit:
        raise UserError(f"the canvas would have {size[0]} x {size[1]} pixels: at most {limit / 1e6:.3g} million were "
                        "expected: use smaller or fewer pictures, or a cylinder")
    return Canvas(size, (left, top))


def overlap(H_ba, size_a, size_b):
    """The share of A's area that B covers, by geometry, in [0, 1]; 0 where B reaches the horizon. H_ba: (3, 3)."""
    quadrilateral = outline_of(H_ba, size_b)
    return 0.0 if quadrilateral is None else _area(_clip(quadrilateral, size_a)) / (size_a[0] * size_a[1])


def outline_of(H_ba, size_b):
    """The border of B in A's frame as a polygon [(x, y), ...], clockwise as seen; None where it reaches the horizon."""
    rows, (width, height), points = H_ba.double().tolist(), size_b, []       # four points: plain numbers are fastest
    for x, y in ((-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)):
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in rows)
        if not w > 0 or not math.isfinite(u / w) or not math.isfinite(v / w):
            return None
        points.append((u / w, v / w))
    return points


def _clip(polygon, size):
    """The part of a convex polygon inside a picture of that size (Sutherland and Hodgman)."""
    for axis, sign, bound in ((0, 1, -0.5), (0, -1, size[0] - 0.5), (1, 1, -0.5), (1, -1, size[1] - 0.5)):
        result = []
        for before, point in zip(polygon[-1:] + polygon[:-1], polygon):
            depth, depth_before = sign * (point[axis] - bound), sign * (before[axis] - bound)
            if (depth < 0) != (depth_before < 0):
                share = depth_before / (depth_before - depth)
                result.append(tuple(p + share * (q - p) for p, q in zip(before, point)))
            if depth >= 0:
                result.append(point)
        polygon = result
    return polygon


def _area(polygon):
    """Signed area of a polygon, positive when clockwise as seen (y down)."""
    following = polygon[1:] + polygon[:1]
    return sum(x * v - u * y for (x, y), (u, v) in zip(polygon, following)) / 2


def refusal(H_ba, size_a, size_b, area=10.0, sides=8.0, least=0.02):
    """Why H_ba (3, 3) cannot be how B lies in A's frame, in words, by geometry alone; None when nothing objects.

    area: largest change of B's area (and smallest, its inverse). sides: largest stretch of a side of B's outline over
    the smallest. least: least overlap, as a share of the smaller picture. Real wide pairs stretch far corners three
    times: tighter bounds refuse them.
    """
    if not torch.isfinite(H_ba).all():
        return "the homography is not finite"
    quadrilateral = outline_of(H_ba, size_b)
    if quadrilateral is None:
        return "the horizon lies in the picture"
    turns = [_area([quadrilateral[place - 2], quadrilateral[place - 1], quadrilateral[place]]) for place in range(4)]
    if max(turns) <= 0:
        return "the picture would be mirrored"
    if min(turns) <= 0:
        return "the picture would be folded (its outline is not convex)"
    mapped = _area(quadrilateral)
    change = mapped / (size_b[0] * size_b[1])
    if not 1 / area <= change <= area:
        return f"the picture would change its area by a factor of {change:.3g} (at most {area:g} either way)"
    lengths = [math.dist(quadrilateral[place - 1], quadrilateral[place]) for place in range(4)]
    stretched = [length / before for length, before in zip(lengths, size_b[::-1] * 2)]
    stretch = max(stretched) / min(stretched)
    if stretch > sides:
        return f"one side of the picture would be stretched {stretch:.3g} times more than another (at most {sides:g})"
    share = _area(_clip(quadrilateral, size_a)) / min(mapped, size_a[0] * size_a[1])
    if share < least:
        return f"the overlap is {100 * share:.2g} % of the smaller picture (at least {100 * least:g} % are needed)"
    return None
