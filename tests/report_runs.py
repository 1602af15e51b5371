"""A repository with two small cases, for the tests of the report: `toy` has runs, `later` has none yet."""
import json
import shutil

import numpy as np
from PIL import Image

from common.base import paths, yaml_text
from common.experiment import figures
from common.experiment.results import TestResults, merge_json, write_manifest, write_text

ABOUT = """\
about:
  title: A Toy {title}
  authors: Ann Author, Ben Writer
  year: 2020
  links: {{paper: "https://example.org/paper", odd: "javascript:alert(1)"}}
  idea: {{en: Brighten <everything>., zh: 把一切都提亮。}}
  published:
    - method: TheirNet
      set: val
      row: gt_free
      metrics: {{psnr: 20.871, ssim: 0.8021}}
      source: "Author 2020, Table 1"
      note: {{en: by e-mail, zh: 来自邮件}}
    - {{method: TheirNet, set: elsewhere, row: sift, metrics: {{psnr: 1.5}}, source: "Author 2020, Table 9"}}
seed: 0                # [0, inf) draws
data: {{root: data/toy}} # the data
train:                 # how
  steps: 50            # [1, inf) batches
  lr: 1e-3             # (0, 1] rate
model: {{width: 8}}      # size
test: {{set: val}}       # where
presets:
  paper: {{train: {{steps: 300000}}, seed: 5, test: {{set: paper}}}}
"""
ROWS = ["gt_free", "gt_mean", "gamma/gt_free"]
SETTINGS = {"seed": 0, "data": {}, "train": {"steps": 50, "lr": 0.001}, "model": {"width": 8}, "test": {"set": "val"}}
CAPTION = figures.Caption("B9.1", "Loss | of <training>", "训练损失", "a falling line", "下降的曲线")
DIGEST = "ab" * 32


def build(root):
    """Make a repository in root: toy's run `default` has a test on val (4 items), one without references, a figure."""
    for case in ("toy", "later"):
        write_text(root / "cases" / case / "model.py", "")
        write_text(root / "configs" / f"{case}.yaml", ABOUT.format(title=case.title()))
    make_run(root, "default")
    return root


def copied(template, root, monkeypatch):
    """A copy of what build() has made, in which `common` now looks for everything."""
    shutil.copytree(template, root, dirs_exist_ok=True)
    path = root / "results/toy/default/environment.json"
    path.write_text(path.read_text(encoding="utf-8").replace(str(template), str(root)), encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", root)
    return root


def make_run(root, name):
    folder = root / "results" / "toy" / name
    write_text(folder / "train" / "config.yaml", yaml_text.to_yaml(SETTINGS))
    write_text(folder / "train" / "log.jsonl", '{"stage": "a", "step": 10, "loss": 0.5}\n'
                                               '{"stage": "a", "step": 20, "loss": 0.25}\n')
    write_manifest(folder, "train", DIGEST)
    make_test(root, folder, "val", ROWS, "val/high/{}.png")
    make_test(root, folder, "photos", ["network", "identity"], None)
    entry = {"device": "cpu", "device_name": "Toy <CPU>", "threads": 2, "processes": 1, "seconds": 200.4,
             "peak_memory_mb": 512.3, "command": ["train.py", "--name", name], "versions": {"python": "3.11"},
             "paths": {"data.root": str(root / "data/toy")}}
    merge_json(folder / "environment.json", {part: entry for part in ("train", "test/val", "test/photos")})
    drawn = figures.FigureFolder(folder, {"one": CAPTION, "gone": CAPTION})
    for file in ("one", "gone"):
        drawn.save(figures.new_figure(3, 2)[0], file, ["step"], [[1]])
    drawn.finish(DIGEST)
    (folder / "figures" / "gone.png").unlink()
    return folder


def make_test(root, folder, name, rows, reference):
    """test/<name>/ with the items i0 (worst) to i3 (best); pictures of `gt_free` in val, else of `network`."""
    results = TestResults(folder, name, weights=DIGEST, settings=SETTINGS, data="", rows=rows, metrics=["psnr", "ssim"],
                          classings=["light"])
    for number in range(4):
        item, lines = f"i{number}", {}
        for place, row in enumerate(rows):
            path = results.image_path(item, row) if row in ("gt_free", "network") else None
            if path:
                picture(path, 60 * number)
            lines[row] = {"psnr": 15.0 + number - place, "ssim": 0.5 + number / 10}, path
        if reference:
            picture(root / "data/toy" / reference.format(item), 200)
        results.add(item, lines, reference.format(item) if reference else None,
                    {"light": "a: dark" if number < 2 else "b: bright"})
    results.finish([f"i{number}" for number in range(4)])


def picture(path, level):
    """A picture of 40 x 24 pixels around a level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((24, 40, 3), level, np.uint8)
    pixels[:12, :20] += 30
    Image.fromarray(pixels).save(path)


def change_json(path, change):
    """Read a JSON file, let change(content) alter it, write it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
