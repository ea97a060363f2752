"""Reconcile the archive with its sources: is all here that each provider says was recorded.

The provider's own list is compared, recording by recording, with the ledger and with the bucket.
What is missing goes into the queue again, and a report says what was found. A run may take longer
than one invocation, so what it knows is kept after each page, and the next one goes on.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from legato.archive.folder import Verdict
from legato.archive.manifest import JSON
from legato.discovery.sweep import STRAY as NO_CALL
from legato.discovery.sweep import note_stray
from legato.errors import Barred, Failed, Retry, Stale
from legato.ledger import undigested
from legato.model import CallId, CallState, format_time, parse_time
from legato.operations.inventory import AT_ONCE, Inventory, as_found
from legato.operations.missing import STRAY, MissingRecordings
from legato.operations.past import YOUNG, Classifier, Listed, Reconciling
from legato.operations.report.page import to_html
from legato.operations.report.reconciliation import Found, NotAsked, Reconciliation, days_of
from legato.operations.walk import RESERVE, Place, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime

    from legato.errors import LegatoError
    from legato.model import Json
    from legato.ports import (
        Change,
        Recorded,
        TailPage,
    )

log = logging.getLogger(__name__)

DEADLINE = timedelta(hours=20)
"""A run of many invocations ends then with what it has, so that there is a report each day."""
HTML = "text/html; charset=utf-8"


def reconcile(
    work: Reconciling,
    *,
    until: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reconciliation | None:
    """Read what was recorded, put what is missing into the queue, and write the report.

    Returns None if the report is not due: it was written by an earlier run of these days, or this
    one has no time left `until` then and the next goes on. `tell` hears of every page and wait.
    """
    try:
        run = _Run(work, until, tell)
        if run.finished:
            return None
        return run.report() if run.read() and run.compare() else None
    except Stale:
        log.warning("another run reconciles the same days", extra={"run": work.name})
        return None


def last_days(now: datetime, days: int) -> tuple[datetime, datetime]:
    """Return the beginning and the end of so many days, of which none is still young."""
    end = (now - YOUNG).replace(hour=0, minute=0, second=0, microsecond=0)
    return end - timedelta(days=days), end


class _Run:
    """A run, from where the last invocation left it."""

    def __init__(
        self, work: Reconciling, until: datetime | None, tell: Callable[[str], None]
    ) -> None:
        self._work, self._until, self._tell = work, until, tell
        self._classifier = Classifier(work)
        self._inventory = Inventory(work, self._classifier)
        self._note = work.memory.read(f"reconciling#{work.name}")
        span = [format_time(work.begin), format_time(work.end)]
        if self._note.content.get("span") != span:
            now = format_time(work.clock.now())
            content: Json = {"span": span, "began_at": now, "read": {}, "compared": {}}
            self._note = work.memory.write(replace(self._note, content=content))
        self.finished = self._note.content.get("finished", False)
        read = self._note.content["read"]
        self._places = {
            one.key: Place.of(read[one.key]) if one.key in read else Place()
            for one in work.recorded
        }

    def read(self) -> bool:
        """Read all stretches to their ends; return False if no time is left for that."""
        by_hand, began_at = self._until is None, parse_time(self._note.content["began_at"])
        if not by_hand and self._work.clock.now() - began_at > DEADLINE:
            self._give_up()
        over = walk(
            self._work.recorded,
            self._places,
            read=self._read_page,
            tell=self._put,
            clock=self._work.clock,
            sleep=self._work.sleep,
            # Where nobody waits for the report, somebody may mend it before the next try.
            hopeless=lambda error: by_hand and isinstance(error, Barred),
            until=self._until,
        )
        return over and self._has_time()

    def compare(self) -> bool:
        """Compare the archive's folders with all that was read; False if no time is left for it."""
        listed = self._listed()
        for provider in self._work.providers:
            for day in days_of(self._work.begin, self._work.end):
                key = f"{provider}#archive#{day}"
                if key in self._note.content["compared"]:
                    continue
                if not self._has_time():
                    return False
                self._tell(f"{provider}: the archive's folders of {day}")
                self._compare(key, provider, day, listed[provider])
        return self._has_time()

    def _has_time(self) -> bool:
        return self._until is None or self._work.clock.now() <= self._until - RESERVE

    def report(self) -> Reconciliation:
        """Write what was found, and say it."""
        work, found, flaws = self._work, self._found("found"), self._found("flaws")
        began_at = parse_time(self._note.content["began_at"])
        absence = MissingRecordings(work, self._classifier, began_at)
        flaws = {name: one for name, one in flaws.items() if name not in found}
        told, earlier = absence.taken(self._listed(), [*found.values(), *flaws.values()])
        told.sort(key=lambda one: (one.day, one.id, one.recording))
        report = Reconciliation(
            run=work.name,
            begin=work.begin,
            end=work.end,
            began_at=began_at,
            ended_at=work.clock.now(),
            providers=work.providers,
            found=[one for one in told if (one.id, one.name) in found],
            flaws=[one for one in told if (one.id, one.name) in flaws],
            earlier=earlier,
            not_asked=tuple(self._not_asked()),
            missing_over_a_day=absence.over_a_day,
            queued=self._note.content.get("queued", 0) + absence.queued,
        )
        for extension, media_type, body in (
            ("json", JSON, report.to_bytes()),
            ("html", HTML, to_html(report)),
        ):
            undigested.announce(report.key(extension), work.notes, work.clock)
            stored = work.archive.put_bytes(report.key(extension), body, media_type=media_type)
            undigested.written(stored, work.notes)
        self._remember(finished=True)
        extra = {"run": work.name, "key": report.key("json"), **report.counts}
        log.info("reconciled", extra=extra | {"missing_over_a_day": report.missing_over_a_day})
        return report

    def _compare(self, key: str, provider: str, day: date, listed: Listed) -> None:
        """Compare the folders of a day, and put what they lack into the queue."""
        try:
            flaws = self._inventory.of_day(provider, day, listed)
        except (Retry, Failed) as error:
            compared = self._note.content["compared"] | {key: f"{day}: {error}"}
            self._remember(compared=compared)
            return
        memory, note_key = self._work.memory, f"{self._note.key}#{key}"
        content = {"found": [], "flaws": [one.to_note() for one in flaws]}
        memory.write(replace(memory.read(note_key), content=content))
        queued = self._again(flaws, {})
        self._remember(compared=self._note.content["compared"] | {key: ""}, queued=queued)

    def _read_page(self, one: Recorded, place: Place) -> Place:
        page = one.page(place.cursor, turn=place.turn)
        if page.fault is not None:
            raise page.fault
        self._take_in(one, page, place.pages)
        return Place(cursor=page.cursor, pages=place.pages + 1, over=not page.more)

    def _put(self, one: Recorded, _: LegatoError | None = None) -> None:
        """Write down how far a stretch is read, and say it."""
        place = self._places[one.key]
        self._remember(read=self._note.content["read"] | {one.key: place.to_json()})
        told = f"{place.pages} pages read"
        if place.not_before is not None:
            told = f"waits until {place.not_before:%H:%M:%S} UTC: {place.reason}"
        self._tell(f"{one.watch}: {told}")

    def _give_up(self) -> None:
        """Read no further what is not read to its end."""
        for one in self._work.recorded:
            place = self._places[one.key]
            if not place.over:
                why = place.reason or "there was not enough time"
                self._places[one.key] = place.given_up(f"not read to its end: {why}")
                self._put(one)

    def _take_in(self, one: Recorded, page: TailPage, number: int) -> None:
        """Judge the recordings of a page, write the verdicts down, and only then act on them.

        What was judged stays judged: a job that is sent for a recording makes it look less missing.
        """
        memory, began_at = self._work.memory, self._note.content["began_at"]
        note = memory.read(self._page_key(one, number))
        ours = note.content if note.content.get("began_at") == began_at else {}
        content: Json = {"began_at": began_at}
        wrong: list[Found] = []
        for name, judged in zip(("found", "flaws"), self._judged(one, page), strict=True):
            known = map(Found.of, ours.get(name, ()))
            merged = {(each.id, each.name): each for each in [*judged, *known]}
            content[name] = [each.to_note() for each in merged.values()]
            wrong += merged.values()
        memory.write(replace(note, content=content))
        self._remember(queued=self._again(wrong, {each.id: each.records for each in page.changes}))

    def _again(self, found: Iterable[Found], records: Mapping[CallId, Mapping[str, Json]]) -> int:
        """Put what is missing into the queue; return for how much that was done in all."""
        queued: int = self._note.content.get("queued", 0)
        calls: dict[CallId, list[Found]] = {}
        for one in found:
            if one.fate == "missing":
                calls.setdefault(one.id, []).append(one)
        for call, missing in calls.items():
            queued += self._classifier.again(missing, records=records.get(call, {}))
        return queued

    def _judged(self, one: Recorded, page: TailPage) -> tuple[list[Found], list[Found]]:
        """Return what has become of each recording, and what else is wrong with their calls."""
        found: list[Found] = []
        flaws: list[Found] = []
        with ThreadPoolExecutor(AT_ONCE) as workers:
            for judged, wrong in workers.map(partial(self._judged_call, one), page.changes):
                found += judged
                flaws += wrong
        for stray in page.strays:
            began = one.began_at(stray)
            if self._within(began):
                note_stray(stray, one.name, self._work.notes, self._work.clock)
                recording = str(stray.get("id", "?"))
                verdict = Verdict(kind=STRAY, reason=NO_CALL, recording=recording)
                found.append(
                    self._as_found(
                        CallState(provider=one.name, account="", call=""), verdict, began
                    )
                )
        return found, flaws

    def _judged_call(self, one: Recorded, change: Change) -> tuple[list[Found], list[Found]]:
        wanted: dict[str, datetime | None] = {}
        found: list[Found] = []
        for record in change.records.values():
            began = one.began_at(record)
            if not self._within(began):
                continue
            wanted |= dict.fromkeys(one.recordings([record]), began)
            for odd in one.unreadable([record]):
                unclear = Verdict(kind="unreadable", reason=odd.reason, recording=odd.id)
                found.append(self._as_found(CallState(**change.id._asdict()), unclear, began))
        if not wanted:
            return found, []
        state = self._work.ledger.load(change.id)
        verdicts, flaws = self._classifier.verdicts(state, wanted)
        found += [self._as_found(state, each, wanted[name]) for name, each in verdicts.items()]
        began = min(filter(None, wanted.values()), default=None)
        return found, [self._as_found(state, flaw, began) for flaw in flaws]

    def _within(self, began: datetime | None) -> bool:
        return began is None or self._work.begin <= began < self._work.end

    def _as_found(self, state: CallState, verdict: Verdict, began_at: datetime | None) -> Found:
        day = (began_at or self._work.begin).date()
        return as_found(state, verdict, day=day, began_at=began_at)

    def _found(self, what: str) -> dict[tuple[CallId, str], Found]:
        """Return each finding of all that was read and compared, as it was when first judged."""
        keys = [
            self._page_key(one, number)
            for one in self._work.recorded
            for number in range(self._places[one.key].pages)
        ]
        compared = self._note.content["compared"].items()
        keys += [f"{self._note.key}#{key}" for key, reason in compared if not reason]
        found: dict[tuple[CallId, str], Found] = {}
        for key in keys:
            for one in map(Found.of, self._work.memory.read(key).content[what]):
                found.setdefault((one.id, one.name), one)
        return found

    def _listed(self) -> dict[str, Listed]:
        """Return what each provider's list has named."""
        listed = {name: Listed() for name in self._work.providers}
        for one in self._work.recorded:
            if self._unread(one):
                listed[one.name].whole = False
        for named in self._found("found").values():
            ours = listed[named.provider]
            ours.calls.add(named.id)
            ours.recordings.add((named.account, named.recording))
            ours.days[named.account, named.day] += 1
        return listed

    def _not_asked(self) -> Iterable[NotAsked]:
        for one in self._work.recorded:
            if reason := self._unread(one):
                yield NotAsked(provider=one.name, what=one.watch, reason=reason)
            oldest = self._work.clock.now() - one.kept
            if self._work.begin < oldest:
                reason = (
                    f"the provider keeps recordings for {one.kept.days} days: what is older than "
                    f"{format_time(oldest)} cannot be compared"
                )
                yield NotAsked(provider=one.name, what=one.watch, reason=reason)
        for key, reason in self._note.content["compared"].items():
            if reason:
                yield NotAsked(provider=key.partition("#")[0], what="the archive", reason=reason)

    def _unread(self, one: Recorded) -> str:
        """Return why a stretch was given up, if it was."""
        place = self._places[one.key]
        return place.reason if place.over else ""

    def _page_key(self, one: Recorded, number: int) -> str:
        return f"{self._note.key}#{one.key}#{number}"

    def _remember(self, **changes: object) -> None:
        content = self._note.content | changes
        if content != self._note.content:
            self._note = self._work.memory.write(replace(self._note, content=content))
