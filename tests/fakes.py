"""The ports, in memory. Each is as short as what it stands for allows."""

import base64
import hashlib
from bisect import bisect_left, insort
from collections import UserDict
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from uuid import uuid4

from legato.archive.library import Cold, State, Stored
from legato.catalogue.index import CataloguePage
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.disk import create
from legato.errors import (
    Conflict,
    DamagedAudio,
    Failed,
    LegatoError,
    NotAudio,
    NotYet,
    Retry,
    Stale,
)
from legato.ingest.ports import Ports
from legato.ledger.accounts import only_account_key
from legato.model import (
    AudioFacts,
    CallId,
    CallState,
    Job,
    Leg,
    Listing,
    Note,
    StoredDocument,
    StoredObject,
)
from legato.ports import Joined, Levels, Sent
from legato.providers.kazoo.inbox import Inbox
from legato.providers.ringex.account import RingexAccount
from legato.tuning import Policy

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


BAD_LOCATIONS = (
    "https://[::1/x",
    "https://[evil]/x",
    "https://h:99999/x",
    "https://h:-1/x",
    "https://h:port/x",
    "https://xn--/x",
    "https://\x00/x",
    "https://a b/x",
    "https://\u2100.com/x",
    "https://a:hidden@evil.example.com/x",
    "file:///etc/passwd",
    "javascript:alert(1)",
)
"""Where a redirect may not lead, and no request may go."""


class FakeServer:
    """Answers requests by path: with a response, a list of them, or what a function returns.

    For httpx.MockTransport; every request is remembered.
    """

    def __init__(self):
        self.requests = []
        self.answers = {}

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers[request.url.path]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        return answer(request) if callable(answer) else answer

    def paths(self):
        return [request.url.path for request in self.requests]


class FakeClock:
    def __init__(self, moment=NOON):
        self.moment = moment

    def now(self):
        return self.moment

    def advance(self, seconds):
        self.moment += timedelta(seconds=seconds)


class FakeJobs:
    def __init__(self):
        self.sent = []
        self.buried = []
        self.deleted = []
        self.redelivered = []
        self.refusal = None

    def send(self, job, *, delay):
        if self.refusal:
            raise self.refusal
        self.sent.append((job, delay))

    def bury(self, body, *, reason):
        if self.refusal:
            raise self.refusal
        self.buried.append((body, reason))

    def delete(self, receipt):
        if self.refusal:
            raise self.refusal
        self.deleted.append(receipt)

    def redeliver(self, receipts, *, after):
        if self.refusal:
            raise self.refusal
        self.redelivered.append((list(receipts), after))


class FakeLedger:
    def __init__(self):
        self.entries = {}

    def load(self, call):
        return self.entries.get(call, CallState(**call._asdict()))

    def save(self, state):
        known = self.load(state.id)
        if known.version != state.version:
            raise Stale("changed in between")
        saved = replace(state, version=state.version + 1)
        self.entries[state.id] = saved
        return saved

    def load_all(self, calls):
        return [self.load(call) for call in calls]


class FakeNotes:
    def __init__(self):
        self.notes = {}
        self.lists = {}

    def read(self, key):
        return self.notes.get(key, Note(key=key))

    def write(self, note):
        known = self.read(note.key)
        if known.version != note.version:
            raise Stale("changed in between")
        if known.listed:
            self.lists[known.listed[0]].pop(note.key, None)
        if note.listed:
            self.lists.setdefault(note.listed[0], {})[note.key] = None
        self.notes[note.key] = replace(note, version=note.version + 1)
        return self.notes[note.key]

    def first(self, name):
        return min(self._listed(name), key=lambda note: note.listed[1], default=None)

    def listed(self, name, *, until):
        due = [note for note in self._listed(name) if note.listed[1] <= until]
        yield from sorted(due, key=lambda note: note.listed[1])

    def read_all(self, keys):
        return [self.read(key) for key in keys]

    def count(self, name, *, most):
        return min(len(self._listed(name)), most)

    def _listed(self, name):
        return [self.notes[key] for key in self.lists.get(name, ()) if key in self.notes]


class LockedNotes(FakeNotes):
    """For several threads: they write one after the other."""

    def __init__(self):
        super().__init__()
        self._lock = Lock()

    def write(self, note):
        with self._lock:
            return super().write(note)


class FakeCatalogue:
    """Holds `rows` by call; a cursor is the place of the last call of a page."""

    def __init__(self):
        self.rows = {}
        self.refusal = None
        self.where = f"fake {uuid4()}"

    def row(self, call):
        return self.rows.get(call)

    def write(self, row, *, over):
        if self.refusal:
            raise self.refusal
        known = self.row(row.id)
        if (known and known.version) != (over and over.version):
            raise Stale("changed in between")
        version = known.version + 1 if known else 1
        self.rows[row.id] = replace(row, version=version)

    def remove(self, row):
        del self.rows[row.id]

    def find(self, query, *, limit, cursor=None):
        found = [row for row in self.rows.values() if query.matches(row)]
        found = [row for row in found if cursor is None or row.place < cursor]
        found.sort(key=lambda row: row.place, reverse=True)
        more = len(found) > limit
        return CataloguePage(
            rows=tuple(found[:limit]),
            cursor=found[limit - 1].place if more else None,
            reached=found[limit - 1].started_at if more else None,
        )

    def beginning(self, begins):
        begins = begins.casefold()
        found = [
            (each.casefold(), row.id)
            for row in self.rows.values()
            for each in row.own_ids
            if len(begins) > 1 and each.casefold().startswith(begins)
        ]
        return list(dict.fromkeys(call for _, call in sorted(found)))


class FakeAccesses:
    def __init__(self):
        self.noted = {}
        self.refusal = None

    def note(self, access):
        if self.refusal:
            raise self.refusal
        self.noted[access.at, access.id] = access

    def of_call(self, call):
        for _, access in sorted(self.noted.items(), reverse=True):
            if call in access.calls:
                yield replace(access, calls=(call,))

    def between(self, begin, end):
        for (at, _), access in sorted(self.noted.items(), reverse=True):
            if begin <= at < end:
                yield access


class Keys(UserDict):
    """Objects by key, of which those with a prefix are found without looking at all of them."""

    def __init__(self):
        self.ordered = []
        super().__init__()

    def __setitem__(self, key, body):
        if key not in self.data:
            insort(self.ordered, key)
        self.data[key] = body

    def __delitem__(self, key):
        del self.data[key]
        del self.ordered[bisect_left(self.ordered, key)]

    def below(self, prefix):
        begin = bisect_left(self.ordered, prefix)
        return list(
            takewhile(lambda key: key.startswith(prefix), islice(self.ordered, begin, None))
        )


class FakeArchive:
    """Holds `objects` in their `storage_classes`; those in `streamed` do not say their SHA-256.

    Over those that are `hidden` lies a delete marker, over those in `newer` another version. Those
    in `holds` are under legal hold, and so is what is written by one that is `on_hold`. `times` has
    when it got them, by its `clock`.
    """

    on_hold = False

    def __init__(self, clock=None):
        self.clock = clock or FakeClock()
        self.times = {}
        self.objects = Keys()
        self.storage_classes = {}
        self.streamed = set()
        self.hidden = set()
        self.newer = set()
        self.holds = set()
        self.refusal = None

    @contextmanager
    def upload(self, key, *, media_type, storage_class):
        self._obey()
        yield FakeUpload(self, key, storage_class)

    def put_file(self, key, path, *, sha256, media_type, storage_class):
        body = path.read_bytes()
        assert hashlib.sha256(body).hexdigest() == sha256
        return self.put(key, body, storage_class)

    def put_bytes(self, key, body, *, media_type):
        return self.put(key, body, "STANDARD")

    def find(self, prefix):
        return {key: self._described(key) for key in self._shown(prefix)}

    def first(self, prefix, *, after=""):
        return next((key for key in self._shown(prefix) if key > after), None)

    def sizes(self, prefix):
        return {key: len(self.objects[key]) for key in self._shown(prefix)}

    def folders(self, prefix):
        rest = (key.removeprefix(prefix).partition("/") for key in self._shown(prefix))
        return sorted({f"{prefix}{name}/" for name, slash, _ in rest if slash})

    def stored(self, key):
        return self._described(key) if key in self.objects and key not in self.hidden else None

    def _shown(self, prefix):
        return [key for key in self.objects.below(prefix) if key not in self.hidden]

    @contextmanager
    def read(self, key, *, version_id):
        if self.storage_classes.get(key) == "GLACIER":
            raise Failed(f"{key} is in cold storage; restore it and retry")
        yield iter([self.objects[key]])

    def document(self, key, *, version_id=""):
        stored = self.stored(key)
        if stored is None or version_id not in ("", stored.version_id):
            return None
        body = self.objects[key]
        whole = replace(stored, sha256=hashlib.sha256(body).hexdigest(), checksum="")
        return StoredDocument(object=whole, body=body, modified_at=self.times.get(key, NOON))

    def held(self, key, *, version_id):
        return key in self.holds

    def hold(self, prefix, *, on):
        self._obey()
        found = set(self.objects.below(prefix))
        (self.holds.update if on else self.holds.difference_update)(found)
        return len(found)

    def holding(self):
        holding = copy(self)
        holding.on_hold = True
        return holding

    def put(self, key, body, storage_class):
        self._obey()
        if self.on_hold and key not in self.objects:
            self.holds.add(key)
        if self.objects.setdefault(key, body) != body:
            raise Conflict(f"{key} already holds other bytes")
        self.storage_classes.setdefault(key, storage_class)
        self.times.setdefault(key, self.clock.now())
        return self._described(key)

    def _obey(self):
        if self.refusal:
            raise self.refusal

    def _described(self, key):
        body = self.objects[key]
        digest = hashlib.sha256(body)
        return StoredObject(
            key=key,
            version_id="v2" if key in self.newer else "v1",
            size=len(body),
            sha256="" if key in self.streamed else digest.hexdigest(),
            checksum=base64.b64encode(digest.digest()).decode(),
        )


class FakeLibrary:
    """Holds `objects` by key and version, of which the last one of a key is the newest.

    A cold one that is asked for waits in `orders` with its tier and days until it does `arrive`.
    Who reads breaks off after `break_after` bytes, once; `reads` are keys and first bytes.
    """

    def __init__(self, clock=None):
        self.clock = clock or FakeClock()
        self.objects = {}
        self.storage_classes = {}
        self.orders = {}
        self.copies = {}
        self.reads = []
        self.break_after = None
        self.refusals = {}

    def put(self, key, body, *, storage_class="STANDARD", version_id="v1"):
        self.objects[key, version_id] = body
        self.storage_classes[key] = storage_class

    def arrive(self, *keys):
        for key, version_id in list(self.orders):
            if key in keys or not keys:
                _, days = self.orders.pop((key, version_id))
                self.copies[key, version_id] = self.clock.now() + timedelta(days=days)

    def listed(self, prefix):
        newest = {key: version_id for key, version_id in self.objects if key.startswith(prefix)}
        for key, version_id in sorted(newest.items()):
            size = len(self.objects[key, version_id])
            kept_in = self.storage_classes[key]
            yield Stored(key=key, version_id=version_id, size=size, storage_class=kept_in)

    def first(self, prefix, *, after=""):
        keys = sorted(key for key, _ in self.objects if key.startswith(prefix) and key > after)
        return next(iter(keys), None)

    def folders(self, prefix):
        below = (key[len(prefix) :] for key, _ in self.objects if key.startswith(prefix))
        yield from sorted({f"{prefix}{key.partition('/')[0]}/" for key in below if "/" in key})

    def state(self, key, *, version_id):
        return State(
            size=len(self._found(key, version_id)),
            storage_class=self.storage_classes[key],
            restoring=(key, version_id) in self.orders,
            restored_until=self.copies.get((key, version_id)),
        )

    @contextmanager
    def read(self, key, *, version_id, start=0):
        body = self._found(key, version_id)
        if not self.state(key, version_id=version_id).readable:
            raise Cold(f"{key} is in cold storage")
        self.reads.append((key, start))
        yield self._pieces(key, body[start:])

    def _pieces(self, key, body):
        if self.break_after is not None:
            broken, self.break_after = self.break_after, None
            yield body[:broken]
            raise Retry(f"reading {key} broke off")
        for begin in range(0, len(body), 4):
            yield body[begin : begin + 4]

    def restore(self, key, *, version_id, days, tier):
        self._found(key, version_id)
        if key in self.refusals:
            raise self.refusals[key]
        if (key, version_id) in self.copies:
            self.copies[key, version_id] = self.clock.now() + timedelta(days=days)
            return True
        tiers = ("Bulk", "Standard", "Expedited")
        before, _ = self.orders.get((key, version_id), (None, 0))
        if before is not None and tiers.index(tier) <= tiers.index(before):
            return False
        self.orders[key, version_id] = (tier, days)
        return True

    def link(self, key, *, version_id, seconds, name):
        return f"https://archive.test/{key}?versionId={version_id}&expires={seconds}&name={name}"

    def _found(self, key, version_id):
        if (key, version_id) not in self.objects:
            raise Failed(f"{key} is gone, or was never there")
        return self.objects[key, version_id]


class FakeInbox:
    """Holds objects by key, all of version `v1`."""

    def __init__(self):
        self.objects = {}
        self.facts = {}
        self.archived = []
        self.looks = 0
        self.size = 0

    def describe(self, arrival):
        self.looks += 1
        if arrival.key not in self.objects:
            return None
        return replace(arrival, facts=self.facts.get(arrival.key, {}), size=self.size)

    @contextmanager
    def open(self, key, version_id):
        if key not in self.objects:
            raise NotYet(f"{key} is gone from the inbox")
        yield iter([self.objects[key]])

    def mark_archived(self, arrival):
        self.archived.append(arrival.key)


def an_inbox(api, *, length=lambda pieces: 0, **ports):
    """Return Kazoo's inbox over fakes; `length` is what its audio is said to last."""
    parts = {
        "objects": FakeInbox(),
        "jobs": FakeJobs(),
        "ledger": FakeLedger(),
        "notes": FakeNotes(),
        "clock": FakeClock(),
        "accounts": (),
        "max_bytes": 1000,
    }
    return Inbox(api=api, length=length, **{**parts, **ports})


class FakeUpload:
    def __init__(self, archive, key, storage_class):
        self.archive = archive
        self.key = key
        self.storage_class = storage_class
        self.body = b""

    def write(self, piece):
        self.archive._obey()
        self.body += piece

    def finish(self):
        self.archive._obey()
        if not self.body:
            raise Failed(f"nothing was written to {self.key}")
        digest = hashlib.sha256(self.body)
        checksum = base64.b64encode(digest.digest()).decode()
        return Sent(size=len(self.body), sha256=digest.hexdigest(), checksum=checksum)

    def complete(self):
        sent = self.finish()
        stored = self.archive.put(self.key, self.body, self.storage_class)
        self.archive.streamed.add(self.key)
        return replace(stored, sha256=sent.sha256)


@dataclass
class FakeProvider:
    """Lists what `listings` holds and serves what `audio` holds, which may be an error to raise.

    A listing stands under a call's id alone, or under its whole address where that tells more.
    """

    listings: dict[str, Listing | LegatoError] = field(default_factory=dict)
    audio: dict[str, bytes | LegatoError] = field(default_factory=dict)
    failure: LegatoError | None = None
    asked: list[tuple[set[str], set[str]]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    name: str = "ringex"

    def resolve(self, jobs, *, closely=()):
        self.asked.append(({job.call for job in jobs}, {call.call for call in closely}))
        if self.failure:
            raise self.failure
        found = {
            job.id: self.listings.get(str(job.id), self.listings.get(job.call)) for job in jobs
        }
        return {call: listing for call, listing in found.items() if listing is not None}

    def named_leg(self, job, recording):
        return Leg(id=recording, started_at=job.seen_at, address=recording, named_only=True)

    @contextmanager
    def open_leg(self, leg, *, turn=False):
        self.fetched.append(leg.id)
        audio = self.audio.get(leg.id, NotYet(f"no recording {leg.id}"))
        if isinstance(audio, LegatoError):
            raise audio
        yield iter([audio[:3], audio[3:]])


class FakeStitcher:
    """Takes bytes that begin with `mp3` or `wav` for audio of a second a byte."""

    @contextmanager
    def listen(self, head):
        yield FakeListener(self, self._kind(head))

    def together(self, parts):
        peaks = [value for _, levels in parts for value in levels.peaks["data"]]
        return self._levels(peaks)

    def repeated(self, legs):
        return {}

    def inspect(self, path):
        body = path.read_bytes()
        return self.judge(body), self.hear(body)

    def judge(self, body):
        kind = self._kind(body)
        if b"cut" in body:
            raise DamagedAudio("ends in the middle", extension=kind)
        return self._facts(kind, len(body))

    def join(self, legs, target):
        with create(target) as file:
            file.write(b"".join(path.read_bytes() for path, _ in legs))
        kinds = {audio.extension for _, audio in legs}
        offsets = [sum(a.duration_ms for _, a in legs[:i]) for i in range(len(legs))]
        total = sum(audio.duration_ms for _, audio in legs)
        return Joined(
            how="copy" if len(kinds) == 1 else "transcode",
            audio=self._facts("wav" if len(kinds) > 1 else kinds.pop(), total // 1000),
            offsets_ms=tuple(offsets),
        )

    def hear(self, body):
        return self._levels(list(body[:4]))

    @staticmethod
    def _kind(body):
        kind = body[:3].decode()
        if kind not in ("mp3", "wav"):
            raise NotAudio("looks like an HTML page")
        return kind

    @staticmethod
    def _levels(peaks):
        return Levels(
            longest_silence_ms=0,
            silent_share=0.0,
            peak_dbfs=-3.0,
            loudness_dbfs=-20.0,
            peaks={"version": 2, "sample_rate": 8, "samples_per_pixel": 8, "data": peaks},
        )

    @staticmethod
    def _facts(kind, seconds):
        return AudioFacts(
            extension=kind,
            media_type="audio/mpeg" if kind == "mp3" else "audio/wav",
            codec=kind,
            sample_rate=8000,
            channels=1,
            duration_ms=seconds * 1000,
        )


@dataclass
class FakeListener:
    stitcher: FakeStitcher
    extension: str
    body: bytes = b""

    def hear(self, piece):
        self.body += piece

    def heard(self):
        return self.stitcher.judge(self.body), self.stitcher.hear(self.body)


def an_id(call="s-1", *, provider="ringex", account="1"):
    return CallId(provider, account, call)


def a_ringex_account(account="1", *, api=None, notes=None):
    """Return RingEX's account, whose id the ledger knows."""
    notes = notes or FakeNotes()
    notes.write(Note(key=only_account_key("ringex"), content={"account": account}))
    return RingexAccount(api, notes)


def a_job(call="s-1", *, seen_at=NOON - timedelta(seconds=120), named=(), **fields):
    hints = {"recordingIds": list(named)} if named else {}
    facts = {"provider": "ringex", "account": "1", "hints": hints}
    return Job(call=call, seen_at=seen_at, **{**facts, **fields})


def a_leg(name, *, minutes_ago=10.0, address=""):
    return Leg(id=name, started_at=NOON - timedelta(minutes=minutes_ago), address=address or name)


def a_listing(*legs, call="s-1", **fields):
    facts = {"started_at": NOON - timedelta(minutes=10), "ended_at": NOON - timedelta(minutes=2)}
    return Listing(call=call, account="1", legs=legs, **{**facts, **fields})


def a_sweeper(tail, desk) -> partial[SweepAllReport]:
    """Return who sweeps a list that follows one tail; `desk` has jobs, notes and clock."""
    return partial(
        sweep_all,
        provider=tail.name,
        tails=lambda _: [tail],
        jobs=desk.jobs,
        notes=desk.notes,
        clock=desk.clock,
        settle=5,
        retention=lambda watches: dict.fromkeys(watches, 90),
    )


def some_ports(scratch: Path, **ports) -> Ports:
    parts = {
        "provider": FakeProvider(),
        "jobs": FakeJobs(),
        "ledger": FakeLedger(),
        "notes": FakeNotes(),
        "archive": FakeArchive(),
        "stitcher": FakeStitcher(),
        "catalogue": FakeCatalogue(),
        "clock": FakeClock(),
        "policy": Policy(),
    }
    return Ports(scratch=scratch, **{**parts, **ports})


class FakeMail:
    """Keeps what is sent, or refuses to send it."""

    def __init__(self):
        self.sent = []
        self.refusal = None

    def send(self, subject, words):
        if self.refusal:
            raise self.refusal
        self.sent.append((subject, words))
