"""Light ratios of whole training pictures, and the rule that guesses a ratio without the bright picture."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from cases.kind.model import STEADY, light_ratio
from common.base.errors import UserError
from common.base.progress import watch

LEAST, LARGEST = 0.5, 30.0                      # light ratios among which one for a stated brightness is sought
GRAY = torch.tensor([0.299, 0.587, 0.114])


def read_ratio(value, several=False):
    """What test.ratio says: None, "auto", a number above 0, or, where that is asked for, several. UserError."""
    if value is None or value == "auto":
        return value
    try:
        ratios = [float(part) for part in (value.split(",") if isinstance(value, str) else [value])]
    except (TypeError, ValueError):
        ratios = []
    if isinstance(value, bool) or not ratios or not all(0 < ratio < math.inf for ratio in ratios):
        raise UserError(f"no light ratio: test.ratio={value}: a number above 0, auto, several numbers with commas, or "
                        "null were expected: mend --ratio")
    if several:
        return ratios
    if len(ratios) > 1:
        raise UserError(f"several light ratios: test.ratio={value}: one was expected here: several are for pictures of "
                        "--input")
    return ratios[0]


def for_brightness(model, illumination, restored, brightness):
    """The light ratio under which the mean gray of P * A is `brightness`, in [0, 1], by bisection; its end where none
    reaches that. illumination (1, 1, h, w) and restored (1, 3, h, w), whole, are reduced first: only the mean counts.
    """
    device = next(model.parameters()).device
    size = [min(side, 128) for side in illumination.shape[2:]]
    light = F.adaptive_avg_pool2d(illumination, size).to(device)
    gray = torch.einsum("nchw,c->nhw", F.adaptive_avg_pool2d(restored, size), GRAY)[:, None].to(device)
    low, high = math.log(LEAST), math.log(LARGEST)
    for _ in range(12):
        middle = (low + high) / 2
        if (gray * model.adjustment(light, math.exp(middle))).mean() < brightness:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


class Measured(nn.Module):
    """What is measured once on whole training pictures, by the trained decomposition; a resumed run has the buffers.

    up: mean of I_h / I_l of each picture, which brightens; down: mean of I_l / I_h. nights: data.StretchedNights, to
    which the guess is fitted, too.
    """

    def __init__(self, names, nights=None):
        super().__init__()
        self.nights = nights
        self.places = {name: place for place, name in enumerate(names)}
        self.register_buffer("up", torch.zeros(len(names)))
        self.register_buffer("down", torch.zeros(len(names)))

    @torch.no_grad()
    def once(self, run, model, pairs):
        """Decompose every whole picture of `pairs`, unless that is done; fit model.automatic to the ratios."""
        if self.up.any():
            return
        features, ratios = [], []
        for place in watch(range(len(pairs)), "measuring light ratios"):
            pair = pairs.in_patches(None)[0, place]
            bounds = torch.tensor(pairs.bounds_of(place)[:2], device=run.device)[None] / 255
            known, self.up[place], self.down[place] = measure(run, model, pair.low[None], pair.high[None], bounds)
            features.append(known)
            ratios.append(self.up[place])
        count = min(len(pairs), len(self.nights)) if self.nights else 0
        for low, high, bounds in watch(self.nights.whole_pairs(count), "the same by night", count) if count else ():
            known, ratio, _ = measure(run, model, low, high, bounds.to(run.device))
            features.append(known)
            ratios.append(ratio)
        model.automatic.fit(torch.stack(features), torch.stack(ratios))

    def ratios(self, names, low, high, over):
        """(brighten, darken), each (N,), of a batch: over="picture", or over="patch", whose I low and high are.

        The released code takes patches, and for brightening 1 / mean(I_l / I_h), though at test mean(I_h / I_l)
        (README, difference 10).
        """
        if over == "picture":
            places = torch.tensor([self.places[name] for name in names])
            return self.up[places], self.down[places]
        down = light_ratio(high, low)
        return 1 / down + STEADY, down


def measure(run, model, low, high, bounds):
    """(features of AutomaticRatio, ratio that brightens, ratio that darkens) of a stretched pair (1, 3, h, w)."""
    low, high = (picture.to(run.device, memory_format=torch.channels_last) for picture in (low, high))
    with run.autocast():
        dark, bright = (model.decomposition(picture)[1].float() for picture in (low, high))
    return (model.automatic.features(low, dark, bounds)[0], light_ratio(dark, bright)[0], light_ratio(bright, dark)[0])
