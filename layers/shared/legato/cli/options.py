"""Options that several commands have."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def completing(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what completes a word on the command line to one of the choices."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def parsed_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day: write 2026-10-01") from None


def parsed_provider(text: str) -> str:
    if text not in PROVIDERS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(PROVIDERS)}")
    return text


Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        parser=parsed_provider,
        autocompletion=completing(PROVIDERS),
        metavar="NAME",
        help="Only this one (ringex, ringcx, kazoo); may be repeated.",
    ),
]
LastDay = Annotated[
    date | None,
    typer.Option("--to", parser=parsed_day, metavar="DAY", help="The last day; else today."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
