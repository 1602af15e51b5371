"""Which photographs are compared with which, and which links place them."""
import numpy as np
import pytest
import torch

from common.data.samples import photograph
from common.stitching.estimators import Estimator, by_keypoints
from common.stitching.keypoints import Estimate
from common.stitching.register import Doubt, PairFound, find_groups, find_pairs, kept_links, register


def test_a_long_sequence_is_not_compared_all_with_all(monkeypatch):
    """Nine views along a strip: neighbours and their neighbours are asked, not all 36 pairs; nothing is lost by it."""
    strip = np.hstack([photograph("coffee.png")[:300], photograph("chelsea.png")])
    views = [np.ascontiguousarray(strip[:300, 90 * place:90 * place + 300]) for place in range(9)]
    asked = []

    def estimate(a, b):
        asked.append(1)
        return by_keypoints(a, b)
    layout = register(views, estimate)
    assert len(layout.homographies) == 9 and not layout.left_out and len(asked) <= 27
    for place, H in layout.homographies.items():
        assert H[0, 2] / H[2, 2] == pytest.approx(90 * (place - layout.reference), abs=3)


def test_what_the_likely_pairs_do_not_connect_is_compared_with_all(monkeypatch):
    views = [np.full((40, 60, 3), 100 + place, np.uint8) for place in range(7)]
    asked = []

    def estimate(a, b):
        asked.append((int(a[0, 0, 0]) - 100, int(b[0, 0, 0]) - 100))
        return Estimate(None, 0, 0, "no matches", "test")
    monkeypatch.setattr("common.stitching.register.likely_pairs", lambda _: [(0, 1)])
    pairs = find_pairs(views, estimate)
    assert sorted(asked) == [(a, b) for a in range(7) for b in range(a + 1, 7)] == [(p.a, p.b) for p in pairs]


@pytest.mark.parametrize("order", ["auto", "given"])
def test_the_costly_estimate_is_asked_only_where_the_cheap_one_leaves_a_gap(order):
    """Photographs 0 to 2 hang together at once: only what would join the fourth is asked again."""
    views = [np.full((40, 60, 3), 100 + place, np.uint8) for place in range(4)]
    asked = []

    def first(a, b):
        if max(a[0, 0, 0], b[0, 0, 0]) == 103:
            return Estimate(None, 0, 0, "no matches", "first")
        return Estimate(torch.eye(3, dtype=torch.float64), 50, 50, None, "first", seen=Doubt(1.0, 0.9, None))

    def whole(a, b):
        asked.append((int(a[0, 0, 0]) - 100, int(b[0, 0, 0]) - 100))
        return Estimate(None, 1, 0, "one match", "whole")
    pairs = find_pairs(views, Estimator(whole, first), order)
    assert asked == ([(0, 3), (1, 3), (2, 3)] if order == "auto" else [(2, 3)])
    assert {pair.method for pair in pairs if pair.b == 3} == {"whole"} and all(pair.H_ba is not None for pair in pairs
                                                                               if pair.b < 3)


def test_links_that_place_photographs_are_few_and_hold_all_together():
    links = [PairFound(a, b, torch.eye(3, dtype=torch.float64), "test", 50, 50, 0.5, 0.9 - 0.05 * (b - a), None)
             for a in range(8) for b in range(a + 1, 8)]
    kept = kept_links(links)
    assert len(kept) < len(links) and find_groups(8, kept) == [list(range(8))]
    assert {(place, place + 1) for place in range(7)} <= {(pair.a, pair.b) for pair in kept}
