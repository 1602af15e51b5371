"""Painting by optimisation: a picture's own pixels are what is trained (Gatys et al. 2016), from coarse to fine.

    trunk, loss = feature_network(settings)
    canvas, optimizer = prepare(settings)
    painter = Painter(settings, trunk, loss, work, canvas, optimizer)       # work: data.Work
    for step in range(1, settings.train.steps + 1):
        terms = painter.step(step)
    picture = painter.result()                                              # (1, 3, H, W) in [0, 1]
"""
import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from cases.vgg19_style import colour, tiling
from cases.vgg19_style.canvas import Canvas, Decorrelated, Pixels
from cases.vgg19_style.data import fit_size, noise_like, pad, read_mask, read_on_white, resize
from cases.vgg19_style.model import STYLE_TAPS, Objective
from common.base.errors import UserError
from common.data.images import by, to_bytes
from common.experiment.settings import Settings
from common.features import vgg, vgg_files

CONTENT_TAP = "relu4_1"                 # where the settings name none
HISTORY, HISTORY_BYTES = 20, 1.0e9      # steps that L-BFGS remembers by two pictures each; what these may take
LEAST_HISTORY = 5                       # with fewer it is no better than Adam, which remembers two pictures in all
GRAY = 2.0                              # mean of max(R, G, B) - min(R, G, B), in levels, up to which a picture is gray
MULTIPLE = 16                           # pixels: stride of the deepest taps
COARSEST = 64                           # pixels: the short side of the first scale is not below
FEWER = 0.6                             # steps of a scale over those of the one before: fine ones are dear, few suffice
MATCHES = {"luminance": colour.match_luminance, "cholesky": colour.match_cholesky}      # train.colour, before painting


def prepare(settings, device="cpu", size=None):
    """(Canvas, optimiser of its z) for works of at most size (height, width), by default data.size squared."""
    height, width = size or (settings.data.size, settings.data.size)
    history = min(HISTORY, int((HISTORY_BYTES / (12 * height * width) - 1) / 2))        # as many steps as fit
    if settings.train.optimizer == "lbfgs" or settings.train.optimizer == "auto" and history >= LEAST_HISTORY:
        canvas = Canvas(space_of(settings)).to(device)
        return canvas, torch.optim.LBFGS([canvas.z], lr=1.0, max_iter=1, history_size=max(history, LEAST_HISTORY),
                                         tolerance_grad=0, tolerance_change=0)
    canvas = Canvas(Pixels(*vgg_files.TAGS["torchvision"] if settings.loss.form == "b6" else ())).to(device)
    betas = (0.9, 0.99) if settings.loss.form == "relative" else (0.9, 0.999)
    return canvas, torch.optim.Adam([canvas.z], lr=settings.train.lr, betas=betas)


def space_of(settings):
    """The coordinates of a canvas for L-BFGS. Adam has a rate in pixel values, so it always moves pixels."""
    if settings.loss.form == "b6":
        return Pixels(*vgg_files.TAGS["torchvision"])
    return Decorrelated() if settings.train.space == "decorrelated" else Pixels()


def feature_network(settings, device="cpu"):
    """(trunk, the section `loss` with the taps that it has) of the settings `network` and `precision`.

    Without taps in the settings: those of relu1_1 .. relu5_1 that the network has, and relu4_1 for the content, or the
    deepest; the course's relu5_2 becomes relu5_1 in a network that ends there.
    """
    sources = feature_sources(settings.network)
    held = list(dict.fromkeys(tap for source in sources for tap in vgg.tap_names(source)))
    loss = Settings(settings.loss | own_taps(held, settings.loss))
    taps = list(dict.fromkeys([*loss.style_taps, *loss.content_taps]))
    trunk = vgg.build_joined(sources, taps, settings.network.pooling)
    trunk = trunk.to(device, memory_format=torch.channels_last)
    return trunk.bfloat16() if settings.precision == "bf16" else trunk, loss


def feature_sources(network):
    """[Source] of the settings `network`: the one of its name, and the one that goes on where that ends, if any."""
    sources = [vgg_files.read(network.name, network.tag, network.padding)]
    return [*sources, vgg_files.read(network.deeper)] if network.deeper else sources


def own_taps(held, loss):
    """{style_taps, content_taps}: the settings', or what is usual for a network that has `held`."""
    style = [vgg.tap_name(tap) for tap in loss.style_taps] or [tap for tap in STYLE_TAPS if tap in held] or held
    content = ([vgg.tap_name(tap) for tap in loss.content_taps]
               or [next((tap for tap in (CONTENT_TAP, "features.7") if tap in held), style[-1])])
    if "relu5_2" not in held and "relu5_1" in held:
        content = ["relu5_1" if tap == "relu5_2" else tap for tap in content]
    if loss.style_weights and len(loss.style_weights) != len(style):
        raise UserError(f"loss.style_weights has {len(loss.style_weights)} numbers for {len(style)} style taps "
                        f"({', '.join(style)}): one for each was expected: give as many, or none")
    return {"style_taps": style, "content_taps": content}


class Scale(NamedTuple):
    """A step of coarse to fine: the content's size (height, width), and the number of the last step at it."""
    size: tuple
    last: int


def scales_of(size, count, steps, smallest=COARSEST):
    """[Scale] for a picture of size (height, width): at most `count`, each sqrt 2 times the last.

    No short side is under `smallest`. FEWER steps from each scale to the next, at least one."""
    shrinks = [2 ** (-place / 2) for place in range(1, count)]
    sizes = [(round(size[0] * shrink), round(size[1] * shrink)) for shrink in shrinks]
    sizes = [size, *(each for each in sizes if min(each) >= smallest)][:steps][::-1]
    shares = [FEWER ** place for place in range(len(sizes))]
    lasts = [max(place + 1, round(steps * sum(shares[:place + 1]) / sum(shares))) for place in range(len(sizes))]
    return [Scale(each, last) for each, last in zip(sizes, [*lasts[:-1], steps])]


def usual_scales(size):
    """How many scales a picture of size (height, width) is painted at: 5 to 512 pixels, two more for each doubling, so
    that the first is always a small picture, in which a stroke of the style is as large as the network sees."""
    return 5 + max(0, round(2 * math.log2(max(size) / 512)))


class Painter:
    """Paints one work on the canvas, step by step; may go on from the canvas and optimiser of an interrupted run.

    content8: the content, uint8 (H, W, 3), where it is no file: a frame of a video. before: (the last painted frame as
    it would look now, (1, 3, h, w), trust in it, (1, 1, h, w)): where to begin, and what to stay near.
    """

    def __init__(self, settings, trunk, loss, work, canvas, optimizer, place=0, content8=None, before=None):
        self.before = before
        self.settings, self.trunk, self.loss, self.work, self.place = settings, trunk, loss, work, place
        self.canvas, self.optimizer = canvas, optimizer
        self.device = canvas.z.device
        self.content8 = read_on_white(work.content) if content8 is None else content8
        self.styles8 = [read_on_white(style) for style in work.styles]
        self.gray = all(is_gray(picture) for picture in (self.content8, *self.styles8))
        self.size = fit_size(self.content8.shape, settings.data.size)
        self.check(self.size, "the content", work.content)
        self.scales = scales_of(self.size, settings.train.scales or usual_scales(self.size), settings.train.steps)
        self.parity = loss.form != "relative"  # the published formulas see the picture as it is, unpadded
        self.objective, self.at = None, None

    def check(self, size, what, path):
        """Raise UserError for a picture that is too small for the network at this size."""
        if min(size) < self.trunk.smallest:
            raise UserError(f"{what} is too small: {path} has {by(size)} pixels at "
                            f"data.size={self.settings.data.size}: a short side of at least {self.trunk.smallest} was "
                            f"expected by {self.trunk.name} to {self.trunk.taps[-1]}: raise data.size, or crop the "
                            "picture")

    def content_at(self, size):
        """The content (1, 3, h, w) at a size."""
        return resize(self.content8, size).to(self.device)

    def styles_at(self, size):
        """The styles for a content of this size, the long side times data.style_scale; colours as train.colour says."""
        content, found = self.content_at(size), []
        for style8, path in zip(self.styles8, self.work.styles):
            style_size = fit_size(style8.shape, max(1, round(max(size) * self.settings.data.style_scale)))
            self.check(style_size, "the style", path)
            style = resize(style8, style_size).to(self.device)
            match = MATCHES.get(self.settings.train.colour)
            found.append(match(style, content) if match else style)
        return found

    def fit(self, picture, mode="reflect"):
        """A picture as the network sees it."""
        return picture if self.parity else pad(picture, MULTIPLE, mode)

    def enter(self, number):
        """Bring canvas and objective to scale `number`."""
        size = self.scales[number].size
        content = self.fit(self.content_at(size))
        before = int(self.canvas.scale)
        if before == -1:
            self.canvas.begin(number, self.start(content))
            forget(self.optimizer)
        elif before != number:
            painted = F.interpolate(self.painted(), size, mode="bicubic", align_corners=False)
            self.canvas.begin(number, self.fit(painted))
            carry_moments(self.optimizer, self.canvas.z)
        self.objective, self.at = self.new_objective(number, content), number

    def new_objective(self, number, content):
        """The Objective at a scale; content: as the network sees it there."""
        size, loss = self.scales[number].size, self.loss
        masks = [self.fit(read_mask(mask, size).to(self.device), "replicate") for mask in self.work.masks]
        return Objective(self.trunk, content, self.styles_at(size), content_taps=loss.content_taps,
                         style_taps=loss.style_taps, form=loss.form, style_weights=loss.style_weights,
                         alpha=loss.content, beta=loss.style, tv=loss.tv, chroma=loss.chroma, weights=self.work.weights,
                         masks=masks, tile=self.settings.train.tile, **self.temporal(size))

    def temporal(self, size):
        """What an Objective needs to stay near the frame before: nothing where there is none."""
        if self.before is None:
            return {}
        carried, trust = (self.fit(F.interpolate(each, size, mode="area")) for each in self.before)
        return {"temporal": self.settings.test.temporal, "carried": carried, "trust": trust}

    def start(self, content):
        """The picture that optimisation starts from."""
        if self.before is not None:
            carried, trust = (self.temporal(self.scales[0].size)[name] for name in ("carried", "trust"))
            return trust * carried + (1 - trust) * content
        train, form = self.settings.train, self.loss.form
        if train.start == "content":
            return content
        noise = noise_like(content, self.settings.seed, self.place,
                           train.noise if train.start == "content+noise" else 0.5)
        if train.start == "noise":
            return 0.5 + noise
        if form == "b6":  # in z's units, and the contrast halved: as the course's code does
            space = self.canvas.space
            return space.decode((space.encode(content) + noise) / 2)
        return (content + noise).clamp(0, 1)

    def step(self, number):
        """Step `number`, counted from 1: {name: weighted term} before it."""
        scale = next(place for place, scale in enumerate(self.scales) if number <= scale.last)
        if self.at != scale:
            self.enter(scale)
        canvas, terms = self.canvas, {}

        def closure():
            found, slope = self.objective.gradient(canvas.picture())
            if self.gray:  # gray in gray: no colour may come in
                slope = slope.mean(dim=1, keepdim=True).expand_as(slope)
            canvas.z.grad = canvas.space.pull(slope).contiguous()
            terms.update(found)
            return sum(found.values())
        self.optimizer.step(closure)
        if isinstance(self.optimizer, torch.optim.Adam):  # clamping inside L-BFGS would break the curvature pairs
            if not self.parity:
                canvas.z.data.clamp_(0, 1)
            if self.settings.train.average:
                canvas.average(self.settings.train.average)
        return terms

    def probe(self):
        """Compute one gradient at the first scale and throw it away: what it takes tells what all will."""
        content = self.fit(self.content_at(self.scales[0].size))
        self.new_objective(0, content).gradient(content)

    def memory(self):
        """Bytes that the features of a step at the last scale take, tiled where they are: an estimate."""
        tile = tiling.choose_tile(self.settings.train.tile, self.trunk, self.size)
        side = tile + 2 * tiling.halo_of(self.trunk) if tile else np.inf
        return tiling.bytes_per_pixel(self.trunk) * min(side * side, self.size[0] * self.size[1])

    def painted(self):
        """The picture as it stands at the present scale, (1, 3, h, w), without what fit() added."""
        height, width = self.scales[int(self.canvas.scale)].size
        return self.canvas.mean_picture()[..., :height, :width]

    def finish(self):
        """The result, kept on the canvas in 8 bit, which is then free for the next work."""
        picture = self.result()
        self.canvas.done[self.work.name] = torch.from_numpy(to_bytes(picture[0].cpu())).permute(2, 0, 1).contiguous()
        self.canvas.begin(-1, torch.zeros(1, 3, 1, 1, device=self.device))
        forget(self.optimizer)
        return picture

    def result(self):
        """The picture as it stands, (1, 3, h, w) in [0, 1], at the size of the present scale."""
        painted = self.painted().clamp(0, 1)
        if self.settings.train.colour != "luminance":
            return painted
        return colour.with_luminance_of(self.content_at(tuple(painted.shape[2:])), painted)


def is_gray(pixels):
    """Whether a picture, uint8 (H, W, 3), is gray, as nearly as a JPEG can be."""
    spread = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
    return float(spread.mean()) <= GRAY


def forget(optimizer):
    """Let an optimiser begin anew, with a picture of whatever size."""
    optimizer.state.clear()
    if hasattr(optimizer, "_numel_cache"):
        optimizer._numel_cache = None                                   # L-BFGS's own note of the number of values


def carry_moments(optimizer, z):
    """Bring an optimiser's memory to the canvas's new size: Adam's two moments are resized, L-BFGS begins anew."""
    state = optimizer.state.get(z, {})
    if "exp_avg" not in state:
        forget(optimizer)
        return
    for name in ("exp_avg", "exp_avg_sq"):
        state[name] = F.interpolate(state[name], z.shape[2:], mode="bilinear", align_corners=False)
