"""What the network's picture is held against: the known pixels alone. Pictures (1, 3, H, W), known (1, 1, H, W) in {0,
1}."""
import torch.nn.functional as F


def square(x, given, known):
    """E = ||m (f(z) - x0)||^2 (the paper's equation 4), as a mean over the known pixels and three channels."""
    return ((x - given).square() * known).sum() / (3 * known.sum())


def absolute(x, given, known):
    """The same with absolute differences (the course's L1 term)."""
    return ((x - given).abs() * known).sum() / (3 * known.sum())


def perceptual(trunk, tap, x, given, known):
    """Mean square difference of a trunk's maps at a tap; what is not known is black in both pictures."""
    return F.mse_loss(trunk(x * known)[tap], trunk(given * known)[tap].detach())
