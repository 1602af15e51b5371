"""A trained network as the teacher of a smaller one (distillation): the student's features shall equal the teacher's.

The teacher has more channels. Of its features only the leading directions are kept, as many as the student has
channels; they carry nearly all of the energy, and since they are orthonormal, correlations stay what they were.
A student that has learnt something already keeps more of it if the teacher comes to meet it: the directions may be
turned among themselves, which changes no correlation either, and all lengths multiplied by one number.
"""
import torch

from cases.siamfc.losses import relative_error, vectors
from cases.siamfc.model import SiamFC, correlate, fold
from cases.siamfc.weights import read
from common.experiment import checkpoints

SAMPLES = 64                                                  # pairs from which the directions are found
OF_MAPS = 0.3                                                 # weight of the response maps beside the features


class Teacher:
    """The features that a student with `channels` channels shall learn, of the pairs of a data set.

    weights: a weights file, of this project or of a port. start: the network that the student was when its training
    began, if that had learnt something. Features of a pool of pairs are computed once and kept.
    """

    def __init__(self, weights, pairs, channels, device, precision="fp32", start=None):
        network = checkpoints.build(SiamFC, read(weights)).to(device)
        self.type = torch.bfloat16 if precision == "bf16" else torch.float32
        self.network, self.pool, self.known = fold(network.backbone).to(self.type), pairs.pool, {}
        self.projection = torch.eye(network.backbone.conv5[0].out_channels, device=device)
        self.projection = self.leading_directions(pairs, channels)                                # (C, channels)
        if start is not None:
            self.projection = self.projection @ self.turn(pairs, fold(start.to(device).backbone))

    @torch.no_grad()
    def leading_directions(self, pairs, channels):
        """Orthonormal directions (C, channels) that carry most of the features' energy (not of their variance: what is
        correlated has no mean taken off)."""
        energy = 0
        for picture in self.examples(pairs):
            features = vectors(self.embed(picture))
            energy = energy + features.T @ features
        values, directions = torch.linalg.eigh(energy.cpu().double())                             # ascending
        self.kept = float(values[-channels:].sum() / values.sum())
        return directions[:, -channels:].float().to(self.projection.device)

    @torch.no_grad()
    def turn(self, pairs, start):
        """A rotation times a number (channels, channels), after which the features lie nearest to the start's: the
        orthogonal Procrustes problem, and the ratio of both's lengths."""
        crossed = own = others = 0
        for picture in self.examples(pairs):
            wanted, given = vectors(self.embed(picture)), vectors(start(picture.float()))
            crossed = crossed + wanted.T @ given
            own, others = own + wanted.square().sum(), others + given.square().sum()
        left, _, right = torch.linalg.svd(crossed.cpu().double())
        return (left @ right).float().to(self.projection.device) * (others / own).sqrt()

    def examples(self, pairs):
        """The search regions (1, 3, h, w) that the directions are found with."""
        for index in range(SAMPLES):
            yield pairs[divmod(index, len(pairs))].x[None].to(self.projection.device)

    def embed(self, pictures):
        """Projected features of uint8 (N, 3, h, w): (N, channels, h', w')."""
        features = self.network(pictures.to(self.type).contiguous(memory_format=torch.channels_last))
        return torch.einsum("nchw,cd->ndhw", features.float(), self.projection).to(torch.bfloat16)

    @torch.no_grad()
    def features(self, pair):
        """(z features, x features) of a batch of samples."""
        if not self.pool:
            return self.embed(pair.z).float(), self.embed(pair.x).float()
        new = [place for place, number in enumerate(pair.number.tolist()) if number not in self.known]
        if new:
            for place, *made in zip(new, self.embed(pair.z[new]), self.embed(pair.x[new])):
                self.known[int(pair.number[place])] = made
        made = [self.known[number] for number in pair.number.tolist()]
        return tuple(torch.stack(part).float() for part in zip(*made))

    def terms(self, pair, responses, z, x, weight):
        """The named losses: relative errors of the features of z and x, and of the maps of every z on every x."""
        wanted_z, wanted_x = self.features(pair)
        wanted = correlate(wanted_z, wanted_x)
        return {"taught_z": weight * relative_error(z, wanted_z), "taught_x": weight * relative_error(x, wanted_x),
                "taught_maps": weight * OF_MAPS * relative_error(responses, wanted)}
