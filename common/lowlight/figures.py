"""Figures that every low-light case draws from its test results and its data: pairs, ranking, classes, training."""
from collections import Counter

import numpy as np
from PIL import Image

from common import metrics
from common.base.paths import EMBEDDED
from common.data.images import read_pixels, to_bytes, to_tensor
from common.experiment import figures
from common.experiment.figures import Caption
from common.lowlight import protect
from common.lowlight.baselines import gamma

CAPTIONS = {
    "ranking": Caption(
        None, "Pictures from best to worst (gt_free). Black: mean input level under 10 of 255; dark blue: 10 to 18; "
              "light blue: over 18",
        "由好到差排列的图像（gt_free 协议）。黑色：输入平均灰度低于 10；深蓝：10 到 18；浅蓝：高于 18（满值 255）",
        "Falling bars, one per picture", "逐图递减的柱状图"),
    "classes": Caption(
        None, "By mean level and noise of the input (of 255), and by whether training shows the scene; in brackets the "
              "count",
        "按输入图像的平均灰度、噪声水平（满值 255）以及训练集中是否出现同一场景分类；括号内为图像数量",
        "Grouped bars by class", "按类别分组的柱状图"),
    "garden": Caption(
        None, "Real night pictures that come with the repository: a garden at three short exposures and, at the right, "
              "a long one, all at half size; PSNR against the long one (gt_free)",
        "仓库自带的真实夜景：同一花园的三次短曝光，最右为长曝光（均缩小一半）；"
        "图下为相对长曝光图像的 PSNR（gt_free 协议）",
        "Three rows: a dark garden, two brightened ones, the bright picture", "三行：暗的花园、两种增强结果与亮图"),
    "elsewhere": Caption(
        None, "Pictures of other data sets, before and after; no references exist. Entropy in bit, gray edge in "
              "degrees",
        "其他数据集中的图像增强前后对比；没有参考图像。熵（bit）与灰边偏差（度）标在图下",
        "Dark or backlit photographs above, brightened below", "上为昏暗或逆光的照片，下为增强结果"),
    "protect": Caption(
        None, "test.protect=auto: picture x, the network's answer y, the weight w (white: all of the answer) and "
              "x + w (y - x); above a night, below the same scene with enough light, which stays",
        "test.protect=auto：输入 x、网络输出 y、权重 w（白色表示完全采用输出）以及 x + w (y - x)；"
        "上为夜景，下为光线充足的同一场景，保持不变",
        "Two rows of four pictures: input, answer, weight, result", "两行四列：输入、网络输出、权重、结果"),
}


def of_row(lines, row="gt_free"):
    """The lines of one row."""
    return [line for line in lines if line["row"] == row]


def bars_of_scores(lines, names, own, height):
    """(figure, CSV rows) of mean PSNR and SSIM. names: {row: label}; labels in `own` have the second colour."""
    figure, axes = figures.new_figure(height=height, columns=2)
    scores = {label: [figures.mean(lines, row, "psnr"), figures.mean(lines, row, "ssim")]
              for row, label in names.items()}
    labels = list(scores)[::-1]
    for axis, values, name, digits in zip(axes[0], zip(*scores.values()), ("PSNR (dB)", "SSIM"), ("%.2f", "%.3f")):
        drawn = axis.barh(labels, values[::-1], color=[figures.COLOURS[label in own] for label in labels])
        axis.bar_label(drawn, fmt=digits, fontsize=7, padding=2)
        axis.set_xlabel(name)
        axis.grid(axis="y", visible=False)
        axis.margins(x=0.14)
    return figure, [[label, *map(figures.format_number, values)] for label, values in scores.items()]


def middle(lines, pairs):
    """Place of a picture of middling PSNR, as the example; the first where nothing was measured."""
    ranked = sorted(of_row(lines), key=lambda line: float(line["psnr"]))
    return pairs.items.index(ranked[2 * len(ranked) // 3]["item"]) if ranked else 0


def picture(tensor):
    """(1, 3, h, w) or (3, h, w) in [0, 1] as an array to draw."""
    return to_bytes(tensor.reshape(3, *tensor.shape[-2:]).float().cpu())


def spread(pairs, count):
    """At most `count` places, evenly over the set."""
    return np.linspace(0, len(pairs.names) - 1, min(count, len(pairs.names))).astype(int)


def colour_difference(difference, limit=128):
    """A gray difference as colours: white none, red brighter, blue darker, full at +-limit levels."""
    share = np.clip(np.abs(difference) / limit, 0, 1)[..., None]
    colour = np.where(difference[..., None] > 0, (213, 94, 0), (0, 114, 178))
    return (255 * (1 - share) + colour * share + 0.5).astype(np.uint8)


def draw_pairs(folder, pairs, name, count=6):
    """Sample pairs of the data set, dark above bright."""
    places = spread(pairs, count)
    lows, highs = zip(*(map(read_pixels, pairs.paths(place)) for place in places))
    names = [pairs.names[place] for place in places]
    figure = figures.grid([list(lows), list(highs)], names, rows=["low", "high"])
    rows = [[item, f"{low.mean():.6f}", f"{high.mean():.6f}"] for item, low, high in zip(names, lows, highs)]
    folder.save(figure, name, ["item", "low_mean", "high_mean"], rows, set=pairs.set_name)


def draw_ranking(folder, lines):
    """Pictures from best to worst, coloured by how dark the input was."""
    ranked = sorted(of_row(lines), key=lambda line: -float(line["psnr"]))
    shades = [figures.COLOURS[{"a": 6, "b": 0, "c": 5}[line["by_light"][0]]] for line in ranked]
    figure = figures.bars([line["item"] for line in ranked], {"PSNR": [float(line["psnr"]) for line in ranked]},
                          "PSNR (dB)", rotation=0 if len(ranked) <= 20 else 90, colours=shades)
    keys = ["item", "psnr", "ssim", "input_light", "input_noise"]
    folder.save(figure, "ranking", keys, [list(map(line.get, keys)) for line in ranked])


def draw_classes(folder, lines, method, row="gt_free"):
    """Mean PSNR by light level and noise of the input and by whether training shows the scene, beside a gamma curve."""
    rows = []
    for classing in ("light", "noise", "scene"):
        counts = Counter(line[f"by_{classing}"] for line in of_row(lines))
        for name in sorted(counts.keys() - {""}):
            means = (figures.mean(lines, each, "psnr", **{classing: name}) for each in (row, "gamma/gt_free"))
            rows.append([classing, name, counts[name], *means])
    labels = [f"{classing}\n{name.split(': ')[-1]}\n({count})" for classing, name, count, *_ in rows]
    figure = figures.bars(labels, {method: [line[3] for line in rows], "gamma 1/2.2": [line[4] for line in rows]},
                          f"PSNR (dB), {row}")
    folder.save(figure, "classes", ["classing", "class", "count", "network_psnr", "gamma_psnr"],
                [[*line[:3], *map(figures.format_number, line[3:])] for line in rows])


def draw_protection(folder, enhance):
    """What test.protect=auto does to a night and to the same scene with enough light.

    enhance: (3, h, w) in [0, 1] to an 8-bit picture.
    """
    grid, captions, rows = [], [], []
    for name in ("dark1", "bright"):
        whole = Image.open(EMBEDDED / "dark" / f"garden_{name}.jpg")
        low = np.array(whole.resize((whole.width // 4, whole.height // 4), Image.BOX))
        gray = metrics.gray8(low)
        weight = protect.fall(protect.exposure_of(gray), *protect.PICTURE) * protect.region_weight(gray)
        answer = enhance(to_tensor(low))
        kept = to_bytes(protect.keep_bright(to_tensor(low), to_tensor(answer)))
        grid.append([low, answer, weight, kept])
        captions.append([f"E = {protect.exposure_of(gray):.0f}", f"mean level {answer.mean():.0f}",
                         f"mean weight {weight.mean():.2f}", protect.said(low.mean(), kept.mean())])
        rows.append([name, *map(figures.format_number, (protect.exposure_of(gray), weight.mean(), low.mean(),
                                                        answer.mean(), kept.mean()))])
    folder.save(figures.grid(grid, ["picture x", "answer y", "weight w", "result"], captions), "protect",
                ["picture", "exposure", "mean_weight", "level", "level_answer", "level_result"], rows)


def half(name):
    """A picture of datasets/embedded, folder/stem, at half its size, uint8 (h, w, 3)."""
    whole = Image.open(EMBEDDED / f"{name}.jpg")
    return np.array(whole.resize((whole.width // 2, whole.height // 2), Image.BOX))


def with_psnr(shown, bright):
    """{label: picture}, uint8, with the PSNR against `bright` in each label but that of `bright` itself."""
    return {label if image is bright else f"{label}: {metrics.fidelity(image, bright)['psnr']:.2f} dB": image
            for label, image in shown.items()}


def draw_garden(folder, enhance, method):
    """A real night scene: each short exposure, a gamma curve, the network, and the long exposure, with PSNR.

    enhance: (3, h, w) in [0, 1] to an 8-bit picture; method: its name in the figure.
    """
    bright, grid, captions, rows = half("dark/garden_bright"), [], [], []
    for name in ("dark1", "dark2", "dark3"):
        low = half(f"dark/garden_{name}")
        pictures = [low, gamma(low), enhance(to_tensor(low))]
        values = [metrics.fidelity(picture, bright)["psnr"] for picture in pictures]
        grid.append([*pictures, bright])
        levels = [f"mean level {picture.mean():.0f}" for picture in (low, bright)]
        captions.append([f"{levels[0]}: {values[0]:.2f} dB", *(f"{value:.2f} dB" for value in values[1:]), levels[1]])
        rows.append([name, *map(figures.format_number, values)])
    columns = ["short exposure", "gamma 1/2.2", method, "long exposure"]
    folder.save(figures.grid(grid, columns, captions), "garden", ["picture", *columns[:-1]], rows)
