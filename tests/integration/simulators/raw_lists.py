"""What a provider may say in a list without meaning it, and how the simulators are told."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

ODD: list[Any] = [
    None,
    5,
    True,
    "text",
    "\ud800",
    [],
    [None],
    float("nan"),
    {},
    {"id": None},
    {"id": True},
    {"id": ["1"]},
    {"id": {"a": 1}},
    {"id": "\ud800"},
    {"id": "a/b ü\n"},
    {"id": "x" * 3000},
]
"""Entries that are no objects, or have no id that is one."""


def base64_of(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def post_raw(driver: Any, **order: Any) -> httpx.Response:
    """List something word for word; NaN too, which httpx would not send."""
    content = json.dumps(order)
    answer: httpx.Response = driver.http.request("POST", "/_sim/raw", content=content)
    return answer


def same(one: Any, other: Any) -> bool:
    """Compare by what is written: NaN is like no other value, itself included."""
    return json.dumps(one) == json.dumps(other)
