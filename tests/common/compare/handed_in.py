"""Small runs as students hand them in, and ways to spoil them; for the tests of compare."""
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch

from common.base.files import sha256
from common.data.images import read_pixels, write_image
from common.experiment.results import TestResults, number_text, write_csv, write_json, write_manifest, write_text
from common.metrics import fidelity

SIZE = (40, 48)                                            # height, width


def make_root(folder, items=3):
    """A test root: high/1.png ..., smooth colours."""
    y, x = np.mgrid[:SIZE[0], :SIZE[1]] / max(SIZE)
    for item in range(1, items + 1):
        pixels = np.stack([x, y, (x + y * item) % 1]) * 0.8 + 0.1
        write_image(Path(folder) / "high" / f"{item}.png", torch.from_numpy(pixels).float())
    return Path(folder)


def make_run(folder, root, noise=0.02, seed=0):
    """A finished run: training log, a test of the pictures in root with two rows, a figure, the manifest."""
    folder, root = Path(folder), Path(root)
    settings = {"seed": seed, "train": {"steps": 3}}
    write_text(folder / "train" / "config.yaml", f"seed: {seed}\ntrain:\n  steps: 3\n")
    lines = [json.dumps({"stage": "train", "step": step, "loss": round(1 / (step + noise), 6)}) for step in (1, 2, 3)]
    write_text(folder / "train" / "log.jsonl", "\n".join(lines) + "\n")
    write_manifest(folder, "train", f"weights{seed}")
    rows = ["gt_free", "identity/gt_free"]
    results = TestResults(folder, "val", weights=f"weights{seed}", settings=settings, data=[], rows=rows,
                          metrics=["psnr", "ssim", "ssim_gray", "entropy"], classings=["light"])
    draw = np.random.default_rng(seed)
    for path in sorted((root / "high").iterdir()):
        high = read_pixels(path)
        output = np.clip(high + 255 * noise * draw.standard_normal(high.shape), 0, 255).astype(np.uint8)
        image = results.image_path(path.stem, "gt_free")
        write_image(image, torch.from_numpy(output).permute(2, 0, 1) / 255)
        results.add(path.stem, {"gt_free": (fidelity(output, high) | {"entropy": 7.25}, image),
                                "identity/gt_free": ({"psnr": 7.5, "ssim": 0.125}, None)},
                    reference=f"high/{path.name}", classes={"light": "a" if path.stem == "1" else "b"})
    results.finish([path.stem for path in sorted((root / "high").iterdir())])
    write_csv(folder / "figures" / "training.csv", ["step", "loss"], [[1, number_text(noise)]])
    write_manifest(folder, "figures", f"weights{seed}")
    write_json(folder / "environment.json", {"train": {"seconds": 1.0}})
    return folder


def copy(run, name):
    """A copy of a run beside it."""
    target = Path(run).parent / name
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(run, target))


def enter(run, *names):
    """Rewrite the manifest's lines of files that were changed, as a forger would."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["files"]:
        if entry["path"] in names:
            entry |= {"size": (run / entry["path"]).stat().st_size, "sha256": sha256(run / entry["path"])}
    path.write_text(json.dumps(manifest))


def edit(run, name, before, after, forge=False):
    """Replace text in a file of the run, once; it must be there. forge: also in the manifest."""
    path = run / name
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{before!r} is not in {name}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    if forge:
        enter(run, name)
    return run


def pack(run, path, prefix="run/"):
    """A zip of a run's files below prefix."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(run.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(run).as_posix())
    return path
