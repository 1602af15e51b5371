"""Parts of networks that estimate homographies, and a small one made of them.

Pictures are (N, 3, 128, 128) in [0, 1]; offsets and homographies as in common/stitching/geometry.py, of a picture of
128 pixels.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.stitching.geometry import (
    corners,
    homography_from_offsets,
    offsets_from_homography,
    rescale,
    transform,
    warp,
)

SIDE = 128
COARSE, FINE = 8, 4             # pixels per place of the small network's maps
STRIDE = 2                     # its fine steps look at every other place of A, in each direction


class Features(nn.Module):
    """The papers' feature extractor: four blocks of two convolutions, a pooling layer between them. 628,032 parameters.

    Returns the four blocks' maps of a gray picture (N, 1, 128, 128): 64 x 128 x 128, 64 x 64 x 64, 128 x 32 x 32, 128 x
    16 x 16.
    """

    def __init__(self, widths=(64, 64, 128, 128)):
        super().__init__()
        self.blocks = nn.ModuleList(double_convolution(inputs, width) for inputs, width in zip((1, *widths), widths))

    def forward(self, gray):
        maps = [self.blocks[0](gray)]
        for block in self.blocks[1:]:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        return maps


def double_convolution(inputs, outputs):
    """Two 3x3 convolutions with ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True),
                         nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True))


def unit_length(maps):
    """Feature vectors of length 1 (or 0): x / sqrt(max(sum x^2, 1e-12)) over the channels."""
    return maps * maps.square().sum(dim=1, keepdim=True).clamp(min=1e-12).rsqrt()


def cost_volume(a, b, radius, stride=1):
    """How alike a's vector at each place and b's at each displacement are, a mean product: (N, (2 r + 1)^2, H, W).

    Channel (dy + r)(2 r + 1) + dx + r is the displacement (dx, dy); b is zero outside. stride: only every so many
    places of a, from the first. One matrix product of all pairs of places and one gather; shifted slices only where the
    window is very small beside the map.
    """
    n, channels, height, width = a.shape
    side, places = 2 * radius + 1, a[:, :, ::stride, ::stride]
    if 16 * side ** 2 < height * width:
        padded = F.pad(b, [radius] * 4)
        slices = [(places * padded[:, :, dy:dy + height:stride, dx:dx + width:stride]).mean(dim=1)
                  for dy in range(side) for dx in range(side)]
        return torch.stack(slices, dim=1)
    pairs = torch.bmm(b.flatten(2).mT, places.flatten(2) / channels)                # (N, places in b, places in a)
    index, inside = _displace(height, width, radius, stride, a.device)
    volume = pairs.gather(1, index.expand(n, -1, -1)) * inside.to(pairs.dtype)
    return volume.view(n, side ** 2, *places.shape[2:])


def _displace(height, width, radius, stride, device):
    """Where a displacement leads from each place of a: (index in b (K, places), whether that is inside (K, places))."""
    shift = torch.arange(-radius, radius + 1, device=device)
    rows = shift[:, None, None, None] + torch.arange(0, height, stride, device=device)[:, None]       # (dy, 1, H, 1)
    columns = shift[:, None, None] + torch.arange(0, width, stride, device=device)                    # (dx, 1, W)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)                       # (dy, dx, H, W)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return index.reshape(len(shift) ** 2, -1), inside.reshape(len(shift) ** 2, -1)


def initialise(network):
    """The papers' initial weights: Xavier's, without biases."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


class UNet(nn.Module):
    """The papers' U-Net: four levels of two convolutions, widths 1, 2, 4, 8 times `width`.

    Upwards transposed convolutions with ReLU. Any size: sides are padded by reflection to multiples of 8 and cropped.
    No activation at the end. width 64: 7,702,467 parameters with 9 inputs, 7,700,739 with 6.
    """

    def __init__(self, inputs, width=64, outputs=3):
        super().__init__()
        widths = [width * factor for factor in (1, 2, 4, 8)]
        self.down = nn.ModuleList(double_convolution(before, after) for before, after in zip([inputs, *widths], widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * after, after, 2, stride=2) for after in widths[-2::-1])
        self.merge = nn.ModuleList(double_convolution(2 * after, after) for after in widths[-2::-1])
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x):
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="reflect" if min(height, width) >= 8 else "replicate")
        skips = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for rise, merge, skip in zip(self.up, self.merge, skips[-2::-1]):
            x = merge(torch.cat([skip, F.relu(rise(x))], dim=1))
        return self.last(x)[..., :height, :width]


# ---- the small network ----

class Residual(nn.Module):
    """x + two 3x3 convolutions, group norm behind each."""

    def __init__(self, width, dilation=1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.GroupNorm(8, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.GroupNorm(8, width))

    def forward(self, x):
        return F.relu(x + self.body(x))


def halving(inputs, outputs, kernel=3):
    """A convolution of stride 2, group norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False),
                         nn.GroupNorm(8, outputs), nn.ReLU(inplace=True))


class Fine(NamedTuple):
    """One fine step."""
    log_probability: Tensor         # (N, K, 16, 16), of each displacement
    counts: Tensor                  # (N, 256), whether B has any of them
    start: Tensor                   # (N, 3, 3), the H_ba where it began


class Prediction(NamedTuple):
    """What a homography network says. offsets: (N, 8) float64, the last stage's; stages: of each stage.

    For supervised losses, None from networks that have no such thing: log_a, log_b: log probabilities of a match of
    each place of A among B's 256, or none at all (N, 256, 257), and of B's among A's; fine: a Fine per fine step.
    """
    offsets: Tensor
    stages: list
    log_a: Tensor | None = None
    log_b: Tensor | None = None
    fine: list | None = None


class SmallHomography(nn.Module):
    """Two pictures -> Prediction: match all places with all places, fit a homography, match around it more finely.

    Not the paper's regression: nothing is learnt by heart but what looks alike. Features at 1/8 and 1/4 of the size;
    softmax in both directions over all pairs of places, with a place for "not in the other picture"; a robust weighted
    fit of the eight offsets; then `steps`
    times: B's fine features warped by the estimate, matched in a window of +-4 places (16 pixels), fitted again. 1.2
    million parameters.
    """

    def __init__(self, width=32, steps=2, radius=4):
        super().__init__()
        self.steps, self.radius = steps, radius
        self.stem = halving(1, width, 5)
        self.quarter = nn.Sequential(halving(width, 2 * width), Residual(2 * width))
        self.eighth = nn.Sequential(halving(2 * width, 4 * width), Residual(4 * width), Residual(4 * width, 2),
                                    Residual(4 * width))
        self.coarse = nn.Conv2d(4 * width, 4 * width, 1)
        self.lateral, self.above = nn.Conv2d(2 * width, 2 * width, 1), nn.Conv2d(4 * width, 2 * width, 1)
        self.fine = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.sharpness = nn.Parameter(torch.tensor([10.0, 10.0]))       # times cosine, into softmax: coarse, fine
        self.nowhere = nn.Parameter(torch.tensor(3.0))                  # the logit of "not in the other picture"

    def features(self, picture):
        """Unit feature vectors (N, 4 w, 16, 16) and (N, 2 w, 32, 32), whatever the brightness and contrast."""
        gray = picture.mean(dim=1, keepdim=True)
        deviation, mean = torch.std_mean(gray, dim=(2, 3), keepdim=True)
        quarter = self.quarter(self.stem((gray - mean) / (deviation + 0.02)))
        eighth = self.eighth(quarter)
        fine = self.fine(F.relu(self.lateral(quarter) + F.interpolate(self.above(eighth), scale_factor=2.0)))
        return unit_length(self.coarse(eighth).float()), unit_length(fine.float())

    def forward(self, a, b):
        (coarse_a, coarse_b), (fine_a, fine_b) = (maps.chunk(2) for maps in self.features(torch.cat([a, b])))
        with torch.autocast(a.device.type, enabled=False):
            H, log_a, log_b = self.match_everywhere(coarse_a, coarse_b)
            stages, fine = [offsets_from_homography(H, (SIDE, SIDE))], []
            for _ in range(1 if self.training else self.steps):         # they share their weights: one teaches all
                fine.append(self.match_around(fine_a, fine_b, H.detach()))
                H = self.fit_fine(fine[-1])
                stages.append(offsets_from_homography(H, (SIDE, SIDE)))
        return Prediction(stages[-1], stages, log_a, log_b, fine)

    def match_everywhere(self, a, b):
        """(H_ba, log_a, log_b) from the coarse features."""
        n, _, height, width = a.shape
        alike = self.sharpness[0] * torch.bmm(a.flatten(2).mT, b.flatten(2))            # (N, 256 of A, 256 of B)
        nowhere = self.nowhere.expand(n, height * width, 1)
        log_a = torch.cat([alike, nowhere], dim=2).log_softmax(dim=2)
        log_b = torch.cat([alike.mT, nowhere], dim=2).log_softmax(dim=2)
        both = (log_a[:, :, :-1] + log_b[:, :, :-1].mT).exp()
        places = centres(height, width, COARSE, a.device)
        weight_a, weight_b = both.sum(dim=2), both.sum(dim=1)
        found_a = both @ places / weight_a[..., None].clamp(min=1e-9)                   # where A's places lie in B
        found_b = both.mT @ places / weight_b[..., None].clamp(min=1e-9)
        here = places.expand(n, -1, -1)
        points_b, points_a = torch.cat([found_a, here], dim=1), torch.cat([here, found_b], dim=1)
        H = fit(points_b, points_a, torch.cat([weight_a, weight_b], dim=1), None, (48.0, 24.0, 12.0, 8.0, 6.0, 6.0))
        return H, log_a, log_b

    def match_around(self, a, b, H):
        """A Fine around H from the fine features: every other place of A with B's, warped by H, in a window."""
        height, width = a.shape[-2:]
        share = (width / SIDE, height / SIDE)
        warped, mask = warp(b, rescale(H, share, share), (width, height))
        cost = cost_volume(a, warped, self.radius, STRIDE) * (self.sharpness[1] * a.shape[1])       # cosines
        there = cost_volume(torch.ones_like(mask), (mask >= 0.5).to(cost), self.radius, STRIDE)     # 1 where B is
        return Fine((cost + 30 * (there - 1)).log_softmax(dim=1), there.amax(dim=1).flatten(1), H)

    def fit_fine(self, fine):
        """H_ba (N, 3, 3) from the matches of a fine step."""
        height, width = fine.log_probability.shape[-2:]
        probability = fine.log_probability.exp().flatten(2).mT                          # (N, 256, K)
        shifts, mass = peak(probability, self.radius)
        expected = FINE * shifts                                                        # (N, 256, 2) pixels
        places = fine_places(height, width, probability.device).expand(len(probability), -1, -1)
        points_b, _ = transform(torch.linalg.inv(fine.start), places.double() + expected)
        return fit(points_b, places, mass.square() * fine.counts, fine.start, (8.0, 4.0, 2.0, 2.0))


def peak(probability, radius):
    """(the expected displacement (N, P, 2), x and y in places; the probability (N, P)) of the nine round the likeliest.

    probability: (N, P, K) of the K = (2 r + 1)^2 displacements of cost_volume for each of P places.
    """
    shift = torch.arange(-radius, radius + 1, dtype=torch.float32, device=probability.device)
    shifts = torch.stack([shift.repeat(len(shift)), shift.repeat_interleave(len(shift))], dim=1)    # (K, 2): x, y
    around = (torch.cdist(shifts, shifts, p=torch.inf) < 1.5).float()                   # the nine places round each
    near = probability * around[probability.argmax(dim=2)]                              # far candidates would bend it
    mass = near.sum(dim=2)
    return (near @ shifts) / mass[..., None].clamp(min=1e-9), mass


def offset_distance(stages, true, ratio=0.7, beta=2.0):
    """sum over stages k of ratio^(K - k) smooth-L1(f_k, f*), mean over the eight numbers, each at most 32 pixels."""
    distances = (F.smooth_l1_loss(each.float(), true.float(), beta=beta, reduction="none") for each in reversed(stages))
    return sum(ratio ** later * 32 * torch.tanh(distance / 32).mean() for later, distance in enumerate(distances))


SURE = 0.2                          # probability of a match that counts as evidence
NEAR = 10.0                         # pixels from where the homography puts it


def support(prediction):
    """(matches, inliers, points) of the first pair of a batch: places of A with a sure partner in B.

    inliers: those with which the final homography agrees; points: theirs, (inliers, 4) array, x and y in A and in B. As
    with keypoints, 8 inliers are evidence: 120 pairs of unrelated photographs had at most 1, real pairs 15 and more.
    (None, None, None) for networks that do not match.
    """
    if prediction.log_a is None:
        return None, None, None
    sure, partner = (prediction.log_a[0, :, :-1] + prediction.log_b[0, :, :-1].mT).exp().max(dim=1)
    places = centres(SIDE // COARSE, SIDE // COARSE, COARSE, sure.device).double()
    moved, _ = transform(homography_from_offsets(prediction.offsets[:1], (SIDE, SIDE)), places[partner][None])
    sure, agree = sure > SURE, (moved[0] - places).norm(dim=1) < NEAR
    points = torch.cat([places, places[partner]], dim=1)[sure & agree].cpu().numpy()
    return int(sure.sum()), len(points), points


def centres(height, width, cell, device=None):
    """The middles of a map's places in the picture, pixel centres at integers: (H W, 2) float32, x and y."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * cell - 0.5


def fine_places(height, width, device=None):
    """The same of the places of A that fine steps look at."""
    return centres(height, width, FINE * STRIDE, device) - FINE * (STRIDE - 1) / 2


def fit(points_b, points_a, weight, start, scales, prior=15.0, noise=0.5):
    """H_ba (N, 3, 3) float64 that maps points_b onto points_a (N, K, 2) best: robust Gauss-Newton, a step per scale.

    weight: (N, K), how far to trust a pair. scales: pixels beyond which a pair counts little in that step. prior:
    standard deviation in pixels of the offsets about their mean (the generator's perturbation has 14.4), against pairs
    of weight 1 whose error is `noise` pixels: it steadies corners that nothing was matched near. On held-out
    photographs noise 4 gave an error of 3.9 pixels, 1 and less 2.1. Where start is None, begins at the weighted mean
    shift. The gradient is the last step's: at the optimum that is the gradient of the solution.
    """
    points_b, points_a, weight = points_b.double(), points_a.double(), weight.double()
    if start is None:
        total = weight.detach().sum(dim=1)[:, None].clamp(min=1e-9)
        shift = (weight.detach()[..., None] * (points_a - points_b).detach()).sum(dim=1) / total
        start = torch.eye(3, dtype=torch.float64, device=weight.device).repeat(len(weight), 1, 1)
        start[:, :2, 2] = shift
    H = start
    with torch.no_grad():
        for scale in scales[:-1]:
            H = _step(H, points_b, points_a, weight, scale, prior, noise)
    return _step(H, points_b, points_a, weight, scales[-1], prior, noise)


def _step(H, points_b, points_a, weight, scale, prior, noise):
    """One step of fit: (I + D) H with the D that lessens the weighted squares most."""
    moved, w = transform(H, points_b)
    error = points_a - moved
    trust = (w > 0.1) * weight / (1 + error.detach().square().sum(dim=-1) / scale ** 2) ** 2 / noise ** 2
    columns = increments(moved)                                                         # (N, K, 2, 8)
    weighted = columns * trust[..., None, None]
    normal, right = torch.einsum("nkci,nkcj->nij", weighted, columns), torch.einsum("nkci,nkc->ni", weighted, error)
    source = corners((SIDE, SIDE)).to(H.device).expand(len(H), 4, 2)
    ends, _ = transform(H, source)
    bend, bent = ((each - each.mean(dim=1, keepdim=True)) / prior for each in (increments(ends), ends - source))
    normal = normal + torch.einsum("nkci,nkcj->nij", bend, bend) + 1e-6 * torch.eye(8, dtype=H.dtype, device=H.device)
    right = right - torch.einsum("nkci,nkc->ni", bend, bent)
    offsets = offsets_from_homography(apply_increments(torch.linalg.solve(normal, right), H), (SIDE, SIDE))
    return homography_from_offsets(offsets.clamp(-1.5 * SIDE, 1.5 * SIDE), (SIDE, SIDE))


MIDDLE = (SIDE - 1) / 2


def increments(points):
    """How D's eight numbers move points (N, K, 2) under I + D: (N, K, 2, 8). Coordinates centred, divided by 64."""
    x, y = ((points - MIDDLE) / 64).unbind(dim=-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return 64 * torch.stack([torch.stack([x, y, one, zero, zero, zero, -x * x, -x * y], dim=-1),
                             torch.stack([zero, zero, zero, x, y, one, -x * y, -y * y], dim=-1)], dim=-2)


def apply_increments(change, H):
    """(I + D) H, D from its eight numbers (N, 8)."""
    centred = torch.tensor([[1 / 64, 0, -MIDDLE / 64], [0, 1 / 64, -MIDDLE / 64], [0, 0, 1]], dtype=H.dtype,
                           device=H.device)
    D = torch.cat([change, torch.zeros_like(change[:, :1])], dim=1).view(-1, 3, 3)
    D = D + torch.eye(3, dtype=H.dtype, device=H.device)
    H = torch.linalg.inv(centred) @ D @ centred @ H
    return H / H[:, 2:, 2:]
