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
# # 超分辨率：从公式到图像 / Super-resolution: from the equations to the picture
#
# SRResNet 与 SRGAN（Ledig 等，2017）、亚像素卷积（Shi 等，2016）、自注意力（Zhang 等，2019）。每个单元格都可以修改后
# 重新运行。公式与字母同 [README.zh-CN.md](README.zh-CN.md)。第 5 节当场训练一个很小的网络，只需几秒，用来说明做法；
# 第 6 节把它与预训练权重放在一起比较。
#
# SRResNet and SRGAN, sub-pixel convolution, self-attention. Change any cell and run it again; equations and letters are
# those of [README.md](README.md). A tiny network is trained on the spot in section 5, for seconds, to show the way;
# section 6 sets it beside the release weights.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import numpy as np
import torch
import torch.nn.functional as F

from cases.super_resolution import baselines, losses
from cases.super_resolution.data import Patches, cut, reduce
from cases.super_resolution.enlarge import enlarge, enlarge_tiles
from cases.super_resolution.model import SelfAttention, SmallNetwork, SubPixel, SuperResolution, weigh
from common.base.paths import EMBEDDED
from common.data.images import read_pixels, to_bytes, to_tensor
from common.experiment import figures
from common.experiment.notebook import code, show
from common.experiment.run import released
from common.metrics import luma, psnr_y

torch.manual_seed(0)
SCALE = 2
photograph = reduce(read_pixels(EMBEDDED / "photos" / "china.jpg"), 2)        # halved, JPEG's blocks are gone
high = cut(photograph, 12)[6:198, 60:252]
low = reduce(high, SCALE)

# %% [markdown]
# ## 1. 问题 / The problem
#
# 左边的大图缩小一半，四个像素变成一个；三种办法把它放大回去。没有公式能找回丢掉的部分：许多大图缩小后完全相同。
#
# The large picture at the left, made half as large: four pixels became one. Three ways to enlarge it again. No formula
# finds what was lost, for many large pictures become the same small one.

# %%
simple = baselines.outputs(low, SCALE)
scores = {name: psnr_y(picture, high, SCALE) for name, picture in simple.items()}
names = ["nearest", "bicubic", "back_projection"]
show(figures.grid([[high, *(simple[name] for name in names)]], ["true", *names],
                  [["", *(f"{scores[name]:.2f} dB" for name in names)]]))
assert low.shape == (96, 96, 3) and scores["nearest"] < scores["bicubic"] < scores["back_projection"]
other = high.copy()
other[0::2, 0::2], other[1::2, 1::2] = high[1::2, 1::2], high[0::2, 0::2]
changed = np.abs(other.astype(int) - high).mean(), np.abs(reduce(other, SCALE).astype(int) - low).mean()
print(f"another large picture, {changed[0]:.1f} levels away; their small ones are {changed[1]:.1f} apart")
assert changed[1] < changed[0] / 2

# %% [markdown]
# ## 2. 像素重排 / Pixel shuffle
#
# $$y(c, s i + a, s j + b) = m(c s^2 + a s + b, i, j)$$
#
# 最后一层卷积在小图的每个位置给出 $s^2$ 个数，再排成 s x s 个像素：没有运算，只是换了位置。
#
# The last convolution gives $s^2$ numbers at each place of the small picture, which are laid out as s x s pixels: no
# arithmetic, only other places.

# %%
code(SubPixel)

# %% [markdown]
# **动手算一算。** 四张 1x1 的特征图，取值 1、2、3、4，$s = 2$。得到怎样的 2x2 图像？先写下来，再运行。
#
# **By hand.** Four maps of 1x1 with the values 1, 2, 3, 4 and $s = 2$: which 2x2 picture do they make? Write it down
# before you run the cell.

# %%
maps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
shuffled = F.pixel_shuffle(maps, 2)[0, 0]
print(shuffled.tolist())
assert shuffled.tolist() == [[1, 2], [3, 4]]
assert torch.equal(F.pixel_unshuffle(F.pixel_shuffle(maps, 2), 2), maps)

# %% [markdown]
# 代价有多大差别？同样的 3x3 卷积放在大图上计算，位置是 $s^2$ 倍。
#
# What does it save? The same 3x3 convolution at the large size has $s^2$ times as many places.

# %%
places = low[..., 0].size, high[..., 0].size
cost = [9 * 48 * 48 * count for count in places]
print(f"3x3, 48 to 48: {cost[0]:,} multiplications on the small picture, {cost[1]:,} on the large one")
assert cost[1] == SCALE**2 * cost[0]

# %% [markdown]
# ## 3. 网络 / The network
#
# $$y = B(x) + \mathrm{PS}(W_r \ast (F_0 + G(F_0)) + b_r), \quad F_0 = W_e \ast x + b_e$$
#
# 网络只学习双三次插值 $B(x)$ 之外的部分。
#
# The network learns only what the bicubic picture $B(x)$ lacks.

# %%
code(SmallNetwork.forward)
default = SuperResolution(scales=[4], channels=48, blocks=8)
counts = {name: sum(map(torch.numel, part.parameters())) for name, part in default.networks["4"].named_children()}
print(counts, f"together {sum(counts.values()):,}")
assert sum(counts.values()) == 378_144 and counts["entry"] == 48 * (3 * 25 + 1)
silent = SuperResolution(scales=[SCALE], channels=8, blocks=1)
torch.nn.init.zeros_(silent.networks[str(SCALE)].rise[0].weight)
torch.nn.init.zeros_(silent.networks[str(SCALE)].rise[0].bias)
x = to_tensor(low)[None]
with torch.no_grad():
    assert torch.equal(silent(x), F.interpolate(x, scale_factor=SCALE, mode="bicubic", align_corners=False))

# %% [markdown]
# ## 4. 自注意力 / Self-attention
#
# $$y_i = x_i + \gamma \sum_j \mathrm{softmax}_j(q_i \cdot k_j)\thinspace v_j$$
#
# **动手算一算。** 所有的 $k_j$ 都相等时，权重是多少？$\gamma = 0$ 时 $y$ 是什么？
#
# **By hand.** What are the weights where all $k_j$ are equal? What is $y$ where $\gamma = 0$?

# %%
code(weigh, SelfAttention.attend_pooled)
value = torch.rand(1, 4, 3, 5)
mean = weigh(torch.ones(1, 2, 3, 5), torch.ones(1, 2, 3, 5), value)
assert torch.allclose(mean, value.mean(dim=(2, 3), keepdim=True).expand_as(mean))
attention = SelfAttention(16)
features = torch.rand(1, 16, 12, 12)
assert torch.equal(attention(features), features)
print("equal keys: every weight is 1 / number of places, so each place gets the mean; gamma = 0: y = x")
matrix = 4 * (768 * 512 // 4) ** 2
print(f"full attention on a picture of 768x512 at scale 2: a matrix of {matrix / 1e9:.1f} GB; pooled by 5: "
      f"{4 * (768 * 512 // 4) * 77 * 52 / 1e9:.1f} GB, strip by strip")
assert round(matrix / 1e9, 1) == 38.7 and SelfAttention(8, "pooled").stride((384, 256)) == 5

# %% [markdown]
# 一个位置从哪里汇集信息？取 $q = k$，由随机的 1x1 卷积得到，再归一化为相同的长度。没有训练时，权重图只反映颜色
# 是否相近：红柱子从其他红色的地方汇集。
#
# Where does a place gather from? With $q = k$ of a random 1x1 convolution, all of one length, the map of weights tells
# only which colours are alike: a red column gathers from what is red elsewhere.

# %%
query = 5 * F.normalize(F.conv2d(x - x.mean(dim=(2, 3), keepdim=True), torch.randn(8, 3, 1, 1)), dim=1)
spot = 53, 34
weights = torch.einsum("c,chw->hw", query[0, :, spot[0], spot[1]], query[0]).flatten().softmax(0).view(96, 96)
marked = low.copy()
marked[spot[0], spot[1] - 3:spot[1] + 4] = marked[spot[0] - 3:spot[0] + 4, spot[1]] = 255, 0, 0
show(figures.grid([[marked, (weights / weights.max()).numpy()]], ["the place", "what it gathers from"]))
assert abs(weights.sum().item() - 1) < 1e-5 and weights[spot] > 0.9 * weights.max()

# %% [markdown]
# ## 5. 训练 / Training
#
# 损失是平均绝对误差。训练图块取自另外几幅照片，网络很小（12 个通道，两个残差块），只走 150 步。
#
# Mean absolute difference; patches of other photographs, a tiny network (12 channels, two blocks), 150 steps.

# %%
code(losses.content)
paths = [EMBEDDED / "photos" / name for name in ("flower.jpg", "coffee.jpg", "chelsea_cat.jpg", "rocket.jpg")]
patches = Patches(paths, SCALE, 24)
model = SuperResolution(scales=[SCALE], channels=12, blocks=2)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
history = []
for step in range(150):
    samples = [patches[step, place % len(patches)] for place in range(4 * step, 4 * step + 4)]
    small, large = (torch.stack(side) for side in list(zip(*samples))[:2])
    loss = losses.content(model(small), large)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append(loss.item())
print(f"loss: first ten {np.mean(history[:10]):.4f}, last ten {np.mean(history[-10:]):.4f}")
assert np.mean(history[-10:]) < np.mean(history[:10])
figure, axes = figures.new_figure(6, 2.0)
axes[0, 0].plot(history)
axes[0, 0].set_xlabel("step")
axes[0, 0].set_ylabel("mean absolute difference")
show(figure)

# %% [markdown]
# ## 6. 结果 / The result
#
# `psnr_y` 只看亮度，四周去掉 s 个像素。`tiny` 是刚才训练的网络，`release` 是预训练权重（48 个通道、8 个残差块），
# 右边是它的输出与真实图像之差。自集成 `eight ways` 把图像翻转、旋转成八种样子，结果转回来再取平均。
#
# `psnr_y` looks at the luma, less a border of s pixels. `tiny` is the network from above, `release` the release weights
# (48 channels, 8 blocks); at the right what is wrong in their picture. `eight ways` is the mean of the answers to all
# eight ways to lay the picture down (self-ensemble).

# %%
model.eval()
_, release = released("super_resolution", SuperResolution)
answer = to_bytes(enlarge(release, to_tensor(low), SCALE))
found = {"bicubic": simple["bicubic"], "tiny": to_bytes(enlarge(model, to_tensor(low), SCALE)), "release": answer,
         "eight ways": to_bytes(enlarge(release, to_tensor(low), SCALE, ensemble=True))}
values = {name: psnr_y(picture, high, SCALE) for name, picture in found.items()}
print({name: round(value, 2) for name, value in values.items()})
error = np.abs(luma(answer) - luma(high)) / 64
show(figures.grid([[*found.values(), high, error.clip(0, 1)]], [*found, "true", "error"],
                  [[*(f"{value:.2f} dB" for value in values.values()), "", ""]]))
assert values["tiny"] > scores["nearest"] and values["release"] > scores["bicubic"] + 0.5
assert values["eight ways"] > values["release"]

# %% [markdown]
# **分块计算，结果不变。** 每个输出像素只取决于周围 `halo` 个位置，所以大图可以一块一块地算。
#
# **Tile by tile, the same answer.** An output pixel depends on `halo` places around it, so that a large picture can be
# computed in tiles.

# %%
code(enlarge_tiles)
network = release.networks[str(SCALE)]
with torch.no_grad():
    difference = (network(x) - enlarge_tiles(network, x, SCALE, 32)).abs().max().item()
print(f"halo {network.halo}; largest difference {difference:.1e}")
assert difference < 1e-4

# %% [markdown]
# ## 7. 试一试 / Two things to try
#
# 1. 把第 5 节的 `losses.content(…)` 换成 `kind="mse"`。预期：边缘更软，因为平方损失趋向各种可能的均值。
# 2. 每隔一个像素取一个来缩小，再用网络放大。预期：比平常差得多，因为网络只见过双三次缩小的图。
#
# <!-- -->
#
# 1. Give `kind="mse"` to `losses.content` in section 5: softer edges, for squares aim at the mean of what may be.
# 2. Make the picture small by taking every second pixel: the network, which never saw such pictures, does much worse.

# %%
skipped = high[::2, ::2]
aliased = {"bicubic": baselines.enlarge(skipped, SCALE),
           "release": to_bytes(enlarge(release, to_tensor(skipped), SCALE))}
worse = {name: psnr_y(picture, high, SCALE) for name, picture in aliased.items()}
show(figures.grid([[skipped, *aliased.values()]], ["every second pixel", *aliased],
                  [["", *(f"{value:.2f} dB" for value in worse.values())]]))
assert worse["release"] < values["release"] - 1

# %% [markdown]
# ## 8. 它在哪里失败 / Where it fails
#
# 条纹细于小图的一个像素时，缩小后会出现另一种条纹（混叠）。网络把错误的条纹变得更清晰：小图中没有任何线索说明
# 它们是错的。
#
# Stripes finer than a pixel of the small picture become other stripes (aliasing). The network makes the wrong ones
# sharper, for nothing in the small picture says that they are wrong.

# %%
y, column = np.mgrid[:192, :192] - np.array([[[96.0]], [[-24.0]]])
fan = np.repeat((128 + 127 * np.sin(120 * np.arctan2(y, column))).astype(np.uint8)[..., None], 3, axis=2)
small_fan = reduce(fan, 4)
wrong = to_bytes(enlarge(release, to_tensor(small_fan), 4))
show(figures.grid([[fan, small_fan, baselines.enlarge(small_fan, 4), wrong]],
                  ["true", "a quarter as large", "bicubic", "release"]))
assert psnr_y(wrong, fan, 4) < 20

# %% [markdown]
# 用在自己的照片上：
# `python cases/super_resolution/test.py --weights release --input photo.jpg --scale 2 --output large.png`；
# 自己训练：`python cases/super_resolution/train.py model.scale=2 --name x2`。更多问题见 README 末尾的思考题。
#
# On your own photographs, and to train a network yourself: the two commands above. More questions at the end of the
# README.
