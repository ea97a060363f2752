"""Months of a Kazoo cluster in a minute: real use cases, real client, real simulator."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.ingest.batch import archive
from legato.providers.kazoo.api import KazooApi
from legato.providers.kazoo.provider import Kazoo
from legato.providers.kazoo.tail import KazooTail
from legato.settings import Limit
from legato.tuning import Policy
from local.simulators.faults import Fault
from local.simulators.kazoo import Config, create_app
from local.simulators.kazoo.calls import CallOrder, RecordingOrder
from tests.day import InProcess, VirtualClock, VirtualQueue, let_time_pass, stall
from tests.fakes import (
    FakeArchive,
    FakeInbox,
    FakeLedger,
    FakeNotes,
    FakeStitcher,
    an_inbox,
    some_ports,
)

SEPTEMBER = datetime(2026, 9, 1, tzinfo=UTC)
QUIET = timedelta(minutes=5)
EVERY = 2 * 3600
FAULTS = (
    None,  # the line drops
    *(Fault(route="any", kind="status", status=status) for status in (401, 500, 503)),
    *(Fault(route="any", kind=kind) for kind in ("html", "empty", "evict", "truncate")),
    Fault(route="recording", kind="json"),
    Fault(route="recordings", kind="repeat-key"),
)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A recording that stopped at a moment, in seconds since the epoch."""

    at: float
    account: str
    interaction: str
    order: RecordingOrder


class Months:
    """One cluster with two accounts. `faults` is the share of requests that go wrong."""

    def __init__(
        self, scratch: Path, *, faults: float = 0, seed: int = 1, version: str = "4.3"
    ) -> None:
        self.dice = random.Random(seed)
        random.seed(seed)  # for the code under test, so that a world can be had again
        self.clock = VirtualClock(0)
        self.clock._now = SEPTEMBER.timestamp()
        self.config = Config.from_json({"version": version})
        self.app = create_app(self.config, clock=self.clock.seconds, sleep=stall)
        self.world = self.app.state.world
        self.line = InProcess(self.app)
        self.line.before = self._perhaps_break
        self.queue = VirtualQueue(self.clock)
        self.notes, self.ledger, self.archive = FakeNotes(), FakeLedger(), FakeArchive()
        self.audio: dict[str, bytes] = {}
        self._faults = faults
        [key] = self.config.api_keys
        self.api = KazooApi(
            url="https://kazoo.example.com:8443/v2",
            credentials=lambda: {"apiKey": key},
            limits={"Requests": (Limit(50, 5),)},
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.sleep,
            transport=self.line,
        )
        self.inbox = FakeInbox()
        self._ports = some_ports(
            scratch,
            provider=Kazoo(
                self.api,
                self.notes,
                self.clock,
                quiet=QUIET,
                inbox=an_inbox(
                    self.api,
                    objects=self.inbox,
                    jobs=self.queue,
                    ledger=self.ledger,
                    notes=self.notes,
                    clock=self.clock,
                    accounts=lambda: self.config.accounts,
                ),
            ),
            jobs=self.queue,
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            stitcher=FakeStitcher(),
            clock=self.clock,
            policy=Policy(
                settle=0,
                ladder=(120, 600),
                named_ladder=(120, 600, 1800, 3600, 10800, 21600, 47880),
                max_attempts=8,  # of the faults made here, five in a row do happen
            ),
        )

    def plan(self, *, recordings: int, interactions: int, days: float) -> list[Stopped]:
        """Return the ends of so many recordings; some go on over the end of a month."""
        start = self.clock.seconds()
        begins = [start + self.dice.uniform(0, days * 86400) for _ in range(interactions)]
        ends_of_months = [*_ends_of_months(start, start + days * 86400)]
        for number in range(0, interactions, 20):
            if ends_of_months:
                begins[number] = self.dice.choice(ends_of_months) - self.dice.uniform(0, 3600)
        counts = [1] * interactions
        for _ in range(recordings - interactions):
            counts[self.dice.randrange(interactions)] += 1
        stopped = []
        for number, (begin, count) in enumerate(zip(begins, counts, strict=True)):
            account = self.config.accounts[number % 2]
            interaction = f"{int(begin) + 62_167_219_200}-{number:08x}"
            at = begin
            for part in range(count):
                seconds = self.dice.uniform(20, 3000)
                month = datetime.fromtimestamp(at, UTC)
                name = f"{month:%Y%m}-{number:024x}{part:08x}"
                self.audio[name] = b"mp3" + self.dice.randbytes(200)
                order = RecordingOrder(
                    id=name,
                    starts_at=at,
                    seconds=seconds,
                    audio=self.audio[name],
                    ready_after=self.dice.choice((0, 0, 0, 300, 5000)),
                    has_interaction=count > 1 or number % 3 > 0,
                )
                at += seconds
                stopped.append(Stopped(at, account, interaction, order))
        return sorted(stopped, key=lambda one: one.at)

    def run(self, stopped: list[Stopped], *, quiet: timedelta = timedelta(hours=30)) -> None:
        """Let these recordings stop, sweep and archive, until all was quiet for so long."""

        def now_and_then(now: float) -> float:
            self.sweep()
            return now + EVERY

        let_time_pass(
            self.clock,
            self.queue,
            stopped,
            place=self._place,
            tick=now_and_then,
            work=self._work,
            quiet=quiet,
        )

    def sweep(self) -> None:
        """Go a round as a fresh process."""
        self.sweeper()(until=self.clock.now() + timedelta(seconds=120))

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps all tails."""
        tails = [
            KazooTail(
                self.api,
                self.clock,
                account=account,
                first=self.clock.now() - timedelta(hours=24),
            )
            for account in self.config.accounts
        ]
        return partial(
            sweep_all,
            provider="kazoo",
            tails=lambda _: tails,
            jobs=self.queue,
            notes=self.notes,
            clock=self.clock,
            settle=5,
            rest=timedelta(),
            retention=lambda watches: dict.fromkeys(watches, 180),
        )

    def _work(self, batch: Any) -> None:
        @contextmanager
        def strict(_ids: Any) -> Iterator[None]:
            yield

        until = self.clock.now() + timedelta(minutes=15)
        archive(batch, ports=self._ports, until=until, guard=strict)

    def _place(self, stopped: Stopped) -> None:
        self.world.calls.place(
            CallOrder(
                account=stopped.account,
                interaction_id=stopped.interaction,
                recordings=(stopped.order,),
            )
        )

    def _perhaps_break(self) -> None:
        self.world.faults.clear()
        if self.dice.random() >= self._faults:
            return
        fault = self.dice.choice(FAULTS)
        if fault is None:
            self.line.drop = True
        else:
            self.world.faults.add(replace(fault, share=self.dice.random()))


def _ends_of_months(begin: float, end: float) -> Iterator[float]:
    """Yield the moments between two others at which a month ends."""
    day = datetime.fromtimestamp(begin, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while (day := day + timedelta(days=1)).timestamp() < end:
        if day.day == 1:
            yield day.timestamp()


def legs_of(months: Months) -> dict[str, bytes]:
    """Return the bytes of every recording in the archive, by its id."""
    return {
        key.rpartition("/")[2].removesuffix(".mp3"): body
        for key, body in months.archive.objects.items()
        if "/legs/" in key
    }


def over_the_end_of_a_month(stopped: list[Stopped]) -> set[str]:
    """Return the ids of the recordings that began in one month and stopped in another."""
    return {one.order.id for one in stopped if _month(one.order.starts_at) != _month(one.at)}


def _month(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m}"


def assert_nothing_lost(months: Months) -> None:
    """Each recording was fetched once and is archived, and no rule of Kazoo's was broken."""
    assert legs_of(months) == months.audio
    assert {entry.status for entry in months.ledger.entries.values()} == {"archived"}
    stats = months.world.stats.to_json()
    assert stats["wholeDownloads"].keys() == months.audio.keys()
    assert set(stats["wholeDownloads"].values()) == {1}
    assert not stats["tooManyRequests"]
    assert not any(stats["rulesBroken"].values())
    assert all(
        months.notes.first(f"unarchived#kazoo#{account}") is None
        for account in months.config.accounts
    )
