"""Training the networks that paint in one pass (network.py), and painting with them.

The loss is that of the pictures that are optimised, in the relative form: each style's term is divided by the size of
its own Grams, so that dark and flat styles weigh as much as others (Dumoulin et al. 2017 leave them unbalanced).
"""
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from cases.vgg19_style import losses
from cases.vgg19_style.data import fit_size, pictures_at, read_on_white, resize
from cases.vgg19_style.fast import convert
from cases.vgg19_style.fast.network import PER_STYLE, FastNetwork, take_over
from cases.vgg19_style.painter import feature_network
from common.base.errors import UserError, join_some
from common.data.cache import Orientation, fingerprint, random_window, share_pixels
from common.data.images import picture_size, split_photographs
from common.experiment import checkpoints
from common.experiment.run import bare
from common.experiment.schedules import moving_average, warmup_cosine

STYLE_RATE = 5                     # rate of gammas and betas over that of the filters
RELEASE = "release-styles"
SHIFT = 16                         # pixels: the stride of relu5_1
WINDOWS, SMALLEST = 2, 14          # of the local style term: at most 2 x 2, of 14 positions a side at least


def train_fast(training, cfg):
    """A FastNetwork for the styles of data.styles, else data.style, trained on the photographs of data.photos."""
    run, files = training.run, style_files(cfg.data)
    names = style_names(files, cfg.model.styles)
    training.arguments = {"width": cfg.model.width, "styles": names, "noise": cfg.model.noise}
    photos, held = split_photographs(cfg.data.photos)
    crops = Crops(photos, cfg.data.size, cfg.train.crop, files, cfg.seed, cfg.train.zoom)
    perception = Perception(cfg, files, run.device)
    run.say(f"feature network {perception.trunk.name} (content {perception.trunk.digest[:12]}); styles: "
            f"{', '.join(names)}")

    model = run.prepare(begin(training))
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.Adam(parameter_groups(model, cfg.train.lr))
    schedule = warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)

    for batch in training.steps(crops, steps=cfg.train.steps, batch=cfg.train.batch_size,
                                model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            painted = model(batch.photo, F.one_hot(batch.style, len(files)).float(), training.step)
        if training.step <= cfg.train.copying:  # from noise, the way to a picture of nothing but strokes is shorter
            terms = {"copy": (painted.float() - batch.photo).abs().mean()}
        else:
            pair = shifted(painted.float(), batch.photo, perception.shift, [cfg.seed, training.step])
            terms = {name: term.mean() for name, term in perception(*pair, batch.style).items()}
        training.descend(optimizer, cfg.train.clip, **terms)
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(average.module, perception, held[:cfg.train.validate_pictures], cfg))


def begin(training):
    """The network: new, or with what that of --weights has learnt (take_over)."""
    run, model = training.run, FastNetwork(**training.arguments)
    if run.options.weights and not training.resumed:
        chosen = checkpoints.find(run.case, run.name, run.options.weights)
        take_over(model, checkpoints.build(FastNetwork, chosen, {"model.width": run.config.model.width}))
        run.say(f"starting from {chosen.said}")
    return model


def shifted(painted, photo, shift, seed):
    """Both pictures, less shift - 1 rows and columns, some at the left and above: how many is drawn from the seed.

    The feature network's poolings lie on a grid, of 16 pixels at relu5_1. A network that always sees it in one place
    learns to paint it: a comb."""
    top, left = np.random.default_rng(seed).integers(shift, size=2)
    height, width = (side - shift + 1 for side in photo.shape[2:])
    part = ..., slice(top, top + height), slice(left, left + width)
    return painted[part], photo[part]


def parameter_groups(model, lr):
    """What each style has for itself (PER_STYLE) learns faster than filters: it is all that tells styles apart, and
    Adam moves each number by about its rate per step."""
    style = [parameter for name, parameter in model.named_parameters() if name.endswith(PER_STYLE)]
    rest = [parameter for name, parameter in model.named_parameters() if not name.endswith(PER_STYLE)]
    return [{"params": rest, "lr": lr}, {"params": style, "lr": STYLE_RATE * lr}]


class Perception:
    """The loss of painted pictures, already weighted: style at several levels, content, total variation, and where they
    have a weight the palette and what fine chroma exceeds the painting's."""

    def __init__(self, cfg, files, device):
        self.trunk, self.loss = feature_network(cfg, device)
        if self.loss.form != "relative":
            raise UserError(f"loss.form={self.loss.form} in stage=fast: networks are trained on the relative form "
                            "alone: leave it out")
        taps, given = self.loss.style_taps, self.loss.style_weights
        self.shares = dict(zip(taps, [weight / sum(given) for weight in given] if sum(given) else [1 / len(taps)]
                               * len(taps)))
        pictures = [style_picture(file, cfg.data).to(device) for file in files]
        self.check("crops", cfg.train.crop)
        self.shift = min(SHIFT, cfg.train.crop - self.smallest() + 1)   # see shifted(); none where crops are small
        self.check("styles", min(min(picture.shape[2:]) for picture in pictures))
        self.targets = self.grams(pictures)                             # a level's: {tap: (S, C, C)}
        self.strengths = strengths(cfg.data.weights, len(files)).to(device)                       # (S,)
        self.palettes = torch.cat([losses.palette(picture) for picture in pictures])              # (S, 3, colours)
        self.chroma = torch.cat([losses.fine_chroma(picture) for picture in pictures])            # (S,)

    def check(self, what, smaller):
        """Raise UserError where a side is too small at the smallest level."""
        least = self.smallest()
        if smaller < least:
            raise UserError(f"{what} of {smaller} pixels are too small for {self.loss.levels} levels on "
                            f"{self.trunk.name}: at least {least} were expected: raise train.crop or data.size, or "
                            "lower loss.levels")

    def smallest(self):
        """The smallest side, in pixels, that has all levels."""
        return self.trunk.smallest * 2 ** (self.loss.levels - 1)

    @torch.no_grad()
    def grams(self, pictures):
        targets = []
        for level in range(self.loss.levels):
            found = [self.trunk(F.avg_pool2d(picture, 2 ** level)) for picture in pictures]
            targets.append({tap: torch.cat([*map(losses.gram, map(itemgetter(tap), found))])
                            for tap in self.loss.style_taps})
        return targets

    def __call__(self, painted, photo, style):
        """{style, content, ...: (N,)} of painted pictures (N, 3, H, W), the photographs behind them, and the numbers of
        their styles (N,)."""
        style_terms = []
        for level, grams in enumerate(self.targets):
            features = self.features(F.avg_pool2d(painted, 2 ** level) if level else painted)
            wanted = {tap: gram[style] for tap, gram in grams.items()}
            style_terms += [local_style(features, wanted, self.shares, windows) for windows in (1, WINDOWS)]
            if level == 0:
                with torch.no_grad():
                    kept = self.features(photo)
                content = losses.relative_content(features, kept, self.loss.content_taps)
        style_term = torch.stack(style_terms).mean(dim=0)
        return {"style": self.loss.style * self.strengths[style] * style_term, "content": self.loss.content * content,
                **self.of_pixels(painted, photo, style)}

    def of_pixels(self, painted, photo, style):
        """The terms that need no feature network: {tv, palette, chroma: (N,)}, those with a weight."""
        loss, terms = self.loss, {"tv": self.loss.tv * losses.tv(painted)}
        if loss.palette:
            terms["palette"] = loss.palette * losses.relative_palette(painted, self.palettes[style])
        if loss.chroma:
            terms["chroma"] = loss.chroma * losses.chroma_excess(painted, self.chroma[style])
        if loss.comb:
            terms["comb"] = loss.comb * losses.comb_excess(painted, photo)
        return terms

    def features(self, pictures):
        return {tap: losses.exact(values) for tap, values in self.trunk(pictures).items()}


def strengths(weights, count):
    """How much each style's own term weighs, (S,), 1 in the mean: data.weights, or all alike. Raises UserError."""
    weights = weights or [1.0] * count
    if len(weights) != count or sum(weights) <= 0:
        raise UserError(f"data.weights are {len(weights)} numbers, sum {sum(weights):g}, for {count} styles: one "
                        "for each, not all 0, was expected: give as many, or none")
    return torch.tensor(weights, dtype=torch.float32) * count / sum(weights)


def local_style(features, targets, shares, windows):
    """losses.relative_style with Grams of up to windows x windows parts of the picture, each compared with the whole
    style: (N,), the mean over them and the mean, weighted by shares, over the taps.

    A Gram of the whole picture does not say where its strokes are: a network soon learns to paint all of them, too
    strong, where the photograph has texture, and to leave the sky blank. Parts have at least SMALLEST positions a side.
    """
    terms = []
    for tap, target in targets.items():
        grid = features[tap]
        count = max(1, min(windows, min(grid.shape[2:]) // SMALLEST))
        height, width = (side // count for side in grid.shape[2:])  # what is over at the right and below is left out
        parts = grid[..., :count * height, :count * width].unflatten(3, (count, width)).unflatten(2, (count, height))
        parts = parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)           # (N count^2, C, height, width)
        distances = losses.relative_style({tap: parts}, {tap: target.repeat_interleave(count ** 2, dim=0)})
        terms.append(shares[tap] * distances.view(len(grid), -1).mean(dim=1))
    return torch.stack(terms).sum(dim=0)


@torch.inference_mode()
def validate(model, perception, held, cfg):
    """The mean loss, and its parts, over whole held-out photographs in every style."""
    model.eval()
    sums = {}
    for path in held:
        photo = read_fitted(path, cfg.data.size).to(model.last.weight.device, memory_format=torch.channels_last)
        for number in range(len(model.styles)):
            style = torch.tensor([number], device=photo.device)
            painted = model(photo, F.one_hot(style, len(model.styles)).float()).clamp(0, 1)
            for name, term in perception(painted, photo, style).items():
                sums[name] = sums.get(name, 0.0) + term.item() / (len(held) * len(model.styles))
    model.train()
    return {"loss": sum(sums.values())} | sums


# ---- painting --------------------------------------------------------------------------------------------------------

def load(run):
    """(network, Weights): what --weights names, a file of this project or a foreign one (convert.py); else best or last
    of the run, else the release. The network is on the run's device, in evaluation mode."""
    wanted = run.options.weights
    foreign = convert.read(wanted) if wanted and Path(wanted).is_file() else None
    own = any((run.checkpoints / f"{name}.pt").is_file() for name in ("best", "last"))
    weights = foreign or checkpoints.find(run.case, run.name, wanted or (None if own else RELEASE))
    run.say(f"weights: {weights.said} (content {weights.digest[:12]})")
    return run.load(FastNetwork, weights), weights


def choose_styles(network, text):
    """{label: weights (S,)} of test.style: null, every style by itself; one name; or several with weights, which are
    made to sum to 1: `starry_night=.7,the_scream=.3`, labelled starry_night-0.7+the_scream-0.3."""
    names = network.styles or ["style"]
    if text is None:
        return {name: row for name, row in zip(names, torch.eye(len(names)))}
    shares = dict.fromkeys(names, 0.0)
    for part in str(text).split(","):
        name, _, share = part.strip().partition("=")
        try:
            value = float(share or 1)
        except ValueError:
            value = -1.0
        if name not in shares or not 0 <= value < float("inf"):
            raise UserError(f"test.style={text}: {part.strip()!r} is no style of this network, or no weight: expected "
                            f"names among {', '.join(names)}, each alone or with a weight of at least 0 (name=0.7): "
                            "mend it")
        shares[name] += value
    total = sum(shares.values())
    if not total:
        raise UserError(f"test.style={text}: all weights are 0: one above 0 was expected: raise one")
    used = {name: share / total for name, share in shares.items() if share}
    label = next(iter(used)) if len(used) == 1 else "+".join(f"{name}-{share:.3g}" for name, share in used.items())
    return {label: torch.tensor([shares[name] / total for name in names])}


@torch.inference_mode()
def stylise(network, picture, weights):
    """A picture (3, H, W) in [0, 1] painted by a FastNetwork: (3, H, W), clamped to [0, 1], on the CPU. weights: (S,),
    see choose_styles().

    Instance norm sees the whole picture, so tiles would differ in contrast; instead every convolution of a large
    picture is computed in bands of rows (network.py), with the same result: what is held is one layer's input and
    output, some 200 bytes a pixel at width 16.
    """
    if min(picture.shape[1:]) < network.smallest:
        raise UserError(f"the picture is too small: {picture.shape[2]}x{picture.shape[1]}: at least {network.smallest} "
                        "pixels a side were expected: enlarge it")
    picture = picture[None].to(network.device).contiguous(memory_format=torch.channels_last)
    return network(picture, weights.to(network.device))[0].clamp_(0, 1).cpu()


# ---- data ------------------------------------------------------------------------------------------------------------

def style_files(data):
    """The pictures whose styles are learnt: data.styles, else data.style, a file or all in a folder."""
    return [Path(path) for path in data.styles] or pictures_at(data.style, "data.style")


def style_names(files, given):
    """The styles' names: those of model.styles, else the files' stems. Raises UserError unless each style has one of
    its own."""
    names = list(given) or [file.stem for file in files]
    if len(names) != len(files):
        raise UserError(f"model.styles has {len(names)} names, there are {len(files)} styles: one for each was "
                        "expected: leave model.styles out")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"styles with the same name: {join_some(twice)}: a network's styles are called by their files' "
                        "names: rename one")
    return names


def style_picture(file, data):
    """A style (1, 3, h, w) at the size at which its strokes are painted: data.style_scale times the photographs' long
    side."""
    pixels = read_on_white(file)
    return resize(pixels, fit_size(pixels.shape, data.size and round(data.size * data.style_scale)))


def read_fitted(path, size):
    """A photograph (1, 3, h, w) at the long side `size`."""
    pixels = read_on_white(path)
    return resize(pixels, fit_size(pixels.shape, size))


class Sample(NamedTuple):
    """A crop and the style that it is to be painted in."""
    photo: Tensor                       # (3, crop, crop) in [0, 1]
    style: int
    name: str


class Crops(Dataset):
    """Crops of photographs that were brought to one long side, with a style each: crops[epoch, index] -> Sample.

    Nothing but (seed, epoch, index) decides place, mirroring, style and scale: a crop shows 1 to `zoom` times its side
    (as far as the photograph has it). Photographs with a side below the crop are enlarged to it.
    """

    def __init__(self, photos, size, crop, styles, seed, zoom=1.0):
        self.photos, self.crop, self.styles, self.seed, self.zoom = photos, crop, styles, seed, zoom
        self.sizes = [self.fit(picture_size(photo) or (1, 1), size) for photo in photos]
        self.store = share_pixels(self.sizes)

    def fit(self, shape, size):
        height, width = fit_size(shape, size)
        scale = max(1.0, self.crop / min(height, width))
        return max(self.crop, round(height * scale)), max(self.crop, round(width * scale))

    def __len__(self):
        return len(self.photos)

    def fingerprint(self):
        """A digest of all names and file sizes, photographs' and styles'."""
        return fingerprint([*self.photos, *self.styles])

    def read(self, index):
        picture = resize(read_on_white(self.photos[index]), self.sizes[index])[0]
        return (picture.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)

    def __getitem__(self, place):
        epoch, index = place
        pixels = self.read(index) if self.store is None else self.store.get(index, lambda _: self.read(index), None)
        rng = np.random.default_rng([self.seed, epoch, index])
        side = min(round(self.crop * (rng.uniform(1, self.zoom) if self.zoom > 1 else 1)), *pixels.shape[:2])
        top, left = random_window(rng, pixels.shape[:2], side, self.photos[index])
        part = resize(np.ascontiguousarray(pixels[top:top + side, left:left + side]), (self.crop, self.crop))[0]
        photo = Orientation.draw(rng, flips=True, turns=False).turn(part)
        return Sample(photo.contiguous(), int(rng.integers(len(self.styles))), self.photos[index].name)
