"""docs/errors.zh-CN.md: each message that it quotes is what the code says to that mistake."""
import importlib
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from common.base import paths
from common.base.errors import Negative, UserError
from common.base.paths import ROOT
from common.features import vgg_files

PAGE = (ROOT / "docs/errors.zh-CN.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)
OWN = ["--name", "mistake", "--weights", "release"]
TRAIN = ["--demo", "--name", "mistake", "train.validate_every=1", "train.steps=1"]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

# the beginning of a message: the module whose main says it, and its arguments; @ is the folder of the made files
MISTAKES = {
    "data set not found": ("cases.msrnet.train", ["--name", "mistake", "data.root=@/nothing"]),
    "… has … pictures": ("cases.msrnet.train", ["--name", "mistake", "data.root=@/unpaired"]),
    "no such file or folder": ("cases.msrnet.test", [*OWN, "--input", "@/missing.jpg"]),
    "no pictures": ("cases.msrnet.test", [*OWN, "--input", "@/empty"]),
    "not one of 1": ("cases.msrnet.test", [*OWN, "--input", "@/text.jpg", "--output", "@/bright.png"]),
    "LOL cannot": ("common.data.__main__", ["get", "LOL"]),
    "unknown setting": ("cases.msrnet.train", ["--name", "mistake", "train.batchsize=8"]),
    "'train.lr' cannot be": ("cases.msrnet.train", ["--name", "mistake", "train.lr=fast"]),
    "unknown preset": ("cases.msrnet.train", ["--name", "mistake", "preset=papr"]),
    "there is no case": ("common.pack", ["msrnett"]),
    "the run … began": ("cases.msrnet.train", [*TRAIN[:-1], "train.steps=2"]),
    "--weights …": ("cases.msrnet.test", ["--name", "mistake", "--weights", "@/missing.pt"]),
    "there is no weights file": ("cases.msrnet.test", ["--name", "untrained", "--weights", "best"]),
    "… is not a readable weights file: a web page": ("cases.msrnet.test", ["--weights", "@/page.pt"]),
    "… is not a readable weights file: a Git LFS": ("cases.msrnet.test", ["--weights", "@/pointer.pt"]),
    "… has weights of": ("cases.kind.test", ["--weights", f"{ROOT}/checkpoints/msrnet/release.pt"]),
    "--device cuda": ("cases.msrnet.test", [*OWN, "--device", "cuda"]),
    "vgg19 is not on this machine": ("cases.vgg19_style.test", [
        "network=vgg19", "--input", "@/photo.png", "--style", "@/other.png", "--output", "@/painted.png"]),
    "--output: would overwrite": ("cases.msrnet.test", [*OWN, "--input", "@/photo.png", "--output", "@/photo.png"]),
    "--output … is one file": ("cases.msrnet.test", [
        *OWN, "--input", "@/photo.png", "@/other.png", "--output", "@/bright.png"]),
    "no two photographs overlap": ("cases.view_free_stitch.test", [
        *OWN, "--input", "@/photo.png", "@/other.png", "--output", "@/panorama/", "test.method=sift"]),
    "the reference cannot be used": ("common.compare.__main__", ["@/nothing", "@/nothing"]),
    "the run … of … has no test results": ("common.pack", ["msrnet", "--name", "untested"]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with what the mistakes need."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("empty", "unpaired/our485/low", "unpaired/our485/high", "cases/msrnet",
                 "results/msrnet/untested/train"):
        (folder / name).mkdir(parents=True)
    for seed, name in enumerate(("photo.png", "other.png", "unpaired/our485/low/1.png")):
        noise = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), np.uint8)
        Image.fromarray(noise).save(folder / name)
    for name in ("SHA256SUMS", "msrnet/release.pt", "view_free_stitch/release.pt"):
        (folder / "checkpoints" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "checkpoints" / name, folder / "checkpoints" / name)
    for name, text in {"text.jpg": "no picture", "page.pt": "<!DOCTYPE html><html></html>", "pointer.pt": LFS,
                       "cases/msrnet/model.py": "", "results/msrnet/untested/train/config.yaml": ""}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(made, monkeypatch):
    """Runs go into that folder, and there is no way to the network."""
    def refuse(address, path):
        raise UserError("no network")
    monkeypatch.setattr(paths, "CHECKPOINTS", made / "checkpoints")
    monkeypatch.setattr(paths, "RESULTS", made / "results")
    monkeypatch.setattr(vgg_files, "download", refuse)
    monkeypatch.setenv("TORCH_HOME", str(made))


def test_each_message_of_the_page_is_tried():
    for quoted in QUOTED:
        assert sum(quoted.startswith(begin) for begin in MISTAKES) == 1, quoted
    assert len(QUOTED) == len(MISTAKES) >= 20


@pytest.mark.parametrize("quoted", QUOTED)
def test_the_code_says_what_the_page_quotes(quoted, made, monkeypatch):
    begin = next(begin for begin in MISTAKES if quoted.startswith(begin))
    if begin == "--device cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    if begin == "the run … began":
        importlib.import_module("cases.msrnet.train").main(TRAIN)
    module, arguments = MISTAKES[begin]
    if module == "common.pack":
        monkeypatch.setattr(paths, "ROOT", made)                # it looks for runs and cases there
    with pytest.raises((UserError, Negative)) as problem:
        importlib.import_module(module).main([word.replace("@", str(made)) for word in arguments])
    expected = ".*".join(map(re.escape, quoted.split("…")))
    assert re.search(expected, str(problem.value), re.DOTALL), str(problem.value)
