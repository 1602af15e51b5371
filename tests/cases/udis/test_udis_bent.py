"""The table of meshes: its measures are 0 for what is exact and grow with what is wrong."""
import numpy as np
import pytest
import torch

from cases.udis import meshes, quality
from cases.udis.meshes import bends, distances, into_frame
from common.data.samples import photograph
from common.stitching.estimators import Answer
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
    b = np.ascontiguousarray(a[:, 30:])
    in_a = rng.uniform((35, 5), (190, 140), (60, 2))
    matches = np.hstack([in_a, in_a - (30, 0)])
    matches[1::2, 2] += 4                                               # wrong, and never to be fitted
    monkeypatch.setattr(meshes, "real_matches", lambda *_: matches)
    refined = Answer(torch.from_numpy(H))
    bent, unused = meshes.bend_all(a, b, refined)
    found = {row: meshes.measure_bent(answer, a, b, unused) for row, answer in (bent | {"refined": refined}).items()}
    assert list(bent) == meshes.BENT and all(set(numbers) <= set(meshes.HONEST) for numbers in found.values())
    assert found["apap"]["residual_median"] == pytest.approx(4, abs=0.1)
    assert all(numbers["least_area"] > 0.2 for numbers in found.values())


def test_where_nothing_overlaps_or_is_known_the_homography_stands():
    a = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    far = Answer(torch.tensor([[1.0, 0, 119], [0, 1, 0], [0, 0, 1]], dtype=torch.float64))
    bent, _ = meshes.bend_all(a, a, far)
    assert all(answer.mesh is None and answer.H_ba is far.H_ba for answer in bent.values())
    assert meshes.measure_bent(far, a, a, np.zeros((0, 4))) == {}
    none = Answer(None, "no fair start")
    assert meshes.bend_all(a, a, none)[0] == {"apap": none, "mesh": none} and meshes.measure_bent(none, a, a, []) == {}


def test_a_point_that_sift_gives_twice_counts_once():
    """Twins in both halves of the matches would measure what was fitted."""
    a = photograph("astronaut.png")[100:300, 100:400]
    found = meshes.real_matches(a, np.ascontiguousarray(a[:, 30:]), H)
    assert len(found) > 20 and len(np.unique(found[:, :2].round(1), axis=0)) == len(found)


def test_a_mesh_without_shifts_shows_what_its_homography_shows():
    a = photograph("astronaut.png")[:150, :200].copy()
    straight = Answer(torch.from_numpy(H))
    b = np.ascontiguousarray(np.roll(a, 3, axis=0)[:, 30:])
    numbers = [quality.measure_alignment(answer, a, b, 5.0)
               for answer in (straight, straight._replace(mesh=shifted_mesh(np.zeros((7, 7, 2)))))]
    assert numbers[0].keys() == numbers[1].keys()
    assert all(numbers[0][name] == pytest.approx(numbers[1][name], rel=1e-3) for name in numbers[0])
