"""A whole day in a minute: the real use cases and the real RingCentral client, in virtual time.

The simulator answers in the same process, queue and ledger are in memory, and the clock jumps from
one message to the next. So limits are those of production, and nothing waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx

from legato.discovery.sweep import sweep
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.errors import NotAudio
from legato.ingest.batch import MOST_RECEIVES, Message, archive
from legato.model import AudioFacts, Job
from legato.ports import Depth, Levels
from legato.providers.ringex.account import RingexAccount
from legato.providers.ringex.api import RingexApi
from legato.providers.ringex.provider import Ringex
from legato.providers.ringex.tail import RingexTail
from legato.providers.ringex.tailed import TailedRingex
from legato.settings import Limit
from legato.tuning import Policy
from local.simulators.ringex.app import create_app
from local.simulators.ringex.calls import CallOrder, LegOrder
from local.simulators.ringex.config import Config
from local.simulators.ringex.faults import Fault
from tests.fakes import FakeArchive, FakeLedger, FakeNotes, FakeStitcher, some_ports

BASE = "https://platform.ringcentral.com"
MORNING = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
BATCH = 100
WINDOW = 2.0
VISIBILITY = 5400
"""Seconds until the queue hands out a message again, as template.yaml has it."""
SETTLE = 120
LIMITS = {"Light": 50, "Medium": 40, "Heavy": 10, "Auth": 5}


class VirtualClock:
    """Tells virtual time, and sleeps by moving it. Our clock may be `skew` seconds off."""

    def __init__(self, skew: float) -> None:
        self._now = MORNING.timestamp()
        self._skew = skew

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now + self._skew, UTC)

    def seconds(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def reach(self, moment: float) -> None:
        self._now = max(self._now, moment)


class VirtualQueue:
    """Messages by the moment at which they appear, as SQS hands them out."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._messages: list[tuple[float, int, Message]] = []
        self._taken: dict[str, Message] = {}
        self._again_at: dict[str, float] = {}
        self.buried: list[tuple[str, str]] = []
        self.sent = 0

    def send(self, job: Job, *, delay: int) -> None:
        self.put(job.to_message(), delay=delay)
        self.sent += 1

    def put(self, body: str, *, delay: float = 0) -> None:
        """Let anything appear as a new message."""
        number = next(self._order)
        self._push(Message(str(number), body, receives=0), delay=delay)

    def bury(self, body: str, *, reason: str) -> None:
        self.buried.append((body, reason))

    def delete(self, receipt: str) -> None:
        self._taken.pop(receipt, None)

    def redeliver(self, receipts: Sequence[str], *, after: int) -> None:
        self._again_at |= dict.fromkeys(receipts, self._clock.seconds() + after)

    def put_back(self, batch: Iterable[Message]) -> None:
        """Let messages of the last batch that nobody acknowledged appear when it is time."""
        for message in batch:
            if message.id not in self._taken:
                continue
            if message.receives >= MOST_RECEIVES:
                self.bury(message.body, reason="it was handed out too often")
            else:
                self._push(message, delay=self._again_at[message.id] - self._clock.seconds())

    def next_at(self) -> float | None:
        return self._messages[0][0] if self._messages else None

    def depth(self) -> Depth:
        """Return how many messages there are. None is in anybody's hands between two batches."""
        ready = sum(due <= self._clock.seconds() for due, _, _ in self._messages)
        return Depth(waiting=ready, taken=0, delayed=len(self._messages) - ready)

    def take(self) -> list[Message]:
        """Return a batch of what has appeared; who fails with it puts it back."""
        taken = []
        while (
            self._messages and len(taken) < BATCH and self._messages[0][0] <= self._clock.seconds()
        ):
            _, _, message = heapq.heappop(self._messages)
            taken.append(replace(message, receives=message.receives + 1, receipt=message.id))
        self._taken = {message.id: message for message in taken}
        self._again_at = dict.fromkeys(self._taken, self._clock.seconds() + VISIBILITY)
        return taken

    def _push(self, message: Message, *, delay: float) -> None:
        due = self._clock.seconds() + delay
        heapq.heappush(self._messages, (due, next(self._order), message))


class HasEnded(Protocol):
    """Something that is over at a moment, in seconds since the epoch."""

    @property
    def at(self) -> float: ...


def let_time_pass[T: HasEnded](
    clock: VirtualClock,
    queue: VirtualQueue,
    ended: Sequence[T],
    *,
    place: Callable[[T], None],
    tick: Callable[[float], float],
    work: Callable[[list[Message]], None],
    quiet: timedelta,
) -> None:
    """Let things end in their order and jobs be worked on, until all was quiet for so long.

    `tick` is called when it is due, and says when it is due again.
    """
    coming = list(reversed(ended))
    due = clock.seconds()
    quiet_at = None
    while True:
        now = clock.seconds()
        while coming and coming[-1].at <= now:
            place(coming.pop())
        if now >= due:
            due = tick(due)
        if batch := queue.take():
            work(batch)
            continue
        job_at = queue.next_at()
        if not coming:
            quiet_at = quiet_at or now + quiet.total_seconds()
            if now >= quiet_at and job_at is None:
                return
        moments = [due, *([coming[-1].at] if coming else [])]
        clock.reach(min(moments if job_at is None else [*moments, job_at]))


class Broken(httpx.SyncByteStream):
    """A body that ends before what was announced."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message")


class InProcess(httpx.BaseTransport):
    """Hands requests to the simulator without a network, and drops the line where it does."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self.before: Callable[[], None] = lambda: None
        """Called before each request, to let something break."""
        self.drop = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.before()
        if self.drop:
            self.drop = False
            raise httpx.ReadError("connection reset by peer", request=request)
        return self._loop.run_until_complete(self._answered(request, request.read()))

    async def _answered(self, request: httpx.Request, content: bytes) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, 443),
            "client": ("127.0.0.1", 1),
        }
        start: dict[str, Any] = {}
        body = bytearray()

        asked = itertools.count()

        async def receive() -> dict[str, Any]:
            if next(asked):
                await asyncio.Event().wait()  # the client never hangs up
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        with suppress(Stalled):
            await self._app(scope, receive, send)
        headers = httpx.Headers(start["headers"])
        if len(body) < int(headers.get("content-length", 0)):
            return httpx.Response(start["status"], headers=headers, stream=Broken(bytes(body)))
        return httpx.Response(start["status"], headers=headers, content=bytes(body))

    def close(self) -> None:
        self._loop.close()


class Stalled(Exception):
    """Nothing more comes; a real client would give up after half a minute."""


async def stall(_seconds: float) -> None:
    raise Stalled


class Deaf(FakeStitcher):
    """Takes whatever came for audio: what is tested here is whether it comes."""

    def inspect(self, path: Path) -> tuple[AudioFacts, Levels]:
        if path.read_bytes()[:1] in (b"", b"<"):
            raise NotAudio("an error page, or nothing")
        return self._facts("mp3", max(1, path.stat().st_size // 4000)), self._levels([])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a day came to. `saturation` is the share of the allowance used while there was work."""

    archived: int
    empty: int
    other: int
    recordings: int
    heavy: int
    too_many: int
    rules_broken: int
    minted: int
    minutes: float
    saturation: float
    messages: int

    @property
    def heavy_per_recording(self) -> float:
        return self.heavy / self.recordings

    @property
    def recordings_per_minute(self) -> float:
        return self.recordings / self.minutes


class Day:
    """One company, its archive, and one processor after the other."""

    def __init__(
        self, scratch: Path, *, credentials: int = 1, notify: bool = True, skew: float = 0
    ) -> None:
        self.clock = VirtualClock(skew)
        users = {f"jwt-{n}": str(401555101 + n) for n in range(credentials)}
        settings = {"jwts": users, "logLag": 20, "sessionsPerUser": 5}
        self.config = config = Config.from_json(settings)
        self.app = create_app(config, clock=self.clock.seconds, sleep=stall)
        self.world = self.app.state.world
        self.line = InProcess(self.app)
        self._notify = notify
        self._credentials = credentials
        self.queue = VirtualQueue(self.clock)
        self.notes = FakeNotes()
        self.ledger = FakeLedger()
        self.archive = FakeArchive()
        self._heavy_at: list[float] = []
        secret = {
            "clientId": config.client_id,
            "clientSecret": config.client_secret,
            "jwt": list(users),
        }
        self.api = api = RingexApi(
            platform=BASE,
            media=BASE,
            credentials=lambda: secret,
            limits={group: (Limit(calls, 60),) for group, calls in LIMITS.items()},
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.sleep,
            transport=self.line,
        )
        self.account = RingexAccount(api, self.notes)
        self.tail = tail = RingexTail(
            api,
            self.account,
            self.clock,
            first=timedelta(hours=24),
            overlap=timedelta(minutes=10),
        )

        def swept() -> Any:
            return sweep(
                tail=tail,
                jobs=self.queue,
                notes=self.notes,
                clock=self.clock,
                until=self.clock.now() + timedelta(seconds=120),
                settle=0,
            )

        self._sweep = swept
        provider = TailedRingex(
            Ringex(api, self.notes, max_call_hours=4),
            self.notes,
            self.clock,
            sweep=swept,
            patience=timedelta(seconds=SETTLE),
            max_call=timedelta(hours=4),
        )
        self._ports = some_ports(
            scratch,
            provider=provider,
            jobs=self.queue,
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            stitcher=Deaf(),
            identified=self.account.identified,
            clock=self.clock,
            policy=Policy(),
        )

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps all tails."""
        return partial(
            sweep_all,
            provider="ringex",
            tails=lambda _: [self.tail],
            jobs=self.queue,
            notes=self.notes,
            clock=self.clock,
            settle=0,
            retention=lambda watches: dict.fromkeys(watches, 90),
        )

    def run(
        self,
        *,
        sessions: int,
        recorded: int,
        recordings: int,
        minutes: float,
        seed: int = 1,
        quiet: float = 10,
    ) -> Figures:
        """Let so many sessions end within so many minutes; work until all was quiet for so many."""
        dice = random.Random(seed)
        legs = [1] * recorded
        for _ in range(recordings - recorded):
            legs[dice.randrange(recorded)] += 1
        calls = [*legs, *[0] * (sessions - recorded)]
        dice.shuffle(calls)
        start = self.clock.seconds()
        ends = sorted(start + dice.uniform(0, minutes * 60) for _ in calls)
        arrivals = list(zip(ends, calls, strict=True))
        sweep_at = start
        quiet_until = None
        while True:
            now = self.clock.seconds()
            while arrivals and arrivals[0][0] <= now:
                self._end_call(arrivals.pop(0)[1])
            if now >= sweep_at:
                self._sweep()
                sweep_at = max(sweep_at + 60, now)
            if batch := self.queue.take():
                self._work(batch)
                continue
            coming = [sweep_at, *([arrivals[0][0]] if arrivals else [])]
            if (due := self.queue.next_at()) is not None:
                # A batch is gathered for a while, as the event source mapping does.
                coming.append(due + WINDOW)
            if not arrivals and due is None:
                quiet_until = quiet_until or now + quiet * 60
                if now >= quiet_until:
                    return self._figures(recordings)
            else:
                quiet_until = None
            self.clock.reach(min(coming))

    def _end_call(self, legs: int) -> None:
        order = CallOrder(
            legs=tuple(LegOrder(extension_id="401555101", seconds=1) for _ in range(legs)),
            seconds=60,
        )
        self.place(order)

    def place(self, order: CallOrder) -> None:
        """Let a call end, and notify of it."""
        session, _rows = self.world.calls.place(order)
        if self._notify:
            # The last two of a call's notifications: the parties hang up a moment apart.
            for _ in range(2):
                job = Job(provider="ringex", account="~", call=session.id, seen_at=self.clock.now())
                self.queue.send(job, delay=SETTLE)

    def _work(self, batch: list[Message]) -> None:
        @contextmanager
        def strict(_ids: Any) -> Any:
            yield

        until = self.clock.now() + timedelta(minutes=15)
        before = self._heavy()
        archive(batch, ports=self._ports, until=until, guard=strict)
        self._heavy_at += [self.clock.seconds()] * (self._heavy() - before)

    def _heavy(self) -> int:
        return int(self.world.stats.to_json()["grants"].get("Heavy", 0))

    def _figures(self, recordings: int) -> Figures:
        stats = self.world.stats.to_json()
        statuses = [entry.status for entry in self.ledger.entries.values()]
        first, last = self._heavy_at[0], self._heavy_at[-1]
        span = last - first
        allowance = LIMITS["Heavy"] * self._credentials * (span / 60)
        used = sum(1 for at in self._heavy_at if first < at <= last)
        return Figures(
            archived=statuses.count("archived"),
            empty=statuses.count("empty"),
            other=len(statuses) - statuses.count("archived") - statuses.count("empty"),
            recordings=recordings,
            heavy=self._heavy(),
            too_many=sum(stats["tooManyRequests"].values()),
            rules_broken=sum(stats["rulesBroken"].values()),
            minted=stats["tokensMinted"],
            minutes=span / 60,
            saturation=used / allowance if allowance else 1.0,  # nothing had to wait
            messages=self.queue.sent,
        )


def archived(day: Day) -> dict[str, str]:
    """Return the hash of every leg by its recording."""
    return {
        key.rpartition("/")[2].removesuffix(".mp3"): hashlib.sha256(body).hexdigest()
        for key, body in day.archive.objects.items()
        if "/legs/" in key
    }


def assert_all_archived(day: Day, count: int) -> None:
    """So many recordings are in the archive, and each as the provider has it."""
    found = archived(day)
    assert len(found) == len(day.world.recordings) == count
    heard = {name: day.world.recordings.known(name).audio for name in found}
    assert found == {
        name: hashlib.sha256(b"".join(audio.read(0, audio.size))).hexdigest()
        for name, audio in heard.items()
    }


def break_at_random(day: Day, dice: random.Random) -> None:
    """Let one request of eight go wrong: errors, stalls, cut bodies, lost lines, evictions."""

    def perhaps() -> None:
        day.world.faults.clear()
        if dice.random() > 1 / 8:
            return
        kind = dice.choice(["429", "500", "503", "stall", "truncate", "html", "evict", "drop"])
        if kind == "drop":
            day.line.drop = True
            return
        if kind.isdigit():
            fault = Fault(route="any", kind="status", status=int(kind), retry_after=30)
        else:
            fault = Fault(route="any", kind=kind, share=dice.random())
        day.world.faults.add(fault)

    day.line.before = perhaps
