"""Set-up: which Python it takes."""
import re
import sys

import pytest

from common import install
from common.base.paths import ROOT


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 14, 0)])
def test_a_python_that_does_not_suit_is_refused_before_anything_is_made(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: pytest.fail("it went on"))
    with pytest.raises(SystemExit, match=r"expected 3\.11, or 3\.12 or 3\.13"):
        install.main()


def test_what_it_takes_is_what_the_project_declares():
    declared = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert [(3, int(minor)) for minor in declared.groups()] == [install.OLDEST, install.TOO_NEW]
