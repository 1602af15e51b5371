# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 深度图像先验：从公式到图像 / Deep image prior: from the equations to the picture
#
# Ulyanov、Vedaldi、Lempitsky，2018；水印的去混合参考 Dekel 等，2017。每个单元格都可以修改后重新运行。公式与字母同
# [README.zh-CN.md](README.zh-CN.md)。网络在第 4、5 节当场拟合，图像很小，步数很少，因此结果只说明做法。
#
# Every cell can be changed and run again; equations and letters are those of [README.md](README.md). The networks are
# fitted on the spot in sections 4 and 5, to small pictures in few steps: they show the way, not what the method can do.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import numpy as np
import torch

from cases.image_prior import baselines, losses
from cases.image_prior.data import Task, blend, composite, draw_mark, fit_square
from cases.image_prior.model import Level, PriorNetwork
from cases.image_prior.prior import Prior, set_rate
from cases.image_prior.unblend import match_inside, own_alpha, unblend, unblend_estimated
from common.base.paths import EMBEDDED
from common.data.images import read_pixels
from common.experiment import figures
from common.experiment.notebook import code, show
from common.experiment.settings import resolve
from common.metrics import psnr_mask

torch.manual_seed(0)
WHITE = np.full(3, 255.0)
true = fit_square(read_pixels(EMBEDDED / "photos" / "coffee.jpg"), 192)
coverage = draw_mark((192, 192), 2)
mask = coverage > 0

# %% [markdown]
# ## 1. 问题 / The problem
#
# 照片上平铺着半透明的文字，不透明度 $\alpha$ 为 0.6。补全方法只看掩膜以外的像素，再把掩膜内填满。
#
# Half-transparent text of alpha 0.6 is tiled over the photograph. Inpainting looks at the pixels outside the mask, and
# fills what is inside.

# %%
code(blend)
marked = blend(true, 0.6 * coverage, WHITE)
filled = {name: method(marked, mask) for name, method in baselines.methods("inpaint").items()}
scores = {name: psnr_mask(picture, true, mask) for name, picture in filled.items()}
print({name: round(value, 2) for name, value in scores.items()}, f"mask: {mask.mean():.1%}")
show(figures.grid([[marked, *filled.values(), true]], ["marked", *filled, "true"],
                  [["", *(f"{value:.2f} dB" for value in scores.values()), ""]]))
assert np.array_equal(marked[~mask], true[~mask]) and 0.15 < mask.mean() < 0.35
assert scores["biharmonic"] > psnr_mask(marked, true, mask) + 5

# %% [markdown]
# ## 2. 去混合 / Un-blending
#
# $$y = (1 - \alpha) x + \alpha w \quad\Rightarrow\quad x = \frac{y - \alpha w}{1 - \alpha}$$
#
# **动手算一算。** 某像素在白色水印（$w = 255$， $\alpha = 0.6$）下显示为 193，它原来是多少？先写下来，再运行。
#
# **By hand.** A pixel shows 193 under a white mark of alpha 0.6. What was it? Write it down before you run the cell.

# %%
code(unblend)
pixel = unblend(np.full((1, 1, 3), 193, np.uint8), np.full((1, 1), 0.6), WHITE)
print(pixel.tolist())
assert pixel.tolist() == [[[100, 100, 100]]]
known = unblend(marked, 0.6 * coverage, WHITE)
print(f"alpha and colour known: {psnr_mask(known, true, mask):.2f} dB")
assert psnr_mask(known, true, mask) > 45

# %% [markdown]
# alpha 偏差 10 % 会怎样？分母是 $1 - \alpha$，所以偏差被放大。
#
# What does an alpha that is 10 % wrong cost? The division by one minus alpha makes the error larger.

# %%
factors = np.linspace(0.8, 1.2, 17)
curve = [psnr_mask(unblend(marked, 0.6 * factor * coverage, WHITE), true, mask) for factor in factors]
figure, axes = figures.new_figure(6, 2.2)
axes[0, 0].plot(factors, curve, marker="o", markersize=3)
axes[0, 0].set_xlabel("alpha taken / true alpha")
axes[0, 0].set_ylabel("PSNR in the mask (dB)")
show(figure)
assert int(np.argmax(curve)) == 8 and curve[8] - curve[4] > 20

# %% [markdown]
# ## 3. 只知道掩膜 / Told the mask alone
#
# 在水印最浓处 $x = s y + t$。选取 $s$ 与 $t$，使还原后的均值和离散程度与紧邻掩膜外的图像一致；由此
# $\alpha = 1 - 1/s$， $w = -t / (s \alpha)$。
#
# Where the mark is deepest, the picture is a line in what is seen. The line is such that mean and spread become those
# of the picture beside the mask, which gives alpha and the colour.

# %%
code(match_inside, own_alpha)
s, t, deep = match_inside([marked / 255], mask)
alpha = 1 - 1 / s
colour = -t / (s * alpha)
print(f"alpha {alpha:.3f}, colour {np.round(colour, 2).tolist()}, from {deep.mean():.1%} of the pixels")
assert abs(alpha - 0.6) < 0.06 and np.abs(colour - 1).max() < 0.15
[estimated], found = unblend_estimated([marked], mask)
print(f"estimated: {psnr_mask(estimated, true, mask):.2f} dB, biharmonic {scores['biharmonic']:.2f} dB")
show(figures.grid([[marked, filled["biharmonic"], estimated, known]],
                  ["marked", "inpainted", "un-blended, estimated", "un-blended, known"]))
assert psnr_mask(estimated, true, mask) > scores["biharmonic"] + 2 and (found.alpha[~mask] == 0).all()

# %% [markdown]
# ## 4. 网络先学会什么 / What the network learns first
#
# $$\theta^\ast = \arg\min_\theta \lVert m \odot (f_\theta(z) - x_0) \rVert^2$$
#
# 网络从随机权重开始，只拟合一幅图像。照片比打乱像素的同一幅照片拟合得快得多：这就是先验。
#
# The network starts with random weights and is fitted to one picture alone. A photograph is fitted much sooner than the
# same with its pixels shuffled: that is the prior.

# %%
code(Level.forward, losses.square)
words = ["model.widths=[16,32,32]", "model.skips=[4,4,4]", "model.maps=8", "train.held_out=0", "train.steps=120"]
cfg = resolve("image_prior", words).config


def fit(picture, where, steps=120):
    """(the averaged picture, the losses) of a fit to what is not masked."""
    prior = Prior(cfg)
    given = np.where(where[..., None], 0, picture).astype(np.uint8)
    prior.look_at(Task("x", picture, given, where, np.zeros(where.shape), np.zeros(3)), 0, "cpu")
    prior.begin()
    optimizer, history = torch.optim.Adam(prior.network.parameters()), []
    for step in range(1, steps + 1):
        set_rate(optimizer, cfg.train, step)
        loss = sum(prior.terms().values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        prior.after(step, step == steps)
        history.append(loss.item())
    return prior.finish("x")[0], history


small = fit_square(true, 64)
shuffled = np.random.default_rng(0).permutation(small.reshape(-1, 3)).reshape(small.shape)
nowhere = np.zeros((64, 64), bool)
fits = {"photograph": fit(small, nowhere), "shuffled": fit(shuffled, nowhere)}
figure, axes = figures.new_figure(6, 2.2)
for name, (_, history) in fits.items():
    axes[0, 0].plot(history, label=name)
axes[0, 0].set_yscale("log")
axes[0, 0].set_xlabel("step")
axes[0, 0].legend(frameon=False)
show(figure)
show(figures.grid([[small, fits["photograph"][0], shuffled, fits["shuffled"][0]]],
                  ["photograph", "fitted", "shuffled", "fitted"]))
assert fits["photograph"][1][-1] < fits["shuffled"][1][-1] / 2
count = sum(map(torch.numel, PriorNetwork().parameters()))
print(f"the default network: {count:,} parameters")
assert sum(map(torch.numel, PriorNetwork(32, [128] * 5, [128] * 5).parameters())) == 3_002_627

# %% [markdown]
# ## 5. 填补 / Filling in
#
# 只拟合已知的像素；到这时，网络在掩膜内已经画出了内容。
#
# Only the known pixels are fitted. By then the network has painted something inside the mask.

# %%
lines = draw_mark((64, 64), 1) > 0
picture, _ = fit(small, lines)
hidden = np.where(lines[..., None], 0, small).astype(np.uint8)
task = Task("x", small, hidden, lines, np.zeros((64, 64)), np.zeros(3))
painted = composite(picture, task)
plain = baselines.biharmonic(hidden, lines)
values = [psnr_mask(each, small, lines) for each in (hidden, painted, plain)]
show(figures.grid([[hidden, painted, plain, small]], ["given", "prior, 120 steps", "biharmonic", "true"],
                  [[*(f"{value:.2f} dB" for value in values), ""]]))
assert np.array_equal(painted[~lines], small[~lines]) and values[1] > values[0] + 5

# %% [markdown]
# ## 6. 试一试 / Two things to try
#
# 1. 把第 1 节的 0.6 改成 0.9。预期：已知 alpha 的结果下降约 12 dB，因为舍入误差被放大四倍。
# 2. 在第 4 节取 `model.skips=[32,32,32]`。预期：打乱的照片拟合得更快，先验变弱。
#
# <!-- -->
#
# 1. Make 0.6 in section 1 into 0.9: with alpha known some 12 dB are lost, for rounding errors grow fourfold.
# 2. Take `model.skips=[32,32,32]` in section 4: the shuffled photograph is fitted sooner, and the prior is weaker.

# %%
deeper = blend(true, 0.9 * coverage, WHITE)
loss_of = psnr_mask(known, true, mask) - psnr_mask(unblend(deeper, 0.9 * coverage, WHITE), true, mask)
print(f"alpha 0.9 instead of 0.6 costs {loss_of:.1f} dB")
assert 5 < loss_of < 15

# %% [markdown]
# ## 7. 它在哪里失败 / Where it fails
#
# 缺损与物体一样大时，没有任何线索说明那里原来是什么：先验与双调和插值都只能填入平滑的一块。
#
# Where a hole is as large as an object, nothing says what stood there: the prior and the smoothest surface both put a
# soft patch into it.

# %%
hole = np.zeros((64, 64), bool)
hole[20:48, 16:44] = True
emptied = np.where(hole[..., None], 0, small).astype(np.uint8)
task = Task("x", small, emptied, hole, np.zeros((64, 64)), np.zeros(3))
answers = [composite(fit(small, hole)[0], task), baselines.biharmonic(emptied, hole)]
values = [psnr_mask(each, small, hole) for each in answers]
show(figures.grid([[emptied, *answers, small]], ["given", "prior", "biharmonic", "true"],
                  [["", *(f"{value:.2f} dB" for value in values), ""]]))
assert max(values) < 25

# %% [markdown]
# 用在自己的照片上：`python cases/image_prior/test.py --input photo.jpg --mask mask.png --output clean.png`。
# 别人的水印是别人的权利，请不要去除。更多问题见 README 末尾的思考题。
#
# On your own photographs: the command above. Marks of others are their rights: leave them. More questions stand at the
# end of the README.
