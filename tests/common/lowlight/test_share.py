"""How much of a network's answer a picture gets: all until it is fitted, then all in the dark and none in the light."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cases.kind import enhance
from cases.kind.model import KinD
from cases.msrnet import train
from cases.msrnet.model import MSRNet, thumbnail_of
from common.base import paths
from common.base.errors import UserError
from common.data.images import map_tiles, to_tensor, write_image
from common.data.night import darken_to_judge
from common.data.paired import Pair
from common.data.samples import build
from common.experiment import checkpoints
from common.experiment.settings import resolve
from common.lowlight.mixed import DarkenedPhotographs
from common.lowlight.share import Share, fit_share


def scenes(count, side=64):
    """Coloured shapes of all lights, uint8."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
        found.append(np.kron(coarse, np.ones((side // 4, side // 4, 1), np.uint8))[:side, :side])
    return found


class Dark:
    """Pairs that are as dark as LOL's."""

    def __len__(self):
        return 12

    def __getitem__(self, place):
        low = to_tensor(darken_to_judge(scenes(12)[place[1]], 1 / 40, place[1]))
        return Pair(low, low, thumbnail_of(low[None])[0], "dark")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The Share of a network that answers everything with mid-gray."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, scene in enumerate(scenes(40)):
        write_image(folder / f"{number}.png", to_tensor(scene))
    nights, model = DarkenedPhotographs(sorted(folder.iterdir()), 32, seed=0), SimpleNamespace(share=Share())
    found = []
    for _ in range(2):                                  # the second time begins anew, not from what the first found
        fit_share(model, nights, Dark(), lambda picture: blended(model.share, picture), passes=3)
        found.append(model.share)
    assert torch.equal(found[0].weight, found[1].weight)
    return found[1]


def blended(share, picture):
    """Mid-gray, as far as the share lets it."""
    return share.blend(picture[None], torch.full_like(picture[None], 0.5), thumbnail_of(picture[None]))[0]


def thumbnails(gain):
    return torch.cat([thumbnail_of(to_tensor(darken_to_judge(scene, gain, 0) if gain < 1 else scene)[None])
                      for scene in scenes(60)[40:]])


def dusk():
    """A picture (3, 96, 96) that gets a part of the answer."""
    return to_tensor(darken_to_judge(scenes(1, 96)[0], 1 / 3, 0))


def test_all_of_the_answer_until_it_is_fitted():
    assert (Share()(torch.rand(5, 3, 32, 32)) == 1).all()


def test_a_file_from_before_there_was_a_share_gives_all_of_the_answer(fitted):
    model = MSRNet(exposure=True)
    old = {name: value for name, value in model.state_dict().items() if not name.startswith("share.")}
    model.load_state_dict(old)
    assert model.share(torch.rand(1, 3, 32, 32)) == 1
    model.share = fitted
    other = MSRNet(exposure=True)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.share.weight, fitted.weight)


def test_the_dark_get_all_and_the_bright_little(fitted):
    dark, bright = fitted(thumbnails(1 / 32)), fitted(thumbnails(1))
    assert dark.min() > 0.9 and dark.mean() > 0.98
    assert bright.mean() < 0.35
    assert fitted(torch.full((1, 3, 32, 32), 0.99)) < 0.05, "a white page"


def test_darker_pictures_get_more(fitted):
    means = [fitted(thumbnails(gain)).mean().item() for gain in (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)]
    assert means == sorted(means)


def test_msrnet_blends_in_the_whole_and_in_tiles_alike(fitted):
    torch.manual_seed(0)
    model = MSRNet(dilations=(1, 2), exposure=True).eval()
    picture = dusk()[None]
    with torch.inference_mode():
        answer = model(picture)
        model.share.load_state_dict(fitted.state_dict())
        whole, share = model(picture), fitted(thumbnail_of(picture)).item()
        tiles = map_tiles(lambda crop, box=None: model(crop, thumbnail_of(picture)), picture, 40, model.halo)
        stages = model.stages(picture)
    assert 0 < share < 1
    assert torch.allclose(whole, torch.lerp(picture, answer, share), atol=1e-6)
    assert torch.allclose(tiles, whole, atol=1e-5) and torch.allclose(stages.y, whole, atol=1e-5)


def test_kind_blends_where_it_guesses_the_ratio_alone(fitted):
    torch.manual_seed(0)
    model, settings = KinD(channels=2).eval(), resolve("kind", []).config.test
    picture = dusk()
    with torch.inference_mode():
        answer, ratio = enhance.enhance(model, picture, settings)
        model.share.load_state_dict(fitted.state_dict())
        share = fitted(F.adaptive_avg_pool2d(picture[None], 32)).item()
        assert 0 < share < 1
        guessed, _ = enhance.enhance(model, picture, settings)
        by_hand, _ = enhance.enhance(model, picture, settings, ratio)
        assert torch.allclose(guessed, torch.lerp(picture, answer, share), atol=1e-6)
        assert torch.allclose(model(picture[None])[0].clamp(0, 1), guessed, atol=1e-5)
    assert torch.equal(by_hand, answer)


def test_msrnets_share_is_a_stage_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    torch.manual_seed(0)
    small = {"channels": 2, "fuse_channels": 2, "dilations": [1, 1], "exposure": True}
    model = MSRNet(**small)
    checkpoints.save(tmp_path / "start.pt", {"case": "msrnet", "model": small, "weights": model.state_dict()})
    words = ["--demo", "--name", "share", "--weights", str(tmp_path / "start.pt"), "stage=share",
             *(f"model.{key}={str(value).lower()}" for key, value in small.items()), "train.validate_pictures=1"]
    with pytest.raises(UserError, match="data.kind=mixed"):
        train.main(words)
    train.main([*words, "data.kind=mixed", f"data.photographs=[{build('LOL') / 'our485' / 'high'}]", "--fresh"])
    found = checkpoints.load(tmp_path / "checkpoints/msrnet/share/best.pt")["weights"]
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(found[name], value)}
    assert changed == {"share"}
