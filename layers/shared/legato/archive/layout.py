"""Where everything lies in the archive. The layout is a contract: docs/architecture.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.model import MEDIA_TYPES, CallId, encoded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

CALLS = "calls/"
CALL_DEPTH = 7
"""Parts of a key that name a call's folder."""
_MANIFEST = re.compile(r"/manifest-(\d+)\.json$")


def call_prefix(call: CallId, started_at: datetime) -> str:
    """Return the folder of a call, with its trailing slash. `started_at` is in UTC."""
    account = account_prefix(call.provider, call.account)
    return f"{account}{started_at:%Y/%m/%d}/{encoded(call.call)}/"


def account_prefix(provider: str, account: str) -> str:
    """Return the folder of an account's calls, with its trailing slash."""
    return f"{CALLS}{encoded(provider)}/{encoded(account)}/"


def day_prefix(account: str, day: date) -> str:
    """Return the folder of a day's calls in the folder of an account."""
    return f"{account}{day:%Y/%m/%d}/"


def folder_of(key: str) -> str:
    """Return the folder that an object belongs to, with its trailing slash.

    It is one call's, or that of one day of the access log or of reports.
    """
    parts = key.split("/")
    return "/".join(parts[: CALL_DEPTH if parts[0] == "calls" else 4]) + "/"


def call_in(folder: str) -> CallId:
    """Return the call that a folder is of."""
    _, provider, account, *_, call, _ = folder.split("/")
    return CallId(unquote(provider), unquote(account), unquote(call))


def legs_prefix(prefix: str) -> str:
    return f"{prefix}legs/"


def leg_key(prefix: str, leg: str, extension: str) -> str:
    """Return the key of a leg, as the provider sent it."""
    return f"{legs_prefix(prefix)}{encoded(leg)}.{extension}"


def leg_keys(prefix: str, leg: str) -> tuple[str, ...]:
    """Return every key that a leg may have, one a format."""
    return tuple(leg_key(prefix, leg, extension) for extension in MEDIA_TYPES)


def recording_key(prefix: str, revision: int, extension: str) -> str:
    """Return the key of the joined audio."""
    return f"{prefix}recording-{revision}.{extension}"


def peaks_key(prefix: str, revision: int) -> str:
    """Return the key of the picture of the audio."""
    return f"{prefix}peaks-{revision}.json"


def manifest_key(prefix: str, revision: int) -> str:
    """Return the key of the manifest that seals a revision."""
    return f"{prefix}manifest-{revision}.json"


def refused_key(call: CallId, leg: str, number: int) -> str:
    """Return the key of bytes that came for a leg and are no whole recording."""
    return f"{refused_prefix(call, leg)}{number}"


def refused_prefix(call: CallId, leg: str) -> str:
    """Return what the keys of a leg's refused bytes begin with. What follows is a number."""
    return f"{refused_folder(call)}{encoded(leg)}-"


def refused_folder(call: CallId) -> str:
    """Return what the keys of all refused bytes of a call begin with."""
    return f"refused/{call}/"


def birth_key(ledger: str) -> str:
    """Return the key that says that a ledger with this id has written this archive."""
    return f"ledger/births/{encoded(ledger)}"


def mark_prefix(ledger: str) -> str:
    """Return what the keys of the marks of a ledger begin with."""
    return f"ledger/marks/{encoded(ledger)}/"


def mark_key(ledger: str, count: int) -> str:
    """Return the key of a mark, so that keys are ordered as counts are."""
    return f"{mark_prefix(ledger)}{count:012}"


def report_key(moment: datetime, extension: str) -> str:
    """Return the key of what a reconciliation that ended then, in UTC, has to say."""
    return f"reports/{moment:%Y/%m/%d}/reconciliation-{moment:%Y%m%dT%H%M%SZ}.{extension}"


def digest_key(start: datetime) -> str:
    """Return the key of the digest of the hour that begins then, in UTC."""
    return f"digests/{start:%Y/%m/%d/%Y-%m-%dT%H}.json"


def stamp_key(digest: str) -> str:
    """Return the key of the time stamp of the digest under this key."""
    return f"{digest}.tsr"


def public_key_key(key_id: str) -> str:
    """Return the key of the public key that digests are checked with."""
    return f"digests/keys/{encoded(key_id)}.pem"


def hold_prefix(call: CallId) -> str:
    """Return the folder of the records of a call's legal holds, with its trailing slash."""
    return f"holds/{call}/"


def hold_key(call: CallId, at: str, step: int) -> str:
    """Return the key of the record of a step that was taken `at` a time, written as format_time."""
    return f"{hold_prefix(call)}{at}-{step}.json"


def access_key(at: str, name: str) -> str:
    """Return the key of the record of an access `at` a time, written as format_time, by its id."""
    return f"access/{at[:10].replace('-', '/')}/{at}-{encoded(name)}.json"


def newest_revision(keys: Iterable[str]) -> int:
    """Return the highest revision that has a manifest among these keys; 0 if none has."""
    found = (_MANIFEST.search(key) for key in keys)
    return max((int(match[1]) for match in found if match), default=0)
