"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "network": Caption(
        None,
        "The network ({arch}, {total:,} parameters): blue the encoder, green the decoder, dashed the skips, and on "
        "them the attention gates where there are any",
        "网络（{arch}，{total:,} 个参数）：蓝色为编码器，绿色为解码器，虚线为跳跃连接，连接上的方框为注意力门（如有）",
        "U-shaped diagram of the blocks with maps and parameters", "U 形网络图，标有各块的特征图数与参数量"),
    "recurrent": Caption(
        None,
        "A recurrent residual block of {channels} maps, unrolled: boxes of one colour are the same convolution, "
        "applied three times to the sum of its answer and its first input; {total:,} parameters",
        "一个 {channels} 通道的循环残差块按时间展开：同色方框是同一个卷积，对“上一次输出与最初输入之和”"
        "先后作用三次；共 {total:,} 个参数",
        "Chain of six boxes in two colours with dashed returns", "两种颜色的六个方框，虚线为返回的连接"),
    "attention": Caption(
        None,
        "What the attention gates let through, from the coarsest level to the finest: black 0, white 1; below the "
        "least and the largest coefficient",
        "各层注意力门放行的部分，从最粗一层到最细一层：黑为 0，白为 1；图下为系数的最小值与最大值",
        "A picture beside the gates' maps", "原图与各层注意力门的系数图"),
    "steps": Caption(
        None,
        "From the picture to single nuclei, {side} x {side} pixels of {picture}: the network's probabilities, the "
        "mask, its distance to the ground, what hangs together, and what the watershed from the network's markers "
        "makes of it",
        "从图像到单个细胞核（{picture} 的 {side} x {side} 局部）：网络输出的概率、掩膜、到背景的距离、连通域，"
        "以及由网络给出的标记作分水岭后的结果",
        "Eight panels from the picture to coloured nuclei", "八幅小图，从原图到彩色的细胞核"),
    "touching": Caption(
        None,
        "Where nuclei touch: the {side} x {side} windows with the most pixels beside another nucleus, the most first; "
        "below how many found nuclei cover several true ones, how many true ones are cut apart, and the aggregated "
        "Jaccard index of the window",
        "细胞核相互接触之处：与另一个核相邻的像素最多的 {side} x {side} 窗口，由多到少排列；"
        "图下为窗口内粘连数、割裂数与聚合 Jaccard 指数",
        "Crops with coloured outlines, by method", "各方法的局部图，核的轮廓为彩色"),
    "precision": Caption(
        None,
        "Average precision over the IoU above which two nuclei match: dotted components, dashed with the distance "
        "watershed, solid with the network's own markers",
        "平均精度随匹配所需 IoU 的变化：点线为连通域，虚线为距离分水岭，实线为网络自身标记的分水岭",
        "Falling curves, one per method", "每种方法一条下降的曲线"),
    "counts": Caption(
        None,
        "Bland-Altman: found minus true nuclei of every test picture over the mean of both; lines at the mean and 1.96 "
        "standard deviations beside it",
        "Bland-Altman 图：每幅测试图像的计数差（找到的减真实的）与两者均值的关系；横线为平均差及其两侧 1.96 倍标准差",
        "Scatter plots with three horizontal lines each", "散点图，各有三条横线"),
    "failures": Caption(
        None,
        "Two failures: the test picture whose foreground is found worst, and the one in which most nuclei are merged "
        "or split; the square root of the levels is shown",
        "两个失败案例：前景找得最差的测试图像，以及粘连与割裂最多的一幅；图像以灰度的平方根显示",
        "Two pictures: levels, probability, found, true", "两幅图像：灰度、概率、找到的核、真实的核"),
    "training": Caption(
        None, "Training: the loss and its terms, and AP and IoU of the held-out pictures",
        "训练曲线：损失及其各项，以及验证图像上的 AP 与 IoU",
        "Falling loss, rising scores", "下降的损失与上升的指标"),
}
