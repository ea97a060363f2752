"""RingCX's API over HTTP: behind the gate, with a shared token, its errors in our words.

A log-in takes two steps: RingCentral's token, which lives for an hour and serves RingEX too, is
traded for one of RingCX, which lives for five minutes. The first goes to the configured platform
and, to be traded, to RingCX; the second goes to RingCX alone. A redirect that leads to another host
is refused.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from legato.errors import Barred, Failed, NotYet, Retry
from legato.ledger.rate_limit import Gate
from legato.model import Priority
from legato.providers import responses
from legato.providers.credentials import Expired, Forbidden, Pool, Unaccepted, read_credentials
from legato.providers.http_client import LOG_IN_TIMEOUT, Line, check_host
from legato.providers.log_in import UNAUTHORIZED_SECONDS, auth_key, platform_tokens
from legato.providers.ringcx.responses import read_list, said
from legato.providers.session import Session
from legato.providers.tokens import Minted, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.errors import LegatoError
    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.credentials import Credential
    from legato.settings import Limit

PREFIX = "/voice/api/cx/integration/v1"
ACCOUNT_PATH = "/restapi/v1.0/account/~"
EXCHANGE_PATH = "/api/auth/login/rc/accesstoken?includeRefresh=true"
REFRESH_PATH = "/api/auth/token/refresh"
SUB_ACCOUNTS_PATH = "/voice/api/v1/admin/accounts"
TOKEN_SECONDS = 300
"""https://developers.ringcentral.com/engage/voice/guide/authentication/auth-ringcentral"""
FORBIDDEN_SECONDS = 900
STRANGE_ACCOUNT = "rc_account_id="
"""What a 404 names if there is no such account. It is not documented, but was seen."""

type _Asked = Callable[[str], httpx.Request]
"""Returns the request for a RingCentral account id."""
type _Key = Callable[[Credential], str]
"""Returns the gate's key."""


class _UnknownToken(Unaccepted):
    """A 401: the token does not live any more, as far as the answer says."""


class _NotUnderstood(Unaccepted):
    """A 400: the request may have the wrong form."""


class RingcxApi:
    """Requests against RingCX. Many threads may use one of these at the same time.

    `platform` is RingCentral's base URL and `url` RingCX's; integration paths begin with `prefix`.
    `account` is the RingCentral account id; an empty one is asked of RingCentral at the log-in.
    `credentials` returns the secret's part for RingCX (`read_credentials`), `limits` hold what each
    group may: Metadata for a sub-account, Recordings for a credential, Exchange and Auth for the
    app, Auth being shared with RingEX. `time_zone` is what UTC is called when RingCX is asked.

    Every method raises Wait (not our turn), Limited (429), Barred (we are refused, and a person
    must act), NotYet (404 for a recording), Retry (5xx, network, an answer that is none), Failed
    (any other refusal; for a recording Denied). `priority` says who goes first.
    """

    def __init__(
        self,
        *,
        platform: str,
        url: str,
        prefix: str = PREFIX,
        account: str = "",
        time_zone: str = "UTC",
        credentials: Callable[[], Json],
        limits: Mapping[str, tuple[Limit, ...]],
        notes: Notes,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._platform = httpx.URL(platform)
        self._url = httpx.URL(url)
        self._prefix = prefix
        self._account = account
        self._time_zone = time_zone
        self._by_query = False
        self._gate = Gate(notes, clock, limits=limits, sleep=sleep)
        self._line = Line(self._gate, clock, transport=transport)
        # A log-in tells what the account is, so another configuration needs a log-in of its own.
        name = f"ringcx#{account}" if account else "ringcx"
        self._session = Session(
            Pool(
                lambda: read_credentials(credentials(), "ringcx"), notes, clock, provider="ringcx"
            ),
            Tokens(notes, clock, name=name, mint=self._mint, sleep=sleep),
            notes,
            clock,
            provider="ringcx",
        )
        self._platform_tokens = platform_tokens(
            self._line, self._platform, notes, clock, sleep=sleep
        )

    def interactions(
        self,
        sub_account: str,
        *,
        begin: datetime,
        seconds: int,
        priority: Priority = Priority.NORMAL,
    ) -> list[Any]:
        """Return the segments of a window: `seconds` (1 to 10,800) from `begin` on.

        `segmentEndTime` is the window's beginning, whatever its name says
        (https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording).
        """
        window = {
            "segmentEndTime": f"{begin.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "timeInterval": seconds,
            "timeZone": self._time_zone,
        }

        def asked(account: str) -> httpx.Request:
            path = f"{self._of(account, sub_account)}/interaction-metadata"
            return self._line.request("POST", self._url.join(path), json=window)

        def key(_: Credential) -> str:
            return f"ringcx#{sub_account}#Metadata"

        scope = f"list#{sub_account}"
        with self._answer(asked, key, scope=scope, priority=priority) as response:
            return read_list(response)

    @contextmanager
    def stream(
        self,
        sub_account: str,
        dialog: str,
        segment: str,
        *,
        priority: Priority = Priority.NORMAL,
    ) -> Iterator[Iterator[bytes]]:
        """GET a segment's recording in pieces; what is asked, and may raise, begins with the first.

        A body that stays shorter than announced raises Retry while it is read. A connection that
        breaks is resumed where it broke if RingCX can do so, which is not documented; if not, it
        raises Retry as well.
        """

        def opened(headers: dict[str, str]) -> AbstractContextManager[httpx.Response]:
            def asked(account: str) -> httpx.Request:
                names = f"recordings/dialogs/{_quoted(dialog)}/segments/{_quoted(segment)}"
                path = f"{self._of(account, sub_account)}/{names}"
                return self._line.request("GET", self._url.join(path), headers=headers)

            # What has begun goes first: all that came so far would be lost.
            now = Priority.RESERVED if headers else priority
            return self._answer(
                asked,
                _recordings_key,
                scope=f"recording#{sub_account}",
                recording=f"{dialog}/{segment}",
                priority=now,
            )

        with closing(responses.pieces(opened)) as pieces:
            yield pieces

    def accounts(self) -> list[Json]:
        """Return the sub-accounts that the user sees, with `audioRetentionDays` and the like.

        No limit of it is documented, so it is counted as the rarest one that the app has.
        """

        def asked(_: str) -> httpx.Request:
            return self._line.request("GET", self._url.join(SUB_ACCOUNTS_PATH))

        with self._answer(
            asked, _exchange_key, scope="list", priority=Priority.RESERVED
        ) as response:
            found = read_list(response)
        if not all(isinstance(one, dict) for one in found):
            raise Retry("RingCX lists accounts that are no JSON objects")
        return found

    def _of(self, account: str, sub_account: str) -> str:
        return f"{self._prefix}/accounts/{_quoted(account)}/sub-accounts/{_quoted(sub_account)}"

    def _answer(
        self,
        asked: _Asked,
        key: _Key,
        *,
        scope: str,
        recording: str | None = None,
        priority: Priority,
    ) -> AbstractContextManager[httpx.Response]:
        """Ask in an account's name, and follow redirects within RingCX's host."""

        def send(
            one: Credential,
            token: str,
            facts: Json,
            again: bool,
            redirected: httpx.Request | None,
        ) -> httpx.Response:
            account = self._account or str(facts.get("account", ""))
            if not account:
                raise Expired("the log-in has not told the account", seconds=UNAUTHORIZED_SECONDS)
            request = redirected or asked(account)
            now = Priority.RESERVED if again else priority
            response = self._sent(request, token, key(one), priority=now)
            if not response.is_success and response.next_request is None:
                with closing(response):
                    raise _error(response, account, is_recording=recording is not None)
            return response

        def room(one: Credential) -> float:
            return self._gate.wait(key(one), priority=priority)

        return self._session.answer(send, scope=scope, recording=recording, room=room)

    def _sent(
        self, request: httpx.Request, token: str, key: str, *, priority: Priority
    ) -> httpx.Response:
        setting = "RingcxUrl in the parameter Tuning"
        check_host(request.url, self._url, provider="RingCX", setting=setting)
        request.headers["Authorization"] = f"Bearer {token}"
        return self._line.send(request, key, priority=priority)

    def _mint(self, credential: Credential, refresh: str | None) -> Minted:
        """Renew the token; trade RingCentral's if RingCX does not renew it, for whatever reason.

        https://developers.ringcentral.com/engage/voice/guide/authentication/auth-ringcentral
        """
        if refresh is not None:
            # It serves once, and for how long is not documented.
            with suppress(Unaccepted, Retry):
                form = {"refresh_token": refresh}
                url = self._url.join(REFRESH_PATH)
                return self._traded(credential, self._line.request("POST", url, data=form))
        token = self._platform_tokens.token(credential)
        try:
            return self._exchanged(credential, token)
        except _UnknownToken:
            # Evicted by another client of the app: one new log-in, and no more.
            self._platform_tokens.refused(credential, token)
            token = self._platform_tokens.token(credential)
            return self._exchanged(credential, token, but_not=(_NotUnderstood, _UnknownToken))

    def _exchanged(
        self,
        credential: Credential,
        token: str,
        *,
        but_not: tuple[type[Unaccepted], ...] = (_NotUnderstood,),
    ) -> Minted:
        """Trade RingCentral's token, in the other form if this one is refused so.

        The guide has a form, the API's description a query and RingCentral's token as bearer; which
        of them worked is remembered. Raises _UnknownToken if the token is not alive.
        """
        facts = {} if self._account else {"account": self._asked_account(credential, token)}
        form = {"rcAccessToken": token, "rcTokenType": "Bearer"}
        ways = {
            False: self._line.request("POST", self._url.join(EXCHANGE_PATH), data=form),
            True: self._line.request(
                "POST",
                self._url.join(EXCHANGE_PATH).copy_merge_params(form),
                headers={"Authorization": f"Bearer {token}"},
            ),
        }
        try:
            minted = self._traded(credential, ways[self._by_query])
        except but_not as refused:
            try:
                minted = self._traded(credential, ways[not self._by_query])
            except Unaccepted:
                raise refused from None
            self._by_query = not self._by_query
        return replace(minted, facts=facts)

    def _traded(self, credential: Credential, request: httpx.Request) -> Minted:
        request.extensions["timeout"] = LOG_IN_TIMEOUT.as_dict()
        with closing(
            self._line.send(request, _exchange_key(credential), priority=Priority.RESERVED)
        ) as response:
            if not response.is_success:
                raise _no_log_in(response, said(response))
            answer = responses.read_object(response)
        token = responses.named(answer, "accessToken", "access_token")
        if not token:
            raise Retry(f"{responses.where(request)} answers without accessToken")
        life = answer.get("expiresIn", answer.get("expires_in"))
        refresh = responses.named(answer, "refreshToken", "refresh_token")
        return Minted(token, responses.life(life, usual=TOKEN_SECONDS), refresh or None)

    def _asked_account(self, credential: Credential, token: str) -> str:
        """Ask RingCentral for the id of the account; that belongs to the log-in, and counts so."""
        headers = {"Authorization": f"Bearer {token}"}
        url = self._platform.join(ACCOUNT_PATH)
        request = self._line.request("GET", url, headers=headers, timeout=LOG_IN_TIMEOUT)
        with closing(
            self._line.send(request, auth_key(credential), priority=Priority.RESERVED)
        ) as response:
            if not response.is_success:
                raise _no_log_in(response, responses.error_code(response))
            account = responses.read_object(response).get("id")
        if not account or not isinstance(account, int | str):
            raise Retry(f"{responses.where(request)} answers without id")
        return str(account)


def _recordings_key(credential: Credential) -> str:
    return f"ringcx#{credential.id}#Recordings"


def _exchange_key(credential: Credential) -> str:
    return f"ringcx#app-{credential.client_id}#Exchange"


def _quoted(name: str) -> str:
    """Return an id as one segment of a path. One that would leave its place raises Failed."""
    if name in ("", ".", ".."):
        raise Failed(f"{name!r} is no id of RingCX's")
    return quote(name, safe="")


def _error(response: httpx.Response, account: str, *, is_recording: bool) -> LegatoError:
    """Return what an answer says that is no success."""
    status, words = response.status_code, said(response)
    reason = f"{responses.where(response.request)} answers {status} {words}".rstrip()
    wrong = f"{account} is not the RingCentral account id (RingCX's mainAccountId is another one)"
    if status == httpx.codes.UNAUTHORIZED:
        return Expired(reason, seconds=UNAUTHORIZED_SECONDS)
    if status == httpx.codes.FORBIDDEN:
        causes = (
            "RingCentral has not activated recording or WEM access,"
            f" or the user's role lacks READ on the account, or {wrong}"
        )
        reason = f"{reason}: {causes}"
        return Forbidden(reason) if is_recording else Barred(reason, seconds=FORBIDDEN_SECONDS)
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        if STRANGE_ACCOUNT in words:
            return Barred(f"{reason}: {wrong}", seconds=FORBIDDEN_SECONDS)
        if is_recording:
            return NotYet(reason)
    return Retry(reason) if responses.passes(status) else Failed(reason)


def _no_log_in(response: httpx.Response, words: str) -> Unaccepted | Retry:
    reason = f"{responses.where(response.request)} answers {response.status_code} {words}".rstrip()
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return _UnknownToken(reason, seconds=UNAUTHORIZED_SECONDS)
    if response.status_code == httpx.codes.BAD_REQUEST:
        return _NotUnderstood(reason, seconds=UNAUTHORIZED_SECONDS)
    if response.is_client_error and not responses.passes(response.status_code):
        return Unaccepted(reason, seconds=UNAUTHORIZED_SECONDS)
    return Retry(reason)
