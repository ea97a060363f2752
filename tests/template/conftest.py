"""The template as SAM reads it, and as CloudFormation gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local import template

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A template with the questions that the tests ask of it."""

    source: Json
    translated: Json

    def of(self, kind: str) -> dict[str, Json]:
        """Return the properties of all resources of one type, as written, by logical id."""
        resources: dict[str, Json] = self.source["Resources"]
        return {
            logical: resource.get("Properties", {})
            for logical, resource in resources.items()
            if resource["Type"] == kind
        }

    @property
    def functions(self) -> dict[str, Json]:
        return self.of("AWS::Serverless::Function")


@pytest.fixture(scope="session")
def sam() -> Template:
    source = template.read()
    return Template(source, template.translate(source))


def every_string(value: Any) -> Iterator[str]:
    """Yield all strings in a structure, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from every_string(item)
    elif isinstance(value, list):
        for item in value:
            yield from every_string(item)
