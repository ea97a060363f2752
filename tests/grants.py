"""Which of the template's grants the functions have used, when all tests of the system have run.

`local/guard.py` refuses a function what is not granted, in every running system. Here is the other
direction: a grant that no test has made a function use is one too many, or a test is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from local import template
from local.guard import read_used
from local.permissions import permissions

if TYPE_CHECKING:
    import pytest

    from local.permissions import Grant

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
"""A customer's key, which the tests of the running system go with."""
EVERYTHING = {
    "KmsKeyArn": KEY,
    "KazooUrl": "https://kazoo.example.com:8443/v2",
    "KazooAccountIds": "5a2d994fbae69b1d6b01eb9f0e7dfe62/*",
    "RingcxSubAccountIds": "1",
    "RetentionMode": "GOVERNANCE",
    "KazooLockYears": "10",
    "DeleteAtSource": "true",
    "RestoreEmail": "legal@example.com",
    "AlarmEmail": "alarms@example.com",
    "TimestampAuthorityUrl": "https://time.example.com",
}
"""Parameters with which all is there that may be."""
SYSTEM = "tests/e2e"


def granted() -> set[Grant]:
    """Return all that the template grants its functions."""
    found = permissions(template.translate(template.read()), EVERYTHING)
    return {grant for each in found.values() for grant in each.grants()}


def unused(folder: Path) -> list[Grant]:
    """Return what no system used that ran below a folder."""
    return sorted(granted() - read_used(folder), key=str)


def is_whole(config: pytest.Config) -> bool:
    """Say whether all tests of the running system are in this run."""
    chosen = [config.getoption(name, None) for name in ("keyword", "markexpr", "lf", "deselect")]
    named = {Path(each).as_posix().rstrip("/") for each in config.args}
    return not any(chosen) and SYSTEM in named
