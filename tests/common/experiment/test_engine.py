"""Other engines and precisions at use: equal to torch, any size, refused where they cannot be had."""
import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cases.kind import enhance as kind_enhance
from cases.kind.extras import export as kind_export
from cases.kind.model import KinD
from cases.msrnet import enhance as msrnet_enhance
from cases.msrnet.model import MSRNet
from common.base.errors import UserError, start
from common.experiment import engine
from common.experiment.settings import Settings

has_onnx = pytest.mark.skipif(not importlib.util.find_spec("onnxruntime") or not importlib.util.find_spec("onnx"),
                              reason="the extra `export` is not installed")
CPU = torch.device("cpu")


def settings(**changes):
    return Settings(**({"engine": "torch", "precision": "fp32"} | changes))


def drawn(model):
    """The model with every weight moved, so that no layer is an identity or zero."""
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=draw)
    return model.eval()


NETWORKS = {"msrnet": lambda: msrnet_enhance.graphs(drawn(MSRNet())),
            "msrnet, exposure": lambda: msrnet_enhance.graphs(drawn(MSRNet(exposure=True))),
            "kind": lambda: kind_enhance.graphs(drawn(KinD()))}


@has_onnx
@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_onnx_answers_as_torch_at_any_size(name):
    for graph in NETWORKS[name]().values():
        assert engine.largest_difference(graph) <= engine.TOLERANCE
        computed = engine.equip(graph, settings(engine="onnx"), CPU)
        inputs = [torch.rand(*example.shape[:2], *((33, 51) if key in graph.free else example.shape[2:]))
                  for key, example in graph.inputs.items()]
        expected, found = graph.module(*inputs), computed(*inputs)
        pairs = zip(expected, found) if isinstance(expected, tuple) else [(expected, found)]
        assert all(a.shape == b.shape and torch.allclose(a, b, atol=engine.TOLERANCE) for a, b in pairs)


@has_onnx
def test_the_command_writes_what_another_program_can_read(tmp_path, capsys):
    import onnxruntime
    assert start(kind_export.main, ["-o", str(tmp_path / "graphs")]) == 0
    assert capsys.readouterr().out.count("equal to torch") == 2
    session = onnxruntime.InferenceSession(str(tmp_path / "graphs/decomposition.onnx"),
                                           providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_outputs()] == ["reflectance", "illumination"]


@torch.inference_mode()
def test_bf16_is_near_and_not_equal():
    graph = NETWORKS["kind"]()["decomposition"]
    x = torch.rand(1, 3, 40, 56)
    exact, rough = graph.module(x), engine.Bfloat16(graph.module)(x)
    for a, b in zip(exact, rough):
        assert b.dtype == torch.float32 and 0 < (a - b).abs().max() < 0.05


def test_what_cannot_be_had_is_refused(monkeypatch):
    graph = engine.Graph(nn.Identity(), {"x": torch.zeros(1, 1, 2, 2)}, ["y"], ["x", "y"])
    assert engine.equip(graph, settings(), CPU) is graph.module
    with pytest.raises(UserError, match="--device cpu was expected"):
        engine.equip(graph, settings(engine="onnx"), torch.device("cuda"))
    with pytest.raises(UserError, match="computes in float32"):
        engine.equip(graph, settings(engine="onnx", precision="bf16"), CPU)
    monkeypatch.setattr(engine.device, "slow_bf16", lambda device: True)
    with pytest.raises(UserError, match="no bfloat16 arithmetic"):
        engine.equip(graph, settings(precision="bf16"), CPU)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime is not installed.*'\.\[export\]'"):
        engine.equip(graph, settings(engine="onnx"), CPU)


def test_a_folder_called_onnx_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "onnx").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "onnx", raising=False)
    engine.hide_folders_called_onnx()
    assert sys.modules["onnx"] is None
    del sys.modules["onnx"]


def test_beside_a_folder_called_onnx_the_missing_package_is_said(tmp_path, monkeypatch):
    """`-o onnx` makes one; a Python without the package would import the folder."""
    (tmp_path / "onnx").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=None))
    graph = engine.Graph(nn.Conv2d(3, 3, 1), {"x": torch.rand(1, 3, 8, 8)}, ["y"], ["x", "y"])
    try:
        with pytest.raises(UserError, match="torch cannot export here.*the extra `export`"):
            engine.to_bytes(graph)
    finally:
        sys.modules.pop("onnx", None)
