"""Photographs by night and their mixture with pairs: from seed, epoch and index alone, neutral, never held out ones."""
import numpy as np
import pytest
import torch

from common.base.errors import UserError
from common.data.darken import darken
from common.data.images import to_tensor, write_image
from common.data.night import GRID, Night, by_night, darken_to_judge, draw_night
from common.lowlight.mixed import Both, DarkenedPhotographs, HeldOutPhotographs, MixedPairs, photographs_of

PICTURE = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
STILL = Night(np.zeros((GRID, GRID, 3), np.float32), 1.0, 1e8, 0.0, 0.0, 1.0, 0.0, 0)


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        write_image(tmp_path / f"{number}.png", to_tensor(np.roll(PICTURE, number, axis=0)))
    return tmp_path


def test_full_light_changes_nothing():
    dark, bright = by_night(np.random.default_rng(0), STILL, PICTURE)
    assert np.abs(dark.astype(int) - PICTURE).max() <= 1
    assert (bright == PICTURE).all()


def test_a_window_is_darkened_by_the_light_that_falls_there():
    field = np.zeros((GRID, GRID, 3), np.float32)
    field[:, GRID // 2:] = np.log(0.1)                                   # the right half is dark
    white, night = np.full((40, 40, 3), 255, np.uint8), STILL._replace(log_gain=field)
    left, _ = by_night(np.random.default_rng(0), night, white, (20, 0), (80, 120))
    right, _ = by_night(np.random.default_rng(0), night, white, (20, 80), (80, 120))
    assert left.min() > 250 and right.max() < 100


def test_highlights_are_clipped_before_the_darkness():
    night = STILL._replace(boost=2.0, log_gain=np.full((GRID, GRID, 3), np.log(0.1), np.float32))
    two = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (200, 255)]).reshape(16, 8, 3)
    dark, bright = by_night(np.random.default_rng(0), night, two)
    assert (bright == 255).all() and dark.max() < 100 and np.ptp(dark.astype(int)) <= 1


def test_no_night_is_brighter_than_the_day_and_some_are_as_bright():
    nights = [draw_night(np.random.default_rng(seed), PICTURE) for seed in range(120)]
    largest, least = (max(night.log_gain.max() for night in nights), min(night.log_gain.min() for night in nights))
    assert largest <= 0 and np.exp(least) < 1 / 40
    assert 5 < sum(not night.log_gain.any() for night in nights) < 40


def test_nights_are_taken_by_small_sensors_and_by_large_ones():
    nights = [draw_night(np.random.default_rng(seed), PICTURE) for seed in range(120)]
    wells = np.array([night.full_well for night in nights])
    assert wells.min() >= 1000 and wells.max() <= 64000 and 40 < (wells > 8000).sum() < 80
    assert all(1 <= night.read_noise * np.sqrt(4000 / night.full_well) <= 6 for night in nights)


def test_samples_come_from_seed_epoch_and_index_alone(folder):
    paths, _ = photographs_of([folder], 64)
    first, second = (DarkenedPhotographs(paths, 64, seed=3) for _ in range(2))
    second[0, 4]
    assert all(torch.equal(a, b) for a, b in zip(first[2, 5][:3], second[2, 5][:3]))
    assert not torch.equal(first[2, 5].low, first[3, 5].low)


def test_the_share_of_unchanged_photographs_and_of_pages_is_kept(folder):
    few, many = ([draw_night(np.random.default_rng(seed), PICTURE, unchanged=share) for seed in range(120)]
                 for share in (0.15, 0.6))
    few, many = (sum(not night.log_gain.any() for night in nights) for nights in (few, many))
    assert 2 * few < many < 80                                       # some of them keep a vignette
    pages = DarkenedPhotographs(photographs_of([folder], 64)[0], 64, seed=3, plain=1.0)
    assert {pages[0, index].name for index in range(4)} == {"plain"}


def test_every_tenth_photograph_of_a_folder_never_trains(folder):
    training, held = photographs_of([folder], 64)
    assert len(training) == 10 and len(held) == 2 and not set(training) & set(held)
    with pytest.raises(UserError, match="no photograph is large enough"):
        photographs_of([folder], 200)


def test_the_mixture_has_its_share_of_pairs(folder):
    photographs = DarkenedPhotographs(photographs_of([folder], 64)[0], 64, seed=0)
    pairs = HeldOutPhotographs(photographs.paths[:3])
    mixed = MixedPairs(pairs, photographs, share=0.25, seed=0)
    sizes = [mixed[epoch, index].low.shape[1] for epoch in (0, 1) for index in range(13)]
    assert 1 <= sum(size == 90 for size in sizes) <= 13                   # whole pictures are of the pairs
    assert mixed[0, 3].name == mixed[0, 3].name


def test_judging_darkens_as_darken_does_and_gain_1_is_the_photograph_itself(folder):
    again = darken(PICTURE / 255, np.random.default_rng(7), gain=(1 / 8, 1 / 8), full_well=(4000, 4000),
                   read_noise=(4, 4), jitter=(1, 1))
    assert (darken_to_judge(PICTURE, 1 / 8, 7) == np.round(255 * again)).all()
    held = HeldOutPhotographs(sorted(folder.iterdir())[:2])
    assert torch.equal(held[0, 0].low, held[0, 0].high) and held[0, 1].low.mean() < held[0, 1].high.mean() / 2
    assert len(Both(held, held)) == 4 and Both(held, held)[0, 3].name == held[0, 1].name
