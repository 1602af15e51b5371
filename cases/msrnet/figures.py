"""The figures of chapter B1 and of the results: python cases/msrnet/figures.py [options] [key=value ...]

Uses the numbers of test.py where that has run under the same name, and the log of train.py; figures land in results/msrnet/<run>/figures.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])      # the repository instead of this folder, whose test.py would hide Python's

import csv

import numpy as np
import torch

from cases.msrnet import floors
from cases.msrnet.data import evaluation_set
from cases.msrnet.model import MSRNet
from cases.msrnet.test import enhance, fidelity
from common import figures, metrics
from common.errors import start
from common.images import read_bytes, read_image, to_bytes
from common.run import Run


def main(argv=None):
    run = Run("msrnet", "figures", argv)
    weights = run.weights()
    model = run.load(MSRNet, weights)
    pairs = evaluation_set(run.config)
    lines = read_items(run, pairs.set_name)
    folder = figures.FigureFolder(run.folder)
    draw_network(folder, model)
    example = pairs.paths(middle(lines, pairs))[0]
    draw_stages(folder, model, example)
    draw_pairs(folder, pairs)
    draw_results(folder, run, model, pairs)
    draw_training(folder, run)
    if lines:
        draw_floors(folder, lines)
        draw_ranking(folder, lines)
        draw_classes(folder, lines)
        draw_failures(folder, run, model, pairs, lines)
    draw_noise(folder, run, model, pairs)
    folder.finish(weights.digest)
    run.record("figures", weights=str(weights.path))
    run.say(f"figures: {folder.folder}")


def read_items(run, set_name):
    """The lines of items.csv that test.py has left, as dictionaries; empty, said in a line, where it has not run."""
    path = run.folder / "test" / set_name / "items.csv"
    if not path.exists():
        run.say(f"no test results under the name {run.name}: the figures with numbers are left out; first: python cases/msrnet/test.py "
                f"--name {run.name}")
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [line for line in csv.DictReader(file) if line["status"] == "ok"]


def of_row(lines, row="gt_free"):
    """The lines of one row."""
    return [line for line in lines if line["row"] == row]


def middle(lines, pairs):
    """Place of a picture of middling PSNR, as the example; the first where nothing was measured."""
    ranked = sorted(of_row(lines), key=lambda line: float(line["psnr"]))
    stems = [Path(name).stem for name in pairs.names]
    return stems.index(ranked[2 * len(ranked) // 3]["item"]) if ranked else 0


def picture(tensor):
    """(1, 3, h, w) or (3, h, w) in [0, 1] as an array to draw."""
    return to_bytes(tensor.reshape(3, *tensor.shape[-2:]).float().cpu())


# ---- the chapter's figures ----------------------------------------------------------------------------------------------------------

def draw_network(folder, model):
    """B1.1: the network, from the layers that a forward pass really runs through."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        layers = figures.trace(model, lambda: model.stages(torch.rand(1, 3, 64, 64, device=device)))
    stages = {"fuse": 0, "modulation": 0, "cascade": 1, "restore": 2, "exposure": 3}
    boxes = [("X", "3 x h x w", None)]
    for layer in layers:
        name, size = layer["name"].removeprefix("cascade.").replace("exposure.", "thumb "), layer["outputs"]
        boxes.append((f"{name}\n{layer['kind']}", f"{size[0]} ch{'' if len(size) < 3 or size[1] == 64 else f', {64 // size[1]}x smaller'}, "
                      f"{layer['parameters']:,}", stages[layer["name"].split(".")[0]]))
    boxes.append(("Y", "3 x h x w", None))
    names = [layer["name"] for layer in layers]
    arrows = [(names.index("fuse.2") + 1, names.index("restore") + 1, "X2 = X1 - H")]
    total = sum(layer["parameters"] for layer in layers)
    folder.save(figures.flow(boxes, arrows, per_row=6), "B1.1_network",
                {"en": f"MSR-net: {total:,} parameters; the dashed arrow carries X1 past the illumination branch",
                 "zh": f"MSR-net 网络结构：共 {total:,} 个参数；虚线箭头表示 X1 绕过光照分支后与 H 相减"},
                {"en": "Flow chart of the layers with channels and parameters", "zh": "各层的流程图，标有通道数与参数量"},
                ["layer", "kind", "inputs", "outputs", "parameters"],
                [[layer["name"], layer["kind"], "x".join(map(str, layer["inputs"])), "x".join(map(str, layer["outputs"])), layer["parameters"]]
                 for layer in layers], "B1.1")


@torch.inference_mode()
def draw_stages(folder, model, path):
    """B1.2 (dark picture, its logarithms, X1) and B1.3 (X2 and Y): unbounded stages share one affine map each figure."""
    x = read_image(path)[None].to(next(model.parameters()).device)
    stages = model.stages(x)
    logs = [picture(log) for log in stages.logs[0].split(3)]
    shown, bounds = displayed([stages.x1, stages.illumination])
    columns = ["X (dark)", *(f"log, v = {v:g}" for v in model.logarithm.scales), "X1 (fused)", "H (illumination)"]
    pictures = [picture(x), *logs, *shown]
    half = -(-len(pictures) // 2)
    figure = figures.grid([pictures[:half], pictures[half:]], None, [columns[:half], columns[half:]])
    folder.save(figure, "B1.2_logarithms",
                {"en": f"A dark picture, its logarithms, their fusion X1 and the illumination H (X1 and H: {bounds[0]:.2f} to {bounds[1]:.2f} as black to white)",
                 "zh": f"微光图像、各尺度对数变换、融合结果 X1 与光照分量 H(X1 与 H 的显示范围为 {bounds[0]:.2f} 到 {bounds[1]:.2f})"},
                {"en": "Six small pictures from dark to bright", "zh": "由暗到亮的若干小图"},
                ["picture", "mean", "min", "max"],
                [[name, *statistics(value)] for name, value in
                 zip(columns, [x, *stages.logs.split(3, dim=1), stages.x1, stages.illumination])], "B1.2")
    (x2, y), bounds = displayed([stages.x2, stages.y], of=[stages.x2])
    folder.save(figures.grid([[x2, y, picture(stages.y)]], ["X2, before colour restoration", "Y, same display range", "Y as written"]), "B1.3_colour",
                {"en": f"Before and after colour restoration; X2 and Y share one display range ({bounds[0]:.2f} to {bounds[1]:.2f}, 1st to 99th percentile of X2)",
                 "zh": f"色彩恢复前后；X2 与 Y 使用同一显示范围({bounds[0]:.2f} 到 {bounds[1]:.2f}，即 X2 的 1% 到 99% 分位)"},
                {"en": "Three versions of one picture", "zh": "同一图像的三个版本"},
                ["picture", "channel", "mean"],
                [[name, "RGB"[c], f"{tensor[0, c].mean().item():.6f}"] for name, tensor in (("X2", stages.x2), ("Y", stages.y)) for c in range(3)], "B1.3")


def displayed(tensors, of=None):
    """Arrays of unbounded pictures under one affine map, 1st to 99th percentile of those in `of` (default all); and its bounds."""
    values = torch.cat([tensor.flatten() for tensor in (of or tensors)])
    low, high = np.percentile(values.float().cpu().numpy(), (1, 99))
    return [picture(((tensor - low) / max(high - low, 1e-6)).clamp(0, 1)) for tensor in tensors], (low, high)


def statistics(tensor):
    return [f"{value.item():.6f}" for value in (tensor.mean(), tensor.min(), tensor.max())]


def draw_pairs(folder, pairs, count=6):
    """B1.4: sample pairs of the data set, dark above bright."""
    places = np.linspace(0, len(pairs.names) - 1, min(count, len(pairs.names))).astype(int)
    lows, highs = zip(*[[read_bytes(path) for path in pairs.paths(place)] for place in places])
    figure = figures.grid([list(lows), list(highs)], [pairs.names[place] for place in places], rows=["low", "high"])
    folder.save(figure, "B1.4_pairs", {"en": f"Pairs of {pairs.set_name}: short exposure above, normal exposure below",
                                       "zh": f"{pairs.set_name} 的样例：上为低照度图像，下为正常曝光图像"},
                {"en": "Six dark pictures and the same scenes bright", "zh": "六幅暗图及其对应的亮图"},
                ["item", "low_mean", "high_mean"],
                [[pairs.names[place], f"{low.mean():.6f}", f"{high.mean():.6f}"] for place, low, high in zip(places, lows, highs)], "B1.4")


# ---- results ------------------------------------------------------------------------------------------------------------------------

def draw_results(folder, run, model, pairs, count=4):
    """Low, gamma, network and target with PSNR under each."""
    grid, captions, rows = [], [], []
    for place in np.linspace(0, len(pairs.names) - 1, min(count, len(pairs.names))).astype(int):
        low_path, high_path = pairs.paths(place)
        low, high = read_bytes(low_path), read_bytes(high_path)
        outputs = [low, floors.gamma(low), floors.msr(low), picture(enhance(model, read_image(low_path), run)), high]
        values = [fidelity(output, high)["psnr"] for output in outputs[:-1]]
        grid.append(outputs)
        captions.append([f"{value:.2f} dB" for value in values] + [pairs.names[place]])
        rows.append([pairs.names[place], *(f"{value:.6f}" for value in values)])
    columns = ["low", "gamma 1/2.2", "MSR", "MSR-net", "target"]
    folder.save(figures.grid(grid, columns, captions), "result_grid",
                {"en": f"Results on {pairs.set_name} beside two simple methods, PSNR under gt_free", "zh": f"{pairs.set_name} 上的结果与两种简单方法，PSNR 协议为 gt_free"},
                {"en": "Rows of one scene each: dark, two simple methods, network, target", "zh": "每行一个场景：暗图、两种简单方法、网络输出、参考图像"},
                ["item", *columns[:-1]], rows)


def draw_training(folder, run):
    """The terms of the loss and the validation over the steps."""
    series = figures.read_log(run.folder / "train" / "log.jsonl")
    if not series:
        run.say("no training log under this name: the training curve is left out")
        return
    figure = figures.curve(series, [("loss", ["loss", "l1", "ssim", "frobenius"]), ("validation PSNR (dB)", ["val_psnr"]), ("validation SSIM", ["val_ssim"])])
    rows = [[step, name, f"{value:.6f}"] for name, (steps, values) in series.items() for step, value in zip(steps, values)]
    folder.save(figure, "training", {"en": "Training: the loss and its terms, and the held-out pictures", "zh": "训练曲线：损失及其各项，以及验证集指标"},
                {"en": "Falling loss, rising validation scores", "zh": "损失下降、验证指标上升"}, ["step", "name", "value"], rows)


def draw_floors(folder, lines):
    """Mean PSNR and SSIM of every method under gt_free."""
    names = list(dict.fromkeys(line["row"] for line in lines if line["row"].endswith("gt_free")))
    means = {name: [np.mean([float(line[metric]) for line in of_row(lines, name)]) for metric in ("psnr", "ssim")] for name in names}
    labels = ["network" if name == "gt_free" else name.removesuffix("/gt_free") for name in names]
    figure = figures.bars(labels, {"PSNR / 40 dB": [means[name][0] / 40 for name in names], "SSIM": [means[name][1] for name in names]},
                          "share", rotation=25)
    folder.save(figure, "floors", {"en": "The network beside simple methods (gt_free means; PSNR drawn as a share of 40 dB)", "zh": "网络与简单方法的对比(gt_free 均值；PSNR 以 40 dB 的占比绘制)"},
                {"en": "Bars of PSNR and SSIM per method", "zh": "各方法的 PSNR 与 SSIM 柱状图"},
                ["method", "psnr", "ssim"], [[label, *(f"{value:.6f}" for value in means[name])] for label, name in zip(labels, names)])


def draw_ranking(folder, lines):
    """Pictures from best to worst, coloured by how dark the input was."""
    ranked = sorted(of_row(lines), key=lambda line: -float(line["psnr"]))
    light = np.array([float(line["input_light"]) for line in ranked])
    shades = [figures.COLOURS[5] if value >= 18 else figures.COLOURS[0] if value >= 10 else figures.COLOURS[6] for value in light]
    figure = figures.bars([line["item"] for line in ranked], {"PSNR": [float(line["psnr"]) for line in ranked]},
                          "PSNR (dB), gt_free", rotation=0 if len(ranked) <= 20 else 90, colours=shades)
    folder.save(figure, "ranking", {"en": "Pictures from best to worst; black: mean level under 10, dark blue: 10 to 18, light blue: over 18",
                                    "zh": "由好到差的图像；黑色：平均灰度低于 10，深蓝：10 到 18，浅蓝：高于 18"},
                {"en": "Falling bars, one per picture", "zh": "逐图递减的柱状图"}, ["item", "psnr", "ssim", "input_light", "input_noise"],
                [[line[key] for key in ("item", "psnr", "ssim", "input_light", "input_noise")] for line in ranked])


def draw_classes(folder, lines):
    """Mean PSNR by measured light level and by measured noise of the input."""
    rows, labels, network, gamma = [], [], [], []
    for classing in ("light", "noise", "scene"):
        for name in sorted({line[f"by_{classing}"] for line in of_row(lines)} - {""}):
            mean = {row: np.mean([float(line["psnr"]) for line in of_row(lines, row) if line[f"by_{classing}"] == name])
                    for row in ("gt_free", "gamma/gt_free")}
            count = sum(line[f"by_{classing}"] == name for line in of_row(lines))
            labels.append(f"{classing}\n{name.split(': ')[-1]}\n({count})")
            network.append(mean["gt_free"])
            gamma.append(mean["gamma/gt_free"])
            rows.append([classing, name, count, f"{network[-1]:.6f}", f"{gamma[-1]:.6f}"])
    folder.save(figures.bars(labels, {"MSR-net": network, "gamma 1/2.2": gamma}, "PSNR (dB), gt_free"), "classes",
                {"en": "By the input's mean level and noise (levels of 255), and by whether training shows the scene", "zh": "按输入图像的平均灰度、噪声水平以及训练集中是否出现同一场景分类"},
                {"en": "Grouped bars by class", "zh": "按类别分组的柱状图"}, ["classing", "class", "count", "network_psnr", "gamma_psnr"], rows)


def draw_failures(folder, run, model, pairs, lines):
    """The two worst pictures: what came out, what was expected, the signed difference in gray, and how much of it is brightness alone."""
    stems = [Path(name).stem for name in pairs.names]
    grid, captions, rows = [], [], []
    for line in sorted(of_row(lines), key=lambda line: float(line["psnr"]))[:2]:
        low_path, high_path = pairs.paths(stems.index(line["item"]))
        high, output = read_bytes(high_path), picture(enhance(model, read_image(low_path), run))
        difference = metrics.gray8(output).astype(float) - metrics.gray8(high)
        scaled = metrics.gt_mean(output, high)
        grid.append([read_bytes(low_path), output, high, signed(difference)])
        captions.append([f"{line['item']}: mean {float(line['input_light']):.1f}", f"{float(line['psnr']):.2f} dB; {fidelity(scaled, high)['psnr']:.2f} dB at the target's mean",
                         f"mean {metrics.gray8(high).mean():.0f}", f"output mean {metrics.gray8(output).mean():.0f}; blue darker, red brighter"])
        rows.append([line["item"], line["psnr"], f"{fidelity(scaled, high)['psnr']:.6f}", f"{metrics.gray8(output).mean():.6f}", f"{metrics.gray8(high).mean():.6f}"])
    folder.save(figures.grid(grid, ["low", "MSR-net", "target", "output - target"], captions), "failures",
                {"en": "The two worst pictures. Where scaling to the target's mean repairs most of the error, only the brightness was guessed wrongly",
                 "zh": "两幅最差的结果。若缩放到参考图像的平均亮度即可消除大部分误差，说明网络只是猜错了亮度"},
                {"en": "Two failures with their difference", "zh": "两个失败案例及其差值图"}, ["item", "psnr_gt_free", "psnr_gt_mean", "output_mean", "target_mean"], rows)


def signed(difference, limit=128):
    """A gray difference as colours: white none, red brighter, blue darker, full at +-limit levels."""
    share = np.clip(np.abs(difference) / limit, 0, 1)[..., None]
    colour = np.where(difference[..., None] > 0, (213, 94, 0), (0, 114, 178))
    return (255 * (1 - share) + colour * share + 0.5).astype(np.uint8)


def draw_noise(folder, run, model, pairs, side=96):
    """A crop at full size: the dark picture lifted to the target's mean, gamma, the network, a filter behind it, and the target."""
    place = len(pairs.names) // 2
    low_path, high_path = pairs.paths(place)
    low, high, output = read_bytes(low_path), read_bytes(high_path), picture(enhance(model, read_image(low_path), run))
    columns = ["low, lifted", "gamma 1/2.2", "MSR-net", "MSR-net + bilateral", "target"]
    pictures = [metrics.gt_mean(low, high), floors.gamma(low), output, floors.bilateral(output), high]
    top, left = (max(0, (size - side) // 2) for size in low.shape[:2])
    values = [(metrics.noise_sigma(image), metrics.sharpness(image)) for image in pictures]
    folder.save(figures.grid([[image[top:top + side, left:left + side] for image in pictures]], columns,
                             [[f"noise {noise:.1f}, sharpness {sharp:.2f}" for noise, sharp in values]]), "noise",
                {"en": f"{side} x {side} pixels of {pairs.names[place]}; noise (levels of 255) and sharpness of the whole picture", "zh": f"{pairs.names[place]} 的 {side} x {side} 局部；噪声(以 255 级计)与锐度在整幅图像上测得"},
                {"en": "One crop in five versions", "zh": "同一局部的五个版本"}, ["picture", "noise_sigma", "sharpness"],
                [[name, f"{noise:.6f}", f"{sharp:.6f}"] for name, (noise, sharp) in zip(columns, values)])


if __name__ == "__main__":
    sys.exit(start(main))
