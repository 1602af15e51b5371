"""Sizes: the release follows them without the papers' penalty of changed ones, which stays where the paper is meant."""
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cases.siamfc.baselines.trackers import VARIANTS, build_untrained, tracker_of
from cases.siamfc.model import SiamFC
from cases.siamfc.tracker import SiamFCTracker
from common.data.samples import photograph
from common.experiment.settings import resolve


@pytest.mark.parametrize("weights", ["release", "release-untaught"])
@pytest.mark.parametrize("rate", [1.02, 0.98])
def test_the_release_follows_a_size(rate, weights):
    """A face that grows, or shrinks, by 2 % a frame, 25 times: the release's settings follow its size within a tenth;
    with the papers' penalty of changed sizes the box is left farther behind, by much with the weights that the penalty
    was taken off for."""
    scene = cv2.resize(photograph("rocket.jpg"), (320, 240), interpolation=cv2.INTER_AREA)
    face = photograph("astronaut.png")[20:180, 150:310]
    sides = np.round(round(50 / rate ** 12) * rate ** np.arange(25)).astype(int)
    frames = [scene.copy() for _ in sides]
    for frame, side in zip(frames, sides):
        top, left = 120 - side // 2, 160 - side // 2
        frame[top:top + side, left:left + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    off, settings = {}, resolve("siamfc", []).config.tracker
    for penalty in (settings.penalty, 0.9745):
        tracker = SiamFCTracker(weights, penalty=penalty, damping=settings.damping)
        tracker.init(frames[0], [161 - sides[0] // 2, 121 - sides[0] // 2, sides[0], sides[0]])
        for frame in frames[1:]:
            box = tracker.update(frame)
        off[penalty] = abs(np.log(box[2] / sides[-1]))
    assert settings.penalty > 0.9745 and off[settings.penalty] < 0.1
    assert off[0.9745] > 1.5 * off[settings.penalty]
    assert weights == "release" or off[0.9745] > off[settings.penalty] + 0.05


def test_the_papers_penalty_stays_the_papers():
    """preset=paper, and the rows original and rotation, do not take over the release's penalty of 1."""
    network = build_untrained(SiamFC([16, 32, 48, 48, 32]).backbone, 0)
    paper = dict(resolve("siamfc", ["preset=paper"]).config.tracker)
    paper.pop("confidence")
    assert SiamFCTracker(network, **paper).settings["penalty"] == 0.962
    run = SimpleNamespace(config=resolve("siamfc", []).config, device="cpu")
    penalties = {row: tracker_of(run, network, **changes).settings["penalty"] for row, changes in VARIANTS.items()}
    assert penalties == {"siamfc": 1.0, "original": 0.9745, "rotation": 0.9745}
