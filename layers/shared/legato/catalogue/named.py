"""Which call a name means: an address, an id of whichever kind, or the beginning of either."""

from __future__ import annotations

from datetime import UTC
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.catalogue.index import Query
from legato.errors import NotFound, Refused
from legato.model import PROVIDERS, CallId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from legato.catalogue.index import Catalogue, Row

SHORTEST = 4
"""Characters of an id by which a call may be named, as git has it."""
SUGGESTED = 5
_ALIKE = 8
"""Characters of an id by which calls are suggested for one that is not quite right."""


class UnknownCriterion(NotFound):
    """Nothing in the catalogue has this id."""


class Ambiguous(Refused):
    """Several calls have this id."""


def named(text: str, catalogue: Catalogue) -> Row:
    """Return the call that has this address or this id, or the only one that begins so.

    Before an id may stand its provider. A whole id goes before the beginning of another one. Raises
    UnknownCriterion and Ambiguous, with the calls that may be meant, and Retry.
    """
    row = exactly(text, catalogue) or _by_beginning(text, catalogue)
    if row is None:
        raise UnknownCriterion(_unknown(text.strip(), catalogue))
    return row


def exactly(text: str, catalogue: Catalogue) -> Row | None:
    """Return the call that has this address or this whole id. Raises Ambiguous, Retry."""
    name = text.strip()
    if (address := _address(name)) is not None:
        return catalogue.row(address)
    provider, call = _provider_and_id(name)
    for spelling in _spellings(call):
        found = catalogue.find(Query(id=spelling, provider=provider), limit=SUGGESTED + 1).rows
        whole = [row for row in found if row.call.casefold() == spelling.casefold()]
        if len(whole or found) == 1:
            return (whole or list(found))[0]
        if found:
            raise Ambiguous(f"{name} is an id of several calls: {_one_of(found)}")
    return None


def _by_beginning(text: str, catalogue: Catalogue) -> Row | None:
    """Return the only call of which an address, its id or that of a leg begins so."""
    name = text.strip()
    address, account = _address(name), ""
    if address is not None:
        provider: str | None = address.provider
        account, spellings = address.account, [address.call]
    else:
        provider, call = _provider_and_id(name)
        spellings = _spellings(call)
    begins = tuple(each.casefold() for each in spellings if len(each) >= SHORTEST)
    found = {
        each: None
        for spelling in begins
        for each in catalogue.beginning(spelling)
        if provider in (None, each.provider)
        and each.account.startswith(account)
        and (address is None or each.call.casefold().startswith(begins))
    }
    rows = [row for row in _rows(found, catalogue) if _has_id(row, begins)]
    if len(rows) > 1:
        raise Ambiguous(f"{name} is the beginning of several ids: {_one_of(rows)}")
    return rows[0] if rows else None


def _rows(calls: Iterable[CallId], catalogue: Catalogue) -> Iterator[Row]:
    """Yield calls as far as they are shown; what is not there any more is passed over."""
    left = SUGGESTED + 1
    for call in calls:
        row = catalogue.row(call)
        if row is not None:
            yield row
            left -= 1
        if not left:
            return


def _has_id(row: Row, begins: tuple[str, ...]) -> bool:
    return any(each.casefold().startswith(begins) for each in row.own_ids)


def _unknown(name: str, catalogue: Catalogue) -> str:
    """Say that nothing has this name, and which calls have an id that is like it."""
    address = _address(name)
    call = address.call if address else _provider_and_id(name)[1]
    similar = catalogue.beginning(call[:_ALIKE])
    close = get_close_matches(call, {each.call for each in similar}, n=SUGGESTED, cutoff=0.7)
    addresses = [str(each) for each in similar if each.call in close][:SUGGESTED]
    meant = f"did you mean {', '.join(addresses)}?" if close else "`legato find` looks for calls"
    return f"the catalogue has nothing with the id {name}: {meant}"


def _provider_and_id(name: str) -> tuple[str | None, str]:
    first, _, rest = name.partition("/")
    return (first, unquote(rest)) if first in PROVIDERS and rest else (None, name)


def _spellings(name: str) -> list[str]:
    """Return what a name may stand for: an id, or a file that was fetched."""
    bare = name.strip("\"'<>")
    spelt = [name, bare, bare.removeprefix("s-"), f"s-{bare}"]
    if "/" in bare:
        spelt += bare.strip("/").split("/")[-1:]
    return list(dict.fromkeys(filter(None, spelt)))


def _address(name: str) -> CallId | None:
    """Return the call at an address, or of a key of the archive; None for any other name."""
    parts = name.strip("\"'<>/").split("/")
    if parts[0] == "calls" and len(parts) > 6:
        parts = [parts[1], parts[2], parts[6]]
    try:
        return CallId.parse("/".join(parts))
    except Refused:
        return None


def _one_of(rows: Sequence[Row]) -> str:
    meant = "; ".join(_described(row) for row in rows[:SUGGESTED])
    more = " and more" if len(rows) > SUGGESTED else ""
    return f"{meant}{more}: name one of them"


def _described(row: Row) -> str:
    return f"{row.id} of {row.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
