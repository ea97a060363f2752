"""Reads a parameter of SSM."""

from __future__ import annotations

from legato.aws.clients import client
from legato.aws.errors import translated


def parameter(name: str) -> str:
    """Return the value of a parameter. Raises Unavailable, Retry for a name that is none."""
    with translated(f"the parameter {name} cannot be read"):
        value: str = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return value
