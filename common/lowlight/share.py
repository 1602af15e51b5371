"""How much of a network's answer a picture gets: all in the dark, none where it is bright already.

    share = clamp((sigmoid(w f + b) - .1) / .8; 0, 1)        result = x + share (y - x)

x: the picture, y: the answer. f: standardised logarithms of QUANTILES of the least, the mean and the largest of R, G,
B over the 32 x 32 thumbnail of the whole picture. A part of the network, fitted once to training pictures; protect.py,
which is not, works on top of it. Few pictures that are bright need brightening, but a network that is trained on dark
ones and has to answer does something to all of them.
"""
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common.base.progress import watch
from common.data.images import to_tensor
from common.data.night import by_night, draw_night
from common.data.paired import THUMBNAIL
from common.lowlight.mixed import SMALL, plain_picture

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
PLACES = [round(level * (THUMBNAIL ** 2 - 1)) for level in QUANTILES]       # among the sorted pixels of a thumbnail
STEADY = 0.005                          # added before logarithms
RIDGE = 0.01                            # of the squared weights
PLAIN = 16                              # of so many photographs, one page or flat picture more, bright and by night
BRIGHT = 6.0                            # how much more those count that have all their light: the mixture has one in
                                        # seven of them, a user's folder mostly such
ENOUGH = 2 / 3                          # share from which on all is asked for: half an answer to the dark helps nobody
NOISE = 0.03                            # mean difference of two pictures up to which one counts as the other
LITTLE = 0.02                           # mean square of what the answer changes, from which on a picture counts fully


class Share(nn.Module):
    """share of whole pictures, (N,) in [0, 1], from their thumbnails (N, 3, 32, 32). 1 until it is fitted, and with
    weights of a file that was made before there was a share."""

    def __init__(self):
        super().__init__()
        count = 3 * len(QUANTILES)
        self.register_buffer("weight", torch.zeros(count))
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("bias", torch.tensor(9.0))

    def features(self, thumbnails):
        """(N, 33): see the head of this file."""
        red, green, blue = (thumbnails[:, channel].flatten(1) for channel in range(3))
        maps = (torch.minimum(torch.minimum(red, green), blue), (red + green + blue) / 3,
                torch.maximum(torch.maximum(red, green), blue))
        return torch.cat([values.sort(dim=1).values[:, PLACES] for values in maps], dim=1).add(STEADY).log()

    def forward(self, thumbnails):
        value = ((self.features(thumbnails) - self.centre) / self.scale) @ self.weight + self.bias
        return stretched_sigmoid(value).clamp(0, 1)

    def blend(self, pictures, answers, thumbnails):
        """The result of pictures and answers (N, 3, h, w), parts of those whose thumbnails these are."""
        share = self(thumbnails)[:, None, None, None]
        return torch.lerp(pictures, answers.to(pictures), share.to(pictures))

    @torch.enable_grad()
    def fit(self, thumbnails, wanted, weights, dark):
        """Set the buffers by weighted least squares: to the shares `wanted` (n,) of thumbnails (n, 3, 32, 32), and to
        all of the answer for those of `dark` pictures (m, 3, 32, 32)."""
        features = self.features(thumbnails)
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_(features.std(dim=0).clamp_min(STEADY))
        x, always = ((each - self.centre) / self.scale for each in (features, self.features(dark)))
        weight, bias = self.weight.clone().requires_grad_(), torch.zeros_like(self.bias, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

        def loss():
            optimizer.zero_grad()
            found = stretched_sigmoid(x @ weight + bias).clamp(-0.05, 1.05)         # beyond that the slope ends
            too_little = (1 - stretched_sigmoid(always @ weight + bias)).clamp(min=0)
            value = ((weights * (found - wanted).square()).sum() / weights.sum() + too_little.square().mean()
                     + RIDGE * weight.square().mean())
            value.backward()
            return value
        optimizer.step(loss)
        self.weight.copy_(weight.detach())
        self.bias.copy_(bias.detach())

    def _load_from_state_dict(self, state, prefix, *arguments):
        for name, buffer in self.named_buffers():
            state.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state, prefix, *arguments)


def stretched_sigmoid(value):
    """A sigmoid that reaches 0 and 1, and goes a tenth beyond."""
    return (torch.sigmoid(value) - 0.1) / 0.8


def fit_share(model, nights, dark, answer, passes=2):
    """Fit model.share anew. nights: mixed.DarkenedPhotographs, each darkened `passes` times, and a page now and then;
    dark: a data set of Pairs that shall get all of the answer; answer(picture): the model's, both (3, h, w) in [0, 1].

    Wanted is the share that brings a picture nearest to its bright one, over ENOUGH; it counts as far as the answer
    changes anything.
    """
    device = model.share.bias.device
    model.share = Share().to(device)                    # all of the answer, while it is measured
    thumbnails, wanted, weights = [], [], []
    places = [(number, index) for number in range(passes) for index in range(len(nights))]
    pairs = (pair for place in watch(places, "how much of the answer bright pictures get")
             for pair in whole_pairs(nights, place))
    for low, high in pairs:
        low, high = to_tensor(low), to_tensor(high)
        with torch.no_grad():
            change, missing = answer(low) - low, high - low
        power = change.square().mean().item()
        thumbnails.append(F.adaptive_avg_pool2d(low, THUMBNAIL))
        nearest = (change * missing).mean().item() / max(power, 1e-9)
        wanted.append(min(1.0, max(0.0, nearest / ENOUGH)))
        unchanged = missing.abs().mean() < NOISE
        weights.append(power / (power + LITTLE) * (BRIGHT if unchanged else 1))
    share = Share()
    share.fit(torch.stack(thumbnails), torch.tensor(wanted), torch.tensor(weights),
              torch.stack([dark[0, index].thumbnail for index in range(len(dark))]))
    model.share = share.to(device)


def whole_pairs(nights, place, longest=256):
    """[(dark, bright)] of a place: the photograph, and for every PLAIN-th a page twice, as it is and by night."""
    pairs = [nights.whole(place, longest)]
    if place[1] % PLAIN == 0:
        rng = np.random.default_rng([nights.seed, *place, 5])
        page = plain_picture(rng)
        night = draw_night(rng, cv2.resize(page, SMALL, interpolation=cv2.INTER_AREA), nights.unchanged)
        pairs += [(page, page), by_night(rng, night, page)]
    return pairs
