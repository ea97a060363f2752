"""Options that several commands have, with one meaning everywhere."""

from __future__ import annotations

from pathlib import Path
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
        help=f"Only this provider ({', '.join(PROVIDERS)}); may be repeated.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder to write to; created if missing.")
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="TEXT", help="Why you do this; kept as evidence in the access log."
    ),
]
Case = Annotated[
    str, typer.Option("--case", metavar="CASE", help="The legal hold, by your name for the case.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
