"""Ask a provider with whichever credential it accepts: log-in, 401, refusals, the probe."""

from __future__ import annotations

import hashlib
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import httpx

from legato.errors import (
    Barred,
    Denied,
    LegatoError,
    Limited,
    NotYet,
    Retry,
    Unavailable,
    Wait,
)
from legato.ledger import provider_health
from legato.providers import responses
from legato.providers.credentials import PROBE_SECONDS, Expired, Forbidden, Unaccepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.providers.credentials import AnyCredential, Pool, Usable
    from legato.providers.tokens import Tokens

FAILED_SECONDS = 30
"""A credential whose log-in failed comes last for so long, and is not tried if it did not answer.

That holds in this process alone.
"""


MAX_REDIRECTS = 3


class Answered(Protocol):
    """What a provider has answered: a success, or a redirect to the `next_request`."""

    @property
    def is_success(self) -> bool: ...
    @property
    def request(self) -> httpx.Request: ...
    @property
    def next_request(self) -> httpx.Request | None: ...
    def close(self) -> None: ...


type Send[C, R] = Callable[[C, str, Json, bool, httpx.Request | None], R]
"""Sends a request with a credential, its token and the facts of its log-in.

The fourth argument says that it is sent again, after a 401; the last one is what to send in its
place, once it was redirected. It raises Expired for a 401, Forbidden for a 403 of a recording,
Unaccepted for any other refusal of the credential, Barred for a refusal that concerns one account
only, Failed for a host that gets no token, and everything else as the API does.
"""


class Session[C: AnyCredential]:
    """A provider's credentials and their tokens. Threads may share one of these."""

    def __init__(
        self,
        pool: Pool[C],
        tokens: Tokens[C],
        notes: Notes,
        clock: Clock,
        *,
        provider: str,
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._notes = notes
        self._clock = clock
        self._provider = provider
        self._failed: dict[str, tuple[datetime, LegatoError]] = {}
        self._noted: dict[tuple[str, str], datetime] = {}
        """When a kind was last noted as granted, or `failed`, by it and the credential's id."""

    @contextmanager
    def answer[R: Answered](
        self,
        send: Send[C, R],
        *,
        scope: str,
        recording: str | None = None,
        room: Callable[[C], float],
    ) -> Iterator[R]:
        """Open the first answer that is none of the refusals which another credential may escape.

        `recording` names the recording that is asked for, if it is one, `room` is the gate's wait.
        Each redirect is a request of its own. Raises Denied for a recording that is refused to
        every credential, Barred if none of them is accepted, the soonest error if some could not
        log in, Retry for a redirect that makes another request of it, and what `send` raises.
        """
        redirected: httpx.Request | None = None
        for _ in range(MAX_REDIRECTS + 1):
            found = self._answered(send, redirected, scope=scope, recording=recording, room=room)
            with closing(found) as answer:
                redirected = answer.next_request
                if redirected is None:
                    yield answer
                    return
                if redirected.method != answer.request.method:
                    raise Retry(f"{responses.where(answer.request)} is redirected to a GET")
        raise Retry(f"{responses.where(answer.request)} redirects too often")

    def _answered[R: Answered](
        self,
        send: Send[C, R],
        redirected: httpx.Request | None,
        *,
        scope: str,
        recording: str | None,
        room: Callable[[C], float],
    ) -> R:
        denied: list[str] = []
        delays: list[Wait | Retry] = []
        barred: Barred | None = None
        for usable in self._ordered(scope, room):
            one = usable.credential
            if usable.probe and not self._pool.claim_probe(one, scope):
                continue
            try:
                answer = self._tried(one, send, redirected)
            except _NoLogIn as failure:
                delays.append(failure.error)
            except Unaccepted as refused:
                self._pool.set_aside(
                    one, str(refused), seconds=refused.seconds, scope=refused.scope
                )
                continue
            except Forbidden as refusal:
                name = hashlib.sha256((recording or "").encode()).hexdigest()[:12]
                if self._pool.refused(one, refusal, recording=name, scope=scope):
                    continue
                denied.append(str(refusal))
            except Barred as error:
                barred = error
            except LegatoError as error:
                self._shows_nothing(usable, scope)
                # A recording that is not there says nothing of who asks for it.
                if recording is None or not isinstance(error, NotYet):
                    self._failed_with(one, error)
                raise
            else:
                if answer.is_success:
                    self._granted(usable, scope, "list" if recording is None else "recording")
                else:
                    self._shows_nothing(usable, scope)
                return answer
            self._shows_nothing(usable, scope)
        raise self._refusal(denied, delays, barred, scope)

    def _ordered(self, scope: str, room: Callable[[C], float]) -> list[Usable[C]]:
        """Put first who may be back, if there is room for it, then who has the most room."""
        usable = self._pool.usable(scope)
        if len(usable) == 1:
            return usable

        def order(one: Usable[C]) -> tuple[bool, bool, float]:
            wait = room(one.credential)
            failed = self._failed_lately(one.credential) is not None
            return (failed, not (one.probe and wait <= 0), wait)

        return sorted(usable, key=order)

    def _tried[R](self, credential: C, send: Send[C, R], redirected: httpx.Request | None) -> R:
        token, facts = self._logged_in(credential)
        try:
            return send(credential, token, facts, False, redirected)
        except Expired:
            # Evicted by another client, or it lived for less than we thought: one new token, and
            # no more.
            self._tokens.refused(credential, token)
        token, facts = self._logged_in(credential)
        return send(credential, token, facts, True, redirected)

    def _logged_in(self, credential: C) -> tuple[str, Json]:
        """Return the token and the facts. Raises Unaccepted, and _NoLogIn for what may pass."""
        failed = self._failed_lately(credential)
        if failed is not None and isinstance(failed.__cause__, httpx.TimeoutException):
            raise _NoLogIn(Retry(str(failed)))
        try:
            return self._tokens.token_and_facts(credential)
        except Unaccepted:
            raise
        except Limited as limited:
            self._remember(credential, limited, limited.seconds)
            # What is asked for is not at fault.
            raise _NoLogIn(Wait(str(limited), seconds=limited.seconds)) from limited
        except Wait as wait:
            raise _NoLogIn(wait) from wait
        except Retry as error:
            self._remember(credential, error, 0)
            raise _NoLogIn(error) from error

    def _remember(self, credential: C, error: LegatoError, seconds: float) -> None:
        until = self._clock.now() + timedelta(seconds=seconds + FAILED_SECONDS)
        self._failed[credential.id] = (until, error)
        self._failed_with(credential, error)

    def _failed_lately(self, credential: C) -> LegatoError | None:
        until, error = self._failed.get(credential.id, (self._clock.now(), None))
        return error if self._clock.now() < until else None

    def _shows_nothing(self, usable: Usable[C], scope: str) -> None:
        if usable.probe:
            with suppress(Retry):  # another one probes when this one's time is over
                self._pool.release_probe(usable.credential, scope)

    def _granted(self, usable: Usable[C], scope: str, kind: provider_health.Kind) -> None:
        if usable.troubled:
            # What was granted is not lost because that cannot be noted now.
            with suppress(Retry):
                self._pool.granted(usable.credential, scope)
        name = usable.credential.id
        if self._is_news(kind, name):
            self._noted.pop(("failed", name), None)
            with suppress(LegatoError):
                provider_health.granted(
                    self._provider,
                    self._notes,
                    self._clock,
                    kind=kind,
                    credential=name,
                    among=self._pool.ids(),
                )

    def _failed_with(self, credential: C, error: LegatoError) -> None:
        """Note what the provider answers to a credential instead of serving it."""
        answered = isinstance(error, (Limited, Retry, NotYet)) and not isinstance(
            error, Unavailable
        )
        if answered and self._is_news("failed", credential.id):
            for kind in ("recording", "list"):
                self._noted.pop((kind, credential.id), None)
            with suppress(LegatoError):
                provider_health.failed(
                    self._provider,
                    self._notes,
                    self._clock,
                    reason=str(error),
                    credential=credential.id,
                    among=self._pool.ids(),
                )

    def _is_news(self, what: str, name: str) -> bool:
        now, noted = self._clock.now(), self._noted.get((what, name))
        if noted is not None and now - noted < provider_health.EVERY:
            return False
        self._noted[what, name] = now
        return True

    def _refusal(
        self,
        denied: list[str],
        delays: list[Wait | Retry],
        barred: Barred | None,
        scope: str,
    ) -> LegatoError:
        if delays:
            return min(delays, key=lambda e: e.seconds if isinstance(e, Wait) else float("inf"))
        if denied:
            to_each = f" (to each of {len(denied)} credentials)" if len(denied) > 1 else ""
            return Denied("; ".join(dict.fromkeys(denied)) + to_each)
        if barred is not None:
            return barred
        try:
            self._pool.usable(scope)
        except Barred as error:
            return error
        return Barred("another request tries the credential now", seconds=PROBE_SECONDS)


class _NoLogIn(Exception):
    """A credential could not log in, for a reason that may pass."""

    def __init__(self, error: Wait | Retry) -> None:
        super().__init__(str(error))
        self.error = error
