"""Before the rest of a script is imported: a missing package, an old Python and Ctrl-C are one line, no traceback.

common/__init__.py imports this first of all, and each script of a case imports common before anything else. Standard
library only, and no syntax that an old Python does not know.
"""
import atexit
import os
import shlex
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = os.name == "nt"
VENV_PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def explain(kind, error, trace):
    """What sys.excepthook does: one line for what goes wrong before a script has begun; the traceback for the rest."""
    if issubclass(kind, KeyboardInterrupt):
        stop()
    missing = (error.name or "").split(".")[0] if issubclass(kind, ModuleNotFoundError) else "common"
    if missing in ("common", "cases"):
        return sys.__excepthook__(kind, error, trace)
    sys.stderr.write("error: " + lacks(missing) + "\n")
    sys.exit(2)


def stop(*_):
    """End this process after Ctrl-C, with one line and the status that Python's own end would not have."""
    try:
        os.write(2, b"stopped by Ctrl-C\n")
    except OSError:                                        # stderr is closed
        pass
    os._exit(130)


def is_script():
    """Whether this program is a script of the project; a notebook or a test that imports it keeps its own Ctrl-C."""
    words, file = sys.orig_argv, getattr(sys.modules["__main__"], "__file__", None)
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    folders = Path(file).resolve().parents if file else ()
    return module.split(".")[0] in ("common", "cases") or not {ROOT / "common", ROOT / "cases"}.isdisjoint(folders)


def lacks(package):
    """The message for a package that cannot be imported, with the exact command that can."""
    here = f"this Python ({sys.executable}) has no {package}: the project's own Python was expected: "
    install = f"{'python' if WINDOWS else 'python3'} {shown(ROOT / 'common/install.py')}"
    if not VENV_PYTHON.exists():
        return f"{here}make it first: {install}"
    if Path(sys.prefix).resolve() == VENV_PYTHON.parents[1].resolve():
        return f"{here}its installation is not complete: {install}"
    words = [shown(VENV_PYTHON), *(quote(word) for word in sys.orig_argv[1:])]
    activate = ("" if WINDOWS else "source ") + shown(VENV_PYTHON.parent / "activate")
    return f"{here}{' '.join(words)} (or, once in each terminal, {activate}, and then as before)"


def shown(path):
    """A path of the project as the user would type it."""
    return quote(str(path.relative_to(ROOT) if Path.cwd() == ROOT else path))


def quote(word):
    """A word as a terminal wants it."""
    if WINDOWS:
        return f'"{word}"' if " " in word else word
    return shlex.quote(word)


def refuse_old_python():
    """End a script here where Python is older than the project's code."""
    if sys.version_info < (3, 11):
        sys.stderr.write(f"error: this is Python {sys.version.split()[0]}: 3.11 or newer was expected: use that of "
                         ".venv, or make .venv with a newer one: common/install.py\n")
        sys.exit(2)


refuse_old_python()
sys.excepthook = explain
if is_script() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, stop)      # an exception would come up inside a package that is being imported
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)       # the last of all, when nothing is left to stop
