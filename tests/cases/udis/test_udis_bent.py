"""The table of meshes: its measures are 0 for what is exact and grow with what is wrong."""
import cv2
import numpy as np
import pytest
import torch

from cases.udis import baselines, joins, meshes, quality
from cases.udis import test as udis_test
from cases.udis.meshes import bends, distances, into_frame
from cases.udis.model import UDIS, Warps
from common.base import paths
from common.data.images import read_pixels, to_tensor
from common.data.samples import photograph
from common.stitching.estimators import Answer
from common.stitching.mesh import Mesh

CPU, BARE = torch.device("cpu"), UDIS(width=4)
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
    bent, unused = meshes.bend_all(BARE, a, b, refined, CPU)
    found = {row: meshes.measure_bent(answer, a, b, unused) for row, answer in (bent | {"refined": refined}).items()}
    assert list(bent) == meshes.BENT and all(set(numbers) <= set(meshes.HONEST) for numbers in found.values())
    assert found["apap"]["residual_median"] == pytest.approx(4, abs=0.1)
    assert all(numbers["least_area"] > 0.2 for numbers in found.values())


def test_where_nothing_overlaps_or_is_known_the_homography_stands():
    a = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    far = Answer(torch.tensor([[1.0, 0, 119], [0, 1, 0], [0, 0, 1]], dtype=torch.float64))
    bent, _ = meshes.bend_all(BARE, a, a, far, CPU)
    assert all(answer.mesh is None and answer.H_ba is far.H_ba for answer in bent.values())
    assert meshes.measure_bent(far, a, a, np.zeros((0, 4))) == {}
    none = Answer(None, "no fair start")
    assert meshes.bend_all(BARE, a, a, none, CPU)[0] == {"apap": none, "mesh": none}
    assert meshes.measure_bent(none, a, a, []) == {}


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


# ---- joined on the mesh ----------------------------------------------------------------------------------------------

def test_a_bent_canvas_is_the_homographys_where_nothing_is_shifted():
    a, b = (photograph("coffee.png")[60:210, left:left + 200] for left in (0, 30))
    straight = joins.bent_domain(a, b, Answer(torch.from_numpy(H)))
    zero = joins.bent_domain(a, b, Answer(torch.from_numpy(H), mesh=shifted_mesh(np.zeros((7, 7, 2)))))
    assert all(torch.allclose(one.float(), other.float(), atol=1e-4) for one, other in zip(straight, zero))
    moved = joins.bent_domain(a, b, Answer(torch.from_numpy(H), mesh=shifted_mesh(np.full((7, 7, 2), (5.0, 0)))))
    seen, expected = moved.b[0, :, 60:90, 60:150], straight.b[0, :, 60:90, 65:155]          # reads 5 further right
    assert torch.allclose(seen, expected, atol=1e-4) and torch.equal(moved.a, straight.a)


@pytest.fixture
def sky():
    """Two views of one sky, the right one brighter by a fifth and darker towards its corners, and their Warps."""
    y, x = np.mgrid[:180, :360].astype(float)
    plain = np.stack([110 + x / 9, 130 + y / 8, 170 + y / 12], axis=2)
    far = np.hypot((x - 230) / 130, (y - 90) / 130)
    right = plain * (1.2 - 0.12 * np.minimum(far, 1.5) ** 2)[..., None]
    noise = np.random.default_rng(2).normal(0, 1, (2, 180, 360, 1))
    a, b = (np.clip(part[:, side] + 0.5, 0, 255).astype(np.uint8)
            for part, side in zip((plain + noise[0], right + noise[1]), (np.s_[:230], np.s_[130:])))
    H_ba = torch.tensor([[1.0, 0, 130], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    return joins.bent_domain(np.ascontiguousarray(a), np.ascontiguousarray(b), Answer(H_ba))


def test_a_sky_of_two_exposures_does_not_step(sky):
    """Where one photograph ends, ours steps less than OpenCV's own composing, and far less than a cut alone."""
    made = joins.join_bent(UDIS(width=8).eval(), sky, "mesh", torch.device("cpu"))
    assert ["cut", *made] == joins.more_joined(["apap", "mesh"])
    smooth = {row: each._replace(picture=torch.nn.functional.avg_pool2d(each.picture, 5, 1, 2))
              for row, each in made.items()}                            # the step, not the noise
    steps = {row: quality.measure_joined(each, sky)["seam_step"] for row, each in smooth.items()}
    assert steps["composed_mesh"] < 0.5 * steps["cut_mesh"] and steps["composed_mesh"] <= steps["opencv_mesh"]


def test_own_photographs_are_cut_round_their_labels(tmp_path, monkeypatch):
    """The default settings: two photographs of one wall with a sign each, in two places of what they share."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    scene = cv2.resize(photograph("coffee.png"), (600, 400))
    sign = np.full((60, 60, 3), 255, np.uint8)
    cv2.rectangle(sign, (0, 0), (59, 59), (0, 0, 0), 4)
    cv2.putText(sign, "ME", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
    places = [(60, 290, 0), (250, 240, 180)]                            # row, column in the scene; where it is cut
    for name, (row, column, left) in zip("ab", places):
        photo = scene[:, left:left + 400].copy()
        photo[row:row + 60, column - left:column - left + 60] = sign
        cv2.imwrite(str(tmp_path / f"{name}.png"), photo[..., ::-1])
    udis_test.main(["--input", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--output", str(tmp_path / "out"),
                    "--weights", "release", "test.method=sift", "test.crop=false", "test.debug=false"])
    result = read_pixels(tmp_path / "out/panorama.png").astype(int)
    for row, column, _ in places:
        part = np.s_[row + 4:row + 56, column + 4:column + 56]
        assert min(np.abs(result[part] - sign[4:56, 4:56]).mean(), np.abs(result[part] - scene[part]).mean()) < 12


def test_things_that_a_share_splits_go_whole_to_one_picture():
    """A sign that image 1 alone shows: most of it is its, so all of it becomes; a share that splits nothing stays."""
    y, x = np.mgrid[:200, :300]
    noise = np.random.default_rng(0).integers(0, 3, (200, 300))
    scene = np.repeat((90 + x / 8 + y / 10 + noise).astype(np.uint8)[..., None], 3, axis=2)
    signed = scene.copy()
    cv2.rectangle(signed, (120, 70), (169, 119), (0, 0, 0), -1)
    cv2.rectangle(signed, (124, 74), (165, 115), (255, 255, 255), -1)
    masks = [torch.zeros(1, 1, 200, 300, dtype=torch.bool) for _ in range(2)]
    masks[0][..., :260] = masks[1][..., 40:] = True
    pictures = [to_tensor(picture)[None] * mask for picture, mask in zip((signed, scene), masks)]
    warps = Warps(*pictures, *masks, *(mask.float() for mask in masks))
    share = masks[0].float()
    share[..., 155:] = 0
    whole = baselines.whole_things(share, warps)
    assert (whole[..., 70:120, 120:170] == 1).all() and (whole[..., :50] == share[..., :50]).all()
    mostly_b = masks[0].float()
    mostly_b[..., 130:] = 0
    assert (baselines.whole_things(mostly_b, warps)[..., 70:120, 120:170] == 0).all()
    assert torch.equal(baselines.whole_things(masks[0].float(), warps), masks[0].float())
