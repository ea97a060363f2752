"""Restore calls out of cold storage: say what it costs, ask S3, and know when they can be read.

What is under way stands in the ledger, in a note for each call. It is written before S3 is asked,
so that S3's own event, which may come within a minute, always finds it. S3 is the truth: asking
again does no harm, and whoever looks at S3 corrects the note.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from legato.errors import Failed, LegatoError, Refused, Retry
from legato.library import COLD, audio, manifest
from legato.model import PROVIDERS, format_time, parse_time
from legato.notes import change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from legato.catalogue import Row
    from legato.library import Library, State, Tier
    from legato.model import Json, Note
    from legato.ports import Clock, Lists

LIST = "restores"
"""The calls of which something is under way."""
THERE = "restored"
"""The calls of which all can be read that was asked for."""
TIERS: tuple[Tier, ...] = ("Expedited", "Standard", "Bulk")
"""The fastest one first."""
AT_ONCE = 16
"""Requests at the same time. Each takes 20 ms or more: fewer than S3's 1,000 a second.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/archival-storage.html
"""
UNASKED = timedelta(hours=1)
"""What stands in a note for so long, and is not on its way, was never asked for."""
LARGE = 250 * 1000 * 1000
"""Bytes, over which Expedited takes longer than it says."""
GIGABYTE = 2**30
COPY_PRICE = 0.023
"""Dollars for a gigabyte a month of the copy, which lies in S3 Standard."""
SLEEP = (1.0, 60.0)
"""Seconds between two looks, at first and in the end."""
BAD_LOOKS = 10
"""So many looks in a row may fail while somebody waits for hours."""
MAILED = 100
"""Calls that one mail names."""
_EVER = "9999"
_COMPLETED, _EXPIRED = "Object Restore Completed", "Object Restore Expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a tier costs in dollars for 1,000 requests and for a gigabyte, and how long it takes."""

    requests: float
    gigabyte: float
    least: timedelta
    most: timedelta


TERMS: Mapping[str, Mapping[Tier, Terms]] = {
    "GLACIER": {
        "Expedited": Terms(
            requests=10, gigabyte=0.03, least=timedelta(minutes=1), most=timedelta(minutes=5)
        ),
        "Standard": Terms(
            requests=0.05, gigabyte=0.01, least=timedelta(hours=3), most=timedelta(hours=5)
        ),
        "Bulk": Terms(requests=0, gigabyte=0, least=timedelta(hours=5), most=timedelta(hours=12)),
    },
    "DEEP_ARCHIVE": {
        "Standard": Terms(
            requests=0.10, gigabyte=0.02, least=timedelta(hours=12), most=timedelta(hours=12)
        ),
        "Bulk": Terms(
            requests=0.025, gigabyte=0.0025, least=timedelta(hours=48), most=timedelta(hours=48)
        ),
    },
}
"""By storage class. The prices are those of us-east-1, without a discount or a free allowance.
https://aws.amazon.com/s3/pricing/
https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
"""


class Mail(Protocol):
    """Who tells people."""

    def send(self, subject: str, words: str) -> None:
        """Send a message. `subject` is ASCII, at most 100 characters. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What calls are restored with."""

    library: Library
    notes: Lists
    clock: Clock
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One object to be played of a call, and how it is stored now. `size` is in bytes."""

    key: str
    version_id: str
    size: int
    state: State

    @property
    def lies_cold(self) -> bool:
        """Whether nobody can read it and nothing is under way."""
        return not (self.state.readable or self.state.restoring)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call with what is to be played of it. What is under way has this `tier` and `days`."""

    row: Row
    pieces: tuple[Piece, ...]
    tier: Tier | None = None
    days: int = 0

    @property
    def until(self) -> datetime | None:
        """Until when all of it can be read; None if it cannot, or always can."""
        untils = [piece.state.restored_until for piece in self.pieces if piece.state.restored_until]
        return min(untils) if untils and self.how == "restored" else None

    @property
    def how(self) -> str:
        """Say how it is now: `readable` (always), `restored`, `under way`, `cold`."""
        if all(piece.state.storage_class not in COLD for piece in self.pieces):
            return "readable"
        if all(piece.state.readable for piece in self.pieces):
            return "restored"
        return "cold" if any(piece.lies_cold for piece in self.pieces) else "under way"

    def asking(self, tier: Tier, days: int, now: datetime) -> list[Piece]:
        """Return what S3 is to be asked for: what is cold, comes more slowly, or goes too soon.

        S3 takes another request for what is on its way if that is for a faster tier.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-upgrade-speed.html
        """
        hurry = self.tier is not None and TIERS.index(tier) < TIERS.index(self.tier)
        stays = now + timedelta(days=days)
        return [
            piece
            for piece in self.pieces
            if piece.lies_cold
            or (piece.state.restoring and hurry)
            or (piece.state.restored_until is not None and piece.state.restored_until < stays)
        ]

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            "provider": self.row.provider,
            "call": self.row.call,
            "how": self.how,
            "until": None if self.until is None else format_time(self.until),
            "objects": len(self.pieces),
            "bytes": sum(piece.size for piece in self.pieces),
            "tier": self.tier,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a tier would cost in dollars, at us-east-1's list prices, and how long it would take.

    `large`: objects of LARGE bytes or more are among them, which Expedited takes longer for.
    """

    tier: Tier
    objects: int
    size: int
    price: float
    least: timedelta
    most: timedelta
    large: bool

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            "tier": self.tier,
            "objects": self.objects,
            "bytes": self.size,
            "dollars": round(self.price, 4),
            "seconds": [int(self.least.total_seconds()), int(self.most.total_seconds())],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of it: how many objects S3 was asked for, of which calls, and what it refused."""

    calls: tuple[tuple[str, str], ...]
    objects: int
    refused: Mapping[str, LegatoError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A restored call, or one that is under way: `done` of its `objects` can be read.

    `until` is when the first of the copies goes, if all are there; `expected` when S3 should be
    done at the latest.
    """

    provider: str
    call: str
    tier: Tier
    days: int
    requested_at: datetime
    objects: int
    done: int
    until: datetime | None
    expected: datetime | None

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            "provider": self.provider,
            "call": self.call,
            "tier": self.tier,
            "days": self.days,
            "requested_at": format_time(self.requested_at),
            "objects": self.objects,
            "done": self.done,
            "until": None if self.until is None else format_time(self.until),
            "expected": None if self.expected is None else format_time(self.expected),
        }


def survey(rows: Iterable[Row], work: Restoring) -> list[Wanted]:
    """Look at what is to be played of each call, in their order. Raises as library.manifest."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda row: _wanted(row, work), rows))


def offers(wanted: Sequence[Wanted], *, days: int, now: datetime) -> list[Offer]:
    """Return what may be chosen for all of these calls together, the fastest tier first.

    Nothing if S3 has nothing to be asked for. DEEP_ARCHIVE knows no Expedited.
    """
    found = []
    for tier in TIERS:
        pieces = [piece for one in wanted for piece in one.asking(tier, days, now)]
        fetched = [piece for piece in pieces if not piece.state.readable]
        if all(tier in TERMS[piece.state.storage_class] for piece in fetched) and pieces:
            found.append(_offer(tier, pieces, fetched, days))
    return found


def restore(
    wanted: Sequence[Wanted],
    work: Restoring,
    *,
    tier: Tier,
    days: int,
    request: str,
    tell: Callable[[int], None] = lambda _: None,
) -> Asked:
    """Ask S3 for copies that stay for so many days, and note what is under way.

    What is asked for together has a `request` of its own, and one mail at its end. `tell` gets the
    number of calls that are asked for so far. What S3 refuses is in the answer. Raises Retry, and
    then the same again goes on.
    """
    now = work.clock.now()
    chosen = [one for one in wanted if one.asking(tier, days, now)]
    objects, refused = 0, dict[str, LegatoError]()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        asking = [pool.submit(_ask, one, work, tier, days, request, now) for one in chosen]
        for number, each in enumerate(as_completed(asking), start=1):
            asked, failed = each.result()
            objects += asked
            refused |= failed
            tell(number)
    finally:
        # Also after Ctrl-C, or when AWS answers nobody: what is begun is noted, the rest is not.
        pool.shutdown(cancel_futures=True)
    return Asked(calls=names(chosen), objects=objects, refused=refused)


def names(wanted: Iterable[Wanted]) -> tuple[tuple[str, str], ...]:
    """Return calls by their providers and ids."""
    return tuple((one.row.provider, one.row.call) for one in wanted)


def wait(wanted: Sequence[Wanted], work: Restoring, tell: Callable[[int, int], None]) -> None:
    """Return when all of these calls can be read; `tell` how many objects can, of how many.

    S3 is asked at longer and longer intervals. Raises Failed if one is not on its way any more,
    and Retry if S3 does not answer for long.
    """
    total = sum(len(one.pieces) for one in wanted)
    left = [(one, piece) for one in wanted for piece in one.pieces if not piece.state.readable]
    pause, bad = SLEEP[0], 0
    while True:
        try:
            left, bad = _still_coming(left, work), 0
        except Retry:
            bad += 1
            if bad >= BAD_LOOKS:
                raise
        tell(total - len(left), total)
        if not left:
            return
        work.sleep(pause)
        pause = min(pause * 1.2, SLEEP[1])


def restores(work: Restoring) -> list[Restore]:
    """Return what is under way and what is there, the oldest first, as S3 has it now.

    Notes are corrected: an event may be lost. Raises Retry.
    """
    found = [note for name in (LIST, THERE) for note in work.notes.listed(name, until=_EVER)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = [one for one in pool.map(lambda note: _looked(note, work), found) if one]
    return sorted(seen, key=lambda one: (one.requested_at, one.provider, one.call))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What S3 says of an object: that its copy is there `until` a time, or, without one, gone."""

    key: str
    version_id: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completing:
    """What S3's events are noted with. Without `mail` nobody is told."""

    notes: Lists
    clock: Clock
    mail: Mail | None = None


def read(event: Json) -> Told:
    """Read S3's event as EventBridge hands it over. Raises Refused for another one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    try:
        kind, detail = event["detail-type"], event["detail"]
        if kind not in (_COMPLETED, _EXPIRED):
            raise Refused(f"the event {kind!r} tells of no restore")
        until = parse_time(detail["restore-expiry-time"]) if kind == _COMPLETED else None
        return Told(
            key=detail["object"]["key"],
            version_id=detail["object"]["version-id"],
            at=parse_time(event["time"]),
            until=until,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"the event is not what S3 sends: {error!r}") from error


def restored(told: Told, work: Completing) -> str:
    """Note what S3 says of an object, and tell people when all is there that was asked together.

    An event may come twice, late, or for an object that nobody of ours has asked for. Returns
    `Unknown`, `Repeated`, `Noted` (there is more to come), `Restored` (the whole call) or
    `Expired`. Raises Retry; the same event again makes up for what was not done.
    """
    call = _call_of(told.key)
    if call is None:
        return "Unknown"
    outcome = "Unknown"

    def becomes(note: Note) -> Note:
        nonlocal outcome
        objects = note.content.get("objects", {})
        known = objects.get(told.key)
        if known is None or known["version_id"] != told.version_id:
            outcome = "Unknown"
            return note
        said = _said(known, told, work.clock.now())
        outcome = "Repeated" if said == known else "Expired" if said is None else "Noted"
        others = {key: each for key, each in objects.items() if key != told.key}
        return _written(note, others if said is None else {**objects, told.key: said})

    note = change(_key(*call), becomes, work.notes)
    if outcome in ("Noted", "Repeated") and note.listed is not None and note.listed[0] == THERE:
        _tell(note, work)
        return "Restored" if outcome == "Noted" else outcome
    return outcome


def _wanted(row: Row, work: Restoring) -> Wanted:
    pieces = tuple(
        Piece(
            key=entry["key"],
            version_id=entry["version_id"],
            size=entry["bytes"],
            state=work.library.state(entry["key"], version_id=entry["version_id"]),
        )
        for entry in audio(manifest(row, work.library))
    )
    if not any(piece.state.restoring for piece in pieces):
        return Wanted(row=row, pieces=pieces)
    noted = work.notes.read(_key(row.provider, row.call)).content
    return Wanted(row=row, pieces=pieces, tier=noted.get("tier"), days=noted.get("days", 0))


def _offer(tier: Tier, pieces: Sequence[Piece], fetched: Sequence[Piece], days: int) -> Offer:
    size = sum(piece.size for piece in pieces)
    price = size / GIGABYTE * COPY_PRICE * days / 30
    terms = [TERMS[piece.state.storage_class][tier] for piece in fetched]
    for piece, each in zip(fetched, terms, strict=True):
        price += each.requests / 1000 + piece.size / GIGABYTE * each.gigabyte
    return Offer(
        tier=tier,
        objects=len(pieces),
        size=size,
        price=price,
        # The call that takes longest decides.
        least=max((each.least for each in terms), default=timedelta()),
        most=max((each.most for each in terms), default=timedelta()),
        large=any(piece.size >= LARGE for piece in fetched),
    )


def _ask(
    one: Wanted, work: Restoring, tier: Tier, days: int, request: str, now: datetime
) -> tuple[int, dict[str, LegatoError]]:
    """Note a call and ask for it; return how many objects were asked for, and what was refused."""
    pieces, library = one.asking(tier, days, now), work.library
    key = _key(one.row.provider, one.row.call)
    order = {"request": request, "requested_at": format_time(now), "tier": tier, "days": days}
    change(key, lambda note: _ordered(note, one, order), work.notes)
    refused: dict[str, LegatoError] = {}
    left = list(pieces)
    try:
        while left:
            piece = left[0]
            # To ask for what is on its way is to hasten it: nothing else may be different.
            stays = one.days if piece.state.restoring else days
            try:
                library.restore(piece.key, version_id=piece.version_id, days=stays, tier=tier)
            except Failed as error:
                refused[piece.key] = error
            del left[0]
    finally:
        unasked = {*refused, *(piece.key for piece in left if piece.lies_cold)}
        extended = {piece.key for piece in pieces if piece.state.readable} - unasked
        if unasked or extended:
            _settle(key, pieces, unasked, extended, work)
    return len(pieces) - len(refused), refused


def _ordered(note: Note, one: Wanted, order: Json) -> Note:
    """Return the note of a call with what is about to be asked for, and what is there of it."""
    objects = dict(note.content.get("objects", {}))
    for piece in one.pieces:
        if piece.lies_cold or (piece.state.storage_class in COLD and piece.key not in objects):
            entry = {"version_id": piece.version_id, "bytes": piece.size}
            objects[piece.key] = entry | _copy(piece.state, order["requested_at"])
    return _written(replace(note, content={**order, "objects": objects}), objects)


def _asked_at(content: Json) -> datetime:
    return parse_time(content["requested_at"])


def _copy(state: State, at: str) -> Json:
    if state.restored_until is None:
        return {}
    return {"done_at": at, "until": format_time(state.restored_until)}


def _settle(
    key: str, pieces: Sequence[Piece], unasked: set[str], extended: set[str], work: Restoring
) -> None:
    """Take out of a note what S3 was not asked for, and write how long the other copies stay."""
    at = format_time(work.clock.now())
    untils = {
        piece.key: _copy(work.library.state(piece.key, version_id=piece.version_id), at)
        for piece in pieces
        if piece.key in extended
    }

    def settled(note: Note) -> Note:
        objects = note.content.get("objects", {})
        return _written(
            note,
            {
                name: {**each, **untils.get(name, {})}
                for name, each in objects.items()
                if name not in unasked
            },
        )

    change(key, settled, work.notes)


def _written(note: Note, objects: Json) -> Note:
    """Return a note with these objects, in the list where they belong."""
    if not objects:
        return replace(note, content={"objects": {}}, listed=None)
    coming = any("done_at" not in each for each in objects.values())
    name = LIST if coming else THERE
    content = note.content | {"objects": objects}
    return replace(note, content=content, listed=(name, content["requested_at"]))


def _still_coming(
    left: Sequence[tuple[Wanted, Piece]], work: Restoring
) -> list[tuple[Wanted, Piece]]:
    """Return what cannot be read yet, after a look at S3. Raises Failed if it never will be."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = list(pool.map(lambda each: _state(each[1], work), left))
    seen: dict[str, dict[str, State | None]] = {}
    for (one, piece), state in zip(left, states, strict=True):
        if state.readable and state.restored_until is not None:
            seen.setdefault(_key(one.row.provider, one.row.call), {})[piece.key] = state
    for key, found in seen.items():
        _correct(key, found, work)
    pairs = zip(left, states, strict=True)
    coming = [(each, state) for each, state in pairs if not state.readable]
    for (one, piece), state in coming:
        if not state.restoring:
            raise Failed(
                f"{piece.key} is not on its way: `legato restore {one.row.call}` asks for it"
            )
    return [each for each, _ in coming]


def _state(piece: Piece, work: Restoring) -> State:
    return work.library.state(piece.key, version_id=piece.version_id)


def _looked(note: Note, work: Restoring) -> Restore | None:
    """Return a note's restore as S3 has it, or None if there is nothing of it any more."""
    states: dict[str, State | None] = {}
    for key, each in note.content["objects"].items():
        try:
            states[key] = work.library.state(key, version_id=each["version_id"])
        except Failed:
            states[key] = None
    content = _correct(note.key, states, work).content
    if not content["objects"]:
        return None
    _, provider, call = note.key.split("#", 2)
    objects = content["objects"].values()
    untils = [parse_time(each["until"]) for each in objects if "until" in each]
    done = sum("done_at" in each for each in objects)
    requested_at, tier = _asked_at(content), content["tier"]
    terms = [
        TERMS[state.storage_class].get(tier)
        for state in states.values()
        if state is not None and state.restoring
    ]
    return Restore(
        provider=provider,
        call=call,
        tier=tier,
        days=content["days"],
        requested_at=requested_at,
        objects=len(objects),
        done=done,
        until=min(untils) if untils and done == len(objects) else None,
        expected=max((requested_at + each.most for each in terms if each), default=None),
    )


def _correct(key: str, states: Mapping[str, State | None], work: Restoring) -> Note:
    """Write into a note what S3 says of these objects; None is one that is gone."""

    def corrected(note: Note) -> Note:
        now = work.clock.now()
        objects = {}
        for name, each in note.content.get("objects", {}).items():
            said = _as_seen(each, states[name], note, now) if name in states else each
            if said is not None:
                objects[name] = said
        return note if not note.version else _written(note, objects)

    return change(key, corrected, work.notes)


def _as_seen(known: Json, state: State | None, note: Note, now: datetime) -> Json | None:
    """Return what a note is to say of an object that is in this state; None for nothing."""
    if state is None:
        return None
    if state.restored_until is not None:
        return {"done_at": format_time(now), **known, "until": format_time(state.restored_until)}
    bare = {name: value for name, value in known.items() if name not in ("done_at", "until")}
    if state.restoring:
        return bare
    # Its copy is gone; or somebody is about to ask for it, or died before that.
    asked_just_now = "done_at" not in known and _asked_at(note.content) + UNASKED > now
    return bare if asked_just_now else None


def _said(known: Json, told: Told, now: datetime) -> Json | None:
    """Return what a note is to say of an object after an event; None for nothing."""
    if told.until is None:
        ended = "until" in known and parse_time(known["until"]) <= told.at
        return None if ended else known
    if told.until <= now or known.get("until") == format_time(told.until):
        return known
    return {"done_at": format_time(told.at), **known, "until": format_time(told.until)}


def _tell(note: Note, work: Completing) -> None:
    """Tell people if nothing of what was asked for together is under way any more.

    Whoever comes last finds that all others have been written, so somebody tells it. Two who come
    at the same moment may both tell it.
    """
    request = note.content["request"]
    key = f"restoring#{request}"
    if work.mail is None or work.notes.read(key).content or any(_of(request, LIST, work)):
        return
    # This one may not be in the index yet.
    ready = {each.key: each for each in (note, *_of(request, THERE, work))}
    work.mail.send(*_letter(list(ready.values())))
    told = {"told_at": format_time(work.clock.now()), "calls": len(ready)}
    change(key, lambda noted: replace(noted, content=noted.content or told), work.notes)


def _of(request: str, name: str, work: Completing) -> Iterator[Note]:
    listed = work.notes.listed(name, until=_EVER)
    return (note for note in listed if note.content["request"] == request)


def _letter(ready: Sequence[Note]) -> tuple[str, str]:
    """Return subject and words of a mail about calls that can be read now."""
    untils = {
        note.key.split("#", 2)[2]: min(
            parse_time(each["until"]) for each in note.content["objects"].values()
        )
        for note in ready
    }
    what = "1 call" if len(untils) == 1 else f"{len(untils)} calls"
    until = _minute(min(untils.values()))
    lines = [f"{call}  until {_minute(untils[call])}" for call in sorted(untils)[:MAILED]]
    if len(untils) > MAILED:
        lines.append(f"and {len(untils) - MAILED} more: `legato restore --list`")
    words = f"{what} can be read until {until}: `legato get CALL` fetches a call.\n\n"
    return f"Legato: {what} can be read until {until}", words + "\n".join(lines) + "\n"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _call_of(key: str) -> tuple[str, str] | None:
    """Return the provider and the call to which an object of the archive belongs."""
    match key.split("/"):
        case ["calls", provider, _, _, _, call, _, *_] if provider in PROVIDERS:
            return provider, unquote(call)
    return None


def _key(provider: str, call: str) -> str:
    return f"restore#{provider}#{call}"
