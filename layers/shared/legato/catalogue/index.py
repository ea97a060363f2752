"""The catalogue: what the archive holds, to be found by time, number, person, case, and any id.

It is made of the manifests, written when a call is sealed and when a hold comes or goes, and can be
made anew from the bucket at any time. Nothing depends on it but the search.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from legato.archive.manifest import played
from legato.catalogue.numbers import WHOLE, digits, listed, number_of, searched, split_extension
from legato.catalogue.words import answers, asked_words, is_whole, list_of, lists, words
from legato.errors import Retry, Stale
from legato.model import CallId, Party, StoredObject, distinct, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from legato.catalogue.numbers import Number
    from legato.model import Json

TRIES = 10
LONGEST = 300
"""Characters of a list's name, of four bytes each at most."""
LONG = (7200, 1800, 300)
"""Seconds: calls that last so long are listed by themselves, so that they are found at once."""
EVERYTHING = "all"
_IDS: dict[str, tuple[str, ...]] = {
    "ringex": (
        "id",
        "sessionId",
        "telephonySessionId",
        "partyId",
        "sipUuidInfo",
        "recording.id",
    ),
    "ringcx": ("dialogId", "segmentId", "interactionId", "uii"),
    "kazoo": ("id", "call_id", "cdr_id", "interaction_id"),
}
_PEOPLE: dict[str, tuple[str, ...]] = {
    "ringex": (
        "extension.id",
        "from.extensionId",
        "from.extensionNumber",
        "from.name",
        "to.extensionId",
        "to.extensionNumber",
        "to.name",
        "delegate.id",
        "delegate.name",
    ),
    "ringcx": (
        "segmentParticipantId",
        "segmentParticipantRcExtensionId",
        "agentId",
        "agentFullName",
    ),
    "kazoo": ("owner_id", "caller_id_name", "callee_id_name"),
}
_NUMBERS: dict[str, tuple[str, ...]] = {
    "ringex": (
        "from.phoneNumber",
        "to.phoneNumber",
        "from.dialerPhoneNumber",
        "to.dialedPhoneNumber",
    ),
    "ringcx": ("contactEndpointAddress", "channelEndpointAddress", "ani", "dnis"),
    "kazoo": ("caller_id_number", "callee_id_number", "from", "to", "request"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the catalogue says of a call, as its newest revision has it.

    `ids` are all by which a provider names the call or a part of it, `people` extensions, agents,
    users and names, `numbers` telephone numbers as they were given. `size` is in bytes of audio,
    `how` as in the manifest, or `apart`. `cases` hold the call. `version` counts the writes.
    """

    provider: str
    account: str
    call: str
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int
    direction: str | None
    parties: tuple[Party, ...]
    numbers: tuple[str, ...]
    people: tuple[str, ...]
    ids: tuple[str, ...]
    legs: int
    size: int
    how: str
    storage_class: str
    revision: int
    manifest: StoredObject
    cases: tuple[str, ...] = ()
    version: int = 0

    @property
    def id(self) -> CallId:
        """The call that it is about."""
        return CallId(self.provider, self.account, self.call)

    @property
    def own_ids(self) -> tuple[str, ...]:
        """Its own id and those of its legs, by whose beginning it may be named."""
        return self.ids[: 1 + self.legs]

    @property
    def prefix(self) -> str:
        """The call's folder in the archive, with its trailing slash."""
        return self.manifest.key.rpartition("/")[0] + "/"

    @property
    def place(self) -> str:
        """Its place in any list, which is ordered by time. No two calls have the same."""
        return f"{format_time(self.started_at)}#{self.id}"

    def to_json(self) -> Json:
        """Write it for scripts and for the ledger."""
        return {
            "provider": self.provider,
            "account": self.account,
            "call": self.call,
            "started_at": format_time(self.started_at),
            "ended_at": None if self.ended_at is None else format_time(self.ended_at),
            "duration_ms": self.duration_ms,
            "direction": self.direction,
            "parties": [party.to_json() for party in self.parties],
            "numbers": list(self.numbers),
            "people": list(self.people),
            "ids": list(self.ids),
            "legs": self.legs,
            "bytes": self.size,
            "how": self.how,
            "storage_class": self.storage_class,
            "revision": self.revision,
            "manifest": {
                "key": self.manifest.key,
                "version_id": self.manifest.version_id,
                "bytes": self.manifest.size,
                "sha256": self.manifest.sha256,
            },
            "cases": list(self.cases),
        }

    @classmethod
    def from_json(cls, said: Json, *, version: int = 0) -> Row:
        """Read what to_json wrote."""
        sealed = said["manifest"]
        plain = ("provider", "account", "call", "duration_ms", "direction", "legs", "how")
        return cls(
            **{name: said[name] for name in (*plain, "storage_class", "revision")},
            started_at=parse_time(said["started_at"]),
            ended_at=None if said["ended_at"] is None else parse_time(said["ended_at"]),
            parties=tuple(Party(**party) for party in said["parties"]),
            numbers=tuple(said["numbers"]),
            people=tuple(said["people"]),
            ids=tuple(said["ids"]),
            cases=tuple(said["cases"]),
            size=said["bytes"],
            manifest=StoredObject(
                key=sealed["key"],
                version_id=sealed["version_id"],
                size=sealed["bytes"],
                sha256=sealed["sha256"],
            ),
            version=version,
        )


class Criterion(NamedTuple):
    """What a call has to be: in a list, or of what its entries in other lists say.

    `term` is None where there is no such list, `said` where entries do not say it. `is_whole` is
    not so where it is the beginning of what they say.
    """

    term: str | None
    said: str | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for: all of it together. Nothing said, everything found.

    `number` may be in any notation, or the last four digits or more, or one whose middle is left
    out; its extension, if it has one, has to be on the call as well. `person` is an extension, an
    agent, a user, or a name as legato/catalogue/words.py has it. The call began at `begin` or
    later, and before `end`.
    """

    number: str | None = None
    person: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    provider: str | None = None
    direction: str | None = None
    min_duration_ms: int = 0
    case: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Raise Refused for a number that is none."""
        self._number()

    def criteria(self) -> list[Criterion]:
        """Return what a call has to be, what is likely rarest first.

        Of an id and of a case there are few calls. Which of the next three has the fewest depends:
        one company has one number, another one has few agents.
        """
        number, found = self._number(), []
        if self.id:
            found.append(Criterion(f"id#{self.id.casefold()}"))
        if self.case:
            found.append(Criterion(f"case#{self.case}"))
        if number:
            found.append(Criterion(searched(number.last), searched(number.last)))
        found += [_of_word(word) for word in self._words()]
        found += [
            Criterion(f"long#{least}") for least in LONG if self.min_duration_ms >= least * 1000
        ][:1]
        if self.provider:
            found.append(Criterion(f"provider#{self.provider}", f"provider#{self.provider}"))
        if self.direction:
            found.append(Criterion(None, f"way#{self.direction}"))
        return [each._replace(term=each.term and _short(each.term)) for each in found]

    def terms(self) -> list[str]:
        """Return the lists that a call has to be in, the one that is likely shortest first."""
        return [each.term for each in self.criteria() if each.term] or [EVERYTHING]

    def matches(self, row: Row) -> bool:
        """Say whether a call is what is looked for."""
        number = self._number()
        return (
            (self.begin is None or row.started_at >= self.begin)
            and (self.end is None or row.started_at < self.end)
            and self.provider in (None, row.provider)
            and self.direction in (None, row.direction)
            and row.duration_ms >= self.min_duration_ms
            and (self.case is None or self.case in row.cases)
            and (self.id is None or self.id.casefold() in _folded(row.ids))
            and (self.person is None or _has(row, self.person))
            and (number is None or any(map(number.is_in, row.numbers)))
            and (number is None or number.extension is None or _has(row, number.extension))
        )

    def _number(self) -> Number | None:
        return None if self.number is None else number_of(self.number)

    def _words(self) -> list[str]:
        """Return the words of a name and of an extension, the longest first: it is the rarest."""
        number = self._number()
        extension = asked_words(number.extension) if number and number.extension else ()
        asked = {*(asked_words(self.person) if self.person else ()), *extension}
        return sorted(asked, key=lambda word: (-len(word), word))

    def __str__(self) -> str:
        """Say it in words, for whoever finds nothing."""
        words = [
            f"{name} {value}"
            for name, value in (
                ("id", self.id),
                ("case", self.case),
                ("number", self.number),
                ("agent", self.person),
                ("provider", self.provider),
                ("direction", self.direction),
                ("from", self.begin and format_time(self.begin)),
                ("until", self.end and format_time(self.end)),
            )
            if value
        ]
        if self.min_duration_ms:
            words.append(f"at least {self.min_duration_ms / 1000:g} s long")
        return ", ".join(words) or "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguePage:
    """Calls that were found, the newest first.

    `cursor` leads to the next page, None if there is none. A page may be short of calls, and still
    not be the last one, when the search had to go far: it came back to `reached`.
    """

    rows: tuple[Row, ...]
    cursor: str | None = None
    reached: datetime | None = None


class Catalogue(Protocol):
    """The catalogue's store."""

    @property
    def where(self) -> str:
        """What tells it from any other catalogue: no two stacks have the same."""
        ...

    def row(self, call: CallId) -> Row | None:
        """Return what it says of a call now, or None. Raises Retry."""
        ...

    def write(self, row: Row, *, over: Row | None) -> None:
        """Write a call over what was read of it, and list it accordingly.

        Raises Stale if somebody wrote it since, Retry.
        """
        ...

    def remove(self, row: Row) -> None:
        """Take a call out, with all its entries. Raises Retry."""
        ...

    def find(self, query: Query, *, limit: int, cursor: str | None = None) -> CataloguePage:
        """Return a page of at most `limit` calls. Raises Refused for a wrong cursor, Retry."""
        ...

    def beginning(self, begins: str) -> Sequence[CallId]:
        """Return calls whose own id or that of a leg begins so, in the order of their ids.

        Some hundreds at most. Raises Retry.
        """
        ...


def row_of(manifest: Json, sealed: StoredObject, *, storage_class: str) -> Row:
    """Return what the catalogue is to say of a call, from its newest manifest."""
    provider, legs = manifest["provider"], manifest["legs"]
    recording = manifest["recording"]
    entries = list(_entries(manifest["provider_records"]))
    spoke = [*manifest["parties"], *(party for leg in legs for party in leg["parties"])]
    parties = distinct(Party(**party) for party in spoke)
    numbers = {party.number: None for party in parties}
    numbers |= dict.fromkeys(_texts(entries, _NUMBERS[provider]))
    known_numbers, names = _split(filter(None, numbers))
    people: dict[str | None, None] = {}
    for party in parties:
        people |= dict.fromkeys((party.extension, party.agent, party.name))
    people |= dict.fromkeys(_texts(entries, _PEOPLE[provider]))
    people |= dict.fromkeys(names)
    # A short number is somebody's extension.
    people |= dict.fromkeys(each for each in known_numbers if len(digits(each)) < WHOLE)
    ids = {manifest["call"]: None, **dict.fromkeys(leg["id"] for leg in legs)}
    ids |= dict.fromkeys(_texts(entries, _IDS[provider]))
    ended_at = manifest["ended_at"]
    return Row(
        provider=provider,
        account=manifest["account"],
        call=manifest["call"],
        started_at=parse_time(manifest["started_at"]),
        ended_at=None if ended_at is None else parse_time(ended_at),
        duration_ms=sum(leg["duration_ms"] for leg in played(legs)),
        direction=manifest["direction"],
        parties=parties,
        numbers=known_numbers,
        people=tuple(filter(None, people)),
        ids=tuple(ids),
        legs=len(legs),
        size=recording["bytes"] if recording else sum(leg["bytes"] for leg in legs),
        how=recording["how"] if recording else "apart",
        storage_class=storage_class,
        revision=manifest["revision"],
        manifest=replace(sealed, checksum=""),
    )


def terms(row: Row) -> set[str]:
    """Return the lists that a call is in."""
    found = {EVERYTHING, f"provider#{row.provider}"}
    found |= {f"id#{each}" for each in _folded(row.ids)}
    found |= {f"name#{each}" for word in _words(row) for each in lists(word)}
    found |= {f"case#{each}" for each in row.cases}
    found |= {f"long#{least}" for least in LONG if row.duration_ms >= least * 1000}
    found |= {term for number in row.numbers for term in listed(digits(number))}
    return {_short(term) for term in found}


def said(row: Row) -> set[str]:
    """Return what each of its entries says, so that a list can be searched for more than its own.

    It is what the criteria of a query have as `said`.
    """
    found = {f"provider#{row.provider}", *(f"name#{word}" for word in _words(row))}
    found |= {term for number in row.numbers for term in listed(digits(number))}
    return found | ({f"way#{row.direction}"} if row.direction else set())


def enter(
    row: Row, catalogue: Catalogue, cases: Callable[[], Iterable[str]], *, again: bool = False
) -> None:
    """Write what a manifest says of a call, with the `cases` that hold it now.

    What is known is not written, unless `again`. Raises Retry.
    """
    _write(catalogue, row.id, lambda _: row, cases, again=again)


def mark(call: CallId, catalogue: Catalogue, cases: Callable[[], Iterable[str]]) -> None:
    """Write by which `cases` a call is held now, if the catalogue knows it. Raises Retry.

    Who seals a call and who holds it both ask for the cases after they have read what they write
    over, so the last of them has seen what the other one did.
    """
    _write(catalogue, call, lambda known: known, cases)


def _write(
    catalogue: Catalogue,
    call: CallId,
    becomes: Callable[[Row | None], Row | None],
    cases: Callable[[], Iterable[str]],
    *,
    again: bool = False,
) -> None:
    for _ in range(TRIES):
        known = catalogue.row(call)
        row = becomes(known)
        if row is None:
            return
        version = known.version if known else 0
        row = replace(row, cases=tuple(sorted(cases())), version=version)
        if row == known and not again:
            return
        try:
            catalogue.write(row, over=known)
        except Stale:
            continue
        return
    raise Retry(f"the catalogue's entry of {call} is written faster than it is read")


def every(query: Query, catalogue: Catalogue, *, at_once: int = 200) -> Iterator[Row]:
    """Yield all calls that are looked for, the newest first. Raises Retry."""
    cursor = None
    while True:
        page = catalogue.find(query, limit=at_once, cursor=cursor)
        yield from page.rows
        if (cursor := page.cursor) is None:
            return


def _short(term: str) -> str:
    """Return a list's name, or what stands for one that no store would take: callers choose names.

    DynamoDB takes 2,048 bytes.
    """
    if len(term) <= LONGEST:
        return term
    return f"{term[:LONGEST]}#{hashlib.sha256(term.encode(errors='replace')).hexdigest()}"


def _split(given: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Tell numbers from names: where a number may stand, providers also put a SIP user's."""
    numbers: dict[str, str] = {}
    names: list[str] = []
    for each in given:
        user, extension = split_extension(each.partition("@")[0])
        if plain := digits(user):
            numbers.setdefault(plain, user)
            names += [extension] if extension else []
        else:
            names.append(user)
    return tuple(numbers.values()), names


def _entries(records: Iterable[Json]) -> Iterator[Json]:
    """Yield a provider's records and, where they have some, their legs."""
    for record in records:
        yield record
        legs = record.get("legs")
        if isinstance(legs, list):
            yield from (leg for leg in legs if isinstance(leg, dict))


def _texts(entries: Iterable[Json], names: Iterable[str]) -> Iterator[str]:
    for entry in entries:
        for name in names:
            value: Any = entry
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                yield str(value)


def _of_word(word: str) -> Criterion:
    term = list_of(word)
    return Criterion(term and f"name#{term}", f"name#{word}", is_whole(word))


def _words(row: Row) -> set[str]:
    return {word for name in row.people for word in words(name)}


def _has(row: Row, person: str) -> bool:
    """Say whether somebody on the call has all words of a name."""
    asked = asked_words(person)
    return any(answers(asked, name) for name in row.people)


def _folded(values: Iterable[str]) -> set[str]:
    return {value.casefold() for value in values}
