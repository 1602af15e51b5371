"""The fit of one picture: what train.py does in a step, and what it keeps.

    prior = Prior(settings)
    prior.look_at(task, place, device)
    prior.begin()
    for step in range(1, steps + 1):
        take_step(prior, optimizer, step, check=step % 25 == 0)
    averaged, last = prior.finish(task.name)
"""
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from cases.image_prior import losses
from cases.image_prior.model import PriorNetwork, crop, make_input
from common.base.errors import UserError
from common.data.images import to_bytes
from common.features import vgg

EMPTY = -1.0                                                  # the held-out score before the first


class Prior(nn.Module):
    """A network with everything that its fit has made so far: z, the running average of its pictures, the best pictures
    by the held-out pixels, the sum of what earlier fits of this picture came to; in 8 bit the pictures that are done.

    One Prior serves all pictures of a run, one after the other: it is what a checkpoint holds, and its state_dict has
    the size of the present picture. settings: the case's.
    """

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        check(settings.model)
        self.network = PriorNetwork(**{name: value for name, value in settings.model.items() if name != "input"})
        for name in ("z", "total", "weight", "best", "best_last", "score", "best_step", "earlier", "fits"):
            self.register_buffer(name, torch.zeros(1))
        self.done, self.given, self.trunk = {}, None, None
        if settings.train.perceptual:
            self.trunk = [vgg.load("small", [settings.train.tap])]            # in a list: it is no part of the state

    def to(self, *args, **kwargs):
        if self.trunk:
            self.trunk = [self.trunk[0].to(*args, **kwargs)]
        return super().to(*args, **kwargs)

    def look_at(self, task, place, device):
        """Take the picture that is to be fitted: its known pixels, less those that are held out."""
        self.place, self.size = place, task.true.shape[:2]
        self.given = torch.from_numpy(task.given).permute(2, 0, 1)[None].float().to(device) / 255
        known, held = ~task.mask, self.settings.train.held_out
        drawn = np.random.default_rng([self.settings.seed, place, 1]).random(self.size) < held
        self.known, self.held = (torch.from_numpy(chosen.astype(np.float32))[None, None].to(device)
                                 for chosen in (known & ~drawn, known & drawn))

    def begin(self, fit=0):
        """Draw weights and z anew, from the seed, the picture's place and the number of the fit alone; the average
        starts anew. From the second fit on what the one before came to is kept."""
        settings, device = self.settings, self.given.device
        self.earlier = self.earlier + self.best if fit else torch.zeros_like(self.given)
        self.fits = torch.full((1,), float(fit))
        torch.manual_seed(1_000_003 * settings.seed + self.place + 500_009 * fit)
        self.network.restart()
        self.z = make_input(settings.model.input, self.network.maps, self.size, self.network.multiple).to(device)
        self.total, self.weight = torch.zeros_like(self.given), torch.zeros(1, dtype=torch.float64)
        self.best = self.best_last = self.total
        self.score, self.best_step = torch.full((1,), EMPTY, dtype=torch.float64), torch.zeros(1)

    def picture(self):
        """f(z), z shaken anew: (1, 3, H, W)."""
        jitter = self.settings.train.jitter
        z = self.z + jitter * torch.randn(self.z.shape).to(self.z.device) if jitter else self.z
        return crop(self.network(z.contiguous(memory_format=torch.channels_last)), self.size)

    def terms(self):
        """{name: weighted term} of a step."""
        train, x = self.settings.train, self.picture().float()
        self.last = x.detach()
        found = {}
        if train.square:
            found["square"] = train.square * losses.square(x, self.given, self.known)
        if train.absolute:
            found["absolute"] = train.absolute * losses.absolute(x, self.given, self.known)
        if self.trunk:
            found["perceptual"] = train.perceptual * losses.perceptual(self.trunk[0], train.tap, x, self.given,
                                                                       self.known)
        return found

    def after(self, step, check):
        """Add the step's picture to the average; check: whether the held-out pixels are asked now. Returns their PSNR
        then, else None; without held-out pixels the latest is always the best."""
        decay = self.settings.train.average
        self.total = decay * self.total + (1 - decay) * self.last
        self.weight = decay * self.weight + 1 - decay
        if not check:
            return None
        mean = self.total / float(self.weight)
        count = 3 * float(self.held.sum())
        error = float(((mean - self.given).square() * self.held).sum()) / count if count else 0.0
        score = -10 * np.log10(max(error, 1e-10)) if count else float(step)
        if score > float(self.score):
            self.best, self.best_last = mean, self.last.clone()
            self.score, self.best_step = torch.full((1,), score, dtype=torch.float64), torch.full((1,), float(step))
        return score if count else None

    def exhausted(self, step):
        """Whether the held-out pixels have had no better step for train.patience steps."""
        patience = self.settings.train.patience
        return bool(patience and self.settings.train.held_out and step > float(self.best_step) + patience)

    def finish(self, name):
        """Keep two pictures in 8 bit, (H, W, 3), and return them: the mean of the averaged pictures that the fits had
        at their best steps, and the picture of the last fit's best step."""
        mean = (self.earlier + self.best) / (float(self.fits) + 1)
        pictures = [to_bytes(each[0]) for each in (mean, self.best_last)]
        for kind, pixels in zip(("averaged", "last"), pictures):
            self.done[f"{name}.{kind}"] = torch.from_numpy(pixels)
        self.done[f"{name}.step"] = self.best_step.clone().cpu()
        self.done[f"{name}.given"] = torch.from_numpy(to_bytes(self.given[0]))
        return pictures

    def state_dict(self, *args, **kwargs):
        return super().state_dict(*args, **kwargs) | {f"done.{name}": value for name, value in self.done.items()}

    def load_state_dict(self, state):
        self.done = {name.removeprefix("done."): value.cpu() for name, value in state.items()
                     if name.startswith("done.")}
        for name, buffer in list(self.named_buffers()):
            setattr(self, name, state[name].to(buffer.device, copy=True))
        self.network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()
                                      if name.startswith("network.")})


def check(model):
    """Raise UserError for settings of the network that do not fit each other."""
    if len(model.widths) != len(model.skips) or not model.widths:
        raise UserError(f"model.widths has {len(model.widths)} numbers, model.skips {len(model.skips)}: one of each "
                        "for every level was expected: give as many")
    if model.input == "meshgrid" and model.maps != 2:
        raise UserError(f"model.input=meshgrid has two maps, not model.maps={model.maps}: 2 was expected: set "
                        "model.maps=2")
    for name in ("kernel_down", "kernel_up"):
        if model[name] % 2 == 0:
            raise UserError(f"model.{name}={model[name]} is even: an odd number of pixels was expected: change it by 1")


def place_in_fit(step, steps):
    """(number of the fit from 0, step in it from 1) of a picture's step, where a fit takes `steps`."""
    fit, before = divmod(step - 1, steps)
    return fit, before + 1


def set_rate(optimizer, train, step):
    """Give the optimiser the rate of a step: train.lr, at the end falling to 2 % of it along a cosine over the share
    train.fall of all steps. At the first step it begins anew."""
    if step == 1:
        optimizer.state.clear()
    fallen = max(0.0, 1 - (train.steps - step) / (train.fall * train.steps)) if train.fall else 0.0
    for group in optimizer.param_groups:
        group["lr"] = float(train.lr * (0.02 + 0.49 * (1 + np.cos(np.pi * fallen))))


def take_step(prior, optimizer, step, check, autocast=nullcontext, descend=None):
    """One step on the known pixels. check: whether the held-out ones are asked: returns their PSNR then, else None.

    autocast: a context for the forward pass; descend(optimizer, **terms): train.py's own, which guards and logs."""
    set_rate(optimizer, prior.settings.train, step)
    with autocast():
        terms = prior.terms()
    (descend or descend_plainly)(optimizer, **terms)
    return prior.after(step, check)


def descend_plainly(optimizer, **terms):
    """A step of the optimiser down the sum of the terms."""
    optimizer.zero_grad(set_to_none=True)
    sum(terms.values()).backward()
    optimizer.step()
