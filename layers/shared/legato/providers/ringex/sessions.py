"""The call log's records, gathered by the session that they belong to."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from legato.model import CallId, Json
from legato.ports import Change
from legato.providers.fields import id_of, kept
from legato.providers.ringex.call_log import began_at, recording_ids, session_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.providers.ringex.account import RingexAccount


def by_session(
    records: Iterable[object], account: RingexAccount, *, latest: datetime
) -> tuple[tuple[Change, ...], tuple[Json, ...]]:
    """Gather the records of each session; return them, and those that name no session.

    `latest` is when the newest of them can have begun. Raises Wait, Barred, Retry if it is not
    known whose they are.
    """
    sessions: dict[CallId, dict[str, Json]] = {}
    all_kept = [kept(record) for record in records]
    strays = [{"record": record} for record in all_kept if not isinstance(record, dict)]
    good = [record for record in all_kept if isinstance(record, dict)]
    for record, owner in zip(good, account.of_records(good), strict=True):
        session = session_of(record)
        if session is not None:
            sessions.setdefault(CallId("ringex", owner, session), {})[_key(record)] = record
        elif recording_ids([record]) or unreadable([record]):
            strays.append(record)
    changes = tuple(
        Change(id=call, records=found, began_at=min(_moments(found.values(), latest), default=None))
        for call, found in sessions.items()
    )
    return changes, tuple(strays)


def _key(record: Json) -> str:
    """Return what tells a record from others of its session, the same whenever it is listed."""
    name = id_of(record.get("id"))
    if name is None:
        body = json.dumps(record, sort_keys=True)
        return f"without id, {hashlib.sha256(body.encode()).hexdigest()[:16]}"
    return name


def _moments(records: Iterable[Json], latest: datetime) -> Iterable[datetime]:
    return filter(None, (began_at(record, latest=latest) for record in records))
