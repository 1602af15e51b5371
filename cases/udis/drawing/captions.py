"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B4.1_pipeline": Caption(
        "B4.1",
        "Both stages on one pair ({item}). Align: inputs, warps in the stitching domain, content masks (blue: image 1, "
        "orange: image 2), seam bands. Reconstruct: the low-resolution and the high-resolution result, and the share "
        "of image 1 in the overlap (white: all)",
        "一对图像（{item}）的两个阶段。对齐：输入图像、拼接域中的变形图像、内容掩膜（蓝：图像 1，橙：图像 2）与接缝带；"
        "重建：低分辨率与高分辨率结果，以及重叠区域内图像 1 的权重（白：全部）",
        "Two photographs, their warps, masks and the stitched picture", "两幅照片、其变形图像、掩膜与拼接结果"),
    "B4.2_scenes": Caption(
        "B4.2", "Different scenes: pairs and their stitched pictures, with the PSNR of the refined warp in the overlap",
        "不同场景的图像对及其拼接结果，并标出优化后变形图像在重叠区域的 PSNR",
        "Rows of two photographs and a panorama", "每行两幅照片与一幅拼接图"),
    "B4.3_overlap": Caption(
        "B4.3", "Different overlap rates, measured: the share of a picture that the other covers",
        "不同重叠率（实测）：一幅图像被另一幅覆盖的比例",
        "Rows of two photographs and a panorama", "每行两幅照片与一幅拼接图"),
    "B4.4_parallax": Caption(
        "B4.4", "Different parallax, measured: what the best single homography leaves of real matches, pixels. "
        "Lines: these residuals, three times as long",
        "不同视差（实测）：最佳单应性之后真实匹配点的残差（像素）。线段为残差，放大三倍",
        "Rows of two photographs and an overlap with residual lines", "每行两幅照片与带残差线段的重叠图"),
    "methods": Caption(
        None, "Homographies of {set}, {count} pairs: PSNR of image 2's warp against image 1 in the overlap, by "
        "parallax; the identity stands in for failures",
        "{set} 的 {count} 对图像上的单应性：按视差分类的重叠区域 PSNR；失败的图像对以恒等变换代替",
        "Grouped bars by method and parallax class", "按方法与视差类别分组的柱状图"),
    "resolution": Caption(
        None, "Both pictures reduced to N x N pixels, the homography judged at full size ({set}): failures, and PSNR "
        "with the identity for failures. SIFT loses its points, the network does not",
        "将两幅图像缩小到 N x N 像素后估计单应性，并在原尺寸评价（{set}）：失败数，以及失败以恒等变换代替时的 PSNR。"
        "SIFT 失去特征点，网络则不然",
        "Two panels of curves over the size", "随尺寸变化的两组曲线"),
    "joining": Caption(
        None, "Ways to join the pictures on the same homographies ({set}, {count} pairs): ghosts, seam errors and the "
        "visible step along the seam, levels of 255",
        "在相同单应性下合成图像的方法（{set}，{count} 对）：重影、接缝误差与接缝处的灰度跳变（0 至 255）",
        "Grouped bars by method and parallax class", "按方法与视差类别分组的柱状图"),
    "masks": Caption(
        None, "Who decides in the overlap of {item}: average, feathering, OpenCV's seam, stage 2 (above the picture, "
        "below image 1's share)",
        "{item} 重叠区域的合成方式：平均、羽化、OpenCV 接缝与第二阶段网络（上为结果，下为图像 1 的权重）",
        "Four stitched pictures with their masks", "四幅拼接结果及其掩膜"),
    "forms": Caption(
        None, "Stage 2 in both forms on large parallax, with averaging and OpenCV's seam beside them: ours decides "
        "which picture a pixel comes from, the paper's paints every pixel anew. Ghosts and steps in levels of 255",
        "大视差下第二阶段的两种形式，并与平均和 OpenCV 接缝比较：本项目的网络决定每个像素取自哪幅图像，"
        "论文的网络则重新绘制全部像素。重影与跳变以 0 至 255 的灰度级计",
        "Rows of one pair joined in four ways", "每行为同一对图像的四种合成结果"),
    "degenerate": Caption(
        None, "Why the paper's loss may not be left alone: image 2 pushed out to the side on {item}. The ablation loss "
        "falls to 0, below the true alignment (dashed); the masked mean with its hinge does not",
        "论文损失函数的退化：在 {item} 上将图像 2 向一侧移出画面。消融损失降至 0，低于真实对齐处（虚线）；"
        "带铰链项的掩膜均值则不会",
        "Two curves over the shift, one of which falls to zero", "随位移变化的两条曲线，其中一条降为零"),
    "classical": Caption(
        None, "The classical way in five steps on {item}: {points} points detected, {matches} matched, {inliers} kept "
        "by RANSAC (green), warp, blend",
        "传统方法的五个步骤，以 {item} 为例（common/stitching/keypoints.py）：检测 {points} 个特征点，"
        "匹配 {matches} 对，RANSAC 保留 {inliers} 对（绿色），变形，融合",
        "A picture with points, matches between two pictures, a warp and a panorama",
        "带特征点的图像、两图间的匹配、变形与拼接结果"),
    "opencv": Caption(
        None, "SIFT, ORB and OpenCV's Stitcher on {count} pairs of {set}: which pairs each manages, and seconds on "
        "this machine. The Stitcher gives a picture but no homography: PSNR does not apply",
        "SIFT、ORB 与 OpenCV Stitcher 在 {set} 的 {count} 对图像上的成功情况与本机每对耗时（秒）。"
        "Stitcher 只给出图像而无单应性，不适用 PSNR",
        "A table of successes by pair and method", "各方法逐对成功与否的表格"),
    "training": Caption(
        None, "Training: the loss and its terms, and what the weights are chosen by",
        "训练曲线：损失及其各项，以及选择权重的依据", "Falling curves", "下降的曲线"),
}
