"""common/metrics/niqe.py: golden values, what blocks count, Pillow as a peer, files that are no parameters."""
import json
import math

import numpy as np
import pytest
from pictures import image, noise, photo
from PIL import Image

from common import metrics
from common.base.errors import UserError
from common.metrics.niqe import Parameters, _asymmetric_gaussian, _halve

PLAIN = Parameters(np.zeros(36), np.eye(36))


def test_niqe_equals_the_golden_values_of_eval15(shared):
    folder, root = shared("golden/msrnet"), shared("data/LOL/eval15")
    parameters = metrics.load_parameters(folder / "niqe_pristine_params.npz")
    golden = json.loads((folder / "niqe_eval15.json").read_text())
    for name in ("low/22.png", "low/146.png", "high/111.png", "high/493.png"):     # 111: the worst of thirty, 4.4e-4
        assert metrics.niqe(image(root / name), parameters) == pytest.approx(golden[name], abs=1e-3), name


def test_niqe_looks_at_whole_blocks_only_and_needs_two():
    picture = photo("coffee")                             # 400 x 600: 4 x 6 blocks
    assert metrics.niqe(picture, PLAIN) == metrics.niqe(picture[:384, :576], PLAIN)
    assert math.isfinite(metrics.niqe(picture[:96, :192], PLAIN))
    assert math.isnan(metrics.niqe(picture[:100, :191], PLAIN))
    assert math.isnan(metrics.niqe(picture[:95, :600], PLAIN))
    assert math.isnan(metrics.niqe(np.full((200, 300, 3), 80, np.uint8), PLAIN))


def test_niqe_leaves_flat_blocks_out():
    picture = photo("coffee")[:192, :288].copy()
    picture[96:, :96] = 255
    assert math.isfinite(metrics.niqe(picture, PLAIN))


def test_niqe_halves_as_an_antialiased_bicubic_does():
    picture = noise(96, 192)[..., 0].astype(np.float32)
    peer = np.asarray(Image.fromarray(picture).resize((96, 48), Image.Resampling.BICUBIC))     # another border
    assert np.abs(_halve(picture) - peer)[2:-2, 2:-2].max() < 1e-3
    assert (_halve(np.full((8, 10), 77.0)) == 77).all()   # up to the mirrored border


def test_niqe_recovers_the_shape_of_known_distributions():
    rng = np.random.default_rng(0)
    laplace, normal = rng.laplace(size=(1, 200, 200)), rng.normal(0, 3, size=(1, 200, 200))
    assert _asymmetric_gaussian(laplace)[0] == pytest.approx(1, abs=0.05)
    alpha, left, right = _asymmetric_gaussian(normal)
    assert alpha == pytest.approx(2, abs=0.1)
    assert (left + right) / 2 == pytest.approx(3 * math.sqrt(2), rel=0.03)   # exp(-(x / beta)^2): beta = sqrt(2) sigma


def test_parameter_files_that_are_none_are_refused_with_the_remedy(tmp_path):
    good = {"mu_pris_param": np.zeros((1, 36)), "cov_pris_param": np.eye(36)}
    np.savez(tmp_path / "good.npz", **good)
    np.savez(tmp_path / "keys.npz", mean=np.zeros((1, 36)))
    np.savez(tmp_path / "shape.npz", **good | {"mu_pris_param": np.zeros((1, 18))})
    np.savez(tmp_path / "nan.npz", **good | {"cov_pris_param": np.full((36, 36), np.nan)})
    np.savez(tmp_path / "objects.npz", **good | {"mu_pris_param": np.array([[print] * 36])})
    np.save(tmp_path / "array.npy", np.zeros(36))
    (tmp_path / "page.npz").write_text("<!DOCTYPE html>")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "half.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:400])
    (tmp_path / "folder.npz").mkdir()
    assert metrics.load_parameters(tmp_path / "good.npz").mean.shape == (36,)
    with pytest.raises(UserError, match="not found: .*absent.npz: give niqe_pris_params.npz"):
        metrics.load_parameters(tmp_path / "absent.npz")
    for name in ("keys.npz", "shape.npz", "nan.npz", "objects.npz", "array.npy", "page.npz", "empty.npz", "half.npz",
                 "folder.npz"):
        with pytest.raises(UserError, match=f"not a NIQE parameter file: .*{name}: .*give niqe_pris_params.npz"):
            metrics.load_parameters(tmp_path / name)
