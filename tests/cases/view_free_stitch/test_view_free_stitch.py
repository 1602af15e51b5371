"""The view-free stitching case: counts, one interface, structure stitch, losses, both stages, rules, mistakes."""
import csv
import json

import numpy as np
import pytest
import torch
from tolerances import near

from cases.view_free_stitch import baselines, losses, test, train
from cases.view_free_stitch.data import evaluation_pairs
from cases.view_free_stitch.model import (
    PaperHomography,
    PaperRevision,
    SmallRevision,
    ViewFreeStitch,
    disagreement,
    structure_stitch,
)
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.images import split_photographs
from common.data.samples import build
from common.experiment import checkpoints, settings
from common.stitching import estimators
from common.stitching.geometry import homography_from_offsets
from common.stitching.network import Fine
from common.stitching.pairs import RealPairs, make_pair, read_squashed
from common.stitching.warps import Warps

IDENTITY = torch.eye(3, dtype=torch.float64)
FIRST_STEPS = ["--demo", "train.steps=4", "train.validate_every=4", "train.validate_pairs=2", "train.log_every=2",
               "train.batch_size=2"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own, and the sample data."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    build("photos")
    build("stereo")
    return tmp_path


@pytest.fixture(scope="module")
def pair():
    """A pair of the sample photographs."""
    return make_pair(read_squashed(build("photos") / "01.png"), (25, -14), np.array([3, -8, 12, 5, -9, 4, 7, -2]), "0")


def tensors(pair):
    return tuple(tensor[None] for tensor in pair.tensors()[:3])


# ---- networks --------------------------------------------------------------------------------------------------------

def test_the_papers_architecture_is_built_and_runs(pair):
    model = ViewFreeStitch("paper", 64).eval()
    count = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in model.named_children()}
    assert count == {"homography": 144_593_224, "revision": 7_702_467}
    convolutions = [sum(parameter.numel() for parameter in layer.parameters())
                    for layer in model.homography.convolutions[::2]]
    assert convolutions == [5_018_624, 2_359_808, 2_359_808]
    with torch.inference_mode():
        a, b, _ = tensors(pair)
        prediction = model(a, b)
        stitched = model(a, b, prediction.offsets.clamp(-30, 30))
    assert prediction.offsets.shape == (1, 8)
    assert stitched.revised.shape == (1, 3, 304, 304) and stitched.H_ba.shape == (1, 3, 3)
    assert 0 <= stitched.revised.min() and stitched.revised.max() <= 1
    assert losses.homography_terms(prediction, torch.from_numpy(pair.offsets)[None],
                                   settings.Settings(loss="matching")).keys() == {"squares"}


def test_the_small_architecture_has_the_same_interface_and_fits_into_14_megabytes(pair):
    torch.manual_seed(0)
    model = ViewFreeStitch().eval()
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 14e6
    assert sum(parameter.numel() for parameter in model.homography.parameters()) == 1_119_523
    a, b, _ = tensors(pair)
    with torch.inference_mode():
        prediction = model(a, b)
        stitched = model(a, b, torch.from_numpy(pair.offsets)[None])
    assert prediction.offsets.shape == (1, 8) and prediction.offsets.dtype == torch.float64
    assert near(stitched.revised, stitched.warps.average(), "formula")  # it starts as the plain average


def test_structure_stitch_is_the_mean_where_both_are_and_each_alone_elsewhere():
    H = homography_from_offsets(torch.full((1, 8), 20.0), (128, 128))
    warps = structure_stitch(torch.full((1, 3, 128, 128), 0.2), torch.full((1, 3, 128, 128), 0.6), H)
    average, over = warps.average(), warps.a_over_b()
    assert average.shape == (1, 3, 304, 304)
    values = [average[0, 0, 88 + 60, 88 + 60], average[0, 0, 88 + 5, 88 + 5], average[0, 0, 88 + 140, 88 + 140],
              average[0, 0, 5, 5]]
    assert near(torch.stack(values), torch.tensor([0.4, 0.2, 0.6, 0.0]), "formula")
    assert over[0, 0, 148, 148].item() == pytest.approx(0.2) and over[0, 0, 228, 228].item() == pytest.approx(0.6)
    # black content is content, no hole
    black = structure_stitch(torch.zeros(1, 3, 128, 128), torch.ones(1, 3, 128, 128), H)
    assert black.average()[0, 0, 148, 148].item() == pytest.approx(0.5)


def test_small_revision_copies_what_only_one_picture_shows():
    torch.manual_seed(0)
    revision = SmallRevision(8).eval()
    torch.nn.init.normal_(revision.network.last.weight[:1], std=0.5)  # weights of the warps, no correction
    a, b = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    mask_a, mask_b = torch.zeros(2, 1, 1, 64, 64, dtype=torch.bool)
    mask_a[..., :40], mask_b[..., 24:] = True, True
    warps = Warps(a * mask_a, b * mask_b, mask_a, mask_b)
    revised = revision(warps)
    assert near(revised[..., :24], a[..., :24], "formula")
    assert near(revised[..., 40:], b[..., 40:], "formula")
    between = revised[..., 24:40]
    assert (between <= torch.maximum(a, b)[..., 24:40] + 1e-6).all()
    assert (between >= torch.minimum(a, b)[..., 24:40] - 1e-6).all()


def test_revision_corrects_b_only_where_the_warps_agree():
    torch.manual_seed(0)
    revision = SmallRevision(8).eval()
    torch.nn.init.normal_(revision.network.last.weight, std=0.5)
    a = torch.rand(1, 3, 64, 64)
    mask_a, mask_b = torch.zeros(2, 1, 1, 64, 64, dtype=torch.bool)
    mask_a[..., :40], mask_b[..., 24:] = True, True
    together = Warps(a * mask_a, a * mask_b, mask_a, mask_b)
    apart = Warps(a * mask_a, a.flip(dims=(-2,)) * mask_b, mask_a, mask_b)
    strangers = Warps(a * mask_a, a * mask_b, mask_a & (torch.arange(64) < 24), mask_b)
    assert disagreement(together).item() == 0 and disagreement(strangers).item() == 1
    assert disagreement(apart).item() == pytest.approx(1, abs=0.05)
    for warps in (together, apart, strangers):
        revised = revision(warps)
        assert near(revised[..., :24], a[..., :24], "formula"), "A is never touched"
        moved = (revised - warps.b)[..., 40:].abs().max().item()
        assert moved > 0.05 if warps is together else moved < 1e-6


# ---- losses ----------------------------------------------------------------------------------------------------------

def test_shares_are_bilinear():
    points = torch.tensor([[[3.5, 3.5], [7.5, 3.5], [124.0, 124.0], [-5.0, 3.5], [131.9, 3.5]]], dtype=torch.float64)
    indices, shares, inside = losses.spread(points, 16, 16, 8)
    assert near(shares.sum(dim=-1), torch.ones(1, 5, dtype=torch.float64), "formula")
    assert inside.tolist() == [[True, True, True, False, False]]
    found = [{index: share for index, share in zip(row, weights) if share > 0}
             for row, weights in zip(indices[0].tolist(), shares[0].tolist())]
    assert found[0] == {0: 1.0} and found[1] == {0: 0.5, 1: 0.5}
    assert found[2] == {255: pytest.approx(1.0)}


def test_coarse_matching_is_least_at_the_truth():
    """Log probabilities that say what is true have a lower loss than those of any shifted pair, or of no match."""
    true = torch.tensor([[16.0, 8] * 4])  # B's places lie two right and one down in A
    H = homography_from_offsets(true, (128, 128))

    def certain(shift_x, shift_y):
        log = torch.full((1, 256, 257), -9.0)
        for y in range(16):
            for x in range(16):
                u, v = x - shift_x, y - shift_y
                log[0, 16 * y + x, 16 * v + u if 0 <= u < 16 and 0 <= v < 16 else 256] = -0.01
        return log
    def total(x, y):
        return losses.coarse_matching(certain(x, y), certain(-x, -y), H).item()
    assert total(2, 1) == pytest.approx(0.01, abs=1e-4)
    assert min(total(1, 1), total(2, 0), total(-2, -1), total(16, 16)) > 3


def test_fine_matching_is_least_at_the_true_displacement():
    true, start = torch.full((1, 8), 6.0), torch.full((1, 8), 2.0)                        # 4 pixels: one place
    H, H_start = (homography_from_offsets(offsets, (128, 128)) for offsets in (true, start))

    def loss(channel):
        log = torch.full((1, 81, 16, 16), -9.0)
        log[:, channel] = -0.01
        return losses.fine_matching(Fine(log, torch.ones(1, 256), H_start), H).item()
    right = 3 * 9 + 3  # B lies 4 px farther right and down: A finds it at (-1, -1)
    values = [loss(channel) for channel in range(81)]
    assert np.argmin(values) == right and values[right] == pytest.approx(0.01, abs=1e-3)
    nothing = Fine(torch.full((1, 81, 16, 16), -4.4), torch.zeros(1, 256), H_start)
    assert losses.fine_matching(nothing, H).item() == 0


def test_offset_losses_and_jitter():
    true = torch.zeros(4, 8)
    assert losses.offset_squares(true + 3, true).item() == 9
    near, far = (losses.offset_distance([true + value, true + value], true).item() for value in (1, 50))
    assert 0 < near < far < 1.7 * 32
    generator = torch.Generator().manual_seed(1)
    noisy = losses.jitter(torch.zeros(4000, 8), 2.0, generator)
    assert (noisy.abs().sum(dim=1) == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert losses.jitter(torch.zeros(4000, 8), 2.0, generator, always=True).std().item() == pytest.approx(2.0, abs=0.05)


def test_revision_losses_look_where_they_should():
    label, revised, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    revised[..., 0, :] = 1
    mask[..., 1:, :] = 1
    assert losses.content(revised, label, mask).item() == 0
    assert losses.whole_canvas(revised, label).item() == pytest.approx(1 / 8)


# ---- stages, results -------------------------------------------------------------------------------------------------

def test_revision_needs_and_keeps_a_homography_network(folders):
    with pytest.raises(UserError, match="--weights"):
        train.main([*FIRST_STEPS, "stage=revise", "--name", "bare"])
    train.main([*FIRST_STEPS, "--name", "first"])
    first = folders / "checkpoints/view_free_stitch/first/best.pt"
    train.main([*FIRST_STEPS, "stage=revise", "--name", "second", "--weights", str(first)])
    before, after = (checkpoints.load(folders / f"checkpoints/view_free_stitch/{name}/last.pt")["weights"]
                     for name in ("first", "second"))
    # the moving average rounds
    same = {name for name in before if near(before[name], after[name])}
    assert {name for name in before if name.startswith("homography")} <= same
    assert "revision.network.last.weight" not in same and "revision.network.last.bias" not in same
    text = (folders / "results/view_free_stitch/second/train/log.jsonl").read_text()
    log = [json.loads(line) for line in text.splitlines()]
    assert any("val_psnr_union" in line for line in log) and {line["stage"] for line in log} == {"revise"}


def test_rows_rules_and_classes_of_generated_pairs(folders):
    train.main([*FIRST_STEPS, "--name", "short"])
    test.main(["--demo", "--name", "short", "test.count=6", "test.images=1"])
    folder = folders / "results/view_free_stitch/short/test/held_out"
    content = json.loads((folder / "metrics.json").read_text())
    assert list(content)[:9] == ["identity", "sift", "sift_tuned", "sift_tuned_2x", "orb", "network", "network_refined",
                                 "auto_classical", "auto"]
    for row in baselines.ROWS:
        values = content[row]
        assert {"rmse_4pt", "rmse_4pt_median", "rmse_4pt_below_1px", "failures", "count", "by"} <= values.keys()
        assert values["count"] == 6 and set(values["by"]["rank"]) == {"best_30", "30_60", "60_100"}
        ranks = [values["by"]["rank"][name]["rmse_4pt"] for name in ("best_30", "30_60", "60_100")]
        assert ranks == sorted(ranks)
        assert sum(each["count"] for each in values["by"]["overlap"].values()) == 6
    assert {"psnr_union", "psnr_b_own", "seam_step"} <= content["revised/refined"].keys()
    with open(folder / "items.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * len(content) and len(list((folder / "images").rglob("*.png"))) == 1
    errors = sorted(float(line["rmse_4pt"]) for line in lines if line["row"] == "sift_tuned")
    assert content["sift_tuned"]["rmse_4pt_median"] == pytest.approx(np.median(errors), abs=1e-5)


def test_a_failure_counts_100_and_says_why(pair):
    nothing = test.measure_answer(estimators.Answer(None, "3 matches: at least 4 are needed"), pair)
    assert nothing["rmse_4pt"] == 100 and nothing["failures"] == 1 and "3 matches" in nothing["reason"]
    folded = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]], dtype=torch.float64)
    assert test.measure_answer(estimators.Answer(folded), pair)["failures"] == 1
    far = torch.tensor([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    expected = {"failures": 1, "reason": "", "rmse_4pt": 100.0, "rmse_4pt_below_1px": 0.0}
    assert test.measure_answer(estimators.Answer(far), pair) | {"reason": ""} == expected
    true = test.measure_answer(estimators.Answer(torch.from_numpy(pair.H_ba)), pair)
    assert true["rmse_4pt"] == pytest.approx(0, abs=1e-6) and true["failures"] == 0 and true["psnr_overlap"] > 28


def test_photographed_pairs_have_rows_without_offsets(folders):
    train.main([*FIRST_STEPS, "--name", "short"])
    test.main(["--demo", "--name", "short", f"test.root={build('stereo')}"])
    content = json.loads((folders / "results/view_free_stitch/short/test/stereo/metrics.json").read_text())
    assert list(content) == baselines.ROWS and "rmse_4pt" not in content["sift"]
    assert content["auto"]["psnr_overlap"] > content["identity"]["psnr_overlap"]
    assert content["sift"]["by"]["parallax"]["large"]["count"] == 1


def test_a_broken_photograph_fails_alone(folders, tmp_path):
    train.main([*FIRST_STEPS, "--name", "short"])
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes((build("photos") / "03.png").read_bytes())
    (photos / "b.png").write_text("no picture")
    with pytest.raises(Negative, match="1 pair"):
        test.main(["--demo", "--name", "short", f"test.root={photos}", "test.held_out=false",
                   "test.count=2"])


def test_every_tenth_photograph_is_held_out():
    training, held = split_photographs(build("photos"))
    assert [path.stem for path in held] == ["00", "10"] and not set(training) & set(held) and len(training) == 18
    cfg = settings.resolve("view_free_stitch", ["test.count=5"], demo=True).config
    pairs = evaluation_pairs(cfg)
    assert pairs.set_name == "held_out" and len(pairs) == 5 and {path.stem for path in pairs.photos} == {"00", "10"}
    cfg = settings.resolve("view_free_stitch", [f"test.root={build('stereo')}"]).config
    assert isinstance(evaluation_pairs(cfg), RealPairs)


def test_the_network_takes_pictures_of_any_two_sizes(pair):
    torch.manual_seed(0)
    model = ViewFreeStitch().eval()
    rng = np.random.default_rng(0)
    found = estimators.network_estimate(model, rng.integers(0, 256, (90, 200, 3), dtype=np.uint8), pair.b,
                                        torch.device("cpu"))
    assert found.H_ba.shape == (3, 3) and torch.isfinite(found.H_ba).all() and found.inliers <= found.matches
    assert isinstance(PaperRevision(8)(structure_stitch(*tensors(pair)[:2], IDENTITY[None])), torch.Tensor)
    assert PaperHomography().radius == 16
