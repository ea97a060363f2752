"""Which calls a command is about, and the access log's record of those that are read.

The filters of `legato find` stand here once, and each command that takes calls has them. Whoever
reads something of a call gets the archive from `opened`, which has recorded the access before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query, every, named
from legato.cli.options import completing
from legato.cli.times import Times, milliseconds
from legato.errors import NotFound, Refused
from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.archive.library import Library
    from legato.catalogue.index import Catalogue, Row
    from legato.cli.context import Stack
    from legato.model import CallId, Json

DIRECTIONS = ("inbound", "outbound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters(Times):
    """The options that say which calls are looked for: all of them together."""

    number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Calls with this telephone number, in any notation, or with these last digits "
            "(four or more).",
        ),
    ] = None
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            "--extension",
            metavar="NAME",
            help="Calls of this extension, agent, user, or name.",
        ),
    ] = None
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completing(PROVIDERS),
            help=f"Calls of this provider ({', '.join(PROVIDERS)}).",
        ),
    ] = None
    direction: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            autocompletion=completing(DIRECTIONS),
            help=f"Calls in this direction ({', '.join(DIRECTIONS)}).",
        ),
    ] = None
    min_duration: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Calls at least this long: 90, 5m, 1h30m, 0:05:00."),
    ] = None
    case: Annotated[
        str | None, typer.Option(metavar="CASE", help="Calls under legal hold for this case.")
    ] = None
    call_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="The call with this id of the provider, or with such a part."
        ),
    ] = None

    def query(self) -> Query:
        """Return what is looked for; no filter finds everything. Raises Refused."""
        span = self.span()
        return Query(
            number=_given("number", self.number),
            person=_given("agent", self.agent),
            begin=span.begin,
            end=span.end,
            provider=_one_of("provider", self.provider, PROVIDERS),
            direction=_one_of("direction", self.direction, DIRECTIONS),
            min_duration_ms=0 if self.min_duration is None else milliseconds(self.min_duration),
            case=_given("case", self.case),
            id=_given("id", self.call_id),
        )


def chosen(stack: Stack, calls: Sequence[str], query: Query) -> list[Row]:
    """Return the calls that are named, or all that a query finds, each once.

    Raises Refused if neither or both are given; NotFound if nothing is found, and for calls that
    nobody knows, all of them at once; Retry.
    """
    if bool(calls) == (query != Query()):
        raise Refused(
            "say which calls: either by address or id, or with the filters of `legato find`"
        )
    catalogue = stack.catalogue()
    if calls:
        found = _named(catalogue, calls)
    elif not (found := list(every(query, catalogue))):
        raise NotFound(f"no call matches: searched for {query}")
    return list({row.id: row for row in found}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Filters):
    """Any number of calls: by name, or by the filters."""

    calls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CALL]...",
            help="Calls by address or any id; or use the filters.",
            show_default=False,
        ),
    ] = None

    def rows(self, stack: Stack) -> list[Row]:
        """Return the calls. Raises as chosen and query."""
        return chosen(stack, self.calls or (), self.query())


@dataclass(frozen=True, slots=True, kw_only=True)
class One(Filters):
    """One call: by name, or by filters that find no other."""

    call: Annotated[
        str | None,
        typer.Argument(metavar="[CALL]", help="The call by address or any id; or use the filters."),
    ] = None

    def rows(self, stack: Stack) -> list[Row]:
        """Return the one call. Raises as chosen and query, and Refused if several are found."""
        found = chosen(stack, [self.call] if self.call is not None else [], self.query())
        if len(found) > 1:
            first = ", ".join(str(row.id) for row in found[:5])
            raise Refused(f"{len(found)} calls match, and the command takes one: name it ({first})")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Calls that may be read, because the access log says who reads them and why."""

    rows: list[Row]
    library: Library


def opened(
    stack: Stack,
    selection: Selection | One,
    action: str,
    *,
    reason: str | None,
    details: Json | None = None,
) -> Opened:
    """Choose calls, record the access to them, and return them with the archive to read them from.

    Raises as chosen, and Refused, Failed, Retry if the access cannot be recorded.
    """
    rows = selection.rows(stack)
    recorded(stack, action, [row.id for row in rows], reason=reason, details=details)
    return Opened(rows=rows, library=stack.library())


def recorded(
    stack: Stack,
    action: str,
    calls: Sequence[CallId],
    *,
    reason: str | None,
    details: Json | None,
) -> str:
    """Record an access to calls, and return the id of the record."""
    record = stack.recorder().record(action, calls, reason=reason, details=details)
    found: str = record["id"]
    return found


def _named(catalogue: Catalogue, calls: Sequence[str]) -> list[Row]:
    found: list[Row] = []
    wrong: list[Refused] = []
    for call in calls:
        try:
            found.append(named(call, catalogue))
        except Refused as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise NotFound("; ".join(map(str, wrong)))
    return found


def _one_of(name: str, text: str | None, choices: Sequence[str]) -> str | None:
    if text is None or text.casefold() in choices:
        return text and text.casefold()
    raise Refused(f"--{name} {text!r} is not one of {', '.join(choices)}")


def _given(name: str, text: str | None) -> str | None:
    """Return a text as it is looked for. Raises Refused for one of which nothing is left."""
    if text is None:
        return None
    if not text.strip():
        raise Refused(f"--{name} is empty")
    return text.strip()
