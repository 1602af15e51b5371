"""The machine: device, threads, seeds, precision, processes. Nothing else in the project names a device."""
import atexit
import contextlib
import gc
import importlib
import os
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from common.base.errors import UserError

try:
    import resource
except ImportError:                        # Windows has no such module
    resource = None

_stubs = []  # operator libraries that import_torchvision() had to define; they must stay alive


def choose_device(name="auto"):
    """The torch.device for `--device`: auto is cuda when there is one, else cpu; other names are torch's.

    Raises UserError for a name that torch does not know and for a device that this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None and world_size() > 1:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.empty(1, device=device)      # the only honest question is to use it
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}: expected auto, cpu, cuda, cuda:N or another torch "
                        "device of this machine: leave --device out, or say --device cpu") from None
    return device


def set_threads():
    """Use OMP_NUM_THREADS threads where it is set, else one per core. Returns the number, which results record."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores)
    return torch.get_num_threads()


def seed_all(seed):
    """Seed the global generators: weights' initial values and dropout. Every draw of the data is a function of seed,
    epoch and index alone."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def autocast(device, precision):
    """The context for a forward pass: `fp32` changes nothing, `bf16` computes convolutions and products in bfloat16."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def rank():
    """This process's number under torchrun, else 0. Rank 0 alone writes and speaks."""
    return int(os.environ.get("RANK", 0))


def world_size():
    """How many processes torchrun started, else 1."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join_processes(device):
    """Meet the other processes of a torchrun (gloo on CPU, nccl on CUDA); does nothing alone."""
    if world_size() > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(leave_processes)


def meet():
    """Wait until all processes of a torchrun are here; nothing alone."""
    if world_size() > 1:
        torch.distributed.barrier()


def leave_processes():
    """The end of a torchrun, for this process, on every way out.

    Its threads must be gone before the interpreter goes: one that asks for the interpreter's lock then ends the process
    with "terminate called". What still holds the group (a network's wrapper, in a circle) goes first.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()
        gc.collect()


def mean_over_processes(values):
    """The mean of a float64 tensor over all processes (the tensor itself when there is one)."""
    if world_size() > 1:
        torch.distributed.all_reduce(values)
        values /= world_size()
    return values


def any_process(flag, device):
    """Whether flag (a number) is set in any process: its largest value. All processes must ask at the same step."""
    if world_size() == 1:
        return flag
    flags = torch.tensor(flag, device=device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return int(flags)


def slow_bf16(device):
    """Whether bfloat16 is only emulated here, slower than float32: a CPU without instructions for it. oneDNN alone
    calls plain AVX-512 supported."""
    if device.type != "cpu":
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):
        return not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def peak_memory_mb():
    """The largest resident memory of this process so far, in MiB; None where the system does not tell."""
    status = Path("/proc/self/status")
    match = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.M) if status.exists() else None
    if match:  # ru_maxrss would begin with the peak of the process that started this one
        return round(int(match[1]) / 2**10, 1)
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def commit(root):
    """The git commit that `root` stands at, with "+" when files were changed since; None outside a git checkout."""
    def git(*words):
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True,
                              timeout=20).stdout.strip()
    try:
        if Path(git("rev-parse", "--show-toplevel") or "/") != Path(root).resolve():
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.TimeoutExpired):
        return None


def environment(device):
    """What the numbers may depend on and the settings do not say: versions, device, threads, processes."""
    versions = {"python": platform.python_version()}
    for package in ("torch", "numpy", "cv2", "PIL", "skimage"):
        versions[package] = getattr(sys.modules.get(package) or importlib.import_module(package), "__version__", None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {"versions": versions, "platform": platform.platform(), "device": str(device), "device_name": name,
            "threads": torch.get_num_threads(), "processes": world_size()}


def processor_name():
    """The processor in words, as the system tells it."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), re.M) if info.exists() else None
    return match[1] if match else platform.processor() or platform.machine()


def import_torchvision():
    """Import torchvision and return it, also beside a CPU build of torch.

    torchvision's standard wheel has compiled operators that a CPU build of torch cannot load; its Python part then
    fails at import because it wants to describe operators that do not exist. Exactly those are declared here (never
    implemented: `torchvision.ops.nms` and the file readers stay unusable; networks, transforms and make_grid work). A
    working installation is left untouched.
    """
    for _ in range(8):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            name = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if not name:
                raise
            for module in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
                del sys.modules[module]
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{name[1]}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            _stubs.append(library)
    raise RuntimeError("torchvision asks for more missing operators than were ever seen; the wheel does not fit this "
                       "torch")
