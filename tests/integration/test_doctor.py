"""`legato doctor` looks at a stack in AWS, and what it asks AWS for."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

import pytest

from legato.aws.account import AwsAccount
from legato.aws.clients import session
from legato.aws.deployed import DeployedStack
from legato.cli.exit_codes import Exit
from legato.errors import NotPermitted, Refused
from legato.ports import Recipient
from local import aws, stack
from local.system import PARAMETERS
from tests.forked import legato

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
NAME = "examined"
EMAIL = "recordings@example.com"


@pytest.fixture(scope="module")
def examined(aws_endpoint: str) -> dict[str, str]:
    """Create a stack as it is just after its deployment, and return its outputs."""
    given = {**stack.parameters_of(PARAMETERS), "AlarmEmail": EMAIL, "KazooUrl": ""}
    made = stack.create(aws_endpoint, gateway="http://127.0.0.1:1", parameters=given, name=NAME)
    return made.outputs


@contextmanager
def leading_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead this process's own clients there."""
    for name, value in aws.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    session.cache_clear()
    yield
    session.cache_clear()


@pytest.fixture
def here(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with leading_to(aws_endpoint, monkeypatch):
        yield


@pytest.mark.usefixtures("examined")
def test_a_stack_without_credentials_says_what_to_do(aws_endpoint: str) -> None:
    """Its webhook is not there either, and nobody has confirmed the mails yet."""
    here = aws.environment(aws_endpoint)
    ended = legato("--stack", NAME, "doctor", "--json", **here)
    assert ended.returncode == Exit.NEEDS_PERSON, ended.stderr
    found = {one["subject"]: one for one in json.loads(ended.stdout)}
    assert found["Stack state"]["state"] == "ok"
    assert found["Stack configuration"]["state"] == "ok"
    assert found["Stack signing key"]["state"] == "ok"
    assert EMAIL in found["Stack mails (AlarmEmail)"]["text"]
    assert found["Stack webhook"]["state"] == "wrong"
    assert "clientId, clientSecret, jwt" in found["RingEX credentials"]["text"]
    assert "docs/deploy/ringex.md" in found["RingEX credentials"]["remedy"]


def test_another_versions_configuration_is_told(
    aws_endpoint: str, examined: dict[str, str]
) -> None:
    """It is the last that can be looked at."""
    ssm, name = aws.client("ssm", aws_endpoint), examined["ConfigParameterName"]
    document = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    said = json.loads(document)
    del said["Table"]
    ssm.put_parameter(Name=name, Value=json.dumps(said), Type="String", Overwrite=True)
    try:
        ended = legato("--stack", NAME, "doctor", **aws.environment(aws_endpoint))
    finally:
        ssm.put_parameter(Name=name, Value=document, Type="String", Overwrite=True)
    assert ended.returncode == Exit.NEEDS_PERSON
    assert "wrong   configuration: It is not one of this version: Table" in ended.stdout
    assert "RingEX" not in ended.stdout


def test_without_a_stack_it_ends_as_every_command(aws_endpoint: str) -> None:
    ended = legato("--stack", "nobodys", "doctor", **aws.environment(aws_endpoint))
    assert ended.returncode == Exit.NO_STACK


@pytest.mark.usefixtures("here")
class TestDeployedStack:
    def test_who_gets_the_mails(self, examined: dict[str, str]) -> None:
        deployed = DeployedStack(NAME)
        [topic] = deployed.names("AWS::SNS::Topic").values()
        assert [one.address for one in deployed.recipients(topic)] == [EMAIL]
        assert all(isinstance(one, Recipient) for one in deployed.recipients(topic))

    def test_what_is_switched_off(self, aws_endpoint: str) -> None:
        scheduler: Any = aws.client("scheduler", aws_endpoint)
        scheduler.create_schedule(
            Name="off",
            State="DISABLED",
            ScheduleExpression="rate(1 minute)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:lambda:us-east-1:123456789012:function:x", "RoleArn": "r"},
        )
        assert DeployedStack(NAME).schedule_state("off") == "DISABLED"

    def test_which_alarms_fire(self, aws_endpoint: str) -> None:
        cloudwatch: Any = aws.client("cloudwatch", aws_endpoint)
        for name in ("calm", "firing"):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                MetricName="m",
                Namespace="n",
                Period=60,
                Threshold=1,
            )
        cloudwatch.set_alarm_state(AlarmName="firing", StateValue="ALARM", StateReason="x")
        assert DeployedStack(NAME).alarmed(["calm", "firing", "absent"]) == ["firing"]


@pytest.mark.usefixtures("here", "examined")
class TestAwsAccount:
    def test_who_and_where(self) -> None:
        account = AwsAccount()
        assert account.region() == REGION
        assert account.caller().startswith("arn:aws:")

    def test_which_stacks_there_are(self) -> None:
        account = AwsAccount()
        assert account.stack_status(NAME) == "CREATE_COMPLETE"
        assert account.stack_status("nobodys") is None
        assert account.has_output(NAME, "ConfigParameterName")
        assert not account.has_output(NAME, "Other")

    def test_a_key_and_who_may_use_it(self, aws_endpoint: str) -> None:
        kms: Any = aws.client("kms", aws_endpoint)
        users = [{"Service": ["logs.us-east-1.amazonaws.com", "b"]}, "*"]
        statements = [
            {"Effect": "Allow", "Principal": user, "Action": "kms:*", "Resource": "*"}
            for user in users
        ]
        others = {"Effect": "Deny", "Principal": "c", "Action": "kms:Sign", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [*statements, others]}
        made = kms.create_key(Policy=json.dumps(policy), KeyUsage="ENCRYPT_DECRYPT")
        arn = made["KeyMetadata"]["Arn"]
        account = AwsAccount()
        key = account.key(arn)
        assert key is not None
        assert (key.state, key.symmetric, key.encrypts) == ("Enabled", True, True)
        assert account.key_users(arn) == {"logs.us-east-1.amazonaws.com", "b", "*"}
        assert account.key(arn[:-4] + "0000") is None


ROLE = """<GetRoleResponse><GetRoleResult><Role><Path>/people/</Path><RoleName>Deployer</RoleName>
<RoleId>r</RoleId><CreateDate>2026-01-01T00:00:00Z</CreateDate>
<Arn>arn:aws:iam::123456789012:role/people/Deployer</Arn></Role></GetRoleResult>
</GetRoleResponse>"""
SIMULATED = """<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>
<IsTruncated>false</IsTruncated><EvaluationResults>{}</EvaluationResults>
</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""
RESULT = """<member><EvalActionName>{}</EvalActionName><EvalDecision>{}</EvalDecision></member>"""
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: ada is
not authorized to perform: iam:GetRole on resource: role Gone</Message></Error></ErrorResponse>"""


class Untaught(BaseHTTPRequestHandler):
    """AWS, where moto knows nothing: IAM's simulation, the account's regions, Lambda's limits."""

    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        limits = {"UnreservedConcurrentExecutions": 10, "ConcurrentExecutions": 10}
        self.answer(200, json.dumps({"AccountLimit": limits}), "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/getRegionOptStatus":
            self.answer(200, json.dumps({"RegionOptStatus": "DISABLED"}), "application/json")
            return
        form = parse_qs(body)
        self.asked.append(form)
        if form["Action"] == ["GetRole"]:
            gone = form["RoleName"] == ["Gone"]
            self.answer(403 if gone else 200, DENIED if gone else ROLE, "text/xml")
            return
        named = [name for key, [name] in form.items() if key.startswith("ActionNames")]
        results = [
            RESULT.format(name, "allowed" if name.startswith("kms:") else "implicitDeny")
            for name in named
        ]
        self.answer(200, SIMULATED.format("".join(results)), "text/xml")

    def answer(self, status: int, body: str, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def untaught(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsAccount]:
    server = HTTPServer(("127.0.0.1", 0), Untaught)
    Thread(target=server.serve_forever, daemon=True).start()
    Untaught.asked.clear()
    with leading_to(f"http://127.0.0.1:{server.server_port}", monkeypatch):
        yield AwsAccount()
    server.shutdown()
    server.server_close()


def test_what_a_roles_policies_do_not_allow(untaught: AwsAccount) -> None:
    """A session's ARN is not that of its role, which has a path; and many actions take several."""
    caller = "arn:aws:sts::123456789012:assumed-role/Deployer/ada"
    many = [f"kms:Action{number}" for number in range(60)]
    assert untaught.denied(caller, [*many, "iam:CreateRole"]) == ["iam:CreateRole"]
    sources = [form["PolicySourceArn"] for form in Untaught.asked if "PolicySourceArn" in form]
    assert sources == [["arn:aws:iam::123456789012:role/people/Deployer"]] * 2


def test_who_may_not_ask_is_told_which_action_lacks(untaught: AwsAccount) -> None:
    with pytest.raises(NotPermitted, match="iam:GetRole"):
        untaught.denied("arn:aws:sts::123456789012:assumed-role/Gone/ada", ["kms:CreateKey"])


def test_root_may_do_everything_and_who_is_federated_is_not_known(untaught: AwsAccount) -> None:
    assert untaught.denied("arn:aws:iam::123456789012:root", ["iam:CreateRole"]) == []
    with pytest.raises(Refused, match="cannot be simulated"):
        untaught.denied("arn:aws:sts::123456789012:federated-user/ada", ["iam:CreateRole"])
    user = "arn:aws:iam::123456789012:user/ada"
    assert untaught.denied(user, ["iam:CreateRole"]) == ["iam:CreateRole"]


def test_the_room_and_the_region(untaught: AwsAccount) -> None:
    assert untaught.concurrency() == 10
    assert untaught.region_status("af-south-1") == "DISABLED"
