"""What must be right at RingCX: log-in, sub-accounts, metadata, recordings.

Rules: https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording and
docs/deploy/ringcx.md. Its refusals do not tell why, so a remedy names all that may be.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from legato.errors import Barred, Denied, Failed, LegatoError, NotYet
from legato.setup.answers import patiently, unexpected
from legato.setup.findings import Finding, ok, unknown, wrong
from legato.setup.ringcentral import (
    CONSOLE,
    PORTAL,
    PlatformLogIn,
    lacking,
    log_in,
    scopes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock

SCOPE = "ReadAccounts"
ALL = "*"
SHOWN = 10
MOST_TRIED = 3
"""Sub-accounts whose metadata are asked for: each has nine requests in a quarter of an hour."""
TRIES = 3
"""Recordings of each."""
WINDOW = timedelta(hours=3)
"""The longest that can be asked for."""
EXCHANGE = "/api/auth/"
ACCOUNT = "/restapi/v1.0/account/"
STRANGE_ACCOUNT = "rc_account_id="
FORBIDDEN = 403
_REPRESENTATIVE = "Ask your RingCentral representative to activate"


class Segment(NamedTuple):
    """A segment that has a recording."""

    dialog: str
    segment: str


class Window(NamedTuple):
    """What the metadata of some hours list: how many segments, and those with a recording."""

    listed: int
    recorded: Sequence[Segment]


class RingcxUser(PlatformLogIn, Protocol):
    """RingCX as one user sees it. What fails is said as by legato.errors."""

    account: str
    """The RingCentral account id that is configured; empty: RingCentral is asked."""

    def sub_accounts(self) -> Sequence[Json]:
        """Return the sub-accounts that the user sees, as RingCX describes them."""
        ...

    def window(self, sub_account: str, *, begin: datetime, seconds: int) -> Window:
        """Return what RingCX lists for a time."""
        ...

    def begin(self, sub_account: str, segment: Segment) -> int:
        """Return how many bytes the first piece of a recording has."""
        ...


def check_users(
    users: Sequence[RingcxUser],
    *,
    sub_account_ids: Sequence[str],
    settle: timedelta,
    clock: Clock,
    sleep: Callable[[float], None],
) -> Iterator[Finding]:
    """Check each user. `settle` is for how long a segment is left alone after its end."""
    for number, user in enumerate(users, 1):
        of = f" (JWT {number} of {len(users)})" if len(users) > 1 else ""
        told = yield from log_in(user, f"RingCX app and JWT{of}", now=clock.now(), sleep=sleep)
        if told is None:
            continue
        if not user.account:
            missing = lacking(f"RingCX scopes{of}", scopes_of(told), (SCOPE,))
            if missing is not None:
                yield missing
                if SCOPE not in scopes_of(told) and scopes_of(told):
                    continue
        checks = _Checks(user, of, clock.now() - settle, sleep)
        names = yield from checks.sub_accounts(sub_account_ids)
        if number > 1:
            continue  # the limits are the sub-account's, whoever asks
        for name in names[:MOST_TRIED]:
            yield from checks.metadata(name)
        if len(names) > MOST_TRIED:
            yield ok(
                "RingCX metadata",
                f"Of {len(names)} sub-accounts the first {MOST_TRIED} were tried.",
            )


class _Checks:
    """Those of one user. `end` is up to when segments are looked at."""

    def __init__(
        self, user: RingcxUser, of: str, end: datetime, sleep: Callable[[float], None]
    ) -> None:
        self._user = user
        self._of = of
        self._end = end
        self._sleep = sleep

    def sub_accounts(self, wanted: Sequence[str]) -> Generator[Finding, None, list[str]]:
        """Return those that are wanted and can be seen."""
        subject = f"RingCX sub-accounts{self._of}"
        try:
            found = self._ask(self._user.sub_accounts)
        except LegatoError as error:
            yield self._no_accounts(subject, error)
            return []
        seen = [str(one.get("accountId", "")) for one in found]
        seen = [name for name in seen if name]
        if not seen:
            yield wrong(
                subject,
                "The user sees no sub-account of RingCX.",
                "In RingCX Admin give the user READ on Account for each sub-account.",
            )
            return []
        if (account := self._account_of(found)) is not None:
            yield account
            return []
        names = seen if ALL in wanted else list(dict.fromkeys(wanted))
        strange = [name for name in names if name not in seen]
        if strange:
            yield self._strange(subject, strange, found, _some(seen))
        visible = [name for name in names if name in seen]
        if visible and not strange:
            yield ok(subject, f"The user sees {_some(visible)}.")
        return visible

    def _account_of(self, found: Sequence[Json]) -> Finding | None:
        """Return the finding if the configured account is another one than RingCX names."""
        named = {name for one in found if (name := _inner(one, "rcAccountId"))}
        if not self._user.account or not named or self._user.account in named:
            return None
        main = {_inner(one, "mainAccountId") for one in found}
        what = "RingCX's main account id" if self._user.account in main else "another account"
        return wrong(
            f"RingCX account{self._of}",
            f"RingcxAccountId is {self._user.account}, which is {what}.",
            f"Set it to {', '.join(sorted(named))}, or leave it out: RingCentral is asked then.",
        )

    def _strange(
        self, subject: str, strange: Sequence[str], found: Sequence[Json], listed: str
    ) -> Finding:
        main = {_inner(one, "mainAccountId") for one in found}
        company = {_inner(one, "rcAccountId") for one in found}
        said = []
        for name in strange:
            what = "is not among the sub-accounts that the user sees"
            if name in main:
                what = "is RingCX's main account id and no sub-account"
            elif name in company:
                what = "is the RingCentral account id and no sub-account"
            said.append(f"{name} {what}")
        return wrong(
            subject,
            f"{'; '.join(said)}.",
            f"RingcxSubAccountIds may name {listed}. For another one give the user READ on its "
            "Account in RingCX Admin.",
        )

    def _no_accounts(self, subject: str, error: LegatoError) -> Finding:
        """Return the finding for a log-in that goes no further, or a list that is refused."""
        seen = self._user.seen
        if not isinstance(error, (Barred, Failed)) or seen is None or seen.fault is not None:
            return unexpected(subject, error, seen)
        if seen.path.startswith(ACCOUNT):
            return wrong(
                f"RingCX account{self._of}",
                f"RingCentral does not tell the account's id: {seen.words}.",
                f"{CONSOLE} give the app the scope {SCOPE}, and the user Company Info: View. Or "
                "set RingcxAccountId in the parameter Tuning.",
            )
        if seen.path.startswith(EXCHANGE):
            return wrong(
                f"RingCX log-in{self._of}",
                f"RingCX does not let RingCentral's user in: {seen.words}.",
                f"{PORTAL} give the user RingCX with the role of an administrator. The account "
                "must have RingCX.",
            )
        return wrong(
            subject,
            f"RingCX lists no sub-accounts: {seen.words}.",
            "In RingCX Admin give the user READ on Account for each sub-account.",
        )

    def metadata(self, name: str) -> Iterator[Finding]:
        """Check what RingCX lists of a sub-account, and one of its recordings."""
        subject = f"RingCX metadata ({name})"
        begin = self._end - WINDOW
        seconds = int(WINDOW.total_seconds())
        try:
            window = self._ask(
                lambda: self._user.window(name, begin=begin, seconds=seconds),
            )
        except (Barred, Failed) as error:
            yield self._no_metadata(subject, error)
            return
        except LegatoError as error:
            yield unexpected(subject, error, self._user.seen)
            return
        yield ok(
            subject,
            f"It can be read; voice segments in three hours: {window.listed}, with a recording: "
            f"{len(window.recorded)}.",
        )
        yield self._recordings(name, window)

    def _no_metadata(self, subject: str, error: LegatoError) -> Finding:
        seen = self._user.seen
        if seen is not None and seen.status == FORBIDDEN:
            return wrong(
                subject,
                f"RingCX refuses it: {seen.words}.",
                f"{_REPRESENTATIVE} WEM access. In RingCX Admin give the user READ on Account.",
            )
        if "timeZone" in str(error):
            return wrong(
                subject,
                "RingCX does not know the time zone that it was asked in.",
                "Set RingcxTimeZone in the parameter Tuning to another name of UTC.",
            )
        return unexpected(subject, error, seen)

    def _recordings(self, name: str, window: Window) -> Finding:
        subject = f"RingCX recordings ({name})"
        if not window.recorded:
            return ok(
                subject,
                "Nothing was recorded in three hours, so none could be tried. Recording must be on "
                "for the queues and campaigns whose calls are to be kept.",
            )
        tried = window.recorded[-TRIES:][::-1]
        for segment in tried:
            try:
                size = self._ask(partial(self._user.begin, name, segment))
            except NotYet:
                continue
            except (Denied, Barred) as error:
                return self._no_recording(subject, error)
            except LegatoError as error:
                return unexpected(subject, error, self._user.seen)
            media_type = self._user.seen.media_type if self._user.seen is not None else ""
            if size and media_type.startswith("audio/"):
                return ok(subject, f"A recording can be fetched ({media_type}).")
            return unknown(
                subject,
                f"A recording was answered with {media_type or 'no media type'} instead of audio.",
                "Run it again. If that stays, ask RingCentral's support.",
            )
        return unknown(
            subject,
            f"RingCX does not have {len(tried)} recordings that it lists (yet): it answers 404.",
            f"Run it again in 15 minutes. If that stays: {_REPRESENTATIVE.lower()} call recording.",
        )

    def _no_recording(self, subject: str, error: LegatoError) -> Finding:
        seen = self._user.seen
        if STRANGE_ACCOUNT in str(error):
            return wrong(
                subject,
                "RingCX knows no such account.",
                "Leave RingcxAccountId out of the parameter Tuning: RingCentral is asked then. If "
                f"it is not set: {_REPRESENTATIVE.lower()} call recording.",
            )
        if seen is not None and seen.status == FORBIDDEN:
            return wrong(
                subject,
                f"RingCX refuses the recording: {seen.words}.",
                f"{_REPRESENTATIVE} call recording.",
            )
        return unexpected(subject, error, seen)

    def _ask[T](self, ask: Callable[[], T]) -> T:
        return patiently(ask, self._sleep)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _inner(one: Json, name: str) -> str:
    """Return an id of a sub-account's main account."""
    main = one.get("mainAccount")
    found = main.get(name) if isinstance(main, dict) else None
    return str(found or one.get(name) or "")
