"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B2.1_networks": Caption(
        "B2.1",
        "The three networks of KinD: {total:,} parameters. In each box the layer, its kernel and output channels, and "
        "the size of its maps for a picture of 600 x 400; lower boxes have smaller maps; dashed: concatenations",
        "KinD 的三个网络：共 {total:,} 个参数。方框内为层名、卷积核、输出通道数，以及输入为 600 x 400 时特征图的尺寸；"
        "位置越低，特征图越小；虚线为拼接",
        "Three chains of boxes, two of them shaped like a U", "三组方框，其中两组呈 U 形"),
    "B2.2_reflectance": Caption(
        "B2.2", "Above: the degraded reflectance, as decomposition leaves it; below: restored. Noise in levels of 255",
        "上：分解得到的、含噪声的反射分量；下：恢复之后的反射分量。噪声以 255 灰度级计",
        "Noisy pictures above, the same ones clean below", "上排有噪声，下排为恢复后的同一组图像"),
    "B2.3_pairs": Caption(
        "B2.3", "Pairs of {set}: short exposure above, normal exposure below",
        "{set} 的样例：上为微光图像，下为正常曝光图像",
        "Dark pictures and the same scenes bright", "暗图及其对应的亮图"),
    "decomposition": Caption(
        None, "What decomposition makes of both pictures of {item}: the reflectances should agree, the products equal "
              "the pictures (PSNR below them)",
        "对 {item} 的两幅图像的分解：两个反射分量应当一致，乘积应当等于原图（下方为 PSNR）",
        "Two rows: dark and bright picture with their maps", "两行：暗图与亮图及其分解结果"),
    "illumination": Caption(
        None,
        "Illumination before and after adjustment, by the guessed and by the reference's light ratio, beside that of "
        "the bright picture; all in one gray scale",
        "调整前后的光照分量（分别采用自动估计的比率与由参考图像得到的比率），以及亮图的光照分量；各图使用同一灰度范围",
        "Gray maps from dark to bright", "由暗到亮的灰度图"),
    "ratio_sweep": Caption(
        None, "{item} at growing light ratios, and PSNR over the ratio; dashed: the ratio that the reference gives, "
              "and the guessed one",
        "{item} 在不同光照比率下的结果，以及 PSNR 随比率的变化；虚线为由参考图像得到的比率与自动估计的比率",
        "The same picture ever brighter, above a curve with a maximum", "同一图像逐渐变亮，下方为有极大值的曲线"),
    "result_grid": Caption(
        None, "Results on {set}; PSNR below each picture, the last column is the target",
        "{set} 上的结果；各图下方为 PSNR，最后一列为参考图像",
        "One scene per row: dark, three simpler answers, two protocols, target",
        "每行一个场景：暗图、较简单的方法、两种协议、参考图像"),
    "training": Caption(
        None, "Training, stage after stage: terms of the loss, scores on held-out scenes, mean illuminations of the "
              "decomposition",
        "逐阶段的训练曲线：损失各项、验证场景上的指标、分解所得光照分量的均值",
        "Falling losses and validation scores", "下降的损失与验证指标"),
    "methods": Caption(
        None, "All rows of the test on {set} (means of {count} pictures); the three protocols of the network in the "
              "second colour",
        "{set} 上全部测试项的对比（{count} 幅图像的均值）；网络的三种协议用另一种颜色标出",
        "Bars of PSNR and SSIM per row", "各项的 PSNR 与 SSIM 柱状图"),
    "ratios": Caption(
        None, "Left: the guessed light ratio over the reference's (rms error of the logarithm {rms:.2f}); right: what "
              "the error costs in PSNR",
        "左：自动估计的光照比率与由参考图像得到的比率（对数的均方根误差为 {rms:.2f}）；右：比率误差造成的 PSNR 损失",
        "Points near the diagonal; points above zero", "对角线附近的散点；零线附近的散点"),
    "failures": Caption(
        None,
        "The two worst pictures under gt_free. Where the reference's ratio or its mean repairs the error, only the "
        "brightness was guessed wrongly",
        "gt_free 协议下最差的两幅图像。若采用参考图像的比率或均值就能消除误差，说明只是亮度估计有误",
        "Two failures with a map of their difference", "两个失败案例及其差值图"),
}
