"""Which places a place gathers from, by a network's self-attention."""
import torch
import torch.nn.functional as F

from cases.super_resolution.model import SelfAttention


def find_attention(network):
    """The last self-attention module of a network; None where it has none."""
    found = [layer for layer in network.modules() if isinstance(layer, SelfAttention)]
    return found[-1] if found else None


@torch.inference_mode()
def attention_map(network, x, place):
    """The weights (h', w') with which the place (row, column) of the small picture x (1, 3, h, w) gathers the values of
    all places, which pooling has made fewer; they add up to 1."""
    attention, seen = find_attention(network), []
    handle = attention.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    try:
        network(x)
    finally:
        handle.remove()
    query, key = attention.query(seen[0])[0, :, place[0], place[1]], attention.key(seen[0])
    if attention.kind == "pooled":
        key = F.max_pool2d(key, attention.stride(key.shape[2:]), ceil_mode=True)
    return torch.einsum("c,chw->hw", query, key[0]).flatten().softmax(0).view(key.shape[2:])
