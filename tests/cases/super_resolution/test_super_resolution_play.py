"""Super-resolution in the playground, without a browser: every scale, transparency, results that are too large."""
import pytest
import torch

pytest.importorskip("gradio", reason="the extra `play` is not installed")

from cases.super_resolution import play
from common.base.errors import UserError
from common.base.paths import EMBEDDED
from common.data.images import open_picture, read_image, write_image


@pytest.fixture
def small(tmp_path):
    """A picture of 24 x 20 pixels with a transparent left half."""
    path = tmp_path / "small.png"
    rgb = read_image(EMBEDDED / "photos" / "china.jpg")[:, 100:120, 100:124]
    alpha = torch.ones(1, 20, 24)
    alpha[..., :12] = 0
    write_image(path, rgb, like=open_picture(EMBEDDED / "photos" / "china.jpg")._replace(alpha=alpha))
    return path


@pytest.mark.parametrize("scale, weights, ensemble", [(2, "release", True), (3, "release", False),
                                                      (2, "release-real", False), (4, "release-gan", False)])
def test_a_picture_comes_out_larger_with_its_transparency(tmp_path, small, scale, weights, ensemble):
    line, (slider, details, whole) = play.run(print, tmp_path, str(small), None, scale, weights, ensemble)
    result = open_picture(whole)
    assert line == f"{24 * scale} x {20 * scale}" and result.rgb.shape == (3, 20 * scale, 24 * scale)
    assert result.alpha[..., :11 * scale].max() < 0.5 < result.alpha[..., 13 * scale:].min()
    assert [name for _, name in details] == ["nearest", "bicubic", "lanczos", "unsharp", "back projection", "network"]
    assert len(set(slider)) == 2


def test_a_result_that_is_too_large_is_refused(tmp_path, small, monkeypatch):
    monkeypatch.setattr(play, "LARGEST", 7000)
    with pytest.raises(UserError, match="the result would have 0 million pixels.*choose a smaller scale"):
        play.run(print, tmp_path, str(small), None, 4, "release", False)
    assert play.run(print, tmp_path, str(small), None, 3, "release", False)[0] == "72 x 60"


def test_weights_without_that_scale_are_refused(tmp_path, small):
    with pytest.raises(UserError, match="release-real enlarges by 2, not by 3: choose that, or other weights"):
        play.run(print, tmp_path, str(small), None, 3, "release-real", False)
