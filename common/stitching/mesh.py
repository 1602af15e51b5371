"""Beyond one homography: a mesh of at most 16 x 16 cells that bends B's warp to A in their overlap, and nowhere else.

    mesh = bend(a, b, H_ba)                  # moved by the pictures: dense flow from A to B's warp, made smooth
    mesh = moving_dlt(a, b, H_ba, matches)   # moved by matches (APAP): every corner of a cell has its own homography
    u, v = mesh.read(x, y)                   # where in B the point (x, y) of A's frame is seen

A mesh shifts points of A's frame before the inverse of H_ba reads B; without shifts it is the homography. Shifts are
cubic B-splines, so that nothing bends at the cells' edges, they fade to none round the overlap, and never fold.
Pictures are uint8 (h, w, 3).
"""
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import csr_array

from common.stitching.refine import mean_square

CELLS = 16                         # a side, at most
SMALLEST = 16                      # pixels of a cell's side, at least
STEP = 4                           # flow counts as means over squares of so many pixels
SMOOTH = 0.05                      # weight of the knots' second differences beside that of the flow in a cell
HOLD = 0.005                       # weight of the shifts themselves: where nothing is known, the homography
AGREE = 16.0                       # levels by which the pictures may differ after the flow, and still be trusted
CONSISTENT = 1.0                   # pixels by which the flow back may miss where it began
FADE = 0.25                        # of the overlap's longer side: outside, the mesh becomes the homography on this way
LEAST = 0.25                       # of its size that every part must keep: nothing folds
ROUNDS = 2                         # of flow and fit, the second from the first's warp
REACH, FLOOR = 0.04, 0.01          # of moving DLT: how far a match counts (of the side), and its least weight


class Mesh(NamedTuple):
    """A bent homography. knots: (rows + 3, columns + 3, 2) weights of cubic B-splines: shifts in A's pixels."""
    H_ba: np.ndarray
    box: tuple                     # left, top, right, bottom of the overlap in A's frame
    knots: np.ndarray

    def shift(self, x, y):
        """The shifts (dx, dy) of points of A's frame, arrays of one shape."""
        left, top, right, bottom = self.box
        near_x, near_y = np.clip(x, left, right), np.clip(y, top, bottom)
        fade = 1 - np.hypot(x - near_x, y - near_y) / (FADE * max(right - left, bottom - top))
        fade = np.clip(fade, 0, 1)
        fade = fade * fade * (3 - 2 * fade)                             # without an edge at either end
        spline = splines(self.box, self.knots.shape, near_x.ravel(), near_y.ravel())
        return tuple((spline @ self.knots[..., axis].ravel()).reshape(x.shape) * fade for axis in range(2))

    def read(self, x, y):
        """Where in B points of A's frame are seen: (u, v), nan at and behind the horizon."""
        dx, dy = self.shift(x, y)
        u, v, w = np.tensordot(np.linalg.inv(self.H_ba), np.stack([x + dx, y + dy, np.ones_like(dx)]), axes=1)
        safe = np.where(w > 0, w, np.nan)
        return u / safe, v / safe

    def jacobian(self, points=80):
        """How much of its area every part keeps, (points, points): under 0 it would be folded."""
        left, top, right, bottom = self.box
        reach = FADE * max(right - left, bottom - top)
        x, y = np.meshgrid(np.linspace(left - reach, right + reach, points),
                           np.linspace(top - reach, bottom + reach, points))
        dx, dy = self.shift(x, y)
        (u_y, u_x), (v_y, v_x) = (np.gradient(values, y[:, 0], x[0]) for values in (x + dx, y + dy))
        return u_x * v_y - u_y * v_x


def flat(a, b, H_ba, cells=CELLS):
    """The Mesh of a homography, all shifts 0; None where the pictures hardly overlap."""
    H_ba = np.asarray(H_ba, np.float64)
    inside = overlap_mask(Mesh(H_ba, (0, 0, a.shape[1] - 1, a.shape[0] - 1), np.zeros((4, 4, 2))), a.shape, b.shape)
    if inside.sum() < 32 * SMALLEST:
        return None
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    box = columns[0], rows[0], columns[-1], rows[-1]
    sides = (int(np.clip((box[axis + 2] - box[axis]) // SMALLEST, 1, cells)) for axis in (1, 0))
    return Mesh(H_ba, tuple(float(end) for end in box), np.zeros((*(side + 3 for side in sides), 2)))


def splines(box, shape, x, y):
    """The weights of all knots in points inside the box: a sparse matrix (points, knots)."""
    left, top, right, bottom = box
    rows, columns = shape[0] - 3, shape[1] - 3
    column, row = (x - left) / max(right - left, 1) * columns, (y - top) / max(bottom - top, 1) * rows
    first_column = np.clip(column.astype(int), 0, columns - 1)
    first_row = np.clip(row.astype(int), 0, rows - 1)
    across, down = cubic(column - first_column), cubic(row - first_row)
    index = [(first_row + i) * shape[1] + first_column + j for i in range(4) for j in range(4)]
    values = [down[i] * across[j] for i in range(4) for j in range(4)]
    return csr_array((np.stack(values, axis=1).ravel(), np.stack(index, axis=1).ravel(),
                      np.arange(0, 16 * len(x) + 1, 16)), shape=(len(x), shape[0] * shape[1]))


def cubic(t):
    """The four weights of uniform cubic B-splines at t in [0, 1]."""
    return (1 - t) ** 3 / 6, (3 * t ** 3 - 6 * t ** 2 + 4) / 6, (-3 * t ** 3 + 3 * t ** 2 + 3 * t + 1) / 6, t ** 3 / 6


def overlap_mask(mesh, shape_a, shape_b):
    """Where in A all four neighbours of the place in B exist: (h, w) bool."""
    u, v = mesh.read(*pixel_grid(shape_a))
    with np.errstate(invalid="ignore"):
        return (u >= 0) & (v >= 0) & (u <= shape_b[1] - 1) & (v <= shape_b[0] - 1)


def pixel_grid(shape):
    """x and y of a picture's pixels, (h, w) float64 each."""
    return np.meshgrid(np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float))


def bent_warp(mesh, a_shape, b):
    """(B as A sees it (h, w, C) float32, zero outside; the strict mask (h, w) bool)."""
    u, v = mesh.read(*pixel_grid(a_shape))
    mask = overlap_mask(mesh, a_shape, b.shape)
    maps = (np.where(mask, each, -9).astype(np.float32) for each in (u, v))
    warped = cv2.remap(b.astype(np.float32), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return warped, mask


def bend(a, b, H_ba, cells=CELLS):
    """The Mesh that the pictures ask for, or None where a homography is better (or they hardly overlap)."""
    straight = mesh = flat(a, b, H_ba, cells)
    if mesh is None:
        return None
    for _ in range(ROUNDS):
        x, y, shifts, trust = measure_shifts(a, b, mesh)
        mesh = unfold(mesh._replace(knots=fit_knots(mesh, x, y, shifts, trust)))
    return mesh if better(a, b, mesh, straight) else None


def better(a, b, mesh, straight):
    """Whether a Mesh shows B closer to A than another, each where it shows B, and where both do."""
    (before, mask_before), (after, mask_after) = (bent_warp(each, a.shape, b) for each in (straight, mesh))
    common = mask_before & mask_after
    return (mean_square(after - a, mask_after) < mean_square(before - a, mask_before)
            and mean_square(after - a, common) < mean_square(before - a, common))


def measure_shifts(a, b, mesh):
    """(x, y, shifts (n, 2), trust (n,)) of squares of the overlap: where the flow says that a mesh should read."""
    warped, mask = bent_warp(mesh, a.shape, b)
    gray_a = cv2.cvtColor(a, cv2.COLOR_RGB2GRAY)
    gray_w = cv2.cvtColor(fit_brightness(warped, a, mask), cv2.COLOR_RGB2GRAY)
    gray_w = np.where(mask, gray_w, gray_a)                             # beyond B nothing moves
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(1)
    flow, back = search.calc(gray_a, gray_w, None), search.calc(gray_w, gray_a, None)
    x, y = pixel_grid(a.shape)
    there = [(grid + flow[..., axis]).astype(np.float32) for axis, grid in enumerate((x, y))]
    found = cv2.remap(gray_w.astype(np.float32), *there, cv2.INTER_LINEAR)
    missed = flow + cv2.remap(back, *there, cv2.INTER_LINEAR)
    trust = mask * cv2.remap(mask.astype(np.float32), *there, cv2.INTER_LINEAR)
    trust = trust / (1 + np.square((found - gray_a) / AGREE)) / (1 + np.square(missed / CONSISTENT).sum(axis=2))
    dx, dy = mesh.shift(*(each.astype(float) for each in there))
    wanted = np.dstack([flow[..., 0] + dx, flow[..., 1] + dy]) * trust[..., None]
    height, width = (side // STEP * STEP for side in a.shape[:2])
    small = [cv2.resize(each[:height, :width].astype(np.float32), (width // STEP, height // STEP),
                        interpolation=cv2.INTER_AREA) for each in (trust, wanted, x, y)]
    left, top, right, bottom = mesh.box
    here = (small[0] > 0.01) & (small[2] >= left) & (small[2] <= right) & (small[3] >= top) & (small[3] <= bottom)
    trust, wanted, x, y = (each[here].astype(float) for each in small)
    return x, y, wanted / trust[:, None], trust


def fit_brightness(warped, a, mask):
    """uint8 warped with the gain and bias per channel that bring it closest to A."""
    w, target = warped[mask], a[mask].astype(np.float32)
    mean_w, mean_a = w.mean(axis=0), target.mean(axis=0)
    gain = np.clip(((w - mean_w) * (target - mean_a)).mean(axis=0) / (w.var(axis=0) + 1e-6), 1 / 3, 3)
    return np.clip((warped - mean_w) * gain + mean_a + 0.5, 0, 255).astype(np.uint8)


def fit_knots(mesh, x, y, shifts, trust, smooth=SMOOTH, hold=HOLD):
    """The knots (rows + 3, columns + 3, 2) that come nearest to shifts (n, 2) in points, weighted, and stay smooth."""
    rows, columns = mesh.knots.shape[:2]
    spline = splines(mesh.box, mesh.knots.shape, x, y)
    per_cell = len(x) / ((rows - 3) * (columns - 3))
    normal = (spline.T @ (spline * trust[:, None])).toarray() + per_cell * stiffness(rows, columns, smooth, hold)
    return np.linalg.solve(normal, spline.T @ (shifts * trust[:, None])).reshape(rows, columns, 2)


def stiffness(rows, columns, smooth=SMOOTH, hold=HOLD):
    """What bending and shifts of so many knots cost, as a matrix of their squares: (rows columns, rows columns)."""
    bending = (np.kron(differences(rows, 2), np.eye(columns)) + np.kron(np.eye(rows), differences(columns, 2))
               + 2 * np.kron(differences(rows, 1), differences(columns, 1)))
    return smooth * bending + hold * np.eye(rows * columns)


def differences(count, order):
    """D^T D of the differences of that order of so many numbers: (count, count)."""
    D = np.diff(np.eye(count), order, axis=0)
    return D.T @ D


def unfold(mesh):
    """The mesh with its shifts reduced until every part keeps LEAST of its area."""
    while mesh.jacobian().min() < LEAST:
        mesh = mesh._replace(knots=0.8 * mesh.knots)
    return mesh


def moving_dlt(a, b, H_ba, matches, cells=CELLS):
    """The Mesh of APAP (Zaragoza et al. 2013, eq. 9): at every corner of a cell a homography of its own.

    matches: (n, 4) x, y in A and in B, right ones. Each weighs exp(-(distance / reach)^2), at least FLOOR.
    """
    mesh = flat(a, b, H_ba, cells)
    if mesh is None or len(matches) < 8:
        return None
    unit_a, unit_b = (np.array([[2 / width, 0, -1], [0, 2 / width, -height / width], [0, 0, 1]])
                      for height, width in (a.shape[:2], b.shape[:2]))
    (x, y), (u, v) = ((np.c_[points, np.ones(len(points))] @ unit.T)[:, :2].T
                      for points, unit in ((matches[:, :2], unit_a), (matches[:, 2:], unit_b)))
    one, zero = np.ones(len(x)), np.zeros(len(x))
    equations = np.stack([np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1),
                          np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1)], axis=1)      # (n, 2, 9)
    products = np.einsum("nki,nkj->nij", equations, equations)
    left, top, right, bottom = mesh.box
    rows, columns = (side - 2 for side in mesh.knots.shape[:2])
    corner_x, corner_y = (each.ravel() for each in np.meshgrid(np.linspace(left, right, columns),
                                                               np.linspace(top, bottom, rows)))
    shifts = []
    for at_x, at_y in zip(corner_x, corner_y):
        far = np.square(matches[:, :2] - (at_x, at_y)).sum(axis=1) / (REACH * max(a.shape)) ** 2
        weight = np.maximum(np.exp(-far), FLOOR) ** 2
        local = np.linalg.eigh(np.tensordot(weight, products, axes=1))[1][:, 0].reshape(3, 3)
        to_a = mesh.H_ba @ np.linalg.inv(unit_b) @ local @ unit_a @ (at_x, at_y, 1)
        shifts.append(to_a[:2] / to_a[2] - (at_x, at_y))
    shifts = np.nan_to_num(np.clip(shifts, -max(a.shape) / 8, max(a.shape) / 8))
    knots = fit_knots(mesh, corner_x, corner_y, shifts, np.ones(len(shifts)), 1e-6, 1e-9)
    return unfold(mesh._replace(knots=knots))
