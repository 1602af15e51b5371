"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B6.1_network": Caption(
        "B6.1",
        "VGG19 up to conv5_4, {total:,} parameters; every convolution is 3 x 3 and followed by a ReLU. Channels x "
        "height x width for a picture of 224 x 224, and how many pixels a value sees. S and blue: its correlations are "
        "the style; C: it keeps the content; S C: both. The classifier behind pool5 is never needed",
        "VGG19 结构，到 conv5_4 为止共 {total:,} 个参数；每个卷积核为 3 x 3，其后接 ReLU。图中给出输入 224 x 224 时的 "
        "通道数 x 高 x 宽，以及每个值的感受野（像素）。S（蓝）：用其特征相关性（Gram 矩阵）表示风格；"
        "C：用其特征保持内容；S C：两者兼用。pool5 之后的分类器从不使用",
        "Boxes for 16 convolutions and 4 poolings in a chain, some of them coloured",
        "由 16 个卷积层与 4 个池化层串成的方框图，部分着色"),
    "layers": Caption(
        None,
        "What each layer of {network} keeps, sought from noise (faint noise above) in {steps} steps. Above: from one "
        "layer's features alone; pixels survive in the shallow layers, only the arrangement in the deep ones. Below: "
        "from the correlations of all layers up to this one; the pattern's scale grows, places are lost from the "
        "beginning. Percent: what is left of the squared distance",
        "{network} 各层保留的信息，均由噪声（上排为微弱噪声）出发优化 {steps} 步。上：只用某一层的特征重建内容，"
        "浅层保留像素，深层只保留布局。下：用直到该层的所有特征相关性重建风格，纹理尺度逐层变大，"
        "位置信息从一开始就丢失。百分数为剩余的相对平方距离",
        "A row of reconstructed photographs that lose detail, a row of textures that gain structure",
        "上行为逐渐失去细节的重建图，下行为结构逐渐变大的纹理"),
    "filters": Caption(
        None,
        "The first layer, learned, beside filters drawn by hand: the filters of conv1_1 ({network}) and a Gabor bank, "
        "and what a pair of the same direction answers to the photograph. A learned filter's best match in a Gabor "
        "bank of 3 x 3 pixels is {match:.2f} (median of the absolute cosine, of its gray part); that of patterns drawn "
        "by chance, {chance:.2f}",
        "学习得到的第一层与手工设计的滤波器：{network} 的 conv1_1 滤波器与 Gabor 滤波器组，"
        "以及方向相同的一对滤波器对照片的响应。学习得到的滤波器（灰度部分）在 3 x 3 Gabor 滤波器组中的最佳匹配"
        "（余弦绝对值的中位数）为 {match:.2f}，随机图案为 {chance:.2f}",
        "Two mosaics of small filters, and edge pictures of a photograph", "两组小滤波器的拼图，以及照片的边缘响应图"),
    "weights": Caption(
        None,
        "Content weight (to the right: more photograph) and layers of the style (below: all), {network}, content from "
        "{tap}, {size} px. Under each its style distance D and its content distance, by the same network",
        "内容权重（越往右越像照片）与所用的风格层（下：全部），网络 {network}，内容层 {tap}，{size} 像素。"
        "图下为同一网络给出的风格距离 D 与内容距离",
        "Two rows of painted pictures, from painting to photograph", "两行迁移结果，从绘画逐渐变为照片"),
    "networks": Caption(
        None,
        "The same content and style by the networks on this machine: {names}; {size} px. D: style distance, "
        "by {judges}. A network judges its own picture kindly; one has random weights: what it lacks is what training "
        "a feature network gives. VGG16 and VGG19 are drawn where torchvision's weights are on the machine, else they "
        "were not run",
        "同一内容与风格由本机现有的网络完成：{names}；{size} 像素。D 为风格距离，评价网络：{judges}。"
        "网络评价自己的结果会偏宽；其中一个网络的权重是随机的，差别即特征网络训练的作用。"
        "VGG16 与 VGG19 只在本机有 torchvision 权重时绘制，否则标为未运行（not run）",
        "One picture painted by several networks side by side", "同一图像由多个网络迁移的结果并排"),
    "sliders": Caption(
        None,
        "Above: the size of the strokes, the style at half, at one and at two times the content's size. Below: the "
        "style's colours; the content's colours, changed in brightness alone; the style's colours matched to the "
        "content's first ({network}, {size} px)",
        "上：笔触大小，风格图的尺寸分别为内容图的一半、一倍和两倍。下：采用风格图的颜色；保留内容图的颜色，只改变亮度；"
        "先将风格图的颜色匹配到内容图（网络 {network}，{size} 像素）",
        "Two rows of painted pictures: strokes that grow, colours that change",
        "两行迁移结果：上行笔触由小到大，下行颜色不同"),
    "styles_contents": Caption(
        None,
        "Every content in every style ({network}){judged}",
        "每幅内容图与每种风格的组合（{network}）{judged_zh}",
        "A table of painted pictures: contents down, styles across", "迁移结果表：行为内容，列为风格"),
    "epochs": Caption(
        None,
        "The picture after some epochs of {epoch} steps each ({network}), enlarged to the size of the result: painting "
        "goes from coarse to fine. D: style distance by {network}",
        "若干轮（epoch，每轮 {epoch} 步）之后的图像（{network}），均放大到结果的尺寸：优化由粗到细。"
        "D 为 {network} 给出的风格距离",
        "A strip from the photograph to the painted picture", "从照片到迁移结果的过程"),
    "curves": Caption(
        None,
        "The terms of the loss, weighted, over the steps, one curve a picture; where a curve jumps the picture has "
        "just been enlarged to the next scale",
        "损失各项（已加权）随步数的变化，每幅图像一条曲线；曲线跳变处为图像放大到下一尺度",
        "Falling curves, one per picture", "每幅图像一条下降的曲线"),
    "best_worst": Caption(
        None,
        "What is left of the style distance between photograph and style, by {judge}: the best picture of {set} above, "
        "the worst below",
        "照片与风格之间的风格距离所剩的比例（由 {judge} 评价）：上为 {set} 中最好的一幅，下为最差的一幅",
        "Rows of content, style and painted picture", "每行为内容、风格与迁移结果"),
    "network_fast": Caption(
        None,
        "The network that paints in one pass: {total:,} parameters for {styles} style(s), of which {own:,} belong to "
        "one style alone; channels x height x width of a picture of 256 x 256. A residual block adds what its two "
        "convolutions make to what it was given",
        "一次前向完成迁移的网络：{styles} 种风格共 {total:,} 个参数，其中每种风格独有 {own:,} 个；"
        "图中为输入 256 x 256 时的 通道数 x 高 x 宽。残差块把两个卷积层的输出加到自身的输入上",
        "Boxes for six convolutions and five residual blocks in a chain", "由六个卷积层与五个残差块串成的方框图"),
    "fast_grid": Caption(
        None,
        "Every content in every style by one pass of one network{judged}",
        "同一网络一次前向得到的各内容与各风格的组合{judged_zh}",
        "A table of painted pictures: contents down, styles across", "迁移结果表：行为内容，列为风格"),
    "mixing": Caption(
        None,
        "From style to style: the gammas and betas of two styles mixed, by the same network; nothing is trained for "
        "what lies between",
        "风格之间的过渡：在同一网络中混合两种风格的 gamma 与 beta；中间风格未经训练",
        "A strip from one style to another", "从一种风格到另一种风格的过渡"),
    "training": Caption(
        None,
        "Training: the loss and its terms, and the same on held-out photographs",
        "训练曲线：损失及其各项，以及在留出照片上的值",
        "Falling curves", "下降的曲线"),
}


def name_judge(judge):
    """What a caption adds where numbers by a judge of this name stand under the pictures; nothing for the name ""."""
    judged = f". Percent: what is left of the style distance between photograph and style, by {judge}"
    return {"judged": judge and judged,
            "judged_zh": judge and f"。百分数：照片与风格之间的风格距离所剩的比例，由 {judge} 评价"}
