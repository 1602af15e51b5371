"""Submissions are guilty until read: nothing leads out, grows or is followed, and each refusal has its reason."""
import json
import os
import shutil
import string
import zipfile

import pytest
from handed_in import copy, enter, make_root, make_run, pack
from hypothesis import given, settings
from hypothesis import strategies as st

from common.base.errors import UserError
from common.base.yaml_text import load_yaml
from common.compare import contents
from common.compare.contents import Unreadable
from common.compare.judge import judge
from common.compare.submission import Submission

CSV_HEAD = "item,row,status,reason,image,reference,psnr\n"
VERDICTS = ("identical", "same", "better", "different", "unfinished", "tampered")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a run")
    return make_run(folder / "run", make_root(folder / "data"))


def refused(path, reason):
    with pytest.raises(Unreadable, match=reason):
        given = Submission(path)
        judge(given, given)


# ---- honest ones, however they are packed ----

@pytest.mark.parametrize("prefix", ["", "run/", "students/42/run/"])
def test_a_zip_reads_as_its_folder(run, tmp_path, prefix):
    folder, packed = Submission(run), Submission(pack(run, tmp_path / "run.zip", prefix))
    assert packed.files == folder.files and packed.digests == folder.digests
    assert packed.sets == folder.sets and packed.settings == folder.settings and packed.log == folder.log
    assert set(folder.settings) == {"train", "test/val"} and folder.settings["train"] == {"seed": 0, "train.steps": 3}


def test_a_folder_with_the_zip_in_it(run, tmp_path):
    (tmp_path / "student").mkdir()
    pack(run, tmp_path / "student" / "run.zip")
    (tmp_path / "student" / "readme.txt").write_text("my report")
    assert Submission(tmp_path / "student").digests == Submission(run).digests


def test_what_systems_leave_does_not_count(run, tmp_path):
    with zipfile.ZipFile(pack(run, tmp_path / "mac.zip"), "a") as archive:
        for name in ("__MACOSX/run/._manifest.json", "run/.DS_Store", "run/test/val/Thumbs.db"):
            archive.writestr(name, b"\0")
    assert Submission(tmp_path / "mac.zip").files == Submission(run).files


@pytest.mark.parametrize(("encoding", "flag"), [("utf-8", 0x800), ("utf-8", 0), ("gbk", 0)])
def test_names_in_other_encodings(run, tmp_path, encoding, flag, monkeypatch):
    """A Chinese file name as new packers, careless ones and Windows' own write it."""
    path = pack(run, tmp_path / "names.zip")
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda info: (info.filename.encode(encoding), flag))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("run/测试结果.png", b"\0")
    monkeypatch.undo()
    assert "测试结果.png" in Submission(path).files


# ---- hostile archives ----

@pytest.mark.parametrize(("name", "reason"), [
    ("../evil.txt", "leads out"), ("run/../../evil.txt", "leads out"), ("/etc/evil", "leads out"),
    ("..\\evil.txt", "leads out"), ("C:/evil.txt", "leads out"), ("C:\\evil.txt", "leads out"),
    ("a/" * 20 + "deep.txt", "folders deep")])
def test_names_that_lead_out(run, tmp_path, name, reason):
    path = pack(run, tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = set(tmp_path.rglob("*"))
    refused(path, reason)
    assert set(tmp_path.rglob("*")) == before and not (tmp_path.parent / "evil.txt").exists()


def test_a_link_in_a_zip(run, tmp_path):
    path = pack(run, tmp_path / "link.zip")
    info = zipfile.ZipInfo("run/test/passwd")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(path, "a link")


def test_a_bomb(run, tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "FREE_OF_RATIO", 1 << 20)
    path = pack(run, tmp_path / "bomb.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/test/val/images/zeros.png", bytes(64 << 20))
    refused(path, "its files would take")


def test_a_bomb_that_lies_about_its_size(run, tmp_path):
    """The header says 10 bytes, the stream unpacks to 50 MB: never more than the header says is made."""
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/manifest.json", bytes(50 << 20))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(signature)
        data[place + offset:place + offset + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "manifest.json")


def test_ten_thousand_files(run, tmp_path):
    path = pack(run, tmp_path / "many.zip")
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(10_000):
            archive.writestr(f"run/test/val/images/{number}.png", b"")
    refused(path, "more than 8000 files")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_bound(run, tmp_path, method):
    path = pack(run, tmp_path / "odd.zip")
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("run/test/val/images/zeros.png", bytes(1000))
    refused(path, "another method")


def test_folders_as_windows_packs_them(run, tmp_path):
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(run.rglob("*")):
            name = "run\\" + str(file.relative_to(run)).replace("/", "\\")
            if file.is_dir():
                archive.writestr(zipfile.ZipInfo(name + "\\"), b"")
            else:
                archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
    assert Submission(path).files == Submission(run).files


def test_the_same_name_twice(run, tmp_path):
    path = pack(run, tmp_path / "twice.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("run/manifest.json", b"{}")
    refused(path, "twice")


def test_no_archive(run, tmp_path):
    whole = pack(run, tmp_path / "whole.zip").read_bytes()
    for data, reason in [(b"", "an empty file"), (b"<html>login</html>", "a web page"),
                         (b"Rar!\x1a\x07\x01\x00" + bytes(9), "a RAR archive; the unpacked folder or a zip"),
                         (whole[:len(whole) // 2], "damaged or incomplete"),
                         (b"PK\x03\x04" + bytes(100), "damaged or incomplete")]:
        (tmp_path / "wrong.zip").write_bytes(data)
        refused(tmp_path / "wrong.zip", reason)
    refused(tmp_path / "nothing", "no such folder")


def test_a_flipped_byte_inside_the_zip(run, tmp_path):
    """A member whose checksum fails cannot be read: that accuses nobody, and nothing stops."""
    path = pack(run, tmp_path / "flip.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("run/test/val/images/gt_free/1.png")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 255
    path.write_bytes(data)
    judgement = judge(Submission(run), Submission(path))
    assert judgement.verdict == "different"
    assert any("1.png" in reason and "broken upload" in reason for reason in judgement.reasons)


# ---- hostile folders ----

@pytest.mark.parametrize("place", ["linked.txt", "test/val/images/gt_free/linked.png", "test/linked"])
def test_a_symbolic_link(run, tmp_path, place):
    handed = copy(run, "linking")
    os.symlink(tmp_path if place == "test/linked" else "/etc/passwd", handed / place)
    refused(handed, "is a link")


def test_the_submission_itself_is_a_link(run, tmp_path):
    os.symlink(run, tmp_path / "run")
    refused(tmp_path / "run", "it is a link")


def test_a_pipe_does_not_hang(run):
    handed = copy(run, "piping")
    os.mkfifo(handed / "test" / "pipe")
    refused(handed, "a pipe")


def test_no_result_and_several(run, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no result")
    for name in ("a", "b"):
        shutil.copytree(run, tmp_path / "two" / name)
    refused(tmp_path / "two", r"holds 2 runs \(a; b\)")
    shutil.copytree(run, tmp_path / "outer", dirs_exist_ok=True)
    shutil.copytree(run, tmp_path / "outer" / "older")                    # the run is the one on top
    assert Submission(tmp_path / "outer").sets == Submission(run).sets


# ---- hostile contents ----

@pytest.mark.parametrize(("name", "content", "reason"), [
    ("test/val/metrics.json", '{"gt_free": {"psnr": NaN, "count": 3}}', "NaN"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": 1e999, "count": 3}}', "no finite number"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": true, "count": 3}}', "no finite number"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": ' + "9" * 5000 + ', "count": 3}}', "metrics.json"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": "20", "count": 3}}', "no finite number"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": 20}}', "count"),
    ("test/val/metrics.json", '{"gt_free": {"count": 3, "by": {"light": {"a": 3}}}}', "count"),
    ("test/val/metrics.json", '{"gt_free": {"count": 3, "by": {"light": 3}}}', "no classes"),
    ("test/val/metrics.json", "[" * 100_000, "nested too deeply"),
    ("test/val/metrics.json", '{"a":' * 100_000, "nested too deeply"),
    ("test/val/metrics.json", "[1, 2]", "no JSON object"),
    ("test/val/metrics.json", "\xff\xfe{", "cannot be read as JSON"),
    ("manifest.json", '{"files": [{"path": 3, "size": 1, "sha256": ""}], "weights": {}}', "no texts"),
    ("manifest.json", '{"files": [{"path": {}, "size": 1, "sha256": ""}], "weights": {}}', "does not list"),
    ("manifest.json", '{"files": 3}', "does not list"),
    ("manifest.json", '{"files": [], "weights": {"train": 7}}', "no texts"),
    ("test/val/items.csv", "item,row\n1,2\n", "columns"),
    ("test/val/items.csv", "item,row,status,reason,image,reference,psnr\n1,gt_free\n", "columns"),
    ("test/val/items.csv", "item,row,status,reason,image,reference,psnr\n1,gt_free,ok,,,,x\n", "no number"),
    ("test/val/items.csv", "item,row,status,reason,image,reference,psnr\n1,gt_free,ok,,,,1_0\n", "no number"),
    ("test/val/items.csv", "item,row,status,reason,image,reference,psnr\n1,gt_free,ok,,,, 30\n", "no number"),
    ("test/val/items.csv", "item,row,status,reason,image,reference,psnr\n" + "1,gt_free,ok,,,,1\n" * 2, "two lines"),
    ("test/val/items.csv", "item,row,status,reason,image,reference\n" + "x" * 200_000 + ",gt_free,ok,,,\n",
     "cannot be read as CSV"),
    ("train/log.jsonl", '{"step": 1}\n[\n', "log.jsonl"),
    ("train/config.yaml", "a: &x [1]\nb: *x\n", "aliases"),
    ("train/config.yaml", "a: " + "[" * 3000, "config.yaml"),
    ("train/config.yaml", "a: !!python/object/apply:os.system [echo]\n", "tags"),
    ("train/config.yaml", "x: " + "y" * 300_000, "too large"),
    ("train/config.yaml", "k" * 300 + ": 1\n", "longer ones"),
    ("train/config.yaml", "{" + ", ".join(f"k{number}: 1" for number in range(600)) + "}", "more than 500 keys"),
    ("test/val/metrics.json", json.dumps({f"row{number}": {"count": 0} for number in range(600)}),
     "more than 500 keys"),
    ("test/val/items.csv", CSV_HEAD.strip() + "".join(f",m{number}" for number in range(600)) + "\n", "longer names"),
    ("test/val/items.csv", CSV_HEAD + "a\n" * 100_000, "in every line"),
    ("test/val/items.csv", CSV_HEAD + "".join(f"{number},r,ok,,,,1\n" for number in range(60_000)), "larger"),
    ("test/val/items.csv", CSV_HEAD + "x" * 300 + ",r,ok,,,,1\n", "longer names"),
    ("test/val/metrics.json", " " * (9 << 20), "too large")])
def test_contents_that_are_refused(run, name, content, reason):
    handed = copy(run, "content")
    (handed / name).write_text(content, encoding="latin-1")
    if name != "manifest.json":
        enter(handed, name)
    refused(handed, reason)


keys = st.text(string.ascii_lowercase + ".", max_size=6)
anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
                        max_leaves=12)
names = st.sampled_from(["gt_free", "psnr", "count", "by", "left_out", "light", "a"])
metrics_like = st.recursive(st.none() | st.integers(-3, 30) | st.floats() | st.text(max_size=3),
                            lambda inner: st.dictionaries(names, inner, max_size=5), max_leaves=20)


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(metrics_like, anything))
def test_any_metrics_json_is_judged_or_refused(run, content):
    """Whatever JSON stands there: a judgement or Unreadable, nothing else."""
    judged_with(run, "test/val/metrics.json", json.dumps(content).encode())


@settings(max_examples=100, deadline=None)
@given(content=anything)
def test_any_manifest_is_judged_or_refused(run, content):
    judged_with(run, "manifest.json", json.dumps(content).encode())


any_bytes = st.one_of(st.binary(max_size=200),
                      st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
                      st.text('item,row\n"\r\0ok', max_size=80).map(lambda text: (CSV_HEAD + text).encode()))


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(["test/val/items.csv", "train/log.jsonl", "train/config.yaml", "manifest.json"]),
       content=any_bytes)
def test_any_bytes_are_judged_or_refused(run, name, content):
    judged_with(run, name, content)


def judged_with(run, name, content):
    """Judge the run with other contents of one file."""
    reference, given = Submission(run), Submission(run)
    read = given.read
    given.read = lambda asked, *limit: content if asked == name else read(asked, *limit)
    given.digests = reference.digests | {name: "0"}
    try:
        assert judge(reference, given).verdict in VERDICTS
    except Unreadable as problem:
        assert str(problem)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_zip_is_judged_or_refused(run, tmp_path_factory, data):
    """Bytes of the archive itself replaced, wherever."""
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    content = bytearray(pack(run, path).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(max(0, len(content) - 400), len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert judge(Submission(run), Submission(path)).verdict in VERDICTS
    except Unreadable as problem:
        assert str(problem)


def test_load_yaml_is_the_safe_one():
    with pytest.raises(UserError):
        load_yaml("a: !!python/name:os.system\n")
