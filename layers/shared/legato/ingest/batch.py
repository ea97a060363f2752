"""Archive a batch of jobs: claim, resolve, fetch, join, seal, index.

Every step may be repeated at any time with the same result. A job is acknowledged only when its
call is archived or found empty, or when its successor stands safely in a queue.
"""

from __future__ import annotations

import logging
import math
import random
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import (
    Barred,
    Failed,
    LegatoError,
    NotYet,
    Refused,
    Retry,
    Stale,
    Unavailable,
    Wait,
)
from legato.ingest.call import Assembled, assemble
from legato.ingest.claim import claim
from legato.ingest.outcome import BatchReport, CallWork, done, fail, postpone, send_back
from legato.ledger import failures, named_recordings, removals, unarchived
from legato.ledger.listings import records_key
from legato.ledger.provider_health import last_granted
from legato.ledger.rate_limit import SHORT_WAIT
from legato.ledger.troubles import described
from legato.model import CallId, Job, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.ingest.ports import Ports

log = logging.getLogger(__name__)

type Guard = Callable[[Collection[str]], AbstractContextManager[None]]
"""Catches what nobody foresaw, for these message ids, so that it stops none of the others."""

CLAIM_TRIES = 5
BUSY_WAIT = timedelta(seconds=120)
ACCOUNT_SECONDS = 60
"""Until it is asked again whose call it is, where the provider failed to say it."""
ABOUT_TO_BE_DELETED = timedelta(days=10)
MOST_RECEIVES = 10
"""SQS's `maxReceiveCount`: a message that came so often is buried here, with a reason.

Many, because a worker may die of something else nine times: a deadly message takes nobody along.
"""
MOST_TOGETHER = 5
"""A message that ended so many workers, as far as anybody knows, is in no other one's batch.

It also comes again as late as the queue has it, so that no outage of a night uses up its receives.
"""
REDELIVERY_MARGIN = timedelta(seconds=60)
"""After the end of an invocation, until its messages come again if it has died.

It must be over by then: a claim falls to whoever gets one of its messages (legato.ingest.claim).
"""
CLAIM_MARGIN = 3 * REDELIVERY_MARGIN
"""After the end of an invocation, until its claims lapse: its own messages come again before.

They know that a worker died with them. Another message of the call does not.
"""
APART_SECONDS = 60
"""Messages that may have killed a worker come back within so many seconds, each at another time."""
LONGEST_OUTAGE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the jobs queue.

    `receives` counts how often the queue has handed it out, this time included; `receipt` is what
    the queue knows this handing out by.
    """

    id: str
    body: str
    receives: int = 1
    receipt: str = ""


def archive(
    messages: Sequence[Message], *, ports: Ports, until: datetime, guard: Guard
) -> BatchReport:
    """Work on a batch until `until`, when this worker is ended and its claims lapse.

    A message that came before may have killed the worker that had it. Such suspects are worked on
    one after the other, each when all before it are acknowledged, those that came most often last.
    One that came very often is not in the queue as it is while another one is worked on: its
    receives are to count its own crashes. It comes back as a new message that remembers them, and
    so does each suspect for which there is no time.
    """
    report = BatchReport()
    _come_again_soon(messages, until, ports)
    # A worker begins with the oldest job. Of those that it leaves, that one is the likeliest to
    # have ended it, and takes none of the others along when it comes last.
    suspects = sorted(filter(_is_suspect, reversed(messages)), key=_crashes)
    fresh = [message for message in messages if message not in suspects]
    unfinished = _worked_on(fresh, ports=ports, until=until, guard=guard, report=report)
    if not suspects:
        return report
    for message in fresh:
        if message.id not in unfinished:
            _acknowledge(message, ports)
    kept = [one for one in suspects if _crashes(one) < MOST_TOGETHER] or suspects[-1:]
    for message in suspects:
        if message not in kept:
            with guard([message.id]):
                _set_apart(message, ports, report)
    for number, message in enumerate(kept):
        if number and ports.clock.now() > until - timedelta(seconds=ports.policy.reserve):
            with guard([message.id]):
                _set_apart(message, ports, report)
        elif not _worked_on_alone(message, ports=ports, until=until, guard=guard, report=report):
            _acknowledge(message, ports)
    return report


def _come_again_soon(messages: Sequence[Message], until: datetime, ports: Ports) -> None:
    """Let the messages not wait for the queue's own timeout, should this worker die.

    It is much longer, since it must do for messages that wait until a function takes them.
    """
    seconds = math.ceil((until - ports.clock.now() + REDELIVERY_MARGIN).total_seconds())
    receipts = [one.receipt for one in messages if _crashes(one) < MOST_TOGETHER]
    try:
        ports.jobs.redeliver(receipts, after=seconds)
    except Retry as error:
        log.warning("messages keep the queue's timeout", extra={"reason": str(error)})


def _worked_on_alone(
    message: Message, *, ports: Ports, until: datetime, guard: Guard, report: BatchReport
) -> set[str]:
    """Work on a suspect, or give it up; return its id if SQS shall deliver it again."""
    if _crashes(message) + 1 < MOST_RECEIVES:
        return _worked_on([message], ports=ports, until=until, guard=guard, report=report)
    with guard([message.id]):
        _bury_deadly(message, ports, report)
        return set()
    return {message.id}


def _worked_on(
    messages: Sequence[Message],
    *,
    ports: Ports,
    until: datetime,
    guard: Guard,
    report: BatchReport,
) -> set[str]:
    """Work on these messages; return the ids of those that SQS shall deliver again."""
    caught: set[str] = set()

    @contextmanager
    def noting(ids: Collection[str]) -> Iterator[None]:
        foreseen = False
        with guard(ids):
            yield
            foreseen = True
        if not foreseen:
            caught.update(ids)

    works: list[CallWork] = []
    for jobs in _by_call(messages, ports, noting, report):
        with noting(jobs.messages):
            works += _claimed(jobs, until, ports, report)

    looked_at = ports.clock.now()
    listings = _resolved(works, ports, noting)

    def finish(work: CallWork) -> None:
        with noting(work.messages):
            found = listings[work.job.id]
            _finish(work, found, looked_at=looked_at, ports=ports, report=report)

    works = [work for work in works if work.job.id in listings]
    works.sort(key=lambda work: _order(work, listings, looked_at))
    if ports.policy.at_once == 1:
        for work in works:
            finish(work)
        return caught
    with ThreadPoolExecutor(ports.policy.at_once) as workers:
        for _ in workers.map(finish, works):
            pass
    return caught


def _is_suspect(message: Message) -> bool:
    return _crashes(message) > 0


def _crashes(message: Message) -> int:
    """Return how many workers had this message and did not answer for it."""
    before = _CRASHES.search(message.body)
    return message.receives - 1 + (int(before[1]) if before else 0)


_CRASHES = re.compile(r'"crashes":\s*(\d{1,3})\b')


def _acknowledge(message: Message, ports: Ports) -> None:
    # SQS deletes it anyway when this invocation ends well; now is only for the other case.
    with suppress(Retry):
        ports.jobs.delete(message.receipt)


def _set_apart(message: Message, ports: Ports, report: BatchReport) -> None:
    """Let a suspect come back as a new message, at another moment than the others.

    Whoever held its call by the old one is dead: the queue delivers none that somebody works on.
    """
    delay = timedelta(seconds=random.randint(1, APART_SECONDS))  # noqa: S311 - no secret  # nosec B311
    for job in _read(message, ports, report):
        _let_go(job, [message.id], ports)
        send_back(replace(job, crashes=_crashes(message)), delay, ports.jobs)
    _acknowledge(message, ports)


def _let_go(job: Job, messages: Collection[str], ports: Ports) -> bool:
    """Hold a call no longer that is held by one of these messages; False if it is not."""
    state = ports.ledger.load(job.id)
    if not state.lease_messages.intersection(messages):
        return False
    with suppress(Stale):
        ports.ledger.save(state.changed(lease_until=None, lease_messages=frozenset()))
    return True


def _bury_deadly(message: Message, ports: Ports, report: BatchReport) -> None:
    """Give up a message that no worker has survived."""
    reason = (
        f"{_crashes(message)} workers ended on it without an answer: they died, ran out of time or"
        " memory, or met an error that nobody foresaw; see the processor's log"
    )
    for job in _read(message, ports, report):
        state = ports.ledger.load(job.id)
        if state.status == "archived" and not state.troubles and job.named <= state.legs.keys():
            report.count("JobCovered")
            continue  # whoever died had done it
        fresh = job.anew()
        ports.jobs.bury(fresh.to_message(), reason=reason)
        failures.noted(fresh, reason, ports.notes, ports.clock)
        released = state.changed(
            status="failed", reason=reason, lease_until=None, lease_messages=frozenset()
        )
        with suppress(Stale):
            ports.ledger.save(released)
        report.count("CallFailed")
        log.error("call failed", extra={"call": job.call, "reason": reason})


def _order(
    work: CallWork, listings: Mapping[CallId, Listing | LegatoError], now: datetime
) -> tuple[bool, bool, datetime]:
    """Put last what was in trouble before: it may be slow.

    Of the rest, what the provider is about to delete goes first, the soonest at the front; then the
    oldest job.
    """
    found = listings[work.job.id]
    kept_until = found.kept_until if isinstance(found, Listing) else None
    if kept_until is not None and kept_until - now < ABOUT_TO_BE_DELETED:
        return (work.was_troubled, False, kept_until)
    return (work.was_troubled, True, work.job.seen_at)


@dataclass(slots=True)
class _Jobs:
    """The jobs of one call, with the messages that they came in."""

    jobs: list[Job] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    is_suspect: bool = False

    def merged(self) -> Job:
        """Return one job for all: the newest sign counts, and every hint."""
        newest = max(self.jobs, key=lambda job: (job.seen_at, job.looks, job.attempt))
        hints = dict(newest.hints)
        if not all(job.hints.get("ongoing") for job in self.jobs):
            hints.pop("ongoing", None)
        for name in ("retry", "many"):
            if any(job.hints.get(name) for job in self.jobs):
                hints[name] = True
        for name in ("recordingIds", "listed", "peers", "related"):
            if union := {item for job in self.jobs for item in job.hints.get(name, ())}:
                hints[name] = sorted(union)
        return replace(newest, hints=hints)


def _by_call(
    messages: Sequence[Message], ports: Ports, guard: Guard, report: BatchReport
) -> list[_Jobs]:
    """Bury what is no job, put back what is early, and gather the rest by call."""
    now = ports.clock.now()
    calls: dict[CallId, _Jobs] = {}
    for message in messages:
        with guard([message.id]):
            for job in _read(message, ports, report):
                if job.not_before is not None and now < job.not_before:
                    send_back(job, job.not_before - now, ports.jobs)
                    continue
                jobs = calls.setdefault(job.id, _Jobs())
                jobs.jobs.append(job)
                jobs.messages.append(message.id)
                jobs.is_suspect |= _is_suspect(message)
    return list(calls.values())


def _read(message: Message, ports: Ports, report: BatchReport) -> Sequence[Job]:
    """Return the jobs of a message, each under its account's id; bury one that is none.

    A job whose account the provider does not tell now is put back into the queue.
    """
    try:
        found = ports.read(message.body)
        for job in found:
            ports.check(job)
        jobs = [_identified(job, message, ports, report) for job in found]
    except Refused as error:
        ports.jobs.bury(message.body, reason=str(error))
        report.count("JobRefused")
        log.error("job refused", extra={"message_id": message.id, "reason": str(error)})
        return []
    return [job for job in jobs if job is not None]


def _identified(job: Job, message: Message, ports: Ports, report: BatchReport) -> Job | None:
    try:
        return ports.identified(job)
    except Refused:
        raise
    except LegatoError as error:
        if isinstance(error, Barred):
            report.count("ProviderRefused")
            log.error("provider refuses us", extra={"call": job.call, "reason": str(error)})
        wait = timedelta(seconds=error.seconds if isinstance(error, Wait) else ACCOUNT_SECONDS)
        due = ports.clock.now() + wait
        send_back(replace(job, not_before=due, crashes=_crashes(message)), wait, ports.jobs)
        return None


def _claimed(jobs: _Jobs, until: datetime, ports: Ports, report: BatchReport) -> list[CallWork]:
    """Claim a call; return nothing where there is nothing to do, or somebody else does it."""
    job = jobs.merged()
    try:
        for _ in range(CLAIM_TRIES):
            with suppress(Stale):
                return _claimed_once(job, jobs, until, ports, report)
    except Retry as error:
        log.warning("a call cannot be claimed", extra={"call": job.call, "reason": str(error)})
        send_back(job, timedelta(seconds=ports.policy.retry), ports.jobs)
        return []
    # Others write this entry faster than we read it: they are at work on the call.
    send_back(job, timedelta(seconds=1), ports.jobs)
    return []


def _claimed_once(
    job: Job, jobs: _Jobs, until: datetime, ports: Ports, report: BatchReport
) -> list[CallWork]:
    now = ports.clock.now()
    state = ports.ledger.load(job.id)
    claimed = claim(
        state,
        job,
        messages=frozenset(jobs.messages),
        now=now,
        until=until + CLAIM_MARGIN,
        settle=ports.policy.settle,
    )
    if claimed.verdict == "busy":
        send_back(job, min((state.lease_until or now) - now, BUSY_WAIT), ports.jobs)
        return []
    if claimed.verdict == "taken" and state.lease_until is not None and not jobs.is_suspect:
        # Who claimed it never answered. Whoever takes it over may die of it too, and so does alone.
        send_back(replace(job, crashes=max(1, job.crashes)), timedelta(seconds=1), ports.jobs)
        return []
    if claimed.verdict == "ongoing":
        # The sweep asks for what was named when the call must be over.
        named_recordings.remember(job, now + timedelta(seconds=ports.policy.max_call), ports.notes)
        report.count("CallOngoing")
    was_troubled = bool(state.troubles) or state.status == "failed"
    if claimed.state != state:
        state = ports.ledger.save(claimed.state)
    if claimed.verdict == "covered":
        key = records_key(job.id)
        unarchived.archived(key, state.legs, ports.notes)
        whole = state.status == "archived" and not state.troubles
        if whole and ports.policy.delete_at_source:
            removals.archived(state, ports.notes, ports.clock)
        report.count("JobCovered")
    if claimed.verdict != "taken":
        return []
    messages = tuple(jobs.messages)
    return [CallWork(claimed.job, state, messages, until, was_troubled, jobs.is_suspect)]


def _resolved(
    works: Sequence[CallWork], ports: Ports, guard: Guard
) -> dict[CallId, Listing | LegatoError]:
    """Ask the provider about the whole batch; its refusal is every call's answer.

    What nobody foresaw is one call's fault: then each is asked about by itself.
    """
    if not works:
        return {}
    with guard(()):
        return _asked(works, ports)
    found: dict[CallId, Listing | LegatoError] = {}
    for work in works:
        with guard(work.messages):
            found |= _asked([work], ports)
    return found


def _asked(works: Sequence[CallWork], ports: Ports) -> dict[CallId, Listing | LegatoError]:
    # Towards the end of the ladder a call gets a look of its own, which tells more.
    closely = {
        work.job.id
        for work in works
        if work.state.named and work.job.looks >= len(ports.policy.ladder)
    }
    try:
        listed = ports.provider.resolve([work.job for work in works], closely=closely)
    except LegatoError as error:
        return {work.job.id: error for work in works}
    unlisted = {
        work.job.id: Listing(call=work.job.call, account=work.job.account) for work in works
    }
    return {**unlisted, **listed}


def _finish(
    work: CallWork,
    found: Listing | LegatoError,
    *,
    looked_at: datetime,
    ports: Ports,
    report: BatchReport,
) -> None:
    try:
        _tried(work, found, looked_at=looked_at, ports=ports, report=report)
    except Stale:
        # Somebody else wrote the entry. Our claim had lapsed, or they do not heed claims.
        ours = _let_go(work.job, work.messages, ports)
        send_back(work.job, timedelta(seconds=1) if ours else BUSY_WAIT, ports.jobs)


def _tried(
    work: CallWork,
    found: Listing | LegatoError,
    *,
    looked_at: datetime,
    ports: Ports,
    report: BatchReport,
) -> None:
    """Work on one call and do what its error says, if it has one (legato.errors). Raises Stale."""
    try:
        if isinstance(found, LegatoError):
            raise found
        if ports.clock.now() > work.until - timedelta(seconds=ports.policy.reserve):
            raise Wait("this invocation has no time left for another call", seconds=1)
        work.state = work.state.changed(looked_at=looked_at)
        became = assemble(work, found, ports)
    except Wait as error:
        if isinstance(error, Barred):
            report.count("ProviderRefused")
            log.error("provider refuses us", extra={"call": work.job.call, "reason": str(error)})
        job = replace(work.job, turn=error.turn)
        # Where others work on meanwhile, who was promised a moment comes a little early and sleeps
        # what is left at the gate: a queue is never exact, and room that nobody takes is lost.
        early = SHORT_WAIT if error.turn and ports.policy.at_once > 1 else 0
        postpone(work, job, error.seconds - early, str(error), ports, report)
    except NotYet as error:
        ladder = ports.policy.named_ladder if work.state.named else ports.policy.ladder
        if work.job.looks >= len(ladder):
            fail(work, str(error), ports, report)
        else:
            job = replace(work.job, looks=work.job.looks + 1, turn=False)
            postpone(work, job, ladder[work.job.looks], str(error), ports, report)
    except Retry as error:
        attempt = work.job.attempt + _costs_an_attempt(work.job, error, ports)
        job = replace(work.job, attempt=attempt, turn=False, tried_at=ports.clock.now())
        if attempt >= ports.policy.max_attempts:
            fail(work, str(error), ports, report)
        else:
            seconds = ports.policy.backoff(max(0, attempt - 1))
            postpone(work, job, seconds, str(error), ports, report)
    except Failed as error:
        fail(work, str(error), ports, report)
    else:
        _ended(work, became, ports, report)


def _ended(work: CallWork, became: Assembled, ports: Ports, report: BatchReport) -> None:
    if became.next_try is None:
        done(work, became.status, ports, report)
        return
    seconds = (became.next_try - ports.clock.now()).total_seconds()
    job = replace(work.job, attempt=0, turn=False, tried_at=None)
    postpone(work, job, seconds, described(work.state.troubles), ports, report)


def _costs_an_attempt(job: Job, error: Retry, ports: Ports) -> bool:
    """Say whether a fault may be the call's own.

    It is not while AWS fails, or while the provider grants nothing to anybody: an hour of that must
    not use up what is meant for the call. Two days of it end even so.
    """
    if ports.clock.now() - job.seen_at > LONGEST_OUTAGE or job.tried_at is None:
        return True
    if isinstance(error, Unavailable):
        return False
    granted_at = last_granted(job.provider, ports.notes)
    return granted_at is not None and granted_at > job.tried_at
