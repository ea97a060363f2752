"""Says what the values of a template come to: its references, conditions and mappings.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

type Json = dict[str, Any]

_NOTHING = object()
"""What `AWS::NoValue` comes to: the property or the item is not there."""


class Resolver:
    """The values of one template, plain or translated.

    `names` say what `Ref X` comes to as `X`, and `GetAtt X.Y` as `X.Y`.
    """

    def __init__(self, template: Json, names: Mapping[str, str]) -> None:
        self._conditions: Json = template.get("Conditions", {})
        self._mappings: Json = template.get("Mappings", {})
        self._names = names

    def resolve(self, value: Any) -> Any:
        """Return a value in which nothing refers to anything any more. Raises KeyError."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _NOTHING}

    def holds(self, condition: Any) -> bool:
        """Say whether a condition holds, which is given by name or written out."""
        if isinstance(condition, str):
            return self.holds(self._conditions[condition])
        ((name, argument),) = condition.items()
        match name:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                left, right = map(self.resolve, argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(map(self.holds, argument))
            case "Fn::Or":
                return any(map(self.holds, argument))
        raise ValueError(f"no condition of this template has needed {name} so far")

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return _NOTHING if argument == "AWS::NoValue" else self._names[argument]
            case "Fn::GetAtt":
                return self._names[argument if isinstance(argument, str) else ".".join(argument)]
            case "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                names = {**self._names, **self.resolve(own)}
                return re.sub(r"\$\{(!?)([\w.:/-]+)\}", partial(_substitute, names), text)
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self.holds(condition) else otherwise)
            case "Fn::FindInMap":
                mapping, first, second = map(self.resolve, argument)
                return self._mappings[mapping][str(first)][str(second)]
            case "Fn::Select":
                index, items = map(self.resolve, argument)
                return items[int(index)]
            case "Fn::Split":
                separator, text = map(self.resolve, argument)
                return text.split(separator)
            case "Fn::Join":
                separator, items = map(self.resolve, argument)
                return separator.join(items)
        raise ValueError(f"no value of this template has needed {name} so far")


def _substitute(names: Mapping[str, Any], match: re.Match[str]) -> str:
    literal, name = match.groups()
    return f"${{{name}}}" if literal else str(names[name])
