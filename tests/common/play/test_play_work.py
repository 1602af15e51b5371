"""Work behind the page: progress, a stop in its midst, errors as one line, visitors apart."""
import os
import threading
import time

import pytest

from common.base.errors import Negative, UserError
from common.base.progress import watch
from common.play import work
from common.play.work import Visitors, run


@pytest.fixture
def visitors(tmp_path):
    return Visitors(tmp_path)


def events(visitor, task):
    return list(run(visitor, task))


def last_of(visitor, task):
    return events(visitor, task)[-1]


def test_what_is_reported_comes_before_the_result(visitors):
    def task(report):
        for number in watch(range(3), "counting"):
            report(number)
        return "a line", 3
    found = events(visitors.of("li"), task)
    assert [value for kind, value in found if kind == "partial"] == [0, 1, 2]
    assert ("progress", "counting 0/3") in found
    assert found[-1][0] == "done" and found[-1][1][0] == ("a line", 3)


def test_stop_ends_the_work_at_its_next_step(visitors):
    visitor, reached = visitors.of("li"), []

    def task(report):
        for number in watch(range(100), "counting"):
            reached.append(number)
            if number == 5:
                visitor.stop.set()
        return "", None
    assert last_of(visitor, task) == ("stopped", None)
    assert reached[-1] == 5


def test_a_reader_that_names_every_defect_does_not_name_a_stop(visitors):
    visitor = visitors.of("li")

    def task(report):
        visitor.stop.set()
        try:
            report(1)
        except Exception:
            return "swallowed", None
    assert last_of(visitor, task) == ("stopped", None)


def test_the_next_work_is_not_stopped_by_the_last_stop(visitors):
    visitor = visitors.of("li")
    visitor.stop.set()
    assert last_of(visitor, lambda report: ("", 1))[0] == "done"


@pytest.mark.parametrize("problem, line", [
    (UserError("too large: a.png: smaller was expected: scale it"),
     "error: too large: a.png: smaller was expected: scale it"),
    (Negative("no two photographs overlap"), "no: no two photographs overlap"),
    (UserError("named \x1b[31m"), "error: named \\x1b[31m"),
    (ZeroDivisionError("by 0"), "error: a defect of the program, traceback in the terminal: ZeroDivisionError: by 0")])
def test_every_problem_is_one_line(visitors, problem, line, capsys):
    def task(report):
        raise problem
    assert last_of(visitors.of("li"), task) == ("error", line)
    assert ("Traceback" in capsys.readouterr().err) == isinstance(problem, ZeroDivisionError)


def test_two_visitors_do_not_mix(visitors):
    li, wang = visitors.of("li"), visitors.of("wang")
    assert li.folder != wang.folder and visitors.of("li") is li
    begun, over = threading.Event(), {}

    def long(report):
        begun.set()
        for _ in watch(iter(int, 1), "without end", count=9):
            pass

    def go(name, visitor, task):
        over[name] = last_of(visitor, task)
    other = threading.Thread(target=go, args=("li", li, long))
    other.start()
    begun.wait()
    go("wang", wang, lambda report: ("", 2))
    assert over["wang"][1][0] == ("", 2) and "li" not in over
    li.stop.set()
    other.join(60)
    assert over["li"] == ("stopped", None)


def test_who_leaves_leaves_nothing(visitors, tmp_path):
    visitor, other = visitors.of("li"), visitors.of("wang")
    (visitor.new_folder() / "picture.jpg").write_bytes(b"x")
    (tmp_path / "hash of an upload").mkdir()
    visitors.leave("li")
    visitors.leave("never came")
    assert not visitor.folder.exists() and visitor.stop.is_set() and other.folder.exists()
    visitors.leave("wang")
    assert list(tmp_path.iterdir()) == []


def kept_by_the_server(root, name):
    """The file of an upload, in a folder of its own."""
    (root / name).mkdir()
    (root / name / "picture.png").write_bytes(b"x")
    return str(root / name / "picture.png")


def test_who_leaves_takes_along_the_uploads_that_nobody_else_has(visitors, tmp_path):
    mine, both, others = (kept_by_the_server(tmp_path, name) for name in ("mine", "both", "others"))
    visitors.take("li", [mine, both, str(tmp_path.parent / "elsewhere" / "x.png")])
    visitors.take("wang", [both, others])
    (tmp_path.parent / "elsewhere").mkdir(exist_ok=True)
    visitors.leave("li")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "others", "visitors"]
    assert (tmp_path.parent / "elsewhere").exists()


def test_what_lies_about_for_long_and_is_nobodys_goes(visitors, tmp_path):
    visitors.take("li", [kept_by_the_server(tmp_path, "mine")])
    for name in ("new", "old"):
        kept_by_the_server(tmp_path, name)
    long_ago = time.time() - work.AFTER - 1
    for name in ("mine", "old", "visitors"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    visitors.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "new", "visitors"]


def test_a_page_that_is_silent_for_long_has_left(visitors, tmp_path, monkeypatch):
    silent, heard = visitors.of("li"), visitors.of("wang")
    silent.heard -= work.AFTER + 1
    heard.heard -= work.AFTER / 2
    visitors.sweep()
    assert silent.stop.is_set() and not silent.folder.exists() and heard.folder.exists()
    monkeypatch.setattr(work, "AFTER", 0.05)
    visitors.watch_over()
    until = time.monotonic() + 60
    while any(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_new_work_removes_the_files_of_the_last(visitors):
    visitor = visitors.of("li")
    first = visitor.new_folder()
    (first / "picture.jpg").write_bytes(b"x")
    second = visitor.new_folder()
    assert not first.exists() and list(visitor.folder.iterdir()) == [second]
