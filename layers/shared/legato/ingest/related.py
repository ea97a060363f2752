"""Relate calls: the two sides of a transfer name each other, whichever was archived first.

Often only one side's records tell of the other. So each side leaves a note for the other one, and
where the other is sealed already, a job makes a revision of it that names both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import CallId, Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.ingest.ports import Ports
    from legato.model import Note
    from legato.ports import Notes


def related_to(call: CallId, ports: Ports) -> frozenset[CallId]:
    """Return the calls that have said they belong to this one."""
    return frozenset(map(CallId.parse, ports.notes.read(_key(call)).content.get("calls", ())))


def remember(call: CallId, others: Iterable[CallId], notes: Notes) -> None:
    """Note calls that belong to this one, as its sealed manifest has them. Raises Retry."""
    told = {str(other) for other in others}

    def noted(note: Note) -> Note:
        calls = sorted(told.union(note.content.get("calls", ())))
        return replace(note, content={"calls": calls}) if calls else note

    change(_key(call), noted, notes)


def tell(job: Job, others: Iterable[CallId], ports: Ports) -> None:
    """Let other calls know of the job's call, each once. Raises Retry."""
    own = str(job.id)
    for other in others:

        def told(note: Note, other: CallId = other) -> Note:
            known = note.content.get("calls", [])
            if own in known:
                return note
            # The job first: a worker that dies in between tells twice, never not at all.
            message = Job(**other._asdict(), seen_at=ports.clock.now(), hints={"related": [own]})
            ports.jobs.send(message, delay=ports.policy.settle)
            return replace(note, content={"calls": sorted([*known, own])})

        change(_key(other), told, ports.notes)


def _key(call: CallId) -> str:
    return f"related#{call}"
