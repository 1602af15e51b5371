"""common/base/targets.py: what is read is never written over, and what cannot be written is told before any work."""
import os

import pytest
from processes import needs_rights

from common.base.errors import UserError, start
from common.base.files import part_of, write_whole
from common.base.paths import ROOT
from common.base.targets import expect_targets, free_name, unique_names


@pytest.fixture
def place(tmp_path):
    for name in ("in/a.png", "in/b.png"):
        write_whole(tmp_path / name, name.encode())
    return tmp_path


def test_good_targets_pass_and_nothing_stays_of_the_trial(place):
    expect_targets([place / "new" / "deep" / "a.png", place / "new" / "b.png", place / "in" / "c.png"],
                   [place / "in" / "a.png", place / "nothing.png"])
    assert sorted(path.name for path in place.rglob("*")) == ["a.png", "b.png", "in"]


def test_an_input_is_seen_by_whatever_name(place):
    source = place / "in" / "a.png"
    (place / "soft.png").symlink_to(source)
    os.link(source, place / "hard.png")
    (place / "folder").symlink_to(place / "in")
    for name in ("in/a.png", "in/../in/a.png", "soft.png", "hard.png", "folder/a.png"):
        with pytest.raises(UserError, match="would overwrite the input .*a.png"):
            expect_targets([place / name], [source])
    with pytest.raises(UserError, match=r"would overwrite .*b.png in .*in, which is read"):
        expect_targets([place / "folder" / "b.png"], [place / "in"])
    assert source.read_bytes() == b"in/a.png"


def test_two_results_are_never_one_file(place):
    (place / "folder").symlink_to(place / "in")
    for first, second in [("x.png", "x.png"), ("x.png", "X.PNG"), ("in/x.png", "folder/x.png"),
                          ("new/é.png", "new/e\u0301.png")]:
        with pytest.raises(UserError, match="two results would be one file"):
            expect_targets([place / first, place / second])


def test_what_cannot_be_written_is_told_at_once(place, monkeypatch):
    for target, said in [(place / "in", "it is a folder"), (place / "in" / "a.png" / "x.png", "cannot write"),
                         (place / "new" / ("n" * 256), "too long"), (place / "/".join(["n" * 200] * 30), "too long")]:
        with pytest.raises(UserError, match=said):
            expect_targets([target])
    monkeypatch.setattr(os, "access", lambda path, right: right != os.W_OK)
    with pytest.raises(UserError, match="write-protected.*choose another --out$"):
        expect_targets([place / "in" / "a.png"], option="--out")
    assert not (place / "new").exists()


@needs_rights
def test_a_folder_without_the_right_to_write(place, processes):
    (place / "in").chmod(0o500)
    text = ("import sys; from common.base.errors import start; from common.base.targets import expect_targets\n"
            "sys.exit(start(lambda argv: expect_targets(sys.argv[1:])))")
    done = processes.run(["-c", text, place / "in/c.png"], ROOT, dict(os.environ), bound=True)
    (place / "in").chmod(0o700)
    assert done.returncode == 2 and "cannot write (Permission denied)" in done.stderr


def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path):
    path = tmp_path / ("夜" * 83 + "a.png")                                      # 254 bytes
    expect_targets([path])
    write_whole(path, b"x")
    assert path.read_bytes() == b"x" and len(os.fsencode(part_of(path).name)) < 255


def test_names_become_unique_and_stay_where_they_are():
    assert unique_names(["base", "base"], [".png", ".jpg"]) == ["base.png", "base.jpg"]
    assert unique_names(["a", "a-2", "A", "a"]) == ["a", "a-2", "A-3", "a-4"]
    assert unique_names(["1", "1"], [".png", ".PNG"]) == ["1.png", "1-2.PNG"]


def test_a_name_that_is_free(place):
    assert free_name(place / "new.png") == place / "new.png"
    assert free_name(place / "in" / "a.png") == place / "in" / "a-2.png"
    assert free_name(place / "in" / "a.png", [place / "in" / "a-2.png"]) == place / "in" / "a-3.png"


def test_a_path_of_five_thousand_letters_is_one_line(tmp_path, capsys):
    for length in (300, 5000):
        assert start(lambda argv, length=length: (tmp_path / ("x" * length)).exists(), []) == 2
        assert "a path is too long" in capsys.readouterr().err
