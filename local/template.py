"""Turns the real template.yaml into plain CloudFormation, offline, as SAM does on deployment."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse
from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.aws import REGION

type Json = dict[str, Any]

TEMPLATE = Path(__file__).parent.parent / "template.yaml"
CODE_PROPERTIES = ("CodeUri", "ContentUri")
PLACEHOLDER_BUCKET, PLACEHOLDER_KEY = "local-code", "placeholder.zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of an HTTP API, and the logical id of the function behind it."""

    method: str
    path: str
    function: str
    signed: bool = False
    """Whether requests must be signed (AWS_IAM)."""


def read(path: Path = TEMPLATE) -> Json:
    """Read a template as it stands in the repository, with intrinsic functions in long form."""
    parsed: Json = yaml_parse(path.read_text(encoding="utf-8"))
    return parsed


def translate(source: Json) -> Json:
    """Translate a SAM template; its code is replaced by a placeholder in S3."""
    source = copy.deepcopy(source)
    for resource in source["Resources"].values():
        for name in CODE_PROPERTIES:
            if name in resource["Properties"]:
                resource["Properties"][name] = f"s3://{PLACEHOLDER_BUCKET}/{PLACEHOLDER_KEY}"
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the translator asks for one
    policies = get_bundled_managed_policy_map("aws")
    translated: Json = Translator(policies, Parser()).translate(source, {})
    return translated


def routes(translated: Json) -> list[Route]:
    """Return the routes of all HTTP APIs in a translated template, whatever its conditions are.

    The route of a function that has a condition is there if the function is.
    """
    found = []
    for resource in translated["Resources"].values():
        if resource["Type"] != "AWS::ApiGatewayV2::Api":
            continue
        for path, methods in resource["Properties"]["Body"]["paths"].items():
            for method, operation in _then(methods).items():
                operation = _then(operation)
                uri = _then(operation["x-amazon-apigateway-integration"]["uri"])
                function = re.search(r"\$\{(\w+)\.Arn\}/invocations", uri["Fn::Sub"])
                if function is None:
                    raise ValueError(f"{method} {path} has an integration that is no function")
                found.append(
                    Route(
                        method=method.upper(),
                        path=path,
                        function=function[1],
                        signed={"AWS_IAM": []} in operation.get("security", []),
                    )
                )
    return found


def broken_rules(source: Json, parameters: Mapping[str, Any]) -> list[str]:
    """Return what CloudFormation would say before it creates anything, which moto does not.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    defaults = {name: each["Default"] for name, each in source.get("Parameters", {}).items()}
    values = {name: str(value) for name, value in {**defaults, **parameters}.items()}
    return [
        assertion["AssertDescription"]
        for rule in source.get("Rules", {}).values()
        if _holds(rule.get("RuleCondition", True), values)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], values)
    ]


def _holds(condition: Any, values: Mapping[str, str]) -> bool:
    match condition:
        case bool():
            return condition
        case {"Fn::Equals": [left, right]}:
            return _value(left, values) == _value(right, values)
    raise ValueError(f"no rule of this template has needed this so far: {condition}")


def _value(operand: Any, values: Mapping[str, str]) -> str:
    return values[operand["Ref"]] if isinstance(operand, dict) else str(operand)


def _then(value: Json) -> Json:
    """Look through a condition at what is there if it holds."""
    chosen: Json = value["Fn::If"][1] if "Fn::If" in value else value
    return chosen


def substitute(value: Any, known: dict[str, dict[str, str]]) -> Any:
    """Replace what refers to resources in `known`: logical id → `Ref` or attribute → text."""
    if isinstance(value, list):
        return [substitute(item, known) for item in value]
    if isinstance(value, str) or not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref" and argument in known:
            return known[argument]["Ref"]
        if name == "Fn::GetAtt":
            logical, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            if logical in known:
                return known[logical][attribute]
        if name == "Fn::Sub":
            text, *more = [argument] if isinstance(argument, str) else argument
            text = re.sub(r"\$\{(\w+)(?:\.(\w+))?\}", _replacement(known), text)
            return {"Fn::Sub": [text, *substitute(more, known)] if more else text}
    return {key: substitute(item, known) for key, item in value.items()}


def _replacement(known: dict[str, dict[str, str]]) -> Any:
    def replace(match: re.Match[str]) -> str:
        logical, attribute = match[1], match[2] or "Ref"
        return known[logical][attribute] if logical in known else match[0]

    return replace
