"""What the benchmarks of the low-light cases share: the loader's speed, other engines, and a run through all parts."""
import importlib.util
from functools import partial

import torch
from torch.utils.data import DataLoader

from common.experiment import engine, timing
from common.experiment.device import set_threads, slow_bf16
from common.experiment.sampling import Places, as_worker


def time_loader(pairs, batch, steps=40):
    """{number of workers: batches per second} of a training loader."""
    def load(workers):
        for _ in DataLoader(pairs, batch_sampler=Places(len(pairs), batch, 0, 0, steps), num_workers=workers,
                            worker_init_fn=as_worker):
            pass
    seconds = timing.in_turns({f"{workers} workers": partial(load, workers) for workers in (0, 1, 2)}, turns=3)
    return {name: steps / value for name, value in seconds.wall.items()}


def measure(case, network, parts):
    """timing.measure() of a case's parts; `inference` must tell times_faster, by layout, and largest_difference."""
    set_threads()
    inference = timing.measure(case, parts)["inference"]
    ratios = ", ".join(f"{value:.2f} times ({name})" for name, value in inference["times_faster"].items())
    print(f"{network} is as fast as the straightforward version {ratios}; largest difference "
          f"{inference['largest_difference']:.1e}")


def engines(graphs, size):
    """Milliseconds of CPU time of each network, {name: Graph}, on one picture of size (h, w): in torch, in bfloat16, on
    ONNX Runtime where that is installed, and with --peers on OpenVINO in float32 and bfloat16; and how far the answers
    are from torch's."""
    found = {}
    for name, graph in graphs.items():
        inputs = [torch.rand(*example.shape[:2], *(size if key in graph.free else example.shape[2:])).to(
            memory_format=torch.channels_last) for key, example in graph.inputs.items()]
        graph.module.to(memory_format=torch.channels_last)
        sides = {"torch": graph.module, "torch, bf16": engine.Bfloat16(graph.module)}
        if slow_bf16(torch.device("cpu")):
            del sides["torch, bf16"]                      # emulated: minutes
        if importlib.util.find_spec("onnxruntime"):
            sides["ONNX Runtime"] = engine.OnnxRuntime(graph)
        if timing.peers_wanted():
            sides |= {f"OpenVINO, {precision}": openvino(graph, precision) for precision in ("f32", "bf16")}
        graph.module.to(memory_format=torch.channels_last)                   # the export has turned it
        with torch.inference_mode():
            expected = first(graph.module(*inputs))
            differences = {side: (first(call(*inputs)) - expected).abs().max().item() for side, call in sides.items()}
            seconds = timing.in_turns({side: partial(call, *inputs) for side, call in sides.items()})
        found[name] = {"milliseconds": {side: 1000 * value for side, value in seconds.cpu.items()},
                       "times_faster": {side: seconds.times_faster(side, "torch") for side in sides},
                       "largest_difference": differences}
    return found


def openvino(graph, precision):
    """The network on OpenVINO, as a function of torch tensors."""
    library = timing.peer("openvino")
    core = library.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(core.read_model(engine.to_bytes(graph)), "CPU", settings)

    def call(*tensors):
        arrays = [tensor.contiguous().numpy() for tensor in tensors[:len(compiled.inputs)]]
        return tuple(map(torch.from_numpy, compiled(arrays).values()))
    return call


def first(found):
    """What a network returns, or the first of several."""
    return found[0] if isinstance(found, tuple) else found


def as_channels_last(state):
    """A state_dict whose convolutions lie in memory as channels last: what a user types first to make it faster."""
    return {name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
            for name, tensor in state.items()}
