"""The gate: a provider's rate limit, shared by every running function through the ledger.

A sliding window of grants for each credential and group. Whoever wants to call asks first, and is
granted or told how long to wait. Who has to wait for long is promised a turn, so that jobs that
come later do not overtake: nothing starves.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from legato.errors import Stale, Wait
from legato.model import Json, Note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.ports import Clock, Notes

SHORT_WAIT = 2.0
"""Seconds: what is slept. A longer wait is the queue's work."""

TRIES = 50
MARGIN_SHARE = 0.02
MARGIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in any span of so many seconds."""

    calls: int
    seconds: float


class Gate:
    """`limits` holds the limit of each group, until the provider says another one.

    A key names a window, as `ringex#credential#Heavy`; its group is the last part.
    """

    def __init__(
        self,
        notes: Notes,
        clock: Clock,
        *,
        limits: Mapping[str, Limit],
        sleep: Callable[[float], None],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._limits = limits
        self._sleep = sleep

    def enter(self, key: str, *, turn: bool = False) -> None:
        """Take a grant, sleeping for two seconds at most.

        `turn` is for who was promised one. Raises Wait with the time until its turn comes.
        """
        patience = SHORT_WAIT
        for _ in range(TRIES):
            note, now = self._notes.read(_name(key)), self._now()
            window = _Window(note.content, self._limit(key, note))
            wait = window.wait(now, turn=turn)
            if wait > patience:
                content = note.content if turn else window.booked(now, wait)
                if self._written(note, content):
                    raise Wait("it is not our turn at the provider", seconds=wait, turn=True)
            elif wait > 0:
                self._sleep(wait)
                patience -= wait
            elif self._written(note, window.granted(now)):
                return
        raise Wait("too many ask at the same time", seconds=SHORT_WAIT)

    def wait(self, key: str, *, turn: bool = False) -> float:
        """Return the seconds until a grant could be had, negative by the room there is now."""
        note = self._notes.read(_name(key))
        window = _Window(note.content, self._limit(key, note))
        now = self._now()
        return window.wait(now, turn=turn) or -window.room(now)

    def block(self, key: str, *, seconds: float) -> None:
        """Let nobody through for so long: the provider has sent a 429."""
        until = self._now() + seconds
        self._change(
            key,
            lambda content, _: content | {"blocked_until": max(until, _blocked(content))},
        )

    def learn(self, key: str, limit: Limit, *, remaining: int) -> None:
        """Correct the window by what the provider says of it.

        Fewer calls remaining than we count means that somebody else uses the same credential: the
        difference is taken as used now.
        """

        def learned(content: Json, now: float) -> Json:
            window = _Window(content, limit)
            strangers = max(0, window.room(now) - remaining)
            return {
                **content,
                "limit": limit.calls,
                "seconds": limit.seconds,
                "grants": [*window.live(now), *[now] * strangers],
            }

        note = self._notes.read(_name(key))
        known = self._limit(key, note)
        if known != limit or _Window(note.content, limit).room(self._now()) > remaining:
            self._change(key, learned)

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
            self._sleep(random.uniform(0.001, 0.05))  # noqa: S311 - to part those who collide
            return False
        return True

    def _limit(self, key: str, note: Note) -> Limit:
        if "limit" in note.content:
            return Limit(note.content["limit"], note.content["seconds"])
        return self._limits[key.rpartition("#")[2]]

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _name(key: str) -> str:
    return f"gate#{key}"


def _blocked(content: Json) -> float:
    until: float = content.get("blocked_until", 0.0)
    return until


class _Window:
    """Times are seconds since the epoch."""

    def __init__(self, content: Json, limit: Limit) -> None:
        self._content = content
        self._limit = limit
        # A request may reach the provider later than its grant, and the next one sooner.
        self._span = limit.seconds + max(MARGIN_SECONDS, MARGIN_SHARE * limit.seconds)

    def live(self, now: float) -> list[float]:
        """Return the grants that still count. One of the future is a clock that is off: it does."""
        return [grant for grant in self._content.get("grants", []) if grant > now - self._span]

    def room(self, now: float) -> int:
        return max(0, self._limit.calls - len(self.live(now)))

    def wait(self, now: float, *, turn: bool) -> float:
        """Return the seconds until there is room, and nobody is left who was promised it before."""
        waits = [0.0, _blocked(self._content) - now]
        live = sorted(self.live(now))
        if len(live) >= self._limit.calls:
            waits.append(live[-self._limit.calls] + self._span - now)
        if not turn:
            waits.append(self._content.get("booked_until", 0.0) - now)
        return max(waits)

    def granted(self, now: float) -> Json:
        return {**self._content, "grants": [*self.live(now), now]}

    def booked(self, now: float, wait: float) -> Json:
        """Promise the moment at which `wait` is over, and with it the time that one call takes."""
        each = self._span / self._limit.calls
        return {**self._content, "booked_until": now + wait + each}
