"""What must be right in AWS before a stack is deployed: session, region, permissions, room, names.

What a deployment must be allowed to do is the sum of what its resources take.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from legato.errors import LegatoError, NotPermitted, Refused
from legato.setup.answers import told
from legato.setup.findings import Finding, ok, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from legato.ports import EncryptionKey

DEPLOYS: dict[str, tuple[str, ...]] = {
    "AWS::ApiGatewayV2::Api": ("apigateway:POST",),
    "AWS::ApiGatewayV2::Stage": ("apigateway:POST",),
    "AWS::CloudWatch::Alarm": ("cloudwatch:PutMetricAlarm",),
    "AWS::DynamoDB::Table": ("dynamodb:CreateTable", "dynamodb:UpdateContinuousBackups"),
    "AWS::Events::Rule": ("events:PutRule", "events:PutTargets"),
    "AWS::IAM::ManagedPolicy": ("iam:CreatePolicy",),
    "AWS::IAM::Policy": ("iam:PutRolePolicy",),
    "AWS::IAM::Role": ("iam:CreateRole", "iam:AttachRolePolicy", "iam:PassRole"),
    "AWS::KMS::Key": ("kms:CreateKey", "kms:PutKeyPolicy"),
    "AWS::Lambda::EventSourceMapping": ("lambda:CreateEventSourceMapping",),
    "AWS::Lambda::Function": ("lambda:CreateFunction",),
    "AWS::Lambda::LayerVersion": ("lambda:PublishLayerVersion",),
    "AWS::Lambda::Permission": ("lambda:AddPermission",),
    "AWS::Logs::LogGroup": ("logs:CreateLogGroup", "logs:PutRetentionPolicy"),
    "AWS::Logs::MetricFilter": ("logs:PutMetricFilter",),
    "AWS::S3::Bucket": (
        "s3:CreateBucket",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "AWS::S3::BucketPolicy": ("s3:PutBucketPolicy",),
    "AWS::SNS::Topic": ("sns:CreateTopic", "sns:Subscribe"),
    "AWS::SNS::TopicPolicy": ("sns:SetTopicAttributes",),
    "AWS::SQS::Queue": ("sqs:CreateQueue",),
    "AWS::SQS::QueuePolicy": ("sqs:SetQueueAttributes",),
    "AWS::SSM::Parameter": ("ssm:PutParameter",),
    "AWS::Scheduler::Schedule": ("scheduler:CreateSchedule",),
    "AWS::SecretsManager::Secret": ("secretsmanager:CreateSecret",),
}
"""By the type of a resource, what creates it."""
STACK_ACTIONS = (
    "cloudformation:CreateChangeSet",
    "cloudformation:ExecuteChangeSet",
    "secretsmanager:PutSecretValue",
)
ENABLED = ("ENABLED", "ENABLED_BY_DEFAULT")
LEAST_CONCURRENCY = 20
"""Two processors for each provider, the sweepers, and webhooks that may not wait. A new account has
10 (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
SAM_STACK = "aws-sam-cli-managed-default"
"""Where `sam deploy` with resolve_s3 keeps its bucket."""
OWN_OUTPUT = "ConfigParameterName"
"""What tells a stack of Legato's from others."""
NAMED = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_KEY = re.compile(r"arn:[^:]+:kms:(?P<region>[^:]*):(?P<account>[^:]*):key/.+")
_KEY_PAGE = "docs/deploy/options.md says what the key's policy must allow."


class Account(Protocol):
    """The AWS account of this session. Raises NotPermitted, Refused and Unavailable."""

    def region(self) -> str:
        """Return the region. Raises Refused if none is set."""
        ...

    def knows(self, region: str) -> bool:
        """Say whether AWS has a region of this name."""
        ...

    def caller(self) -> str:
        """Return the ARN of whose credentials these are."""
        ...

    def region_status(self, region: str) -> str:
        """Return ENABLED_BY_DEFAULT, ENABLED, ENABLING, DISABLING or DISABLED."""
        ...

    def denied(self, caller: str, actions: Sequence[str]) -> Sequence[str]:
        """Return which actions the caller's own policies do not allow."""
        ...

    def concurrency(self) -> int:
        """Return how many functions may run at once."""
        ...

    def stack_status(self, stack: str) -> str | None:
        """Return CloudFormation's status of a stack, None if there is none."""
        ...

    def has_output(self, stack: str, name: str) -> bool:
        """Say whether a stack has an output."""
        ...

    def key(self, name: str) -> EncryptionKey | None:
        """Return what KMS says of a key in this region, None if it knows none."""
        ...

    def key_users(self, name: str) -> set[str]:
        """Return the principals that a key's policy allows something to."""
        ...


def check_account(
    account: Account, *, stack: str, parameters: Mapping[str, str]
) -> Iterator[Finding]:
    """Check where a stack of this name is to be deployed, or changed, with these parameters."""
    region = ""
    try:
        region = account.region()
        caller = account.caller()
    except LegatoError as error:
        if region and not account.knows(region):
            text = f"AWS has no region {region}, as far as is known here."
            yield wrong("AWS region", text, "Choose another one with --region.")
            return
        failed = wrong if isinstance(error, (NotPermitted, Refused)) else unknown
        yield told(error, "AWS session", failed)
        return
    yield ok("AWS session", f"You are {caller}, in {region}.")
    region_found = _region(account, region)
    if region_found is not None:
        yield region_found
    yield from _looked_at("AWS permissions", lambda: _permissions(account, caller))
    yield from _looked_at("AWS quotas", lambda: _quotas(account))
    yield from _looked_at("AWS stack", lambda: _stack(account, stack))
    yield from _looked_at("AWS stack of SAM", lambda: _sam(account))
    if key := parameters.get("KmsKeyArn"):
        mails = bool(parameters.get("AlarmEmail"))
        owner = caller.split(":")[4]
        yield from check_key(account, key, region=region, owner=owner, mails=mails)


def check_key(
    account: Account,
    key: str,
    *,
    region: str,
    owner: str,
    mails: bool,
    subject: str = "AWS KMS key",
) -> Iterator[Finding]:
    """Check a key of the operator's own: it must be usable, here. `mails`: alarms use it too."""
    named = _KEY.fullmatch(key)
    if named is None:
        yield wrong(subject, f"{key} is not the ARN of a key.", "Give the ARN, and no alias.")
        return
    if (named["region"], named["account"]) != (region, owner):
        yield wrong(
            subject,
            f"The key is in {named['region']} of {named['account']}.",
            f"It must be in {region} of {owner}, where the stack is.",
        )
        return
    yield from _looked_at(subject, lambda: _key(account, key, region, subject, mails=mails))


def _looked_at(subject: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield look()
    except LegatoError as error:
        yield told(error, subject)


def _region(account: Account, region: str) -> Finding | None:
    try:
        status = account.region_status(region)
    except LegatoError as error:
        return told(error, "AWS region")
    if status in ENABLED:
        return None
    return wrong(
        "AWS region",
        f"{region} is {status.lower()} in this account.",
        "Enable it in the console (Account, AWS Regions), or choose another --region.",
    )


def _permissions(account: Account, caller: str) -> Finding:
    subject = "AWS permissions"
    actions = sorted({*STACK_ACTIONS, *(each for some in DEPLOYS.values() for each in some)})
    denied = account.denied(caller, actions)
    if denied:
        return wrong(
            subject,
            f"Your policies do not allow {', '.join(denied)}.",
            "Deploy as somebody who may, or have these actions added.",
        )
    return ok(
        subject,
        f"Your policies allow all {len(actions)} actions of a deployment that were simulated. An "
        "organization's policies are not part of that.",
    )


def _quotas(account: Account) -> Finding:
    subject, room = "AWS quotas", account.concurrency()
    text = f"Lambda may run {room} functions at once that have reserved nothing."
    if room < LEAST_CONCURRENCY:
        return wrong(
            subject,
            f"{text} Legato needs {LEAST_CONCURRENCY}, or webhooks are refused.",
            "In the console open Service Quotas, AWS Lambda, Concurrent executions, and request "
            "1,000.",
        )
    return ok(subject, text)


def _stack(account: Account, stack: str) -> Finding:
    subject = "AWS stack"
    if not NAMED.fullmatch(stack):
        return wrong(
            subject,
            f"{stack!r} is no name for a stack.",
            "Use letters, digits and hyphens, a letter first.",
        )
    status = account.stack_status(stack)
    if status is None:
        return ok(subject, f"The name {stack} is free.")
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
        return wrong(
            subject,
            f"The stack {stack} is {status}: it cannot be updated.",
            f"aws cloudformation delete-stack --stack-name {stack}",
        )
    if status.endswith("_IN_PROGRESS"):
        return wrong(subject, f"The stack {stack} is {status}.", "Wait until that is over.")
    if not account.has_output(stack, OWN_OUTPUT):
        return wrong(
            subject,
            f"There is a stack {stack} that is not Legato's.",
            "Choose another name with --stack.",
        )
    return ok(subject, f"The stack {stack} is there ({status}) and will be updated.")


def _sam(account: Account) -> Finding:
    subject, status = "AWS stack of SAM", account.stack_status(SAM_STACK)
    if status is None or (status.endswith("_COMPLETE") and "ROLLBACK" not in status):
        return ok(subject, "SAM has a bucket for what is deployed, or can make it.")
    return wrong(
        subject,
        f"The stack {SAM_STACK} is {status}: sam deploy cannot use its bucket.",
        f"aws cloudformation delete-stack --stack-name {SAM_STACK}",
    )


def _key(account: Account, name: str, region: str, subject: str, *, mails: bool) -> Finding:
    key = account.key(name)
    if key is None:
        return wrong(subject, f"There is no key {name}.", "Give the ARN of one that exists.")
    if key.state != "Enabled":
        return wrong(
            subject,
            f"The key is {key.state}.",
            "In the console open KMS, Customer managed keys, and enable it or cancel its deletion.",
        )
    if not (key.symmetric and key.encrypts):
        return wrong(
            subject,
            "The key does not encrypt with SYMMETRIC_DEFAULT.",
            "Create a symmetric key for encryption and decryption.",
        )
    users = account.key_users(name)
    needed = [f"logs.{region}.amazonaws.com"]
    needed += ["cloudwatch.amazonaws.com"] if mails else []
    if "*" not in users and (lacks := [user for user in needed if user not in users]):
        return wrong(subject, f"The key's policy does not name {', '.join(lacks)}.", _KEY_PAGE)
    return ok(subject, "The key is enabled, symmetric, and its policy names the services.")
