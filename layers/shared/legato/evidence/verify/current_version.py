"""What stands under a key, what lies over it, and how it is locked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.archive.evidence import Evidence, Version
    from legato.evidence.verify.finding import Report

UNEVEN = timedelta(days=1)
"""Locks of what was written together do not differ by more."""


def standing(
    key: str, versions: Sequence[Version], version_id: str, report: Report
) -> Version | None:
    """Return the version of this id, or else the first that was written; None if there is none.

    Blames what is missing, and what lies over it. Where nobody names a version, `version_id` is
    empty.
    """
    kept = [version for version in versions if not version.gone]
    if not kept:
        report.blame(key, "missing", "it is not there")
        return None
    found = next((version for version in kept if version.id == version_id), kept[-1])
    if versions[0].gone:
        report.blame(key, "deleted", f"a delete marker hides it; version {found.id} is still there")
    elif versions[0] is not found:
        report.blame(
            key,
            "overwritten",
            f"a newer version {versions[0].id} lies over it; version {found.id} is still there",
        )
    elif kept[-1] is not found:
        # No key is ever written twice.
        report.blame(
            key, "overwritten", f"it lies over version {kept[-1].id}, which was there before it"
        )
    return found


def is_other(version: Version, version_id: str, evidence: Evidence) -> bool:
    """Say whether a version is not the one that somebody named."""
    return evidence.versioned and version.id != version_id


def check_locks(versions: Sequence[Version], evidence: Evidence, report: Report) -> None:
    """Blame each of the objects that were written together that is less locked than another."""
    if not evidence.locked:
        return
    locks = []
    for version in versions:
        guard = evidence.guard(version)
        report.held += guard.held
        if guard.lock is None:
            report.blame(version.key, "lock-missing", "it has no lock, and anybody may remove it")
        elif version.modified_at is not None:
            locks.append((version, guard.lock, guard.lock.until - version.modified_at))
    longest = max((length for _, _, length in locks), default=timedelta())
    strict = any(lock.mode == "COMPLIANCE" for _, lock, _ in locks)
    for version, lock, length in locks:
        if strict and lock.mode != "COMPLIANCE":
            report.blame(
                version.key, "lock-weak", f"its lock is {lock.mode}, those beside it COMPLIANCE"
            )
        if longest - length > UNEVEN:
            report.blame(
                version.key,
                "lock-short",
                f"its lock ends {lock.until:%Y-%m-%d}, {(longest - length).days} days less after "
                "it was written than those beside it",
            )
