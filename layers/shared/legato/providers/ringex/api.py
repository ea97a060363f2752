"""RingCentral's REST API over HTTP: behind the gate, with a shared token, its errors in our words.

The token goes to the configured hosts and nowhere else: an address in a response or a redirect
that leads to another host is refused. Nothing is sent that the gate did not grant.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import httpx

from legato.errors import Barred, Failed, NotYet, Retry, Wait
from legato.gate import Gate
from legato.providers.ringex import answers
from legato.providers.ringex.credentials import Pool
from legato.providers.ringex.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from legato.gate import Limit
    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.ringex.credentials import Credential

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/restapi/oauth/token"  # noqa: S105 - an address, not a token
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
UNAUTHORIZED_SECONDS = 300
FORBIDDEN_SECONDS = 900
MAX_REDIRECTS = 3
MAX_RESUMES = 3


class RingexApi:
    """Requests against RingCentral.

    `credentials` returns the secret's part for RingCentral (`read_credentials`), `limits` hold the
    calls of each group (Light, Medium, Heavy, Auth), `platform` and `media` are base URLs.

    Every method raises Wait (not our turn, or 429), Barred (no credential is accepted), NotYet
    (404), Retry (5xx or network), Failed (any other refusal). `turn` is for who was promised one.
    """

    def __init__(
        self,
        *,
        platform: str,
        media: str,
        credentials: Callable[[], Json],
        limits: Mapping[str, Limit],
        notes: Notes,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._platform = httpx.URL(platform)
        self._media = httpx.URL(media)
        self._clock = clock
        self._client = httpx.Client(
            transport=transport, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        self._pool = Pool(credentials, notes, clock)
        self._gate = Gate(notes, clock, limits=limits, sleep=sleep)
        self._tokens = Tokens(notes, clock, mint=self._mint, sleep=sleep)

    def get(self, path: str, params: Json, *, turn: bool = False) -> Json:
        """GET a JSON object from the platform."""
        request = self._client.build_request("GET", self._platform.join(path), params=params)
        with self._answer(request, turn=turn) as response:
            return answers.read_object(response)

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """POST, PUT or DELETE on the platform; return the answer, empty where it has no body."""
        request = self._client.build_request(method, self._platform.join(path), json=body)
        with self._answer(request) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return {}
            return answers.read_object(response)

    @contextmanager
    def stream(self, address: str, *, turn: bool = False) -> Iterator[Iterator[bytes]]:
        """GET a recording in pieces from an address that RingCentral gave, on a configured host.

        A connection that breaks is resumed where it broke. A body that stays shorter than
        announced raises Retry while it is read.
        """
        request = self._client.build_request("GET", self._media.join(address))
        with closing(self._pieces(request, turn=turn)) as pieces:
            yield pieces

    def _pieces(self, request: httpx.Request, *, turn: bool) -> Generator[bytes]:
        received = 0
        for resumes in range(MAX_RESUMES + 1):
            if received:
                request.headers["Range"] = f"bytes={received}-"
            with self._followed(request, turn=turn) as response:
                try:
                    for piece in answers.resume(response, request, received):
                        received += len(piece)
                        yield piece
                except httpx.HTTPError as error:
                    if resumes == MAX_RESUMES:
                        raise answers.broken_off(response, error) from error
                    continue
            return

    @contextmanager
    def _followed(self, request: httpx.Request, *, turn: bool) -> Iterator[httpx.Response]:
        """Follow redirects between our hosts; each is a request of its own."""
        for _ in range(MAX_REDIRECTS):
            with self._answer(request, turn=turn) as response:
                if not response.is_redirect:
                    yield response
                    return
                location = response.headers.get("location", "")
                headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
                request = self._client.build_request(
                    "GET", request.url.join(location), headers=headers
                )
        raise Retry(f"{answers.where(request)} redirects too often")

    @contextmanager
    def _answer(self, request: httpx.Request, *, turn: bool = False) -> Iterator[httpx.Response]:
        """Send a request with whichever credential has room, until one is accepted."""
        if _origin(request.url) not in (_origin(self._platform), _origin(self._media)):
            raise Failed(
                f"{request.url.host} is not a configured RingCentral host, so it gets no token"
            )
        group = group_of(request.method, request.url.path)
        response = None
        while response is None:
            credential = self._roomiest(group, turn=turn)
            response = self._tried(request, credential, group, turn=turn)
        try:
            yield response
        finally:
            response.close()

    def _roomiest(self, group: str, *, turn: bool) -> Credential:
        usable = self._pool.usable()
        if len(usable) == 1:
            return usable[0]
        return min(usable, key=lambda one: self._gate.wait(_key(one, group), turn=turn))

    def _tried(
        self, request: httpx.Request, credential: Credential, group: str, *, turn: bool
    ) -> httpx.Response | None:
        """Return the answer; None if RingCentral refuses the credential, which is set aside."""
        try:
            token = self._tokens.token(credential)
            response = self._sent(request, credential, group, token, turn=turn)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                # Evicted by another client of the app, or expired: one new token, and no more.
                response.close()
                self._tokens.refused(credential, token)
                token = self._tokens.token(credential)
                response = self._sent(request, credential, group, token, turn=True)
            self._check(response)
        except _Refused as refused:
            self._pool.set_aside(credential, str(refused), seconds=refused.seconds)
            return None
        return response

    def _sent(
        self, request: httpx.Request, credential: Credential, group: str, token: str, *, turn: bool
    ) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return self._exchange(request, _key(credential, group), turn=turn)

    def _exchange(
        self, request: httpx.Request, key: str, *, turn: bool, auth: httpx.Auth | None = None
    ) -> httpx.Response:
        """Send one request through the gate, and tell the gate what the answer says of the limit.

        A 429 closes the gate for everybody and raises Wait.
        """
        self._gate.enter(key, turn=turn)
        try:
            response = self._client.send(request, auth=auth, stream=True)
        except httpx.TransportError as error:
            raise Retry(f"{answers.where(request)}: {type(error).__name__}: {error}") from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            response.close()
            seconds = answers.retry_after(response, self._clock.now()) + 1
            self._gate.block(key, seconds=seconds)
            raise Wait("RingCentral's rate limit is reached", seconds=seconds, turn=True)
        said = answers.rate_limit(response)
        if said is not None and key.endswith(f"#{said[0]}"):
            self._gate.learn(key, said[1], remaining=said[2])
        return response

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
            raise _Refused(reason, seconds=UNAUTHORIZED_SECONDS)
        if status == httpx.codes.FORBIDDEN:
            # Subscribing needs a scope of its own: who lacks it can fetch recordings all the same.
            subscribing = "/subscription" in response.request.url.path
            raise (Barred if subscribing else _Refused)(reason, seconds=FORBIDDEN_SECONDS)
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise NotYet(reason)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
            raise Retry(reason)
        raise Failed(reason)

    def _mint(self, credential: Credential) -> tuple[str, float]:
        """Trade the JWT for an access token; return it with its life in seconds.

        https://developers.ringcentral.com/guide/authentication/jwt-flow
        """
        request = self._client.build_request(
            "POST",
            self._platform.join(TOKEN_PATH),
            data={"grant_type": JWT_GRANT, "assertion": credential.jwt},
        )
        basic = httpx.BasicAuth(credential.client_id, credential.client_secret)
        # RingCentral counts log-ins for the whole app, and suspends an app that overdoes it.
        app = f"ringex#app-{credential.client_id}#Auth"
        response = self._exchange(request, app, turn=True, auth=basic)
        try:
            if response.is_client_error:
                # "Do not repeat" says RingCentral: the same credentials get the same answer.
                code = answers.error_code(response)
                raise _Refused(f"RingCentral mints no token: {code}", seconds=UNAUTHORIZED_SECONDS)
            if not response.is_success:
                raise Retry(f"{answers.where(request)} answers {response.status_code}")
            answer = answers.read_object(response)
        finally:
            response.close()
        token, life = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(life, int):
            raise Retry(f"{answers.where(request)} answers without access_token and expires_in")
        return token, life


class _Refused(Barred):
    """RingCentral refuses this credential; another one may not be."""


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


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return (url.scheme, url.host, port)
