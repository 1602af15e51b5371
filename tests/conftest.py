"""Shared by all tests: where the golden files are, and a thread count that does not depend on the machine."""
import os
from pathlib import Path

import pytest
import torch
from report_runs import build, copied

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared():
    """shared("golden/msrnet") is that folder beside the repository; the test skips, with the reason, where it is not."""
    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not beside this repository (../shared/{name})")
        return path
    return find


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
