"""A Chromium without a window, spoken to over its debugging pipe (no package needed): real clicks and keys, the
console, requests, screenshots."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "ArrowRight": (39, ""), "ArrowLeft": (37, ""), "End": (35, ""),
        "Tab": (9, ""), " ": (32, " ")}
PATIENCE = 60                                              # seconds for one answer


def find():
    """The browser's path, or None where there is none (or no POSIX, whose pipes are used)."""
    return None if os.name != "posix" else next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page. `problems`: errors of the console and exceptions; `requests`: addresses that the page
    asked for."""

    def __init__(self, program, profile, language="en-US"):
        reads, self.out = os.pipe()
        self.into, writes = os.pipe()
        command = (f'exec "$0" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --lang={language} '
                   f'--accept-lang={language} '
                   f'--remote-debugging-pipe --user-data-dir="$1" about:blank 3<&{reads} 4>&{writes}')
        self.process = subprocess.Popen(["bash", "-c", command, program, str(profile)], pass_fds=(reads, writes),
                                        stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(reads)
        os.close(writes)
        self.number, self.rest, self.session, self.events, self.problems, self.requests = 0, b"", None, [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        """End the browser, and wait until it has let go of its profile."""
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(20)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.into)
        os.close(self.out)

    def call(self, method, **parameters):
        """One command of the DevTools protocol, and its result."""
        self.number += 1
        message = ({"id": self.number, "method": method, "params": parameters}
                   | ({"sessionId": self.session} if self.session else {}))
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def receive(self):
        """The next message; events are looked through on the way."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.into], [], [], max(0, end - time.monotonic()))
            data = os.read(self.into, 1 << 20) if ready else b""
            assert data, "the browser does not answer"
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(message)
        method, parameters = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled"
                                                   and parameters["type"] in ("error", "warning")):
            self.problems.append(parameters)
        if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(parameters["entry"]["text"])
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message

    def open(self, address):
        """Load a page and wait for it."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self.receive()

    def reload(self):
        self.events.clear()
        self.call("Page.reload")
        while "Page.loadEventFired" not in self.events:
            self.receive()

    def value(self, expression):
        """What a JavaScript expression gives in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def click(self, selector, x=0.5, y=0.5):
        """A real click on the element, at a fraction of its width and height."""
        found = json.dumps(selector)
        left, top, width, height = self.value(f"(() => {{ const e = document.querySelector({found}); "
                                              "e.scrollIntoView({block: 'center'}); const b = "
                                              "e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; "
                                              "})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=left + x * width, y=top + y * height, button="left",
                      clickCount=1)

    def press(self, key):
        """A real key, which goes to the element that has the focus."""
        code, text = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key,
                      windowsVirtualKeyCode=code,
                      **({"text": text} if text and kind == "keyDown" else {}))

    def look(self, width, height=900, media="screen", **features):
        """The window's size and the media features, such as prefers_color_scheme="dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": name.replace("_", "-"), "value": value}
                                                                       for name, value in features.items()])

    def screenshot(self):
        """The whole page as the bytes of a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
