"""The pictures of the page, with the release weights: make figures FOR=readme CASE=msrnet"""
import torch
import torch.nn.functional as F

from cases.msrnet import baselines
from cases.msrnet.enhance import enhance
from cases.msrnet.figures import display
from cases.msrnet.model import MSRNet
from common import metrics
from common.base.paths import EMBEDDED
from common.data.images import read_image
from common.experiment import figures
from common.experiment.run import released
from common.lowlight.baselines import gamma
from common.lowlight.figures import draw_garden, draw_protection, picture


def night(name):
    """A picture of datasets/embedded/dark at half its size, (3, h, w) in [0, 1]."""
    return F.avg_pool2d(read_image(EMBEDDED / "dark" / f"{name}.jpg")[None], 2)[0]


def answer(rgb, weights="release-denoise"):
    """The 8-bit answer to a picture (3, h, w)."""
    return picture(enhance(*released("msrnet", MSRNet, weights), rgb))


def draw_result():
    """The garden at night beside gamma, MSR, both networks and the long exposure."""
    dark, bright = night("garden_dark2"), picture(night("garden_bright"))
    low = picture(dark)
    shown = {"short exposure": low, "gamma 1/2.2": gamma(low), "MSR": baselines.msr(low),
             "MSR-net": answer(dark, "release"), "denoising variant": answer(dark)}
    texts = [f"{label}: {metrics.fidelity(image, bright)['psnr']:.1f} dB" for label, image in shown.items()]
    pictures, texts = [*shown.values(), bright], [*texts, "long exposure"]
    return figures.grid([pictures[:3], pictures[3:]], None, [texts[:3], texts[3:]], width=8)


@torch.inference_mode()
def draw_stages():
    """B1.2 and B1.3: the picture, its logarithms, X1, the illumination, X2 and Y."""
    run, model = released("msrnet", MSRNet)
    x = night("garden_dark2")[None].to(run.device)
    stages = model.stages(x)
    (x1, light), _ = display([stages.x1, stages.illumination])
    (x2,), _ = display([stages.x2])
    logs = stages.logs.split(3, dim=1)
    pictures = [picture(x), *map(picture, logs), x1, light, x2, picture(stages.y.clamp(0, 1))]
    texts = ["X", *(f"log, v = {v:g}" for v in model.logarithm.scales), "X1, fused", "H11, illumination", "X2", "Y"]
    return figures.grid([pictures[row:row + 3] for row in (0, 3, 6)], None, [texts[row:row + 3] for row in (0, 3, 6)],
                        width=8)


def draw_exposures():
    """The three short exposures of the garden."""
    return figures.figure_of(draw_garden, answer, "denoising variant")


def draw_protect():
    """What test.protect keeps the network from."""
    return figures.figure_of(draw_protection, answer)


def draw_failure():
    """Photographs of ordinary light, which the plain network makes brighter all the same."""
    rows = []
    for name in ("china", "rocket"):
        rgb = F.avg_pool2d(read_image(EMBEDDED / "photos" / f"{name}.jpg")[None], 2)[0]
        rows.append([picture(rgb), answer(rgb, "release"), answer(rgb)])
    texts = [[f"mean level {image.mean():.0f}" for image in row] for row in rows]
    return figures.grid(rows, ["photograph", "MSR-net", "denoising variant"], texts, width=8)


PICTURES = {"result.jpg": draw_result, "stages.jpg": draw_stages, "exposures.jpg": draw_exposures,
            "protect.jpg": draw_protect, "failure.jpg": draw_failure}
