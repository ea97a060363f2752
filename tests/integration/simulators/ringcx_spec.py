"""Holds an answer against RingCX's official description (ringcx-subset.json) and its examples."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

type Json = dict[str, Any]

HERE = Path(__file__).parent
_UNDECLARED = {"post /api/auth/token/refresh": "/api/auth/login/rc/accesstoken"}
"""What is answered like another operation, and described only in words."""


def check_answer(response: httpx.Response) -> None:
    """Fail unless the answer is one that its operation may give.

    Too many requests, and a body in a bare string, stand in no description.
    """
    status, body = response.status_code, response.text
    if status == 429 or (status == 404 and body.startswith('"')):
        return
    operation = _operation(response.request.method, response.request.url.path)
    declared = operation["responses"][str(status)].get("content")
    if not declared:
        assert status >= 400
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in declared
    if media_type == "application/json":
        check_schema(declared[media_type]["schema"], response.json())


def check_schema(schema: Json, value: Any) -> None:
    """Fail unless the value fits a schema of the description."""
    checked = json.loads(json.dumps(schema).replace('"#/', '"spec#/'))
    _validator(json.dumps(checked)).validate(_without_nulls(value))


def check_component(name: str, value: Any) -> None:
    """Fail unless the value fits a named schema of the description."""
    check_schema({"$ref": f"spec#/components/schemas/{name}"}, value)


def example(name: str) -> Any:
    """Return an example of the official documentation."""
    return json.loads((HERE / f"ringcx-{name}.json").read_text())


def shape(value: Any) -> Any:
    """Return the names and types in a value, and what a list is made of."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def _without_nulls(value: Any) -> Any:
    # The examples say null where the description does not allow it (`agentGroupId`).
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


@cache
def _validator(schema: str) -> OAS30Validator:
    registry = Registry().with_resource("spec", DRAFT4.create_resource(_spec()))
    return OAS30Validator(
        json.loads(schema), registry=registry, format_checker=oas30_format_checker
    )


@cache
def _spec() -> Json:
    spec: Json = json.loads((HERE / "ringcx-subset.json").read_text())
    return spec


def _operation(method: str, path: str) -> Json:
    path = _UNDECLARED.get(f"{method.lower()} {path}", path)
    for template, methods in _spec()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            found: Json = methods[method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not in the description")
