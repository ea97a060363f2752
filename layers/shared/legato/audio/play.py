"""Plays a recording with a player that this machine has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from legato.errors import Failed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Not to be seen, to end with the recording, and to guess as little as possible of untrusted bytes.
_PLAYERS: tuple[tuple[str, ...], ...] = (
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-protocol_whitelist", "file"),
    ("mpv", "--no-video", "--no-config", "--really-quiet"),
    ("afplay",),
    ("aplay", "--quiet"),
    ("xdg-open",),
    ("open",),
)
_ONLY = {"aplay": (".wav",)}
_TYPED = {"ffplay": lambda path: ("-f", path.suffix[1:])}


def player(path: Path, *, chosen: str | None = None) -> list[str]:
    """Return the command that plays a file: the `chosen` one, else the first that is installed.

    Raises Refused if the chosen one is not there, Failed if there is none at all.
    """
    if chosen:
        return [*_split(chosen), str(path.absolute())]
    for name, *options in _PLAYERS:
        found = shutil.which(name)
        if found and path.suffix in _ONLY.get(name, (path.suffix,)):
            typed = _TYPED[name](path) if name in _TYPED else ()
            return [found, *options, *typed, str(path.absolute())]
    raise Failed(
        f"there is no player for {path.suffix[1:].upper()} here: install ffmpeg or mpv, or name "
        "one in LEGATO_PLAYER"
    )


def play(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a player to its end. Raises Failed if it cannot be run, or is not content."""
    try:
        ended = subprocess.run(command, env=dict(environment), check=False)
    except OSError as error:
        raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error
    if ended.returncode:
        raise Failed(f"{command[0]} ended with {ended.returncode}")


def _split(chosen: str) -> list[str]:
    try:
        name, *options = shlex.split(chosen)
    except ValueError as error:
        raise Refused(f"LEGATO_PLAYER is not a command: {chosen!r}") from error
    found = shutil.which(name)
    if found is None:
        raise Refused(f"there is no player {name}, which LEGATO_PLAYER names")
    return [found, *options]
