"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "network": Caption(
        None,
        "The network for scale {scale}: {total:,} parameters. Everything but the last step works on the small picture; "
        "what comes out is added to the bicubic picture (dashed)",
        "放大 {scale} 倍的网络：共 {total:,} 个参数。除最后一步外都在小图的分辨率上计算，"
        "输出与双三次插值图像相加（虚线）",
        "Flow chart of the layers with channels and parameters", "各层的流程图，标有通道数与参数量"),
    "pixel_shuffle": Caption(
        None,
        "Pixel shuffle by hand: four maps of 2 x 2 become one picture of 4 x 4; the first places 1, 2, 3, 4 give the "
        "2 x 2 corner 1 2 / 3 4",
        "手算像素重排：四张 2 x 2 的特征图排成一幅 4 x 4 的图像；各图左上角的 1、2、3、4 排成左上角的 1 2 / 3 4",
        "Four coloured squares of numbers, and the square that they make",
        "四个带数字的彩色方格，以及它们排成的大方格"),
    "zooms": Caption(
        None,
        "{side} x {side} pixels of {names}, where bicubic interpolation errs most; psnr_y of the whole picture",
        "{names} 中双三次插值误差最大的 {side} x {side} 局部；图下为整幅图像的 psnr_y",
        "Crops by every method beside the true one", "各方法的局部放大图与真实图像"),
    "scores": Caption(
        None, "PSNR of the luma at scale {scale}, means over each set",
        "放大 {scale} 倍时亮度的 PSNR，各测试集的均值",
        "Bars by method and set", "按方法与测试集分组的柱状图"),
    "costs": Caption(
        None,
        "PSNR of the luma on {set} at scale {scale} against parameters and against multiplications of the convolutions "
        "for a pixel of the large picture; orange: this network, blue: as published",
        "{set} 上放大 {scale} 倍的 PSNR（亮度）与参数量、与大图每像素的卷积乘法次数的关系；"
        "橙色为本网络，蓝色为论文公布的数值",
        "Two scatter plots", "两幅散点图"),
    "attention": Caption(
        None,
        "What the place with the cross gathers from, by self-attention ({kind}, gamma = {gamma:.4f}): the weights of "
        "the softmax, black the smallest, white the largest; below how many times the mean weight that is",
        "自注意力（{kind}，gamma = {gamma:.4f}）中带十字的位置从何处汇集信息：softmax 的权重，"
        "黑色最小，白色最大；图下为最大权重是平均权重的多少倍",
        "Pictures with a cross, each beside a map of weights", "带十字标记的图像及其注意力权重图"),
    "adversarial": Caption(
        None,
        "What the adversarial loss paints: the same network trained on against a discriminator, and the difference of "
        "the two (red brighter, blue darker); psnr_y higher is better, feature distance lower",
        "对抗损失画出了什么：同一网络继续与判别器对抗训练后的输出，以及两者之差（红色更亮，蓝色更暗）；"
        "psnr_y 越高越好，特征距离越低越好",
        "One crop by several methods", "同一局部的多个版本"),
    "failures": Caption(
        None,
        "Two failures. Above, a fan of stripes: where they are finer than a pixel of the small picture, it shows "
        "others (aliasing), which the network sharpens. Below, a small picture kept as JPEG of quality {quality}: the "
        "network takes its blocks for texture",
        "两个失败案例。上：扇形条纹，条纹细于小图的一个像素时，小图中出现另一种条纹（混叠），网络把它变得更清晰。"
        "下：以质量 {quality} 存为 JPEG 的小图，网络把块效应当成了纹理",
        "Stripes and a photograph: truth, small picture, bicubic, network",
        "条纹与照片：真实图像、小图、双三次插值、网络"),
    "training": Caption(
        None, "Training: the loss and its terms, and the held-out pictures",
        "训练曲线：损失及其各项，以及验证图像上的指标",
        "Falling loss, validation scores", "下降的损失与验证指标"),
}
