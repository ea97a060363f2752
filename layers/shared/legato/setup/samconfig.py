"""Reads and writes samconfig.toml, which `sam deploy` and `legato setup` share.

Comments and everything that is not the deployment's stay as they are.
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from legato.disk import disk
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "samconfig.toml"
PLAIN = re.compile(r"[\w:/.,*@+-]+")


def settings(path: Path) -> dict[str, Any]:
    """Return what deployments are made with by default. Raises Refused for a file that is none."""
    return dict(_deploy(_read(path)))


def overrides(path: Path) -> dict[str, str]:
    """Return the template's parameters that a deployment sets. Raises Refused."""
    said = settings(path).get("parameter_overrides", [])
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in said.items()}
    texts = [said] if isinstance(said, str) else list(said)
    try:
        pairs = [pair.partition("=") for text in texts for pair in shlex.split(str(text))]
    except ValueError as error:
        raise Refused(f"{path}: parameter_overrides cannot be read ({error})") from error
    return {name: value for name, equals, value in pairs if equals}


def write(path: Path, *, stack: str, region: str, parameters: Mapping[str, str]) -> None:
    """Write what the next deployment is made with. Raises Refused."""
    document = _read(path)
    deploy = _deploy(document)
    listed = tomlkit.array()
    for name, value in parameters.items():
        listed.append(_pair(name, value))
    for name, value in (("stack_name", stack), ("region", region)):
        if deploy.get(name) != value:
            deploy[name] = value
    if overrides(path) != dict(parameters):
        deploy["parameter_overrides"] = listed.multiline(multiline=True)
    text = tomlkit.dumps(document)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        scratch = path.with_name(f"{path.name}.new")
        with disk(path):
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(path)


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no TOML: {error}") from error


def _deploy(document: tomlkit.TOMLDocument) -> Any:
    found: Any = document
    if "version" not in document:
        document["version"] = 0.1
    for name in ("default", "deploy", "parameters"):
        found = found.setdefault(name, tomlkit.table())
    return found


def _pair(name: str, value: str) -> str:
    """Write a parameter as sam reads it; a value with other characters stands in quotes."""
    if PLAIN.fullmatch(value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
