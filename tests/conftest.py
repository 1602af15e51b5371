"""Shared by all tests: where the golden files are, and a thread count that does not depend on the machine."""
import os
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(autouse=True)
def fixed_threads():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
