"""What the operator's command asks of AWS: what a stack is made of, and to sign for a person."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import exceptions
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from legato.aws.clients import client, session
from legato.aws.errors import BROKEN, code
from legato.aws.refusals import unanswered
from legato.errors import NoStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def outputs(stack: str) -> dict[str, str]:
    """Return the stack's outputs by name. Raises NoStack, and as plain does."""
    outputs = described(stack).get("Outputs", ())
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def parameters(stack: str) -> dict[str, str]:
    """Return what the stack was deployed with, by name. Raises as outputs."""
    parameters = described(stack).get("Parameters", ())
    return {each["ParameterKey"]: each["ParameterValue"] for each in parameters}


def state(stack: str) -> str:
    """Return CloudFormation's word for the stack, empty if there is none. Raises as outputs."""
    try:
        return str(described(stack)["StackStatus"])
    except NoStack:
        return ""


def region() -> str:
    """Return the region of this process's AWS clients, empty if none is set."""
    with plain():
        return session().get_config_variable("region") or ""


def described(stack: str) -> Any:
    """Return what CloudFormation says of a stack. Raises as outputs."""
    if not stack.strip():
        raise NoStack("--stack is empty: name the stack")
    with plain():
        try:
            [found] = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if code(error) != "ValidationError":
                raise
            region = session().get_config_variable("region")
            reason = "name it with --stack, or choose its --region and --profile"
            raise NoStack(f"there is no stack {stack} in {region}: {reason}") from error
    return found


type Sign = Callable[[str, str, bytes], dict[str, str]]
"""Returns the headers that sign a request to API Gateway: method, URL and body."""


def signer() -> Sign:
    """Return what signs with the identity of this process, which is asked for once.

    It may be used by several threads. It raises NotPermitted, Refused as unanswered has it.
    """
    own, lock = botocore.session.get_session(), Lock()

    def signed(method: str, url: str, body: bytes) -> dict[str, str]:
        with plain(), lock:
            credentials, region = own.get_credentials(), own.get_config_variable("region")
            if credentials is None:
                raise exceptions.NoCredentialsError
            if region is None:
                raise exceptions.NoRegionError
            request = AWSRequest(method=method, url=url, data=body)
            frozen = credentials.get_frozen_credentials()
            SigV4Auth(frozen, "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return signed


@contextmanager
def plain() -> Iterator[None]:
    """Turn an error of AWS into what a person has to do, or Unavailable."""
    try:
        yield
    except (ClientError, *BROKEN) as error:
        raise unanswered(error) or error from error
