"""Which calls need a person: those in trouble, stuck, late, or found wrong by reconciliation."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from legato.format import counted
from legato.ledger import troubles
from legato.ledger.listings import strays_list
from legato.ledger.provider_health import last_granted
from legato.ledger.unarchived import listed_under
from legato.ledger.waiting import PATIENCE, PROMPT, last_sign
from legato.model import CallId, Job, format_time, parse_time
from legato.operations import missing
from legato.operations.overview import (
    EVER,
    MANY,
    Need,
    in_short,
    logs_of,
    minute,
    of_each,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from legato.model import CallState, Note, Trouble, TroubleKind
    from legato.operations.overview import Followed, Overview, Status
    from legato.operations.report.reconciliation import Found

RETRIED = timedelta(hours=1)
"""By then something has come of a call that was put into the queue again."""
LEAST = 10
"""So many calls that wait are looked at of each account, however many accounts there are."""
BACKLOG = timedelta(hours=3)
"""So long a job may stand in the queue before its workers count as behind."""

SAID: dict[TroubleKind, str] = {
    "refused": "is refused to us",
    "missing": "is not at the provider (any more)",
    "failing": "cannot be fetched",
    "limited": "is refused for its rate, and others are not",
    "deadly": "ends the workers that fetch it",
    "damaged": "came damaged",
    "short": "is shorter than the provider says",
    "unreadable": "is listed in words that nobody understands",
    "unjoined": "cannot be made",
    "unheard": "is kept, and cannot be heard, or not all of it",
    "unverified": "came by itself, and nobody knows that it is what its sender says",
    "lost": "is lost",
}


def troubled(provider: str, named: dict[CallId, CallState], work: Overview, found: Status) -> int:
    """Say what is wrong with each call in trouble, and count them. `named` takes them in.

    One that somebody has put into the queue again a moment ago is not said.
    """
    now = work.clock.now()
    notes = list(islice(work.notes.listed(f"failed#{provider}", until=EVER), MANY + 1))
    if len(notes) > MANY:
        what = f"{provider} has more than {MANY} calls in trouble"
        do = f"legato failed --provider {provider}"
        found.need("many", what, do, provider=provider)

    many = 0
    calls = [Job.from_message(note.content["job"]).id for note in notes[:MANY]]
    for note, state in zip(notes, work.ledger.load_all(calls), strict=False):
        told = {leg: one for leg, one in state.troubles.items() if troubles.is_told(one)}
        if state.status != "failed" and not told:
            continue
        named[state.id] = state
        retried_at = note.content.get("retried_at")
        if retried_at and now - parse_time(retried_at) < RETRIED:
            continue
        many += 1
        found.needs += _troubles(state, told, note, retried_at)
    return many


def _troubles(
    state: CallState, told: Mapping[str, Trouble], note: Note, retried_at: str | None
) -> Iterator[Need]:
    name, again = state.id, f"legato retry {shlex.quote(str(state.id))}"
    whose = {
        **state.id._asdict(),
        "alike": f"in trouble at {state.provider}",
        "do_all": f"legato failed --provider {state.provider}",
    }
    for leg, trouble in sorted(told.items(), key=lambda one: (one[1].since, one[0])):
        since = minute(trouble.since)
        which = "the joined audio" if trouble.kind == "unjoined" else f"recording {leg}"
        yield Need(
            kind=trouble.kind,
            what=(
                f"{name}: {which} {SAID[trouble.kind]} since {since}: {in_short(trouble.reason)}"
            ),
            # Nothing more can be done for what is lost: the list says what is left of the call.
            do=whose["do_all"] if trouble.kind == "lost" else again,
            recording=leg,
            since=trouble.since,
            reason=trouble.reason,
            detail=_tried(trouble),
            **whose,
        )
    if not told:
        failed_at = parse_time(note.content["failed_at"])
        reason = state.reason or note.content["reason"]
        yield Need(
            kind="failed",
            what=f"{name} failed at {minute(failed_at)}: {in_short(reason)}",
            do=again,
            since=failed_at,
            reason=reason,
            detail=f"nothing came of the retry at {minute(parse_time(retried_at))}"
            if retried_at
            else "",
            **whose,
        )


def _tried(trouble: Trouble) -> str:
    tries = f"tried {counted(trouble.tries, 'time')}"
    return f"{tries}, again at {minute(trouble.next_at)}" if trouble.next_at else tries


def strays(one: Followed, work: Overview, found: Status) -> int:
    """Count the records that belong to no call, for as long as the provider keeps recordings."""
    kept = timedelta(days=max(one.kept_days.values(), default=0))
    since = format_time(work.clock.now() - kept)
    listed = work.notes.listed(strays_list(one.provider), until=EVER)
    notes = [note for note in islice(listed, MANY) if note.content["seen"] >= since]
    for note in notes:
        seen, record = parse_time(note.content["seen"]), note.content["record"]
        found.need(
            "stray",
            f"{one.provider} lists the recording of record {record} since {minute(seen)}, and "
            "does not say of which call",
            f"legato failed --provider {one.provider}",
            provider=one.provider,
            recording=str(record),
            since=seen,
            alike=f"of no call at {one.provider}",
        )
    return len(notes)


def findings(
    provider: str, troubled: Mapping[CallId, CallState], work: Overview, found: Status
) -> int:
    """Say what reconciliation found wrong, unless it is mended or a trouble of the call itself."""
    many = 0
    wrong = list(islice(missing.listed(provider, work.notes), MANY))
    states = work.ledger.load_all(call for call, _ in wrong)
    for (call, findings), state in zip(wrong, states, strict=True):
        failed = state.status == "failed" and call in troubled
        for one in findings:
            told = failed or one.recording in state.troubles if one.recording else False
            unread = one.kind == "unreadable" and call not in troubled
            ours = unread or one.kind not in missing.IN_LEDGER
            if not ours or told or missing.mended(one, state):
                continue
            many += 1
            found.needs.append(_finding(call, one))
    return many


def _finding(call: CallId, one: Found) -> Need:
    day = f"{one.day}"
    whose = f"{call}: recording {one.recording}" if one.recording else f"{call}"
    if not call.call:
        whose = f"{call.provider}/{call.account}, {day}"
    again = f"legato reconcile --provider {call.provider} --from {day} --to {day} --zone UTC"
    compared = one.fate == "missing" or one.kind in missing.OF_A_RUN
    first = f", seen first {minute(one.first_seen)}" if one.first_seen else ""
    return Need(
        kind=one.kind,
        what=f"{whose}: {one.kind}{first}: {in_short(one.reason)}",
        do=again if compared else "legato verify",
        recording=one.recording,
        about="" if call.call else day,
        since=one.first_seen,
        reason=one.reason,
        detail=f"seen {counted(one.times_seen, 'time')}",
        alike=f"found by reconciliation at {call.provider}",
        do_all=f"legato reconcile --provider {call.provider} --from {day} --zone UTC --report-only",
        **call._asdict(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A call that was found and is not archived. `began_at` is when its oldest recording began."""

    watch: str
    call: CallId
    began_at: datetime
    note: Note


def waiting(watches: Sequence[str], work: Overview) -> list[Waits]:
    """Return what was found and is not archived, the oldest of each watch first.

    Not all of very many, nor of each of very many accounts.
    """
    most = max(MANY // max(len(watches), 1), LEAST)

    def listed(watch: str) -> list[Note]:
        return list(islice(listed_under(watch, work.notes), most))

    return [
        Waits(
            watch=watch,
            call=CallId.parse(note.key.partition("#")[2]),
            began_at=parse_time(note.listed[1]),
            note=note,
        )
        for watch, notes in zip(watches, of_each(watches, listed), strict=True)
        for note in notes
        if note.listed is not None
    ]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call that is not archived. `sign` is until when somebody saw to it."""

    state: CallState
    recordings: Sequence[str]
    found_at: datetime
    sign: datetime


def stuck(
    one: Followed,
    listed: Sequence[Waits],
    troubled: Mapping[CallId, CallState],
    work: Overview,
    found: Status,
) -> int:
    """Say what was found and is not archived, although nobody is at work on it, or for too long.

    A call that no worker holds, and that no message with a moment stands for, has its message in
    the queue. Where the queue holds fewer than there are such calls, some have none.
    """
    held, now = one.jobs.depth().all, work.clock.now()  # what is archived meanwhile was counted
    waiting = [each for each in _loaded(listed, work) if each.state.id not in troubled]
    idle = [each for each in waiting if now - each.sign > one.usual + PROMPT]
    lacking = len(idle) > held
    stuck = [each for each in idle if lacking or now - each.sign > PATIENCE]
    others = [each for each in waiting if each not in stuck]
    late = [each for each in others if now - each.found_at > one.longest + PROMPT]
    _standstill(one, others, work, found)
    _backlog(one, [each for each in idle if each not in stuck], work, found)
    for each in stuck:
        reason = each.state.reason or ""
        _not_archived("stuck", each, "and nobody is at work on it", reason, one, found)
    for each in late:
        reason = each.state.reason or "its turn has not come"
        _not_archived("late", each, "which takes too long", reason, one, found)
    return len(stuck) + len(late)


def _backlog(one: Followed, queued: Sequence[_Waiting], work: Overview, found: Status) -> None:
    """Say that the workers do not keep up with the queue."""
    behind = [each for each in queued if work.clock.now() - each.sign > BACKLOG]
    if not behind:
        return
    first = min(behind, key=lambda each: each.sign)
    found.need(
        "backlog",
        f"{one.provider}'s queue is behind: {first.state.id} waits in it for a worker since "
        f"{minute(first.sign)}",
        logs_of(work, "ProcessorFunction"),
        provider=one.provider,
        since=first.sign,
        detail=f"{counted(len(behind), 'call')} in all",
    )


def _standstill(one: Followed, waiting: Sequence[_Waiting], work: Overview, found: Status) -> None:
    """Say that a provider hands out nothing, although calls wait for longer than they usually do.

    Whatever the reason of each may be: together they are no call's own fault.
    """
    since = work.clock.now() - one.usual - PROMPT
    due = [each for each in waiting if each.found_at < since]
    granted = last_granted(one.provider, work.notes, kind="recording")
    if not due or (granted is not None and granted >= since):
        return
    first = min(due, key=lambda each: each.found_at)
    found.need(
        "standstill",
        f"{one.provider} has handed out no recording since "
        f"{minute(granted) if granted else 'the beginning'}, and {first.state.id} waits since "
        f"{minute(first.found_at)}",
        logs_of(work, "ProcessorFunction"),
        provider=one.provider,
        since=granted,
        reason=first.state.reason or "",
        detail=f"{counted(len(due), 'call')} in all",
    )


def _not_archived(
    kind: str, each: _Waiting, how: str, reason: str, one: Followed, found: Status
) -> None:
    state, names = each.state, ", ".join(each.recordings[:3])
    more = f" and {len(each.recordings) - 3} more" if len(each.recordings) > 3 else ""
    found.need(
        kind,
        f"{state.id}: recording {names}{more} was found at "
        f"{minute(each.found_at)} and is not archived, {how}{': ' if reason else ''}"
        f"{in_short(reason)}",
        f"legato reconcile --provider {one.provider} --from {each.found_at:%Y-%m-%d}",
        **state.id._asdict(),
        since=each.found_at,
        reason=reason,
        alike=f"{kind} at {one.provider}",
    )


def _loaded(listed: Sequence[Waits], work: Overview) -> list[_Waiting]:
    waiting = []
    states = work.ledger.load_all(each.call for each in listed)
    for each, state in zip(listed, states, strict=True):
        content = each.note.content
        known = content.get("found_at") or content.get("seen")
        found_at = parse_time(known) if known else each.began_at
        sign = last_sign(state, each.note) or found_at
        waiting.append(_Waiting(state, content["unarchived"], found_at, sign))
    return waiting
