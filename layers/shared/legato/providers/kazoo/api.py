"""Kazoo's API over HTTP: behind the gate, with a shared token, its errors in our words.

Tokens and credentials go to the configured host and to no other; a redirect that leads elsewhere
is refused.
"""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from legato.errors import Barred, Failed, NotYet, Retry
from legato.ledger.rate_limit import Gate
from legato.model import Priority
from legato.providers import responses
from legato.providers.credentials import Expired, Forbidden, Pool, Unaccepted
from legato.providers.http_client import LOG_IN_TIMEOUT, Line, check_host
from legato.providers.kazoo.credentials import read_credentials
from legato.providers.kazoo.documents import to_gregorian
from legato.providers.kazoo.responses import Answer, is_json, life_of, read_answer, said
from legato.providers.session import Session
from legato.providers.tokens import Minted, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.errors import LegatoError
    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.kazoo.credentials import KazooCredential
    from legato.settings import Limit

AUDIO = "audio/mpeg"
"""Whatever the format: Kazoo serves WAV by this name too, and by no name of its own."""
PENALTY_SECONDS = 10
"""A 429 says no time. So long it takes to fill an empty bucket."""
LOG_IN_KEY = "kazoo#no_account#Requests"
"""A log-in names no account, so Kazoo draws it from a bucket of that name."""
LOG_IN_CALLS = 35
"""`api_auth_tokens` and `user_auth_tokens`."""
UNAUTHORIZED_SECONDS = 300
FORBIDDEN_SECONDS = 900
ACCOUNTS_PAGE = 500
MOST_ACCOUNT_PAGES = 100
_GONE = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
_SINGLE = "/recordings/"


@dataclass(frozen=True, slots=True)
class RecordingsPage:
    """`documents` come as Kazoo sends them. Without `next_start_key` it is the last page."""

    documents: list[Any]
    next_start_key: str | None


class KazooApi:
    """Requests against Kazoo. Many threads may use one of these at the same time.

    `url` is the API's base, as `https://kazoo.example.com:8443/v2`. `credentials` returns the
    secret's part for Kazoo (`read_credentials`), `limits` hold what the group Requests may.

    Kazoo counts with a token bucket for each client address and account: 100 tokens, and 10 more
    in bulk each second (https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/rate_limiting.md).
    100 + 10 * floor(t) can be taken in any t seconds. A limit of N calls in W whole seconds takes
    N * (floor(t / W) + 1) at most, so N <= 10 * W and N <= 100 never empty it, and 100 - N are left
    for requests that the network bunches together. 50 in 5 s use the full 10 a second, less the
    gate's margin, forgive delays of 4 s, and are enough for a log-in, which costs 35. Others may
    draw from the same bucket: each envelope says what remains, and corrects the gate.

    Every method raises Wait (not our turn), Limited (429), Barred (we are refused, and a person
    must act), NotYet (404 for a recording), Retry (5xx, network, an answer that is none), Failed
    (any other refusal; for a recording's audio Denied). `priority` says who goes first.
    """

    def __init__(
        self,
        *,
        url: str,
        credentials: Callable[[], Json],
        limits: Mapping[str, tuple[Limit, ...]],
        notes: Notes,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._clock = clock
        self._gate = Gate(notes, clock, limits=limits, sleep=sleep)
        self._line = Line(
            self._gate, clock, transport=transport, provider="Kazoo", penalty=PENALTY_SECONDS
        )
        self._pool = Pool(lambda: read_credentials(credentials()), notes, clock, provider="kazoo")
        self._tokens = Tokens(notes, clock, name="kazoo", mint=self._mint, sleep=sleep)
        self._session = Session(self._pool, self._tokens, notes, clock, provider="kazoo")

    def log_in(self) -> None:
        """Log in, unless a token is alive. Raises Barred, Wait, Retry."""
        for usable in self._pool.usable():
            self._tokens.token(usable.credential)

    def recordings(
        self,
        account: str,
        *,
        created_from: datetime,
        created_to: datetime,
        start_key: str | None = None,
        user: str | None = None,
        filters: Mapping[str, str] = {},
        page_size: int,
        priority: Priority = Priority.NORMAL,
    ) -> RecordingsPage:
        """Return a page of the recordings that were saved in this time, the oldest first.

        Both ends are inclusive, to the second, and 31 days apart at most. They stay the same from
        page to page. `user` asks for those of one user; `filters` are Kazoo's own, by their full
        names (https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/filters.md).
        """
        params = {
            **filters,
            "created_from": to_gregorian(created_from),
            "created_to": to_gregorian(created_to),
            "ascending": "true",
            "page_size": page_size,
            **({} if start_key is None else {"start_key": start_key}),
        }
        owner = ("users", user) if user is not None else ()
        names = (*owner, "recordings")
        answer = self._asked("GET", account, *names, params=params, priority=priority)
        return RecordingsPage(answer.data(list), _following(answer, start_key))

    def descendants(self, account: str) -> list[str]:
        """Return the ids of all accounts below one, however deep.

        https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/accounts.md
        """
        found: list[str] = []
        start_key: str | None = None
        for _ in range(MOST_ACCOUNT_PAGES):
            start = {} if start_key is None else {"start_key": start_key}
            answer = self._asked(
                "GET",
                account,
                "descendants",
                params={"page_size": ACCOUNTS_PAGE, **start},
                priority=Priority.NORMAL,
            )
            documents = answer.data(list)
            found += [str(one["id"]) for one in documents if isinstance(one, dict) and "id" in one]
            start_key = _following(answer, start_key)
            if start_key is None:
                return found
        raise Retry(f"Kazoo lists more accounts below {account} than can be")

    def recording(self, account: str, recording: str) -> Json:
        return self._asked("GET", account, "recordings", recording).data(dict)

    @contextmanager
    def stream(
        self, account: str, recording: str, *, priority: Priority = Priority.NORMAL
    ) -> Iterator[Iterator[bytes]]:
        """GET a recording's audio in pieces; what is asked, and may raise, begins with the first.

        A document is saved before its audio is: until then Kazoo answers 404, or sends nothing. A
        connection that breaks is resumed where it broke. A body that stays shorter than announced,
        and a JSON document in place of the audio, raise Retry. Denied: it is refused, or for ever.
        """

        @contextmanager
        def opened(headers: dict[str, str]) -> Iterator[httpx.Response]:
            url = self._of(account, "recordings", recording)
            request = self._line.request("GET", url, headers={"Accept": AUDIO, **headers})
            # What has begun goes first: all that came so far would be lost.
            now = Priority.RESERVED if headers else priority
            with self._answer(request, account, priority=now, recording=recording) as answer:
                if answer.envelope is not None:
                    raise Retry(f"{responses.where(request)} answers with JSON instead of audio")
                yield answer.response

        with closing(responses.pieces(opened)) as pieces:
            yield _some(pieces, f"Kazoo answers for {recording} without a single byte")

    def delete(
        self, account: str, recording: str, *, priority: Priority = Priority.RESERVED
    ) -> None:
        """Delete a recording from Kazoo's list. NotYet: Kazoo does not find it (any more)."""
        self._asked("DELETE", account, "recordings", recording, priority=priority)

    def _asked(
        self,
        method: str,
        account: str,
        *names: str,
        params: Mapping[str, Any] | None = None,
        priority: Priority = Priority.RESERVED,
    ) -> Answer:
        """Ask for JSON. Who cannot be promised a turn takes it as if it had been."""
        request = self._line.request(
            method,
            self._of(account, *names),
            params=params,
            headers={"Accept": "application/json"},
        )
        with self._answer(request, account, priority=priority) as answer:
            return answer

    def _of(self, account: str, *names: str) -> httpx.URL:
        return self._address("accounts", account, *names)

    def _address(self, *names: str) -> httpx.URL:
        """Return the address below the base. An id that would leave its place raises Failed."""
        for name in names:
            if name in ("", ".", ".."):
                raise Failed(f"{name!r} is no id of Kazoo's")
        path = "/".join(quote(name, safe="") for name in names)
        return httpx.URL(f"{str(self._url).rstrip('/')}/{path}")

    def _answer(
        self,
        request: httpx.Request,
        account: str,
        *,
        priority: Priority,
        recording: str | None = None,
    ) -> AbstractContextManager[Answer]:
        """Ask, and follow redirects within Kazoo's host."""
        kind = "list" if recording is None else "recording"
        key = f"kazoo#{account}#Requests"

        def send(
            _: KazooCredential,
            token: str,
            _facts: Json,
            again: bool,
            redirected: httpx.Request | None,
        ) -> Answer:
            now = Priority.RESERVED if again else priority
            answer = self._sent(redirected or request, token, key, priority=now)
            if httpx.codes.is_error(answer.status):
                raise _error(answer, account)
            return answer

        return self._session.answer(
            send,
            scope=f"{kind}#{account}",
            recording=recording,
            room=lambda _: self._gate.wait(key, priority=priority),
        )

    def _sent(self, request: httpx.Request, token: str, key: str, *, priority: Priority) -> Answer:
        check_host(request.url, self._url, provider="Kazoo", setting="the parameter KazooUrl")
        request.headers["X-Auth-Token"] = token
        response = self._line.send(request, key, priority=priority)
        if response.next_request is not None or (
            response.is_success and _asks_audio(request) and not is_json(response)
        ):
            return Answer(response, response.status_code)
        return self._heard(response, key, priority=priority)

    def _heard(self, response: httpx.Response, key: str, *, priority: Priority) -> Answer:
        """Read an envelope, and tell the gate what it says of the bucket."""
        with closing(response):
            answer = read_answer(response)
        if answer.status == httpx.codes.TOO_MANY_REQUESTS:
            raise self._line.limited(response, key, priority=priority)
        if answer.remaining is not None:
            self._gate.correct(key, remaining=answer.remaining)
        return answer

    def _mint(self, credential: KazooCredential, _refresh: str | None) -> Minted:
        """Log in. An API key that is unknown is answered 404.

        https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/api_authentication.md
        """
        request = self._line.request(
            "PUT",
            self._address(credential.path),
            headers={"Accept": "application/json"},
            json={"data": json.loads(credential.secret)},
            timeout=LOG_IN_TIMEOUT,
        )
        response = self._line.send(
            request, LOG_IN_KEY, calls=LOG_IN_CALLS, priority=Priority.RESERVED
        )
        answer = self._heard(response, LOG_IN_KEY, priority=Priority.RESERVED)
        reason = f"{responses.where(request)} answers {answer.status} {said(answer)}".rstrip()
        if httpx.codes.is_client_error(answer.status) and not responses.passes(answer.status):
            raise Unaccepted(f"Kazoo mints no token: {reason}", seconds=UNAUTHORIZED_SECONDS)
        token = (answer.envelope or {}).get("auth_token")
        if not httpx.codes.is_success(answer.status) or not isinstance(token, str) or not token:
            raise Retry(f"{reason} without auth_token")
        return Minted(token, life_of(token, self._clock.now()))


def _following(answer: Answer, start_key: str | None) -> str | None:
    """Return where the next page begins; None if this was the last one. Raises Retry."""
    following = (answer.envelope or {}).get("next_start_key")
    place = f"{responses.where(answer.response.request)} answers with next_start_key"
    if following is not None and not isinstance(following, str):
        raise Retry(f"{place} that is no text")
    if following and following == start_key:
        raise Retry(f"{place} {following}, which is the page that was asked for")
    return following or None


def _some(pieces: Iterator[bytes], reason: str) -> Iterator[bytes]:
    """Pass the pieces on. Raises NotYet if there is none."""
    empty = True
    for piece in pieces:
        empty = False
        yield piece
    if empty:
        raise NotYet(reason)


def _asks_audio(request: httpx.Request) -> bool:
    return request.headers["Accept"] == AUDIO


def _error(answer: Answer, account: str) -> LegatoError:
    """Return what an answer says that is no success."""
    status, request = answer.status, answer.response.request
    reason = f"{responses.where(request)} answers {status} {said(answer)}".rstrip()
    if status == httpx.codes.UNAUTHORIZED:
        return Expired(reason, seconds=UNAUTHORIZED_SECONDS)
    if status == httpx.codes.FORBIDDEN:
        causes = (
            f"{account} is neither the account that logs in nor one below it,"
            " or the user is no administrator, or token restrictions forbid it"
        )
        reason = f"{reason}: {causes}"
        if _asks_audio(request):
            return Forbidden(reason)
        return Barred(reason, seconds=FORBIDDEN_SECONDS)
    if status in _GONE and _SINGLE in request.url.path:
        return NotYet(reason)
    if status == httpx.codes.CONFLICT or responses.passes(status):
        return Retry(reason)
    return Failed(reason)
