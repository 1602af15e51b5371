"""Devices, threads, precision, and torchvision beside a CPU build of torch."""
import json
import os

import pytest
import torch

from common.base.errors import UserError
from common.base.paths import ROOT
from common.experiment.device import autocast, choose_device, environment, peak_memory_mb, seed_all, set_threads


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="--device toaster"):
        choose_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA: its absence cannot be tried")
def test_missing_cuda_is_said():
    with pytest.raises(UserError, match="--device cuda cannot be used.*--device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("3", 3)])
def test_threads_follow_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert set_threads() == expected
    for nonsense in ("", "many", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert set_threads() >= 1


def test_seeds_make_equal_weights():
    weights = []
    for _ in range(2):
        seed_all(5)
        weights.append(torch.nn.Linear(3, 3).weight)
    assert torch.equal(*weights)


def test_bf16_is_autocast_and_fp32_is_nothing():
    layer, x = torch.nn.Conv2d(3, 3, 1), torch.rand(1, 3, 4, 4)
    with autocast(torch.device("cpu"), "bf16"):
        assert layer(x).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "fp32"):
        assert layer(x).dtype == torch.float32


def test_environment_is_plain_json():
    entry = json.loads(json.dumps(environment(torch.device("cpu"))))
    assert entry["versions"]["torch"] == torch.__version__ and entry["threads"] >= 1 and peak_memory_mb() > 50


def test_torchvision_imports_and_its_networks_work(processes):
    """In a process of its own: the repair must come from our function, whatever other tests have imported."""
    code = ("import torch; from common.experiment.device import import_torchvision as t; v = t(); assert v is t();"
            "n = v.models.squeezenet1_1(); assert n(torch.rand(1, 3, 64, 64)).shape == (1, 1000);"
            "from torchvision.utils import make_grid; assert make_grid(torch.rand(4, 3, 8, 8)).dim() == 3")
    done = processes.run(["-c", code], ROOT, dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_module_imports_torchvision_at_its_top():
    for path in [*ROOT.glob("common/*.py"), *ROOT.glob("cases/*/*.py")]:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line.startswith(("import torchvision", "from torchvision")), path
