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
# # 细胞核：从公式到图像 / Nuclei: from the equations to the picture
#
# U-Net、注意力门、循环残差块，以及分水岭。每个单元格都可以修改后重新运行。公式与字母同
# [README.zh-CN.md](README.zh-CN.md)。
# 第 5 节当场训练一个很小的网络，用来说明做法；第 6 节把它与预训练权重放在一起比较。
#
# U-Net, attention gates, recurrent residual blocks, and the watershed. Change any cell and run it again; equations and
# letters are those of [README.md](README.md). A tiny network is trained on the spot in section 5 to show the way;
# section 6 sets it beside the release weights.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cases.nuclei import baselines, instances, losses
from cases.nuclei.data import Patches, inside, list_pictures, read_gray, read_labels
from cases.nuclei.label_files import outline, paint
from cases.nuclei.model import AttentionGate, Nuclei, RecurrentResidualBlock, RecurrentUnit
from cases.nuclei.segment import predict, segment
from common import metrics
from common.base.paths import EMBEDDED
from common.experiment import figures
from common.experiment.notebook import code, show
from common.experiment.run import released

torch.manual_seed(0)
pictures = list_pictures(EMBEDDED / "nuclei")
picture = next(each for each in pictures if each.name == "f73e37957c74")
gray, true = read_gray(picture.path), read_labels(picture)

# %% [markdown]
# ## 1. 问题 / The problem
#
# 阈值能找到亮的区域，却把相互接触的核连成一片：数出来的少了。
#
# A threshold finds what is bright, but touching nuclei are one piece: too few are counted.

# %%
mask = baselines.otsu(gray)
pieces = instances.components(mask.astype(np.float32), smallest=16)
show(figures.grid([[gray, outline(gray, pieces), outline(gray, true)]], ["picture", "Otsu", "true"],
                  [["", f"{pieces.max()} found", f"{true.max()} nuclei"]]))
found = metrics.overlaps(true, pieces)
print(f"IoU of the foreground {metrics.foreground_iou(found):.3f}, merged {metrics.merged(found)}")
assert true.max() == 37 and pieces.max() < true.max() and metrics.merged(found) > 0

# %% [markdown]
# ## 2. 分水岭 / The watershed
#
# 每个前景像素到背景的距离像一座山，圆形部分的中央是峰。把它倒过来注水，水相遇的地方就是分界。
#
# The distance of each pixel to the ground is a mountain with a peak in the middle of every round part. Turned over and
# filled with water, the lakes meet where nuclei are cut.

# %%
code(instances.distance_watershed)
away = instances.distances(mask)
cut = instances.distance_watershed(mask.astype(np.float32), smallest=16)
show(figures.grid([[mask.astype(np.float32), away / away.max(), paint(cut), paint(true)]],
                  ["mask", "distance", "watershed", "true"]))
better = metrics.overlaps(true, cut)
print(f"merged {metrics.merged(found)} before, {metrics.merged(better)} after; split {metrics.split(better)}")
assert metrics.merged(better) < metrics.merged(found)

# %% [markdown]
# **动手算一算。** 真值 16 像素，预测为其中的 12 像素。IoU 是多少？阈值取 0.7 与 0.75 时匹配吗？
#
# **By hand.** A true nucleus of 16 pixels, 12 of which are found. What is the IoU, and is it a match above 0.7, above
# 0.75?

# %%
code(metrics.matches, metrics.average_precision)
one, part = np.zeros((6, 6), int), np.zeros((6, 6), int)
one[1:5, 1:5], part[1:5, 1:4] = 1, 1
pair = metrics.overlaps(one, part)
matched = metrics.matches(pair, [0.7, 0.75])[0].tolist()
print(f"IoU {pair.iou[0, 0]}; matches above 0.7, above 0.75: {matched}")
assert pair.iou[0, 0] == 0.75 and matched == [1, 0]

# %% [markdown]
# ## 3. 循环残差块 / The recurrent residual block
#
# $$s_0 = f(x), \quad s_k = f(x + s_{k-1})$$
#
# 同一个卷积作用三次：看得与三层一样远，参数只有一层，时间却要三层。
#
# One convolution applied three times: it sees as far as three layers, with the weights of one and the time of three.

# %%
code(RecurrentUnit, RecurrentResidualBlock)
unit = RecurrentUnit(1)
torch.nn.init.ones_(unit.convolve.weight)
torch.nn.init.zeros_(unit.convolve.bias)
unit.norms = torch.nn.ModuleList([torch.nn.Identity()] * 3)  # no batch norm here
corner = torch.zeros(1, 1, 3, 3)
corner[0, 0, 0, 0] = 1
with torch.no_grad():
    print(unit(corner)[0, 0].tolist())
    assert unit(corner)[0, 0, 1, 1] == 30
counts = {arch: sum(map(torch.numel, Nuclei(arch, 8, 4).parameters())) for arch in ("unet", "r2atunet")}
print(counts)
assert counts["r2atunet"] == 154_655

# %% [markdown]
# ## 4. 注意力门 / The attention gate
#
# $$\alpha = \sigma(\psi \ast \mathrm{ReLU}(W_g \ast g + W_x \ast x))$$
#
# **动手算一算。** $\psi$ 的权重全为 0 时， $\alpha$ 是多少？
#
# **By hand.** What is $\alpha$ where all weights of $\psi$ are 0?

# %%
code(AttentionGate)
gate = AttentionGate(8).eval()
torch.nn.init.zeros_(gate.psi[0].weight)
torch.nn.init.zeros_(gate.psi[0].bias)
skip, decoder = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
with torch.no_grad():
    print(f"alpha = {gate.coefficients(skip, decoder).unique().tolist()}: half of everything passes")
    assert torch.allclose(gate(skip, decoder), 0.5 * skip)

# %% [markdown]
# ## 5. 训练 / Training
#
# 两张图：`nucleus` 与 `inside`。后者四周各去掉一个像素，相互接触的核因此分开。损失为交叉熵加 Dice 损失。
#
# Two maps, `nucleus` and `inside`, the nucleus less one pixel all round, so that touching ones come apart. The loss is
# cross entropy and Dice.

# %%
code(losses.dice)
show(figures.grid([[(true > 0).astype(np.float32), inside(true).astype(np.float32)]], ["nucleus", "inside"]))
assert instances.components(inside(true).astype(np.float32)).max() >= true.max() - 1
logits, target = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
assert abs(losses.dice(logits, target).item() - 0.5) < 1e-6   # 1 - (2 * 0.5 + 1) / (2 + 1 + 1)
patches = Patches([each for each in pictures if each.split == "train"], ["nucleus", "inside"], patch=64)
model = Nuclei("unet", 8, 3)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
history = []
for step in range(100):
    samples = [patches[step, place % len(patches)] for place in range(4 * step, 4 * step + 4)]
    x, y = (torch.stack(side) for side in list(zip(*samples))[:2])
    z = model(x)
    loss = sum(losses.bce(z[:, place], y[:, place]) + losses.dice(z[:, place], y[:, place]) for place in range(2))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append(loss.item())
print(f"loss: first ten {np.mean(history[:10]):.3f}, last ten {np.mean(history[-10:]):.3f}")
assert np.mean(history[-10:]) < 0.8 * np.mean(history[:10])
figure, axes = figures.new_figure(6, 2.0)
axes[0, 0].plot(history)
axes[0, 0].set_xlabel("step")
axes[0, 0].set_ylabel("loss")
show(figure)

# %% [markdown]
# ## 6. 结果 / The result
#
# 评测之前，批归一化的均值与方差在完整的训练图像上重新统计：训练时的统计量只来自最近几个批次的图像块。
#
# Before the test batch norm's means and variances are taken on whole training pictures: those of the training are of
# the last few batches of patches.

# %%
for layer in model.modules():
    if isinstance(layer, torch.nn.BatchNorm2d):
        layer.reset_running_stats()
        layer.momentum = None
with torch.no_grad():
    for each in patches.pictures:
        model(torch.from_numpy(read_gray(each.path))[None, None])
    model.eval()
    nucleus, middles = torch.sigmoid(model(torch.from_numpy(gray)[None, None]))[0].numpy()
here, release = released("nuclei", Nuclei)
found = {"tiny": {"nucleus": nucleus, "inside": middles},
         "release": predict(release, gray, here.config.test, here.device)}
pictures, texts, scores = [], [], {}
for name, maps in found.items():
    ways = segment(maps, here.config.test)
    scores[name] = {way: metrics.overlaps(true, labels) for way, labels in ways.items()}
    pictures.append([maps["nucleus"], maps["inside"], *(outline(gray, labels) for labels in ways.values())])
    texts.append([name, "", *(f"{metrics.matches(each)[0][0]} of {true.max()}, merged {metrics.merged(each)}"
                              for each in scores[name].values())])
show(figures.grid(pictures, ["nucleus", "inside", "components", "watershed", "markers"], texts))
assert metrics.foreground_iou(scores["tiny"]["components"]) > 0.4
assert metrics.foreground_iou(scores["release"]["components"]) > metrics.foreground_iou(scores["tiny"]["components"])
assert metrics.merged(scores["release"]["watershed"]) < metrics.merged(scores["release"]["components"])

# %% [markdown]
# ## 7. 试一试 / Two things to try
#
# 1. 把 `Nuclei("unet", …)` 换成 `"r2atunet"`。预期：同样步数要两倍半左右的时间，损失相近。
# 2. 在第 6 节去掉重新统计的一段。预期：前景的 IoU 变化很大。
#
# <!-- -->
#
# 1. Take `"r2atunet"` instead: about two and a half times the time for as many steps, and a similar loss.
# 2. Leave out the new statistics of section 6, and look at the IoU of the foreground.

# %% [markdown]
# ## 8. 它在哪里失败 / Where it fails
#
# 没有对准焦距的图像：分界变得模糊，相互接触的核连成一片，网络也数不清。
#
# A picture out of focus: what lies between touching nuclei is blurred, and the network, too, counts too few.

# %%
blurred = gaussian_filter(gray, 4)
counts = {}
for name, image in (("in focus", gray), ("out of focus", blurred)):
    counts[name] = segment(predict(release, image, here.config.test, here.device), here.config.test)["markers"]
show(figures.grid([[outline(gray, true), *(outline(image, labels) for image, labels in
                                           zip((gray, blurred), counts.values()))]],
                  ["true", *counts], [[f"{true.max()} nuclei", *(f"{each.max()} found" for each in counts.values())]]))
assert counts["out of focus"].max() < counts["in focus"].max()

# %% [markdown]
# 用在自己的图片上：`python cases/nuclei/test.py --weights release --input cells.tif --output found/`。
# 更多问题见 README 末尾的思考题。
#
# On pictures of your own: the command above. More questions at the end of the README.
