"""RingCentral's log-in, with which RingEX and RingCX begin: why a credential gets no token.

Codes: https://developers.ringcentral.com/guide/basics/errors and
https://ringcentral.github.io/ringcentral-faq/unauthorized-grant-type. That an unknown client is
OAU-153 and a JWT that is not accepted OAU-331 was seen, and is not documented.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from legato.errors import Barred, LegatoError
from legato.setup.answers import Watched, patiently, unexpected
from legato.setup.findings import Finding, ok, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from legato.model import Json

CONSOLE = "In the developer console (developers.ringcentral.com)"
PORTAL = "In the Admin Portal (service.ringcentral.com)"
_APP_CODES = ("OAU-120", "OAU-121", "OAU-127", "OAU-153")
_SECRET_CODES = ("OAU-146",)
_FLOW_CODES = ("unauthorized_client", "OAU-112", "OAU-125", "OAU-250", "OAU-251", "OAU-270")
_USER_CODES = ("OAU-105", "OAU-136", "OAU-141", "OAU-142", "OAU-147", "OAU-148")
_SAID = re.compile(r"\b[A-Z]{3}-\d{3}\b|\b[a-z]+_[a-z_]+\b")


class PlatformLogIn(Watched, Protocol):
    """One user of one app."""

    jwt: str
    platform: str
    """The address where RingCentral logs in."""

    def log_in(self) -> Json:
        """Return what the log-in tells besides the token: `scope`, `owner_id`.

        Raises Barred if it is refused, Wait, Retry.
        """
        ...


def log_in(
    user: PlatformLogIn, subject: str, *, now: datetime, sleep: Callable[[float], None]
) -> Generator[Finding, None, Json | None]:
    """Log in, and say how that went. Returns what was told, or None where it did not work."""
    try:
        told = patiently(user.log_in, sleep)
    except Barred as error:
        yield _refused(subject, error, user, now)
        return None
    except LegatoError as error:
        yield unexpected(subject, error, user.seen)
        return None
    yield ok(subject, f"RingCentral accepts app and JWT at {urlsplit(user.platform).hostname}.")
    return told


def scopes_of(told: Json) -> frozenset[str]:
    """Return what the app may do, as the log-in has told; nothing if it did not."""
    return frozenset(str(told.get("scope", "")).replace(",", " ").split())


def lacking(subject: str, scopes: Collection[str], needed: Collection[str]) -> Finding | None:
    """Return the finding if the app lacks scopes, or if the log-in did not tell them."""
    if not scopes:
        return unknown(
            subject,
            "RingCentral does not tell what the app may do.",
            f"{CONSOLE} see that the app has {', '.join(needed)}.",
        )
    if lacks := [name for name in needed if name not in scopes]:
        return wrong(
            subject,
            f"The app lacks {', '.join(lacks)}.",
            f"{CONSOLE} open the app, Settings, and add this to its application permissions. "
            "RingCentral may have to approve it. It counts from the next log-in on.",
        )
    return None


def codes(error: LegatoError) -> list[str]:
    """Return RingCentral's own codes in what an error says, such as `invalid_grant`."""
    return list(dict.fromkeys(_SAID.findall(str(error))))


def _refused(subject: str, error: Barred, user: PlatformLogIn, now: datetime) -> Finding:
    said = codes(error)
    if not said:
        words = user.seen.words if user.seen is not None else str(error)
        host = urlsplit(user.platform).hostname
        return unknown(
            subject,
            f"No log-in: {words}, which is not RingCentral's answer.",
            f"See that {host} is RingCentral's API (RingexUrl in the parameter Tuning).",
        )
    refused = f"RingCentral refuses the log-in ({', '.join(said)}):"

    def among(known: tuple[str, ...]) -> bool:
        return any(code in known for code in said)

    if among(_SECRET_CODES):
        return wrong(
            subject,
            f"{refused} the client secret is not that of the app.",
            f"{CONSOLE} open the app, Credentials, and copy the client secret again.",
        )
    if among(_FLOW_CODES):
        return wrong(
            subject,
            f"{refused} the app does not take JWTs.",
            f"{CONSOLE} open the app, Settings, and choose the JWT auth flow. Or make another app.",
        )
    if among(_USER_CODES):
        return wrong(
            subject,
            f"{refused} the user of the JWT, or the account, cannot log in now.",
            f"{PORTAL} see that the user is enabled and not locked.",
        )
    if among(_APP_CODES) or "invalid_client" in said:
        return wrong(
            subject,
            f"{refused} it knows no app with this client id, here.",
            f"{CONSOLE} open the app, Credentials, and copy the client id again. An app of the "
            "sandbox is none of production.",
        )
    if "invalid_grant" in said:
        text, remedy = _about(user, now)
        return wrong(subject, f"{refused} {text}", remedy)
    return wrong(
        subject,
        f"{refused} see the codes.",
        "https://developers.ringcentral.com/guide/basics/errors",
    )


def _about(user: PlatformLogIn, now: datetime) -> tuple[str, str]:
    """Return why a JWT may be refused, by what it says itself, and what to do."""
    create = f"{CONSOLE} log in as the service user, open Credentials, and create a JWT"
    claims = _claims(user.jwt)
    if claims is None:
        return "what was given is no JWT.", f"{create}. Copy all of it: three parts and two dots."
    expires = claims.get("exp")
    if isinstance(expires, int | float) and 0 < expires <= now.timestamp():
        day = datetime.fromtimestamp(expires, UTC)
        return f"the JWT has expired on {day:%Y-%m-%d}.", f"{create} that does not expire."
    issuer = urlsplit(str(claims.get("iss", ""))).hostname
    here = urlsplit(user.platform).hostname
    if issuer and here and issuer != here:
        return (
            f"the JWT is one of {issuer}, and {here} was asked.",
            f"{create} for production, or correct RingexUrl in the parameter Tuning.",
        )
    return (
        "the JWT was revoked, or is restricted to another app.",
        f"{create} for all apps, or for the client id that is used here.",
    )


def _claims(jwt: str) -> Json | None:
    """Return what a JWT says of itself, None if it is none. Nothing is verified by it."""
    parts = jwt.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
