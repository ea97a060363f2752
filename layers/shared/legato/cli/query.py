"""What calls are looked for, as `legato find` takes it, and whoever chooses calls by a search."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query, Row, every, named
from legato.cli.options import completing
from legato.cli.output import say
from legato.cli.times import ZONE, milliseconds, moments, zone_name, zone_of
from legato.errors import Refused
from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from legato.catalogue.index import Catalogue

DIRECTIONS = ("inbound", "outbound")
WORDS = {
    "number": "number",
    "agent": "agent",
    "extension": "agent",
    "person": "agent",
    "from": "begin",
    "to": "end",
    "zone": "zone",
    "provider": "provider",
    "direction": "direction",
    "min-duration": "min_duration",
    "case": "case",
    "id": "call_id",
}
"""The options of `legato find` that say what is looked for, and what query_of calls them."""
_PAIR = re.compile(r"-{0,2}([A-Za-z_-]+)[=:](.*)", re.DOTALL)


Number = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        help="A telephone number of the call, in any notation, or its last four digits or more.",
    ),
]
Agent = Annotated[
    str | None,
    typer.Option(
        "--agent", "--extension", metavar="NAME", help="An extension, an agent, a user, or a name."
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Calls that began on this day, or time, or later."),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="Calls that began up to the end of this day, or before a time."
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        envvar=ZONE,
        metavar="ZONE",
        help="The zone of times that name none, such as Europe/Berlin. [default: UTC]",
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=completing(PROVIDERS),
        help=f"Only calls of this one ({', '.join(PROVIDERS)}).",
    ),
]
Direction = Annotated[
    str | None,
    typer.Option(
        metavar="WAY",
        autocompletion=completing(DIRECTIONS),
        help="Only calls that went this way (inbound, outbound).",
    ),
]
MinDuration = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Calls that last so long or longer: 90, 5m, 1h30m, 0:05:00."),
]
HeldFor = Annotated[
    str | None, typer.Option("--case", metavar="CASE", help="Calls that are held for this case.")
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Any id of the call, or of a part, at its provider."),
]

Calls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CALL...", help="Calls, by their addresses or any of their ids.", show_default=False
    ),
]
QueryText = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="TEXT",
        help="All calls that `legato find` finds with these options, in one text.",
    ),
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why: it stands in the access log."),
]
Case = Annotated[
    str | None,
    typer.Option("--case", metavar="CASE", help="For which case: it stands in the access log."),
]


def query_of(
    *,
    number: str | None = None,
    agent: str | None = None,
    begin: str | None = None,
    end: str | None = None,
    zone: str | None = None,
    provider: str | None = None,
    direction: str | None = None,
    min_duration: str | None = None,
    case: str | None = None,
    call_id: str | None = None,
) -> Query:
    """Return what is looked for, given as a person writes it; nothing said, everything found.

    A day is one of the zone, and as an end it is included whole. Says on standard error in which
    zone a time is taken that names none. Raises Refused for what cannot be understood.
    """
    where = zone_of(zone)
    given = {"--from": begin, "--to": end}
    times = {name: moments(name, text, where) for name, text in given.items() if text is not None}
    if any(bare for _, _, bare in times.values()):
        say(f"legato: times are taken as {zone_name(where)}", err=True)
    began = times["--from"][0] if "--from" in times else None
    before = times["--to"][1] if "--to" in times else None
    if began is not None and before is not None and began >= before:
        raise Refused(f"--from {begin} is not before --to {end}")
    return Query(
        number=_given("number", number),
        person=_given("agent", agent),
        begin=began,
        end=before,
        provider=_one_of("provider", provider, PROVIDERS),
        direction=_one_of("direction", direction, DIRECTIONS),
        min_duration_ms=0 if min_duration is None else milliseconds(min_duration),
        case=_given("case", case),
        id=_given("id", call_id),
    )


def parsed_query(text: str) -> Query:
    """Return what is looked for, given as the options of `legato find` in one text.

    `--number +15551230000 --from 2026-11-01` is understood, and `number=… from=…`, and `number:…`.
    Raises Refused for what is not, and for a text that says nothing.
    """
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise Refused(f"the query {text!r} is not whole: {error}") from error
    given: dict[str, str] = {}
    for word, value in _pairs(words):
        name = word.casefold().replace("_", "-")
        if name not in WORDS:
            raise Refused(f"a query has no {word!r}: it takes {', '.join(WORDS)}")
        if WORDS[name] in given:
            raise Refused(f"the query says {name} twice")
        given[WORDS[name]] = value
    if not given.keys() - {"zone"}:
        raise Refused(f"the query says nothing: it takes {', '.join(WORDS)}")
    return query_of(**given)


def chosen(catalogue: Catalogue, calls: Sequence[str] | None, query_text: str | None) -> list[Row]:
    """Return the calls that are named, or all that a query finds, each once.

    Raises Refused if neither or both are given, if a query finds nothing, for a wrong query, and
    for calls that nobody knows: all of them at once. Raises Retry.
    """
    if bool(calls) == (query_text is not None):
        raise Refused(
            "say which calls: by address or id, or with --query as `legato find` takes it"
        )
    if query_text is None:
        found = _named(catalogue, calls or ())
    else:
        query = parsed_query(query_text)
        found = list(every(query, catalogue))
        if not found:
            raise Refused(f"nothing found: searched for {query}")
    return list({row.id: row for row in found}.values())


def _pairs(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield what a query's text names, with its value."""
    for word in words:
        if pair := _PAIR.fullmatch(word):
            yield pair[1], pair[2]
        elif word.startswith("--"):
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise Refused(f"the query says {word}, and nothing to look for")
            yield word[2:], value
        else:
            raise Refused(
                f"what is {word!r} in the query? Write --number {word}, or what else it takes: "
                f"{', '.join(WORDS)}"
            )


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
        raise Refused("; ".join(map(str, wrong)))
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
        raise Refused(f"--{name} says nothing to look for")
    return text.strip()
