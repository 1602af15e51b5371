"""The unsupervised stitching case: counts, the stitching domain, stage 2 in tiles, data, stages, rows, mistakes."""
import csv
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from tolerances import near

from cases.udis import baselines, quality, test, train
from cases.udis.data import AlignmentPairs, FolderPairs, class_of, read_photographed, trainable
from cases.udis.joins import more_joined
from cases.udis.meshes import BENT
from cases.udis.model import UDIS, MaskReconstruction, PaperHomography, stitching_domain
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.images import read_pixels, to_bytes, to_tensor, write_image
from common.data.samples import build
from common.experiment import checkpoints
from common.stitching import estimators
from common.stitching.compose import Piece
from common.stitching.estimators import on_canvas
from common.stitching.geometry import homography_from_offsets
from common.stitching.pairs import make_pair, read_squashed

FIRST_STEPS = ["--demo", "train.steps=4", "train.validate_every=4", "train.validate_pairs=2", "train.log_every=2",
               "train.batch_size=2"]
CPU = torch.device("cpu")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own, and the sample data."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    build("photos")
    build("UDIS-D")
    return tmp_path


@pytest.fixture(scope="module")
def warps():
    """Warps of a pair of the sample photographs at its true homography."""
    pair = make_pair(read_squashed(build("photos") / "01.png"), (45, -14), np.array([3, -8, 12, 5, -9, 4, 7, -2]),
                     label=False)
    return baselines.domain(pair.a, pair.b, torch.from_numpy(pair.H_ba))[0]


def decisive(width=8, seed=0):
    """A mask network that has opinions."""
    torch.manual_seed(seed)
    network = MaskReconstruction(width).eval()
    for last in (network.low.last, network.high.last):
        torch.nn.init.normal_(last.weight, std=0.3)
    return network


def untrained(folders, run_name):
    """Weights of a run that took no step."""
    torch.manual_seed(0)
    checkpoints.save(folders / f"checkpoints/udis/{run_name}/best.pt",
                     {"case": "udis", "model": {"arch": "small", "form": "mask", "width": 16},
                      "weights": UDIS().state_dict(), "settings": {}})


# ---- networks --------------------------------------------------------------------------------------------------------

def test_the_papers_architecture_is_built_and_runs(warps):
    model = UDIS("paper", "paper", 64).eval()
    count = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in
             (("homography", model.homography), ("low", model.reconstruction.low), ("high", model.reconstruction.high))}
    assert count == {"homography": 188_778_072, "low": 7_700_739, "high": 634_755}
    assert [sum(parameter.numel() for parameter in level.parameters())
            for level in model.homography.levels] == [143_965_192, 35_405_320, 8_779_528]
    with torch.inference_mode():
        prediction = model(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
    assert prediction.offsets.shape == (1, 8) and len(prediction.stages) == 3
    assert torch.equal(prediction.offsets, prediction.stages[-1])
    with torch.inference_mode():
        painted = UDIS("small", "paper", 8).eval()(warps)
    assert painted.low.shape == (1, 3, 256, 256) and painted.high.shape == warps.a.shape and painted.share is None
    assert 0 <= painted.high.min() and painted.high.max() <= 1


def test_gradients_pass_through_the_warps_of_the_papers_levels():
    torch.manual_seed(0)
    network = PaperHomography.__new__(PaperHomography)  # a narrow one: 189 million would take seconds
    torch.nn.Module.__init__(network)
    from cases.udis.model import Regression
    from common.stitching.network import Features
    network.features, network.radii = Features((8, 8, 8, 8)), (3, 2, 1)
    network.levels = torch.nn.ModuleList(Regression((2 * radius + 1) ** 2, 8, strides, 8) for radius, strides in
                                         zip(network.radii, ((1, 1, 1), (1, 1, 2), (1, 2, 2))))
    a, b = torch.rand(2, 1, 3, 128, 128).unbind()
    first = network(a, b).stages
    (first[2] - first[1]).sum().backward()  # level 3's own answer depends on level 1 only by its warp
    assert network.levels[0][-1].bias.grad.abs().sum() > 0


def test_the_small_network_and_both_stages_fit_into_20_megabytes():
    model = UDIS()
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 20e6
    assert sum(parameter.numel() for parameter in model.homography.parameters()) == 1_119_523


# ---- the stitching domain --------------------------------------------------------------------------------------------

def test_the_domain_copies_a_and_puts_markers_where_they_belong():
    rng = np.random.default_rng(0)
    a, b = torch.from_numpy(rng.random((1, 3, 60, 80), np.float32)), torch.zeros(1, 3, 50, 90)
    markers = [(10, 12), (80, 9), (14, 41), (70, 37)]                                    # x, y in B
    for x, y in markers:
        b[..., y - 1:y + 2, x - 1:x + 2] = 1
    H = homography_from_offsets(torch.tensor([[30.0, -12, 26, -9, 33, 6, 40, 3]]), (90, 50))
    warps, (left, top) = stitching_domain(a, b, H)
    assert (left, top) == (0, -12) and warps.mask_a.sum() == 60 * 80
    assert torch.equal(warps.a[..., -top:-top + 60, -left:-left + 80], a)
    for x, y in markers:
        seen_at = H[0] @ torch.tensor([x, y, 1.0], dtype=torch.float64)
        u, v = (seen_at[:2] / seen_at[2]).tolist()
        ys, xs = (warps.b[0, 0] > 0.5).nonzero(as_tuple=True)
        near = (xs - (u - left)).abs() + (ys - (v - top)).abs() < 5
        assert abs(xs[near].double().mean() - (u - left)) < 0.6 and abs(ys[near].double().mean() - (v - top)) < 0.6
    assert warps.depth_a.max() == 29.5
    assert (warps.depth_b[warps.mask_b] > 0).all() and (warps.depth_b[~warps.mask_b] == 0).all()


def test_the_identity_returns_the_input_bit_for_bit():
    a = torch.rand(1, 3, 128, 128)
    warps, origin = stitching_domain(a, a, torch.eye(3, dtype=torch.float64)[None])
    assert origin == (0, 0) and torch.equal(warps.a, a) and warps.mask_b.all()
    assert near(warps.b, a, "formula")  # the released sampler: 20 to 26 dB, last row empty


def test_the_released_codes_sampler_costs_decibels(shared):
    """The released H of a UDIS-D pair, as it is and with the factor 128/127 between its two samplers."""
    folder = shared("data/stitch_pairs")
    a, b = (read_pixels(folder / f"udisd_train_000001_{side}.jpg") for side in (1, 2))
    H = torch.tensor([[1.123156, -0.027373, -58.370159], [0.120114, 1.061142, -2.355859],
                      [0.000242020, -0.0000294083, 1]], dtype=torch.float64)
    factor = torch.diag(torch.tensor([127 / 128, 127 / 128, 1.0], dtype=torch.float64))
    released, repaired = (quality.measure_alignment(estimators.Answer(each), a, b)["psnr_overlap"]
                          for each in (H, factor @ H))
    assert released == pytest.approx(17.86, abs=0.02) and repaired == pytest.approx(22.88, abs=0.02)


def test_the_samplers_factor_costs_five_decibels_on_berlin():
    """Two pictures that come with the repository, aligned by SIFT, then read as the released sampler reads."""
    a, b = (read_pixels(paths.ROOT / f"datasets/embedded/panoramas/berlin_{number}.jpg") for number in (1, 2))
    H = estimators.by_keypoints(a, b).H_ba
    factor = torch.diag(torch.tensor([128 / 127, 128 / 127, 1.0], dtype=torch.float64))
    aligned, misread = (quality.measure_alignment(estimators.Answer(each), a, b)["psnr_overlap"]
                        for each in (H, factor @ H))
    assert aligned == pytest.approx(23.94, abs=0.15) and misread == pytest.approx(18.77, abs=0.15)


def test_a_homography_of_128_pixels_aligns_at_full_size_as_well():
    """One convention: the true H at 128, scaled with the half pixel, fits at 512 as at 128."""
    photo = read_squashed(build("photos") / "01.png")
    pair = make_pair(photo, (20, 10), np.array([3, -8, 12, 5, -9, 4, 7, -2]), label=False)
    big = [cv2.resize(picture, (512, 512), interpolation=cv2.INTER_LINEAR) for picture in (pair.a, pair.b)]
    from common.stitching.geometry import rescale
    H = torch.from_numpy(pair.H_ba)
    H_big = rescale(H[None], (4, 4), (4, 4))[0]
    shifted = H_big.clone()
    shifted[:2, 2] += 1.5                                                                # forgetting the half pixel
    small, large, off = (quality.measure_alignment(estimators.Answer(each), *pictures)["psnr_overlap"]
                         for each, pictures in ((H, (pair.a, pair.b)), (H_big, big), (shifted, big)))
    assert large > small - 2.5 and large > off + 0.5


# ---- stage 2 ---------------------------------------------------------------------------------------------------------

def test_the_mask_form_starts_on_the_line_of_equal_depth_and_copies_what_is_alone(warps):
    model = UDIS(width=8).eval()
    with torch.inference_mode():
        stitched = model(warps)
    deeper = warps.depth_a > warps.depth_b + 8, warps.depth_b > warps.depth_a + 8        # k = .6: sigmoid(2.4) = .917
    assert (stitched.share[warps.overlap & deeper[0]] > 0.9).all()
    assert (stitched.share[warps.overlap & deeper[1]] < 0.1).all()
    network = decisive()
    with torch.inference_mode():
        stitched = network(warps)
    alone = (warps.mask_a ^ warps.mask_b).expand_as(warps.a)
    assert torch.equal(stitched.high[alone], (warps.a + warps.b)[alone])
    assert (stitched.share - model(warps).share).abs().max() > 0.1
    border_b = warps.overlap & (warps.depth_b < 1) & (warps.depth_a > 30)
    border_a = warps.overlap & (warps.depth_a < 1) & (warps.depth_b > 30)
    free = model(warps).share                                            # whatever the network says: r is at most .95
    assert border_b.any() and (free[border_b] > 0.95).all() and (free[border_a] < 0.05).all()
    small = warps.resize((256, 256))
    assert near(network.ask(small), -network.ask(small.exchange()))
    low, high = torch.minimum(warps.a, warps.b), torch.maximum(warps.a, warps.b)
    both = warps.overlap.expand_as(warps.a)
    assert (stitched.high[both] >= low[both] - 1e-5).all() and (stitched.high[both] <= high[both] + 1e-5).all()


def test_the_papers_form_can_begin_as_a_copy(warps):
    network = UDIS("small", "paper", 12).reconstruction
    before = quality.content_psnr(network(warps).high.detach(), warps)
    network.start_as_copy()
    stitched = network(warps)
    assert before < 15 and quality.content_psnr(stitched.high.detach(), warps) > 28
    small = warps.resize((256, 256))
    assert (stitched.low - torch.maximum(small.a, small.b)).abs().mean() < 0.03
    stitched.high.mean().backward()
    assert all(parameter.grad is None or torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    assert network.high.last.weight.grad[:, 9:].abs().sum() > 0
    assert network.high.blocks[0][2].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("form", ["mask", "paper"])
def test_tiles_are_exact(warps, form):
    """Tiles with a border of 19 pixels, left out where nothing is to be decided: the same as the canvas at once."""
    torch.manual_seed(1)
    model = UDIS("small", form, 8).eval()
    model.reconstruction = decisive() if form == "mask" else model.reconstruction
    with torch.inference_mode():
        whole = model(warps)
    picture, share = baselines.reconstruct(model, warps, CPU, tile=48)
    assert near(picture, whole.high)
    assert share is None if form == "paper" else near(share, whole.share)


def test_quality_measures_say_what_they_should(warps):
    rows = baselines.join_all(UDIS(width=8).eval(), warps, CPU)
    values = {row: quality.measure_joined(made, warps) for row, made in rows.items()}
    assert list(values) == baselines.JOINED
    assert values["average"]["content_psnr"] == float("inf")
    assert values["seam"]["ghost"] < 0.3 * values["average"]["ghost"]
    # untrained: a narrow feather
    assert values["seam"]["ghost"] < values["reconstructed"]["ghost"] < values["feather"]["ghost"]
    assert values["feather"]["seam_error"] < values["average"]["seam_error"]
    noisy = rows["average"]._replace(picture=(rows["average"].picture + 0.1 * torch.randn(warps.a.shape)).clamp(0, 1))
    assert 18 < quality.measure_joined(noisy, warps)["content_psnr"] < 23


def test_measures_of_the_released_network(shared):
    """The definitions against what the golden folder lists: content 27.46 and 29.23 dB, seam 3.55 and 2.69, ghost
    2.55."""
    folder = shared("golden/udis")
    picture = {name: to_tensor(read_pixels(folder / f"test_000004_{name}.jpg"))[None]
               for name in ("warp1", "warp2", "mask1", "mask2", "result")}
    mask_a, mask_b = (picture[name][:, :1] > 250 / 255 for name in ("mask1", "mask2"))
    warps = case_warps(picture["warp1"] * mask_a, picture["warp2"] * mask_b, mask_a, mask_b)
    assert quality.content_psnr(picture["result"], warps) == pytest.approx((27.46 + 29.23) / 2, abs=0.05)
    assert quality.ghost(picture["result"], warps) == pytest.approx(2.55, abs=0.03)
    assert quality.ghost(warps.average(), warps) == pytest.approx(2.81, abs=0.03)


def case_warps(a, b, mask_a, mask_b):
    from common.stitching.warps import Warps
    return Warps(a, b, mask_a, mask_b, mask_a.float(), mask_b.float())


# ---- data ------------------------------------------------------------------------------------------------------------

def test_layouts_and_what_may_train(tmp_path, shared):
    root = build("UDIS-D")
    training, testing = read_photographed(root, "training"), read_photographed(root, "testing")
    assert (len(training), training.set_name) == (12, "training") and (len(testing), testing.set_name) == (8, "testing")
    assert trainable(training) == list(range(12)) and class_of(testing, 3) == "unseen"
    for name, side in (("left", "input1"), ("right", "input2")):
        shutil.copytree(root / "testing" / side, tmp_path / name)
    assert read_photographed(tmp_path, "testing").names == testing.names
    (tmp_path / "left" / "000003.png").unlink()
    with pytest.raises(UserError, match="no partner for"):
        read_photographed(tmp_path, "testing")
    with pytest.raises(UserError, match="two folders"):
        read_photographed(tmp_path / "left", "testing")
    pairs = read_photographed(shared("data/stitch_pairs"), "training")
    held = [pairs.names[place] for place in range(38) if place not in trainable(pairs)]
    assert held == ["lakeside", "spw_10", "spw_37", "dfw_desk", "rew_parksquare", "sculpture", "office", "railtracks",
                    "boat"]
    assert [class_of(pairs, place) for place in (2, 3, 4)] == ["trained", "unseen", "trained"]


def test_views_of_real_pairs_come_from_seed_epoch_and_index():
    pairs = read_photographed(build("UDIS-D"), "training")
    views = AlignmentPairs(pairs, [0, 5], seed=1)
    first, again, other = views[3, 1], AlignmentPairs(pairs, [0, 5], seed=1)[3, 1], views[4, 1]
    assert torch.equal(first.a, again.a) and not torch.equal(first.a, other.a)
    assert first.a.shape == (3, 128, 128) and first.name == "000006"


# ---- stages, results -------------------------------------------------------------------------------------------------

def test_two_files_of_one_name_are_refused(tmp_path):
    for name in ("one/1.png", "one/1.jpg", "two/1.png"):
        write_image(tmp_path / name, torch.zeros(3, 8, 8))
    with pytest.raises(UserError, match="two pictures of one name: .*1.jpg, .*1.png"):
        FolderPairs(tmp_path, tmp_path / "one", tmp_path / "two")


def test_three_stages_in_a_row_and_their_results(folders):
    train.main([*FIRST_STEPS, "--name", "pretrain"])
    train.main([*FIRST_STEPS, "stage=align", "--name", "align", "--weights",
                str(folders / "checkpoints/udis/pretrain/best.pt")])
    with pytest.raises(UserError, match="--weights"):
        train.main([*FIRST_STEPS, "stage=reconstruct", "--name", "bare"])
    first = folders / "checkpoints/udis/align/best.pt"
    train.main([*FIRST_STEPS, "stage=reconstruct", "--name", "whole", "--weights", str(first)])
    before, after = (checkpoints.load(folders / f"checkpoints/udis/{name}/last.pt")["weights"]
                     for name in ("align", "whole"))
    best = checkpoints.load(first)["weights"]
    same = {name for name in after if near(best[name], after[name])}
    assert {name for name in after if name.startswith("homography")} <= same
    assert "reconstruction.high.last.weight" not in same and before
    for side in ("input1", "input2"):
        (folders / "pairs/testing" / side).mkdir(parents=True)
        for name in ("000001.png", "000002.png"):
            shutil.copy(build("UDIS-D") / "testing" / side / name, folders / "pairs/testing" / side)
    test.main(["--demo", "--name", "whole", "test.images=1", f"test.root={folders / 'pairs'}"])
    folder = folders / "results/udis/whole/test/testing"
    content = json.loads((folder / "metrics.json").read_text())
    joining = baselines.JOINED + more_joined(BENT)
    assert list(content) == baselines.ALIGNED + BENT + joining and content["sift"]["count"] == 2
    assert content["mesh"]["least_area"] > 0.2
    assert content["mesh"]["psnr_overlap"] >= content["refined"]["psnr_overlap"] - 0.01
    assert set(quality.ALIGN) <= content["sift"].keys() and set(quality.JOIN) <= content["seam"].keys()
    assert content["sift"]["by"]["seen"].keys() == {"unseen"}
    assert content["refined"]["psnr_overlap"] >= content["sift"]["psnr_overlap"]
    with open(folder / "items.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * len(content)
    assert len(list((folder / "images").rglob("*.png"))) == len(joining)


def test_the_homography_of_the_other_stitching_case_is_a_start(folders, capsys):
    torch.manual_seed(5)
    state = ({f"homography.{name}": value for name, value in UDIS().homography.state_dict().items()}
             | {"revision.x": torch.zeros(1)})
    path = folders / "release.pt"
    checkpoints.save(path, {"case": "view_free_stitch", "model": {"arch": "small", "width": 12}, "weights": state})
    train.main([*FIRST_STEPS, "train.lr=1e-12", "--name", "started", "--weights", str(path)])
    assert f"starting from {path}: homography" in capsys.readouterr().out
    after = checkpoints.load(folders / "checkpoints/udis/started/last.pt")["weights"]
    assert all(torch.allclose(after[name], value, atol=1e-5)      # biases that were 0 move by the rate
               for name, value in state.items() if name.startswith("homography"))
    with pytest.raises(UserError, match="another homography network"):
        train.main([*FIRST_STEPS, "model.arch=paper", "--name", "other", "--weights", str(path)])


def test_a_broken_picture_fails_alone(folders, tmp_path):
    untrained(folders, "short")
    shutil.copytree(build("UDIS-D") / "testing", tmp_path / "own")
    for path in (tmp_path / "own").glob("input*/00000[3-8].png"):
        path.unlink()
    (tmp_path / "own" / "input2" / "000002.png").write_text("no picture")
    with pytest.raises(Negative, match="1 pair"):
        test.main(["--demo", "--name", "short", f"test.root={tmp_path / 'own'}", "test.reconstruct=false"])
    content = json.loads((folders / "results/udis/short/test/own/metrics.json").read_text())
    assert content["sift"]["count"] == 1 and list(content) == baselines.ALIGNED + BENT


def test_pieces_on_one_canvas():
    """common/stitching/estimators.py: what both stitching cases lay their photographs on."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (2, 20, 30, 3), dtype=np.uint8)
    mask = np.full((20, 30), 255, np.uint8)
    mask[:, :5] = 0
    pieces = [Piece(image[0], mask, (-10, 4)), Piece(image[1], np.full_like(mask, 255), (7, -3))]
    pictures, masks, corner = on_canvas(pieces)
    assert corner == (-10, -3) and pictures[0].shape == (1, 3, 27, 47) and masks[0].dtype == torch.bool
    assert masks[0].sum() == 20 * 25 and not masks[0][..., :5].any() and (pictures[0] * ~masks[0] == 0).all()
    assert np.array_equal(to_bytes(pictures[0][0])[7:27, 5:30], image[0][:, 5:])
    assert np.array_equal(to_bytes(pictures[1][0])[:20, 17:], image[1])
    with pytest.raises(Negative, match="64 million"):
        on_canvas([pieces[0], pieces[1]._replace(corner=(9000, 9000))])


def test_three_photographs_are_joined_pair_by_pair(folders, tmp_path):
    untrained(folders, "short")
    wide = read_squashed(build("photos") / "01.png")
    from PIL import Image
    (tmp_path / "own").mkdir()
    for number, left in enumerate((0, 90, 180)):
        Image.fromarray(wide[:, left:left + 280]).save(tmp_path / "own" / f"{number}.png")
    test.main(["--demo", "--name", "short", "test.method=sift", "test.exposure=none", "--input", str(tmp_path / "own"),
               "--output", str(tmp_path / "out")])
    joined = read_pixels(tmp_path / "out" / "panorama.png")
    assert joined.shape[1] >= 450
    off = [abs(joined[top:top + 250, left:left + 300].astype(float) - wide[50:300, 100:400]).mean()
           for top in (49, 50, 51) for left in (99, 100, 101)]          # a thousandth of a pixel may move it by one
    assert min(off) < 3
    with pytest.raises(Negative, match="one photograph is no panorama"):
        test.main(["--demo", "--name", "short", "--input", str(tmp_path / "own" / "0.png"), "--output",
                   str(tmp_path / "out2")])
    with pytest.raises(UserError, match="no such file"):
        test.main(["--demo", "--name", "short", "--input", str(tmp_path / "nothing"), "--output",
                   str(tmp_path / "out2")])
