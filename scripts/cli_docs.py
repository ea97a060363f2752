"""Writes docs/cli.md: the help of every command, as the command prints it."""

from __future__ import annotations

import sys
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from legato.cli.app import app

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 100


def rendered() -> str:
    """Return the whole page."""
    command = typer.main.get_command(app)
    pages = [_page([]), *(_page([*names]) for names in _names(command, ()))]
    return "# Commands\n\nMade from `--help` by `make docs`.\n\n" + "\n".join(pages)


def _names(command: object, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the names of all commands below one, in the order of its help."""
    below = getattr(command, "commands", {})
    found = []
    for name, one in below.items():
        found += [(*above, name), *_names(one, (*above, name))]
    return found


def _page(names: list[str]) -> str:
    said = CliRunner().invoke(
        app,
        [*names, "--help"],
        prog_name="legato",
        env={"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "LEGATO_ZONE": ""},
    )
    if said.exit_code:
        raise SystemExit(f"legato {' '.join(names)} --help ends with {said.exit_code}")
    lines = "\n".join(line.rstrip() for line in said.stdout.strip().splitlines())
    return f"## `legato{''.join(f' {name}' for name in names)}`\n\n```\n{lines}\n```\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text() != rendered():
            sys.exit("docs/cli.md is stale: run `make docs`")
    else:
        TARGET.write_text(rendered())
