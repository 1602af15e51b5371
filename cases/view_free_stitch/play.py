"""The view-free stitching network in the playground's tab for stitching."""
from functools import partial

from cases.view_free_stitch.baselines import network_blend
from cases.view_free_stitch.model import ViewFreeStitch
from common.experiment.checkpoints import release_here
from common.play.page import Words
from common.stitching import play


def offer():
    name = Words("View-free stitching (Nie et al. 2020)", "自由视角拼接（Nie 等，2020）")
    return play.offer(play.Network(name, partial(release_here, "view_free_stitch", ViewFreeStitch), network_blend))
