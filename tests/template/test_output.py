"""What others wrote leaves Legato in one place, so nobody forgets to make it printable."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from legato.printable import log_line
from tests.template.test_imports import FUNCTIONS, LEGATO, imports, label, modules

COMMANDS = [path for path in modules(LEGATO / "cli") if path.name != "output.py"]
WRITERS = {"echo", "secho", "confirm", "prompt", "print", "write", "writelines"}
"""What would write a text as it is: typer's and click's, rich's, and a stream's."""
RICH = {
    "legato/cli/progress.py": ("rich.progress", "rich.text"),
    "legato/cli/backfill_progress.py": ("rich.progress",),
    "legato/cli/export.py": ("rich.progress",),
    "legato/cli/verify.py": ("rich.progress",),
    "legato/cli/find.py": ("rich.cells",),
}
"""Bars, whose words are legato.cli.progress's, and how wide a text is."""
PAGES = (
    LEGATO / "retrieval" / "export" / "page.py",
    LEGATO / "operations" / "report" / "page.py",
)


def called(path: Path) -> set[str]:
    """Return the names of all functions and methods that a module calls."""
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    return {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in calls
        if isinstance(each, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize("path", COMMANDS, ids=label)
def test_a_command_writes_through_say_alone(path: Path) -> None:
    assert not called(path) & WRITERS
    others = {name for name in imports(path) if name.split(".")[0] in ("rich", "click")}
    allowed = RICH.get(label(path), ())
    assert not {name for name in others if not name.startswith(allowed)} if allowed else not others
    if path.name != "progress.py":
        assert "rich.progress.TextColumn" not in others


@pytest.mark.parametrize("path", modules(FUNCTIONS), ids=label)
def test_a_function_logs_printable_lines(path: Path) -> None:
    if path.name == "app.py":
        module = importlib.import_module(f"functions.{path.parent.name}.app")
        assert module.logger.registered_formatter.json_serializer is log_line


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_a_page_escapes_in_one_way(path: Path) -> None:
    """html.escape alone leaves what is not printable; urllib's quote leaves another host."""
    assert not {name for name in imports(path) if name.startswith(("html", "urllib"))}
