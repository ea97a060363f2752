"""Which calls a command is about, and the access log's record of those that are read.

The filters of `legato find` stand here once, and each command that takes calls has them. Whoever
reads something of a call gets the archive from `opened`, which has recorded the access before.
"""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched, chain
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query, every
from legato.cli.call_list import PIPE, listed_calls
from legato.cli.exit_codes import Exit
from legato.cli.last_find import call_named
from legato.cli.options import completing
from legato.cli.output import asks, confirmed, end
from legato.cli.times import Times, milliseconds
from legato.clock import SystemClock
from legato.errors import LegatoError, NotFound, Refused
from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from legato.archive.library import Library
    from legato.catalogue.index import Row
    from legato.cli.context import Stack
    from legato.model import CallId, Json

DIRECTIONS = ("inbound", "outbound")
MANY = 100
"""So many calls that filters find are dealt with unasked."""
AT_ONCE = 16
PART = 1000
"""Calls that are looked up at the same time, and between two moments at which Ctrl-C ends it."""
SHOWN = 3
"""Wrong calls that are named; of all others it is said how many they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters(Times):
    """The options that say which calls are looked for: all of them together."""

    number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Calls with this telephone number in any notation, with its extension, or with "
            "these last digits (four or more): 0151...6789 leaves out the middle.",
        ),
    ] = None
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            "--extension",
            metavar="NAME",
            help="Calls of this extension, agent, user, or name: the beginning of any of its words "
            "is enough.",
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
        found = looked_up(calls, lambda call: call_named(call, catalogue, SystemClock()))
    elif not (found := list(every(query, catalogue))):
        raise NotFound(f"no call matches: searched for {query}{meant_case(stack, query.case)}")
    return list({row.id: row for row in found}.values())


def looked_up[Found](calls: Sequence[str], find: Callable[[str], Found]) -> list[Found]:
    """Return what is found for each call, several at a time.

    Raises NotFound, Refused if some are wrong, naming all or the first of them and how many they
    are; Retry.
    """
    from legato.cli.progress import counting

    found: list[Found] = []
    wrong: dict[str, Refused] = {}

    def one(call: str) -> Found | Refused:
        try:
            return find(call)
        except Refused as error:
            return error

    with (
        counting("Looking up", "calls", quiet=len(calls) <= MANY) as tell,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        for part in batched(calls, PART, strict=False):
            for call, each in zip(part, pool.map(one, part), strict=True):
                if isinstance(each, Refused):
                    wrong[call] = each
                else:
                    found.append(each)
            tell(len(found) + len(wrong), len(calls))
    if wrong:
        raise _wrong(wrong, len(calls))
    return found


def few(calls: Iterable[str]) -> str:
    """Name the first of some calls, and say how many others there are."""
    first, *others = batched(calls, SHOWN, strict=False)
    left = sum(map(len, others))
    return ", ".join(first) + (f" and {left:,} more" if left else "")


def meant_case(stack: Stack, case: str | None) -> str:
    """Return which cases may be meant by one that nobody knows, for a sentence that says so."""
    if case is None:
        return ""
    try:
        found = stack.spellings(case)
    except LegatoError:
        # Who may search need not be permitted to list cases.
        return ""
    if found.known or not (similar := found.same or found.near):
        return ""
    return f"; did you mean --case {' or '.join(map(shlex.quote, similar))}?"


def confirm_many(what: str, count: int, *, yes: bool) -> None:
    """Ask whether filters that find many calls are right. Raises Refused where nobody is there."""
    if yes or count <= MANY:
        return
    if not asks():
        raise Refused(f"{count:,} calls match, and nothing was done: add --yes to {what} them all")
    if not confirmed(f"{what.capitalize()} {count:,} calls?", err=True):
        end("nothing was done", Exit.FAILED)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Any number of calls by name: as arguments, from a file, or from a pipe."""

    calls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CALL]...",
            help="Calls by address, any id or the beginning of one, or row number of the last "
            "find; - reads a list from standard input.",
            show_default=False,
        ),
    ] = None
    calls_from: Annotated[
        str | None,
        typer.Option(
            "--calls-from",
            metavar="FILE",
            help="Calls listed in a file: one a line, or the CSV or JSON of `legato find`.",
        ),
    ] = None

    def names(self) -> list[str]:
        """Return the calls that are named, each once; nothing if none was to be named.

        A list is read when this is called, and a pipe only once. Raises as listed_calls.
        """
        lists = [PIPE] if PIPE in (self.calls or ()) else []
        lists += [self.calls_from] if self.calls_from is not None else []
        named = [call for call in self.calls or () if call != PIPE]
        found = chain(named, *map(listed_calls, dict.fromkeys(lists)))
        return list(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Selection(Filters, Names):
    """Any number of calls: by name, or by the filters."""

    def rows(self, stack: Stack) -> list[Row]:
        """Return the calls. Raises as chosen, names and query."""
        query = self.query()
        return chosen(stack, self.names(), query)


@dataclass(frozen=True, slots=True, kw_only=True)
class One(Filters):
    """One call: by name, or by filters that find no other."""

    call: Annotated[
        str | None,
        typer.Argument(
            metavar="[CALL]",
            help="The call by address, any id or the beginning of one, or row number of the last "
            "find; or use the filters.",
        ),
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
    narrowed: Callable[[list[Row]], list[Row]] = list,
) -> Opened:
    """Choose calls, record the access to them, and return them with the archive to read them from.

    What is not to be read of them is left out by `narrowed`. Raises as that and as chosen, and
    Refused, Failed, Retry if the access cannot be recorded.
    """
    rows = narrowed(selection.rows(stack))
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


def _wrong(wrong: Mapping[str, Refused], count: int) -> Refused:
    """Return the error for the calls that are wrong, with the reason of the first of them."""
    (_, error), *others = wrong.items()
    if not others:
        return error
    named = few(call for call, _ in others)
    unknown = any(isinstance(each, NotFound) for each in wrong.values())
    return (NotFound if unknown else Refused)(
        f"{len(wrong):,} of {count:,} calls are wrong, and nothing was done: {error}; "
        f"also wrong: {named}"
    )


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
