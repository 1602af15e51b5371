"""Other systems, as far as this one can play them: modules that Windows lacks, names that it refuses."""
import os
import re
import subprocess
from collections import Counter

import pytest

from common.base.paths import EMBEDDED, ROOT

REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)

# Other people's packages are imported before these modules and names are gone: they know what Windows lacks.
WITHOUT = """
import os, runpy, signal, sys
import cv2, filelock, matplotlib.figure, numpy, PIL.Image, scipy.ndimage, scipy.optimize, skimage.metrics
import torch, torch.utils.data, tqdm, yaml
try:
    import gradio
except ModuleNotFoundError:                                  # an extra
    pass
HIDDEN = ("fcntl", "grp", "pwd", "resource", "termios", "tty")
for name in HIDDEN:
    sys.modules[name] = None
for name in filter(lambda name: hasattr(os, name), ("sched_getaffinity", "getuid", "geteuid", "killpg")):
    delattr(os, name)
for name in filter(lambda name: hasattr(signal, name), ("alarm", "pthread_sigmask", "SIGALRM", "SIGKILL")):
    delattr(signal, name)
modules, results, *sys.argv = sys.argv[1:]
sys.path[0] = os.getcwd()
for name in modules.split():
    try:
        __import__(name)
    except ModuleNotFoundError as error:                     # of an extra that is not installed, perhaps
        if error.name.split(".")[0] in (*HIDDEN, "cases", "common"):
            raise
import pathlib
import common.base.paths
common.base.paths.RESULTS = pathlib.Path(results)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def project_modules():
    """Names of all modules of common/ and cases/; a walkthrough works as it is imported."""
    for path in sorted([*ROOT.glob("common/**/*.py"), *ROOT.glob("cases/**/*.py")]):
        if path.stem not in ("__init__", "walkthrough"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_everything_imports_and_works_without_what_windows_lacks(tmp_path, processes):
    script = ROOT / "cases/msrnet/test.py"
    done = processes.run(["-c", WITHOUT, " ".join(project_modules()), tmp_path / "results", script, "--weights",
                          "release", "--input", EMBEDDED / "photos/coffee.jpg", "--output", tmp_path / "out.png"],
                         ROOT, os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("name", "refused"), [("a:b.png", True), ("nul.txt", True), ("a.", True), ("com1", True),
                                               ("a-b.png", False), ("夜.png", False), ("console.txt", False)])
def test_what_windows_refuses(name, refused):
    assert bool(REFUSED.search(name)) == refused


def test_no_file_of_the_project_has_a_name_that_windows_refuses():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    paths = listed.stdout.decode().strip("\0").split("\0")
    assert not [path for path in paths if any(map(REFUSED.search, path.split("/")))]
    assert not [path for path, count in Counter(path.casefold() for path in paths).items() if count > 1]
