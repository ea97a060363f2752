"""The template sets exactly the variables that the code reads."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.template.conftest import Template

ROOT = Path(__file__).parent.parent.parent
SETTINGS = ROOT / "layers" / "shared" / "legato" / "config.py"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


def read_by(function: str) -> set[str]:
    """Return the variables that a reader of legato/config.py names, and those whom it asks."""
    tree = ast.parse(SETTINGS.read_text())
    readers = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return named_in(f"{function}_settings", readers)


def named_in(name: str, readers: dict[str, ast.FunctionDef]) -> set[str]:
    found = set()
    for node in ast.walk(readers[name]):
        if isinstance(node, ast.Constant) and str(node.value).startswith("LEGATO_"):
            found.add(str(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= named_in(node.func.id, readers) if node.func.id in readers else set()
    return found


def set_for(sam: Template, logical: str) -> set[str]:
    common = sam.source["Globals"]["Function"]["Environment"]["Variables"]
    own = sam.functions[logical]["Environment"]["Variables"]
    return {*common, *own}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_variable_that_is_read_is_set_and_the_other_way_round(
    sam: Template, function: str
) -> None:
    names = set_for(sam, f"{function.capitalize()}Function")
    assert {name for name in names if name.startswith("LEGATO_")} == read_by(function)


def test_every_function_is_among_them(sam: Template) -> None:
    assert set(sam.functions) == {f"{function.capitalize()}Function" for function in FUNCTIONS}


def test_powertools_gets_what_it_needs(sam: Template) -> None:
    wanted = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
    for logical in sam.functions:
        names = set_for(sam, logical)
        assert {name for name in names if name.startswith("POWERTOOLS_")} == wanted, logical
        assert names == {n for n in names if n.startswith(("LEGATO_", "POWERTOOLS_"))}, logical
