"""Archive a batch of jobs: claim, resolve, fetch, join, seal, index.

Every step may be repeated at any time with the same result. A job is acknowledged only when its
call is archived or found empty, or when its successor stands safely in a queue.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato import remove, unarchived
from legato.assemble import assemble
from legato.claim import claim
from legato.errors import Barred, Failed, LegatoError, NotYet, Refused, Retry, Stale, Wait
from legato.gate import SHORT_WAIT
from legato.model import Job, Listing
from legato.settle import Report, Work, done, fail, postpone, send_back
from legato.sweep import records_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.workshop import Workshop

log = logging.getLogger(__name__)

type Guard = Callable[[Collection[str]], AbstractContextManager[None]]
"""Catches what nobody foresaw, for these message ids, so that it stops none of the others."""

CLAIM_TRIES = 5
BUSY_WAIT = timedelta(seconds=120)
ABOUT_TO_BE_DELETED = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the jobs queue."""

    id: str
    body: str


def archive(
    messages: Sequence[Message], *, shop: Workshop, until: datetime, guard: Guard
) -> Report:
    """Work on a batch until `until`, when this worker is ended and its claims lapse."""
    report = Report()
    works: list[Work] = []
    for jobs in _by_call(messages, shop, guard, report):
        with guard(jobs.messages):
            works += _claimed(jobs, until, shop, report)

    looked_at = shop.clock.now()
    with guard([message for work in works for message in work.messages]):
        listings = _resolved(works, shop)

        def finish(work: Work) -> None:
            with guard(work.messages):
                found = listings[work.job.call]
                _finish(work, found, looked_at=looked_at, shop=shop, report=report)

        works.sort(key=lambda work: _order(work, listings, looked_at))
        with ThreadPoolExecutor(shop.policy.at_once) as workers:
            for _ in workers.map(finish, works):
                pass
    return report


def _order(
    work: Work, listings: Mapping[str, Listing | LegatoError], now: datetime
) -> tuple[bool, datetime]:
    """Put first what the provider is about to delete, the soonest first; then the oldest job."""
    found = listings[work.job.call]
    kept_until = found.kept_until if isinstance(found, Listing) else None
    if kept_until is not None and kept_until - now < ABOUT_TO_BE_DELETED:
        return (False, kept_until)
    return (True, work.job.seen_at)


@dataclass(slots=True)
class _Jobs:
    """The jobs of one call, with the messages that they came in."""

    jobs: list[Job] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def merged(self) -> Job:
        """Return one job for all: the newest sign counts, and every hint."""
        newest = max(self.jobs, key=lambda job: (job.seen_at, job.looks, job.attempt))
        hints = dict(newest.hints)
        for name in ("recordingIds", "listed", "peers", "related"):
            if union := {item for job in self.jobs for item in job.hints.get(name, ())}:
                hints[name] = sorted(union)
        return replace(newest, hints=hints)


def _by_call(
    messages: Sequence[Message], shop: Workshop, guard: Guard, report: Report
) -> list[_Jobs]:
    """Bury what is no job, put back what is early, and gather the rest by call."""
    now = shop.clock.now()
    calls: dict[str, _Jobs] = {}
    for message in messages:
        with guard([message.id]):
            try:
                found = shop.read(message.body)
                for job in found:
                    shop.check(job)
            except Refused as error:
                shop.jobs.bury(message.body, reason=str(error))
                report.count("JobRefused")
                log.error("job refused", extra={"message_id": message.id, "reason": str(error)})
                continue
            for job in found:
                if job.not_before is not None and now < job.not_before:
                    send_back(job, job.not_before - now, shop.jobs)
                    continue
                jobs = calls.setdefault(job.call, _Jobs())
                jobs.jobs.append(job)
                jobs.messages.append(message.id)
    return list(calls.values())


def _claimed(jobs: _Jobs, until: datetime, shop: Workshop, report: Report) -> list[Work]:
    """Claim a call; return nothing where there is nothing to do, or somebody else does it."""
    job = jobs.merged()
    for _ in range(CLAIM_TRIES):
        now = shop.clock.now()
        state = shop.ledger.load(job.provider, job.account, job.call)
        claimed = claim(
            state,
            job,
            messages=frozenset(jobs.messages),
            now=now,
            until=until,
            settle=shop.policy.settle,
        )
        if claimed.verdict == "busy":
            send_back(job, min((state.lease_until or now) - now, BUSY_WAIT), shop.jobs)
            return []
        try:
            if claimed.state != state:
                state = shop.ledger.save(claimed.state)
        except Stale:
            continue
        if claimed.verdict == "covered":
            key = records_key(job.provider, job.call)
            unarchived.archived(key, state.legs, shop.notes)
            if state.status == "archived" and shop.policy.delete_at_source:
                remove.archived(state, shop.notes, shop.clock)
            report.count("JobCovered")
            return []
        return [Work(claimed.job, state, tuple(jobs.messages), until)]
    # Others write this entry faster than we read it: they are at work on the call.
    send_back(job, timedelta(seconds=1), shop.jobs)
    return []


def _resolved(works: Sequence[Work], shop: Workshop) -> Mapping[str, Listing | LegatoError]:
    """Ask the provider about the whole batch; its refusal is every call's answer."""
    if not works:
        return {}
    # Towards the end of the ladder a call gets a look of its own, which tells more.
    closely = {
        work.job.call
        for work in works
        if work.state.named and work.job.looks >= len(shop.policy.ladder)
    }
    try:
        listed = shop.provider.resolve([work.job for work in works], closely=closely)
    except LegatoError as error:
        return {work.job.call: error for work in works}
    unlisted = {
        work.job.call: Listing(call=work.job.call, account=work.job.account) for work in works
    }
    return {**unlisted, **listed}


def _finish(
    work: Work,
    found: Listing | LegatoError,
    *,
    looked_at: datetime,
    shop: Workshop,
    report: Report,
) -> None:
    """Work on one call and do what its error says, if there is one (legato.errors)."""
    try:
        if isinstance(found, LegatoError):
            raise found
        if shop.clock.now() > work.until - timedelta(seconds=shop.policy.reserve):
            raise Wait("this invocation has no time left for another call", seconds=1)
        work.state = work.state.changed(looked_at=looked_at)
        status = assemble(work, found, shop)
    except Wait as error:
        if isinstance(error, Barred):
            report.count("ProviderRefused")
            log.error("provider refuses us", extra={"call": work.job.call, "reason": str(error)})
        job = replace(work.job, turn=error.turn)
        # Where others work on meanwhile, who was promised a moment comes a little early and sleeps
        # what is left at the gate: a queue is never exact, and room that nobody takes is lost.
        early = SHORT_WAIT if error.turn and shop.policy.at_once > 1 else 0
        postpone(work, job, error.seconds - early, str(error), shop, report)
    except NotYet as error:
        recorded = bool(work.state.named) or (isinstance(found, Listing) and bool(found.legs))
        ladder = shop.policy.named_ladder if recorded else shop.policy.ladder
        if work.job.looks >= len(ladder):
            fail(work, str(error), shop, report)
        else:
            job = replace(work.job, looks=work.job.looks + 1, turn=False)
            postpone(work, job, ladder[work.job.looks], str(error), shop, report)
    except Retry as error:
        # Whoever gains a leg each time is not failing.
        spent = 0 if work.gained else work.job.attempt
        job = replace(work.job, attempt=spent + 1, turn=False)
        if job.attempt >= shop.policy.max_attempts:
            fail(work, str(error), shop, report)
        else:
            seconds = shop.policy.backoff(spent)
            postpone(work, job, seconds, str(error), shop, report)
    except Failed as error:
        fail(work, str(error), shop, report)
    else:
        done(work, status, shop, report)
