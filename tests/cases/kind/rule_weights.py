"""Weights by a rule for the restoration, whose official ones cannot be had."""
import json
import math

import numpy as np


def rule_weights(folder):
    """The restoration's rule weights of golden/kind.README.md, by variable name, in TensorFlow's layout."""
    table = json.loads((folder / "variables.json").read_text())["restoration"]["variables"]
    draw, arrays = np.random.RandomState(1905), {}
    for variable in table:
        name, shape = variable["name"], variable["shape"]
        u = draw.random_sample(math.prod(shape))
        if name.endswith("biases"):
            values = (2 * u - 1) * 0.05
        else:
            fan = shape[-1] if "/up_" in name else math.prod(shape[:3])
            values = (2 * u - 1) * (0.9 * math.sqrt(6 / fan))
        arrays[name] = values.reshape(shape).astype(np.float32)
    return arrays
