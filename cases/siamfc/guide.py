"""A network that knows pictures, as a guide: what SqueezeNet sees shall be readable off phi by a linear map.

A few hundred photographs and clips are little to learn features from; a classifier has seen a million. Its features are
no tracker's, so they are not copied (that is what teacher.py does): of phi it is only asked that the best linear map to
them leaves little over. No parameter is learnt for that: the map is the least-squares solution of each batch.
"""
import torch
import torch.nn.functional as F

from cases.siamfc.losses import vectors
from common.features import vgg

TAPS = ("features.7", "features.12")                          # 256 channels of stride 8, 512 of stride 16
FIRST = 4                                                     # cell of the guide's grid where phi's first cell lies
RIDGE = 1e-3                                                  # of the mean energy of phi's channels


class Guide:
    """network: a name or file of SqueezeNet 1.1, as common.features.vgg takes it."""

    def __init__(self, network, device, precision="fp32"):
        self.trunk = vgg.load(network, TAPS).to(device)
        if precision == "bf16":
            self.trunk = self.trunk.to(torch.bfloat16)

    @torch.no_grad()
    def features(self, pictures, side):
        """Features (N, 768, side, side) at the centres of phi's cells, each channel with mean 0 and variance 1.

        pictures: uint8 (N, 3, h, w) whose phi has side x side cells. phi's cells lie at 43 + 8 i pixels. Those of
        stride 8 lie at 7 + 8 k, so that the mean of two neighbours, at 11 + 8 k, meets them at k = i + 4; those of
        stride 16, at 15 + 16 k, meet them there as well when they are enlarged twice.
        """
        fine, coarse = self.trunk(pictures.float() / 255).values()
        fine = F.avg_pool2d(fine.float(), 2, stride=1)
        coarse = F.interpolate(coarse.float(), scale_factor=2, mode="bilinear", align_corners=False)
        window = slice(FIRST, FIRST + side)
        joined = torch.cat([fine[:, :, window, window], coarse[:, :, window, window]], dim=1)
        spread, mean = torch.std_mean(joined, (0, 2, 3), keepdim=True)
        return (joined - mean) / spread.clamp(min=1e-3)

    def term(self, pictures, phi):
        """The share of the guide's variance that no linear map of phi (N, C, h, w) explains: a scalar in [0, 1]."""
        wanted = vectors(self.features(pictures, phi.shape[-1]))                                  # (N h w, 768)
        given = vectors(phi)
        given = F.pad(given, (0, 1), value=1.0)                                                   # and a constant
        with torch.no_grad():                          # at the minimum the map's own derivative does not count
            energy = given.T @ given
            energy.diagonal().add_(RIDGE * energy.diagonal()[:-1].mean())
            readout = torch.linalg.solve(energy, given.T @ wanted)                                # (C + 1, 768)
        return (given @ readout - wanted).square().mean()
