"""Holds an answer against RingCentral's official description (ringex-subset.json)."""

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

_UNDECLARED = {"$ref": "spec#/components/schemas/ApiErrorResponseModel"}
"""What a refusal looks like where the description does not say, such as 401 and 429."""


def check_answer(response: httpx.Response) -> None:
    """Fail unless the answer is one that its operation may give."""
    operation = _operation(response.request.method, response.request.url.path)
    declared = _resolved(operation["responses"].get(str(response.status_code))) or {}
    content = declared.get("content")
    if not content and response.status_code >= 400:
        check_schema(_UNDECLARED, response.json())
        return
    if not content:
        # A range of a body is declared nowhere; no other answer may be undeclared.
        assert response.content == b"" if declared else response.status_code == 206
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in content
    if media_type == "application/json":
        check_schema(content[media_type]["schema"], response.json())


def check_schema(schema: Json, value: Any) -> None:
    """Fail unless the value fits a schema of the description."""
    checked = json.loads(json.dumps(schema).replace('"#/', '"spec#/'))
    _validator(json.dumps(checked)).validate(value)


def check_component(name: str, value: Any) -> None:
    """Fail unless the value fits a named schema of the description."""
    check_schema({"$ref": f"spec#/components/schemas/{name}"}, value)


@cache
def _validator(schema: str) -> OAS30Validator:
    registry = Registry().with_resource("spec", DRAFT4.create_resource(_spec()))
    return OAS30Validator(
        json.loads(schema), registry=registry, format_checker=oas30_format_checker
    )


@cache
def _spec() -> Json:
    spec: Json = json.loads((Path(__file__).parent / "ringex-subset.json").read_text())
    return spec


def _operation(method: str, path: str) -> Json:
    for template, methods in _spec()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            found: Json = methods[method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not in the description")


def _resolved(response: Json | None) -> Json | None:
    if response is None or "$ref" not in response:
        return response
    found: Json = _spec()["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return found
