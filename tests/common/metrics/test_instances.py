"""Metrics of label maps: values computed by hand, and what must hold for any."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import metrics
from common.experiment.results import summary


def boxes(*corners, size=(12, 12)):
    """A label map: box n (top, left, bottom, right) has the number n."""
    labels = np.zeros(size, np.int32)
    for number, (top, left, bottom, right) in enumerate(corners, 1):
        labels[top:bottom, left:right] = number
    return labels


TRUE = boxes((0, 0, 4, 4), (0, 6, 4, 10), (6, 0, 10, 4))          # three squares of 16 pixels
FOUND = boxes((0, 0, 4, 4), (0, 6, 4, 9), (6, 6, 8, 8))           # one exact, one of 12 / 16, one where nothing is


def test_by_hand():
    found = metrics.overlaps(TRUE, FOUND)
    assert found.common.tolist() == [[16, 0, 0], [0, 12, 0], [0, 0, 0]]
    assert metrics.foreground_iou(found) == pytest.approx(28 / (48 + 4))
    assert metrics.foreground_dice(found) == pytest.approx(2 * 28 / (48 + 32))
    positives, invented, missed = metrics.matches(found)
    # IoU .75 matches up to the threshold .70: a match must be above it
    assert positives.tolist() == [2] * 5 + [1] * 5
    assert invented.tolist() == missed.tolist() == [1] * 5 + [2] * 5
    assert metrics.average_precision(positives, invented, missed).mean() == pytest.approx((2 / 4 + 1 / 5) / 2)
    # 28 shared; united: 16 + 16 + 16 (missed) and 4 that nobody chose
    assert metrics.aggregated_jaccard(found) == pytest.approx(28 / (16 + 16 + 16 + 4))
    assert metrics.merged(found) == metrics.split(found) == 0


def test_merged_and_split_by_hand():
    two, one = boxes((0, 0, 4, 4), (0, 4, 4, 8)), boxes((0, 0, 4, 8))
    assert metrics.merged(metrics.overlaps(two, one)) == 1 and metrics.split(metrics.overlaps(two, one)) == 0
    assert metrics.merged(metrics.overlaps(one, two)) == 0 and metrics.split(metrics.overlaps(one, two)) == 1
    a_little = boxes((0, 0, 4, 5), size=two.shape)                # covers a quarter of the second
    assert metrics.merged(metrics.overlaps(two, a_little)) == 0
    half = boxes((0, 0, 4, 6), size=two.shape)                    # covers exactly half of it
    assert metrics.merged(metrics.overlaps(two, half)) == 1


def test_empty_maps():
    nothing, something = np.zeros((4, 4), int), np.ones((4, 4), int)
    both = metrics.overlaps(nothing, nothing)
    assert metrics.foreground_iou(both) == metrics.foreground_dice(both) == 1
    assert np.isnan(metrics.average_precision(*metrics.matches(both))).all() and np.isnan(
        metrics.aggregated_jaccard(both))
    for pair in ((nothing, something), (something, nothing)):
        found = metrics.overlaps(*pair)
        assert metrics.foreground_iou(found) == metrics.aggregated_jaccard(found) == 0
        assert (metrics.average_precision(*metrics.matches(found)) == 0).all()


def test_maps_of_two_sizes_or_of_fractions_are_refused():
    with pytest.raises(ValueError, match="one size"):
        metrics.overlaps(np.zeros((2, 3), int), np.zeros((3, 2), int))
    with pytest.raises(ValueError, match="whole numbers"):
        metrics.overlaps(np.zeros((2, 3)), np.zeros((2, 3), int))


maps = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=5, max_size=5).map(np.array)


@given(maps, maps, st.permutations([1, 2, 3, 4]))
def test_numbers_of_the_objects_do_not_matter_and_a_map_equals_itself(true, found, order):
    again = np.array([0, *order])[found]
    one, other = metrics.overlaps(true, found), metrics.overlaps(true, again)
    assert metrics.foreground_iou(one) == metrics.foreground_iou(other)
    assert [each.tolist() for each in metrics.matches(one)] == [each.tolist() for each in metrics.matches(other)]
    assert (metrics.merged(one), metrics.split(one)) == (metrics.merged(other), metrics.split(other))
    assert metrics.merged(one) == metrics.split(metrics.overlaps(found, true))
    itself = metrics.overlaps(true, true)
    count = len(np.unique(true[true > 0]))
    assert metrics.matches(itself)[0].tolist() == [count] * 10
    assert not count or metrics.aggregated_jaccard(itself) == 1


def test_a_match_is_unique_above_a_half():
    draw = np.random.default_rng(0)
    for _ in range(50):
        true, found = (np.kron(draw.integers(0, 4, (4, 4)), np.ones((3, 3), int)) for _ in range(2))
        above = metrics.overlaps(true, found).iou > 0.5
        assert (above.sum(axis=0) <= 1).all() and (above.sum(axis=1) <= 1).all()


def test_precision_in_one_pool_is_that_of_the_summed_counts():
    lines = [{"nuclei": "3.000000", "found": "2.000000", "matched": "2.000000"},
             {"nuclei": "1.000000", "found": "4.000000", "matched": "0.000000"}]
    result = summary(lines, ["nuclei", "found", "matched"])
    assert result == {"nuclei": 4, "found": 6, "matched": 2, "ap50_pooled": 0.25, "count": 2}
    assert "ap50_pooled" not in summary(lines, ["nuclei", "found"])
