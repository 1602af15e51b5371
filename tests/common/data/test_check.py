"""Checking and fetching data sets: what is missing or broken is named, and a download (from here) is whole or not."""
import http.server
import io
import os
import re
import shutil
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from common.base import paths
from common.base.errors import Negative, UserError, start
from common.data import __main__, check, download, samples
from common.data.download import Archive


def encoded(width=8, height=6, kind="PNG"):
    """The bytes of a small picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def put(folder, names, data):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(data)


def look(name, root, capsys, **options):
    """(exit status, what was printed) of a check."""
    status = start(lambda argv: check.check(name, root, **options), [])
    streams = capsys.readouterr()
    assert len(streams.err.splitlines()) == (1 if status else 0)
    return status, streams.out


@pytest.fixture(scope="module")
def whole_lol(tmp_path_factory):
    """500 pairs of the right size; all of one picture, linked rather than copied."""
    root, data = tmp_path_factory.mktemp("LOL"), encoded(600, 400)
    (root / "picture").write_bytes(data)
    for split, count in (("our485", 485), ("eval15", 15)):
        for side in ("low", "high"):
            (root / split / side).mkdir(parents=True)
            for number in range(count):
                (root / split / side / f"{number}.png").hardlink_to(root / "picture")
    return root


@pytest.fixture
def lol(whole_lol):
    """The same, restored after a test that replaces or removes files."""
    yield whole_lol
    for split, count in (("our485", 485), ("eval15", 15)):
        for side in ("low", "high"):
            for number in range(count):
                path = whole_lol / split / side / f"{number}.png"
                if not path.exists() or not path.samefile(whole_lol / "picture"):
                    path.unlink(missing_ok=True)
                    path.hardlink_to(whole_lol / "picture")


def replace(path, data):
    path.unlink()                                           # not through the link
    path.write_bytes(data)


def test_a_complete_set(lol, capsys):
    status, text = look("LOL", lol, capsys)
    assert status == 0 and "our485/low" in text and "485 of 485" in text and "15 of 15" in text
    assert "note" not in text and "problem" not in text and "https://" not in text


def test_missing_and_broken_files_are_named(lol, capsys):
    data = (lol / "picture").read_bytes()
    (lol / "our485" / "high" / "91.png").unlink()
    replace(lol / "our485" / "low" / "3.png", data[:-100])
    replace(lol / "our485" / "low" / "4.png", b"")
    replace(lol / "our485" / "high" / "5.png", b"<!DOCTYPE html><html>not found</html>")
    status, text = look("LOL", lol, capsys)
    assert status == 1
    assert "our485/high: 484 found, 485 expected" in text
    assert re.search(r"1 without a partner of the same name: \S*low\S91\.png", text)
    for name, reason in (("3.png", "it breaks off"), ("4.png", "an empty file"), ("5.png", "a web page")):
        assert re.search(rf"[\\/]{name} \({reason}", text), (name, text)
    # where from, and what it should be
    assert "3 unreadable" in text and "daooshee" in text and "our485/low/2.png" in text


def test_ten_are_named_and_the_rest_counted(lol, capsys):
    for number in range(14):
        replace(lol / "our485" / "low" / f"{number}.png", encoded(599, 400))
    status, text = look("LOL", lol, capsys)
    assert status == 0 and "our485: 14 of another size than 600x400" in text
    assert text.count(".png 599x400") == 10 and "and 4 more" in text


def test_damage_inside_a_file_needs_decoding(lol, capsys):
    data = bytearray((lol / "picture").read_bytes())
    data[len(data) // 2] ^= 255
    replace(lol / "eval15" / "low" / "7.png", bytes(data))
    assert look("LOL", lol, capsys)[0] == 0
    report = check.Report(decode=True)
    report.pictures("eval15", [lol / "eval15" / "low" / f"{number}.png" for number in (6, 7)])
    assert len(report.problems) == 1 and "7.png" in report.problems[0] and "6.png" not in report.problems[0]


def test_the_shared_sets(shared, capsys):
    status, text = look("LOL", shared("data/LOL"), capsys)
    assert status == 0 and "485 of 485" in text and "eval15:" not in text
    assert "our485: all pictures are 144x144, not 600x400" in text
    status, text = look("OTB", shared("data/OTB"), capsys)
    assert status == 0 and "4 of the 98" in text and "723" in text
    for name in ("photos", "style"):
        assert look(name, shared(f"data/{name}"), capsys)[0] == 0


def test_pairs_of_udis(tmp_path, capsys):
    for split, count in (("training", 3), ("testing", 2)):
        for side in ("input1", "input2"):
            put(tmp_path / split / side, [f"{number:06}.jpg" for number in range(count)], encoded(512, 512, "JPEG"))
    (tmp_path / "testing" / "input1" / "000001.jpg").write_bytes(encoded(512, 512, "JPEG")[:-9])
    status, text = look("UDIS-D", tmp_path, capsys)
    assert status == 1 and "000001.jpg (it breaks off)" in text and "another size" not in text
    assert "training/input1: 3 found, 10,440 expected" in text and "testing/input2: 2 found, 1,106 expected" in text
    for side in ("input1", "input2"):
        put(tmp_path / "training" / side, ["000001.png"], encoded(512, 512))
    assert "differ in their suffix alone: 000001.jpg; 000001.png" in look("UDIS-D", tmp_path, capsys)[1]


def sequence(folder, frames, labels, name="groundtruth.txt", images="."):
    put(folder / images, [f"{number + 1:08}.jpg" for number in range(frames)], encoded(kind="JPEG"))
    (folder / name).write_text(labels)


def test_sequences_of_got10k(tmp_path, capsys):
    for split in ("train", "val", "test"):
        sequence(tmp_path / split / "A", 3, "1,2,3,4\n" * (1 if split == "test" else 3))
        (tmp_path / split / "list.txt").write_text("A\n")
    _, text = look("GOT-10k", tmp_path, capsys)
    assert "train/list.txt: 1 found, 9,335 expected" in text and "val sequences: 1 found, 180 expected" in text
    assert "cannot be used" not in text
    sequence(tmp_path / "val" / "B", 2, "1,2,3,4\n" * 3)
    sequence(tmp_path / "val" / "C", 2, "1,2,3,4\nnan,nan,nan,nan\n")
    sequence(tmp_path / "val" / "D", 0, "1,2,3,4\n")
    (tmp_path / "val" / "list.txt").write_text("A\nB\nC\nD\nE\n")
    status, text = look("GOT-10k", tmp_path, capsys)
    assert status == 1 and "val/list.txt: 5 found" in text and "val sequences: 4 found" in text
    assert "val: 2 that cannot be used: B: " in text and "2 frames in" in text and "0 frames in" in text
    assert "note: val: 1 with frames that are left out: C: 1 frames left out, where the target is hidden" in text


def test_sequences_of_otb(tmp_path, capsys):
    for name in check.OTB_NAMES:
        sequence(tmp_path / name, 2, "1\t2\t3\t4\r\n" * 2, "groundtruth_rect.txt", "img")
    (tmp_path / "Human4" / "groundtruth_rect.2.txt").write_text("")               # as its authors ship it
    status, text = look("OTB", tmp_path, capsys)
    assert status == 0 and " 98" in text and "note" not in text
    sequence(tmp_path / "Deer", 4, "1,2,3,4\n" * 2, "groundtruth_rect.txt", "img")
    (tmp_path / "Toy" / "img" / "00000002.jpg").write_bytes(b"text")
    shutil.rmtree(tmp_path / "Woman")
    (tmp_path / "Vase" / "groundtruth_rect.txt").unlink()
    status, text = look("OTB", tmp_path, capsys)
    assert status == 1 and "1 without a file of boxes: Vase" in text and "Toy" in text
    assert "note: 97 of the 98 folders of OTB-100 are there; not: Woman" in text and "Deer: frames 1 to 2 of 4" in text


def test_folders_of_pictures(tmp_path, capsys):
    put(tmp_path / "coco", ["COCO_val2014_000000000042.jpg"], encoded(kind="JPEG"))
    assert "photographs: 1 found, 40,504 expected" in look("coco/val2014", tmp_path / "coco", capsys)[1]
    put(tmp_path / "photos", ["mine.png", "yours.png"], encoded())
    assert look("photos", tmp_path / "photos", capsys)[0] == 0
    put(tmp_path / "style" / "style", ["wave.png"], encoded())
    status, text = look("style", tmp_path / "style", capsys)
    assert status == 1 and "content: 0 found, at least one expected" in text


def test_folders_of_super_resolution(tmp_path, capsys):
    put(tmp_path / "SR" / "T91", [f"{number}.png" for number in range(90)], encoded())
    put(tmp_path / "SR" / "Set5", [f"{number}.png" for number in range(5)], encoded())
    status, text = look("SR", tmp_path / "SR", capsys)
    assert status == 1 and "90 of 91" in text and "5 of 5" in text and "pictures" not in text.split("expected:")[0]
    put(tmp_path / "mine", ["a.png"], encoded())
    assert look("SR", tmp_path / "mine", capsys)[0] == 0


def test_all_that_exist_and_what_is_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "DATASETS", tmp_path)
    monkeypatch.setattr(samples, "FOLDER", tmp_path / "sample")
    status, text = look(None, None, capsys)
    assert status == 0 and all(f"{name}: absent" in text for name in check.SETS)
    put(tmp_path / "photos", ["mine.png"], encoded())
    status, text = look(None, None, capsys)
    assert status == 0 and "photos: absent" not in text and "OTB: absent" in text
    put(tmp_path / "photos", ["other.png"], b"GIF89a")
    assert look(None, None, capsys)[0] == 1
    assert look("LOL", None, capsys)[0] == 1                                       # named, and not there


def test_sample_data_is_known_as_such(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(samples.SAMPLES, "LOL", lambda folder: put(folder / "our485" / "low", ["1.png"], encoded()))
    samples.build("LOL", tmp_path / "LOL")
    capsys.readouterr()
    status, text = look("LOL", tmp_path / "LOL", capsys)
    assert status == 0 and "sample data, as built" in text
    (tmp_path / "LOL" / "our485" / "low" / "1.png").unlink()
    status, text = look("LOL", tmp_path / "LOL", capsys)
    assert status == 1 and "python -m common.data samples LOL" in text


def test_command_line(processes):
    done = processes.run(["-m", "common.data", "check", "LOOL"], paths.ROOT, dict(os.environ))
    assert done.returncode == 2 and re.fullmatch(r"error: unknown data set 'LOOL': .*LOL, GOT-10k.*\n", done.stderr)
    assert start(__main__.main, ["get"]) == 2 and start(__main__.main, ["check", "LOL", "no/such/folder"]) == 1


# ---- get -------------------------------------------------------------------------------------------------------------

@pytest.fixture
def server(monkeypatch):
    """A server on this machine: server.files[path] = bytes.

    ranges: whether it can resume; cut: bytes after which the next answer breaks off; endless: no length said, and no
    end; length: what it says of the length; asked: the Range header of each request.
    """
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            here.asked.append(self.headers.get("Range"))
            if self.path not in here.files:
                return self.send_error(404)
            data, first = here.files[self.path], 0
            if here.ranges and self.headers.get("Range"):
                first = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
                if first >= len(data):
                    return self.send_error(416)
            self.send_response(206 if first else 200)
            if not here.endless:
                self.send_header("Content-Length", here.length or str(len(data) - first))
            self.end_headers()
            stop, here.cut = here.cut or len(data), None
            try:
                self.wfile.write(data[first:stop] * (1000 if here.endless else 1))
            except ConnectionError:                         # the other side has had enough
                pass

        def log_message(self, *arguments):
            pass

    here = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.files, here.ranges, here.cut, here.endless, here.length, here.asked = {}, True, None, False, None, []
    here.url = f"http://127.0.0.1:{here.server_port}"
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=here.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield here
    here.shutdown()
    thread.join()
    here.server_close()


def packed(**files):
    """A zip with the given files, text each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return buffer.getvalue()


DATA = bytes(range(256)) * 20


def test_download_and_resume(server, tmp_path):
    server.files["/data"], server.cut = DATA, 2000
    download.download(f"{server.url}/data", tmp_path / "deep" / "data", len(DATA))
    assert (tmp_path / "deep" / "data").read_bytes() == DATA and server.asked == [None, "bytes=2000-"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data"]
    download.download(f"{server.url}/data", tmp_path / "deep" / "data", len(DATA))
    assert len(server.asked) == 2                                                   # there already: nobody was asked


@pytest.mark.parametrize("length", ["many", "-1", "9" * 30, "1e3"])
def test_a_length_that_is_no_number(server, tmp_path, length):
    """What arrives counts, or it is one message; a length never ends in a traceback."""
    server.files["/data"], server.length = DATA, length
    try:
        download.download(f"{server.url}/data", tmp_path / "data")
    except UserError as problem:
        assert "cannot download" in str(problem)
    else:
        assert (tmp_path / "data").read_bytes() == DATA
    server.length = None
    download.download(f"{server.url}/data", tmp_path / "data", len(DATA))
    assert (tmp_path / "data").read_bytes() == DATA


@pytest.mark.parametrize("ranges", [True, False])
def test_a_later_call_goes_on(server, tmp_path, ranges):
    server.files["/data"], server.ranges = DATA, ranges
    (tmp_path / "data.download").write_bytes(DATA[:3000])
    download.download(f"{server.url}/data", tmp_path / "data", md5=None)
    assert (tmp_path / "data").read_bytes() == DATA and server.asked == ["bytes=3000-"]


def test_a_leftover_longer_than_the_file(server, tmp_path):
    server.files["/data"] = DATA
    (tmp_path / "data.download").write_bytes(DATA + DATA)
    download.download(f"{server.url}/data", tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == DATA


def test_what_is_not_what_was_expected(server, tmp_path):
    server.files["/data"] = DATA
    for options, expected in [({"size": 100}, "5120 bytes instead of 100"), ({"md5": "0" * 32}, "damaged on the way")]:
        with pytest.raises(UserError, match=expected):
            download.download(f"{server.url}/data", tmp_path / "data", **options)
        assert not list(tmp_path.iterdir())
    server.endless = True
    with pytest.raises(UserError, match="larger than announced"):
        download.download(f"{server.url}/data", tmp_path / "data", size=len(DATA) + 100)
    assert not list(tmp_path.iterdir())


def test_servers_that_say_no(server, tmp_path):
    with pytest.raises(UserError, match=r"answered 404.*data set's page"):
        download.download(f"{server.url}/none", tmp_path / "data")
    assert len(server.asked) == 1
    with pytest.raises(UserError, match=r"cannot download \(.*refused.*\).*HTTPS_PROXY"):
        download.download("http://127.0.0.1:9/data", tmp_path / "data")


@pytest.fixture
def offered(server, monkeypatch):
    """The data set `toy` of two archives."""
    archives = tuple(Archive(f"{server.url}/{name}.zip", name, name) for name in ("A", "B"))
    toy = check.DataSet("a toy", "A B", "nowhere", lambda root, report: None, archives)
    monkeypatch.setitem(check.SETS, "toy", toy)
    server.files |= {"/A.zip": packed(A__1="a", A__deep__2="b", other="c"), "/B.zip": packed(B__1="a")}
    return server


def test_get(offered, tmp_path, capsys):
    __main__.get("toy", tmp_path / "toy")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) \
        == ["toy", "toy/A", "toy/A/1", "toy/A/deep", "toy/A/deep/2", "toy/B", "toy/B/1"]
    asked = len(offered.asked)
    __main__.get("toy", tmp_path / "toy")
    assert len(offered.asked) == asked and "there already" in capsys.readouterr().out


def test_get_one_folder(offered, tmp_path, monkeypatch):
    archives = (Archive(f"{offered.url}/A.zip", "A", ""),)
    monkeypatch.setitem(check.SETS, "toy", check.SETS["toy"]._replace(archives=archives))
    (tmp_path / "toy").mkdir()                                                      # empty: as good as not there
    __main__.get("toy", tmp_path / "toy")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["toy", "toy/1", "toy/deep", "toy/deep/2"]


@pytest.mark.parametrize(("data", "expected"), [
    (b"<!DOCTYPE html><html>log in first</html>", "web page"), (packed(C__1="a"), "a folder A/ in it was expected"),
    (packed(A__1="a", **{"..__evil": "b"}), "out of the folder"), (packed(A__1="a")[:-30], "cannot unpack")],
    ids=["page", "lacks", "escapes", "cut"])
def test_a_bad_archive_does_not_stop_the_others(offered, tmp_path, data, expected):
    offered.files["/A.zip"] = data
    with pytest.raises(UserError, match=expected):
        __main__.get("toy", tmp_path / "toy")
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["B"] and not (tmp_path / "evil").exists()
    offered.files["/A.zip"] = packed(A__1="mended")
    __main__.get("toy", tmp_path / "toy")
    assert (tmp_path / "toy" / "A" / "1").read_text() == "mended"


def test_what_needs_a_browser_is_explained(tmp_path):
    for name in ("LOL", "GOT-10k", "UDIS-D", "photos", "style"):
        with pytest.raises(Negative, match=re.escape(check.SETS[name].source)):
            __main__.get(name, tmp_path / name)
    assert not list(tmp_path.iterdir())
