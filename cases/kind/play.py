"""KinD in the playground's tab for low light."""
import torch

from cases.kind.enhance import enhance_own
from cases.kind.model import KinD
from common.experiment.run import released
from common.lowlight import play
from common.play.page import Words
from common.play.pictures import Answer, Control

GUESS = Control("how", Words("Light ratio", "光照比率"),
                Words("guessed from the picture, or by hand", "由图像估计，或手动指定"), "guessed",
                choices=[(Words("guessed", "自动估计"), "guessed"), (Words("by hand", "手动"), "by hand")])
RATIO = Control("ratio", Words("Ratio by hand", "手动的比率"), Words("above 1 is brighter", "大于 1 则变亮"), 4.0,
                span=(0.5, 12.0, 0.5))


def offer():
    return play.offer([play.method(Words("KinD", "KinD"), run, [GUESS, RATIO])])


@torch.inference_mode()
def run(picture, how, ratio, keep):
    here, model = released("kind", KinD, "release")
    output, ratio = enhance_own(model, picture, here.config.test, ratio if how == "by hand" else None)
    output, said = play.kept(picture, output, keep)
    stages = model.stages(play.reduced(picture).to(here.device), ratio)
    shown = [("S", stages.stretched), ("R", stages.reflectance), ("I", stages.illumination), ("P", stages.restored),
             ("A", stages.adjusted), ("P * A", stages.output)]
    return Answer(output, f"{said}, ratio {ratio:.1f}", [(name, play.shown(stage)) for name, stage in shown])
