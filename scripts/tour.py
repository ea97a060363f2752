"""Write docs/tour.md and docs/export.png: what a person sees, recorded from a local system.

usage: python -m scripts.tour. Starts a local system, archives the demo's calls, runs commands.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from local.demo.__main__ import archive_all
from local.demo.summary import summary
from local.system import running
from tests import browser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.demo.placed import Placed
    from local.system import System

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = DOCS / "export.png"
COLUMNS = 80
HEAD = """\
# A tour

Recorded by `make tour` from a local system with the calls of `make demo`, in 80 columns.
Commands: [cli.md](cli.md). The same with explanations: [retrieval.md](retrieval.md).

![The page of an export: waveform, legs and player](export.png)
"""


def main() -> int:
    """Write both."""
    with running() as system:
        placed, package = archive_all(system)
        parts = [HEAD, *_recorded(system, placed, package)]
    text = "\n".join(parts).replace(str(Path.cwd()), "/home/you/legato")
    (DOCS / "tour.md").write_text(text, encoding="utf-8")
    _take_picture(package, next(one for one in placed if one.call.provider == "ringcx"))
    return 0


def _recorded(system: System, placed: Sequence[Placed], package: Path) -> Iterator[str]:
    shown = next(one for one in placed if len(one.legs) > 1)
    call = str(shown.id)
    yield _block("The end of the demo", "make demo", "\n".join(summary(placed, package)))
    for title, *arguments in (
        ("Find calls", "find"),
        ("Find by number", "find", "--number", _number(shown), "--min-duration", "7"),
        ("Look at one", "show", call),
        ("What needs a person", "status"),
        ("Get it", "get", call),
        ("Verify the archive", "verify"),
    ):
        yield _block(title, f"legato --local {' '.join(arguments)}", _said(system, arguments))


def _number(one: Placed) -> str:
    return next(str(party["number"]) for party in one.manifest["parties"] if party["number"])


def _said(system: System, arguments: Sequence[str]) -> str:
    """Run a command in a terminal, and return what it shows."""
    where = system.directory / "tour"
    where.mkdir(exist_ok=True)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    here = {"LEGATO_LOCAL_DIR": str(system.directory), "NO_COLOR": "1", "TERM": "dumb"}
    command = Path(sys.executable).with_name("legato")
    with subprocess.Popen(
        [str(command), "--local", *arguments],
        cwd=where,
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"} | here,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        said = b"".join(_read(ours))
    os.close(ours)
    lines = said.decode().replace("\r\n", "\n").strip().split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _read(terminal: int) -> Iterator[bytes]:
    """Read until nobody holds the other end, which Linux reports as an error."""
    with suppress(OSError):
        while piece := os.read(terminal, 1 << 16):
            yield piece


def _block(title: str, command: str, said: str) -> str:
    return f"## {title}\n\n```\n$ {command}\n{said}\n```\n"


def _take_picture(package: Path, call: Placed) -> None:
    program = browser.found()
    if program is None:
        print(f"tour: no Chromium is installed: {PICTURE.name} was not made again")
        return
    with TemporaryDirectory() as scratch:
        page = browser.Browser(program, Path(scratch) / "profile")
        try:
            page.open((package / "data" / "index.html").resolve())
            page.run(f"location.hash = 'call={call.id.call}&t=4'")
            page.until("document.querySelector('#bar .time').textContent.startsWith('0:04')")
            page.until("document.querySelector('details[open] canvas').width > 300")
            page.picture(PICTURE, whole=False)
        finally:
            page.close()


if __name__ == "__main__":
    sys.exit(main())
