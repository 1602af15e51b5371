"""What stands under the figures of this case, in English and Chinese; figures.py fills in the {names}."""
from common.experiment.figures import Caption

CAPTIONS = {
    "B5.1_network": Caption(
        "B5.1",
        "SiamFC on a frame of {sequence}: exemplar z and search region x pass through one network phi ({parameters:,} "
        "parameters, {channels} channels out; six of them are shown, the strongest on z), and their cross-correlation "
        "is the response of 17 x 17 cells",
        "SiamFC 在 {sequence} 一帧上的运行过程：模板 z 与搜索区域 x 经过同一个网络 phi"
        "（{parameters:,} 个参数，输出 {channels} 个通道，"
        "图中显示在 z 上响应最强的六个），两者的互相关即 17 x 17 的响应图",
        "Two branches with pictures, feature maps and the response", "两个分支的图像、特征图与响应图"),
    "B5.2_sequences": Caption(
        "B5.2", "Frames of {set} with the annotated box: one sequence per row", "{set} 的样例帧与标注框：每行一个序列",
        "Rows of frames with boxes", "带标注框的多行视频帧"),
    "B5.3_folders": Caption(
        "B5.3", "The folder of {root} as it lies on the disk", "磁盘上 {root} 的实际文件夹结构",
        "A tree of folders and files", "文件夹与文件的树状图"),
    "B5.4_meta_info": Caption(
        "B5.4", "A meta_info.ini ({sequence}), line by line", "{sequence} 的 meta_info.ini 逐行说明",
        "Keys, values and their meaning", "各键、取值及其含义"),
    "response_exercise": Caption(
        None,
        "By hand: 22 - 6 + 1 = 17 cells; 13 of the 289 lie within 16 px (8 px each) of the middle and are positive; "
        "the windows of two marked cells in the search region",
        "动手算：22 - 6 + 1 = 17 格；289 格中有 13 格距中心不超过 16 像素（每格 8 像素），为正样本；"
        "右图为两个标记格在搜索区域中对应的窗口",
        "A grid of cells with 13 marked, and the windows of two cells", "标出 13 个正样本的网格，以及两个格对应的窗口"),
    "strips": Caption(
        None,
        "{set}: white the truth, orange SiamFC, pink KLT; under each frame its number and SiamFC's overlap (IoU); the "
        "easiest sequence above, the hardest below",
        "{set}：白色为真实框，橙色为 SiamFC，粉色为 KLT；每帧下方为帧号与 SiamFC 的重叠率（IoU）；"
        "最上一行最容易，最下一行最难",
        "Rows of frames with boxes", "带多个跟踪框的视频帧"),
    "success": Caption(
        None,
        "Success and precision on {set} (means over {count} sequences): share of frames whose overlap is above, or "
        "whose centre error is at most, the threshold; in brackets AUC and precision at 20 px",
        "{set} 上的成功率曲线与精度曲线（{count} 个序列的均值）：重叠率高于阈值、中心误差不超过阈值的帧所占比例；"
        "括号内为 AUC 与 20 像素处的精度",
        "Two sets of curves, one per tracker", "两组曲线，每个跟踪器一条"),
    "sequences": Caption(
        None, "AO of every tracker on every sequence of {set}", "{set} 上各跟踪器在每个序列的平均重叠率（AO）",
        "Grouped bars per sequence", "按序列分组的柱状图"),
    "attributes": Caption(
        None, "AO by annotated attribute of {set}; in brackets the number of sequences",
        "按 {set} 的标注属性统计的 AO；括号内为序列数",
        "Grouped bars per attribute", "按属性分组的柱状图"),
    "speed": Caption(
        None, "AO over speed on {set}, every tracker on this machine; reading the files is not counted",
        "{set} 上的 AO 与速度，各跟踪器均在本机测量；不计读取文件的时间",
        "A point per tracker", "每个跟踪器一个点"),
    "responses": Caption(
        None,
        "{sequence}: search region above, response below, on one colour scale: one clear peak where the tracker is "
        "sure, a low or divided one where it is not",
        "{sequence}：上为搜索区域，下为响应图（统一色标）：有把握时只有一个清晰的峰，没有把握时峰值低或出现多个峰",
        "Search regions and their response maps over time", "随时间变化的搜索区域与响应图"),
    "confidence": Caption(
        None,
        "{sequence}: overlap with the truth, and the confidence, which does not know the truth; "
        "shaded where `lost` is set",
        "{sequence}：与真实框的重叠率，以及不依赖真实框的置信度；阴影处为判定跟丢",
        "Two curves over the frames", "随帧变化的两条曲线"),
    "clips": Caption(
        None, "Real clips that come with the repository, followed from their first box: a car and a person (Intel, CC "
        "BY 4.0), a carton before a moving camera (dlib)",
        "仓库自带的真实视频片段，由首帧的框开始跟踪：汽车与行人（Intel，CC BY 4.0），以及运动镜头前的纸盒（dlib）",
        "Three rows of frames with a box", "三行视频帧，各有一个框"),
    "training": Caption(
        None, "Training: the loss and its terms, and AO on validation sequences",
        "训练曲线：损失及其各项，以及验证序列上的 AO",
        "Falling loss, validation scores", "下降的损失与验证指标"),
    "pairs": Caption(
        None, "Training pairs as the network gets them: z and x in turn; the circle marks the target in x",
        "网络实际得到的训练样本：z 与 x 成对排列；圆圈标出目标在 x 中的位置",
        "Pairs of small and large crops", "成对的小图与大图"),
}
