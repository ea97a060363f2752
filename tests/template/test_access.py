"""Nobody reads a call without a record of it: one module of the command hands the archive out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.test_imports import LEGATO, label, modules
from tests.template.test_output import called

HANDED_OUT = {"library", "recorder"}
"""What context.Place has for whoever reads calls."""


@pytest.mark.parametrize("path", modules(LEGATO / "cli"), ids=label)
def test_a_command_gets_the_archive_with_the_record_of_the_access(path: Path) -> None:
    """Or from export, which records it by itself."""
    allowed = ("select.py", "context.py")
    assert path.name in allowed or not called(path) & HANDED_OUT
