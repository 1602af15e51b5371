"""A user's mistake is one line, `error: what is wrong: where: what was expected: what to do`, and exit status 2."""
import errno
import os
import sys
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")      # categories of Unicode: control, format, half a pair, separators


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


def start(main, argv=None):
    """Run main(argv) as a script: translate its outcome into one line on stderr and an exit status.

    Returns 0, or main's own number; 2 after UserError, 1 after Negative. Other exceptions are bugs and keep their
    traceback; `--debug` among the arguments keeps all of them.
    """
    words = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")         # a console that lacks a letter must not stop the work
    try:
        return main(argv) or 0
    except (UserError, Negative) as problem:
        if "--debug" in words:
            raise
        if int(os.environ.get("RANK", 0)) == 0:          # under torchrun every process meets the same mistake
            print(f"{'error' if isinstance(problem, UserError) else 'no'}: {printable(problem)}", file=sys.stderr)
        return 2 if isinstance(problem, UserError) else 1
    except BrokenPipeError:                              # the reader of our output went away, as in `... | head`
        sys.stdout = open(os.devnull, "w")
        return 1
    except OSError as problem:                           # exists() and its like raise this one alone
        if problem.errno != errno.ENAMETOOLONG or "--debug" in words:
            raise
        name = printable(problem.filename)
        print(f"error: a path is too long ({len(name)} letters): {name[:60]}...: one that this system can hold was "
              "expected: shorten it", file=sys.stderr)
        return 2
