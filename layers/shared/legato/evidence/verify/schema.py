"""Whether a document is what its published JSON Schema says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from legato.errors import Failed
from legato.model import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json

# An installed package brings the schemas along; a checkout has them in docs/.
PLACES = (Path(__file__).parent, Path(__file__).parents[5] / "docs")


def parsed(body: bytes, schema: str) -> Json:
    """Return the document. Raises ValueError, which tells nothing of what it holds."""
    try:
        content: Json = json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    misfit = next(_validator(schema).iter_errors(content), None)
    if misfit is not None:
        raise ValueError(f"{misfit.json_path} does not fit docs/{schema} ({misfit.validator})")
    return content


def moment(text: str) -> datetime | None:
    """Read a time; return None for a 30th of February."""
    try:
        return parse_time(text)
    except ValueError:
        return None


@cache
def _validator(schema: str) -> Draft202012Validator:
    for place in PLACES:
        path = place / schema
        if path.exists():
            content = json.loads(path.read_text(encoding="utf-8"))
            return Draft202012Validator(_inlined(content, content.pop("$defs", {})))
    raise Failed(f"docs/{schema} is missing: install Legato again")


def _inlined(part: Any, definitions: Json) -> Any:
    """Put definitions where they are meant. Looking each up takes as long as all the rest."""
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    inlined = {name: _inlined(each, definitions) for name, each in part.items() if name != "$ref"}
    if "$ref" in part:
        named = _inlined(definitions[part["$ref"].removeprefix("#/$defs/")], definitions)
        inlined = {"allOf": [named], **inlined} if inlined.keys() - {"description"} else named
    return inlined
