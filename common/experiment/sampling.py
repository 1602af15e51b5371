"""Which samples a training step gets, as a function of seed and step alone; how they reach the device."""
import signal

import numpy as np
import torch


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
