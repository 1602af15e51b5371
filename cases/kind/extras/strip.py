"""The same scene at several brightnesses, side by side: python cases/kind/test.py --input photo.jpg --ratio 2,4,8"""
import torch

from cases.kind import enhance
from cases.kind.ratios import read_ratio
from common.base.errors import UserError
from common.data.images import open_picture, write_image

GAP = 8                                         # white pixels between two pictures


def draw_strips(run, model, pictures, films):
    """A strip for each of one's own pictures (evaluation.Own): one brightened picture per ratio, in the order given."""
    settings = run.config.test
    ratios = read_ratio(settings.ratio, several=True)
    if films:
        raise UserError(f"several light ratios and a video: {films[0][0]}: pictures were expected: give a video one "
                        "--ratio")
    for path, item, target in pictures:
        rgb = open_picture(path).rgb
        gap = torch.ones(3, rgb.shape[1], GAP)
        parts = []
        for ratio in ratios:
            parts += [enhance.enhance_own(model, rgb, settings, ratio)[0], gap]
        target = target or run.folder / "strips" / f"{item}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_image(target, torch.cat(parts[:-1], dim=2))
        run.say(f"{path}: light ratios {', '.join(f'{ratio:g}' for ratio in ratios)} side by side: {target}")
