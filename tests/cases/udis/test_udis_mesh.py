"""The learnt mesh: its grid is the mesh's, nothing moves without trust, nothing folds, a step lessens the loss."""
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tolerances import near

from cases.udis import mesh_learnt, meshes, test, train
from cases.udis.baselines import by_keypoints, refine_starts
from cases.udis.data import MeshTasks, TwoViews, read_photographed
from cases.udis.losses import mesh_terms
from cases.udis.mesh_learnt import MeshHead, bend_learnt, crop_overlap, extract_features, fit_smooth, slopes, spread
from cases.udis.model import UDIS
from cases.udis.quality import measure_alignment
from common.base import paths
from common.base.errors import UserError
from common.data.images import to_tensor
from common.data.samples import build, photograph
from common.experiment import checkpoints
from common.experiment.settings import Settings
from common.stitching.estimators import Answer
from common.stitching.keypoints import SIFT
from common.stitching.mesh import Mesh, bent_warp, fit_knots, flat, pixel_grid
from common.stitching.refine import mean_square

CPU = torch.device("cpu")
H = np.array([[1.0, 0, 60], [0, 1, 0], [0, 0, 1]])
LOSS = Settings(level_ratio=0.5, compensate=True, bend_weight=0.3)


@pytest.fixture(scope="module")
def views():
    """(A, B) of a photograph: B lies 60 px to the right, A is bent by up to 4 px."""
    import cv2
    scene = cv2.resize(photograph("coffee.png"), (420, 260), interpolation=cv2.INTER_AREA)
    x, y = pixel_grid((240, 300))
    bump = 4 * np.exp(-((x - 180) ** 2 + (y - 120) ** 2) / 2 / 50 ** 2)
    a = cv2.remap(scene, (x + bump).astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    return a, np.ascontiguousarray(scene[:240, 60:360])


@pytest.fixture(scope="module")
def model():
    """The released network with a mesh that has learnt nothing."""
    torch.manual_seed(0)
    weights = checkpoints.find("udis", "x", "release-repaint")
    network = UDIS(**weights.model, mesh=True)
    network.load_state_dict({name: tensor.float() for name, tensor in weights.state.items()}, strict=False)
    return network.eval()


def test_the_network_sees_the_box_of_the_overlap(views):
    a, b = views
    seen = crop_overlap(a, b, flat(a, b, H))
    assert seen.a.shape == (1, 3, 256, 256) and seen.b.shape == (1, 3, 320, 320) and seen.mask.shape == (1, 1, 320, 320)
    assert seen.mask[..., 33:286, 33:286].all() and not seen.mask[..., :30, :].any()
    assert (seen.b * (1 - seen.mask) == 0).all()
    assert (seen.a - seen.b[..., 32:-32, 32:-32])[..., 5:60, 5:60].abs().mean() < 0.02       # far from the bump


def test_knots_mean_on_the_square_what_they_mean_in_the_mesh():
    knots = torch.from_numpy(np.random.default_rng(0).normal(0, 0.02, (8, 12, 2)).astype(np.float32))
    straight = Mesh(H, (60.0, 0.0, 315.0, 255.0), np.zeros((8, 12, 2)))
    mesh = mesh_learnt.as_mesh(knots, straight)
    shift = spread(knots[None], 256)[0].numpy() * 256
    dx, dy = mesh.shift(*(each + offset for each, offset in zip(pixel_grid((256, 256)), (60, 0))))
    assert np.abs(shift - np.dstack([dx, dy])).max() < 0.3                        # half a pixel of the box


def test_a_batch_is_fitted_with_two_threads_as_with_one():
    """A batched LU of this size fails in some builds where more than one thread computes it."""
    draw, before, found = torch.Generator().manual_seed(0), torch.get_num_threads(), []
    wanted, trust = 0.02 * torch.randn(2, 32, 32, 2, generator=draw), torch.rand(2, 32, 32, generator=draw)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(fit_smooth(wanted.requires_grad_(), trust, (16, 16)))
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(*found, atol=1e-6) and found[0].abs().max() > 1e-3


def test_the_grids_fit_is_that_of_the_classical_mesh():
    rng = np.random.default_rng(1)
    wanted, trust = rng.normal(0, 0.01, (32, 32, 2)), rng.uniform(0, 1, (32, 32))
    knots = fit_smooth(*(torch.from_numpy(each)[None] for each in (wanted, trust)), (6, 9))[0].numpy()
    place = (2 * np.arange(32) + 0.5) / 64
    x, y = np.meshgrid(place, place)
    mesh = Mesh(H, (0.0, 0.0, 1.0, 1.0), np.zeros((9, 12, 2)))
    expected = fit_knots(mesh, x.ravel(), y.ravel(), wanted.reshape(-1, 2), trust.ravel())
    assert np.allclose(knots, expected, atol=1e-6)


def test_without_trust_the_mesh_is_the_homography_and_shifts_are_bounded(views, model):
    a, b = views
    known = extract_features(model.homography.features, crop_overlap(a, b, flat(a, b, H)))
    head = MeshHead()
    torch.nn.init.constant_(head.last.bias[2:], -1e4)
    assert all((knots == 0).all() for knots in head(known, (15, 15)))
    torch.nn.init.constant_(head.last.bias[2:], 1e4)
    torch.nn.init.constant_(head.last.bias[:2], 1e4)                    # everything wishes to go far
    wild = fit_smooth(torch.full((1, 32, 32, 2), 7.0), torch.ones(1, 32, 32), (16, 16))
    assert wild.abs().max() == 1 / 8 and all(knots.abs().max() <= 1 / 8 for knots in head(known, (15, 15)))


def test_slopes_find_a_small_shift():
    x, y = pixel_grid((64, 64))
    a, b = (torch.from_numpy(np.sin((x + dx) / 3) + np.cos((y + dy) / 4))[None, None]
            for dx, dy in ((0, 0), (0.8, -0.6)))
    shift, sure = slopes(a, b, torch.ones_like(a))                      # b is a, moved to the left and down
    middle = (4 * shift[0, :, 1:-1, 1:-1]).mean(dim=(1, 2))
    assert shift.shape == (1, 2, 8, 8) and middle.tolist() == pytest.approx([-0.8, 0.6], abs=0.1) and sure.min() > 0.5
    assert (slopes(torch.ones_like(a), torch.ones_like(a), torch.ones_like(a))[0] == 0).all()


def test_even_an_untaught_mesh_bends_towards_the_picture(views, model):
    a, b = views
    mesh, straight = bend_learnt(model, a, b, H, CPU), flat(a, b, H)
    (before, mask_before), (after, mask_after) = (bent_warp(each, a.shape, b) for each in (straight, mesh))
    assert mean_square(after - a, mask_after) < 0.7 * mean_square(before - a, mask_before)
    assert mesh.knots.shape == straight.knots.shape and mesh.jacobian().min() >= 0.25


def test_the_released_mesh_bends_an_unseen_pair_without_its_matches(shared):
    """railtracks, of large parallax: never trained on, and the other measure agrees."""
    pairs = read_photographed(shared("data/stitch_pairs"), "testing")
    a, b = pairs.pair(pairs.names.index("railtracks"))
    refined = refine_starts(a, b, [by_keypoints(a, b, SIFT)])
    network = checkpoints.load_release("udis", UDIS)
    answers = [refined, Answer(refined.H_ba, mesh=bend_learnt(network, a, b, refined.H_ba.numpy(), CPU))]
    before, after = (measure_alignment(answer, a, b)["psnr_overlap"] for answer in answers)
    matches = meshes.real_matches(a, b, refined.H_ba.numpy())
    off = [np.percentile(meshes.distances(mesh, matches), 90)
           for mesh in (flat(a, b, refined.H_ba.numpy()), answers[1].mesh)]
    assert after > before + 3 and off[1] < 0.3 * off[0]


def test_stage_2_learns_on_warps_that_a_mesh_has_bent_where_it_is_told_to(views, model):
    """train.warp=mesh: the warps agree better; the pair is aligned once, since stage 1 is frozen."""
    pair = TwoViews(*(to_tensor(picture)[None] for picture in views), ["bump"])
    off = {}
    for kind in ("homography", "mesh"):
        run = SimpleNamespace(device=CPU, config=SimpleNamespace(train=SimpleNamespace(warp=kind)))
        aligner = train.Aligner(run, model)
        warps = aligner.warps(pair)
        off[kind] = (warps.a - warps.b).square()[warps.overlap.expand_as(warps.a)].mean().item()
        known = aligner.known["bump"]
        assert torch.equal(aligner.warps(pair).b, warps.b) and aligner.known["bump"] is known
    assert off["mesh"] < 0.7 * off["homography"]


def test_whatever_the_network_says_nothing_folds_and_nothing_becomes_worse(views, model, monkeypatch):
    a, b = views
    rng = np.random.default_rng(2)
    wild = torch.from_numpy(rng.uniform(-1 / 8, 1 / 8, (1, 18, 18, 2)).astype(np.float32))
    monkeypatch.setattr(model.mesh, "forward", lambda *rest: [wild])
    assert bend_learnt(model, a, b, H, CPU) is None                     # the homography is closer
    monkeypatch.setattr(mesh_learnt, "better", lambda *rest: True)
    assert bend_learnt(model, a, b, H, CPU).jacobian(200).min() > 0
    far = np.array([[1.0, 0, 299], [0, 1, 0], [0, 0, 1]])
    assert bend_learnt(model, a, b, far, CPU) is None


def test_descending_lessens_the_loss(views, model):
    a, b = views
    seen = crop_overlap(a, b, flat(a, b, H))
    known, head = extract_features(model.homography.features, seen), MeshHead()
    optimizer, losses = torch.optim.Adam(head.parameters(), lr=1e-3), []
    for _ in range(5):
        terms = mesh_terms(head(known), seen, LOSS)
        losses.append(sum(terms.values()))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[1] < losses[0] and losses[4] < losses[1] and terms["bend"] > 0
    straight = mesh_terms([torch.zeros(1, 19, 19, 2)], seen, LOSS)
    assert straight["bend"] == 0 and losses[4] < straight["mesh"] * 1.75                    # 1 + 1/2 + 1/4 rounds


def test_tasks_come_from_seed_epoch_and_index():
    pairs = read_photographed(build("UDIS-D"), "training")
    tasks = MeshTasks(pairs, [0, 5], seed=1)
    drawn = [tasks[epoch, 1] for epoch in range(12)]
    assert all(task.place == 5 and task.start.shape == (19, 19, 2) and task.name == "000006" for task in drawn)
    assert torch.equal(drawn[3].start, MeshTasks(pairs, [0, 5], seed=1)[3, 1].start)
    assert {task.exchange for task in drawn} == {True, False}
    assert 0 < sum(task.start.any().item() for task in drawn) < 12


# ---- the stage, the row, the mistakes --------------------------------------------------------------------------------

@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own, pairs/ with four pairs to train on and one to test on, and
    weights without a mesh."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    for place, count in (("training", 4), ("testing", 1)):
        for side in ("input1", "input2"):
            (tmp_path / "pairs" / place / side).mkdir(parents=True)
            for number in range(1, count + 1):
                shutil.copy(build("UDIS-D") / place / side / f"{number:06}.png", tmp_path / "pairs" / place / side)
    torch.manual_seed(0)
    checkpoints.save(tmp_path / "checkpoints/udis/bare/best.pt",
                     {"case": "udis", "model": {"arch": "small", "form": "mask", "width": 16},
                      "weights": UDIS().state_dict(), "settings": {}})
    return tmp_path


def train_mesh(folders, name, *more):
    train.main(["--demo", "preset=mesh", "--name", name, "--weights", str(folders / "checkpoints/udis/bare/best.pt"),
                f"data.root={folders / 'pairs'}",
                "train.steps=4", "train.batch_size=2", "train.validate_every=4", "train.validate_pairs=1",
                "train.log_every=1", "train.save_every=1", *more])
    return checkpoints.load(folders / f"checkpoints/udis/{name}/last.pt")


@pytest.mark.slow
def test_the_stage_trains_the_mesh_alone_and_goes_on_where_it_was_killed(folders, monkeypatch):
    whole = train_mesh(folders, "whole")
    bare = UDIS().state_dict().keys()
    before = checkpoints.load(folders / "checkpoints/udis/bare/best.pt")["weights"]
    assert whole["model"]["mesh"] is True and bare < whole["weights"].keys()
    assert all(near(whole["weights"][name], before[name]) for name in bare)                  # the average rounds
    assert whole["weights"]["mesh.last.weight"].abs().sum() > 0
    read, count = train.Overlaps.batch, []

    def dying(self, task):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return read(self, task)
    monkeypatch.setattr(train.Overlaps, "batch", dying)
    with pytest.raises(KeyboardInterrupt):
        train_mesh(folders, "killed")
    monkeypatch.setattr(train.Overlaps, "batch", read)
    resumed = train_mesh(folders, "killed")
    assert all(torch.equal(resumed["weights"][name], tensor) for name, tensor in whole["weights"].items())
    logs = [(folders / f"results/udis/{name}/train/log.jsonl").read_bytes() for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_weights_with_a_mesh_give_a_row_and_a_warp(folders, capsys):
    train_mesh(folders, "whole")
    test.main(["--demo", "--name", "whole", f"test.root={folders / 'pairs'}", "test.reconstruct=false"])
    content = json.loads((folders / "results/udis/whole/test/testing/metrics.json").read_text())
    row, refined = content[meshes.LEARNT], content["refined"]
    assert row["psnr_overlap"] >= refined["psnr_overlap"] - 0.01 and row["least_area"] >= 0.25
    photos = [str(folders / f"pairs/testing/{side}/000001.png") for side in ("input1", "input2")]
    own = ["--input", *photos, "--output", str(folders / "out"), "test.warp=mesh_learnt", "test.method=sift",
           "test.projection=plane"]
    test.main(["--demo", "--name", "whole", *own])
    assert "bent by a mesh" in capsys.readouterr().out


def test_what_has_no_mesh_is_named(folders):
    with pytest.raises(UserError, match="has no learnt mesh.*test.warp=mesh"):
        test.main(["--demo", "--name", "bare", "test.warp=mesh_learnt", "--input", str(folders)])
    with pytest.raises(UserError, match="stage=mesh needs a trained homography network"):
        train.main(["--demo", "preset=mesh", "--name", "none"])
    with pytest.raises(UserError, match="small was expected"):
        train_mesh(folders, "large", "model.arch=paper")
    broken = checkpoints.load(folders / "checkpoints/udis/bare/best.pt")
    broken["model"]["mesh"] = True                                      # but no weights of one
    checkpoints.save(folders / "checkpoints/udis/broken/best.pt", broken)
    with pytest.raises(UserError, match="does not fit UDIS.*mesh"):
        test.main(["--demo", "--name", "broken", "test.reconstruct=false"])
    refined = Answer(None, "no fair start")
    assert meshes.bend_all(UDIS(mesh=True), None, None, refined, CPU)[0][meshes.LEARNT] is refined
