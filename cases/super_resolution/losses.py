"""What super-resolution minimises. Pictures (N, 3, H, W) in [0, 1]; every mean is over all values."""
import torch.nn.functional as F


def content(y, truth, kind="l1"):
    """Mean absolute (l1) or mean square (mse) difference."""
    return F.l1_loss(y, truth) if kind == "l1" else F.mse_loss(y, truth)


def perceptual(trunk, tap, y, truth):
    """Mean square difference of the trunk's maps at a tap (Ledig et al. 2017, equation 5)."""
    return F.mse_loss(trunk(y)[tap], trunk(truth)[tap].detach())


def judge_loss(real, fake, kind="bce"):
    """What the discriminator minimises: real, fake are its answers (N,) to true pictures and to the network's.

    bce: the log likelihood of both; hinge: mean max(0, 1 - real) + mean max(0, 1 + fake); relativistic: bce of how much
    more real a true picture looks than the mean of the others (Jolicoeur-Martineau 2019).
    """
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "relativistic":
        real, fake = real - fake.mean(), fake - real.mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def adversarial(fake, real=None, kind="bce"):
    """What the network minimises so that its pictures pass for true ones."""
    if kind == "hinge":
        return -fake.mean()
    if kind == "relativistic":
        return F.softplus(-(fake - real.mean())).mean() + F.softplus(real - fake.mean()).mean()
    return F.softplus(-fake).mean()
