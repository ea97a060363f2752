"""A headless Chromium, driven through a pipe: the DevTools protocol, and nothing else needed.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.patience import until

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
    "--window-size=1200,900",
)


def found() -> str | None:
    """Return the browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page. What it asks the network for, and complains of, is remembered."""

    def __init__(self, program: str, profile: Path) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._number = 0
        self._buffer = b""
        # It reads our words on 3 and says its own on 4.
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._log = (profile.parent / "chromium.log").open("wb")
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        script = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", str(theirs_in), str(theirs_out), *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=self._log,
            stderr=self._log,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self._say("Target.getTargets", session=None)["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        attached = {"targetId": page["targetId"], "flatten": True}
        self._session = self._say("Target.attachToTarget", attached, session=None)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._say(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Open a file, and wait until all of it is there."""
        self.run("window.left = true")
        self._say("Page.navigate", {"url": path.as_uri()})
        self.until("document.readyState === 'complete' && !window.left")

    def run(self, script: str):
        """Return what an expression is in the page. Raises AssertionError where it throws."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._say("Runtime.evaluate", asked | {"userGesture": True})
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str):
        """Return what an expression is as soon as it is true."""
        return until(lambda: self.run(script))

    def click(self, selector: str, *, share: float = 0.5) -> None:
        """Click into an element, at a share of its width, as a mouse does."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            f" return [b.left + b.width * {share}, b.top + b.height / 2]; }})()"
        )
        where = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._say("Input.dispatchMouseEvent", {"type": kind, **where})

    def press(self, key: str, *, text: str = "") -> None:
        """Press a key."""
        self._say("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "text": text})
        self._say("Input.dispatchKeyEvent", {"type": "keyUp", "key": key})

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file, or a folder, as a person does in the dialog of an input."""
        root = self._say("DOM.getDocument")["root"]["nodeId"]
        asked = {"nodeId": root, "selector": selector}
        found = self._say("DOM.querySelector", asked)["nodeId"]
        self._say("DOM.setFileInputFiles", {"nodeId": found, "files": [str(path)]})

    def dark(self, yes: bool) -> None:
        """Let the page believe that a person likes it dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if yes else "light"}
        self._say("Emulation.setEmulatedMedia", {"features": [scheme]})

    def picture(self, path: Path, *, whole: bool = True) -> bytes:
        """Keep what is to be seen, of the whole page or of the window."""
        asked = {"format": "png", "captureBeyondViewport": whole}
        body = base64.b64decode(self._say("Page.captureScreenshot", asked)["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return body

    def close(self) -> None:
        """End it."""
        with suppress(OSError, AssertionError):
            self._say("Browser.close", session=None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        for number in (self._in, self._out):
            os.close(number)
        self._log.close()

    def _say(self, method: str, params: dict | None = None, *, session: str | None = ""):
        """Ask for something and return the answer; what happens meanwhile is remembered."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                return said["result"]
            self._remember(said.get("method"), said.get("params", {}))

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            piece = os.read(self._in, 1 << 20)
            assert piece, f"the browser ended: {Path(self._log.name).read_text()[-2000:]}"
            self._buffer += piece
        said, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(said)

    def _remember(self, method: str | None, params: dict) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
