"""Days of a contact centre in a minute: real use cases, real client, real simulator, virtual time.

Limits are those of production, nothing waits, and any step may fail or be the sweeper's last.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from legato.app.ringcx import tails
from legato.audio.stitch import FfmpegStitcher
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.ingest.batch import archive
from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringcx.provider import Ringcx
from legato.providers.ringcx.recorded import RingcxRecorded
from legato.settings import Limit
from legato.tuning import DEFAULTS, Policy
from local.simulators.faults import Fault
from local.simulators.ringcx import Config, create_app
from local.simulators.ringcx.calls import CallOrder, SegmentOrder
from local.simulators.ringcx.faults import DAMAGES
from tests.audio import chunk, form, local_tools, riff
from tests.day import InProcess, VirtualClock, VirtualQueue, let_time_pass, stall
from tests.fakes import FakeArchive, FakeLedger, FakeNotes, some_ports

SETTLE = timedelta(minutes=15)
LIMITS = {
    "Metadata": (Limit(3, 60), Limit(9, 900)),
    "Recordings": (Limit(120, 60),),
    "Exchange": (Limit(5, 60),),
    "Auth": (Limit(5, 60),),
}
FAULTS = (
    None,  # the line drops
    *(Fault(route="any", kind="status", status=status) for status in (500, 503)),
    *(Fault(route="any", kind=kind) for kind in ("html", "json", "evict")),
    *(Fault(route="recording", kind=kind) for kind in ("truncate", "stall", "short-riff")),
    *(Fault(route="metadata", kind=kind) for kind in ("object-body", "repeat", "truncate")),
)
BAD_ROWS = tuple(Fault(route="metadata", kind="bad-row", damage=damage) for damage in DAMAGES)
QUIET = timedelta(hours=30)
LAMBDA_SECONDS = 120
MOST_OF_IT = 0.75
"""What is cut short ends long before its end. Two cuts at one place, a few milliseconds before it,
are how a header looks that promises a little too much, and recordings here last only 50 ms.
"""


class KilledError(BaseException):
    """The process ends here, as when Lambda's time is over or its host is lost."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A segment that is over at a moment, in seconds since the epoch."""

    at: float
    dialog: str
    order: SegmentOrder


class Days:
    """One company with two sub-accounts. `faults` and `deaths` are shares of requests and steps."""

    def __init__(
        self,
        scratch: Path,
        *,
        faults: float = 0,
        deaths: float = 0,
        seed: int = 1,
        settings: dict[str, Any] | None = None,
        look_again_hours: tuple[float, ...] = (4, 24),
        bad_rows: bool = True,
    ) -> None:
        self.dice = random.Random(seed)
        random.seed(seed)  # for the code under test, so that a world can be had again
        self.clock = VirtualClock(0)
        self.config = Config.from_json(
            {"settleSeconds": SETTLE.total_seconds(), **(settings or {})}
        )
        self.app = create_app(self.config, clock=self.clock.seconds, sleep=stall)
        self.world = self.app.state.world
        self.line = InProcess(self.app)
        self.line.before = self._perhaps_break
        self.queue = VirtualQueue(self.clock)
        self.notes = FakeNotes()
        self.ledger = FakeLedger()
        self.archive = FakeArchive()
        self.audio: dict[str, bytes] = {}
        self.deaths = 0
        self._faults, self._deadly = faults, deaths
        self._mortal = False
        self._look_again_hours = look_again_hours
        self._bad_rows = bad_rows
        for port, name in ((self.notes, "write"), (self.queue, "send")):
            setattr(port, name, self._dying(getattr(port, name)))
        secret = {
            "clientId": self.config.client_id,
            "clientSecret": self.config.client_secret,
            "jwt": list(self.config.jwts),
        }
        self.api = RingcxApi(
            platform="https://platform.ringcentral.com",
            url="https://ringcx.ringcentral.com",
            prefix=self.config.prefix,
            account="",
            credentials=lambda: secret,
            limits=LIMITS,
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.sleep,
            transport=self.line,
        )
        self._ports = some_ports(
            scratch,
            provider=Ringcx(self.api, self.notes, self.clock, settle=SETTLE, otherwise=90),
            jobs=self.queue,
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            stitcher=FfmpegStitcher(local_tools()),
            clock=self.clock,
            policy=Policy(
                settle=0,
                ladder=(300, 900),
                named_ladder=(300, 900, 1800, 3600, 10800, 21600, 47400),
                max_attempts=8,  # of the faults made here, five in a row do happen
                storage_class="GLACIER",
                apart=True,
            ),
        )

    def plan(self, *, segments: int, dialogs: int, days: float) -> list[Ended]:
        """Return the ends of so many segments, some of which talk at night too."""
        start = self.clock.seconds()
        begins = [start + self.dice.uniform(0, days * 86400) for _ in range(dialogs)]
        counts = [1] * dialogs
        for _ in range(segments - dialogs):
            counts[self.dice.randrange(dialogs)] += 1
        ended = []
        for number, (begin, count) in enumerate(zip(begins, counts, strict=True)):
            dialog, at = f"s-v-{number:032x}-{round(begin * 1000)}", begin
            for part in range(count):
                seconds = self.dice.uniform(20, 1200)
                name = f"p-v-{number:032x}-{round(begin * 1000)}-{part:x}"
                self.audio[name] = a_wave(self.dice)
                order = SegmentOrder(
                    segment_id=name,
                    starts_at=at,
                    seconds=seconds,
                    audio=self.audio[name],
                    ready_after=self.dice.choice((0, 0, 0, 600, 7200)),
                    listed_after=self.dice.choice((0, 0, 0, 300, 3000)),
                    recorded_after=self.dice.choice((0, 0, 0, 9000)),
                )
                at += seconds
                ended.append(Ended(at, dialog, order))
        return sorted(ended, key=lambda one: one.at)

    def run(self, ended: list[Ended], *, quiet: timedelta = QUIET) -> None:
        """Let these segments end, sweep and archive, until all was quiet for so long."""
        quarter = self.clock.seconds()

        def each_minute(now: float) -> float:
            nonlocal quarter
            self.sweep(going_on=now < quarter)
            quarter += 900 if now >= quarter else 0
            return now + 60

        let_time_pass(
            self.clock,
            self.queue,
            ended,
            place=self._place,
            tick=each_minute,
            work=self._work,
            quiet=quiet,
        )

    def sweep(self, *, going_on: bool = False) -> SweepAllReport | None:
        """Go a round as a fresh process; None if it was killed."""
        until = self.clock.now() + timedelta(seconds=LAMBDA_SECONDS)
        with self._may_die():
            return self.sweeper()(until=until, unfinished_only=going_on)
        return None

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps all tails."""
        tuning = replace(DEFAULTS, ringcx_look_again_hours=self._look_again_hours)
        return partial(
            sweep_all,
            provider="ringcx",
            tails=lambda _: tails(self.api, self.clock, tuning, self.config.sub_accounts),
            jobs=self.queue,
            notes=self.notes,
            clock=self.clock,
            settle=5,
            rest=timedelta(),
            retention=lambda watches: dict.fromkeys(watches, 90),
        )

    def backfill(self, begin: datetime, end: datetime) -> bool:
        """Walk a stretch of the past as the command does; say whether it came to its end."""
        work = Backfill(
            provider="ringcx",
            limit=end,
            stretches=[
                RingcxRecorded(
                    self.api,
                    self.clock,
                    sub_account=name,
                    begin=begin,
                    end=end,
                    lag=SETTLE,
                    overlap=timedelta(minutes=10),
                    kept=timedelta(days=90),
                    key=backfill_key(begin, end),
                    margin=timedelta(),
                )
                for name in self.config.sub_accounts
            ],
            jobs=self.queue,
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.sleep,
            settle_seconds=5,
            listing=Allowance(group="Metadata", limits=LIMITS["Metadata"]),
            fetching=Allowance(group="Recordings", limits=LIMITS["Recordings"]),
            sample_pages=0,
            bytes_a_second=32_000,
            sound="",
        )
        with self._may_die():
            return all(found.done for found in work.run(tell=lambda _: None))
        return False

    def _work(self, batch: Any) -> None:
        @contextmanager
        def strict(_ids: Any) -> Iterator[None]:
            yield

        died = True
        with self._may_die():
            until = self.clock.now() + timedelta(minutes=15)
            archive(batch, ports=self._ports, until=until, guard=strict)
            died = False
        if died:
            self.queue.put_back(batch)

    def _place(self, ended: Ended) -> None:
        names = self.config.sub_accounts
        sub_account = names[int(ended.dialog[4:36], 16) % len(names)]
        order = CallOrder(dialog_id=ended.dialog, sub_account=sub_account, segments=(ended.order,))
        self.world.calls.place(order)

    @contextmanager
    def _may_die(self) -> Iterator[None]:
        self._mortal = True
        try:
            yield
        except KilledError:
            self.deaths += 1
        finally:
            self._mortal = False

    def _dying(self, step: Any) -> Any:
        """Return the step with a chance to die right before it or right after."""

        def perhaps(*arguments: Any, **options: Any) -> Any:
            self._perhaps_die()
            done = step(*arguments, **options)
            self._perhaps_die()
            return done

        return perhaps

    def _perhaps_die(self) -> None:
        if self._mortal and self.dice.random() < self._deadly:
            raise KilledError

    def _perhaps_break(self) -> None:
        self.world.faults.clear()
        if self.dice.random() >= self._faults:
            return
        fault = self.dice.choice((*FAULTS, *BAD_ROWS) if self._bad_rows else FAULTS)
        if fault is None:
            self.line.drop = True
        else:
            self.world.faults.add(replace(fault, share=MOST_OF_IT * self.dice.random()))


def a_wave(dice: random.Random) -> bytes:
    """Return a short recording of two channels like no other."""
    return riff(chunk(b"fmt ", form(1, 8000, 2, 16)), chunk(b"data", dice.randbytes(1600)))


def legs_of(days: Days) -> dict[str, str]:
    """Return the hash of every segment in the archive, by its id."""
    return {
        key.rpartition("/")[2].removesuffix(".wav"): hashlib.sha256(body).hexdigest()
        for key, body in days.archive.objects.items()
        if "/legs/" in key
    }


def sent_of(days: Days) -> dict[str, str]:
    """Return the hash of every segment as RingCX has it, by its id."""
    return {name: hashlib.sha256(body).hexdigest() for name, body in days.audio.items()}


def classes_of(days: Days) -> set[str]:
    """Return the storage classes in which segments lie."""
    return {days.archive.storage_classes[key] for key in days.archive.objects if "/legs/" in key}


def sealed_of(days: Days) -> dict[str, set[str]]:
    """Return the ids of the segments that the newest manifests name, by dialog."""
    return {
        entry.call: {
            leg["id"] for leg in json.loads(days.archive.objects[entry.manifest.key])["legs"]
        }
        for entry in days.ledger.entries.values()
        if entry.manifest
    }


def dialogs_of(ended: list[Ended]) -> dict[str, set[str]]:
    """Return the ids of the segments that there were, by dialog."""
    dialogs: dict[str, set[str]] = {}
    for one in ended:
        dialogs.setdefault(one.dialog, set()).add(one.order.segment_id)
    return dialogs


def broken_rules(days: Days) -> dict[str, int]:
    """Return how often RingCX's rules were broken, and which."""
    stats = days.world.stats.to_json()
    broken = {rule: count for rule, count in stats["rulesBroken"].items() if count}
    return broken | stats["tooManyRequests"]


def nothing_waits(days: Days) -> bool:
    """Tell whether no sub-account has anything that is listed and not archived."""
    return all(
        days.notes.first(f"unarchived#ringcx#{name}") is None for name in days.config.sub_accounts
    )


def assert_nothing_lost(days: Days, ended: list[Ended]) -> None:
    """Each segment is in Glacier exactly once, and no rule of RingCX was broken."""
    archived, sent = legs_of(days), sent_of(days)
    wrong = {leg for leg, _ in archived.items() ^ sent.items()}
    troubled = [
        f"{entry.call} is {entry.status}: {entry.troubles}"
        for entry in days.ledger.entries.values()
        if entry.troubles or wrong & entry.named
    ]
    assert not wrong, (wrong, troubled, [reason for _, reason in days.queue.buried])
    assert classes_of(days) == {"GLACIER"}
    assert sealed_of(days) == dialogs_of(ended)
    assert {entry.status for entry in days.ledger.entries.values()} == {"archived"}
    assert days.world.stats.touched_young == 0
    assert broken_rules(days) == {}
    assert nothing_waits(days)
