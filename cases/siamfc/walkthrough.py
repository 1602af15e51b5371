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
# # SiamFC：从公式到图像 / SiamFC: from the equations to the picture
#
# Bertinetto 等，*Fully-Convolutional Siamese Networks for Object Tracking*，ECCV workshops 2016。
# 公式与字母同 [README.zh-CN.md](README.zh-CN.md)：z 模板，x 搜索区域，v 响应，y 标签。
#
# Equations and letters are those of [README.md](README.md): z exemplar, x search region, v response, y label.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import math

import cv2
import numpy as np
import torch

from cases.siamfc import crops, losses
from cases.siamfc.model import EXEMPLAR, SEARCH, AlexNetV1, correlate
from cases.siamfc.tracker import SiamFCTracker, load
from common.base.paths import EMBEDDED
from common.data.images import list_images, read_pixels
from common.experiment import figures
from common.experiment.notebook import code, show

torch.set_grad_enabled(False)
CLIP = EMBEDDED / "clips" / "juice_box"
frames = [read_pixels(path) for path in list_images(CLIP / "img")[:40]]
box = np.loadtxt(CLIP / "first_box.txt", delimiter=",")                # x, y, w, h; x and y count from 1
network = load("release")

# %% [markdown]
# ## 1. 裁剪 / Cutting out
#
# 目标框宽 $w$、高 $h$，$p = (w + h) / 2$：模板是目标周围边长为 $\sqrt{(w + p)(h + p)}$ 的正方形，缩放到 127；
# 搜索区域的边长约为它的两倍，缩放到 255。
#
# **动手算一算。** $w = 40$，$h = 20$：边长是多少像素？
#
# With $p = (w + h) / 2$ the exemplar is the square of side $\sqrt{(w + p)(h + p)}$ around the target, resized to 127;
# the search region, twice as large, becomes 255. **By hand:** which side for $w = 40$, $h = 20$?

# %%
code(crops.exemplar_side, crops.cut)
side = crops.exemplar_side((20, 40))
print(f"p = 30: sqrt(70 x 50) = {side:.2f}")
assert math.isclose(side, math.sqrt(3500)) and round(side, 2) == 59.16
x, y, w, h = box
centre, fill = (y - 1 + (h - 1) / 2, x - 1 + (w - 1) / 2), frames[0].mean(axis=(0, 1))


def square(frame, side, out, centre=centre):
    """A square around a place (row, column), resized to out x out."""
    return crops.bilinear(crops.cut(frame, centre, side, fill), out)


exemplar = square(frames[0], crops.exemplar_side((h, w)), EXEMPLAR)
search = square(frames[5], crops.search_side((h, w)), SEARCH)
show(figures.grid([[frames[0], exemplar, search]], ["frame 1", "z, 127 x 127", "x, 255 x 255, frame 6"], width=8))
assert math.isclose(crops.search_side((h, w)) / crops.exemplar_side((h, w)), 255 / 127)

# %% [markdown]
# ## 2. 特征 / The embedding
#
# $\varphi$ 有五个卷积，没有填充，总步长为 8。**动手算一算：** 127 经过各层变成多少？卷积核为 k、步长为 s 时，
# 边长 n 变为 (n - k) / s + 1，向下取整。
#
# Five convolutions without padding, stride 8 in all. **By hand:** what becomes of 127? A kernel k with stride s makes
# (n - k) / s + 1 of n, rounded down.

# %%
code(AlexNetV1)


def sizes(n):
    """The side after every convolution and pooling."""
    found = [n]
    for kernel, stride in ((11, 2), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1)):
        found.append((found[-1] - kernel) // stride + 1)
    return found


print(" -> ".join(map(str, sizes(EXEMPLAR))), "and", " -> ".join(map(str, sizes(SEARCH))))
assert sizes(127) == [127, 59, 29, 25, 12, 10, 8, 6] and sizes(255)[-1] == 22
assert sum(parameter.numel() for parameter in AlexNetV1().parameters()) == 2_336_320


def embed(picture):
    """phi of a picture (h, w, 3) uint8: (1, C, h', w'); the network wants RGB from 0 to 255."""
    return network.backbone(torch.from_numpy(picture).permute(2, 0, 1)[None].float())


phi_z, phi_x = embed(exemplar), embed(search)
print("phi(z)", tuple(phi_z.shape), "phi(x)", tuple(phi_x.shape))
assert phi_z.shape[2:] == (6, 6) and phi_x.shape[2:] == (22, 22)

# %% [markdown]
# ## 3. 互相关 / The cross-correlation
#
# $$f(z, x) = \varphi(z) \ast \varphi(x) + b$$
#
# 把 6 x 6 的卷积核在 22 x 22 上滑动，有 22 - 6 + 1 = 17 个位置：响应图为 17 x 17。卷积核不翻转。
# 下面手工算其中一格，与网络的结果比较。
#
# The 6 x 6 kernel has 22 - 6 + 1 = 17 places in 22 x 22: the response is 17 x 17. The kernel is not flipped. One of its
# cells, by hand:

# %%
code(correlate)
response = correlate(phi_z, phi_x)[0, 0]
by_hand = 1e-3 * (phi_z[0] * phi_x[0, :, 8:14, 8:14]).sum()
print(f"cell (8, 8): {response[8, 8]:.4f}, by hand {by_hand:.4f}")
assert response.shape == (17, 17) and torch.isclose(response[8, 8], by_hand, rtol=1e-3, atol=1e-4)
shown = (response - response.min()) / (response.max() - response.min())
show(figures.grid([[exemplar, search, shown.numpy()]], ["z", "x", "response, 17 x 17"], width=8))

# %% [markdown]
# **全卷积**的意思：图像移动 8 个像素，响应图恰好移动一格；所以一次前向就回答了所有位置。
#
# *Fully convolutional*: 8 pixels of the picture are exactly one cell of the map, so one pass answers for all places.

# %%
wide = square(frames[5], crops.search_side((h, w)) * 263 / 255, 263)
left = correlate(phi_z, embed(np.ascontiguousarray(wide[4:259, :255])))[0, 0]
right = correlate(phi_z, embed(np.ascontiguousarray(wide[4:259, 8:])))[0, 0]
difference = (left[:, 1:] - right[:, :-1]).abs().max().item()
print(f"largest difference after a shift of one cell: {difference:.1e}")
assert difference < 1e-3 * max(1.0, left.abs().max().item())

# %% [markdown]
# ## 4. 标签与损失 / Labels and loss
#
# 距目标不超过 16 像素（即 2 格）的格为正样本，y = +1，其余 y = -1。**动手算一算：** 有几个正样本？
# 损失 $L = \sum_u w_u \log(1 + e^{-y_u v_u})$，正、负样本各占一半权重：响应处处为 0 时 L 是多少？
#
# A cell is positive within 16 pixels, 2 cells. **By hand:** how many are? Positives and negatives weigh half each: what
# is L where the response is 0 everywhere?

# %%
code(losses.positives, losses.balance, losses.logistic)
positive = losses.positives(torch.zeros(1, 2), 17)
zero = losses.logistic(torch.zeros(1, 17, 17), positive).item()
print(f"1 + 3 + 5 + 3 + 1 = {positive.sum().item()} positive cells; L = ln 2 = {zero:.4f}")
assert positive.sum() == 13 and math.isclose(zero, math.log(2), rel_tol=1e-5)
weights = losses.balance(positive)
assert math.isclose(weights[positive].sum().item(), 0.5, rel_tol=1e-5)
signed = torch.where(positive, 3.0, -3.0)                                  # a response that is right everywhere
print(f"v = +3 and -3 in the right places: L = {losses.logistic(signed, positive).item():.4f}")
assert losses.logistic(signed, positive) < 0.05 < zero < losses.logistic(-signed, positive)
show(figures.grid([[positive[0].float().numpy(), (weights[0] / weights.max()).numpy()]],
                  ["13 positive cells", "weights (scaled)"], width=5))

# %% [markdown]
# ## 5. 跟踪 / Tracking
#
# 每帧：三种尺度（1.0375^-1、1、1.0375）各裁一次、各做一次互相关；改变了尺度的乘以 0.9745；放大到 272 x 272；
# 叠加余弦窗（权重 0.176）；移动到峰值处，采纳 59 % 的尺度变化（都是论文的取值，`test.py` 默认为 1 与 90 %）。
# 跟踪时什么也不学。
#
# Every frame: three sizes, three responses, those of changed sizes times 0.9745; enlarged to 272 x 272; a cosine window
# (0.176); move to the peak, take over 59 % of the change of size (the paper's numbers; test.py's are 1 and 90 %).
# Nothing is learnt while it tracks.

# %%
code(SiamFCTracker.locate, SiamFCTracker.move)


def follow(frames, box, **changes):
    """(tracker, boxes, confidences, maps) over frames."""
    tracker = SiamFCTracker(network, **changes)
    tracker.init(frames[0], box)
    boxes, confidences, maps = [box], [1.0], [None]
    for frame in frames[1:]:
        boxes.append(tracker.update(frame))
        confidences.append(tracker.confidence)
        maps.append(tracker.found.fine / tracker.found.fine.max() if tracker.found else None)
    return tracker, np.array(boxes), confidences, maps


def drawn(frame, *boxes):
    """A frame with boxes in the colours of all figures."""
    frame = frame.copy()
    for (x, y, w, h), colour in zip(boxes, ((0, 114, 178), (213, 94, 0))):
        corners = [(round(x - 1), round(y - 1)), (round(x - 1 + w), round(y - 1 + h))]
        cv2.rectangle(frame, *corners, colour, 2)
    return frame


tracker, boxes, confidences, maps = follow(frames, box)
places = [1, 13, 26, 39]
show(figures.grid([[drawn(frames[place], boxes[place]) for place in places], [maps[place] for place in places]],
                  [f"frame {place + 1}" for place in places],
                  [[f"confidence {confidences[place]:.2f}" for place in places], ["windowed response"] * 4]))
assert boxes.shape == (40, 4) and np.isfinite(boxes).all()
window = tracker.window
print(f"window: largest at row {window.argmax() // 272}, sum {window.sum():.3f}")
assert math.isclose(window.sum(), 1.0) and window.argmax() // 272 in (135, 136)

# %% [markdown]
# ## 6. 试一试 / Two things to try
#
# 1. 去掉余弦窗（`influence=0`）。预期：画面里没有相似物体时轨迹几乎不变；有相似物体时，框会跳过去。
# 2. 把框画在别处再跟踪。预期：它跟踪你指给它的任何东西，因为它不认识“物体”，只比较相似程度。
#
# <!-- -->
#
# 1. No cosine window (`influence=0`): nearly the same path here; beside a look-alike the box would jump over.
# 2. Begin with a box elsewhere: it follows whatever it is shown; it knows no objects, only likeness.

# %%
_, without, _, _ = follow(frames, box, influence=0.0)
elsewhere = box + [w, 0, 0, 0]
_, others, _, _ = follow(frames, elsewhere)
apart = np.abs(without - boxes)[:, :2].max()
print(f"without the window the corner is at most {apart:.1f} pixels elsewhere")
show(figures.grid([[drawn(frames[39], boxes[39], without[39]), drawn(frames[39], boxes[39], others[39])]],
                  ["blue with, orange without window", "orange: another target"], width=7))
assert len(without) == len(others) == 40

# %% [markdown]
# ## 7. 它在哪里失败 / Where it fails
#
# 目标走出画面时，框无处可去；`confidence` 与 `lost` 说明该不该相信它。看曲线：目标离开之后，置信度如何变化？
# 而没有纹理的目标一开始就无从辨认。
#
# When the target leaves the picture the box has nowhere to go; `confidence` says whether to trust it. Watch the curve
# when she walks out. A target without texture cannot be recognised from the start.

# %%
PERSON = EMBEDDED / "clips" / "person"
walk = [read_pixels(path) for path in list_images(PERSON / "img")]
_, path, trust, _ = follow(walk, np.loadtxt(PERSON / "first_box.txt", delimiter=","))
places = [1, 14, 22, 29]
show(figures.grid([[drawn(walk[place], path[place]) for place in places]], [f"frame {place + 1}" for place in places],
                  [[f"confidence {trust[place]:.2f}" for place in places]]))
figure, axes = figures.new_figure(6, 2.0)
axes[0, 0].plot(range(1, len(trust) + 1), trust)
axes[0, 0].set_xlabel("frame")
axes[0, 0].set_ylabel("confidence")
show(figure)
gray = np.full((120, 160, 3), 128, np.uint8)
flat = SiamFCTracker(network)
flat.init(gray, (60, 40, 30, 30))
flat.update(gray)
assert flat.flat and flat.confidence == 0 and flat.lost
