"""A headless Chromium driven over its debugging pipe: no port, no driver, nothing to install but the browser.

Commands and events are JSON, each ended by a NUL byte, on descriptors 3 and 4 (https://chromedevtools.github.io).
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 40.0
TOOLS = Path(sys.executable).parent.parent / "tools"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--remote-debugging-pipe", "--hide-scrollbars", "--force-color-profile=srgb"),
)


def program():
    """Return the path of a Chromium, None where there is none."""
    beside = TOOLS / "chromium"
    return os.environ.get("STRESSD_TEST_CHROMIUM") or (
        str(beside) if beside.is_file() else shutil.which("chromium") or shutil.which("chromium-headless-shell")
    )


def axe_source():
    """Return the accessibility checker's script, None where it is not there."""
    path = Path(os.environ.get("STRESSD_TEST_AXE") or TOOLS / "axe.min.js")
    return path.read_text(encoding="utf-8") if path.is_file() else None


class Chromium:
    """A browser with a profile of its own in `folder`; as a context manager it is gone at the end."""

    def __init__(self, folder):
        self._folder = Path(folder)

    def __enter__(self):
        (commands, ours_out), (ours_in, events) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (commands, events)]  # out of the way of 3 and 4
        self._out, self._in = ours_out, ours_in
        with open(self._folder / "chromium.log", "wb") as log:
            self._process = subprocess.Popen(
                [program(), *FLAGS, f"--user-data-dir={self._folder / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(3, 4),
                preexec_fn=lambda: (os.dup2(theirs[0], 3), os.dup2(theirs[1], 4)),  # noqa: PLW1509 - two system calls
                env={**os.environ, "HOME": str(self._folder)},
            )
        for fd in (commands, events, *theirs):
            os.close(fd)
        self._received, self._last, self.events = b"", 0, []
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._out)
        os.close(self._in)

    def call(self, method, session=None, **params):
        """Give a command and return its result; events that come meanwhile are kept in `events`."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            for answer in self._receive(deadline_s):
                if answer.get("id") == self._last:
                    assert "error" not in answer, (method, answer["error"])
                    return answer["result"]
                self.events.append(answer)

    def _receive(self, deadline_s):
        """Yield the messages that are there, waiting for the first; one that is not taken waits for the next call."""
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, f"chromium does not answer: {self._log()}"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, f"chromium has ended: {self._log()}"
            self._received += chunk
        while b"\0" in self._received:
            line, _, self._received = self._received.partition(b"\0")
            yield json.loads(line)

    def _log(self):
        return (self._folder / "chromium.log").read_text(errors="replace")[-2_000:]


class Page:
    """A tab at an address, its console and its requests watched from the first on."""

    def __init__(self, browser, url, *, width=1280, height=900, scheme="light"):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.prefer(scheme)
        self.call("Page.navigate", url=url)
        self._until_loaded(f"location.href === {json.dumps(url)}")

    def reload(self):
        """Load the page anew, and wait until it is there."""
        self.run("window.isOld = true")
        self.call("Page.reload")
        self._until_loaded("!window.isOld")

    def _until_loaded(self, condition):
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(AssertionError):  # between two documents there is none to ask
                if self.run(f"document.readyState === 'complete' && {condition}"):
                    return
            assert time.monotonic() < deadline_s, "the page is not loaded"
            time.sleep(0.02)

    def call(self, method, **params):
        return self._browser.call(method, self._session, **params)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme):
        """Have the system prefer the `light` or `dark` theme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, expression):
        """Return the value of an expression in the page, awaited; AssertionError if it throws."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key):
        code = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "Escape": 27}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path):
        """Write a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def events(self, method):
        """Return the parameters of all events of that name so far."""
        self.run("0")  # whatever is under way has arrived when the answer has
        return [
            event["params"]
            for event in self._browser.events
            if event["method"] == method and event.get("sessionId") == self._session
        ]
