"""common/base/files.py: a file is old or new, never half; foreign files are known; no archive leaves its folder."""
import hashlib
import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from common.base import files
from common.base.errors import UserError
from common.base.files import impostor, reason, remove_parts, sha256, unpack, write_whole

CONTENT = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 40, "deep/ä 图.txt": b"three", "empty.txt": b""}


def tree(folder):
    """What lies below folder: {path: content}, hidden files included."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


# --- whole writes

def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "fïle"
    for data in (b"first and longer", b"second", b""):
        write_whole(path, data)
        assert tree(tmp_path) == {"new/folder/fïle": data}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_written_files_have_ordinary_rights(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("accident", [KeyboardInterrupt, MemoryError])
def test_an_exception_inside_a_write_leaves_the_old_content_and_no_part(tmp_path, monkeypatch, accident):
    write_whole(tmp_path / "file", b"old")

    def fail(_):
        assert len(tree(tmp_path)) == 2, "the new content must not be in the old one's place yet"
        raise accident
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(accident):
        write_whole(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_a_full_disk_is_the_users_to_mend(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")

    def full(_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="cannot write .No space left on device.: .*file: .* was expected: "):
        write_whole(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_a_file_where_a_folder_should_be(tmp_path):
    write_whole(tmp_path / "file", b"old")
    with pytest.raises(UserError, match="cannot write"):
        write_whole(tmp_path / "file" / "below", b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_killed_inside_a_write(tmp_path):
    """The process dies with half of the new content on disk: the old one stays, the part goes at the next start."""
    write_whole(tmp_path / "file", b"old")
    program = ("import os, sys; from common.base.files import write_whole; os.fsync = lambda _: os._exit(9); "
               "write_whole(sys.argv[1], b'new')")
    assert subprocess.run([sys.executable, "-c", program, tmp_path / "file"], check=False).returncode == 9
    left = tree(tmp_path)
    assert len(left) == 2 and left["file"] == b"old"
    remove_parts(tmp_path)
    assert tree(tmp_path) == {"file": b"old"}


def test_a_reader_sees_whole_contents_only(tmp_path):
    """What stands there at any moment, which is what a kill at that moment would leave."""
    path, size = tmp_path / "file", 1_000_000
    write_whole(path, b"a" * size)

    def write():
        for letter in b"bcdefghij" * 5:
            write_whole(path, bytes([letter]) * size)
    writer, seen = threading.Thread(target=write), set()
    writer.start()
    while writer.is_alive():
        content = path.read_bytes()
        assert len(content) == size and content.count(content[:1]) == size
        seen.add(content[:1])
    writer.join()
    assert len(seen) > 3


def test_remove_parts_takes_parts_only(tmp_path):
    keep = {".hidden": b"", "file": b"", ".notes.part": b"", "file.123.part": b"", "below/.x.12": b""}
    for name, data in (keep | {".file.123.part": b"", "below/.x y.7.part": b""}).items():
        write_whole(tmp_path / name, data)
    write_whole(tmp_path / ".images.99.part" / "inside", b"")
    remove_parts(tmp_path)
    assert tree(tmp_path) == keep and not (tmp_path / ".images.99.part").exists()
    remove_parts(tmp_path / "missing")


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    data = os.urandom(3_000_001)
    (tmp_path / "long").write_bytes(data)
    assert sha256(tmp_path / "long") == hashlib.sha256(data).hexdigest()


# --- foreign files

@pytest.mark.parametrize("head, what, remedy", [
    (b"", "an empty file", "download it again"),
    (b"\0" * 512, "nothing but zero bytes", "download it again"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "a Git LFS pointer", "git lfs pull"),
    (b"<!DOCTYPE html><html><head>", "a web page", "browser"),
    (b"\xef\xbb\xbf\n  <HTML lang=en>", "a web page", "browser"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied", "a web page", "browser"),
    (b"shopping list:\n- eggs\n", "a text file", "give the right file"),
    ("图片在这里".encode() * 30, "a text file", "give the right file"),
    (("图" * 200).encode()[:512], "a text file", "give the right file"),        # cut inside a character
])
def test_impostors_are_named(head, what, remedy):
    said = impostor(head)
    assert said[0].startswith(what) and remedy in said[1]


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
                                  b"PK\x03\x04\x14\0", b"\xff\xd8\xff\xe0\0\x10JFIF", b"BM\x36\0\0\0",
                                  bytes(range(256))])
def test_binary_files_are_no_impostors(head):
    assert impostor(head) is None


@pytest.mark.parametrize("error, line", [(ValueError("one"), "one"), (ValueError("one:\n- two"), "one"),
                                         (EOFError(), "EOFError")])
def test_reasons_are_one_line(error, line):
    assert reason(error) == line


# --- archives

def packed(path, content):
    """An archive of the kind that path's suffix says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:" + {".tar": "", ".gz": "gz", ".bz2": "bz2", ".xz": "xz"}[path.suffix]) as archive:
            for name, data in content.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def refused(archive, folder, match, **limits):
    """Unpacking ends in a UserError of one line, with nothing left of what it had begun."""
    before = tree(archive.parent)
    with pytest.raises(UserError, match=match) as error:
        unpack(archive, folder, **limits)
    assert str(archive) in str(error.value) and "\n" not in str(error.value)
    assert not folder.exists() and tree(archive.parent) == before
    assert not list(archive.parent.glob(".*.part"))


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
def test_unpack_gives_back_what_was_packed(tmp_path, name):
    unpack(packed(tmp_path / name, CONTENT), tmp_path / "out" / "here")
    assert tree(tmp_path / "out") == {f"here/{path}": data for path, data in CONTENT.items()}


def test_unpack_folders_and_odd_but_harmless_names(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in (".", "./empty", "./full"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("./full/..file"), io.BytesIO())
    unpack(tmp_path / "x.tar", tmp_path / "tar")
    assert tree(tmp_path / "tar") == {"full/..file": b""} and (tmp_path / "tar" / "empty").is_dir()
    unpack(packed(tmp_path / "windows.zip", {"low\\1.png": b"1", "low\\2.png": b"2"}), tmp_path / "zip")
    assert tree(tmp_path / "zip") == {"low/1.png": b"1", "low/2.png": b"2"}


def test_unpack_into_an_empty_folder_only(tmp_path):
    archive = packed(tmp_path / "x.zip", CONTENT)
    (tmp_path / "out").mkdir()
    unpack(archive, tmp_path / "out")
    with pytest.raises(UserError, match="will not unpack over what is there: .*out: a new or empty folder was "
                                        "expected: move it away"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "\\evil", "C:\\evil",
                                   "./C:/evil", "//host/evil", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path, suffix, name):
    refused(packed(tmp_path / f"x{suffix}", {"good": b"1", name: b"2"}), tmp_path / "out", "leads out of the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_tar_files_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("door")
        member.type, member.linkname = kind, "/etc"
        archive.addfile(member)
    refused(tmp_path / "x.tar", tmp_path / "out", "'door' is a link or a device")


def test_links_in_zip_files_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("door")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    refused(tmp_path / "x.zip", tmp_path / "out", "'door' is a link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_given_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("same", "1")
        archive.writestr("./same", "2")
    refused(tmp_path / "x.zip", tmp_path / "out", "'./same' is there twice")


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_bombs_are_refused(tmp_path, name):
    archive = packed(tmp_path / name, {str(place): bytes(10_000_000) for place in range(4)})
    refused(archive, tmp_path / "out", "grow beyond")


def test_limits_of_size_and_number(tmp_path, monkeypatch):
    archive = packed(tmp_path / "x.zip", CONTENT)
    size = sum(map(len, CONTENT.values()))
    refused(archive, tmp_path / "out", "grow beyond", max_bytes=size - 1)
    monkeypatch.setattr(files, "MAX_FILES", len(CONTENT) - 1)
    refused(archive, tmp_path / "out", "grow beyond")
    monkeypatch.setattr(files, "MAX_FILES", len(CONTENT))
    unpack(archive, tmp_path / "out", max_bytes=size)
    assert tree(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_archives(tmp_path, name, share):
    noise = {str(place): random.Random(place).randbytes(20_000) for place in range(5)}
    archive = packed(tmp_path / name, noise)
    end = archive.stat().st_size - (10_240 if name == "x.tar" else 0)           # a tar ends in zeros that nobody misses
    archive.write_bytes(archive.read_bytes()[:int(end * share)])
    refused(archive, tmp_path / "out", "cannot unpack .*: a complete zip or tar file without a password was expected: "
                                       "download it again")


def test_a_zip_file_that_lies_about_a_size(tmp_path):
    archive = packed(tmp_path / "x.zip", {"name": b"0123456789" * 100})
    archive.write_bytes(archive.read_bytes().replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    refused(archive, tmp_path / "out", "cannot unpack .*CRC")


def test_a_zip_file_with_a_password(tmp_path):
    archive = packed(tmp_path / "x.zip", {"name": b"secret"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag in the member's header, and in the directory at the end
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    refused(archive, tmp_path / "out", "without a password")


@pytest.mark.parametrize("data, match", [
    (b"", "an empty file"), (b"<!doctype html>", "a web page"), (b"version https://git-lfs", "Git LFS"),
    (b"not an archive", "a text file"), (b"\x89PNG\r\n\x1a\n" * 99, "cannot unpack")])
def test_what_is_no_archive(tmp_path, data, match):
    (tmp_path / "x.zip").write_bytes(data)
    refused(tmp_path / "x.zip", tmp_path / "out", match)


def test_no_archive_at_all(tmp_path):
    with pytest.raises(UserError, match="no such file: .*x.zip: a zip or tar file was expected: check the path"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
