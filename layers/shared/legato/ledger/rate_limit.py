"""The gate: a provider's rate limit, shared by every running function through the ledger.

Sliding windows over the grants of each credential and group. Whoever wants to call asks first, and
is granted or told how long to wait. Who has to wait for long is promised a turn, so that jobs that
come later do not overtake: nothing starves. Who is in no hurry lets all others go first.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from legato.errors import Stale, Wait
from legato.model import Json, Note, Priority
from legato.settings import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.ports import Clock, Notes

SHORT_WAIT = 2.0
"""Seconds: what is slept. A longer wait is the queue's work."""

TRIES = 50
MARGIN_SHARE = 0.02
MARGIN_SECONDS = 0.05
SHORTEST_SLEEP = 0.001


class Gate:
    """`limits` holds the limits of each group, which all hold, until the provider says another one.

    A key names a window, as `ringex#credential#Heavy`; its group is the last part.
    """

    def __init__(
        self,
        notes: Notes,
        clock: Clock,
        *,
        limits: Mapping[str, tuple[Limit, ...]],
        sleep: Callable[[float], None],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._limits = limits
        self._sleep = sleep

    def enter(self, key: str, *, calls: int = 1, priority: Priority = Priority.NORMAL) -> None:
        """Take a grant, sleeping for two seconds at most.

        `calls` is what a request counts for at the provider: all of it is taken, or nothing. More
        than a limit allows finds room when nothing else is counted.

        A backfill waits behind every reservation, leaves room in every window (`Limit.spared`), and
        gets no reservation. Raises Wait with the time until the reserved moment, or until there may
        be room for one more backfill.
        """
        patience = SHORT_WAIT
        for _ in range(TRIES):
            note, now = self._notes.read(_name(key)), self._now()
            window = self._window(key, note, priority)
            wait = window.wait(now, calls=calls, priority=priority)
            if wait > patience:
                content = note.content
                if priority is Priority.BACKFILL:
                    content, wait = window.lined_up(now, wait)
                elif priority is Priority.NORMAL:
                    content = window.booked(now, wait, calls)
                if self._written(note, content):
                    reason = "it is not our turn at the provider"
                    raise Wait(reason, seconds=wait, turn=priority > Priority.BACKFILL)
            elif wait > 0:
                self._sleep(max(wait, SHORTEST_SLEEP))
                patience -= wait
            elif self._written(note, window.granted(now, calls)):
                return
        raise Wait("too many ask at the same time", seconds=SHORT_WAIT)

    def wait(self, key: str, *, priority: Priority = Priority.NORMAL) -> float:
        """Return the seconds until a grant could be had, negative by the room there is now."""
        window = self._window(key, self._notes.read(_name(key)), priority)
        now = self._now()
        return window.wait(now, priority=priority) or -window.room(now)

    def block(self, key: str, *, seconds: float) -> None:
        """Let nobody through for so long: the provider has sent a 429."""
        until = self._now() + seconds
        self._change(
            key,
            lambda content, _: content | {"blocked_until": max(until, _blocked(content))},
        )

    def learn(self, key: str, limit: Limit, *, remaining: int) -> None:
        """Replace the group's limits by the one that the provider says it is.

        Fewer calls remaining than we count means that somebody else uses the same credential: the
        difference is taken as used now.
        """

        def learned(content: Json, now: float) -> Json:
            window = _Window(content, (limit,))
            strangers = max(0, window.room(now) - remaining)
            return {
                **content,
                "limit": limit.calls,
                "seconds": limit.seconds,
                "grants": [*window.live(now), *[now] * strangers],
            }

        note = self._notes.read(_name(key))
        known = self._limits_of(key, note.content)
        if known != (limit,) or _Window(note.content, known).room(self._now()) > remaining:
            self._change(key, learned)

    def correct(self, key: str, *, remaining: int) -> None:
        """Believe the provider that its bucket holds no more than `remaining` calls.

        Somebody else draws from it. A bucket fills slowly, so what lacks counts as used now: what
        our older grants would set free was taken before. The bucket is that of the shortest window,
        and longer ones forget as they did.
        """

        def corrected(content: Json, now: float) -> Json:
            return _Window(content, self._limits_of(key, content)).left(now, remaining)

        self._change(key, corrected)

    def _change(self, key: str, change: Callable[[Json, float], Json]) -> None:
        for _ in range(TRIES):
            note = self._notes.read(_name(key))
            if self._written(note, change(note.content, self._now())):
                return

    def _written(self, note: Note, content: Json) -> bool:
        """Say whether the note could be written; if not, step back for a moment."""
        if content == note.content:
            return True
        try:
            self._notes.write(replace(note, content=content))
        except Stale:
            self._sleep(random.uniform(0.001, 0.05))  # noqa: S311 - to part those who collide  # nosec B311
            return False
        return True

    def _window(self, key: str, note: Note, priority: Priority) -> _Window:
        limits = self._limits_of(key, note.content)
        spared = priority is Priority.BACKFILL
        return _Window(note.content, tuple(map(Limit.spared, limits)) if spared else limits)

    def _limits_of(self, key: str, content: Json) -> tuple[Limit, ...]:
        if "limit" in content:
            return (Limit(content["limit"], content["seconds"]),)
        return self._limits[key.rpartition("#")[2]]

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _name(key: str) -> str:
    return f"gate#{key}"


def _blocked(content: Json) -> float:
    until: float = content.get("blocked_until", 0.0)
    return until


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many calls of each limit are granted now, and until when nobody is let through."""

    used: tuple[tuple[int, Limit], ...]
    blocked_until: datetime | None


def usage(key: str, limits: tuple[Limit, ...], notes: Notes, clock: Clock) -> Usage:
    """Look at a window without asking it for anything. Raises Retry."""
    content, now = notes.read(_name(key)).content, clock.now()
    if "limit" in content:
        limits = (Limit(content["limit"], content["seconds"]),)
    grants = content.get("grants", [])
    used = ((_since(grants, now.timestamp() - one.seconds), one) for one in limits)
    until = datetime.fromtimestamp(_blocked(content), UTC)
    return Usage(used=tuple(used), blocked_until=until if until > now else None)


class _Window:
    """Times are seconds since the epoch.

    `promised` are the moments that were promised, oldest first, of which no more are kept than the
    largest limit has calls: those before them can delay nobody.
    """

    def __init__(self, content: Json, limits: tuple[Limit, ...]) -> None:
        self._content = content
        # A request may reach the provider later than its grant, and the next one sooner.
        self._limits = [
            replace(one, seconds=one.seconds + max(MARGIN_SECONDS, MARGIN_SHARE * one.seconds))
            for one in limits
        ]

    def live(self, now: float) -> list[float]:
        """Return the grants that still count. One of the future is a clock that is off: it does."""
        longest = max(limit.seconds for limit in self._limits)
        return [grant for grant in self._content.get("grants", []) if grant > now - longest]

    def room(self, now: float) -> int:
        live = self.live(now)
        return max(
            0, min(limit.calls - _since(live, now - limit.seconds) for limit in self._limits)
        )

    def wait(self, now: float, *, calls: int = 1, priority: Priority) -> float:
        """Return the seconds until there is room, and nobody is left who was promised it before.

        For who was promised nothing, the calls that were promised are as good as made.
        """
        waits = [0.0, _blocked(self._content) - now]
        taken = self.live(now)
        if priority < Priority.RESERVED and (promised := self._content.get("promised")):
            # Who comes back for the last promise may be late by as much as the time one call takes.
            waits.append(promised[-1] + min(self._paces()) - now)
            taken += [moment for moment in promised if moment > now]
        taken.sort()
        for limit in self._limits:
            others = max(0, limit.calls - calls)
            if len(taken) > others:
                waits.append(taken[-others - 1] + limit.seconds - now)
        return max(waits)

    def granted(self, now: float, calls: int) -> Json:
        return {**self._content, "grants": [*self.live(now), *[now] * calls]}

    def left(self, now: float, remaining: int) -> Json:
        """Leave room for so many calls until the shortest window is over."""
        shortest = min(self._limits, key=lambda limit: limit.seconds)
        used = shortest.calls - remaining
        if used <= 0:
            return self._content
        live = sorted(self.live(now))
        older = len(live) - _since(live, now - shortest.seconds)
        return {**self._content, "grants": [*live[: max(older, len(live) - used)], *[now] * used]}

    def booked(self, now: float, wait: float, calls: int) -> Json:
        """Promise the moment at which `wait` is over."""
        most = max(limit.calls for limit in self._limits)
        ahead = [moment for moment in self._content.get("promised", []) if moment > now]
        return {**self._content, "promised": [*ahead, *[now + wait] * calls][-most:]}

    def lined_up(self, now: float, wait: float) -> tuple[Json, float]:
        """Spread those who are promised nothing: each is told to come a call's time later."""
        moment = max(now + wait, self._content.get("lined_up_until", 0.0))
        until = moment + max(self._paces())
        return {**self._content, "lined_up_until": until}, moment - now

    def _paces(self) -> list[float]:
        """Return the time that one call takes by each limit."""
        return [limit.seconds / limit.calls for limit in self._limits]


def _since(moments: list[float], start: float) -> int:
    return sum(moment > start for moment in moments)
