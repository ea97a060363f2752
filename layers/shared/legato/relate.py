"""Relate calls: the two sides of a transfer name each other, whichever was archived first.

Often only one side's records tell of the other. So each side leaves a note for the other one, and
where the other is sealed already, a job makes a revision of it that names both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.errors import Retry, Stale
from legato.model import Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.workshop import Workshop

TRIES = 10


def related_to(call: str, shop: Workshop) -> frozenset[str]:
    """Return the calls that have said they belong to this one."""
    return frozenset(shop.notes.read(_key(call, shop)).content.get("calls", ()))


def tell(job: Job, others: Iterable[str], shop: Workshop) -> None:
    """Let other calls know of the job's call, each once. Raises Retry."""
    for other in others:
        for _ in range(TRIES):
            note = shop.notes.read(_key(other, shop))
            known = note.content.get("calls", [])
            if job.call in known:
                break
            # The job first: a worker that dies in between tells twice, never not at all.
            message = Job(
                provider=job.provider,
                account=job.account,
                call=other,
                seen_at=shop.clock.now(),
                hints={"related": [job.call]},
            )
            shop.jobs.send(message, delay=shop.policy.settle)
            try:
                shop.notes.write(replace(note, content={"calls": sorted([*known, job.call])}))
            except Stale:
                continue
            break
        else:
            raise Retry(f"the relations of {other} are written faster than they are read")


def _key(call: str, shop: Workshop) -> str:
    return f"related#{shop.provider.name}#{call}"
