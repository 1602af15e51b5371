"""The tracker without golden files: properties of both flavours, the users' mistakes, other trackers, the toolkit's
protocol."""
import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tolerances import near

from cases.siamfc import crops
from cases.siamfc.baselines import opencv
from cases.siamfc.baselines.classical import KLT, MOSSE, Static
from cases.siamfc.baselines.trackers import build_untrained
from cases.siamfc.model import SiamFC
from cases.siamfc.tracker import Confidence, Found, SiamFCTracker, parabola, settings_of
from common.base.errors import UserError
from common.data.clips import synthetic
from common.data.samples import build, photograph
from common.data.sequences import SequenceFolder
from common.metrics import tracking

SMALL = [16, 32, 48, 48, 32]


@pytest.fixture(scope="module")
def network():
    """An untrained network, which tracks easy things."""
    return build_untrained(SiamFC(SMALL).backbone, 0)


@pytest.fixture(scope="module")
def clip():
    patch = cv2.resize(photograph("astronaut.png")[20:180, 150:310], (60, 60), interpolation=cv2.INTER_AREA)
    return synthetic(np.random.default_rng(3), photograph("rocket.jpg"), patch, 12, occluder=False, distractor=False)


def follow(tracker, clip):
    tracker.init(clip.frames[0], clip.boxes[0])
    return np.array([clip.boxes[0], *(tracker.update(frame) for frame in clip.frames[1:])])


# ---- crops -----------------------------------------------------------------------------------------------------------

def test_padding_the_cut_out_is_padding_the_frame():
    """The port pads the whole frame with the mean colour; the same pixels come out, also far outside."""
    picture = photograph("coffee.png")[:90, :120]
    fill = picture.mean(axis=(0, 1))
    for centre, side in [((40.2, 60.7), 30.4), ((0, 0), 51), ((88.5, 119), 77.5), ((-200.0, 60), 40), ((45, 60), 200)]:
        size = int(np.round(side))
        corner = np.round(np.array(centre) - (size - 1) / 2).astype(int)
        far = 400
        padded = cv2.copyMakeBorder(picture, far, far, far, far, cv2.BORDER_CONSTANT, value=fill)
        expected = padded[corner[0] + far:corner[0] + far + size, corner[1] + far:corner[1] + far + size]
        assert np.array_equal(crops.cut(picture, centre, side, fill), expected)


def test_turned_crops_turn():
    """Angle 0 is a plain crop; a quarter turn is the crop turned; a full turn gives it back."""
    picture = photograph("astronaut.png")[:200, :200]
    straight, quarter, back = (crops.cut_rotated(picture, (100, 90), 63, angle, 63, (0, 0, 0))
                               for angle in (0, np.pi / 2, 2 * np.pi))
    assert np.array_equal(straight, picture[69:132, 59:122]) and np.array_equal(straight, back)
    turned = [np.abs(quarter.astype(int) - np.rot90(straight, turn)).mean() for turn in (-1, 1)]
    assert min(turned) < 1


def test_the_pyramid_of_the_original():
    """One side alone is one cut, from which the whole is cut again: by the authors' rule one pixel up and to the left,
    here as in z."""
    picture, centre = photograph("astronaut.png"), (200.0, 210.0)
    alone = crops.cut_once(picture, centre, [120], 255, (0, 0, 0), crops.bicubic)
    region = crops.bicubic(crops.cut_matlab(picture, centre, 120, (0, 0, 0)), 255)
    assert np.array_equal(alone[0][1:, 1:], region[:-1, :-1])
    three = crops.cut_once(picture, centre, [110, 120, 130], 255, (0, 0, 0), crops.bicubic)
    assert three.shape == (3, 255, 255, 3)
    assert np.abs(three[1].astype(int) - alone[0]).mean() < 4          # two interpolations and a rounding apart


# ---- flavours --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flavour", ["popular", "original"])
def test_a_box_survives_init(network, clip, flavour):
    tracker = SiamFCTracker(network, flavour=flavour)
    for box in (clip.boxes[0], [10, 20, 31, 47], [1, 1, 320, 240], [0.3, 7.7, 12.5, 9.25]):
        tracker.init(clip.frames[0], box)
        assert np.allclose(tracker.box(), box, atol=1e-12)


def test_centres_of_the_flavours(network, clip):
    box = [11, 21, 30, 40]
    popular, original = SiamFCTracker(network), SiamFCTracker(network, flavour="original")
    for tracker in (popular, original):
        tracker.init(clip.frames[0], box)
    assert popular.centre.tolist() == [20 + 19.5, 10 + 14.5] and original.centre.tolist() == [21 + 20, 11 + 15]


@pytest.mark.parametrize("changes", [{}, {"flavour": "original"}, {"scales": 5}, {"scales": 1},
                                     {"flavour": "original", "scales": 5}, {"subpixel": True}, {"rotation": 22.5},
                                     {"crop": "once"}, {"resize": "bicubic"}, {"box_centre": "edge"}, {"peak": "on"},
                                     {"precision": "bf16"}, {"learn": 0.05}, {"search_again": True},
                                     {"influence": 0.3, "penalty": 0.96}], ids=str)
def test_every_setting_tracks(network, clip, changes):
    """The easy clip is followed by each; so many maps as scales (and turns)."""
    tracker = SiamFCTracker(network, **changes)
    boxes = follow(tracker, clip)
    assert tracking(boxes, clip.boxes)["ao"] > 0.5
    assert len(tracker.found.responses) == changes.get("scales", 3) + (2 if "rotation" in changes else 0)
    assert 0 <= tracker.confidence <= 1


def test_standing_still_is_possible_only_on_the_grid(network):
    """A frame shown again: the popular grid has no zero, so the box moves by half a fine cell at least; `on` and
    `subpixel` may stand still."""
    frame = photograph("chelsea.png")
    moves = {}
    for name, changes in (("popular", {}), ("on", {"peak": "on"}), ("subpixel", {"subpixel": True})):
        tracker = SiamFCTracker(network, scales=1, **changes)
        tracker.init(frame, [150, 100, 80, 60])
        moves[name] = np.abs(tracker.update(frame)[:2] - [150, 100]).max()
        side = tracker.search_side
    assert moves["popular"] >= 0.5 * 0.5 * side / 255 - 1e-9
    assert moves["subpixel"] < moves["popular"]
    steps = moves["on"] / (0.5 * np.round(side) / 255)
    assert np.isclose(steps, np.round(steps))                 # whole steps of the fine grid, zero among them


def test_the_original_saturates(network, clip):
    """Size stays within [.2, 5] of the first, however the scales pull; the popular flavour has no limit."""
    original, popular = SiamFCTracker(network, flavour="original"), SiamFCTracker(network)
    for tracker in (original, popular):
        tracker.init(clip.frames[0], clip.boxes[0])
        for _ in range(200):
            tracker.move(found_at_the_middle(), 0.9, 0.0, clip.frames[0].shape)
    assert np.isclose(original.search_side, 0.2 * original.first_side)
    assert popular.search_side < 0.01 * popular.first_side


def found_at_the_middle():
    return Found(np.zeros((3, 17, 17), np.float32), 1, np.zeros((272, 272)), (135, 135), 0.0)


def test_a_vanished_size_keeps_the_box(network, clip):
    tracker = SiamFCTracker(network)
    tracker.init(clip.frames[0], clip.boxes[0])
    tracker.search_side = 0.8
    before = tracker.box()
    assert np.array_equal(tracker.update(clip.frames[1]), before) and tracker.lost and tracker.confidence == 0


def test_parabola_finds_the_vertex():
    rows, columns = np.mgrid[:9, :9]
    assert np.allclose(parabola(-((rows - 4.3) ** 2) - (columns - 3.8) ** 2, (4, 4)), [0.3, -0.2])
    assert np.array_equal(parabola(np.zeros((9, 9)), (0, 4)), [0, 0])


def test_keep_inside(network, clip):
    tracker = SiamFCTracker(network, keep_inside=True)
    tracker.init(clip.frames[0], clip.boxes[0])
    tracker.centre = np.array([1000.0, -500.0])
    x, y, w, h = tracker.update(clip.frames[1])
    assert x + w >= 0 and y <= clip.frames[0].shape[0] + 1


def seen(height):
    """A Found whose chosen map is noise with a cone of the given height."""
    rows, columns = np.mgrid[:17, :17]
    response = np.random.default_rng(0).normal(0, 0.3, (17, 17))
    response += height * np.exp(-((rows - 4) ** 2 + (columns - 8) ** 2) / 4)
    return found_at_the_middle()._replace(responses=np.repeat(response[None], 3, axis=0).astype(np.float32))


def test_confidence_and_its_hysteresis(network, clip, monkeypatch):
    """A low peak, and what looks less like the target, lower it; once lost, more than the first threshold is needed to
    be found again."""
    tracker = SiamFCTracker(network, confidence=Confidence(1.0, 3.0, 3.0, 0.3, 0.7))
    tracker.init(clip.frames[0], clip.boxes[0])
    tracker.seen = tracker.seen.expand(3, -1, -1, -1)
    tracker.first_peak, values = 10.0, []
    for found, likeness in ((seen(10), 0.8), (seen(10), 0.3), (seen(2), 0.3), (seen(10), 0.8)):
        monkeypatch.setattr(tracker, "likeness", lambda response, features, value=likeness: value)
        tracker.judge(found)
        values.append((tracker.confidence, tracker.lost))
    assert values[0][0] > values[1][0] > values[2][0] and values[3] == values[0]
    assert [lost for _, lost in values] == [False, False, True, False]
    middle = Confidence(0.0, 0.0, 0.0, 0.3, 0.7)                                # always .5: neither loses nor finds
    tracker.calibration, tracker.lost = middle, False
    tracker.judge(seen(10))
    assert not tracker.lost
    tracker.lost = True
    tracker.judge(seen(10))
    assert tracker.lost


@pytest.mark.parametrize("cut", [1, 6])
def test_a_cut_is_seen_wherever_it_comes(cut, clip):
    """Right after the first frame as later: what the peak is held against is the first frame's own response."""
    tracker, stranger = SiamFCTracker(), photograph("chelsea.png")[:240, :320]
    tracker.init(clip.frames[0], clip.boxes[0])
    for frame in clip.frames[1:cut]:
        tracker.update(frame)
        assert not tracker.lost
    tracker.update(stranger)
    assert tracker.lost


def test_the_first_frame_answers_to_itself_most(network, clip):
    tracker = SiamFCTracker(network)
    follow(tracker, clip)
    assert tracker.evidence[0] < 1.0
    tracker.init(clip.frames[0], clip.boxes[0])
    tracker.update(clip.frames[0])
    assert 0.9 < tracker.evidence[0] < 1.1


def test_likeness_is_a_cosine_that_contrast_does_not_change(network, clip):
    """1 for the target itself, also in features of twice the size; little for another window."""
    tracker = SiamFCTracker(network)
    tracker.init(clip.frames[0], clip.boxes[0])
    response = np.zeros((17, 17), np.float32)
    response[8, 8] = 1
    features = tracker.seen[0].clone()
    features[:, 8:14, 8:14] = tracker.kernel[0]
    tracker.target = tracker.kernel[0] - features.mean(dim=(1, 2), keepdim=True)
    assert tracker.likeness(response, features) == pytest.approx(1, abs=1e-5)
    assert tracker.likeness(response, 2 * features) == pytest.approx(1, abs=1e-5)
    assert tracker.likeness(np.roll(response, 7), features) < 0.9


@pytest.mark.parametrize("shade", [0, 130])
def test_a_flat_target_is_said_and_never_found(network, clip, shade, capsys):
    tracker = SiamFCTracker(network)
    tracker.init(np.full_like(clip.frames[0], shade), clip.boxes[0])
    assert "the target is flat" in capsys.readouterr().err
    for frame in clip.frames[1:5]:
        tracker.update(frame)
        assert tracker.lost and tracker.confidence == 0
    tracker.init(clip.frames[0], clip.boxes[0])
    tracker.update(clip.frames[1])
    assert not capsys.readouterr().err and tracker.confidence > 0


def test_the_template_learns_only_while_sure(network, clip):
    """A little of every confident frame, half of the first one kept for ever; nothing of others."""
    sure, unsure = Confidence(30.0, 0.0, 0.0, 0.3, 0.7), Confidence(-30.0, 0.0, 0.0, 0.3, 0.7)
    trackers = [SiamFCTracker(network, learn=0.1, confidence=confidence) for confidence in (sure, unsure)]
    for tracker in trackers:
        assert tracking(follow(tracker, clip), clip.boxes)["ao"] > 0.5
    assert not torch.equal(trackers[0].kernel, trackers[0].first_kernel)
    assert near(trackers[0].kernel, (trackers[0].first_kernel + trackers[0].learnt) / 2, "formula")
    assert torch.equal(trackers[1].kernel, trackers[1].first_kernel)


def test_a_lost_target_is_searched_in_a_wider_region():
    """It jumps by more than the search region reaches: found again where search_again is set."""
    frame, target = photograph("rocket.jpg").copy(), photograph("astronaut.png")[20:180, 150:310]
    target = cv2.resize(target, (48, 48), interpolation=cv2.INTER_AREA)
    here, there = frame.copy(), frame.copy()
    here[150:198, 100:148] = target
    there[150:198, 220:268] = target
    moved = {}
    for again in (False, True):
        tracker = SiamFCTracker(search_again=again)
        tracker.init(here, [101, 151, 48, 48])
        tracker.lost = True
        moved[again] = tracker.update(there)[0] - 221
    assert abs(moved[True]) < 12 < abs(moved[False])


# ---- frames and mistakes ---------------------------------------------------------------------------------------------

def test_pil_gray_and_changing_sizes(network, clip):
    one, two = SiamFCTracker(network), SiamFCTracker(network)
    one.init(clip.frames[0], clip.boxes[0])
    two.init(Image.fromarray(clip.frames[0]), list(clip.boxes[0]))
    assert np.array_equal(one.update(clip.frames[1]), two.update(Image.fromarray(clip.frames[1])))
    assert np.isfinite(one.update(clip.frames[2][:, :, 0])).all()
    assert np.isfinite(one.update(np.pad(clip.frames[3], ((0, 30), (0, 50), (0, 0))))).all()
    assert np.isfinite(one.update(clip.frames[4][:100, :100])).all()


@pytest.mark.parametrize(("box", "expected"), [([400, 20, 30, 30], "touches the frame"),
                                               ([-50, 20, 30, 30], "touches the frame"),
                                               ([10, 20, 0, 30], "at least one pixel"),
                                               ([10, 20, 30, -3], "at least one pixel"),
                                               ([10, np.nan, 30, 30], "finite"), ([10, 20, 30], "four"),
                                               ([np.inf, 2, 3, 4], "finite")])
def test_boxes_that_are_none(network, clip, box, expected):
    with pytest.raises(UserError, match=expected):
        SiamFCTracker(network).init(clip.frames[0], box)


def test_frames_that_are_none(network, clip):
    tracker = SiamFCTracker(network)
    for frame in (clip.frames[0].astype(float), clip.frames[0][None], np.zeros((5, 5, 4), np.uint8), "frame.jpg", None):
        with pytest.raises(UserError, match="8-bit RGB"):
            tracker.init(frame, clip.boxes[0])


@pytest.mark.parametrize(("settings", "expected"), [({"flavour": "plain"}, "popular"),
                                                    ({"scales": 4}, "one of 1, 3, 5"), ({"scale": 3}, "scale")])
def test_settings_that_are_none(settings, expected):
    with pytest.raises(UserError, match=expected):
        settings_of(**settings)


# ---- protocol and other trackers -------------------------------------------------------------------------------------

def test_the_toolkits_experiment_runs_on_it(network, tmp_path):
    """got10k's own loop and report: its AO on sample sequences is the mean over frames that our metric gives."""
    import matplotlib
    matplotlib.use("Agg")
    from got10k.experiments import ExperimentGOT10k
    root = build("GOT-10k")
    experiment = ExperimentGOT10k(str(root), "val", str(tmp_path / "results"), str(tmp_path / "reports"))
    tracker = SiamFCTracker(network, name="Ours", scales=1)
    experiment.run(tracker)
    report = experiment.report(["Ours"])["Ours"]
    folder, pooled, counted = SequenceFolder(root, "got10k", "val"), 0.0, 0
    for sequence in (folder[name] for name in folder.names):
        boxes = np.loadtxt(tmp_path / "results/GOT-10k/Ours" / sequence.name / f"{sequence.name}_001.txt",
                           delimiter=",")
        ours = tracking(boxes, sequence.boxes, sequence.size, sequence.cover > 0)
        theirs = report["seq_wise"][sequence.name]
        assert abs(ours["ao"] - theirs["ao"]) < 1e-12
        pooled, counted = pooled + ours["ao"] * (sequence.cover > 0)[1:].sum(), counted + (sequence.cover > 0)[1:].sum()
    assert abs(pooled / counted - report["overall"]["ao"]) < 1e-12


@pytest.mark.parametrize("kind", [KLT, MOSSE, Static])
def test_ancestors(kind, clip):
    boxes = follow(kind(), clip)
    result = tracking(boxes, clip.boxes)["ao"]
    floor = tracking(follow(Static(), clip), clip.boxes)["ao"]
    assert result > floor + 0.1 if kind is not Static else np.allclose(boxes, clip.boxes[0])


@pytest.mark.parametrize("kind", [KLT, MOSSE])
def test_ancestors_survive(kind, clip):
    """A black frame, another size, a target that has left: boxes stay finite."""
    tracker = kind()
    tracker.init(clip.frames[0], clip.boxes[0])
    for frame in (np.zeros_like(clip.frames[0]), clip.frames[1][:120, :200], clip.frames[2]):
        assert np.isfinite(tracker.update(np.ascontiguousarray(frame))).all()


def test_mil_is_repeatable_in_a_process_of_its_own():
    folder = build("GOT-10k") / "val"
    frames = sorted((folder / "GOT-10k_Val_000001").glob("*.jpg"))[:8]
    box = np.loadtxt(folder / "GOT-10k_Val_000001" / "groundtruth.txt", delimiter=",")[0]
    first, again = (opencv.track_apart("mil", frames, box)[0] for _ in range(2))
    assert np.array_equal(first, again) and first.shape == (8, 4) and np.allclose(first[0], box)


def test_missing_trackers_say_how_to_get_them():
    for name in ("kcf", "csrt", "medianflow"):
        why = opencv.missing(name)
        assert why is None or "make trackers" in why


def test_untrained_is_repeatable_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (build_untrained(SiamFC(SMALL).backbone, seed) for seed in (0, 0, 1))
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))
    assert not torch.equal(one.backbone.conv1[0].weight, other.backbone.conv1[0].weight)
    assert torch.equal(before, torch.get_rng_state())
