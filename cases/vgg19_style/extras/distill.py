"""The feature network `small`: a VGG19 a quarter as wide or narrower, trained so that VGG19's channels can be read off
its own.

Distillation (Wang et al., CVPR 2020, pursue the same end another way): behind relu1_1 ... relu5_1 a 1x1 map estimates
VGG19's channels there, and both, trunk and maps, are trained until the estimates agree with the teachers on
photographs. Style and content losses then use the trunk's own few channels; the maps stay in the file, to be checked
again.
"""
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from common.base.errors import UserError
from common.data.cache import fingerprint
from common.data.images import by, read_pixels, split_photographs, to_tensor
from common.experiment.run import bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.features import vgg, vgg_files

TAPS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}      # and VGG19's channels there
WIDTHS = (16, 32, 64, 128, 128)
EVEN = 0.01                        # weight of the term that keeps the channels equally strong
CALIBRATION = 48                   # crops whose statistics scale the first weights and the teachers' channels


def distill(training, cfg):
    """Train `small` with the teachers cfg.train.teachers on the photographs cfg.data.photos; best.pt is what agrees
    best on the held-out ones."""
    run = training.run
    photos, held = split_photographs(cfg.data.photos)
    crops = Crops(photos, cfg.train.crop, cfg.seed)
    teachers = run.prepare(Teachers(cfg.train.teachers, padding="reflect"))
    sample = torch.stack([crops[0, index * len(crops) // CALIBRATION % len(crops)].picture
                          for index in range(CALIBRATION)])
    teachers.calibrate(sample.split(8))
    network = Small()
    network.start(sample[::3], teachers)
    training.arguments = network.arguments                              # with tag and padding, which belong in the file
    model = run.prepare(training.start_from(network))
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.Adam(rates(model, cfg.train.lr), betas=(0.9, 0.99))
    schedule = warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)
    every = max(1, len(held) // cfg.train.validate_pictures)
    held_out = [middle(path) for path in held[::every][:cfg.train.validate_pictures]]

    for batch in training.steps(crops, steps=cfg.train.steps, batch=cfg.train.batch_size,
                                model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            with torch.no_grad():
                targets = teachers(batch.picture)
            strengths, estimates = model(batch.picture)
        training.descend(optimizer, cfg.train.clip, **distances(estimates, targets),
                         even=EVEN * ((strengths.float() - 1) ** 2).mean())
        schedule.step()
        average.update_parameters(bare(model))
        if training.due(cfg.train.validate_every):
            training.validated(**validate(run, average.module, teachers, held_out))


def rates(model, lr):
    """A parameter group for each tensor. Adam moves each value by about its rate, and the values here differ a
    thousandfold between conv1_1, which sees differences of pixels, and the maps: so the rate is lr times the tensor's
    size (a root mean square), and of biases lr itself."""
    return [{"params": [parameter], "lr": lr * parameter.detach().square().mean().sqrt().item() if parameter.dim() > 1
             else lr}
            for parameter in model.parameters()]


def distances(estimates, targets):
    """{tap: mean squared distance between estimates and targets (..., C)}, targets with channels of variance 1: 1 -
    R^2, roughly."""
    return {tap: F.mse_loss(estimates[tap].float(), target.float()) for tap, target in targets.items()}


@torch.inference_mode()
def validate(run, model, teachers, pictures):
    """The sum of the distances, which chooses the weights, and the agreement at each tap (see agreement()), on held-out
    pictures."""
    model.eval()
    pictures = [picture[None].to(run.device) for picture in pictures]
    loss = np.mean([sum(distances(model(picture)[1], teachers(picture)).values()).item() for picture in pictures])
    scores = agreement(model, teachers, pictures)
    model.train()
    return {"loss": float(loss)} | scores


@torch.inference_mode()
def agreement(model, teachers, pictures):
    """{tap: median over VGG19's channels of the correlation between estimate and teacher, the positions of all pictures
    pooled}.

    pictures: (1, 3, h, w) each, RGB in [0, 1]. Channels that never move in the teacher have no correlation and are left
    out.
    """
    sums = {}
    for picture in pictures:
        estimates = model(picture)[1]
        for tap, target in teachers(picture).items():
            x, y = (values.double().flatten(0, 2) for values in (estimates[tap], target))
            moments = torch.stack([torch.ones_like(x[0]) * len(x), x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0),
                                   (x * y).sum(0)])
            sums[tap] = sums.get(tap, 0) + moments
    medians = {}
    for tap, (count, x, y, xx, yy, xy) in sums.items():
        moving = yy / count - (y / count) ** 2 > 1e-8
        covariance = xy / count - x * y / count ** 2
        deviations = ((xx / count - (x / count) ** 2).clamp(min=1e-12) * (yy / count - (y / count) ** 2)).sqrt()
        medians[tap] = (covariance[moving] / deviations[moving]).median().item()
    return medians


# ---- networks --------------------------------------------------------------------------------------------------------

class Small(vgg.Trunk):
    """A narrow VGG19 to relu5_1 (810,128 parameters) with maps to VGG19's channels behind the TAPS (154,048).

    forward: x (N, 3, h, w) RGB in [0, 1] -> (strengths (all channels of all layers,): mean over batch and positions
    behind the ReLU; estimates {tap: (N, h', w', C)}: VGG19's channels, channels last, each in units of its standard
    deviation over photographs).
    """

    def __init__(self, widths=WIDTHS, tag="rgb01", padding="reflect"):
        layers = vgg_files.layers("vgg19")
        super().__init__("vgg19", [name for name in layers[:layers.index("relu5_1") + 1] if name.startswith("relu")],
                         widths, "max", padding, tag)
        self.arguments = {"widths": list(widths), "tag": tag, "padding": padding}
        self.aux = nn.ModuleDict({tap: nn.Linear(width, channels)
                                  for width, (tap, channels) in zip(widths, TAPS.items(), strict=True)})

    def forward(self, x):
        features = super().forward(x)
        strengths = torch.cat([feature.mean((0, 2, 3)) for feature in features.values()])
        return strengths, {tap: estimate(features[tap], layer.weight, layer.bias) for tap, layer in self.aux.items()}

    @torch.no_grad()
    def start(self, x, teachers):
        """First weights, drawn anew. Filters are orthogonal and scaled one by one so that on the pictures x (N, 3, h,
        w) each channel has mean 0, and mean 1 behind its ReLU (Mishkin and Matas 2016 do the like with a layer's
        variance): thirteen layers without normalisation are hard to train otherwise. The maps are the least squares fit
        to the teachers from there."""
        targets, x = teachers(x.to(next(teachers.parameters()).device)), (x - self.mean) / self.std
        for place, name in enumerate(self.names):
            if name.startswith("conv"):
                x = F.relu(even_out(self.features[str(place)], x))
            elif name.startswith("pool"):
                x = F.max_pool2d(x, 2)
            if name in self.aux:
                self.aux[name].weight.copy_(fit_map(x, targets[name].cpu()))
                nn.init.zeros_(self.aux[name].bias)


def even_out(layer, x):
    """layer(x) after giving the convolution new orthogonal weights, with which each channel has mean 0, and 1 behind a
    ReLU."""
    nn.init.orthogonal_(layer.weight)
    nn.init.zeros_(layer.bias)
    raw = layer(x)
    mean = raw.mean((0, 2, 3))
    gain = 1 / F.relu(raw - mean[:, None, None]).mean((0, 2, 3)).clamp(min=1e-6)
    layer.weight *= gain[:, None, None, None]
    layer.bias.copy_(-mean * gain)
    return layer(x)


def fit_map(features, target, damping=1e-3):
    """The (C, c) map of least squares from features (N, c, h, w) to target (N, h, w, C)."""
    x, y = features.permute(0, 2, 3, 1).flatten(0, 2), target.flatten(0, 2)
    products = x.T @ x / len(x)
    return torch.linalg.solve(products + damping * products.diagonal().mean() * torch.eye(len(products)),
                              x.T @ y / len(x)).T


class Teachers(nn.Module):
    """What the estimates shall be: x (N, 3, h, w) RGB in [0, 1] -> {tap: (N, h', w', C)}, each channel divided by its
    scale.

    paths: weights files of VGG19, or of narrow students with maps of their own; each tap comes from the first file that
    has it. padding: instead of the files' own: with reflection a teacher has no frame of zeros that `small`, which
    reflects, could not follow.
    """

    def __init__(self, paths, padding=None):
        super().__init__()
        self.trunks, self.maps = nn.ModuleList(), {}
        wanted = list(TAPS)
        for path in paths:
            source = vgg_files.read(str(path))
            taps = [tap for tap in wanted if serves(source, tap)]
            if taps:
                self.trunks.append(vgg.build(source._replace(padding=padding or source.padding), taps))
                self.maps |= {tap: (source.state[f"aux.{tap}.weight"], source.state[f"aux.{tap}.bias"]) for tap in taps
                              if has_map(source, tap)}
            wanted = [tap for tap in wanted if tap not in taps]
        if wanted:
            raise UserError(f"no teacher for {', '.join(wanted)}: train.teachers={', '.join(map(str, paths)) or '[]'}: "
                            "expected files that reach to relu5_1 among them: VGG19's weights, or a narrow student's "
                            "with maps to VGG19's channels")
        self.scales = nn.ParameterDict({tap: torch.ones(channels)
                                        for tap, channels in TAPS.items()}).requires_grad_(False)

    def forward(self, x):
        values = {}
        for trunk in self.trunks:
            for tap, feature in trunk(x).items():
                weight_bias = [part.to(feature.device) for part in self.maps.get(tap, [])]
                value = estimate(feature, *weight_bias) if weight_bias else feature.permute(0, 2, 3, 1)
                values[tap] = value / self.scales[tap]
        return values

    @torch.no_grad()
    def calibrate(self, batches):
        """Set the scales to the channels' standard deviations over these pictures; channels that hardly move count
        less."""
        device = next(self.parameters()).device
        found = [self(batch.to(device)) for batch in batches]
        for tap, scale in self.scales.items():
            deviation = torch.cat([values[tap].flatten(0, 2) for values in found]).std(0)
            scale.copy_(torch.maximum(deviation, 0.05 * deviation.median()))


def has_map(source, tap):
    """Whether a weights file (vgg.Source) has a map to VGG19's channels at a tap."""
    return f"aux.{tap}.weight" in source.state


def serves(source, tap):
    """Whether a weights file (vgg.Source) knows VGG19's channels at a tap: it is a VGG19 of full width itself, or has a
    map to them."""
    if source.layout != "vgg19" or tap not in vgg.tap_names(source):
        return False
    return has_map(source,
                   tap) or len(source.state[f"features.{vgg_files.layers('vgg19').index(tap) - 1}.bias"]) == TAPS[tap]


def estimate(features, weight, bias):
    """VGG19's channels by a 1x1 map with a ReLU: features (N, c, h, w), weight (C, c), bias (C,) -> (N, h, w, C)."""
    return F.relu(F.linear(features.permute(0, 2, 3, 1), weight.to(features.dtype), bias.to(features.dtype)))


# ---- photographs -----------------------------------------------------------------------------------------------------

def middle(path, longest=256):
    """A photograph (3, h, w) in [0, 1]: the middle of it, at most `longest` pixels wide and high, in multiples of 16.
    Raises UserError under 32."""
    pixels = read_pixels(path)
    if min(pixels.shape[:2]) < 32:
        raise UserError(f"too small to train on: {path}: {by(pixels.shape)}: at least 32 pixels a side were expected: "
                        "remove it from data.photos")
    height, width = (min(side, longest) // 16 * 16 for side in pixels.shape[:2])
    top, left = ((side - kept) // 2 for side, kept in zip(pixels.shape[:2], (height, width), strict=True))
    return to_tensor(pixels[top:top + height, left:left + width])


class Crop(NamedTuple):
    """A part of a photograph, float32 (3, side, side) RGB in [0, 1], and the file's name."""
    picture: Any
    name: str


class Crops(Dataset):
    """Square parts of photographs: crops[epoch, index] -> Crop. Every draw comes from (seed, epoch, index).

    Pictures that are being painted look like no photograph, so some crops are changed: channels permuted, contrast,
    noise.
    """

    def __init__(self, paths, side, seed=0):
        self.paths, self.side, self.seed = list(paths), side, seed

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, place):
        epoch, index = place
        rng = np.random.default_rng([self.seed, epoch, index])
        pixels = read_pixels(self.paths[index])
        # up to twice the side: strokes of every size
        cut = min(*pixels.shape[:2], round(self.side * 2 ** rng.uniform(0, 1)))
        top, left = (int(rng.integers(length - cut + 1)) for length in pixels.shape[:2])
        part = cv2.resize(pixels[top:top + cut, left:left + cut], (self.side, self.side), interpolation=cv2.INTER_AREA)
        part = part[:, ::-1] if rng.random() < 0.5 else part
        return Crop(disturb(to_tensor(part), rng), self.paths[index].name)

    def fingerprint(self):
        """A digest of all names and file sizes."""
        return fingerprint(self.paths)


def disturb(picture, rng):
    """A picture (3, h, w) with its channels permuted, its contrast changed, and noise of a deviation up to 0.1, each
    with a chance of 1 in 4."""
    if rng.random() < 0.25:
        picture = picture[rng.permutation(3)]
    if rng.random() < 0.25:
        picture = (picture - 0.5) * rng.uniform(0.5, 2) + 0.5
    if rng.random() < 0.25:
        picture = picture + torch.from_numpy(rng.standard_normal(picture.shape, np.float32)) * rng.uniform(0, 0.1)
    return picture.clamp(0, 1)
