"""What is wrong with a recording, and when it is asked for again.

Each leg of a call has a ladder of its own, so that one that is refused, missing or slow costs the
others nothing, and comes to an end of which somebody is told. Pure decisions, apart from the time
at which the provider last granted anything.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import (
    DamagedAudio,
    Denied,
    LegatoError,
    Limited,
    NotAudio,
    NotYet,
    Retry,
    ShortAudio,
)
from legato.model import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.model import TroubleKind
    from legato.tuning import Policy

LIMITED_TRIES = 2
"""So often a 429 is the provider's limit and nothing else, although others were granted."""
LONGEST_OUTAGE = timedelta(days=2)
"""After so long a fault is the recording's own, even if nothing else was granted either."""
MANY = 10
ROUNDING = timedelta(seconds=1)
"""A queue delays by whole seconds."""

MOST_DEATHS = 5
"""So many workers may end on a recording before it is left to a person.

A few may have ended for another reason: where one of ten is killed, three in a row are no wonder.
"""
DEADLY = (
    "a worker that fetched it died, ran out of time or memory, or met an error that nobody foresaw;"
    " see the processor's log"
)

_PATIENCE: dict[TroubleKind, int] = {"missing": 3, "failing": 2, "limited": 2, "damaged": 2}
_KINDS: tuple[tuple[type[LegatoError], TroubleKind], ...] = (
    (Denied, "refused"),
    (NotYet, "missing"),
    (Limited, "limited"),
    (ShortAudio, "short"),
    (DamagedAudio, "damaged"),
    (NotAudio, "damaged"),
    (Retry, "failing"),
    (LegatoError, "lost"),
)


def is_due(trouble: Trouble, now: datetime) -> bool:
    return trouble.next_at is not None and trouble.next_at <= now + ROUNDING


def is_told(trouble: Trouble) -> bool:
    """Say whether a person is to hear of it: not of the first time that something is not there."""
    passing = trouble.kind in ("missing", "failing", "limited", "damaged")
    return not passing or trouble.tries > 1 or trouble.next_at is None


def is_waited_for(trouble: Trouble) -> bool:
    """Say whether the other legs of the call are not sealed yet because of it.

    Most of what is late comes at the second or third try, and a revision less is less to keep.
    """
    return trouble.next_at is not None and trouble.tries < _PATIENCE.get(trouble.kind, 1)


def keeps_out(trouble: Trouble) -> bool:
    """Say whether a recording is not in the archive because of it."""
    return trouble.kind not in ("short", "unheard", "unjoined", "unverified")


def troubled(
    error: LegatoError,
    before: Trouble | None,
    *,
    now: datetime,
    policy: Policy,
    granted_at: datetime | None,
    asked: int = 0,
) -> Trouble:
    """Return the trouble of a recording after one more try that ended in this error.

    `granted_at` is when the provider last granted anything, `asked` how often the recording was
    looked for before its trouble began. A 5xx or a 429 while nothing at all is granted is the
    provider's and takes no step of the ladder. What comes late has all of it left when it is there:
    a 404 is final two days after the call, so no recording begins anew for ever.
    """
    kind = next(kind for class_, kind in _KINDS if isinstance(error, class_))
    since = before.since if before else now
    tries = (before.tries if before else asked) + 1
    spent = (before.spent if before else asked) + 1
    if before is not None and before.kind == "missing" != kind:
        spent = 1
    if before is not None and kind in ("failing", "limited"):
        granted = granted_at is not None and granted_at > before.tried_at
        if not granted and now - since < LONGEST_OUTAGE:
            spent = max(1, before.spent)
    wait = _wait(kind, spent, error, policy)
    return Trouble(
        kind=kind,
        reason=str(error),
        since=since,
        tried_at=now,
        tries=tries,
        spent=spent,
        next_at=None if wait is None else now + timedelta(seconds=math.ceil(wait)),
    )


def deadly(before: Trouble | None, *, now: datetime, policy: Policy) -> Trouble:
    """Return the trouble of a recording that is about to be fetched, should this worker die of it.

    It is written down before, since nobody can afterwards.
    """
    deaths = 1 + (before.spent if before and before.kind == "deadly" else 0)
    return Trouble(
        kind="deadly",
        reason=DEADLY,
        since=before.since if before else now,
        tried_at=now,
        tries=1 + (before.tries if before else 0),
        spent=deaths,
        next_at=_after_death(deaths, now, policy),
    )


def outlived(trouble: Trouble, *, now: datetime, policy: Policy) -> Trouble:
    """Return the trouble of a recording of which a worker has just died: the others come first."""
    return replace(trouble, next_at=_after_death(trouble.spent, now, policy))


def _after_death(deaths: int, now: datetime, policy: Policy) -> datetime | None:
    ladder = policy.named_ladder[: MOST_DEATHS - 1]
    return now + timedelta(seconds=ladder[deaths - 1]) if deaths <= len(ladder) else None


def begun_anew(troubles: dict[str, Trouble], now: datetime) -> dict[str, Trouble]:
    """Return the troubles as they are when a person has them tried again."""
    return {
        leg: replace(trouble, tries=0, spent=0, next_at=now)
        for leg, trouble in troubles.items()
        if keeps_out(trouble)
    }


def described(troubles: dict[str, Trouble]) -> str:
    """Write the reasons of all as one text, of which a few are enough to know what to do."""
    said = [f"leg {leg}: {trouble.reason}" for leg, trouble in sorted(troubles.items())]
    more = f"; and {len(said) - MANY} more" if len(said) > MANY else ""
    return "; ".join(said[:MANY]) + more


def next_try(troubles: Iterable[Trouble]) -> datetime | None:
    return min((one.next_at for one in troubles if one.next_at is not None), default=None)


def _wait(kind: TroubleKind, spent: int, error: LegatoError, policy: Policy) -> float | None:
    """Return the seconds until the next try; None after the last one."""
    if kind == "lost":
        return None
    if isinstance(error, Limited) and spent <= LIMITED_TRIES:
        return error.seconds
    ladder = policy.named_ladder
    if spent > len(ladder):
        return None
    wait = ladder[spent - 1]
    return min(wait, policy.retry) if kind == "failing" and spent == 1 else wait
