"""Weights files: whole or not at all, every defect named, release files checked, no pickle executed."""
import os
import pickle
import zipfile

import pytest
import torch
from tolerances import near
from torch import nn

from common.base import paths
from common.base.errors import UserError
from common.experiment import checkpoints


class Small(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.layer = nn.Linear(width, width)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path)
    return tmp_path


def content(model, **more):
    return {"case": "msrnet", "model": {"width": model.layer.in_features}, "weights": model.state_dict(),
            "settings": {}} | more


def test_round_trip_and_digest(folder):
    model = Small()
    checkpoints.save(folder / "a.pt", content(model))
    loaded = checkpoints.load(folder / "a.pt")
    assert checkpoints.digest(loaded["weights"]) == checkpoints.digest(model.state_dict())
    other = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other["layer.bias"][0] += 1e-6
    digests = {checkpoints.digest(state) for state in (model.state_dict(), other, {"x": torch.zeros(2)},
                                                       {"x": torch.zeros(2, 1)},
                                                       {"x": torch.zeros(2).half()}, {"y": torch.zeros(2)})}
    assert len(digests) == 6, "names, types, shapes and values all count"


def test_same_content_same_bytes_whatever_the_file_is_called(folder):
    model = Small()
    checkpoints.save(folder / "a.pt", content(model))
    checkpoints.save(folder / "b" / "c.pt", content(model))
    assert (folder / "a.pt").read_bytes() == (folder / "b" / "c.pt").read_bytes()


def test_previous_is_kept(folder):
    for number in (1, 2):
        checkpoints.save(folder / "last.pt", content(Small(), step=number), keep_previous=True)
    assert checkpoints.load(folder / "previous.pt")["step"] == 1 and checkpoints.load(folder / "last.pt")["step"] == 2


class Trap:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def other_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("hello.txt", "hello")


@pytest.mark.parametrize(("make", "expected"), [
    (lambda path: path.write_bytes(b""), "empty"),
    (lambda path: path.write_text("<!DOCTYPE html><html></html>"), "web page"),
    (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "LFS"),
    (lambda path: path.write_bytes(b"text, not weights"), "not a readable weights file"),
    (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1"), "picture"),
    (lambda path: path.write_bytes(b"c\xff\0\1" * 99), "not that of a torch file"),
    (lambda path: path.write_bytes(pickle.dumps(Trap())), "pickle"),
    (lambda path: torch.save({"case": Trap()}, path), "pickle"),
    (lambda path: torch.save({"x": 1}, path), "not a weights file of this project"),
    (lambda path: path.write_bytes(path.with_name("whole.pt").read_bytes()[:700]), "cut short"),
    (other_zip, "zip"),
    (lambda path: None, "no weights file")])
def test_every_defect_is_named(folder, monkeypatch, make, expected):
    monkeypatch.chdir(folder)
    checkpoints.save(folder / "whole.pt", content(Small()))
    make(folder / "bad.pt")
    with pytest.raises(UserError) as problem:
        checkpoints.load(folder / "bad.pt")
    assert expected in str(problem.value) and "bad.pt" in str(problem.value) and "\n" not in str(problem.value)
    assert not (folder / "executed").exists()


def test_choice_and_its_order(folder):
    for name in ("msrnet/run/best", "msrnet/run/last", "msrnet/release", "msrnet/release-denoise"):
        checkpoints.save(folder / f"{name}.pt", content(Small()))
    asked = [("run", None), ("run", "last"), ("run", "release-denoise"), ("other", None),
             ("run", str(folder / "msrnet/release.pt"))]
    assert [checkpoints.find("msrnet", *words).path.relative_to(folder).as_posix() for words in asked] == [
        "msrnet/run/best.pt", "msrnet/run/last.pt", "msrnet/release-denoise.pt", "msrnet/release.pt",
        "msrnet/release.pt"]
    with pytest.raises(UserError, match="release-denoise"):
        checkpoints.find("msrnet", "run", "releas")
    (folder / "msrnet/release.pt").unlink()
    with pytest.raises(UserError, match="train first"):
        checkpoints.find("msrnet", "other")


def test_one_flipped_byte_in_a_release_file_is_found(folder):
    checkpoints.save(folder / "msrnet/run/best.pt", content(Small(50)))
    path = checkpoints.release("msrnet", "run", "release")
    checkpoints.find("msrnet", "run", "release")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="SHA256SUMS"):
        checkpoints.find("msrnet", "run", "release")


def test_release_in_half_precision(folder):
    model = Small(50)
    checkpoints.save(folder / "msrnet/run/best.pt", content(model))
    checkpoints.release("msrnet", "run", "release")
    path = checkpoints.release("msrnet", "run", "release-half", half=True)
    chosen = checkpoints.find("msrnet", "run", "release-half")
    assert chosen.state["layer.weight"].dtype == torch.float16
    assert path.stat().st_size < (folder / "msrnet/release.pt").stat().st_size
    loaded = checkpoints.build(Small, chosen)
    assert loaded.layer.weight.dtype == torch.float32 and torch.allclose(loaded.layer.weight, model.layer.weight,
                                                                         atol=1e-3)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 2


def test_release_in_8_bits_per_weight(folder):
    model = Small(200)
    with torch.no_grad():
        model.layer.weight[0] = 0                                            # a dead output channel
        model.layer.weight[1] *= 1000
    checkpoints.save(folder / "msrnet/run/best.pt", content(model))
    path = checkpoints.release("msrnet", "run", "release", eight="")
    assert path.stat().st_size < 200 * 200 + 6000                            # a byte each, scales, bias and names
    loaded = checkpoints.build(Small, checkpoints.find("msrnet", "run", "release")).layer
    half_a_level = model.layer.weight.abs().amax(dim=1, keepdim=True) / 127 / 2
    assert loaded.weight.dtype == torch.float32
    assert ((loaded.weight - model.layer.weight).abs() <= 1.001 * half_a_level).all()
    assert torch.allclose(loaded.bias, model.layer.bias, atol=1e-3)


def test_a_part_of_a_network_in_8_bits(folder):
    model = nn.ModuleDict({"first": nn.Linear(20, 20), "second": nn.Linear(20, 20)})
    checkpoints.save(folder / "msrnet/run/best.pt", {"case": "msrnet", "model": {}, "weights": model.state_dict(),
                                                     "settings": {}})
    checkpoints.main(["release", "msrnet", "run", "--eight", "second"])
    loaded = checkpoints.find("msrnet", "run", "release").state
    assert torch.equal(loaded["first.weight"], model["first"].weight.half())
    assert loaded["second.weight"].dtype == torch.float32
    with pytest.raises(UserError, match="third: no kernel of msrnet.*first, second"):
        checkpoints.release("msrnet", "run", "release", eight="third")


@pytest.mark.parametrize(("scales", "said"), [(3, "scales is 3"), ({"nothing": torch.ones(2)}, "no levels of 8 bits"),
                                              ({"levels": torch.ones(3)}, r"\(2, 2\) levels and \(3,\) scales"),
                                              ({"levels": torch.ones(2) * torch.nan}, "holds NaN"),
                                              ({"levels": torch.ones(2).double()}, "no levels of 8 bits")])
def test_scales_that_do_not_fit_are_named(folder, scales, said):
    weights = {"levels": torch.ones(2, 2, dtype=torch.int8)}
    checkpoints.save(folder / "a.pt", {"case": "msrnet", "model": {}, "weights": weights, "scales": scales})
    with pytest.raises(UserError, match=said):
        checkpoints.load(folder / "a.pt")


def test_an_average_lies_between_two_files(folder):
    first, second = Small(), Small()
    for name, model in (("a", first), ("b", second)):
        checkpoints.save(folder / f"{name}.pt", content(model))
    checkpoints.main(["average", "msrnet", "between", str(folder / "a.pt"), str(folder / "b.pt"), "--share", "0.75"])
    found = checkpoints.find("msrnet", "between", "best").state["layer.weight"]
    assert near(found, first.layer.weight / 4 + 3 * second.layer.weight / 4, "formula")
    checkpoints.save(folder / "c.pt", content(Small(3)))
    with pytest.raises(UserError, match="not the same network"):
        checkpoints.average("msrnet", "between", str(folder / "a.pt"), str(folder / "c.pt"), 0.5)


def test_another_case_or_architecture_is_refused(folder):
    checkpoints.save(folder / "msrnet/release.pt", content(Small()))
    with pytest.raises(UserError, match="of msrnet, not of kind"):
        checkpoints.find("kind", "run", str(folder / "msrnet/release.pt"))
    chosen = checkpoints.find("msrnet", "run", "release")
    with pytest.raises(UserError, match="width=3.*width=2"):
        checkpoints.build(Small, chosen, {"model.width": 3})
    checkpoints.build(Small, chosen, {"model.width": 2, "train.lr": 1})
    with pytest.raises(UserError, match="does not fit"):
        checkpoints.build(Small, chosen._replace(model={"width": 3}))
    with pytest.raises(UserError, match="does not fit"):
        checkpoints.build(Small, chosen._replace(model={"depth": 3}))
