"""What is found in AWS before a stack is deployed."""

import pytest

from legato.errors import NotPermitted, Refused, Unavailable
from legato.ports import EncryptionKey
from legato.setup.aws import DEPLOYS, LEAST_CONCURRENCY, SAM_STACK, check_account
from legato.setup.findings import State
from tests.checked import assert_told, one, states

REGION, OWNER = "eu-central-1", "123456789012"
CALLER = f"arn:aws:sts::{OWNER}:assumed-role/Deployer/ada"
KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/1"
OK, WRONG, UNKNOWN = State.OK, State.WRONG, State.UNKNOWN


class FakeAccount:
    """Everything is as it should be; what is not is set, or is an error to raise."""

    def __init__(self, **said):
        self.said = {
            "region": REGION,
            "knows": True,
            "caller": CALLER,
            "region_status": "ENABLED_BY_DEFAULT",
            "denied": [],
            "concurrency": 1000,
            "stacks": {},
            "outputs": ["ConfigParameterName"],
            "key": EncryptionKey(arn=KEY, state="Enabled", symmetric=True, encrypts=True),
            "key_users": {f"logs.{REGION}.amazonaws.com", "cloudwatch.amazonaws.com"},
            **said,
        }

    def __getattr__(self, name):
        return lambda *_: self.of(name)

    def of(self, name):
        if isinstance(self.said[name], Exception):
            raise self.said[name]
        return self.said[name]

    def stack_status(self, stack):
        return self.of("stacks").get(stack)

    def has_output(self, _stack, name):
        return name in self.of("outputs")


def found(stack="legato", parameters=None, **said):
    return list(check_account(FakeAccount(**said), stack=stack, parameters=parameters or {}))


def test_all_is_well():
    """The key is looked at if there is one."""
    lines = found(parameters={"KmsKeyArn": KEY, "AlarmEmail": "a@example.com"})
    assert set(states(lines).values()) == {"ok"}
    assert "AWS KMS key" in states(lines)
    assert "AWS KMS key" not in states(found())
    assert_told(one(lines, "AWS session"), OK, CALLER, REGION)


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        ({"region": Refused("no AWS region is set: give --region")}, WRONG, "Give --region."),
        ({"caller": NotPermitted("no AWS credentials (x): log in")}, WRONG, "Log in."),
        ({"caller": NotPermitted("AWS does not accept it (Expired): log in")}, WRONG, "Expired"),
        ({"caller": Unavailable("AWS does not answer: x")}, UNKNOWN, "not answer: x."),
        ({"caller": Unavailable("x"), "knows": False}, WRONG, f"no region {REGION}"),
    ],
)
def test_without_a_session_nothing_else_is_asked(said, state, words):
    """It says what to do."""
    [finding] = found(**said)
    assert_told(finding, state, words)


@pytest.mark.parametrize("status", ["DISABLED", "ENABLING"])
def test_a_region_that_is_not_enabled_is_told(status):
    """Nothing can be deployed there."""
    finding = one(found(region_status=status), "AWS region")
    assert_told(finding, WRONG, REGION, status.lower(), "AWS Regions")


def test_what_may_not_be_looked_at_is_unknown_and_names_the_action():
    """Each by itself: the others are looked at."""
    refusal = NotPermitted("AWS does not permit iam:Simulate: docs/permissions.md lists it")
    lines = found(denied=refusal, region_status=refusal, concurrency=refusal)
    for subject in ("AWS permissions", "AWS region", "AWS quotas"):
        assert_told(one(lines, subject), UNKNOWN, "iam:Simulate", "docs/permissions.md")
    assert one(lines, "AWS stack").state is OK


def test_actions_that_lack_are_named():
    """As the simulation says."""
    finding = one(found(denied=["iam:CreateRole", "kms:CreateKey"]), "AWS permissions")
    assert_told(finding, WRONG, "iam:CreateRole, kms:CreateKey")


def test_a_new_accounts_concurrency_is_too_low():
    """It is ten."""
    assert_told(one(found(concurrency=10), "AWS quotas"), WRONG, "10", "Service Quotas")
    assert one(found(concurrency=LEAST_CONCURRENCY), "AWS quotas").state is OK


@pytest.mark.parametrize(
    ("stack", "status", "state", "words"),
    [
        ("legato", None, OK, "is free"),
        ("legato", "UPDATE_COMPLETE", OK, "will be updated"),
        ("legato", "ROLLBACK_COMPLETE", WRONG, "delete-stack --stack-name legato"),
        ("legato", "UPDATE_IN_PROGRESS", WRONG, "Wait"),
        ("1 stack", None, WRONG, "no name for a stack"),
        ("a" * 129, None, WRONG, "no name for a stack"),
    ],
)
def test_a_name_that_cannot_be_deployed_is_told(stack, status, state, words):
    """What a failed first deployment leaves must be deleted first."""
    assert_told(one(found(stack, stacks={stack: status}), "AWS stack"), state, words)


def test_somebody_elses_stack_is_not_updated():
    """It has none of our outputs."""
    lines = found(stacks={"legato": "CREATE_COMPLETE"}, outputs=["Other"])
    assert_told(one(lines, "AWS stack"), WRONG, "not Legato's")


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "DELETE_FAILED"])
def test_sams_own_stack_must_work(status):
    """Without its bucket nothing is uploaded."""
    lines = found(stacks={SAM_STACK: status})
    assert_told(one(lines, "AWS stack of SAM"), WRONG, status)
    assert one(found(stacks={SAM_STACK: "CREATE_COMPLETE"}), "AWS stack of SAM").state is OK


@pytest.mark.parametrize(
    ("arn", "said", "words"),
    [
        ("alias/mine", {}, "not the ARN of a key"),
        (KEY.replace(REGION, "us-east-1"), {}, "in us-east-1"),
        (KEY.replace(OWNER, "999999999999"), {}, "of 999999999999"),
        (KEY, {"key": None}, "no key"),
        (
            KEY,
            {"key": EncryptionKey(arn=KEY, state="Disabled", symmetric=True, encrypts=True)},
            "Disabled",
        ),
        (
            KEY,
            {"key": EncryptionKey(arn=KEY, state="Enabled", symmetric=False, encrypts=True)},
            "symmetric",
        ),
        (KEY, {"key_users": {"cloudwatch.amazonaws.com"}}, f"logs.{REGION}.amazonaws.com"),
        (KEY, {"key_users": {f"logs.{REGION}.amazonaws.com"}}, "cloudwatch.amazonaws.com"),
    ],
)
def test_a_key_that_cannot_be_used_is_told(arn, said, words):
    """Logs and alarms take it by their own names."""
    lines = found(parameters={"KmsKeyArn": arn, "AlarmEmail": "a@example.com"}, **said)
    assert_told(one(lines, "AWS KMS key"), WRONG, words)


def test_a_key_whose_policy_names_everybody_names_the_services():
    """And without mails no alarm needs it."""
    parameters = {"KmsKeyArn": KEY, "AlarmEmail": "a@example.com"}
    assert one(found(parameters=parameters, key_users={"*"}), "AWS KMS key").state is OK
    users = {f"logs.{REGION}.amazonaws.com"}
    assert one(found(parameters={"KmsKeyArn": KEY}, key_users=users), "AWS KMS key").state is OK


def test_every_action_has_its_service():
    """As IAM names them."""
    for actions in DEPLOYS.values():
        assert all(len(action.split(":")) == 2 for action in actions)
