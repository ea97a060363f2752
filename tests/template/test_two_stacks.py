"""Two stacks fit in one account: neither keeps the other out, and no alarm rings for the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.template.conftest import Json, Template

# Properties that end in `Name` and name nothing that an account or region has only once.
NO_NAMES = {
    ("AWS::CloudWatch::Alarm", "MetricName"),  # within its namespace
    ("AWS::ApiGatewayV2::Stage", "StageName"),  # within its API
    ("AWS::IAM::Policy", "PolicyName"),  # within its role
    ("AWS::SNS::Topic", "DisplayName"),  # what a mail says that it is from
}


def deployed(sam: Template, stack: str) -> Json:
    """Return the translated template as CloudFormation reads it for a stack of this name.

    What the stack makes is called `<stack>/<logical id>`; parameters have their defaults, and a
    condition may hold or not.
    """
    defaults = {name: str(each["Default"]) for name, each in sam.source["Parameters"].items()}

    def named(name: str) -> str:
        known = {"AWS::StackName": stack, "AWS::StackId": f"arn/stack/{stack}", **defaults}
        return known.get(name) or (name if name.startswith("AWS::") else f"{stack}/{name}")

    def read(value: Any) -> Any:
        match value:
            case {"Ref": str(name)}:
                return named(name)
            case {"Fn::GetAtt": [*parts]}:
                return named(".".join(parts))
            case {"Fn::GetAtt": str(name)}:
                return named(name)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([\w:.]+)\}", lambda found: named(found[1]), text)
            case dict():
                return {key: read(item) for key, item in value.items()}
            case list():
                return [read(item) for item in value]
        return value

    resources: Json = read(sam.translated["Resources"])
    return resources


def pairs(sam: Template) -> list[tuple[str, str, Json, Json]]:
    """Return the logical id, type and properties of each resource, in one stack and the other."""
    one, other = deployed(sam, "one"), deployed(sam, "other")
    return [
        (logical, resource["Type"], resource.get("Properties", {}), other[logical]["Properties"])
        for logical, resource in one.items()
        if "Properties" in resource
    ]


def test_no_physical_name_is_in_both(sam: Template) -> None:
    """Not of what the template says, nor of what SAM makes of it."""
    shared = {
        f"{logical}.{name}: {value}"
        for logical, kind, own, others in pairs(sam)
        for name, value in own.items()
        if name.endswith("Name") and (kind, name) not in NO_NAMES and others[name] == value
    }
    assert not shared


def test_no_export_is_in_both(sam: Template) -> None:
    assert not [name for name, each in sam.source["Outputs"].items() if "Export" in each]


def measured(alarm: Json) -> list[tuple[Any, ...]]:
    """Return the metrics of an alarm, those that have a condition too."""
    if "Metrics" not in alarm:
        return [(alarm["Namespace"], alarm["MetricName"], alarm.get("Dimensions"))]
    asked = (each["Fn::If"][1] if "Fn::If" in each else each for each in alarm["Metrics"])
    metrics = [each["MetricStat"]["Metric"] for each in asked if "MetricStat" in each]
    return [(each["Namespace"], each["MetricName"], each["Dimensions"]) for each in metrics]


def test_no_alarm_watches_what_both_measure(sam: Template) -> None:
    """A metric is its namespace, its name and its dimensions."""
    found = [each for each in pairs(sam) if each[1] == "AWS::CloudWatch::Alarm"]
    assert found
    for logical, _kind, own, others in found:
        for one, other in zip(measured(own), measured(others), strict=True):
            assert one != other, logical


def test_what_is_measured_goes_to_a_namespace_of_its_own(sam: Template) -> None:
    """By functions, and by filters of their logs."""
    for logical, kind, own, others in pairs(sam):
        if kind == "AWS::Lambda::Function":
            one, other = (
                function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
                for function in (own, others)
            )
            assert one != other, logical
        if kind == "AWS::Logs::MetricFilter":
            for mine, theirs in zip(
                own["MetricTransformations"], others["MetricTransformations"], strict=True
            ):
                assert mine["MetricNamespace"] != theirs["MetricNamespace"], logical
