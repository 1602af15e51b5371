"""One process at a time in a run's folder."""
import os
import subprocess
import sys

import pytest

from common.base.errors import UserError
from common.base.lock import hold
from common.base.paths import ROOT

HOLDS = """
import os, sys, time
from pathlib import Path
from common.base.lock import hold
hold(Path(sys.argv[1]), "train.py of toy")
if "fork" in sys.argv and hasattr(os, "fork"):
    hear, say = os.pipe()
    if os.fork():
        os.read(hear, 1)                                   # the child runs
    else:
        os.write(say, b"x")
        time.sleep(60)
print("held", flush=True)
time.sleep(60)
"""


def holding(folder, *words):
    """A process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, folder, *words], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True, start_new_session=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_process_is_told_who_holds_the_folder(tmp_path):
    process = holding(tmp_path / "run")
    with pytest.raises(UserError, match=rf"train.py of toy, process {process.pid} on .*since .*--name"):
        hold(tmp_path / "run", "test.py of toy")
    hold(tmp_path / "other", "test.py of toy")
    process.kill()
    process.communicate()


def test_only_a_living_process_holds_and_what_it_forked_does_not(tmp_path):
    process = holding(tmp_path / "run", "fork")
    process.kill()
    process.wait()
    hold(tmp_path / "run", "test.py of toy")
    if hasattr(os, "killpg"):
        os.killpg(process.pid, 9)                          # the forked one, still alive
    process.stdout.close()


def test_one_process_may_hold_a_folder_twice(tmp_path):
    hold(tmp_path, "train.py")
    hold(tmp_path, "test.py")
