"""One picture of any size through MSR-net, in tiles where it is large."""
import torch

from cases.msrnet.model import thumbnail_of
from common.data.images import map_tiles
from common.experiment import engine


def graphs(model):
    """{name: engine.Graph} of the network, for export and other engines."""
    inputs = {"picture": torch.rand(1, 3, 64, 80)}
    if model.exposure is not None:
        inputs["thumbnail"] = torch.rand(1, 3, 32, 32)
    return {"msrnet": engine.Graph(model, inputs, ["enhanced"], ["picture", "enhanced"])}


def equip(run, model):
    """The network on the engine and in the precision that `test` says."""
    equipped = engine.equip(graphs(model)["msrnet"], run.config.test, run.device)
    equipped.halo = model.halo
    return equipped


@torch.inference_mode()
def enhance(run, model, rgb, thumbnail=None):
    """The network's answer to one picture: (3, h, w) in [0, 1] in and out, not rounded yet.

    thumbnail: (1, 3, 32, 32), where it is not the picture's own.
    """
    settings, image = run.config.test, rgb[None]
    thumbnail = (thumbnail_of(image) if thumbnail is None else thumbnail).to(run.device)

    def brighten(crop, box=None):
        return model(crop.to(run.device, memory_format=torch.channels_last), thumbnail).to("cpu")

    output = (map_tiles(brighten, image, settings.tile, model.halo) if max(rgb.shape[1:]) > settings.tile
              else brighten(image))
    if settings.strength != 1:
        output = image + settings.strength * (output - image)
    return output[0].clamp_(0, 1)


def answer_frames(run, model):
    """What steady.Steady asks for: the answer to a frame, whose thumbnail is averaged within the shot."""
    def answer(picture, average):
        return enhance(run, model, picture, average("thumbnail", thumbnail_of(picture[None])))
    return answer
