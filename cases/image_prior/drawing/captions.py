"""What stands outside the figures of the deep image prior, in both languages."""
from common.experiment.figures import Caption

CAPTIONS = {
    "network": Caption(
        None,
        "The network: blue the way down, green the way up, orange the skip connections; parameters of each level "
        "({total:,} in all)",
        "网络结构：蓝色为下采样路径，绿色为上采样路径，橙色为跳跃连接；各层标有参数量（共 {total:,} 个）",
        "Boxes in the shape of an hourglass", "呈沙漏形排列的方框"),
    "learnt_first": Caption(
        None,
        "What the network learns first: one photograph, the same with its pixels shuffled, and noise, each fitted by "
        "the same network for {steps} steps at {size} px. Above, its picture after so many steps; below, the loss",
        "网络先学会什么：同一幅照片、打乱像素的照片与纯噪声，由同样的网络各拟合 {steps} 步（{size} 像素）。"
        "上：若干步之后的输出；下：损失",
        "Pictures after few and many steps, falling curves of loss", "不同步数后的输出图像与下降的损失曲线"),
    "tasks": Caption(
        None,
        "The three tasks, {steps} steps of the prior at {size} px: a hole, a half-transparent mark, noise; below each "
        "the PSNR (in the mask where there is one) in dB. Simple: the biharmonic surface, for noise non-local means",
        "三项任务（{size} 像素，先验拟合 {steps} 步）：缺损、半透明水印、噪声；图下为 PSNR（有掩膜时只算掩膜内），"
        "单位 dB。基线方法：双调和插值，去噪时为非局部均值",
        "Three rows of four pictures", "三行图像，每行四幅"),
    "rows": Caption(
        None,
        "{task}: what is given, what each method makes of it, and the true picture; below the PSNR in the mask "
        "(without a mask: over all) in dB",
        "{task} 任务：已知图像、各方法的结果与真实图像；图下为掩膜内的 PSNR（没有掩膜时为全图），单位 dB",
        "Pictures side by side, one column per method", "并排的图像，每列一种方法"),
    "scores": Caption(
        None, "Mean PSNR by method (task {task})", "各方法的 PSNR 均值（任务 {task}）", "Bars", "柱状图"),
    "by_hand": Caption(
        None,
        "Un-blending by hand: a pixel that shows {y} under a mark of {w} at alpha = {alpha} was ({y} - {alpha} x {w}) "
        "/ (1 - {alpha}) = {x}. The curve: PSNR in the mask where alpha is taken too small or too large by a factor",
        "动手去混合：某像素在取值 {w}、透明度 alpha = {alpha} 的水印下显示为 {y}，原值为 ({y} - {alpha} x {w}) / "
        "(1 - {alpha}) = {x}。曲线：alpha 偏小或偏大若干倍时掩膜内的 PSNR",
        "A peak at the right alpha, steep to both sides", "在正确的 alpha 处有尖峰，两侧陡降"),
    "stop": Caption(
        None,
        "Where to stop: PSNR of the held-out known pixels over the steps, a line for each fit; the best is taken",
        "何时停止：留出的已知像素的 PSNR 随步数的变化，每次拟合一条曲线，每幅图像一种颜色；取最好的一步",
        "Rising curves that flatten", "上升后趋平的曲线"),
    "failures": Caption(
        None,
        "Two failures, {steps} steps at {size} px. Above, a hole as large as an object: the prior puts a smooth patch "
        "there, for nothing says what stood in it. Below, fine texture: it is filled with something softer",
        "两个失败案例（{size} 像素，{steps} 步）。上：与物体一样大的缺损，先验只能填入平滑的一块，"
        "因为没有任何线索说明那里原来是什么。下：细密的纹理，填入的内容偏软",
        "Truth, what is given, biharmonic, prior", "真实图像、已知部分、双调和插值、先验的结果"),
    "training": Caption(
        None, "The fit: the loss over the steps of all pictures, and the held-out pixels",
        "拟合曲线：各图像依次排列的损失，以及留出像素的 PSNR", "Falling loss, rising PSNR", "下降的损失与上升的 PSNR"),
}
