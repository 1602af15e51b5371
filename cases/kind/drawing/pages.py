"""The pictures of the page, with the release weights: make figures FOR=readme CASE=kind"""
import torch

from cases.kind import enhance
from cases.kind.model import KinD
from common.data.images import to_bytes, to_tensor
from common.experiment import figures
from common.experiment.run import released
from common.lowlight.baselines import gamma
from common.lowlight.figures import draw_garden, half, picture, with_psnr


@torch.inference_mode()
def answer(low, ratio=None, *words):
    """(8-bit picture, light ratio) as --input makes it, without the protection of bright places. words: key=value."""
    run, model = released("kind", KinD, "release", *words)
    output, used = enhance.enhance_own(model, to_tensor(low), run.config.test, ratio)
    return picture(output), used


def draw_result():
    """The garden at night: what was there, what simple methods and the network make of it, and the long exposure."""
    low, bright = half("dark/garden_dark2"), half("dark/garden_bright")
    enhanced, ratio = answer(low)
    shown = {"short exposure": low, "gamma 1/2.2": gamma(low),
             "KinD, not restored": answer(low, None, "test.restore=false")[0],
             f"KinD, guessed ratio {ratio:.1f}": enhanced, "KinD, half that ratio": answer(low, ratio / 2)[0],
             "long exposure": bright}
    return figures.sheet(with_psnr(shown, bright), 3)


def draw_cover():
    """A figurine, dark at the left and enhanced at the right."""
    low = half("dark/crusader_dark1")
    return figures.cover(low, answer(low)[0])


def draw_ratios():
    """One garden under growing light ratios, and the guessed one."""
    low, bright = half("dark/garden_dark2"), half("dark/garden_bright")
    shown = {f"ratio {ratio}": answer(low, ratio)[0] for ratio in (1, 2, 4, 8)}
    guessed, ratio = answer(low)
    shown |= {f"guessed: {ratio:.1f}": guessed, "long exposure": bright}
    return figures.sheet(with_psnr(shown, bright), 3)


@torch.inference_mode()
def draw_stages():
    """S, R and I of both exposures; P, A and their product."""
    _, model = released("kind", KinD)
    dark, bright = (enhance.decompose(model, to_tensor(half(f"dark/{name}")), hot_pixels=enhance.HOT)
                    for name in ("garden_dark2", "garden_bright"))
    restored = enhance.restore(model, dark)
    adjusted = enhance.adjust(model, dark, enhance.guess(model, dark))
    rows = [[dark.stretched, dark.reflectance, dark.illumination], [restored, adjusted, restored * adjusted],
            [bright.stretched, bright.reflectance, bright.illumination]]
    texts = [["S, dark", "R", "I"], ["P, R restored", "A, I adjusted", "P * A"], ["S, long exposure", "R", "I"]]
    return figures.grid([[to_bytes(stage[0].expand(3, -1, -1)) for stage in row] for row in rows], None, texts, width=8)


def draw_exposures():
    """The three short exposures of the garden."""
    return figures.figure_of(draw_garden, lambda rgb: answer(to_bytes(rgb))[0], "KinD")


def draw_failure():
    """A figurine before a wall: where nothing was recorded, nothing comes back."""
    low = half("dark/crusader_dark2")
    shown = {"under-exposed": low, "gamma 1/2.2": gamma(low), "KinD, guessed ratio": answer(low)[0],
             "KinD, ratio 2": answer(low, 2)[0]}
    return figures.sheet(shown, 4)


PICTURES = {"cover.jpg": draw_cover, "result.jpg": draw_result, "stages.jpg": draw_stages, "ratios.jpg": draw_ratios,
            "exposures.jpg": draw_exposures, "failure.jpg": draw_failure}
