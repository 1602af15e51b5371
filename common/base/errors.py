"""A user's mistake is one line, `error: what is wrong: where: what was expected: what to do`, and exit status 2."""
import _thread
import contextlib
import errno
import os
import signal
import sys
import threading
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")      # categories of Unicode: control, format, half a pair, separators
# what a machine may refuse to any program, and what its user can do about it
REFUSED = {errno.ENOSPC: "make room there", errno.EDQUOT: "make room in your quota", errno.EFBIG: "make room there",
           errno.EROFS: "choose a place that can be written", errno.EACCES: "mend the rights, or choose another place",
           errno.EPERM: "mend the rights, or choose another place",
           errno.EIO: "look after the disk", errno.EMFILE: "raise the limit of open files (ulimit -n)"}
WINDOWS, LONGEST_ON_WINDOWS = os.name == "nt", 259                       # letters of a path


class UserError(Exception):
    """Something that the user can mend: the whole message, in one line without the leading "error: "."""


class Negative(Exception):
    """A task that ran well and answers no (nothing to stitch, a difference found): its reason; exit status 1."""


def join_some(problems, shown=10):
    """Join several problems into one text: the first `shown`, then a count of the rest."""
    problems = [str(problem) for problem in problems]
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def printable(text, keep=""):
    """Text to be shown: names from foreign files may hold control characters, letters that turn the direction, and line
    separators; they must be seen, not act, and become \\x1b, \\u202e, \\u2028. keep: those that may stay."""
    return "".join(ascii(letter)[1:-1] if unicodedata.category(letter) in HIDDEN and letter not in keep else letter
                   for letter in str(text))


def refusal(error):
    """A UserError for an OSError that is no bug but the machine's answer (a full disk, missing rights, a path that is
    too long); None for any other."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if too_long := refuse_length(name):
        return too_long
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"a path is too long ({len(name)} letters): {name[:60]}...: one that this system can hold was "
                         "expected: shorten it")
    if error.errno not in REFUSED:
        return None
    return UserError(f"cannot read or write ({error.strerror}): {shorten(name) or 'the output or a temporary file'}: a "
                     f"place with the right to use it and enough room was expected: {REFUSED[error.errno]}, then give "
                     "the same command again")


def refuse_length(path):
    """A UserError for a path that is longer than Windows allows, there; else None."""
    letters = len(os.path.abspath(path))
    if not WINDOWS or letters <= LONGEST_ON_WINDOWS:
        return None
    return UserError(f"the path is longer than Windows allows ({letters} letters): {shorten(str(path))}: at most "
                     f"{LONGEST_ON_WINDOWS} were expected: move the project to a folder with a short path, or switch "
                     "long paths on in Windows")


def shorten(text, most=300):
    """Text whose middle is left out where it is longer than `most` letters."""
    return text if len(text) <= most else f"{text[:most // 2]}...{text[-most // 2:]}"


def warn(text):
    """One line on stderr about what is left out or doubtful while the work goes on; from the first process alone."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"warning: {printable(text)}", file=sys.stderr)


def start(main, argv=None):
    """Run main(argv) as a script: translate its outcome into one line on stderr and an exit status.

    Returns 0, or main's own number; 2 after UserError or what the machine refuses, 1 after Negative, 130 after Ctrl-C.
    Other exceptions are bugs and keep their traceback; `--debug` among the arguments keeps all of them.
    """
    words = sys.argv[1:] if argv is None else argv
    prepare_streams()
    if argv is None:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = interrupt_again
    try:
        status = main(argv) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        if "--debug" in words:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)     # one line is enough
        status = complain("stopped by Ctrl-C", 130)
    except BrokenPipeError:                              # the reader of our output went away, as in `... | head`
        status = 1
    except (UserError, Negative, OSError) as problem:
        outcome = refusal(problem) if isinstance(problem, OSError) else problem
        if outcome is None or "--debug" in words:
            raise
        mistake = isinstance(outcome, UserError)
        status = complain(f"{'error' if mistake else 'no'}: {printable(outcome)}", 2 if mistake else 1)
    except RuntimeError as problem:
        if not is_loss_of_a_process(problem) or "--debug" in words:
            raise
        status = complain("error: another process of this run has ended, so this one cannot go on: its own message, "
                          "or torchrun's, says why; the same command goes on from the last checkpoint", 1, alone=False)
    if argv is None:                                     # while the interpreter ends; the one line was said already
        signal.signal(signal.SIGINT, leave_silently if status == 130 else leave_at_once)
    return leave_streams(status)


def is_loss_of_a_process(problem):
    """Whether an exception is what gloo and NCCL raise in a torchrun's process when another one has gone."""
    words = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "NCCL", "Broken pipe")
    return "WORLD_SIZE" in os.environ and any(word in str(problem) for word in words)


def complain(line, status, alone=True):
    """Print one line on stderr, from the first process of a torchrun alone: all meet the same mistake. Returns
    status. alone=False: from every process, with its number."""
    rank = int(os.environ.get("RANK", 0))
    if rank == 0 or not alone:
        line = line if alone else f"[process {rank}] {line}"
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)
    return status


def interrupt(number, frame):
    """What Ctrl-C does in a script: the first unwinds, which closes files and joins processes; a second one does not
    wait for that."""
    signal.signal(signal.SIGINT, leave_at_once)
    raise KeyboardInterrupt


def interrupt_again(dropped):
    """What sys.unraisablehook does in a script: Ctrl-C that came up where Python drops exceptions, in the callback of a
    weak reference or a __del__, comes up once more a moment later."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        return sys.__unraisablehook__(dropped)
    signal.signal(signal.SIGINT, interrupt)
    threading.Timer(0.05, _thread.interrupt_main).start()


def leave_at_once(number, frame):
    """End this process now, with one line."""
    with contextlib.suppress(OSError):                   # stderr may be closed
        os.write(2, b"stopped by Ctrl-C\n")
    os._exit(130)


def leave_silently(number, frame):
    """End this process now."""
    os._exit(130)


def prepare_streams():
    """Output that is closed goes nowhere, and a console that lacks a letter must not stop the work."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def leave_streams(status):
    """status, with nothing left in the output that the interpreter's end would stumble over."""
    try:
        sys.stdout.flush()
    except OSError:                                      # full, or nobody reads: what is left of it goes nowhere
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
