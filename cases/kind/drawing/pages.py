"""The pictures of the page, with the release weights: make figures FOR=readme CASE=kind"""
import torch
import torch.nn.functional as F

from cases.kind import enhance
from cases.kind.model import KinD
from common import metrics
from common.base.paths import EMBEDDED
from common.data.images import read_image, to_bytes
from common.experiment import figures
from common.experiment.run import released
from common.lowlight.baselines import gamma
from common.lowlight.figures import draw_garden, picture


def night(name):
    """A picture of datasets/embedded/dark at half its size, (3, h, w) in [0, 1]."""
    return F.avg_pool2d(read_image(EMBEDDED / "dark" / f"{name}.jpg")[None], 2)[0]


@torch.inference_mode()
def answer(rgb, ratio=None, *words):
    """(8-bit picture, light ratio) as --input makes it, without the protection of bright places. words: key=value."""
    run, model = released("kind", KinD, "release", *words)
    output, used = enhance.enhance_own(model, rgb, run.config.test, ratio)
    return picture(output), used


def draw_result():
    """The garden at night: what was there, what simple methods and the network make of it, and the long exposure."""
    dark, bright = night("garden_dark2"), picture(night("garden_bright"))
    low, (enhanced, ratio) = picture(dark), answer(dark)
    shown = {"short exposure": low, "gamma 1/2.2": gamma(low),
             "KinD, not restored": answer(dark, None, "test.restore=false")[0],
             f"KinD, guessed ratio {ratio:.1f}": enhanced, "KinD, half that ratio": answer(dark, ratio / 2)[0],
             "long exposure": bright}
    return labelled(shown, bright, 3)


def labelled(shown, bright, columns):
    """{label: picture} in rows of so many, with PSNR against `bright` under each other one."""
    texts = [label if image is bright else f"{label}: {metrics.fidelity(image, bright)['psnr']:.1f} dB"
             for label, image in shown.items()]
    pictures = list(shown.values())
    rows = range(0, len(pictures), columns)
    return figures.grid([pictures[row:row + columns] for row in rows], None, [texts[row:row + columns] for row in rows],
                        width=8)


def draw_ratios():
    """One garden under growing light ratios, and the guessed one."""
    dark, bright = night("garden_dark2"), picture(night("garden_bright"))
    shown = {f"ratio {ratio}": answer(dark, ratio)[0] for ratio in (1, 2, 4, 8)}
    guessed, ratio = answer(dark)
    return labelled(shown | {f"guessed: {ratio:.1f}": guessed, "long exposure": bright}, bright, 3)


@torch.inference_mode()
def draw_stages():
    """S, R and I of both exposures; P, A and their product."""
    _, model = released("kind", KinD)
    dark, bright = (enhance.decompose(model, night(name), hot_pixels=enhance.HOT)
                    for name in ("garden_dark2", "garden_bright"))
    restored = enhance.restore(model, dark)
    adjusted = enhance.adjust(model, dark, enhance.guess(model, dark))
    rows = [[dark.stretched, dark.reflectance, dark.illumination], [restored, adjusted, restored * adjusted],
            [bright.stretched, bright.reflectance, bright.illumination]]
    texts = [["S, dark", "R", "I"], ["P, R restored", "A, I adjusted", "P * A"], ["S, long exposure", "R", "I"]]
    return figures.grid([[to_bytes(stage[0].expand(3, -1, -1)) for stage in row] for row in rows], None, texts, width=8)


def draw_exposures():
    """The three short exposures of the garden."""
    return figures.figure_of(draw_garden, lambda rgb: answer(rgb)[0], "KinD")


def draw_failure():
    """A figurine before a wall: where nothing was recorded, nothing comes back."""
    dark = night("crusader_dark2")
    shown = [picture(dark), gamma(picture(dark)), answer(dark)[0], answer(dark, 2)[0]]
    return figures.grid([shown], ["under-exposed", "gamma 1/2.2", "KinD, guessed ratio", "KinD, ratio 2"], width=8)


PICTURES = {"result.jpg": draw_result, "stages.jpg": draw_stages, "ratios.jpg": draw_ratios,
            "exposures.jpg": draw_exposures, "failure.jpg": draw_failure}
