"""A pool of guarded processes for untrusted material: an item that ends, hangs or swells its process loses only itself.

Not concurrent.futures, where one dead process loses all work, nor Pebble, whose processes answer through one pipe with
one lock. A process that the kernel kills (out of memory) while it answers keeps that lock: with Pebble 5.2.3, two
processes and seven items, five others were lost after two minutes; Ctrl-C took 12 s where four processes were in C.
"""
import contextlib
import multiprocessing
import signal
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


def run_guarded(function, items, processes, seconds):
    """Yield (place, function(item), or Lost) for all items, as they get done, from at most `processes` processes.

    function must be picklable and return something. An item that raises, kills its process or takes longer than
    `seconds` gives a Lost; the rest goes on.
    """
    waiting, pool = list(enumerate(items))[::-1], []
    try:
        while waiting or pool:
            while waiting and len(pool) < processes:
                pool.append(GuardedProcess(function))
                pool[-1].begin(*waiting.pop(), seconds)
            first = min(guarded.deadline for guarded in pool)
            wait([guarded.pipe for guarded in pool], timeout=max(0, first - time.monotonic()))
            for guarded in list(pool):
                result = guarded.take_result()
                if result is None:
                    continue
                yield guarded.place, result
                if waiting and guarded.process.is_alive():
                    guarded.begin(*waiting.pop(), seconds)
                else:
                    pool.remove(guarded)
                    guarded.end()
    finally:
        for guarded in pool:
            guarded.end()


class GuardedProcess:
    """One process, which works on one item at a time."""

    def __init__(self, function):
        self.pipe, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=_serve, args=(function, theirs), daemon=True)
        self.process.start()
        theirs.close()                                    # so that a dead process ends the pipe

    def begin(self, place, item, seconds):
        self.place, self.seconds, self.deadline = place, seconds, time.monotonic() + seconds
        with contextlib.suppress(OSError):                # it has just died: take_result says so
            self.pipe.send(item)

    def take_result(self):
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
        return Lost(f"reading it took longer than {self.seconds:g} seconds")

    def end(self):
        self.process.kill()
        self.process.join()


def _serve(function, pipe):
    """What a guarded process does until it is killed: item in, result out, within a bound of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)          # Ctrl-C: whoever started it ends it
    if resource:
        with contextlib.suppress(ValueError, OSError):    # not every system lets it be set
            resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with contextlib.suppress(EOFError):
        while True:
            item = pipe.recv()
            try:
                result = function(item)
            except Exception as error:  # a bug, or material that nobody thought of: the other items must not suffer
                result = Lost(f"reading it failed ({type(error).__name__}: {error})")
            pipe.send(result)
