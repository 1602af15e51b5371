"""Progress of whatever takes more than two seconds: a bar on a terminal, a plain line now and then elsewhere."""
import sys
import time
from contextlib import closing
from contextvars import ContextVar

from tqdm import tqdm

LINE_EVERY = 10.0         # seconds between plain lines
BAR_EVERY = 0.1           # seconds between changes of the bar's text
LISTENER = ContextVar("listener", default=None)     # listener(title, done, total) of this thread's work; may raise


def duration(seconds):
    """Seconds in words: `12 s`, `3 min 20 s`, `1 h 05 min`."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Progress:
    """A bar (or plain lines) from `start` to `total`, with the running mean of the loss."""

    def __init__(self, title, start, total, show=True):
        self.title, self.first, self.total = title, start, total
        self.began = self.spoke = time.monotonic()
        self.bar = (tqdm(total=total, initial=start, desc=title, delay=2, mininterval=BAR_EVERY, dynamic_ncols=True)
                    if show and sys.stderr.isatty() else None)
        self.lines = show and self.bar is None

    def update(self, step, sums=None):
        """Say where things stand, when it is time to. sums: name -> (total, count); values are only read when shown."""
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            if now - self.spoke > BAR_EVERY and sums:
                self.spoke = now
                self.bar.set_postfix_str(mean_of(sums), refresh=False)
        elif self.lines and now - self.spoke > LINE_EVERY:
            self.spoke = now
            rate = (step - self.first) / (now - self.began)
            left = duration((self.total - step) / rate) if rate else "?"
            print(f"{self.title} {step}/{self.total}  {mean_of(sums)}  {rate:.2f}/s  {left} left",
                  file=sys.stderr, flush=True)

    def close(self):
        if self.bar is not None:
            self.bar.close()


def mean_of(sums):
    """The running mean of the loss as text, empty when there is none."""
    total, count = (sums or {}).get("loss", (0.0, 0))
    return f"loss {float(total) / count:.4g}" if count else ""


def watch(items, title, count=None):
    """Iterate with progress. count: how many there will be, for an iterable that must not be held in memory."""
    if count is None:
        items = list(items)
        count = len(items)
    with closing(Progress(title, 0, count)) as progress:
        for number, item in enumerate(items, 1):
            if listener := LISTENER.get():
                listener(title, number - 1, count)
            yield item
            progress.update(number)
