"""The figures of the course's chapter, which need no run: network, layers, first filters, weights, other networks.

The pictures in them are painted here, small and in few steps (the settings `figures`), by the painter of train.py with
the loss in its relative form.
"""
import numpy as np
import torch
import torch.nn.functional as F

from cases.vgg19_style import evaluate
from cases.vgg19_style.data import Work, fit_size, noise_like, pictures_at, read_on_white, resize
from cases.vgg19_style.drawing import diagram
from cases.vgg19_style.painter import Painter, own_taps, prepare
from common.base.errors import UserError
from common.data.images import to_bytes, to_tensor
from common.experiment import figures
from common.experiment.settings import Settings
from common.features import vgg, vgg_files

WEIGHTS = [0.01, 0.1, 1.0, 10.0]                        # of the content term, in the weight grid
ANGLES, WAVES, PHASES = range(0, 180, 15), (2.5, 3.5, 5.0), (0, 90)     # a Gabor bank: degrees, pixels, degrees
STROKES = [0.5, 1.0, 2.0]                               # data.style_scale
COLOURS = ["style", "luminance", "cholesky"]            # train.colour
FAINT = 0.1                                             # amplitude of the noise that reconstructed contents start from
SHOWN = (0, 45, 90, 135)                                # degrees whose answers are shown


# ---- painting --------------------------------------------------------------------------------------------------------

class FaintPainter(Painter):
    """A Painter whose noise is faint: what a deep layer does not see stays gray instead of hiding what it sees."""

    def start(self, content):
        return 0.5 + noise_like(content, self.settings.seed, self.place, FAINT)


def illustration(cfg, source, work, device="cpu", *, loss, start, data=None, train=None):
    """(picture uint8 (h, w, 3), {term: value before the last step, weighted}): a small picture by L-BFGS at one scale.

    source: common.features.vgg's, the network; loss, data, train: changes to these sections; start: content, noise or
    faint (noise).
    """
    plain = {"form": "relative", "style_weights": [], "tv": 0.0}
    single = {"steps": cfg.figures.steps, "optimizer": "lbfgs", "lr": 1.0, "scales": 1, "average": 0.0,
              "colour": "style", "tile": "none", "start": "content" if start == "content" else "noise"}
    settings = Settings(cfg | {"loss": Settings(cfg.loss | plain | loss),
                               "train": Settings(cfg.train | single | (train or {})),
                               "data": Settings(cfg.data | {"size": cfg.figures.size} | (data or {}))})
    taps = list(dict.fromkeys([*settings.loss.style_taps, *settings.loss.content_taps]))
    trunk = vgg.build(source, taps, cfg.network.pooling).to(device, memory_format=torch.channels_last)
    kind = FaintPainter if start == "faint" else Painter
    painter = kind(settings, trunk, settings.loss, work, *prepare(settings, device))
    for step in range(1, settings.train.steps + 1):
        terms = painter.step(step)
    return to_bytes(painter.result()[0].cpu()), {name: term.item() for name, term in terms.items()}


def usual_taps(source):
    """(style taps, content tap) of a network where the settings name none."""
    taps = own_taps(vgg.tap_names(source), Settings(style_taps=[], content_taps=[], style_weights=[]))
    return taps["style_taps"], taps["content_taps"][0]


def example(cfg):
    """The Work that is illustrated: the first content, and of the styles the most colourful one."""
    styles = [*cfg.data.styles] or pictures_at(cfg.data.style, "data.style")
    pixels = {style: read_on_white(style).astype(float) for style in styles}
    style = max(styles, key=lambda each: (pixels[each].max(axis=2) - pixels[each].min(axis=2)).mean())
    return Work("illustration", pictures_at(cfg.data.content, "data.content")[0], [style], [1.0], [])


def small(path, cfg):
    """A picture at the size of the illustrations, uint8."""
    pixels = read_on_white(path)
    return to_bytes(resize(pixels, fit_size(pixels.shape, cfg.figures.size))[0])


def middle(path, like):
    """The middle of a picture, uint8, in the proportions of a shape (h, w, ...), so that both fill equal places."""
    pixels = read_on_white(path)
    height, width = pixels.shape[:2]
    size = min(height, round(width * like[0] / like[1])), min(width, round(height * like[1] / like[0]))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return pixels[top:top + size[0], left:left + size[1]]


# ---- B6.1 and the layers ---------------------------------------------------------------------------------------------

def draw_network(folder, loss):
    """B6.1: VGG19's layers, from the module itself without weights; the taps of the section `loss` are marked."""
    trunk, layers = diagram.list_layers()
    rows, total = [], 0
    for name, shape, count in layers:
        total += count
        uses = [use for use, taps in (("style", loss.style_taps), ("content", loss.content_taps))
                if {name, name.replace("conv", "relu")} & set(taps)]
        rows.append([name, trunk.names.index(name), "x".join(map(str, shape)), count, total, trunk.stride(name),
                     trunk.stride(name) + 2 * trunk.reach(name), "+".join(uses)])
    folder.save(diagram.draw_network(layers, loss.style_taps, loss.content_taps).figure, "B6.1_network",
                ["layer", "index", "outputs", "parameters", "parameters_to_here", "stride", "sees_pixels", "tap"], rows,
                total=total)


def draw_layers(folder, cfg, source, work, device="cpu"):
    """What each layer keeps of a content, and of a style with all layers before it (Gatys et al. 2016, figure 1).

    From noise, one term alone; from faint noise for the content, whose deep layers would leave the rest as it is."""
    taps, _ = usual_taps(source)
    content = small(work.content, cfg)
    grid, under, rows = [[content], [middle(work.styles[0], content.shape)]], [["content"], ["style"]], []
    for number, tap in enumerate(taps):
        for line, (term, used) in enumerate((("content", [tap]), ("style", taps[:number + 1]))):
            loss = {"content": 0.0, "style": 0.0, "content_taps": taps[:1], "style_taps": taps[:1]}
            loss |= {term: 1.0, f"{term}_taps": used}
            picture, terms = illustration(cfg, source, work, device, loss=loss, start="noise" if line else "faint")
            left = f"{100 * terms[term]:.2g} %" if terms[term] >= 1e-4 else "< 0.01 %"
            grid[line].append(picture)
            under[line].append(f"{'to ' if line and number else ''}{tap}: {left} left")
            rows.append([term, "+".join(used), figures.format_number(terms[term])])
    folder.save(figures.grid(grid, None, under), "layers", ["term", "taps", "left"], rows, network=source.name,
                steps=cfg.figures.steps)


# ---- conv1_1 beside a Gabor bank -------------------------------------------------------------------------------------

def gabor(angle, wave, phase, side):
    """A Gabor filter, side x side, without mean, of norm 1.

    angle, phase: degrees, the angle between its stripes' normal and the right; wave: pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    pattern = np.exp(-(x * x + y * y) / (2 * (side / 4) ** 2)) * np.cos(2 * np.pi * along / wave + np.radians(phase))
    pattern -= pattern.mean()
    return pattern / np.linalg.norm(pattern)


def matches(patterns, bank):
    """|cosine| of every pattern (n, 3, 3) with every filter of a bank (m, 3, 3), both without their means: (n, m)."""
    flat = patterns.reshape(len(patterns), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.abs(flat @ bank.reshape(len(bank), -1).T) / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def draw_filters(folder, cfg, source, work):
    """conv1_1's filters beside the hand-made ones that they resemble most; what both answer to a photograph."""
    weights = source.state["features.0.weight"].numpy()                              # (n, 3, 3, 3)
    settings = [(angle, wave, phase) for angle in ANGLES for wave in WAVES for phase in PHASES]
    bank = np.stack([gabor(*setting, 3) for setting in settings])
    gray = weights.mean(axis=1)
    colour = 1 - 3 * (gray ** 2).sum(axis=(1, 2)) / np.maximum((weights ** 2).sum(axis=(1, 2, 3)), 1e-12)
    found = matches(gray, bank)
    chance = np.median(matches(np.random.default_rng(0).standard_normal((1000, 3, 3)), bank).max(axis=1))
    best = found.argmax(axis=1)
    photo = to_tensor(small(work.content, cfg))[None].mean(dim=1, keepdim=True)
    shown = [shade(gabor(angle, wave, 0, 15)) for wave in (4.0, 6.0, 9.0) for angle in range(0, 180, 30)]
    learned = np.stack([shade(each) for each in weights]).transpose(0, 2, 3, 1)     # (n, 3, 3, 3), channels last
    grid = [[mosaic(learned)], [mosaic(np.stack(shown))]]
    under = [[f"conv1_1 of {source.name}"], ["a Gabor bank"]]
    for angle in SHOWN:
        columns = [place for place, setting in enumerate(settings) if setting[0] == angle]
        candidates = np.where(colour[:, None] < 0.5, found[:, columns], 0)
        number, column = np.unravel_index(candidates.argmax(), candidates.shape)
        grid[0].append(answer(photo, gray[number]))
        grid[1].append(answer(photo, bank[columns[column]]))
        under[0].append(f"filter {number} answers")
        under[1].append(f"{angle} degrees, match {found[number, columns[column]]:.2f}")
    rows = [[number, *settings[best[number]], figures.format_number(found[number, best[number]]),
             figures.format_number(colour[number])] for number in range(len(gray))]
    folder.save(figures.grid(grid, None, under), "filters",
                ["filter", "angle", "wavelength", "phase", "match", "colour_share"], rows,
                network=source.name, match=np.median(found.max(axis=1)), chance=chance)


def shade(pattern):
    """A pattern as gray or colours in [0, 1], 0.5 for 0."""
    return 0.5 + pattern / (2 * np.abs(pattern).max() + 1e-9)


def mosaic(tiles, gap=0.15):
    """Tiles (n, s, s[, 3]) in a wide rectangle, enlarged to some 30 pixels each, white between them."""
    count, side = tiles.shape[:2]
    columns = int(np.ceil(np.sqrt(1.5 * count)))
    times = max(1, round(30 / side))
    step, edge = side * times + round(gap * side * times), side * times
    canvas = np.ones((-(-count // columns) * step, columns * step, *tiles.shape[3:]))
    for place, tile in enumerate(tiles):
        top, left = place // columns * step, place % columns * step
        canvas[top:top + edge, left:left + edge] = np.kron(tile, np.ones((times, times, *[1] * (tile.ndim - 2))))
    return canvas


def answer(photo, pattern):
    """|response| of a photograph (1, 1, h, w) to a 3 x 3 pattern, white at its 99th percentile and above."""
    kernel = torch.from_numpy((pattern - pattern.mean()).astype(np.float32))[None, None]
    response = F.conv2d(F.pad(photo, (1, 1, 1, 1), mode="reflect"), kernel)[0, 0].abs().numpy()
    return np.clip(response / max(np.percentile(response, 99), 1e-9), 0, 1)


# ---- weights and networks --------------------------------------------------------------------------------------------

def draw_weights(folder, cfg, source, work, device):
    """Content weights across, style from two layers above and from all below (Gatys et al. 2015, figure 3)."""
    taps, content_tap = usual_taps(source)
    one = evaluate.Judge(source, content_tap, device)
    grid, under, rows, sets = [], [], [], [taps[:2], taps]
    for used in sets:
        loss = {"style": 1.0, "content_taps": [content_tap], "style_taps": used}
        line = [illustration(cfg, source, work, device, start="content", loss=loss | {"content": weight})[0]
                for weight in WEIGHTS]
        values = [evaluate.measure([one], work, to_tensor(picture)[None])[one.name] for picture in line]
        grid.append(line)
        under.append([f"D {value['style_distance']:.2f}, content {value['content_distance']:.3f}" for value in values])
        rows += [["+".join(used), weight, figures.format_number(value["style_distance"]),
                  figures.format_number(value["content_distance"])] for weight, value in zip(WEIGHTS, values)]
    columns = [f"content = {weight:g}" for weight in WEIGHTS]
    sides = [f"style of\n{used[0].removeprefix('relu')} to {used[-1].removeprefix('relu')}" for used in sets]
    folder.save(figures.grid(grid, columns, under, sides), "weights",
                ["style_taps", "content_weight", "style_distance", "content_distance"], rows,
                network=source.name, tap=content_tap, size=cfg.figures.size)


def draw_sliders(folder, cfg, source, work, device):
    """Sizes of the strokes (data.style_scale) above, what becomes of the colours (train.colour) below."""
    taps, content_tap = usual_taps(source)
    loss = {"style": 1.0, "content_taps": [content_tap], "style_taps": taps, "tv": cfg.loss.tv}
    content = small(work.content, cfg)
    lines, under, rows = {}, [], []
    for section, setting, values in (("data", "style_scale", STROKES), ("train", "colour", COLOURS)):
        lines[setting] = []
        for value in values:
            changes = {"train": {"scales": cfg.train.scales}}
            changes[section] = changes.get(section, {}) | {setting: value}
            try:
                picture, _ = illustration(cfg, source, work, device, start="content", loss=loss, **changes)
            except UserError:                               # the style is too small for the network at this size
                lines[setting].append(None)
                continue
            lines[setting].append(picture)
            rows.append([f"{section}.{setting}", value, *map(figures.format_number, picture.mean(axis=(0, 1)))])
        under.append([f"{setting} = {value}" for value in values])
    grid = [[content, *lines["style_scale"]], [middle(work.styles[0], content.shape), *lines["colour"]]]
    folder.save(figures.grid(grid, None, [["content", *under[0]], ["style", *under[1]]]), "sliders",
                ["setting", "value", "red", "green", "blue"], rows, network=source.name, size=cfg.figures.size)


def choose_networks(cfg, source):
    """[Source]: VGG16 and VGG19 where their weights are at hand, the run's network, others, figures.networks."""
    vggs, others = (list(filter(vgg_files.at_hand, names)) for names in (("vgg16", "vgg19"), ("squeezenet", "small")))
    there = [*map(vgg_files.read, vggs), source, *map(vgg_files.read, [*others, *cfg.figures.networks])]
    return list({each.digest: each for each in there}.values())


def at_random(source, seed=0):
    """The Source with weights drawn by chance (He's), and no biases: what it lacks is what training contributes."""
    draw = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(value.shape, generator=draw) * (2 / value[0].numel()) ** 0.5 if value.dim() == 4
             else torch.zeros_like(value) for name, value in source.state.items()}
    return source._replace(name="random", state=state, digest="")


def draw_networks(folder, cfg, sources, work, device):
    """The same content and style by several networks at their usual taps, and by one of random weights.

    Under each D by all of them. A VGG that is not on this machine is named as not run."""
    judges = [evaluate.Judge(source, cfg.test.content_tap, device) for source in sources]
    content = small(work.content, cfg)
    grid, under, rows, drawn = [content], [""], [], ["content"]
    names = [*(source.name for source in sources), f"{sources[0].name}, random weights"]
    for name, source in zip(names, [*sources, at_random(sources[0])]):
        style_taps, content_tap = usual_taps(source)
        loss = {"content": cfg.loss.content if cfg.loss.form == "relative" else 0.1, "style": 1.0,
                "content_taps": [content_tap], "style_taps": style_taps}
        try:
            picture, _ = illustration(cfg, source, work, device, loss=loss, start="content")
        except UserError:                                   # the illustration is too small for this one
            continue
        values = evaluate.measure(judges, work, to_tensor(picture)[None])
        grid.append(picture)
        drawn.append(name.replace(", ", "\n"))
        under.append("\n".join(f"D by {each.name}: {values[each.name]['style_distance']:.2f}" for each in judges))
        rows += [[name, each.name, "run", figures.format_number(values[each.name]["style_distance"]),
                  figures.format_number(values[each.name]["style_distance_untouched"]),
                  figures.format_number(values[each.name]["content_distance"])] for each in judges]
    names = "; ".join(dict.fromkeys(row[0] for row in rows))
    for name in ("vgg16", "vgg19"):
        if vgg_files.at_hand(name):
            continue
        grid.append(None)
        drawn.append(name)
        under.append("not run: no weights\non this machine")
        rows.append([name, "", "not run", "", "", ""])
    figure = figures.grid([[*grid, middle(work.styles[0], content.shape)]], [*drawn, "style"], [[*under, ""]])
    folder.save(figure, "networks",
                ["network", "judge", "status", "style_distance", "style_distance_untouched", "content_distance"], rows,
                names=names, judges=", ".join(each.name for each in judges), size=cfg.figures.size)
