"""The networks of unsupervised stitching in the playground's tab for stitching."""
from functools import cache

from cases.udis.baselines import network_blend
from cases.udis.model import UDIS
from common.experiment import checkpoints, device
from common.play.page import Words
from common.stitching import play


def offer():
    name = Words("UDIS, unsupervised (Nie et al. 2021)", "无监督拼接 UDIS（Nie 等，2021）")
    return play.offer(play.Network(name, load, network_blend))


@cache
def load():
    """(the release, its device), once."""
    where = device.choose_device("auto")
    weights = checkpoints.find("udis", "play", "release")
    return checkpoints.build(UDIS, weights).to(where), where
