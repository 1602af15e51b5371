"""A low-light network on the photographs that people have: python -m common.lowlight.everyday CASE ROOT [options]

CASE: msrnet or kind; ROOT: a folder of ordinary photographs. The case's own test.py brightens, with --input, these
photographs darkened at gains 1/8, 1/16, 1/32 (darken_to_judge), as they are, white, gray and document pages, and the
embedded garden at night; what comes out is measured here, beside gamma 1/2.2 and, where data.root has LOL's training
pairs, their tone curve. Bad: it darkens or tints what was good already.

    --weights W     as for test.py, `release` where it is left out
    --count N       the first N photographs only
    --csv FILE      the table also as CSV
    key=value       settings of the case
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from common import metrics
from common.base import paths
from common.base.errors import UserError, join_some, start
from common.base.targets import expect_targets
from common.base.text_table import format_table
from common.data.images import list_images, read_pixels, to_tensor, write_image
from common.data.night import darken_to_judge
from common.experiment.results import write_csv
from common.experiment.settings import resolve
from common.lowlight.baselines import curve_of, gamma, tone_curve

GAINS = (8, 16, 32)                             # one over the gain
DARKER, LEVEL = 5, 252                          # levels: darker by more is a mistake; of the white page
GARDEN = "dark"                                 # folder below datasets/embedded
HEADER = ["what", "row", "count", "psnr", "ssim", "psnr_gt_mean", "ssim_gt_mean", "ciede2000", "value"]


def main(argv=None):
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m common.lowlight.everyday", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("root", metavar="ROOT")
    parser.add_argument("--weights", default="release")
    parser.add_argument("--count", type=int)
    parser.add_argument("--csv")
    options, settings = parser.parse_known_args(words)
    if strange := [word for word in settings if "=" not in word or word.startswith("-")]:
        raise UserError(f"unknown options: {join_some(strange)}: --weights, --count, --csv and key=value were "
                        "expected: see --help")
    if options.csv:
        expect_targets([options.csv], option="--csv")
    if not (paths.ROOT / "cases" / options.case / "enhance.py").exists():
        raise UserError(f"no low-light case: {options.case}: msrnet or kind was expected: name one")
    photographs = list_images(options.root)[:options.count]
    if not photographs:
        raise UserError(f"no photographs: {options.root}: a folder of pictures was expected: name another")
    curve = curve_of_training(resolve(options.case, settings).config.data.root)
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(options, settings, photographs, curve, Path(folder))
    print("\n".join(format_table(HEADER, [[*map(shown, line)] for line in lines],
                                 ["<26", "<10", ">5", *[">12"] * 5, "<"])))
    if options.csv:
        write_csv(options.csv, HEADER, [[*map(shown, line)] for line in lines])


def curve_of_training(root):
    """The tone curve of the training pairs of data.root; None, said on stderr, where there are none."""
    try:
        return curve_of(root)
    except UserError as problem:
        print(f"the tone curve is left out, for want of training pictures: {problem}", file=sys.stderr)
        return None


def measure(options, settings, photographs, curve, folder):
    """The lines of the table, after HEADER; curve: of baselines.tone_curve, or None."""
    days = {path.stem: read_pixels(path) for path in photographs}
    dark = {f"1-{gain} {name}": darken_to_judge(day, 1 / gain, index) for index, (name, day) in enumerate(days.items())
            for gain in GAINS}
    garden = {path.stem: read_pixels(path) for path in list_images(paths.ROOT / "datasets" / "embedded" / GARDEN)}
    nights = {name: night for name, night in garden.items() if name.startswith("garden_dark")}
    alone, _ = brighten(options, [*settings, "test.protect=off"], dark | days | pages() | nights, folder / "off")
    kept, said = brighten(options, [*settings, "test.protect=auto"], days | pages(), folder / "auto")
    lines = []
    for gain in GAINS:
        lines += fidelity_lines(f"darkened, gain 1/{gain}", [(dark[f"1-{gain} {name}"], alone[f"1-{gain} {name}"], day)
                                                            for name, day in days.items()], curve)
    if nights:
        bright = garden["garden_bright"]
        lines += fidelity_lines("garden, 3 nights", [(night, alone[name], bright) for name, night in nights.items()],
                                curve)
    for row, outputs in (("off", alone), ("auto", kept)):
        lines.append(day_line(row, days, outputs, said if row == "auto" else None))
        lines.append(page_line(row, outputs))
    return lines


def fidelity_lines(what, triples, curve):
    """Lines for the network, a gamma curve and a fitted one; triples: (dark, answer, reference), 8-bit."""
    rows = {"network": [answer for _, answer, _ in triples], "gamma": [gamma(low) for low, *_ in triples]}
    if curve is not None:
        rows["tone_curve"] = [tone_curve(low, curve) for low, *_ in triples]
    lines = []
    for row, answers in rows.items():
        scores = []
        for answer, (*_, reference) in zip(answers, triples, strict=True):
            scaled = metrics.gt_mean(answer, reference)
            scores.append([fidelity[name] for fidelity in map(metrics.fidelity, (answer, scaled), (reference,) * 2)
                           for name in ("psnr", "ssim")] + [metrics.ciede2000(scaled, reference)])
        means = np.mean(scores, axis=0).tolist()
        lines.append([what, row, len(triples), *means, "ciede2000 after gt_mean"])
    return lines


def day_line(row, days, outputs, said):
    """What happens to photographs that need nothing."""
    changes = np.array([outputs[name].mean() - day.mean() for name, day in days.items()])
    colour = np.mean([metrics.ciede2000(outputs[name], day) for name, day in days.items()])
    value = (f"{(changes < -DARKER).sum()} darker by over {DARKER} levels; median change of the mean "
             f"{np.median(np.abs(changes)):.1f}")
    if said is not None:
        called = sum("brightened" in said.get(name, "") for name in days)
        value += f"; {called} called brightened"
    return ["photographs as they are", row, len(days), *[None] * 4, colour, value]


def page_line(row, outputs):
    """How far from neutral white, gray and document pages become: largest difference of the channels' means."""
    casts = {name: np.ptp(outputs[name].reshape(-1, 3).mean(axis=0)) for name in pages()}
    return ["pages", row, len(casts), *[None] * 5, "cast in levels: " + ", ".join(f"{name} {cast:.1f}"
                                                                                   for name, cast in casts.items())]


def pages():
    """{name: uint8 picture} of what should stay neutral."""
    document = np.full((240, 320, 3), LEVEL, np.uint8)
    for top in range(20, 220, 16):
        document[top:top + 6, 24:296:3] = 30
    bar = np.full((240, 320, 3), LEVEL, np.uint8)
    bar[100:140] = 40
    gray = np.full((240, 320, 3), 128, np.uint8)
    gray[::2, ::2] = 120
    return {"white": bar, "gray": gray, "document": document}


def brighten(options, settings, pictures, folder):
    """({name: 8-bit answer}, {name: what test.py said}) of the case's test.py to 8-bit pictures."""
    source, target = folder / "in", folder / "out"
    for name, picture in pictures.items():
        write_image(source / f"{name}.png", to_tensor(picture))
    command = [sys.executable, str(paths.ROOT / "cases" / options.case / "test.py"), "--name", "everyday", "--fresh",
               "--weights", options.weights, "--input", str(source), "--output", f"{target}/", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError(f"test.py failed with {done.returncode}: {' '.join(command)}: its message stands above: mend "
                        "that first")
    said = {Path(path).stem: text for path, _, text in
            (line.rpartition(": ") for line in done.stdout.splitlines()) if path.endswith(".png")}
    return {name: read_pixels(target / f"{name}.png") for name in pictures}, said


def shown(value):
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(start(main))
