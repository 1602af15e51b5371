"""What the benchmarks of the low-light cases share: the loader's speed, and a run through all parts."""
from functools import partial

import torch
from torch.utils.data import DataLoader

from common.experiment import timing
from common.experiment.device import set_threads
from common.experiment.sampling import Places, as_worker


def time_loader(pairs, batch, steps=40):
    """{number of workers: batches per second} of a training loader."""
    def load(workers):
        for _ in DataLoader(pairs, batch_sampler=Places(len(pairs), batch, 0, 0, steps), num_workers=workers,
                            worker_init_fn=as_worker):
            pass
    seconds = timing.in_turns({f"{workers} workers": partial(load, workers) for workers in (0, 1, 2)}, turns=3)
    return {name: steps / value for name, value in seconds.wall.items()}


def measure(case, network, parts):
    """timing.measure() of a case's parts; `inference` must tell times_faster, by layout, and largest_difference."""
    set_threads()
    inference = timing.measure(case, parts)["inference"]
    ratios = ", ".join(f"{value:.2f} times ({name})" for name, value in inference["times_faster"].items())
    print(f"{network} is as fast as the straightforward version {ratios}; largest difference "
          f"{inference['largest_difference']:.1e}")


def as_channels_last(state):
    """A state_dict whose convolutions lie in memory as channels last: what a user types first to make it faster."""
    return {name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
            for name, tensor in state.items()}
