"""Benchmarks: what is computed counts, not what passes; children count; a missing peer is named."""
import subprocess
import sys
import time

import pytest
from tolerances import near

from common.base.errors import UserError
from common.experiment import timing

WORK = "sum(number * number for number in range(2_000_000))"


def compute():
    return sum(number * number for number in range(300_000))


def test_ratios_are_of_computed_time():
    """A side that only waits has computed nothing, however long it took; twice the work takes twice the time."""
    seconds = timing.in_turns({"once": compute, "twice": lambda: (compute(), compute()),
                               "waits": lambda: time.sleep(0.05)}, turns=5)
    assert seconds.cpu["waits"] < 0.01 < 0.05 <= seconds.wall["waits"]
    assert seconds.times_faster("once", "twice") == pytest.approx(2, rel=0.5)


def test_what_a_child_process_computes_counts():
    before = timing.cpu_seconds()
    subprocess.run([sys.executable, "-c", WORK], check=True)
    assert timing.cpu_seconds() - before > 0.05


def test_a_missing_peer_is_named_with_the_way_to_install_it():
    with pytest.raises(UserError, match=r"no_such_program.*pip install -e '\.\[peers\]'"):
        timing.peer("no_such_program")


def test_every_way_to_write_a_cost_volume_gives_the_same():
    import torch

    from cases.view_free_stitch import benchmark
    from common.stitching.network import cost_volume
    a, b = torch.rand(2, 3, 8, 5, 4, generator=torch.Generator().manual_seed(0)).unbind()
    expected = cost_volume(a, b, 2)
    for way in (benchmark.slice_by_slice, benchmark.unfolded, benchmark.grouped_convolution, benchmark.all_pairs):
        assert near(way(a, b, 2), expected), way.__name__
