"""What must be right at RingEX: log-in, scopes, the company's call log, recordings, subscriptions.

Rules: https://developers.ringcentral.com/guide/voice/call-log/access (who may read a call log) and
docs/deploy/ringex.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, Denied, Failed, LegatoError, NotYet
from legato.model import format_time
from legato.setup.answers import patiently, unexpected
from legato.setup.findings import Finding, ok, unknown, wrong
from legato.setup.ringcentral import (
    CONSOLE,
    PORTAL,
    PlatformLogIn,
    codes,
    lacking,
    log_in,
    scopes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from legato.model import Json
    from legato.ports import Clock, Subscription

SCOPES = ("ReadCallLog", "ReadCallRecording", "SubscriptionWebhook", "CallControl")
DELETION = "EditCallLog"
"""The scope that DeleteAtSource needs."""
COMPANY = "ReadAccounts"
"""Without this scope it works, and less is known."""
MOST_SUBSCRIPTIONS = 30
"""https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks"""
SOON = timedelta(days=2)
LOOK_BACK = timedelta(days=30)
LISTED = 100
TELLING = 10
"""So many calls of one user alone say something."""
TRIES = 2
"""So many recordings are tried: each costs one of ten requests a minute."""
FORBIDDEN = 403
_MISSING_SCOPE = ("CMN-401",)
_LOG_ROLE = "Company Call Log: View Only, Access Recordings, Download and Delivery"


class RingexUser(PlatformLogIn, Protocol):
    """RingEX as one user of the app sees it. What fails is said as by legato.errors."""

    def account(self) -> str:
        """Return the account's id."""
        ...

    def recorded(self, *, since: str, most: int) -> Sequence[Json]:
        """Return records of the company's recorded calls, the newest first."""
        ...

    def other_host(self, address: str) -> str | None:
        """Return the host of an address that gets no token of ours, or None if it gets one."""
        ...

    def begin(self, address: str) -> int:
        """Return how many bytes the first piece of a recording has."""
        ...

    def subscriptions(self) -> int:
        """Return how many subscriptions user and app have."""
        ...

    def webhooks(self) -> Sequence[Subscription]:
        """Return those of them that lead to a webhook."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The webhook of a running stack, and the function that keeps its subscription."""

    address: str
    keeper: str


def check_users(
    users: Sequence[RingexUser],
    *,
    deletes: bool,
    webhook: Webhook | None,
    clock: Clock,
    sleep: Callable[[float], None],
) -> Iterator[Finding]:
    """Check each user of the app. `deletes`: recordings are to be deleted there.

    A subscription belongs to the user that made it, and the first one does.
    """
    accounts: dict[str, str] = {}
    for number, user in enumerate(users, 1):
        of = f" (JWT {number} of {len(users)})" if len(users) > 1 else ""
        told = yield from log_in(user, f"RingEX log-in{of}", now=clock.now(), sleep=sleep)
        if told is None:
            continue
        found = _Checks(user, of, scopes_of(told), str(told.get("owner_id", "")), sleep)
        needed = (*SCOPES, DELETION) if deletes else SCOPES
        yield found.scopes(needed)
        account = yield from found.account()
        if account:
            accounts[of] = account
        yield from found.call_log(clock)
        if number == 1:
            yield found.subscriptions()
            if webhook is not None:
                yield found.subscription(webhook, clock)
    if len(set(accounts.values())) > 1:
        listed = ", ".join(f"{account}{of}" for of, account in accounts.items())
        yield wrong(
            "RingEX account",
            f"The JWTs are of several accounts: {listed}.",
            "Keep those of one account. Another company needs a stack of its own.",
        )


class _Checks:
    """Those of one user. `of` tells the subjects of several users apart."""

    def __init__(
        self,
        user: RingexUser,
        of: str,
        scopes: frozenset[str],
        owner: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._user = user
        self._of = of
        self._scopes = scopes
        self._owner = owner
        self._sleep = sleep

    def scopes(self, needed: Sequence[str]) -> Finding:
        subject = f"RingEX scopes{self._of}"
        if (found := lacking(subject, self._scopes, needed)) is not None:
            return found
        text = f"The app has {', '.join(needed)}."
        if COMPANY not in self._scopes:
            text += f" It lacks {COMPANY}: how long recordings are kept cannot be seen."
        return ok(subject, text)

    def account(self) -> Generator[Finding, None, str]:
        """Return the account's id, empty where it is not told."""
        subject = f"RingEX account{self._of}"
        if self._scopes and COMPANY not in self._scopes:
            return ""
        try:
            account = self._ask(self._user.account)
        except (Barred, Failed, NotYet) as error:
            yield ok(subject, f"Only the call log tells the account's id ({_said(error)}).")
            return ""
        except LegatoError as error:
            yield unexpected(subject, error, self._user.seen)
            return ""
        yield ok(subject, f"The account is {account}.")
        return account

    def call_log(self, clock: Clock) -> Iterator[Finding]:
        subject = f"RingEX call log{self._of}"
        since = format_time(clock.now() - LOOK_BACK)
        try:
            records = self._ask(lambda: self._user.recorded(since=since, most=LISTED))
        except Barred as error:
            yield self._forbidden(subject, error, "ReadCallLog", "sees no company call log")
            return
        except LegatoError as error:
            yield unexpected(subject, error, self._user.seen)
            return
        addresses = [address for record in records if (address := _address(record))]
        count = f"{len(records)} or more" if len(records) >= LISTED else f"{len(records)}"
        text = f"The company's call log can be read; recorded calls in 30 days: {count}."
        owners = {str(_dict(record.get("extension")).get("id", "")) for record in records}
        if owners == {self._owner} and len(records) >= TELLING:
            text += (
                " All are of the JWT's own user. If others are recorded too, its role lacks "
                "Company Call Log."
            )
        yield ok(subject, text)
        yield self._recordings(addresses)

    def _recordings(self, addresses: Sequence[str]) -> Finding:
        subject = f"RingEX recordings{self._of}"
        if not addresses:
            return ok(
                subject,
                "Nothing was recorded in 30 days, so none could be tried. Automatic call recording "
                "must be on for the users whose calls are to be kept.",
            )
        for address in addresses[:TRIES]:
            if (host := self._user.other_host(address)) is not None:
                return wrong(
                    subject,
                    f"Recordings are on {host}, which gets no token of ours.",
                    "If that host is RingCentral's, set RingexUrl in the parameter Tuning.",
                )
            try:
                size = self._ask(partial(self._user.begin, address))
            except NotYet:
                continue
            except (Denied, Barred) as error:
                return self._forbidden(
                    subject, error, "ReadCallRecording", "may not fetch recordings"
                )
            except LegatoError as error:
                return unexpected(subject, error, self._user.seen)
            return self._fetched(subject, size)
        return unknown(
            subject,
            f"RingCentral does not have the newest {min(TRIES, len(addresses))} recordings (yet).",
            "Run it again in a few minutes.",
        )

    def _fetched(self, subject: str, size: int) -> Finding:
        seen = self._user.seen
        media_type = seen.media_type if seen is not None else ""
        if size and media_type.startswith("audio/"):
            return ok(subject, f"The newest recording can be fetched ({media_type}).")
        return unknown(
            subject,
            f"A recording was answered with {media_type or 'no media type'} instead of audio.",
            "Run it again. If that stays, ask RingCentral's support.",
        )

    def subscriptions(self) -> Finding:
        subject = f"RingEX subscriptions{self._of}"
        try:
            count = self._ask(self._user.subscriptions)
        except Barred as error:
            return self._forbidden(subject, error, "SubscriptionWebhook", "sees no subscriptions")
        except LegatoError as error:
            return unexpected(subject, error, self._user.seen)
        text = f"User and app have {count} of {MOST_SUBSCRIPTIONS} webhook subscriptions."
        if count >= MOST_SUBSCRIPTIONS:
            return wrong(
                subject,
                f"{text} No other one can be made.",
                "Delete some that nobody needs (DELETE /restapi/v1.0/subscription/{id}), or give "
                "Legato an app of its own.",
            )
        return ok(subject, text)

    def subscription(self, webhook: Webhook, clock: Clock) -> Finding:
        subject = "RingEX subscription"
        run = f"aws lambda invoke --function-name {webhook.keeper} /dev/stdout"
        try:
            listed = self._ask(self._user.webhooks)
        except LegatoError as error:
            return unexpected(subject, error, self._user.seen)
        ours = [one for one in listed if one.address == webhook.address]
        if not ours:
            text = "No subscription leads to the webhook: calls are found by the sweep alone."
            return wrong(subject, text, run)
        good = [one for one in ours if one.flaw is None]
        if not good:
            return wrong(subject, f"It does not bring what it should: {ours[0].flaw}.", run)
        last = max(one.expires_at for one in good)
        if last - clock.now() < SOON:
            return wrong(subject, f"It ends on {last:%Y-%m-%d %H:%M} UTC and was not renewed.", run)
        return ok(subject, f"It is active until {last:%Y-%m-%d}.")

    def _forbidden(self, subject: str, error: LegatoError, scope: str, what: str) -> Finding:
        if self._user.seen is None or self._user.seen.status != FORBIDDEN:
            return unexpected(subject, error, self._user.seen)
        said = _said(error)
        if any(code in _MISSING_SCOPE for code in codes(error)):
            remedy = f"{CONSOLE} open the app, Settings, and add {scope} to its permissions."
            return wrong(subject, f"The app {what} ({said}).", remedy)
        return wrong(
            subject,
            f"The user of the JWT {what} ({said}).",
            f"{PORTAL} open Users, Roles, and give the user a role with {_LOG_ROLE}.",
        )

    def _ask[T](self, ask: Callable[[], T]) -> T:
        return patiently(ask, self._sleep)


def _address(record: Json) -> str:
    """Return where a record's first recording is fetched."""
    legs = record.get("legs")
    for entry in (record, *(legs if isinstance(legs, list) else ())):
        address = _dict(_dict(entry).get("recording")).get("contentUri")
        if isinstance(address, str) and address:
            return address
    return ""


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _said(error: LegatoError) -> str:
    """Return the end of what an API's error says: the status and the provider's codes."""
    return str(error).rpartition(" answers ")[2]
