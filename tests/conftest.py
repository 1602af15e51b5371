"""Shared by all tests: where the golden files are, and a small thread count so that results do not depend on the machine."""
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
def two_threads():
    torch.set_num_threads(2)
