"""The networks of unsupervised stitching in the playground's tab for stitching."""
from functools import partial

from cases.udis.baselines import network_blend
from cases.udis.model import UDIS
from common.experiment.checkpoints import release_here
from common.play.page import Words
from common.stitching import play


def offer():
    name = Words("UDIS, unsupervised (Nie et al. 2021)", "无监督拼接 UDIS（Nie 等，2021）")
    return play.offer(play.Network(name, partial(release_here, "udis", UDIS), network_blend))
