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
# # 风格迁移：从公式到图像 / Style transfer: from the equations to the picture
#
# Gatys、Ecker、Bethge，*Image Style Transfer Using Convolutional Neural Networks*，CVPR 2016；
# 一次前向：Johnson 等 2016，Dumoulin 等 2017。公式与字母同 [README.zh-CN.md](README.zh-CN.md)：F 图像的特征，
# P 内容图的特征，G 与 A 为图像和风格图的 Gram 矩阵，N 个通道，M 个位置。
#
# Equations and letters are those of [README.md](README.md): F features of the picture, P of the content, G and A Gram
# matrices of the picture and of the style, N channels, M positions.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import torch

from cases.vgg19_style import colour, losses
from cases.vgg19_style.data import Work, fit_size, read_on_white, resize
from cases.vgg19_style.fast.network import FastNetwork
from cases.vgg19_style.fast.train import choose_styles, stylise
from cases.vgg19_style.model import STYLE_TAPS, Objective
from cases.vgg19_style.painter import Painter, feature_network, prepare
from common.base.paths import EMBEDDED
from common.data.images import to_bytes
from common.experiment import figures, settings
from common.experiment.checkpoints import load_release
from common.experiment.notebook import code, show
from common.features import vgg

PHOTO, PAINTING, SIZE = EMBEDDED / "photos" / "china.jpg", EMBEDDED / "paintings" / "starry_night.jpg", 176


def at_size(path):
    """A picture file with a long side of SIZE pixels, (1, 3, h, w) in [0, 1]."""
    pixels = read_on_white(path)
    return resize(pixels, fit_size(pixels.shape, SIZE))


content, style = at_size(PHOTO), at_size(PAINTING)
trunk = vgg.load("small", [*STYLE_TAPS])

# %% [markdown]
# ## 1. 特征 / Features
#
# 识别网络逐层看图：浅层对边缘和颜色作出响应，深层对部件和物体。越深，越不在乎响应由哪些像素引起。
# 下面是三层中响应最强的四个通道。
#
# A network that recognises things sees edges and colours in its first layers, parts and things in its last. The four
# strongest channels of three layers:

# %%
with torch.no_grad():
    features, painted_features = trunk(content), trunk(style)
rows = []
for tap in ("relu1_1", "relu3_1", "relu5_1"):
    strongest = features[tap][0].mean(dim=(1, 2)).topk(4).indices
    rows.append([(features[tap][0, channel] / features[tap][0, channel].max()).numpy() for channel in strongest])
show(figures.grid(rows, None, None, ["relu1_1", "relu3_1", "relu5_1"], width=8))
for tap in STYLE_TAPS:
    print(f"{tap}: N = {features[tap].shape[1]}, positions {tuple(features[tap].shape[2:])}")
assert [trunk.stride(tap) for tap in STYLE_TAPS] == [1, 2, 4, 8, 16]

# %% [markdown]
# ## 2. Gram 矩阵 / The Gram matrix
#
# $$G_{ij} = \sum_k F_{ik} F_{jk}$$
#
# 两个通道有多经常在*同一位置*同时响应。**动手算一算。** 2 x 2 个位置、两个通道：
# F = [[1, 0], [2, -1]] 和 [[0, 1], [1, 3]]，G 是多少？内容图 P = [[1, 1], [0, -1]] 和 [[2, 1], [1, 0]] 时，
# 课程的内容项 $\lVert F - P \rVert^2 / (2 M N)$ 是多少？
#
# How often two channels answer at the same place. **By hand:** G of these two channels at 2 x 2 positions? And the
# course's content term $\lVert F - P \rVert^2 / (2 M N)$?

# %%
code(losses.gram, losses.square_distance)
F = torch.tensor([[[[1, 0], [2, -1]], [[0, 1], [1, 3]]]]).double()
P = torch.tensor([[[[1, 1], [0, -1]], [[2, 1], [1, 0]]]]).double()
S = torch.tensor([[[[0, 1], [1, 0]], [[1, 0], [1, 2]]]]).double()
G = losses.gram(F, 1.0)
content_term = (losses.square_distance(F, P) / (2 * 4 * 2)).item()
style_term = (losses.square_distance(losses.gram(F), losses.gram(S)) / (4 * 2 ** 2)).item()
print("G =", G[0].tolist(), f"content {content_term}, style {style_term:.4f} = 49/256")
assert G[0].tolist() == [[6, -1], [-1, 11]]
assert content_term == 1.125 and style_term == 49 / 256

# %% [markdown]
# Gram 矩阵不知道任何东西在哪里：把位置全部打乱，G 不变，特征的距离却很大。这正是“风格”的定义。
#
# The Gram matrix does not know where things are: shuffle all positions and G stays, while the features are far from
# what they were. That is what *style* means here.

# %%
torch.manual_seed(0)
F = features["relu2_1"]
order = torch.randperm(F[0, 0].numel())
shuffled = F.flatten(2)[..., order].view_as(F)
print(f"|F - shuffled|^2 / |F|^2 = {(losses.square_distance(F, shuffled) / losses.square_size(F)).item():.2f}")
assert torch.allclose(losses.gram(F), losses.gram(shuffled), rtol=1e-3, atol=1e-4)


def as_picture(G):
    """A Gram matrix (1, N, N) as gray levels; the root shows the small values too."""
    return (G[0].clamp(min=0) / G.max()).sqrt().numpy()


grams = [losses.gram(F), losses.gram(shuffled), losses.gram(painted_features["relu2_1"])]
show(figures.grid([[to_bytes(content[0]), None, to_bytes(style[0])], [as_picture(G) for G in grams]],
                  ["photograph", "its positions shuffled", "painting"], [[""] * 3, ["G, relu2_1"] * 3], width=7))

# %% [markdown]
# ## 3. 损失 / The loss
#
# $$\sum_l c_l \lVert F_l - P_l \rVert^2 + \sum_l s_l \lVert G_l / M_l - A_l / M_{s,l} \rVert^2
# + t\, (\langle dx^2 \rangle + \langle dy^2 \rangle)$$
#
# 默认的相对形式取 $s_l = w / \lVert A / M_s \rVert^2$：与目标毫无相似之处（G = 0）时每项恰为 1，达到目标时为 0。
#
# In the relative form a term is 1 where nothing of the target is met (G = 0), and 0 at the target.

# %%
code(losses.factors, losses.relative_style)
targets = {tap: losses.gram(painted_features[tap]) for tap in STYLE_TAPS}
nothing = {tap: torch.zeros_like(painted_features[tap]) for tap in STYLE_TAPS}
distances = {"nothing": nothing, "the photograph": features, "the painting": painted_features}
with torch.no_grad():
    distances = {name: losses.relative_style(found, targets).item() for name, found in distances.items()}
print({name: round(value, 4) for name, value in distances.items()})
assert abs(distances["nothing"] - 1) < 1e-5 and distances["the painting"] < 1e-6
assert distances["the photograph"] > 0.01

# %% [markdown]
# ## 4. 十步成画 / A picture in ten steps
#
# 网络不变，被训练的是图像：梯度经网络一直传回*像素*，由 L-BFGS 移动像素。
#
# The network stays; the picture is what is trained. The gradient goes through the network down to the *pixels*, and
# L-BFGS moves them.

# %%
code(Objective.gradient, Painter.step)


def paint(steps, *words):
    """(pictures after every step, total loss before it) of the photograph in the painting's style."""
    words = ["network=small", f"data.size={SIZE}", f"train.steps={steps}", "train.scales=1", "train.average=0", *words]
    chosen = settings.resolve("vgg19_style", words).config
    network, loss = feature_network(chosen)
    work = Work("walkthrough", PHOTO, [PAINTING], [1.0], [])
    painter = Painter(chosen, network, loss, work, *prepare(chosen))
    pictures, totals = [], []
    for step in range(1, steps + 1):
        terms = painter.step(step)
        totals.append(sum(terms.values()).item())
        pictures.append(to_bytes(painter.result()[0]))
    return pictures, totals


pictures, totals = paint(10)
shown = [1, 2, 3, 4, 6, 8, 10]
show(figures.grid([[to_bytes(content[0]), *(pictures[step - 1] for step in shown[:3])],
                   [pictures[step - 1] for step in shown[3:]]], None,
                  [["photograph", *(f"step {step}" for step in shown[:3])], [f"step {step}" for step in shown[3:]]]))
print("loss before steps 1, 2, 5, 10:", [round(totals[step - 1], 3) for step in (1, 2, 5, 10)])
assert totals[-1] < 0.7 * totals[0]

# %% [markdown]
# ## 5. 一次前向 / In one pass
#
# 另一个网络在任意照片上用同样的损失训练，之后一次前向就画完；每种风格只有自己的 gamma 和 beta：
# $z = \gamma_s (x - \mu) / \sigma + \beta_s$。把这些数混合，风格也就混合了。
#
# A network trained by the same loss paints in one pass. Each style has only a gamma and a beta of its own; mixing these
# numbers mixes the styles.

# %%
code(FastNetwork.forward)
fast = load_release("vgg19_style", FastNetwork, "release-styles")
names = fast.styles
with torch.no_grad():
    made = [stylise(fast, content[0], weights) for text in (names[0], f"{names[0]}=1,{names[1]}=1", *names[1:])
            for weights in choose_styles(fast, text).values()]
show(figures.grid([[to_bytes(picture) for picture in made[:4]], [to_bytes(picture) for picture in made[4:]]], None,
                  [[names[0], "half and half", *names[1:3]], list(names[3:])]))
assert all(picture.shape == content.shape[1:] for picture in made)
one_more = sum(parameter.numel() for parameter in FastNetwork(16, ["a", "b"]).parameters()) - 424_899
print(f"one more style: {one_more} numbers")
assert one_more == 1600

# %% [markdown]
# ## 6. 试一试 / Two things to try
#
# 1. 内容的权重乘以 30（`loss.content=3`）。预期：照片保留得更多，风格距离更大。
# 2. 只要画的明暗，颜色全部用照片的（`train.colour=luminance`）。预期：每个像素的 R、G、B 改变同样多。
#
# <!-- -->
#
# 1. Thirty times the weight of the content (`loss.content=3`): more photograph.
# 2. Only the brightness of the painting (`train.colour=luminance`): R, G and B of a pixel change alike.

# %%
faithful, _ = paint(10, "loss.content=3")
gray, _ = paint(10, "train.colour=luminance")
show(figures.grid([[pictures[-1], faithful[-1], gray[-1]]], ["default", "loss.content=3", "colour=luminance"]))


def distance(picture):
    """Mean difference from the photograph, in gray levels."""
    return abs(picture.astype(float) - to_bytes(content[0])).mean()


print(f"levels from the photograph: {distance(pictures[-1]):.1f}, with loss.content=3 {distance(faithful[-1]):.1f}")
assert distance(faithful[-1]) < distance(pictures[-1])
painted = torch.full((1, 3, 2, 2), 0.5)
changed = colour.with_luminance_of(torch.full((1, 3, 2, 2), 0.4) + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1),
                                   painted)
assert torch.allclose(changed[:, 0] - changed[:, 1], torch.tensor(0.1), atol=1e-6)

# %% [markdown]
# ## 7. 它在哪里失败 / Where it fails
#
# 从噪声开始（`train.start=noise`，论文的做法）十步远远不够：看损失与图像。另外，文字和人脸等精细结构会被笔触吞没，
# 而特征网络决定能看到什么样的笔触：`small` 画得不如原版 VGG19，数字见 README 的结果一节。
#
# From noise, as in the paper, ten steps are far too few. Letters and faces drown in strokes; and the feature network
# decides which strokes can be seen: `small` is no VGG19 (numbers in the README's results).

# %%
noisy, noisy_totals = paint(10, "train.start=noise")
show(figures.grid([[noisy[0], noisy[4], noisy[9], pictures[9]]],
                  ["noise, step 1", "step 5", "step 10", "from the photograph"]))
print(f"loss before step 10: {noisy_totals[-1]:.3f} from noise, {totals[-1]:.3f} from the photograph")
assert noisy_totals[-1] > totals[-1]
