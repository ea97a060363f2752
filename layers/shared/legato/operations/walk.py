"""The walk over what providers have of a span of time, for backfills and reconciliations.

Stretches of several sources are read in turn, each at its own pace: one that has to wait lets the
others go on, and one that is given up costs only itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, LegatoError, Retry, Stale, Wait
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock

RETRY_SECONDS = (5, 15, 60, 180, 300, 300)
"""The waits between tries after passing faults. A page that was taken in begins them anew."""
RESERVE = timedelta(minutes=3)
"""Nothing is begun when less than this is left: each call of a page is looked up."""
NAP = timedelta(seconds=90)
"""What is slept where time is limited: RingCX gives room for a few windows a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a stretch is read: to this `cursor`, in so many `pages`. It ends when it is `over`.

    After `tries` at this cursor it waits until `not_before`, for a `reason`; `turn` says that the
    moment was promised to it. It was given up if it is over for a reason.
    """

    cursor: Json = field(default_factory=dict)
    pages: int = 0
    tries: int = 0
    not_before: datetime | None = None
    turn: bool = False
    reason: str = ""
    over: bool = False

    @classmethod
    def of(cls, content: Json) -> Place:
        """Read what to_json has written."""
        text = content["not_before"]
        return cls(**content | {"not_before": text and parse_time(text)})

    def to_json(self) -> Json:
        return asdict(self) | {"not_before": self.not_before and format_time(self.not_before)}

    def given_up(self, reason: str) -> Place:
        return replace(self, over=True, not_before=None, reason=reason)

    def stopped(self, error: LegatoError, now: datetime) -> Place:
        """Return when to try again after an error; after one that does not pass it is given up.

        Who waits spends no try, except where the provider refuses us.
        """
        waits = isinstance(error, Wait) and not isinstance(error, Barred)
        passes = isinstance(error, Barred | Retry) and self.tries < len(RETRY_SECONDS)
        if not waits and not passes:
            return self.given_up(str(error))
        seconds = error.seconds if isinstance(error, Wait) else RETRY_SECONDS[self.tries]
        return replace(
            self,
            tries=self.tries + passes,
            not_before=now + timedelta(seconds=seconds),
            turn=isinstance(error, Wait) and error.turn,
            reason=str(error),
        )


class Keyed(Protocol):
    key: str


def walk[Stretch: Keyed](
    stretches: Sequence[Stretch],
    places: dict[str, Place],
    *,
    read: Callable[[Stretch, Place], Place],
    tell: Callable[[Stretch, LegatoError | None], None],
    clock: Clock,
    sleep: Callable[[float], None],
    hopeless: Callable[[LegatoError], bool],
    until: datetime | None = None,
) -> bool:
    """Read all to their ends; return False if there is no time left for more `until` then.

    `places` are theirs by their keys. `read` reads some of a stretch and returns the next place, or
    raises why it cannot. `tell` hears of each step, and what has stopped it. An error of which
    `hopeless` says that it is no use to repeat it ends a stretch at once; Stale ends the walk.
    """
    while going := [one for one in stretches if not places[one.key].over]:
        now = clock.now()
        one = min(going, key=lambda each: places[each.key].not_before or now)
        due = max(places[one.key].not_before or now, now)
        if until is not None and (due > until - RESERVE or due - now > NAP):
            return False
        if due > now:
            sleep((due - now).total_seconds())
        try:
            places[one.key], stopped = read(one, places[one.key]), None
        except Stale:
            raise
        except LegatoError as error:
            place, stopped = places[one.key], error
            given_up = hopeless(error)
            places[one.key] = (
                place.given_up(str(error)) if given_up else place.stopped(error, clock.now())
            )
        tell(one, stopped)
    return True
