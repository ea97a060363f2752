"""A person at a terminal: reads what a command asks, and types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

SECONDS = 180
# A program that reads a password opens its controlling terminal.
OWNED = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)
PROMPT = re.compile(r"(?:^|\n)([^\n]+?)(?: \[[^\n]*\])?: $")


class Terminal:
    """Runs a Python module's command in a terminal of its own."""

    def __init__(self, *arguments, environment):
        self._near, far = pty.openpty()
        command = [sys.executable, "-c", OWNED, sys.executable, *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=far,
            stdout=far,
            stderr=far,
            env={**os.environ, "COLUMNS": "80", "TERM": "dumb", **environment},
        )
        os.close(far)
        self.shown = ""
        self.asked = []

    def question(self, *until):
        """Return what is asked next, or which of these texts came first; None at the end."""
        began = len(self.shown)
        end_at = time.monotonic() + SECONDS
        while time.monotonic() < end_at:
            new = self.shown[began:]
            for text in until:
                if text in new:
                    return text
            if found := PROMPT.search(new):
                self.asked.append(found[1].strip())
                return self.asked[-1]
            if not self._read():
                return None
        raise AssertionError(f"nothing is asked any more: {self.shown}")

    def type(self, text):
        os.write(self._near, f"{text}\n".encode())
        # What was asked is answered: the echo belongs to the answer.
        self.shown += "\n"

    def interrupt(self):
        os.write(self._near, b"\x03")

    def code(self):
        """Return the exit code, with all that was written until then in `shown`."""
        while self._read():
            pass
        return self._process.wait(SECONDS)

    def close(self):
        os.close(self._near)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read(self):
        ready, _, _ = select.select([self._near], [], [], 1)
        if not ready:
            return True
        try:
            read = os.read(self._near, 65536)
        except OSError:  # as Linux says that nobody holds the other end
            return False
        self.shown += read.decode().replace("\r\n", "\n")
        return bool(read)
