"""The metrics of trackers in common/metrics/pictures.py against the got10k toolkit's, and by hand."""
import numpy as np
import pytest

from common import metrics


def random_boxes(rng, count):
    """Boxes near each other, some of them equal, apart, or leaving a frame of 200 x 150."""
    truth = np.column_stack([rng.uniform(-30, 190, count), rng.uniform(-30, 140, count),
                             rng.uniform(1, 80, (count, 2))])
    boxes = truth + rng.normal(0, 12, truth.shape)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0.5)
    boxes[::7] = truth[::7]
    boxes[3::11, :2] += 500
    return boxes, truth


@pytest.fixture(params=range(4))
def boxes(request):
    return random_boxes(np.random.default_rng(request.param), 60)


def test_overlap_and_error_equal_the_toolkit(boxes):
    toolkit = pytest.importorskip("got10k.utils.metrics")
    a, b = boxes
    kept = a.copy(), b.copy()
    assert np.abs(metrics.box_iou(a, b) - toolkit.rect_iou(a, b)).max() < 1e-12
    assert np.abs(metrics.centre_error(a, b) - toolkit.center_error(a, b)).max() < 1e-12
    assert np.abs(metrics.box_iou(a, b, (200, 150))
                  - toolkit.rect_iou(a.copy(), b.copy(), bound=(200, 150))).max() < 1e-12
    assert np.array_equal(a, kept[0]) and np.array_equal(b, kept[1])  # the toolkit clips in place, ours does not


def test_scores_equal_the_toolkits_experiments(boxes):
    """OTB's curves and GOT-10k's AO and SR as the experiments compute them (made without their constructors, which
    download)."""
    pytest.importorskip("matplotlib").use("Agg")
    experiments = pytest.importorskip("got10k.experiments")
    a, b = boxes
    otb, got = (object.__new__(kind) for kind in (experiments.ExperimentOTB, experiments.ExperimentGOT10k))
    otb.nbins_iou, otb.nbins_ce, got.nbins_iou = 21, 51, 101
    given = a.copy()
    given[0] = b[0]                                                           # as its report does
    success, precision = otb._calc_curves(*otb._calc_metrics(given, b))
    ours = metrics.tracking(a, b)
    assert abs(ours["auc"] - success.mean()) < 1e-12 and abs(ours["precision"] - precision[20]) < 1e-12
    assert np.abs(metrics.success_curve(metrics.box_iou(given, b)) - success).max() < 1e-12
    assert np.abs(metrics.precision_curve(metrics.centre_error(given, b)) - precision).max() < 1e-12
    cover = np.arange(len(a)) % 5
    from got10k.utils.metrics import rect_iou
    ious = rect_iou(a[1:].copy(), b[1:].copy(), bound=(200, 150))[cover[1:] > 0]
    ao, sr, _, curve = got._evaluate(ious, np.ones(3))
    ours = metrics.tracking(a, b, (200, 150), cover > 0)
    assert abs(ours["ao"] - ao) < 1e-12 and abs(ours["sr50"] - sr) < 1e-12 and abs(ours["sr75"] - curve[75]) < 1e-12


def test_by_hand():
    truth = np.array([[1, 1, 10, 10], [1, 1, 10, 10], [1, 1, 10, 10], [1, 1, 10, 10]], float)
    boxes = np.array([[99, 99, 1, 1], [1, 1, 10, 10], [6, 1, 10, 10], [50, 1, 10, 10]], float)
    result = metrics.tracking(boxes, truth)                                   # IoU 1 (given), 1, 1/3, 0
    assert np.isclose(result["ao"], (1 + 1 / 3) / 3) and np.isclose(result["sr50"], 1 / 3)
    assert np.isclose(result["precision"], 0.75)
    shares = [np.mean(np.array([1, 1, 1 / 3, 0]) > limit) for limit in np.linspace(0, 1, 21)]
    assert np.isclose(result["auc"], np.mean(shares))
    assert metrics.success_curve([1.0])[-1] == 0 and metrics.success_curve([0.0])[0] == 0      # both ends are strict


def test_absent_and_missing_boxes():
    """Rows without truth count nowhere; a tracker's nan is no overlap; nothing left is nan; the arguments stay as they
    are."""
    truth = np.array([[1, 1, 10, 10], [1, 1, 10, 10], [np.nan] * 4, [1, 1, 10, 10]])
    boxes = np.array([[1, 1, 10, 10], [1, 1, 10, 10], [1, 1, 10, 10], [np.nan] * 4])
    kept = boxes.copy()
    result = metrics.tracking(boxes, truth)
    assert np.isclose(result["ao"], 0.5) and np.array_equal(boxes, kept, equal_nan=True)
    assert np.isnan(metrics.tracking(boxes[:1], truth[:1])["ao"])
    with pytest.raises(ValueError, match="as many"):
        metrics.box_iou(boxes, truth[:2])
