"""One picture of any size through the network: in tiles that fit, also turned eight ways and averaged."""
import torch
import torch.nn.functional as F

from common.base.errors import UserError
from common.data.images import map_tiles

EIGHT = [(turns, mirrored) for mirrored in (False, True) for turns in range(4)]


def choose_scale(run, model):
    """test.scale as it is written down: the one that was asked for, which the weights must have, else their largest."""
    scale = run.config.test.scale or max(model.scales)
    if scale not in model.scales:
        raise UserError(f"these weights enlarge by {', '.join(map(str, model.scales))}, not by test.scale={scale}: one "
                        "of these was expected: set test.scale, or give other --weights")
    run.config.test.scale = int(scale)


@torch.inference_mode()
def enlarge(model, picture, scale, tile=256, device="cpu", ensemble=False):
    """(3, s h, s w) of a picture (3, h, w) in [0, 1], clamped.

    tile: pixels of the small picture at once. ensemble: the mean of the answers to all eight ways to lay the picture
    down, turned back (geometric self-ensemble): eight times the time, .1 dB.
    """
    network = model.networks[str(scale)]
    x = picture[None].to(device, memory_format=torch.channels_last)

    def answer(x):
        return enlarge_tiles(network, x, scale, tile)
    if not ensemble:
        return answer(x)[0].clamp(0, 1).cpu()
    total = 0
    for turns, mirrored in EIGHT:
        laid = x.flip(3) if mirrored else x
        y = torch.rot90(answer(torch.rot90(laid, turns, (2, 3)).contiguous()), -turns, (2, 3))
        total = total + (y.flip(3) if mirrored else y)
    return (total / len(EIGHT))[0].clamp(0, 1).cpu()


def enlarge_alpha(picture, scale):
    """A Picture with its transparency, where it has any, s times larger."""
    if picture.alpha is None:
        return picture
    alpha = F.interpolate(picture.alpha[None], scale_factor=scale, mode="bicubic", align_corners=False)
    return picture._replace(alpha=alpha[0].clamp(0, 1))


def enlarge_tiles(network, x, scale, tile):
    """network(x) tile by tile, (1, 3, s h, s w): each tile's answer is folded to the small size for map_tiles."""
    if max(x.shape[2:]) <= tile:
        return network(x)

    def fold(crop, box):
        return F.pixel_unshuffle(network(crop.contiguous()), scale)
    return F.pixel_shuffle(map_tiles(fold, x, tile, network.halo, network.multiple), scale)
