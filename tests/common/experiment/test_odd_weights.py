"""--weights with files as no training writes them: one message for each, whichever case reads it."""
import importlib
import subprocess
import sys

import pytest
import torch
from odd_weights import ODD, spoil

from common.base.errors import UserError, start
from common.base.paths import CHECKPOINTS, ROOT, all_cases
from common.experiment import checkpoints


@pytest.mark.parametrize("kind", ODD)
def test_odd_tensors(tmp_path, kind):
    good = {"case": "msrnet", "model": {}, "weights": {"layer.weight": torch.zeros(2, 2)}}
    torch.save(good, tmp_path / "a.pt")
    checkpoints.load(tmp_path / "a.pt")
    torch.save(good | {"weights": spoil(good["weights"], kind)}, tmp_path / "a.pt")
    if kind != "number":                                     # a tensor without axes is the network's business
        with pytest.raises(UserError, match="a.pt is not a weights file of this project"):
            checkpoints.load(tmp_path / "a.pt")


@pytest.mark.parametrize("weights", [[1.0], None, "text"])
def test_weights_that_are_no_tensors_by_name(tmp_path, weights):
    torch.save({"case": "msrnet", "model": {}, "weights": weights}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="a.pt is not a weights file .*instead of tensors by name"):
        checkpoints.load(tmp_path / "a.pt")


@pytest.mark.parametrize("case", [case for case in all_cases() if any(CHECKPOINTS.glob(f"{case}/release*.pt"))])
@pytest.mark.parametrize("kind", ["list", "sparse", "terabytes", "number", "model"])
def test_a_release_with_one_odd_tensor_is_refused_by_its_case(tmp_path, monkeypatch, capsys, case, kind):
    monkeypatch.setattr("common.base.paths.RESULTS", tmp_path / "results")
    content = checkpoints.load(min((CHECKPOINTS / case).glob("release*.pt")))
    changed = {"model": "text"} if kind == "model" else {"weights": spoil(content["weights"], kind)}
    torch.save(content | changed, tmp_path / "odd.pt")
    script = importlib.import_module(f"cases.{case}.test").main
    words = ["--demo", "--device", "cpu", "--name", "odd", "--weights", str(tmp_path / "odd.pt")]
    assert start(script, words + ["stage=fast"] * (case == "vgg19_style")) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "odd.pt" in said


def test_the_files_that_strangers_made(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("common.base.paths.RESULTS", tmp_path / "results")
    script = importlib.import_module("cases.msrnet.test").main
    for path in sorted(shared("cases/weights").glob("*.pt")):
        assert start(script, ["--demo", "--device", "cpu", "--name", "odd", "--weights", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and path.name in said


def test_weights_are_read_without_torchs_compiler():
    """It would be imported for seconds, to draw start values that are thrown away."""
    text = ("import sys; from common.experiment.checkpoints import load_release\n"
            "from cases.msrnet.model import MSRNet; from cases.siamfc.model import SiamFC\n"
            "load_release('msrnet', MSRNet); load_release('siamfc', SiamFC); sys.exit('torch._dynamo' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", text], cwd=ROOT).returncode == 0
