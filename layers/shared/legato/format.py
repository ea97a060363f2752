"""Numbers as people read them."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Write how many there are of something: `1 call`, `2 calls`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def volume(size: float) -> str:
    """Write a number of bytes."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
