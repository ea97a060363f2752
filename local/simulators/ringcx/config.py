"""What can be set: the accounts, the limits, and what nobody documents, so that both are tried.

All but the identity, `prefix` and `platformUrl` can be changed while running, with
`POST /_sim/settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators.settings import (
    BadInput,
    Reader,
    Settings,
    digits,
    jwts,
    number_or_null,
    one_of,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A sliding window: `limit` requests in `window` seconds."""

    limit: int
    window: float


def _documented_limits() -> dict[str, tuple[Limit, ...]]:
    """Return the documented ones.

    Metadata per sub-account, as the description of getInteractionMetadata says; recordings:
    https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording; exchange:
    https://developers.ringcentral.com/engage/voice/guide/authentication/auth-ringcentral. For whom
    the last two count is not documented: here they count for the account.
    """
    return {
        "Metadata": (Limit(3, 60), Limit(9, 900)),
        "Recordings": (Limit(120, 60),),
        "Exchange": (Limit(5, 60),),
    }


def _limits(_key: str, given: Any, present: Any) -> dict[str, tuple[Limit, ...]]:
    if not isinstance(given, dict):
        raise BadInput("limits: must be an object by group")
    limits = dict(present)
    for group, windows in given.items():
        if group not in limits:
            raise BadInput(f"limits.{group}: unknown group; known are {', '.join(limits)}")
        try:
            limits[group] = tuple(
                Limit(int(each["limit"]), float(each.get("window", 60))) for each in windows
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"limits.{group}: needs a list of limit and window") from error
    return limits


def _sub_accounts(key: str, given: Any, present: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise BadInput(f"{key}: must be a list of ids")
    return [digits(key, each, present) for each in given]


@dataclass(kw_only=True)
class Config(Settings):
    """The settings of one simulator, with values as the documentation or the field has them."""

    READERS: ClassVar[Mapping[str, Reader]] = {
        "rc_account_id": digits,
        "main_account_id": digits,
        "sub_accounts": _sub_accounts,
        "jwts": jwts,
        "limits": _limits,
        "audio_retention_days": number_or_null,
        "data_retention_days": number_or_null,
        "compared_by": one_of("segmentEnd", "dialogStart"),
        "settle_seconds": number_or_null,
    }

    rc_account_id: str = "401555000"
    """Of the RingCentral account: the one that the paths want."""
    main_account_id: str = "21550000"
    """Of RingCX itself, and wrong in every path."""
    sub_accounts: list[str] = field(default_factory=lambda: ["21550001", "21550002"])
    client_id: str = "legato-local-client"
    client_secret: str = "legato-local-secret"
    jwts: dict[str, str] = field(default_factory=lambda: {"legato-local-jwt": "401555101"})
    """The extension id of the user behind each JWT."""
    platform_url: str = ""
    """The RingEX simulator that mints and knows RingCentral's tokens; empty: this one does."""
    prefix: str = "/voice/api/cx/integration/v1"
    limits: dict[str, tuple[Limit, ...]] = field(default_factory=_documented_limits)
    token_seconds: float = 300
    audio_retention_days: float | None = 90
    data_retention_days: float | None = 365
    compared_by: str = "segmentEnd"
    """Which time lies in a window: `segmentEnd` or `dialogStart`. The documentation says both."""
    row_cap: int = 400
    """No answer has more rows, and none says so. Undocumented, and seen once."""
    too_fresh_seconds: float = 300
    """A window must end so long ago. 0: whenever it likes."""
    metadata_lag: float = 0
    """Seconds until the segment of a call that has ended is listed."""
    wem_access: bool = True
    """Without it the account has no metadata."""
    recording_activated: bool = True
    """Without it the account has no recordings."""
    channels: int = 2
    sample_rate: int = 8000
    content_length: bool = True
    """Announce how long a recording is; otherwise it comes in chunks. Undocumented."""
    ranges: bool = False
    """Answer ranges of a recording. Undocumented."""
    bare_not_found: bool = False
    """Say that a recording is not there in a bare JSON string."""
    settle_seconds: float | None = None
    """Count in `touchedYoung` who asks for a recording earlier after its segment's end."""
