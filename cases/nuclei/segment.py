"""A picture of any size through the network, in tiles where it is large, and from its maps to single nuclei."""
import torch

from cases.nuclei import instances
from common.data.images import map_tiles


@torch.inference_mode()
def predict(model, gray, tile, device):
    """{map: probabilities (h, w)} of a normalised picture (h, w), float32 in [0, 1]: the same in tiles and whole."""
    picture = torch.from_numpy(gray)[None, None]

    def answer(crop, box=None):
        return torch.sigmoid(model(crop.to(device, memory_format=torch.channels_last))).float().cpu()
    found = (map_tiles(answer, picture, tile, model.halo, model.multiple) if max(gray.shape) > tile
             else answer(picture))
    return dict(zip(model.maps, found[0].numpy()))


def segment(maps, settings):
    """{method: labels} of a network's maps: components of `nucleus`, cut by the watershed of the distance, and, where
    the network has it, by the watershed from its own `inside`."""
    options = {"threshold": settings.threshold, "smallest": settings.smallest}
    found = {"components": instances.components(maps["nucleus"], **options),
             "watershed": instances.distance_watershed(maps["nucleus"], **options)}
    if "inside" in maps:
        found["markers"] = instances.marker_watershed(maps["nucleus"], maps["inside"], **options)
    return found


def best(found):
    """The labels of the method that is used where one is wanted: from the network's own markers, where it has them."""
    return found.get("markers", found["watershed"])
