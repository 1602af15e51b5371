"""State dicts as no training writes them, each made of a good one: whoever reads foreign weights refuses them all."""
import torch

ODD = {
    "list": lambda tensor: [1.0, 2.0], "none": lambda tensor: None, "text": lambda tensor: "weights",
    "sparse": lambda tensor: tensor.to_sparse(), "meta": lambda tensor: tensor.to("meta"),
    "nan": lambda tensor: tensor.float() * float("nan"), "number": lambda tensor: torch.tensor(1.0),
    "terabytes": lambda tensor: torch.zeros(1).expand(1 << 40)}


def spoil(state, kind, name=None):
    """A state dict whose tensor `name` (the first with axes) is replaced by what ODD makes of it."""
    name = name or next(name for name, tensor in state.items() if tensor.dim())
    return state | {name: ODD[kind](state[name])}
