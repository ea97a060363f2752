"""What failed, and the way back: dead letters and the ledger's failed calls, as one list.

A call that fails is noted in a list, so that nobody has to go through the ledger to find it. The
ledger's entry stays the truth: what is not failed by it any more is not shown, and leaves the list.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from legato.errors import Refused, Stale
from legato.ledger.failures import failures_list
from legato.model import CallId, Job, Json, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from legato.model import Note
    from legato.ports import Clock, DeadLetters, Ledger, Letter, Lists

UNREADABLE = "?"
"""Stands for the call of a dead letter that is no job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSource:
    """A provider's dead letters. `jobs_of` returns the jobs of a message; raises Refused."""

    provider: str
    letters: DeadLetters
    jobs_of: Callable[[str], Sequence[Job]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that failed: by its dead `letters`, or by the `note` of the ledger, or by both.

    `call` is UNREADABLE for a letter that is no job.
    """

    provider: str
    account: str
    call: str
    reason: str
    since: datetime
    letters: Sequence[Letter] = ()
    note: Note | None = None

    @property
    def id(self) -> CallId:
        """The call that failed, if it is one."""
        return CallId(self.provider, self.account, self.call)

    @property
    def retried_at(self) -> datetime | None:
        """When it was put into the queue again, if nothing has come of it yet."""
        text = self.note and self.note.content.get("retried_at")
        return parse_time(text) if text else None

    def to_json(self, now: datetime) -> Json:
        retried_at = self.retried_at
        return {
            "provider": self.provider,
            "account": self.account,
            "call": None if self.call == UNREADABLE else self.call,
            "reason": self.reason,
            "since": format_time(self.since),
            "age_seconds": int((now - self.since).total_seconds()),
            "dead_letters": len(self.letters),
            "in_ledger": self.note is not None,
            "retried_at": retried_at and format_time(retried_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCalls:
    """The failed calls of some providers, in the ledger and among the dead letters."""

    sources: Sequence[FailureSource]
    ledger: Ledger
    notes: Lists
    clock: Clock

    def listed(self) -> list[Failure]:
        """Return all, the oldest first. Nothing is taken out of a queue. Raises Retry."""
        with ExitStack() as stack:
            return self._all(stack)

    def retry(
        self, *, chosen: Callable[[Sequence[Failure]], Iterable[Failure]]
    ) -> Iterator[Retried]:
        """Put what is chosen of all into the jobs queue, and then take it out of the dead letters.

        Whatever ends this early leaves a job too many, never one too few. Raises Retry.
        """
        with ExitStack() as stack:
            for failure in chosen(self._all(stack)):
                if failure.call == UNREADABLE:
                    yield Retried(failure=failure, left="it is no job, and would only come back")
                    continue
                [source] = [one for one in self.sources if one.provider == failure.provider]
                for body in _bodies(failure):
                    source.letters.put_back(body)
                for letter in failure.letters:
                    source.letters.delete(letter)
                if failure.note is not None:
                    content = failure.note.content | {"retried_at": format_time(self.clock.now())}
                    with suppress(Stale):  # it has failed again by now
                        self.notes.write(replace(failure.note, content=content))
                yield Retried(failure=failure)

    def _all(self, stack: ExitStack) -> list[Failure]:
        """Return all failures, with their letters in hand until the stack is left."""
        found: list[Failure] = []

        def held(source: FailureSource) -> Sequence[Letter]:
            return stack.enter_context(source.letters.read())

        # An empty queue says so after a second.
        with ThreadPoolExecutor(len(self.sources) or 1) as readers:
            letters = list(readers.map(held, self.sources))
        for source, some in zip(self.sources, letters, strict=True):
            noted_ones = {(one.account, one.call): one for one in self._in_ledger(source.provider)}
            for letter in some:
                account, call = _addressed(letter, source)
                known = noted_ones.get((account, call))
                if known is not None and call != UNREADABLE:
                    noted_ones[account, call] = replace(known, letters=(*known.letters, letter))
                    continue
                fresh = Failure(
                    provider=source.provider,
                    account=account,
                    call=call,
                    reason=letter.reason,
                    since=letter.sent_at,
                    letters=(letter,),
                )
                noted_ones[account, call if call != UNREADABLE else letter.id] = fresh
            found += noted_ones.values()
        return sorted(found, key=lambda one: (one.since, one.id))

    def _in_ledger(self, provider: str) -> Iterator[Failure]:
        """Yield the calls that the ledger says are in trouble; others leave the list."""
        for note in list(
            self.notes.listed(failures_list(provider), until=format_time(self.clock.now()))
        ):
            job = Job.from_message(note.content["job"])
            state = self.ledger.load(job.id)
            if state.status != "failed" and not state.troubles:
                with suppress(Stale):
                    self.notes.write(replace(note, listed=None))
                continue
            yield Failure(
                provider=provider,
                account=job.account,
                call=job.call,
                reason=note.content["reason"],
                since=parse_time(note.content["failed_at"]),
                note=note,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A failure that was put into the queue again, or `left` where it is, for a reason."""

    failure: Failure
    left: str = ""


def _addressed(letter: Letter, source: FailureSource) -> tuple[str, str]:
    """Return which account and call a letter is about."""
    try:
        jobs = source.jobs_of(letter.body)
    except Refused:
        return "", UNREADABLE
    return (jobs[0].account, jobs[0].call) if jobs else ("", UNREADABLE)


def _bodies(failure: Failure) -> Iterator[str]:
    """Yield the messages that try a failure again, from the beginning."""
    for letter in failure.letters:
        try:
            job = Job.from_message(letter.body)
        except Refused:
            yield letter.body  # another's words, as S3's of the inbox
        else:
            yield _retried(job).to_message()
    if not failure.letters and failure.note is not None:
        yield _retried(Job.from_message(failure.note.content["job"])).to_message()


def _retried(job: Job) -> Job:
    """Return the job from its beginning, which is not put off to the next try."""
    return replace(job.anew(), hints=job.hints | {"retry": True})
