"""Networks at use: on ONNX Runtime in the place of torch, or in bfloat16; and their export to files (the extra
`export`)."""
import argparse
import importlib.util
import io
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from common.base.errors import Negative, UserError
from common.base.files import write_whole
from common.base.targets import expect_targets
from common.experiment import device

OPSET = 17
TOLERANCE = 1e-5                                           # of what a graph answers, beside torch
MISSING = "the extra `export` was expected: pip install -e '.[export]'"


class Graph(NamedTuple):
    """A network as ONNX has it."""
    module: nn.Module
    inputs: dict               # {name: an example, (N, C, h, w)}, in the order of the module's arguments
    outputs: list              # names of what it returns
    free: list                 # names of the inputs and outputs whose height and width are any
    parts: dict = {}           # {name: factor} of free inputs whose sides are those of the picture over it, rounded up


def to_bytes(graph):
    """The graph as the contents of an .onnx file. Raises UserError where a package that torch needs is missing."""
    hide_folders_called_onnx()
    file, module = io.BytesIO(), graph.module.to(memory_format=torch.contiguous_format).eval()
    examples = tuple(example.contiguous() for example in graph.inputs.values())
    axes = {name: {2: "height", 3: "width"} for name in graph.free}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)    # of numbers that are meant to be constants
            warnings.filterwarnings("ignore", "Constant folding")       # of reflection, which has nothing to fold
            torch.onnx.export(module, examples, file, opset_version=OPSET, dynamo=False, dynamic_axes=axes,
                              input_names=list(graph.inputs), output_names=graph.outputs)
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        if "onnx" not in str(error):
            raise
        raise UserError(f"torch cannot export here: {error}: {MISSING}") from None
    return file.getvalue()


def hide_folders_called_onnx():
    """Torch asks for the package onnx; where that is missing, Python would take a folder of results for it."""
    found = importlib.util.find_spec("onnx") if "onnx" not in sys.modules else None
    if found and found.origin is None:                     # no file of code: nothing but a folder
        sys.modules["onnx"] = None                         # an import now fails, as it should


class OnnxRuntime(nn.Module):
    """A Graph that ONNX Runtime computes, called as the module that it was; torch tensors on the CPU in and out."""

    def __init__(self, graph):
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"test.engine=onnx: onnxruntime is not installed: {MISSING}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(to_bytes(graph), options, providers=["CPUExecutionProvider"])
        self.names = [entry.name for entry in self.session.get_inputs()]      # without those that nothing reads
        self.inputs = list(graph.inputs)

    def forward(self, *tensors):
        given = dict(zip(self.inputs, tensors))
        arrays = self.session.run(None, {name: given[name].contiguous().numpy() for name in self.names})
        found = tuple(map(torch.from_numpy, arrays))
        return found if len(found) > 1 else found[0]


class Bfloat16(nn.Module):
    """A module that computes convolutions and products in bfloat16; float32 in and out."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *tensors):
        with device.autocast(tensors[0].device, "bf16"):
            found = self.module(*tensors)
        return tuple(map(torch.Tensor.float, found)) if isinstance(found, tuple) else found.float()


# ---- at use: test.engine, test.precision -----------------------------------------------------------------------------

def equip(graph, settings, chosen):
    """The module of a Graph as `test` wants it computed on the chosen device. Raises UserError where that cannot be."""
    precision = settings.get("precision", "fp32")
    if settings.engine == "onnx" and chosen.type != "cpu":
        raise UserError(f"test.engine=onnx computes on the CPU, this run on {chosen}: --device cpu was expected")
    if settings.engine == "onnx" and precision == "bf16":
        raise UserError("test.engine=onnx computes in float32: test.precision=fp32 was expected with it")
    if precision == "bf16" and device.slow_bf16(chosen):
        raise UserError("test.precision=bf16: this processor has no bfloat16 arithmetic, only an emulation that is "
                        "slower than float32: test.precision=fp32 was expected")
    if settings.engine == "onnx":
        return OnnxRuntime(graph)
    return Bfloat16(graph.module) if precision == "bf16" else graph.module


# ---- as files --------------------------------------------------------------------------------------------------------

def export(case, load, graphs_of, argv=None, weights="release"):
    """The export of a case as a command: the networks of its weights as .onnx files, held against torch.

    load(weights): the model of a file or a release; graphs_of(model): {name: Graph}. Returns the model.
    """
    parser = argparse.ArgumentParser(prog=f"python -m cases.{case}.extras.export",
                                     description="The networks of a case as ONNX graphs for any size of picture.")
    parser.add_argument("--weights", default=weights, help=f"a file, or the name of a release ({weights})")
    parser.add_argument("-o", "--output", type=Path, default=Path("onnx"), metavar="FOLDER")
    options = parser.parse_args(argv)
    model = load(options.weights)
    graphs = graphs_of(model)
    paths = {name: options.output / f"{name}.onnx" for name in graphs}
    expect_targets(paths.values())
    for name, graph in graphs.items():
        content, difference = to_bytes(graph), largest_difference(graph)
        if difference > TOLERANCE:
            raise Negative(f"{name} differs from torch by {difference:.1e}: at most {TOLERANCE:g} was expected")
        write_whole(paths[name], content)
        print(f"{paths[name]}: {len(content):,} bytes; equal to torch, largest difference {difference:.1e}")
    return model


def largest_difference(graph, grown=(37, 22)):
    """Largest difference of what torch and ONNX Runtime answer, at a size larger by so much than the graph was made
    at."""
    draw = torch.Generator().manual_seed(0)
    inputs = []
    for name, example in graph.inputs.items():
        if name in graph.free:
            factor = graph.parts.get(name, 1)
            size = [-(-(factor * side + more) // factor) for side, more in zip(example.shape[2:], grown)]
            example = torch.rand(*example.shape[:2], *size, generator=draw)
        inputs.append(example)
    with torch.no_grad():
        expected, found = graph.module(*inputs), OnnxRuntime(graph)(*inputs)
    if not isinstance(expected, tuple):
        expected, found = (expected,), (found,)
    return max((a - b).abs().max().item() for a, b in zip(expected, found))
