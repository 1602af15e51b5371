"""vgg19_style's release-styles.pt: its seven styles, and how much of a photograph's style distance they leave."""
import torch

from cases.vgg19_style.data import read_on_white
from cases.vgg19_style.evaluate import Judge
from cases.vgg19_style.fast import train
from cases.vgg19_style.fast.network import FastNetwork
from common.base.paths import EMBEDDED
from common.data.samples import photograph
from common.experiment import checkpoints
from common.features import vgg_files


def test_the_release_paints_seven_styles():
    """At most 2 MB, names inside, and each style changes a photograph in a way of its own."""
    weights = checkpoints.find("vgg19_style", "none", "release-styles")
    assert weights.path.stat().st_size <= 2_000_000 and len(weights.model["styles"]) == 7
    painter = checkpoints.build(FastNetwork, weights)
    photo = torch.from_numpy(photograph("chelsea.png")[:128, :160]).permute(2, 0, 1).float() / 255
    painted = [train.stylise(painter, photo, row) for row in torch.eye(7)]
    assert all((one - photo).abs().mean() > 0.05 for one in painted)
    assert min((one - other).abs().mean() for place, one in enumerate(painted) for other in painted[:place]) > 0.03


def test_the_release_takes_over_the_paintings_styles(shared):
    """Of a photograph of another set, at most .7 of each style's distance is left (README: means of .18 to .57)."""
    weights = checkpoints.find("vgg19_style", "none", "release-styles")
    painter, judge = checkpoints.build(FastNetwork, weights), Judge(vgg_files.read("small"), "relu4_1")
    photo = train.read_fitted(shared("data/photos_val") / "bsds_112090.jpg", 360)
    for name, row in train.choose_styles(painter, None).items():
        style = read_on_white(EMBEDDED / "paintings" / f"{name}.jpg")
        painted = train.stylise(painter, photo[0], row)[None]
        assert judge.style_distance(painted, style)[0] <= 0.7 * judge.style_distance(photo, style)[0], name
