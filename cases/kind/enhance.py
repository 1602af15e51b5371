"""One picture of any size through KinD: bounds and ratio of the whole, the networks in tiles, as if whole."""
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cases.kind.model import bounds_of, light_ratio
from cases.kind.ratios import for_brightness, read_ratio
from common.data.images import map_tiles, to_bytes
from common.data.paired import THUMBNAIL
from common.experiment import engine
from common.lowlight import protect

HOT, BLACK = 0.05, 16 / 255                 # of one's own pictures: percent cut off by the stretch; the highest black
NEAR, FAR = 16, 112         # halos in pixels: the decomposition sees 13 (on a grid of 4), the restoration 103 (of 16)
SKIMAGE_GRAY = torch.tensor([0.2125, 0.7154, 0.0721])


class Maps(NamedTuple):
    """A decomposed picture, on the CPU."""
    stretched: Tensor        # S, (1, 3, h, w)
    reflectance: Tensor      # R, (1, 3, h, w)
    illumination: Tensor     # I, (1, 1, h, w)
    bounds: Tensor           # (1, 2): the values that the stretch made 0 and 1


def graphs(model):
    """{name: engine.Graph} of the networks that see every pixel, for export and other engines."""
    rgb, gray = torch.rand(1, 3, 64, 80), torch.rand(1, 1, 64, 80)
    found = {"decomposition": engine.Graph(model.decomposition, {"stretched": rgb}, ["reflectance", "illumination"],
                                           ["stretched", "reflectance", "illumination"])}
    if model.restoration is not None:
        found["restoration"] = engine.Graph(model.restoration, {"reflectance": rgb, "illumination": gray}, ["restored"],
                                            ["reflectance", "illumination", "restored"])
    return found


def equip(run, model):
    """The model, its networks on the engine and in the precision that `test` says."""
    for name, graph in graphs(model).items():
        setattr(model, name, engine.equip(graph, run.config.test, run.device))
    return model


def decompose(model, rgb, tile=640, hot_pixels=0.0, bounds=None):
    """Maps of a picture (3, h, w) in [0, 1]. bounds (1, 2): stretch bounds, where they are not its own extremes."""
    picture = rgb[None]
    bounds = whole_bounds(picture, hot_pixels) if bounds is None else bounds
    stretched = model.stretch(picture, bounds).clamp_(0, 1)
    maps = in_tiles(model, lambda crop: torch.cat(model.decomposition(crop), dim=1), stretched, tile, NEAR, 4)
    return Maps(stretched, maps[:, :3], maps[:, 3:], bounds)


def own_bounds(picture, settings):
    """(1, 2) stretch bounds of one's own picture (1, 3, h, w), None for a flat one. Hot pixels are cut off, black is no
    higher than in LOL (BLACK), and the stretch multiplies by settings.stretch_gain at most.
    """
    bounds = whole_bounds(picture, HOT if settings.hot_pixels is None else settings.hot_pixels)
    if bounds[0, 1] - bounds[0, 0] < protect.FLAT:
        return None
    least = bounds[:, 0].clamp(max=BLACK)
    return torch.stack([least, torch.maximum(bounds[:, 1], least + 1 / settings.stretch_gain)], dim=1)


def whole_bounds(picture, hot_pixels=0.0):
    """(1, 2) stretch bounds of (1, 3, h, w): its extremes; above, hot_pixels percent of the values may be cut off."""
    bounds = bounds_of(picture)
    if hot_pixels:
        bounds[:, 1] = float(np.percentile(picture.numpy(), 100 - hot_pixels))
    return bounds


def guess(model, maps):
    """The automatic light ratio of decomposed maps, a float."""
    device = model.automatic.bias.device
    return model.guess_ratio(maps.stretched.to(device), maps.illumination.to(device), maps.bounds.to(device)).item()


def true_ratio(low, high):
    """The light ratio that the bright picture gives (gt_ratio), a float."""
    return light_ratio(low.illumination, high.illumination).item()


def restore(model, maps, tile=640):
    """P of a decomposed picture, (1, 3, h, w)."""
    if model.restoration is None:
        return maps.reflectance
    both = torch.cat([maps.reflectance, maps.illumination], dim=1)
    return in_tiles(model, lambda crop: model.restoration(crop[:, :3], crop[:, 3:]), both, tile, FAR, model.MULTIPLE)


def adjust(model, maps, ratio, tile=640):
    """A of a decomposed picture, (1, 1, h, w)."""
    return in_tiles(model, lambda crop: model.adjustment(crop, ratio), maps.illumination, tile, NEAR, 1)


def enhance(model, rgb, settings, ratio=None, bounds=None):
    """(answer, light ratio) of a picture; both pictures (3, h, w) in [0, 1]. settings: `test`. ratio None: guessed."""
    maps = decompose(model, rgb, settings.tile, settings.hot_pixels, bounds)
    restored = restore(model, maps, settings.tile) if settings.restore else maps.reflectance
    used = ratio or choose_ratio(model, maps, restored, settings)
    output = restored * adjust(model, maps, used, settings.tile)
    output = fuse(output, maps) if settings.fusion else output
    share = 1.0 if ratio else share_of(model, rgb[None], settings)
    return torch.lerp(rgb[None], output, share)[0].clamp_(0, 1), used


def enhance_own(model, rgb, settings, ratio=None):
    """enhance() of one's own picture, whose stretch is bounded; a flat one shows nothing and stays as it is."""
    bounds = own_bounds(rgb[None], settings)
    return (rgb.clone(), 1.0) if bounds is None else enhance(model, rgb, settings, ratio, bounds)


def choose_ratio(model, maps, restored, settings):
    """The light ratio that settings.ratio says: a number, guessed (null), or for a stated brightness (auto)."""
    ratio = read_ratio(settings.ratio)
    if ratio == "auto":
        return for_brightness(model, maps.illumination, restored, settings.brightness)
    return ratio or guess(model, maps)


def share_of(model, picture, settings):
    """How much of the output a picture (1, 3, h, w) gets: less than all where it is bright and the ratio is guessed."""
    if read_ratio(settings.ratio) is not None:
        return 1.0
    return model.share(F.adaptive_avg_pool2d(picture, THUMBNAIL).to(model.share.bias.device)).item()


def fuse(output, maps):
    """The released photo script's mix: noisy black is darkened, and where the light was bright enough, the input stays.

        I_l S_l + (1 - I_l) m P A,   m = min(sqrt(2 G3 * gray R_l), 1)      (G3: Gaussian, sigma 3, cut at 4 sigma)
    """
    return maps.illumination * maps.stretched + (1 - maps.illumination) * dark_mask(maps.reflectance) * output


def dark_mask(reflectance):
    """m of fuse, (1, 1, h, w)."""
    gray = torch.einsum("nchw,c->nhw", reflectance, SKIMAGE_GRAY)[0].numpy()
    blurred = torch.from_numpy(gaussian_filter(gray, 3, mode="nearest", truncate=4.0))
    return (2 * blurred).sqrt().clamp(max=1)[None, None]


def in_tiles(model, function, maps, tile, halo, multiple):
    """function over (1, C, h, w), in tiles where it is large: computed on the model's device, float32 on the CPU."""
    device = next(model.parameters()).device

    def compute(crop, box=None):
        return function(crop.to(device, memory_format=torch.channels_last)).float().to("cpu")
    return map_tiles(compute, maps, tile, halo, multiple) if max(maps.shape[2:]) > tile else compute(maps)


def quantise(output, how):
    """The 8-bit levels of (1, 3, h, w): rounded, or truncated as the released code does."""
    if how == "round":
        return to_bytes(output[0])
    return (output[0] * 255).clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8)
