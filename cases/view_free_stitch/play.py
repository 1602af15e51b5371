"""The view-free stitching network in the playground's tab for stitching."""
from functools import cache

from cases.view_free_stitch.baselines import network_blend
from cases.view_free_stitch.model import ViewFreeStitch
from common.experiment import checkpoints, device
from common.play.page import Words
from common.stitching import play


def offer():
    name = Words("View-free stitching (Nie et al. 2020)", "自由视角拼接（Nie 等，2020）")
    return play.offer(play.Network(name, load, network_blend))


@cache
def load():
    """(the release, its device), once."""
    where = device.choose_device("auto")
    weights = checkpoints.find("view_free_stitch", "play", "release")
    return checkpoints.build(ViewFreeStitch, weights).to(where), where
