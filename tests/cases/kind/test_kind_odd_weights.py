"""Arrays under the names of KinD's variables that are no weights: one message for each."""
import numpy as np
import pytest

from cases.kind.extras import convert
from common.base.errors import UserError


@pytest.mark.parametrize("spoil", [
    lambda shape: np.full(shape, np.nan, np.float32), lambda shape: np.full(shape, "text"),
    lambda shape: np.zeros(shape, complex), lambda shape: np.float32(1)])
def test_odd_arrays(tmp_path, spoil):
    arrays = {name: np.zeros(shape, np.float32) for name, (_, shape) in convert.variables("DecomNet").items()}
    assert convert.from_tensorflow(arrays)
    name, (_, shape) = next(iter(convert.variables("DecomNet").items()))
    np.savez(tmp_path / "a.npz", **arrays | {name: spoil(shape)})
    with pytest.raises(UserError, match=f"{name} has "):
        convert.from_tensorflow(convert.read_arrays(tmp_path / "a.npz"))
