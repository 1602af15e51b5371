"""Two habits that several cases share: a learning rate that warms up and falls, and a moving average of the weights."""
import math

from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel


def warmup_cosine(optimizer, steps, warmup=0, end=0.01):
    """Rises linearly over `warmup` steps, then falls by a cosine to `end` times the rate at step `steps`."""
    def factor(step):
        rise = min(1.0, (step + 1) / (warmup + 1))
        return rise * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
    return LambdaLR(optimizer, factor)


def moving_average(model, decay):
    """An exponential moving average of the weights; call .update_parameters(model) after each step, evaluate .module.

    The decay starts at 0.1 and reaches `decay` after some 10 / (1 - decay) steps, so that the first weights are soon
    forgotten. 0: none.
    """
    def average(averaged, current, count):
        kept = min(decay, (1 + count.item()) / (10 + count.item()))
        return averaged * kept + current * (1 - kept)
    return AveragedModel(model, avg_fn=average)
