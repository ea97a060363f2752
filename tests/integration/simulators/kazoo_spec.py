"""Holds an answer against Kazoo's official schemas (kazoo-*.json) and what it says of envelopes."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft4Validator

type Json = dict[str, Any]

HERE = Path(__file__).parent
_ENVELOPE = {"data", "status", "request_id", "node", "timestamp", "version", "tokens"}
_UNDECLARED = (
    "/accounts/{ACCOUNT_ID}/users/{USER_ID}/recordings",
    "/accounts/{ACCOUNT_ID}/descendants",  # it is in doc/accounts.md, and not in our subset
)


def check_answer(answer: httpx.Response) -> None:
    """Fail unless the path is Kazoo's, and the answer an envelope with documents that fit."""
    path = answer.request.url.path.removeprefix("/v2")
    assert any(
        re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        for template in (*_swagger()["paths"], *_UNDECLARED)
    )
    if not answer.headers.get("content-type", "").startswith("application/json"):
        assert answer.status_code in (200, 206)
        return
    body = answer.json()
    assert body.keys() >= _ENVELOPE
    assert body["tokens"].keys() == {"consumed", "remaining"}
    if answer.is_error:
        assert body["status"] == ("fatal" if answer.status_code >= 500 else "error")
        assert (body["error"], bool(body["message"])) == (str(answer.status_code), True)
        return
    assert (body["status"], bool(body["revision"])) == ("success", True)
    data = body["data"] if isinstance(body["data"], list) else [body["data"]]
    for each in data:
        if "/recordings" in path:
            check_recording(each)


def check_recording(document: Json) -> None:
    """Fail unless the document fits; its id and what is read-only stand in no schema."""
    own = {k: v for k, v in document.items() if k not in ("id", "_read_only")}
    Draft4Validator(_schema("call-recordings")).validate(own)


@cache
def _schema(name: str) -> Json:
    schema: Json = json.loads((HERE / f"kazoo-{name}.json").read_text())
    return schema


def _swagger() -> Json:
    return _schema("subset")
