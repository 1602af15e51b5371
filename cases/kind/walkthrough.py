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
# # KinD：从公式到图像 / KinD: from the equations to the picture
#
# Zhang、Zhang、Guo，*Kindling the Darkness: A Practical Low-light Image Enhancer*，ACM Multimedia 2019。
# 公式与字母同 [README.zh-CN.md](README.zh-CN.md)：S 拉伸后的图像，R 反射分量，I 光照分量，
# P 恢复后的反射分量，A 调整后的光照分量。下标 l 为暗图，h 为亮图。
#
# Equations and letters are those of [README.md](README.md): S the stretched picture, R reflectance, I illumination, P
# the restored reflectance, A the adjusted illumination; l is the dark picture, h the bright one.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import math

import torch
import torch.nn.functional as F

from cases.kind import losses
from cases.kind.enhance import decompose, fuse
from cases.kind.model import AdjustNet, AutomaticRatio, DecomNet, KinD, RestorationNet, light_ratio, stretch
from common import metrics
from common.base.paths import EMBEDDED
from common.data.images import read_image, to_bytes
from common.experiment import figures
from common.experiment.checkpoints import load_release
from common.experiment.notebook import code, show, slide

torch.set_grad_enabled(False)


def corner(name):
    """A corner without lamps of a picture in datasets/embedded/dark, (1, 3, h, w) in [0, 1]."""
    return read_image(EMBEDDED / "dark" / f"{name}.jpg")[None, :, 376:600, 80:400]


dark, bright = corner("garden_dark2"), corner("garden_bright")
model = load_release("kind", KinD)

# %% [markdown]
# ## 1. 想法 / The idea
#
# Retinex：图像等于反射分量乘以光照分量，$S = R \cdot I$，逐元素相*乘*（课程原文写的“相加”只在对数域成立）。暗在 I 里，
# 噪声和偏色在 R 里。例子是花园的一角，短曝光与长曝光，逐像素对齐。先把图像拉伸到 0..1：
#
# Retinex: a picture is reflectance *times* illumination, element by element (they add only in the log domain). Darkness
# is in I, noise and colour in R. A corner of a garden by night, exposed briefly and for long; it is stretched to 0..1:
#
# $$S = \frac{x - \min x}{\max(\max x - \min x,\ 0.001)}$$

# %%
code(stretch)
s_low, s_high = stretch(dark), stretch(bright)
print(f"dark: {dark.min():.3f} .. {dark.max():.3f} becomes {s_low.min():.3f} .. {s_low.max():.3f}")
assert s_low.min() == 0 and s_low.max() == 1
assert torch.equal(stretch(torch.full((1, 3, 2, 2), 0.3)), torch.zeros(1, 3, 2, 2))        # a flat picture is black

# %% [markdown]
# ## 2. 分解 / The decomposition
#
# $$S \to R, I$$
#
# 没有 R 和 I 的真值，用同一场景的亮图代替：$R_l$ 与 $R_h$ 必须相同，$R \cdot I$ 必须还原 S。
#
# There is no truth for R and I. A bright picture of the scene stands in: $R_l$ and $R_h$ must be the same, and $R
# \cdot I$ must give S back.

# %%
code(DecomNet.forward)
(r_low, i_low), (r_high, i_high) = model.decomposition(s_low), model.decomposition(s_high)
rows = [[s_low, r_low, i_low], [s_high, r_high, i_high]]
captions = [[f"mean {picture.mean():.3f}" for picture in row] for row in rows]
show(figures.grid([[to_bytes(picture[0].expand(3, -1, -1)) for picture in row] for row in rows],
                  ["S", "R", "I"], captions, ["dark", "bright"]))
print(f"mean |R I - S|: dark {losses.absolute(r_low * i_low, s_low):.4f}, bright "
      f"{losses.absolute(r_high * i_high, s_high):.4f}")
print(f"mean |S_l - S_h| {losses.absolute(s_low, s_high):.3f}, mean |R_l - R_h| {losses.absolute(r_low, r_high):.3f}")
assert r_low.shape == dark.shape and i_low.shape[1] == 1
assert losses.absolute(r_low * i_low, s_low) < 0.05
assert i_low.mean() < i_high.mean()                                        # the darkness is in I

# %% [markdown]
# ## 3. 分解的损失 / The loss of the decomposition
#
# 互一致项：$\langle M\, e^{-10 M} \rangle$，$M = g(I_l) + g(I_h)$。
#
# **动手算一算。** $M$ 为多少时代价最大？最大值是多少？令导数 $(1 - 10 M)\, e^{-10 M} = 0$。再运行下一格。
#
# Mutual consistency costs $M e^{-10 M}$. **By hand:** for which $M$ is it dearest, and how dear? Set the derivative to
# 0 before you run the next cell.

# %%
code(losses.mutual, losses.smooth)
m = torch.linspace(0, 1, 1001)
cost = m * torch.exp(-10 * m)
print(f"dearest at M = {m[cost.argmax()]:.1f}: 0.1 / e = {cost.max():.4f}; a shared edge, M = 0.8: {cost[800]:.4f}")
assert round(m[cost.argmax()].item(), 3) == 0.1 and math.isclose(cost.max().item(), 0.1 / math.e, rel_tol=1e-5)
figure, axes = figures.new_figure(6, 2.0)
axes[0, 0].plot(m, cost)
axes[0, 0].set_xlabel("M = gradient of $I_l$ + gradient of $I_h$")
axes[0, 0].set_ylabel("cost")
show(figure)

# %% [markdown]
# 只有一个光照分量才有的弱边缘（$M$ 约 0.1）代价最高，两者共有的强边缘几乎免费。平滑项
# $\langle g(I) / \max(g(S), 0.01) \rangle$ 只允许 I 在图像变化的地方变化：
# 下面同一个 I（左暗右亮的台阶），放在有台阶和没有台阶的图像上。
#
# A weak edge of one illumination alone (M about 0.1) is dearest; a strong one that both share is nearly free.
# Smoothness lets I change only where the picture does: one I, a step, on a picture with that step, and on a flat one.

# %%
step = torch.cat([torch.full((1, 1, 8, 4), 0.2), torch.full((1, 1, 8, 4), 0.8)], dim=3)
flat = torch.full((1, 3, 8, 8), 0.5)
with_edge = losses.smooth(step, step.expand(-1, 3, -1, -1), "none").item()
without = losses.smooth(step, flat, "none").item()
print(f"the step of I on a step: {with_edge:.2f}; on a flat picture: {without:.2f}")
assert without > 5 * with_edge

# %% [markdown]
# ## 4. 恢复与调整 / Restoration and adjustment
#
# $R_l, I_l \to P$：光照越小的地方，反射分量噪声越大，所以恢复网络也要看 I。
# $I_l$，比率 $\to A$：要多亮由一个数决定。结果是 $P \cdot A$。
#
# $R_l, I_l \to P$: where the light is low R is noisy, so the restoration is told I. $I_l$, ratio $\to A$: one number
# says how bright. The result is $P \cdot A$.

# %%
code(RestorationNet.forward, AdjustNet.forward)
stages = model.stages(dark)
assert torch.equal(stages.output, stages.restored * stages.adjusted)
crops = [to_bytes(picture[0])[40:160, 100:260] for picture in (stages.reflectance, stages.restored, bright)]
captions = [f"noise {metrics.noise_sigma(crop):.1f}" for crop in crops]
show(figures.grid([crops], ["R, before", "P, restored", "long exposure"], [captions], width=7))
assert metrics.noise_sigma(to_bytes(stages.restored[0])) < metrics.noise_sigma(to_bytes(stages.reflectance[0]))

# %% [markdown]
# ## 5. 光照比率 / The light ratio
#
# $$\text{ratio} = \left\langle \frac{I_h}{I_l + 0.0001} \right\rangle$$
#
# **动手算一算。** 光照 0.2，亮图 0.6：比率是多少？反射分量 (0.9, 0.6, 0.3) 在暗图和亮图中各是什么颜色？
#
# **By hand.** Illumination 0.2 and 0.6: which ratio? Which colours has the reflectance (0.9, 0.6, 0.3) in both
# pictures?

# %%
code(light_ratio)
ratio = light_ratio(torch.full((1, 1, 4, 4), 0.2), torch.full((1, 1, 4, 4), 0.6)).item()
colour = torch.tensor([0.9, 0.6, 0.3])
print(f"0.6 / 0.2001 = {ratio:.3f}; bright {[round(value, 2) for value in (0.6 * colour).tolist()]}")
assert round(ratio, 3) == 2.999
assert torch.allclose(0.6 * colour, torch.tensor([0.54, 0.36, 0.18]))

# %% [markdown]
# 论文在 LOL 上评测时，比率取自亮的参考图像（协议 gt_ratio，用到了答案）。没有参考图像时，我们由暗图的 22 个统计量估计。
#
# The paper's evaluation takes the ratio from the bright picture (gt_ratio: it looks at the answer). Without one, ours
# is guessed from 22 numbers of the dark picture.

# %%
code(AutomaticRatio.features)
true = light_ratio(i_low, i_high).item()
maps = decompose(model, dark[0])
guessed = model.guess_ratio(s_low, i_low, maps.bounds).item()
print(f"from the bright picture {true:.2f}, guessed {guessed:.2f}")
assert true > 1 and guessed > 1
ratios = [1, 2, 4, 8, guessed]
answers = [(stages.restored * model.adjustment(i_low, ratio)).clamp(0, 1) for ratio in ratios]
captions = [f"mean {255 * answer.mean():.0f}" for answer in answers]
show(figures.grid([[to_bytes(answer[0]) for answer in answers]],
                  ["ratio 1", "ratio 2", "ratio 4", "ratio 8", f"guessed, {guessed:.1f}"], [captions]))
assert all(a.mean() < b.mean() for a, b in zip(answers[:3], answers[1:4]))           # a larger ratio is brighter

# %% [markdown]
# 拖动滑块（需要运行中的内核）。
#
# Move the slider (in a running notebook).

# %%
def answer_at(ratio):
    """P * A at a light ratio, beside A."""
    adjusted = model.adjustment(i_low, ratio)
    pictures = [adjusted.expand(-1, 3, -1, -1), stages.restored * adjusted]
    return figures.grid([[to_bytes(picture[0]) for picture in pictures]], ["A", "P * A"], width=7)


slide(answer_at, ratio=(0.5, 12.0, 0.5, 4.0))

# %% [markdown]
# ## 6. 试一试 / Two things to try
#
# 1. 在暗图里放一个白色坏点再拉伸。预期：最大值被坏点占去，其余一切仍然很暗；截去 0.05 % 的最亮值
#    （`test.hot_pixels`）就恢复正常。
# 2. 打开 `test.fusion`：光照足够的地方保留原图，噪声严重的黑色区域压暗。预期：结果整体变暗。
#
# <!-- -->
#
# 1. One white pixel in the dark picture, then the stretch: the pixel takes the maximum, all else stays dark. Cutting
#    off the brightest 0.05 % (`test.hot_pixels`) mends it.
# 2. `test.fusion`: the input stays where the light was enough, noisy black is darkened. The result is darker.

# %%
hot = dark.clone()
hot[..., 100, 100] = 1.0
stretched = [stretch(dark), stretch(hot), decompose(model, hot[0], hot_pixels=0.05).stretched]
means = [picture.mean().item() for picture in stretched]
print("mean of S: {:.3f}; with a hot pixel {:.3f}; cut off {:.3f}".format(*means))
assert means[1] < 0.95 * means[0] and means[2] > means[1]
mixed = fuse(stages.output, maps)
assert mixed.mean() < stages.output.mean()
pictures = [*stretched, stages.output, mixed]
show(figures.grid([[to_bytes(picture[0]) for picture in pictures]],
                  ["S", "S, a hot pixel", "S, cut off", "P * A", "with fusion"]))

# %% [markdown]
# ## 7. 它在哪里失败 / Where it fails
#
# 比率错了，整幅图就错：拍摄者想要多亮，暗图里没有写。下面的曲线是各个比率下的 PSNR（以长曝光为参考），
# 虚线为估计值，点线为由亮图得到的值。曲线的最高点不一定在点线上：比率是光照之比的均值，不是使误差最小的那个数。
#
# A wrong ratio spoils all of the picture, and how bright the photographer wanted it is not written in the dark one.
# PSNR against the long exposure over the ratio; dashed the guess, dotted the ratio of the bright picture. The best
# need not be the dotted one: it is a mean of quotients, not the number with the least error.

# %%
tried = torch.linspace(0.5, 12, 24)
scores = [metrics.fidelity(to_bytes((stages.restored * model.adjustment(i_low, ratio))[0]), to_bytes(bright[0]))["psnr"]
          for ratio in tried]
figure, axes = figures.new_figure(6, 2.4)
axes[0, 0].plot(tried, scores)
axes[0, 0].axvline(guessed, linestyle="--", color=figures.COLOURS[1])
axes[0, 0].axvline(true, linestyle=":", color=figures.COLOURS[2])
axes[0, 0].set_xlabel("light ratio")
axes[0, 0].set_ylabel("PSNR (dB)")
show(figure)
print(f"best {max(scores):.1f} dB at {tried[scores.index(max(scores))]:.1f}; worst {min(scores):.1f} dB")
assert max(scores) - min(scores) > 3                                       # dB that hang on one number

# %% [markdown]
# 颜色也会错：430 对训练图像只来自几十个房间，因此预训练权重还用了压暗的照片，偏色减轻了，却没有消失。
# 看看样例中的咖啡与猫（压暗后增强），再读 README 的“颜色”一段。
#
# Colours go wrong as well: 430 pairs of a few dozen rooms are not the world. The release weights have seen darkened
# photographs, too, so they are off by less, but still off. Coffee and cat, darkened and enhanced; then read *Colours*
# in the README.

# %%
import numpy as np

from common.data.darken import darken

pictures = []
for name in ("coffee", "chelsea_cat"):
    photo = F.avg_pool2d(read_image(EMBEDDED / "photos" / f"{name}.jpg")[None], 2)
    low = darken(photo[0].permute(1, 2, 0).numpy(), np.random.default_rng(0), gain=(0.05, 0.05))
    low = torch.from_numpy(low).permute(2, 0, 1).float()
    pictures.append([to_bytes(low), to_bytes(model(low[None])[0]), to_bytes(photo[0])])
show(figures.grid(pictures, ["darkened", "KinD", "photograph"], width=7))
