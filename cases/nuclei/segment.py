"""A picture of any size through the network, in tiles where it is large, and from its maps to single nuclei."""
import torch

from cases.nuclei import instances
from common.data.images import map_tiles

METHODS = {"": "components", "_watershed": "watershed", "_markers": "markers"}     # what a row's name ends with


def predict(model, gray, settings, device):
    """{map: probabilities (h, w)} of a normalised picture (h, w), float32 in [0, 1]: the same in tiles and whole.

    settings.tile: side of the tiles; settings.ensemble: the mean of the answers to all eight ways to lay it down.
    """
    picture = torch.from_numpy(gray)[None, None]
    if not settings.ensemble:
        return dict(zip(model.maps, answer(model, picture, settings.tile, device)[0].numpy()))
    total = 0
    for turns in range(4):
        for flip in (False, True):
            laid = torch.rot90(picture.flip(3) if flip else picture, turns, (2, 3))
            back = torch.rot90(answer(model, laid, settings.tile, device), -turns, (2, 3))
            total = total + (back.flip(3) if flip else back)
    return dict(zip(model.maps, (total / 8)[0].numpy()))


@torch.inference_mode()
def answer(model, picture, tile, device):
    """Probabilities (1, maps, h, w) of a picture (1, 1, h, w), whole or in tiles with all that their pixels see."""
    def call(crop, box=None):
        return torch.sigmoid(model(crop.to(device, memory_format=torch.channels_last))).float().cpu()
    if max(picture.shape) <= tile:
        return call(picture)
    return map_tiles(call, picture, tile, model.halo, model.multiple)


def segment(maps, settings):
    """{method: labels (h, w)} of a network's maps: components of `nucleus`; those cut by the watershed of the distance;
    and, where the network has more than that map, by the watershed to which it gives its own markers."""
    options = {"threshold": settings.threshold, "smallest": settings.smallest}
    found = {"components": instances.components(maps["nucleus"], **options),
             "watershed": instances.distance_watershed(maps["nucleus"], **options)}
    middles = marker_map(maps)
    if middles is not None:
        found["markers"] = instances.marker_watershed(maps["nucleus"], middles, weight=settings.weight, **options)
    return found


def marker_map(maps):
    """(h, w), high in the middle of each nucleus: `inside`, `nucleus` less `boundary`, or `distance`, whichever the
    network has; None where it has none of them."""
    if "inside" in maps:
        return maps["inside"]
    if "boundary" in maps:
        return maps["nucleus"] * (1 - maps["boundary"])
    return maps.get("distance")


def best(found):
    """The labels of the method that is used where one is wanted: from the network's own markers, where it has them."""
    return found.get("markers", found["watershed"])
