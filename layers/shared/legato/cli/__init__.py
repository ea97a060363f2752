"""The operator's command `legato`. No function loads it, and the layer lacks what it needs."""

from __future__ import annotations

import os
import sys

# All else is loaded where Ctrl-C is looked for: that takes a moment, in which people change their
# minds.

INTERRUPTED = 130
"""Exit.INTERRUPTED, for when that is not loaded yet."""
OBJECTS_BETWEEN = 100_000
"""New ones between two searches for garbage: libraries are none, and searching them takes time."""


def main() -> None:
    """Run the command with this process's arguments, and exit."""
    try:
        _spoken()
    except KeyboardInterrupt:
        # Before there was a command, or after it.
        sys.exit(INTERRUPTED)


def _spoken() -> None:
    from legato.cli.exit_codes import Exit
    from legato.printable import printable, printable_lines

    try:
        try:
            _run()
        finally:
            # Here, and not after our last line: a pipe may be closed, a disk full. Where there is
            # no standard output at all, Python has None for it.
            if sys.__stdout__ is not None:
                sys.stdout.flush()
    except SystemExit as error:
        # typer's own: a help text whose reader ended first.
        if isinstance(error.__context__, BrokenPipeError):
            sys.exit(Exit.PIPE_CLOSED)
        raise
    except BrokenPipeError:
        # Whatever is still in the buffer would be reported once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.PIPE_CLOSED)
    except OSError as error:
        from legato.cli.output import broken

        sys.exit(f"legato: {printable(broken(error))}")
    except Exception:
        # An error of ours, whose words may be somebody else's.
        import traceback

        sys.exit(printable_lines(traceback.format_exc()))


def _run() -> None:
    import gc
    import io

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
