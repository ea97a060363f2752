"""The operator's command `legato`. No function loads it, and the layer lacks what it needs."""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback

from legato.cli.exit_codes import INTERRUPTED
from legato.printable import printable, printable_lines

OBJECTS_BETWEEN = 100_000
"""New ones between two searches for garbage: libraries are none, and searching them takes time."""


def main() -> None:
    """Run the command with this process's arguments, and exit."""
    try:
        _run()
    except KeyboardInterrupt:
        # Before there was a command.
        sys.exit(INTERRUPTED)
    except OSError as error:
        # What is printed finds no room.
        sys.exit(f"legato: {printable(error.strerror or str(error))}")
    except Exception:
        # An error of ours, whose words may be somebody else's.
        sys.exit(printable_lines(traceback.format_exc()))


def _run() -> None:
    gc.set_threshold(OBJECTS_BETWEEN)
    # Whatever is made on this disk may be a recording, or tell of one.
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # No name shall end the command where a terminal cannot write it.
            stream.reconfigure(errors="backslashreplace")
    try:
        import typer  # noqa: F401 - says whether the extra is there
    except ModuleNotFoundError:
        sys.exit("legato: the command needs more than the functions do. Install legato[cli].")
    from legato.cli.app import app

    app()
