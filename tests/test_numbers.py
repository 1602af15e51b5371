"""The numbers of the pages' tables are looked for among what a run measured."""
import json

import pytest

from common import numbers
from common.base import paths
from common.base.errors import Negative

PAGE = """# Alpha

## Results

Made by `python cases/alpha/test.py --name check test.root=SET`.

| row | psnr | share |
|---|---|---|
| **network** | 20.13 / 0.913 | 41.3 % |
| *published:* other | 25.00 | |

## Elsewhere

| what | size |
|---|---|
| one | 1.5 |
"""


@pytest.fixture
def alpha(tmp_path, monkeypatch):
    """A repository with one case, whose run `check` has measured what its page says."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "cases/alpha").mkdir(parents=True)
    (tmp_path / "cases/alpha/model.py").touch()
    (tmp_path / "cases/alpha/README.md").write_text(PAGE, encoding="utf-8")
    folder = tmp_path / "results/alpha/check/test/set"
    folder.mkdir(parents=True)
    measured = {"network": {"psnr": 20.1349, "by": {"light": {"a": {"ssim": 0.9131}}}, "share": 0.4132, "count": 3},
                "other": {"psnr": 20.99}}
    (folder / "metrics.json").write_text(json.dumps(measured), encoding="utf-8")
    return tmp_path / "results"


def test_every_number_that_the_run_has_is_found(alpha, capsys):
    numbers.main(["--results", str(alpha)])
    said = capsys.readouterr().out
    assert "3 of 3: alpha, Made by" in said and "not checked, no command: alpha" in said


@pytest.mark.parametrize("wrong", ["20.14", "20.99"])
def test_a_number_that_its_row_has_not_is_told(alpha, capsys, wrong):
    page = paths.ROOT / "cases/alpha/README.md"
    page.write_text(PAGE.replace("20.13", wrong), encoding="utf-8")
    with pytest.raises(Negative, match="1 numbers are in none"):
        numbers.main(["--results", str(alpha)])
    assert f"network: {wrong}" in capsys.readouterr().out


def test_a_run_that_is_not_there_is_listed_with_its_command(alpha, capsys):
    numbers.main(["--results", str(alpha), "--name", "mine"])
    assert "not at hand, python cases/alpha/test.py --name check" in capsys.readouterr().out
