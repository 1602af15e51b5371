"""Losses on response maps: the paper's `logistic` (section 2.2), and `competing` and `foreign`, which are ours; and
`relative_error` of features for learning from a teacher.

v is a response (times 1e-3, bias added), y = +1 or -1 its label. Shapes: N pairs, h x w cells of the map (15 x 15 in
training), stride 8: cell (i, j) looks at the place 8 (i - 7), 8 (j - 7) from the search region's middle.
"""
import torch
import torch.nn.functional as F

from cases.siamfc.model import STRIDE, own

RADIUS = 16.0  # pixels of the search region within which a cell is positive


def distances(offset, size):
    """Distance in pixels of every cell's place from the target, (N, size, size).

    offset: (N, 2), (x, y) of the target from the middle of the search region.
    """
    places = (torch.arange(size, device=offset.device) - (size - 1) / 2) * STRIDE
    across = places[None, None, :] - offset[:, 0, None, None]
    down = places[None, :, None] - offset[:, 1, None, None]
    return torch.sqrt(across ** 2 + down ** 2)


def positives(offset, size):
    """(N, size, size) bool: the cells within RADIUS, 13 around a target in the middle (also in city-block distance)."""
    return distances(offset, size) <= RADIUS


def balance(positive, mass=(0.5, 0.5)):
    """Weights (N, h, w) that sum to mass[0] over the positive and mass[1] over the other cells of each map."""
    positive = positive.float()
    return (mass[0] * positive / positive.sum((1, 2), keepdim=True).clamp(min=1)
            + mass[1] * (1 - positive) / (1 - positive).sum((1, 2), keepdim=True).clamp(min=1))


def logistic(responses, positive, mass=(0.5, 0.5)):
    """The paper's loss: mean over pairs of the weighted sum over cells of log(1 + exp(-y v)).

    responses: (N, h, w), each pair's own; positive: bool of the same shape, where y = +1.
    """
    signed = torch.where(positive, responses, -responses)                    # y v
    return (balance(positive, mass) * F.softplus(-signed)).sum((1, 2)).mean()


def competing(responses, offset, width=0.8, reach=2.2):
    """Softmax cross-entropy: which cell is the target? The mean of two: of all N search regions' cells, and of its own.

    responses: (N, N, h, w), each exemplar against each search region. The answer wanted is a Gaussian of `width` cells
    around the target, cut at `reach` cells.
    """
    count, size = len(responses), responses.shape[-1]
    cells = distances(offset, size) / STRIDE
    wanted = torch.exp(-0.5 * (cells / width) ** 2) * (cells <= reach)
    wanted = (wanted / wanted.sum((1, 2), keepdim=True).clamp(min=1e-9)).flatten(1)                  # (N, h w)
    alone = -(wanted * own(responses).flatten(1).log_softmax(1)).sum(1)
    everywhere = responses.flatten(1).log_softmax(1).view(count, count, -1)      # (N, N, h w), one per exemplar
    among = -(wanted * everywhere[torch.arange(count), torch.arange(count)]).sum(1)
    return 0.5 * (alone + among).mean()


def foreign(responses):
    """Mean of log(1 + exp(v)) over the maps of exemplars on other pairs' search regions, where nothing should answer.

    responses: (N, N, h, w). 0 for one pair.
    """
    count = len(responses)
    if count == 1:
        return responses.sum() * 0
    others = ~torch.eye(count, dtype=torch.bool, device=responses.device)
    return F.softplus(responses[others]).mean()


def terms(responses, offset, kind):
    """The named terms whose sum is trained on, of responses (N, N, h, w).

    kind: logistic (the paper's), joint (ours: every exemplar against every search region) or competing (of joint what
    a constant added to all responses leaves as it is: for a teacher whose responses are not around 0).
    """
    if kind == "competing":
        return {"competing": competing(responses, offset)}
    positive = positives(offset, responses.shape[-1])
    if kind == "logistic":
        return {"logistic": logistic(own(responses), positive)}
    return {"competing": competing(responses, offset), "logistic": 2 * logistic(own(responses), positive, (0.5, 0.25)),
            "foreign": 0.5 * foreign(responses)}


def relative_error(given, wanted):
    """Squared error of features or maps as a share of their energy: |given - wanted|^2 / |wanted|^2, a scalar."""
    wanted = wanted.float()
    return (given.float() - wanted).square().sum() / wanted.square().sum().clamp(min=1e-9)


def vectors(maps):
    """Feature maps (N, C, h, w) as one vector per cell: (N h w, C) float32."""
    return maps.float().permute(0, 2, 3, 1).flatten(0, 2)
