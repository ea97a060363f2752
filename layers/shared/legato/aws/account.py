"""Where a stack is to be deployed: whose account, which region, what is allowed and free there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, NoRegionError

from legato.aws.clients import client, session
from legato.aws.errors import code
from legato.aws.stack import described, plain
from legato.errors import NoStack, Refused
from legato.ports import EncryptionKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 50
"""Actions of one simulation."""
_ROOT = ":root"


class AwsAccount:
    """The account and the region of this process. What fails is told as by legato.aws.stack."""

    def region(self) -> str:
        """Return the region. Raises Refused if none is set."""
        with plain():
            found = session().get_config_variable("region")
            if not found:
                raise NoRegionError
        return str(found)

    def knows(self, region: str) -> bool:
        """Say whether AWS has a region of this name, as far as botocore knows."""
        found = session()
        partitions = found.get_available_partitions()
        return any(
            region in found.get_available_regions("cloudformation", partition_name=name)
            for name in partitions
        )

    def caller(self) -> str:
        """Return the ARN of whose credentials these are."""
        with plain():
            return str(client("sts").get_caller_identity()["Arn"])

    def region_status(self, region: str) -> str:
        """Return ENABLED_BY_DEFAULT, ENABLED, ENABLING, DISABLING or DISABLED."""
        with plain():
            answer = client("account").get_region_opt_status(RegionName=region)
        return str(answer["RegionOptStatus"])

    def denied(self, caller: str, actions: Sequence[str]) -> list[str]:
        """Return which actions the caller's policies do not allow on any resource.

        Neither the policies of an organization nor those of resources count. Raises Refused for a
        caller whose policies cannot be simulated.
        """
        if caller.endswith(_ROOT):
            return []
        with plain():
            return list(_denied(_policy_source(caller), actions))

    def concurrency(self) -> int:
        """Return how many Lambda functions may run at once that have reserved nothing."""
        with plain():
            limits = client("lambda").get_account_settings()["AccountLimit"]
        return int(limits["UnreservedConcurrentExecutions"])

    def stack_status(self, stack: str) -> str | None:
        """Return CloudFormation's status of a stack, None if there is none."""
        try:
            return str(described(stack)["StackStatus"])
        except NoStack:
            return None

    def has_output(self, stack: str, name: str) -> bool:
        """Say whether a stack has an output."""
        return any(each["OutputKey"] == name for each in described(stack).get("Outputs", ()))

    def key(self, name: str) -> EncryptionKey | None:
        """Return what KMS says of a key in this region, None if it knows none."""
        kms = client("kms")
        with plain():
            try:
                said = kms.describe_key(KeyId=name)["KeyMetadata"]
            except ClientError as error:
                if code(error) != "NotFoundException":
                    raise
                return None
        return EncryptionKey(
            arn=str(said["Arn"]),
            state=str(said["KeyState"]),
            symmetric=said.get("KeySpec") == "SYMMETRIC_DEFAULT",
            encrypts=said.get("KeyUsage") == "ENCRYPT_DECRYPT",
        )

    def key_users(self, name: str) -> set[str]:
        """Return the principals that a key's policy allows something to, `*` included."""
        with plain():
            text = client("kms").get_key_policy(KeyId=name, PolicyName="default")["Policy"]
        statements = json.loads(text).get("Statement", [])
        listed = statements if isinstance(statements, list) else [statements]
        return {
            user
            for one in listed
            if one.get("Effect") == "Allow"
            for user in _principals(one.get("Principal"))
        }


def _principals(said: Any) -> Iterator[str]:
    values = said.values() if isinstance(said, dict) else [said]
    for value in values:
        yield from map(str, value if isinstance(value, list) else [value])


def _policy_source(caller: str) -> str:
    """Return the ARN of the user or role behind a session, whose policies count."""
    kind, _, rest = caller.rpartition(":")[2].partition("/")
    if kind == "user":
        return caller
    if kind != "assumed-role":
        raise Refused(f"the policies of {caller} cannot be simulated: deploy, and see")
    # A role's ARN has a path, and a session's does not.
    name = rest.partition("/")[0]
    return str(client("iam").get_role(RoleName=name)["Role"]["Arn"])


def _denied(source: str, actions: Sequence[str]) -> Iterator[str]:
    iam = client("iam")
    for start in range(0, len(actions), BATCH):
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=source, ActionNames=list(actions[start : start + BATCH])
        )
        for page in pages:
            for one in page["EvaluationResults"]:
                if one["EvalDecision"] != "allowed":
                    yield one["EvalActionName"]
