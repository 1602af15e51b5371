"""How far a painted picture is from its style and from its content, by a network that need not have made it.

style_distance D(y, s): the style is resized so that its long side is the picture's; for k = 0, 1, 2 both are averaged
over 2^k x 2^k pixels; the mean over k and over the taps of ||G(y) - G(s)||_F / ||G(s)||_F. A scale at which a side of
either is under 32 pixels is left out. content_distance ||F(y) - F(c)||^2 / ||F(c)||^2 at one tap.
"""
import torch
import torch.nn.functional as F

from cases.vgg19_style.data import fit_size, read_on_white, resize
from cases.vgg19_style.losses import gram, square_distance, square_size
from cases.vgg19_style.model import STYLE_TAPS
from cases.vgg19_style.painter import feature_sources
from common import metrics
from common.base.text_table import format_table
from common.data.images import to_bytes
from common.features import vgg, vgg_files

SCALES, SMALLEST = 3, 32
PICTURE = "picture"                     # the row of what is measured without a network
METRICS = ["style_distance", "style_distance_untouched", "content_distance", "scales"]
PIXELS = ["palette_distance", "palette_distance_untouched", "fine_chroma", "fine_chroma_style", "comb"]


class Judge:
    """A network that judges. source: common.features.vgg_files'; content_tap: where content is compared, if the network
    reaches that far; else at its deepest tap."""

    def __init__(self, source, content_tap, device="cpu"):
        held = vgg.tap_names(source)
        self.name, self.digest = source.name, source.digest
        self.style_taps = [tap for tap in STYLE_TAPS if tap in held] or held
        content_tap = vgg.tap_name(content_tap)
        self.content_tap = content_tap if content_tap in held else self.style_taps[-1]
        trunk = vgg.build(source, list(dict.fromkeys([*self.style_taps, self.content_tap])))
        self.trunk, self.device = trunk.to(device, memory_format=torch.channels_last), device

    @torch.inference_mode()
    def style_distance(self, picture, style8):
        """(D, how many scales it is the mean of) of a picture (1, 3, H, W) in [0, 1] and a style, uint8 (h, w, 3).

        (nan, 0) under 32 pixels."""
        style = resize(style8, fit_size(style8.shape, max(picture.shape[2:])))
        pair, distances = [picture.to(self.device), style.to(self.device)], []
        for k in range(SCALES):
            y, s = (F.avg_pool2d(each, 2 ** k) for each in pair) if k else pair
            if min(*y.shape[2:], *s.shape[2:]) < max(SMALLEST, self.trunk.smallest):
                break
            y, s = self.trunk(y), self.trunk(s)
            grams = [(gram(y[tap]), gram(s[tap])) for tap in self.style_taps]
            distances.append(torch.stack([(square_distance(G, A) / square_size(A)).sqrt() for G, A in grams]).mean())
        return (torch.stack(distances).mean().item(), len(distances)) if distances else (float("nan"), 0)

    @torch.inference_mode()
    def content_distance(self, picture, content):
        """||F(y) - F(c)||^2 / ||F(c)||^2 of two pictures (1, 3, H, W) of one size."""
        painted, wanted = (self.trunk(each.to(self.device))[self.content_tap] for each in (picture, content))
        return (square_distance(painted, wanted) / square_size(wanted)).item()


# ---- who judges, and what comes out ----------------------------------------------------------------------------------

def judges(run):
    """[Judge]: the settings' network, which made optimised pictures (each of two that were joined), and another one:
    test.judge, or, for auto, one that is on this machine.

    A picture optimised on one network must be judged by another too, or it marks its own homework."""
    wanted, sources = run.config.test.judge, feature_sources(run.config.network)
    if wanted == "auto":
        there = [name for name in ("vgg19", "vgg16", "squeezenet", "small") if vgg_files.at_hand(name)]
        known = [source.digest for source in sources]
        wanted = next((name for name in there if vgg_files.read(name).digest not in known), "none")
    if wanted == "none":
        run.say("no second judge at hand: the network that made the pictures marks its own homework; test.judge=FILE "
                "names another")
    else:
        sources.append(vgg_files.read(wanted))
    sources = {source.digest: source for source in sources}.values()
    return [Judge(source, run.config.test.content_tap, run.device) for source in sources]


def measure(all_judges, work, picture):
    """{judge's name: METRICS} of the picture (1, 3, H, W) of a work; of several styles the weighted mean."""
    content = resize(read_on_white(work.content), tuple(picture.shape[2:]))
    styles, lines = [read_on_white(style) for style in work.styles], {}
    for judge in all_judges:
        values = {"content_distance": judge.content_distance(picture, content)}
        for name, of in (("style_distance", picture), ("style_distance_untouched", content)):
            distances = [judge.style_distance(of, style) for style in styles]
            values |= {name: sum(weight * distance for weight, (distance, _) in zip(work.weights, distances)),
                       "scales": distances[0][1]}
        lines[judge.name] = values
    return lines


def measure_pixels(work, picture):
    """PIXELS of the picture (1, 3, H, W) of a work, as written; of several styles the weighted mean."""
    size = tuple(picture.shape[2:])
    painted8, content8 = (to_bytes(each[0]) for each in (picture, resize(read_on_white(work.content), size)))
    values = dict.fromkeys(PIXELS, 0.0) | {"fine_chroma": metrics.fine_chroma(painted8),
                                           "comb": metrics.comb(painted8, content8)}
    for weight, style in zip(work.weights, work.styles):
        style8 = read_on_white(style)
        style8 = to_bytes(resize(style8, fit_size(style8.shape, max(size)))[0])
        values["palette_distance"] += weight * metrics.palette_distance(painted8, style8)
        values["palette_distance_untouched"] += weight * metrics.palette_distance(content8, style8)
        values["fine_chroma_style"] += weight * metrics.fine_chroma(style8)
    return values


def show(run, content, results):
    """The table in the terminal."""
    header = ["judge", "style distance", "untouched", "share", "content distance"]
    lines = []
    for row, values in content.items():
        style, untouched, distance = (values.get(name) for name in METRICS[:3])
        if None not in (style, untouched, distance):
            lines.append([row, *(f"{value:.3f}" for value in (style, untouched, style / untouched, distance))])
    if content.get(PICTURE):
        run.say(", ".join(f"{name} {value:.2f}" for name, value in content[PICTURE].items()
                          if name in PIXELS and value is not None))
    run.say("\n".join(format_table(header, lines, ["<20", ">14", ">9", ">6", ">16"], gap="  ")))
    run.say(f"results: {results.final}")
