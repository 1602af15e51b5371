"""The table of meshes: its measures are 0 for what is exact and grow with what is wrong."""
import numpy as np
import pytest

from cases.udis.extras.meshes import bends, distances, into_frame, main, measure
from common.base.errors import UserError
from common.stitching.mesh import Mesh

H = np.array([[1.0, 0, 30], [0, 1, 0], [0, 0, 1]])


def shifted_mesh(knots):
    return Mesh(H, (30.0, 0.0, 199.0, 149.0), knots)


def test_distances_and_lines_are_measured_in_pixels():
    straight, moved = shifted_mesh(np.zeros((7, 7, 2))), shifted_mesh(np.full((7, 7, 2), (3.0, 4)))
    matches = np.array([[80.0, 60, 50, 60], [120, 90, 90, 90]])
    assert np.allclose(distances(straight, matches), 0) and np.allclose(distances(moved, matches), 5)
    points = np.random.default_rng(0).uniform((20, 20), (140, 130), (30, 2))
    wavy = shifted_mesh(np.random.default_rng(1).normal(0, 2, (7, 7, 2)))
    shown = into_frame(wavy, points)
    assert np.abs(np.stack(wavy.read(*shown.T), axis=1) - points).max() < 0.05
    page = np.full((150, 200, 3), 255, np.uint8)
    page[60:63, 10:150] = 0
    assert bends(straight, page).max() < 1e-6 < 0.3 < bends(wavy, page).mean()


def test_rows_are_measured_on_matches_they_have_not_used(monkeypatch):
    rng = np.random.default_rng(4)
    a = rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    in_a = rng.uniform((35, 5), (190, 140), (60, 2))
    matches = np.hstack([in_a, in_a - (30, 0)])
    matches[1::2, 2] += 4                                               # wrong, and never to be fitted
    monkeypatch.setattr("cases.udis.extras.meshes.real_matches", lambda *_: matches)
    found = measure(a, np.ascontiguousarray(a[:, 30:]), H)
    assert found["refined"]["psnr"] > 60 and found["moving_dlt"]["median"] == pytest.approx(4, abs=0.1)
    assert all(numbers["least"] > 0.2 for numbers in found.values())


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(UserError, match="pairs.csv"):
        main([str(tmp_path)])
