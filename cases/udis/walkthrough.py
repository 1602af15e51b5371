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
# # 无监督拼接 UDIS：从公式到图像 / Unsupervised stitching: from the equations to the picture
#
# Nie 等，*Unsupervised Deep Image Stitching: Reconstructing Stitched Features to Images*，2021。公式与字母同
# [README.zh-CN.md](README.zh-CN.md)：图像 1 为参考，图像 2 被变形；W 变形图像，M 掩膜，S 拼接结果。
#
# Equations and letters are those of [README.md](README.md): image 1 is the reference, image 2 is warped; W warps, M
# masks, S the stitched picture.
#
# 怎样打开 / How to open: [README.zh-CN.md](../../README.zh-CN.md#讲义与试用网页),
# [README.md](../../README.md#notebooks-and-playground).

# %%
import sys

sys.path.insert(0, "../..")               # so that a clone also works before it is installed

import math

import torch
import torch.nn.functional as F

from cases.udis import losses
from cases.udis.model import UDIS, MaskReconstruction, guard, stitching_domain
from cases.udis.quality import ghost
from common.base.paths import EMBEDDED
from common.data.images import read_pixels, to_bytes
from common.experiment import figures
from common.experiment.checkpoints import load_release
from common.experiment.notebook import code, show
from common.stitching.estimators import network_estimate, refine_estimate
from common.stitching.geometry import homography_from_offsets, offsets_from_homography, rescale, warp
from common.stitching.network import cost_volume
from common.stitching.pairs import at_most
from common.stitching.register import doubt

torch.set_grad_enabled(False)
model = load_release("udis", UDIS)


def photograph(name, longest=400):
    """A panorama's photograph, (h, w, 3) uint8."""
    return at_most(read_pixels(EMBEDDED / "panoramas" / f"{name}.jpg"), longest)


def tensor(pixels):
    """(1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


one, two = photograph("berlin_1"), photograph("berlin_2")

# %% [markdown]
# ## 1. 没有标签的损失 / A loss without labels
#
# “正确的全景图”并不存在。评判标准只有一条：图像 1 与变形后的图像 2 在重叠处是否一致。论文的损失是*整幅*图像上的
# 均值，$\frac{1}{3HW} \sum |W - I_1 m|$。**先想一想：** 重叠减半，损失怎样变化？完全不重叠时是多少？
# 我们在重叠处取均值，再加上铰链项 $2 \max(0, 1 - \text{overlap} / 0.1)$：完全不重叠时它是多少？
#
# There is no *right panorama*. The only judge: do image 1 and the warped image 2 agree where they overlap? The paper's
# loss is a mean over the whole picture. **Think first:** what becomes of it when the overlap is halved, and without
# any? Ours is a mean over the overlap and a hinge: what is that without any overlap?

# %%
code(losses.blanked_loss, losses.masked_loss)
found = refine_estimate(one, two, network_estimate(model, one, two, "cpu"))
share = [(128 / picture.shape[1], 128 / picture.shape[0]) for picture in (one, two)]
H_128 = rescale(found.H_ba[None], *share)                                  # of both pictures squashed to 128 x 128
A, B = (F.interpolate(tensor(picture), (128, 128), mode="area") for picture in (one, two))
rows, pictures = [], []
for push in (0, 32, 64, 96, 140, 180):
    pushed = torch.eye(3, dtype=torch.float64)[None]
    pushed[0, 0, 2] = push
    warped, mask = warp(B, pushed @ H_128, (128, 128))
    rows.append((push, losses.blanked_loss(A, warped, mask).item(), losses.masked_loss(A, warped, mask).item()))
    pictures.append(to_bytes((0.5 * A + 0.5 * warped)[0]))
for push, paper, ours in rows:
    print(f"image 2 pushed away by {push:3d} px: paper {paper:.4f}, ours {ours:.4f}")
show(figures.grid([pictures], [f"pushed {push}" for push, *_ in rows]))
assert rows[-1][1] == 0 and abs(rows[-1][2] - 2) < 1e-6                    # no overlap: the paper's loss is content
assert rows[0][2] == min(ours for _, _, ours in rows)

# %% [markdown]
# ## 2. 保护 / The guard
#
# 无监督训练会走到奇怪的地方：超过 112 像素的位移被截断；轮廓不是凸四边形时不解单应性，由一项损失引导回来。
#
# Training without labels goes to strange places: offsets beyond 112 pixels are cut, and an outline that is not convex
# has no homography; a term leads back.

# %%
code(guard)
cases = {"nothing": torch.zeros(1, 8), "a shift of 500": torch.tensor([[500.0, 0] * 4]),
         "folded": torch.tensor([[0.0, 0, -100, 100, 0, 0, 0, 0]]), "not a number": torch.full((1, 8), math.nan)}
for name, offsets in cases.items():
    H, bad = guard(offsets)
    print(f"{name:15s} bad {bad.item():.3f}, finite {bool(torch.isfinite(H).all())}")
    assert torch.isfinite(H).all() and (bad.item() == 0) == (name in ("nothing", "not a number"))
assert guard(torch.tensor([[500.0, 0] * 4]))[0][0, 0, 2] == 112

# %% [markdown]
# ## 3. 代价体与对齐 / Cost volume and alignment
#
# $$\frac{1}{C} \sum_c F_1(p)\, F_2(p + d)$$
#
# 两块图像的特征，在哪个位移 d 上最相似？下面把 128 x 128 的图像 1 平移 (16, 8) 个像素，即 4 分之一特征图上的
# (4, 2) 格；代价体的最大值应当在 d = (4, 2)。
#
# At which displacement are two pictures most alike? Image 1 is shifted by (16, 8) pixels, (4, 2) places of the maps at
# a quarter of the size: there the cost volume must have its maximum.

# %%
code(cost_volume)
moved = torch.zeros_like(A)
moved[..., 8:, 16:] = A[..., :-8, :-16]
_, fine = model.homography.features(torch.cat([A, moved]))                 # (2, 64, 32, 32)
volume = cost_volume(*fine.chunk(2), 6)[0].mean(dim=(1, 2)).view(13, 13)   # mean over the places of A
dy, dx = (place - 6 for place in divmod(volume.argmax().item(), 13))
print(f"most alike at d = ({dx}, {dy})")
assert (dx, dy) == (4, 2)
offsets = offsets_from_homography(found.H_ba[None], two.shape[1::-1])[0]
print("offsets of image 2's corners, px:", [round(value) for value in offsets.tolist()])
print("evidence:", f"{found.inliers} of {found.matches} sure matches agree")
shown = ((volume - volume.min()) / (volume.max() - volume.min())).numpy()
show(figures.grid([[to_bytes(A[0]), to_bytes(moved[0]), shown]],
                  ["image 1", "shifted", "cost volume, 13 x 13"], width=6))

# %% [markdown]
# **动手算一算。** 公开代码用 linspace(-1, 1, 128) 采样，又用 (x + 1) 128 / 2 换算回来：
# 输出像素 j 读取坐标 128 j / 127。像素 127 读到哪里？512 像素时最后一个像素偏差多少？
#
# **By hand.** The released code samples at linspace(-1, 1, 128) and goes back by (x + 1) 128 / 2: pixel j reads 128 j /
# 127. Where does pixel 127 read, and by how much is the last pixel off at 512?

# %%
read = (torch.linspace(-1, 1, 128, dtype=torch.float64) + 1) * 128 / 2
print(f"pixel 64 reads {read[64]:.2f}, pixel 127 reads {read[127]:.2f}, which is outside; at 512: {512 / 127:.2f} off")
assert math.isclose(read[127], 128) and round(512 / 127, 2) == 4.03
identity = homography_from_offsets(torch.zeros(1, 8), (128, 128))
same, _ = warp(A, identity, (128, 128))
assert torch.allclose(same, A, atol=1e-6)                                  # ours: the identity changes nothing

# %% [markdown]
# ## 4. 拼接域 / The stitching domain
#
# 容纳两幅图像的最小画布：图像 1 直接复制，图像 2 只采样一次；掩膜由全白图像变形得到。
#
# The smallest canvas for both: image 1 is copied, image 2 sampled once; masks are warped pictures of ones.

# %%
code(stitching_domain)
warps, origin = stitching_domain(tensor(one), tensor(two), found.H_ba[None])
left, top = -origin[0], -origin[1]
assert torch.equal(warps.a[..., top:top + one.shape[0], left:left + one.shape[1]], tensor(one))
bands = losses.seam_masks(warps.mask_a, warps.mask_b)
masks = torch.cat([warps.mask_a, warps.mask_b, torch.zeros_like(warps.mask_a)], dim=1).float()
seams = torch.cat([bands[0], bands[1], torch.zeros_like(bands[0])], dim=1)
show(figures.grid([[to_bytes(picture[0]) for picture in (warps.a, warps.b, masks, seams)]],
                  ["W1", "W2", "M1 red, M2 green", "seam bands B1, B2"]))

# %% [markdown]
# ## 5. 重建 / The reconstruction
#
# 场景有深度时，任何单应性都不能完全对齐；取平均就有重影。我们的第二个网络*选择*而不重新绘制：
#
# Where the scene has depth no homography aligns it, and an average shows ghosts. Our second network *chooses*:
#
# $$s = \sigma\Big(\frac{k}{2} \big((1 + r)\, d_1 - (1 - r)\, d_2\big)\Big), \quad k = 0.6$$
#
# d 是到各自图像边界的深度，r 由两个分支给出。**动手算一算。** r = 0，d_1 = 20，d_2 = 10：图像 1 的权重是多少？
#
# d are the depths inside the pictures, r what the branches say. **By hand:** r = 0, d_1 = 20, d_2 = 10: which share has
# image 1?

# %%
code(MaskReconstruction.share)
print(f"sigmoid(0.3 x 10) = {torch.sigmoid(torch.tensor(3.0)):.3f}")
assert round(torch.sigmoid(torch.tensor(0.6 / 2 * (20 - 10))).item(), 3) == 0.953
start = MaskReconstruction().share(warps, torch.zeros_like(warps.depth_a))         # untrained: r = 0
by_hand = torch.sigmoid(0.3 * (warps.depth_a - warps.depth_b))
assert torch.allclose(start[warps.overlap], by_hand[warps.overlap])
stitched = model(warps)
ways = {"average": warps.average(), "feather": warps.join(warps.feather()), "chosen": stitched.high}
scores = {name: ghost(picture, warps) for name, picture in ways.items()}
scores = {name: float(torch.as_tensor(score)) for name, score in scores.items()}
shares = stitched.share.expand(-1, 3, -1, -1) * warps.union
show(figures.grid([[*(to_bytes(picture[0]) for picture in ways.values()), to_bytes(shares[0])]],
                  [*ways, "share of image 1"], [[*(f"ghost {score:.2f}" for score in scores.values()), ""]]))
alone = warps.mask_a & ~warps.mask_b
assert torch.equal(stitched.high[alone.expand(-1, 3, -1, -1)], warps.a[alone.expand(-1, 3, -1, -1)])
assert stitched.share.min() >= 0 and stitched.share.max() <= 1
assert scores["chosen"] < scores["average"]                                # ghosts: levels of 255

# %% [markdown]
# ## 6. 试一试 / Two things to try
#
# 1. 交换两幅图像的角色（`warps.exchange()`）。预期：低分辨率分支的回答变号，所以不偏袒任何一幅。
# 2. 故意把图像 2 错位 6 个像素再重建。预期：平均的重影变大很多，选择的结果几乎没有重影，错位只出现在接缝上。
#
# <!-- -->
#
# 1. Exchange the roles of both pictures: the low branch's answer changes its sign, so neither is preferred.
# 2. Push image 2 aside by 6 pixels: the ghost of the average grows, that of the choice hardly; what is wrong is at the
#    seam.

# %%
answer, exchanged = model.reconstruction.look(warps), model.reconstruction.look(warps.exchange())
print(f"largest |answer + exchanged|: {(answer + exchanged).abs().max():.1e}")
assert torch.allclose(answer, -exchanged, atol=1e-4)
aside = torch.tensor([[1.0, 0, 6], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)[None]
wrong, _ = stitching_domain(tensor(one), tensor(two), aside @ found.H_ba[None])
chosen = model(wrong).high
worse = [float(torch.as_tensor(ghost(picture, wrong))) for picture in (wrong.average(), chosen)]
print(f"ghost of the average {scores['average']:.2f} -> {worse[0]:.2f}, of the choice {scores['chosen']:.2f} -> "
      f"{worse[1]:.2f}")
show(figures.grid([[to_bytes(wrong.average()[0]), to_bytes(chosen[0])]], ["6 px aside, average", "chosen"], width=7))
assert worse[0] > scores["average"] and worse[1] < worse[0]

# %% [markdown]
# ## 7. 它在哪里失败 / Where it fails
#
# 两幅没有重叠的照片也会得到一个单应性；证据（一致的匹配、重叠处的相关）说明它不可信，于是拒绝拼接。另外，接缝若穿过
# 移动的物体或近处的物体，选择只能把它切断，不能使它完整：这是两幅照片本身的矛盾。
#
# Photographs without overlap get a homography as well; the evidence says that it means nothing, and the pair is
# refused. And where a seam must pass through something near or moving, choosing can only cut it: the photographs
# contradict each other.

# %%
far = photograph("skyline_1"), photograph("front_3")
verdict = doubt(*far, network_estimate(model, *far, "cpu"))
print("skyline 1 and front 3:", verdict.reason)
assert verdict.reason is not None
