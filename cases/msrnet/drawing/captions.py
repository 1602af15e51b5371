"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B1.1_network": Caption(
        "B1.1",
        "MSR-net from X to Y: {total:,} parameters, each layer with its own. The dashed arrow carries X1 past the "
        "cascade, whose joined maps give the illumination that is subtracted from it",
        "MSR-net 从 X 到 Y 的网络结构：共 {total:,} 个参数，各层分别标出。虚线箭头表示 X1 绕过级联卷积；"
        "级联各层的输出拼接后得到光照分量，再从 X1 中减去",
        "Flow chart of the layers with channels and parameters", "各层的流程图，标有通道数与参数量"),
    "B1.2_logarithms": Caption(
        "B1.2",
        "A dark picture, its logarithms, their fusion X1 and the illumination H (X1 and H: {low:.2f} is black, "
        "{high:.2f} white)",
        "微光图像、各尺度对数变换、融合结果 X1 与光照分量 H（X1 与 H 的显示范围为 {low:.2f} 到 {high:.2f}）",
        "Small versions of one picture, from dark to bright", "同一图像由暗到亮的若干版本"),
    "B1.3_colour": Caption(
        "B1.3",
        "Before and after colour restoration; X2 and Y share one display range ({low:.2f} to {high:.2f}, 1st to 99th "
        "percentile of X2)",
        "色彩恢复前后；X2 与 Y 使用同一显示范围（{low:.2f} 到 {high:.2f}，即 X2 的第 1 到第 99 百分位）",
        "Three versions of one picture", "同一图像的三个版本"),
    "B1.4_pairs": Caption(
        "B1.4", "Pairs of {set}: short exposure above, normal exposure below",
        "{set} 的样例：上为微光图像，下为正常曝光图像",
        "Dark pictures and the same scenes bright", "暗图及其对应的亮图"),
    "result_grid": Caption(
        None, "Results on {set} beside two simple methods; PSNR under gt_free",
        "{set} 上的结果与两种基线方法的对比；PSNR 采用 gt_free 协议",
        "One scene per row: dark, two simple methods, network, target",
        "每行一个场景：暗图、两种基线方法、网络输出、参考图像"),
    "training": Caption(
        None, "Training: the loss and its terms, and the held-out pictures",
        "训练曲线：损失及其各项，以及验证图像上的指标",
        "Falling loss, validation scores", "下降的损失与验证指标"),
    "floors": Caption(
        None, "The network beside simple methods on {set} (means of {count} pictures, gt_free)",
        "网络与基线方法在 {set} 上的对比（{count} 幅图像的均值，gt_free 协议）",
        "Bars of PSNR and SSIM per method", "各方法的 PSNR 与 SSIM 柱状图"),
    "failures": Caption(
        None, "The two worst pictures. Where scaling to the target's mean repairs most of the error, only the "
              "brightness was guessed wrongly",
        "两幅最差的结果。若缩放到参考图像的平均亮度就能消除大部分误差，说明网络只是猜错了亮度",
        "Two failures with a map of their difference", "两个失败案例及其差值图"),
    "releases": Caption(
        None, "A picture of {set} through both release files, PSNR and SSIM under gt_free; both were trained on LOL",
        "{set} 中一幅图像经两个预训练权重处理的结果，PSNR 与 SSIM 采用 gt_free 协议；两者均在 LOL 上训练",
        "Dark, two simple methods, two networks, target", "暗图、两种基线方法、两个网络与参考图像"),
    "noise": Caption(
        None, "{side} x {side} pixels of {file}; noise (levels of 255) and sharpness were measured on the whole "
              "picture",
        "{file} 的 {side} x {side} 局部；噪声（满值 255）与锐度在整幅图像上测得",
        "One crop in five versions", "同一局部的五个版本"),
}
