"""MSR-net and its denoising variant in the playground's tab for low light."""
import torch

from cases.msrnet.enhance import enhance
from cases.msrnet.model import MSRNet
from common.experiment.run import released
from common.lowlight import play
from common.play.page import Words
from common.play.pictures import Answer, Control

STRENGTH = Control("strength", Words("Strength", "强度"),
                   Words("x + s (y - x): 0 is the picture, 1 the whole answer",
                         "x + s (y - x)：0 为原图，1 为网络的全部结果"),
                   1.0, span=(0.0, 1.5, 0.05))


def offer():
    return play.offer([
        play.method(Words("MSR-net", "MSR-net"), run_of("release"), [STRENGTH]),
        play.method(Words("MSR-net, denoising variant", "MSR-net 去噪变体"), run_of("release-denoise"), [STRENGTH])])


def run_of(weights):
    """A Method's run with these weights."""
    @torch.inference_mode()
    def run(picture, strength, keep):
        here, model = released("msrnet", MSRNet, weights, f"test.strength={strength}")
        output, said = play.kept(picture, enhance(here, model, picture), keep)
        stages = model.stages(play.reduced(picture).to(here.device))
        logs = zip(model.logarithm.scales, stages.logs.split(3, dim=1))
        shown = [*((f"log, v = {v:g}", log) for v, log in logs), ("X1", stages.x1), ("H11", stages.illumination),
                 ("X2", stages.x2), ("Y", stages.y.clamp(0, 1))]
        return Answer(output, said, [(name, play.shown(stage)) for name, stage in shown])
    return run
