"""Which calls are restored or under way, as S3 has it now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.errors import Failed
from legato.model import format_time, parse_time
from legato.retrieval.restore.note import LIST, THERE, call_of, correct, listed
from legato.retrieval.restore.offers import TERMS
from legato.retrieval.restore.survey import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.archive.library import State, Tier
    from legato.model import CallId, Json, Note
    from legato.retrieval.restore.survey import Restoring


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A restored call, or one that is under way: `done` of its `objects` can be read.

    `until` is when the first of the copies goes, if all are there; `expected` when S3 should be
    done at the latest.
    """

    call: CallId
    tier: Tier
    days: int
    requested_at: datetime
    objects: int
    done: int
    until: datetime | None
    expected: datetime | None

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            **self.call._asdict(),
            "tier": self.tier,
            "days": self.days,
            "requested_at": format_time(self.requested_at),
            "objects": self.objects,
            "done": self.done,
            "until": self.until and format_time(self.until),
            "expected": self.expected and format_time(self.expected),
        }


def restores(work: Restoring) -> list[Restore]:
    """Return what is under way and what is there, the oldest first, as S3 has it now.

    Notes are corrected: an event may be lost. Raises Retry.
    """
    found = [note for name in (LIST, THERE) for note in listed(name, work.notes)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = [one for one in pool.map(lambda note: _looked(note, work), found) if one]
    return sorted(seen, key=lambda one: (one.requested_at, one.call))


def _looked(note: Note, work: Restoring) -> Restore | None:
    """Return a note's restore as S3 has it, or None if there is nothing of it any more."""
    states = {
        key: _state(key, each["version_id"], work) for key, each in note.content["objects"].items()
    }
    corrected = correct(note.key, states, work.notes, work.clock)
    if not corrected.content["objects"]:
        return None
    return _restore(corrected, [state for state in states.values() if state is not None])


def _state(key: str, version_id: str, work: Restoring) -> State | None:
    """Say how an object is stored, None for one that is gone."""
    try:
        return work.library.state(key, version_id=version_id)
    except Failed:
        return None


def _restore(note: Note, states: Iterable[State]) -> Restore:
    content = note.content
    objects = content["objects"].values()
    untils = [parse_time(each["until"]) for each in objects if "until" in each]
    done = sum("done_at" in each for each in objects)
    requested_at, tier = parse_time(content["requested_at"]), content["tier"]
    terms = [TERMS[state.storage_class].get(tier) for state in states if state.restoring]
    return Restore(
        call=call_of(note),
        tier=tier,
        days=content["days"],
        requested_at=requested_at,
        objects=len(objects),
        done=done,
        until=min(untils) if untils and done == len(objects) else None,
        expected=max((requested_at + each.most for each in terms if each), default=None),
    )
