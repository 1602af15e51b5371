"""One process at a time works in a run's folder."""
import contextlib
import os
import platform
import time

from filelock import FileLock, Timeout

from common.base.errors import UserError
from common.base.files import write_whole

_held = {}                                                 # a lock that nothing refers to would be released


def hold(folder, doing):
    """Keep a folder, which is made, for this process until it ends, however it ends.

    doing: what this process does, for the message of whoever comes second. The same process may hold a folder many
    times; processes that it forks hold nothing. Raises UserError where another, living process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False, is_singleton=True)
    try:
        if folder not in _held:
            lock.acquire()
    except Timeout:
        raise UserError(f"another process is at work in {folder}: {holder(folder)}: one at a time was expected: wait "
                        "for its end, or choose another --name") from None
    _held[folder] = lock
    with contextlib.suppress(UserError):                   # a full disk: the lock holds without it
        write_whole(folder / ".holder", f"{doing}, process {os.getpid()} on {platform.node()}, since "
                                        f"{time.strftime('%Y-%m-%d %H:%M')}\n".encode())


def holder(folder):
    """Who holds a folder, in words."""
    with contextlib.suppress(OSError):
        return (folder / ".holder").read_text(encoding="utf-8", errors="replace").strip()[:200]
    return "it does not say which"
