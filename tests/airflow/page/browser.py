"""A headless Chromium, spoken to over a pipe: no driver, no port, no package.

Source: the Chrome DevTools Protocol; with ``--remote-debugging-pipe`` Chromium reads messages from descriptor 3 and writes
to 4, each ended by a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.2
WIDTH, HEIGHT = 1400, 1100

LAUNCH: Final = """
import os, sys
for given, wanted in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(given), wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """Find a Chromium: the one that ``CHROMIUM`` names, or one on the path."""
    named = os.environ.get("CHROMIUM")
    return next((path for name in ([named] if named else NAMES) if (path := shutil.which(name))), None)


class Navigated(Exception):
    """The page went away while it was asked something."""


class Browser:
    """One tab. Use it as a context manager.

    :param path: of the program
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0
        self._unread = b""

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (low_in, self._out), (self._in, low_out) = os.pipe(), os.pipe()
        # Above 3 and 4, so that none is overwritten before it is moved there.
        theirs = [fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10) for low in (low_in, low_out)]
        arguments = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            *("--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={self._home.name}"),
            *(f"--window-size={WIDTH},{HEIGHT}", "--remote-debugging-pipe", "about:blank"),
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *map(str, theirs), self._path, *arguments],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._home.name},
        )
        for descriptor in (low_in, low_out, *theirs):
            os.close(descriptor)
        self._session: str | None = None
        (tab,) = [each for each in self.tabs() if each["type"] == "page"]
        self._session = self.send("Target.attachToTarget", targetId=tab["targetId"], flatten=True)["sessionId"]
        self.send("Page.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._home.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None) is not None and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            reply = json.loads(self._read(until))
            if reply.get("id") == self._number:
                if "navigated" in reply.get("error", {}).get("message", ""):
                    raise Navigated(f"{method}: {reply['error']}")
                assert "error" not in reply, f"{method}: {reply['error']}"
                result: dict[str, Any] = reply["result"]
                return result

    def _read(self, until: float) -> bytes:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, f"Chromium ended with {self._process.poll()}"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        return message

    # --- what a test does ---

    def sign_in(self, url: str, token: str) -> None:
        """Put Airflow's cookie there."""
        self.send("Network.setCookie", name="_token", value=token, url=url, httpOnly=True)

    def open(self, url: str) -> None:
        """Go to a page."""
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, as if a user had clicked, and return its value."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    def wait_for(self, script: str, *, seconds: float = SECONDS) -> Any:
        """Evaluate an expression until it is true of something, and return that."""
        until = time.monotonic() + seconds
        while True:
            with suppress(Navigated):
                if found := self.run(script):
                    return found
            assert time.monotonic() < until, f"waited in vain for {script}; there is: {self.run(TEXT)[:2000]!r}"
            time.sleep(LOOK_SECONDS)

    def tabs(self) -> list[dict[str, Any]]:
        """List the tabs."""
        found: list[dict[str, Any]] = self.send("Target.getTargets")["targetInfos"]
        return found

    def close_tab(self, target_id: str) -> None:
        """Close a tab."""
        self.send("Target.closeTarget", targetId=target_id)

    @contextmanager
    def width(self, pixels: int) -> Iterator[None]:
        """Give the window another width."""
        self.send("Emulation.setDeviceMetricsOverride", width=pixels, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        yield
        self.send("Emulation.clearDeviceMetricsOverride")

    def picture(self, path: Path) -> None:
        """Keep what is to be seen as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


TEXT: Final = "document.body ? document.body.innerText : ''"
