"""Who can do what to whom: the template's policies, asked as AWS asks them.

`local/permissions.py` evaluates them; every function of the local system runs under it, so that a
permission that is missing fails the tests of what needs it (tests/e2e).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from legato.archive.object_lock import Lock
from legato.aws.intrinsics import Resolver
from local import template
from local.permissions import (
    Asked,
    Denied,
    Permissions,
    matches,
    permissions,
    refused,
    resource_policies,
    symbols,
)
from tests.grants import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.template.conftest import Json, Template

LEG = "arn:ArchiveBucket/calls/ringex/1/2026/11/20/s-1/legs/1.mp3"
ADMINISTRATOR = "arn:aws:iam::123456789012:role/Administrator"


@pytest.fixture(scope="session")
def roles(sam: Template) -> dict[str, Permissions]:
    return permissions(sam.translated, EVERYTHING)


@pytest.fixture(scope="session")
def policies(sam: Template) -> dict[str, list[Json]]:
    resolver = Resolver(sam.translated, symbols(sam.translated, EVERYTHING))
    return resource_policies(sam.translated["Resources"], resolver)


def held(status: str) -> Mapping[str, list[str]]:
    return {"s3:object-lock-legal-hold": [status]}


def days(number: int) -> Mapping[str, list[str]]:
    return {"s3:object-lock-remaining-retention-days": [str(number)]}


def item(*keys: str) -> Mapping[str, list[str]]:
    return {"dynamodb:LeadingKeys": list(keys)}


def attack(what: str, *case: object) -> object:
    return pytest.param(*case, marks=pytest.mark.attacks(what), id=what.replace(" ", "-"))


HOLD = "hold#ringex/1/s-1"
TABLE = "arn:LedgerTable"


@pytest.mark.parametrize(
    ("function", "action", "resource", "context"),
    [
        attack(
            "the webhook's role reads the credentials",
            *("WebhookFunction", "secretsmanager:GetSecretValue", "arn:Credentials", {}),
        ),
        attack(
            "the push's role reads the credentials",
            *("PushFunction", "secretsmanager:GetSecretValue", "arn:Credentials", {}),
        ),
        attack(
            "the sweeper's role reads the tokens that requests must carry",
            *("SweeperFunction", "secretsmanager:GetSecretValue", "arn:InboundTokens", {}),
        ),
        attack(
            "the keeper's role changes the credentials",
            *("KeeperFunction", "secretsmanager:PutSecretValue", "arn:Credentials", {}),
        ),
        attack(
            "the push's role reads what others pushed",
            *("PushFunction", "s3:GetObject", "arn:InboxBucket/push/a/b", {}),
        ),
        attack(
            "the processor's role releases a hold",
            *("ProcessorFunction", "s3:PutObjectLegalHold", LEG, held("OFF")),
        ),
        attack(
            "the processor's role removes a version",
            *("ProcessorFunction", "s3:DeleteObjectVersion", LEG, {}),
        ),
        attack(
            "the processor's role writes who holds a call",
            *("ProcessorFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the sweeper's role writes who holds a call",
            *("SweeperFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the auditor's role writes who holds a call",
            *("AuditorFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the remover's role writes who holds a call",
            *("RemoverFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the keeper's role writes who holds a call",
            *("KeeperFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the restorer's role writes who holds a call",
            *("RestorerFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the access log's role writes who holds a call",
            *("AccessFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the health function's role writes who holds a call",
            *("HealthFunction", "dynamodb:PutItem", TABLE, item(HOLD)),
        ),
        attack(
            "the health function's role reads the credentials",
            *("HealthFunction", "secretsmanager:GetSecretValue", "arn:Credentials", {}),
        ),
        attack(
            "the health function's role reads an access token among others",
            *("HealthFunction", "dynamodb:BatchGetItem", TABLE, item("tail#x", "token#ringex#a")),
        ),
        attack(
            "the health function's role reads a recording",
            *("HealthFunction", "s3:GetObjectVersion", LEG, {}),
        ),
        attack(
            "a hold is slipped into a batch of others",
            *("AccessFunction", "dynamodb:BatchWriteItem", TABLE, item("access#2026-11", HOLD)),
        ),
        attack(
            "the processor's role writes the head of the chain",
            *("ProcessorFunction", "dynamodb:PutItem", TABLE, item("digests")),
        ),
        attack(
            "the holder's role writes the head of the chain",
            *("HolderFunction", "dynamodb:PutItem", TABLE, item("digests")),
        ),
        attack(
            "the sweeper's role takes a document off the list of the next digest",
            *("SweeperFunction", "dynamodb:PutItem", TABLE, item("undigested#calls/x")),
        ),
        attack(
            "the holder's role reads an access token",
            *("HolderFunction", "dynamodb:GetItem", TABLE, item("token#ringex#a")),
        ),
        attack(
            "the access log's role reads an access token",
            *("AccessFunction", "dynamodb:GetItem", TABLE, item("token#ringex#a")),
        ),
        attack(
            "the restorer's role reads an access token",
            *("RestorerFunction", "dynamodb:GetItem", TABLE, item("token#ringex#a")),
        ),
        attack(
            "the keeper's role reads Kazoo's access token",
            *("KeeperFunction", "dynamodb:GetItem", TABLE, item("token#kazoo#a")),
        ),
        attack(
            "the holder's role changes what is known of a call",
            *("HolderFunction", "dynamodb:PutItem", TABLE, item("call#ringex/1/s-1")),
        ),
        attack(
            "the sweeper's role changes what is known of a call",
            *("SweeperFunction", "dynamodb:PutItem", TABLE, item("call#ringex/1/s-1")),
        ),
        attack(
            "the remover's role changes what is known of a call",
            *("RemoverFunction", "dynamodb:PutItem", TABLE, item("call#ringex/1/s-1")),
        ),
        attack(
            "the processor's role signs",
            *("ProcessorFunction", "kms:Sign", "arn:SigningKey", {}),
        ),
        attack(
            "the holder's role signs",
            *("HolderFunction", "kms:Sign", "arn:SigningKey", {}),
        ),
        attack(
            "the auditor's role writes over a call",
            *("AuditorFunction", "s3:PutObject", LEG, {"s3:if-none-match": ["*"]}),
        ),
        attack(
            "the access log's role reads a recording",
            *("AccessFunction", "s3:GetObjectVersion", LEG, {}),
        ),
        attack(
            "the processor's role locks for a thousand years",
            *("ProcessorFunction", "s3:PutObjectRetention", LEG, days(365_000)),
        ),
    ],
)
def test_no_role_reaches_further_than_its_own_work(
    roles: dict[str, Permissions],
    function: str,
    action: str,
    resource: str,
    context: dict[str, list[str]],
) -> None:
    with pytest.raises(Denied):
        roles[function].check(Asked(action, resource, context))


@pytest.mark.attacks("a function writes into the logs of others")
def test_every_function_writes_to_the_stacks_own_log_alone(roles: dict[str, Permissions]) -> None:
    """AWS's own policy, which SAM attaches, allows every log group of the account."""
    for role in roles.values():
        for action in ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"):
            with pytest.raises(Denied, match="NoOtherLog"):
                role.check(Asked(action, "arn:Other:log-stream:a"))
            with pytest.raises(Denied, match="is not granted"):  # but for AWS's own policy
                role.check(Asked(action, "arn:FunctionLogGroup"))


def test_the_evaluator_lets_through_what_is_granted(roles: dict[str, Permissions]) -> None:
    """Else the attacks above would prove nothing."""
    for function, asked in [
        ("KeeperFunction", Asked("secretsmanager:PutSecretValue", "arn:InboundTokens")),
        ("ProcessorFunction", Asked("s3:PutObjectLegalHold", LEG, dict(held("ON")))),
        ("ProcessorFunction", Asked("s3:PutObjectRetention", LEG, dict(days(3000)))),
        ("HolderFunction", Asked("s3:PutObjectLegalHold", LEG, dict(held("OFF")))),
        ("HolderFunction", Asked("dynamodb:PutItem", TABLE, dict(item(HOLD)))),
        ("AuditorFunction", Asked("kms:Sign", "arn:SigningKey")),
    ]:
        assert roles[function].check(asked), asked


@pytest.mark.parametrize(
    ("action", "resource", "context", "statement"),
    [
        attack(
            "an administrator removes a version",
            *("s3:DeleteObjectVersion", LEG, {}, "NoRemoval"),
        ),
        attack(
            "an administrator hides a recording behind a delete marker",
            *("s3:DeleteObject", LEG, {}, "NoRemoval"),
        ),
        attack(
            "an administrator adds a rule that removes recordings",
            *("s3:PutLifecycleConfiguration", "arn:ArchiveBucket", {}, "RulesByDeploymentsOnly"),
        ),
        attack(
            "an administrator shortens a lock",
            *("s3:BypassGovernanceRetention", LEG, {}, "NoShorterLock"),
        ),
        attack(
            "an administrator locks for longer than any rule",
            *("s3:PutObjectRetention", LEG, days(11 * 366), "NoLongerLock"),
        ),
        attack(
            "an administrator releases a hold",
            *("s3:PutObjectLegalHold", LEG, held("OFF"), "HoldsByTheHolderOnly"),
        ),
        attack(
            "an administrator holds a recording past everybody",
            *("s3:PutObjectLegalHold", LEG, held("ON"), "HoldsByTheHolderOnly"),
        ),
        attack(
            "an administrator writes over a recording",
            *("s3:PutObject", LEG, {"s3:ObjectCreationOperation": ["true"]}, "NoOverwrite"),
        ),
        attack(
            "an administrator writes over a report",
            "s3:PutObject",
            "arn:ArchiveBucket/reports/2026/11/20/reconciliation-1.json",
            {"s3:ObjectCreationOperation": ["true"]},
            "NoOverwrite",
        ),
        attack(
            "an administrator signs a digest",
            *("kms:Sign", "arn:SigningKey", {}, "SignaturesByTheAuditorOnly"),
        ),
    ],
)
def test_nor_does_an_administrator_as_long_as_the_policies_stand(
    policies: dict[str, list[Json]],
    action: str,
    resource: str,
    context: dict[str, list[str]],
    statement: str,
) -> None:
    assert refused(Asked(action, resource, context), policies, ADMINISTRATOR) == statement


@pytest.mark.parametrize(
    ("principal", "asked"),
    [
        # CloudFormation, in the name of whoever deploys.
        (
            ADMINISTRATOR,
            Asked(
                "s3:PutLifecycleConfiguration",
                "arn:ArchiveBucket",
                {"aws:CalledViaFirst": ["cloudformation.amazonaws.com"]},
            ),
        ),
        ("arn:AuditorFunctionRole", Asked("kms:Sign", "arn:SigningKey")),
        ("arn:HolderFunctionRole", Asked("s3:PutObjectLegalHold", LEG, dict(held("OFF")))),
        ("arn:ProcessorFunctionRole", Asked("s3:PutObjectLegalHold", LEG, dict(held("ON")))),
        (ADMINISTRATOR, Asked("s3:PutObjectRetention", LEG, dict(days(10 * 365)))),
    ],
)
def test_who_is_meant_to_is_not_refused(
    policies: dict[str, list[Json]], principal: str, asked: Asked
) -> None:
    assert refused(asked, policies, principal) is None


def test_the_longest_lock_is_as_long_as_the_longest_rule(sam: Template) -> None:
    """The days of so many years, of which the template cannot know how many are leap years."""
    from datetime import UTC, datetime, timedelta

    days_of = sam.source["Mappings"]["Years"]["Days"]
    years = sam.source["Parameters"]["RingexLockYears"]
    assert sorted(map(int, days_of)) == [*range(years["MinValue"], years["MaxValue"] + 1)]
    for number, most in days_of.items():
        lock = Lock(mode="GOVERNANCE", years=int(number))
        starts = [
            datetime(2024 + offset, 2, 29 if not offset % 4 else 28, tzinfo=UTC)
            for offset in range(12)
        ]
        longest = max(lock.until(start) - start for start in starts)
        assert longest <= timedelta(days=most) < longest + timedelta(days=4), number


@pytest.mark.attacks("another bucket of the account announces recordings to the queue")
def test_the_queue_takes_what_the_inbox_announces_and_nothing_else(
    sam: Template, policies: dict[str, list[Json]]
) -> None:
    """S3's service name is everybody's who has a bucket."""
    (allowed,) = [each for each in policies["KazooJobsQueue"] if each["Effect"] == "Allow"]
    resolver = Resolver(sam.translated, symbols(sam.translated, EVERYTHING))
    inbox = resolver.resolve(sam.translated["Resources"]["InboxBucket"]["Properties"])
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{inbox['BucketName']}"},
    }


ACCOUNT = "5a2d994fbae69b1d6b01eb9f0e7dfe62"
OTHER = "c1f8e3d7a9b04562938475acde102f36"


def reached(sam: Template, account: str) -> Sequence[str]:
    """Return what a storage plan's user may write, whose tags say it is of this account."""
    resolver = Resolver(sam.translated, symbols(sam.translated, EVERYTHING))
    policy = resolver.resolve(sam.translated["Resources"]["InboxWriterPolicy"]["Properties"])
    tags = {"id-1": account[:2], "id-2": account[2:4], "id-3": account[4:]}
    patterns = []
    for statement in policy["PolicyDocument"]["Statement"]:
        if "s3:PutObject" in statement["Action"]:
            patterns += statement["Resource"]
    for name, value in tags.items():
        patterns = [each.replace(f"${{aws:PrincipalTag/{name}}}", value) for each in patterns]
    return patterns


@pytest.mark.parametrize(
    "key",
    [
        f"account/{ACCOUNT[:2]}/{ACCOUNT[2:4]}/{ACCOUNT[4:]}-202611/r_1.mp3",
        f"account%2F{ACCOUNT[:2]}%2F{ACCOUNT[2:4]}%2F{ACCOUNT[4:]}-202611/r_1.mp3",
        f"{ACCOUNT}/r_1.mp3",
    ],
)
@pytest.mark.attacks("one customer's storage plan writes recordings of another one")
def test_a_storage_plan_reaches_its_own_account_alone(sam: Template, key: str) -> None:
    """However Kazoo is told to name what it writes."""
    path = f"arn:InboxBucket/{key}"
    assert any(matches(pattern, path) for pattern in reached(sam, ACCOUNT))
    assert not any(matches(pattern, path) for pattern in reached(sam, OTHER))


@pytest.mark.attacks("removes the ledger with one command")
def test_the_ledger_is_not_deleted_by_mistake(sam: Template) -> None:
    assert sam.of("AWS::DynamoDB::Table")["LedgerTable"]["DeletionProtectionEnabled"] is True


def test_a_key_of_the_customers_encrypts_everything_that_is_kept(sam: Template) -> None:
    """And without it, none of it names a key."""
    kinds = {
        "AWS::DynamoDB::Table",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::SecretsManager::Secret",
    }
    translated = template.translate(sam.source)
    for parameters, expected in ((EVERYTHING, True), ({**EVERYTHING, "KmsKeyArn": ""}, False)):
        resolver = Resolver(translated, symbols(translated, parameters))
        key = EVERYTHING["KmsKeyArn"]
        for logical, resource in translated["Resources"].items():
            if resource["Type"] in kinds:
                properties = {
                    name: value
                    for name, value in resolver.resolve(resource["Properties"]).items()
                    if name not in ("Environment", "Policies")
                }
                assert (key in str(properties)) is expected, logical
