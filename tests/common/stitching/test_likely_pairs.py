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
    monkeypatch.setattr("common.stitching.register.likely_pairs", lambda *_: [(0, 1)])
    pairs = find_pairs(views, estimate)
    assert sorted(asked) == [(a, b) for a in range(7) for b in range(a + 1, 7)] == [(p.a, p.b) for p in pairs]


def lonely_fourth(asked, by_last=()):
    """An Estimator for views of 100, 101, 102, 103: the first three hang together at once, 3 has few matches with all.

    asked: {"whole": [], "last": []} takes the (a, b) that the costly ones are asked; by_last: those that `last` joins.
    """
    together = Estimate(torch.eye(3, dtype=torch.float64), 50, 50, None, "first", seen=Doubt(1.0, 0.9, None))

    def places(a, b):
        return int(a[0, 0, 0]) - 100, int(b[0, 0, 0]) - 100

    def first(a, b):
        one, other = places(a, b)
        return Estimate(None, 10 * one, one, "few matches", "first") if other == 3 else together

    def whole(a, b):
        asked["whole"].append(places(a, b))
        return Estimate(None, 1, 0, "one match", "whole")

    def last(a, b):
        asked["last"].append(places(a, b))
        return together if places(a, b) in by_last else Estimate(None, 0, 0, "no matches", "last")
    return Estimator(whole, first, last, None)


FOUR = [np.full((40, 60, 3), 100 + place, np.uint8) for place in range(4)]


@pytest.mark.parametrize("order", ["auto", "given"])
def test_the_costly_estimate_is_asked_only_where_the_cheap_one_leaves_a_gap(order):
    """... and of two groups only of the two pairs with the most evidence, which stays what it was: the best attempt."""
    asked = {"whole": [], "last": []}
    pairs = find_pairs(FOUR, lonely_fourth(asked), order)
    assert asked["whole"] == ([(1, 3), (2, 3)] if order == "auto" else [(2, 3)])
    assert asked["last"] == ([(0, 3)] if order == "auto" else [])
    assert all((pair.H_ba is None) == (pair.b == 3) for pair in pairs)
    assert all((pair.matches, pair.inliers) == (10 * pair.a, pair.a) for pair in pairs if pair.b == 3 and pair.a > 0)


def test_pairs_that_are_not_likely_are_asked_too():
    pairs = find_pairs(FOUR, lonely_fourth({"whole": [], "last": []}, by_last=[(0, 3)]))
    assert {(pair.a, pair.b) for pair in pairs if pair.b == 3 and pair.H_ba is not None} == {(0, 3)}


def test_links_that_place_photographs_are_few_and_hold_all_together():
    links = [PairFound(a, b, torch.eye(3, dtype=torch.float64), "test", 50, 50, 0.5, 0.9 - 0.05 * (b - a), None)
             for a in range(8) for b in range(a + 1, 8)]
    kept = kept_links(links)
    assert len(kept) < len(links) and find_groups(8, kept) == [list(range(8))]
    assert {(place, place + 1) for place in range(7)} <= {(pair.a, pair.b) for pair in kept}
