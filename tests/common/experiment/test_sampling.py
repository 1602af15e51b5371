"""Which samples a step gets: the same for any number of processes, from any step on."""
from typing import NamedTuple

import pytest
import torch

from common.experiment.sampling import Places, to_device


def all_places(count=7, batch=4, start=0, stop=10, **ranks):
    return list(Places(count, batch, 3, start, stop, **ranks))


def test_every_epoch_has_every_sample_once():
    flat = [place for places in all_places(stop=14) for place in places]          # 56 places: 8 epochs of 7
    for epoch in range(8):
        assert sorted(index for e, index in flat if e == epoch) == list(range(7))
    assert len({tuple(index for e, index in flat if e == epoch)
                for epoch in range(8)}) > 1, "epochs differ in their order"


def test_resuming_goes_on_in_the_same_row():
    assert all_places()[6:] == all_places(start=6)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_each_batch(world):
    parts = [all_places(rank=rank, world=world) for rank in range(world)]
    assert [sum((part[step] for part in parts), []) for step in range(10)] == all_places()


def test_a_set_smaller_than_a_batch():
    assert all(len(places) == 8 for places in all_places(count=3, batch=8))


class Batch(NamedTuple):
    low: torch.Tensor
    name: list


def test_pictures_go_channels_last():
    batch = to_device(Batch(torch.rand(2, 3, 4, 4), ["a", "b"]), torch.device("cpu"))
    assert batch.low.is_contiguous(memory_format=torch.channels_last) and batch.name == ["a", "b"]
