"""How a script ends: one line, an exit status, whatever the machine, the terminal or its reader do."""
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.base import errors
from common.base.errors import refusal, start
from common.base.files import append, write_whole
from common.base.paths import ROOT
from common.base.targets import expect_targets

STARTED = "import sys, time; from common.base.errors import start\n"
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def script(text, **options):
    """A process that runs start(main), main being this text."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return subprocess.Popen([sys.executable, "-c", f"{STARTED}def main(argv):\n{lines}sys.exit(start(main))"], cwd=ROOT,
                            stderr=subprocess.PIPE, text=True, **{"stdout": subprocess.PIPE} | options)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_machine_refuses_is_one_line(number, capsys):
    def main(argv):
        raise OSError(number, os.strerror(number), "/disk/" + "x" * 5000)
    assert start(main, []) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot read or write ({os.strerror(number)}): /disk/x") and said.count("\n") == 1
    assert len(said) < 700
    with pytest.raises(OSError):
        start(main, ["--debug"])


def test_other_errors_of_the_system_are_bugs():
    with pytest.raises(FileNotFoundError):
        start(lambda argv: open("/no/such/file"), [])


def test_a_path_too_long_for_windows_is_named(monkeypatch):
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/a" * 200)
    assert refusal(missing) is None
    monkeypatch.setattr(errors, "WINDOWS", True)
    assert "longer than Windows allows (400 letters)" in str(refusal(missing))


@pytest.mark.parametrize(("write", "said"), [
    (lambda path: write_whole(path, b"x"), "longer than Windows allows"),
    (lambda path: append(path, "x"), "longer than Windows allows"),
    (lambda path: expect_targets([path]), "cannot write")], ids=["whole", "line", "target"])
def test_a_file_too_deep_for_windows_is_one_message(tmp_path, monkeypatch, write, said):
    monkeypatch.setattr(errors, "WINDOWS", True)
    deep = tmp_path / "/".join(["folder"] * 600) / ("x" * 300)        # too long for this system, too
    with pytest.raises(errors.UserError, match=said) as problem:
        write(deep)
    assert len(str(problem.value)) < 800 and "\n" not in str(problem.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("text", ["print('x', flush=True)", "print('x')"], ids=["at once", "at the end"])
def test_output_that_is_full_is_one_line(text):
    with open("/dev/full", "w") as full:
        process = script(text, stdout=full, env=BUFFERED)
    said = process.communicate()[1]
    assert process.returncode == 2 and said.count("\n") == 1
    assert said.startswith("error: cannot read or write (No space")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_mistake_before_full_output_is_found_out_is_said_alone():
    with open("/dev/full", "w") as full:
        process = script("from common.base.errors import UserError\nprint('x')\nraise UserError('no such file')",
                         stdout=full, env=BUFFERED)
    assert process.communicate()[1] == "error: no such file\n" and process.returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes it")
def test_closed_output_is_no_mistake():
    text = STARTED + "sys.exit(start(lambda argv: print('x', flush=True)))"
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" >&- 2>&-', sys.executable, text], cwd=ROOT)
    assert done.returncode == 0


def test_a_reader_that_goes_away_is_silent():
    process = script("for _ in range(100000): print('x')")
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 1
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("twice", [False, True])
def test_ctrl_c_is_one_line_also_twice(twice):
    process = script("try:\n    print('ready', flush=True); time.sleep(60)\nfinally:\n"
                     f"    print('ready', flush=True); time.sleep({60 if twice else 0})")
    for _ in range(2 if twice else 1):
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "stopped by Ctrl-C\n" and process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_second_ctrl_c_does_not_wait_for_what_the_first_has_begun():
    process = script("try:\n    print('ready', flush=True); time.sleep(60)\nfinally:\n    while True:\n"
                     "        try:\n            print('ready', flush=True); time.sleep(60)\n"
                     "        except KeyboardInterrupt: pass")
    try:
        for _ in range(2):
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == "stopped by Ctrl-C\n" and process.returncode == 130
    finally:
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_the_one_line_is_said_changes_nothing():
    process = script("import os, signal; from common.base import errors\nsay = errors.complain\n"
                     "errors.complain = lambda *a, **k: (os.kill(os.getpid(), signal.SIGINT), say(*a, **k))[1]\n"
                     "raise KeyboardInterrupt")
    assert process.communicate()[1] == "stopped by Ctrl-C\n" and process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_where_python_drops_exceptions_is_not_lost():
    """There it would be one `Exception ignored`, and the script would go on to its end."""
    process = script("import weakref\nclass Thing: pass\nthing = Thing()\n"
                     "kept = weakref.ref(thing, lambda _: (print('ready', flush=True), time.sleep(60)))\n"
                     "del thing\nfor _ in range(100): time.sleep(0.1)")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "stopped by Ctrl-C\n" and process.returncode == 130


def hear_ctrl_c():
    """What a shell's background job cannot do: there SIGINT is ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_a_script_imports_is_one_line():
    text = "import common\nprint('ready', flush=True)\nimport time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, preexec_fn=hear_ctrl_c)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "stopped by Ctrl-C\n" and process.returncode == 130


def copy_early(folder):
    """A project in a folder that has the beginning of common/ alone."""
    for name in ("__init__.py", "base/__init__.py", "base/early.py"):
        (folder / "common" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "common" / name).write_text((ROOT / "common" / name).read_text(encoding="utf-8"), encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("place", "said", "status"), [("cases/kind/train.py", "stopped by Ctrl-C\n", 130),
                                                       ("notebook.py", "", 3)])
def test_ctrl_c_never_comes_up_inside_what_a_script_imports(tmp_path, place, said, status):
    """numpy turns it into a RecursionError of its own, others swallow it; whoever imports the project keeps it."""
    copy_early(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("import sys, time, common\ntry:\n    print('ready', flush=True); time.sleep(60)\n"
                                  "except KeyboardInterrupt:\n    sys.exit(3)\n")
    process = subprocess.Popen([sys.executable, tmp_path / place], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(tmp_path)},
                               preexec_fn=hear_ctrl_c)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == said and process.returncode == status


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_the_interpreter_goes_changes_no_status(tmp_path):
    copy_early(tmp_path)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases/train.py").write_text(
        "import os, sys, time, common\nclass Last:\n    def __del__(self, write=os.write, sleep=time.sleep):\n"
        "        write(1, b'ready\\n'); sleep(1)\nlast = Last()\nsys.exit(7)\n")
    process = subprocess.Popen([sys.executable, tmp_path / "cases/train.py"], stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(tmp_path)}, preexec_fn=hear_ctrl_c)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.wait() == 7


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_a_stopped_script_ends_says_nothing_more():
    process = script("import atexit; atexit.register(lambda: (print('ready', flush=True), time.sleep(60)))\n"
                     "print('ready', flush=True); time.sleep(60)")
    for _ in range(2):
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "stopped by Ctrl-C\n" and process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_menu_waits_for_the_script_that_saves(tmp_path):
    """Ctrl-C comes to both, as from a terminal; the script takes a second to end."""
    text = ("import common.menu as menu, sys\nfrom common.base.errors import start\n"
            "menu.SCRIPTS = {'train': sys.argv[1]}\nsys.exit(start(lambda argv: menu.call('train', '', [])))")
    child = ("import signal, sys, time\ndef end(*_):\n    time.sleep(1); print('saved', flush=True); sys.exit(130)\n"
             "signal.signal(signal.SIGINT, end); print('ready', flush=True); time.sleep(60)")
    (tmp_path / "child.py").write_text(child)
    process = subprocess.Popen([sys.executable, "-c", text, tmp_path / "child.py"], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate()[0] == "saved\n" and process.returncode == 130


def test_a_python_without_packages_answers_with_the_command(tmp_path):
    """python -S -E has the standard library alone, as a system's own Python may."""
    fake = tmp_path / "copy"
    copy_early(fake)
    command = [sys.executable, "-S", "-c", "import common, torch", "--demo"]
    done = subprocess.run(command, cwd=fake, capture_output=True, text=True)
    assert done.returncode == 2 and "has no torch" in done.stderr and "common/install.py" in done.stderr
    python = fake / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    python.parent.mkdir(parents=True)
    python.touch()
    done = subprocess.run(command, cwd=fake, capture_output=True, text=True)
    python = python.relative_to(fake)
    assert done.stderr.count("\n") == 1 and f"{python} -S -c 'import common, torch' --demo" in done.stderr
    assert f"{python.parent}/activate" in done.stderr
