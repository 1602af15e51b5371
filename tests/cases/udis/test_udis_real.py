"""Unsupervised stitching on photographed pairs: the paper's empty optimum, refinement's starts, release weights."""
import csv

import cv2
import numpy as np
import pytest
import torch

from cases.udis import baselines, losses, quality
from cases.udis.data import read_photographed
from cases.udis.model import UDIS
from cases.udis.perceptual import perceptual
from common.base import paths
from common.data.images import to_bytes, to_tensor
from common.data.samples import build
from common.experiment import checkpoints
from common.experiment.settings import Settings
from common.stitching import estimators, keypoints
from common.stitching.geometry import homography_from_offsets, rescale, warp

CPU = torch.device("cpu")
RELEASES = sorted((paths.ROOT / "checkpoints" / "udis").glob("release*.pt"))

# measured: the paper's loss and the masked mean, at SIFT's homography, the identity, shifts of 64 and of 110
DEGENERATE = {"udisd_train_000001": (0.0732, 0.0876, 0.3065, 0.3065, 0.1969, 0.3938, 0.0588, 0.4184),
              "spw_05": (0.0382, 0.0523, 0.2265, 0.2265, 0.1240, 0.2480, 0.0479, 0.3409),
              "dhw_carpark": (0.0639, 0.1418, 0.5277, 0.5277, 0.2643, 0.5287, 0.0622, 0.4423),
              "roofs": (0.0757, 0.1792, 0.5301, 0.5301, 0.2284, 0.4568, 0.0711, 0.5057)}


def homographies(folder, method):
    """{name: H_ba} of the list's method."""
    with open(folder / "baselines.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["method"] == method]
    return {line["name"]: torch.tensor([float(value) for value in line["H_2to1"].split()],
                                       dtype=torch.float64).view(3, 3) for line in lines}


def test_the_papers_loss_prefers_a_shift_of_110_to_the_truth_on_three_of_four_pairs(shared):
    folder = shared("data/stitch_pairs")
    pairs, true = read_photographed(folder, "testing"), homographies(folder, "sift_ransac")
    beaten = 0
    for name, listed in DEGENERATE.items():
        pictures = pairs.pair(pairs.names.index(name))
        a, b = (to_tensor(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR))[None]
                for picture in pictures)
        H = rescale(true[name][None], *((128 / picture.shape[1], 128 / picture.shape[0]) for picture in pictures))
        places = [H, *(homography_from_offsets(torch.tensor([[-float(shift), 0.0] * 4]), (128, 128))
                       for shift in (0, 64, 110, 140))]
        seen = [warp(b, place, (128, 128)) for place in places]
        paper, ours = ([function(a, *each).item() for each in seen] for function in (losses.blanked_loss, plain_mean))
        assert [value for both in zip(paper[:4], ours[:4]) for value in both] == pytest.approx(listed, abs=6e-4), name
        assert paper[4] == 0 and losses.masked_loss(a, *seen[4]).item() == 2
        beaten += paper[3] < paper[0]
        assert ours[3] > 2 * ours[0]
    assert beaten == 3


def plain_mean(a, warped, mask):
    """The masked mean as in DEGENERATE: no compensation; its hinge is 0 at these overlaps."""
    return losses.masked_loss(a, warped, mask, compensate=False)


def test_weights_without_block_5_serve_both_branches_and_the_log_says_so(shared):
    said = []
    settings = Settings(perceptual="vgg19", network=str(shared("weights/vgg") / "vgg19_block1-3.npz"),
                        content_weight=0.0, perceptual_side=64)
    features = perceptual(settings, CPU, said.append)
    assert "relu3_3 for both branches" in said[0] and features.weight_low == features.weight_high > 0
    picture = torch.rand(1, 3, 64, 64)
    assert torch.equal(features.low(picture), features.high(picture))
    assert perceptual(Settings(settings | {"content_weight": 0.5}), CPU, said.append).weight_low == 0.5
    assert perceptual(Settings(settings | {"perceptual": "none"}), CPU, said.append) is None and "pixels" in said[-1]


@pytest.mark.parametrize("start, wanted", [("network", ["network"]), ("sift", ["sift"]), ("identity", ["identity"]),
                                           ("best", ["sift", "orb", "network", "identity"])])
def test_where_the_refinement_starts(monkeypatch, start, wanted):
    answer = {name: estimators.Answer(torch.diag(torch.tensor([value, 1.0, 1.0], dtype=torch.float64)))
              for value, name in enumerate(("network", "sift", "orb"), start=2)}
    monkeypatch.setattr(baselines, "by_keypoints", lambda a, b, features: answer[features.kind])
    monkeypatch.setattr(baselines, "network_estimate", lambda *rest: answer["network"])
    monkeypatch.setattr(baselines, "check", lambda found, a, b: found)
    monkeypatch.setattr(baselines, "refine_starts", lambda a, b, starts: starts)
    rows = baselines.answers(None, *np.zeros((2, 40, 50, 3), np.uint8), CPU, start)
    known = {"identity": baselines.IDENTITY} | {name: each.H_ba for name, each in answer.items()}
    assert [next(name for name, H in known.items() if torch.equal(H, each.H_ba)) for each in rows["refined"]] == wanted
    assert list(rows) == baselines.ALIGNED and rows["network_refined"] == [answer["network"]]


# ---- the release weights ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_release_files_are_whole_small_and_listed(path):
    checkpoints.check_release(path)
    weights = checkpoints.find("udis", "x", path.stem)
    assert path.stat().st_size < 20e6
    assert path.name in (paths.ROOT / "checkpoints" / "README.md").read_text(encoding="utf-8")
    assert {name.split(".")[0] for name in weights.state} - {"mesh"} == {"homography", "reconstruction"}


@pytest.fixture(scope="module")
def railtracks():
    """Warps of an unseen pair of large parallax at its refined homography, and the scores before and after."""
    folder = paths.ROOT.parent / "shared" / "data" / "stitch_pairs"
    if not folder.exists():
        pytest.skip("data/stitch_pairs is not beside this repository (../shared/data/stitch_pairs)")
    pairs = read_photographed(folder, "testing")
    a, b = pairs.pair(pairs.names.index("railtracks"))
    sift = baselines.by_keypoints(a, b, keypoints.SIFT)
    refined = baselines.refine_starts(a, b, [sift])
    scores = [quality.measure_alignment(answer, a, b) for answer in (sift, refined)]
    return baselines.domain(a, b, refined.H_ba)[0], scores


def test_refinement_gains_on_a_real_pair_and_keeps_the_overlap(railtracks):
    before, after = railtracks[1]
    assert after["psnr_overlap"] > before["psnr_overlap"] and after["overlap_area"] >= 0.9 * before["overlap_area"]


def measured(name, warps):
    """{row: numbers} of one release file, pictures as written."""
    model = checkpoints.build(UDIS, checkpoints.find("udis", "x", name))
    made = baselines.join_all(model, warps, CPU)
    return {row: quality.measure_joined(each._replace(picture=to_tensor(to_bytes(each.picture[0]))[None]), warps)
            for row, each in made.items()}


@pytest.mark.skipif("release" not in [path.stem for path in RELEASES],
                    reason="checkpoints/udis/release.pt is not in this checkout")
def test_the_release_joins_large_parallax_without_ghosts_and_without_a_harder_step(railtracks):
    values = measured("release", railtracks[0])
    own = values["reconstructed"]
    assert own["content_psnr"] == float("inf")
    assert own["ghost"] < 0.2 * min(values["average"]["ghost"], values["feather"]["ghost"])
    assert own["seam_step"] <= values["seam"]["seam_step"]


@pytest.mark.skipif("release-repaint" not in [path.stem for path in RELEASES],
                    reason="checkpoints/udis/release-repaint.pt is not in this checkout")
def test_the_papers_form_keeps_content(railtracks):
    values = measured("release-repaint", railtracks[0])
    assert values["reconstructed"]["content_psnr"] > 27
    assert values["reconstructed"]["ghost"] < values["average"]["ghost"]


# ---- rows ------------------------------------------------------------------------------------------------------------

def test_sift_and_orb_are_those_of_the_list(shared):
    """Rows sift and orb of five pairs: baselines.csv to .01 dB, with image 1's descriptors as the query."""
    folder = shared("data/stitch_pairs")
    pairs = read_photographed(folder, "testing")
    with open(folder / "baselines.csv", newline="") as file:
        listed = {(line["name"], line["method"]): line for line in csv.DictReader(file)}
    for name in ("udisd_train_000001", "spw_05", "spw_22", "apap_train", "hill"):
        a, b = pairs.pair(pairs.names.index(name))
        for row, features, method in (("sift", keypoints.SIFT, "sift_ransac"), ("orb", keypoints.ORB, "orb_ransac")):
            values = quality.measure_alignment(baselines.by_keypoints(a, b, features), a, b)
            for metric, column in (("psnr_overlap", "overlap_psnr"), ("psnr_udis", "udis_psnr"),
                                   ("psnr_udis128", "udis128_psnr")):
                wanted = float(listed[name, method][column])
                assert values[metric] == pytest.approx(wanted, abs=0.01), (name, row, metric)
            assert values["ssim_udis128"] == pytest.approx(float(listed[name, method]["udis128_ssim"]), abs=0.001)


def test_refined_is_never_worse_than_any_start():
    a, b = read_photographed(build("UDIS-D"), "testing").pair(4)
    sift = baselines.by_keypoints(a, b, keypoints.SIFT)
    starts = [sift, baselines.by_keypoints(a, b, keypoints.ORB), estimators.Answer(baselines.IDENTITY)]
    answers = sift, baselines.refine_starts(a, b, starts[:1]), baselines.refine_starts(a, b, starts)
    before, alone, best = (quality.measure_alignment(answer, a, b) for answer in answers)
    assert best["psnr_overlap"] >= alone["psnr_overlap"] >= before["psnr_overlap"]
    assert best["overlap_area"] >= 0.81 * before["overlap_area"]
    assert baselines.refine_starts(a, b, [estimators.Answer(None, "lost")]) == estimators.Answer(None, "lost")


def test_a_failure_stands_in_as_the_identity():
    a, b = read_photographed(build("UDIS-D"), "testing").pair(0)
    values = quality.measure_alignment(estimators.Answer(None, "3 matches"), a, b, 12.5)
    assert values == {"failures": 1, "psnr_overlap_or_identity": 12.5, "reason": "3 matches"}
    far = torch.tensor([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    # a metric that no overlap makes infinite
    assert quality.measure_alignment(estimators.Answer(far), a, b, 12.5)["failures"] == 1
