"""What the benchmarks of the low-light cases share: the loader's speed, and a run through all parts."""
from functools import partial

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
    return {name: steps / value for name, value in seconds.items()}


def measure(case, network, parts):
    """timing.measure() of a case's parts; `inference` must tell times_faster and largest_difference."""
    set_threads()
    inference = timing.measure(case, parts)["inference"]
    print(f"{network} is {inference['times_faster']:.2f} times as fast as the straightforward version, largest "
          f"difference {inference['largest_difference']:.1e}")
