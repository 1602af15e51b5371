"""Meshes: what a homography cannot do, no folds, no step outside, moving DLT, and the homography as their limit."""
import cv2
import numpy as np
import pytest

from common.stitching.mesh import Mesh, bend, bent_warp, flat, moving_dlt, pixel_grid
from common.stitching.refine import mean_square


@pytest.fixture(scope="module")
def views():
    """(A, B, H_ba, the true shift in x) of a scene of texture with a bump: B lies 60 px to the right, bent by 5 px."""
    rng = np.random.default_rng(2)
    scene = np.clip(sum(cv2.resize(rng.normal(0, 36, (h, w, 3)), (420, 260), interpolation=cv2.INTER_CUBIC)
                        for h, w in ((8, 12), (30, 45), (90, 140))) + 128, 0, 255).astype(np.uint8)
    x, y = pixel_grid((240, 300))
    bump = 5 * np.exp(-((x - 180) ** 2 + (y - 120) ** 2) / 2 / 45 ** 2)
    a = cv2.remap(scene, (x + bump).astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    return a, np.ascontiguousarray(scene[:240, 60:360]), np.array([[1.0, 0, 60], [0, 1, 0], [0, 0, 1]]), bump


def test_a_mesh_is_the_homography_as_long_as_nothing_moves_it(views):
    a, b, H, _ = views
    mesh = flat(a, b, H)
    u, v = mesh.read(np.array([70.0, 250]), np.array([10.0, 200]))
    assert np.allclose(u, [10, 190]) and np.allclose(v, [10, 200])
    assert mesh.box == (60, 0, 299, 239) and max(mesh.knots.shape[:2]) <= 19
    assert flat(a, b, np.array([[1.0, 0, 299], [0, 1, 0], [0, 0, 1]])) is None


def test_a_mesh_bends_where_the_pictures_ask_for_it(views):
    a, b, H, bump = views
    mesh, straight = bend(a, b, H), flat(a, b, H)
    (before, mask_before), (after, mask_after) = (bent_warp(each, a.shape, b) for each in (straight, mesh))
    assert mean_square(after - a, mask_after) < 0.2 * mean_square(before - a, mask_before)
    dx, dy = mesh.shift(np.array([180.0, 100]), np.array([120.0, 30]))
    assert dx[0] == pytest.approx(5, abs=1) and abs(dx[1] - bump[30, 100]) < 1 and np.abs(dy).max() < 1
    assert mesh.jacobian().min() > 0.25


def test_equal_views_stay_as_they_are(views):
    a, _, H, _ = views
    b = np.ascontiguousarray(np.hstack([a[:, 60:], a[:, :60]]))
    mesh = bend(a, b, H)
    assert mesh is None or max(np.abs(each).max() for each in mesh.shift(*pixel_grid(a.shape))) < 0.5


def test_outside_the_overlap_a_mesh_becomes_the_homography_without_a_step():
    knots = np.random.default_rng(0).normal(0, 3, (11, 11, 2))
    mesh = Mesh(np.eye(3), (100.0, 100.0, 200.0, 200.0), knots)
    x, y = np.linspace(60, 240, 1801), np.full(1801, 150.0)
    dx, dy = mesh.shift(x, y)
    assert max(np.abs(np.diff(dx)).max(), np.abs(np.diff(dy)).max()) < 0.1
    assert not dx[x < 75].any() and not dx[x > 225].any() and np.abs(dx).max() > 1


def test_no_mesh_folds(views):
    """Not even when the matches contradict each other wildly."""
    a, b, H, _ = views
    rng = np.random.default_rng(1)
    in_a = rng.uniform((60, 0), (299, 239), (40, 2))
    matches = np.hstack([in_a, in_a - (60, 0) + rng.normal(0, 25, (40, 2))])
    mesh = moving_dlt(a, b, H, matches)
    assert mesh.jacobian(200).min() > 0


def test_moving_dlt_follows_its_matches(views):
    a, b, H, bump = views
    in_a = np.random.default_rng(3).uniform((60, 0), (299, 239), (300, 2))
    moved = in_a - (60, 0)
    moved[:, 0] += bump[in_a[:, 1].astype(int), in_a[:, 0].astype(int)]
    mesh = moving_dlt(a, b, H, np.hstack([in_a, moved])[::2])
    u, v = mesh.read(*in_a[1::2].T)
    left = np.hypot(u - moved[1::2, 0], v - moved[1::2, 1])
    assert np.median(left) < 0.5 and moving_dlt(a, b, H, np.zeros((3, 4))) is None
