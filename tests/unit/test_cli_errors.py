"""What a person is told of each error that is not Legato's: what happened, and what to do next."""

from __future__ import annotations

import io
import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions
from botocore.awsrequest import AWSResponse
from botocore.loaders import create_loader
from typer.testing import CliRunner
from urllib3 import HTTPResponse

from legato.aws import clients
from legato.cli.app import app
from legato.cli.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.awsrequest import AWSPreparedRequest

HOST = "cloudformation.eu-central-1.amazonaws.com"
URL = f"https://{HOST}/"
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Legal_0123456789abcdef/alice is "
    "not authorized to perform: {} on resource: {} because no identity-based policy allows it"
)
TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/legato-LedgerTable-1A2B3C4D5E6F"
OUTPUTS = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks><member><StackName>legato</StackName><Outputs>{}</Outputs></member>
</Stacks></DescribeStacksResult></DescribeStacksResponse>"""
OUTPUT = "<member><OutputKey>{}</OutputKey><OutputValue>{}</OutputValue></member>"
MODELS = create_loader()
"""What botocore knows of services, read once."""


class Aws:
    """Answers in AWS's place: CloudFormation knows a stack, and DynamoDB has an error."""

    def __init__(self) -> None:
        self.outputs = {"LedgerTableName": "table", "ArchiveBucketName": "bucket"}
        self.cloudformation: Any = None
        self.dynamodb: Any = None

    def answer(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        service = event_name.split(".")[1]
        wrong = getattr(self, service)
        if isinstance(wrong, Exception):
            raise wrong
        if wrong is not None:
            code, message = wrong
            said = {"__type": code, "message": message, "Message": message}
            error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            body = json.dumps(said) if service == "dynamodb" else f"<E>{error}</E>"
            return self.said(request, 400, body)
        named = "".join(OUTPUT.format(*one) for one in self.outputs.items())
        return self.said(request, 200, OUTPUTS.format(named))

    def said(self, request: AWSPreparedRequest, status: int, body: str) -> AWSResponse:
        raw = HTTPResponse(io.BytesIO(body.encode()), preload_content=False)
        return AWSResponse(request.url, status, {}, raw)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    """A machine on which nothing of AWS is set up but two keys and a region."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        # The command sets them in its own process; undone is only what was set here first.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    # botocore's own, between two tries.
    monkeypatch.setattr("time.sleep", lambda _: None)
    clients.session.cache_clear()
    answers = Aws()
    clients.session().register_component("data_loader", MODELS)
    clients.session().register("before-send", answers.answer)
    yield answers
    clients.session.cache_clear()


def check(ended: Any, code: Exit, says: str) -> None:
    """Compare the last thing that is said, which is short enough to be read."""
    assert (ended.exit_code, ended.stdout) == (code, ""), ended.output
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("legato: ")
    assert says in ended.stderr
    assert len(textwrap.wrap(ended.stderr, 80)) <= 6, ended.stderr


NETWORK: dict[str, tuple[Exception, str]] = {
    "no network": (
        exceptions.EndpointConnectionError(endpoint_url=URL),
        f"{HOST} cannot be reached: check the network, DNS and HTTPS_PROXY, and run the same",
    ),
    "a proxy that is not there": (
        exceptions.ProxyConnectionError(proxy_url="http://proxy.example:3128"),
        "the proxy proxy.example does not answer: check HTTPS_PROXY and NO_PROXY, and run the same",
    ),
    "a certificate of a stranger": (
        exceptions.SSLError(endpoint_url=URL, error="self-signed certificate"),
        f"the TLS connection to {HOST} failed: if a proxy inspects it, name its certificate in "
        "AWS_CA_BUNDLE",
    ),
    "an answer that is late": (
        exceptions.ReadTimeoutError(endpoint_url=URL),
        f"{HOST} does not answer in time: check the network",
    ),
    "a connection that is cut": (
        exceptions.ConnectionClosedError(endpoint_url=URL),
        f"the connection to {HOST} broke off (ConnectionClosedError): check the network",
    ),
}
SETUP: dict[str, tuple[Exception, Exit, str]] = {
    "no credentials": (
        exceptions.NoCredentialsError(),
        Exit.NOT_PERMITTED,
        "no AWS credentials: log in with `aws sso login` or `aws configure`, or give --profile",
    ),
    "half of the credentials": (
        exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        Exit.NOT_PERMITTED,
        "missing: AWS_SECRET_ACCESS_KEY): log in, or choose another --profile",
    ),
    "an expired sign-in": (
        exceptions.UnauthorizedSSOTokenError(),
        Exit.NOT_PERMITTED,
        "you are not signed in to AWS, or no longer: run `aws sso login`",
    ),
    "a sign-in that was never": (
        exceptions.SSOTokenLoadError(error_msg="Token for x does not exist"),
        Exit.NOT_PERMITTED,
        "run `aws sso login`",
    ),
    "a token that is not renewed": (
        exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
        Exit.NOT_PERMITTED,
        "run `aws sso login`",
    ),
    "a configuration that contradicts itself": (
        exceptions.InvalidConfigError(error_msg="The source_profile x does not exist."),
        Exit.WRONG_USAGE,
        "The source_profile x does not exist: check --region, --profile and your AWS config",
    ),
}
REFUSALS: dict[str, tuple[tuple[str, str], Exit, str]] = {
    "a permission": (
        ("AccessDeniedException", DENIED.format("dynamodb:Query", f"{TABLE}/index/Listed")),
        Exit.NOT_PERMITTED,
        f"AWS does not permit dynamodb:Query on {TABLE}/index/Listed: docs/permissions.md lists",
    ),
    "an explicit deny": (
        (
            "AccessDeniedException",
            f"{DENIED.format('dynamodb:Query', TABLE)} with an explicit deny in a policy",
        ),
        Exit.NOT_PERMITTED,
        f"AWS does not permit dynamodb:Query on {TABLE} by an explicit deny: docs/permissions.md",
    ),
    "an expired session": (
        ("ExpiredTokenException", "The security token included in the request is expired"),
        Exit.NOT_PERMITTED,
        "your AWS session has expired (ExpiredTokenException): log in again, as with `aws sso",
    ),
    "keys that are gone": (
        ("UnrecognizedClientException", "The security token included in the request is invalid."),
        Exit.NOT_PERMITTED,
        "AWS does not accept the credentials (UnrecognizedClientException): log in again",
    ),
    "a clock that is wrong": (
        (
            "InvalidSignatureException",
            "Signature expired: 20261201T100000Z is now earlier than 20261201T115500Z",
        ),
        Exit.NOT_PERMITTED,
        "this machine's clock is wrong, says AWS (InvalidSignatureException): set it, and run",
    ),
    "too many requests": (
        ("ThrottlingException", "Rate exceeded"),
        Exit.UNAVAILABLE,
        "AWS takes no more requests now (throttled): wait a minute: run the same command again",
    ),
    "a key that is disabled": (
        ("AccessDeniedException", "KMS key arn:aws:kms:eu-central-1:1:key/1 is disabled."),
        Exit.FAILED,
        "a KMS key of the stack cannot be used (AccessDeniedException: KMS key arn:aws:kms:"
        "eu-central-1:1:key/1 is disabled.): enable it with `aws kms enable-key`",
    ),
    "a table that is gone": (
        ("ResourceNotFoundException", "Requested resource not found"),
        Exit.NO_STACK,
        "something of the stack is gone (Query: ResourceNotFoundException): deploy it again, or "
        "name another one with --stack",
    ),
}


@pytest.mark.parametrize("name", NETWORK)
def test_what_keeps_the_network_from_aws_is_named(aws: Aws, name: str) -> None:
    """With what to check; then the same command may be run again."""
    aws.cloudformation, says = NETWORK[name]
    check(CliRunner().invoke(app, ["find"]), Exit.UNAVAILABLE, says)


@pytest.mark.parametrize("name", NETWORK)
def test_the_network_is_told_alike_in_the_middle_of_the_work(aws: Aws, name: str) -> None:
    """Then an error of ours stands around it."""
    aws.dynamodb, says = NETWORK[name]
    check(CliRunner().invoke(app, ["find"]), Exit.UNAVAILABLE, says)


@pytest.mark.parametrize("name", SETUP)
def test_what_is_not_set_up_is_told_with_the_command_that_does_it(aws: Aws, name: str) -> None:
    """Before anything was asked."""
    aws.cloudformation, code, says = SETUP[name]
    check(CliRunner().invoke(app, ["find"]), code, says)


@pytest.mark.parametrize("name", REFUSALS)
def test_what_aws_refuses_is_told_with_what_to_do(aws: Aws, name: str) -> None:
    """In AWS's words only where they name something."""
    aws.dynamodb, code, says = REFUSALS[name]
    check(CliRunner().invoke(app, ["find"]), code, says)


def test_a_sign_in_is_that_of_the_profile(aws: Aws, tmp_path: Path) -> None:
    """The command to sign in names it."""
    (tmp_path / "config").write_text("[profile legal]\nregion = eu-central-1\n")
    aws.cloudformation = exceptions.UnauthorizedSSOTokenError()
    ended = CliRunner().invoke(app, ["--profile", "legal", "find"])
    check(ended, Exit.NOT_PERMITTED, "run `aws sso login --profile legal`")


def test_a_stack_that_is_not_there_is_told_with_where_was_looked(aws: Aws) -> None:
    """It may be in another region, or of another account."""
    aws.cloudformation = ("ValidationError", "Stack with id archive does not exist")
    ended = CliRunner().invoke(app, ["--stack", "archive", "find"])
    says = "there is no stack archive in eu-central-1: name it with --stack, or choose its --region"
    check(ended, Exit.NO_STACK, says)
    check(CliRunner().invoke(app, ["--stack", "", "find"]), Exit.NO_STACK, "--stack is empty")


def test_a_stack_of_somebody_else_is_told(aws: Aws) -> None:
    """Or one of another version."""
    aws.outputs = {"WebsiteUrl": "https://example.com"}
    check(CliRunner().invoke(app, ["find"]), Exit.NO_STACK, "the stack legato has no ledger: name")
    ended = CliRunner().invoke(app, ["status"])
    check(ended, Exit.NO_STACK, "was deployed from another version (it has no ConfigParameterName)")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--profile", "x"], Exit.WRONG_USAGE, "there is no AWS profile x: `aws configure list-p"),
        (["--region", "a b"], Exit.WRONG_USAGE, "'a b' is no AWS region: check --region"),
        (
            ["--region", "eu-centrl-1"],
            Exit.WRONG_USAGE,
            "no AWS region eu-centrl-1 is known, and cloudformation.eu-centrl-1.amazonaws.com "
            "cannot be reached: did you mean eu-central-1",
        ),
    ],
)
def test_a_wrong_option_is_told_with_the_right_ones(
    aws: Aws, options: list[str], code: Exit, says: str
) -> None:
    """A region that is newer than this library is asked like any other."""
    url = "https://cloudformation.eu-centrl-1.amazonaws.com/"
    aws.cloudformation = exceptions.EndpointConnectionError(endpoint_url=url)
    check(CliRunner().invoke(app, [*options, "find"]), code, says)


@pytest.mark.parametrize(
    "command",
    [
        *("find", "show s-1", "get s-1", "link s-1", "export s-1 --name n", "restore s-1"),
        *("restore --list", "verify", "hold s-1 --case c --reason r", "release s-1 --case c"),
        *("hold s-1 s-2 --case c --reason r", "holds", "accesses", "accesses s-1", "status"),
        *("failed", "retry s-1", "retry --all --yes", "reconcile --from 2026-11-01"),
        *("backfill ringcx --from 2026-11-01", "index rebuild", "ledger rebuild"),
        "kazoo push-urls",
    ],
)
@pytest.mark.parametrize("lacks", ["region", "network", "permission"])
def test_no_command_shows_its_insides(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, command: str, lacks: str
) -> None:
    """Whichever it is, and whatever is missing."""
    if lacks == "region":
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        code, says = Exit.WRONG_USAGE, "no AWS region is set: give --region, or set AWS_REGION"
    elif lacks == "network":
        aws.cloudformation, says = NETWORK["no network"]
        code = Exit.UNAVAILABLE
    else:
        arn = "arn:aws:cloudformation:eu-central-1:123456789012:stack/legato/*"
        aws.cloudformation = ("AccessDenied", DENIED.format("cloudformation:DescribeStacks", arn))
        code = Exit.NOT_PERMITTED
        says = f"AWS does not permit cloudformation:DescribeStacks on {arn}"
    more = ["--confirm"] if command.startswith("release") else []
    ended = CliRunner().invoke(app, [*command.split(), *more])
    assert (ended.exit_code, says in ended.stderr) == (code, True), ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)


def test_a_region_is_taken_from_where_aws_says(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION is what the error asks for, though botocore knows only the other one."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    aws.cloudformation = ("ValidationError", "Stack with id legato does not exist")
    check(CliRunner().invoke(app, ["find"]), Exit.NO_STACK, "no stack legato in eu-west-1")
