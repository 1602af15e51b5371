"""Figure B2.1: the three networks as one picture, joined by S, R, I, the ratio, P and A.

    python -m cases.kind.drawing.diagram          # writes it for the page
"""
from pathlib import Path

import torch

from cases.kind.model import KinD
from common.experiment import figures
from common.experiment.diagrams import Diagram, write_all

SIZE = (400, 600)                                              # of LOL's pictures: the shapes in the table
DROP = 0.62                                                    # inches down to the maps of half the size


def layers_of(model):
    """The layers of a forward pass through all three networks, as figures.trace tells them."""
    device = next(model.parameters()).device
    return figures.trace(model, lambda: model.stages(torch.rand(1, 3, *SIZE, device=device), ratio=4.0))


def draw(folder, model):
    """Draw the networks into a FigureFolder."""
    layers = layers_of(model)
    rows = [[layer["name"], layer["kind"], by(layer["inputs"]), by(layer["outputs"]), layer["parameters"]]
            for layer in layers]
    folder.save(draw_networks(layers).figure, "B2.1_networks", ["layer", "kind", "inputs", "outputs", "parameters"],
                rows, total=sum(row[-1] for row in rows))


def draw_networks(layers):
    """The Diagram of the layers; the restoration is left out where there is none."""
    counts = {layer["name"]: layer["parameters"] for layer in layers}
    maps = {layer["name"]: layer["outputs"][0] for layer in layers}
    page = Diagram(10.9, 6.7)
    reflectance, illumination = draw_decomposition(page, counts)
    adjusted = draw_adjustment(page, counts, illumination)
    restored = reflectance
    if any(name.startswith("restoration") for name in counts):
        restored = draw_restoration(page, counts, maps, reflectance, illumination)
    times = page.sign(adjusted.x, restored.y, "$\\times$")
    output = page.box(adjusted.x, 0.75, "P A", "output", "3")
    page.arrow(adjusted.bottom, times.top)
    page.arrow(restored.right, times.left)
    page.arrow(times.bottom, output.top)
    page.note(10.8, 6.5, f"{sum(counts.values()):,} parameters", align="right", weight="bold")
    return page


def share(counts, *names):
    """`N parameters` of all layers whose names begin with one of these."""
    return f"{sum(count for name, count in counts.items() if name.startswith(names)):,}"


def draw_decomposition(page, counts):
    """DecomNet: a small U, and the branch for the illumination from its first layer. Returns the Boxes of R and I."""
    def layer(name):
        return f"decomposition.{name}"
    top, step, x = 5.95, 1.08, 1.6
    s = page.box(0.55, top, "S", "stretched", "3")
    g1 = page.box(x, top, "g_conv1_1", "3x3, 32", share(counts, layer("g_conv1_1")), colour=0)
    g2 = page.box(x + step, top - DROP, "g_conv2_1", "3x3, 64", share(counts, layer("g_conv2_1")), colour=0)
    g3 = page.box(x + 2 * step, top - 2 * DROP, "g_conv3_1", "3x3, 128", share(counts, layer("g_conv3_1")), colour=0)
    g8 = page.box(x + 3 * step, top - DROP, "up, g_conv8_1", "2x2, 3x3, 64",
                  share(counts, layer("g_up_1"), layer("g_conv8_1")), colour=0)
    g9 = page.box(x + 4 * step, top, "up, g_conv9_1", "2x2, 3x3, 32",
                  share(counts, layer("g_up_2"), layer("g_conv9_1")), colour=0)
    g10 = page.box(x + 5 * step, top, "g_conv10", "1x1, 3", share(counts, layer("g_conv10")), colour=0)
    reflectance = page.box(x + 6 * step - 0.1, top, "R", "reflectance", "3")
    l2 = page.box(x, top - 3.05 * DROP, "l_conv1_2", "3x3, 32", share(counts, layer("l_conv1_2")), colour=4)
    l4 = page.box(x + 4.6 * step, top - 3.05 * DROP, "l_conv1_4", "1x1, 64 to 1", share(counts, layer("l_conv1_4")),
                  colour=4)
    illumination = page.box(x + 6 * step - 0.1, l4.y, "I", "illumination", "1")
    for before, after in ((s, g1), (g9, g10), (g10, reflectance), (l2, l4), (l4, illumination)):
        page.arrow(before.right, after.left)
    for before, after in ((g1, g2), (g2, g3)):
        page.arrow((before.x + 0.15, before.bottom[1]), (before.x + 0.15, after.y), after.left)
    for before, after in ((g3, g8), (g8, g9)):
        page.arrow(before.right, (after.x, before.y), after.bottom)
    page.arrow((g1.x - 0.2, g1.bottom[1]), (g1.x - 0.2, l2.top[1]), colour=4)
    page.arrow((g9.x + 0.3, g9.bottom[1]), (g9.x + 0.3, l4.top[1]), colour=4)
    page.arrow(g1.right, g9.left, label="skip: joined", dashed=True, colour=1)
    page.arrow(g2.right, g8.left, dashed=True, colour=1)
    page.frame([s, g1, g3, l2, l4, illumination, reflectance], f"decomposition, {share(counts, 'decomposition')} "
               "parameters; arrows down: max-pooled to half the size")
    return reflectance, illumination


def draw_adjustment(page, counts, illumination):
    """AdjustNet: I and the ratio to A. Returns the Box of A."""
    ratio = page.box(9.25, 5.55, "ratio", "chosen or guessed", "1")
    network = page.box(9.25, illumination.y, "en_conv_1 to 4", "3x3: 2, 32, 32, 32, 1", share(counts, "adjustment"),
                       colour=3)
    adjusted = page.box(10.44, 2.78, "A", "adjusted light", "1")
    page.arrow(ratio.bottom, network.top)
    page.arrow(illumination.right, network.left)
    page.arrow(network.right, (adjusted.x, network.y), adjusted.top)
    page.frame([ratio, network], f"adjustment, {share(counts, 'adjustment')}", above=0.3)
    return adjusted


def draw_restoration(page, counts, maps, reflectance, illumination):
    """RestorationNet: R and I to P, a U of five levels. Returns the Box of P."""
    top, step, drop, x = 2.78, 0.87, 0.52, 1.52
    both = page.box(0.55, top, "R, I", "joined", "4")
    levels = []
    for number in range(1, 10):
        depth = min(number - 1, 9 - number)
        up = number > 5
        names = [f"restoration.de_conv{number}_"] + [f"restoration.up_{number}"] * up
        title = f"up, {number}" if up else f"de_conv{number}"
        kernel = f"2 x 3x3, {maps[f'restoration.de_conv{number}_2']}"
        levels.append(page.box(x + (number - 1) * step, top - depth * drop, title, kernel,
                               share(counts, *names), colour=2))
    last = page.box(x + 8 * step + 0.88, top, "de_conv10", "3x3, 3", share(counts, "restoration.de_conv10"), colour=2,
                    height=0.5)
    restored = page.box(last.x, top - 1.05, "P", "restored R", "3")
    page.arrow(both.right, levels[0].left)
    for before, after in zip(levels[:4], levels[1:5]):
        page.arrow((before.x, before.bottom[1]), (before.x, after.y), after.left)
    for before, after in zip(levels[4:8], levels[5:9]):
        page.arrow(before.right, (after.x, before.y), after.bottom)
    for down, up in zip(levels[:4], levels[:4:-1]):
        page.arrow(down.right, up.left, dashed=True, colour=1)
    page.arrow(levels[-1].right, last.left)
    page.arrow(last.bottom, restored.top)
    gutter = 3.42
    page.arrow(illumination.bottom, (illumination.x, gutter), (both.x, gutter), both.top)
    page.arrow(reflectance.right, (8.42, reflectance.y), (8.42, gutter), (illumination.x, gutter), head=False)
    page.frame([both, levels[4], last, levels[8]], f"restoration, {share(counts, 'restoration')} parameters",
               above=0.2, indent=0.75)
    return restored


def by(shape):
    return "x".join(map(str, shape))


def pages():
    """{name: Diagram} of what the page shows."""
    return {"networks": draw_networks(layers_of(KinD()))}


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "diagrams", pages())
