"""RingCentral's REST API over HTTP: behind the gate, with a shared token, its errors in our words.

The token goes to the configured hosts and nowhere else: an address in a response or a redirect
that leads to another host is refused. Nothing is sent that the gate did not grant.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import httpx

from legato.errors import Failed, NotYet, Retry
from legato.ledger.provider_health import CHANGES
from legato.ledger.rate_limit import Gate
from legato.model import Priority
from legato.providers import responses
from legato.providers.credentials import (
    FORBIDDEN_SECONDS,
    Expired,
    Forbidden,
    Pool,
    Unaccepted,
    read_credentials,
)
from legato.providers.http_client import Line, check_host, joined, origin
from legato.providers.log_in import UNAUTHORIZED_SECONDS, platform_tokens
from legato.providers.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.credentials import Credential
    from legato.settings import Limit

SETTINGS = "/call-recording"
DELETION = "/call-recordings"
ACCOUNT = "/restapi/v1.0/account/~"
CALL_RECORDINGS = f"{ACCOUNT}{DELETION}"
EXTRACT_SYNC = f"{ACCOUNT}/call-log-extract-sync"
RECORDING = "recording"


class RingexApi:
    """Requests against RingCentral.

    `credentials` returns the secret's part for RingCentral (`read_credentials`), `limits` hold what
    each group may (Light, Medium, Heavy, Auth), `platform` and `media` are base URLs.

    Every method raises Wait (not our turn), Limited (429), Barred (no credential is accepted),
    NotYet (404), Retry (5xx or network), Failed (any other refusal; for a recording Denied).
    `priority` says who goes first.
    """

    def __init__(
        self,
        *,
        platform: str,
        media: str,
        credentials: Callable[[], Json],
        limits: Mapping[str, tuple[Limit, ...]],
        notes: Notes,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._platform = httpx.URL(platform)
        self._media = httpx.URL(media)
        self._gate = Gate(notes, clock, limits=limits, sleep=sleep)
        self._line = Line(self._gate, clock, transport=transport)
        self._session = Session(
            Pool(
                lambda: read_credentials(credentials(), "ringex"), notes, clock, provider="ringex"
            ),
            platform_tokens(self._line, self._platform, notes, clock, sleep=sleep),
            notes,
            clock,
            provider="ringex",
        )

    def get(self, path: str, params: Json, *, priority: Priority = Priority.NORMAL) -> Json:
        request = self._line.request("GET", self._platform.join(path), params=params)
        with self._answer(request, scope_of(path), priority=priority) as response:
            return responses.read_object(response)

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """POST, PUT or DELETE on the platform; return the answer, empty where it has no body."""
        request = self._line.request(method, self._platform.join(path), json=body)
        with self._answer(request, scope_of(path)) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return {}
            return responses.read_object(response)

    def delete_recordings(self, recordings: Sequence[str]) -> None:
        """Delete at most 100 recordings, behind all other requests. The call log's rows stay.

        NotYet: one of them is not there (any more); what became of the others is not documented.
        """
        url = self._platform.join(CALL_RECORDINGS)
        request = self._line.request("DELETE", url, json={"records": list(recordings)})
        with self._answer(request, scope_of(DELETION), priority=Priority.BACKFILL) as response:
            if not response.is_success:
                raise Retry(f"{responses.where(request)} answers {response.status_code}")

    def other_host(self, address: str) -> str | None:
        """Return the host of an address that gets no token of ours, or None if it gets one.

        What leads nowhere, or has a user in it, is on the host "nowhere".
        """
        try:
            url = joined(self._media, address)
        except Failed:
            return "nowhere"
        return None if origin(url) in (origin(self._platform), origin(self._media)) else url.host

    @contextmanager
    def stream(
        self, address: str, *, priority: Priority = Priority.NORMAL
    ) -> Iterator[Iterator[bytes]]:
        """GET a recording in pieces from an address that RingCentral gave, on a configured host.

        A connection that breaks is resumed where it broke. A body that stays shorter than
        announced raises Retry while it is read. Denied: the recording is refused to every
        credential, or for ever, or its address is on another host.
        """

        def opened(headers: dict[str, str]) -> AbstractContextManager[httpx.Response]:
            request = self._line.request("GET", joined(self._media, address), headers=headers)
            # What has begun does not go behind: all that came so far would be lost.
            now = max(priority, Priority.NORMAL) if headers else priority
            path = request.url.path
            return self._answer(request, RECORDING, priority=now, recording=path)

        with closing(responses.pieces(opened)) as pieces:
            yield pieces

    def _answer(
        self,
        request: httpx.Request,
        scope: str,
        *,
        priority: Priority = Priority.NORMAL,
        recording: str | None = None,
    ) -> AbstractContextManager[httpx.Response]:
        """Send a request with whichever credential has room, until one is accepted."""
        self._check_host(request.url)
        group = group_of(request.method, request.url.path)

        def send(
            one: Credential,
            token: str,
            _facts: Json,
            again: bool,
            redirected: httpx.Request | None,
        ) -> httpx.Response:
            asked = redirected or request
            self._check_host(asked.url)
            asked.headers["Authorization"] = f"Bearer {token}"
            now = Priority.RESERVED if again else priority
            key = _key(one, group_of(asked.method, asked.url.path))
            response = self._line.send(asked, key, priority=now)
            _check(response, scope)
            return response

        def room(one: Credential) -> float:
            return self._gate.wait(_key(one, group), priority=priority)

        return self._session.answer(send, scope=scope, recording=recording, room=room)

    def _check_host(self, url: httpx.URL) -> None:
        setting = "RingexUrl in the parameter Tuning"
        check_host(url, self._platform, self._media, provider="RingCentral", setting=setting)


def _check(response: httpx.Response, scope: str) -> None:
    """Raise what an answer says that is no success. The response is closed then."""
    status = response.status_code
    if response.is_success or response.next_request is not None:
        return
    with closing(response):
        code, permission = responses.refusal(response)
    reason = f"{responses.where(response.request)} answers {status} {code}".rstrip()
    if status == httpx.codes.UNAUTHORIZED:
        raise Expired(reason, seconds=UNAUTHORIZED_SECONDS)
    if status == httpx.codes.FORBIDDEN:
        if scope == RECORDING:
            raise Forbidden(reason, permission=permission)
        raise Unaccepted(reason, seconds=FORBIDDEN_SECONDS, scope=scope)
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise NotYet(reason)
    if responses.passes(status) or response.is_redirect:
        raise Retry(reason)
    raise Failed(reason)


def scope_of(path: str) -> str:
    """Return for which requests a 403 counts: those of the same app scope.

    The changes of the call log have the scope of the call log, and accounts that may read it are
    refused them all the same.
    """
    for end, scope in ((ACCOUNT, "account"), (SETTINGS, "settings"), (EXTRACT_SYNC, CHANGES)):
        if path.endswith(end):
            return scope
    own = {"/subscription": "subscription", DELETION: "removal"}
    return next((scope for part, scope in own.items() if part in path), "list")


def group_of(method: str, path: str) -> str:
    """Return the rate-limit group of a request, as the official API description has it."""
    if "/subscription" in path:
        return "Light" if method == "GET" or path.endswith("/renew") else "Medium"
    if "/telephony/sessions" in path or path.endswith((ACCOUNT, SETTINGS)):
        return "Light"
    # The call log and the recordings, media included; and for the rest the strictest is safe.
    return "Heavy"


def _key(credential: Credential, group: str) -> str:
    return f"ringex#{credential.id}#{group}"
