"""Light ratios of whole training pictures, and the rule that guesses a ratio without the bright picture."""
import torch
from torch import nn

from cases.kind.model import STEADY, light_ratio
from common.base.progress import watch


class Measured(nn.Module):
    """What is measured once on the whole training pictures, after the decomposition is trained. Buffers, so that a
    resumed run has it.

    up: mean of I_h / I_l of each picture, which brightens; down: mean of I_l / I_h.
    """

    def __init__(self, names):
        super().__init__()
        self.places = {name: place for place, name in enumerate(names)}
        self.register_buffer("up", torch.zeros(len(names)))
        self.register_buffer("down", torch.zeros(len(names)))

    @torch.no_grad()
    def once(self, run, model, pairs):
        """Decompose every whole picture of `pairs`, unless that is done; fit model.automatic to the ratios."""
        if self.up.any():
            return
        features = []
        for place in watch(range(len(pairs)), "measuring light ratios"):
            pair = pairs.in_patches(None)[0, place]
            maps = []
            for picture in (pair.low, pair.high):
                picture = picture[None].to(run.device, memory_format=torch.channels_last)
                with run.autocast():
                    maps.append([value.float() for value in model.decomposition(picture)])
            (_, low), (_, high) = maps
            bounds = torch.tensor(pairs.bounds_of(place)[:2], device=run.device)[None] / 255
            features.append(model.automatic.features(pair.low[None].to(run.device), low, bounds)[0])
            self.up[place], self.down[place] = light_ratio(low, high), light_ratio(high, low)
        model.automatic.fit(torch.stack(features), self.up)

    def ratios(self, names, low, high, over):
        """(brighten, darken), each (N,), of a batch: of the whole pictures (over="picture") or of the patches low, high
        (over="patch").

        The released code takes patches, and for brightening 1 / mean(I_l / I_h), though at test mean(I_h / I_l)
        (README, difference 10).
        """
        if over == "picture":
            places = torch.tensor([self.places[name] for name in names])
            return self.up[places], self.down[places]
        down = light_ratio(high, low)
        return 1 / down + STEADY, down
