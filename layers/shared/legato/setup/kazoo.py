"""What must be right at Kazoo: address, log-in, accounts, what is recorded and stored.

Rules: https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/api_authentication.md,
recordings.md, and docs/deploy/kazoo.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from legato.errors import Barred, Denied, LegatoError, NotYet, Retry
from legato.setup.answers import Seen, Watched, patiently, unexpected
from legato.setup.findings import Finding, State, ok, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from legato.ports import Clock

BELOW = "/*"
API = "/v2"
HERE = ("127.0.0.1", "::1", "localhost")
LOG_INS = ("/api_auth", "/user_auth")
LOOK_BACK = (timedelta(days=2), timedelta(days=30))
"""Kazoo lists the oldest first, so what is new is looked for before all that is there."""
MOST_TRIED = 3
"""Sources that are looked at."""
TRIES = 3
"""Recordings of each."""
SETTING = "KazooUrl"
_CREDENTIALS = (400, 401, 403)
_MISSING = (404, 410)
_STORING = (
    "Let the cluster store recordings (media.store_recordings), or give the account a storage plan "
    "(docs/deploy/kazoo.md)."
)


class Documents(NamedTuple):
    """The ids of recordings that Kazoo lists, the oldest first, and if it lists more."""

    ids: Sequence[str]
    more: bool


class KazooLogIn(Watched, Protocol):
    """Kazoo as one credential sees it. What fails is said as by legato.errors."""

    url: str
    by_key: bool
    """Whether it logs in with an API key, and not as a user."""

    def log_in(self) -> None:
        """Log in. Raises Barred if it is refused, Wait, Retry."""
        ...

    def recorded(
        self, account: str, user: str | None, *, begin: datetime, end: datetime
    ) -> Documents:
        """Return which recordings were saved in a time."""
        ...

    def below(self, account: str) -> int:
        """Return how many accounts are below one."""
        ...

    def begin(self, account: str, recording: str) -> int:
        """Return how many bytes the first piece of a recording has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    account: str
    user: str | None
    below: bool

    @classmethod
    def read(cls, text: str) -> _Source:
        account, _, user = text.removesuffix(BELOW).partition("/")
        return cls(account=account, user=user or None, below=text.endswith(BELOW))


def check_account_ids(
    kazoo: KazooLogIn,
    *,
    account_ids: Sequence[str],
    clock: Clock,
    sleep: Callable[[float], None],
) -> Iterator[Finding]:
    """Check an address and a credential, and what it sees of these sources."""
    checks = _Checks(kazoo, clock, sleep)
    address = checks.address()
    if address is not None:
        yield address
    log_in = checks.log_in()
    yield log_in
    if log_in.state is not State.OK:
        return
    sources = [_Source.read(text) for text in dict.fromkeys(account_ids)]
    for source in sources[:MOST_TRIED]:
        if source.below:
            yield checks.below(source)
        yield from checks.recorded(source)
    if len(sources) > MOST_TRIED:
        text = f"Of {len(sources)} accounts the first {MOST_TRIED} were looked at."
        yield ok("Kazoo accounts", text)


class _Checks:
    """What is asked with one credential."""

    def __init__(self, kazoo: KazooLogIn, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._kazoo = kazoo
        self._clock = clock
        self._sleep = sleep

    def address(self) -> Finding | None:
        """Return what is wrong with the address itself."""
        subject, parts = "Kazoo address", urlsplit(self._kazoo.url)
        if parts.scheme == "https" or parts.hostname in HERE:
            return None
        return wrong(
            subject,
            f"{SETTING} is no https: anybody on the way can read credentials and recordings.",
            "Let the API be reached by https with a publicly trusted certificate.",
        )

    def log_in(self) -> Finding:
        subject, parts = "Kazoo log-in", urlsplit(self._kazoo.url)
        what = "API key" if self._kazoo.by_key else "user"
        try:
            self._ask(self._kazoo.log_in)
        except LegatoError as error:
            seen = self._kazoo.seen
            missing = seen is not None and seen.status in _MISSING
            if missing and not parts.path.rstrip("/").endswith(API):
                return wrong(
                    subject,
                    f"{seen.words if seen is not None else error}: there is no log-in.",
                    f"{SETTING} must end with {API}, such as https://{parts.netloc}{API}.",
                )
            if not isinstance(error, Barred) or seen is None or seen.fault is not None:
                return unexpected(subject, error, seen, url=SETTING)
            return self._refused(subject, what, seen)
        return ok(subject, f"{parts.hostname} accepts the {what}.")

    def _refused(self, subject: str, what: str, seen: Seen) -> Finding:
        if "json" not in seen.media_type:
            return wrong(
                subject,
                f"{seen.words}, which is not Kazoo's answer.",
                f"See that {SETTING} is the address of the API; it ends with {API}.",
            )
        if seen.status in _MISSING and self._kazoo.by_key:
            return wrong(
                subject,
                f"Kazoo knows no such API key ({seen.status}).",
                "Copy the account's API key again: GET /v2/accounts/{id}/api_key shows it to an "
                "administrator. See that it is of this cluster.",
            )
        if seen.status in _CREDENTIALS or seen.status in _MISSING:
            return wrong(
                subject,
                f"Kazoo refuses the {what} ({seen.status}).",
                "An API key has 64 characters."
                if self._kazoo.by_key
                else "See username, password and accountName in the secret.",
            )
        return unknown(subject, f"{seen.words}.", "Run it again later.")

    def below(self, source: _Source) -> Finding:
        subject = f"Kazoo accounts below {source.account}"
        try:
            count = self._ask(partial(self._kazoo.below, source.account))
        except LegatoError as error:
            return self._invisible(subject, source, error)
        if not count:
            text = f"There is no account below {source.account}, so only that one is archived."
            return ok(subject, text)
        return ok(subject, f"They are archived too: {count}.")

    def recorded(self, source: _Source) -> Iterator[Finding]:
        """Check what is recorded, and whether it is stored."""
        name = f"{source.account}/{source.user}" if source.user else source.account
        subject, now = f"Kazoo recordings ({name})", self._clock.now()
        documents = Documents([], False)
        days = 0
        for span in LOOK_BACK:
            days = span.days
            ask = partial(self._kazoo.recorded, source.account, source.user)
            try:
                documents = self._ask(partial(ask, begin=now - span, end=now))
            except LegatoError as error:
                yield self._invisible(subject, source, error)
                return
            if documents.ids:
                break
        if not documents.ids:
            yield ok(
                subject,
                f"The account can be read. Nothing was recorded, or nothing stored, in {days} "
                f"days. Kazoo stores nothing by default. {_STORING}",
            )
            return
        yield self._stored(subject, source.account, documents, days)

    def _stored(self, subject: str, account: str, documents: Documents, days: int) -> Finding:
        count = f"{len(documents.ids)}{' or more' if documents.more else ''}"
        tried = documents.ids[-TRIES:][::-1]
        for recording in tried:
            try:
                size = self._ask(partial(self._kazoo.begin, account, recording))
            except NotYet:
                continue
            except LegatoError as error:
                return self._no_audio(subject, error)
            media_type = self._kazoo.seen.media_type if self._kazoo.seen is not None else ""
            if size:
                return ok(
                    subject,
                    f"Recordings of {days} days: {count}. One can be fetched ({media_type}).",
                )
        return wrong(
            subject,
            f"Kazoo lists {count} recordings in {days} days, and has no audio of the newest "
            f"{len(tried)}.",
            f"{_STORING} A recording of the last minutes may come yet.",
        )

    def _no_audio(self, subject: str, error: LegatoError) -> Finding:
        seen = self._kazoo.seen
        is_json = seen is not None and "json" in seen.media_type
        if isinstance(error, Denied) and seen is not None:
            return wrong(
                subject,
                f"Kazoo refuses a recording: {seen.words}.",
                "See that the user is an administrator, and what token restrictions say.",
            )
        if isinstance(error, Retry) and seen is not None and seen.status < 300 and is_json:
            return unknown(
                subject,
                "Kazoo answers with a document in place of a recording's audio.",
                "See what stands in front of the API: it may change the Accept header.",
            )
        return unexpected(subject, error, seen)

    def _invisible(self, subject: str, source: _Source, error: LegatoError) -> Finding:
        seen = self._kazoo.seen
        if seen is not None and seen.status in (403, *_MISSING):
            what = f"user {source.user} of {source.account}" if source.user else source.account
            return wrong(
                subject,
                f"The credential does not see {what} ({seen.status}).",
                "It must be of that account or of one above it. See KazooAccountIds, and copy the "
                "API key of that account.",
            )
        return unexpected(subject, error, seen)

    def _ask[T](self, ask: Callable[[], T]) -> T:
        return patiently(ask, self._sleep)
