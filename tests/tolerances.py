"""How far two computations of the same tensor may lie apart: it follows from the numbers' type and from their size.

Another processor, number of threads or memory format adds the same terms in another order. What that changes is a
multiple of the type's epsilon times the largest value: values near zero are sums of large ones that cancel, so a bound
relative to each value by itself fails there.
"""
import numpy as np
import torch

# Multiples of epsilon: 1.2e-7 of float32, 2.2e-16 of float64, 7.8e-3 of bfloat16.
STEPS = {"formula": 32,          # a few operations per value: 4e-6 in float32
         "network": 256,         # sums over thousands of terms, through many layers: 3e-5
         "gradient": 1024}       # the same there and back, or several steps of a training: 1.2e-4


def tolerance(expected, what, found=None):
    """The largest difference from `expected` that counts as equal; found: it may have the coarser type."""
    epsilon = max(torch.finfo(tensor.dtype).eps for tensor in (expected, expected if found is None else found))
    return STEPS[what] * epsilon * float(expected.detach().abs().max())


def near(found, expected, what="network"):
    """Whether two tensors or arrays of equal shape are equal but for rounding. NaN is never near."""
    found, expected = map(to_tensor, (found, expected))
    assert found.shape == expected.shape, (found.shape, expected.shape)
    difference = float((found.detach().double() - expected.detach().double()).abs().max())
    return difference <= tolerance(expected, what, found)


def to_tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values)) if isinstance(values, np.ndarray) else torch.as_tensor(values)
