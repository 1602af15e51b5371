"""Photographs, styles and feature networks that tests of one-pass painting make up."""
import cv2
import numpy as np
import torch

from common.base import paths
from common.data.images import write_image
from common.experiment import checkpoints
from common.features import vgg


def fill(folder, monkeypatch, tints, taps):
    """The folder with twelve photographs, a style for each of tints {name: RGB factors}, and a random feature network
    up to each of taps {name: tap}; results and checkpoints go there."""
    monkeypatch.setattr(paths, "RESULTS", folder / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", folder / "checkpoints")
    draw = np.random.default_rng(0)
    for number in range(12):
        write_image(folder / "photos" / f"{number}.png", blobs(draw, 50 + number, 64))
    for name, tint in tints.items():
        write_image(folder / "styles" / f"{name}.png", blobs(draw, 60, 48) * torch.tensor(tint)[:, None, None])
    torch.manual_seed(0)
    for name, tap in taps.items():
        trunk = vgg.Trunk("vgg19", [tap], (4, 4, 8, 8, 8), "max", "reflect", "rgb01")
        for parameter in trunk.parameters():
            torch.nn.init.kaiming_normal_(parameter) if parameter.dim() == 4 else torch.nn.init.zeros_(parameter)
        checkpoints.save(folder / f"{name}.pt", {"case": "vgg19_style", "weights": trunk.state_dict(),
                                                 "model": {"tag": "rgb01", "padding": "reflect"}})
    return folder


def blobs(draw, height, width):
    """A drawn picture with soft shapes: (3, height, width) in [0, 1]."""
    small = draw.uniform(0, 1, (height // 8, width // 8, 3)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(large).permute(2, 0, 1).clamp(0, 1)
