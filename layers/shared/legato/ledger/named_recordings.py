"""Recordings that a notification has named while their call goes on.

They are remembered until the call must be over. Whatever else happens, a job asks for them then, so
that a call is not forgotten whose end nobody announced and whose log never lists them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from legato.errors import Stale
from legato.ledger.notes import change
from legato.model import Job, format_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Note
    from legato.ports import Clock, Jobs, Lists, Notes


def remember(job: Job, due: datetime, notes: Notes) -> None:
    """List a call whose recordings were named, once, to be asked for at `due`. Raises Retry."""
    later = replace(job.anew(), hints={k: v for k, v in job.hints.items() if k != "ongoing"})

    def listed(note: Note) -> Note:
        if note.listed is not None:
            return note
        content = {"job": later.to_message()}
        return replace(note, content=content, listed=(_list(job.provider), format_time(due)))

    change(_key(job), listed, notes)


def ask(provider: str, jobs: Jobs, notes: Lists, clock: Clock) -> int:
    """Send the jobs that are due, and return how many. Raises Retry.

    The job first: who dies in between sends it twice, never not at all.
    """
    sent = 0
    for note in list(notes.listed(_list(provider), until=format_time(clock.now()))):
        jobs.send(Job.from_message(note.content["job"]), delay=0)
        sent += 1
        with suppress(Stale):
            notes.write(replace(note, listed=None))
    return sent


def _key(job: Job) -> str:
    return f"named#{job.id}"


def _list(provider: str) -> str:
    return f"named#{provider}"
