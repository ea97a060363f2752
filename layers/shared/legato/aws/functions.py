"""Runs a function of the stack, as the command does for who may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.errors import translated
from legato.errors import Failed

if TYPE_CHECKING:
    from legato.model import Json

SECONDS = 180


def invoke(name: str, event: Json) -> Json:
    """Run a function and return its result. Raises Unavailable, Failed if the function fails."""
    with translated(f"{name} cannot be run"):
        lambdas = client("lambda", read_timeout=SECONDS)
        answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Failed(f"{name} failed: {result.get('errorMessage', answer['FunctionError'])}")
    found: Json = result
    return found
