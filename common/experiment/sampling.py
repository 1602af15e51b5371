"""Which samples a training step gets, as a function of seed and step alone; how they reach the device."""
import contextlib
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader


class Places:
    """A batch sampler: for each step from `start` to `stop` the places (epoch, index) of this process's samples.

    The samples of all epochs stand in one long row, each epoch in an order drawn from (seed, epoch); step s has the
    batch at s * batch. So resuming is arithmetic, and neither workers nor the number of processes change what a step
    sees.
    """

    def __init__(self, count, batch, seed, start, stop, rank=0, world=1):
        self.count, self.batch, self.seed, self.start, self.stop = count, batch, seed, start, stop
        self.rank, self.world = rank, world

    def __len__(self):
        return self.stop - self.start

    def __iter__(self):
        share = self.batch // self.world
        epoch, order = None, None
        for step in range(self.start, self.stop):
            places = []
            for position in range(step * self.batch + self.rank * share, step * self.batch + (self.rank + 1) * share):
                if position // self.count != epoch:
                    epoch = position // self.count
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
                places.append((epoch, int(order[position % self.count])))
            yield places


def load_batches(data, places, workers, pin=False):
    """Yield a batch of data for each step of places (Places), from so many worker processes, or from this process where
    /dev/shm cannot hold what they would hand over. pin: for a faster way to a GPU."""
    if workers and not has_room(data, places, workers):
        print(f"warning: {SHARED_MEMORY} is too small for the batches of {workers} worker processes (docker: --shm-size"
              "=1g makes it larger): going on without workers, slower, with the same numbers", file=sys.stderr)
        workers = 0
    loader = DataLoader(data, batch_sampler=places, num_workers=workers, worker_init_fn=as_worker, pin_memory=pin,
                        generator=torch.Generator().manual_seed(0))
    with interrupts_blocked():
        batches = iter(loader)
    del loader
    try:
        yield from batches
    finally:
        del batches                                          # which ends the workers and joins them


def has_room(data, places, workers):
    """Whether shared memory has room for the batches that workers keep ready, by the size of one sample."""
    if not SHARED_MEMORY.is_dir() or not len(places):
        return True
    first = next(iter(places))
    sample = data[first[0]]
    size = sum(value.numel() * value.element_size() for value in sample if torch.is_tensor(value))
    ready = workers * 2 + 1                                  # two each, and the one at work
    return shutil.disk_usage(SHARED_MEMORY).free > size * len(first) * ready


@contextlib.contextmanager
def interrupts_blocked():
    """Processes that begin meanwhile never hear of Ctrl-C, not even before as_worker(); this one hears of it after."""
    if not hasattr(signal, "pthread_sigmask"):               # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


SHARED_MEMORY = Path("/dev/shm")      # of Linux; through it workers hand over what they have loaded
PATIENCE = 60                         # seconds


def as_worker(number):
    """What a loader's process does first: leave Ctrl-C and SIGTERM to the main process.

    Schedulers send SIGTERM to every process of a group at once; a worker that died of it would take the main process
    with it before that has saved. So it goes on until the main process ends it, or PATIENCE is over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):                          # Windows sends no SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(PATIENCE))


def to_device(batch, device):
    """The tensors of a batch (a NamedTuple) on the device, pictures channels last; other fields as they are."""
    def move(value):
        if not torch.is_tensor(value):
            return value
        layout = torch.channels_last if value.dim() == 4 else torch.preserve_format
        return value.to(device, non_blocking=True, memory_format=layout)
    return type(batch)(*(move(value) for value in batch))
