"""A server of the playground and a page of it for all tests of this process."""
import signal

import playground
import pytest
from browser import launch_browser


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """(the page's address, the folder in which it puts its temporary one); ended as by Ctrl-C."""
    pytest.importorskip("gradio", reason="the extra `play` is not installed")
    folder = tmp_path_factory.mktemp("play")
    with playground.serve(folder) as (process, address):
        yield address, folder
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert not list(folder.glob("play-*")), "the temporary folder is still there"


@pytest.fixture(scope="session")
def browser():
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def page(server, browser):
    """A page in Chinese; no request but to the server, no error on it."""
    page = browser.new_page(locale="zh-CN", viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(playground.LONG)
    foreign, errors = [], []
    page.on("request", lambda request: foreign.append(request.url)
            if not request.url.startswith((server[0], "data:", "blob:")) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server[0])
    page.get_by_role("tab").first.wait_for()
    yield page
    page.close()
    assert foreign == [] and errors == []
