"""What a provider has answered, and what may be concluded whoever was asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, Limited, NotPermitted, Refused, Retry, Unavailable, Wait
from legato.setup.findings import Finding, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.errors import LegatoError

LONGEST_WAIT = 65
"""Seconds that are slept until it is our turn: the window of most limits is a minute."""


class Fault(StrEnum):
    """Why there was no answer."""

    NO_SUCH_HOST = "the name of the host is not known"
    NO_TLS = "no secure connection could be made (TLS)"
    SILENT = "nothing came in time"
    BROKEN = "the connection was refused or broke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a request, without its body. `path` is that of the request.

    `status` and `media_type` are of an answer; `fault` is why there is none.
    """

    host: str
    path: str
    status: int = 0
    media_type: str = ""
    fault: Fault | None = None

    @property
    def words(self) -> str:
        """Say it, without the end of a sentence."""
        if self.fault is not None:
            return f"{self.host} cannot be asked: {self.fault}"
        kind = self.media_type or "no media type"
        return f"{self.host} answers {self.status} ({kind})"


class Watched(Protocol):
    """Whoever asks a provider, and remembers what came last."""

    @property
    def seen(self) -> Seen | None:
        """What came of the last request, or None before the first."""
        ...


def patiently[T](ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Ask, and once more when it is our turn if others use the provider's limit up.

    Raises what `ask` raises. What the provider itself refuses is not asked again.
    """
    try:
        return ask()
    except (Limited, Barred):
        raise
    except Wait as wait:
        if wait.seconds > LONGEST_WAIT:
            raise
        sleep(wait.seconds)
        return ask()


def told(
    error: LegatoError, subject: str, how: Callable[[str, str, str], Finding] = unknown
) -> Finding:
    """Return the finding for an error of AWS. The words of a refusal end with what to do."""
    text, remedy = str(error), "Run it again. If that stays, check the network and the region"
    if isinstance(error, (NotPermitted, Refused)) and ": " in text:
        text, _, remedy = text.rpartition(": ")
    if not remedy.startswith("docs/"):
        remedy = f"{remedy[:1].upper()}{remedy[1:]}"
    return how(subject, f"{text[:1].upper()}{text[1:]}.", f"{remedy}.")


def unexpected(subject: str, error: LegatoError, seen: Seen | None, *, url: str = "") -> Finding:
    """Return the finding for an error that no check has words of its own for.

    `url` names the setting that leads there, if an operator gives it: then a host that does not
    exist, or cannot be trusted, is a wrong setting.
    """
    if isinstance(error, (NotPermitted, Unavailable)):
        return told(error, subject)
    if isinstance(error, Limited):
        text = "The provider's rate limit is reached, so it was not looked at."
        return unknown(subject, text, f"Run it again in {error.seconds:.0f} seconds.")
    if isinstance(error, Wait) and not isinstance(error, Barred):
        text = "Other requests use up the provider's rate limit, so it was not looked at."
        return unknown(subject, text, f"Run it again in {error.seconds:.0f} seconds.")
    if seen is not None and seen.fault is not None:
        return _unreached(subject, seen, url)
    if isinstance(error, Retry) and seen is not None and 200 <= seen.status < 300:
        text = f"{seen.words} to {seen.path}, which is not the answer of this API."
        remedy = "Run it again. If that stays, see what stands in front of the API: a proxy, a page"
        if url:
            return wrong(subject, text, f"{url} is not the address of the API: correct it.")
        return unknown(subject, text, f"{remedy} of maintenance.")
    words = f"{seen.words} to {seen.path}" if seen is not None else str(error)
    return unknown(subject, f"{words}.", "Run it again later. If that stays, ask the provider.")


def _unreached(subject: str, seen: Seen, url: str) -> Finding:
    text = f"{seen.words}."
    if url and seen.fault in (Fault.NO_SUCH_HOST, Fault.NO_TLS):
        needs = "https with a publicly trusted certificate"
        return wrong(subject, text, f"Correct {url}. The API must be reached by {needs}.")
    return unknown(
        subject, text, "See whether the host can be reached from here, and run it again."
    )
