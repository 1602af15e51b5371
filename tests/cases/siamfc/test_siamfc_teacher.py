"""Learning from a teacher, pools of pairs, and the table of the tracker's switches."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tolerances import near

from cases.siamfc import losses, train
from cases.siamfc import teacher as teaching
from cases.siamfc.baselines.trackers import build_untrained
from cases.siamfc.data import Pairs
from cases.siamfc.extras import switches
from cases.siamfc.model import SiamFC, correlate
from cases.siamfc.teacher import Teacher
from cases.siamfc.videos import any_layout
from common.base import paths
from common.data.samples import build
from common.data.sequences import SequenceFolder
from common.experiment import checkpoints
from common.experiment.settings import resolve

WIDE, NARROW = [8, 16, 16, 16, 16], [8, 16, 16, 16, 8]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "wide.pt"
    network = build_untrained(SiamFC(WIDE).backbone, 0)
    checkpoints.save(path, {"case": "siamfc", "model": {"widths": WIDE}, "weights": network.state_dict()})
    return path


def narrow(seed):
    """Weights of an untrained narrow student."""
    network = build_untrained(SiamFC(NARROW).backbone, seed)
    return checkpoints.Weights(None, {"widths": NARROW}, network.state_dict(), "", "")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(teaching, "SAMPLES", 8)


@pytest.fixture(scope="module")
def pairs():
    return Pairs(any_layout(build("GOT-10k") / "train"), "strong", 0, pool=12)


def batch(samples):
    return SimpleNamespace(z=torch.stack([sample.z for sample in samples]),
                           x=torch.stack([sample.x for sample in samples]),
                           number=torch.tensor([sample.number for sample in samples]))


def test_leading_directions_keep_correlations(weights, pairs):
    """All directions keep them exactly, half of them nearly: that is what makes a narrower student possible."""
    network = checkpoints.build(SiamFC, checkpoints.find("siamfc", "", str(weights))).eval()
    pair = batch([pairs[0, index] for index in range(4)])
    with torch.no_grad():
        exact = correlate(network.backbone(pair.z.float()), network.backbone(pair.x.float()))
    for channels, tolerance in ((16, 2e-2), (8, 0.3)):           # features are kept in bfloat16
        teacher = Teacher(weights, pairs, channels, torch.device("cpu"))
        assert near(teacher.projection.T @ teacher.projection, torch.eye(channels))
        z, x = teacher.features(pair)
        assert z.shape == (4, channels, 6, 6) and x.shape == (4, channels, 20, 20)
        assert float(losses.relative_error(correlate(z, x), exact)) < tolerance ** 2
    assert teacher.kept > 0.85


def test_a_teacher_comes_to_meet_a_student_that_has_learnt(weights, pairs):
    """A student that knows the teacher's features in other words, turned and twice as long, has nothing to learn."""
    teacher = Teacher(weights, pairs, 16, torch.device("cpu"))
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)))[0]
    start = checkpoints.build(SiamFC, checkpoints.find("siamfc", "", str(weights)))

    class Turned(torch.nn.Module):
        def forward(self, pictures):
            return 2 * torch.einsum("nchw,cd->ndhw", start.backbone(pictures), turn)
    found = teacher.projection @ teacher.turn(pairs, Turned())
    pictures = torch.stack([pairs[0, index].x for index in range(2)]).float()
    with torch.no_grad():
        features = start.backbone(pictures)
        met = torch.einsum("nchw,cd->ndhw", features, found)
        assert float(losses.relative_error(met, Turned()(pictures))) < 1e-3            # features are in bfloat16
    nearer = Teacher(weights, pairs, 8, torch.device("cpu"), start=checkpoints.build(SiamFC, narrow(0)))
    gram = nearer.projection.T @ nearer.projection
    assert torch.allclose(gram / gram[0, 0], torch.eye(8), atol=1e-4)                   # lengths by one number, no more


def test_a_training_that_begins_with_weights_is_met(weights, tmp_path):
    path, network = tmp_path / "student.pt", build_untrained(SiamFC(WIDE).backbone, 3)
    checkpoints.save(path, {"case": "siamfc", "model": {"widths": WIDE}, "weights": network.state_dict()})
    pairs = Pairs(any_layout(build("GOT-10k") / "train"), "strong", 0)
    config = resolve("siamfc", [f"train.teacher={weights}", f"model.widths={WIDE}", "precision=fp32"]).config
    grams = []
    for start in (None, str(path)):
        run = SimpleNamespace(config=config, name="", options=SimpleNamespace(weights=start),
                              device=torch.device("cpu"))
        found = train.choose_teacher(run, pairs).projection
        grams.append(found.T @ found)
    assert near(grams[0], torch.eye(16))                                               # as it is
    assert not torch.allclose(grams[1], torch.eye(16), atol=1e-2)                      # as long as the student's


def test_a_pool_comes_again_and_its_features_are_computed_once(weights, pairs, monkeypatch):
    count = len(pairs)
    again = pairs[divmod(3 + 12, count)]
    assert again.number == 3 and torch.equal(again.x, pairs[divmod(3, count)].x)
    assert not torch.equal(again.x, pairs[divmod(4, count)].x)
    teacher = Teacher(weights, pairs, 8, torch.device("cpu"))
    pair = batch([again, pairs[divmod(4, count)]])
    first = teacher.features(pair)
    monkeypatch.setattr(teacher, "embed", None)                  # nothing is left to compute
    assert all(torch.equal(one, other) for one, other in zip(first, teacher.features(pair)))


def test_without_a_pool_nothing_is_kept(weights):
    pairs = Pairs(any_layout(build("GOT-10k") / "train"), "strong", 0)
    teacher = Teacher(weights, pairs, 8, torch.device("cpu"))
    z, x = teacher.features(batch([pairs[0, 0], pairs[0, 1]]))
    assert z.shape == (2, 8, 6, 6) and x.shape == (2, 8, 20, 20) and not teacher.known


def test_the_terms_are_zero_for_a_perfect_student_and_one_for_a_mute_one(weights, pairs):
    teacher, pair = Teacher(weights, pairs, 8, torch.device("cpu")), batch([pairs[0, 0], pairs[0, 1]])
    z, x = teacher.features(pair)
    perfect = teacher.terms(pair, correlate(z, x), z, x, 10)
    assert all(float(value) == 0 for value in perfect.values())
    mute = teacher.terms(pair, 0 * correlate(z, x), 0 * z, 0 * x, 10)
    assert {name: round(float(value), 4) for name, value in mute.items()} == {"taught_z": 10, "taught_x": 10,
                                                                              "taught_maps": 3}


def test_the_competing_loss_does_not_mind_a_constant():
    responses, offset = torch.randn(3, 3, 15, 15), torch.zeros(3, 2)
    one, other = (losses.terms(responses + shift, offset, "competing") for shift in (0, 5))
    assert list(one) == ["competing"] and near(one["competing"], other["competing"])


def test_a_student_comes_nearer_to_its_teacher(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    train.main(["--name", "taught", "--device", "cpu", "data.kind=videos", f"data.root={build('GOT-10k') / 'train'}",
                f"train.teacher={weights}", "train.loss=competing", "data.pool=8", f"model.widths={NARROW}",
                "precision=fp32", "workers=0", "train.steps=30", "train.batch_size=4", "train.lr=5e-3",
                "train.validate_every=30", "train.validate_clips=1", "train.validate_frames=3", "train.log_every=10"])
    lines = (tmp_path / "results" / "siamfc" / "taught" / "train" / "log.jsonl").read_text().splitlines()
    errors = [float(line.split('"taught_x": ')[1].split(",")[0]) for line in lines if "taught_x" in line]
    assert errors[-1] < 0.8 * errors[0]


def test_a_name_with_a_minus_is_left_out():
    root = build("GOT-10k") / "train"
    names = SequenceFolder(root).names
    assert SequenceFolder(root, names=[f"-{names[1]}"]).names == [names[0], *names[2:]]
    assert SequenceFolder(root, names=[names[0], names[1], f"-{names[1]}"]).names == [names[0]]
    for wrong, said in (([f"-{name}" for name in names], "no sequence is left"), (["-nobody"], "no such sequences")):
        with pytest.raises(Exception, match=said):
            SequenceFolder(root, names=wrong)


def test_the_table_of_switches(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(switches, "SWITCHES", [{}, {"scales": 1}, {"flavour": "original"}])
    monkeypatch.setattr(switches, "SAVED", -1)
    switches.main(["--weights", str(weights), "--figure", str(tmp_path / "saved.png"), "data.kind=videos",
                   f"data.root={build('GOT-10k') / 'train'}", "train.validate_clips=1", "train.validate_frames=4"])
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert last.startswith("2 switches save a clip") and (tmp_path / "saved.png").stat().st_size > 10000
    assert first.startswith("2 clips, 6 updates")
    assert [line.split(maxsplit=3)[3] for line in lines] == ["as set", "tracker.scales=1", "tracker.flavour=original"]
    base, *others = (np.array(line.split()[:2], dtype=float) for line in lines)
    assert base[1] == 0 and all(abs(other[0] - base[0] - other[1]) < 2e-4 for other in others)
