"""What the operator's command asks of AWS: what a stack is made of, and why AWS refuses."""

from __future__ import annotations

import re
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import exceptions
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from legato.aws.clients import client
from legato.aws.errors import BROKEN, code
from legato.errors import NoStack, NotPermitted, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from legato.errors import LegatoError

_FORBIDDEN = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_ACTIONS = {
    "GetObject": "s3:GetObjectVersion",
    "HeadObject": "s3:GetObjectVersion",
    "ListObjectVersions": "s3:ListBucketVersions",
    "RestoreObject": "s3:RestoreObject",
}
"""Of operations on the archive, for which S3 does not always name the permission: a HEAD says
nothing but 403. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
"""
_UNACCEPTED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_LOG_IN = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.LoginError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_MISCONFIGURED = (
    exceptions.ConfigNotFound,
    exceptions.ConfigParseError,
    exceptions.InvalidConfigError,
    exceptions.InvalidRegionError,
    exceptions.MissingDependencyException,
    exceptions.UnknownCredentialError,
)
"""What --profile, --region or a configuration file is wrong about."""


def outputs(stack: str) -> dict[str, str]:
    """Return the stack's outputs by name. Raises NoStack, and as plain does."""
    outputs = described(stack).get("Outputs", ())
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def parameters(stack: str) -> dict[str, str]:
    """Return what the stack was deployed with, by name. Raises as outputs."""
    parameters = described(stack).get("Parameters", ())
    return {each["ParameterKey"]: each["ParameterValue"] for each in parameters}


def described(stack: str) -> Any:
    """Return what CloudFormation says of a stack. Raises as outputs."""
    with plain():
        try:
            [found] = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if code(error) != "ValidationError":
                raise
            reason = "name it with --stack, or choose its --region and --profile"
            raise NoStack(f"there is no stack {stack} here: {reason}") from error
    return found


type Sign = Callable[[str, str, bytes], dict[str, str]]
"""Returns the headers that sign a request to API Gateway: method, URL and body."""


def signer() -> Sign:
    """Return what signs with the identity of this process, which is asked for once.

    It may be used by several threads. It raises NotPermitted, Refused as unanswered has it.
    """
    session, lock = botocore.session.get_session(), Lock()

    def signed(method: str, url: str, body: bytes) -> dict[str, str]:
        with plain(), lock:
            credentials, region = session.get_credentials(), session.get_config_variable("region")
            if credentials is None:
                raise exceptions.NoCredentialsError
            if region is None:
                raise exceptions.NoRegionError
            request = AWSRequest(method=method, url=url, data=body)
            frozen = credentials.get_frozen_credentials()
            SigV4Auth(frozen, "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return signed


def refusal(error: BaseException | None) -> LegatoError | None:
    """Return what a person has to do before AWS answers, or None if it is no such error.

    Errors of ours are looked through to what caused them.
    """
    while error is not None:
        if isinstance(error, exceptions.ProfileNotFound):
            return Refused(f"{error}: `aws configure list-profiles` lists the profiles")
        if isinstance(error, exceptions.NoRegionError):
            return Refused("no AWS region is set: give --region, or set AWS_DEFAULT_REGION")
        if isinstance(error, _LOG_IN):
            return NotPermitted(f"no AWS credentials ({error}): log in, or give --profile")
        if isinstance(error, _MISCONFIGURED):
            words = str(error).rstrip(".")
            return Refused(f"{words}: check --region, --profile and your AWS configuration")
        if isinstance(error, ClientError):
            return _refusal(error)
        error = error.__cause__
    return None


def unanswered(error: BaseException) -> LegatoError | None:
    """Return what an error of AWS's own libraries comes to, or None if it is no such error."""
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return Refused(f"{error}: check AWS_ENDPOINT_URL and your AWS configuration")
    if not isinstance(error, (ClientError, *BROKEN)):
        return None
    return refusal(error) or Unavailable(
        f"AWS does not answer: {error}: check the network and the region"
    )


def _refusal(error: ClientError) -> LegatoError | None:
    if code(error) in _FORBIDDEN:
        words = error.response.get("Error", {}).get("Message", "")
        action = re.search(r"perform: ([\w-]+:\w+)", words)
        operation = error.operation_name
        named = action[1] if action else _ACTIONS.get(operation, operation)
        return NotPermitted(
            f"AWS does not permit {named}: docs/permissions.md lists what the command needs"
        )
    if code(error) in _UNACCEPTED:
        return NotPermitted(f"AWS does not accept the credentials ({code(error)}): log in again")
    return None


@contextmanager
def plain() -> Iterator[None]:
    """Turn an error of AWS into what a person has to do, or Unavailable."""
    try:
        yield
    except (ClientError, *BROKEN) as error:
        raise unanswered(error) or error from error
