"""The values that Legato speaks in. They know no provider and no AWS."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

type Json = dict[str, Any]

JOB_VERSION = 1
PROVIDER_NAMES = {"ringex": "RingEX", "ringcx": "RingCX", "kazoo": "Kazoo"}
PROVIDERS = tuple(PROVIDER_NAMES)
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "au": "audio/basic",
    "flac": "audio/flac",
    "mp4": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
    "wma": "audio/x-ms-wma",
}
"""What recordings come as, by the extension of their keys. Only the first two are decoded."""
LONGEST_ID = 128
"""Bytes. Percent-encoded, three of them and a date are a key of S3, which has 1,024 at most."""
MOST_NAMED = 100
"""Recordings, or other calls, that a notification or a job names."""
MAX_JOB_BYTES = 16 * 1024
"""Of a job's message. Whatever is larger nobody of ours has sent."""
REPLACED = "\N{REPLACEMENT CHARACTER}"

MOST_BEHIND = 1024
"""Bytes behind the audio of a WAV that are not worth a word to a person."""

_ROOM = 1024
"""Bytes that a job gains on its way: moments and counters."""
_SHAPE = re.compile(r"[0-9A-Za-z._~:@!%*+=-]{1,128}")
_DEEPEST = 10
"""Levels of a job's message, of which jobs of ours have three. Python follows a thousand."""
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_MOST_COUNTED = 1_000_000


def is_id(value: object) -> bool:
    """Say whether this is an id that a stranger may name: 128 letters, digits and `._~:@!%*+=-`.

    The ids of all providers have this shape. What comes in from outside is compared with it before
    it goes into a job, a key or a log. Dots alone are none: an address with them is another one.
    """
    return isinstance(value, str) and _SHAPE.fullmatch(value) is not None and is_name(value)


def is_name(value: object) -> bool:
    """Say whether this can be an id: a printable text of at most 128 bytes, not dots alone.

    It is wider than `is_id`: what a provider's own list calls a recording is archived under that
    name, whatever characters it has. Nor is an id what had to be replaced to be written at all.
    """
    if not isinstance(value, str) or not value.strip(".") or not value.isprintable():
        return False
    return REPLACED not in value and len(value.encode()) <= LONGEST_ID


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time. One without a zone is UTC; raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside of the calendar") from error


def parse_moment(text: object) -> datetime:
    """Read a time of this century, as messages have it. Raises ValueError for anything else."""
    if not isinstance(text, str) or not _EARLIEST <= (moment := parse_time(text)) < _LATEST:
        raise ValueError(f"{text!r} is no time of this century")
    return moment


def format_time(moment: datetime) -> str:
    """Write a time as the contracts do: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encoded(name: str) -> str:
    """Percent-encode what S3 or a file system would mind, so that any id is one path segment."""
    safe = quote(name, safe="")
    # quote() leaves dots alone, but a segment of dots alone would climb a file system.
    return safe.replace(".", "%2E") if set(name) <= {"."} else safe


def provider_name(provider: str) -> str:
    """Return a provider's name as people read it."""
    return PROVIDER_NAMES.get(provider, provider)


def person(arn: str) -> str:
    """Return who is behind an ARN: a user's name, or that of a role's session.

    Under single sign-on people share roles, and the session has the person's name. So who takes
    another role is nobody else.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    return arn.rpartition("/")[2].casefold()


class CallId(NamedTuple):
    """Which call it is, in every key, note, message and address.

    One id may name a call in several accounts: those are several calls. The text is the call's
    address, `provider/account/call`: three path segments, whatever the ids consist of.
    """

    provider: str
    account: str
    call: str

    def __str__(self) -> str:
        """Write the address."""
        return "/".join(map(encoded, self))

    @classmethod
    def parse(cls, text: str) -> CallId:
        """Read an address. Raises Refused for anything else."""
        parts = [unquote(part) for part in text.split("/")]
        if len(parts) != len(cls._fields) or parts[0] not in PROVIDERS or not parts[2]:
            raise Refused(f"{text!r} is not a call's address, provider/account/call")
        return cls(*parts)

    @property
    def names(self) -> set[str]:
        """All that names this call: its address, its provider and id, its id."""
        by_provider = {f"{self.provider}/{each}" for each in (self.call, encoded(self.call))}
        return {str(self), self.call} | by_provider

    @classmethod
    def of(cls, said: Json) -> CallId:
        """Return the call that a document names by its `provider`, `account` and `call`."""
        return cls(said["provider"], said["account"], said["call"])


class Priority(IntEnum):
    """Who goes first at a provider's rate limit.

    RESERVED has been promised a moment. BACKFILL lets all others go first.
    """

    BACKFILL = 0
    NORMAL = 1
    RESERVED = 2

    @classmethod
    def of(cls, *, turn: bool, behind: bool) -> Priority:
        """Return the priority of who was promised a `turn`, or goes `behind` all others anyway."""
        if behind:
            return cls.BACKFILL
        return cls.RESERVED if turn else cls.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A message that says "archive this call".

    `seen_at` is when the newest sign of the call was received. `attempt` counts failures, `looks`
    counts how often the provider was asked in vain; a wait spends neither. Before `not_before` the
    job is put back unread, because a queue cannot delay a message for more than 15 minutes. `turn`
    says that the gate has promised it the moment `not_before`. `tried_at` is when it last failed,
    `crashes` how many workers ended on it without a word.
    """

    provider: str
    account: str
    call: str
    seen_at: datetime
    hints: Json = field(default_factory=dict)
    attempt: int = 0
    looks: int = 0
    not_before: datetime | None = None
    turn: bool = False
    tried_at: datetime | None = None
    crashes: int = 0
    extra: Json = field(default_factory=dict)

    @property
    def id(self) -> CallId:
        """The call that is to be archived."""
        return CallId(self.provider, self.account, self.call)

    @property
    def named(self) -> frozenset[str]:
        """The recording ids that are known to exist: a notification or the provider named them."""
        return frozenset(self.hints.get("recordingIds", ()))

    @property
    def listed(self) -> frozenset[str]:
        """Those of them for which the provider's list of changes is the reason of this job."""
        return frozenset(self.hints.get("listed", ()))

    @property
    def related(self) -> frozenset[CallId]:
        """The calls that say they belong to this one, and those that a notification named."""
        told = frozenset(map(CallId.parse, self.hints.get("related", ())))
        return told | {self.id._replace(call=peer) for peer in self.hints.get("peers", ())}

    def anew(self) -> Job:
        """Return the job as it was when nothing had been tried yet, of a size for one message.

        What it does not name any more, the ledger does (legato.ingest.claim).
        """
        fresh = replace(
            self, attempt=0, looks=0, not_before=None, turn=False, tried_at=None, crashes=0
        )
        return next(fresh.parts())

    def parts(self) -> Iterator[Job]:
        """Yield jobs that say together what this one does, each small enough for a message.

        A call's jobs are worked on as one, which may come to name more than one message holds.
        """
        longest = max(_LISTS, key=lambda name: len(self.hints.get(name, ())))
        ids = self.hints.get(longest, ())
        fits = len(ids) <= MOST_NAMED and len(self.to_message()) <= MAX_JOB_BYTES - _ROOM
        if fits or len(ids) < 2:
            yield self
            return
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            yield from replace(self, hints=self.hints | {longest: half}).parts()

    def to_message(self) -> str:
        """Write the job as its queue message, version 1. Unknown fields are passed on."""
        message: Json = {
            **self.extra,
            "v": JOB_VERSION,
            "provider": self.provider,
            "account": self.account,
            "call": self.call,
            "seen_at": format_time(self.seen_at),
            "hints": self.hints,
            "attempt": self.attempt,
            "looks": self.looks,
        }
        if self.not_before is not None:
            message["not_before"] = format_time(self.not_before)
        if self.turn:
            message["turn"] = True
        if self.tried_at is not None:
            message["tried_at"] = format_time(self.tried_at)
        if self.crashes:
            message["crashes"] = self.crashes
        return json.dumps(message, separators=(",", ":"))

    @classmethod
    def from_message(cls, body: str) -> Job:
        """Read a queue message. Raises Refused, naming the field, for what is no job."""
        if len(body) > MAX_JOB_BYTES:
            raise Refused(f"the job has {len(body)} characters, more than {MAX_JOB_BYTES}")
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(f"the job is not valid JSON: {error}") from error
        if not isinstance(message, dict):
            raise Refused("the job is not a JSON object")
        if not _is_shallow(message, _DEEPEST):
            raise Refused(f"the job is nested deeper than {_DEEPEST} levels")
        if message.pop("v", None) != JOB_VERSION:
            raise Refused(f"the job's version `v` is not {JOB_VERSION}")
        try:
            not_before = message.pop("not_before", None)
            tried_at = message.pop("tried_at", None)
            job = cls(
                provider=_taken(message, "provider", str),
                account=_taken(message, "account", str),
                call=_taken(message, "call", str),
                seen_at=parse_moment(_taken(message, "seen_at", str)),
                hints=_taken(message, "hints", dict, default={}),
                attempt=_counted(message, "attempt"),
                looks=_counted(message, "looks"),
                not_before=None if not_before is None else parse_moment(not_before),
                turn=message.pop("turn", False) is True,
                tried_at=None if tried_at is None else parse_moment(tried_at),
                crashes=_counted(message, "crashes"),
                extra=message,
            )
        except (TypeError, ValueError) as error:
            raise Refused(f"the job is not valid: {error}") from error
        if job.provider not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise Refused(f"the job's provider {job.provider!r} is not one of {known}")
        if not is_name(job.call):
            raise Refused("the job's `call` is no id")
        if job.account and not is_name(job.account):
            raise Refused("the job's `account` is no id")
        _check_hints(job.hints)
        return job


_LISTS = ("recordingIds", "listed", "peers", "related")
_FLAGS = ("ongoing", "behind", "many", "retry")
_TEXTS = ("key", "version")
_LONGEST_TEXT = 1024
"""Characters of a key of S3, or of a version's id."""


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    within = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in within)


def _check_hints(hints: Json) -> None:
    """Raise Refused for a hint that is none. What nobody knows is passed on."""
    for hint in _LISTS:
        ids = hints.get(hint, [])
        if not isinstance(ids, list) or len(ids) > MOST_NAMED:
            raise Refused(f"the job's `hints.{hint}` is not a list of at most {MOST_NAMED} ids")
        if hint != "related" and not all(map(is_name, ids)):
            raise Refused(f"the job's `hints.{hint}` is not a list of ids")
    for address in hints.get("related", ()):
        if not isinstance(address, str) or not all(map(is_name, CallId.parse(address))):
            raise Refused("the job's `hints.related` is not a list of calls' addresses")
    for hint in _FLAGS:
        if not isinstance(hints.get(hint, False), bool):
            raise Refused(f"the job's `hints.{hint}` is not true or false")
    for hint in _TEXTS:
        text = hints.get(hint, "")
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            raise Refused(f"the job's `hints.{hint}` is not a text")


def _counted(message: Json, name: str) -> int:
    count = _taken(message, name, int, default=0)
    if not 0 <= count <= _MOST_COUNTED:
        raise ValueError(f"`{name}` counts nothing")
    return count


def _taken[T](message: Json, name: str, kind: type[T], default: T | None = None) -> T:
    value = message.pop(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"`{name}` is missing or not of type {kind.__name__}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a call, as the provider names it.

    RingCX does not say who called whom: its sides are `contact`, `channel` and `agent`.
    """

    role: Literal["from", "to", "contact", "channel", "agent"]
    number: str | None = None
    name: str | None = None
    extension: str | None = None
    agent: str | None = None

    @property
    def label(self) -> str:
        """What a person knows it by: a name before an extension, a number, an id.

        RingCX's agents are known by their ids: their extensions are ids of another system.
        """
        agent = self.agent if self.role == "agent" else None
        return self.name or agent or self.extension or self.number or self.agent or ""

    def includes(self, other: Party) -> bool:
        """Say whether it says all that another one says, or more."""
        said = other.to_json().items()
        return all(value is None or value == getattr(self, name) for name, value in said)

    def to_json(self) -> Json:
        """Write the party for the manifest."""
        return {
            "role": self.role,
            "number": self.number,
            "name": self.name,
            "extension": self.extension,
            "agent": self.agent,
        }


def distinct(parties: Iterable[Party]) -> tuple[Party, ...]:
    """Return parties in their order, without those of which another one says as much or more."""
    found: list[Party] = []
    for party in parties:
        if not party.label or any(known.includes(party) for known in found):
            continue
        found = [known for known in found if not party.includes(known)] + [party]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One recording that the provider lists. `announced_ms` is the length that it states."""

    id: str
    started_at: datetime
    address: str
    announced_ms: int | None = None
    named_only: bool = False
    """Known from a notification only: the provider's log does not list it (yet)."""
    behind: bool = False
    """There is no hurry: who asks the provider for something else goes first."""
    tries: int = 0
    """How often it was asked for in vain."""
    unverified: str | None = None
    """Why nobody knows whose it is, if it came by itself and only its sender says so."""
    details: Json | None = None
    """What the provider says of this leg alone, for the manifest."""
    parties: tuple[Party, ...] = ()
    """Who spoke on this leg, as far as the provider says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A recording that the provider lists in words that nobody understands.

    `id` names it as well as can be: by its own id, or by where it stands in the records.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a provider says of one call. No legs: not recorded, or not listed yet."""

    call: str
    account: str
    legs: tuple[Leg, ...] = ()
    ongoing: bool = False
    short: bool = False
    """A recording was too short for the provider to keep it."""
    final: bool = False
    """Nothing more will be listed without a new job, so it is no use to look again."""
    kept_until: datetime | None = None
    """When the provider deletes its recordings."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    direction: str | None = None
    parties: tuple[Party, ...] = ()
    related: tuple[CallId, ...] = ()
    records: tuple[Json, ...] = ()
    """The provider's own records, verbatim."""
    unreadable: tuple[Unreadable, ...] = ()
    """Recordings that are listed, and cannot be fetched. They keep no other from the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What a recording is, by its bytes. `extension` is one of MEDIA_TYPES.

    `duration_ms` is what players play of it. Around that, an encoder may have added `delay_ms` in
    front and `padding_ms` behind, of which its header tells players; in a joined file they are
    heard. `lacks_ms` is what the last frame lacks, or what the header of a WAV promises beyond what
    is there. `varies` says that the sample rate or the channels change on the way; the numbers are
    the first ones then. `beside` counts the bytes that are no audio, by what they are. What has a
    codec that nobody decodes here says so in `unsupported`, and its numbers are 0 if not known.
    """

    extension: str
    media_type: str
    codec: str
    sample_rate: int
    channels: int
    duration_ms: int
    delay_ms: int = 0
    padding_ms: int = 0
    lacks_ms: int = 0
    varies: bool = False
    unsupported: str | None = None
    beside: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def whole_ms(self) -> int:
        """How long it is in a joined file, where nobody leaves anything out."""
        return self.delay_ms + self.duration_ms + self.padding_ms

    @property
    def unheard(self) -> str | None:
        """Why it, or a part of it, is kept and cannot be heard; None if it can."""
        if self.unsupported is not None:
            return f"unsupported codec: {self.unsupported}"
        for what in ("another file", "unknown bytes"):
            if self.extension == "wav" and (size := self.beside.get(what, 0)) > MOST_BEHIND:
                return f"behind its audio stand {size:,} bytes: {what}"
        return None

    @property
    def format(self) -> tuple[str, str, int, int]:
        """What must be the same for recordings to be written one behind the other."""
        return self.extension, self.codec, self.sample_rate, self.channels


def offsets_ms(legs: Sequence[AudioFacts]) -> tuple[int, ...]:
    """Return where the sound of each leg begins when they play one after the other."""
    if len(legs) == 1:
        return (0,)
    begins = accumulate((leg.whole_ms for leg in legs), initial=0)
    return tuple(begin + leg.delay_ms for begin, leg in zip(begins, legs, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object of the archive. `sha256` is lower-case hex, `size` is in bytes.

    `checksum` is what the store itself keeps of the bytes. An object that came as a stream does not
    say its own `sha256`: it is empty then, and the ledger knows it by the checksum.
    """

    key: str
    version_id: str
    size: int
    sha256: str
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A small object as it was read: its bytes, their own SHA-256, and when the store got them."""

    object: StoredObject
    body: bytes
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardIn:
    """The other leg in which all of a leg is heard, so that it is not played again.

    `shift_ms` is by how much later than the times of both say, `alike` the correlation of how loud
    each tenth of a second is.
    """

    leg: str
    shift_ms: int
    alike: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLeg:
    """A leg whose bytes are in the archive.

    `short_ms` is how much shorter it is than the provider states; little is not counted.
    """

    leg: Leg
    object: StoredObject
    audio: AudioFacts
    short_ms: int = 0
    heard_in: HeardIn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something else that the ledger remembers: a gate, a token, a cursor. Empty if never written.

    `version` counts the writes, as in a call's state. A note that is `listed` under a name, with a
    text to order by, can be found among its like until it is written without.
    """

    key: str
    content: Json = field(default_factory=dict)
    version: int = 0
    listed: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A version of an object in the inbox; the newest, if `version_id` is empty.

    `facts` is what came with the audio, by its field; `size` is in bytes.
    """

    key: str
    version_id: str
    arrived_at: datetime
    size: int = 0
    facts: Json = field(default_factory=dict)


type CallStatus = Literal["new", "ongoing", "working", "waiting", "archived", "empty", "failed"]
type TroubleKind = Literal[
    "refused",
    "missing",
    "failing",
    "limited",
    "deadly",
    "damaged",
    "short",
    "unreadable",
    "unjoined",
    "unverified",
    "unheard",
    "lost",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why one recording of a call is not in the archive, or not as it should be.

    `refused`: the provider hands it out to nobody. `missing`: it answers 404. `failing`: 5xx, a
    broken connection, too slow. `limited`: 429 for this one, while others are granted. `deadly`: a
    worker ended on it without a word. `damaged`: what came is no whole recording. `short`: it lacks
    more than the provider says it is long. `unreadable`: nobody understands how it is listed.
    `unjoined`: all legs are kept and cannot be joined. `unverified`: it is kept, and came by itself
    from somebody who only says whose it is. `lost`: nothing more can be done.

    `tries` counts how often it was asked for since `since`, `spent` those that were not the
    provider's own outage. `tried_at` is the last time, `next_at` the next one; None where only a
    person can help.
    """

    kind: TroubleKind
    reason: str
    since: datetime
    tried_at: datetime
    tries: int = 1
    spent: int = 1
    next_at: datetime | None = None

    def to_json(self) -> Json:
        """Write it for the ledger."""
        return {
            "kind": self.kind,
            "reason": self.reason,
            "since": format_time(self.since),
            "tried_at": format_time(self.tried_at),
            "tries": self.tries,
            "spent": self.spent,
            "next_at": self.next_at and format_time(self.next_at),
        }

    @classmethod
    def from_json(cls, written: Json) -> Trouble:
        """Read what `to_json` wrote."""
        return cls(
            kind=written["kind"],
            reason=written["reason"],
            since=parse_time(written["since"]),
            tried_at=parse_time(written["tried_at"]),
            tries=int(written["tries"]),
            spent=int(written["spent"]),
            next_at=parse_time(written["next_at"]) if written["next_at"] else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """The ledger's entry of one call.

    `looked_at` is when the provider was last asked about it, `next_look_at` when a job that waits
    in the queue will ask again, `lease_until` how long a worker holds it, for the queue messages
    `lease_messages`. `legs` maps the id of each archived leg to its SHA-256, `related` holds the
    calls that its newest manifest names, `catalogued` is the revision that the catalogue has.
    `version` counts the writes, so that no write hides
    another.
    """

    provider: str
    account: str
    call: str
    status: CallStatus = "new"
    seen_at: datetime | None = None
    named: frozenset[str] = frozenset()
    looked_at: datetime | None = None
    next_look_at: datetime | None = None
    lease_until: datetime | None = None
    lease_messages: frozenset[str] = frozenset()
    prefix: str | None = None
    revision: int = 0
    legs: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    related: frozenset[CallId] = frozenset()
    manifest: StoredObject | None = None
    catalogued: int = 0
    reason: str | None = None
    version: int = 0

    @property
    def id(self) -> CallId:
        """The call that the entry is of."""
        return CallId(self.provider, self.account, self.call)

    def changed(self, **changes: Any) -> CallState:
        """Return a copy with these fields replaced."""
        return replace(self, **changes)
