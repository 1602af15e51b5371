"""Shared by all tests: where the golden files are, a thread count that does not depend on the machine, and what may run
side by side."""
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from processes import Processes
from report_runs import build, copied

from common.base.paths import all_cases
from common.data import samples

SHARED = Path(__file__).resolve().parents[2] / "shared"
FLOATS = {"near", "approx", "allclose", "assert_allclose", "assert_close", "isclose", "gradcheck"}


def pytest_configure(config):
    """Build the sample sets before `make test` starts its processes (pytest-xdist), which would otherwise build them at
    the same time."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")           # a process per core already
    else:
        samples.build()


def pytest_collection_modifyitems(items):
    """Mark what compares numbers that another processor would round in another way: `pytest -m numeric`."""
    for item in items:
        function = getattr(item.function, "hypothesis", SimpleNamespace(inner_test=item.function)).inner_test
        if FLOATS & set(function.__code__.co_names):
            item.add_marker(pytest.mark.numeric)
    items.sort(key=lambda item: item.path.name != "test_cases.py")      # longest first: no process waits at the end


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process takes a file's tests, which share what they made; of test_cases.py, a case's."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, test = nodeid.partition("::")
            return ((file, next((case for case in all_cases() if f"[{case}" in test), ""))
                    if file.endswith("test_cases.py") else file)
    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared():
    """shared("golden/msrnet") is that folder beside the repository; the test skips, with the reason, where it is
    not."""
    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not beside this repository (../shared/{name})")
        return path
    return find


@pytest.fixture(scope="session")
def processes():
    """A tests/processes.py for all tests of this process."""
    forks = Processes()
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A repository with two small cases and their runs (tests/report_runs.py): for `repository` to copy."""
    return build(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def repository(template, tmp_path, monkeypatch):
    """A copy of `template` of the test's own, in which `common` now looks for everything."""
    return copied(template, tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def fixed_threads():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
