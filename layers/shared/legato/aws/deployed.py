"""A running stack as AWS has it: its resources, who gets its mails, what is off or alarmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.stack import described, plain
from legato.ports import Recipient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALARM_NAMES = 100
PENDING = "PendingConfirmation"


class DeployedStack:
    """What fails is told as by legato.aws.stack."""

    def __init__(self, name: str) -> None:
        self._name = name

    def status(self) -> str:
        """Return CloudFormation's status. Raises NoStack if there is no such stack."""
        return str(described(self._name)["StackStatus"])

    def names(self, kind: str) -> dict[str, str]:
        """Return the resources of a type by the template's names for them."""
        with plain():
            pages = client("cloudformation").get_paginator("list_stack_resources")
            return {
                each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
                for page in pages.paginate(StackName=self._name)
                for each in page["StackResourceSummaries"]
                if each["ResourceType"] == kind
            }

    def recipients(self, topic: str) -> list[Recipient]:
        """Return who gets the mails of a topic."""
        with plain():
            pages = client("sns").get_paginator("list_subscriptions_by_topic")
            return [
                Recipient(
                    address=str(each["Endpoint"]), confirmed=each["SubscriptionArn"] != PENDING
                )
                for page in pages.paginate(TopicArn=topic)
                for each in page["Subscriptions"]
                if each["Protocol"].startswith("email")
            ]

    def schedule_state(self, name: str) -> str:
        """Return ENABLED or DISABLED."""
        with plain():
            return str(client("scheduler").get_schedule(Name=name)["State"])

    def alarmed(self, names: Sequence[str]) -> list[str]:
        """Return which of these alarms fire."""
        with plain():
            return list(_alarmed(names))


def _alarmed(names: Sequence[str]) -> Iterator[str]:
    cloudwatch = client("cloudwatch")
    for start in range(0, len(names), ALARM_NAMES):
        pages = cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNames=list(names[start : start + ALARM_NAMES])
        )
        for page in pages:
            alarms = page["MetricAlarms"]
            yield from (each["AlarmName"] for each in alarms if each["StateValue"] == "ALARM")
