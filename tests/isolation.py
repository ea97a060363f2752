"""One bad thing never stops another: what can be bad, how, and what it costs the others.

Each cell of the matrix is a world of its own. Forty calls of one provider end within twenty
minutes, and one recording, call, account or credential, the whole provider, a page of its list or a
message of the queue is bad in one way. The real use cases, client and simulator go on in virtual
time, at the limits of production, until all is as it should be or a day and a half has passed. What
the others take is compared with the same world in which nothing is bad.
"""

from __future__ import annotations

import json
import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx

from legato.app import kazoo, ringcx, ringex
from legato.discovery.sweep_all import SweepAllReport
from legato.ingest.batch import REDELIVERY_MARGIN, Message, archive
from legato.operations.failures import FailedCalls, FailureSource
from legato.operations.overview import Followed, Overview
from legato.operations.status import status
from legato.ports import Depth, Letter
from legato.providers.credentials import Credential
from legato.providers.http_client import TIMEOUT
from legato.providers.responses import JSON_SECONDS
from legato.tuning import Policy
from local.simulators.faults import Fault as Asked
from local.simulators.kazoo.calls import CallOrder as KazooCall
from local.simulators.kazoo.calls import RecordingOrder
from local.simulators.ringcx.calls import CallOrder as RingcxCall
from local.simulators.ringcx.calls import SegmentOrder
from local.simulators.ringex.calls import CallOrder as RingexCall
from local.simulators.ringex.calls import LegOrder
from tests.day import WINDOW, Day
from tests.fakes import FakeArchive, FakeLibrary
from tests.kazoo_months import Months
from tests.ringcx_days import Days, KilledError, a_wave

CALLS, BAD = 40, 7
EVERY = 30
"""Seconds between the ends of two calls."""
BAD_USER = "jwt-1"
BAD_LEGS = 3
"""Of which the second is bad, where one leg is."""
TOLERANCE = timedelta(minutes=15)
"""What the others, and the good parts of the bad one, may be later than without any fault."""
SOON, AT_LAST = timedelta(hours=1), timedelta(hours=26)
"""Until when a person is shown what is bad: at once, or when the ladder of what is late has ended.

Counted from when the call would have been archived, since nobody misses anything before.
"""
LAMBDA, SWEEPER = timedelta(seconds=900), timedelta(seconds=120)
"""Timeouts of template.yaml: then the process ends, whatever it does."""
DEATH = LAMBDA + REDELIVERY_MARGIN
"""What it costs that a worker dies: then what it had comes again."""
LOOK = timedelta(minutes=5)
"""How often the status is asked for."""
HORIZON = timedelta(hours=36)
BUSY = timedelta(hours=3)
"""So long each sweep is run at its time. Later most of them are left out, for the test's sake."""
AUDITED = ("digest", "time stamp", "reconciliation", "safeguards")
"""What status misses because no auditor is at work here."""
MAX_BYTES = 1 << 20
"""A leg may be so large here."""

log = logging.getLogger(__name__)


# What can be bad, and how.


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A way of being bad: what of it the others may feel, and by when it is `shown`.

    `costs` may the others be later, `waits` the good parts of the bad one: most of what is late
    comes at the second or third try, and is waited for so long.
    """

    name: str
    shown: timedelta = SOON
    costs: timedelta = timedelta()
    waits: timedelta = timedelta()
    lasts: timedelta | None = None
    """How long; None: for ever."""


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(name="403"),
        Fault(name="404", shown=AT_LAST, waits=timedelta(seconds=300 + 900)),
        # The first two are the provider's limit, and said to be so.
        Fault(name="429", waits=timedelta(seconds=300)),
        Fault(name="503", shown=AT_LAST),
        Fault(name="503 for an hour", costs=timedelta(hours=1), lasts=timedelta(hours=1)),
        Fault(name="malformed"),
        Fault(name="absurd value"),
        Fault(name="impossible time"),
        Fault(name="huge"),
        # One invocation is in its hands, twice, and nobody else works in this world.
        Fault(name="slow", costs=LAMBDA, waits=LAMBDA),
        # What died with it is handed out again then. The second death shows which recording it is.
        Fault(name="crash", costs=DEATH, waits=2 * DEATH),
        # No call is longer than a day.
        Fault(name="in progress", shown=AT_LAST, waits=AT_LAST),
    )
}
PAGE_COSTS = {
    # Nine requests in a quarter of an hour: what is left of a gap then waits for the next ones.
    **{("ringcx", fault): timedelta(minutes=15) for fault in ("404", "503", "slow", "crash")},
    # A run has time for one such request, or dies of it and is waited for until its time is over.
    **{("kazoo", fault): timedelta(minutes=15) for fault in ("slow", "crash")},
    ("ringex", "crash"): timedelta(minutes=15),
}
"""What a bad page may cost its neighbours: all halves of it are read until it stands alone."""
SAID_OF_WHO_ASKS = ("403", "429")
"""It is said of our permission, or of how often we ask, and of no page: it may cost the account."""
STATUSES = {"403": 403, "404": 404, "429": 429, "503": 503, "503 for an hour": 503}
RECORD_FAULTS = ("malformed", "absurd value", "impossible time", "in progress")


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the matrix."""

    provider: str
    unit: str
    fault: str

    def __str__(self) -> str:
        return f"{self.provider}-{self.unit}-{self.fault}".replace(" ", "-")


EVERYBODY = ("ringex", "ringcx", "kazoo")
PROVIDERS: dict[str, tuple[str, ...]] = {
    "leg": EVERYBODY,
    "call": EVERYBODY,
    "account": ("ringcx", "kazoo"),  # RingEX has the one of the credentials
    "credential": ("ringex", "ringcx"),  # Kazoo has one key
    "provider": EVERYBODY,
    "page": EVERYBODY,
    "batch": EVERYBODY,
}
"""The units, and who has several of them."""
_RECORDS = "is said of a record: see leg and call"
_AUDIO = "is so for a recording: see leg and call"
_WORKER = "a worker dies of something that it has taken: see leg, call and page"
_OUTAGE = "is a shorter kind of what is so for ever"
_ALL_OF_IT = "nobody else is left: see account"
_WHO_ASKS = "what is answered does not depend on who asks"
SENSELESS: dict[tuple[str, str], str] = {
    ("leg", "503 for an hour"): _OUTAGE,
    ("leg", "in progress"): "a call is in progress, and what it has recorded is over",
    ("call", "503 for an hour"): _OUTAGE,
    ("account", "503 for an hour"): _OUTAGE,
    ("account", "absurd value"): _RECORDS,
    ("account", "huge"): _AUDIO,
    ("account", "crash"): _WORKER,
    ("account", "in progress"): _RECORDS,
    ("account", "impossible time"): _RECORDS,
    ("credential", "503 for an hour"): _OUTAGE,
    ("credential", "malformed"): _WHO_ASKS,
    ("credential", "absurd value"): _WHO_ASKS,
    ("credential", "huge"): _WHO_ASKS,
    ("credential", "slow"): "the line is the same for all of them",
    ("credential", "crash"): _WORKER,
    ("credential", "in progress"): _RECORDS,
    ("credential", "impossible time"): _RECORDS,
    ("provider", "403"): _ALL_OF_IT,
    ("provider", "404"): _ALL_OF_IT,
    ("provider", "429"): _ALL_OF_IT,
    ("provider", "503"): _ALL_OF_IT,
    ("provider", "malformed"): _ALL_OF_IT,
    ("provider", "absurd value"): _RECORDS,
    ("provider", "huge"): _AUDIO,
    ("provider", "slow"): _ALL_OF_IT,
    ("provider", "crash"): _WORKER,
    ("provider", "in progress"): _RECORDS,
    ("provider", "impossible time"): _RECORDS,
    ("page", "503 for an hour"): _OUTAGE,
    ("page", "absurd value"): _RECORDS,
    ("page", "huge"): "an answer is read up to a limit, and is then as good as a 503",
    ("page", "in progress"): _RECORDS,
    ("page", "impossible time"): _RECORDS,
    **{
        ("batch", fault): "a batch is what waits together: no provider says anything of it"
        for fault in FAULTS
        if fault not in ("malformed", "crash")
    },
}
"""What is not tried, and why."""
CELLS = tuple(
    Cell(provider, unit, fault)
    for unit, providers in PROVIDERS.items()
    for fault in FAULTS
    if (unit, fault) not in SENSELESS
    for provider in providers
)
FAST = tuple(cell for cell in CELLS if cell.unit in ("leg", "account", "credential", "batch"))
"""The half that guards every change. `make soak` tries all of them."""


# The companies.


class Company(ABC):
    """A provider's customer of forty calls, by the world that its whole days are tried in."""

    name: str
    late: timedelta
    retention_days: float
    sweeps_every: float
    accounts: Sequence[str] = ("~",)
    client_id = ""
    world: Day | Days | Months

    def __init__(self, world: Day | Days | Months) -> None:
        self.world = world
        self.start = self._whole_at = world.clock.seconds()
        self.legs = {self.call(number): self.names(number) for number in range(CALLS)}

    def _go_round(self, sweeper: partial[SweepAllReport], *, every: float) -> None:
        """Sweep all that there is each so many seconds, and else what was not read to its end."""
        now = self.world.clock.seconds()
        going_on = now < self._whole_at
        if not going_on:
            self._whole_at = now + every
        sweeper(until=_after(self.world, SWEEPER), unfinished_only=going_on)

    @property
    def bad_call(self) -> str:
        return self.call(BAD)

    @property
    def bad_leg(self) -> str:
        return self.names(BAD)[1]

    @property
    def bad_credential(self) -> str:
        """Return its id, by which status names it."""
        return Credential(self.client_id, "", BAD_USER).id

    @property
    def bad_account(self) -> str:
        return self.account(BAD)

    def account(self, number: int) -> str:
        """Return whose call a number is."""
        return self.accounts[number % len(self.accounts)]

    def legs_in(self, number: int) -> range:
        return range(BAD_LEGS if number == BAD else 1 + number % 2)

    @abstractmethod
    def call(self, number: int) -> str:
        """Return the id of a call."""

    @abstractmethod
    def names(self, number: int) -> list[str]:
        """Return the ids of its recordings."""

    @abstractmethod
    def place(self, number: int) -> None:
        """Let it end."""

    @abstractmethod
    def sweep(self) -> None:
        """Run the sweeper as its schedule does."""

    @abstractmethod
    def watched(self) -> tuple[list[str], list[str]]:
        """Return the names of the tails, and those of what is to be archived."""

    @abstractmethod
    def is_list(self, request: httpx.Request) -> bool:
        """Say whether it asks what there is."""

    @abstractmethod
    def is_of(self, entry: dict[str, Any]) -> tuple[str | None, str | None]:
        """Return call and recording of an entry of a list, as far as it is one."""

    @abstractmethod
    def spoil(self, entry: dict[str, Any], fault: str) -> None:
        """Let an entry say what it must not."""


class Ringex(Company):
    """Two service users, whose notifications all arrive."""

    name, late, retention_days, sweeps_every = "ringex", ringex.LATE, 90, 60
    world: Day

    def __init__(self, scratch: Path) -> None:
        super().__init__(Day(scratch, credentials=2))
        self.client_id = self.world.config.client_id

    def call(self, number: int) -> str:
        return f"s-{number:032x}"

    def names(self, number: int) -> list[str]:
        return [f"{700_000_000_000 + number * 10 + part}" for part in self.legs_in(number)]

    def place(self, number: int) -> None:
        legs = [
            LegOrder(recording_id=name, extension_id="401555101", seconds=1)
            for name in self.names(number)
        ]
        call = self.call(number)
        self.world.place(RingexCall(telephony_session_id=call, legs=tuple(legs), seconds=60))

    def sweep(self) -> None:
        self.world.sweeper()(until=_after(self.world, SWEEPER))

    def watched(self) -> tuple[list[str], list[str]]:
        return [self.world.tail.key], [self.world.tail.watch]

    def is_list(self, request: httpx.Request) -> bool:
        return "/call-log" in request.url.path

    def is_of(self, entry: dict[str, Any]) -> tuple[str | None, str | None]:
        recording = entry.get("recording") if "legType" in entry else None
        return entry.get("telephonySessionId"), (recording or {}).get("id")

    def spoil(self, entry: dict[str, Any], fault: str) -> None:
        entry |= {
            "malformed": {"startTime": {"at": "noon"}, "duration": "long"},
            "absurd value": {"duration": 10**30},
            "impossible time": {"startTime": "0000-00-00T25:61:61.000Z"},
            "in progress": {"result": "In Progress", "finished": False},
        }[fault]


class Ringcx(Company):
    """Two sub-accounts, and two service users."""

    name, late, retention_days, sweeps_every = "ringcx", ringcx.LATE, 90, 60
    world: Days

    def __init__(self, scratch: Path) -> None:
        world = Days(scratch, settings={"jwts": {"jwt-0": "401555101", BAD_USER: "401555102"}})
        self.client_id = world.config.client_id
        self.accounts = tuple(world.config.sub_accounts)
        super().__init__(world)

    def call(self, number: int) -> str:
        return f"s-v-{number:032x}-{round(self.start * 1000)}"

    def names(self, number: int) -> list[str]:
        stem = self.call(number).removeprefix("s-v-")
        return [f"p-v-{stem}-{part:x}" for part in self.legs_in(number)]

    def place(self, number: int) -> None:
        now = self.world.clock.seconds()
        segments = [
            SegmentOrder(
                segment_id=name,
                starts_at=now - 30 * (len(self.names(number)) - part),
                seconds=30,
                audio=a_wave(self.world.dice),
                ready_after=0,
                listed_after=0,
                recorded_after=0,
            )
            for part, name in enumerate(self.names(number))
        ]
        order = RingcxCall(
            dialog_id=self.call(number),
            sub_account=self.account(number),
            segments=tuple(segments),
        )
        self.world.world.calls.place(order)

    def sweep(self) -> None:
        self._go_round(self.world.sweeper(), every=900)

    def watched(self) -> tuple[list[str], list[str]]:
        tails = self.world.sweeper().keywords["tails"](False)
        return [tail.key for tail in tails], sorted({tail.watch for tail in tails})

    def is_list(self, request: httpx.Request) -> bool:
        return request.url.path.endswith("/interaction-metadata")

    def is_of(self, entry: dict[str, Any]) -> tuple[str | None, str | None]:
        return entry.get("dialogId"), entry.get("segmentId")

    def spoil(self, entry: dict[str, Any], fault: str) -> None:
        entry |= {
            "malformed": {"segmentStartTimeMs": {"at": "noon"}, "segmentEndTimeMs": "late"},
            "absurd value": {"segmentEndTimeMs": 10**30, "segmentDurationMs": 10**30},
            "impossible time": {"segmentStartTimeMs": -(10**18)},
            "in progress": {"segmentEndTimeMs": None, "segmentDurationMs": None},
        }[fault]


class Kazoo(Company):
    """Two accounts."""

    name, late, retention_days, sweeps_every = "kazoo", kazoo.LATE, 180, 60
    world: Months

    def __init__(self, scratch: Path) -> None:
        world = Months(scratch)
        world.clock.sleep(86400)  # no call begins in another month
        self.accounts = tuple(world.config.accounts)
        super().__init__(world)

    def call(self, number: int) -> str:
        return f"{int(self.start) + 62_167_219_200}-{number:08x}"

    def names(self, number: int) -> list[str]:
        month = datetime.fromtimestamp(self.start, UTC)
        return [f"{month:%Y%m}-{number:024x}{part:08x}" for part in self.legs_in(number)]

    def place(self, number: int) -> None:
        now = self.world.clock.seconds()
        recordings = [
            RecordingOrder(
                id=name,
                starts_at=now - 30 * (len(self.names(number)) - part),
                seconds=30,
                audio=b"mp3" + self.world.dice.randbytes(197),
                ready_after=0,
            )
            for part, name in enumerate(self.names(number))
        ]
        order = KazooCall(
            account=self.account(number),
            interaction_id=self.call(number),
            recordings=tuple(recordings),
        )
        self.world.world.calls.place(order)

    def sweep(self) -> None:
        self._go_round(self.world.sweeper(), every=300)

    def watched(self) -> tuple[list[str], list[str]]:
        tails = self.world.sweeper().keywords["tails"](False)
        return [tail.key for tail in tails], [tail.watch for tail in tails]

    def is_list(self, request: httpx.Request) -> bool:
        return request.url.path.endswith("/recordings")

    def is_of(self, entry: dict[str, Any]) -> tuple[str | None, str | None]:
        return entry.get("interaction_id"), entry.get("id")

    def spoil(self, entry: dict[str, Any], fault: str) -> None:
        entry |= {
            "malformed": {"start": {"at": "noon"}, "duration": "long", "duration_ms": []},
            "absurd value": {"duration": 10**30, "duration_ms": 10**30},
            "impossible time": {"start": 10**18},
            "in progress": {"duration": None, "duration_ms": None},
        }[fault]


COMPANIES: dict[str, Callable[[Path], Company]] = {
    "ringex": Ringex,
    "ringcx": Ringcx,
    "kazoo": Kazoo,
}


def _after(world: Day | Days | Months, length: timedelta) -> datetime:
    return world.clock.now() + length


# The run of one cell.


class TimedArchive(FakeArchive):
    """Remembers when each object appeared."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        self.appeared: dict[str, datetime] = {}

    def put(self, key: str, body: bytes, storage_class: str) -> Any:
        stored = super().put(key, body, storage_class)
        self.appeared.setdefault(key, self._now())
        return stored


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the forty calls, with moments of virtual time since the first one ended."""

    whole_at: dict[str, timedelta]
    """When all recordings of a call were sealed, by call."""
    good_at: timedelta | None = None
    """When all good recordings of the bad call were."""
    named_at: timedelta | None = None
    named_by: str = ""
    sentences: list[str] = field(default_factory=list)
    """What the last status said."""
    listed: list[str] = field(default_factory=list)
    """What the last list of failures said."""
    ended_at: timedelta = timedelta()


class Run:
    """One company in which one thing is bad, or nothing is."""

    def __init__(self, company: Company, cell: Cell | None) -> None:
        self.company, self.cell = company, cell
        self.world = world = company.world
        self.fault = FAULTS[cell.fault] if cell else None
        self._deadline = float("inf")
        self._tokens: dict[str, str] = {}
        self._archive = TimedArchive(world.clock.now)
        world.archive = self._archive
        policy = replace(
            world._ports.policy,
            max_attempts=Policy().max_attempts,
            max_leg_bytes=MAX_BYTES,
        )
        world._ports = replace(world._ports, archive=self._archive, policy=policy)
        world.line.before = lambda: None
        self._answered = world.line.handle_request
        world.line.handle_request = self._answer  # type: ignore[method-assign]

    @property
    def now(self) -> timedelta:
        """Return the time since the first call ended."""
        return timedelta(seconds=self.world.clock.seconds() - self.company.start)

    def until(self, as_it_should_be: Callable[[Outcome], bool]) -> Outcome:
        """Go on until all is well, or for as long as the horizon is; say what became of it."""
        clock, queue = self.world.clock, self.world.queue
        coming = list(reversed(range(CALLS)))
        sweep_at = look_at = clock.seconds()
        outcome = Outcome(whole_at={})
        while self.now < HORIZON:
            now = clock.seconds()
            while coming and self._ends_at(coming[-1]) <= now:
                self._end(coming.pop())
            if now >= sweep_at:
                with self._lambda(SWEEPER):
                    self.company.sweep()
                rest = self.company.sweeps_every * (1 if self.now < BUSY else 15)
                sweep_at = max(sweep_at + rest, now)
            if now >= look_at:
                look_at = max(look_at + LOOK.total_seconds(), now)
                self._look(outcome)
                if not coming and as_it_should_be(outcome):
                    break
            if batch := queue.take():
                self._work(batch)
                continue
            due = queue.next_at()
            moments = [sweep_at, look_at, *map(self._ends_at, coming[-1:])]
            # A batch is gathered for a while, as the event source mapping does.
            clock.reach(min([*moments, *([] if due is None else [due + WINDOW])]))
        outcome.ended_at = self.now
        return outcome

    def _ends_at(self, number: int) -> float:
        return self.company.start + number * EVERY

    def _end(self, number: int) -> None:
        self.company.place(number)
        if number == BAD and self._is("batch", "malformed"):
            for body in ("", "no job", "[]", '{"v": 1}', '{"v": 1, "provider": 7, "call": []}'):
                self.world.queue.put(body)

    def _is(self, *unit_and_fault: str) -> bool:
        return self.cell is not None and unit_and_fault == (self.cell.unit, self.cell.fault)

    def _work(self, batch: list[Message]) -> None:
        """Let a processor have a batch, and do with it what the event source mapping does."""
        again: set[str] = {message.id for message in batch}
        caught: set[str] = set()

        @contextmanager
        def guard(ids: Collection[str]) -> Iterator[None]:
            try:
                yield
            except Exception:  # as functions/processor/app.py
                log.exception("unforeseen error")
                caught.update(ids)

        with self._lambda(LAMBDA):
            archive(batch, ports=self.world._ports, until=_after(self.world, LAMBDA), guard=guard)
            again = caught
        kept = [message for message in batch if message.id in again]
        self.world.queue.put_back(kept)

    @contextmanager
    def _lambda(self, timeout: timedelta) -> Iterator[None]:
        self._deadline = self.world.clock.seconds() + timeout.total_seconds()
        try:
            yield
        except KilledError:
            log.info("a process was killed")
        except Exception:  # an invocation that fails is the platform's to repeat
            log.exception("an invocation failed")
        finally:
            self._deadline = float("inf")

    def _alive(self) -> None:
        if self.world.clock.seconds() >= self._deadline:
            raise KilledError

    # What the provider answers.

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self._alive()
        cell, fault = self.cell, self.fault
        if cell is None or fault is None or (fault.lasts is not None and self.now >= fault.lasts):
            return self._remembered(request, self._answered(request))
        if cell.unit == "page":
            return self._page(request)
        hit = self._is_hit(request)
        if hit and fault.name in STATUSES:
            return self._refused(request, STATUSES[fault.name])
        if hit and fault.name == "crash":
            raise KilledError
        response = self._remembered(request, self._answered(request))
        if hit and fault.name == "huge":
            return httpx.Response(200, headers=_typed(response), stream=Endless(response.content))
        if hit and fault.name == "slow":
            return self._slow(response)
        if fault.name in RECORD_FAULTS and self.company.is_list(request):
            return self._spoiled(request, response)
        return response

    def _page(self, request: httpx.Request) -> httpx.Response:
        """Return an answer, or what is bad instead of one that would list the bad recording."""
        response, fault = self._remembered(request, self._answered(request)), self.fault
        assert fault is not None
        is_list = self.company.is_list(request)
        if not is_list or self.company.bad_leg.encode() not in response.read():
            return response
        if fault.name in STATUSES:
            return self._refused(request, STATUSES[fault.name])
        if fault.name == "crash":
            raise KilledError
        if fault.name == "slow":
            return self._slow(response)
        return self._spoiled(request, response)

    def _slow(self, response: httpx.Response) -> httpx.Response:
        is_audio = response.headers.get("content-type", "").startswith("audio/")
        # Of what is no recording the client waits for no longer, by a clock that is not simulated.
        patience = None if is_audio else JSON_SECONDS
        stream = Trickle(response.read(), self, patience)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    def _is_hit(self, request: httpx.Request) -> bool:
        """Say whether this request meets the bad thing."""
        assert self.cell is not None
        company, path = self.company, unquote(request.url.path)
        is_list = company.is_list(request)
        match self.cell.unit:
            case "leg":
                return company.bad_leg in path and not is_list
            case "call" | "batch":
                names = [] if self._is("batch", "malformed") else company.names(BAD)
                return any(name in path for name in names) and not is_list
            case "account":
                return company.bad_account in path
            case "credential":
                return self._user_of(request) == BAD_USER
            case "provider":
                return True
        raise LookupError(self.cell.unit)

    def _refused(self, request: httpx.Request, code: int) -> httpx.Response:
        """Have the simulator refuse this request, in the provider's own words."""
        faults = self.world.world.faults
        names = self.company.names(BAD)
        only = next((name for name in names if name in unquote(request.url.path)), None)
        asked = Asked(
            route="any",
            kind="status",
            status=code,
            retry_after=60 if code == 429 else None,
            only=only,
            holds=None if only else 1,
        )
        faults.add(asked)
        try:
            return self._answered(request)
        finally:
            faults.clear()

    def _remembered(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        """Remember whose token this is that was given out."""
        if "/oauth/token" in request.url.path or "/api/auth/" in request.url.path:
            user = self._user_of(request)
            said = json.loads(response.read() or b"{}")
            for name in ("access_token", "accessToken", "refreshToken"):
                if user and isinstance(said, dict) and name in said:
                    self._tokens[said[name]] = user
        return response

    def _user_of(self, request: httpx.Request) -> str | None:
        """Return the JWT of the service user that asks, by its token where it has one."""
        header = request.headers.get("authorization", "").removeprefix("Bearer ")
        if header in self._tokens:
            return self._tokens[header]
        form = parse_qs(request.read().decode(errors="replace"))
        [given] = [*form.get("assertion", ()), *form.get("refresh_token", ())][:1] or [""]
        [token] = [*form.get("userRcToken", ()), *form.get("rcAccessToken", ())][:1] or [""]
        return self._tokens.get(given) or self._tokens.get(token) or given or None

    def _spoiled(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        """Return a list in which what is bad says what it must not."""
        if response.status_code != 200:
            return response
        said = json.loads(response.read())
        assert self.cell is not None
        whole = self.cell.unit == "account" and self.company.bad_account in request.url.path
        said = {"what": "is this"} if whole else self._spoil(said)
        body = json.dumps(said).encode()
        headers = {**response.headers, "content-length": str(len(body))}
        return httpx.Response(200, headers=headers, content=body)

    def _spoil(self, said: Any) -> Any:
        cell, company = self.cell, self.company
        assert cell is not None
        if isinstance(said, list):
            return [self._spoil(each) for each in said]
        if not isinstance(said, dict):
            return said
        call, leg = company.is_of(said)
        if cell.unit == "page" and leg == company.bad_leg:
            return "no record at all"
        said = {name: self._spoil(each) for name, each in said.items()}
        if (cell.unit == "call" and call == company.bad_call) or (
            cell.unit == "leg" and leg == company.bad_leg
        ):
            company.spoil(said, cell.fault)
        return said

    # What is to be seen of it.

    def _look(self, outcome: Outcome) -> None:
        self._look_into_archive(outcome)
        sentences, listed = self._told()
        outcome.sentences, outcome.listed = sentences, listed
        if outcome.named_at is None and self.cell is not None:
            outcome.named_by = self._named(sentences, listed)
            outcome.named_at = self.now if outcome.named_by else None

    def _look_into_archive(self, outcome: Outcome) -> None:
        sealed: dict[str, set[str]] = {}
        start = datetime.fromtimestamp(self.company.start, UTC)
        good = self._good_legs()
        for key, at in sorted(self._archive.appeared.items(), key=lambda one: one[1]):
            if "/manifest-" not in key:
                continue
            manifest = json.loads(self._archive.objects[key])
            legs = sealed.setdefault(manifest["call"], set())
            legs |= {leg["id"] for leg in manifest["legs"]}
            since = at - start
            if legs >= set(self.company.legs.get(manifest["call"], ("?",))):
                outcome.whole_at.setdefault(manifest["call"], since)
            if manifest["call"] == self.company.bad_call and good and legs >= good:
                outcome.good_at = since if outcome.good_at is None else outcome.good_at

    def _good_legs(self) -> set[str]:
        """Return the recordings of the bad call with which nothing is wrong."""
        legs = set(self.company.names(BAD))
        if self.cell is None:
            return set()
        if self._is("call", "in progress") or self._is("batch", "malformed"):
            return legs
        if self.cell.unit == "leg" or self._is("page", "malformed"):
            return legs - {self.company.bad_leg}
        return set()

    def _told(self) -> tuple[list[str], list[str]]:
        """Return the sentences of `legato status` and the calls of `legato failed`."""
        company, world = self.company, self.world
        tails, watches = company.watched()
        letters = Letters(world)
        followed = Followed(
            provider=company.name,
            tails=tails,
            kept_days=dict.fromkeys(watches, company.retention_days),
            late=company.late,
            usual=world._ports.policy.usual,
            longest=world._ports.policy.longest,
            jobs=world.queue,
            dead_letters=letters,
            gates={},
        )
        overview = Overview(
            stack="legato",
            followed=[followed],
            ledger=world.ledger,
            notes=world.notes,
            library=FakeLibrary(world.clock),
            clock=world.clock,
        )
        found = status(overview)
        needs = [need for need in found.needs if need.kind not in self._not_of_it]
        sentences = [f"{need.what} → {need.do}" for need in needs]
        sentences += [f"unknown: {what}: {error}" for what, error in found.unknown.items()]
        source = FailureSource(provider=company.name, letters=letters, jobs_of=world._ports.read)
        failures = FailedCalls(
            sources=[source], ledger=world.ledger, notes=world.notes, clock=world.clock
        )
        return sentences, [f"{one.call}: {one.reason}" for one in failures.listed()]

    @property
    def _not_of_it(self) -> Sequence[str]:
        """Return the kinds of sentences that would not be there, were other calls going on."""
        quiet = self.cell is not None and self.cell.unit in ("leg", "call", "batch")
        return (*AUDITED, "standstill") if quiet else AUDITED

    def _named(self, sentences: list[str], listed: list[str]) -> str:
        """Return the sentence that tells a person of what is bad; empty if there is none."""
        assert self.cell is not None
        company, unit = self.company, self.cell.unit
        names = {
            "leg": (company.bad_call, company.bad_leg),
            "call": (company.bad_call, *company.names(BAD)),
            "account": (company.bad_account,),
            "credential": (company.bad_credential,),
            "page": ("gap",) if self.cell.fault in ("404", "503", "slow", "crash") else (),
        }.get(unit, ())
        for sentence in sentences:
            if not names or any(name in sentence for name in names):
                return sentence
            # A sentence may point to the list, which has the name.
            if "legato failed" in sentence:
                for line in listed:
                    if any(name in line for name in names):
                        return f"{sentence}: {line}"
        return ""


class Letters:
    """The dead letters of a world's queue."""

    def __init__(self, world: Day | Days | Months) -> None:
        self._world = world

    def depth(self) -> Depth:
        return Depth(waiting=len(self._world.queue.buried), taken=0, delayed=0)

    @contextmanager
    def read(self) -> Iterator[list[Letter]]:
        now = self._world.clock.now()
        yield [
            Letter(id=str(number), body=body, reason=reason, sent_at=now, receipt="")
            for number, (body, reason) in enumerate(self._world.queue.buried)
        ]

    def put_back(self, body: str) -> None:
        self._world.queue.put(body)

    def delete(self, letter: Letter) -> None:
        self._world.queue.buried.remove((letter.body, letter.reason))


def _typed(response: httpx.Response) -> dict[str, str]:
    return {"content-type": response.headers["content-type"], "content-length": str(10**11)}


class Endless(httpx.SyncByteStream):
    """Begins like a recording, and does not end."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[bytes]:
        yield self._begin
        while True:
            yield bytes(1 << 16)


class Trickle(httpx.SyncByteStream):
    """Comes byte by byte, each just before the client would give up, for longer than a Lambda."""

    def __init__(self, body: bytes, run: Run, patience: float | None) -> None:
        self._body, self._run, self._patience = body, run, patience

    def __iter__(self) -> Iterator[bytes]:
        pause = (TIMEOUT.read or 0) - 1
        # Where a read begins shortly before the end, it ends after it.
        self._run.world.clock.sleep(9)
        step = max(1, len(self._body) // int(2 * LAMBDA.total_seconds() / pause))
        for number, at in enumerate(range(0, len(self._body), step), start=1):
            self._run.world.clock.sleep(pause)
            if self._patience is not None and pause * number > self._patience:
                raise httpx.ReadTimeout("it comes too slowly")
            self._run._alive()
            yield self._body[at : at + step]


# What is to come of it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A cell with its outcome, and in words what is not as it should be."""

    cell: Cell
    outcome: Outcome
    others: int
    archived: int
    late: timedelta
    good: str
    flaws: tuple[str, ...]

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        named = self.outcome.named_at
        return (
            self.cell.provider,
            self.cell.unit,
            self.cell.fault,
            f"{self.archived}/{self.others}",
            _minutes(self.late),
            self.good,
            "-" if named is None else _minutes(named),
            "; ".join(self.flaws) or "as it should be",
        )


HEAD = ("provider", "unit", "fault", "others", "late", "good parts", "shown", "verdict")


@cache
def usual(provider: str) -> dict[str, timedelta]:
    """Return when each call is archived in a world in which nothing is bad."""
    with tempfile.TemporaryDirectory() as scratch:
        company = COMPANIES[provider](Path(scratch))
        run = Run(company, None)
        outcome = run.until(lambda so_far: len(so_far.whole_at) == CALLS)
    assert len(outcome.whole_at) == CALLS, f"{len(outcome.whole_at)} calls of {provider}"
    assert outcome.sentences == outcome.listed == [], outcome.sentences
    return outcome.whole_at


def tried(cell: Cell) -> Verdict:
    """Run a cell's world, and compare."""
    usually, fault = usual(cell.provider), FAULTS[cell.fault]
    with tempfile.TemporaryDirectory() as scratch:
        company = COMPANIES[cell.provider](Path(scratch))
        run = Run(company, cell)
        others = _others(company, cell)
        # What a credential is refused is told apart from a provider's limit or outage by the other.
        is_credential = cell.unit == "credential"
        shown_by = usually[company.bad_call] + (SOON if is_credential else fault.shown)
        good = bool(run._good_legs())

        def well(outcome: Outcome) -> bool:
            archived = outcome.whole_at.keys() >= others
            whole = len(outcome.whole_at) == CALLS and not is_credential
            settled = outcome.named_at is not None or whole
            return archived and settled and (outcome.good_at is not None or not good)

        outcome = run.until(well)
    costs = fault.costs
    if cell.unit == "page":
        costs = PAGE_COSTS.get((cell.provider, cell.fault), timedelta())
    allowed = TOLERANCE + costs
    archived = others & outcome.whole_at.keys()
    late = max((outcome.whole_at[call] - usually[call] for call in archived), default=timedelta())
    flaws = []
    if archived != others:
        flaws.append(f"{len(others - archived)} others are not archived")
    if late > allowed:
        flaws.append(f"others are {_minutes(late)} min late")
    good_said = "-"
    if good:
        good_said = "none" if outcome.good_at is None else _minutes(outcome.good_at)
        if outcome.good_at is None:
            flaws.append("its good parts are not archived")
        elif outcome.good_at > usually[company.bad_call] + TOLERANCE + fault.waits:
            flaws.append("its good parts are late")
    if len(outcome.whole_at) == CALLS and cell.unit not in ("provider", "credential"):
        pass  # nothing is missing, so there is nothing to tell
    elif outcome.named_at is None:
        flaws.append("no status tells of it")
    elif outcome.named_at > shown_by:
        flaws.append("status tells of it late")
    return Verdict(
        cell=cell,
        outcome=outcome,
        others=len(others),
        archived=len(archived),
        late=late,
        good=good_said,
        flaws=tuple(flaws),
    )


def _others(company: Company, cell: Cell) -> set[str]:
    """Return the calls that are to be archived although something is bad."""
    calls = {number: company.call(number) for number in range(CALLS)}
    if cell.unit == "account" or (cell.unit == "page" and cell.fault in SAID_OF_WHO_ASKS):
        return {
            call for number, call in calls.items() if company.account(number) != company.bad_account
        }
    spares = cell.unit in ("credential", "provider") or (
        cell.unit == "batch" and cell.fault == "malformed"
    )
    return {call for call in calls.values() if spares or call != company.bad_call}


def told(verdict: Verdict) -> str:
    """Write what is wrong with a cell, and what status and the list of failures last said."""
    outcome = verdict.outcome
    return "\n".join((*verdict.flaws, "status:", *outcome.sentences, "failed:", *outcome.listed))


def table(rows: Iterable[Sequence[str]]) -> str:
    """Write the matrix for people, minutes since the first call ended, or late by."""
    rows = [HEAD, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _minutes(length: timedelta) -> str:
    return f"{length.total_seconds() / 60:.0f}"
