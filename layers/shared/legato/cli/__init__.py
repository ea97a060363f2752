"""The operator's command `legato`. No function loads it, and the layer lacks what it needs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with this process's arguments, and exit."""
    try:
        import typer  # noqa: F401 - says whether the extra is there
    except ModuleNotFoundError:
        sys.exit("legato: the command needs more than the functions do. Install legato[cli].")
    from legato.cli.app import app

    app()
