"""The pictures of the page, with the release weights: make figures FOR=readme CASE=msrnet"""
import torch

from cases.msrnet import baselines
from cases.msrnet.enhance import enhance
from cases.msrnet.figures import display
from cases.msrnet.model import MSRNet
from common.data.images import to_tensor
from common.experiment import figures
from common.experiment.run import released
from common.lowlight.baselines import gamma
from common.lowlight.figures import draw_garden, draw_protection, half, picture, with_psnr


def answer(rgb, weights="release-denoise"):
    """The 8-bit answer to a picture (3, h, w) in [0, 1]."""
    return picture(enhance(*released("msrnet", MSRNet, weights), rgb))


def draw_result():
    """The garden at night beside gamma, MSR, both networks and the long exposure."""
    low, bright = half("dark/garden_dark2"), half("dark/garden_bright")
    shown = {"short exposure": low, "gamma 1/2.2": gamma(low), "MSR": baselines.msr(low),
             "MSR-net": answer(to_tensor(low), "release"), "denoising variant": answer(to_tensor(low)),
             "long exposure": bright}
    return figures.sheet(with_psnr(shown, bright), 3)


def draw_cover():
    """The garden, dark at the left and enhanced at the right."""
    low = half("dark/garden_dark2")
    return figures.cover(low, answer(to_tensor(low)))


@torch.inference_mode()
def draw_stages():
    """B1.2 and B1.3: the picture, its logarithms, X1, the illumination, X2 and Y."""
    run, model = released("msrnet", MSRNet)
    x = to_tensor(half("dark/garden_dark2"))[None].to(run.device)
    stages = model.stages(x)
    (x1, light), _ = display([stages.x1, stages.illumination])
    (x2,), _ = display([stages.x2])
    logs = stages.logs.split(3, dim=1)
    pictures = [picture(x), *map(picture, logs), x1, light, x2, picture(stages.y.clamp(0, 1))]
    texts = ["X", *(f"log, v = {v:g}" for v in model.logarithm.scales), "X1, fused", "H11, illumination", "X2", "Y"]
    return figures.sheet(dict(zip(texts, pictures)), 3)


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
        photograph = half(f"photos/{name}")
        rows.append([photograph, answer(to_tensor(photograph), "release"), answer(to_tensor(photograph))])
    texts = [[f"mean level {image.mean():.0f}" for image in row] for row in rows]
    return figures.grid(rows, ["photograph", "MSR-net", "denoising variant"], texts, width=8)


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_result, "stages.jpg": draw_stages,
            "exposures.jpg": draw_exposures, "protect.jpg": draw_protect, "failure.jpg": draw_failure}
