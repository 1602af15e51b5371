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
# # MSR-net：从公式到图像 / MSR-net: from the equations to the picture
#
# Shen 等，*MSR-net: Low-light Image Enhancement Using Deep Convolutional Network*，arXiv 1711.02488，2017。
# 本讲逐条对照公式、代码与一张真实的夜景照片：每个单元格都可以修改后重新运行。公式与字母同
# [README.zh-CN.md](README.zh-CN.md)。
#
# Equation, code, picture, in this order, on a real photograph by night. Change any cell and run it again. Equations and
# letters are those of [README.md](README.md).
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import torch
import torch.nn.functional as F

from cases.msrnet import baselines, losses
from cases.msrnet.model import Cascade, MSRNet, MultiScaleLog
from common import metrics
from common.base.paths import EMBEDDED
from common.data.images import read_image, to_bytes
from common.experiment import figures
from common.experiment.checkpoints import load_release
from common.experiment.notebook import code, show
from common.lowlight.baselines import gamma

torch.set_grad_enabled(False)


def half(name):
    """A picture of datasets/embedded/dark at half its size, (1, 3, h, w) in [0, 1]."""
    return F.avg_pool2d(read_image(EMBEDDED / "dark" / f"{name}.jpg")[None], 2)


dark, bright = half("garden_dark2"), half("garden_bright")
model = load_release("msrnet", MSRNet)

# %% [markdown]
# ## 1. 问题 / The problem
#
# 同一个花园，手机架在三脚架上：短曝光与长曝光，逐像素对齐。最简单的办法是 gamma 曲线，它把暗处的噪声一起提亮；
# 传统的多尺度 Retinex（MSR）用三个固定宽度的高斯模糊去估计光照，再从对数图像中减去。
#
# The same garden from a tripod, exposed briefly and for long, pixel on pixel. A gamma curve lifts the noise with the
# rest. Multi-scale Retinex (MSR) blurs the picture at three fixed widths, takes that for the illumination, and
# subtracts it in the logarithm.

# %%
low8, high8 = to_bytes(dark[0]), to_bytes(bright[0])
pictures = [low8, gamma(low8), baselines.msr(low8), high8]
names = ["dark", "gamma 1/2.2", "MSR (15, 80, 250)", "long exposure"]
show(figures.grid([pictures], names, [[f"mean {picture.mean():.0f}" for picture in pictures]]))

# %% [markdown]
# ## 2. f1：多尺度对数 / The multi-scale logarithm
#
# $$M_j = \frac{\ln(1 + v_j X)}{\ln(1 + v_j)}, \quad v = 1, 10, 100, 300$$
#
# 0 仍是 0，1 仍是 1；$v$ 越大，暗处抬得越高。
#
# 0 stays 0 and 1 stays 1; the larger $v$, the higher it lifts what is dark.

# %%
code(MultiScaleLog)

# %% [markdown]
# **动手算一算。** 灰度 16 的像素，$x = 16/255 = 0.0627$。$v = 100$ 时 $M$ 是多少？相当于灰度几级？先算，再运行下一格。
#
# **By hand.** A pixel of level 16 has $x = 16/255 = 0.0627$. What is $M$ for $v = 100$, and which level is that? Work
# it out before you run the next cell.

# %%
answer = MultiScaleLog()(torch.full((1, 3, 1, 1), 16 / 255)).flatten()[::3]
print("v = 1, 10, 100, 300:", [f"{value:.3f}" for value in answer.tolist()])
print(f"v = 100: ln(1 + 6.27) / ln(101) = 1.984 / 4.615 = {answer[2]:.3f}, level {255 * answer[2]:.0f}")
assert [round(value, 3) for value in answer.tolist()] == [0.088, 0.203, 0.430, 0.523]
assert round(255 * answer[2].item()) == 110

# %% [markdown]
# 四幅对数图像共 12 个通道，由 1x1 与 3x3 卷积融合成三个通道：
# $X_1 = \mathrm{ReLU}(W_{-1} \ast M + b_{-1}) \ast W_0 + b_0$。X1 没有上下界，显示时才缩放。
#
# The four logarithms are 12 channels; a 1x1 and a 3x3 convolution fuse them into three, $X_1$, which is unbounded and
# is scaled only to be shown.

# %%
code(MSRNet.stages)
stages = model.stages(dark)


def shown(picture):
    """An unbounded picture (1, 3, h, w) between its 1st and 99th percentile."""
    low, high = torch.quantile(picture.flatten()[::7], torch.tensor([0.01, 0.99]))
    return to_bytes(((picture - low) / (high - low))[0])


logs = [to_bytes(log[0]) for log in stages.logs.split(3, dim=1)]
show(figures.grid([[*logs, shown(stages.x1)]], ["v = 1", "v = 10", "v = 100", "v = 300", "X1 (scaled)"]))
assert stages.logs.shape[1] == 12 and stages.x1.shape == dark.shape
assert all(a.mean() < b.mean() for a, b in zip(logs, logs[1:]))            # a larger v is a brighter picture

# %% [markdown]
# ## 3. f2：卷积之差 / The difference of convolutions
#
# $$H_m = \mathrm{ReLU}(W_m \ast H_{m-1} + b_m), \quad H_{11} = W_{11} \ast [H_1, \dots, H_{10}] + b_{11},
# \quad X_2 = X_1 - H_{11}$$
#
# 为什么是级联？高斯模糊再做一次高斯模糊，得到的是更宽的高斯模糊，方差相加。下面用 [1, 2, 1]/4 验证：一次的方差是
# 0.5，十次是 5。十层的输出就是十种宽度的“环绕”，由 1x1 卷积取平均；只不过卷积核不是给定的，而是学出来的。
#
# Why a cascade? A Gaussian of a Gaussian is a wider one: variances add. With [1, 2, 1]/4 one pass has the variance 0.5
# and ten have 5. The ten outputs are surrounds of ten widths, and a 1x1 convolution averages them; but the kernels are
# learnt, not given.

# %%
kernel = torch.tensor([[[0.25, 0.5, 0.25]]])
spread = torch.zeros(1, 1, 41)
spread[..., 20] = 1
positions, variances = torch.arange(41) - 20.0, []
for _ in range(10):
    spread = F.conv1d(spread, kernel, padding=1)
    variances.append((positions.square() * spread[0, 0]).sum().item())
print("variance after 1 .. 10 passes:", [round(variance, 2) for variance in variances])
assert all(abs(variance - 0.5 * passes) < 1e-5 for passes, variance in enumerate(variances, start=1))

# %%
code(Cascade.maps)
means = [h.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) for h in stages.cascade]
columns = ["X1", "mean of H1", "mean of H10", "H11", "X2 = X1 - H11"]
pictures = [stages.x1, means[0], means[9], stages.illumination, stages.x2]
show(figures.grid([[shown(picture) for picture in pictures]], columns))
assert torch.equal(stages.x2, stages.x1 - stages.illumination)

# %% [markdown]
# **一个输出像素看得到多少输入？** 一个 3x3 卷积加十个 3x3 卷积，每个向外扩一圈：$1 + 2 \times 11 = 23$。
# 不必相信推导，可以测量：对输出的一个像素求梯度，看哪些输入像素不为零。
#
# **How much of the input does one output pixel see?** Eleven 3x3 convolutions, each one ring more:
# $1 + 2 \times 11 = 23$. Measure it: the gradient of one output pixel is zero at every input that it does not see.

# %%
torch.manual_seed(0)
window = torch.rand(1, 3, 41, 41, requires_grad=True)
with torch.enable_grad():
    y = MSRNet()(window)                                                   # the paper's network, untrained
    slope, = torch.autograd.grad(y[0, :, 20, 20].sum(), window)
rows = slope[0].abs().sum(dim=(0, 2)).nonzero().flatten()
print(f"rows {rows.min()} to {rows.max()} of 41: a window of {rows.max() - rows.min() + 1} pixels")
assert rows.max() - rows.min() + 1 == 1 + 2 * MSRNet().halo == 23

# %% [markdown]
# ## 4. f3：颜色恢复 / Colour restoration
#
# $$Y = W_{12} \ast X_2 + b_{12}$$
#
# 一个 3x3 矩阵把三个通道重新混合。训练从单位矩阵开始；看看它学成了什么，再逐像素验证公式。
#
# One 3x3 matrix mixes the three channels anew. Training starts it as the identity; see what became of it, and check the
# formula pixel by pixel.

# %%
matrix, bias = model.restore.weight[:, :, 0, 0], model.restore.bias
print("W12 =", [[round(value, 3) for value in row] for row in matrix.tolist()])
by_hand = torch.einsum("oc,nchw->nohw", matrix, stages.x2) + bias[:, None, None]
assert torch.allclose(by_hand, stages.y, atol=1e-4)
assert torch.equal(MSRNet().restore.weight[:, :, 0, 0], torch.eye(3))
pictures = [shown(stages.x2), shown(stages.y), to_bytes(stages.y[0])]
show(figures.grid([pictures], ["X2 (scaled)", "Y (scaled)", "Y as written"]))

# %% [markdown]
# **减还是乘？** 在对数域里相减，在线性光里就是相除。MSR-net 的减法之所以成立，是因为 X1 在对数域；KinD 在线性域里
# 工作，那里必须相乘。
#
# **Minus or times?** A difference of logarithms is a quotient in linear light. MSR-net may subtract because X1 lives in
# the log domain; KinD works in linear light, and multiplies.

# %%
light, reflectance = torch.tensor([0.1, 0.5]), torch.tensor([0.6, 0.6])
assert torch.allclose((light * reflectance).log() - light.log(), reflectance.log())

# %% [markdown]
# **同样的结果，十分之一的内存。** 公式要求拼接出 320 个通道；$W_{12} W_{11}$ 都是 1x1 卷积，可以合成一个矩阵，
# 每算出一层 $H_m$ 就立即乘上自己的 32 列。
#
# **The same answer in a tenth of the memory.** The formula joins 320 channels. $W_{12}$ and $W_{11}$ are both 1x1,
# hence one matrix, and each $H_m$ meets its own 32 columns as soon as it is there.

# %%
code(MSRNet.forward)
difference = (model(dark) - stages.y).abs().max().item()
print(f"largest difference from the formula: {difference:.1e}")
assert difference < 1e-4

# %% [markdown]
# ## 5. 结果 / The result
#
# `release` 是论文的网络；`release-denoise` 是我们的变体，窗口更大，并从 32x32 的缩略图得知整幅图的曝光。
# PSNR 以长曝光为参考，单位 dB。
#
# `release` is the paper's network, `release-denoise` our variant: a wider window, and a 32x32 thumbnail that tells the
# exposure of the whole. PSNR against the long exposure, in dB.

# %%
outputs = {"dark": low8, "gamma 1/2.2": gamma(low8), "MSR": baselines.msr(low8), "release": to_bytes(model(dark)[0])}
outputs["release-denoise"] = to_bytes(load_release("msrnet", MSRNet, "release-denoise")(dark)[0])
scores = {name: metrics.fidelity(picture, high8) for name, picture in outputs.items()}
captions = [f"{score['psnr']:.1f} dB, SSIM {score['ssim']:.2f}" for score in scores.values()]
show(figures.grid([[*outputs.values(), high8]], [*outputs, "long exposure"], [[*captions, ""]]))
for name, score in scores.items():
    print(f"{name:16s} {score['psnr']:6.2f} dB  SSIM {score['ssim']:.4f}")
assert scores["release-denoise"]["psnr"] > scores["dark"]["psnr"]
assert scores["release"]["ssim"] > scores["dark"]["ssim"]

# %% [markdown]
# ## 6. 损失 / The loss
#
# 论文：$\frac{1}{N} \sum_i \lVert f(X_i) - Y_i \rVert_F^2$，在每个图像块的所有值上*求和*。我们：平均绝对误差，
# 加上 0.3 (1 - SSIM)。
#
# 同一个暗像素，在三幅图里分别对应 0.2、0.2、0.8。哪个输出使平方损失最小？哪个使绝对值损失最小？先想再运行。
#
# The paper *sums* the squares over a patch; we take the mean absolute difference and 0.3 (1 - SSIM). The same dark
# pixel means 0.2, 0.2 and 0.8 in three pictures: which answer makes the squares least, and which the absolute
# differences?

# %%
code(losses.frobenius, losses.absolute)
targets = torch.tensor([0.2, 0.2, 0.8]).view(3, 1, 1, 1)
answers = torch.linspace(0, 1, 101)
squares = torch.stack([losses.frobenius(answer.expand(3, 1, 1, 1), targets) for answer in answers])
absolutes = torch.stack([losses.absolute(answer.expand(3, 1, 1, 1), targets) for answer in answers])
print(f"squares: {answers[squares.argmin()]:.2f}, the mean; absolute: {answers[absolutes.argmin()]:.2f}, the median")
assert round(answers[squares.argmin()].item(), 2) == 0.40 and round(answers[absolutes.argmin()].item(), 2) == 0.20
figure, axes = figures.new_figure(6, 2.2)
axes[0, 0].plot(answers, squares, label="squares")
axes[0, 0].plot(answers, absolutes, label="absolute")
axes[0, 0].set_xlabel("answer")
axes[0, 0].set_ylabel("loss")
axes[0, 0].legend(frameon=False)
show(figure)

# %% [markdown]
# ## 7. 试一试 / Two things to try
#
# 1. 把 `MultiScaleLog` 的 `log1p(v x)` 换成 `log(v x + 1e-7)`。预期：黑色像素变成很大的负数，0 不再是 0。
# 2. 只增强一半：$x + s\,(y - x)$，$s = 0.5$（命令行的 `test.strength`）。预期：平均灰度正好落在输入与输出的正中间。
#
# <!-- -->
#
# 1. Put `log(v x + 1e-7)` in the place of `log1p(v x)`: black becomes a large negative number, 0 is no longer 0.
# 2. Half of the answer, $x + s\,(y - x)$ with $s = 0.5$ (`test.strength`): its mean lies in the middle of both.

# %%
black = torch.zeros(1)
print(f"log1p: {torch.log1p(100 * black).item():.1f}; log: {torch.log(100 * black + 1e-7).item():.1f}")
assert torch.log(100 * black + 1e-7).item() < -16
y, strength = model(dark), 0.5
part = dark + strength * (y - dark)
assert torch.isclose(part.mean(), (dark.mean() + y.mean()) / 2)
show(figures.grid([[low8, to_bytes(part[0]), to_bytes(y[0])]], ["s = 0", "s = 0.5", "s = 1"]))

# %% [markdown]
# ## 8. 它在哪里失败 / Where it fails
#
# 同一个花园的三次曝光，理想的答案应该只有一个。但 23 像素的窗口无法知道整幅图的曝光：同样灰度的一块，可能是暗房间
# 里的白墙，也可能是亮房间里的阴影。看三个输出的平均灰度相差多少。第二行是一张本来就亮的照片：网络学到的是
# “目标都很亮”。
#
# Three exposures of one garden should have one answer. But a window of 23 pixels cannot know the exposure: the same
# gray may be a white wall in a dark room or a shadow in a bright one. Compare the means. Second row: a photograph that
# was bright already; the network has learnt that targets are bright.

# %%
exposures = [half(f"garden_dark{number}") for number in (1, 2, 3)]
answers = [to_bytes(model(exposure)[0]) for exposure in exposures]
photo = F.avg_pool2d(read_image(EMBEDDED / "photos" / "china.jpg")[None], 2)
second = [to_bytes(photo[0]), to_bytes(model(photo)[0]), None, None]
titles = ["long exposure", "answer to dark 1", "answer to dark 2", "answer to dark 3"]
captions = [[f"mean {picture.mean():.0f}" for picture in (high8, *answers)],
            [f"bright already: mean {second[0].mean():.0f}", f"answer: mean {second[1].mean():.0f}", "", ""]]
show(figures.grid([[high8, *answers], second], titles, captions))

# %% [markdown]
# 因此对自己的照片，命令行默认用 `test.protect` 保护亮处；试一试：
# `python cases/msrnet/test.py --weights release-denoise --input photo.jpg --output bright.jpg`。
# 更多问题见 README 末尾的思考题。
#
# So on your own photographs `test.protect` keeps what is bright: the command above. More questions at the end of the
# README.
