"""A camera that turned about one point: focal length, radial distortion and directions, found from matches.

Bundle adjustment: a match (x_a, x_b) is a ray through both cameras; all rays are fitted at once by
scipy.optimize.least_squares. The world's axes are x right, y down, z forward, as the reference camera has them until
straighten() turns them upright.
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import lil_array
from scipy.spatial.transform import Rotation

FOCALS = (0.3, 12.0)               # of the longer side, between which the focal length is sought
USUAL = 1.2                        # of the longer side: the focal length of most photographs,
UNDETERMINED = (5.0, 20.0)         # residuals of e times that, and of k1 = 1: they decide where the matches say nothing
OF_LINK = 60                       # matches of a pair that are used, at most
GRID = 5                           # of a pair without matches: points a side
TOLERANCE = 1.5                    # thousandths of a side that a turning camera may fit worse than homographies


class Camera(NamedTuple):
    """One photograph's. A ray's image p = (x, y) / z is distorted to p (1 + k1 |p|^2), then times focal plus middle."""
    focal: float                   # pixels of its photograph
    k1: float
    rotation: np.ndarray           # (3, 3), from its own axes to the world's
    size: tuple                    # (width, height)

    def see(self, rays):
        """(x, y, whether it is in front) of rays (3, n) of the world, in pixels of the photograph."""
        x, y, front = project(np.tensordot(self.rotation.T, rays, axes=1), self.focal, self.k1)
        return x + (self.size[0] - 1) / 2, y + (self.size[1] - 1) / 2, front

    def cast(self, x, y):
        """The rays (3, n) of pixels, of length 1."""
        return self.rotation @ back_project(x - (self.size[0] - 1) / 2, y - (self.size[1] - 1) / 2, self.focal, self.k1)


def project(own, focal, k1):
    """(x, y, whether it is in front) of rays (3, n) in a camera's own axes; pixels from the middle."""
    front = own[2] > 0.05 * np.abs(own).max(axis=0)
    depth = np.where(front, own[2], 1)
    x, y = own[0] / depth, own[1] / depth
    grow = focal * (1 + k1 * np.minimum(x * x + y * y, reach(k1)))
    return x * grow, y * grow, front


def back_project(x, y, focal, k1):
    """The rays (3, n) of pixels from the middle, in the camera's own axes, of length 1."""
    straight_x, straight_y = undistort(x / focal, y / focal, k1)
    own = np.stack([straight_x, straight_y, np.ones_like(straight_x)])
    return own / np.linalg.norm(own, axis=0)


def reach(k1):
    """|p|^2 up to which distances still grow with p: beyond it a negative k1 would fold the picture back."""
    return 0.9 / (3 * -k1) if k1 < 0 else np.inf


def undistort(x, y, k1, steps=8):
    """p of p (1 + k1 |p|^2), by fixed point."""
    p, q = x, y
    for _ in range(steps):
        grow = np.maximum(1 + k1 * (p * p + q * q), 0.3)
        p, q = x / grow, y / grow
    return p, q


class Fitted(NamedTuple):
    """Cameras of all places, and how well they explain the matches."""
    cameras: dict                  # {place: Camera}
    error: float                   # median distance of matches, thousandths of the longer side
    free_error: float              # the same of the homographies, which need no camera

    @property
    def fits(self):
        """Whether the photographs look like those of one turning camera."""
        return self.error <= self.free_error + TOLERANCE


def fit_cameras(homographies, links, sizes, reference):
    """Fitted of photographs. homographies: {place: H (3, 3) to the reference}; links: PairFound; sizes: of all photos.

    One focal length (per longer side) and one k1 for all. Starts from the homographies of the links.
    """
    places, matches = list(homographies), [pick_matches(pair, sizes) for pair in links]
    side = {place: max(sizes[place]) for place in places}
    start = first_guess(homographies, links, sizes, reference)
    free = [place for place in places if place != reference]
    numbers = np.concatenate([[np.log(start[reference].focal / side[reference]), 0.0],
                              *(Rotation.from_matrix(start[place].rotation).as_rotvec() for place in free)])

    def unpack(numbers):
        turns = dict(zip(free, Rotation.from_rotvec(numbers[2:].reshape(-1, 3)).as_matrix())) if free else {}
        turns[reference] = np.eye(3)
        return {place: Camera(float(np.exp(numbers[0])) * side[place], float(numbers[1]), turns[place], sizes[place])
                for place in places}

    # Of all matches at once, (N,) or (2, N): the places of their photographs, and the points from the middles.
    a, b = (np.repeat([places.index(getattr(pair, end)) for pair in links], [in_a.shape[1] for in_a, _ in matches])
            for end in "ab")
    middles = (np.array([sizes[place] for place in places]) - 1) / 2
    sides = np.array([side[place] for place in places])
    in_a, in_b = (np.hstack(points) - middles[ends].T for points, ends in zip(zip(*matches), (a, b)))

    def errors(numbers):
        cameras, k1 = unpack(numbers), numbers[1]
        turns = np.stack([cameras[place].rotation for place in places])
        focals = np.exp(numbers[0]) * sides
        rays = np.einsum("nij,jn->in", turns[b], back_project(*in_b, focals[b], k1))
        x, y, _ = project(np.einsum("nji,jn->in", turns[a], rays), focals[a], k1)
        missed = ((np.stack([x, y]) - in_a) / sides[a] * 1000).clip(-1e4, 1e4)
        return np.concatenate([UNDETERMINED * (numbers[:2] - (np.log(USUAL), 0)), missed.T.ravel()])
    bounds = np.full((2, len(numbers)), np.inf) * [[-1], [1]]
    bounds[:, 0], bounds[:, 1] = np.log(FOCALS), (-0.5, 0.5)
    solved = least_squares(errors, numbers, bounds=bounds, loss="soft_l1", f_scale=2.0, x_scale="jac", max_nfev=40,
                           jac_sparsity=depends(links, matches, free) if len(places) > 8 else None)
    residual = np.hypot(*errors(solved.x)[2:].reshape(-1, 2).T)
    return Fitted(unpack(solved.x), float(np.median(residual)), homography_error(homographies, links, matches, side))


def depends(links, matches, free):
    """Which residuals depend on which numbers: a pair's on the shared ones and on its two cameras."""
    rows = 2 + sum(in_a.size for in_a, _ in matches)
    pattern, row = lil_array((rows, 2 + 3 * len(free)), dtype=int), 2
    pattern[:, :2] = 1
    for pair, (in_a, _) in zip(links, matches):
        for place in (pair.a, pair.b):
            if place in free:
                column = 2 + 3 * free.index(place)
                pattern[row:row + in_a.size, column:column + 3] = 1
        row += in_a.size
    return pattern


def pick_matches(pair, sizes):
    """(points of A (2, n), points of B (2, n)) of a link at full size: an even choice of its matches, else a grid."""
    if pair.near is not None and len(pair.near) >= 2 * GRID:
        chosen = pair.near[::-(-len(pair.near) // OF_LINK)].T
        return chosen[:2], chosen[2:]
    width, height = sizes[pair.b]
    x, y = np.meshgrid(np.linspace(0, width - 1, 3 * GRID), np.linspace(0, height - 1, 3 * GRID))
    b = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    a = pair.H_ba.numpy() @ b
    a = a[:2] / a[2]
    inside = (a >= 0).all(axis=0) & (a <= np.array(sizes[pair.a])[:, None] - 1).all(axis=0)
    keep = np.flatnonzero(inside)[::max(1, inside.sum() // GRID ** 2)]
    return a[:, keep], b[:2, keep]


def homography_error(homographies, links, matches, side):
    """Median distance of the links' matches under the homographies, thousandths of the longer side."""
    distances = []
    for pair, (in_a, in_b) in zip(links, matches):
        moved = np.linalg.inv(homographies[pair.a]) @ homographies[pair.b] @ np.vstack([in_b, np.ones(in_b.shape[1])])
        distances.append(np.hypot(*(moved[:2] / moved[2] - in_a)) / side[pair.a] * 1000)
    return float(np.median(np.concatenate(distances)))


def first_guess(homographies, links, sizes, reference):
    """{place: Camera}: the focal length with which the links are most nearly rotations, K_a^-1 H_ba K_b, and the
    rotations that come nearest to them, chained from the reference outwards, strongest link first."""
    tried = np.geomspace(*FOCALS, 120)
    centred = [move(sizes[pair.a], -1) @ pair.H_ba.numpy() @ move(sizes[pair.b], 1) for pair in links]

    def turns(H, pair, focal):
        scale_a, scale_b = (np.diag([focal * max(sizes[place]), focal * max(sizes[place]), 1.0])
                            for place in (pair.a, pair.b))
        turn = np.linalg.inv(scale_a) @ H @ scale_b
        return turn / np.cbrt(np.linalg.det(turn))

    def stretch(focal):
        every = (turns(H, pair, focal) for H, pair in zip(centred, links))
        return sum(np.square(turn.T @ turn - np.eye(3)).sum() for turn in every)
    costs = [stretch(focal) for focal in tried]
    focal, known = float(tried[np.argmin(costs)]), {reference: np.eye(3)}
    steps = {}
    for H, pair in zip(centred, links):
        u, _, vt = np.linalg.svd(turns(H, pair, focal))
        steps[pair.a, pair.b] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    ranked = sorted(links, key=lambda pair: -(pair.inliers or 0))
    while len(known) < len(homographies):
        pair = next(pair for pair in ranked if (pair.a in known) != (pair.b in known))
        if pair.a in known:
            known[pair.b] = known[pair.a] @ steps[pair.a, pair.b]
        else:
            known[pair.a] = known[pair.b] @ steps[pair.a, pair.b].T
    return {place: Camera(focal * max(sizes[place]), 0.0, known[place], sizes[place]) for place in homographies}


def move(size, sign):
    """The matrix that moves the middle of a picture to the origin (sign -1) or back (1)."""
    return np.array([[1, 0, sign * (size[0] - 1) / 2], [0, 1, sign * (size[1] - 1) / 2], [0, 0, 1]])


def straighten(cameras):
    """The same cameras with the world turned upright: the x axes of cameras held level lie in one plane.

    Its normal is the up axis, the least principal axis of theirs; the mean y axis pulls a little, for a set that hardly
    turns does not say.
    """
    turns = [camera.rotation for camera in cameras.values()]
    sides = sum(np.outer(turn[:, 0], turn[:, 0]) for turn in turns)
    down = np.sum([turn[:, 1] for turn in turns], axis=0)
    down /= np.linalg.norm(down)
    _, axes = np.linalg.eigh(sides + 0.02 * len(turns) * (np.eye(3) - np.outer(down, down)))
    axis = axes[:, 0] * np.sign(axes[:, 0] @ down)
    forward = np.sum([turn[:, 2] for turn in turns], axis=0)
    forward = forward - axis * (axis @ forward)
    if np.linalg.norm(forward) < 1e-6 * len(turns):                     # all the way round: any direction will do
        forward = np.cross(turns[0][:, 0], axis)
    forward /= np.linalg.norm(forward)
    world = np.stack([np.cross(axis, forward), axis, forward])          # rows: right, down, forward
    return {place: camera._replace(rotation=world @ camera.rotation) for place, camera in cameras.items()}


def turn_sideways(cameras, angle):
    """The same cameras in a world whose longitude `angle` (radians, to the right) has become 0."""
    back = Rotation.from_euler("y", -angle).as_matrix()
    return {place: camera._replace(rotation=back @ camera.rotation) for place, camera in cameras.items()}
