"""Register, compose, stitch: graphs, surfaces, composing; real sets that must succeed, strangers that must not."""
import importlib
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cases.view_free_stitch.model import ViewFreeStitch
from common.base.errors import Negative, UserError
from common.base.paths import ROOT
from common.data.images import list_images, read_pixels
from common.data.samples import build, photograph
from common.experiment import checkpoints
from common.stitching.compose import Piece, drifts, largest_rectangle, warp_photo
from common.stitching.estimators import by_keypoints, estimator
from common.stitching.geometry import corners, transform
from common.stitching.keypoints import Estimate
from common.stitching.register import (
    Layout,
    PairFound,
    chain_homographies,
    doubt,
    find_groups,
    middle,
    refine_jointly,
    register,
    spanning_tree,
)
from common.stitching.stitch import Settings, join_photos, stitch
from common.stitching.surfaces import Flat, Plane, box


def shifted(dx, dy):
    return torch.tensor([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=torch.float64)


def found(a, b, H=None, inliers=50, ncc=0.9, overlap=0.5):
    return PairFound(a, b, shifted(100, 0) if H is None else H, "test", inliers, inliers, overlap, ncc, None)


def lost(a, b, matches=4):
    return PairFound(a, b, None, "test", matches, 0, None, None, f"{matches} matches: too few")


@pytest.fixture(scope="module")
def scene():
    """Three overlapping views (300 x 240) of one photograph, 150 px apart, by whole pixels; and where each begins."""
    wide = photograph("coffee.png")
    return [np.ascontiguousarray(wide[60 + 10 * place:300 + 10 * place, 130 * place:130 * place + 300])
            for place in range(3)]


def true_estimate(images, shift=(130, 10)):
    """An estimate that knows the scene: neighbours only."""
    def estimate(a, b):
        for place in range(len(images) - 1):
            if np.array_equal(a, images[place]) and np.array_equal(b, images[place + 1]):
                return Estimate(shifted(*shift), 40, 40, None, "known")
        return Estimate(None, 3, 0, "3 matches: at least 4 are needed", "known")
    return estimate


# ---- graphs ----------------------------------------------------------------------------------------------------------

def test_groups_and_trees():
    pairs = [found(0, 2), found(2, 3, ncc=0.95), found(0, 3, ncc=0.4), found(1, 4)]
    assert find_groups(6, pairs) == [[0, 2, 3], [1, 4], [5]]
    tree = spanning_tree(pairs[:3])
    assert {(pair.a, pair.b) for pair in tree} == {(2, 3), (0, 2)}
    assert middle(tree, [0, 2, 3]) == 2


def test_chains_multiply_along_the_tree_both_ways():
    homographies = chain_homographies([found(0, 1, shifted(100, 5)), found(1, 2, shifted(80, -3))], 1)
    assert np.allclose(homographies[0] / homographies[0][2, 2], shifted(-100, -5))
    assert np.allclose(homographies[2] / homographies[2][2, 2], shifted(80, -3))


def test_joint_refinement_shares_out_the_error_of_a_loop():
    """Three pairs that contradict each other by 9 pixels: afterwards no one is left with all of it."""
    pairs = [found(0, 1, shifted(100, 0)), found(1, 2, shifted(100, 0)), found(0, 2, shifted(191, 0))]
    chain = chain_homographies(pairs[:2], 1)
    better = refine_jointly(chain, pairs, 1, [(300, 200)] * 3)

    def contradiction(now):
        errors = []
        for pair in pairs:
            points = torch.tensor([[[60.0, 50], [150, 150]]], dtype=torch.float64)
            there = transform(torch.from_numpy(np.linalg.inv(now[pair.a]) @ now[pair.b])[None], points)[0]
            errors += (there - transform(pair.H_ba[None], points)[0]).norm(dim=-1).tolist()
        return np.sqrt(np.mean(np.square(errors)))
    assert contradiction(chain) == pytest.approx(9 / 3 ** 0.5, abs=0.1) and contradiction(better) < 4
    assert refine_jointly(chain, pairs[:2], 1, [(300, 200)] * 3) is chain


# ---- surfaces and composing ------------------------------------------------------------------------------------------

def test_composing_shifted_views_gives_the_photograph_back(scene):
    layout = register(scene, true_estimate(scene))
    assert layout.reference == 1 and list(layout.homographies) == [0, 1, 2] and not layout.left_out
    result, surface = join_photos(scene, layout, Settings(exposure="none"))
    assert surface.shape.name == "plane" and result.origin == (-130, -10)
    expected = photograph("coffee.png")[60:60 + 260, :560]
    inside = result.mask > 0
    assert inside.sum() > 0.85 * expected[..., 0].size
    difference = np.abs(result.image.astype(int) - expected)[inside]
    assert difference.mean() < 1 and np.quantile(difference, 0.999) < 12
    left, top, width, height = largest_rectangle(result.mask)
    # 560 x 220, sought on a smaller copy
    assert (result.mask[top:top + height, left:left + width] == 255).all() and width > 550 and height > 210


def test_sixteen_bits_come_out_with_sixteen(scene, tmp_path):
    """Steps between 8-bit levels survive; a set with one 16-bit photograph is all 16 bits."""
    deep = [view.astype(np.uint16) * 257 + 77 for view in scene[:2]]
    for place, view in enumerate([*deep, scene[2]]):
        cv2.imwrite(str(tmp_path / f"{place}.png"), view[..., ::-1])
    for compose in ("multiband", "feather"):
        stitch(list_images(tmp_path), by_keypoints, Settings(debug=False, blend=compose), tmp_path / "out")
        full = cv2.imread(str(tmp_path / "out/panorama_full.png"), cv2.IMREAD_UNCHANGED)
        inside = full[..., 3] == 65535
        assert full.dtype == np.uint16 and inside.sum() > 100000 and set(np.unique(full[..., 3])) == {0, 65535}
        assert (full[inside][:, :3] % 257 != 0).mean() > 0.5
        assert np.median(full[inside][:, :3]) == pytest.approx(257 * np.median(scene), rel=0.15)


def test_a_mesh_takes_what_a_homography_leaves(scene):
    """B is bent by up to 4 pixels: with warp=mesh the seam's surroundings show the photograph, not a misfit."""
    x, y = np.meshgrid(np.arange(300, dtype=np.float32), np.arange(240, dtype=np.float32))
    wave = 4 * np.sin(y / 38) * np.exp(-((x - 80) / 70) ** 2)
    bent = cv2.remap(scene[1], x + wave, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    layout = Layout(0, {0: np.eye(3), 1: shifted(130, 10).numpy()}, [], {})
    expected = photograph("coffee.png")[60:310, :430].astype(int)

    def off(warp):
        plain = Settings(exposure="none", seam="none", blend="feather", projection="plane", warp=warp)
        result, _ = join_photos([scene[0], bent], layout, plain)
        part = np.s_[20:230, 150:280]
        return np.abs(result.image[part].astype(int) - expected[part])[result.mask[part] > 0].mean()
    assert off("mesh") < 0.6 * off("homography")


def test_exposure_is_compensated(scene):
    dark = [scene[0], np.clip(scene[1] * 0.6, 0, 255).astype(np.uint8)]
    layout = Layout(0, {0: np.eye(3), 1: shifted(130, 10).numpy()}, [], {})

    def step(kind):
        result, _ = join_photos(dark, layout, Settings(exposure=kind, seam="voronoi", blend="feather"))
        left, right = result.image[20:230, 100:160].mean(), result.image[20:230, 320:380].mean()
        truth = photograph("coffee.png")[80:290, 100:160].mean() / photograph("coffee.png")[80:290, 320:380].mean()
        return abs(np.log(left / right / truth))
    assert step("gain") < 0.5 * step("none")


def test_moving_things_are_cut_round_not_averaged(scene):
    """A bright square that stands in one picture only must be there wholly or not at all."""
    one, other = scene[0].copy(), scene[1].copy()
    one[100:140, 190:230] = 255
    layout = Layout(0, {0: np.eye(3), 1: shifted(130, 10).numpy()}, [], {})
    result, _ = join_photos([one, other], layout, Settings(exposure="none"))
    shown = result.image[108:132, 198:222].astype(int)
    without = photograph("coffee.png")[168:192, 198:222].astype(int)
    assert min(np.abs(shown - 255).mean(), np.abs(shown - without).mean()) < 8
    averaged, _ = join_photos([one, other], layout, Settings(exposure="none", seam="none", blend="feather"))
    ghost = averaged.image[108:132, 198:222].astype(int)
    assert min(np.abs(ghost - 255).mean(), np.abs(ghost - without).mean()) > 12


def test_colours_are_smoothed_on_a_coarse_canvas_to_a_level(scene):
    """drifts() against the same at full resolution: cells of one pixel."""
    dark = [scene[0], np.clip(scene[1] * 0.8 + 9, 0, 255).astype(np.uint8), scene[2]]
    pieces = [Piece(view, np.full(view.shape[:2], 255, np.uint8), (130 * place, 10 * place))
              for place, view in enumerate(dark)]
    cut = [np.where(np.arange(300) < 215, 255, 0).astype(np.uint8) * np.ones((240, 1), np.uint8)] * 3
    whole, coarse = drifts(pieces, cut, cell=1), drifts(pieces, cut)
    assert max(np.abs(change).max() for change in whole) > 10
    assert max(np.abs(one - other).max() for one, other in zip(whole, coarse)) < 1.0


@pytest.mark.parametrize("size", [(7, 9), (40, 30)])
def test_largest_rectangle_is_the_largest(size):
    rng = np.random.default_rng(2)
    for _ in range(8):
        mask = np.where(rng.random(size) < 0.85, 255, 0).astype(np.uint8)
        left, top, width, height = largest_rectangle(mask)
        assert (mask[top:top + height, left:left + width] == 255).all()
        best = 0
        for y in range(size[0]):
            for x in range(size[1]):
                reach = size[1]
                for bottom in range(y, size[0]):
                    run = mask[bottom, x:x + reach]
                    reach = int(np.argmin(run)) if (run == 0).any() else len(run)
                    best = max(best, reach * (bottom - y + 1))
        assert width * height == best
    big = np.zeros((1500, 2000), np.uint8)
    cv2.circle(big, (1000, 700), 600, 255, -1)
    left, top, width, height = largest_rectangle(big)
    assert (big[top:top + height, left:left + width] == 255).all() and width * height > 0.97 * 2 * 600 ** 2 * 0.98


def test_pieces_know_where_they_are():
    photo = np.full((50, 80, 3), 9, np.uint8)
    view = Flat(shifted(-20, 7).numpy())
    piece = warp_photo(photo, view, Plane(), box(Plane(), view, (80, 50)))
    assert isinstance(piece, Piece) and piece.corner == (-20, 7) and piece.image.shape == (50, 80, 3)
    assert (piece.mask == 255).all()


# ---- refusals --------------------------------------------------------------------------------------------------------

def test_refusals_name_the_pair_the_evidence_and_what_to_do(scene, monkeypatch):
    strangers = [scene[0], photograph("chelsea.png")[:240, :300], scene[1]]
    with pytest.raises(Negative) as caught:
        register(strangers[:2], by_keypoints, names=["one.jpg", "two.jpg"])
    text = str(caught.value)
    assert "one.jpg and two.jpg share" in text and "matches" in text and "a third in common" in text
    with pytest.raises(Negative, match="no two photographs overlap"):
        register(strangers, by_keypoints, order="given")
    layout = register(strangers, by_keypoints)
    assert list(layout.homographies) == [0, 2] and "share" in layout.left_out[1]


def test_two_groups_are_refused_not_half_stitched(monkeypatch):
    images = [np.zeros((10, 10, 3), np.uint8)] * 5
    monkeypatch.setattr("common.stitching.register.find_pairs",
                        lambda *_: [found(0, 1), found(1, 2), found(3, 4), lost(2, 3, 4), lost(0, 4, 2)])
    with pytest.raises(Negative, match=r"photo 3 and photo 4 share 4 matches"):
        register(images, None)


def test_doubt_says_what_was_measured(scene):
    assert doubt(scene[0], scene[1], Estimate(shifted(130, 10), 30, 20)).reason is None
    assert "6 of 30 matches agree" in doubt(scene[0], scene[1], Estimate(shifted(130, 10), 30, 6)).reason
    assert "correlation" in doubt(scene[0], scene[1], Estimate(shifted(60, 80), 30, 20)).reason
    mirrored = torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    assert "mirrored" in doubt(scene[0], scene[1], Estimate(mirrored, 30, 20)).reason
    assert "correlation" in doubt(scene[0], scene[1], Estimate(shifted(60, 80))).reason
    assert doubt(scene[0], scene[1], Estimate(shifted(130, 10))).reason is None


@pytest.fixture(scope="module")
def trained():
    """A network for estimates: the release weights, where they are."""
    path = ROOT / "checkpoints/view_free_stitch/release.pt"
    if not path.exists():
        pytest.skip("checkpoints/view_free_stitch/release.pt is not here")
    return checkpoints.build(ViewFreeStitch, checkpoints.find("view_free_stitch", "none", str(path)))


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_unrelated_photographs_are_never_stitched(shared, trained, step):
    """40 pairs of strangers, or every eighth of them, by every method."""
    photos = [read_pixels(path) for path in list_images(shared("data/photos_val"))]
    for method in ("sift", "network", "auto"):
        estimate = estimator(method, trained, torch.device("cpu"))
        for place in range(0, 40, step):
            a, b = photos[place], photos[(place + 7) % 40]
            assert doubt(a, b, estimate(a, b)).reason is not None, (method, place)


@pytest.mark.parametrize("name, count", [("hill", 3), ("pier", 3), ("exposure", 2), ("vfis_4", 2)])
def test_real_sets(shared, tmp_path, name, count):
    """Corners of the pictures within a few pixels of the homographies listed with the set."""
    import csv
    root = shared("data/panoramas")
    layout, *_ = stitch(list_images(root / name), by_keypoints, Settings(debug=False), tmp_path)
    assert len(layout.homographies) == count
    report = json.loads((tmp_path / "homographies.json").read_text())
    with open(root / "pairs.csv", newline="") as file:
        listed = {(line["a"], line["b"]): line for line in csv.DictReader(file) if line["h11"]}
    sizes = {photo["file"]: photo["size"] for photo in report["photos"]}
    for pair in report["pairs"]:
        if (pair["a"], pair["b"]) in listed:
            line = listed[pair["a"], pair["b"]]
            theirs = torch.tensor([[float(line[f"h{row}{column}"]) for column in (1, 2, 3)] for row in (1, 2, 3)],
                                  dtype=torch.float64)
            ends = corners(sizes[pair["b"]])[None]
            ours = transform(torch.tensor(pair["H_ba"], dtype=torch.float64)[None], ends)[0]
            off = (ours - transform(theirs[None], ends)[0]).norm(dim=-1).median()
            assert off < 0.012 * max(sizes[pair["b"]]), pair["a"]
    full = np.asarray(Image.open(tmp_path / "panorama_full.png"))
    assert full.shape[2] == 4 and list(full.shape[1::-1]) == report["canvas"]["size"]
    assert set(np.unique(full[..., 3])) == {0, 255}


def test_a_stranger_is_left_out_with_a_reason(shared, tmp_path):
    layout, *_ = stitch(list_images(shared("data/panoramas") / "weir"), by_keypoints, Settings(debug=True), tmp_path)
    report = json.loads((tmp_path / "homographies.json").read_text())
    status = {photo["file"]: photo["status"] for photo in report["photos"]}
    assert status == {"weir_1.jpg": "stitched", "weir_2.jpg": "stitched", "weir_3.jpg": "stitched",
                      "weir_unrelated.jpg": "left out"}
    assert len(layout.left_out) == 1 and list((tmp_path / "debug").glob("*.jpg"))
    for photo in report["photos"][:3]:
        assert np.isfinite(photo["H_to_reference"]).all()


# ---- bad input -------------------------------------------------------------------------------------------------------

def written(folder, **pictures):
    folder.mkdir(exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return list_images(folder)


def test_one_photograph_unreadable_ones_and_none(tmp_path, scene):
    paths = written(tmp_path / "in", a=scene[0])
    with pytest.raises(Negative, match="one photograph is no panorama"):
        stitch(paths, by_keypoints, Settings(), tmp_path / "out")
    (tmp_path / "in/b.png").write_text("text")
    with pytest.raises(Negative, match="b.png"):
        stitch(list_images(tmp_path / "in"), by_keypoints, Settings(), tmp_path / "out")
    with pytest.raises(UserError, match="b.png"):
        stitch([tmp_path / "in/b.png"], by_keypoints, Settings(), tmp_path / "out")
    paths = written(tmp_path / "in", c=scene[1])
    assert len(stitch(paths, by_keypoints, Settings(debug=False), tmp_path / "out").layout.homographies) == 2
    report = json.loads((tmp_path / "out/homographies.json").read_text())
    assert [photo["status"] for photo in report["photos"]] == ["stitched", "unreadable", "stitched"]


def test_identical_gray_and_unequal_pictures(tmp_path, scene):
    layout, *_ = stitch(written(tmp_path / "same", a=scene[0], b=scene[0]), by_keypoints, Settings(debug=False),
                        tmp_path / "out")
    assert np.asarray(Image.open(tmp_path / "out/panorama_full.png")).shape[:2] == scene[0].shape[:2] and layout.same
    gray = cv2.cvtColor(scene[1], cv2.COLOR_RGB2GRAY)
    large = cv2.resize(scene[1], None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
    assert len(stitch(written(tmp_path / "gray", a=scene[0], b=gray), by_keypoints, Settings(debug=False),
                      tmp_path / "out").layout.homographies) == 2
    assert len(stitch(written(tmp_path / "large", a=scene[0], b=large), by_keypoints, Settings(debug=False),
                      tmp_path / "out").layout.homographies) == 2


def test_a_long_strip_and_a_huge_change_of_scale_are_refused_with_words(tmp_path, scene):
    strip = cv2.resize(photograph("chelsea.png"), (20000, 200))
    tiny = cv2.resize(scene[0], None, fx=0.05, fy=0.05, interpolation=cv2.INTER_AREA)
    for name, other in (("strip", strip), ("tiny", tiny)):
        with pytest.raises(Negative, match="share"):
            stitch(written(tmp_path / name, a=scene[0], b=other), by_keypoints, Settings(), tmp_path / "out")


def test_the_sample_stereo_pair_is_stitched(tmp_path):
    layout, *_ = stitch(list_images(build("stereo")), by_keypoints, Settings(debug=False), tmp_path)
    assert len(layout.homographies) == 2


def test_every_input_ends_up_in_one_list_under_its_own_name(tmp_path, scene):
    """Unreadable ones first, amid and last; a stranger; a second copy; two files of one name in two folders."""
    paths = written(tmp_path / "in", b=scene[0], c=scene[1], d=photograph("chelsea.png"), f=scene[0])
    for name in ("a", "e", "g"):
        paths.append(tmp_path / f"in/{name}.png")
        paths[-1].write_text("text")
    layout, photos, _ = stitch(sorted(paths), by_keypoints, Settings(), tmp_path / "out")
    stems = {path.stem for path in (tmp_path / "out/debug").iterdir()}
    assert "02_03_b_c_warp" in stems and {stem[:5] for stem in stems} <= {"02_03", "02_06", "03_06"}, "as the inputs"
    status = {photo.name: photo.status for photo in photos}
    assert status == {"a.png": "unreadable", "b.png": "stitched", "c.png": "stitched", "d.png": "left out",
                      "e.png": "unreadable", "f.png": "no new content", "g.png": "unreadable"}
    assert list(status) == sorted(status) and all(photo.reason for photo in photos if photo.name[0] in "adeg")
    report = json.loads((tmp_path / "out/homographies.json").read_text())
    assert {photo["file"]: photo["status"] for photo in report["photos"]} == status
    assert [photo["size"] is None for photo in report["photos"]] == [name[0] in "aeg" for name in status]
    assert {pair[end] for pair in report["pairs"] for end in "ab"} == {"b.png", "c.png", "d.png", "f.png"}
    written(tmp_path / "other", b=scene[1])
    twice = [tmp_path / "in/b.png", tmp_path / "other/b.png"]
    assert [photo.name for photo in stitch(twice, by_keypoints, Settings(debug=False), tmp_path / "out").photos] == [
        "in/b.png", "other/b.png"]


def test_who_cannot_be_read_is_named_where_there_is_no_panorama(tmp_path, scene):
    paths = written(tmp_path / "in", b=scene[0], c=photograph("chelsea.png"))
    (tmp_path / "in/a.png").write_text("text")
    with pytest.raises(Negative, match="b.png.*unreadable: .*a.png"):
        stitch([tmp_path / "in/a.png", *paths], by_keypoints, Settings(), tmp_path / "out")


@pytest.mark.parametrize("case", ["udis", "view_free_stitch"])
def test_unreadable_photographs_shift_no_names(shared, tmp_path, capsys, case):
    """In the messages of both cases, too."""
    folder = shared("cases/unreadable_shifts_names") / "photos"
    test = importlib.import_module(f"cases.{case}.test")
    words = ["--weights", "release", "--input", str(folder), "--output", str(tmp_path), "test.debug=false"]
    assert not test.main(words)
    said = capsys.readouterr()
    assert "a_broken.jpg is unreadable" in said.err and "d_unrelated.jpg is left out" in said.err
    assert "e_hill1_again.jpg shows no new content" in said.err and "c_hill2" not in said.err
    assert "5 photographs: 1 unreadable, 2 stitched, 1 left out, 1 no new content" in said.out
