"""On every way out a script leaves nothing behind that could break the interpreter's end: workers, process group."""
import multiprocessing
import os
import signal

import pytest
from test_run import Toy, folders, train  # noqa: F401  folders is a fixture

from common.base.paths import ROOT
from common.experiment.sampling import Places, load_batches
from common.experiment.training import Training

# One process that takes itself for one of two, with a group of its own and something in a circle that holds it.
GROUP = """
import atexit, gc, os, sys, torch
from common.experiment import device
begin = torch.distributed.init_process_group
torch.distributed.init_process_group = lambda backend: begin(backend, store=torch.distributed.HashStore(), rank=0,
                                                             world_size=1)
there = torch.distributed.is_initialized
class Wrapper:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("the wrapper goes, the group is", "there" if there() else "gone")
atexit.register(lambda: print("at the end the group is", "there" if there() else "gone"))
device.join_processes(torch.device("cpu"))
gc.disable()
Wrapper()
"""


@pytest.mark.parametrize(("way", "status"), [("pass", 0), ("sys.exit(3)", 3), ("raise ValueError('a bug')", 1)])
def test_the_process_group_is_gone_before_the_interpreter(processes, way, status):
    done = processes.run(["-c", GROUP + way], ROOT, os.environ | {"WORLD_SIZE": "2"})
    assert done.returncode == status, done.stderr
    assert done.stdout == "the wrapper goes, the group is there\nat the end the group is gone\n"


@pytest.mark.skipif(os.name == "nt", reason="workers are slow to start there")
def test_workers_are_joined_when_a_signal_ends_a_step(monkeypatch):
    """The exception still refers to everything: nothing ends by itself for want of a reference."""
    def stopped(self, progress):
        assert multiprocessing.active_children()
        raise SystemExit(143)
    monkeypatch.setattr(Training, "_after_step", stopped)
    with pytest.raises(SystemExit) as end:
        train("--name", "stopped", workers=1)
    assert not multiprocessing.active_children() and end.value.code == 143


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_is_for_the_main_process_alone():
    """A terminal sends it to all of them; a worker that died of it would take the step with it that is to be saved."""
    batches = load_batches(Toy(), Places(5, 2, 0, 0, 8), 1)
    first = next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
    assert len([first, *batches]) == 8


def test_workers_where_signals_are_those_of_windows(monkeypatch):
    for name in filter(lambda name: hasattr(signal, name), ("alarm", "pthread_sigmask")):
        monkeypatch.delattr(signal, name)
    assert len([*load_batches(Toy(), Places(5, 2, 0, 0, 4), 1)]) == 4
