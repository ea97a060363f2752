"""Reconcile the archive with its sources: is all here that each provider says was recorded.

The provider's own list is compared, recording by recording, with the ledger and with the bucket.
What is missing goes into the queue again, and a report says what was found. A run may take longer
than one invocation, so what it knows is kept after each page, and the next one goes on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from legato import unarchived
from legato.errors import Barred, Failed, LegatoError, Retry, Stale, Wait
from legato.model import CallState, Job, Json, Note, format_time, parse_time
from legato.report.page import to_html
from legato.report.reconciliation import Found, NotAsked, Reconciliation
from legato.seal import JSON, read_manifest
from legato.sweep import Tail, records_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from legato.ports import Archive, Clock, Jobs, Ledger, Lists, Notes
    from legato.report.reconciliation import Fate
    from legato.sweep import Page

log = logging.getLogger(__name__)

YOUNG = timedelta(hours=4)
"""What began so lately may not have been found, or be on its way; RingCX's second look is then."""
PATIENCE = timedelta(hours=12)
"""How long what was found may stand in the queue before it counts as forgotten there."""
LATE = timedelta(hours=1)
"""A queue is not exact, and may be full."""
RESERVE = timedelta(minutes=3)
"""No page is begun when less than this is left: each of its calls is looked up."""
DEADLINE = timedelta(hours=20)
"""A run of many invocations ends then with what it has, so that there is a report each day."""
NAP = timedelta(seconds=90)
"""What is slept where time is limited: RingCX gives room for a few windows a minute."""
RETRY_SECONDS = (5, 15, 60, 180, 300, 300)
"""The waits between tries after passing faults. A page that was read begins them anew."""
A_DAY = timedelta(days=1)
WRITE_TRIES = 10
FOLDERS = 4
"""How many days' listings of the bucket are held at the same time."""
HTML = "text/html; charset=utf-8"

type Verdict = tuple[Fate, str]


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
        self._judge = _Judge(work)
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
        absence = _Absence(work, self._judge, began_at)
        providers = tuple(dict.fromkeys(one.name for one in work.recorded))
        told = [absence.noted(one) for one in found.values()]
        earlier = absence.earlier(providers, found)
        report = Reconciliation(
            begin=work.begin,
            end=work.end,
            began_at=began_at,
            ended_at=work.clock.now(),
            providers=providers,
            found=sorted(told, key=lambda one: (one.day, one.provider, one.call, one.recording)),
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
        records = {change.call: change.records for change in page.changes}
        calls: dict[str, list[list[Any]]] = {}
        queued = 0
        for line in missing:
            calls.setdefault(line[1], []).append(line)
        for call, lines in calls.items():
            began = [parse_time(line[3]) for line in lines if line[3]]
            queued += self._judge.again(
                one.name,
                lines[0][0],
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
                    yield [change.account, change.call, name, _text(began), "failed", str(error)]
                    continue
                wanted |= dict.fromkeys(ids, began)
            verdicts = self._judge.verdicts(one.name, change.account, change.call, wanted)
            for recording, (fate, reason) in verdicts.items():
                began = wanted[recording]
                yield [change.account, change.call, recording, _text(began), fate, reason]
        for stray in page.strays:
            began = one.began_at(stray)
            if began is not None and not work.begin <= began < work.end:
                continue
            reason = "the provider lists it without saying which call it belongs to"
            yield ["", "", str(stray.get("id", "?")), _text(began), "failed", reason]

    def _found(self) -> dict[tuple[str, str, str], Found]:
        """Return every recording once, as it was when it was first judged."""
        found: dict[tuple[str, str, str], Found] = {}
        for one in self._work.recorded:
            for number in range(self._place(one).get("pages", 0)):
                content = self._work.memory.read(self._page_key(one, number)).content
                for account, call, recording, began, fate, reason in content["found"]:
                    began_at = _time(began)
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
                    found.setdefault((one.name, call, recording), line)
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


class _Judge:
    """Says of recordings what has become of them, and sees to those that are missing."""

    def __init__(self, work: Reconciling) -> None:
        self._work = work
        self._folders: OrderedDict[str, dict[str, int]] = OrderedDict()

    def verdicts(
        self, provider: str, account: str, call: str, wanted: Mapping[str, datetime | None]
    ) -> dict[str, Verdict]:
        """Return the fate of each recording of a call, with its reason. Raises Retry."""
        if not wanted:
            return {}
        state = self._work.ledger.load(provider, account, call)
        gone = self._gone(state, wanted)
        if all(recording in state.legs and recording not in gone for recording in wanted):
            return dict.fromkeys(wanted, ("archived", ""))
        note = self._work.notes.read(records_key(provider, call))
        found: dict[str, Verdict] = {}
        for recording, began_at in wanted.items():
            if recording in gone:
                found[recording] = gone[recording]
            elif recording in state.legs:
                found[recording] = ("archived", "")
            else:
                found[recording] = self._absent(recording, began_at, state, note)
        return found

    def again(
        self,
        provider: str,
        account: str,
        call: str,
        recordings: set[str],
        *,
        began_at: datetime | None,
        records: Mapping[str, Json],
    ) -> int:
        """Queue a job for what is missing, as the sweep does; return for how much. Raises Retry.

        First the ledger forgets what it wrongly says is archived, so that the job finds something
        to do. Nothing that was sealed is touched: what is fetched anew makes another revision.
        """
        if not self._put_right(provider, account, call, recordings):
            return 0
        ids = sorted(recordings)
        job = Job(
            provider=provider,
            account=account,
            call=call,
            # As if seen at the time: where a provider is asked by time, that is where it lies.
            seen_at=began_at or self._work.clock.now(),
            hints={"recordingIds": ids, "listed": ids},
        )
        self._work.jobs[provider].send(job, delay=self._work.settle_seconds)
        watches = {one.watch for one in self._work.recorded}
        watch = provider if provider in watches else f"{provider}#{account}"
        now = self._work.clock.now()
        for _ in range(WRITE_TRIES):
            note = self._work.notes.read(records_key(provider, call))
            content = note.content | {
                "records": note.content.get("records", {}) | dict(records),
                "seen": format_time(now),
            }
            note = replace(note, content=content)
            note = unarchived.found(note, recordings, watch=watch, since=began_at or now)
            try:
                self._work.notes.write(note)
            except Stale:
                continue
            extra = {"provider": provider, "call": call, "recordings": ids}
            log.warning("missing in the archive, queued again", extra=extra)
            return len(ids)
        raise Retry(f"the records of {call} are written faster than they are read")

    def _put_right(self, provider: str, account: str, call: str, recordings: set[str]) -> bool:
        """Have the ledger say no more that these are archived; False if somebody is at work."""
        for _ in range(WRITE_TRIES):
            state = self._work.ledger.load(provider, account, call)
            if state.lease_until is not None and self._work.clock.now() < state.lease_until:
                return False
            if not recordings & state.legs.keys():
                return True
            legs = {leg: sha256 for leg, sha256 in state.legs.items() if leg not in recordings}
            reason = "gone from the archive, and to be fetched anew"
            try:
                self._work.ledger.save(state.changed(legs=legs, status="waiting", reason=reason))
            except Stale:
                continue
            return True
        raise Retry(f"the entry of {call} is written faster than it is read")

    def _gone(self, state: CallState, wanted: Iterable[str]) -> dict[str, Verdict]:
        """Return what the bucket lacks of that which the ledger says is sealed."""
        sealed = [recording for recording in wanted if recording in state.legs]
        if not sealed or state.prefix is None:
            return {}
        gone = self._unlike(state, sealed, self._folder(state.prefix))
        if gone:
            # The listing may be older than the entry.
            fresh = self._work.archive.sizes(state.prefix)
            gone = self._unlike(state, sealed, fresh)
        return gone

    def _unlike(
        self, state: CallState, sealed: Sequence[str], sizes: Mapping[str, int]
    ) -> dict[str, Verdict]:
        if state.manifest is None or state.manifest.key not in sizes:
            key = state.manifest.key if state.manifest else f"a manifest of {state.call}"
            return dict.fromkeys(sealed, ("missing", f"{key} is gone from the archive"))
        try:
            content = read_manifest(state.manifest, self._work.archive)
        except (Failed, Retry) as error:
            # One manifest that cannot be read must not keep all the others from being compared.
            return dict.fromkeys(sealed, ("failed", str(error)))
        legs = {leg["id"]: leg for leg in content["legs"]}
        found: dict[str, Verdict] = {}
        for recording in sealed:
            leg = legs.get(recording)
            if leg is None:
                reason = f"{state.manifest.key} does not name it, though the ledger says so"
                found[recording] = ("missing", reason)
            elif leg["key"] not in sizes:
                found[recording] = ("missing", f"{leg['key']} is gone from the archive")
            elif sizes[leg["key"]] != leg["bytes"]:
                reason = (
                    f"{leg['key']} has {sizes[leg['key']]} bytes, and {leg['bytes']} were sealed: "
                    "run `legato verify`"
                )
                found[recording] = ("failed", reason)
        return found

    def _folder(self, prefix: str) -> dict[str, int]:
        """Return the sizes of all objects of a day, which is a request for a thousand of them."""
        day = prefix[: prefix.rstrip("/").rfind("/") + 1]
        if day not in self._folders:
            self._folders[day] = self._work.archive.sizes(day)
            if len(self._folders) > FOLDERS:
                self._folders.popitem(last=False)
        return self._folders[day]

    def _absent(
        self, recording: str, began_at: datetime | None, state: CallState, note: Note
    ) -> Verdict:
        """Judge a recording that no manifest names."""
        now = self._work.clock.now()
        if state.lease_until is not None and now < state.lease_until:
            return ("waiting", "it is being archived")
        if state.next_look_at is not None and now < state.next_look_at + LATE:
            return ("waiting", state.reason or "its job waits in the queue")
        if state.status == "failed":
            return ("failed", state.reason or "its call failed")
        if began_at is not None and now - began_at < YOUNG:
            return ("waiting", "it is young")
        seen = note.content.get("seen")
        named = recording in note.content.get("unarchived", ())
        if named and seen is not None and now - parse_time(seen) < PATIENCE:
            return ("waiting", "its job waits in the queue")
        if state.status == "archived":
            return ("missing", "the sealed call lacks it")
        if state.status == "empty":
            return ("missing", "the ledger says that nothing was recorded")
        if state.version:
            return ("missing", f"the ledger says {state.status}, and nobody is at work on it")
        if note.version:
            return ("missing", "it was found, but the ledger has no entry of its call")
        return ("missing", "nothing is known of its call")


class _Absence:
    """Remembers since when recordings are not in the archive, and how often that was seen.

    A call's note is listed while one of its recordings is missing. `over_a_day` counts those that
    are for so long, `queued` those from before these days that were put into the queue again.
    """

    def __init__(self, work: Reconciling, judge: _Judge, began_at: datetime) -> None:
        self._work = work
        self._judge = judge
        self._run = format_time(began_at)
        self.over_a_day = 0
        self.queued = 0

    def noted(self, one: Found) -> Found:
        """Return what was found with since when, and how often, it was seen not to be here."""
        if one.fate not in ("missing", "failed"):
            return one

        def seen(entries: Json) -> None:
            known = entries.get(one.recording, {"first": self._run, "times": 0, "run": ""})
            since = known.get("missing_since") or self._run
            entries[one.recording] = known | {
                "began_at": _text(one.began_at),
                "times": known["times"] + (known["run"] != self._run),
                "run": self._run,
                "missing_since": since if one.fate == "missing" else None,
            }

        entry = self._changed(one.provider, one.account, one.call, seen)[one.recording]
        return _with(one, entry)

    def earlier(
        self, providers: Iterable[str], found: Mapping[tuple[str, str, str], Found]
    ) -> list[Found]:
        """Look after all that was missing once; return what still is and was not asked for now."""
        still: list[Found] = []
        for provider in providers:
            until = format_time(self._work.clock.now())
            for note in self._work.notes.listed(f"absent#{provider}", until=until):
                still += self._looked_after(provider, note.content, found)
        return still

    def _looked_after(
        self, provider: str, content: Json, found: Mapping[tuple[str, str, str], Found]
    ) -> list[Found]:
        account, call = content["account"], content["call"]
        missing = {name for name, one in content["recordings"].items() if one["missing_since"]}
        asked = {name: one.fate for name in missing if (one := found.get((provider, call, name)))}
        others = {
            name: _time(content["recordings"][name]["began_at"]) for name in missing - asked.keys()
        }
        verdicts = self._judge.verdicts(provider, account, call, others)
        fates = asked | {name: fate for name, (fate, _) in verdicts.items()}

        def settled(entries: Json) -> None:
            for name, fate in fates.items():
                if fate == "archived":
                    entries.pop(name, None)
                elif fate == "failed" and name in entries:
                    entries[name]["missing_since"] = None

        entries = self._changed(provider, account, call, settled)
        day_ago = self._work.clock.now() - A_DAY
        since = (_time(entry["missing_since"]) for entry in entries.values())
        self.over_a_day += sum(moment is not None and moment < day_ago for moment in since)
        still = {name for name, (fate, _) in verdicts.items() if fate == "missing"}
        if still and not self._work.report_only:
            began = min(filter(None, (others[name] for name in still)), default=None)
            again = self._judge.again(provider, account, call, still, began_at=began, records={})
            self.queued += again
        return [
            _with(
                Found(
                    provider=provider,
                    account=account,
                    call=call,
                    recording=name,
                    day=(others[name] or self._work.begin).date(),
                    began_at=others[name],
                    fate="missing",
                    reason=verdicts[name][1],
                ),
                entries[name],
            )
            for name in sorted(still)
        ]

    def _changed(
        self, provider: str, account: str, call: str, change: Callable[[Json], None]
    ) -> Json:
        """Change the entries of a call's recordings, and return them. Raises Retry."""
        for _ in range(WRITE_TRIES):
            note = self._work.notes.read(f"absent#{provider}#{call}")
            entries: Json = {
                name: dict(entry) for name, entry in note.content.get("recordings", {}).items()
            }
            change(entries)
            since = [one["missing_since"] for one in entries.values() if one["missing_since"]]
            content = {"account": account, "call": call, "recordings": entries}
            listed = (f"absent#{provider}", min(since)) if since else None
            changed = replace(note, content=content, listed=listed)
            if changed == note:
                return entries
            try:
                self._work.notes.write(changed)
            except Stale:
                continue
            return entries
        raise Retry(f"what is missing of {call} is written faster than it is read")


def _with(one: Found, entry: Json) -> Found:
    return replace(one, first_seen=parse_time(entry["first"]), times_seen=entry["times"])


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


def _name(line: list[Any]) -> tuple[str, str]:
    return (line[1], line[2])


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
