"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B3.1_pipeline": Caption(
        "B3.1",
        "The pipeline on one pair: inputs, warps on the canvas of 304 x 304, structure stitch, content revision, "
        "label. The network is {network:.2f} px off (root mean square over the eight offsets)",
        "一对图像的拼接流程：输入图像、304 x 304 画布上的变形图像、结构拼接、内容修正与标签。"
        "网络的偏移量均方根误差为 {network:.2f} 像素",
        "Two inputs, two warps, two stitched pictures and the label", "两幅输入、两幅变形图像、两幅拼接结果与标签"),
    "B3.2_generator": Caption(
        "B3.2",
        "How a pair is made: the photograph squashed to 480 x 360 with A's square (blue), the translated square "
        "(dashed) and B's corners (orange); A, B and the label. Translation ({dx}, {dy}), overlap {overlap:.2f}",
        "数据集制作过程：压缩为 480 x 360 的照片，A 的方框（蓝色）、平移后的方框（虚线）与 B 的四个角点（橙色）；"
        "A、B 与标签。平移量 ({dx}, {dy})，重叠率 {overlap:.2f}",
        "A photograph with two outlines, and the three pictures cut from it",
        "带有两个轮廓的照片，以及由其裁出的三幅图像"),
    "network": Caption(
        None, "The homography network that is trained here: {total:,} parameters. Behind the features: all pairs of "
        "places, softmax both ways, weighted fit, finer matches",
        "本案例训练的单应性网络：共 {total:,} 个参数。"
        "特征之后依次为：全部位置对的相似度、双向 softmax、加权拟合、精细匹配",
        "Flow chart of the layers with channels and parameters", "各层的流程图，标有通道数与参数量"),
    "matches": Caption(
        None, "What the network sees: each line joins a place of A (left) with the place of B (right) that it takes "
        "for the same; {sure} sure matches, {agree} agree with the homography (green)",
        "网络的匹配结果：连线表示网络认为 A（左）与 B（右）中相同的位置；"
        "可靠匹配 {sure} 个，其中 {agree} 个与单应性一致（绿色）",
        "Two pictures side by side with lines between them", "并排的两幅图像及其间的连线"),
    "overlap": Caption(
        None, "Error by overlap on {set}: mean of the offsets' error, pixels, by the share of A that B covers (low "
        "under .45, mid, high from .60)",
        "{set} 上按重叠率分类的误差：偏移量误差的均值（像素）；"
        "重叠率以 B 覆盖 A 的比例计（低于 0.45 为 low，0.60 及以上为 high）",
        "Grouped bars by method and class", "按方法与类别分组的柱状图"),
    "distribution": Caption(
        None, "Share of the {count} pairs of {set} whose error is at most so many pixels; the curves end where "
        "failures begin",
        "{set} 的 {count} 对图像中误差不超过给定像素数的比例；曲线的终点之后为失败的图像对",
        "Rising curves, one per method", "每种方法一条上升的曲线"),
    "parallax_classes": Caption(
        None, "Photographed pairs of {set} by measured parallax: PSNR of B's warp against A in the overlap. No "
        "homography fits a scene with depth",
        "{set} 中实拍图像对按实测视差分类的结果：重叠区域内 B 变形后与 A 的 PSNR。任何单应性都无法对齐有深度变化的场景",
        "Grouped bars by method and parallax class", "按方法与视差类别分组的柱状图"),
    "parallax": Caption(
        None, "A stereo pair (scikit-image's motorcycle): aligned as well as one homography can, what is near stays "
        "displaced. Right: difference to A (gray: none)",
        "双目图像对（scikit-image 的摩托车）：即使用最佳单应性对齐，近处物体仍有错位。右：与 A 的差值（灰色为零）",
        "Two photographs, their average, and a difference picture", "两幅照片、其平均图像与差值图"),
    "panoramas": Caption(
        None, "Photographs that come with the repository, stitched as `--input` does it: six, six and three of them",
        "仓库自带的照片，按 `--input` 的流程拼接而成：分别为六幅、六幅与三幅",
        "Three panoramas, one above another", "上下排列的三幅全景图"),
    "revision": Caption(
        None, "Joining the pictures at the network's, the refined and a disturbed homography, {count} pairs of {set}: "
        "PSNR in the union, PSNR of what only B shows, and the error of the step across A's border",
        "在网络估计、优化后与加噪的单应性下合成图像，{set} 的 {count} 对图像："
        "并集内的 PSNR、仅 B 可见部分的 PSNR，以及跨越 A 边界处的灰度跳变误差",
        "Grouped bars by method and homography", "按方法与单应性分组的柱状图"),
    "failures": Caption(
        None, "The two pairs of {set} on which the network is farthest off: A, B, and both averaged by its homography "
        "and by the true one",
        "{set} 中网络误差最大的两对图像：A、B，以及分别按网络估计和真实单应性平均的结果",
        "Two failures with the wrong and the right stitch", "两个失败案例及其错误与正确的拼接"),
    "training": Caption(
        None, "Training: the loss and its terms, and the error on pairs of held-out photographs",
        "训练曲线：损失及其各项，以及验证照片上的误差",
        "Falling loss, falling validation error", "下降的损失与验证误差"),
}
