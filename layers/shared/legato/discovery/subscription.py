"""Keep the webhook subscription alive: create, renew, replace, rotate its token, delete.

What the provider lists is the truth. A note in the ledger remembers what the list cannot tell:
which subscription is ours, and which token it carries. A replacement is made first and the old
one deleted then, so that there is never a moment with none.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from legato.discovery.webhook import CURRENT_TOKEN, PREVIOUS_TOKEN
from legato.errors import Failed, LegatoError, NotYet, Stale
from legato.ledger.notes import change
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from legato.model import Json, Note
    from legato.ports import Clock, Notes, Subscription, Subscriptions

NOTE = "keeper#ringex"
HOLD = timedelta(seconds=180)
"""How long one keeper keeps others out: longer than its function may run."""
RENEW_AT_MOST = timedelta(days=7)
RETIRE = timedelta(minutes=10)
"""How long the previous token is still accepted after the last subscription with it is gone."""
SAME_FLAW = timedelta(hours=1)
"""How long a fresh subscription with a flaw is left alone, since another would have it too."""


class SecretStore(Protocol):
    """The secret of the inbound tokens, never from a cache. Both methods raise Retry."""

    def read(self) -> Json:
        """Return it as it is now."""
        ...

    def write(self, value: Json) -> None:
        """Put it in place."""
        ...


@dataclass(slots=True, kw_only=True)
class KeepReport:
    """What was found and done. `healthy` is None if nobody looked; `counts` names metrics."""

    healthy: bool | None = None
    subscription: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)

    def did(self, name: str, reason: str) -> None:
        self.counts[name] += 1
        self.reasons.append(reason)

    def failed(self, reason: str) -> None:
        self.did("KeeperFailed", reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Looks after the subscription of the webhook at `address`, which lives for so many `seconds`.

    `warm` wakes the webhook up before the provider tries it. A token is replaced at `token_age`;
    `settles` is how long a webhook may take to know a token of the secret.
    """

    subscriptions: Subscriptions
    tokens: SecretStore
    warm: Callable[[str], None]
    notes: Notes
    clock: Clock
    address: str
    seconds: int
    token_age: timedelta
    settles: timedelta

    @property
    def renew_before(self) -> timedelta:
        """A third of the subscription's life, but not more than seven days."""
        return min(timedelta(seconds=self.seconds) / 3, RENEW_AT_MOST)

    def keep(self, *, rotate: bool = False, reopen: bool = False) -> KeepReport:
        """Look once, and mend what is wrong. What cannot be mended stands in the report.

        `rotate` makes a new token now. `reopen` begins again after `unsubscribe` has closed.
        """
        report = KeepReport()
        try:
            memory = _Memory(self.notes)
            if memory.get("closed") and not reopen:
                report.reasons.append("closed: the stack is being deleted")
                return report
            if not memory.hold(self.clock.now()):
                report.reasons.append("another keeper is at work")
                return report
        except LegatoError as error:
            report.healthy = False
            report.failed(str(error))
            return report
        try:
            _Look(self, memory, report).run(rotate=rotate)
        except LegatoError as error:
            report.healthy = False
            report.failed(str(error))
        memory.release(report, self.clock.now())
        return report

    def unsubscribe(self, address: str) -> KeepReport:
        """Delete what is subscribed to an address; what could not be deleted is in the report.

        For our own address this is the end: a schedule that fires once more creates nothing, and a
        keeper at work undoes what it creates.
        """
        report = KeepReport()
        known = None
        try:
            if address == self.address:
                known = _close(self.notes)
        except LegatoError as error:
            report.failed(str(error))
        try:
            found = self.subscriptions.list()
        except LegatoError as error:
            report.failed(f"subscriptions of {address} may be left: {error}")
            return report
        unwanted = [each for each in found if each.address == address or each.id == known]
        _delete(self.subscriptions, unwanted, report)
        return report


class _Look:
    """One look at everything, with the note held."""

    def __init__(self, keeper: Keeper, memory: _Memory, report: KeepReport) -> None:
        self._keeper = keeper
        self._memory = memory
        self._report = report
        self._now = keeper.clock.now()
        self._secret: Json = {}

    def run(self, *, rotate: bool) -> None:
        found = self._keeper.subscriptions.list()
        self._secret = self._keeper.tokens.read()
        self._see_to_the_token(rotate=rotate)
        known = self._memory.get("subscription")
        ours = [each for each in found if each.address == self._keeper.address or each.id == known]
        present = next((each for each in ours if each.id == known), None)
        wrong = self._wrong(present, known, ours)
        kept = self._replaced(wrong, fresh=not ours and known is None) if wrong else present
        if kept is present and kept is not None:
            kept = self._renewed(kept)
        assert kept is not None  # noqa: S101 - nothing is there: that is wrong  # nosec B101
        unwanted = [each for each in ours if each.id != kept.id]
        _delete(self._keeper.subscriptions, unwanted, self._report)
        self._retire_previous()
        self._report.subscription = kept.id
        self._report.healthy = kept.flaw is None
        if kept.flaw is not None:
            self._report.failed(f"{kept.id}: {kept.flaw}")

    def _see_to_the_token(self, *, rotate: bool) -> None:
        """Make a new token when one is due: the next subscription carries it."""
        current = self._secret.get(CURRENT_TOKEN)
        if not _is_token(current):
            self._make_token("the secret holds none")
            return
        if self._memory.get("token") != _fingerprint(current):
            # The stack's own first token, or one that a person wrote.
            self._memory.write(token=_fingerprint(current), token_at=format_time(self._now))
        if self._rotating():
            if rotate:
                self._report.reasons.append("the token is being rotated already")
        elif rotate:
            self._make_token("asked for")
        elif self._since("token_at") >= self._keeper.token_age:
            self._make_token(f"the token is {self._since('token_at').days} days old")

    def _make_token(self, why: str) -> None:
        current = self._secret.get(CURRENT_TOKEN)
        token = secrets.token_hex(16)
        previous = {PREVIOUS_TOKEN: current} if isinstance(current, str) and current else {}
        self._put_secret({**self._secret, **previous, CURRENT_TOKEN: token})
        self._memory.write(token=_fingerprint(token), token_at=format_time(self._now))
        self._report.did("TokenRotated", f"a new verification token: {why}")

    def _retire_previous(self) -> None:
        """Stop accepting the previous token when nothing on its way can carry it any more."""
        carried = self._memory.get("carries") == self._memory.get("token")
        if PREVIOUS_TOKEN in self._secret and carried and self._since("made_at") >= RETIRE:
            self._put_secret({k: v for k, v in self._secret.items() if k != PREVIOUS_TOKEN})
            self._report.reasons.append("the previous token is accepted no more")

    def _put_secret(self, value: Json) -> None:
        self._keeper.tokens.write(value)
        self._secret = value

    def _rotating(self) -> bool:
        """Say whether our subscription still carries the previous token."""
        carries = self._memory.get("carries")
        return carries is not None and carries == _fingerprint(self._secret.get(PREVIOUS_TOKEN))

    def _wrong(
        self, present: Subscription | None, known: str | None, ours: Sequence[Subscription]
    ) -> str | None:
        """Say why another subscription must be made, if it must."""
        if present is None:
            if known is not None:
                return f"{known} is gone"
            return f"{ours[0].id} is not of our making" if ours else "there is none yet"
        if present.address != self._keeper.address:
            return f"{present.id} leads to {present.address}"
        if present.flaw is not None:
            same = present.flaw == self._memory.get("flaw")
            if same and self._since("made_at") < SAME_FLAW:
                return None
            return f"{present.id}: {present.flaw}"
        if self._memory.get("carries") == self._memory.get("token"):
            return None
        if not self._rotating():
            return f"{present.id} carries a token that the secret does not know"
        # Every webhook that runs must know the new token before a delivery carries it.
        if self._since("token_at") < self._keeper.settles:
            self._report.reasons.append("a later run subscribes with the new token")
            return None
        return f"{present.id} carries the previous token"

    def _replaced(self, why: str, *, fresh: bool) -> Subscription:
        self._keeper.warm(self._keeper.address)
        made = self._keeper.subscriptions.create(
            address=self._keeper.address,
            token=self._secret[CURRENT_TOKEN],
            seconds=self._keeper.seconds,
        )
        try:
            self._memory.write(
                subscription=made.id,
                carries=_fingerprint(self._secret[CURRENT_TOKEN]),
                made_at=format_time(self._now),
                flaw=made.flaw,
            )
        except LegatoError:
            # Nobody would know it for ours, and after `unsubscribe` nobody would delete it.
            self._keeper.subscriptions.delete(made.id)
            raise
        name = "SubscriptionCreated" if fresh else "SubscriptionReplaced"
        self._report.did(name, f"made {made.id}: {why}")
        return made

    def _renewed(self, present: Subscription) -> Subscription:
        if present.expires_at - self._now > self._keeper.renew_before:
            return present
        try:
            renewed = self._keeper.subscriptions.renew(present.id)
        except (NotYet, Failed) as error:
            return self._replaced(f"{present.id} cannot be renewed: {error}", fresh=False)
        if renewed.expires_at - self._now <= self._keeper.renew_before:
            return self._replaced(f"{present.id} ends soon all the same", fresh=False)
        self._report.did("SubscriptionRenewed", f"renewed {present.id}")
        return renewed

    def _since(self, name: str) -> timedelta:
        moment = self._memory.get(name)
        return self._now - parse_time(moment) if moment else timedelta.max


class _Memory:
    """The note, written over the version that was read."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._note: Note = notes.read(NOTE)

    def get(self, name: str) -> Any:
        return self._note.content.get(name)

    def write(self, **changes: Any) -> None:
        """Change these fields. Raises Stale if anybody wrote in between."""
        content = {k: v for k, v in (self._note.content | changes).items() if v is not None}
        self._note = self._notes.write(replace(self._note, content=content))

    def hold(self, now: datetime) -> bool:
        """Keep other keepers out, and forget that it was closed; False if one is at work."""
        until = self.get("held_until")
        if until is not None and parse_time(until) > now:
            return False
        try:
            self.write(held_until=format_time(now + HOLD), closed=None)
        except Stale:
            return False
        return True

    def release(self, report: KeepReport, now: datetime) -> None:
        """Let others in, and say how it went. Where that fails they come in with time."""
        failing = "; ".join(report.reasons) if report.counts["KeeperFailed"] else None
        since = (self.get("failing_since") or format_time(now)) if failing else None
        healthy_at = format_time(now) if report.healthy else self.get("healthy_at")
        try:
            self.write(held_until=None, failing=failing, failing_since=since, healthy_at=healthy_at)
        except LegatoError:
            return


def _close(notes: Notes) -> str | None:
    """Let no keeper begin any more; return the id that the note knew. Raises Retry."""
    known: str | None = None

    def closed(note: Note) -> Note:
        nonlocal known
        known = note.content.get("subscription")
        gone = ("subscription", "carries", "held_until")
        left = {name: value for name, value in note.content.items() if name not in gone}
        return replace(note, content=left | {"closed": True})

    change(NOTE, closed, notes)
    return known


def _delete(
    subscriptions: Subscriptions, unwanted: Sequence[Subscription], report: KeepReport
) -> None:
    for each in unwanted:
        try:
            subscriptions.delete(each.id)
        except LegatoError as error:
            report.failed(f"{each.id} is left: {error}")
        else:
            report.did("SubscriptionDeleted", f"deleted {each.id}")


def _is_token(value: object) -> bool:
    """Say whether RingCentral takes it: hexadecimal, 32 characters."""
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{32}", value) is not None


def _fingerprint(token: object) -> str:
    """Return what tells tokens apart and gives none away; they are 128 random bits."""
    return hashlib.sha256(str(token).encode()).hexdigest()[:16]
