"""Work on untrusted material in processes of its own: one that dies or hangs takes nothing else with it."""
import contextlib
import multiprocessing
import time
from multiprocessing.connection import wait

try:
    import resource
except ImportError:                                       # Windows
    resource = None

MAX_MEMORY = 8 << 30                                      # bytes of address space; torch alone reserves one to two


# Never a plain fork: the copy of a process that has computed with torch may wait for threads that it does not have.
if "forkserver" in multiprocessing.get_all_start_methods():
    PROCESSES = multiprocessing.get_context("forkserver")
    PROCESSES.set_forkserver_preload(["common.compare.page"])      # imported once, not by each process
else:
    PROCESSES = multiprocessing.get_context("spawn")


class Lost(str):
    """What became of an item without a result, in words."""


def each(function, items, processes, seconds):
    """Yield (place, function(item), or Lost) for all items, as they get done, from at most `processes` worker
    processes.

    function must be picklable. An item that raises, kills its process or takes longer than `seconds` gives a Lost; the
    rest goes on.
    """
    waiting, workers = list(enumerate(items))[::-1], []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(Worker(function))
                workers[-1].begin(*waiting.pop(), seconds)
            first = min(worker.deadline for worker in workers)
            wait([worker.pipe for worker in workers], timeout=max(0, first - time.monotonic()))
            for worker in list(workers):
                result = worker.result(seconds)
                if result is None:
                    continue
                yield worker.place, result
                if worker.process.is_alive() and waiting:
                    worker.begin(*waiting.pop(), seconds)
                else:
                    worker.end()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()


class Worker:
    """One process, which works on one item at a time."""

    def __init__(self, function):
        self.pipe, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=_work, args=(function, theirs), daemon=True)
        self.process.start()
        theirs.close()                                    # so that a dead process ends the pipe

    def begin(self, place, item, seconds):
        self.place, self.deadline = place, time.monotonic() + seconds
        self.pipe.send(item)

    def result(self, seconds):
        """The result, or Lost; None while it is still at work."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Lost(f"reading it ended its process (exit code {self.process.exitcode})")
        if time.monotonic() < self.deadline:
            return None
        self.end()
        return Lost(f"reading it took longer than {seconds:g} seconds")

    def end(self):
        self.process.kill()
        self.process.join()


def _work(function, pipe):
    """What a worker does until it is killed: item in, result out. It may not take all of the machine's memory."""
    if resource:
        with contextlib.suppress(ValueError, OSError):    # not every system lets it be set
            resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = function(item)
        except Exception as error:  # a bug, or material that nobody thought of: the other items must not suffer
            result = Lost(f"reading it failed ({type(error).__name__}: {error})")
        pipe.send(result)
