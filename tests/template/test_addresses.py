"""Requests to the outside are made in one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.template.test_imports import LEGATO, imports, label, modules

CLIENT = "legato/providers/client.py"
MAKERS = {"Client", "AsyncClient", "get", "post", "put", "request", "stream", "urlopen"}
"""What httpx, and urllib, would make a client or a request of their own with."""


def made(path: Path) -> set[str]:
    """Return what a module calls of httpx and urllib by its full name."""
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    return {
        each.attr
        for each in calls
        if isinstance(each, ast.Attribute)
        and isinstance(each.value, ast.Name)
        and each.value.id == "httpx"
    }


@pytest.mark.parametrize("path", modules(LEGATO), ids=label)
def test_there_is_one_way_to_make_a_client(path: Path) -> None:
    others = ("urllib.request", "http.client", "requests", "aiohttp", "socket")
    assert not {name for name in imports(path) if name.startswith(others)}
    if label(path) != CLIENT:
        assert not made(path) & MAKERS
