"""RingCentral's REST API over HTTP: behind the gate, with a shared token, its errors in our words.

The token goes to the configured hosts and nowhere else: an address in a response or a redirect
that leads to another host is refused. Nothing is sent that the gate did not grant.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import httpx

from legato.errors import Barred, Failed, NotYet, Retry
from legato.gate import Gate
from legato.providers import answers
from legato.providers.credentials import Pool, Unaccepted
from legato.providers.line import Line, origin
from legato.providers.log_in import UNAUTHORIZED_SECONDS, platform_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.gate import Limit
    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.credentials import Credential

FORBIDDEN_SECONDS = 900
MAX_REDIRECTS = 3
DELETION = "/call-recordings"
CALL_RECORDINGS = f"/restapi/v1.0/account/~{DELETION}"


class RingexApi:
    """Requests against RingCentral.

    `credentials` returns the secret's part for RingCentral (`read_credentials`), `limits` hold what
    each group may (Light, Medium, Heavy, Auth), `platform` and `media` are base URLs.

    Every method raises Wait (not our turn, or 429), Barred (no credential is accepted), NotYet
    (404), Retry (5xx or network), Failed (any other refusal). `turn` is for who was promised one,
    `behind` for who lets all others go first.
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
        self._pool = Pool(credentials, notes, clock, provider="ringex")
        self._tokens = platform_tokens(self._line, self._platform, notes, clock, sleep=sleep)

    def get(self, path: str, params: Json, *, turn: bool = False, behind: bool = False) -> Json:
        """GET a JSON object from the platform."""
        request = self._line.request("GET", self._platform.join(path), params=params)
        with self._answer(request, turn=turn, behind=behind) as response:
            return answers.read_object(response)

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """POST, PUT or DELETE on the platform; return the answer, empty where it has no body."""
        request = self._line.request(method, self._platform.join(path), json=body)
        with self._answer(request) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return {}
            return answers.read_object(response)

    def delete_recordings(self, recordings: Sequence[str]) -> None:
        """Delete at most 100 recordings, behind all other requests. The call log's rows stay.

        NotYet: one of them is not there (any more); what became of the others is not documented.
        """
        url = self._platform.join(CALL_RECORDINGS)
        request = self._line.request("DELETE", url, json={"records": list(recordings)})
        with self._answer(request, behind=True) as response:
            if not response.is_success:
                raise Retry(f"{answers.where(request)} answers {response.status_code}")

    @contextmanager
    def stream(
        self, address: str, *, turn: bool = False, behind: bool = False
    ) -> Iterator[Iterator[bytes]]:
        """GET a recording in pieces from an address that RingCentral gave, on a configured host.

        A connection that breaks is resumed where it broke. A body that stays shorter than
        announced raises Retry while it is read.
        """

        def opened(headers: dict[str, str]) -> AbstractContextManager[httpx.Response]:
            request = self._line.request("GET", self._media.join(address), headers=headers)
            # What has begun does not go behind: all that came so far would be lost.
            return self._followed(request, turn=turn, behind=behind and not headers)

        with closing(answers.pieces(opened)) as pieces:
            yield pieces

    @contextmanager
    def _followed(
        self, request: httpx.Request, *, turn: bool, behind: bool
    ) -> Iterator[httpx.Response]:
        """Follow redirects between our hosts; each is a request of its own."""
        for _ in range(MAX_REDIRECTS):
            with self._answer(request, turn=turn, behind=behind) as response:
                if not response.is_redirect:
                    yield response
                    return
                location = response.headers.get("location", "")
                headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
                request = self._line.request("GET", request.url.join(location), headers=headers)
        raise Retry(f"{answers.where(request)} redirects too often")

    @contextmanager
    def _answer(
        self, request: httpx.Request, *, turn: bool = False, behind: bool = False
    ) -> Iterator[httpx.Response]:
        """Send a request with whichever credential has room, until one is accepted."""
        if origin(request.url) not in (origin(self._platform), origin(self._media)):
            raise Failed(
                f"{request.url.host} is not a configured RingCentral host, so it gets no token"
            )
        group = group_of(request.method, request.url.path)
        response = None
        while response is None:
            credential = self._roomiest(group, turn=turn, behind=behind)
            response = self._tried(request, credential, group, turn=turn, behind=behind)
        try:
            yield response
        finally:
            response.close()

    def _roomiest(self, group: str, *, turn: bool, behind: bool) -> Credential:
        usable = self._pool.usable()
        if len(usable) == 1:
            return usable[0]

        def wait(one: Credential) -> float:
            return self._gate.wait(_key(one, group), turn=turn, behind=behind)

        return min(usable, key=wait)

    def _tried(
        self,
        request: httpx.Request,
        credential: Credential,
        group: str,
        *,
        turn: bool,
        behind: bool,
    ) -> httpx.Response | None:
        """Return the answer; None if RingCentral refuses the credential, which is set aside."""
        try:
            token = self._tokens.token(credential)
            response = self._sent(request, credential, group, token, turn=turn, behind=behind)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                # Evicted by another client of the app, or expired: one new token, and no more.
                response.close()
                self._tokens.refused(credential, token)
                token = self._tokens.token(credential)
                response = self._sent(request, credential, group, token, turn=True)
            self._check(response)
        except Unaccepted as refused:
            self._pool.set_aside(credential, str(refused), seconds=refused.seconds)
            return None
        return response

    def _sent(
        self,
        request: httpx.Request,
        credential: Credential,
        group: str,
        token: str,
        *,
        turn: bool,
        behind: bool = False,
    ) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return self._line.send(request, _key(credential, group), turn=turn, behind=behind)

    def _check(self, response: httpx.Response) -> None:
        """Raise what an answer says that is no success. The response is closed then."""
        status = response.status_code
        if response.is_success or response.is_redirect:
            return
        try:
            code = answers.error_code(response)
        finally:
            response.close()
        reason = f"{answers.where(response.request)} answers {status} {code}".rstrip()
        if status == httpx.codes.UNAUTHORIZED:
            raise Unaccepted(reason, seconds=UNAUTHORIZED_SECONDS)
        if status == httpx.codes.FORBIDDEN:
            # These need scopes of their own: who lacks them can fetch recordings all the same.
            own = any(part in response.request.url.path for part in ("/subscription", DELETION))
            raise (Barred if own else Unaccepted)(reason, seconds=FORBIDDEN_SECONDS)
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise NotYet(reason)
        if answers.passes(status):
            raise Retry(reason)
        raise Failed(reason)


def group_of(method: str, path: str) -> str:
    """Return the rate-limit group of a request, as the official API description has it."""
    if "/subscription" in path:
        return "Light" if method == "GET" or path.endswith("/renew") else "Medium"
    if "/telephony/sessions" in path:
        return "Light"
    # The call log and the recordings, media included; and for the rest the strictest is safe.
    return "Heavy"


def _key(credential: Credential, group: str) -> str:
    return f"ringex#{credential.id}#{group}"
