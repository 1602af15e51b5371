"""Long work behind the page: in a thread, with progress and a stop, errors as one line; and who the visitors are."""
import queue
import shutil
import tempfile
import threading
import time
import traceback
from pathlib import Path

from common.base.errors import Negative, UserError, printable, refusal
from common.base.progress import LISTENER, duration

EVERY = 0.3                             # seconds between two lines of progress
AFTER = 300.0                           # seconds of silence after which a page counts as closed; it speaks every fifth
FINAL = ("done", "stopped", "error")


class Stopped(BaseException):
    """The visitor has stopped the work. No Exception: readers that name every defect of a file must not name this."""


class Visitor:
    """Someone's open page: a folder of their own, the folders in which the server keeps their uploads, and whether
    their present work should stop."""

    def __init__(self, home):
        home.mkdir(exist_ok=True)
        self.folder, self.uploads = Path(tempfile.mkdtemp(dir=home)), set()
        self.stop = threading.Event()
        self.heard = time.monotonic()

    def new_folder(self):
        """An empty folder for the files of one piece of work; those of the work before are removed."""
        for old in self.folder.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self.folder))


class Visitors:
    """All open pages by the name that the server gives each; root: where it keeps uploads, each in a folder there.

    Who leaves takes along what was theirs alone: results, and uploads (the server keeps equal files once); the last
    one, everything. Somebody leaves when the server learns that the page was closed; servers do not learn it surely,
    so also when it was not heard for AFTER seconds. When the program ends, all leave.
    """

    def __init__(self, root):
        self.root, self.open, self.lock = Path(root), {}, threading.Lock()
        self.home = self.root / "visitors"

    def of(self, name):
        """The Visitor of that name."""
        with self.lock:
            if name not in self.open:
                self.open[name] = Visitor(self.home)
            self.open[name].heard = time.monotonic()
            return self.open[name]

    def take(self, name, files):
        """Files that the server has put into root are the visitor's."""
        self.of(name).uploads.update(Path(file).parent for file in files if Path(file).parent.parent == self.root)

    def leave(self, name):
        """Stop the visitor's work and remove what was theirs alone."""
        with self.lock:
            visitor = self.open.pop(name, None)
            if visitor:
                visitor.stop.set()
                others = set().union(*(other.uploads for other in self.open.values()))
                theirs = [visitor.folder, *(visitor.uploads - others)]
                for path in theirs if self.open else self.root.iterdir():
                    shutil.rmtree(path, ignore_errors=True)

    def sweep(self):
        """Let all leave who were not heard for too long; remove what lies in root for as long and is nobody's."""
        for name, visitor in list(self.open.items()):
            if time.monotonic() - visitor.heard > AFTER:
                self.leave(name)
        with self.lock:
            kept = {self.home}.union(*(visitor.uploads for visitor in self.open.values()))
            for path in set(self.root.iterdir()) - kept:
                if time.time() - path.stat().st_mtime > AFTER:
                    shutil.rmtree(path, ignore_errors=True)

    def close(self):
        """Let all leave."""
        for name in list(self.open):
            self.leave(name)

    def watch_over(self):
        """Sweep now and then, as long as the program lives."""
        def go_on():
            while True:
                time.sleep(AFTER / 10)
                self.sweep()
        threading.Thread(target=go_on, daemon=True).start()


def run(visitor, task):
    """Run task(report) in a thread of its own; yield (kind, value) as it goes:

        progress, text    partial, what the task gave to report()    done, (result, seconds in words)
        stopped, None     error, the one line; these three end it

    The task stops where it reports, and wherever it counts its steps with common.base.progress.watch.
    """
    events, began = queue.Queue(), time.monotonic()
    visitor.stop.clear()

    def check():
        if visitor.stop.is_set():
            raise Stopped

    def listen(title, done, total):
        check()
        events.put(("progress", f"{title} {done}/{total}"))

    def report(value):
        check()
        events.put(("partial", value))

    def body():
        LISTENER.set(listen)
        try:
            events.put(("done", (task(report), duration(time.monotonic() - began))))
        except Stopped:
            events.put(("stopped", None))
        except Exception as problem:
            events.put(("error", line_of(problem)))
    threading.Thread(target=body, daemon=True).start()
    yield from thinned(events)


def line_of(problem):
    """The one line about an exception, as the scripts print it; a defect's traceback goes to the terminal."""
    if isinstance(problem, Negative):
        return printable(f"no: {problem}")
    told = problem if isinstance(problem, UserError) else refusal(problem) if isinstance(problem, OSError) else None
    if told is None:
        traceback.print_exception(problem)
        told = f"a defect of the program, traceback in the terminal: {type(problem).__name__}: {problem}"
    return printable(f"error: {told}")


def thinned(events):
    """The events of a queue up to a final one, at most one line of progress every EVERY seconds."""
    spoke = 0.0
    while True:
        kind, value = events.get()
        if kind == "progress" and time.monotonic() - spoke < EVERY:
            continue
        spoke = time.monotonic()
        yield kind, value
        if kind in FINAL:
            return
