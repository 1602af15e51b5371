"""SiamFC as two ONNX graphs: python -m cases.siamfc.extras.export [--weights W] [-o FOLDER]

template.onnx: exemplar (1, 3, 127, 127) -> kernel (1, C, 6, 6). search.onnx: regions (n, 3, 255, 255) and kernel ->
response (n, 1, 17, 17), times 1e-3. Pictures are RGB float32 from 0 to 255. Batch norm is folded. Both are compared
with torch where onnxruntime is installed (pip install onnxruntime).
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cases.siamfc.model import EXEMPLAR, GAIN, SEARCH, fold
from cases.siamfc.tracker import load
from common.base.errors import Negative, UserError, start
from common.base.targets import expect_targets
from common.experiment.engine import MISSING, OPSET, hide_folders_called_onnx

TOLERANCE = 1e-4                                              # of the response times 1e-3


class Search(nn.Module):
    """phi of the regions and the correlation with a kernel given as an input."""

    def __init__(self, features, bias):
        super().__init__()
        self.features, self.bias = features, bias

    def forward(self, regions, kernel):
        return GAIN * F.conv2d(self.features(regions), kernel) + self.bias


def export(network, folder):
    """Write both graphs; returns their paths. Raises UserError where a package that torch needs for it is missing."""
    folder = Path(folder)
    paths = folder / "template.onnx", folder / "search.onnx"
    expect_targets(paths)
    folder.mkdir(parents=True, exist_ok=True)
    features = fold(network.backbone).to(memory_format=torch.contiguous_format)
    search = Search(features, float(network.bias) if network.bias is not None else 0.0).eval()
    z, x = torch.zeros(1, 3, EXEMPLAR, EXEMPLAR), torch.zeros(3, 3, SEARCH, SEARCH)
    kernel = features(z)
    hide_folders_called_onnx()
    try:
        torch.onnx.export(features, (z,), str(paths[0]), opset_version=OPSET, dynamo=False,
                          input_names=["exemplar"], output_names=["kernel"])
        torch.onnx.export(search, (x, kernel), str(paths[1]), opset_version=OPSET, dynamo=False,
                          input_names=["regions", "kernel"], output_names=["response"],
                          dynamic_axes={"regions": {0: "n"}, "response": {0: "n"}})
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        if "onnx" not in str(error):
            raise
        raise UserError(f"torch cannot export here: {error}: {MISSING}") from None
    return paths


def largest_difference(network, paths, count=3, seed=0):
    """Largest difference of the responses of torch and onnxruntime on random pictures; None without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 256, (1, 3, EXEMPLAR, EXEMPLAR)).astype(np.float32)
    x = rng.integers(0, 256, (count, 3, SEARCH, SEARCH)).astype(np.float32)
    template, search = (onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in paths)
    kernel = template.run(None, {"exemplar": z})[0]
    response = search.run(None, {"regions": x, "kernel": kernel})[0]
    with torch.inference_mode():
        expected = network(torch.from_numpy(z), torch.from_numpy(x))[0].numpy()
    return float(np.abs(response[:, 0] - expected).max())


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cases.siamfc.extras.export", description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", default="release")
    parser.add_argument("-o", "--output", default="onnx")
    options = parser.parse_args(argv)
    network = load(options.weights)
    paths = export(network, options.output)
    difference = largest_difference(network, paths)
    print("\n".join(f"{path}: {path.stat().st_size:,} bytes" for path in paths))
    if difference is None:
        print("not compared with torch: onnxruntime is not installed (pip install onnxruntime)")
    elif difference > TOLERANCE:
        raise Negative(f"the graphs differ from torch by {difference:.1e} in the response: at most {TOLERANCE:g} was "
                       "expected")
    else:
        print(f"equal to torch: largest difference of the response {difference:.1e}")


if __name__ == "__main__":
    sys.exit(start(main))
