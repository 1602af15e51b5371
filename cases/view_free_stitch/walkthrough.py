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
# # 自由视角拼接：从公式到图像 / View-free stitching: from the equations to the picture
#
# Nie 等，*A View-free Image Stitching Network Based on Global Homography*，2020。公式与字母同
# [README.zh-CN.md](README.zh-CN.md)：A 为参考图像，B 为目标图像，H_ba 把 B 的坐标映射到 A 的坐标，
# f 为 B 的四个角点的偏移量。
#
# Equations and letters are those of [README.md](README.md): A the reference, B the target, H_ba maps B's coordinates to
# A's, f are the offsets of B's corners.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import torch

from cases.view_free_stitch import losses
from cases.view_free_stitch.model import SIDE, ViewFreeStitch, structure_stitch
from common.base.paths import EMBEDDED
from common.data.images import read_pixels, to_bytes
from common.experiment import figures
from common.experiment.checkpoints import load_release
from common.experiment.notebook import code, show
from common.stitching.estimators import network_estimate, refine_estimate
from common.stitching.geometry import (
    homography_from_offsets,
    offsets_from_homography,
    refusal,
    solve_homography,
    transform,
    warp,
)
from common.stitching.network import SmallHomography, cost_volume
from common.stitching.pairs import at_most, make_pair, read_squashed
from common.stitching.register import doubt

torch.set_grad_enabled(False)
model = load_release("view_free_stitch", ViewFreeStitch)

# %% [markdown]
# ## 1. 由偏移量到单应性 / From offsets to a homography
#
# 两幅只相差转动的照片，由一个 3x3 矩阵联系；四个角点的去处完全决定它。每个角点给出两个方程（直接线性变换），
# 共八个方程、八个未知数：
#
# Two photographs of a turning camera differ by one 3x3 matrix, which four corners determine: two equations each (direct
# linear transform), eight equations for eight numbers:
#
# $$\begin{bmatrix} x & y & 1 & 0 & 0 & 0 & -ux & -uy \end{bmatrix} h = u, \quad
# \begin{bmatrix} 0 & 0 & 0 & x & y & 1 & -vx & -vy \end{bmatrix} h = v$$
#
# **动手算一算。** B 平移 (30, -20)：H 是什么？再让右下角多移动 (12, 6)：(128, 128) 落在哪里？w 大于还是小于 1？
#
# **By hand.** B is shifted by (30, -20): which H? Move the lower right corner by (12, 6) more: where does (128, 128)
# land, and is w above or below 1?

# %%
code(homography_from_offsets, solve_homography)
shift = homography_from_offsets(torch.tensor([[30.0, -20, 30, -20, 30, -20, 30, -20]]), (SIDE, SIDE))
bent = homography_from_offsets(torch.tensor([[30.0, -20, 30, -20, 30, -20, 42, -14]]), (SIDE, SIDE))
point, w = transform(bent, torch.tensor([[[128.0, 128.0]]]))
print([[round(value, 4) for value in row] for row in shift[0].tolist()])
print([round(value, 3) for value in point[0, 0].tolist()], f"w = {w.item():.3f}: nearer to the camera")
assert torch.allclose(shift[0], torch.tensor([[1.0, 0, 30], [0, 1, -20], [0, 0, 1]], dtype=torch.float64), atol=1e-9)
assert torch.allclose(point[0, 0], torch.tensor([170.0, 114.0], dtype=torch.float64)) and round(w.item(), 3) == 0.877

# %% [markdown]
# ## 2. 变形 / The warp
#
# 结果的每个像素，经 $H^{-1}$ 回到 B 中取样（双线性）。从一张照片制作一对图像：A 是正中的方框，B 的角点
# 先整体平移，再各自扰动。这样不需要标注就知道真值；也正因如此，这种图像对没有视差。
#
# Every pixel of the result is looked up in B through the inverse. A pair is made of one photograph: A is its middle,
# B's corners are shifted together and then bent one by one. So the truth is known, and there is no parallax.

# %%
code(warp, make_pair)
photo = read_squashed(EMBEDDED / "photos" / "china.jpg")
pair = make_pair(photo, (38, -16), [[8, -6], [-12, 10], [14, 5], [-9, -15]])
tensors = pair.tensors()
a, b, H_true = tensors.a[None], tensors.b[None], tensors.H_ba[None]
warped, mask = warp(b, H_true, (SIDE, SIDE))
difference = ((warped - a).abs() * (mask >= 0.999))
show(figures.grid([[pair.a, pair.b, to_bytes(warped[0]), to_bytes(4 * difference[0])]],
                  ["A", "B", "B as A sees it", "4 |difference|"], width=8))
back, _ = warp(warped, torch.linalg.inv(H_true), (SIDE, SIDE))
assert torch.allclose(offsets_from_homography(H_true, (SIDE, SIDE)), tensors.offsets[None].double(), atol=1e-4)
assert difference.mean() < 0.02                                            # nothing but interpolation

# %% [markdown]
# ## 3. 代价体 / The cost volume
#
# $$V(d, p) = \frac{1}{C} \sum_c F_A(c, p)\, F_B(c, p + d)$$
#
# A 的每个位置 p 与 B 的每个位移 d 相比较。**动手算一算。** C = 2，A 的一处特征为 (1, 0)；B 在原处为 (0, 1)，
# 右边一格为 (1, 0)。d = 0 和 d = (1, 0) 的值各是多少？
#
# Every place p of A with every displacement d in B. **By hand:** C = 2, A has (1, 0); B has (0, 1) there and (1, 0) one
# place to the right: which values at d = 0 and d = (1, 0)?

# %%
code(cost_volume)
F_A, F_B = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
F_A[0, :, 0, 0] = torch.tensor([1.0, 0.0])
F_B[0, :, 0, 0], F_B[0, :, 0, 1] = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
volume = cost_volume(F_A, F_B, 1)[0, :, 0, 0]                              # channel (dy + 1) 3 + dx + 1
print("d = 0:", volume[4].item(), "d = (1, 0):", volume[5].item())
assert volume[4] == 0 and volume[5] == 0.5 and volume.numel() == 9

# %% [markdown]
# 真实的两幅图像：A 的一个位置（白框）与 B 的全部 16 x 16 个位置有多相似。论文网络从 1,089 个这样的通道回归偏移量；
# 我们的网络对它做两个方向的 softmax，再*拟合*几何关系。
#
# Two real pictures: how alike one place of A (white) and all 16 x 16 of B are. The paper regresses the offsets from
# 1,089 such channels; ours takes a softmax both ways and *fits* the geometry.

# %%
code(SmallHomography.match_everywhere)
(coarse_a, coarse_b), _ = (maps.chunk(2) for maps in model.homography.features(torch.cat([a, b])))
row, column = 5, 10
alike = torch.einsum("c,cyx->yx", coarse_a[0, :, row, column], coarse_b[0])
marked = pair.a.copy()
marked[8 * row:8 * row + 8, [8 * column, 8 * column + 7]] = 255
marked[[8 * row, 8 * row + 7], 8 * column:8 * column + 8] = 255
shown = ((alike - alike.min()) / (alike.max() - alike.min())).numpy()
truth, _ = transform(torch.linalg.inv(H_true), torch.tensor([[[8 * column + 3.5, 8 * row + 3.5]]]).double())
best = divmod(alike.argmax().item(), 16)
print(f"most alike: row {best[0]}, column {best[1]}; truth: row {truth[0, 0, 1] / 8 - 0.44:.1f}, "
      f"column {truth[0, 0, 0] / 8 - 0.44:.1f}")
show(figures.grid([[marked, pair.b, shown]], ["a place of A", "B", "how alike, 16 x 16"], width=7))
assert coarse_a.shape[2:] == (16, 16) and coarse_a.square().sum(dim=1).allclose(torch.ones(1, 16, 16), atol=1e-3)

# %% [markdown]
# ## 4. 网络的回答 / The network's answer
#
# 误差是四个角点的均方根距离（`rmse_4pt`），以 128 像素的图像计；什么也不做（恒等）的误差就是偏移量本身。
#
# The error is the root mean square over the corners, in pixels of 128; the identity is off by the offsets themselves.

# %%
code(losses.offset_squares)
prediction = model(a, b)


def corner_error(offsets):
    """Root of the mean over the four corners of the squared distance, pixels."""
    return (offsets - tensors.offsets).view(4, 2).square().sum(dim=1).mean().sqrt().item()


print("true   ", tensors.offsets.tolist())
print("network", [round(value, 1) for value in prediction.offsets[0].tolist()])
errors = corner_error(prediction.offsets[0]), corner_error(torch.zeros(8))
print(f"error {errors[0]:.2f} px, of the identity {errors[1]:.2f} px")
assert errors[0] < errors[1] / 2
assert losses.offset_squares(torch.zeros(1, 8), torch.full((1, 8), 3.0)) == 9

# %% [markdown]
# ## 5. 结构拼接与内容修正 / Structure stitching and content revision
#
# $$\frac{M_A W_A + M_B W_B}{M_A + M_B}$$
#
# 在 304 x 304 的画布上，A 从 (88, 88) 开始；重叠处取平均。对不准就有重影，由第二个网络修正。
#
# On a canvas of 304 x 304 where A begins at (88, 88); the overlap is averaged, and a second network mends the ghosts.

# %%
code(structure_stitch)
stitched = model(a, b, prediction.offsets)
warps = stitched.warps
masks = warps.mask_a.float() + warps.mask_b.float()
by_hand = (warps.mask_a * warps.a + warps.mask_b * warps.b) / masks.clamp(min=1)
assert torch.allclose(warps.average(), by_hand, atol=1e-6)
assert torch.allclose(warps.a[..., 88:216, 88:216], a, atol=1e-5)
pictures = [warps.a, warps.b, masks.expand(-1, 3, -1, -1) / 2, warps.average(), stitched.revised, tensors.label[None]]
show(figures.grid([[to_bytes(picture[0]) for picture in pictures]],
                  ["W_A", "W_B", "M_A + M_B", "average", "revised", "label"]))

# %% [markdown]
# ## 6. 两张真实的照片 / Two real photographs
#
# 网络只看压缩到 128 x 128 的图像；它的回答放大到原尺寸，再依据图像本身优化。
#
# The network sees 128 x 128; its answer is scaled to full size and refined by the pictures themselves.

# %%
left, right = (at_most(read_pixels(EMBEDDED / "panoramas" / f"berlin_{number}.jpg"), 400) for number in (1, 2))
found = network_estimate(model, left, right, "cpu")
better = refine_estimate(left, right, found)
scenes = []
for estimate in (found, better):
    A, B = (torch.from_numpy(picture).permute(2, 0, 1)[None] / 255 for picture in (left, right))
    laid = structure_stitch(A, B, estimate.H_ba[None], (560, 480), (-130, -40))
    scenes.append(to_bytes(laid.average()[0]))
captions = [[f"{left.shape[1]} x {left.shape[0]}", "", "network, average", "refined, average"]]
show(figures.grid([[left, right, *scenes]], ["berlin 1", "berlin 2", "", ""], captions))
print(f"{found.inliers} of {found.matches} sure matches agree:", doubt(left, right, better).reason or "nothing objects")

# %% [markdown]
# ## 7. 试一试 / Two things to try
#
# 1. 把 B 的亮度减半。预期：误差几乎不变，因为特征先减均值、再除以标准差。
# 2. 让三个角点共线，或者把图像翻转。预期：求解时报错；或被几何检查拒绝，并说明理由。
#
# <!-- -->
#
# 1. Halve B's brightness: nearly the same error, because the mean is taken off and the deviation divided by.
# 2. Three corners on a line, or a mirrored picture: an error, or refused by geometry with the reason.

# %%
darker = corner_error(model(a, b / 2).offsets[0])
print(f"error with half the light: {darker:.2f} px")
assert darker < errors[1] / 2
try:
    line = torch.tensor([[[0.0, 0], [1, 0], [2, 0], [0, 1]]])
    solve_homography(line, line)
    raise AssertionError("three points on a line were accepted")
except ValueError as problem:
    print(problem)
mirrored = torch.tensor([[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
print(refusal(mirrored, (SIDE, SIDE), (SIDE, SIDE)))
assert refusal(mirrored, (SIDE, SIDE), (SIDE, SIDE)) == "the picture would be mirrored"
assert refusal(torch.eye(3, dtype=torch.float64), (SIDE, SIDE), (SIDE, SIDE)) is None

# %% [markdown]
# ## 8. 它在哪里失败 / Where it fails
#
# 两幅毫不相干的照片，网络也会给出一个单应性。所以回答必须有证据：可信的匹配要有八个以上一致，
# 重叠处的图像要相关。没有证据就拒绝拼接，而不是乱猜。平移超过边长一半的情形网络从未见过。
#
# Of two photographs that have nothing in common the network makes a homography all the same. So an answer needs
# evidence: eight matches that agree, pictures that correlate where they overlap. Without it the pair is refused. Shifts
# beyond half a side the network has never seen.

# %%
code(doubt)
strangers = read_pixels(EMBEDDED / "photos" / "china.jpg"), read_pixels(EMBEDDED / "photos" / "coffee.jpg")
verdict = doubt(*strangers, network_estimate(model, *strangers, "cpu"))
print("china and coffee:", verdict.reason)
assert verdict.reason is not None
rows = []
for shift in (20, 40, 60, 90, 110):
    far = make_pair(photo, (shift, 0), [[0, 0]] * 4, label=False).tensors()
    offsets = model(far.a[None], far.b[None]).offsets[0]
    rows.append((shift, (offsets - far.offsets).view(4, 2).norm(dim=1).mean().item()))
for shift, error in rows:
    print(f"shift {shift:3d} of 128 px: mean corner error {error:6.2f} px")
figure, axes = figures.new_figure(6, 2.2)
axes[0, 0].plot(*zip(*rows), marker="o")
axes[0, 0].axvline(64, linestyle="--", color=figures.COLOURS[7])           # the largest shift of the training pairs
axes[0, 0].set_xlabel("shift (pixels of 128)")
axes[0, 0].set_ylabel("mean corner error (px)")
show(figure)
