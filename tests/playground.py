"""The playground in a real browser: its server, a page of it, and what one does there."""
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from common.base.paths import EMBEDDED, ROOT

AFTER = 300                             # seconds until a silent page counts as closed
LONG = 500_000                          # milliseconds: this machine may have other things to do
TABS = {"low light": "微光图像增强", "stitching": "图像拼接", "prior": "深度图像先验", "nuclei": "细胞核",
        "tracking": "目标跟踪", "super-resolution": "超分辨率", "style": "风格迁移"}
BUTTONS = {"low light": "运行", "stitching": "拼接", "prior": "复原", "nuclei": "分割", "tracking": "跟踪",
           "super-resolution": "放大", "style": "开始"}
GREY = EMBEDDED / "nuclei" / "images" / "f73e37957c74.png"


@contextmanager
def serve(folder, *options):
    """(process, address) of a server that puts its temporary folder into `folder`."""
    begin = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "       # also behind a shell's &
             "hasattr(signal, 'SIGHUP') and signal.signal(signal.SIGHUP, signal.SIG_DFL); "    # and behind nohup
             f"from common.play import __main__, work; work.AFTER = {AFTER}; "
             f"__main__.main(['--port', '0', *{options}])")
    process = subprocess.Popen([sys.executable, "-c", begin], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                               env=os.environ | {"TMPDIR": str(folder), "PYTHONUTF8": "1"})
    try:
        yield process, re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
    finally:
        process.kill()
        process.wait()


def open_tab(page, name):
    """The panel of a tab."""
    page.get_by_role("tab", name=TABS[name]).click()
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_role("button", name=BUTTONS[name], exact=True).wait_for()
    return panel


def run(panel, name):
    panel.get_by_role("button", name=BUTTONS[name], exact=True).click()


def stop(panel):
    """The line of status after the button that stops."""
    panel.get_by_role("button", name="停止").click()
    return outcome(panel, "停止")


def outcome(panel, pattern="完成|error:|no:|停止"):
    """The line of status once it is final, or once it has a pattern."""
    panel.page.wait_for_function(
        f"() => [...document.querySelectorAll('.status textarea')].some("
        f"area => area.offsetParent && /{pattern}/.test(area.value))", timeout=LONG)
    return panel.locator(".status textarea").input_value()


def upload(panel, *paths):
    panel.locator(".upload input[type=file]").first.set_input_files(list(map(str, paths)))
    panel.locator(".upload").first.get_by_text(Path(paths[0]).stem[:4]).first.wait_for()


def photograph(folder, source=EMBEDDED / "photos" / "china.jpg", size=(4000, 3000)):
    """The file of a photograph of 12 million pixels."""
    path = folder / "large.jpg"
    Image.open(source).convert("RGB").resize(size).save(path)
    return path
