"""Reconcile the archive with its sources: is all here that each provider says was recorded.

The provider's own list is compared, recording by recording, with the ledger and with the bucket.
What is missing goes into the queue again, and a report says what was found. A run may take longer
than one invocation, so what it knows is kept after each page, and the next one goes on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from legato.absence import Absence, from_text, to_text
from legato.errors import Barred, LegatoError, Retry, Stale, Wait
from legato.judge import YOUNG, Judge
from legato.model import CallId, format_time, parse_time
from legato.report.page import to_html
from legato.report.reconciliation import Found, NotAsked, Reconciliation
from legato.seal import JSON
from legato.sweep import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from legato.model import Json
    from legato.ports import Archive, Clock, Jobs, Ledger, Lists, Notes
    from legato.sweep import Page

log = logging.getLogger(__name__)

RESERVE = timedelta(minutes=3)
"""No page is begun when less than this is left: each of its calls is looked up."""
DEADLINE = timedelta(hours=20)
"""A run of many invocations ends then with what it has, so that there is a report each day."""
NAP = timedelta(seconds=90)
"""What is slept where time is limited: RingCX gives room for a few windows a minute."""
RETRY_SECONDS = (5, 15, 60, 180, 300, 300)
"""The waits between tries after passing faults. A page that was read begins them anew."""
HTML = "text/html; charset=utf-8"


class Recorded(Tail, Protocol):
    """A provider's word on what was recorded in a stretch of time, which it keeps for `kept`."""

    kept: timedelta

    def began_at(self, record: Json) -> datetime | None:
        """Return when the recording of a record began, as far as it says so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciling:
    """What a run works with: whole days from `begin` to `end`, in UTC.

    `memory` keeps what an unfinished run knows, under its `name`. With `report_only` nothing is put
    into the queue.
    """

    name: str
    begin: datetime
    end: datetime
    recorded: Sequence[Recorded]
    jobs: Mapping[str, Jobs]
    ledger: Ledger
    notes: Lists
    memory: Notes
    archive: Archive
    clock: Clock
    sleep: Callable[[float], None]
    settle_seconds: int
    report_only: bool = False


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
        run = _Run(work)
        if run.finished:
            return None
        return run.report() if run.read(until, tell) else None
    except Stale:
        log.warning("another run reconciles the same days", extra={"run": work.name})
        return None


def last_days(now: datetime, days: int) -> tuple[datetime, datetime]:
    """Return the beginning and the end of so many days, of which none is still young."""
    end = (now - YOUNG).replace(hour=0, minute=0, second=0, microsecond=0)
    return end - timedelta(days=days), end


class _Run:
    """A run, from where the last invocation left it."""

    def __init__(self, work: Reconciling) -> None:
        self._work = work
        self._judge = Judge(work)
        self._note = work.memory.read(f"reconciling#{work.name}")
        span = [format_time(work.begin), format_time(work.end)]
        if self._note.content.get("span") != span:
            now = format_time(work.clock.now())
            self._note = replace(self._note, content={"span": span, "began_at": now, "read": {}})
            self._remember()
        self.finished = self._note.content.get("finished", False)

    def read(self, until: datetime | None, tell: Callable[[str], None]) -> bool:
        """Read all stretches to their ends; return False if no time is left for that."""
        clock, began_at = self._work.clock, parse_time(self._note.content["began_at"])
        while going := [one for one in self._work.recorded if not self._place(one).get("over")]:
            one = min(going, key=lambda each: self._place(each).get("not_before", ""))
            place, now = self._place(one), clock.now()
            due = parse_time(place["not_before"]) if "not_before" in place else now
            if until is not None and now - began_at > DEADLINE:
                self._give_up(going)
                break
            if until is not None and (max(due, now) > until - RESERVE or due - now > NAP):
                return False
            if due > now:
                tell(f"{one.watch}: waits until {due:%H:%M:%S} UTC: {place['waits_for']}")
                self._work.sleep((due - now).total_seconds())
            self._go_on(one, place, patient=until is not None)
            tell(f"{one.watch}: {self._place(one).get('pages', 0)} pages read")
        return until is None or clock.now() <= until - RESERVE

    def report(self) -> Reconciliation:
        """Write what was found, and say it."""
        work, found = self._work, self._found()
        began_at = parse_time(self._note.content["began_at"])
        absence = Absence(work, self._judge, began_at)
        providers = tuple(dict.fromkeys(one.name for one in work.recorded))
        told = [absence.noted(one) for one in found.values()]
        earlier = absence.earlier(providers, found)
        report = Reconciliation(
            begin=work.begin,
            end=work.end,
            began_at=began_at,
            ended_at=work.clock.now(),
            providers=providers,
            found=sorted(told, key=lambda one: (one.day, one.id, one.recording)),
            earlier=earlier,
            not_asked=tuple(self._not_asked()),
            missing_over_a_day=absence.over_a_day,
            queued=self._note.content.get("queued", 0) + absence.queued,
        )
        for extension, media_type, body in (
            ("json", JSON, report.to_bytes()),
            ("html", HTML, to_html(report)),
        ):
            work.archive.put_bytes(report.key(extension), body, media_type=media_type)
        self._remember(finished=True)
        extra = {"run": work.name, "key": report.key("json"), **report.counts}
        log.info("reconciled", extra=extra | {"missing_over_a_day": report.missing_over_a_day})
        return report

    def _go_on(self, one: Recorded, place: Json, *, patient: bool) -> None:
        """Read a page and write down what it says; where it cannot be read, when to try again."""
        try:
            page = one.page(place.get("cursor", {}), turn=place.get("turn", False))
            self._take_in(one, page, place.get("pages", 0))
        except Stale:
            raise
        except LegatoError as error:
            now = self._work.clock.now()
            self._put(one, _stopped(error, place, now, patient=patient))
            return
        pages = place.get("pages", 0) + 1
        self._put(one, {"cursor": page.cursor, "pages": pages, "tries": 0, "over": not page.more})

    def _take_in(self, one: Recorded, page: Page, number: int) -> None:
        """Judge the recordings of a page, write the verdicts down, and only then act on them.

        What was judged stays judged: a job that is sent for a recording makes it look less missing.
        """
        memory = self._work.memory
        note = memory.read(self._page_key(one, number))
        ours = note.content.get("began_at") == self._note.content["began_at"]
        known = {_name(line): line for line in note.content["found"]} if ours else {}
        found = {_name(line): line for line in self._judged(one, page)}
        content = {"began_at": self._note.content["began_at"], "found": [*(found | known).values()]}
        memory.write(replace(note, content=content))
        missing = [line for line in content["found"] if line[4] == "missing"]
        if self._work.report_only or not missing:
            return
        records = {change.id: change.records for change in page.changes}
        calls: dict[CallId, list[list[Any]]] = {}
        queued = 0
        for line in missing:
            calls.setdefault(CallId(one.name, line[0], line[1]), []).append(line)
        for call, lines in calls.items():
            began = [parse_time(line[3]) for line in lines if line[3]]
            queued += self._judge.again(
                call,
                {line[2] for line in lines},
                began_at=min(began, default=None),
                records=records.get(call, {}),
            )
        self._remember(queued=self._note.content.get("queued", 0) + queued)

    def _judged(self, one: Recorded, page: Page) -> Iterable[list[Any]]:
        """Yield a line for each recording: account, call, id, its beginning, fate and reason."""
        work = self._work
        for change in page.changes:
            wanted: dict[str, datetime | None] = {}
            for name, record in change.records.items():
                began = one.began_at(record)
                if began is not None and not work.begin <= began < work.end:
                    continue
                try:
                    ids = one.recordings([record])
                except Retry as error:
                    yield [*change.id[1:], name, to_text(began), "failed", str(error)]
                    continue
                wanted |= dict.fromkeys(ids, began)
            verdicts = self._judge.verdicts(change.id, wanted)
            for recording, (fate, reason) in verdicts.items():
                began = wanted[recording]
                yield [*change.id[1:], recording, to_text(began), fate, reason]
        for stray in page.strays:
            began = one.began_at(stray)
            if began is not None and not work.begin <= began < work.end:
                continue
            reason = "the provider lists it without saying which call it belongs to"
            yield ["", "", str(stray.get("id", "?")), to_text(began), "failed", reason]

    def _found(self) -> dict[tuple[CallId, str], Found]:
        """Return every recording once, as it was when it was first judged."""
        found: dict[tuple[CallId, str], Found] = {}
        for one in self._work.recorded:
            for number in range(self._place(one).get("pages", 0)):
                content = self._work.memory.read(self._page_key(one, number)).content
                for account, call, recording, began, fate, reason in content["found"]:
                    began_at = from_text(began)
                    line = Found(
                        provider=one.name,
                        account=account,
                        call=call,
                        recording=recording,
                        day=(began_at or self._work.begin).date(),
                        began_at=began_at,
                        fate=fate,
                        reason=reason,
                    )
                    found.setdefault((line.id, recording), line)
        return found

    def _not_asked(self) -> Iterable[NotAsked]:
        for one in self._work.recorded:
            if reason := self._place(one).get("reason"):
                yield NotAsked(provider=one.name, what=one.watch, reason=reason)
            oldest = self._work.clock.now() - one.kept
            if self._work.begin < oldest:
                reason = (
                    f"the provider keeps recordings for {one.kept.days} days: what is older than "
                    f"{format_time(oldest)} cannot be compared"
                )
                yield NotAsked(provider=one.name, what=one.watch, reason=reason)

    def _give_up(self, going: Iterable[Recorded]) -> None:
        for one in going:
            why = self._place(one).get("waits_for", "there was not enough time")
            self._put(one, {"over": True, "reason": f"not read to its end: {why}"})

    def _page_key(self, one: Recorded, number: int) -> str:
        return f"{self._note.key}#{one.key}#{number}"

    def _place(self, one: Recorded) -> Json:
        place: Json = self._note.content["read"].get(one.key, {})
        return place

    def _put(self, one: Recorded, changes: Json) -> None:
        """Write down how far a stretch is read, and no more what it waited for."""
        known = self._place(one)
        kept = {name: known[name] for name in ("cursor", "pages", "tries") if name in known}
        self._remember(read=self._note.content["read"] | {one.key: kept | changes})

    def _remember(self, **changes: object) -> None:
        content = self._note.content | changes
        self._note = self._work.memory.write(replace(self._note, content=content))


def _stopped(error: LegatoError, place: Json, now: datetime, *, patient: bool) -> Json:
    """Return what becomes of a stretch that cannot be read on: it waits, or it is given up.

    Who is `patient` tries again where the provider refuses us: somebody may have mended it.
    """
    tries = place.get("tries", 0)
    if isinstance(error, Wait) and not isinstance(error, Barred):
        seconds, turn = error.seconds, error.turn
    elif isinstance(error, Barred) and patient and tries < len(RETRY_SECONDS):
        seconds, turn, tries = error.seconds, False, tries + 1
    elif isinstance(error, Retry) and tries < len(RETRY_SECONDS):
        seconds, turn, tries = RETRY_SECONDS[tries], False, tries + 1
    else:
        return {"over": True, "reason": str(error)}
    return {
        "not_before": format_time(now + timedelta(seconds=seconds)),
        "turn": turn,
        "tries": tries,
        "waits_for": str(error),
    }


def _name(line: list[Any]) -> tuple[str, str, str]:
    return (line[0], line[1], line[2])
