"""What the use cases need of the world, as protocols. Adapters and test fakes fit them by shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from legato.errors import LegatoError
from legato.model import (
    AudioFacts,
    CallId,
    CallState,
    HeardIn,
    Job,
    Json,
    Leg,
    Listing,
    Note,
    StoredDocument,
    StoredObject,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.model import Unreadable


class Clock(Protocol):
    """Tells the time, so that no test has to wait for it."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...


class Jobs(Protocol):
    """The jobs queue of a provider, and its dead-letter queue."""

    def send(self, job: Job, *, delay: int) -> None:
        """Put a job in the queue, to appear after `delay` seconds (0 to 900).

        Raises Retry when the queue refuses.
        """
        ...

    def bury(self, body: str, *, reason: str) -> None:
        """Put a message in the dead-letter queue with the reason. Raises Retry when refused."""
        ...


class ReceivedJobs(Jobs, Protocol):
    """The queues, for whoever is handed messages of the jobs queue."""

    def delete(self, receipt: str) -> None:
        """Acknowledge a message of the jobs queue by the receipt that came with it.

        Again is no error. Raises Retry when the queue refuses.
        """
        ...

    def redeliver(self, receipts: Sequence[str], *, after: int) -> None:
        """Have messages of the jobs queue come again `after` seconds from now, unless deleted.

        One whose receipt the queue does not take keeps its time. Raises Retry when it refuses all.
        """
        ...


class Ledger(Protocol):
    """What is known and done, one entry a call."""

    def load(self, call: CallId) -> CallState:
        """Return the entry, or a fresh one with status `new` and version 0."""
        ...

    def save(self, state: CallState) -> CallState:
        """Write the entry and return it with its new version.

        Raises Stale if somebody wrote it since `state` was loaded.
        """
        ...


class Notes(Protocol):
    """What functions share beside the calls, one small JSON object a key; also in the ledger."""

    def read(self, key: str) -> Note:
        """Return the note as it is now, or an empty one with version 0. Raises Retry."""
        ...

    def write(self, note: Note) -> Note:
        """Write the note and return it with its new version.

        Raises Stale if somebody wrote it since it was read, Retry.
        """
        ...

    def first(self, name: str) -> Note | None:
        """Return the first of the notes listed under this name, or None. Raises Retry.

        It may be a moment old, so whoever writes it reads it again.
        """
        ...


class Lists(Notes, Protocol):
    """Notes of which a whole list can be gone through."""

    def listed(self, name: str, *, until: str) -> Iterator[Note]:
        """Yield the notes listed under this name in their order, up to `until`. Raises Retry.

        What is written meanwhile may be missed, and a note that moves may come again.
        """
        ...


class WholeLedger(Ledger, Protocol):
    """The ledger, for whoever looks at many calls: a hundred come with one request."""

    def load_all(self, calls: Iterable[CallId]) -> list[CallState]:
        """Return the entries of these calls, in this order, as `load` does. Raises Retry."""
        ...


class WholeLists(Lists, Protocol):
    """Notes, for whoever looks at many of them."""

    def read_all(self, keys: Iterable[str]) -> list[Note]:
        """Return these notes, in this order, as `read` does. Raises Retry."""
        ...

    def count(self, name: str, *, most: int) -> int:
        """Return about how many notes are listed under this name, up to `most`. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Somebody's look at calls, or a step of a legal hold, of which the archive has a record.

    `by` is an ARN, `at` is to the millisecond, `key` the record's.
    """

    id: str
    at: datetime
    by: str
    action: str
    calls: tuple[CallId, ...]
    reason: str
    case: str
    details: Json
    key: str


class Accesses(Protocol):
    """What the access log is looked up in; the records themselves are in the archive."""

    def note(self, access: Access) -> None:
        """Note an access, for each of its calls and overall; again is no other one. Raises Retry.

        Whoever dies on the way has noted a part of it: the same again makes up for it.
        """
        ...

    def of_call(self, call: CallId) -> Iterator[Access]:
        """Yield the accesses to a call, the newest first. Raises Retry.

        Of an access to many calls only this one is in `calls`.
        """
        ...

    def between(self, begin: datetime, end: datetime) -> Iterator[Access]:
        """Yield all accesses from `begin` on and before `end`, the newest first. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent of an object that is not complete yet. Fields as in StoredObject."""

    size: int
    sha256: str
    checksum: str


class Upload(Protocol):
    """An object on its way into the archive. Nobody sees anything of it before it is complete."""

    def write(self, piece: bytes) -> None:
        """Add bytes, of which no more than one part is held in memory. Raises Retry."""
        ...

    def finish(self) -> Sent:
        """Send what is left and say what was sent. Raises Retry."""
        ...

    def complete(self) -> StoredObject:
        """Let the finished object appear; the same bytes already there are success.

        Raises Conflict when the key holds other bytes, Retry when the store fails.
        """
        ...


class Archive(Protocol):
    """The bucket. Nothing in it is ever overwritten."""

    def upload(
        self, key: str, *, media_type: str, storage_class: str
    ) -> AbstractContextManager[Upload]:
        """Begin an object that comes as a stream. Left before it is complete, nothing remains."""
        ...

    def put_file(
        self, key: str, path: Path, *, sha256: str, media_type: str, storage_class: str
    ) -> StoredObject:
        """Store a file whole or not at all; the same bytes already there are success.

        Raises Conflict when the key holds other bytes, Retry when the store fails.
        """
        ...

    def put_bytes(self, key: str, body: bytes, *, media_type: str) -> StoredObject:
        """Store a small object in class STANDARD, by the same rules."""
        ...

    def find(self, prefix: str) -> dict[str, StoredObject]:
        """Return every object below the prefix, by key."""
        ...

    def first(self, prefix: str, *, after: str = "") -> str | None:
        """Return the first key below the prefix, or the first one after another. Raises Retry."""
        ...

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of every object below the prefix, by key. Raises Retry."""
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below a prefix, each with it and a slash. Raises Retry."""
        ...

    def stored(self, key: str) -> StoredObject | None:
        """Return what a key shows now, or None if it shows nothing. Raises Retry."""
        ...

    def read(self, key: str, *, version_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object for reading in pieces.

        Raises Retry, Failed if it is cold, Conflict if it is known to hold other bytes by now.
        """
        ...

    def document(self, key: str, *, version_id: str = "") -> StoredDocument | None:
        """Read one version of a small object, or what its key shows now; None if it is not there.

        Raises Retry, Failed if it is cold or not small.
        """
        ...

    def held(self, key: str, *, version_id: str) -> bool:
        """Say whether a version of an object is under legal hold. Raises Retry."""
        ...

    def hold(self, prefix: str, *, on: bool) -> int:
        """Place all versions of all objects below the prefix under legal hold, or release them.

        In whatever storage class; returns how many there are. Raises Retry.
        """
        ...

    def holding(self) -> Archive:
        """Return this archive, writing under legal hold."""
        ...


class Provider(Protocol):
    """One telephony provider: who is asked about calls, and who hands out recordings."""

    name: str

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | LegatoError]:
        """Ask about all these calls together, and about those in `closely` one by one.

        A call that the provider does not list is absent from the answer; one whose records cannot
        be understood, or that must wait, is answered with the error. Raises Wait when the
        provider's limit is reached, Barred when it refuses us, Retry for a passing fault.
        """
        ...

    def named_leg(self, job: Job, recording: str) -> Leg:
        """Return the leg for a recording id that only a notification named."""
        ...

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        """Open a leg's recording for reading in pieces; `turn` is for who was promised one.

        Raises NotYet when the provider does not have it (yet), and as `resolve` does.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """How legs became one file. `offsets_ms` says for each leg where its sound begins in it."""

    how: Literal["copy", "transcode"]
    audio: AudioFacts
    offsets_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How loud a recording is, and its picture.

    `peaks` is audiowaveform's JSON format, version 2, 8 bits, channels mixed to one. `envelope` is
    how loud each tenth of a second is, in half decibels above silence; it is not kept.
    """

    longest_silence_ms: int
    silent_share: float
    peak_dbfs: float | None
    loudness_dbfs: float | None
    peaks: Json
    envelope: bytes = field(default=b"", repr=False, compare=False)


class Listener(Protocol):
    """Listens to a recording while it passes by, in bounded memory."""

    extension: str

    def hear(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises DamagedAudio, TooLarge when it grows too long, NotAudio when none comes after all.
        """
        ...

    def heard(self) -> tuple[AudioFacts, Levels]:
        """Say what it was, after its last byte. Raises DamagedAudio if it is not whole."""
        ...


class Stitcher(Protocol):
    """The only one who touches audio."""

    def listen(self, head: bytes) -> AbstractContextManager[Listener]:
        """Begin to listen to a recording whose first bytes are `head`: 4096, or all if it is less.

        They tell the format, and are to be given to `hear` too. Raises NotAudio.
        """
        ...

    def inspect(self, path: Path) -> tuple[AudioFacts, Levels]:
        """Listen to a file, and say what it is by its bytes and never by its name.

        Raises NotAudio for what is no audio, DamagedAudio for audio that does not decode to its
        end, TooLarge for audio longer than the limit.
        """
        ...

    def together(self, parts: Sequence[tuple[AudioFacts, Levels]]) -> Levels:
        """Return the levels and peaks of recordings that play one after the other."""
        ...

    def repeated(self, legs: Mapping[str, tuple[datetime, Levels]]) -> Mapping[str, HeardIn]:
        """Say of legs, by when they began, which are heard in another one of them, and where."""
        ...

    def join(self, legs: Sequence[tuple[Path, AudioFacts]], target: Path) -> Joined:
        """Write the legs into `target`, one after the other. Raises Failed, TooLarge."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The records of one call that are new or were rewritten, by their ids.

    `began_at` is when the oldest of its recordings began, as far as they say.
    """

    id: CallId
    records: Mapping[str, Json]
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TailPage:
    """What changed since a cursor, and the cursor to go on from.

    `read_to` is the moment up to which nothing is left to read; None if there is `more`. `strays`
    are records with a recording that say of no call that they are its: nobody can archive them.
    A `fault` ends the run once the page is taken in: it is no use to ask for the next one now. Of
    a page that was not `answered` by the provider nothing was learned.
    """

    changes: tuple[Change, ...]
    cursor: Json
    more: bool
    read_to: datetime | None = None
    strays: tuple[Json, ...] = ()
    fault: LegatoError | None = None
    answered: bool = True


class RecordReader(Protocol):
    """Whose records are taken in, and what they say.

    `name` is the provider, `watch` the name under which calls are listed until they are archived
    (legato.ledger.unarchived). What is found is in no hurry if `behind`.
    """

    name: str
    watch: str
    behind: bool

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        """Return the ids of the recordings that records name."""
        ...

    def unreadable(self, records: Iterable[Json]) -> Sequence[Unreadable]:
        """Return the recordings that records name in words that nobody understands."""
        ...


class Tail(RecordReader, Protocol):
    """A provider's list of changes, read from its end.

    `key` tells its lists apart. One that is `late` reads on purpose what another one has read.
    """

    key: str
    late: bool

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return what changed since the cursor; an empty one is the very first.

        `turn` is for who was promised one. Raises Wait, Barred or Retry as Provider.resolve does.
        """
        ...


class Follower(Tail, Protocol):
    """A tail that can go on behind what cannot be read, and read that in another way."""

    def beyond(self, cursor: Json) -> Beyond | None:
        """Return how to step over the page at this cursor; None while that is not possible."""
        ...

    def stretch(self, begin: datetime, end: datetime, *, key: str) -> Tail:
        """Return who reads what this tail would find from `begin` to `end`, under this key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Where a tail goes on (`cursor`) if it steps over what lies from `begin` to `end`.

    It would have looked there again until `again_after` has passed. The gap is read `elsewhere` if
    in another list than the tail's, so that it may be readable at once.
    """

    begin: datetime
    end: datetime
    cursor: Json
    again_after: timedelta = timedelta()
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter. `receipt` is what its queue knows it by."""

    id: str
    body: str
    reason: str
    sent_at: datetime
    receipt: str = field(repr=False)


class DeadLetters(Protocol):
    """A provider's dead-letter queue, and the jobs queue that its letters came from."""

    def read(self) -> AbstractContextManager[Sequence[Letter]]:
        """Show all letters. Those that are not deleted meanwhile are let go at the end.

        Raises Retry.
        """
        ...

    def put_back(self, body: str) -> None:
        """Put a message into the jobs queue. Raises Retry."""
        ...

    def delete(self, letter: Letter) -> None:
        """Delete a letter that was read. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True)
class SourceRecording:
    """What names a recording at its provider."""

    account: str
    id: str


class RecordingRemover(Protocol):
    """A provider that deletes recordings when it is asked to, at most `at_once` in a request."""

    name: str
    at_once: int

    def removable(self, account: str, leg: Json) -> bool:
        """Say whether a leg of an account's manifest is known to be a recording of this provider's.

        It may be asked for it: raises Failed or Denied if that tells that it is another one, else
        as `remove` does.
        """
        ...

    def remove(self, recordings: Sequence[SourceRecording]) -> None:
        """Delete recordings.

        Raises NotYet if it does not have one of them (any more), Failed if it refuses one of them,
        else as Provider.resolve does. What became of the others is not known then.
        """
        ...


class Mail(Protocol):
    """Who tells people."""

    def send(self, subject: str, words: str) -> None:
        """Send a message. `subject` is ASCII, at most 100 characters. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many messages a queue holds, about: to be taken, taken by somebody, to appear later."""

    waiting: int
    taken: int
    delayed: int

    @property
    def all(self) -> int:
        return self.waiting + self.taken + self.delayed


class Backlog(Protocol):
    """A queue, of which only its depth is of interest."""

    def depth(self) -> Depth:
        """Return how many messages it holds. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One that the provider lists. `flaw` says why it does not bring us what it should."""

    id: str
    address: str
    expires_at: datetime
    flaw: str | None = None


class Subscriptions(Protocol):
    """The subscriptions at the provider. Every method raises Wait, Barred, Retry or Failed."""

    def list(self) -> Sequence[Subscription]:
        """Return all that the provider shows us, also those of other addresses."""
        ...

    def create(self, *, address: str, token: str, seconds: int) -> Subscription:
        """Subscribe an address, which the provider tries at once, for so many seconds."""
        ...

    def renew(self, name: str) -> Subscription:
        """Let it live for as long as it was made for. Raises NotYet if it is gone."""
        ...

    def delete(self, name: str) -> None:
        """Delete it. One that is gone already is success."""
        ...


class Recorded(Tail, Protocol):
    """What one `source` of a provider says was recorded in the time from `begin` to `end`.

    A source is a sub-account, an account, or a user. The provider keeps recordings for `kept`.
    """

    source: str
    begin: datetime
    end: datetime
    kept: timedelta

    def share(self, cursor: Json) -> float:
        """Return how much of it a reader with this cursor has read, 0 to 1."""
        ...

    def requests(self, cursor: Json) -> int:
        """Return how many requests are left to its end, at least."""
        ...

    def length(self, record: Json) -> timedelta:
        """Return how long a record's recordings are, or no time if it does not say so."""
        ...

    def began_at(self, record: Json) -> datetime | None:
        """Return when the recording of a record began, as far as it says so."""
        ...

    def covers(self, account: str, recording: str) -> bool:
        """Say whether a recording of an account has to be in this list."""
        ...


@dataclass(slots=True, kw_only=True)
class SweepReport:
    """What a sweep did. `age` is how old the newest knowledge is afterwards.

    `began`: it was read. `busy`: another reader is at work. `rests`: how long the tail is left
    alone, because it was read a moment ago. `done`: nothing is left to read. `stopped`: what ended
    the run before its end.
    """

    records: int = 0
    calls: int = 0
    jobs: int = 0
    age: timedelta = field(default_factory=timedelta)
    began: bool = False
    busy: bool = False
    rests: timedelta = field(default_factory=timedelta)
    done: bool = False
    stopped: LegatoError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A KMS key. `state` is KMS's own word, such as Enabled or PendingDeletion."""

    arn: str
    state: str
    symmetric: bool
    encrypts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An address that gets the mails of a topic, once it has confirmed that."""

    address: str
    confirmed: bool
